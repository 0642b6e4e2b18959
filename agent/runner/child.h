/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CHILD_H
#define LICTOR_CHILD_H

#include <sys/types.h>

struct privileges;

/* Where a process that the runner started finds its descriptors. */
enum child_fd {
	CHILD_FD_CONF = 3,
	CHILD_FD_RUNNER,
	CHILD_FD_CONTROL,
	CHILD_FD_BLACKBOX,
	CHILD_FD_LOCK,
	CHILD_FD_BPFFS,
};

/* The option, not for people, whose argument ("agent", "warden") tells it what it is. */
#define CHILD_OPTION "process"

struct child {
	const char *name;		/* "agent", "warden" */
	int exe_fd;			/* lictord's own binary */
	int conf_fd, runner_fd;
	int lock_fd;			/* a file for it to lock, opened for it alone */
	int control_fd, blackbox_fd;	/* -1: none */
	int bpffs_fd;			/* the folder of the fence's pins; -1: none */
	const struct privileges *privileges;
	const char *const *debug;	/* -d arguments, NULL at the end */
};

/* A fresh exec of our own binary, with these descriptors at the numbers above and SIGTERM,
 * SIGINT, SIGHUP and SIGUSR2 ignored, as what `privileges` says. 0 or -errno; *pidfd and the reaping are the caller's. */
int child_start(const struct child *child, pid_t *pid, int *pidfd);

#endif
