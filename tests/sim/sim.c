/* SPDX-License-Identifier: ISC */
/*
 * Random schedules for the role machine: a few agents, drifting clocks, pauses, crashes,
 * restarts, a Consul that is slow, away, wiped or loses what it is asked. The invariants of
 * the protocol's page are asserted at each step, and at the end of each schedule, when all
 * is repaired, exactly one host must have the address and nothing may change any more.
 *
 *	sim			what `make check` runs: schedules, and each broken rule found
 *	sim SEED		one schedule, told in full
 *	sim -n COUNT [SEED]	many schedules from a seed on
 *	sim -m RULE [...]	with that rule broken
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "agent/base/util.h"
#include "tests/sim/mutation.h"
#include "tests/sim/sim.h"

#define SCHEDULES 400 /* in make check */
#define MUTANT_SCHEDULES 20000 /* until a broken rule is found, at the most */
#define SETTLE (90 * S)
#define STEADY (20 * S)

static const char *const names[] = { "nothing", "resurrect", "readadopt", "latereply",
	"claimconfirm", "nofence", "shortw", "chain", "bindlate", "staleread",
	"sameval", "restartkeep", "lowerlease", "goneorder", "longlife", "tsend",
	"nopromise", "revive", "shortwn", "givewait", "growlate", "shrinkearly",
	"literals14", "loweradopt", "nodup", "nohbrev", "equalrev", "nograce2b",
	"hookhold", "hookgive", "calmkeep", "nodeadman", "oldsocket" };
_Static_assert(ARRAY_LENGTH(names) == MUTATIONS, "one name per broken rule");

static enum mutation mutation;

bool
mutation_is(enum mutation rule)
{
	return mutation == rule;
}

void
mutation_set(enum mutation rule)
{
	mutation = rule;
}

const char *
mutation_name(enum mutation rule)
{
	return names[rule];
}

enum mutation
mutation_find(const char *name)
{
	enum mutation rule = MUTATE_NOTHING;

	while (rule < MUTATIONS && strcasecmp(names[rule], name) != 0)
		rule++;
	return rule;
}

static void
make_host(struct world *world, struct host *host, size_t i)
{
	struct role_params *params = &host->params;

	snprintf(host->name, sizeof(host->name), "%c", (char)('a' + i));
	str_copy(params->node, sizeof(params->node), host->name);
	params->priority = 100 + (unsigned int)sim_between(world, 0, 2) * 10;
	params->preempt = sim_chance(world, 0.3);
	params->preempt_delay_ms = sim_between(world, 0, 2) * 1000;
	host->bpf = sim_chance(world, 0.5);
	params->lease_ms = host->bpf ? 1000 : 2250;
	params->margin_ms = host->bpf ? 10 : 1500;
	params->silence_ms = 600;
	params->stagger_ms = 200;
	params->grace_ms = 1000;
	params->has_vips = true;
	params->has_promote = sim_chance(world, 0.5);
	params->has_demote = sim_chance(world, 0.5);
	params->address_first = sim_chance(world, 0.3);
	params->release_when_unwell = sim_chance(world, 0.3);
	host->ready = ROLE_READY_YES;
	clock_set_rate(
	    &host->boot, 0, 1 + (double)sim_between(world, -84900, 84900) / 1e6);
	clock_set_rate(&host->raw, 0, 1 + (double)sim_between(world, -999, 999) / 1e6);
	host->boot.base = (double)sim_between(world, 0, 1000 * S);
	host->raw.base = (double)sim_between(world, 0, 1000 * S);
}

static void
run_until(struct world *world, int64_t until)
{
	while ((world->running = sim_pop(world, until)) != NULL) {
		world->now = world->running->at;
		world->running->run(world, world->running);
		free(world->running);
	}
	world->now = until;
}

static size_t
addresses(const struct world *world, const struct host **holder)
{
	size_t n = 0;

	for (size_t i = 0; i < world->n_hosts; i++)
		if (world->hosts[i].vip) {
			*holder = &world->hosts[i];
			n++;
		}
	return n;
}

/* I13, I14: all is repaired, so one host gets the address, and then nothing happens. */
static void
settle(struct world *world)
{
	const struct host *before = NULL, *after = NULL;
	int64_t begin = world->now;
	uint64_t writes;

	/* a role that went to and fro may have left a host with many hooks to run */
	for (size_t i = 0; i < world->n_hosts; i++)
		if (world->hosts[i].hook_free_at > begin)
			begin = world->hosts[i].hook_free_at;
	run_until(world, begin + SETTLE);
	if (addresses(world, &before) != 1)
		sim_fail(world, "I13: nobody has the address though all is well");
	writes = world->writes;
	run_until(world, world->now + STEADY);
	if (addresses(world, &after) != 1 || before != after)
		sim_fail(world, "I14: the address moved from %s though all is well",
		    before->name);
	if (world->writes != writes)
		sim_fail(world, "I14: the register was written though all is well");
}

static void
play(struct world *world)
{
	struct host *only = NULL;

	consul_init(world, 1000);
	faults_start(world);
	run_until(world, sim_between(world, 60, 240) * S);
	if (sim_chance(world, 0.3))
		only =
		    &world->hosts[sim_between(world, 0, (int64_t)world->n_hosts - 1)];
	faults_end(world, only);
	settle(world);
}

static void
unmake(struct world *world)
{
	free(world->running);
	for (size_t i = 0; i < world->n_heap; i++)
		free(world->heap[i]);
	free(world->heap);
	for (size_t i = 0; i < world->n_hosts; i++) {
		role_free(world->hosts[i].role);
		host_forget_late(&world->hosts[i]);
	}
	free(world);
}

struct totals {
	uint64_t schedules, steps, writes, masters, claims, objections, lapses;
	double seconds;
};

/* One schedule; false with what went wrong. */
static bool
schedule(uint64_t seed, bool verbose, struct totals *totals, char failure[512])
{
	struct world *world = xcalloc(1, sizeof(*world));
	bool good;

	world->seed = world->random = seed;
	world->verbose = verbose;
	world->index = 1000;
	world->heavy = world->loss = sim_chance(world, 0.5) ? 0 : 0.01;
	world->n_hosts = 2 + (size_t)sim_between(world, 0, HOSTS - 2);
	for (size_t i = 0; i < world->n_hosts; i++)
		make_host(world, &world->hosts[i], i);
	if (setjmp(world->stop) == 0)
		play(world);
	good = world->failure[0] == '\0';
	if (!good)
		snprintf(failure, 512, "%.3f s: %.480s", (double)world->now / S,
		    world->failure);
	totals->schedules++;
	totals->steps += world->steps;
	totals->writes += world->writes;
	totals->masters += world->masters;
	totals->claims += world->claims;
	totals->objections += world->objections;
	totals->lapses += world->lapses;
	totals->seconds += (double)world->now / S;
	unmake(world);
	return good;
}

static void
print_totals(const struct totals *totals)
{
	printf("# %llu schedules, %.0f s, %llu steps, %llu writes, %llu masters, %llu "
	       "claims, %llu objections, %llu lapses, %.1f s of CPU\n",
	    (unsigned long long)totals->schedules, totals->seconds,
	    (unsigned long long)totals->steps, (unsigned long long)totals->writes,
	    (unsigned long long)totals->masters, (unsigned long long)totals->claims,
	    (unsigned long long)totals->objections, (unsigned long long)totals->lapses,
	    (double)clock() / CLOCKS_PER_SEC);
}

/* Until one fails: its seed, or 0. */
static uint64_t
schedules(uint64_t first, uint64_t count, char failure[512])
{
	struct totals totals = { 0 };
	uint64_t failed = 0;

	for (uint64_t seed = first; seed < first + count && !failed; seed++)
		if (!schedule(seed, false, &totals, failure))
			failed = seed;
	print_totals(&totals);
	return failed;
}

static int
check(void)
{
	char failure[512] = "";
	uint64_t first = (uint64_t)time(NULL) * 1000;
	uint64_t seed = schedules(first, SCHEDULES, failure);
	int bad = seed != 0;

	printf("1..%d\n", MUTATE_GONEORDER + 1);
	printf("%sok 1 - random schedules from seed %llu\n", seed ? "not " : "",
	    (unsigned long long)first);
	if (seed)
		printf("# tests/sim/sim %llu: %s\n", (unsigned long long)seed, failure);
	for (enum mutation rule = MUTATE_NOTHING + 1; rule <= MUTATE_GONEORDER;
	     rule++) {
		mutation_set(rule);
		seed = schedules(1, MUTANT_SCHEDULES, failure);
		printf("%sok %d - without the rule %s a violation is found\n",
		    seed ? "" : "not ", (int)rule + 1, mutation_name(rule));
		if (seed)
			printf("# seed %llu, %s\n", (unsigned long long)seed, failure);
		bad |= seed == 0;
		fflush(stdout);
	}
	return bad;
}

static int
usage(void)
{
	fputs("usage: sim [-m RULE] [-n COUNT] [SEED]\n", stderr);
	return 2;
}

int
main(int argc, char **argv)
{
	char failure[512] = "";
	struct totals totals = { 0 };
	uint64_t count = 0, seed = 1;
	int option;

	if (argc == 1)
		return check();
	while ((option = getopt(argc, argv, "m:n:")) != -1) {
		if (option == 'm')
			mutation_set(mutation_find(optarg));
		else if (option != 'n' || parse_uint(optarg, 1, UINT32_MAX, &count))
			return usage();
	}
	if (optind < argc && parse_uint(argv[optind], 0, UINT64_MAX, &seed))
		return usage();
	if (mutation_is(MUTATIONS))
		return usage();
	if (count) {
		seed = schedules(seed, count, failure);
		if (seed)
			printf("seed %llu fails at %s\n", (unsigned long long)seed,
			    failure);
		return seed != 0;
	}
	if (!schedule(seed, true, &totals, failure)) {
		printf("seed %llu fails at %s\n", (unsigned long long)seed, failure);
		return 1;
	}
	print_totals(&totals);
	return 0;
}
