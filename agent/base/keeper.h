/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_KEEPER_H
#define LICTOR_KEEPER_H

#include <stdbool.h>

struct buf;
struct keeper;
struct loop;

struct keeper_out {
	/* What is to be in the file now. */
	void (*text)(void *arg, struct buf *out);
	/* It cannot be written (-errno, once for each errno), or can again (0). */
	void (*judged)(void *arg, int err);
	void *arg;
};

/* Keeps a text in a file, written by a thread in one step: who reads finds the old text or the
 * new one, a power cut included. What could not be written is tried again each 10 s. */
struct keeper *keeper_new(struct loop *loop, const char *path, const struct keeper_out *out);
/* The text has changed. */
void keeper_save(struct keeper *keeper);
/* The newest text is on the disk; else `err`: -errno, or 0 while it is being written. */
bool keeper_is_done(const struct keeper *keeper, int *err);
/* Waits for the disk. False: a thread still hangs in a write, and was left to it. */
bool keeper_free(struct keeper *keeper);

/* What is in the file, up to the limit of `text`: 0, or -errno (-EINVAL: it is no file). */
int keeper_read(const char *path, struct buf *text);

#endif
