/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_PROCFS_H
#define LICTOR_PROCFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A process as /proc shows it. */
struct procfs_process {
	pid_t pid, parent, session;
	uint64_t born;		/* clock ticks after boot */
	char state;		/* 'R', 'S', 'T', 'Z', … as in proc(5) */
};

/* False with errno: it is gone, or no descriptor is left to look. */
bool procfs_read(pid_t pid, struct procfs_process *process);

/* Its hard limit RLIMIT_RTTIME; UINT64_MAX: none; 0: it is gone. */
uint64_t procfs_mark(pid_t pid);

/* A signal to that process, not to another that has got its number since. */
void procfs_signal(const struct procfs_process *process, int signum);

/* Our own children: numbers parted by spaces; the caller's. NULL: the kernel does not
 * tell. `fd` is of procfs_open_children. */
int procfs_open_children(void);
char *procfs_children(int fd);

#endif
