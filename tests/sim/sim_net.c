/* SPDX-License-Identifier: ISC */
/*
 * The network between the hosts: datagrams are lost, late, doubled and overtaken, links are
 * cut in one direction or both. And what the heartbeat servant does with them before the
 * machine hears: a sequence number that was heard is dropped, as is who stands still's
 * socket buffer once it is full (sim_host.c), and a namesake is told apart.
 */
#include <string.h>

#include "tests/sim/sim.h"

#define TWICE 0.02

void
net_bad(struct world *world, struct host *host, int64_t span)
{
	if (world->now + span > host->pulse_bad_at)
		host->pulse_bad_at = world->now + span;
}

static void
arrive(struct world *world, struct item *item)
{
	struct host *host = item->host;
	const struct pulse *pulse = &item->pulse;
	size_t from = (size_t)(pulse->from - world->hosts);

	if (!host->role || host->deaf[from])
		return;
	if (strcmp(pulse->from->name, host->name) == 0) {
		host_tell(world, host, ROLE_EVENT_NAMESAKE, 1);
		return;
	}
	if (host->heard[from].inst == pulse->from_inst &&
	    host->heard[from].seq >= pulse->seq)
		return;
	host->heard[from].inst = pulse->from_inst;
	host->heard[from].seq = pulse->seq;
	item->life = host->life;
	item->type = pulse->ack ? ROLE_EVENT_ACK : ROLE_EVENT_HEARTBEAT;
	host_deliver(world, item);
}

static int64_t
way(struct world *world)
{
	if (world->heavy > 0 && sim_chance(world, world->heavy))
		return sim_between(world, 0, S);
	return sim_between(world, 100, 2 * MS);
}

void
net_pulse(
    struct world *world, struct host *from, struct host *to, const struct pulse *pulse)
{
	struct item *item;

	if (to->deaf[from - world->hosts] || !to->role)
		return;
	do {
		if (world->datagrams > 0 && sim_chance(world, world->datagrams))
			continue;
		item = sim_item(world, to, arrive);
		item->pulse = *pulse;
		item->pulse.from = from;
		item->pulse.from_inst = from->params.inst;
		item->pulse.seq = from->seq;
		sim_push(world, way(world), item);
	} while (sim_chance(world, TWICE));
	from->seq++;
	world->pulses++;
}

void
net_cut(struct world *world, struct host *from, struct host *to, bool cut)
{
	if (from == to)
		return;
	to->deaf[from - world->hosts] = cut;
	net_bad(world, from, 0);
	net_bad(world, to, 0);
}
