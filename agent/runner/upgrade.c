/* SPDX-License-Identifier: ISC */
/*
 * An upgrade in place. A package that replaces our binary asks for it by SIGUSR2. The binary
 * is opened once: what is tested (by its own -t, in a process of its own) is what is executed,
 * whatever becomes of the path meanwhile. From there it is a start like any other, which
 * adopts what was held: nothing is given away, and no state crosses but two descriptors, the
 * lock and the control socket, in which those who connect meanwhile wait. Their numbers go in
 * a variable of the environment with our process id, by which the successor knows that they
 * are meant for it; a version that does not know the variable starts all the same.
 *
 * runner decides when: nothing that would be lost may be going on.
 */
#include "agent/runner/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/file_mark.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/runner/words.h"

#define VARIABLE "LICTOR_UPGRADE"
#define TEST_MS 30000
#define ASKERS_MAX 64
#define WHY_SIZE 400
#define OUTPUT_MAX (1 << 20) /* bytes */
#define KEPT_FD 3 /* and the next: where the kept ones are put */
#define GOOD "configuration ok"

struct upgrade {
	struct loop *loop;
	const char *folder;
	const char *const *debug;
	struct upgrade_out out;
	char path[PATH_MAX]; /* of our binary, or what is there by now */
	uint64_t askers[ASKERS_MAX];
	size_t n_askers;
	int exe_fd, output_fd; /* -1: none */
	struct file_mark mark; /* of the path when it was opened */
	pid_t pid; /* of the test; 0: none goes on */
	int pidfd;
	struct loop_io *end;
	struct loop_timer *limit, *nudge;
	bool late;
	bool good; /* it has passed */
};

/* ---- the end ---- */

static void
answer_all(struct upgrade *upgrade, bool ok, const char *why)
{
	for (size_t i = 0; i < upgrade->n_askers; i++)
		upgrade->out.answer(upgrade->out.arg, upgrade->askers[i], ok, why);
	upgrade->n_askers = 0;
}

static void
drop_test(struct upgrade *upgrade)
{
	loop_timer_stop(upgrade->limit);
	loop_io_free(upgrade->end);
	upgrade->end = NULL;
	cleanup_close(&upgrade->pidfd);
	cleanup_close(&upgrade->output_fd);
	upgrade->pidfd = upgrade->output_fd = -1;
	upgrade->pid = 0;
}

/* Whatever has come of it so far. */
static void
forget(struct upgrade *upgrade)
{
	if (upgrade->pid > 0) {
		kill(upgrade->pid, SIGKILL);
		waitpid(upgrade->pid, NULL, 0);
	}
	drop_test(upgrade);
	cleanup_close(&upgrade->exe_fd);
	upgrade->exe_fd = -1;
	upgrade->good = false;
}

static void
refuse(struct upgrade *upgrade, const char *why)
{
	drop_test(upgrade); /* its process is reaped */
	forget(upgrade);
	log_error("runner", "not upgraded, this version stays: %s", why);
	answer_all(upgrade, false, why);
}

/* ---- the test ---- */

/* All that it printed: its warnings come first, as many as there are. */
static char *
read_output(const struct upgrade *upgrade)
{
	struct stat st = { 0 };

	fstat(upgrade->output_fd, &st);
	size_t size = st.st_size < OUTPUT_MAX ? (size_t)st.st_size : OUTPUT_MAX;
	char *out = xcalloc(size + 1, 1);
	ssize_t len = pread(upgrade->output_fd, out, size, 0);
	out[len > 0 ? len : 0] = '\0';
	return out;
}

/* What stands against it, or NULL. */
static char *
find_fault(const struct upgrade *upgrade, int status)
{
	AUTO_FREE char *said = read_output(upgrade);
	char line[WHY_SIZE];
	if (upgrade->late)
		return xasprintf(
		    "%s -t did not end within %d s", upgrade->path, TEST_MS / 1000);
	if (!WIFEXITED(status))
		return xasprintf(
		    "%s -t was killed by signal %d", upgrade->path, WTERMSIG(status));
	if (WEXITSTATUS(status) == 0)
		return strstr(said, GOOD) != NULL
		    ? NULL
		    : xasprintf("%s is no lictord", upgrade->path);
	text_escape(line, sizeof(line), said, strcspn(said, "\n"));
	return xasprintf(
	    "%s -t ends with status %d: %s", upgrade->path, WEXITSTATUS(status), line);
}

static void
judge(struct upgrade *upgrade, int status)
{
	AUTO_FREE char *why = find_fault(upgrade, status);

	if (why != NULL) {
		refuse(upgrade, why);
		return;
	}
	drop_test(upgrade);
	upgrade->good = true;
	upgrade_nudge(upgrade);
}

static void
on_end(void *arg, unsigned int events)
{
	struct upgrade *upgrade = arg;
	int status;

	if (waitpid(upgrade->pid, &status, WNOHANG) == upgrade->pid)
		judge(upgrade, status);
}

static void
on_limit(void *arg)
{
	struct upgrade *upgrade = arg;

	upgrade->late = true;
	kill(upgrade->pid, SIGKILL);
}

/* In the child. */
static _Noreturn void
test(const struct upgrade *upgrade)
{
	const char *const argv[] = { upgrade->path, "-t", "-c", upgrade->folder, NULL };
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	unsetenv("NOTIFY_SOCKET");
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(upgrade->output_fd, STDOUT_FILENO) >= 0 &&
	    dup2(upgrade->output_fd, STDERR_FILENO) >= 0)
		fexecve(upgrade->exe_fd, (char *const *)(uintptr_t)argv, environ);
	dprintf(STDERR_FILENO, "it cannot be executed: %s\n", strerror(errno));
	_exit(127);
}

/* 0 or -errno. */
static int
start_test(struct upgrade *upgrade)
{
	sigset_t all, before;

	upgrade->mark = file_mark(upgrade->path);
	upgrade->exe_fd = open(upgrade->path, O_RDONLY | O_CLOEXEC);
	if (upgrade->exe_fd < 0)
		return -errno;
	upgrade->output_fd = memfd_create("lictor-test", MFD_CLOEXEC);
	if (upgrade->output_fd < 0)
		return -errno;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	upgrade->pid = fork();
	if (upgrade->pid == 0)
		test(upgrade);
	int error = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (upgrade->pid > 0) {
		upgrade->pidfd = (int)syscall(SYS_pidfd_open, upgrade->pid, 0);
		error = errno;
	}
	if (upgrade->pidfd >= 0)
		return 0;
	if (upgrade->pid > 0) {
		kill(upgrade->pid, SIGKILL);
		waitpid(upgrade->pid, NULL, 0);
	}
	return -error;
}

/* What is tried, or has passed and waits, is what is at the path now. */
static bool
is_at_work(const struct upgrade *upgrade)
{
	struct file_mark mark = file_mark(upgrade->path);

	return (upgrade->pid != 0 || upgrade->good) &&
	    file_mark_same(&mark, &upgrade->mark);
}

void
upgrade_ask(struct upgrade *upgrade, uint64_t request)
{
	if (request != 0 && upgrade->n_askers == ASKERS_MAX) {
		upgrade->out.answer(
		    upgrade->out.arg, request, false, "too many wait for an upgrade");
		return;
	}
	if (request != 0)
		upgrade->askers[upgrade->n_askers++] = request;
	if (is_at_work(upgrade))
		return;
	forget(upgrade);
	int error = start_test(upgrade);
	if (error != 0) {
		AUTO_FREE char *why = xasprintf(
		    "%s cannot be tried: %s", upgrade->path, strerror(-error));
		refuse(upgrade, why);
		return;
	}
	upgrade->late = false;
	upgrade->end = loop_io_new(upgrade->loop, upgrade->pidfd, on_end, upgrade);
	loop_io_watch(upgrade->end, LOOP_READ);
	loop_timer_after(upgrade->limit, TEST_MS);
}

/* ---- the turn ---- */

static void
on_nudge(void *arg)
{
	struct upgrade *upgrade = arg;

	if (upgrade->good)
		upgrade->out.due(upgrade->out.arg);
}

void
upgrade_nudge(struct upgrade *upgrade)
{
	if (upgrade->good)
		loop_timer_at(upgrade->nudge, 0);
}

void
upgrade_begin(struct upgrade *upgrade)
{
	AUTO_FREE char *why = xasprintf("%s takes over", upgrade->path);

	upgrade->good = false;
	log_notice("runner",
	    "upgraded: %s passes its own test and takes over, nothing is given away",
	    upgrade->path);
	answer_all(upgrade, true, why);
}

static void
mask(int how, bool stops_too)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR2);
	if (stops_too)
		sigaddset(&set, SIGTERM);
	if (stops_too)
		sigaddset(&set, SIGINT);
	sigprocmask(how, &set, NULL);
}

void
upgrade_hold_signals(bool stops_too)
{
	mask(SIG_BLOCK, stops_too);
}

void
upgrade_hear_signals(void)
{
	mask(SIG_UNBLOCK, true);
}

static bool
keep(int fd)
{
	return fcntl(fd, F_SETFD, 0) == 0;
}

int
upgrade_exec(struct upgrade *upgrade, const struct upgrade_kept *kept)
{
	const char *const head[] = { upgrade->path, "-c", upgrade->folder, NULL };
	AUTO_WORDS struct words argv = { 0 };
	char text[64];

	words_add(&argv, head);
	for (size_t i = 0; upgrade->debug[i] != NULL; i++)
		words_add(
		    &argv, (const char *const[]){ "-d", upgrade->debug[i], NULL });
	snprintf(text, sizeof(text), "%d %d %d", (int)getpid(), kept->lock_fd,
	    kept->control_fd);
	setenv(VARIABLE, text, 1);
	syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
	if (keep(kept->lock_fd) && keep(kept->control_fd))
		fexecve(upgrade->exe_fd, (char *const *)argv.text, environ);
	return -errno;
}

/* ---- the successor ---- */

static bool
listens(int fd)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) == 0 &&
	    value != 0;
}

/* The two, out of each other's way, at their places; those there by chance are not ours. */
static bool
place(struct upgrade_kept *kept)
{
	int lock = fcntl(kept->lock_fd, F_DUPFD_CLOEXEC, KEPT_FD + 2);
	int control = fcntl(kept->control_fd, F_DUPFD_CLOEXEC, KEPT_FD + 2);

	kept->lock_fd = kept->control_fd = -1;
	if (lock < 0 || control < 0 || !listens(control) ||
	    dup3(lock, KEPT_FD, O_CLOEXEC) < 0 ||
	    dup3(control, KEPT_FD + 1, O_CLOEXEC) < 0)
		return false;
	kept->lock_fd = KEPT_FD;
	kept->control_fd = KEPT_FD + 1;
	return true;
}

/* "PID LOCK CONTROL" */
static bool
parse(const char *text, struct upgrade_kept *kept)
{
	char words[3][16];
	uint64_t numbers[3];

	if (sscanf(text, "%15s %15s %15s", words[0], words[1], words[2]) != 3)
		return false;
	for (size_t i = 0; i < 3; i++)
		if (parse_uint(words[i], 0, INT_MAX, &numbers[i]) != 0)
			return false;
	kept->lock_fd = (int)numbers[1];
	kept->control_fd = (int)numbers[2];
	return numbers[0] == (uint64_t)getpid();
}

bool
upgrade_take(struct upgrade_kept *kept)
{
	const char *text = getenv(VARIABLE);
	bool ours = text != NULL && parse(text, kept) && place(kept);

	unsetenv(VARIABLE);
	if (!ours)
		kept->lock_fd = kept->control_fd = -1;
	syscall(SYS_close_range, ours ? KEPT_FD + 2 : KEPT_FD, ~0U, 0);
	return ours;
}

/* ---- life ---- */

/* Where a package has put another one already, the kernel says so behind the path. */
static void
find_path(char path[PATH_MAX])
{
	static const char gone[] = " (deleted)";
	ssize_t len = readlink("/proc/self/exe", path, PATH_MAX - 1);

	path[len > 0 ? len : 0] = '\0';
	char *end = path + strlen(path);
	if (end - path > (ptrdiff_t)strlen(gone) &&
	    strcmp(end - strlen(gone), gone) == 0)
		*(end - strlen(gone)) = '\0';
}

struct upgrade *
upgrade_new(struct loop *loop, const char *folder, const char *const *debug,
    const struct upgrade_out *out)
{
	struct upgrade *upgrade = xcalloc(1, sizeof(*upgrade));

	upgrade->loop = loop;
	upgrade->folder = folder;
	upgrade->debug = debug;
	upgrade->out = *out;
	upgrade->exe_fd = upgrade->output_fd = upgrade->pidfd = -1;
	upgrade->limit = loop_timer_new(loop, on_limit, upgrade);
	upgrade->nudge = loop_timer_new(loop, on_nudge, upgrade);
	find_path(upgrade->path);
	return upgrade;
}

void
upgrade_free(struct upgrade *upgrade)
{
	if (upgrade == NULL)
		return;
	forget(upgrade);
	loop_timer_free(upgrade->limit);
	loop_timer_free(upgrade->nudge);
	free(upgrade);
}
