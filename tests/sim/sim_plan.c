/* SPDX-License-Identifier: ISC */
/*
 * Plans: what goes wrong in a schedule, drawn from its seed or read from a file. A fault
 * carries its own chance with it, so that leaving another one out changes nothing about it.
 */
#include <inttypes.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/sim/sim.h"

static const char *const names[] = { "outage", "leader", "cut", "isolation", "udp",
	"one-way", "pair", "datagrams", "replies", "slow", "mute", "pause", "crash",
	"upgrade", "power", "blackout", "stop", "session", "claimed-pause",
	"claimed-restart", "claimed-mute", "flap", "warden-pause", "warden-crash",
	"service", "switchover", "role-pause", "force", "clock", "reload", "yield",
	"foreign", "rewrite", "wipe", "restore", "clusters", "namesake", "perjury" };
_Static_assert(ARRAY_LENGTH(names) == FAULTS, "one name per kind of fault");

const char *
fault_name(enum fault_kind kind)
{
	return kind < FAULTS ? names[kind] : "any";
}

static int64_t
draw_span(uint64_t *random, enum fault_kind kind)
{
	static const int64_t list[] = { 50, 100, 200, 500, 1000, 1500, 2000, 3000, 5000,
		8000 };

	if (kind == FAULT_LEADER)
		return draw_between(random, 500, 3000) * MS;
	return list[draw_between(random, 0, 9)] * draw_between(random, 500, 1300);
}

static void
draw_fault(struct plan *plan, uint64_t *random, int64_t at, enum fault_kind kind)
{
	struct fault *fault = &plan->faults[plan->n_faults++];
	int n = 0;

	for (int i = 0; i < HOSTS; i++)
		n += (plan->hosts >> i) & 1;
	fault->at = at;
	fault->kind = kind;
	fault->span = draw_span(random, kind);
	fault->host =
	    draw_chance(random, 0.5) ? -1 : (int)draw_between(random, 0, n - 1);
	fault->random = draw(random);
}

static void
draw_faults(struct plan *plan, uint64_t *random)
{
	static const int64_t pauses[] = { 20, 100, 300, 1000, 2000, 4000 };
	/* some schedules are about one or two kinds of fault only */
	bool few = draw_chance(random, 0.25);
	int64_t kinds[2] = { draw_between(random, 0, FAULTS_COMMON - 1),
		draw_between(random, 0, FAULTS_COMMON - 1) };
	int64_t at =
	    draw_between(random, draw_chance(random, 0.2) ? 0 : 1200, 3000) * MS;

	while (at < plan->horizon && plan->n_faults < FAULTS_MAX - 1) {
		int64_t kind = few ? kinds[draw_between(random, 0, 1)]
				   : draw_between(random, 0, FAULTS_COMMON - 1);

		draw_fault(plan, random, at, (enum fault_kind)kind);
		at += pauses[draw_between(random, 0, 5)] *
		    draw_between(random, 500, 1500);
	}
}

/* Each of these changes what may be asked of the rest of the schedule. */
static enum fault_kind
draw_rare(uint64_t *random)
{
	int64_t kind = draw_between(random, 0, 99);

	return kind < 3 * (FAULTS - FAULTS_COMMON)
	    ? (enum fault_kind)(FAULTS_COMMON + kind / 3)
	    : FAULTS;
}

enum fault_kind
fault_find(const char *name)
{
	size_t kind = 0;

	while (kind < FAULTS && strcmp(names[kind], name) != 0)
		kind++;
	return (enum fault_kind)kind;
}

void
plan_draw(struct plan *plan, uint64_t seed, enum fault_kind kind)
{
	static const unsigned int hosts[] = { 3, 3, 3, 3, 7, 7, 7, 7, 7, 15 };
	uint64_t random = seed;

	plan->seed = seed;
	plan->weather = draw(&random);
	plan->hosts = hosts[draw_between(&random, 0, 9)];
	plan->horizon = (draw_chance(&random, 0.03) ? 60 : 20) * S;
	plan->settle = draw_chance(&random, 0.04);
	plan->only = -1;
	if (plan->settle && draw_chance(&random, 0.3))
		plan->only = (int)draw_between(&random, 0, 1);
	plan->n_faults = 0;
	draw_faults(plan, &random);
	if (kind == FAULTS && !plan->settle)
		kind = draw_rare(&random);
	if (kind != FAULTS)
		draw_fault(
		    plan, &random, draw_between(&random, 3000, 12000) * MS, kind);
}

void
plan_print(const struct plan *plan, FILE *out)
{
	fprintf(out,
	    "seed %" PRIu64 "\nweather %" PRIu64 "\nhosts %u\nhorizon %" PRId64
	    "\nsettle %d only %d\n",
	    plan->seed, plan->weather, plan->hosts, plan->horizon, plan->settle,
	    plan->only);
	for (size_t i = 0; i < plan->n_faults; i++) {
		const struct fault *fault = &plan->faults[i];

		fprintf(out, "at %" PRId64 " %s host %d span %" PRId64 " %" PRIx64 "\n",
		    fault->at, names[fault->kind], fault->host, fault->span,
		    fault->random);
	}
}

/* NOLINTBEGIN(cert-err34-c): only what this program wrote is read */
static bool
read_fault(const char *line, struct fault *fault)
{
	char name[32];

	if (sscanf(line, "at %" SCNd64 " %31s host %d span %" SCNd64 " %" SCNx64,
		&fault->at, name, &fault->host, &fault->span, &fault->random) != 5)
		return false;
	fault->kind = fault_find(name);
	return fault->kind < FAULTS && fault->host >= -1 && fault->host < HOSTS;
}

bool
plan_read(struct plan *plan, FILE *in)
{
	char line[160];
	int settle = 0;
	bool good = true;

	*plan = (struct plan){ .only = -1 };
	while (good && fgets(line, sizeof(line), in)) {
		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (line[0] == 'a' && line[1] == 't')
			good = plan->n_faults < FAULTS_MAX &&
			    read_fault(line, &plan->faults[plan->n_faults++]);
		else
			good = sscanf(line, "seed %" SCNu64, &plan->seed) == 1 ||
			    sscanf(line, "weather %" SCNu64, &plan->weather) == 1 ||
			    sscanf(line, "hosts %u", &plan->hosts) == 1 ||
			    sscanf(line, "horizon %" SCNd64, &plan->horizon) == 1 ||
			    sscanf(line, "settle %d only %d", &settle, &plan->only) ==
				2;
	}
	plan->settle = settle;
	return good && plan->hosts != 0 && plan->hosts < 1 << HOSTS &&
	    plan->horizon > 0;
}
/* NOLINTEND(cert-err34-c) */
