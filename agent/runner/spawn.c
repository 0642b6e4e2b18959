/* SPDX-License-Identifier: ISC */
/*
 * A program started cheaply: clone with the parent's memory, which stands still until the
 * child has called exec (as vfork does, but on a stack of the child's own), so that
 * nothing is copied however large the runner is. The child may touch nothing but its frame and
 * `struct child`, in which it leaves word of what failed; its credentials and limits are set by
 * bare system calls, because the C library's setuid speaks to the threads of the process whose
 * memory it is. All signals are blocked on the way, so no handler runs in the child.
 *
 * clone3(2) ends the handlers and puts the child into its control group by itself, but the
 * C library has no function for it, and a filter (an old container's) may forbid it: then, and on
 * other machines than x86-64, clone(2) is used and the child does both.
 */
#include "agent/runner/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/identity.h"
#include "agent/base/util.h"
#include "agent/runner/account.h"

#define STACK_SIZE (64 * 1024)

/* What the child runs before exec: AddressSanitizer would leave marks of its stack behind,
 * in the memory that it shares with the parent. */
#define CHILD_SIDE __attribute__((no_sanitize("address"))) static

struct spawner {
	char *stack;
	int null_fd; /* -1: opened when it is needed */
	bool plain; /* there is no clone3 */
	unsigned char ignored[NSIG]; /* signals that we ignore, 0 at the end */
};

struct child {
	const struct spawn *spawn;
	int null_fd;
	bool plain;
	const unsigned char *ignored;
	pid_t parent;
	int error;
	const char *step;
};

/* Handlers end at exec by themselves, but none must run before it. */
CHILD_SIDE void
end_handlers(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	for (int signum = 1; signum < NSIG; signum++)
		sigaction(signum, &action, NULL);
}

/* An ignoring parent would hand them on. */
CHILD_SIDE void
heed(const unsigned char *ignored)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	for (; *ignored != 0; ignored++)
		sigaction(*ignored, &action, NULL);
}

CHILD_SIDE bool
enter_cgroup(int cgroup_fd)
{
	int fd = openat(cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, "0", 1) == 1 && close(fd) == 0;
}

/* What clone3 would have done. */
CHILD_SIDE bool
begin_plain(const struct spawn *spawn)
{
	end_handlers();
	return spawn->cgroup_fd < 0 || enter_cgroup(spawn->cgroup_fd);
}

CHILD_SIDE bool
become(const struct account *account)
{
	return account == NULL ||
	    identity_become(
		account->uid, account->gid, account->groups, account->n_groups) == 0;
}

/* A runner that is no root has capabilities which a change of the user leaves alone. No
 * command gets any by us: root has its own at its exec. */
CHILD_SIDE bool
forget_capabilities(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) != 0)
		return false;
	data[0].inheritable = data[1].inheritable = 0; /* the ambient ones go along */
	if (syscall(SYS_geteuid) != 0) {
		data[0].effective = data[1].effective = 0;
		data[0].permitted = data[1].permitted = 0;
	}
	return syscall(SYS_capset, &head, data) == 0;
}

CHILD_SIDE bool
take_descriptors(int null_fd, int output_fd)
{
	return dup2(null_fd, 0) == 0 && dup2(output_fd, 1) == 1 &&
	    dup2(output_fd, 2) == 2 && syscall(SYS_close_range, 3, ~0U, 0) == 0;
}

/* Only ever lower than what lictord has itself. */
CHILD_SIDE bool
limit(int resource, uint64_t most)
{
	struct rlimit now;

	if (most == 0)
		return true;
	if (getrlimit((__rlimit_resource_t)resource, &now) != 0)
		return false;
	if (now.rlim_max < most)
		most = now.rlim_max;
	now = (struct rlimit){ most, most };
	return setrlimit((__rlimit_resource_t)resource, &now) == 0;
}

CHILD_SIDE bool
limit_all(const struct spawn *spawn)
{
	const struct rlimit none = { 0, 0 }, mark = { spawn->mark, spawn->mark };

	if (spawn->mark != 0)
		setrlimit(
		    RLIMIT_RTTIME, &mark); /* may not raise that of a lictord above */
	return (!spawn->expendable || setrlimit(RLIMIT_CORE, &none) == 0) &&
	    limit(RLIMIT_NOFILE, spawn->files) &&
	    limit(RLIMIT_NPROC, spawn->processes) && limit(RLIMIT_AS, spawn->memory);
}

/* A change of the user would undo it, so it comes behind that; a parent that was gone before
 * is noticed by its number. */
CHILD_SIDE bool
die_with_parent(pid_t parent)
{
	return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
}

/* Returns only if something failed: what it was. */
CHILD_SIDE const char *
child_exec(const struct child *child)
{
	const struct spawn *spawn = child->spawn;
	sigset_t none;

	if (child->plain && !begin_plain(spawn))
		return "enter its control group";
	heed(child->ignored);
	if (!take_descriptors(child->null_fd, spawn->output_fd))
		return "open its descriptors";
	if (setsid() < 0)
		return "start a session";
	if (!become(spawn->account) || !forget_capabilities())
		return "become its user";
	if (!limit_all(spawn))
		return "set its limits";
	if (chdir(spawn->directory) != 0)
		return "enter its directory";
	if (spawn->expendable && !die_with_parent(child->parent))
		return "tie it to lictord";
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(spawn->argv[0], spawn->argv, spawn->environment);
	return "execute it";
}

CHILD_SIDE int
child_main(void *arg)
{
	struct child *child = arg;

	child->step = child_exec(child);
	child->error = errno;
	_exit(127);
}

#ifdef __x86_64__
/* The child, on its own stack, calls child_main, which does not return. */
static long
clone3(struct clone_args *args, struct child *child)
{
	long result;

	__asm__ volatile("syscall\n\t"
			 "testq %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "movq %[child], %%rdi\n\t"
			 "callq *%[main]\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(result)
			 : "0"((long)SYS_clone3), "D"(args),
			 "S"(sizeof(*args)), [child] "r"(child), [main] "r"(child_main)
			 : "rcx", "r11", "memory");
	return result;
}
#else
static long
clone3(struct clone_args *args, struct child *child)
{
	return -ENOSYS;
}
#endif

/* The process's number, or -errno. */
static long
clone_new(struct spawner *spawner, struct child *child, int *pidfd)
{
	const struct spawn *spawn = child->spawn;
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND |
		    (spawn->cgroup_fd >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uintptr_t)spawner->stack,
		.stack_size = STACK_SIZE,
		.cgroup = spawn->cgroup_fd >= 0 ? (uint64_t)spawn->cgroup_fd : 0,
	};

	if (!spawner->plain) {
		long result = clone3(&args, child);
		if (result != -ENOSYS && result != -EPERM)
			return result;
		spawner->plain = child->plain = true;
	}
	int result = clone(child_main, spawner->stack + STACK_SIZE,
	    CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, child, pidfd);
	return result < 0 ? -errno : result;
}

static void
reap(pid_t pid, int pidfd)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(pidfd);
}

static void
find_ignored(struct spawner *spawner)
{
	struct sigaction action;
	size_t n = 0;

	for (int signum = 1; signum < NSIG; signum++)
		if (sigaction(signum, NULL, &action) == 0 &&
		    action.sa_handler == SIG_IGN)
			spawner->ignored[n++] = (unsigned char)signum;
	spawner->ignored[n] = 0;
}

/* Once, before the first start. */
static int
prepare(struct spawner *spawner)
{
	if (spawner->stack == NULL) {
		char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
		if (stack == MAP_FAILED)
			return -errno;
		spawner->stack = stack;
	}
	if (spawner->null_fd >= 0)
		return 0;
	find_ignored(spawner);
	spawner->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return spawner->null_fd < 0 ? -errno : 0;
}

int
spawner_start(struct spawner *spawner, const struct spawn *spawn, pid_t *pid,
    int *pidfd, const char **step)
{
	struct child child = { .spawn = spawn, .parent = getpid() };
	sigset_t all, before;
	int fd = -1;
	int error = prepare(spawner);

	*step = "start a process";
	if (error != 0)
		return error;
	child.null_fd = spawner->null_fd;
	child.plain = spawner->plain;
	child.ignored = spawner->ignored;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before);
	long started = clone_new(spawner, &child, &fd);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (started < 0)
		return (int)started;
	if (child.step != NULL) {
		*step = child.step;
		reap((pid_t)started, fd);
		return child.error != 0 ? -child.error : -ECHILD;
	}
	*pid = (pid_t)started;
	*pidfd = fd;
	return 0;
}

struct spawner *
spawner_new(void)
{
	struct spawner *spawner = xcalloc(1, sizeof(*spawner));

	spawner->null_fd = -1;
	return spawner;
}

void
spawner_free(struct spawner *spawner)
{
	if (spawner == NULL)
		return;
	if (spawner->stack != NULL)
		munmap(spawner->stack, STACK_SIZE);
	cleanup_close(&spawner->null_fd);
	free(spawner);
}
