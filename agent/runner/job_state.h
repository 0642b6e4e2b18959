/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_JOB_STATE_H
#define LICTOR_JOB_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/runner/job.h"
#include "agent/runner/printed.h"
#include "agent/runner/sweep.h"

struct cgroup;
struct cgroups;
struct launcher;
struct loop_edge;
struct loop_timer;

/* Runs from the inside, shared by the files that make them: job.c the life of one, jobs.c
 * what all of them share. */
struct job {
	struct sweep_run mark;
	struct jobs *jobs;
	struct job *next; /* of those that were started, or of the spare ones */
	uint64_t run;
	int64_t ordered_ms, timeout_ms; /* clock_raw_ms */
	const struct conf_command *command;
	char **argv, **environment; /* of the order, added when it starts; or NULL */
	bool started, dead, answered, settled, orphan;
	bool ending, killed, gone, timed_out;
	int pidfd; /* -1: none */
	struct cgroup *cgroup; /* NULL: the sweep looks after it */
	enum wire_exit how; /* once dead */
	uint32_t value;
	struct loop_edge *death;
	struct loop_timer *limit; /* the deadline, the KILL, then looks */
	int64_t look_ms;
	struct loop_timer *drain; /* what is left of the output, once dead */
	struct printed printed;
};

struct jobs {
	struct loop *loop;
	struct jobs_out out;
	struct launcher *launcher;
	struct cgroups *cgroups; /* NULL: there are none for us */
	struct sweep *sweep;
	struct job *started, *spare;
	size_t n_spare;
	struct wire_message message; /* the answer that is being given */
	char room[PRINTED_ROOM];
};

/* job.c */
/* The memory of one, with its timers, to be used for one run after the other. */
struct job *job_make(struct jobs *jobs);
void job_destroy(struct job *job); /* its run is over */
/* KILL of all that it started, which has not settled. */
void job_kill(struct job *job);
/* Nothing of it is left, whether that was seen or not. */
bool job_is_gone(const struct job *job);
/* The sweep has killed all of it. */
void job_swept(void *arg, struct sweep_run *run);

/* jobs.c */
/* One that was used before, or a new one. */
struct job *jobs_take(struct jobs *jobs);
/* Its run is over; it is kept, or destroyed if there are enough. */
void jobs_give(struct job *job);

#endif
