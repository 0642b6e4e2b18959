/* SPDX-License-Identifier: ISC */
/*
 * Presence: entries of sessions that end one to two lifetimes after the last renewal, and
 * what the hosts see of each other's. Only a hint to the machine, so nothing here is exact
 * but for one thing: what a host sees last is what there is.
 */
#include "tests/sim/sim.h"

#define TTL (3 * S)
#define RENEW (500 * MS)

static void
seen_peers(struct world *world, struct item *item)
{
	item->type = ROLE_EVENT_PEERS;
	for (size_t i = 0; i < SLOTS; i++) {
		const struct host *other = &world->hosts[i];

		item->peers.here[i] =
		    other->present && other->cluster == item->host->cluster;
		item->peers.ready[i] = other->present_ready;
	}
	host_deliver(world, item);
}

static void
look(struct world *world, struct item *item)
{
	struct host *host = item->host;

	if (!host->role || host->life != item->life)
		return;
	if (!consul_unreachable(world, host) &&
	    host->peers_seen != world->presence_version) {
		host->peers_seen = world->presence_version;
		sim_push(world, consul_delay(world), sim_item(world, host, seen_peers));
	}
	world->kept = true;
	sim_push(world, sim_between(world, 20 * MS, 400 * MS), item);
}

void
session_lose(struct world *world, struct host *host)
{
	if (!host->present)
		return;
	sim_say(world, host, "consul: its presence is gone");
	host->present = false;
	world->presence_version++;
}

/* One item a host: it looks whether the session has been renewed since. */
static void
expire(struct world *world, struct item *item)
{
	struct host *host = item->host;

	if (item->number == host->renewed_at) {
		session_lose(world, host);
		return;
	}
	if (!host->present)
		return;
	item->number = host->renewed_at;
	world->kept = true;
	sim_push(world,
	    host->renewed_at + sim_between(world, TTL, 2 * TTL) - world->now, item);
}

static void
begin(struct world *world, struct host *host)
{
	struct item *end = sim_item(world, host, expire);

	host->present = true;
	end->number = world->now;
	sim_push(world, sim_between(world, TTL, 2 * TTL), end);
}

static void
renew(struct world *world, struct item *item)
{
	struct host *host = item->host;
	bool ready = host->ready == ROLE_READY_YES;

	if (!host->role || host->life != item->life)
		return;
	if (!consul_unreachable(world, host) && !host->paused && !host->stopping &&
	    world->now >= host->session_lost_until) {
		if (!host->present || host->present_ready != ready)
			world->presence_version++;
		host->present_ready = ready;
		host->renewed_at = world->now;
		if (!host->present)
			begin(world, host);
	}
	world->kept = true;
	sim_push(world,
	    host->present && host->present_ready == ready ? RENEW / 5 : 20 * MS, item);
}

void
session_start(struct world *world, struct host *host)
{
	host->peers_seen = -1;
	sim_push(world, 10 * MS, sim_item(world, host, renew));
	sim_push(world, 15 * MS, sim_item(world, host, look));
}
