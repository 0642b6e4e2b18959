/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_COMMIT_H
#define LICTOR_COMMIT_H

#include <stdbool.h>

/*
 * How both processes come to the same new configuration, or neither: a pure machine. What
 * happens goes in as an event, what is to be done about it comes out as a set of actions.
 * The configuration that counts is the one that a process is started with; COMMIT_SWAP, and
 * nothing else, changes which one that is.
 */

enum commit_state {
	COMMIT_IDLE,
	COMMIT_TRYING,		/* the files are read and tried */
	COMMIT_PREPARING,	/* both take them aside */
	COMMIT_YIELDING,	/* the agent gives away what they take away */
	COMMIT_TURNING,		/* the new one counts; both turn to it */
	COMMIT_STATES
};

enum commit_process { COMMIT_AGENT, COMMIT_WARDEN, COMMIT_PROCESSES };

enum commit_happening {
	COMMIT_ASKED,		/* for a reload: a signal, an operator */
	COMMIT_TRIED,		/* good: it is another configuration, and without fault */
	COMMIT_STARTED,		/* a process, with the configuration that counts, … */
	COMMIT_BORN,		/* … or the warden with the next one, as COMMIT_BEAR ordered */
	COMMIT_PREPARED,	/* good: it can take the next one */
	COMMIT_YIELDED,
	COMMIT_TURNED,		/* it runs the one that counts now */
	COMMIT_ENDED,		/* it has died; it is started again if it is needed */
	COMMIT_LATE,		/* the limit of this state has passed */
	COMMIT_STOPPED,		/* SIGTERM: no reload begins any more */
	COMMIT_HAPPENINGS
};

struct commit_event {
	enum commit_happening happening;
	enum commit_process process;
	bool good;
	bool warden_now, warden_next;	/* of COMMIT_TRIED: are there addresses? */
};

/* In the order in which they are to be carried out. Of those that come in twos the second is
 * the warden's. */
enum commit_action {
	COMMIT_CANCEL = 1,		/* the trial */
	COMMIT_PREPARE = 1 << 1,	/* send it the next one; it answers each, once */
	COMMIT_PREPARE_WARDEN = 1 << 2,
	COMMIT_BEAR = 1 << 3,		/* start a warden with the next one */
	COMMIT_YIELD = 1 << 4,
	COMMIT_SWAP = 1 << 5,		/* from here on the next one counts */
	COMMIT_COMMIT = 1 << 6,
	COMMIT_COMMIT_WARDEN = 1 << 7,
	COMMIT_ABORT = 1 << 8,
	COMMIT_ABORT_WARDEN = 1 << 9,
	COMMIT_KILL = 1 << 10,
	COMMIT_KILL_WARDEN = 1 << 11,
	COMMIT_DISMISS = 1 << 12,	/* no warden is needed: close its socket, start none */
	COMMIT_ANSWER = 1 << 13,	/* it is over, so or so: say it to who asked */
	COMMIT_READ = 1 << 14,		/* the files, for those who asked since; try them */
};

/* Starts zeroed. The members are for reading. */
struct commit {
	enum commit_state state;
	enum commit_part {
		COMMIT_ABSENT,		/* it does not run: it needs no telling */
		COMMIT_UNBORN,		/* the warden: its start is ordered */
		COMMIT_RUNS,		/* what counts, and knows of nothing else */
		COMMIT_TOLD,		/* to prepare, … */
		COMMIT_READY,		/* … which it has done */
		COMMIT_LEAVES,		/* the warden: it was dismissed and has not ended yet */
		COMMIT_TURNS,		/* told that the next one counts now */
	} parts[COMMIT_PROCESSES];
	unsigned int owed[COMMIT_PROCESSES];	/* answers to a prepare, of aborted reloads too */
	bool yielded, again, stopped;
	bool warden_now, warden_next;	/* before and after this reload */
};

/* The set of actions. */
unsigned int commit_step(struct commit *commit, const struct commit_event *event);

#endif
