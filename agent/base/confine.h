/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CONFINE_H
#define LICTOR_CONFINE_H

#include <stddef.h>

enum confine_kind { CONFINE_WARDEN, CONFINE_AGENT };

/*
 * No new privileges, then the filter of system calls, for this process with all its threads
 * and for ever: a call that is not in the kind's list kills the process. What the warden
 * opens and loads, it opens and loads before. 0, or -errno with `why`: the kernel has no
 * filters, or lets us set none. Built with sanitizers, or run by valgrind, which make calls of
 * their own, there is no filter.
 */
int confine(enum confine_kind kind, char *why, size_t size);

/* The rings of io_uring are said not to be there from here on: libuv 1.45 and newer would make
 * one with each loop, and confine's filter end the process when it is used. For a process
 * that makes its loop before it is confined. 0 or -errno. */
int confine_rings(void);

/*
 * Files are written, made and removed below `folders` (NULL at the end) alone (and devices written) by this thread and
 * those to come, whoever else's rights its user has: those of processes and control groups
 * are files too. Reading is as before. 0; -EOPNOTSUPP: the kernel does not know how
 * (Landlock); or -errno. Like confine, whose filter does not let it be called, it does nothing in
 * company.
 */
int confine_files(const char *const *folders);

/* All memory stays in once it is touched, so that a host without free memory cannot hold us up.
 * 0; -EPERM where RLIMIT_MEMLOCK is finite, for then memory would end at it; or -errno. */
int confine_memory(void);

#endif
