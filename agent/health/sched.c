/* SPDX-License-Identifier: ISC */
/*
 * When checks run, for how long, and who is told. Each check has one timer: it waits for
 * its next start or, while it runs, for its deadline; so no two runs of it can overlap. A
 * steady check starts at the ticks of its own phase, which no run can move: checks drift
 * neither together nor into each other. A command that was told to end still counts as
 * running until the runner says that it has ended.
 * What an outcome means is health's to say; what follows from a new state is for those
 * behind `out`. The scheduler says a change in the log, once.
 */
#include "agent/health/sched.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/health/health.h"
#include "agent/health/output.h"
#include "agent/health/run.h"

#define FIRST_RUNS_MS 500 /* all checks have begun by then */
/* The runner keeps the deadline of a command too, and knows more: what the command wrote,
 * or that it never had its turn and nobody is to blame. */
#define RUNNER_FIRST_MS 50
#define LOGGED_MAX 200 /* bytes of output in a log line */

struct entry {
	struct sched *sched;
	const struct conf_check *check;
	char *name;
	int64_t phase; /* its ticks, in milliseconds after the start of the scheduler */
	struct loop_timer *timer;
	struct check_run *run; /* NULL: none */
	uint64_t number; /* of the newest run with a command */
	uint64_t lingering; /* a run's command that has not ended yet, or 0 */
	bool due; /* a run has begun that waits for the lingering one */
	int64_t started, deadline;
	struct health health;
	bool unjudged; /* the newest outcome was unknown */
	char *output;
	struct run_metric *metrics;
	struct sched_state state;
};

struct sched {
	struct loop *loop;
	struct runs *runs;
	struct sched_out out;
	struct entry *entries;
	size_t n_entries;
	uint64_t sequence; /* of runs with a command: 1 to INT32_MAX, over again */
	int64_t start;
};

/* "old -> new, because why", one line. */
static void
log_state(const struct entry *entry, bool first, enum check_status old)
{
	const struct sched_state *state = &entry->state;
	bool well = state->status == CHECK_PASSING;
	int len = (int)strcspn(state->output, "\n");

	log_line(first && well ? LOG_LEVEL_INFO : LOG_LEVEL_NOTICE, "check",
	    "%s: %s -> %s, because %s: %.*s", entry->name,
	    first ? "not known" : check_status_name(old),
	    check_status_name(state->status), check_reason_name(state->reason),
	    len < LOGGED_MAX ? len : LOGGED_MAX, state->output);
}

/* Said when runs begin to fail by us and when they are judged again, not in between. */
static void
log_unjudged(struct entry *entry, bool unjudged)
{
	if (entry->unjudged == unjudged)
		return;
	entry->unjudged = unjudged;
	if (unjudged)
		log_warning("check", "%s: stays %s, because it cannot be judged: %.*s",
		    entry->name, check_status_name(entry->state.status),
		    (int)strcspn(entry->state.output, "\n"), entry->state.output);
	else
		log_notice("check", "%s: can be judged again", entry->name);
}

/* Steady: the first tick of its phase after this start. In doubt: soon. */
static int64_t
next_start(const struct entry *entry)
{
	const struct conf_check *check = entry->check;
	int64_t first = entry->sched->start + entry->phase;

	if (health_in_doubt(&entry->health))
		return entry->started + check->fast_interval_ms;
	if (entry->started < first)
		return first;
	int64_t ticks = (entry->started - first) / check->interval_ms;
	return first + (ticks + 1) * check->interval_ms;
}

static bool
set_output(struct entry *entry, const char *text)
{
	const struct conf_check *check = entry->check;
	char *output = output_clean(
	    text, strlen(text), check->output_size, check->command != NULL);

	if (strcmp(output, entry->output) == 0) {
		free(output);
		return false;
	}
	free(entry->output);
	entry->output = output;
	entry->state.output = output;
	return true;
}

static void
keep_metrics(struct entry *entry, const struct run_outcome *outcome)
{
	struct sched_state *state = &entry->state;

	if (outcome->n_metrics != state->n_metrics) {
		free(entry->metrics);
		entry->metrics = NULL;
	}
	if (outcome->n_metrics > 0) {
		entry->metrics = xrealloc(
		    entry->metrics, outcome->n_metrics, sizeof(*entry->metrics));
		memcpy(entry->metrics, outcome->metrics,
		    outcome->n_metrics * sizeof(*entry->metrics));
	}
	state->metrics = entry->metrics;
	state->n_metrics = outcome->n_metrics;
}

/* The one place where outcomes arrive. */
static void
conclude(struct entry *entry, const struct run_outcome *outcome)
{
	const struct conf_check *check = entry->check;
	const struct sched_out *out = &entry->sched->out;
	struct sched_state *state = &entry->state;
	bool unknown = outcome->status == CHECK_UNKNOWN, first = !state->known;
	enum check_status old = state->status;

	bool said = set_output(entry, outcome->text);
	keep_metrics(entry, outcome);
	bool news =
	    health_record(&entry->health, outcome->status, check->rise, check->fall);
	state->status = entry->health.state;
	state->known = entry->health.known;
	state->row = entry->health.row;
	state->runs++;
	state->last_run_ms = loop_now(entry->sched->loop) - entry->started;
	state->reason = outcome->reason;
	loop_timer_at(entry->timer, next_start(entry));
	log_debug("check", "%s: run ended, %s, %s", entry->name,
	    check_status_name(outcome->status), check_reason_name(outcome->reason));
	log_unjudged(entry, unknown);
	if (news) {
		state->changed_at = clock_wall_ms();
		log_state(entry, first, old);
		out->changed(out->arg, check, state);
	} else if (said) {
		out->output(out->arg, check, state);
	}
}

static void
on_done(void *owner, const struct run_outcome *outcome)
{
	struct entry *entry = owner;

	entry->run = NULL;
	conclude(entry, outcome);
}

static void
on_command(void *owner)
{
	struct entry *entry = owner;
	struct sched *sched = entry->sched;
	const struct sched_out *out = &sched->out;

	sched->sequence = sched->sequence % INT32_MAX + 1;
	entry->number = sched->sequence << 32 | entry->check->index;
	out->command(out->arg, entry->number, entry->check, entry->check->timeout_ms);
}

static void
on_kill(void *owner)
{
	struct entry *entry = owner;
	const struct sched_out *out = &entry->sched->out;

	entry->lingering = entry->number;
	out->kill(out->arg, entry->number);
}

static void
begin(struct entry *entry)
{
	struct sched *sched = entry->sched;

	entry->started = loop_now(sched->loop);
	entry->deadline = entry->started + entry->check->timeout_ms;
	if (entry->check->command != NULL)
		entry->deadline += RUNNER_FIRST_MS;
	loop_timer_at(entry->timer, entry->deadline);
	entry->due = entry->lingering != 0;
	if (entry->due)
		return;
	entry->run =
	    run_new(sched->runs, entry->check, entry->check->timeout_ms, entry);
	run_begin(entry->run);
}

/* That the loop came here far too late says nothing of the service. */
static void
give_up(struct entry *entry)
{
	int64_t timeout = entry->check->timeout_ms;
	bool late = loop_now(entry->sched->loop) - entry->deadline > timeout;
	struct run_outcome outcome = { CHECK_CRITICAL, CHECK_REASON_TIMEOUT, NULL };
	char limit[32], text[96];

	format_duration(timeout, limit, sizeof(limit));
	snprintf(text, sizeof(text),
	    entry->due ? "the command of the run before has not ended within %s"
		       : "not done within %s",
	    limit);
	outcome.text = text;
	if (late)
		outcome = (struct run_outcome){ CHECK_UNKNOWN, CHECK_REASON_LOCAL,
			"lictor itself was held up for longer than the timeout" };
	if (entry->run != NULL)
		run_cancel(entry->run);
	entry->run = NULL;
	entry->due = false;
	conclude(entry, &outcome);
}

static void
on_timer(void *arg)
{
	struct entry *entry = arg;

	if (entry->run != NULL || entry->due)
		give_up(entry);
	else
		begin(entry);
}

static void
entry_init(struct entry *entry, struct sched *sched, const struct conf_check *check)
{
	const struct conf_service *service = check->service;

	entry->sched = sched;
	entry->check = check;
	entry->name = service != NULL ? xasprintf("%s/%s", service->name, check->name)
				      : xstrdup(check->name);
	entry->phase = (int64_t)(fnv1a64(entry->name, strlen(entry->name)) %
	    (uint64_t)check->interval_ms);
	entry->timer = loop_timer_new(sched->loop, on_timer, entry);
	entry->output = xstrdup("");
	health_init(&entry->health, check->initial);
	entry->state = (struct sched_state){
		.status = check->initial,
		.output = entry->output,
		.last_run_ms = -1,
	};
}

static void
entry_clear(struct entry *entry)
{
	if (entry->run != NULL)
		run_cancel(entry->run);
	loop_timer_free(entry->timer);
	free(entry->name);
	free(entry->output);
	free(entry->metrics);
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
	sched->n_entries = conf->n_checks;
	sched->entries = xcalloc(conf->n_checks, sizeof(*sched->entries));
	for (size_t i = 0; i < conf->n_checks; i++)
		entry_init(&sched->entries[i], sched, conf->checks[i]);
	return sched;
}

bool
sched_free(struct sched *sched)
{
	if (sched == NULL)
		return true;
	for (size_t i = 0; i < sched->n_entries; i++)
		entry_clear(&sched->entries[i]);
	bool ended = runs_free(sched->runs);
	free(sched->entries);
	free(sched);
	return ended;
}

void
sched_adopt(
    struct sched *sched, uint32_t check, enum check_status status, const char *output)
{
	struct entry *entry = &sched->entries[check];

	health_adopt(&entry->health, status);
	set_output(entry, output);
	entry->state.status = status;
	entry->state.known = true;
}

void
sched_start(struct sched *sched)
{
	sched->start = loop_now(sched->loop);
	for (size_t i = 0; i < sched->n_entries; i++) {
		struct entry *entry = &sched->entries[i];
		int64_t interval = entry->check->interval_ms;
		int64_t spread = interval < FIRST_RUNS_MS ? interval : FIRST_RUNS_MS;
		loop_timer_at(entry->timer, sched->start + entry->phase % spread);
	}
}

void
sched_command_ended(struct sched *sched, uint64_t run, const struct check_exit *exit)
{
	uint32_t index = (uint32_t)run;

	if (run == 0 || index >= sched->n_entries)
		return;
	struct entry *entry = &sched->entries[index];
	if (entry->run != NULL && entry->number == run) {
		run_command_ended(entry->run, exit);
	} else if (entry->lingering == run) {
		entry->lingering = 0;
		if (entry->due)
			begin(entry);
	}
}

void
sched_runner_lost(struct sched *sched)
{
	static const char why[] = "the runner is gone";
	static const struct run_outcome unknown = { CHECK_UNKNOWN, CHECK_REASON_LOCAL,
		why };
	static const struct check_exit exit = {
		.how = CHECK_NOT_RUN,
		.output = why,
		.output_len = sizeof(why) - 1,
	};

	for (size_t i = 0; i < sched->n_entries; i++) {
		struct entry *entry = &sched->entries[i];
		bool due = entry->due;
		entry->lingering = 0;
		entry->due = false;
		if (entry->run != NULL)
			run_command_ended(entry->run, &exit);
		else if (due)
			conclude(entry, &unknown);
	}
}

const struct sched_state *
sched_state(const struct sched *sched, uint32_t check)
{
	return &sched->entries[check].state;
}
