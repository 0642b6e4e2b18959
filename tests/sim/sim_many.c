/* SPDX-License-Identifier: ISC */
/*
 * Very many schedules: blocks of seeds are shared out to processes, which report each block
 * through one pipe (a report is shorter than what a pipe takes in one piece). The parent
 * adds up and keeps the results file, so that a run that was broken off goes on where it
 * was.
 */
#include "tests/sim/sim_many.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/util.h"

#define BLOCK 500

struct report {
	uint64_t first, failed; /* 0: none */
	struct totals totals;
	char failure[512];
};
_Static_assert(sizeof(struct report) <= PIPE_BUF, "written in one piece");

static void
add(struct totals *sum, const struct totals *part)
{
	sum->schedules += part->schedules;
	sum->steps += part->steps;
	sum->writes += part->writes;
	sum->reads += part->reads;
	sum->masters += part->masters;
	sum->claims += part->claims;
	sum->objections += part->objections;
	sum->lapses += part->lapses;
	sum->failsafes += part->failsafes;
	sum->seconds += part->seconds;
	sum->cpu += part->cpu;
}

static void
count(struct totals *totals, const struct world *world)
{
	const struct totals one = {
		.schedules = 1,
		.steps = world->steps,
		.writes = world->writes,
		.reads = world->reads,
		.masters = world->masters,
		.claims = world->claims,
		.objections = world->objections,
		.lapses = world->lapses,
		.failsafes = world->failsafes,
		.seconds = (double)world->now / S,
	};

	add(totals, &one);
}

static uint64_t
block_size(const struct many *many, uint64_t block)
{
	uint64_t left = many->count - block * BLOCK;

	return left < BLOCK ? left : BLOCK;
}

/* One block, up to its first failure. */
static void
run_block(
    struct world *world, const struct many *many, uint64_t block, struct report *report)
{
	uint64_t first = many->first + block * BLOCK;
	uint64_t end = first + block_size(many, block);
	clock_t begun = clock();
	struct plan plan;

	*report = (struct report){ .first = first };
	for (uint64_t seed = first; seed < end && !report->failed; seed++) {
		plan_draw(&plan, seed, many->kind);
		if (!world_play(world, &plan, false)) {
			report->failed = seed;
			str_copy(
			    report->failure, sizeof(report->failure), world->failure);
		}
		count(&report->totals, world);
	}
	report->totals.cpu = (double)(clock() - begun) / CLOCKS_PER_SEC;
}

static void
work(const struct many *many, const bool *done, unsigned int job, int out)
{
	uint64_t blocks = (many->count + BLOCK - 1) / BLOCK;
	struct world *world = world_new();
	struct report report;

	for (uint64_t i = job; i < blocks; i += many->jobs) {
		if (done[i])
			continue;
		run_block(world, many, i, &report);
		if (write(out, &report, sizeof(report)) != sizeof(report))
			_exit(2);
	}
	_exit(0);
}

/* NOLINTBEGIN(cert-err34-c): only what this program wrote is read */
/* What an earlier run has written: a block is known by its first seed and its size. */
static void
read_results(const struct many *many, bool *done, struct totals *totals)
{
	FILE *in = many->results ? fopen(many->results, "r") : NULL;
	char line[1024];

	while (in && fgets(line, sizeof(line), in)) {
		struct totals part = { 0 };
		uint64_t first, block;

		if (sscanf(line,
			"ok %" SCNu64 " %" SCNu64 " seconds %lf steps %" SCNu64
			" writes %" SCNu64 " masters %" SCNu64 " claims %" SCNu64
			" lapses %" SCNu64 " cpu %lf",
			&first, &part.schedules, &part.seconds, &part.steps,
			&part.writes, &part.masters, &part.claims, &part.lapses,
			&part.cpu) != 9 ||
		    first < many->first || (first - many->first) % BLOCK != 0)
			continue;
		block = (first - many->first) / BLOCK;
		if (block * BLOCK >= many->count ||
		    part.schedules != block_size(many, block) || done[block])
			continue;
		done[block] = true;
		add(totals, &part);
	}
	if (in)
		fclose(in);
}
/* NOLINTEND(cert-err34-c) */

static void
write_result(FILE *out, const struct report *report)
{
	const struct totals *t = &report->totals;

	if (report->failed)
		fprintf(out, "FAILED %" PRIu64 " seed %" PRIu64 ": %s\n", report->first,
		    report->failed, report->failure);
	else
		fprintf(out,
		    "ok %" PRIu64 " %" PRIu64 " seconds %.0f steps %" PRIu64
		    " writes %" PRIu64 " masters %" PRIu64 " claims %" PRIu64
		    " lapses %" PRIu64 " cpu %.2f\n",
		    report->first, t->schedules, t->seconds, t->steps, t->writes,
		    t->masters, t->claims, t->lapses, t->cpu);
	fflush(out);
}

/* Until all have reported; the lowest seed that failed counts. */
static void
gather(const struct many *many, int in, struct totals *totals, uint64_t *failed,
    char failure[512])
{
	FILE *out = many->results ? fopen(many->results, "a") : NULL;
	struct report report;

	while (read(in, &report, sizeof(report)) == sizeof(report)) {
		add(totals, &report.totals);
		if (out)
			write_result(out, &report);
		if (!report.failed || (*failed && *failed < report.failed))
			continue;
		*failed = report.failed;
		str_copy(failure, 512, report.failure);
	}
	if (out)
		fclose(out);
}

bool
many_run(
    const struct many *many, struct totals *totals, uint64_t *failed, char failure[512])
{
	bool *done = xcalloc((size_t)((many->count + BLOCK - 1) / BLOCK), sizeof(bool));
	bool died = false;
	int pipes[2];

	*failed = 0;
	read_results(many, done, totals);
	fflush(stdout);
	if (pipe(pipes) < 0)
		abort();
	for (unsigned int i = 0; i < many->jobs; i++)
		if (fork() == 0)
			work(many, done, i, pipes[1]);
	close(pipes[1]);
	gather(many, pipes[0], totals, failed, failure);
	close(pipes[0]);
	for (unsigned int i = 0; i < many->jobs; i++) {
		int status = 0;

		died = wait(&status) < 0 || status != 0 || died;
	}
	free(done);
	if (died && !*failed)
		str_copy(failure, 512, "a process died");
	return *failed != 0 || died;
}

void
totals_print(const struct totals *t)
{
	printf(
	    "# %llu schedules, %.0f s, %llu steps, %llu writes, %llu reads, %llu "
	    "masters, %llu claims, %llu objections, %llu lapses, %llu holds in "
	    "failsafe; %.1f s of CPU: %.0f schedules of 20 s and %.0f steps a second\n",
	    (unsigned long long)t->schedules, t->seconds, (unsigned long long)t->steps,
	    (unsigned long long)t->writes, (unsigned long long)t->reads,
	    (unsigned long long)t->masters, (unsigned long long)t->claims,
	    (unsigned long long)t->objections, (unsigned long long)t->lapses,
	    (unsigned long long)t->failsafes, t->cpu, t->seconds / 20 / t->cpu,
	    (double)t->steps / t->cpu);
}
