/* SPDX-License-Identifier: ISC */
/*
 * One schedule from its plan: the hosts as the seed wants them, the faults, and for some
 * the peace after them, in which exactly one host must get the address and nothing may
 * change any more. A world is used for one schedule after the other.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/sim/sim.h"

#define SETTLE (60 * S)
#define STEADY (20 * S)
#define MOVED (20 * S)

/* What the hosts of one world have in common. */
struct common {
	bool bpf, heartbeats, failsafe, limit;
};

static struct common
draw_common(uint64_t seed)
{
	uint64_t random = ~seed;

	return (struct common){
		.bpf = draw_chance(&random, 0.6),
		.heartbeats = draw_chance(&random, 0.92),
		.failsafe = draw_chance(&random, 0.9),
		.limit = draw_chance(&random, 0.2),
	};
}

static void
set_timers(struct host *host, const struct common *common, uint64_t *random)
{
	struct role_params *params = &host->params;

	host->bpf = common->bpf || draw_chance(random, 0.3);
	host_set_lease(host, host->bpf ? 1000 : 2250);
	if (draw_chance(random, 0.2))
		host_set_lease(host, host_any_lease(host, random));
	params->margin_ms = host->bpf ? 10 : 1500;
	params->silence_ms = host->bpf ? 300 : 600;
	params->stagger_ms = 200;
	params->grace_ms = host->bpf ? 500 : 1000;
	params->heartbeat_ms = common->heartbeats && !draw_chance(random, 0.03)
	    ? params->silence_ms / 8
	    : 0;
	params->member_ms = host->bpf ? 4000 : 6000;
	params->calm_ms = 1000;
	params->hold_alone_ms = common->failsafe ? 4000 : 0;
	params->hold_peers_ms = common->failsafe ? 15000 : 0;
	params->limit = common->limit ? 2 : 0;
	params->within_ms = 10000;
}

static void
make_host(struct world *world, size_t slot, const struct common *common)
{
	struct host *host = &world->hosts[slot];
	struct role_params *params = &host->params;
	uint64_t random = world->plan->seed * SLOTS + slot;

	memset(host, 0, offsetof(struct host, late));
	snprintf(host->name, sizeof(host->name), "%c.x", (char)('a' + slot));
	str_copy(params->node, sizeof(params->node), host->name);
	host->plays = (world->plan->hosts >> slot) & 1;
	params->priority = 100 + (unsigned int)draw_between(&random, 0, 2) * 10;
	params->preempt = draw_chance(&random, 0.3);
	params->preempt_delay_ms = draw_between(&random, 0, 2) * 1000;
	set_timers(host, common, &random);
	params->has_vips = true;
	params->has_promote = draw_chance(&random, 0.4);
	params->has_demote = draw_chance(&random, 0.4);
	params->address_first = draw_chance(&random, 0.3);
	params->release_when_unwell = draw_chance(&random, 0.3);
	host->ready = ROLE_READY_YES;
	clock_set_rate(
	    &host->boot, 0, 1 + (double)draw_between(&random, -84900, 84900) / 1e6);
	clock_set_rate(
	    &host->raw, 0, 1 + (double)draw_between(&random, -999, 999) / 1e6);
	host->boot.base = (double)draw_between(&random, 0, 1000 * S);
	host->raw.base = (double)draw_between(&random, 0, 1000 * S);
	host->consul_bad_at = host->pulse_bad_at = host->renewed_at = -1;
}

static void
drop_cluster(struct world *world, struct cluster *cluster)
{
	content_drop(world, cluster->content);
	for (size_t i = 0; i < HISTORY; i++)
		content_drop(world, cluster->history[i]);
	*cluster = (struct cluster){ 0 };
}

/* What the schedule before has left. */
static void
clear(struct world *world)
{
	if (world->running && !world->kept)
		sim_drop(world, world->running);
	for (size_t i = 0; i < world->n_heap; i++)
		sim_drop(world, world->heap[i].item);
	world->n_heap = 0;
	for (size_t i = 0; i < SLOTS; i++) {
		struct host *host = &world->hosts[i];

		role_free(host->role);
		content_drop(world, host->own);
		for (size_t j = 0; j < host->n_late; j++)
			sim_drop(world, host->late[j]);
		memset(host, 0, offsetof(struct host, late));
	}
	for (size_t i = 0; i < ARRAY_LENGTH(world->clusters); i++)
		drop_cluster(world, &world->clusters[i]);
	memset(world, 0, offsetof(struct world, n_heap));
}

static void
prepare(struct world *world, const struct plan *plan, bool verbose)
{
	struct common common = draw_common(plan->seed);

	clear(world);
	world->plan = plan;
	world->random = plan->weather;
	world->verbose = verbose;
	world->overlap_from = NEVER;
	if (sim_chance(world, 0.5))
		world->heavy = world->loss = world->datagrams = 0.01;
	world->dull = sim_chance(world, 0.5) ? 0.02 : 0;
	for (size_t i = 0; i < SLOTS; i++)
		make_host(world, i, &common);
}

static size_t
addresses(const struct world *world, const struct host **holder)
{
	size_t n = 0;

	for (size_t i = 0; i < SLOTS; i++)
		if (world->hosts[i].vip) {
			*holder = &world->hosts[i];
			n++;
		}
	return n;
}

/* While calm the master reads each second and the others each five. */
static void
check_reads(struct world *world, uint64_t reads)
{
	int64_t most = 2 * STEADY / S, hosts = 0;

	for (size_t i = 0; i < HOSTS; i++) {
		const struct host *host = &world->hosts[i];

		if (host->plays &&
		    (!host->role || host->params.heartbeat_ms == 0 ||
			host->params.hold_peers_ms == 0))
			return;
		hosts += host->plays;
	}
	most += hosts * STEADY / (3 * S);
	if (hosts > 1 && world->pulses > 0 && (int64_t)reads > most)
		sim_fail(world, "I14: %llu reads though all is well",
		    (unsigned long long)reads);
}

/* I13, I14: all is repaired, so one host gets the address, and then nothing happens. */
static void
settle(struct world *world)
{
	const struct host *before = NULL, *after = NULL;
	int64_t begin = world->now;
	uint64_t writes, reads;

	/* a role that went to and fro may have left a host with many hooks to run */
	for (size_t i = 0; i < SLOTS; i++)
		if (world->hosts[i].hook_free_at > begin)
			begin = world->hosts[i].hook_free_at;
	sim_run(world, begin + SETTLE);
	if (addresses(world, &before) != 1)
		sim_fail(world, "I13: nobody has the address though all is well");
	writes = world->writes;
	reads = world->reads;
	sim_run(world, world->now + STEADY);
	if (addresses(world, &after) != 1 || before != after)
		sim_fail(world, "I14: the address moved from %s though all is well",
		    before->name);
	if (world->writes != writes)
		sim_fail(world, "I14: the register was written though all is well");
	check_reads(world, world->reads - reads);
}

/* I16: an operator can move it, even just after the register was written anew;
 * so whoever has it, and whoever gets it, can still write. */
static void
check_moves(struct world *world)
{
	const struct host *holder = NULL;
	uint64_t masters = world->masters;

	if (sim_chance(world, 0.5))
		consul_rewrite(world, &world->hosts[0]);
	for (size_t i = 0; i < HOSTS; i++)
		host_tell(world, &world->hosts[i], ROLE_EVENT_SWITCHOVER, -1);
	sim_run(world, world->now + MOVED);
	if (addresses(world, &holder) != 1 || world->masters == masters)
		sim_fail(world, "I16: the role cannot be moved though all is well");
}

static void
play(struct world *world, const struct plan *plan)
{
	consul_init(world, true);
	faults_start(world);
	sim_run(world, plan->horizon);
	if (!plan->settle || world->odd)
		return;
	faults_end(world, plan->only < 0 ? NULL : &world->hosts[plan->only]);
	settle(world);
	if (plan->only < 0 && (plan->hosts & (plan->hosts - 1)) != 0)
		check_moves(world);
}

bool
world_play(struct world *world, const struct plan *plan, bool verbose)
{
	char failure[400];

	prepare(world, plan, verbose);
	if (setjmp(world->stop) == 0)
		play(world, plan);
	if (world->failure[0] == '\0')
		return true;
	str_copy(failure, sizeof(failure), world->failure);
	snprintf(world->failure, sizeof(world->failure), "%s (at %.3f s)", failure,
	    (double)world->now / S);
	return false;
}

struct world *
world_new(void)
{
	return xcalloc(1, sizeof(struct world));
}

void
world_free(struct world *world)
{
	struct item *item;
	struct content *content;

	if (!world)
		return;
	clear(world);
	while ((item = world->free_items) != NULL) {
		world->free_items = item->next;
		free(item);
	}
	while ((content = world->free_contents) != NULL) {
		world->free_contents = content->next;
		free(content);
	}
	free(world->heap);
	free(world);
}
