/* SPDX-License-Identifier: ISC */
/*
 * The wall's second half: which system calls the warden and the agent may make, as two lists;
 * anything else kills the process, and the runner starts another. The warden's is what
 * address, fence and frames need, with no file and no process in it. The agent's is wide,
 * for it holds all libraries and plugins, but for what would reach another process: it
 * starts no program, forks nothing, signals, traces and looks into none. It has the runner's
 * user where the unit gives that one, so nothing else would forbid it. For the same reason
 * it writes no files but its own: a control group's would end the others.
 *
 * Libraries try calls that are newer than this list, and do without: those they are told
 * the kernel has not. clone3 is one, since a filter cannot see its flags.
 */
#include "agent/base/confine.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/landlock.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/util.h"

/* A call, and what its argument `arg` (and `arg2`) must be: these bits of it this value. */
struct call {
	int number;
	struct condition {
		unsigned int arg;
		uint64_t bits, value;
	} conditions[2]; /* with no bits: none */
};

#define CALL(name)                      \
	{                               \
		SCMP_SYS(name),         \
		{                       \
			{               \
				0, 0, 0 \
			}               \
		}                       \
	}
#define CALL_BITS(name, arg, bits, value)        \
	{                                        \
		SCMP_SYS(name),                  \
		{                                \
			{                        \
				arg, bits, value \
			}                        \
		}                                \
	}
#define CALL_IF(name, arg, value) CALL_BITS(name, arg, UINT32_MAX, value)
#define CALL_IF_TWO(name, arg, value, arg2, value2)      \
	{                                                \
		SCMP_SYS(name),                          \
		{                                        \
			{ arg, UINT32_MAX, value },      \
			{                                \
				arg2, UINT32_MAX, value2 \
			}                                \
		}                                        \
	}

/* Stands for this process's own number. */
#define SELF UINT32_MAX

static const struct call both[] = {
	CALL(read),
	CALL(readv),
	CALL(write),
	CALL(writev),
	CALL(close),
	CALL(fstat),
	CALL(lseek),
	CALL(dup),
	CALL_IF(fcntl, 1, F_DUPFD),
	CALL_IF(fcntl, 1, F_DUPFD_CLOEXEC),
	CALL_IF(fcntl, 1, F_GETFD),
	CALL_IF(fcntl, 1, F_SETFD),
	CALL_IF(fcntl, 1, F_GETFL),
	CALL_IF(fcntl, 1, F_SETFL),
	CALL_IF(fcntl, 1, F_GET_SEALS),
	CALL_IF(ioctl, 1, FIONBIO), /* by libuv */
	CALL_IF(ioctl, 1, FIOCLEX),
	CALL_IF(ioctl, 1, TCGETS), /* by the parser, which asks what it reads */
	CALL_IF(ioctl, 1, TCGETS2), /* newer C libraries */
	CALL(poll),
	CALL(ppoll),
	CALL(epoll_create1),
	CALL(epoll_ctl),
	CALL(epoll_wait),
	CALL(epoll_pwait),
	CALL(epoll_pwait2),
	CALL(eventfd2),
	CALL(timerfd_create),
	CALL(timerfd_settime),
	CALL(timerfd_gettime),
	CALL(bind),
	CALL(sendto),
	CALL(sendmsg),
	CALL(sendmmsg),
	CALL(recvfrom),
	CALL(recvmsg),
	CALL(recvmmsg),
	CALL(getsockopt),
	CALL(setsockopt),
	CALL(getsockname),
	CALL(shutdown),
	CALL(clock_gettime),
	CALL(clock_getres),
	CALL(clock_nanosleep),
	CALL(nanosleep),
	CALL(gettimeofday),
	CALL(time),
	CALL(brk),
	CALL(munmap),
	CALL(mremap),
	CALL(madvise),
	CALL(futex),
	CALL(getrandom),
	CALL(sysinfo), /* by qsort, when it has much to sort */
	CALL(getpid),
	CALL(gettid),
	CALL(getuid),
	CALL(geteuid),
	CALL(sched_yield),
	CALL(rt_sigaction),
	CALL(rt_sigprocmask),
	CALL(rt_sigreturn),
	CALL(sigaltstack),
	CALL(restart_syscall),
	/* abort, and fatal signals that are raised again */
	CALL_IF(tgkill, 0, SELF),
	CALL_IF(kill, 0, SELF),
	CALL(exit),
	CALL(exit_group),
};

static const struct call warden[] = {
	CALL_BITS(newfstatat, 3, AT_EMPTY_PATH, AT_EMPTY_PATH), /* as fstat */
	CALL_BITS(mmap, 2, PROT_EXEC, 0),
	CALL_BITS(mprotect, 2, PROT_EXEC, 0),
	CALL_IF_TWO(socket, 0, AF_NETLINK, 2, NETLINK_ROUTE),
	CALL_IF_TWO(socket, 0, AF_NETLINK, 2, NETLINK_SOCK_DIAG),
	CALL_IF(socket, 0, AF_PACKET),
	CALL_IF(bpf, 0, BPF_MAP_LOOKUP_ELEM),
	CALL_IF(bpf, 0, BPF_MAP_UPDATE_ELEM),
	CALL_IF(bpf, 0, BPF_MAP_DELETE_ELEM),
	CALL_IF(bpf, 0, BPF_MAP_GET_NEXT_KEY),
	CALL_IF(bpf, 0, BPF_OBJ_GET_INFO_BY_FD),
	CALL_IF(bpf, 0, BPF_PROG_QUERY),
	CALL_IF(bpf, 0, BPF_PROG_TEST_RUN),
};

static const struct call agent[] = {
	/* files */
	CALL(open),
	CALL(openat),
	CALL(creat),
	CALL(stat),
	CALL(lstat),
	CALL(newfstatat),
	CALL(statx),
	CALL(statfs),
	CALL(fstatfs),
	CALL(access),
	CALL(faccessat),
	CALL(faccessat2),
	CALL(readlink),
	CALL(readlinkat),
	CALL(getdents64),
	CALL(getcwd),
	CALL(pread64),
	CALL(preadv),
	CALL(pwrite64),
	CALL(pwritev),
	CALL(mkdir),
	CALL(mkdirat),
	CALL(rmdir),
	CALL(rename),
	CALL(renameat),
	CALL(renameat2),
	CALL(unlink),
	CALL(unlinkat),
	CALL(fsync),
	CALL(fdatasync),
	CALL(ftruncate),
	CALL(fallocate),
	CALL(fadvise64),
	CALL(fchmod),
	CALL(flock),
	CALL(umask),
	CALL(dup2),
	CALL(dup3),
	CALL(pipe),
	CALL(pipe2),
	CALL(close_range),
	CALL(memfd_create),
	CALL(sendfile),
	CALL(inotify_init1),
	CALL(inotify_add_watch),
	CALL(inotify_rm_watch),
	CALL_IF(fcntl, 1, F_GETLK),
	CALL_IF(fcntl, 1, F_SETLK),
	CALL_IF(fcntl, 1, F_SETLKW),
	CALL_IF(fcntl, 1, F_OFD_SETLK),
	CALL_IF(fcntl, 1, F_ADD_SEALS),
	/* not TIOCSTI, by which a terminal's shell would be told what to do */
	CALL_IF(ioctl, 1, FIONREAD),
	CALL_IF(ioctl, 1, TIOCGWINSZ),
	CALL_IF(ioctl, 1, SIOCOUTQ),
	CALL_IF(ioctl, 1, SIOCGIFINDEX),
	CALL_IF(ioctl, 1, SIOCGIFNAME),
	/* memory: plugins are loaded, libraries compile expressions */
	CALL(mmap),
	CALL(mprotect),
	CALL(msync),
	CALL(mincore),
	CALL(mlock),
	CALL(mlock2),
	CALL(munlock),
	CALL(membarrier),
	CALL(pkey_mprotect),
	CALL(pkey_alloc),
	/* the network, but for packets made by hand */
	CALL_IF(socket, 0, AF_INET),
	CALL_IF(socket, 0, AF_INET6),
	CALL_IF(socket, 0, AF_UNIX),
	CALL_IF_TWO(socket, 0, AF_NETLINK, 2, NETLINK_ROUTE),
	CALL_IF(socketpair, 0, AF_UNIX),
	CALL(connect),
	CALL(listen),
	CALL(accept),
	CALL(accept4),
	CALL(getpeername),
	CALL(select),
	CALL(pselect6),
	CALL(epoll_create),
	CALL(eventfd),
	CALL(signalfd4),
	/* threads, no processes */
	CALL_BITS(clone, 0, CLONE_THREAD | CLONE_VM | CLONE_SIGHAND,
	    CLONE_THREAD | CLONE_VM | CLONE_SIGHAND),
	CALL(set_robust_list),
	CALL(get_robust_list),
	CALL(set_tid_address),
	CALL(rseq),
	CALL(rt_sigpending),
	CALL(rt_sigtimedwait),
	CALL(rt_sigsuspend),
	CALL(pause),
	CALL(sched_getaffinity),
	CALL(sched_getparam),
	CALL(sched_getscheduler),
	CALL(getcpu),
	/* what it is, and what the host is */
	CALL(getppid),
	CALL(getgid),
	CALL(getegid),
	CALL(getgroups),
	CALL(getresuid),
	CALL(getresgid),
	CALL(getpgrp),
	CALL(getsid),
	CALL(getrusage),
	CALL(times),
	CALL(uname),
	CALL(getrlimit),
	CALL(setrlimit),
	CALL_IF(prlimit64, 0, 0),
	CALL_IF(prlimit64, 0, SELF),
	CALL(capget),
	CALL_IF(prctl, 0, PR_SET_NAME),
	CALL_IF(prctl, 0, PR_GET_NAME),
	CALL_IF(prctl, 0, PR_GET_DUMPABLE),
	CALL_IF(prctl, 0, PR_CAPBSET_READ),
};

/* Said not to be there. */
static const int absent[] = {
	SCMP_SYS(clone3),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(openat2),
	SCMP_SYS(keyctl),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(futex_waitv),
	SCMP_SYS(copy_file_range),
};

static int
allow(scmp_filter_ctx filter, const struct call *call)
{
	struct scmp_arg_cmp compared[2];
	unsigned int count = 0;

	for (; count < 2 && call->conditions[count].bits != 0; count++) {
		const struct condition *c = &call->conditions[count];
		uint64_t value = c->value == SELF ? (uint64_t)getpid() : c->value;
		compared[count] =
		    (struct scmp_arg_cmp){ c->arg, SCMP_CMP_MASKED_EQ, c->bits, value };
	}
	return seccomp_rule_add_array(
	    filter, SCMP_ACT_ALLOW, call->number, count, compared);
}

static int
allow_all(scmp_filter_ctx filter, const struct call *calls, size_t count)
{
	int error = 0;

	for (size_t i = 0; i < count && error == 0; i++)
		error = allow(filter, &calls[i]);
	return error;
}

static int
fill(scmp_filter_ctx filter, enum confine_kind kind)
{
	int error = allow_all(filter, both, ARRAY_LENGTH(both));

	if (error != 0 || kind == CONFINE_WARDEN)
		return error != 0 ? error
				  : allow_all(filter, warden, ARRAY_LENGTH(warden));
	error = allow_all(filter, agent, ARRAY_LENGTH(agent));
	for (size_t i = 0; i < ARRAY_LENGTH(absent) && error == 0; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), absent[i], 0);
	return error;
}

static int
deny_rings(scmp_filter_ctx filter, enum confine_kind kind)
{
	return seccomp_rule_add(
	    filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_setup), 0);
}

/* Somebody else's calls would be made in our name. */
static bool
has_company(void)
{
#if defined(LICTOR_SANITIZED) || defined(LICTOR_FUZZING)
	return true;
#else
	const char *preload = getenv("LD_PRELOAD");

	return preload != NULL && strstr(preload, "/vgpreload_") != NULL;
#endif
}

/* A filter of these calls, loaded: 0 or -errno. */
static int
load(uint32_t otherwise, int (*add)(scmp_filter_ctx filter, enum confine_kind kind),
    enum confine_kind kind)
{
	scmp_filter_ctx filter = seccomp_init(otherwise);
	int error = filter == NULL
	    ? -ENOMEM
	    : seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (error == 0)
		error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (error == 0)
		error = add(filter, kind);
	if (error == 0)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}

int
confine_rings(void)
{
	return has_company() ? 0 : load(SCMP_ACT_ALLOW, deny_rings, CONFINE_WARDEN);
}

int
confine(enum confine_kind kind, char *why, size_t size)
{
	int error = 0;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		error = -errno;
	if (error == 0 && !has_company())
		error = load(SCMP_ACT_KILL_PROCESS, fill, kind);
	if (error != 0)
		snprintf(why, size, "%s", strerror(-error));
	return error;
}

/* Newer than the oldest headers that we are built with. */
#define FILES_TRUNCATE (UINT64_C(1) << 14)

/* Whatever changes a file or folder, as far as this kernel's `version` knows it. */
static uint64_t
changes(int version)
{
	uint64_t all = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
	    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
	    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
	    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
	    LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;

	if (version >= 2)
		all |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= 3)
		all |= FILES_TRUNCATE;
	return all;
}

static bool
allow_below(int rules, const char *path, uint64_t access)
{
	AUTO_CLOSE int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = { .allowed_access = access,
		.parent_fd = fd };

	return fd >= 0 &&
	    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule,
		0) == 0;
}

int
confine_files(const char *const *folders)
{
	int version = has_company() ? 0
				    : (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
					  LANDLOCK_CREATE_RULESET_VERSION);
	struct landlock_ruleset_attr all = { .handled_access_fs = changes(version) };

	if (version < 0)
		return errno == ENOSYS ? -EOPNOTSUPP : -errno;
	if (version == 0)
		return 0;
	AUTO_CLOSE int rules =
	    (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
	for (size_t i = 0; rules >= 0 && folders[i] != NULL; i++)
		if (!allow_below(rules, folders[i], all.handled_access_fs))
			return -errno;
	if (rules < 0 || !allow_below(rules, "/dev", LANDLOCK_ACCESS_FS_WRITE_FILE) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    syscall(SYS_landlock_restrict_self, rules, 0) != 0)
		return -errno;
	return 0;
}

int
confine_memory(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		return -errno;
	if (limit.rlim_cur != RLIM_INFINITY)
		return -EPERM;
	return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0 ? 0 : -errno;
}
