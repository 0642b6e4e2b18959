/* SPDX-License-Identifier: ISC */
/*
 * What goes wrong with Consul, with the way to it and with the network between the hosts.
 * The table of all faults is in sim_fault.c.
 */
#include <string.h>

#include "tests/sim/sim.h"
#include "tests/sim/sim_fault.h"

/* What else a fault brings comes later, if the agent is still the same. */
void
fault_follow_up(struct world *world, struct host *host, int64_t delay,
    void (*run)(struct world *world, struct item *item), int64_t number)
{
	struct item *item = sim_item(world, host, run);

	item->number = number;
	sim_push(world, delay, item);
}

/* --- Consul --- */

void
begin_outage(struct world *world, struct host *host, const struct fault *fault)
{
	(void)host;
	(void)fault;
	world->outage = true;
}

void
end_outage(struct world *world, struct host *host, const struct fault *fault)
{
	(void)host;
	(void)fault;
	world->outage = false;
}

void
begin_cut(struct world *world, struct host *host, const struct fault *fault)
{
	(void)world;
	(void)fault;
	host->cut = true;
}

void
end_cut(struct world *world, struct host *host, const struct fault *fault)
{
	(void)world;
	(void)fault;
	host->cut = false;
}

void
begin_mute(struct world *world, struct host *host, const struct fault *fault)
{
	(void)world;
	(void)fault;
	host->mute = true;
}

void
end_mute(struct world *world, struct host *host, const struct fault *fault)
{
	(void)world;
	(void)fault;
	host->mute = false;
}

void
begin_foreign(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	host->foreign = true;
	consul_bad(world, host, 0);
}

void
end_foreign(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	host->foreign = false;
	consul_bad(world, host, 0);
	net_bad(world, host, 0); /* until now it answered nobody */
}

void
begin_session(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	session_lose(world, host);
}

/*
 * Somebody writes what is there already: from a copy, by a tool that sets what it finds. In
 * one step most often; by hand it takes two. Consul keeps the index where value, flags and
 * lock stay as they are, so that a plain set is none at all.
 */
void
begin_rewrite(struct world *world, struct host *host, const struct fault *fault)
{
	if (world->outage || fault->random % 16 == 0)
		sim_say(world, host, "consul: nothing is written");
	else if (fault->random % 16 == 1)
		consul_delete(world, host, fault->span);
	else
		consul_rewrite(world, host);
}

/* The operator's word after a wipe: nobody has the address. */
static void
init_again(struct world *world, struct item *item)
{
	bool held = false;

	for (size_t i = 0; i < SLOTS; i++)
		held = held || world->hosts[i].vip ||
		    (world->hosts[i].role && world->hosts[i].state == ROLE_MASTER);
	if (world->clusters[0].content && !world->odd)
		return;
	if (!held)
		consul_init(world, false);
	else
		fault_follow_up(world, item->host, S, init_again, 0);
}

void
begin_wipe(struct world *world, struct host *host, const struct fault *fault)
{
	consul_wipe(world, fault->random & 1);
	fault_follow_up(world, host, 8 * S, init_again, 0);
}

/* Whoever the snapshot names forgets what it knew. */
static void
forget(struct world *world)
{
	const struct role_register *reg = consul_register(world, &world->hosts[0]);

	for (size_t i = 0; i < HOSTS; i++) {
		struct host *host = &world->hosts[i];

		if (host->plays && reg && reg->fence.present && !host->vip &&
		    strcmp(reg->fence.node, host->name) == 0) {
			host_crash(world, host);
			host_start(world, host);
		}
	}
}

void
begin_restore(struct world *world, struct host *host, const struct fault *fault)
{
	audit_odd(world, 4 * S);
	consul_restore(world, fault->random >> 8, fault->random & 2);
	if (fault->random & 1)
		forget(world);
	fault_follow_up(world, host, 8 * S, init_again, 0);
}

/* An operator's mistake: two clusters, and the hosts of one do not hear those of the other. */
void
begin_clusters(struct world *world, struct host *host, const struct fault *fault)
{
	unsigned int away = 1 << (host - world->hosts);

	away |= (unsigned int)(fault->random >> 16) & world->plan->hosts &
	    ~(unsigned int)(fault->random >> 24);
	audit_odd(world, NEVER);
	for (size_t i = 0; i < SLOTS; i++)
		for (size_t j = 0; j < SLOTS; j++)
			if (((away >> i) ^ (away >> j)) & 1)
				net_cut(
				    world, &world->hosts[i], &world->hosts[j], true);
	consul_split(world, away);
}

static bool
all_beat(const struct world *world)
{
	for (size_t i = 0; i < HOSTS; i++)
		if (world->hosts[i].plays && world->hosts[i].params.heartbeat_ms == 0)
			return false;
	return true;
}

static void
unite_later(struct world *world, struct item *item)
{
	(void)item;
	consul_unite(world);
	audit_odd(world, 6 * S);
}

/* The network heals first: the heartbeats alone must end it. */
void
end_clusters(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	for (size_t i = 0; i < SLOTS; i++)
		for (size_t j = 0; j < SLOTS; j++)
			net_cut(world, &world->hosts[i], &world->hosts[j], false);
	audit_odd(world, all_beat(world) ? 6 * S : NEVER);
	if (all_beat(world))
		sim_push(world, S, sim_item(world, NULL, check_one_master));
	sim_say(world, NULL, "the clusters' hosts hear each other again");
	sim_push(world, 2 * S, sim_item(world, host, unite_later));
}

/* --- the network --- */

void
fault_cut_all(struct world *world, struct host *host, bool cut)
{
	for (size_t i = 0; i < SLOTS; i++) {
		net_cut(world, host, &world->hosts[i], cut);
		net_cut(world, &world->hosts[i], host, cut);
	}
}

void
begin_udp(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	fault_cut_all(world, host, true);
}

void
end_udp(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	fault_cut_all(world, host, false);
}

void
begin_isolation(struct world *world, struct host *host, const struct fault *fault)
{
	begin_cut(world, host, fault);
	fault_cut_all(world, host, true);
}

void
end_isolation(struct world *world, struct host *host, const struct fault *fault)
{
	end_cut(world, host, fault);
	fault_cut_all(world, host, false);
}

struct host *
fault_another(struct world *world, const struct host *host, uint64_t random)
{
	struct host *other = &world->hosts[random % HOSTS];

	for (int i = 0; i < HOSTS && (other == host || !other->plays); i++)
		other = &world->hosts[(size_t)(other - world->hosts + 1) % HOSTS];
	return other;
}

static void
cut_pair(struct world *world, struct host *host, const struct fault *fault, bool cut)
{
	struct host *other = fault_another(world, host, fault->random);
	bool out = fault->kind == FAULT_PAIR || (fault->random >> 32) & 1;

	if (out)
		net_cut(world, host, other, cut);
	if (fault->kind == FAULT_PAIR || !out)
		net_cut(world, other, host, cut);
}

void
begin_pair(struct world *world, struct host *host, const struct fault *fault)
{
	cut_pair(world, host, fault, true);
}

void
end_pair(struct world *world, struct host *host, const struct fault *fault)
{
	cut_pair(world, host, fault, false);
}

static void
all_bad(struct world *world)
{
	for (size_t i = 0; i < SLOTS; i++) {
		net_bad(world, &world->hosts[i], 0);
		consul_bad(world, &world->hosts[i], 0);
	}
}

void
begin_datagrams(struct world *world, struct host *host, const struct fault *fault)
{
	static const double shares[] = { 0.1, 0.3, 0.7 };

	(void)host;
	world->datagrams = shares[fault->random % 3];
	all_bad(world);
}

void
end_datagrams(struct world *world, struct host *host, const struct fault *fault)
{
	(void)host;
	(void)fault;
	world->datagrams = 0.01;
	all_bad(world);
}

void
begin_replies(struct world *world, struct host *host, const struct fault *fault)
{
	(void)host;
	(void)fault;
	world->loss = 0.3;
}

void
end_replies(struct world *world, struct host *host, const struct fault *fault)
{
	(void)host;
	(void)fault;
	world->loss = 0.01;
}

void
begin_slow(struct world *world, struct host *host, const struct fault *fault)
{
	(void)host;
	(void)fault;
	world->heavy = 0.3;
	all_bad(world);
}

void
end_slow(struct world *world, struct host *host, const struct fault *fault)
{
	(void)host;
	(void)fault;
	world->heavy = 0.01;
	all_bad(world);
}
