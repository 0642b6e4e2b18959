/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SPAWN_H
#define LICTOR_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct account;

/* What all starts share: a stack for the child, /dev/null, and which signals this process
 * ignores, which must not change after the first start. */
struct spawner;
struct spawner *spawner_new(void);
void spawner_free(struct spawner *spawner);

struct spawn {
	char *const *argv;
	char *const *environment;
	const char *directory;
	int output_fd;			/* standard output and error */
	int cgroup_fd;			/* the control group that it begins in, or -1 */
	const struct account *account;	/* to become, or NULL */
	uint64_t memory, processes, files;	/* limits, 0: none */
	uint64_t mark;			/* the limit RLIMIT_RTTIME (sweep.h), or 0 */
	/* It is killed when this process dies, and leaves no core dump. */
	bool expendable;
};

/*
 * Starts a program in a session and process group of its own, with standard input from
 * /dev/null, no other descriptor, no signal blocked or ignored. Returns when it runs:
 * *pidfd is the caller's, and so is the reaping. Otherwise -errno, `step` naming what failed
 * ("execute it", "become its user", …).
 */
int spawner_start(struct spawner *spawner, const struct spawn *spawn, pid_t *pid,
    int *pidfd, const char **step);

#endif
