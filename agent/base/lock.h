/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_LOCK_H
#define LICTOR_LOCK_H

#include <stdint.h>

/*
 * Locks that two processes cannot hold at the same time, waited for at most limit_ms (at a
 * start only: the wait blocks). A lock is a descriptor, close-on-exec, and lasts until it
 * is closed or its process is dead. -EWOULDBLOCK: another process holds it; otherwise
 * -errno.
 */

/* flock of a file, which is made (0600) where it is missing. */
int lock_file(const char *path, int64_t limit_ms);

/* The two halves of it, for a process that may not open the file: the descriptor, and
 * the lock of one, which is closed if it cannot be had. */
int lock_open(const char *path);
int lock_take(int fd, int64_t limit_ms);

/* An abstract unix socket of this name: one holder per network namespace. */
int lock_name(const char *name, int64_t limit_ms);

#endif
