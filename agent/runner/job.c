/* SPDX-License-Identifier: ISC */
/*
 * One run from its turn to the end of the last process that it started. Two things end, in
 * any order: the run is answered when its process has died and its output was read (something
 * that keeps the pipe open delays that by a moment only), and it is settled when nothing of
 * it is left that has to go. The first process is not reaped before that: as long as it is a
 * zombie, its number, which is also its group's and session's, cannot be anybody else's.
 *
 * What a run started is what is in its control group or else what the sweep finds. Both are
 * asked after each run of a check, which costs a system call or two.
 */
#include "agent/runner/job_state.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/runner/cgroup.h"
#include "agent/runner/launch.h"
#include "agent/runner/words.h"

#define KILL_AFTER_MS 2000
#define DRAIN_MS 100
#define WAITED_MS 20 /* less is nothing to speak of */
#define LOOK_MS 10 /* until the first look whether what was killed is gone */
#define LOOK_MAX_MS 1000

static const char not_its_turn[] = "not started: ended before its turn came";

static bool
is_check(const struct job *job)
{
	return job->command->kind == CONF_COMMAND_CHECK;
}

/* Says once what became of the run; `why` in place of what the command printed, or NULL. */
static void
job_answer(struct job *job, enum wire_exit how, uint32_t value, const char *why)
{
	struct jobs *jobs = job->jobs;
	struct wire_exited *exited = &jobs->message.exited;

	assert(!job->answered);
	job->answered = true;
	if (job->orphan)
		return;
	if (why != NULL)
		tail_add(&job->printed.tail, why, strlen(why));
	jobs->message.type = WIRE_EXITED;
	exited->run = job->run;
	exited->how = how;
	exited->value = value;
	exited->output_len =
	    tail_copy(&job->printed.tail, exited->output, sizeof(exited->output));
	jobs->out.answered(jobs->out.arg, &jobs->message);
}

/* The last thing that a callback does: the job is freed if it was answered. */
static void
job_let_go(struct job *job)
{
	struct jobs *jobs = job->jobs;

	if (job->answered && job->settled)
		jobs->out.settled(jobs->out.arg, job);
}

/* It was not started and will not be. */
static void
job_refuse(struct job *job, const char *why)
{
	loop_timer_stop(job->limit);
	job_answer(job, WIRE_EXIT_UNKNOWN, 0, why);
	job->settled = true;
}

/* --- what it leaves behind --- */

/* Nothing of it is left that has to go. */
static void
job_settle(struct job *job)
{
	loop_timer_stop(job->limit);
	waitpid(job->mark.pid, NULL, WNOHANG);
	sweep_end(job->jobs->sweep, &job->mark);
	if (job->cgroup != NULL)
		cgroup_give(job->cgroup);
	job->cgroup = NULL;
	job->settled = true;
}

static bool
job_left(const struct job *job)
{
	if (job->cgroup != NULL)
		return !cgroup_empty(job->cgroup);
	return sweep_left(job->jobs->sweep, &job->mark);
}

static void
look_later(struct job *job)
{
	loop_timer_after(job->limit, job->look_ms);
	job->look_ms = 2 * job->look_ms < LOOK_MAX_MS ? 2 * job->look_ms : LOOK_MAX_MS;
}

/* First of its group, which takes one call. */
void
job_kill(struct job *job)
{
	job->killed = true;
	if (job->cgroup != NULL) {
		cgroup_kill(job->cgroup);
		job->look_ms = LOOK_MS;
		look_later(job);
	} else {
		kill(-job->mark.pid, SIGKILL);
		loop_timer_stop(job->limit);
		sweep_kill(job->jobs->sweep, &job->mark);
	}
}

void
job_swept(void *arg, struct sweep_run *run)
{
	struct job *job =
	    (struct job *)(void *)((char *)run - offsetof(struct job, mark));

	job->gone = true;
	if (!job->dead)
		return;
	job_settle(job);
	job_let_go(job);
}

/* Its first process has died: does more have to go? One that was told to end has its time
 * to do so. */
static void
job_look_behind(struct job *job)
{
	bool may_stay = !is_check(job) && !job->ending;

	if (may_stay || job->gone || !job_left(job))
		job_settle(job);
	else if (!job->ending && !job->killed)
		job_kill(job);
}

/* --- its end --- */

static void
close_death(struct job *job)
{
	loop_edge_free(job->death);
	job->death = NULL;
	cleanup_close(&job->pidfd);
	job->pidfd = -1;
}

/* The answer is due: the process has ended and its output is read as far as it will be. */
static void
job_finish(struct job *job)
{
	printed_close(&job->printed);
	loop_timer_stop(job->drain);
	if (job->timed_out)
		job_answer(job, WIRE_EXIT_TIMEOUT, 0, NULL);
	else
		job_answer(job, job->how, job->value, NULL);
	job_let_go(job);
}

static void
on_printed(void *arg)
{
	struct job *job = arg;

	if (job->dead)
		job_finish(job);
}

static void
on_drain(void *arg)
{
	job_finish(arg);
}

static void
on_death(void *arg, unsigned int events)
{
	struct job *job = arg;
	struct jobs *jobs = job->jobs;
	siginfo_t info = { 0 };

	if (waitid(P_PID, (id_t)job->mark.pid, &info, WEXITED | WNOHANG | WNOWAIT) !=
		0 ||
	    info.si_pid == 0)
		return;
	close_death(job);
	job->dead = true;
	job->how = info.si_code == CLD_EXITED ? WIRE_EXIT_CODE : WIRE_EXIT_SIGNAL;
	job->value = (uint32_t)info.si_status;
	if (!job->ending)
		loop_timer_stop(job->limit);
	jobs->out.ended(jobs->out.arg, job);
	job_look_behind(job);
	if (!printed_goes_on(&job->printed) || printed_read(&job->printed))
		job_finish(job);
	else
		loop_timer_after(job->drain, DRAIN_MS);
}

/* One that is stopped could not act on TERM. */
void
job_end(struct job *job)
{
	if (job->dead || job->ending)
		return;
	job->ending = true;
	if (!job->started) {
		loop_timer_at(job->limit, 0);
		return;
	}
	kill(-job->mark.pid, SIGTERM);
	kill(-job->mark.pid, SIGCONT);
	loop_timer_after(job->limit, KILL_AFTER_MS);
}

void
job_orphan(struct job *job, bool end)
{
	job->orphan = true;
	if (end)
		job_end(job);
}

static void
on_limit(void *arg)
{
	struct job *job = arg;

	if (!job->started) {
		job_refuse(job,
		    job->ending ? not_its_turn
				: "not started in time: others were before it");
		job_let_go(job);
	} else if (!job->ending && !job->dead) {
		job->timed_out = true;
		job_end(job);
	} else if (!job->killed) {
		job_kill(job);
	} else if (job->dead && !job_left(job)) {
		job_settle(job);
		job_let_go(job);
	} else {
		look_later(job);
	}
}

/* --- its beginning --- */

/* 0, or -errno with `step`: what could not be done. */
static int
job_launch(struct job *job, const char **step)
{
	struct jobs *jobs = job->jobs;
	struct launched launched;
	struct launch launch = {
		.command = job->command,
		.arguments = job->argv,
		.environment = job->environment,
		.mark = job->mark.mark,
		.cgroup_fd = -1,
	};

	*step = "make a control group";
	if (jobs->cgroups != NULL) {
		job->cgroup =
		    cgroup_take(jobs->cgroups, !is_check(job), job->command->processes);
		if (job->cgroup == NULL)
			return -errno;
		launch.cgroup_fd = cgroup_fd(job->cgroup);
		launch.counted = cgroups_count_processes(jobs->cgroups);
	}
	int error = launcher_start(jobs->launcher, &launch, &launched, step);
	if (error != 0)
		return error;
	job->mark.pid = launched.pid;
	job->pidfd = launched.pidfd;
	printed_take(&job->printed, launched.output_fd);
	return 0;
}

/* 0 or -errno. */
static int
job_watch(struct job *job)
{
	struct loop *loop = job->jobs->loop;

	job->death = loop_edge_new(loop, job->pidfd, on_death, job);
	int error = job->death != NULL ? printed_watch(&job->printed) : -errno;
	if (error == 0)
		return 0;
	kill(job->mark.pid, SIGKILL);
	waitpid(job->mark.pid, NULL, 0);
	return error;
}

static void
job_begin(struct job *job)
{
	struct jobs *jobs = job->jobs;

	job->started = true;
	job->next = jobs->started;
	jobs->started = job;
	sweep_begin(jobs->sweep, &job->mark);
}

/* The deadline counts from here, for nobody is to blame for the time before, in which a hook
 * may have waited for one of a dead agent. `began`: before it was launched, which takes its
 * time on a busy machine, unseen by the loop's clock. */
static void
job_count_time(struct job *job, int64_t began)
{
	const struct jobs_out *out = &job->jobs->out;

	if (began - job->ordered_ms < WAITED_MS)
		return;
	loop_timer_after(job->limit, job->timeout_ms + clock_raw_ms() - began);
	if (is_check(job) && !job->orphan)
		out->started(out->arg, job->run);
}

bool
job_start(struct job *job)
{
	char why[160];
	const char *step;

	if (job->ending) {
		job_refuse(job, not_its_turn);
		return false;
	}
	int64_t began = clock_raw_ms();
	int error = job_launch(job, &step);
	if (error == 0) {
		step = "watch it";
		error = job_watch(job);
	}
	if (error == 0) {
		job_begin(job);
		job_count_time(job, began);
		return true;
	}
	snprintf(why, sizeof(why), "cannot %s: %s", step, strerror(-error));
	job_refuse(job, why);
	return false;
}

uint64_t
job_run(const struct job *job)
{
	return job->run;
}

bool
job_is_orphan(const struct job *job)
{
	return job->orphan;
}

const struct conf_command *
job_command(const struct job *job)
{
	return job->command;
}

/* --- its memory --- */

struct job *
job_make(struct jobs *jobs)
{
	struct job *job = xcalloc(1, sizeof(*job));

	job->jobs = jobs;
	job->limit = loop_timer_new(jobs->loop, on_limit, job);
	job->drain = loop_timer_new(jobs->loop, on_drain, job);
	printed_init(&job->printed, jobs->loop, jobs->room, on_printed, job);
	return job;
}

void
job_destroy(struct job *job)
{
	loop_timer_free(job->limit);
	loop_timer_free(job->drain);
	printed_clear(&job->printed);
	free(job);
}

static void
job_reset(struct job *job)
{
	struct jobs *jobs = job->jobs;
	struct loop_timer *limit = job->limit, *drain = job->drain;

	memset(job, 0, offsetof(struct job, printed));
	job->jobs = jobs;
	job->limit = limit;
	job->drain = drain;
	job->pidfd = -1;
	printed_reset(&job->printed);
}

struct job *
job_new(struct jobs *jobs, uint64_t run, const struct conf_command *command,
    const char *const *arguments, const char *const *environment, int64_t timeout_ms)
{
	struct job *job = jobs_take(jobs);

	job_reset(job);
	job->run = run;
	job->ordered_ms = clock_raw_ms();
	job->timeout_ms = timeout_ms;
	job->command = command;
	job->mark.hook = !is_check(job);
	sweep_mark(jobs->sweep, &job->mark);
	job->argv = arguments != NULL ? words_copy(arguments) : NULL;
	job->environment = environment != NULL ? words_copy(environment) : NULL;
	loop_timer_after(job->limit, timeout_ms);
	return job;
}

static void
job_unlink(struct job *job)
{
	for (struct job **at = &job->jobs->started; *at != NULL; at = &(*at)->next)
		if (*at == job) {
			*at = job->next;
			return;
		}
}

void
job_free(struct job *job)
{
	if (job->started && !job->settled)
		job_settle(job);
	if (job->cgroup != NULL) /* it could not be started */
		cgroup_give(job->cgroup);
	job_unlink(job);
	close_death(job);
	printed_close(&job->printed);
	loop_timer_stop(job->limit);
	loop_timer_stop(job->drain);
	words_free(job->argv);
	words_free(job->environment);
	jobs_give(job);
}

bool
job_is_gone(const struct job *job)
{
	struct pollfd ended = { .fd = job->pidfd, .events = POLLIN };

	return job->settled ||
	    ((job->dead || poll(&ended, 1, 0) == 1) &&
		(job->cgroup != NULL ? cgroup_empty(job->cgroup) : job->gone));
}
