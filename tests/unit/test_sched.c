/* SPDX-License-Identifier: ISC */
/*
 * The scheduler on a real loop, with a type of check made for the purpose: it does what
 * the test says and notes what was done to it. Times are short, and what is asserted of
 * them holds on a slow machine too: which tick a run belongs to, what came before what.
 */
#include "agent/health/sched.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/health/run.h"
#include "tests/unit/tap.h"

#define CHECKS_MAX 40
#define STARTS_MAX 64
#define LIMIT_MS 5000

enum act {
	ACT_DONE, /* in start */
	ACT_NEVER, /* waits for the deadline */
	ACT_PIPE, /* when a byte can be read */
	ACT_RESOLVE, /* in the callback of a literal, inside start */
	ACT_COMMAND,
};

/* The options of a fake check, and its notes. */
struct fake {
	struct fake *self; /* a check sees its options as constant */
	enum act act;
	enum check_status status;
	enum check_reason reason;
	const char *text;
	struct loop *loop;
	int pipe[2];
	bool number_text; /* another text with every run */
	int64_t starts[STARTS_MAX];
	unsigned int n_starts, cancelled, running, overlaps, dirty, called;
};

struct fake_run {
	char used[64];
};

struct world {
	struct loop *loop;
	struct sched *sched;
	struct sched_state state; /* as state_of found it */
	struct conf conf;
	struct conf_check checks[CHECKS_MAX], *all[CHECKS_MAX];
	struct fake fakes[CHECKS_MAX];
	struct conf_command command;
	/* notes */
	unsigned int changes, outputs, kills, commands;
	enum check_status status;
	uint64_t numbers[STARTS_MAX];
	int64_t start;
	/* a runner that never gets to a command */
	bool answer_at_deadline;
	struct loop_timer *runner;
	/* waiting */
	struct loop_timer *look;
	bool (*until)(struct world *w);
	int64_t limit;
	uint64_t wanted;
	bool reached;
};

static struct fake *
fake_of(struct check_run *run)
{
	const struct fake *fake = check_conf(run);

	return fake->self;
}

static void
fake_done(struct check_run *run)
{
	struct fake *fake = fake_of(run);

	fake->running--;
	if (fake->number_text)
		check_done(run, fake->status, fake->reason, "run %u", fake->n_starts);
	else
		check_done(run, fake->status, fake->reason, "%s", fake->text);
}

static void
on_readable(struct check_run *run, unsigned int events)
{
	fake_of(run)->called++;
	fake_done(run);
}

static void
on_found(struct check_run *run, const struct check_address *address, size_t count,
    const char *why)
{
	fake_of(run)->called += address != NULL;
	fake_done(run);
}

static void
on_ended(struct check_run *run, const struct check_exit *exit)
{
	struct fake *fake = fake_of(run);

	fake->called++;
	fake->running--;
	if (exit->how == CHECK_NOT_RUN)
		check_done(run, CHECK_UNKNOWN, CHECK_REASON_LOCAL, "not run");
	else
		check_done(run, exit->value == 0 ? CHECK_PASSING : CHECK_CRITICAL,
		    CHECK_REASON_EXIT, "exit %d", exit->value);
}

static void
fake_start(struct check_run *run)
{
	struct fake *fake = fake_of(run);
	struct fake_run *state = check_state(run);

	fake->overlaps += fake->running++ > 0;
	if (fake->n_starts < STARTS_MAX)
		fake->starts[fake->n_starts] = loop_now(fake->loop);
	fake->n_starts++;
	for (size_t i = 0; i < sizeof(state->used); i++)
		fake->dirty += state->used[i] != 0;
	memset(state->used, 0xff, sizeof(state->used));
	switch (fake->act) {
	case ACT_DONE: fake_done(run); break;
	case ACT_NEVER: break;
	case ACT_PIPE: check_watch(run, fake->pipe[0], CHECK_READ, on_readable); break;
	case ACT_RESOLVE: check_resolve(run, "127.0.0.1", 80, on_found); break;
	case ACT_COMMAND: check_command(run, on_ended); break;
	}
}

static void
fake_cancel(struct check_run *run)
{
	struct fake *fake = fake_of(run);

	fake->running--;
	fake->cancelled++;
}

static const struct check_class fake_class = {
	.abi = CHECK_ABI,
	.name = "fake",
	.conf_size = sizeof(struct fake),
	.run_size = sizeof(struct fake_run),
	.start = fake_start,
	.cancel = fake_cancel,
};

static void
on_changed(void *arg, const struct conf_check *check, const struct sched_state *state)
{
	struct world *w = arg;

	w->changes++;
	w->status = state->status;
}

static void
on_output(void *arg, const struct conf_check *check, const struct sched_state *state)
{
	struct world *w = arg;

	w->outputs++;
}

static void
on_command(void *arg, uint64_t run, const struct conf_check *check, int64_t timeout_ms)
{
	struct world *w = arg;

	if (w->commands < STARTS_MAX)
		w->numbers[w->commands] = run;
	w->commands++;
	if (w->answer_at_deadline)
		loop_timer_after(w->runner, timeout_ms);
}

static void
on_runner(void *arg)
{
	struct world *w = arg;
	struct check_exit exit = { .how = CHECK_NOT_RUN, .output = "" };

	sched_command_ended(w->sched, w->numbers[w->commands - 1], &exit);
}

static void
on_kill(void *arg, uint64_t run)
{
	struct world *w = arg;

	w->kills++;
}

static void
on_look(void *arg)
{
	struct world *w = arg;

	w->reached = w->until(w);
	if (w->reached || loop_now(w->loop) >= w->limit)
		loop_stop(w->loop);
	else
		loop_timer_after(w->look, 10);
}

static bool
run_until(struct world *w, bool (*until)(struct world *w))
{
	w->until = until;
	w->limit = loop_now(w->loop) + LIMIT_MS;
	loop_timer_after(w->look, 0);
	loop_run(w->loop);
	return w->reached;
}

/* `n` checks, all passing at once until the test says otherwise. */
static struct world *
world_new(size_t n, int64_t interval, int64_t fast, int64_t timeout)
{
	struct world *w = xcalloc(1, sizeof(*w));

	w->loop = loop_new();
	w->look = loop_timer_new(w->loop, on_look, w);
	w->runner = loop_timer_new(w->loop, on_runner, w);
	for (size_t i = 0; i < n; i++) {
		w->fakes[i].self = &w->fakes[i];
		w->fakes[i].loop = w->loop;
		w->fakes[i].text = "fine";
		w->checks[i] = (struct conf_check){
			.index = (uint32_t)i,
			.class = &fake_class,
			.name = xasprintf("check-%zu", i),
			.options = &w->fakes[i],
			.command = NULL,
			.interval_ms = interval,
			.fast_interval_ms = fast,
			.timeout_ms = timeout,
			.rise = 2,
			.fall = 3,
			.initial = CHECK_CRITICAL,
			.output_size = 100,
		};
		w->all[i] = &w->checks[i];
	}
	w->conf = (struct conf){ .checks = w->all, .n_checks = n };
	return w;
}

static void
world_make(struct world *w)
{
	struct sched_out out = { on_changed, on_output, on_command, on_kill, w };

	struct run_servants servants = { .loop = w->loop };
	w->sched = sched_new(&servants, &w->conf, &out);
}

static void
world_start(struct world *w)
{
	if (w->sched == NULL)
		world_make(w);
	w->start = loop_now(w->loop);
	sched_start(w->sched);
}

static void
world_free(struct world *w)
{
	sched_free(w->sched);
	for (size_t i = 0; i < w->conf.n_checks; i++) {
		CU_ASSERT_EQUAL(w->fakes[i].overlaps, 0);
		CU_ASSERT_EQUAL(w->fakes[i].dirty, 0);
		CU_ASSERT_EQUAL(w->fakes[i].running, 0);
		free(w->checks[i].name);
	}
	loop_timer_free(w->look);
	loop_timer_free(w->runner);
	loop_free(w->loop);
	free(w);
}

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

static const struct sched_state *
state_of(struct world *w)
{
	sched_state(w->sched, 0, &w->state);
	return &w->state;
}

static bool
enough_ended(struct world *w)
{
	return state_of(w)->runs >= w->wanted;
}

static bool
until_ended(struct world *w, uint64_t runs)
{
	w->wanted = runs;
	return run_until(w, enough_ended);
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

static int64_t
phase_of(const char *name, int64_t interval)
{
	return (int64_t)(fnv1a64(name, strlen(name)) % (uint64_t)interval);
}

/* 40 checks of 10 s: none waits for its first run, and not all come together. */
static void
first_runs(void)
{
	struct world *w = world_new(CHECKS_MAX, 10000, 500, 1000);
	unsigned int most = 0;

	world_start(w);
	CU_ASSERT(run_until(w, all_ran));
	for (size_t i = 0; i < CHECKS_MAX; i++) {
		unsigned int together = 0;
		CU_ASSERT(w->fakes[i].starts[0] >=
		    w->start + phase_of(w->checks[i].name, 10000) % 500);
		for (size_t j = 0; j < CHECKS_MAX; j++)
			together +=
			    w->fakes[j].starts[0] / 20 == w->fakes[i].starts[0] / 20;
		most = together > most ? together : most;
	}
	CU_ASSERT(most < CHECKS_MAX / 2);
	CU_ASSERT(loop_now(w->loop) - w->start < LIMIT_MS);
	CU_ASSERT_EQUAL(w->changes, CHECKS_MAX);
	world_free(w);
}

static void
stand_still(int64_t ms)
{
	int64_t now, end = clock_raw_ms() + ms;

	do
		now = clock_raw_ms();
	while (now < end);
}

static bool
ran_20_on_a_busy_loop(struct world *w)
{
	stand_still(45);
	return w->fakes[0].n_starts >= 20;
}

/* Runs stand at the ticks of the check's phase, never two for one tick. The loop turns each
 * 45 ms here: were the next run counted from the last, 20 of them would take 30 ticks. */
static void
ticks(void)
{
	struct world *w = world_new(1, 60, 60, 60);
	int64_t phase = phase_of("check-0", 60), first = 0, last = -1;

	world_start(w);
	CU_ASSERT(run_until(w, ran_20_on_a_busy_loop));
	for (int i = 0; i < 20; i++) {
		int64_t since = w->fakes[0].starts[i] - w->start - phase;
		CU_ASSERT(since >= 0 && since / 60 > last);
		last = since / 60;
		first = i == 0 ? last : first;
	}
	CU_ASSERT(last - first <= 25); /* the machine may stall */
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
	for (int i = 1; i < 5; i++)
		CU_ASSERT(w->fakes[0].starts[i] - w->fakes[0].starts[i - 1] >= 60);
	const struct sched_state *state = state_of(w);
	CU_ASSERT(state->known && state->status == CHECK_CRITICAL);
	CU_ASSERT_EQUAL(state->reason, CHECK_REASON_TIMEOUT);
	CU_ASSERT_STRING_EQUAL(state->output, "not done within 60ms");
	CU_ASSERT_EQUAL(state->runs, w->fakes[0].cancelled);
	CU_ASSERT(state->last_run_ms >= 60);
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
	CU_ASSERT(state_of(w)->known);
	CU_ASSERT_EQUAL(state_of(w)->status, CHECK_PASSING);
	w->fakes[0].status = CHECK_CRITICAL;
	w->fakes[0].reason = CHECK_REASON_REFUSED;
	world_start(w);
	CU_ASSERT(run_until(w, changed));
	CU_ASSERT_EQUAL(w->fakes[0].n_starts, 3);
	CU_ASSERT(w->fakes[0].starts[2] - w->fakes[0].starts[0] >= 40);
	CU_ASSERT(w->fakes[0].starts[2] - w->fakes[0].starts[0] < 2000);
	CU_ASSERT_EQUAL(w->status, CHECK_CRITICAL);
	CU_ASSERT_EQUAL(state_of(w)->row, 0);
	CU_ASSERT(state_of(w)->changed_at > 0);
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
	CU_ASSERT_EQUAL(state_of(w)->changed_at, 0);
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
	const struct sched_state *state = state_of(w);
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
	CU_ASSERT_EQUAL(w->outputs, state_of(w)->runs - 1);
	world_free(w);
}

/* Until the deadline of a run is more than the timeout ago. */
static bool
came_late(struct world *w)
{
	if (w->fakes[0].running == 0)
		return false;
	stand_still(200);
	return true;
}

static void
late_loop(void)
{
	struct world *w = world_new(1, 1000, 1000, 50);

	w->fakes[0].act = ACT_NEVER;
	world_start(w);
	CU_ASSERT(run_until(w, came_late));
	CU_ASSERT(until_ended(w, 1));
	const struct sched_state *state = state_of(w);
	CU_ASSERT_FALSE(state->known);
	CU_ASSERT_EQUAL(w->changes, 0);
	CU_ASSERT_EQUAL(w->outputs, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(state->output, "held up"));
	CU_ASSERT_EQUAL(w->fakes[0].cancelled, 1);
	world_free(w);
}

/* The pipe stays readable: whoever is called after it was done is counted. */
static void
no_call_after_done(void)
{
	struct world *w = world_new(1, 50, 50, 1000);
	struct fake *fake = &w->fakes[0];

	CU_ASSERT_EQUAL(pipe2(fake->pipe, O_NONBLOCK | O_CLOEXEC), 0);
	CU_ASSERT_EQUAL(write(fake->pipe[1], "x", 1), 1);
	fake->act = ACT_PIPE;
	world_start(w);
	CU_ASSERT(until_ended(w, 6));
	CU_ASSERT_EQUAL(fake->called, state_of(w)->runs);
	close(fake->pipe[0]);
	close(fake->pipe[1]);
	world_free(w);
}

/* A deadline takes the descriptor back as well. */
static void
no_call_after_cancel(void)
{
	struct world *w = world_new(1, 10, 10, 20);
	struct fake *fake = &w->fakes[0];

	CU_ASSERT_EQUAL(pipe2(fake->pipe, O_NONBLOCK | O_CLOEXEC), 0);
	fake->act = ACT_PIPE;
	world_start(w);
	CU_ASSERT(until_ended(w, 3));
	fake->act = ACT_DONE;
	CU_ASSERT(until_ended(w, 6));
	CU_ASSERT_EQUAL(write(fake->pipe[1], "x", 1), 1);
	CU_ASSERT(until_ended(w, state_of(w)->runs + 5));
	CU_ASSERT_EQUAL(fake->called, 0);
	CU_ASSERT(fake->cancelled >= 3);
	close(fake->pipe[0]);
	close(fake->pipe[1]);
	world_free(w);
}

static void
done_within_start(void)
{
	struct world *w = world_new(1, 20, 20, 1000);

	w->fakes[0].act = ACT_RESOLVE;
	world_start(w);
	CU_ASSERT(until_ended(w, 3));
	CU_ASSERT_EQUAL(w->fakes[0].called, state_of(w)->runs);
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
	CU_ASSERT_EQUAL(state_of(w)->runs, 0);
	sched_command_ended(w->sched, w->numbers[0], &exit);
	CU_ASSERT_EQUAL(state_of(w)->runs, 1);
	CU_ASSERT_EQUAL(w->status, CHECK_PASSING);
	sched_command_ended(w->sched, w->numbers[0], &exit);
	CU_ASSERT_EQUAL(state_of(w)->runs, 1);
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
	const struct sched_state *state = state_of(w);
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
	CU_ASSERT_FALSE(state_of(w)->known);
	CU_ASSERT_EQUAL(w->fakes[0].called, state_of(w)->runs);
	world_free(w);
}

static void
runner_lost(void)
{
	struct world *w = command_world(20, 2000);

	sched_runner_lost(w->sched);
	CU_ASSERT_EQUAL(state_of(w)->runs, 1);
	CU_ASSERT_FALSE(state_of(w)->known);
	CU_ASSERT_STRING_EQUAL(state_of(w)->output, "not run");
	CU_ASSERT_EQUAL(w->changes, 0);
	CU_ASSERT(run_until(w, ordered_twice));
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
	{ "no callback comes after check_done", no_call_after_done },
	{ "no callback comes after cancel", no_call_after_cancel },
	{ "a run may be done within start", done_within_start },
	{ "freeing cancels what runs", freed_while_running },
	{ "a command's answer reaches its own run only", command_answers },
	{ "a command that lingers is not joined by another", command_lingers },
	{ "at a command's deadline the runner is heard first", runner_first },
	{ "without a runner nothing is judged", runner_lost },
	{ "a check rises again, to a warning too", comes_back },
	{ "every status and reason has a name", names },
};
TAP_MAIN("sched", cases)
