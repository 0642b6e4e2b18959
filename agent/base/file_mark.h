/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_FILE_MARK_H
#define LICTOR_FILE_MARK_H

#include <stdbool.h>
#include <stdint.h>

/* What tells one state of a file or directory from another; all 0: it cannot be seen. */
struct file_mark {
	int64_t device, inode, size, changed_ns, written_ns;
};

struct file_mark file_mark(const char *path);	/* NULL: of none */
bool file_mark_same(const struct file_mark *a, const struct file_mark *b);

/* Both in one: it differs when one of them does. */
struct file_mark file_mark_both(const struct file_mark *a, const struct file_mark *b);

#endif
