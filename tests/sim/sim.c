/* SPDX-License-Identifier: ISC */
/*
 * Random schedules for the role machine: a few agents, drifting clocks, pauses, crashes,
 * restarts, links that are cut, a Consul that is slow, away, wiped or loses what it is
 * asked. The invariants of the protocol's page are asserted at each step.
 *
 *	sim			what `make check` runs: schedules, and each broken rule found
 *	sim SEED		one schedule, told in full
 *	sim -n COUNT [SEED]	many schedules from a seed on; -j JOBS processes, with
 *				-r RESULTS what is done already is not done again
 *	sim -s SEED		the shortest schedule that fails as this one does
 *	sim --faults FILE	one schedule as that printed it, told in full
 *	sim --trace COUNT [SEED]	what every machine in these schedules is told and does
 *	sim -m RULE [...]	with that rule broken
 *	sim -x KIND [...]	with that kind of fault in each schedule
 *	sim --mutations		each broken rule found, and nothing else
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "tests/sim/mutation.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_many.h"

#define SEED 1 /* of make check: what a change breaks, not what luck finds (sim-long) */
#define SCHEDULES 2000 /* in make check, unless SIM_COUNT says more */
#define MUTANT_SCHEDULES 40000 /* until a broken rule is found, at the most */

static unsigned int
processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n < 1 ? 1 : n > 64 ? 64 : (unsigned int)n;
}

/* What some rules are there for, and nothing else shows that they are missing. */
static const struct {
	enum mutation rule;
	enum fault_kind kind;
} provoked[] = {
	{ MUTATE_SAMEVAL, FAULT_NAMESAKE },
	{ MUTATE_NODUP, FAULT_NAMESAKE },
	{ MUTATE_REVIVE, FAULT_PERJURY },
	{ MUTATE_EQUALREV, FAULT_CLUSTERS },
	{ MUTATE_NOHBREV, FAULT_RESTORE },
	{ MUTATE_NOGRACE2B, FAULT_RESTORE },
	{ MUTATE_LOWERLEASE, FAULT_RELOAD },
	{ MUTATE_LOWERADOPT, FAULT_RELOAD },
	{ MUTATE_LITERALS14, FAULT_RELOAD },
	{ MUTATE_OLDINDEX, FAULT_REWRITE },
};

static enum fault_kind
provoked_by(enum mutation rule)
{
	for (size_t i = 0; i < ARRAY_LENGTH(provoked); i++)
		if (provoked[i].rule == rule)
			return provoked[i].kind;
	return FAULTS;
}

/* Found, or 0; in this process, because they are found soon. */
static uint64_t
find_mutant(struct world *world, enum fault_kind kind, char failure[512])
{
	struct plan plan;

	for (uint64_t seed = 1; seed <= MUTANT_SCHEDULES; seed++) {
		plan_draw(&plan, seed, kind);
		if (!world_play(world, &plan, false)) {
			str_copy(failure, 512, world->failure);
			return seed;
		}
	}
	return 0;
}

static bool
check_mutations(int number)
{
	struct world *world = world_new();
	char failure[512];
	bool good = true;

	for (enum mutation rule = MUTATE_NOTHING + 1; rule < MUTATIONS; rule++) {
		clock_t begun = clock();
		uint64_t seed;

		mutation_set(rule);
		seed = find_mutant(world, provoked_by(rule), failure);
		printf("%sok %d - without the rule %s a violation is found\n",
		    seed ? "" : "not ", ++number, mutation_name(rule));
		if (seed)
			printf("# sim -m %s -x %s %llu, %.1f s: %s\n",
			    mutation_name(rule), fault_name(provoked_by(rule)),
			    (unsigned long long)seed,
			    (double)(clock() - begun) / CLOCKS_PER_SEC, failure);
		good = good && seed != 0;
		fflush(stdout);
	}
	mutation_set(MUTATE_NOTHING);
	world_free(world);
	return good;
}

static int
run_many(const struct many *many, bool tap)
{
	struct totals totals = { 0 };
	struct plan plan;
	uint64_t failed;
	char failure[512] = "";
	bool bad = many_run(many, &totals, &failed, failure);

	if (tap)
		printf("%sok 1 - random schedules from seed %llu\n", bad ? "not " : "",
		    (unsigned long long)many->first);
	totals_print(&totals);
	if (bad)
		printf("# seed %llu: %s\n", (unsigned long long)failed, failure);
	plan_draw(&plan, failed, many->kind);
	if (failed && shrink(&plan, failure)) {
		printf("# the shortest that fails so, for sim --faults: %s\n", failure);
		plan_print(&plan, stdout);
	}
	return bad;
}

static int
check(void)
{
	struct many many = {
		.first = SEED, .count = SCHEDULES, .jobs = processors(), .kind = FAULTS
	};
	const char *text = getenv("SIM_COUNT");
	int bad;

	if (text && parse_uint(text, 1, UINT32_MAX, &many.count))
		return 2;
	printf("1..%d\n", getenv("SIM_MUTATIONS_SKIP") ? 1 : MUTATIONS);
	bad = run_many(&many, true);
	if (getenv("SIM_MUTATIONS_SKIP"))
		return bad;
	return check_mutations(1) ? bad : 1;
}

static int
tell(const struct plan *plan)
{
	struct world *world = world_new();
	bool good;

	plan_print(plan, stdout);
	good = world_play(world, plan, true);
	if (!good)
		printf("violated: %s\n", world->failure);
	world_free(world);
	return !good;
}

static int
tell_file(const char *path)
{
	struct plan plan;
	FILE *in = fopen(path, "r");
	bool good = in && plan_read(&plan, in);

	if (in)
		fclose(in);
	if (!good) {
		fprintf(stderr, "%s: no schedule can be read\n", path);
		return 2;
	}
	return tell(&plan);
}

static int
tell_shortest(uint64_t seed, enum fault_kind kind)
{
	struct plan plan;
	char failure[512];

	plan_draw(&plan, seed, kind);
	if (!shrink(&plan, failure)) {
		puts("# it violates nothing");
		return 0;
	}
	printf("# %s\n", failure);
	plan_print(&plan, stdout);
	return 1;
}

/* For tests/model/compare.py. */
static int
trace(uint64_t first, uint64_t count, enum fault_kind kind)
{
	struct world *world = world_new();
	struct plan plan;
	bool good = true;

	world->trace = stdout;
	for (uint64_t seed = first; good && seed < first + count; seed++) {
		plan_draw(&plan, seed, kind);
		good = world_play(world, &plan, false);
		if (!good)
			fprintf(stderr, "seed %llu: %s\n", (unsigned long long)seed,
			    world->failure);
	}
	world_free(world);
	return !good;
}

static int
usage(void)
{
	fputs("usage: sim [-m RULE] [-x KIND] [-n COUNT [-j JOBS] [-r RESULTS]] [-s] "
	      "[SEED]\n"
	      "       sim [-m RULE] --faults FILE\n"
	      "       sim [-m RULE] [-x KIND] --trace COUNT [SEED]\n"
	      "       sim --mutations\n",
	    stderr);
	return 2;
}

/* What main is asked for. */
struct request {
	struct many many;
	const char *faults;
	bool shortest, mutations;
	uint64_t traced;
};

static int
answer(const struct request *request)
{
	const struct many *many = &request->many;
	struct plan plan;

	if (request->mutations) {
		printf("1..%d\n", MUTATIONS - 1);
		return !check_mutations(0);
	}
	if (request->traced)
		return trace(many->first, request->traced, many->kind);
	if (request->faults)
		return tell_file(request->faults);
	if (request->shortest)
		return tell_shortest(many->first, many->kind);
	if (many->count)
		return run_many(many, false);
	plan_draw(&plan, many->first, many->kind);
	return tell(&plan);
}

/* 0, or what is wrong with it. */
static int
take_option(struct request *request, int option)
{
	struct many *many = &request->many;
	uint64_t jobs;

	switch (option) {
	case 'm': mutation_set(mutation_find(optarg)); return mutation_is(MUTATIONS);
	case 'x':
		many->kind = fault_find(optarg);
		return many->kind == FAULTS && strcmp(optarg, "any") != 0;
	case 'n': return parse_uint(optarg, 1, UINT32_MAX, &many->count);
	case 'j':
		if (parse_uint(optarg, 1, 64, &jobs))
			return 1;
		many->jobs = (unsigned int)jobs;
		return 0;
	case 'r': many->results = optarg; return 0;
	case 's': request->shortest = true; return 0;
	case 'f': request->faults = optarg; return 0;
	case 't': return parse_uint(optarg, 1, UINT32_MAX, &request->traced);
	case 'M': request->mutations = true; return 0;
	default: return 1;
	}
}

int
main(int argc, char **argv)
{
	static const struct option long_options[] = { { "faults", required_argument,
							  NULL, 'f' },
		{ "mutations", no_argument, NULL, 'M' },
		{ "trace", required_argument, NULL, 't' }, { NULL, 0, NULL, 0 } };
	struct request request = { .many = {
				       .first = 1,
				       .jobs = processors(),
				       .kind = FAULTS,
				   } };
	int option, bad = 0;

	if (argc == 1)
		return check();
	while (
	    (option = getopt_long(argc, argv, "m:x:n:j:r:s", long_options, NULL)) != -1)
		bad |= take_option(&request, option);
	if (optind < argc)
		bad |= parse_uint(argv[optind], 0, UINT64_MAX, &request.many.first);
	return bad ? usage() : answer(&request);
}
