/* SPDX-License-Identifier: ISC */
/*
 * How the runner starts the agent and the warden: by executing the very file that it was
 * itself started from (after an upgrade of the package its path is another version), so that
 * they share nothing with it but what it hands them. They end when their socket to the runner
 * closes, not by signals: what stops a terminal's foreground group or systemd's control
 * group must reach the runner alone, so the signals are ignored before exec.
 */
#include "agent/runner/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "agent/runner/privileges.h"
#include "agent/runner/words.h"

/* Numbers from here on are in nobody's way. */
#define HIGH_FD 16

static int
raise_fd(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
}

static bool
place_fd(int fd, int number)
{
	return fd < 0 || dup2(fd, number) == number;
}

/* In the child; returns only if exec fails. */
static void
child_exec(const struct child *child, char *const *argv)
{
	int exe = raise_fd(child->exe_fd);
	int conf = raise_fd(child->conf_fd);
	int runner = raise_fd(child->runner_fd);
	int control = raise_fd(child->control_fd);
	int blackbox = raise_fd(child->blackbox_fd);
	int lock = raise_fd(child->lock_fd);
	int bpffs = raise_fd(child->bpffs_fd);
	sigset_t none;

	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (exe >= 0 && conf >= 0 && runner >= 0 && place_fd(conf, CHILD_FD_CONF) &&
	    place_fd(runner, CHILD_FD_RUNNER) && place_fd(control, CHILD_FD_CONTROL) &&
	    place_fd(blackbox, CHILD_FD_BLACKBOX) && place_fd(lock, CHILD_FD_LOCK) &&
	    place_fd(bpffs, CHILD_FD_BPFFS) && privileges_apply(child->privileges) == 0)
		fexecve(exe, argv, environ);
}

int
child_start(const struct child *child, pid_t *pid, int *pidfd)
{
	AUTO_FREE char *title = xasprintf("lictord: %s", child->name);
	const char *const head[] = { title, "--" CHILD_OPTION, child->name, NULL };
	AUTO_WORDS struct words argv = { 0 };
	sigset_t all, before;

	words_add(&argv, head);
	for (size_t i = 0; child->debug != NULL && child->debug[i] != NULL; i++)
		words_add(&argv, (const char *const[]){ "-d", child->debug[i], NULL });
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	pid_t started = fork();
	if (started == 0) {
		child_exec(child, (char *const *)argv.text);
		_exit(127);
	}
	int error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (started < 0)
		return -error;
	int fd = (int)syscall(SYS_pidfd_open, started, 0);
	if (fd < 0) {
		error = errno;
		kill(started, SIGKILL);
		waitpid(started, NULL, 0);
		return -error;
	}
	*pid = started;
	*pidfd = fd;
	return 0;
}
