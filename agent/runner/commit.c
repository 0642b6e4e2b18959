/* SPDX-License-Identifier: ISC */
/*
 * Two phases for two processes. Each first takes the next configuration aside and says
 * whether it can; nothing has changed so far, and a no, a death or a silence of either ends
 * it with an abort to the rest. Then the next one counts (COMMIT_SWAP), and both are told.
 * Who dies after that is started with it, and who does not turn is killed, so no process can
 * stay behind.
 *
 * A process that is not there when a reload comes to it holds nobody up: it will be started
 * with what counts then. So a configuration that lets the agent crash can be replaced.
 */
#include "agent/runner/commit.h"

#include <stddef.h>

/* The warden is there, or is about to be, for the sake of the next one alone. */
static bool
is_first_warden(const struct commit *commit)
{
	return commit->warden_next && !commit->warden_now;
}

/* Is it asked, and has not answered? */
static bool
is_awaited(const struct commit *commit, enum commit_process process)
{
	enum commit_part part = commit->parts[process];

	return part == COMMIT_TOLD || part == COMMIT_UNBORN ||
	    (part == COMMIT_LEAVES && is_first_warden(commit));
}

static unsigned int
prepare(struct commit *commit, enum commit_process process)
{
	commit->parts[process] = COMMIT_TOLD;
	commit->owed[process]++;
	return process == COMMIT_AGENT ? COMMIT_PREPARE : COMMIT_PREPARE_WARDEN;
}

static unsigned int
bear(struct commit *commit)
{
	commit->parts[COMMIT_WARDEN] = COMMIT_UNBORN;
	return COMMIT_BEAR;
}

static unsigned int
dismiss(struct commit *commit)
{
	enum commit_part *part = &commit->parts[COMMIT_WARDEN];

	*part = *part == COMMIT_ABSENT || *part == COMMIT_UNBORN ? COMMIT_ABSENT
								 : COMMIT_LEAVES;
	return COMMIT_DISMISS;
}

/* Whoever asked meanwhile may have changed the files since they were read. */
static unsigned int
finish(struct commit *commit)
{
	bool again = commit->again && !commit->stopped;

	commit->again = false;
	commit->state = again ? COMMIT_TRYING : COMMIT_IDLE;
	return COMMIT_ANSWER | (again ? COMMIT_READ : 0);
}

static unsigned int
abandon(struct commit *commit)
{
	unsigned int actions = 0;

	for (int i = 0; i < COMMIT_PROCESSES; i++) {
		enum commit_part *part = &commit->parts[i];
		if (i == COMMIT_WARDEN && is_first_warden(commit)) {
			actions |= dismiss(commit);
		} else if (*part == COMMIT_TOLD || *part == COMMIT_READY) {
			actions |=
			    i == COMMIT_AGENT ? COMMIT_ABORT : COMMIT_ABORT_WARDEN;
			*part = COMMIT_RUNS;
		}
	}
	return actions | finish(commit);
}

static unsigned int
end_turning(struct commit *commit)
{
	for (int i = 0; i < COMMIT_PROCESSES; i++)
		if (commit->parts[i] == COMMIT_TURNS)
			return 0;
	return (commit->warden_next ? 0 : dismiss(commit)) | finish(commit);
}

static unsigned int
turn(struct commit *commit)
{
	unsigned int actions = COMMIT_SWAP;

	commit->state = COMMIT_TURNING;
	for (int i = 0; i < COMMIT_PROCESSES; i++) {
		enum commit_part *part = &commit->parts[i];
		if (i == COMMIT_WARDEN && is_first_warden(commit)) {
			*part = *part == COMMIT_READY ? COMMIT_RUNS : *part;
		} else if (*part == COMMIT_READY) {
			*part = COMMIT_TURNS;
			actions |=
			    i == COMMIT_AGENT ? COMMIT_COMMIT : COMMIT_COMMIT_WARDEN;
		}
	}
	return actions | end_turning(commit);
}

/* A process said something or vanished: what is next? */
static unsigned int
advance(struct commit *commit)
{
	for (int i = 0; i < COMMIT_PROCESSES; i++)
		if (is_awaited(commit, (enum commit_process)i))
			return 0;
	if (commit->state == COMMIT_PREPARING &&
	    commit->parts[COMMIT_AGENT] == COMMIT_READY) {
		commit->state = COMMIT_YIELDING;
		commit->yielded = false;
		return COMMIT_YIELD;
	}
	if (commit->state == COMMIT_PREPARING || commit->yielded)
		return turn(commit);
	return 0;
}

static unsigned int
take_tried(struct commit *commit, const struct commit_event *event)
{
	unsigned int actions = 0;

	if (commit->state != COMMIT_TRYING)
		return 0;
	if (!event->good)
		return finish(commit);
	commit->state = COMMIT_PREPARING;
	commit->warden_now = event->warden_now;
	commit->warden_next = event->warden_next;
	for (int i = 0; i < COMMIT_PROCESSES; i++)
		if (commit->parts[i] == COMMIT_RUNS)
			actions |= prepare(commit, (enum commit_process)i);
	if (is_first_warden(commit) && commit->parts[COMMIT_WARDEN] == COMMIT_ABSENT)
		actions |= bear(commit);
	return actions | advance(commit);
}

static bool
is_preparing(const struct commit *commit)
{
	return commit->state == COMMIT_PREPARING || commit->state == COMMIT_YIELDING;
}

static unsigned int
take_started(struct commit *commit, enum commit_process process)
{
	commit->parts[process] = COMMIT_RUNS;
	return is_preparing(commit) ? prepare(commit, process) : 0;
}

static unsigned int
take_born(struct commit *commit)
{
	if (commit->parts[COMMIT_WARDEN] != COMMIT_UNBORN)
		return 0;
	commit->parts[COMMIT_WARDEN] = COMMIT_TOLD;
	commit->owed[COMMIT_WARDEN] = 1;
	return 0;
}

/* The answer to a prepare that was aborted may still come. */
static unsigned int
take_prepared(struct commit *commit, const struct commit_event *event)
{
	unsigned int *owed = &commit->owed[event->process];

	if (*owed > 0)
		(*owed)--;
	if (*owed > 0 || !is_preparing(commit) ||
	    commit->parts[event->process] != COMMIT_TOLD)
		return 0;
	if (!event->good)
		return abandon(commit);
	commit->parts[event->process] = COMMIT_READY;
	return advance(commit);
}

/* What an aborted reload's agent gave away comes before it has prepared for another. */
static unsigned int
take_yielded(struct commit *commit)
{
	if (commit->state != COMMIT_YIELDING)
		return 0;
	commit->yielded = true;
	return advance(commit);
}

static unsigned int
take_turned(struct commit *commit, enum commit_process process)
{
	if (commit->parts[process] != COMMIT_TURNS)
		return 0;
	commit->parts[process] = COMMIT_RUNS;
	return end_turning(commit);
}

static unsigned int
take_ended(struct commit *commit, enum commit_process process)
{
	enum commit_part part = commit->parts[process];

	commit->parts[process] = COMMIT_ABSENT;
	commit->owed[process] = 0;
	if (commit->state == COMMIT_TURNING)
		return end_turning(commit);
	if (!is_preparing(commit))
		return 0;
	if (part == COMMIT_LEAVES && is_first_warden(commit))
		return bear(commit);
	return part == COMMIT_TOLD || part == COMMIT_READY ? abandon(commit) : 0;
}

static unsigned int
take_late(struct commit *commit)
{
	unsigned int actions = 0;

	if (is_preparing(commit))
		return abandon(commit);
	if (commit->state != COMMIT_TURNING)
		return 0;
	if (commit->parts[COMMIT_AGENT] == COMMIT_TURNS)
		actions |= COMMIT_KILL;
	if (commit->parts[COMMIT_WARDEN] == COMMIT_TURNS)
		actions |= COMMIT_KILL_WARDEN;
	return actions;
}

/* Once the next one counts there is no way back, nor any need: the order to stop follows the
 * one to commit. */
static unsigned int
take_stopped(struct commit *commit)
{
	commit->stopped = true;
	if (commit->state == COMMIT_TRYING)
		return COMMIT_CANCEL | finish(commit);
	return is_preparing(commit) ? abandon(commit) : 0;
}

static unsigned int
take_asked(struct commit *commit)
{
	if (commit->state == COMMIT_IDLE && !commit->stopped) {
		commit->state = COMMIT_TRYING;
		return COMMIT_READ;
	}
	commit->again = !commit->stopped;
	return 0;
}

unsigned int
commit_step(struct commit *commit, const struct commit_event *event)
{
	switch (event->happening) {
	case COMMIT_ASKED: return take_asked(commit);
	case COMMIT_TRIED: return take_tried(commit, event);
	case COMMIT_STARTED: return take_started(commit, event->process);
	case COMMIT_BORN: return take_born(commit);
	case COMMIT_PREPARED: return take_prepared(commit, event);
	case COMMIT_YIELDED: return take_yielded(commit);
	case COMMIT_TURNED: return take_turned(commit, event->process);
	case COMMIT_ENDED: return take_ended(commit, event->process);
	case COMMIT_LATE: return take_late(commit);
	case COMMIT_STOPPED: return take_stopped(commit);
	case COMMIT_HAPPENINGS: break;
	}
	return 0;
}
