/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_PROCESS_H
#define LICTOR_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/wire.h"
#include "agent/runner/privileges.h"

struct loop;
struct process;

/* How a process ended. */
struct process_end {
	char how[64];	/* "signal 11 (Segmentation fault)", "exit status 1", "no answer for 10 s" */
	bool of_itself;	/* nobody else's signal ended it */
	int signum;	/* of the signal that ended it; 0: none */
};

struct process_out {
	void (*started)(void *arg, struct process *process);
	void (*message)(
	    void *arg, struct process *process, const struct wire_message *message);
	/* It is gone. Call process_again, or that was all. */
	void (*ended)(
	    void *arg, struct process *process, const struct process_end *end);
	void *arg;
};

/* A configuration, as processes are started with it. */
struct process_conf {
	uint64_t generation;
	int fd;	/* its sealed bytes */
};

/* What both processes are made with; the runner's. */
struct process_shared {
	struct loop *loop;
	struct process_conf conf;	/* the one that counts */
	int exe_fd;
	const char *const *debug;
	bool stopping;
	struct process_out out;
};

/* The agent or the warden, as the runner has it. The members are for reading. */
struct process {
	const struct process_shared *shared;
	enum wire_process kind;
	const char *name;
	const struct process_conf *conf; /* for its next start; `shared`'s unless set */
	uint64_t generation;		/* of what it runs */
	struct privileges privileges;
	int control_fd, blackbox_fd;	/* borrowed; -1: it gets none */
	int bpffs_fd;			/* likewise */
	pid_t pid;			/* 0: it does not run */
	int pidfd;
	struct loop_io *death;
	struct wire *wire;		/* NULL: it does not run, or is being killed */
	struct loop_timer *again;
	int64_t started_at;
	unsigned int unanswered;	/* pings since the last pong */
	bool silent;			/* it was killed for that */
	bool ailing;			/* it died soon after its start, which was said */
};

void process_init(struct process *process, const struct process_shared *shared,
    enum wire_process kind);
void process_free(struct process *process);

/* Tries until it runs, then `out.started`. */
void process_start(struct process *process);
/* Starts it again, at once, or after 100 ms if it had just been started; says how it ended,
 * and `where` (" in the plugin x", or ""), but not each time of a row. */
void process_again(
    struct process *process, const struct process_end *end, const char *where);
/* What is sent to it from now on has the generation that counts. */
void process_turn(struct process *process);
/* Its death will be seen, and what follows from it done, when it has happened. */
void process_kill(struct process *process);
/* No start is tried any more. */
void process_give_up(struct process *process);

/* Asks whether it is alive, and kills it when it has not answered for too long. True: it
 * runs and has answered all that it was asked. */
bool process_ping(struct process *process);

#endif
