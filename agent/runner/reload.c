/* SPDX-License-Identifier: ISC */
/*
 * A reload, from the signal or the operator's request to the answer. The next configuration
 * is made and owned by the draft until it counts, and the runner's from then on; the rest is
 * commit.c's to decide, and what it decides is carried out here. What is wrong is said once,
 * to the log and to whoever asked, and leaves everything as it was.
 */
#include "agent/runner/reload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/runner/commit.h"
#include "agent/runner/draft.h"
#include "agent/runner/notify.h"
#include "agent/runner/process.h"

#define PREPARE_MS 10000
#define TURN_MS 10000
#define YIELD_MS 15000 /* the agent lets go after 10 s */
#define ASKERS_MAX 64

/* Operators that wait for an answer. */
struct askers {
	uint64_t requests[ASKERS_MAX];
	size_t count;
};

struct reload {
	struct draft *draft;
	struct process *processes[COMMIT_PROCESSES];
	const struct conf *conf; /* that counts */
	struct reload_out out;
	struct commit commit;
	struct loop_timer *limit;
	enum commit_state limited; /* the state that `limit` is of */
	bool ready; /* systemd was told so */
	struct askers open, waiting; /* since before the files were read; since then */
	bool good; /* what came of it, … */
	char why[WIRE_WHY_MAX]; /* … in words */
	char what[WIRE_WHY_MAX / 2]; /* the next one changes, in words */
};

static enum commit_process
which(const struct process *process)
{
	return process->kind == WIRE_AGENT ? COMMIT_AGENT : COMMIT_WARDEN;
}

/* ---- the beginning and the end ---- */

static void
tell_reloading(void)
{
	struct timespec now;
	char text[64];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
	    (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	notify_send(text);
}

/* The files are read in the next turn. */
static void
begin(struct reload *reload)
{
	reload->open = reload->waiting;
	reload->waiting.count = 0;
	reload->good = false;
	if (reload->ready)
		tell_reloading();
	draft_read(reload->draft, reload->conf);
}

void
reload_answer(const struct reload *reload, uint64_t request, bool good, const char *why)
{
	struct wire_message message = { .type = WIRE_RELOADED,
		.reloaded = { .request = request, .ok = good } };
	const struct process *agent = reload->processes[COMMIT_AGENT];

	str_copy(message.reloaded.why, sizeof(message.reloaded.why), why);
	if (agent->wire != NULL)
		wire_send(agent->wire, &message, -1);
}

static void
answer(struct reload *reload)
{
	if (reload->good)
		log_notice("runner", "%s", reload->why);
	else
		log_error(
		    "runner", "the configuration stays as it was: %s", reload->why);
	for (size_t i = 0; i < reload->open.count; i++)
		reload_answer(
		    reload, reload->open.requests[i], reload->good, reload->why);
	reload->open.count = 0;
	draft_drop(reload->draft);
	if (reload->ready)
		notify_send("READY=1");
}

/* ---- what the machine decides ---- */

static void
send_step(struct process *process, uint32_t type, uint64_t next)
{
	struct wire_message message = { .type = type, .step = { next } };

	if (process->wire != NULL)
		wire_send(process->wire, &message, -1);
}

static void
prepare(const struct reload *reload, struct process *process)
{
	const struct process_conf *next = draft_as_started(reload->draft);
	struct wire_message message = { .type = WIRE_PREPARE,
		.prepare = { next->generation } };

	if (process->wire != NULL)
		wire_send(process->wire, &message, next->fd);
}

static void
swap(struct reload *reload)
{
	struct process_conf as_started;
	struct conf *next = draft_take(reload->draft, &as_started);

	snprintf(reload->why, sizeof(reload->why), "reloaded: %s", reload->what);
	reload->good = true;
	reload->conf = next;
	reload->out.swap(reload->out.arg, next, &as_started);
	for (int i = 0; i < COMMIT_PROCESSES; i++)
		reload->processes[i]->conf = &reload->processes[i]->shared->conf;
}

static void
commit(struct process *process)
{
	send_step(process, WIRE_COMMIT, process->shared->conf.generation);
	if (process->wire != NULL)
		process_turn(process);
}

static void
bear(struct reload *reload)
{
	struct process *warden = reload->processes[COMMIT_WARDEN];

	warden->conf = draft_as_started(reload->draft);
	process_start(warden);
}

static void
dismiss(struct reload *reload)
{
	struct process *warden = reload->processes[COMMIT_WARDEN];

	warden->conf = &warden->shared->conf;
	process_give_up(warden);
	process_kill(warden);
}

static int64_t
limit_of(const struct reload *reload)
{
	switch (reload->commit.state) {
	case COMMIT_PREPARING: return PREPARE_MS;
	case COMMIT_YIELDING: return YIELD_MS + conf_longest_hook(reload->conf);
	case COMMIT_TURNING: return TURN_MS;
	case COMMIT_IDLE:
	case COMMIT_TRYING:
	case COMMIT_STATES: break;
	}
	return 0;
}

static void
set_limit(struct reload *reload)
{
	enum commit_state state = reload->commit.state;

	if (reload->limited == state)
		return;
	reload->limited = state;
	loop_timer_stop(reload->limit);
	if (limit_of(reload) > 0)
		loop_timer_after(reload->limit, limit_of(reload));
}

static void
carry_out(struct reload *reload, unsigned int actions)
{
	struct process *agent = reload->processes[COMMIT_AGENT];
	struct process *warden = reload->processes[COMMIT_WARDEN];
	uint64_t next = draft_as_started(reload->draft)->generation;

	if ((actions & COMMIT_CANCEL) != 0)
		draft_drop(reload->draft);
	if ((actions & COMMIT_PREPARE) != 0)
		prepare(reload, agent);
	if ((actions & COMMIT_PREPARE_WARDEN) != 0)
		prepare(reload, warden);
	if ((actions & COMMIT_BEAR) != 0)
		bear(reload);
	if ((actions & COMMIT_YIELD) != 0)
		send_step(agent, WIRE_YIELD, next);
	if ((actions & COMMIT_SWAP) != 0)
		swap(reload);
	if ((actions & COMMIT_COMMIT) != 0)
		commit(agent);
	if ((actions & COMMIT_COMMIT_WARDEN) != 0)
		commit(warden);
	if ((actions & COMMIT_ABORT) != 0)
		send_step(agent, WIRE_ABORT, next);
	if ((actions & COMMIT_ABORT_WARDEN) != 0)
		send_step(warden, WIRE_ABORT, next);
	if ((actions & COMMIT_KILL) != 0)
		process_kill(agent);
	if ((actions & COMMIT_KILL_WARDEN) != 0)
		process_kill(warden);
	if ((actions & COMMIT_DISMISS) != 0)
		dismiss(reload);
}

static void
step(struct reload *reload, const struct commit_event *event)
{
	unsigned int actions = commit_step(&reload->commit, event);

	set_limit(reload);
	carry_out(reload, actions);
	if ((actions & COMMIT_ANSWER) != 0) {
		answer(reload);
		reload->out.over(reload->out.arg);
	}
	if ((actions & COMMIT_READ) != 0)
		begin(reload);
}

static void
step_simply(struct reload *reload, enum commit_happening happening)
{
	step(reload, &(struct commit_event){ .happening = happening });
}

/* ---- what happens ---- */

static void
on_tried(void *arg, enum draft_verdict verdict, const char *words)
{
	struct reload *reload = arg;
	struct commit_event event = { .happening = COMMIT_TRIED,
		.good = verdict == DRAFT_GOOD };

	if (event.good) {
		event.warden_now = reload->conf->n_vips > 0;
		event.warden_next = draft_conf(reload->draft)->n_vips > 0;
		str_copy(reload->what, sizeof(reload->what), words);
	} else {
		reload->good = verdict == DRAFT_SAME;
		str_copy(reload->why, sizeof(reload->why), words);
	}
	step(reload, &event);
}

static bool
is_preparing(const struct reload *reload)
{
	return reload->commit.state == COMMIT_PREPARING ||
	    reload->commit.state == COMMIT_YIELDING;
}

/* Why it is given up, should it be. */
static void
blame(struct reload *reload, const char *what, const char *name)
{
	if (is_preparing(reload))
		snprintf(reload->why, sizeof(reload->why), "the %s %s", name, what);
}

/* The process that is waited for. */
static const char *
late_name(const struct reload *reload)
{
	enum commit_part part = reload->commit.parts[COMMIT_AGENT];
	bool agent = part == COMMIT_TOLD || part == COMMIT_TURNS ||
	    reload->commit.state == COMMIT_YIELDING;

	return reload->processes[agent ? COMMIT_AGENT : COMMIT_WARDEN]->name;
}

static void
on_limit(void *arg)
{
	struct reload *reload = arg;

	if (reload->commit.state == COMMIT_TURNING)
		log_error("runner",
		    "the %s is killed, for it did not take the new configuration "
		    "within %d s",
		    late_name(reload), TURN_MS / 1000);
	blame(reload,
	    reload->commit.state == COMMIT_YIELDING
		? "could not give away in time what is no longer configured"
		: "did not say within 10 s that it can take the new configuration",
	    late_name(reload));
	step_simply(reload, COMMIT_LATE);
}

void
reload_ask(struct reload *reload, uint64_t request)
{
	struct askers *waiting = &reload->waiting;

	if (reload->commit.stopped || waiting->count == ASKERS_MAX) {
		if (request != 0)
			reload_answer(reload, request, false,
			    reload->commit.stopped ? "lictord is stopping"
						   : "too many wait for a reload");
		return;
	}
	if (request != 0)
		waiting->requests[waiting->count++] = request;
	step_simply(reload, COMMIT_ASKED);
}

void
reload_stop(struct reload *reload)
{
	const struct askers *waiting = &reload->waiting;

	for (size_t i = 0; i < waiting->count; i++)
		reload_answer(
		    reload, waiting->requests[i], false, "lictord is stopping");
	reload->waiting.count = 0;
	if (reload->commit.state == COMMIT_TRYING || is_preparing(reload))
		str_copy(reload->why, sizeof(reload->why), "lictord is stopping");
	step_simply(reload, COMMIT_STOPPED);
}

void
reload_started(struct reload *reload, struct process *process)
{
	bool born = process->conf != &process->shared->conf;

	step(reload,
	    &(struct commit_event){ .process = which(process),
		.happening = born ? COMMIT_BORN : COMMIT_STARTED });
	if (born)
		process_ping(process);
}

static void
take_prepared(struct reload *reload, const struct process *process,
    const struct wire_prepared *prepared)
{
	struct commit_event event = { .happening = COMMIT_PREPARED,
		.process = which(process),
		.good = prepared->ok != 0 &&
		    prepared->next == draft_as_started(reload->draft)->generation };

	if (!event.good && is_preparing(reload))
		text_escape(reload->why, sizeof(reload->why), prepared->why,
		    strlen(prepared->why));
	else if (prepared->why[0] != '\0' && is_preparing(reload))
		text_escape(reload->what, sizeof(reload->what), prepared->why,
		    strlen(prepared->why));
	step(reload, &event);
}

/* A process that was born with the next configuration needs only to live. */
static void
take_pong(struct reload *reload, const struct process *process)
{
	struct commit_event event = {
		.happening = COMMIT_PREPARED, .process = which(process), .good = true
	};

	if (process->conf != &process->shared->conf)
		step(reload, &event);
}

void
reload_message(struct reload *reload, const struct process *process,
    const struct wire_message *message)
{
	struct commit_event event = { .process = which(process) };

	if (message->type == WIRE_READY) {
		reload->ready = true;
		notify_send("READY=1");
	} else if (message->type == WIRE_RELOAD) {
		reload_ask(reload, message->reload.request);
	} else if (message->type == WIRE_PONG) {
		take_pong(reload, process);
	} else if (message->type == WIRE_PREPARED) {
		take_prepared(reload, process, &message->prepared);
	} else if (message->type == WIRE_YIELDED) {
		event.happening = COMMIT_YIELDED;
		step(reload, &event);
	} else if (message->type == WIRE_COMMITTED) {
		event.happening = COMMIT_TURNED;
		step(reload, &event);
	}
}

/* The operators that asked through an agent are gone with it. */
void
reload_ended(struct reload *reload, const struct process *process)
{
	struct commit_event event = { .happening = COMMIT_ENDED,
		.process = which(process) };

	if (event.process == COMMIT_AGENT)
		reload->open.count = reload->waiting.count = 0;
	blame(reload, "ended while it looked at the new configuration", process->name);
	step(reload, &event);
}

bool
reload_turns(const struct reload *reload)
{
	return reload->commit.state == COMMIT_TURNING;
}

bool
reload_idle(const struct reload *reload)
{
	return reload->commit.state == COMMIT_IDLE && reload->waiting.count == 0;
}

struct reload *
reload_new(struct loop *loop, const char *folder, struct process *agent,
    struct process *warden, const struct conf *conf, const struct reload_out *out)
{
	struct reload *reload = xcalloc(1, sizeof(*reload));
	struct draft_out draft_out = { on_tried, reload };

	reload->draft = draft_new(loop, folder, &draft_out);
	reload->processes[COMMIT_AGENT] = agent;
	reload->processes[COMMIT_WARDEN] = warden;
	reload->conf = conf;
	reload->out = *out;
	reload->limit = loop_timer_new(loop, on_limit, reload);
	return reload;
}

void
reload_free(struct reload *reload)
{
	if (reload == NULL)
		return;
	draft_free(reload->draft);
	loop_timer_free(reload->limit);
	free(reload);
}
