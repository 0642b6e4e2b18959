/* SPDX-License-Identifier: ISC */
/*
 * One of the two processes that the runner looks after: its start, its wire, its answers to
 * pings, its death and the start after that. What its messages mean, and what else follows
 * from its death, is runner.c's. Its end is seen by its pidfd and by nothing else, so it is
 * reaped once, whatever happened to the wire before.
 */
#include "agent/runner/process.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/lock.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/paths.h"
#include "agent/base/util.h"
#include "agent/runner/child.h"

#define PING_MS 1000
#define PINGS_UNANSWERED 10
#define SHORT_LIFE_MS 1000
#define AGAIN_MS 100

void
process_kill(struct process *process)
{
	if (process->pid > 0)
		kill(process->pid, SIGKILL);
	wire_free(process->wire);
	process->wire = NULL;
}

static void
on_message(void *arg, const struct wire_message *message, int fd)
{
	struct process *process = arg;
	const struct process_out *out = &process->shared->out;

	if (message->type == WIRE_PONG)
		process->unanswered = 0;
	out->message(out->arg, process, message);
}

/* Usually because it died, which its pidfd says within moments; else it is killed. */
static void
on_closed(void *arg, const char *why)
{
	struct process *process = arg;
	struct pollfd ended = { .fd = process->pidfd, .events = POLLIN };

	if (poll(&ended, 1, 20) == 0 && !process->shared->stopping)
		log_error("runner", "the %s is killed, for its link broke: %s",
		    process->name, why);
	process_kill(process);
}

static void
describe_end(const struct process *process, int status, struct process_end *end)
{
	int signum = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	end->signum = signum;
	end->of_itself = process->silent || (signum != SIGKILL && signum != SIGTERM);
	if (process->silent)
		snprintf(end->how, sizeof(end->how), "no answer for %d s",
		    PINGS_UNANSWERED * PING_MS / 1000);
	else if (signum == SIGSYS)
		snprintf(end->how, sizeof(end->how),
		    "signal %d: a system call that its filter forbids", signum);
	else if (signum != 0)
		snprintf(end->how, sizeof(end->how), "signal %d (%s)", signum,
		    strsignal(signum));
	else
		snprintf(
		    end->how, sizeof(end->how), "exit status %d", WEXITSTATUS(status));
}

static void
on_death(void *arg, unsigned int events)
{
	struct process *process = arg;
	const struct process_out *out = &process->shared->out;
	struct process_end end;
	int status;

	if (waitpid(process->pid, &status, WNOHANG) != process->pid)
		return;
	loop_io_free(process->death);
	process->death = NULL;
	cleanup_close(&process->pidfd);
	process->pidfd = -1;
	process->pid = 0;
	wire_free(process->wire);
	process->wire = NULL;
	describe_end(process, status, &end);
	out->ended(out->arg, process, &end);
}

/* Opened anew for each: a lock belongs to who shares the opening, and the process, which is
 * another user, could not make the file itself. */
static int
open_lock(const struct process *process)
{
	AUTO_FREE char *name = xasprintf("%s.lock", process->name);
	AUTO_FREE char *path = path_runtime(name);

	return lock_open(path);
}

/* 0 or -errno. */
static int
spawn(struct process *process)
{
	const struct process_shared *shared = process->shared;
	int fds[2];
	AUTO_CLOSE int lock_fd = open_lock(process);
	int error = lock_fd < 0 ? lock_fd : wire_pair(fds);

	if (error != 0)
		return error;
	struct child child = {
		.name = process->name,
		.exe_fd = shared->exe_fd,
		.conf_fd = process->conf->fd,
		.runner_fd = fds[1],
		.lock_fd = lock_fd,
		.control_fd = process->control_fd,
		.blackbox_fd = process->blackbox_fd,
		.bpffs_fd = process->bpffs_fd,
		.privileges = &process->privileges,
		.debug = shared->debug,
	};
	error = child_start(&child, &process->pid, &process->pidfd);
	close(fds[1]);
	if (error != 0) {
		close(fds[0]);
		return error;
	}
	struct wire_out out = {
		.message = on_message, .closed = on_closed, .arg = process
	};
	process->generation = process->conf->generation;
	process->wire = wire_new(shared->loop, fds[0], WIRE_RUNNER, process->kind,
	    process->generation, &out);
	process->death = loop_io_new(shared->loop, process->pidfd, on_death, process);
	loop_io_watch(process->death, LOOP_READ);
	return 0;
}

void
process_start(struct process *process)
{
	const struct process_out *out = &process->shared->out;
	int error = spawn(process);

	if (error != 0) {
		log_error("runner", "cannot start the %s: %s", process->name,
		    strerror(-error));
		loop_timer_after(process->again, AGAIN_MS);
		return;
	}
	process->started_at = loop_now(process->shared->loop);
	process->unanswered = 0;
	process->silent = false;
	out->started(out->arg, process);
}

static void
on_again(void *arg)
{
	process_start(arg);
}

/* One that dies again and again is said once, and once more after it has lived. */
void
process_again(struct process *process, const struct process_end *end, const char *where)
{
	int64_t life = loop_now(process->shared->loop) - process->started_at;
	bool early = life < SHORT_LIFE_MS;

	if (!process->ailing)
		log_error("runner", "the %s died (%s)%s, started again%s",
		    process->name, end->how, where,
		    early ? " each 100 ms, since it died soon after its start" : "");
	process->ailing = early;
	if (early)
		loop_timer_after(process->again, AGAIN_MS);
	else
		process_start(process);
}

void
process_give_up(struct process *process)
{
	loop_timer_stop(process->again);
}

void
process_turn(struct process *process)
{
	process->generation = process->shared->conf.generation;
	wire_turn(process->wire, process->generation);
}

bool
process_ping(struct process *process)
{
	struct wire_message message = { .type = WIRE_PING };
	bool well = process->wire != NULL && process->unanswered == 0;

	if (process->wire == NULL)
		return false;
	if (process->unanswered >= PINGS_UNANSWERED) {
		log_error("runner", "the %s is killed, for it did not answer for %d s",
		    process->name, PINGS_UNANSWERED * PING_MS / 1000);
		process->silent = true;
		process_kill(process);
		return false;
	}
	process->unanswered++;
	wire_send(process->wire, &message, -1);
	return well;
}

void
process_init(struct process *process, const struct process_shared *shared,
    enum wire_process kind)
{
	process->shared = shared;
	process->conf = &shared->conf;
	process->kind = kind;
	process->name = kind == WIRE_AGENT ? "agent" : "warden";
	process->control_fd = -1;
	process->blackbox_fd = -1;
	process->bpffs_fd = -1;
	process->pidfd = -1;
	process->again = loop_timer_new(shared->loop, on_again, process);
}

void
process_free(struct process *process)
{
	loop_timer_free(process->again);
	loop_io_free(process->death);
	cleanup_close(&process->pidfd);
	wire_free(process->wire);
}
