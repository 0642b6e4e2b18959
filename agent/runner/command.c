/* SPDX-License-Identifier: ISC */
/*
 * The orders for commands, and whose turn it is. An order is a job (job.h) in one of three
 * rows: it waits, in the order in which it came; it runs; or its process has ended and what
 * it started is still being ended. A job leaves this file when it is settled or refused.
 */
#include "agent/runner/command.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/runner/job.h"

#define RUNNING_MAX 64
#define WAITING_MAX 4096
#define TURN_MS 20 /* spent on starts before others have their turn */
#define TIMEOUT_MAX_MS (24 * 3600 * 1000)
#define SETTLE_MS 1000 /* the agent acts on a hook's end: another hook, or a handover */

struct row {
	struct job **jobs;
	size_t len, size;
};

struct commands {
	struct commands_out out;
	struct jobs *jobs;
	struct row waiting, running, ending;
	struct loop_timer *turn; /* starts what may start */
	int64_t hooks_until; /* clock_raw_ms: what the last one's end brings is done */
};

static void
row_add(struct row *row, struct job *job)
{
	if (row->len == row->size) {
		row->size = row->size == 0 ? RUNNING_MAX : 2 * row->size;
		row->jobs = xrealloc(row->jobs, row->size, sizeof(struct job *));
	}
	row->jobs[row->len++] = job;
}

/* The order of the others stays. False: it is not there. */
static bool
row_remove(struct row *row, const struct job *job)
{
	for (size_t i = 0; i < row->len; i++)
		if (row->jobs[i] == job) {
			row->len--;
			memmove(row->jobs + i, row->jobs + i + 1,
			    (row->len - i) * sizeof(struct job *));
			return true;
		}
	return false;
}

static void
row_free(struct row *row)
{
	for (size_t i = 0; i < row->len; i++)
		job_free(row->jobs[i]);
	free(row->jobs);
}

static void
on_started(void *arg, uint64_t run)
{
	struct commands *commands = arg;

	commands->out.started(commands->out.arg, run);
}

static void
on_answered(void *arg, struct wire_message *message)
{
	struct commands *commands = arg;

	commands->out.exited(commands->out.arg, message);
}

static void
on_ended(void *arg, struct job *job)
{
	struct commands *commands = arg;

	row_remove(&commands->running, job);
	row_add(&commands->ending, job);
	if (job_command(job)->kind == CONF_COMMAND_HOOK)
		commands->hooks_until = clock_raw_ms() + SETTLE_MS;
	if (commands->waiting.len > 0)
		loop_timer_at(commands->turn, 0);
}

static void
on_settled(void *arg, struct job *job)
{
	struct commands *commands = arg;

	if (!row_remove(&commands->ending, job))
		row_remove(&commands->waiting, job);
	job_free(job);
}

/* May the two not run at the same time? The role of a hook may be of an older configuration;
 * a check's run that goes on over a reload is not begun again meanwhile. */
static bool
conflict(const struct conf_command *a, const struct conf_command *b)
{
	return a == b ||
	    (a->kind == CONF_COMMAND_HOOK && b->kind == CONF_COMMAND_HOOK &&
		strcmp(a->role->name, b->role->name) == 0);
}

static bool
may_start(const struct commands *commands, const struct job *job)
{
	const struct row *running = &commands->running;

	for (size_t i = 0; i < running->len; i++)
		if (conflict(job_command(job), job_command(running->jobs[i])))
			return false;
	return true;
}

/* A busy machine may need long for each start: what has ended meanwhile is seen between. */
static void
on_turn(void *arg)
{
	struct commands *commands = arg;
	struct row *waiting = &commands->waiting;
	size_t kept = 0;
	int64_t end = clock_raw_ms() + TURN_MS;
	bool over = false;

	for (size_t i = 0; i < waiting->len; i++) {
		struct job *job = waiting->jobs[i];
		if (over || commands->running.len >= RUNNING_MAX ||
		    !may_start(commands, job))
			waiting->jobs[kept++] = job;
		else if (job_start(job))
			row_add(&commands->running, job);
		else
			job_free(job);
		over = over || clock_raw_ms() >= end;
	}
	waiting->len = kept;
	if (over && kept > 0 && commands->running.len < RUNNING_MAX)
		loop_timer_at(commands->turn, 0);
}

struct commands *
commands_new(struct loop *loop, uint64_t place, const struct commands_out *out)
{
	struct commands *commands = xcalloc(1, sizeof(*commands));
	struct jobs_out jobs_out = { on_started, on_answered, on_ended, on_settled,
		commands };

	commands->out = *out;
	commands->jobs = jobs_new(loop, place, &jobs_out);
	commands->turn = loop_timer_new(loop, on_turn, commands);
	return commands;
}

void
commands_free(struct commands *commands)
{
	if (commands == NULL)
		return;
	jobs_kill(commands->jobs);
	row_free(&commands->waiting);
	row_free(&commands->running);
	row_free(&commands->ending);
	jobs_free(commands->jobs);
	loop_timer_free(commands->turn);
	free(commands);
}

void
commands_run(struct commands *commands, uint64_t run,
    const struct conf_command *command, const char *const *arguments,
    const char *const *environment, int64_t timeout_ms)
{
	if (timeout_ms > TIMEOUT_MAX_MS)
		timeout_ms = TIMEOUT_MAX_MS;
	struct job *job =
	    job_new(commands->jobs, run, command, arguments, environment, timeout_ms);

	if (commands->waiting.len >= WAITING_MAX)
		job_end(job);
	row_add(&commands->waiting, job);
	loop_timer_at(commands->turn, 0);
}

static void
end_in(struct row *row, uint64_t run)
{
	for (size_t i = 0; i < row->len; i++)
		if (job_run(row->jobs[i]) == run && !job_is_orphan(row->jobs[i]))
			job_end(row->jobs[i]);
}

void
commands_kill(struct commands *commands, uint64_t run)
{
	end_in(&commands->waiting, run);
	end_in(&commands->running, run);
}

static bool
is_used_in(const struct row *row, const struct conf *conf)
{
	for (size_t i = 0; i < row->len; i++) {
		const struct conf_command *command = job_command(row->jobs[i]);
		if (command->index < conf->n_commands &&
		    conf->commands[command->index] == command)
			return true;
	}
	return false;
}

bool
commands_use(const struct commands *commands, const struct conf *conf)
{
	return is_used_in(&commands->waiting, conf) ||
	    is_used_in(&commands->running, conf) || is_used_in(&commands->ending, conf);
}

static bool
has_hook(const struct row *row)
{
	for (size_t i = 0; i < row->len; i++)
		if (job_command(row->jobs[i])->kind == CONF_COMMAND_HOOK)
			return true;
	return false;
}

bool
commands_run_hooks(const struct commands *commands)
{
	return has_hook(&commands->waiting) || has_hook(&commands->running) ||
	    clock_raw_ms() < commands->hooks_until;
}

static void
orphan_in(struct row *row, bool hooks_too)
{
	for (size_t i = 0; i < row->len; i++) {
		struct job *job = row->jobs[i];
		bool check = job_command(job)->kind == CONF_COMMAND_CHECK;
		job_orphan(job, check || hooks_too);
	}
}

void
commands_orphan(struct commands *commands)
{
	orphan_in(&commands->waiting, true);
	orphan_in(&commands->running, false);
	orphan_in(&commands->ending, false);
}
