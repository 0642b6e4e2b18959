/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SCHED_STATE_H
#define LICTOR_SCHED_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "agent/health/judge.h"
#include "agent/health/sched.h"

/* The scheduler from the inside, shared by the files that make it: sched.c the time and
 * the runs, sched_queue.c the waiting for time, sched_unjudged.c
 * what is said of unknown outcomes, sched_depends.c what holds a check back, sched_reload.c
 * what becomes of it all when the configuration changes. There are thousands of entries:
 * mind their size. */
struct sched_entry {
	struct sched *sched;
	const struct conf_check *check;
	uint32_t slot; /* in sched->slots */
	struct loop_timer *timer;
	struct check_run *run; /* NULL: none */
	int64_t started; /* the newest run; the newest report, or its absence */
	uint32_t phase;	/* its ticks, in milliseconds after the start of the scheduler */
	uint32_t number; /* of the newest run with a command, or 0 */
	bool lingering; /* that run is over, its command has not ended yet */
	bool due; /* a run has begun that waits for the lingering one */
	bool leads; /* another check depends on it */
	bool waits; /* for a check that it depends on */
	bool excused; /* and its output says so */
	bool left_out;
	bool queued; /* its turn has come, but the host is busy */
	bool unjudged, unjudged_said; /* an outcome of late was unknown; said by name */
	bool last_look; /* out of time, unless what has come by now says otherwise */
	TAILQ_ENTRY(sched_entry) queue;
	int64_t queued_at;
	int64_t unjudged_at; /* the newest unknown outcome */
	uint32_t put_off_ms; /* its first run, after the start of the scheduler */
	struct judge judge;
};

struct sched {
	struct loop *loop;
	struct runs *runs;
	struct sched_out out;
	struct sched_entry **entries; /* by the check's index */
	size_t n_entries;
	struct sched_entry **slots; /* the same, each where it was from its beginning on */
	size_t n_slots;
	bool started, depends; /* some check depends on another */
	uint32_t sequence; /* of runs with a command: 1 to INT32_MAX, over again */
	int64_t start;
	/* so that more checks than this host can run are late, and not failed */
	TAILQ_HEAD(, sched_entry) queue; /* whose turn has come, and cannot begin yet */
	struct loop_timer *next;
	int64_t turn;	/* its time, and how many runs have begun in it */
	unsigned int begun;
	unsigned int refusals; /* turns in a row in which none could; 0: in this one some can */
	unsigned int named, unnamed; /* checks that cannot be judged */
	int64_t busy_at; /* runs wait for long, which was said; 0: no */
};

/* sched.c: a new one, and its end; for all of them, who depends on whom; the first run of
 * one that has just begun, within so much time. */
struct sched_entry *sched_entry_new(
    struct sched *sched, const struct conf_check *check, uint32_t slot);
void sched_entry_free(struct sched_entry *entry);
void sched_entry_set(struct sched_entry *entry, const struct conf_check *check);
void sched_link(struct sched *sched);
int64_t sched_spread(size_t count, int64_t interval);
void sched_entry_start(struct sched_entry *entry, int64_t spread);

/* sched.c: ends the run, if there is one, and stops the timer. */
void sched_cancel(struct sched_entry *entry);
/* sched.c: tells the others what is new of a check. */
void sched_say(const struct sched_entry *entry, enum judge_news news);
/* sched.c: the first tick of its phase after a time. */
int64_t sched_tick_after(const struct sched_entry *entry, int64_t time);

/* sched.c: begins a run, now. */
void sched_begin(struct sched_entry *entry);

/* sched_queue.c: begins a run as soon as this host has time for it; leaves the queue again. */
void sched_queue_init(struct sched *sched);
void sched_queue_up(struct sched_entry *entry);
void sched_queue_leave(struct sched_entry *entry);

/* sched_unjudged.c: says that a check cannot be judged, and that it can be again. */
void sched_note_outcome(struct sched_entry *entry, const struct run_outcome *outcome);
void sched_forget_outcome(struct sched_entry *entry); /* it is another check now, or none */

/* sched_depends.c: what keeps a check from running: the nearest of those it depends on that is
 * critical, or else one that was not looked at yet; NULL: nothing. */
const struct sched_entry *sched_blocker(const struct sched_entry *entry);
bool sched_was_looked_at(const struct sched_entry *entry);
/* A check has turned critical, or has ceased to be, or was looked at for the first time, or
 * never will be: the timers of those that depend on it are set. */
void sched_tell_dependents(struct sched *sched);
void sched_hold_back(struct sched_entry *entry, const struct sched_entry *blocker);

#endif
