/* SPDX-License-Identifier: ISC */
/*
 * By example, what test_sched_rules.c looks at in general: checks that are not run because
 * they depend on another one, wait for reports, or are left out.
 */
#include "agent/health/sched.h"

#include <errno.h>

#include "tests/unit/sched_world.h"
#include "tests/unit/tap.h"
#include "tests/unit/virtual_loop.h"

static void
a_chain(void)
{
	struct world *w = world_new(3, 1000, 200, 500);

	w->checks[1].depends_on = &w->checks[0];
	w->checks[2].depends_on = &w->checks[1];
	world_start(w);
	virtual_loop_run(w->loop, 5000);
	CU_ASSERT_EQUAL(state_of(w, 2)->status, CHECK_PASSING);
	for (int i = 0; i < 3; i++)
		w->fakes[i].status = CHECK_CRITICAL;
	virtual_loop_run(w->loop, 500);
	w->fakes[1].status = w->fakes[2].status = CHECK_PASSING;
	virtual_loop_run(w->loop, 10000);
	CU_ASSERT_EQUAL(state_of(w, 0)->status, CHECK_CRITICAL);
	for (size_t i = 1; i < 3; i++) {
		const struct sched_state *state = state_of(w, i);
		CU_ASSERT_EQUAL(state->status, CHECK_PASSING);
		CU_ASSERT_EQUAL(state->reason, CHECK_REASON_LOCAL);
		CU_ASSERT_STRING_EQUAL(
		    state->output, "not run: it depends on check-0, which is critical");
	}
	unsigned int starts = w->fakes[2].n_starts;
	w->fakes[0].status = CHECK_PASSING;
	virtual_loop_run(w->loop, 5000);
	CU_ASSERT(w->fakes[2].n_starts > starts);
	CU_ASSERT_EQUAL(state_of(w, 2)->reason, CHECK_REASON_OK);
	CU_ASSERT_STRING_EQUAL(state_of(w, 2)->output, "fine");
	world_free(w);
}

/* Nothing is known of the one above: the other waits for it, and says nothing. */
static void
not_looked_at_yet(void)
{
	struct world *w = world_new(2, 1000, 200, 800);

	w->checks[1].depends_on = &w->checks[0];
	w->checks[0].initial = CHECK_PASSING;
	w->fakes[0].act = ACT_NEVER;
	world_start(w);
	virtual_loop_run(w->loop, 700);
	CU_ASSERT_EQUAL(w->fakes[1].n_starts, 0);
	CU_ASSERT_EQUAL(w->changes + w->outputs, 0);
	virtual_loop_run(w->loop, 2000);
	CU_ASSERT_EQUAL(state_of(w, 0)->status, CHECK_CRITICAL);
	CU_ASSERT_EQUAL(w->fakes[1].n_starts, 0);
	CU_ASSERT_FALSE(state_of(w, 1)->known);
	CU_ASSERT_EQUAL(w->fakes[1].outputs, 1);
	world_free(w);
}

static void
reports(void)
{
	struct world *w = world_new(2, 1000, 200, 500);

	world_make_passive(w, 0, 5000);
	world_make(w);
	CU_ASSERT_EQUAL(sched_report(w->sched, 0, CHECK_PASSING, "up"), -EAGAIN);
	world_start(w);
	CU_ASSERT_EQUAL(sched_report(w->sched, 1, CHECK_PASSING, "up"), -EINVAL);
	virtual_loop_run(w->loop, 4990);
	CU_ASSERT_FALSE(state_of(w, 0)->known);
	virtual_loop_run(w->loop, 20);
	CU_ASSERT_EQUAL(state_of(w, 0)->status, CHECK_CRITICAL);
	CU_ASSERT_EQUAL(state_of(w, 0)->reason, CHECK_REASON_TIMEOUT);
	CU_ASSERT_STRING_EQUAL(state_of(w, 0)->output, "nobody has reported within 5s");
	CU_ASSERT_EQUAL(sched_report(w->sched, 0, CHECK_WARNING, "so\001so"), 0);
	CU_ASSERT_EQUAL(state_of(w, 0)->status, CHECK_WARNING);
	CU_ASSERT_EQUAL(state_of(w, 0)->reason, CHECK_REASON_STATE);
	CU_ASSERT_STRING_EQUAL(state_of(w, 0)->output, "so\\x01so");
	CU_ASSERT_EQUAL(sched_report(w->sched, 0, CHECK_UNKNOWN, "?"), 0);
	CU_ASSERT_EQUAL(state_of(w, 0)->status, CHECK_WARNING);
	for (int i = 0; i < 100; i++) {
		CU_ASSERT_EQUAL(sched_report(w->sched, 0, CHECK_PASSING, "up"), 0);
		virtual_loop_run(w->loop, 4980);
	}
	CU_ASSERT_EQUAL(w->fakes[0].changes, 3);
	CU_ASSERT_EQUAL(state_of(w, 0)->last_run_ms, -1);
	virtual_loop_run(w->loop, 60000);
	CU_ASSERT_EQUAL(w->fakes[0].changes, 4);
	world_free(w);
}

/* What is said while it is held back does not count, and it has a whole ttl afterwards. */
static void
reports_held_back(void)
{
	struct world *w = world_new(2, 1000, 200, 500);

	world_make_passive(w, 1, 5000);
	w->checks[1].depends_on = &w->checks[0];
	w->checks[0].fall = 1;
	world_start(w);
	virtual_loop_run(w->loop, 1000);
	CU_ASSERT_EQUAL(sched_report(w->sched, 1, CHECK_PASSING, "up"), 0);
	w->fakes[0].status = CHECK_CRITICAL;
	virtual_loop_run(w->loop, 60000);
	CU_ASSERT_STRING_EQUAL(state_of(w, 1)->output,
	    "not judged: it depends on check-0, which is critical");
	CU_ASSERT_EQUAL(sched_report(w->sched, 1, CHECK_CRITICAL, "down"), 0);
	CU_ASSERT_EQUAL(state_of(w, 1)->status, CHECK_PASSING);
	w->fakes[0].status = CHECK_PASSING;
	virtual_loop_run(w->loop, 4000);
	CU_ASSERT_EQUAL(state_of(w, 0)->status, CHECK_PASSING);
	CU_ASSERT_STRING_EQUAL(state_of(w, 1)->output, "it waits for the next report");
	CU_ASSERT_EQUAL(state_of(w, 1)->status, CHECK_PASSING);
	virtual_loop_run(w->loop, 4000);
	CU_ASSERT_EQUAL(state_of(w, 1)->reason, CHECK_REASON_TIMEOUT);
	CU_ASSERT_EQUAL(w->fakes[1].changes, 2);
	CU_ASSERT_EQUAL(w->fakes[1].outputs, 2);
	world_free(w);
}

/* Before and after the start; what depends on one that was never looked at does not wait. */
static void
left_out(void)
{
	for (int when = 0; when < 3; when++) {
		struct world *w = world_new(2, 1000, 200, 500);
		w->checks[1].depends_on = &w->checks[0];
		w->checks[1].class = &world_other_class;
		w->fakes[0].act = ACT_NEVER;
		world_make(w);
		if (when == 0)
			sched_leave_out(w->sched, w->checks[0].class, "it crashes");
		if (when == 2)
			sched_adopt(w->sched, 0, CHECK_PASSING, "fine");
		world_start(w);
		virtual_loop_run(w->loop, 450);
		if (when > 0)
			sched_leave_out(w->sched, w->checks[0].class, "it crashes");
		virtual_loop_run(w->loop, 20000);
		const struct sched_state *state = state_of(w, 0);
		CU_ASSERT_EQUAL(state->known, when == 2);
		CU_ASSERT_EQUAL(
		    state->status, when == 2 ? CHECK_PASSING : CHECK_CRITICAL);
		CU_ASSERT_EQUAL(state->reason, CHECK_REASON_LOCAL);
		CU_ASSERT_STRING_EQUAL(state->output, "it crashes");
		CU_ASSERT_EQUAL(w->fakes[0].n_starts, when > 0);
		CU_ASSERT_EQUAL(w->fakes[0].cancelled, when > 0);
		CU_ASSERT_EQUAL(w->fakes[0].outputs, 1);
		CU_ASSERT_EQUAL(w->fakes[0].changes, 0);
		CU_ASSERT(w->fakes[1].n_starts >= 19);
		world_free(w);
	}
}

static const struct tap_case cases[] = {
	{ "a chain of checks waits for its first", a_chain },
	{ "nobody is blamed before the first result above", not_looked_at_yet },
	{ "reports come in time, or it is critical", reports },
	{ "reports do not count while it is held back", reports_held_back },
	{ "a class that is left out runs no more", left_out },
};
TAP_MAIN("sched_waits", cases)
