/* SPDX-License-Identifier: ISC */
/*
 * Whether a file is still what it was when it was read: its identity, size and times, taken
 * before the reading, so that a change in between is seen the next time.
 */
#include "agent/base/file_mark.h"

#include <stddef.h>
#include <sys/stat.h>

static int64_t
nanoseconds(const struct timespec *time)
{
	return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

struct file_mark
file_mark(const char *path)
{
	struct stat st;

	if (path == NULL || stat(path, &st) != 0)
		return (struct file_mark){ 0 };
	return (struct file_mark){ (int64_t)st.st_dev, (int64_t)st.st_ino, st.st_size,
		nanoseconds(&st.st_ctim), nanoseconds(&st.st_mtim) };
}

bool
file_mark_same(const struct file_mark *a, const struct file_mark *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	    a->changed_ns == b->changed_ns && a->written_ns == b->written_ns;
}

struct file_mark
file_mark_both(const struct file_mark *a, const struct file_mark *b)
{
	return (struct file_mark){ a->device ^ b->device, a->inode ^ b->inode,
		a->size ^ b->size, a->changed_ns ^ b->changed_ns,
		a->written_ns ^ b->written_ns };
}
