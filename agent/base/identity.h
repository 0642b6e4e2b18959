/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_IDENTITY_H
#define LICTOR_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The users that the two confined processes are, where lictord may change its user. */
#define IDENTITY_AGENT "lictor"
#define IDENTITY_WARDEN "lictor-warden"

/* A user of the system's database with all groups. */
struct identity {
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t n_groups;
};

/* This process may become others: it has CAP_SETUID and CAP_SETGID, as root or by its unit. */
bool identity_may_change(void);

/* It may set and announce addresses: it has CAP_NET_ADMIN and CAP_NET_RAW. */
bool identity_may_hold(void);

/* Asks the database, which may be slow. 0, -ENOENT: there is no such user, or -errno. */
int identity_find(const char *name, struct identity *out);
void identity_cleanup(struct identity *identity);

/* All groups that `name`, whose own is `gid`, is in; the caller frees them. */
gid_t *identity_groups(const char *name, gid_t gid, size_t *count);

/* Becomes that user for good, by bare system calls (for after a fork or clone, where the C
 * library would speak to other threads). What capabilities stay is the kernel's rule and
 * the caller's business. 0 or -errno. */
int identity_become(uid_t uid, gid_t gid, const gid_t *groups, size_t count);

#endif
