/* SPDX-License-Identifier: ISC */
/*
 * The commands of checks and hooks, run for the agent. A job is one run: it waits for its
 * turn, runs, is perhaps ended (TERM, later KILL), and is answered when its process
 * has ended and its output was read; something it left behind that keeps the pipe open
 * delays the answer by a moment only. A job that was ended stays, unreaped, until its
 * group was killed: as long as its process is a zombie the number of the group cannot
 * belong to anybody else.
 */
#include "agent/runner/command.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/runner/spawn.h"
#include "agent/runner/words.h"

#define RUNNING_MAX 64
#define WAITING_MAX 4096
#define KILL_AFTER_MS 2000
#define DRAIN_MS 100
#define READS_AT_ONCE 32
#define PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define TIMEOUT_MAX_MS (24 * 3600 * 1000)

/* The last bytes of a stream: the byte number n stands at n modulo the size. */
struct tail {
	char data[WIRE_OUTPUT_MAX];
	uint64_t total;
};

struct account {
	struct account *next;
	const char *user; /* as configured, or NULL */
	struct spawn_account found;
};

struct job {
	struct commands *commands;
	struct job *next;
	uint64_t run;
	const struct conf_command *command;
	char **argv, **environment; /* of the order, added when it starts */
	bool started, dead, reaped, answered, orphan;
	bool ending, killed, timed_out;
	pid_t pid;
	int pidfd, output_fd; /* -1: none */
	enum wire_exit how; /* once dead */
	uint32_t value;
	struct loop_io *death, *output;
	struct loop_timer *limit; /* the deadline, then the KILL */
	struct loop_timer *drain; /* what is left of the output, once dead */
	struct tail tail;
};

struct commands {
	struct loop *loop;
	struct commands_out out;
	struct job *jobs; /* in the order in which they came */
	size_t running, waiting;
	struct loop_timer *turn; /* starts what may start */
	struct account *accounts;
};

static void
tail_add(struct tail *tail, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		tail->data[tail->total++ % sizeof(tail->data)] = data[i];
}

/* At most `max` bytes, the last ones, in their order. */
static uint32_t
tail_copy(const struct tail *tail, char *out, size_t max)
{
	uint64_t len = tail->total < max ? tail->total : max;

	for (uint64_t i = 0; i < len; i++)
		out[i] = tail->data[(tail->total - len + i) % sizeof(tail->data)];
	return (uint32_t)len;
}

/* The user database may be slow, so each user is looked up once. NULL: there is none. */
static const struct spawn_account *
find_account(struct commands *commands, const char *user, int *error)
{
	for (struct account *a = commands->accounts; a != NULL; a = a->next)
		if (user == a->user ||
		    (user != NULL && a->user != NULL && strcmp(user, a->user) == 0))
			return &a->found;
	struct account *account = xcalloc(1, sizeof(*account));
	*error = spawn_account_find(user, &account->found);
	if (*error != 0) {
		free(account);
		return NULL;
	}
	account->user = user;
	account->next = commands->accounts;
	commands->accounts = account;
	return &account->found;
}

static void
job_free(struct job *job)
{
	for (struct job **at = &job->commands->jobs; *at != NULL; at = &(*at)->next)
		if (*at == job) {
			*at = job->next;
			break;
		}
	loop_io_free(job->death);
	loop_io_free(job->output);
	loop_timer_free(job->limit);
	loop_timer_free(job->drain);
	cleanup_close(&job->pidfd);
	cleanup_close(&job->output_fd);
	words_free(job->argv);
	words_free(job->environment);
	free(job);
}

/* Says once what became of the run; `why` in place of what the command printed, or NULL. */
static void
job_answer(struct job *job, enum wire_exit how, uint32_t value, const char *why)
{
	struct commands *commands = job->commands;
	struct wire_exited exited = { .run = job->run, .how = how, .value = value };
	size_t size = job->command->output_size;

	assert(!job->answered);
	job->answered = true;
	if (job->orphan)
		return;
	if (size == 0 || size > sizeof(exited.output))
		size = sizeof(exited.output);
	if (why != NULL)
		tail_add(&job->tail, why, strlen(why));
	exited.output_len = tail_copy(&job->tail, exited.output, size);
	commands->out.exited(commands->out.arg, &exited);
}

static void
job_reap(struct job *job)
{
	waitpid(job->pid, NULL, WNOHANG);
	job->reaped = true;
}

/* The answer is due: the process has ended and its output is read as far as it will be. */
static void
job_finish(struct job *job)
{
	loop_io_free(job->output);
	job->output = NULL;
	cleanup_close(&job->output_fd);
	job->output_fd = -1;
	loop_timer_stop(job->drain);
	if (job->timed_out)
		job_answer(job, WIRE_EXIT_TIMEOUT, 0, NULL);
	else
		job_answer(job, job->how, job->value, NULL);
	if (job->reaped)
		job_free(job);
}

/* Reads what there is, but leaves some for the next turn. True: the output has ended. */
static bool
job_read(struct job *job)
{
	char data[4096];

	for (int i = 0; i < READS_AT_ONCE; i++) {
		ssize_t got = read(job->output_fd, data, sizeof(data));
		if (got > 0)
			tail_add(&job->tail, data, (size_t)got);
		else if (got == 0 || (errno != EAGAIN && errno != EINTR))
			return true;
		else
			return false;
	}
	return false;
}

static void
on_output(void *arg, unsigned int events)
{
	struct job *job = arg;

	if (!job_read(job))
		return;
	loop_io_free(job->output);
	job->output = NULL;
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
	siginfo_t info = { 0 };

	if (waitid(P_PID, (id_t)job->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
	    info.si_pid == 0)
		return;
	loop_io_free(job->death);
	job->death = NULL;
	job->dead = true;
	job->how = info.si_code == CLD_EXITED ? WIRE_EXIT_CODE : WIRE_EXIT_SIGNAL;
	job->value = (uint32_t)info.si_status;
	job->commands->running--;
	loop_timer_at(job->commands->turn, 0);
	if (!job->ending)
		loop_timer_stop(job->limit);
	if (!job->ending || job->killed)
		job_reap(job);
	if (job->output == NULL || job_read(job))
		job_finish(job);
	else
		loop_timer_after(job->drain, DRAIN_MS);
}

/* TERM to the whole group now, KILL later; one that waits is answered at the next turn. */
static void
job_end(struct job *job)
{
	if (job->dead || job->ending)
		return;
	job->ending = true;
	if (!job->started) {
		loop_timer_at(job->commands->turn, 0);
		return;
	}
	kill(-job->pid, SIGTERM);
	loop_timer_after(job->limit, KILL_AFTER_MS);
}

static void
on_limit(void *arg)
{
	struct job *job = arg;

	if (!job->started) {
		job_answer(job, WIRE_EXIT_UNKNOWN, 0,
		    "not started in time: others were before it");
		job->commands->waiting--;
		job_free(job);
	} else if (!job->ending) {
		job->timed_out = true;
		job_end(job);
	} else {
		kill(-job->pid, SIGKILL);
		job->killed = true;
		if (job->dead)
			job_reap(job);
		if (job->answered)
			job_free(job);
	}
}

/* A watched pipe's reading end stays here, its writing end is returned; -1 with errno. */
static int
open_output(struct job *job)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) != 0)
		return -1;
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	job->output_fd = fds[0];
	return fds[1];
}

/* Starts the program as `account`; 0 or -errno with `step`. */
static int
job_spawn(struct job *job, const struct spawn_account *account, const char **step)
{
	const struct conf_command *command = job->command;
	AUTO_FREE char *home = xasprintf("HOME=%s", account->home);
	AUTO_FREE char *user = xasprintf("USER=%s", account->name);
	AUTO_FREE char *logname = xasprintf("LOGNAME=%s", account->name);
	const char *const base[] = { "PATH=" PATH, "LANG=C.UTF-8", home, user, logname,
		NULL };
	AUTO_WORDS struct words argv = { 0 };
	AUTO_WORDS struct words environment = { 0 };

	words_add(&argv, (const char *const *)command->argv);
	words_add(&argv, (const char *const *)job->argv);
	words_set(&environment, base);
	words_set(&environment, (const char *const *)command->environment);
	words_set(&environment, (const char *const *)job->environment);
	*step = "open a pipe";
	AUTO_CLOSE int output = open_output(job);
	if (output < 0)
		return -errno;
	struct spawn spawn = {
		.argv = (char *const *)argv.text,
		.environment = (char *const *)environment.text,
		.directory = command->directory != NULL ? command->directory : "/",
		.output_fd = output,
		.account = geteuid() == 0 && command->user != NULL ? account : NULL,
	};
	return spawn_start(&spawn, &job->pid, &job->pidfd, step);
}

/* 0, or -errno with `step`: what could not be done. */
static int
job_start(struct job *job, const char **step)
{
	struct commands *commands = job->commands;
	int error = 0;
	const struct spawn_account *account =
	    find_account(commands, job->command->user, &error);

	*step = "find its user";
	if (account == NULL)
		return error;
	*step = "become its user, for lictord does not run as root";
	if (geteuid() != 0 && account->uid != geteuid())
		return -EPERM;
	error = job_spawn(job, account, step);
	if (error != 0)
		return error;
	job->started = true;
	job->death = loop_io_new(commands->loop, job->pidfd, on_death, job);
	loop_io_watch(job->death, LOOP_READ);
	job->output = loop_io_new(commands->loop, job->output_fd, on_output, job);
	loop_io_watch(job->output, LOOP_READ);
	commands->running++;
	return 0;
}

/* May the two not run at the same time? */
static bool
conflict(const struct conf_command *a, const struct conf_command *b)
{
	return a == b ||
	    (a->kind == CONF_COMMAND_HOOK && b->kind == CONF_COMMAND_HOOK &&
		a->role == b->role);
}

static bool
may_start(const struct job *job)
{
	const struct commands *commands = job->commands;

	if (commands->running >= RUNNING_MAX)
		return false;
	for (const struct job *other = commands->jobs; other != NULL;
	     other = other->next)
		if (other->started && !other->dead &&
		    conflict(job->command, other->command))
			return false;
	return true;
}

/* Starts a job whose turn has come, or answers and frees one that will never start. */
static void
job_turn(struct job *job)
{
	struct commands *commands = job->commands;
	char why[160] = "not started: ended before its turn came";
	const char *step;
	int error;

	if (!job->ending) {
		if (!may_start(job))
			return;
		error = job_start(job, &step);
		if (error != 0)
			snprintf(
			    why, sizeof(why), "cannot %s: %s", step, strerror(-error));
	}
	commands->waiting--;
	if (job->started)
		return;
	job_answer(job, WIRE_EXIT_UNKNOWN, 0, why);
	job_free(job);
}

static void
on_turn(void *arg)
{
	struct commands *commands = arg;
	struct job *next;

	for (struct job *job = commands->jobs; job != NULL; job = next) {
		next = job->next;
		if (!job->started)
			job_turn(job);
	}
}

struct commands *
commands_new(struct loop *loop, const struct commands_out *out)
{
	struct commands *commands = xcalloc(1, sizeof(*commands));

	commands->loop = loop;
	commands->out = *out;
	commands->turn = loop_timer_new(loop, on_turn, commands);
	return commands;
}

/* The process may be stuck in the kernel: it is waited for, but not for ever. */
static void
job_destroy(struct job *job)
{
	if (job->started && !job->reaped) {
		struct pollfd ended = { .fd = job->pidfd, .events = POLLIN };
		kill(-job->pid, SIGKILL);
		poll(&ended, 1, 1000);
		job_reap(job);
	}
	job_free(job);
}

void
commands_free(struct commands *commands)
{
	if (commands == NULL)
		return;
	for (struct job *job = commands->jobs, *next; job != NULL; job = next) {
		next = job->next;
		job_destroy(job);
	}
	while (commands->accounts != NULL) {
		struct account *account = commands->accounts;
		commands->accounts = account->next;
		spawn_account_free(&account->found);
		free(account);
	}
	loop_timer_free(commands->turn);
	free(commands);
}

void
commands_run(struct commands *commands, uint64_t run,
    const struct conf_command *command, const char *const *arguments,
    const char *const *environment, int64_t timeout_ms)
{
	struct job *job = xcalloc(1, sizeof(*job)), **end = &commands->jobs;

	*job = (struct job){ .commands = commands,
		.run = run,
		.command = command,
		.pidfd = -1,
		.output_fd = -1 };
	job->argv = words_copy(arguments);
	job->environment = words_copy(environment);
	job->limit = loop_timer_new(commands->loop, on_limit, job);
	job->drain = loop_timer_new(commands->loop, on_drain, job);
	if (timeout_ms > TIMEOUT_MAX_MS)
		timeout_ms = TIMEOUT_MAX_MS;
	loop_timer_after(job->limit, timeout_ms);
	job->ending = commands->waiting >= WAITING_MAX;
	commands->waiting++;
	while (*end != NULL)
		end = &(*end)->next;
	*end = job;
	loop_timer_at(commands->turn, 0);
}

void
commands_kill(struct commands *commands, uint64_t run)
{
	for (struct job *job = commands->jobs; job != NULL; job = job->next)
		if (job->run == run && !job->orphan)
			job_end(job);
}

void
commands_orphan(struct commands *commands)
{
	for (struct job *job = commands->jobs; job != NULL; job = job->next) {
		job->orphan = true;
		if (!job->started || job->command->kind == CONF_COMMAND_CHECK)
			job_end(job);
	}
}
