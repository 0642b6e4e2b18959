/* SPDX-License-Identifier: ISC */
/*
 * The wall's first half: what the agent and the warden become between their fork and their
 * exec. Users are looked up in the runner, once (a child must not allocate, and who it is is
 * not to change); then each child is an ordinary user: the agent with no capability, the
 * warden with three, kept over the exec as ambient ones. Neither can gain any again: the
 * bounding set is cut and no-new-privileges set. The second half is confine's.
 *
 * A runner that may not change its user (it was started without root) leaves users alone: only
 * the capabilities go, if there are any. Priority, the score of the out-of-memory killer
 * and the limit of locked memory are taken where they can be had.
 */
#include "agent/runner/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/identity.h"
#include "agent/base/util.h"

#define BIT(capability) (UINT64_C(1) << (capability))

#define WARDEN_NICE (-10)
#define WARDEN_OOM (-900)

/* The kernel may still refuse: in a container to which that user was not given. */
static int
try_become(const struct identity *user)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(-identity_become(
		    user->uid, user->gid, user->groups, user->n_groups));
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
}

static int
find_user(const char *name, struct privileges *out, char *why, size_t size)
{
	struct identity user = { 0 };
	int error = identity_find(name, &user);

	if (error != 0) {
		snprintf(why, size, "there is no user %s%s%s", name,
		    error == -ENOENT ? "" : ": ",
		    error == -ENOENT ? "" : strerror(-error));
		return error;
	}
	error = user.uid == geteuid() ? 0 : try_become(&user);
	if (error != 0) {
		snprintf(why, size, "the kernel does not let it become %s: %s", name,
		    strerror(-error));
		identity_cleanup(&user);
		return error;
	}
	out->change = user.uid != geteuid();
	out->uid = user.uid;
	out->gid = user.gid;
	out->groups = user.groups;
	out->n_groups = user.n_groups;
	return 0;
}

int
privileges_find(enum wire_process kind, struct privileges *out, char *why, size_t size)
{
	bool is_agent = kind == WIRE_AGENT;

	*out = (struct privileges){ .uid = geteuid(), .gid = getegid() };
	if (!is_agent) {
		out->capabilities =
		    BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW) | BIT(CAP_BPF);
		out->nice = WARDEN_NICE;
		out->oom = WARDEN_OOM;
		out->lock_memory = true;
	}
	if (!identity_may_change())
		return 0;
	return find_user(is_agent ? IDENTITY_AGENT : IDENTITY_WARDEN, out, why, size);
}

void
privileges_cleanup(struct privileges *privileges)
{
	free(privileges->groups);
	privileges->groups = NULL;
}

/* False where a container may not. */
static bool
set_oom_score(int score)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", score);
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, (size_t)len) == len;

	if (fd >= 0)
		close(fd);
	return done;
}

/* What needs the runner's own rights; none of it is worth a warden that does not start. */
static void
favour(const struct privileges *privileges)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	if (privileges->nice != 0)
		setpriority(PRIO_PROCESS, 0, privileges->nice);
	if (privileges->lock_memory)
		setrlimit(RLIMIT_MEMLOCK, &all);
	if (privileges->oom != 0)
		set_oom_score(privileges->oom);
}

/* Also what a set-user-ID program, or root's exec, could bring back. */
static void
cut_bounding_set(uint64_t kept)
{
	for (unsigned int bit = 0; prctl(PR_CAPBSET_READ, bit, 0, 0, 0) >= 0; bit++)
		if ((kept & BIT(bit)) == 0)
			prctl(PR_CAPBSET_DROP, bit, 0, 0, 0);
}

static int
set_capabilities(uint64_t wanted)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (syscall(SYS_capget, &head, data) != 0)
		return -errno;
	for (size_t i = 0; i < 2; i++) {
		uint32_t bits = data[i].permitted & (uint32_t)(wanted >> 32 * i);
		data[i] = (struct __user_cap_data_struct){ bits, bits, bits };
	}
	if (syscall(SYS_capset, &head, data) != 0)
		return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
		return -errno;
	for (unsigned int bit = 0; bit < 64; bit++)
		if ((data[bit / 32].permitted & 1U << bit % 32) != 0 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit, 0, 0) != 0)
			return -errno;
	return 0;
}

int
privileges_apply(const struct privileges *privileges)
{
	favour(privileges);
	cut_bounding_set(privileges->capabilities);
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
		return -errno;
	int error = !privileges->change
	    ? 0
	    : identity_become(privileges->uid, privileges->gid, privileges->groups,
		  privileges->n_groups);
	if (error == 0)
		error = set_capabilities(privileges->capabilities);
	if (error == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		error = -errno;
	return error;
}
