/* SPDX-License-Identifier: ISC */
/*
 * What must hold of the scheduler in whatever scenario: never two runs of a check at once,
 * every start where the phase or the fast interval says, every deadline to the slot, no run
 * and no change of a check while one that it depends on is critical. Random checks with
 * random behaviour, commands and reports among them, live for some minutes of virtual
 * time; a rule is looked at whenever something happens. SEED=NUMBER in the environment
 * repeats what failed.
 */
#include "agent/health/sched.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "tests/unit/sched_world.h"
#include "tests/unit/tap.h"
#include "tests/unit/virtual_loop.h"

#define SLOT 10
#define MINUTE 60000

/* What the test knows of a check beside what the scheduler says of it. */
struct note {
	enum check_status status;
	bool known, looked_at;
	enum check_reason reason;
	char output[160];
	bool blocked, was_blocked; /* now; at any time since the last start or report */
	int64_t blocked_at, let_go_at;
	/* of commands */
	uint64_t order;
	unsigned int commands;
	struct loop_timer *runner;
	/* of reports */
	struct loop_timer *reporter;
	int64_t reported; /* or nobody has; -1: not known */
	int64_t begun; /* the start before the newest */
	/* its mood */
	unsigned int failing, warning, unknown, slow;
	enum act act;
};

struct scenario {
	struct world *w;
	struct note notes[CHECKS_MAX];
	unsigned long broken[8], starts;
};

enum rule {
	RULE_START,
	RULE_DEADLINE,
	RULE_BLOCKED_RUN,
	RULE_BLOCKED_CHANGE,
	RULE_NEWS,
	RULE_TTL,
	RULE_COMMANDS,
	RULE_ALIVE,
};

static uint64_t seed;

static unsigned int
random_below(unsigned int n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned int)(seed % n);
}

static void
hold(struct scenario *s, enum rule rule, bool holds)
{
	s->broken[rule] += !holds;
}

static int64_t
slot_after(int64_t time)
{
	return (time + SLOT - 1) / SLOT * SLOT;
}

static struct note *
note_of(const struct fake *fake)
{
	return fake->arg;
}

static struct scenario *
scenario_of(const struct world *w)
{
	const struct note *first = w->fakes[0].arg;

	return (struct scenario *)(void *)((char *)(uintptr_t)first -
	    offsetof(struct scenario, notes));
}

/* ---- dependencies ---- */

static bool
is_blocked(const struct scenario *s, const struct conf_check *check)
{
	for (check = check->depends_on; check != NULL; check = check->depends_on) {
		const struct note *note = &s->notes[check->index];
		if (note->known ? note->status == CHECK_CRITICAL : !note->looked_at)
			return true;
	}
	return false;
}

static void
look_at_blocks(struct scenario *s)
{
	int64_t now = loop_now(s->w->loop);

	for (size_t i = 0; i < s->w->conf.n_checks; i++) {
		struct note *note = &s->notes[i];
		bool blocked = is_blocked(s, &s->w->checks[i]);
		if (blocked && !note->blocked)
			note->blocked_at = now;
		if (!blocked && note->blocked) {
			note->let_go_at = now;
			note->reported = -1;
		}
		note->blocked = blocked;
		note->was_blocked = note->was_blocked || blocked;
	}
}

/* ---- when it runs ---- */

static int64_t
tick_after(const struct world *w, size_t i, int64_t time)
{
	int64_t tick = w->start + phase_of(w, i);

	while (tick <= time)
		tick += w->checks[i].interval_ms;
	return tick;
}

static int64_t
later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* `before`: the start before this one; `row`: outcomes in a row against the state. */
static bool
is_due(const struct fake *fake, int64_t before, unsigned int row)
{
	const struct world *w = fake->world;
	const struct conf_check *check = &w->checks[fake->index];
	const struct note *note = note_of(fake);
	int64_t now = loop_now(w->loop), spread = check->interval_ms;

	spread = spread < 500 ? spread : 500;
	int64_t first = w->start + phase_of(w, fake->index) % spread;
	if (fake->n_starts == 1 &&
	    now == (first > w->start ? slot_after(first) : first))
		return true;
	int64_t due = row > 0 ? before + check->fast_interval_ms
			      : tick_after(w, fake->index, before);
	/* a run that was not over yet is spared if all is well again within the slot */
	bool spared = !note->was_blocked || fake->ended >= note->let_go_at;
	if (fake->n_starts > 1 && spared && now == later(slot_after(due), fake->ended))
		return true;
	int64_t soon = note->let_go_at + check->fast_interval_ms;
	int64_t tick = tick_after(w, fake->index, note->let_go_at);
	return note->was_blocked && now >= note->let_go_at &&
	    now <= later(slot_after(soon < tick ? soon : tick), fake->ended);
}

static void
on_start(struct fake *fake)
{
	struct scenario *s = scenario_of(fake->world);
	struct note *note = note_of(fake);
	const struct sched_state *state = state_of(fake->world, fake->index);

	s->starts++;
	if (note->act != ACT_COMMAND)
		hold(s, RULE_START, is_due(fake, note->begun, state->row));
	hold(s, RULE_BLOCKED_RUN, !note->blocked);
	note->begun = fake->started;
	note->was_blocked = false;
	if (random_below(60) == 0) {
		note->failing = random_below(11);
		note->warning = random_below(3);
		note->unknown = random_below(2);
		note->slow = random_below(12);
	}
	fake->status = random_below(10) < note->failing ? CHECK_CRITICAL
	    : random_below(10) < note->warning          ? CHECK_WARNING
	    : random_below(10) < note->unknown          ? CHECK_UNKNOWN
							: CHECK_PASSING;
	fake->act = note->act;
	fake->takes_ms =
	    random_below((unsigned int)fake->world->checks[fake->index].timeout_ms *
		    (note->slow + 1) / 8 +
		1);
	if (note->act == ACT_LATER && random_below(20) < note->slow)
		fake->act = ACT_NEVER;
}

static void
on_cancel(struct fake *fake)
{
	struct scenario *s = scenario_of(fake->world);
	const struct note *note = note_of(fake);
	const struct conf_check *check = &fake->world->checks[fake->index];
	int64_t now = loop_now(fake->world->loop);
	int64_t deadline = fake->started + check->timeout_ms;

	if (note->blocked)
		hold(s, RULE_BLOCKED_RUN, now <= note->blocked_at + SLOT);
	else
		hold(s, RULE_DEADLINE,
		    now == slot_after(deadline + (check->command != NULL ? 50 : 0)));
}

/* ---- commands: one at a time, whose runner may take its time ---- */

static void
on_order(struct fake *fake, uint64_t run)
{
	struct note *note = note_of(fake);

	hold(scenario_of(fake->world), RULE_COMMANDS, note->commands++ == 0);
	note->order = run;
	loop_timer_after(note->runner, fake->takes_ms);
}

static void
on_kill(struct fake *fake, uint64_t run)
{
	struct note *note = note_of(fake);

	hold(scenario_of(fake->world), RULE_COMMANDS, note->order == run);
	loop_timer_after(note->runner, random_below(2000));
}

static void
on_runner(void *arg)
{
	struct fake *fake = arg;
	struct note *note = note_of(fake);
	struct check_exit exit = { .how = CHECK_EXITED,
		.value = fake->status == CHECK_CRITICAL,
		.output = "" };

	note->commands--;
	sched_command_ended(fake->world->sched, note->order, &exit);
}

/* ---- reports ---- */

static void
on_reporter(void *arg)
{
	struct fake *fake = arg;
	struct world *w = fake->world;
	struct note *note = note_of(fake);
	bool counts = !note->blocked;

	hold(scenario_of(w), RULE_TTL,
	    sched_report(w->sched, (uint32_t)fake->index,
		(enum check_status)random_below(4), "a report") == 0);
	if (counts)
		note->reported = loop_now(w->loop);
	loop_timer_after(note->reporter, random_below(4000));
}

/* The first time that nobody reported: at the end of the ttl. */
static void
look_at_ttl(
    struct scenario *s, const struct conf_check *check, const struct sched_state *state)
{
	struct note *note = &s->notes[check->index];
	int64_t now = loop_now(s->w->loop);

	if (!check->class->passive || state->reason != CHECK_REASON_TIMEOUT ||
	    note->reason == CHECK_REASON_TIMEOUT)
		return;
	if (note->reported >= 0)
		hold(
		    s, RULE_TTL, now == slot_after(note->reported + check->timeout_ms));
	else
		hold(s, RULE_TTL, now >= note->let_go_at + check->timeout_ms);
}

/* ---- news ---- */

static void
on_news(struct world *w, const struct conf_check *check,
    const struct sched_state *state, bool changed)
{
	struct scenario *s = scenario_of(w);
	struct note *note = &s->notes[check->index];
	bool other = state->status != note->status || state->known != note->known;

	hold(s, RULE_BLOCKED_CHANGE, !changed || !note->blocked);
	hold(s, RULE_NEWS, changed == other);
	hold(s, RULE_NEWS, changed || strcmp(state->output, note->output) != 0);
	look_at_ttl(s, check, state);
	note->status = state->status;
	note->known = state->known;
	note->reason = state->reason;
	note->looked_at = note->looked_at || state->runs > 0;
	str_copy(note->output, sizeof(note->output), state->output);
	look_at_blocks(s);
}

/* ---- the making of a scenario ---- */

static void
make_check(struct scenario *s, size_t i)
{
	static const enum act acts[] = { ACT_DONE, ACT_LATER, ACT_LATER, ACT_COMMAND };
	struct world *w = s->w;
	struct conf_check *check = &w->checks[i];
	struct note *note = &s->notes[i];

	w->fakes[i].arg = note;
	check->interval_ms = 50 + random_below(5000);
	check->fast_interval_ms =
	    10 + random_below((unsigned int)check->interval_ms - 9);
	check->timeout_ms = 20 + random_below(3000);
	check->rise = 1 + random_below(3);
	check->fall = 1 + random_below(3);
	check->flap_threshold = random_below(2) == 0 ? 0 : 20;
	check->initial = (enum check_status)random_below(3);
	if (i > 0 && random_below(2) == 0)
		check->depends_on = &w->checks[random_below((unsigned int)i)];
	note->status = check->initial;
	note->reported = -1;
	note->act = acts[random_below(ARRAY_LENGTH(acts))];
	note->runner = loop_timer_new(w->loop, on_runner, &w->fakes[i]);
	note->reporter = loop_timer_new(w->loop, on_reporter, &w->fakes[i]);
	if (note->act == ACT_COMMAND)
		check->command = &w->command;
	if (random_below(6) == 0) {
		check->command = NULL;
		world_make_passive(w, i, 1000 + random_below(2000));
		note->looked_at = true;
		note->reported = loop_now(w->loop);
		loop_timer_after(note->reporter, random_below(4000));
	}
}

static void
look_at_the_end(struct scenario *s)
{
	struct world *w = s->w;
	int64_t now = loop_now(w->loop);

	for (size_t i = 0; i < w->conf.n_checks; i++) {
		const struct conf_check *check = &w->checks[i];
		const struct note *note = &s->notes[i];
		const struct fake *fake = &w->fakes[i];
		int64_t longest = check->interval_ms + check->timeout_ms + 2000 + 100;
		if (note->blocked)
			hold(s, RULE_BLOCKED_RUN,
			    fake->running == 0 || now <= note->blocked_at + SLOT);
		else if (!check->class->passive)
			hold(s, RULE_ALIVE,
			    now - later(fake->started, note->let_go_at) <= longest);
	}
}

static void
live(struct scenario *s, unsigned int minutes)
{
	struct world *w = world_new(1 + random_below(12), 1000, 500, 500);

	*s = (struct scenario){ .w = w };
	for (size_t i = 0; i < w->conf.n_checks; i++)
		make_check(s, i);
	w->on_start = on_start;
	w->on_cancel = on_cancel;
	w->on_order = on_order;
	w->on_kill = on_kill;
	w->on_news = on_news;
	look_at_blocks(s);
	world_start(w);
	virtual_loop_run(w->loop, minutes * MINUTE);
	look_at_the_end(s);
	w->on_cancel = NULL;
	w->on_kill = NULL;
	sched_free(w->sched);
	w->sched = NULL;
	for (size_t i = 0; i < w->conf.n_checks; i++) {
		loop_timer_free(s->notes[i].runner);
		loop_timer_free(s->notes[i].reporter);
	}
	world_free(w);
}

static void
scenarios(void)
{
	static const char *const rules[] = { "starts", "deadlines", "blocked runs",
		"blocked changes", "news", "ttl", "commands", "alive" };
	unsigned long starts = 0;
	const char *given = getenv("SEED");

	seed = given != NULL ? strtoull(given, NULL, 10) : random_u64() | 1;
	printf("# SEED=%" PRIu64 "\n", seed);
	for (int i = 0; i < 120; i++) {
		static struct scenario s;
		uint64_t first = seed;
		live(&s, 10);
		starts += s.starts;
		for (int rule = 0; rule < RULE_ALIVE + 1; rule++) {
			if (s.broken[rule] > 0)
				printf("# %s: %lu times, SEED=%" PRIu64 "\n",
				    rules[rule], s.broken[rule], first);
			CU_ASSERT_EQUAL(s.broken[rule], 0);
		}
	}
	printf("# %lu runs\n", starts);
}

static const struct tap_case cases[] = {
	{ "random scenarios break no rule", scenarios },
};
TAP_MAIN("sched_rules", cases)
