/* SPDX-License-Identifier: ISC */
/*
 * The scheduler once on the loop that ships: what the tests in virtual time say of ticks,
 * deadlines and descriptors holds there too. Nothing is asserted that a slow machine could
 * break.
 */
#include "agent/health/sched.h"

#include <string.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "tests/unit/sched_world.h"
#include "tests/unit/tap.h"

static void
ticks_and_deadlines(void)
{
	struct world *w = world_new(3, 60, 60, 40);
	const struct fake *steady = &w->fakes[0], *stuck = &w->fakes[1],
			  *readable = &w->fakes[2];

	w->fakes[1].act = ACT_NEVER;
	w->fakes[2].act = ACT_PIPE;
	CU_ASSERT_EQUAL(write(w->fakes[2].pipe[1], "x", 1), 1);
	world_start(w);
	CU_ASSERT(until_ended(w, 10));
	int64_t last = -1;
	for (int i = 1; i < 10; i++) {
		int64_t since = steady->starts[i] - w->start - phase_of(w, 0);
		CU_ASSERT(since >= 0 && since / 60 > last);
		last = since / 60;
	}
	CU_ASSERT_EQUAL(state_of(w, 0)->status, CHECK_PASSING);
	CU_ASSERT(stuck->cancelled >= 2);
	for (unsigned int i = 1; i < stuck->n_starts; i++)
		CU_ASSERT(stuck->starts[i] - stuck->starts[i - 1] >= 40);
	CU_ASSERT_EQUAL(state_of(w, 1)->reason, CHECK_REASON_TIMEOUT);
	CU_ASSERT(readable->called >= 2);
	CU_ASSERT_EQUAL(state_of(w, 2)->status, CHECK_PASSING);
	world_free(w);
}

static bool
all_ended(struct world *w)
{
	for (size_t i = 0; i < w->conf.n_checks; i++)
		if (state_of(w, i)->runs < 3)
			return false;
	return true;
}

/* Of checks whose work hangs as many fail as there are threads. Of the others, which no
 * thread has looked at, nobody knows anything. */
static void
threads_that_all_hang(void)
{
	struct world *w = world_new(CHECKS_MAX, 200, 200, 150);
	size_t failed = 0, unknown = 0;

	for (size_t i = 0; i < CHECKS_MAX; i++)
		w->fakes[i].act = ACT_WORK;
	world_start(w);
	CU_ASSERT(run_until(w, all_ended));
	for (size_t i = 0; i < CHECKS_MAX; i++) {
		const struct sched_state *state = state_of(w, i);
		failed += state->known && state->status == CHECK_CRITICAL &&
		    state->reason == CHECK_REASON_TIMEOUT;
		unknown += !state->known && state->reason == CHECK_REASON_LOCAL &&
		    strstr(state->output, "no thread") != NULL;
	}
	CU_ASSERT_EQUAL(failed, 16);
	CU_ASSERT_EQUAL(unknown, CHECKS_MAX - 16);
	for (size_t i = 0; i < CHECKS_MAX; i++)
		CU_ASSERT_EQUAL(write(w->fakes[i].pipe[1], "x", 1), 1);
	world_free(w);
}

static const struct tap_case cases[] = {
	{ "ticks, deadlines and descriptors on the real loop", ticks_and_deadlines },
	{ "threads that all hang", threads_that_all_hang },
};
TAP_MAIN("sched_real", cases)
