/* SPDX-License-Identifier: ISC */
/*
 * A program started cheaply: clone with the parent's memory, which stands still until the
 * child has called exec (as vfork does, but on a stack of the child's own), so that
 * nothing is copied however large the runner is. The child may touch nothing but its frame and
 * `struct child`, in which it leaves word of what failed; its credentials are set by bare
 * system calls, because the C library's setuid speaks to the threads of the process whose
 * memory it is. All signals are blocked on the way, so no handler runs in the child.
 */
#include "agent/runner/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/util.h"

#define STACK_SIZE (64 * 1024)

/* What the child runs before exec: AddressSanitizer would leave marks of its stack behind,
 * in the memory that it shares with the parent. */
#define CHILD_SIDE __attribute__((no_sanitize("address"))) static

struct child {
	const struct spawn *spawn;
	sigset_t mask;
	int error;
	const char *step;
};

/* The signals that an ignoring parent would hand on; handlers end at exec by themselves,
 * but one must not run before it. */
CHILD_SIDE void
reset_signals(const sigset_t *mask)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	for (int signum = 1; signum < NSIG; signum++)
		sigaction(signum, &action, NULL);
	sigprocmask(SIG_SETMASK, mask, NULL);
}

CHILD_SIDE bool
become(const struct spawn_account *account)
{
	return syscall(SYS_setgroups, account->n_groups, account->groups) == 0 &&
	    syscall(SYS_setresgid, account->gid, account->gid, account->gid) == 0 &&
	    syscall(SYS_setresuid, account->uid, account->uid, account->uid) == 0;
}

CHILD_SIDE bool
take_descriptors(int output_fd)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return null >= 0 && dup2(null, 0) == 0 && dup2(output_fd, 1) == 1 &&
	    dup2(output_fd, 2) == 2 && syscall(SYS_close_range, 3, ~0U, 0) == 0;
}

/* Returns only if something failed: what it was. */
CHILD_SIDE const char *
child_exec(const struct spawn *spawn, const sigset_t *mask)
{
	reset_signals(mask);
	if (!take_descriptors(spawn->output_fd))
		return "open its descriptors";
	if (setsid() < 0)
		return "start a session";
	if (spawn->account != NULL && !become(spawn->account))
		return "become its user";
	if (chdir(spawn->directory) != 0)
		return "enter its directory";
	execve(spawn->argv[0], spawn->argv, spawn->environment);
	return "execute it";
}

CHILD_SIDE int
child_main(void *arg)
{
	struct child *child = arg;

	child->step = child_exec(child->spawn, &child->mask);
	child->error = errno;
	_exit(127);
}

static void
reap(pid_t pid, int pidfd)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(pidfd);
}

int
spawn_start(const struct spawn *spawn, pid_t *pid, int *pidfd, const char **step)
{
	struct child child = { .spawn = spawn };
	sigset_t all, before;
	int fd = -1;

	sigemptyset(&child.mask);
	sigfillset(&all);
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	*step = "start a process";
	if (stack == MAP_FAILED)
		return -errno;
	sigprocmask(SIG_BLOCK, &all, &before);
	pid_t started = clone(child_main, stack + STACK_SIZE,
	    CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &child, &fd);
	int error = started < 0 ? errno : child.error;
	sigprocmask(SIG_SETMASK, &before, NULL);
	munmap(stack, STACK_SIZE);
	if (started >= 0 && error != 0) {
		*step = child.step;
		reap(started, fd);
	}
	if (error != 0)
		return -error;
	*pid = started;
	*pidfd = fd;
	return 0;
}

/* The groups of `account`, which has the rest already; the list grows until all fit. */
static void
find_groups(struct spawn_account *account)
{
	int count = 16, room = 0;

	while (room < count) {
		room = count;
		account->groups =
		    xrealloc(account->groups, (size_t)room, sizeof(gid_t));
		getgrouplist(account->name, account->gid, account->groups, &count);
	}
	account->n_groups = (size_t)count;
}

int
spawn_account_find(const char *name, struct spawn_account *account)
{
	errno = 0;
	const struct passwd *user = name != NULL ? getpwnam(name) : getpwuid(geteuid());

	if (user == NULL && name != NULL)
		return errno != 0 ? -errno : -ENOENT;
	*account = (struct spawn_account){
		.name = xstrdup(user != NULL ? user->pw_name : ""),
		.home = xstrdup(user != NULL ? user->pw_dir : "/"),
		.uid = user != NULL ? user->pw_uid : geteuid(),
		.gid = user != NULL ? user->pw_gid : getegid(),
	};
	find_groups(account);
	return 0;
}

void
spawn_account_free(struct spawn_account *account)
{
	free(account->name);
	free(account->home);
	free(account->groups);
}
