/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_PRINTED_H
#define LICTOR_PRINTED_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/runner/tail.h"

struct loop;
struct loop_edge;
struct loop_timer;

#define PRINTED_ROOM ((size_t)65536) /* all that a pipe holds */

/*
 * What a run prints: read from its pipe as it comes, of which the end is kept.
 */
struct printed {
	struct tail tail;
	/* private */
	struct loop *loop;
	char *room;
	void (*ended)(void *arg);
	void *arg;
	int fd; /* -1: none */
	struct loop_edge *edge;
	struct loop_timer *more; /* which the kernel will not say again */
};

/* Part of its owner's struct, for one run after the other. `room` is where what is read goes
 * first, PRINTED_ROOM bytes that may serve many. `ended`: nobody holds the pipe any more, and
 * it is closed; never from within a call. */
void printed_init(struct printed *printed, struct loop *loop, char *room,
    void (*ended)(void *arg), void *arg);
void printed_clear(struct printed *printed);

/* Another run: nothing is printed yet. */
void printed_reset(struct printed *printed);
/* The pipe is ours from here on. */
void printed_take(struct printed *printed, int fd);
/* Reads it as it comes. 0 or -errno. */
int printed_watch(struct printed *printed);
/* Is it watched and not at its end? */
bool printed_goes_on(const struct printed *printed);
/* Reads at once, at most what a pipe holds, for others have their turn too. True: that was
 * the end, for which `ended` is not called. */
bool printed_read(struct printed *printed);
/* What comes from here on is not read. */
void printed_close(struct printed *printed);

#endif
