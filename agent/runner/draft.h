/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_DRAFT_H
#define LICTOR_DRAFT_H

#include <stdbool.h>

struct conf;
struct draft;
struct loop;
struct process_conf;

enum draft_verdict { DRAFT_GOOD, DRAFT_SAME, DRAFT_FAULTY };

struct draft_out {
	/* What the files are against the configuration that counts. In `words`: what the next
	 * one changes, that nothing has changed, or what is wrong. Never from within a call. */
	void (*tried)(void *arg, enum draft_verdict verdict, const char *words);
	void *arg;
};

/* The next configuration, until it counts. `folder`: of the files. */
struct draft *draft_new(
    struct loop *loop, const char *folder, const struct draft_out *out);
void draft_free(struct draft *draft);

/* Reads the files in the next turn and tries them, while `now`, which must stay, counts; it
 * is over with `tried`, or with draft_drop. There is no other draft meanwhile. */
void draft_read(struct draft *draft, const struct conf *now);
/* Of a good one, until it is taken or dropped. */
const struct conf *draft_conf(const struct draft *draft);
/* As processes can be started with it; the draft's. The generation stays that of the last
 * one, the descriptor is -1 where there is none. */
const struct process_conf *draft_as_started(const struct draft *draft);
/* A good one is to count: it and the descriptor are the caller's from here on. */
struct conf *draft_take(struct draft *draft, struct process_conf *as_started);
/* Forgets what was not taken; also while it is read or tried. */
void draft_drop(struct draft *draft);

#endif
