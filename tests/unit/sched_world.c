/* SPDX-License-Identifier: ISC */
/* The checks of sched_world.h, what they do when they are run, and who listens to them. */
#include "tests/unit/sched_world.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/health/run.h"
#include "tests/unit/tap.h"

#define LIMIT_MS 20000

struct fake_run {
	char used[64];
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
	fake->run = NULL;
	fake->ended = loop_now(fake->world->loop);
	if (fake->number_text)
		check_done(run, fake->status, fake->reason, "run %u", fake->n_starts);
	else
		check_done(run, fake->status, fake->reason, "%s", fake->text);
}

static void
hang(const void *conf, void *state)
{
	const struct fake *fake = conf;
	struct pollfd pipe = { .fd = fake->pipe[0], .events = POLLIN };

	poll(&pipe, 1, -1);
}

/* Not from a callback of the run: its own way in is a pipe that can be read. */
static void
on_later(void *arg)
{
	struct fake *fake = arg;

	if (write(fake->pipe[1], "x", 1) != 1)
		abort();
}

static void
on_readable(struct check_run *run, unsigned int events)
{
	struct fake *fake = fake_of(run);
	char byte;

	fake->called++;
	if (fake->act == ACT_LATER && read(fake->pipe[0], &byte, 1) != 1)
		abort();
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
	fake->run = NULL;
	fake->ended = loop_now(fake->world->loop);
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
	struct world *w = fake->world;
	struct fake_run *state = check_state(run);

	fake->overlaps += fake->running++ > 0;
	fake->run = run;
	fake->started = loop_now(w->loop);
	if (fake->n_starts < STARTS_MAX)
		fake->starts[fake->n_starts] = fake->started;
	fake->n_starts++;
	for (size_t i = 0; i < sizeof(state->used); i++)
		fake->dirty += state->used[i] != 0;
	memset(state->used, 0xff, sizeof(state->used));
	if (w->on_start != NULL)
		w->on_start(fake);
	switch (fake->act) {
	case ACT_DONE: fake_done(run); break;
	case ACT_NEVER: break;
	case ACT_LATER:
		loop_timer_after(fake->later, fake->takes_ms);
		check_watch(run, fake->pipe[0], CHECK_READ, on_readable);
		break;
	case ACT_PIPE: check_watch(run, fake->pipe[0], CHECK_READ, on_readable); break;
	case ACT_RESOLVE: check_resolve(run, "127.0.0.1", 80, on_found); break;
	case ACT_COMMAND: check_command(run, on_ended); break;
	case ACT_WORK: check_work(run, hang, fake_done); break;
	}
}

static void
fake_cancel(struct check_run *run)
{
	struct fake *fake = fake_of(run);
	char byte;

	loop_timer_stop(fake->later);
	if (fake->act == ACT_LATER)
		while (read(fake->pipe[0], &byte, 1) == 1)
			continue;
	fake->running--;
	fake->run = NULL;
	fake->ended = loop_now(fake->world->loop);
	fake->cancelled++;
	if (fake->world->on_cancel != NULL)
		fake->world->on_cancel(fake);
}

#define FAKE_CLASS                                                                  \
	{                                                                           \
		.abi = CHECK_ABI, .name = "fake", .conf_size = sizeof(struct fake), \
		.run_size = sizeof(struct fake_run), .start = fake_start,           \
		.cancel = fake_cancel                                               \
	}

static const struct check_class fake_class = FAKE_CLASS;
const struct check_class world_other_class = FAKE_CLASS;

static const struct check_class passive_class = {
	.abi = CHECK_ABI,
	.name = "passive",
	.passive = true,
};

static void
on_changed(void *arg, const struct conf_check *check, const struct sched_state *state)
{
	struct world *w = arg;

	w->changes++;
	w->status = state->status;
	w->fakes[check->index].changes++;
	if (w->on_news != NULL)
		w->on_news(w, check, state, true);
}

static void
on_output(void *arg, const struct conf_check *check, const struct sched_state *state)
{
	struct world *w = arg;

	w->outputs++;
	w->fakes[check->index].outputs++;
	if (w->on_news != NULL)
		w->on_news(w, check, state, false);
}

static void
on_command(void *arg, uint64_t run, const struct conf_check *check, int64_t timeout_ms)
{
	struct world *w = arg;

	if (w->commands < STARTS_MAX)
		w->numbers[w->commands] = run;
	w->commands++;
	if (w->on_order != NULL)
		w->on_order(&w->fakes[check->index], run);
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
	if (w->on_kill != NULL)
		w->on_kill(&w->fakes[(uint32_t)run], run);
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

bool
run_until(struct world *w, bool (*until)(struct world *w))
{
	w->until = until;
	w->limit = loop_now(w->loop) + LIMIT_MS;
	loop_timer_after(w->look, 0);
	loop_run(w->loop);
	return w->reached;
}

static void
fake_init(struct world *w, size_t i)
{
	struct fake *fake = &w->fakes[i];

	*fake = (struct fake){ .self = fake, .world = w, .index = i, .text = "fine" };
	fake->later = loop_timer_new(w->loop, on_later, fake);
	if (pipe2(fake->pipe, O_NONBLOCK | O_CLOEXEC) != 0)
		abort();
}

struct world *
world_new(size_t n, int64_t interval, int64_t fast, int64_t timeout)
{
	struct world *w = xcalloc(1, sizeof(*w));

	w->loop = loop_new();
	w->look = loop_timer_new(w->loop, on_look, w);
	w->runner = loop_timer_new(w->loop, on_runner, w);
	for (size_t i = 0; i < n; i++) {
		fake_init(w, i);
		w->checks[i] = (struct conf_check){
			.index = (uint32_t)i,
			.class = &fake_class,
			.name = xasprintf("check-%zu", i),
			.options = &w->fakes[i],
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

void
world_make_passive(struct world *w, size_t i, int64_t ttl_ms)
{
	struct conf_check *check = &w->checks[i];

	check->class = &passive_class;
	check->rise = check->fall = 1;
	check->interval_ms = check->fast_interval_ms = check->timeout_ms = ttl_ms;
}

void
world_make(struct world *w)
{
	struct sched_out out = { on_changed, on_output, on_command, on_kill, w };
	struct run_servants servants = { .loop = w->loop };

	w->sched = sched_new(&servants, &w->conf, &out);
}

void
world_start(struct world *w)
{
	if (w->sched == NULL)
		world_make(w);
	w->start = loop_now(w->loop);
	sched_start(w->sched);
}

void
world_free(struct world *w)
{
	sched_free(w->sched);
	for (size_t i = 0; i < w->conf.n_checks; i++) {
		struct fake *fake = &w->fakes[i];
		CU_ASSERT_EQUAL(fake->overlaps, 0);
		CU_ASSERT_EQUAL(fake->dirty, 0);
		CU_ASSERT_EQUAL(fake->running, 0);
		loop_timer_free(fake->later);
		close(fake->pipe[0]);
		close(fake->pipe[1]);
		free(w->checks[i].name);
	}
	loop_timer_free(w->look);
	loop_timer_free(w->runner);
	loop_free(w->loop);
	free(w);
}

const struct sched_state *
state_of(struct world *w, size_t i)
{
	sched_state(w->sched, (uint32_t)i, &w->state);
	return &w->state;
}

static bool
enough_ended(struct world *w)
{
	return state_of(w, 0)->runs >= w->wanted;
}

bool
until_ended(struct world *w, uint64_t runs)
{
	w->wanted = runs;
	return run_until(w, enough_ended);
}

int64_t
phase_of(const struct world *w, size_t i)
{
	const char *name = w->checks[i].name;
	uint64_t hash = fnv1a64(name, strlen(name));

	return (int64_t)(hash % (uint64_t)w->checks[i].interval_ms / 20 * 20);
}
