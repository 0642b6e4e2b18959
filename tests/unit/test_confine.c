/* SPDX-License-Identifier: ISC */
/*
 * The filters, tried call by call, each in a process of its own that is confined first: what
 * would reach another process, another user or a program kills it, whichever of the two it is;
 * the warden beyond that has no files and opens no connection. A call that a broken filter
 * let through does no harm, for its arguments are of no use.
 */
#include "agent/base/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/identity.h"
#include "agent/base/util.h"
#include "tests/unit/tap.h"

#define PARENT (-100) /* stands for the number of this process's parent */
#define NOWHERE 8L /* no address of anything */

struct call {
	long number;
	long arguments[3];
};

/* By neither. */
static const struct call forbidden[] = {
	{ SYS_execve, { NOWHERE, NOWHERE, NOWHERE } },
	{ SYS_execveat, { -1, NOWHERE, NOWHERE } },
	{ SYS_clone, { SIGCHLD, 0, 0 } },
	{ SYS_clone, { SIGCHLD | CLONE_VM | CLONE_VFORK, 0, 0 } },
	{ SYS_clone, { CLONE_NEWUSER | SIGCHLD, 0, 0 } },
	{ SYS_kill, { PARENT, 0, 0 } },
	{ SYS_kill, { -1, 0, 0 } },
	{ SYS_kill, { 0, 0, 0 } },
	{ SYS_tkill, { PARENT, 0, 0 } },
	{ SYS_tgkill, { PARENT, PARENT, 0 } },
	{ SYS_rt_sigqueueinfo, { PARENT, 0, NOWHERE } },
	{ SYS_rt_tgsigqueueinfo, { PARENT, PARENT, 0 } },
	{ SYS_pidfd_open, { PARENT, 0, 0 } },
	{ SYS_pidfd_send_signal, { -1, 0, NOWHERE } },
	{ SYS_pidfd_getfd, { -1, 0, 0 } },
	{ SYS_ptrace, { 2, PARENT, NOWHERE } }, /* PTRACE_PEEKDATA */
	{ SYS_process_vm_readv, { PARENT, NOWHERE, 0 } },
	{ SYS_process_vm_writev, { PARENT, NOWHERE, 0 } },
	{ SYS_process_madvise, { -1, NOWHERE, 0 } },
	{ SYS_kcmp, { PARENT, PARENT, 0 } },
	{ SYS_prlimit64, { PARENT, 0, 0 } },
	{ SYS_setpriority, { 0, PARENT, 0 } },
	{ SYS_sched_setscheduler, { PARENT, 0, NOWHERE } },
	{ SYS_setpgid, { PARENT, 0, 0 } },
	{ SYS_setuid, { 0, 0, 0 } },
	{ SYS_setgid, { 0, 0, 0 } },
	{ SYS_setresuid, { 0, 0, 0 } },
	{ SYS_setgroups, { 0, 0, 0 } },
	{ SYS_capset, { NOWHERE, NOWHERE, 0 } },
	{ SYS_chroot, { NOWHERE, 0, 0 } },
	{ SYS_mount, { NOWHERE, NOWHERE, NOWHERE } },
	{ SYS_umount2, { NOWHERE, 0, 0 } },
	{ SYS_unshare, { 0, 0, 0 } },
	{ SYS_setns, { -1, 0, 0 } },
	{ SYS_bpf, { BPF_PROG_LOAD, NOWHERE, 0 } },
	{ SYS_bpf, { BPF_MAP_CREATE, NOWHERE, 0 } },
	{ SYS_bpf, { BPF_PROG_ATTACH, NOWHERE, 0 } },
	{ SYS_perf_event_open, { NOWHERE, 0, -1 } },
	{ SYS_userfaultfd, { -1, 0, 0 } },
	{ SYS_init_module, { NOWHERE, 0, NOWHERE } },
	{ SYS_mknodat, { -1, NOWHERE, 0 } },
	{ SYS_fchown, { -1, 0, 0 } },
	{ SYS_fchmodat, { -1, NOWHERE, 0 } },
	{ SYS_linkat, { -1, NOWHERE, -1 } },
	{ SYS_symlinkat, { NOWHERE, -1, NOWHERE } },
	{ SYS_setsid, { 0, 0, 0 } },
	{ SYS_fcntl, { 0, F_SETOWN, PARENT } },
	{ SYS_fcntl, { 0, F_SETSIG, SIGKILL } },
	{ SYS_ioctl, { 0, TIOCSTI, NOWHERE } },
	{ SYS_ioctl, { 0, FIOSETOWN, NOWHERE } },
	{ SYS_prctl, { PR_SET_DUMPABLE, 1, 0 } },
	{ SYS_prctl, { PR_SET_PTRACER, -1, 0 } },
	{ SYS_seccomp, { 0, 0, 0 } },
	{ 1000, { 0, 0, 0 } },
};

/* By the warden, beside those. */
static const struct call not_by_warden[] = {
	{ SYS_openat, { AT_FDCWD, NOWHERE, O_RDONLY } },
	{ SYS_unlinkat, { -1, NOWHERE, 0 } },
	{ SYS_renameat2, { -1, NOWHERE, -1 } },
	{ SYS_newfstatat, { AT_FDCWD, NOWHERE, NOWHERE } },
	{ SYS_memfd_create, { NOWHERE, 0, 0 } },
	{ SYS_connect, { -1, NOWHERE, 0 } },
	{ SYS_listen, { -1, 0, 0 } },
	{ SYS_accept4, { -1, 0, 0 } },
	{ SYS_socket, { AF_INET, SOCK_STREAM, 0 } },
	{ SYS_socket, { AF_INET6, SOCK_RAW, 0 } },
	{ SYS_socket, { AF_UNIX, SOCK_STREAM, 0 } },
	{ SYS_socket, { AF_NETLINK, SOCK_RAW, 12 } }, /* NETLINK_NETFILTER */
	{ SYS_clone, { CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, 0, 0 } },
	{ SYS_clone3, { NOWHERE, 0, 0 } },
	{ SYS_mmap, { 0, 4096, PROT_READ | PROT_EXEC } },
	{ SYS_mprotect, { 0, 0, PROT_EXEC } },
	{ SYS_io_uring_setup, { 1, NOWHERE, 0 } },
	{ SYS_prctl, { PR_SET_NAME, NOWHERE, 0 } },
};

static const struct call not_by_agent[] = {
	{ SYS_socket, { AF_PACKET, SOCK_RAW, 0 } },
	{ SYS_socket, { AF_NETLINK, SOCK_RAW, 4 } }, /* NETLINK_SOCK_DIAG */
	{ SYS_bpf, { BPF_MAP_UPDATE_ELEM, NOWHERE, 0 } },
};

static bool
has_filters(void)
{
#if defined(LICTOR_SANITIZED) || defined(LICTOR_FUZZING)
	CU_PASS("built without filters");
	return false;
#else
	return true;
#endif
}

/* The signal that ends a process which is confined and acts; 0: it lived. */
static int
end_of(enum confine_kind kind, void (*act)(const void *arg), const void *arg)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		char why[128];
		if (confine(kind, why, sizeof(why)) != 0)
			_exit(90);
		act(arg);
		_exit(0);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void
act_call(const void *arg)
{
	const struct call *call = arg;
	long a[3];

	for (size_t i = 0; i < 3; i++)
		a[i] = call->arguments[i] == PARENT ? getppid() : call->arguments[i];
	syscall(call->number, a[0], a[1], a[2], 0, 0, 0);
}

static void
all_kill(enum confine_kind kind, const struct call *calls, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int signum = end_of(kind, act_call, &calls[i]);
		CU_ASSERT_EQUAL(signum, SIGSYS);
		if (signum != SIGSYS)
			printf("# call %ld (%ld, %ld): signal %d\n", calls[i].number,
			    calls[i].arguments[0], calls[i].arguments[1], signum);
	}
}

static void
test_warden(void)
{
	if (!has_filters())
		return;
	all_kill(CONFINE_WARDEN, forbidden, ARRAY_LENGTH(forbidden));
	all_kill(CONFINE_WARDEN, not_by_warden, ARRAY_LENGTH(not_by_warden));
}

static void
test_agent(void)
{
	if (!has_filters())
		return;
	all_kill(CONFINE_AGENT, forbidden, ARRAY_LENGTH(forbidden));
	all_kill(CONFINE_AGENT, not_by_agent, ARRAY_LENGTH(not_by_agent));
}

static void *
be_thread(void *arg)
{
	*(int *)arg = getppid();
	return arg;
}

/* Threads and files, and calls that its libraries try and do without. */
static void
act_as_agent(const void *arg)
{
	pthread_t thread;
	int seen = 0;

	if (pthread_create(&thread, NULL, be_thread, &seen) != 0 ||
	    pthread_join(thread, NULL) != 0 || seen == 0)
		_exit(1);
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || close(fd) != 0)
		_exit(2);
	if (syscall(SYS_io_uring_setup, 1, NULL) == 0 ||
	    syscall(SYS_clone3, NULL, 0) == 0)
		_exit(3);
	identity_may_change();
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || kill(getpid(), 0) != 0)
		_exit(4);
}

/* Whose user is its own: what it could do to the process whose child it is. */
static void
act_on_files(const void *arg)
{
	AUTO_FREE char *theirs = xasprintf("/proc/%d/oom_score_adj", (int)getppid());
	AUTO_FREE char *own = xasprintf("%s/own", (const char *)arg);
	AUTO_FREE char *moved = xasprintf("%s/moved", (const char *)arg);
	AUTO_FREE char *beside = xasprintf("%s.beside", (const char *)arg);

	if (open(theirs, O_WRONLY | O_CLOEXEC) >= 0 || errno != EACCES)
		_exit(1);
	if (open(beside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 ||
	    mkdir(beside, 0700) == 0 || errno != EACCES)
		_exit(2);
	if (open(own, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 ||
	    rename(own, moved) != 0 || unlink(moved) != 0)
		_exit(3);
	if (open(theirs, O_RDONLY | O_CLOEXEC) < 0 ||
	    open("/dev/null", O_RDWR | O_CLOEXEC) < 0)
		_exit(4);
}

/* What it does of itself is tried by the warden's own tests, under its filter. */
static void
act_as_warden(const void *arg)
{
	struct stat st;

	if (fstat(0, &st) != 0 || poll(NULL, 0, 1) != 0)
		_exit(1);
	free(xcalloc(1, 1 << 20));
}

/* It makes its loop first, for which newer libraries take a ring. */
static void
test_rings(void)
{
	int status = 0;

	if (!has_filters())
		return;
	pid_t pid = fork();
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || confine_rings() != 0)
			_exit(90);
		if (syscall(SYS_io_uring_setup, 1, NULL) == 0 || errno != ENOSYS)
			_exit(1);
		_exit(end_of(CONFINE_WARDEN, act_as_warden, NULL));
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
}

static void
test_files(void)
{
	char folder[] = "/tmp/lictor-confine-XXXXXX";
	int status = 0;

	if (!has_filters() || mkdtemp(folder) == NULL)
		return;
	pid_t pid = fork();
	if (pid == 0) {
		char why[128];
		int error = confine_files((const char *[]){ folder, NULL });
		if (error == -EOPNOTSUPP)
			_exit(77);
		if (error != 0 || confine(CONFINE_AGENT, why, sizeof(why)) != 0)
			_exit(90);
		act_on_files(folder);
		_exit(0);
	}
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT(WIFEXITED(status));
	if (WEXITSTATUS(status) != 77)
		CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
	rmdir(folder);
}

static void
test_agent_lives(void)
{
	CU_ASSERT_EQUAL(end_of(CONFINE_AGENT, act_as_agent, NULL), 0);
}

static void
test_warden_lives(void)
{
	CU_ASSERT_EQUAL(end_of(CONFINE_WARDEN, act_as_warden, NULL), 0);
}

/* A failed assertion is to be seen as one. */
static void
act_abort(const void *arg)
{
	abort();
}

static void
test_abort(void)
{
	CU_ASSERT_EQUAL(end_of(CONFINE_WARDEN, act_abort, NULL), SIGABRT);
	CU_ASSERT_EQUAL(end_of(CONFINE_AGENT, act_abort, NULL), SIGABRT);
}

/* Also a thread that was there before is confined, and its call ends the process. */
static void *
wait_and_trace(void *arg)
{
	char go;

	if (read(*(int *)arg, &go, 1) == 1)
		syscall(SYS_ptrace, 2, 1, 0);
	return NULL;
}

static void
test_older_thread(void)
{
	int fds[2], status = 0;

	if (!has_filters())
		return;
	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		char why[128];
		pthread_t thread;
		if (pthread_create(&thread, NULL, wait_and_trace, &fds[0]) != 0 ||
		    confine(CONFINE_AGENT, why, sizeof(why)) != 0 ||
		    write(fds[1], "x", 1) != 1)
			_exit(90);
		pthread_join(thread, NULL);
		_exit(0);
	}
	close(fds[0]);
	close(fds[1]);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

static const struct tap_case cases[] = {
	{ "what the warden may not do kills it", test_warden },
	{ "what the agent may not do kills it", test_agent },
	{ "the agent has files, threads and connections", test_agent_lives },
	{ "the agent writes no files but its own", test_files },
	{ "the warden has memory and timers", test_warden_lives },
	{ "a warden finds no rings before that", test_rings },
	{ "an assertion that fails is no forbidden call", test_abort },
	{ "a thread from before is confined too", test_older_thread },
};

TAP_MAIN("confine", cases)
