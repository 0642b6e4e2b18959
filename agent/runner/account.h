/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_ACCOUNT_H
#define LICTOR_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What commands run as that do not say otherwise, where lictord may change users. */
#define ACCOUNT_DEFAULT "lictor-check"

/* Who a command runs as, from the system's user database. */
struct account {
	bool change;		/* it is another than this process is */
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t n_groups;
	char *environment[4];	/* HOME, USER, LOGNAME; NULL at the end */
	/* private */
	struct account *next;
	char *user;
};

/* Each user is looked up once: the database may be slow. */
struct accounts;
struct accounts *accounts_new(void);
void accounts_free(struct accounts *accounts);

/*
 * `user` NULL: ACCOUNT_DEFAULT, if we may and there is that account; otherwise this process's
 * own user, of whom the database may know nothing. NULL with *error, -errno: -ENOENT there
 * is no such user, -EPERM we may not become that user.
 */
const struct account *accounts_find(
    struct accounts *accounts, const char *user, int *error);

/* Commands that do not say otherwise run as our own user, for ACCOUNT_DEFAULT is missing. */
bool accounts_default_missing(void);

#endif
