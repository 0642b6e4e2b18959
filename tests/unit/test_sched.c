/* SPDX-License-Identifier: ISC */
/*
 * The scheduler in virtual time: which tick a run belongs to, what came before what, what
 * becomes of commands. What follows from outcomes is in test_judge.c, and that nothing of
 * all this is wrong in whatever scenario in test_sched_rules.c.
 */
#include "agent/health/sched.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "tests/unit/sched_world.h"
#include "tests/unit/tap.h"
#include "tests/unit/virtual_loop.h"

static bool
all_ran(struct world *w)
{
	for (size_t i = 0; i < w->conf.n_checks; i++)
		if (w->fakes[i].n_starts == 0)
			return false;
	return true;
}

static bool
ran_5(struct world *w)
{
	return w->fakes[0].n_starts >= 5;
}

static bool
changed(struct world *w)
{
	return w->changes >= 1;
}

static bool
changed_twice(struct world *w)
{
	return w->changes >= 2;
}

static bool
ordered(struct world *w)
{
	return w->commands >= 1;
}

static bool
ordered_twice(struct world *w)
{
	return w->commands >= 2;
}

/* 40 checks of 10 s: each begins where its phase says, within half a second. */
static void
first_runs(void)
{
	struct world *w = world_new(CHECKS_MAX, 10000, 500, 1000);
	unsigned int most = 0;

	world_start(w);
	virtual_loop_run(w->loop, 510);
	for (size_t i = 0; i < CHECKS_MAX; i++) {
		unsigned int together = 0;
		int64_t late = w->fakes[i].starts[0] - w->start - phase_of(w, i) % 500;
		CU_ASSERT_EQUAL(w->fakes[i].n_starts, 1);
		CU_ASSERT(late >= 0 && late < 10);
		for (size_t j = 0; j < CHECKS_MAX; j++)
			together +=
			    w->fakes[j].starts[0] / 20 == w->fakes[i].starts[0] / 20;
		most = together > most ? together : most;
	}
	CU_ASSERT(most < CHECKS_MAX / 4);
	CU_ASSERT_EQUAL(w->changes, CHECKS_MAX);
	world_free(w);
}

static void
take_long(struct fake *fake)
{
	virtual_loop_take(fake->world->loop, 45);
}

/* Runs stand at the ticks of the check's phase, one for each, for an hour, though the loop
 * is held up for 45 ms each time. */
static void
ticks(void)
{
	struct world *w = world_new(1, 60000, 60, 60);

	w->on_start = take_long;
	world_start(w);
	virtual_loop_run(w->loop, 3600 * 1000);
	CU_ASSERT(w->fakes[0].n_starts >= 60 && w->fakes[0].n_starts <= 62);
	for (unsigned int i = 1; i < w->fakes[0].n_starts; i++) {
		int64_t since = w->fakes[0].starts[i] - w->start - phase_of(w, 0);
		CU_ASSERT(since >= 0 && since % 60000 < 10);
		CU_ASSERT_EQUAL(since / 60000, i - 1);
	}
	CU_ASSERT_EQUAL(w->changes, 1);
	CU_ASSERT_EQUAL(w->outputs, 0);
	world_free(w);
}

/* A run longer than the interval: one at a time, one deadline each. */
static void
deadline(void)
{
	struct world *w = world_new(1, 20, 20, 60);

	w->fakes[0].act = ACT_NEVER;
	world_start(w);
	CU_ASSERT(run_until(w, ran_5));
	for (int i = 1; i < 5; i++) {
		int64_t after = w->fakes[0].starts[i] - w->fakes[0].starts[i - 1];
		CU_ASSERT(after >= 60 && after < 70);
	}
	const struct sched_state *state = state_of(w, 0);
	CU_ASSERT(state->known && state->status == CHECK_CRITICAL);
	CU_ASSERT_EQUAL(state->reason, CHECK_REASON_TIMEOUT);
	CU_ASSERT_STRING_EQUAL(state->output, "not done within 60ms");
	CU_ASSERT_EQUAL(state->runs, w->fakes[0].cancelled);
	CU_ASSERT_EQUAL(state->last_run_ms, 60);
	CU_ASSERT_EQUAL(w->changes, 1);
	world_free(w);
}

/* The third failure in a row comes after two fast intervals, not after two long ones. */
static void
fast_in_doubt(void)
{
	struct world *w = world_new(1, 2000, 20, 1000);

	world_make(w);
	sched_adopt(w->sched, 0, CHECK_PASSING, "fine");
	CU_ASSERT(state_of(w, 0)->known);
	CU_ASSERT_EQUAL(state_of(w, 0)->status, CHECK_PASSING);
	w->fakes[0].status = CHECK_CRITICAL;
	w->fakes[0].reason = CHECK_REASON_REFUSED;
	world_start(w);
	CU_ASSERT(run_until(w, changed));
	CU_ASSERT_EQUAL(w->fakes[0].n_starts, 3);
	CU_ASSERT_EQUAL(w->fakes[0].starts[2] - w->fakes[0].starts[0], 40);
	CU_ASSERT_EQUAL(w->status, CHECK_CRITICAL);
	CU_ASSERT_EQUAL(state_of(w, 0)->row, 0);
	CU_ASSERT(state_of(w, 0)->changed_at > 0);
	world_free(w);
}

/* What was taken over is known: its confirmation is no news. */
static void
adopted(void)
{
	struct world *w = world_new(1, 20, 20, 1000);

	world_make(w);
	sched_adopt(w->sched, 0, CHECK_PASSING, "fine");
	world_start(w);
	CU_ASSERT(until_ended(w, 3));
	CU_ASSERT_EQUAL(w->changes, 0);
	CU_ASSERT_EQUAL(w->outputs, 0);
	CU_ASSERT_EQUAL(state_of(w, 0)->changed_at, 0);
	world_free(w);
}

static void
unknown_is_not_failed(void)
{
	struct world *w = world_new(1, 20, 20, 1000);

	world_make(w);
	sched_adopt(w->sched, 0, CHECK_PASSING, "fine");
	w->fakes[0].status = CHECK_UNKNOWN;
	w->fakes[0].reason = CHECK_REASON_LOCAL;
	w->fakes[0].text = "no fork";
	world_start(w);
	CU_ASSERT(until_ended(w, 6));
	const struct sched_state *state = state_of(w, 0);
	CU_ASSERT_EQUAL(w->changes, 0);
	CU_ASSERT_EQUAL(w->outputs, 1);
	CU_ASSERT_EQUAL(state->status, CHECK_PASSING);
	CU_ASSERT_EQUAL(state->row, 0);
	CU_ASSERT_EQUAL(state->reason, CHECK_REASON_LOCAL);
	CU_ASSERT_STRING_EQUAL(state->output, "no fork");
	world_free(w);
}

static void
output_alone(void)
{
	struct world *w = world_new(1, 20, 20, 1000);

	w->fakes[0].number_text = true;
	world_start(w);
	CU_ASSERT(until_ended(w, 6));
	CU_ASSERT_EQUAL(w->changes, 1);
	CU_ASSERT_EQUAL(w->outputs, state_of(w, 0)->runs - 1);
	world_free(w);
}

/* The deadline of the run is more than the timeout ago when the loop turns again. */
static void
stall(struct fake *fake)
{
	virtual_loop_take(fake->world->loop, 110);
}

static void
late_loop(void)
{
	struct world *w = world_new(1, 1000, 1000, 50);

	w->fakes[0].act = ACT_NEVER;
	w->on_start = stall;
	world_start(w);
	CU_ASSERT(until_ended(w, 1));
	const struct sched_state *state = state_of(w, 0);
	CU_ASSERT_FALSE(state->known);
	CU_ASSERT_EQUAL(w->changes, 0);
	CU_ASSERT_EQUAL(w->outputs, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(state->output, "held up"));
	CU_ASSERT_EQUAL(w->fakes[0].cancelled, 1);
	world_free(w);
}

static unsigned int late_starts;

static void
take_too_long(struct fake *fake)
{
	late_starts += loop_lag(fake->world->loop) > 100;
	virtual_loop_take(fake->world->loop, 30);
}

static bool
ran_5_each(struct world *w)
{
	for (size_t i = 0; i < CHECKS_MAX; i++)
		if (state_of(w, i)->runs < 5)
			return false;
	return true;
}

/* Each second has work for more than two: runs are late, none begins while the loop is, and
 * nobody is blamed. */
static void
overload(void)
{
	struct world *w = world_new(CHECKS_MAX, 500, 500, 2000);

	late_starts = 0;
	for (size_t i = 0; i < CHECKS_MAX; i++) {
		w->fakes[i].act = ACT_LATER;
		w->fakes[i].takes_ms = 50;
	}
	w->on_start = take_too_long;
	world_start(w);
	CU_ASSERT(run_until(w, ran_5_each));
	CU_ASSERT_EQUAL(late_starts, 0);
	for (size_t i = 0; i < CHECKS_MAX; i++) {
		CU_ASSERT_EQUAL(w->fakes[i].cancelled, 0);
		CU_ASSERT_EQUAL(state_of(w, i)->status, CHECK_PASSING);
	}
	w->on_start = NULL;
	world_free(w);
}

struct thief {
	struct loop *loop;
	struct loop_timer *timer;
};

static void
steal(void *arg)
{
	struct thief *thief = arg;

	virtual_loop_take(thief->loop, 150);
	loop_timer_after(thief->timer, 0);
}

/* Where the loop is late in every turn, all runs are late and each gets its turn. */
static void
always_late(void)
{
	struct world *w = world_new(CHECKS_MAX, 500, 500, 2000);
	struct thief thief = { .loop = w->loop };

	thief.timer = loop_timer_new(w->loop, steal, &thief);
	loop_timer_after(thief.timer, 0);
	world_start(w);
	virtual_loop_run(w->loop, 60000);
	for (size_t i = 0; i < CHECKS_MAX; i++)
		CU_ASSERT(state_of(w, i)->runs >= 20);
	loop_timer_free(thief.timer);
	world_free(w);
}

/* The pipe stays readable: whoever is called after it was done is counted. */
static void
no_call_after_done(void)
{
	struct world *w = world_new(1, 50, 50, 1000);
	struct fake *fake = &w->fakes[0];

	CU_ASSERT_EQUAL(write(fake->pipe[1], "x", 1), 1);
	fake->act = ACT_PIPE;
	world_start(w);
	CU_ASSERT(until_ended(w, 6));
	CU_ASSERT_EQUAL(fake->called, state_of(w, 0)->runs);
	world_free(w);
}

/* A deadline takes the descriptor back as well. */
static void
no_call_after_cancel(void)
{
	struct world *w = world_new(1, 10, 10, 20);
	struct fake *fake = &w->fakes[0];

	fake->act = ACT_PIPE;
	world_start(w);
	CU_ASSERT(until_ended(w, 3));
	fake->act = ACT_DONE;
	CU_ASSERT(until_ended(w, 6));
	CU_ASSERT_EQUAL(write(fake->pipe[1], "x", 1), 1);
	CU_ASSERT(until_ended(w, state_of(w, 0)->runs + 5));
	CU_ASSERT_EQUAL(fake->called, 0);
	CU_ASSERT(fake->cancelled >= 3);
	world_free(w);
}

static void
done_within_start(void)
{
	struct world *w = world_new(1, 20, 20, 1000);

	w->fakes[0].act = ACT_RESOLVE;
	world_start(w);
	CU_ASSERT(until_ended(w, 3));
	CU_ASSERT_EQUAL(w->fakes[0].called, state_of(w, 0)->runs);
	CU_ASSERT_EQUAL(w->status, CHECK_PASSING);
	world_free(w);
}

static void
freed_while_running(void)
{
	struct world *w = world_new(3, 20, 20, 1000);

	w->fakes[0].act = ACT_NEVER;
	w->fakes[1].act = ACT_COMMAND;
	w->checks[1].command = &w->command;
	world_start(w);
	CU_ASSERT(run_until(w, all_ran));
	sched_free(w->sched);
	w->sched = NULL;
	CU_ASSERT_EQUAL(w->fakes[0].cancelled + w->fakes[1].cancelled, 2);
	CU_ASSERT_EQUAL(w->fakes[2].cancelled, 0);
	CU_ASSERT_EQUAL(w->kills, 1);
	world_free(w);
}

static struct world *
command_world(int64_t interval, int64_t timeout)
{
	struct world *w = world_new(1, interval, interval, timeout);

	w->fakes[0].act = ACT_COMMAND;
	w->checks[0].command = &w->command;
	w->checks[0].fall = 1;
	world_start(w);
	CU_ASSERT(run_until(w, ordered));
	return w;
}

static void
command_answers(void)
{
	struct world *w = command_world(20, 2000);
	struct check_exit exit = { .how = CHECK_EXITED, .value = 0, .output = "" };

	sched_command_ended(w->sched, 0, &exit);
	sched_command_ended(w->sched, w->numbers[0] + 1, &exit);
	sched_command_ended(w->sched, w->numbers[0] + (UINT64_C(1) << 32), &exit);
	sched_command_ended(w->sched, UINT64_MAX, &exit);
	CU_ASSERT_EQUAL(state_of(w, 0)->runs, 0);
	sched_command_ended(w->sched, w->numbers[0], &exit);
	CU_ASSERT_EQUAL(state_of(w, 0)->runs, 1);
	CU_ASSERT_EQUAL(w->status, CHECK_PASSING);
	sched_command_ended(w->sched, w->numbers[0], &exit);
	CU_ASSERT_EQUAL(state_of(w, 0)->runs, 1);
	CU_ASSERT(run_until(w, ordered_twice));
	CU_ASSERT_NOT_EQUAL(w->numbers[0], w->numbers[1]);
	CU_ASSERT_EQUAL(w->kills, 0);
	world_free(w);
}

/* A command that does not end when told is never joined by a second one; each deadline
 * that it holds up counts. */
static void
command_lingers(void)
{
	struct world *w = command_world(20, 40);
	struct check_exit exit = { .how = CHECK_SIGNALLED, .value = 15, .output = "" };

	CU_ASSERT(until_ended(w, 3));
	CU_ASSERT_EQUAL(w->commands, 1);
	CU_ASSERT_EQUAL(w->kills, 1);
	CU_ASSERT_EQUAL(w->fakes[0].n_starts, 1);
	const struct sched_state *state = state_of(w, 0);
	CU_ASSERT_EQUAL(state->reason, CHECK_REASON_TIMEOUT);
	CU_ASSERT_PTR_NOT_NULL(strstr(state->output, "has not ended within 40ms"));
	sched_command_ended(w->sched, w->numbers[0], &exit);
	CU_ASSERT(run_until(w, ordered_twice));
	CU_ASSERT_EQUAL(w->fakes[0].called, 0);
	exit = (struct check_exit){ .how = CHECK_EXITED, .output = "" };
	sched_command_ended(w->sched, w->numbers[1], &exit);
	CU_ASSERT_EQUAL(w->fakes[0].called, 1);
	world_free(w);
}

static bool
half_a_timeout_on(struct world *w)
{
	return loop_now(w->loop) >= w->start + 200;
}

/* A command that waited for others has all of its time from its start. */
static void
command_waited(void)
{
	struct world *w = command_world(20, 400);

	CU_ASSERT(run_until(w, half_a_timeout_on));
	CU_ASSERT_EQUAL(state_of(w, 0)->runs, 0);
	sched_command_started(w->sched, w->numbers[0] + 1);
	sched_command_started(w->sched, UINT64_MAX);
	int64_t began = loop_now(w->loop);
	sched_command_started(w->sched, w->numbers[0]);
	CU_ASSERT(until_ended(w, 1));
	CU_ASSERT(loop_now(w->loop) - began >= 400);
	CU_ASSERT_EQUAL(state_of(w, 0)->reason, CHECK_REASON_TIMEOUT);
	sched_command_started(w->sched, w->numbers[0]); /* too late */
	world_free(w);
}

/* At the deadline the runner is heard first: it knows that the command had no turn. */
static void
runner_first(void)
{
	struct world *w = world_new(1, 20, 20, 60);

	w->fakes[0].act = ACT_COMMAND;
	w->checks[0].command = &w->command;
	w->answer_at_deadline = true;
	world_start(w);
	CU_ASSERT(until_ended(w, 3));
	CU_ASSERT_EQUAL(w->kills, 0);
	CU_ASSERT_FALSE(state_of(w, 0)->known);
	CU_ASSERT_EQUAL(w->fakes[0].called, state_of(w, 0)->runs);
	world_free(w);
}

static void
comes_back(void)
{
	struct world *w = world_new(1, 20, 20, 1000);

	w->fakes[0].status = CHECK_CRITICAL;
	w->fakes[0].reason = CHECK_REASON_REFUSED;
	world_start(w);
	CU_ASSERT(run_until(w, changed));
	CU_ASSERT_EQUAL(w->status, CHECK_CRITICAL);
	unsigned int before = w->fakes[0].n_starts;
	w->fakes[0].status = CHECK_WARNING;
	w->fakes[0].reason = CHECK_REASON_STATUS;
	CU_ASSERT(run_until(w, changed_twice));
	CU_ASSERT_EQUAL(w->status, CHECK_WARNING);
	CU_ASSERT(w->fakes[0].n_starts - before >= 2);
	world_free(w);
}

static void
names(void)
{
	CU_ASSERT_STRING_EQUAL(check_status_name(CHECK_UNKNOWN), "unknown");
	for (int i = 0; i < CHECK_REASONS; i++)
		CU_ASSERT_PTR_NOT_NULL(check_reason_name((enum check_reason)i));
	sched_free(NULL);
}

static const struct tap_case cases[] = {
	{ "first runs come soon and spread", first_runs },
	{ "steady runs stand at the ticks of their phase", ticks },
	{ "a deadline ends a run, and runs do not overlap", deadline },
	{ "in doubt it runs at the fast interval", fast_in_doubt },
	{ "a state taken over is no news", adopted },
	{ "unknown counts neither way", unknown_is_not_failed },
	{ "another output alone is said as such", output_alone },
	{ "a loop that was late judges nobody", late_loop },
	{ "more than there is time for is late, and not failed", overload },
	{ "where the loop is always late nobody is forgotten", always_late },
	{ "no callback comes after check_done", no_call_after_done },
	{ "no callback comes after cancel", no_call_after_cancel },
	{ "a run may be done within start", done_within_start },
	{ "freeing cancels what runs", freed_while_running },
	{ "a command's answer reaches its own run only", command_answers },
	{ "a command that lingers is not joined by another", command_lingers },
	{ "the time of a command that had to wait counts from its start",
	    command_waited },
	{ "at a command's deadline the runner is heard first", runner_first },
	{ "a check rises again, to a warning too", comes_back },
	{ "every status and reason has a name", names },
};
TAP_MAIN("sched", cases)
