/* SPDX-License-Identifier: ISC */
/*
 * When checks run, for how long, and who is told. Each check has one timer: it waits for
 * its next start or, while it runs, for its deadline; so no two runs of it can overlap. A
 * steady check starts at the ticks of its own phase, which no run can move: checks drift
 * neither together nor into each other. A command that was told to end still counts as
 * running until the runner says that it has ended.
 * What an outcome means is judge's to say; what follows from a new state is for those
 * behind `out`. What holds a check back is in sched_depends.c, what makes it wait its turn
 * in sched_queue.c, what is said of outcomes that are unknown in sched_unjudged.c, and what a
 * reload changes in sched_reload.c.
 */
#include "agent/health/sched.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/health/run.h"
#include "agent/health/sched_state.h"

/* All checks have begun by the longer of the two, or within their interval. */
#define FIRST_RUNS_MS 500
#define FIRST_RUN_MS 2 /* for each check */
/* Phases are whole ones of these: a wake-up is shared by all checks that begin then, and so
 * are those that their answers cost. */
#define PHASE_MS 20
/* The runner keeps the deadline of a command too, and knows more: what the command wrote,
 * or that it never had its turn and nobody is to blame. */
#define RUNNER_FIRST_MS 50

void
sched_say(const struct sched_entry *entry, enum judge_news news)
{
	const struct sched_out *out = &entry->sched->out;
	struct sched_state state;

	if (news == JUDGE_NOTHING)
		return;
	judge_state(&entry->judge, entry->check, &state);
	(news == JUDGE_CHANGED ? out->changed : out->output)(
	    out->arg, entry->check, &state);
}

int64_t
sched_tick_after(const struct sched_entry *entry, int64_t time)
{
	int64_t interval = entry->check->interval_ms;
	int64_t first = entry->sched->start + entry->phase;

	if (time < first)
		return first;
	return first + ((time - first) / interval + 1) * interval;
}

void
sched_cancel(struct sched_entry *entry)
{
	loop_timer_stop(entry->timer);
	sched_queue_leave(entry);
	entry->due = false;
	if (entry->run != NULL)
		run_cancel(entry->run);
	entry->run = NULL;
}

/* Steady: the first tick of its phase after this start. In doubt: soon. */
static int64_t
next_turn(const struct sched_entry *entry)
{
	const struct conf_check *check = entry->check;

	if (check->class->passive)
		return entry->started + check->timeout_ms;
	if (health_in_doubt(&entry->judge.health))
		return entry->started + check->fast_interval_ms;
	return sched_tick_after(entry, entry->started);
}

/* Of a run that is over, or a report. If a check that this one depends on has turned
 * critical meanwhile, nobody knows what it is worth: the timer comes at once. */
static void
conclude(struct sched_entry *entry, const struct run_outcome *outcome)
{
	struct judge *judge = &entry->judge;
	bool was_critical = judge_is_critical(judge),
	     looked_at = sched_was_looked_at(entry);
	int64_t now = loop_now(entry->sched->loop);
	bool passive = entry->check->class->passive;

	if (sched_blocker(entry) != NULL)
		return;
	enum judge_news news = judge_record(
	    judge, entry->check, outcome, passive ? -1 : now - entry->started);
	sched_note_outcome(entry, outcome);
	if (passive)
		entry->started = now;
	loop_timer_at(entry->timer, next_turn(entry));
	sched_say(entry, news);
	if (entry->leads && (judge_is_critical(judge) != was_critical || !looked_at))
		sched_tell_dependents(entry->sched);
}

static void
on_done(void *owner, const struct run_outcome *outcome)
{
	struct sched_entry *entry = owner;

	entry->run = NULL;
	conclude(entry, outcome);
}

static uint64_t
run_number(const struct sched_entry *entry)
{
	return (uint64_t)entry->number << 32 | entry->slot;
}

static void
on_command(void *owner)
{
	struct sched_entry *entry = owner;
	struct sched *sched = entry->sched;
	const struct sched_out *out = &sched->out;

	sched->sequence = sched->sequence % INT32_MAX + 1;
	entry->number = sched->sequence;
	out->command(
	    out->arg, run_number(entry), entry->check, entry->check->timeout_ms);
}

static void
on_kill(void *owner)
{
	struct sched_entry *entry = owner;
	const struct sched_out *out = &entry->sched->out;

	entry->lingering = true;
	out->kill(out->arg, run_number(entry));
}

static int64_t
deadline_of(const struct sched_entry *entry)
{
	const struct conf_check *check = entry->check;

	return entry->started + check->timeout_ms +
	    (check->command != NULL ? RUNNER_FIRST_MS : 0);
}

void
sched_begin(struct sched_entry *entry)
{
	struct sched *sched = entry->sched;

	entry->last_look = false;
	entry->started = loop_now(sched->loop);
	loop_timer_at(entry->timer, deadline_of(entry));
	entry->due = entry->lingering;
	if (entry->due)
		return;
	entry->run =
	    run_new(sched->runs, entry->check, entry->check->timeout_ms, entry);
	run_begin(entry->run);
}

/* That the loop came here far too late says nothing of the service, nor that all threads
 * hang in other checks. */
static const char *
own_fault(const struct sched_entry *entry)
{
	int64_t late = loop_now(entry->sched->loop) - deadline_of(entry);

	if (late > entry->check->timeout_ms)
		return "lictor itself was held up for longer than the timeout";
	if (entry->run != NULL && run_lacks_thread(entry->run))
		return "lictor had no thread for it: all hang in other checks";
	return NULL;
}

/* Nor does it that somebody is silent who was asked about the service. */
static void
give_up(struct sched_entry *entry)
{
	int64_t timeout = entry->check->timeout_ms;
	const char *fault = own_fault(entry);
	struct run_outcome outcome = {
		.status =
		    entry->check->class->indirect ? CHECK_UNKNOWN : CHECK_CRITICAL,
		.reason = CHECK_REASON_TIMEOUT,
	};
	char limit[32], text[96];

	format_duration(timeout, limit, sizeof(limit));
	snprintf(text, sizeof(text),
	    entry->check->class->passive ? "nobody has reported within %s"
		: entry->due ? "the command of the run before has not ended within %s"
			     : "not done within %s",
	    limit);
	outcome.text = text;
	if (fault != NULL)
		outcome = (struct run_outcome){ .status = CHECK_UNKNOWN,
			.reason = CHECK_REASON_LOCAL,
			.text = fault };
	sched_cancel(entry);
	conclude(entry, &outcome);
}

/* If the loop is late an answer may have come in time that nobody has read yet: what there is
 * is read before the next turn. */
static void
look_again(struct sched_entry *entry)
{
	entry->last_look = true;
	loop_timer_at(entry->timer, loop_now(entry->sched->loop));
}

/* It is time to look at this one: it may be held back, begin, or be out of time. */
static void
turn(struct sched_entry *entry)
{
	const struct sched_entry *blocker = sched_blocker(entry);
	bool open = entry->run != NULL || entry->due || entry->check->class->passive;

	if (blocker != NULL) {
		sched_hold_back(entry, blocker);
		return;
	}
	int64_t first = entry->sched->start + entry->put_off_ms;
	if (loop_now(entry->sched->loop) < first)
		loop_timer_at(entry->timer, first);
	else if (!open)
		sched_queue_up(entry);
	else if (loop_now(entry->sched->loop) < deadline_of(entry))
		loop_timer_at(entry->timer, deadline_of(entry));
	else if (!entry->last_look)
		look_again(entry);
	else
		give_up(entry);
}

static void
on_timer(void *arg)
{
	turn(arg);
}

/* ---- life ---- */

void
sched_entry_set(struct sched_entry *entry, const struct conf_check *check)
{
	char label[CONF_LABEL_MAX];

	conf_check_label(check, label);
	entry->check = check;
	entry->phase =
	    (uint32_t)(fnv1a64(label, strlen(label)) % (uint64_t)check->interval_ms);
	entry->phase -= entry->phase % PHASE_MS;
}

struct sched_entry *
sched_entry_new(struct sched *sched, const struct conf_check *check, uint32_t slot)
{
	struct sched_entry *entry = xcalloc(1, sizeof(*entry));

	entry->sched = sched;
	entry->slot = slot;
	entry->timer = loop_timer_new(sched->loop, on_timer, entry);
	sched_entry_set(entry, check);
	judge_init(&entry->judge, check);
	sched->slots[slot] = entry;
	return entry;
}

void
sched_entry_free(struct sched_entry *entry)
{
	sched_cancel(entry);
	entry->sched->slots[entry->slot] = NULL;
	loop_timer_free(entry->timer);
	judge_clear(&entry->judge);
	free(entry);
}

void
sched_link(struct sched *sched)
{
	sched->depends = false;
	for (size_t i = 0; i < sched->n_entries; i++)
		sched->entries[i]->leads = false;
	for (size_t i = 0; i < sched->n_entries; i++) {
		const struct conf_check *up = sched->entries[i]->check->depends_on;
		if (up == NULL)
			continue;
		sched->entries[up->index]->leads = true;
		sched->depends = true;
	}
}

struct sched *
sched_new(const struct run_servants *servants, const struct conf *conf,
    const struct sched_out *out)
{
	static const struct runs_out runs_out = { on_done, on_command, on_kill };
	struct sched *sched = xcalloc(1, sizeof(*sched));

	sched->loop = servants->loop;
	sched->out = *out;
	sched->runs = runs_new(servants, &runs_out);
	sched_queue_init(sched);
	sched->n_entries = sched->n_slots = conf->n_checks;
	sched->entries = xcalloc(conf->n_checks, sizeof(struct sched_entry *));
	sched->slots = xcalloc(conf->n_checks, sizeof(struct sched_entry *));
	for (uint32_t i = 0; i < conf->n_checks; i++)
		sched->entries[i] = sched_entry_new(sched, conf->checks[i], i);
	sched_link(sched);
	return sched;
}

bool
sched_free(struct sched *sched)
{
	if (sched == NULL)
		return true;
	for (size_t i = 0; i < sched->n_entries; i++)
		sched_entry_free(sched->entries[i]);
	loop_timer_free(sched->next);
	bool ended = runs_free(sched->runs);
	free(sched->entries);
	free(sched->slots);
	free(sched);
	return ended;
}

void
sched_adopt(
    struct sched *sched, uint32_t check, enum check_status status, const char *output)
{
	struct sched_entry *entry = sched->entries[check];
	bool excused = entry->left_out || entry->put_off_ms > 0;

	assert(!sched->started);
	judge_adopt(&entry->judge, entry->check, status, excused ? NULL : output);
}

int64_t
sched_spread(size_t count, int64_t interval)
{
	int64_t all = (int64_t)count * FIRST_RUN_MS;

	if (all < FIRST_RUNS_MS)
		all = FIRST_RUNS_MS;
	return all < interval ? all : interval;
}

void
sched_entry_start(struct sched_entry *entry, int64_t spread)
{
	const struct sched_entry *blocker = sched_blocker(entry);

	entry->started = loop_now(entry->sched->loop);
	if (entry->left_out || entry->put_off_ms > 0)
		sched_say(entry, JUDGE_OUTPUT);
	if (!entry->left_out && blocker != NULL)
		sched_hold_back(entry, blocker);
	else if (!entry->left_out)
		loop_timer_at(entry->timer,
		    entry->started + entry->put_off_ms + entry->phase % spread);
}

void
sched_start(struct sched *sched)
{
	sched->started = true;
	sched->start = loop_now(sched->loop);
	for (size_t i = 0; i < sched->n_entries; i++) {
		struct sched_entry *entry = sched->entries[i];
		sched_entry_start(
		    entry, sched_spread(sched->n_entries, entry->check->interval_ms));
	}
}

void
sched_put_off(struct sched *sched, const struct check_class *class, int64_t delay_ms,
    const char *why)
{
	assert(!sched->started);
	for (size_t i = 0; i < sched->n_entries; i++) {
		struct sched_entry *entry = sched->entries[i];
		if (entry->check->class != class || entry->left_out)
			continue;
		entry->put_off_ms = (uint32_t)delay_ms;
		judge_excuse(&entry->judge, entry->check, why);
	}
}

void
sched_leave_out(struct sched *sched, const struct check_class *class, const char *why)
{
	size_t count = 0;

	for (size_t i = 0; i < sched->n_entries; i++) {
		struct sched_entry *entry = sched->entries[i];
		if (entry->check->class != class || entry->left_out)
			continue;
		count++;
		sched_cancel(entry);
		entry->left_out = true;
		enum judge_news news = judge_excuse(&entry->judge, entry->check, why);
		if (sched->started)
			sched_say(entry, news);
	}
	if (count == 0)
		return;
	log_warning("check", "the checks of type %s (%zu) stay as they are: %s",
	    class->name, count, why);
	if (sched->started)
		sched_tell_dependents(sched);
}

int
sched_report(
    struct sched *sched, uint32_t check, enum check_status status, const char *output)
{
	static const enum check_reason reasons[] = {
		[CHECK_PASSING] = CHECK_REASON_OK,
		[CHECK_WARNING] = CHECK_REASON_STATE,
		[CHECK_CRITICAL] = CHECK_REASON_STATE,
		[CHECK_UNKNOWN] = CHECK_REASON_LOCAL,
	};
	struct sched_entry *entry = sched->entries[check];
	struct run_outcome outcome = {
		.status = status, .reason = reasons[status], .text = output
	};

	if (!entry->check->class->passive || entry->left_out)
		return -EINVAL;
	if (!sched->started)
		return -EAGAIN;
	conclude(entry, &outcome);
	return 0;
}

/* ---- the runner ---- */

static struct sched_entry *
find_command(struct sched *sched, uint64_t run)
{
	uint32_t slot = (uint32_t)run;
	struct sched_entry *entry = slot < sched->n_slots ? sched->slots[slot] : NULL;

	if (entry == NULL || entry->number == 0 || run_number(entry) != run)
		return NULL;
	return entry;
}

void
sched_command_started(struct sched *sched, uint64_t run)
{
	struct sched_entry *entry = find_command(sched, run);

	if (entry == NULL || entry->run == NULL)
		return;
	entry->started = loop_now(sched->loop);
	entry->last_look = false;
	loop_timer_at(entry->timer, deadline_of(entry));
}

void
sched_command_ended(struct sched *sched, uint64_t run, const struct check_exit *exit)
{
	struct sched_entry *entry = find_command(sched, run);

	if (entry == NULL)
		return;
	if (entry->run != NULL) {
		run_command_ended(entry->run, exit);
	} else if (entry->lingering) {
		entry->lingering = false;
		if (!entry->due)
			return;
		entry->due = false;
		turn(entry);
	}
}

bool
sched_hangs(const struct sched *sched)
{
	return runs_hang(sched->runs);
}

void
sched_state(const struct sched *sched, uint32_t check, struct sched_state *out)
{
	const struct sched_entry *entry = sched->entries[check];

	judge_state(&entry->judge, entry->check, out);
}
