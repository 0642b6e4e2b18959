/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SPAWN_H
#define LICTOR_SPAWN_H

#include <stddef.h>
#include <sys/types.h>

/* Who a command runs as, from the system's user database. */
struct spawn_account {
	char *name, *home;
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t n_groups;
};

/* `name` NULL: this process's own user, of whom the database may know nothing. 0 or -errno
 * (-ENOENT: there is no such user). Asks the database, so it may wait for it. */
int spawn_account_find(const char *name, struct spawn_account *account);
void spawn_account_free(struct spawn_account *account);

struct spawn {
	char *const *argv;
	char *const *environment;
	const char *directory;
	int output_fd;				/* standard output and error */
	const struct spawn_account *account;	/* to become, or NULL */
};

/*
 * Starts a program in a session and process group of its own, with standard input from
 * /dev/null, no other descriptor, no signal blocked or ignored. Returns when it runs:
 * *pidfd is the caller's, and so is the reaping. Otherwise -errno, `step` naming what failed
 * ("find /x", "become user y", …).
 */
int spawn_start(const struct spawn *spawn, pid_t *pid, int *pidfd, const char **step);

#endif
