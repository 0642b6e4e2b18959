/* SPDX-License-Identifier: ISC */
/*
 * Consul as the protocol may meet it: a register with compare-and-set, whose requests and
 * replies are delayed, lost, answered wrongly (409 for a write that was applied) or
 * applied long after their sender gave up or died; a watch without any promise of order;
 * presence by sessions that end 10 to 20 s after the last renewal.
 *
 * The register's own operations are atomic: one item is one moment.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/sim/sim.h"

#define SLOW (150 * MS) /* what a master that is not to lose anything must bear */
#define TTL (10 * S)
#define RENEW (5 * S)
#define TRIES 40

static int64_t
delay(struct world *world)
{
	if (!sim_chance(world, world->heavy))
		return sim_between(world, 200, 4 * MS);
	return sim_between(world, 0, sim_chance(world, 0.2) ? 4 * S : S);
}

static void
disturb(struct host *host, int64_t until)
{
	if (until > host->disturbed_at)
		host->disturbed_at = until;
}

static bool
unreachable(const struct world *world, const struct host *host)
{
	return world->outage || host->cut;
}

static int64_t
leg(struct world *world, struct host *host)
{
	int64_t d = delay(world);

	if (d > SLOW)
		disturb(host, world->now + d);
	return d;
}

static void
watched(struct world *world, struct item *item)
{
	if (!unreachable(world, item->host))
		host_deliver(world, item);
}

static void
tell_watchers(struct world *world)
{
	for (size_t i = 0; i < world->n_hosts; i++) {
		struct item *item =
		    sim_item(world, delay(world), &world->hosts[i], watched);

		item->event.type = ROLE_EVENT_REGISTER;
		item->reg = world->reg;
		item->event.reg.content = &item->reg;
		item->event.reg.sent_at = clock_ms(&item->host->boot, world->now);
		sim_push(world, item);
	}
}

void
consul_init(struct world *world, int64_t rev)
{
	role_register_init(
	    &world->reg, &world->hosts[0].params, rev, sim_random(world));
	world->exists = true;
	world->reg.index = ++world->index;
	sim_say(world, NULL, "consul: a first register, revision %lld", (long long)rev);
	tell_watchers(world);
}

static void
reply(struct world *world, struct item *item, struct role_event *event)
{
	struct item *answer;

	if (unreachable(world, item->host) || sim_chance(world, world->loss)) {
		disturb(item->host, world->now + 3 * S);
		return;
	}
	answer = sim_item(world, leg(world, item->host), item->host, host_deliver);
	answer->life = item->life;
	answer->event = *event;
	answer->reg = world->reg;
	sim_push(world, answer);
}

/* Requests hang while there is no leader, and most are carried out when there is. */
static bool
put_off(struct world *world, struct item *item)
{
	struct item *again;

	if (!unreachable(world, item->host))
		return false;
	disturb(item->host, world->now + 3 * S);
	if (item->number >= TRIES || sim_chance(world, 0.1))
		return true;
	again = xcalloc(1, sizeof(*again));
	*again = *item;
	again->number++;
	again->at = world->now + sim_between(world, 50 * MS, S);
	sim_push(world, again);
	return true;
}

static void
apply_read(struct world *world, struct item *item)
{
	struct role_event event = { .type = ROLE_EVENT_REGISTER };

	if (put_off(world, item))
		return;
	event.reg.consistent = true;
	event.reg.sent_at = item->event.reg.sent_at;
	event.reg.content = world->exists ? &world->reg : NULL;
	reply(world, item, &event);
}

void
consul_read(struct world *world, struct host *host)
{
	struct item *item = sim_item(world, leg(world, host), host, apply_read);

	item->event.reg.sent_at = clock_ms(&host->boot, world->now);
	world->reads++;
	sim_push(world, item);
}

static bool
same_value(const struct role_register *a, const struct role_register *b)
{
	return a->rev == b->rev && strcmp(a->wid, b->wid) == 0 &&
	    strcmp(a->holder, b->holder) == 0 && a->fence.present == b->fence.present &&
	    strcmp(a->fence.text, b->fence.text) == 0;
}

static void
apply_write(struct world *world, struct item *item)
{
	struct role_register old = { 0 };
	struct role_event event = { .type = ROLE_EVENT_CAS };
	uint64_t index = world->exists ? world->reg.index : 0;

	if (put_off(world, item))
		return;
	str_copy(event.cas.wid, sizeof(event.cas.wid), item->reg.wid);
	if (index == item->order) {
		if (world->exists)
			old = world->reg;
		/* Consul: the same value does not move the index. */
		if (!world->exists || !same_value(&old, &item->reg)) {
			world->reg = item->reg;
			world->reg.index = ++world->index;
			world->writes++;
			sim_say(world, NULL, "consul: %s rev %llu holder %s fence %s",
			    item->reg.wid, (unsigned long long)item->reg.rev,
			    item->reg.holder,
			    item->reg.fence.present ? item->reg.fence.node : "null");
			check_write(world, item->reg.wid, world->exists ? &old : NULL,
			    &world->reg);
			world->exists = true;
			tell_watchers(world);
		}
		event.cas.ok = !sim_chance(world, world->loss);
		event.cas.index = world->reg.index;
	}
	reply(world, item, &event);
}

static void
out_of_time(struct world *world, struct item *item)
{
	host_deliver(world, item);
}

void
consul_write(struct world *world, struct host *host, uint64_t base,
    const struct role_register *content)
{
	struct item *item = sim_item(world, leg(world, host), host, apply_write);
	struct item *limit = sim_item(world,
	    clock_when(&host->boot, world->now,
		clock_ms(&host->boot, world->now) + host->params.lease_ms) -
		world->now,
	    host, out_of_time);

	item->order = base;
	item->reg = *content;
	if (host->mute)
		free(item);
	else
		sim_push(world, item);
	if (host->mute)
		disturb(host, world->now + 3 * S);
	limit->event.type = ROLE_EVENT_CAS;
	str_copy(limit->event.cas.wid, sizeof(limit->event.cas.wid), content->wid);
	sim_push(world, limit);
}

void
consul_wipe(struct world *world)
{
	sim_say(world, NULL, "consul: the register is wiped");
	world->exists = false;
	world->wiped = true;
	world->wiped_at = world->now;
	if (sim_chance(world, 0.5))
		world->index = 5; /* all of Consul's data, not just the key */
}

/* The watch of the candidates: its newest answer is the last. */
static void
watched_peers(struct world *world, struct item *item)
{
	item->event.type = ROLE_EVENT_PEERS;
	for (size_t i = 0; i < world->n_hosts; i++) {
		const struct host *other = &world->hosts[i];
		struct role_peer *peer = &item->peers[item->event.peers.count];

		if (!other->present)
			continue;
		str_copy(peer->node, sizeof(peer->node), other->name);
		peer->ready = other->present_ready;
		peer->priority = other->params.priority;
		item->event.peers.count++;
	}
	host_deliver(world, item);
}

static void
tell_peers(struct world *world, struct item *item)
{
	struct host *host = item->host;

	if (!host->role || host->life != item->life)
		return;
	if (!unreachable(world, host) && host->peers_seen != world->presence_version) {
		host->peers_seen = world->presence_version;
		sim_push(world, sim_item(world, delay(world), host, watched_peers));
	}
	sim_push(world,
	    sim_item(world, sim_between(world, 5 * MS, 200 * MS), host, tell_peers));
}

void
consul_leave(struct world *world, struct host *host)
{
	if (!host->present)
		return;
	sim_say(world, host, "consul: its presence is gone");
	host->present = false;
	world->presence_version++;
}

static void
expire(struct world *world, struct item *item)
{
	if (item->number == item->host->renewed_at)
		consul_leave(world, item->host);
}

static void
renew(struct world *world, struct item *item)
{
	struct host *host = item->host;
	bool ready = host->ready == ROLE_READY_YES;
	struct item *again, *end;

	if (!host->role || host->life != item->life)
		return;
	if (!unreachable(world, host) && !host->paused && !host->stopping &&
	    world->now >= host->session_lost_until) {
		if (!host->present || host->present_ready != ready)
			world->presence_version++;
		host->present = true;
		host->present_ready = ready;
		host->renewed_at = world->now;
		end = sim_item(world, sim_between(world, TTL, 2 * TTL), host, expire);
		end->number = host->renewed_at;
		sim_push(world, end);
	}
	again = sim_item(world,
	    host->present_ready == ready && host->present ? RENEW / 10 : 20 * MS, host,
	    renew);
	sim_push(world, again);
}

void
consul_start(struct world *world, struct host *host)
{
	host->peers_seen = -1;
	sim_push(world, sim_item(world, 10 * MS, host, renew));
	sim_push(world, sim_item(world, 15 * MS, host, tell_peers));
}
