/* SPDX-License-Identifier: ISC */
/*
 * The floor of script checks: the child borrows our memory until it is another program
 * (vfork), its end is seen through a pidfd, and its output is read once, then.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "tests/bench/floor.h"

static int
script_open(struct floor *floor, const char *what)
{
	floor->kind = xstrdup(what);
	return 0;
}

static void
script_start(struct floor *floor, uint32_t check)
{
	char number[16];
	char *const argv[] = { floor->kind, number, NULL };
	char *const environment[] = { NULL };
	int out[2];

	snprintf(number, sizeof(number), "%u", check);
	if (pipe2(out, O_CLOEXEC | O_NONBLOCK) != 0) {
		floor->failed++;
		return;
	}
	pid_t pid = vfork(); /* NOLINT: the cheapest way is what is measured */
	if (pid == 0) {
		dup2(out[1], STDOUT_FILENO); /* NOLINT */
		setpgid(0, 0); /* NOLINT */
		execve(argv[0], argv, environment);
		_exit(127);
	}
	close(out[1]);
	int pidfd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		perror("floor: a child");
		exit(1);
	}
	/* once: vfork returns before the child has closed its copies of our descriptors, so
	 * that what we close goes on being reported until it has */
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT,
		.data.u64 = (uint64_t)pidfd << 32 | (uint32_t)out[0] };
	epoll_ctl(floor->poll, EPOLL_CTL_ADD, pidfd, &event);
}

static void
script_work(struct floor *floor, uint64_t data)
{
	int pidfd = (int)(data >> 32), out = (int)(uint32_t)data;
	siginfo_t end = { 0 };
	char text[4096];

	if (waitid(P_PIDFD, (id_t)pidfd, &end, WEXITED | WNOHANG) != 0 ||
	    end.si_pid == 0)
		return;
	if (read(out, text, sizeof(text)) <= 0 || end.si_status != 0)
		floor->failed++;
	close(out);
	close(pidfd);
}

const struct floor_kind floor_script = { "script", script_open, script_start,
	script_work };
