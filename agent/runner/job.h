/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_JOB_H
#define LICTOR_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/wire.h"

struct conf_command;
struct job;
struct loop;

struct jobs_out {
	/* A check's command begins that had to wait: its deadline counts from now. */
	void (*started)(void *arg, uint64_t run);
	/* A run is answered: a WIRE_EXITED, ready to be sent. */
	void (*answered)(void *arg, struct wire_message *message);
	/* Its process has ended: another job may have its turn. */
	void (*ended)(void *arg, struct job *job);
	/* Nothing of it is left. It is to be freed now. */
	void (*settled)(void *arg, struct job *job);
	void *arg;
};

/* What all jobs share: users, control groups or the sweep, memory. */
struct jobs;
struct jobs *jobs_new(struct loop *loop, uint64_t place, const struct jobs_out *out);
void jobs_free(struct jobs *jobs);	/* every job was freed */

/*
 * One run of a command: a process, its output, its end. At the deadline TERM to its process
 * group, two seconds later KILL of all that it started. A check's run is over with its
 * process: what that leaves behind is killed. What a hook leaves behind stays.
 */
struct job *job_new(struct jobs *jobs, uint64_t run, const struct conf_command *command,
    const char *const *arguments, const char *const *environment, int64_t timeout_ms);
/* One that was started and has not settled only after jobs_kill. */
void job_free(struct job *job);
/* KILL of all that was started; waits for its end, at most five seconds. */
void jobs_kill(struct jobs *jobs);

/* Its turn has come. False: it could not be started, which was answered; it is to be
 * freed. */
bool job_start(struct job *job);
/* TERM now, KILL later. One that was not started will not be. */
void job_end(struct job *job);
/* The same, and nobody is told. */
void job_orphan(struct job *job, bool end);

uint64_t job_run(const struct job *job);
bool job_is_orphan(const struct job *job);
const struct conf_command *job_command(const struct job *job);

#endif
