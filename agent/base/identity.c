/* SPDX-License-Identifier: ISC */
/*
 * Users: who is in the system's database, and how a fresh process becomes one of them. Whether
 * lictord may is asked of its capabilities, not of its number: started by hand it is root,
 * by its unit an ordinary user with a few of root's rights, in tests often neither. What
 * runs between fork and exec must not allocate nor take a lock, hence the bare calls.
 */
#include "agent/base/identity.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/util.h"

static bool
has_both(unsigned int one, unsigned int other)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { 0 };
	const uint32_t both = 1U << one | 1U << other;

	return syscall(SYS_capget, &head, data) == 0 &&
	    (data[0].effective & both) == both;
}

bool
identity_may_change(void)
{
	return has_both(CAP_SETUID, CAP_SETGID);
}

bool
identity_may_hold(void)
{
	return has_both(CAP_NET_ADMIN, CAP_NET_RAW);
}

/* The list grows until all fit. */
gid_t *
identity_groups(const char *name, gid_t gid, size_t *count)
{
	gid_t *groups = NULL;
	int found = 16, room = 0;

	while (room < found) {
		room = found;
		groups = xrealloc(groups, (size_t)room, sizeof(gid_t));
		getgrouplist(name, gid, groups, &found);
	}
	*count = (size_t)found;
	return groups;
}

int
identity_find(const char *name, struct identity *out)
{
	errno = 0;
	const struct passwd *found = getpwnam(name);

	if (found == NULL)
		return errno != 0 ? -errno : -ENOENT;
	out->uid = found->pw_uid;
	out->gid = found->pw_gid;
	out->groups = identity_groups(name, out->gid, &out->n_groups);
	return 0;
}

void
identity_cleanup(struct identity *identity)
{
	free(identity->groups);
	identity->groups = NULL;
}

__attribute__((no_sanitize("address"))) int
identity_become(uid_t uid, gid_t gid, const gid_t *groups, size_t count)
{
	if (syscall(SYS_setgroups, count, groups) == 0 &&
	    syscall(SYS_setresgid, gid, gid, gid) == 0 &&
	    syscall(SYS_setresuid, uid, uid, uid) == 0)
		return 0;
	return -errno;
}
