/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SWEEP_H
#define LICTOR_SWEEP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;
struct sweep;

/*
 * Finds in /proc what runs of commands have started, and kills it, where no control group
 * does. A run's processes bear a mark; and this process becomes the parent of all orphans
 * among its descendants, so none gets out of sight. Orphans are reaped when they die,
 * always.
 */

/* One run, part of its owner's struct. */
struct sweep_run {
	uint64_t mark;		/* by sweep_mark; for RLIMIT_RTTIME; 0: none */
	pid_t pid;		/* of its first process, not reaped before sweep_end */
	bool hook;		/* what it leaves behind may stay */
	/* private */
	struct sweep_run *next;
	bool doomed, found;
	uint64_t walk;
};

struct sweep_out {
	/* Nothing of a run that is being killed lives any more; not from within a call. */
	void (*gone)(void *arg, struct sweep_run *run);
	void *arg;
};

/*
 * `place` tells this lictord's runs from those of others on the machine, and is the same
 * for its successor: the first thing that is done is to kill what checks of a
 * predecessor left. `adopts`: orphans are to come to us (false: control groups end what
 * runs start; a process that is number 1 gets and reaps orphans even so).
 */
struct sweep *sweep_new(struct loop *loop, uint64_t place, bool adopts,
    const struct sweep_out *out);
void sweep_free(struct sweep *sweep);	/* every run has ended */

/* Gives a run that is to be started its mark; `hook` is set. */
void sweep_mark(struct sweep *sweep, struct sweep_run *run);

void sweep_begin(struct sweep *sweep, struct sweep_run *run);
/* Its first process has died; does anything else of it live? */
bool sweep_left(struct sweep *sweep, const struct sweep_run *run);
/* Kills all of it; `gone` comes later, unless sweep_end does before. */
void sweep_kill(struct sweep *sweep, struct sweep_run *run);
void sweep_end(struct sweep *sweep, struct sweep_run *run);

/* Waits until what is being killed is gone, at most so long. */
void sweep_wait(struct sweep *sweep, int64_t limit_ms);

#endif
