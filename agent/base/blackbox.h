/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_BLACKBOX_H
#define LICTOR_BLACKBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One page of memory that two processes share: the one that may crash notes whose code it
 * runs, the other reads it afterwards. A NULL blackbox is one that records nothing.
 */
struct blackbox;

enum blackbox_place {
	BLACKBOX_OURS,		/* lictord's own code */
	BLACKBOX_PLUGIN,	/* a plugin that is being loaded: an index into conf->plugins */
	BLACKBOX_CHECK,		/* a type of check, for a check: an index into conf->checks */
};
struct blackbox_note {
	enum blackbox_place place;
	uint32_t index;
};

/* What the reader wants of the next process. */
struct blackbox_orders {
	uint64_t left_out;	/* bits, by index into conf->plugins: not to be loaded */
	bool nobody_knows;	/* which of them it is: so all are left out */
	uint32_t check;		/* if `how` is set: the check in which the last one ended */
	char how[64];		/* "signal 11 (Segmentation fault)"; "" */
};

/* By the reader; NULL with errno. Its memory cannot be taken away by the other side. */
struct blackbox *blackbox_new(void);
int blackbox_fd(const struct blackbox *box);	/* close-on-exec; -1 for NULL */
void blackbox_free(struct blackbox *box);
/* Forgets what was noted and gives the orders for the next process. */
void blackbox_reset(struct blackbox *box, const struct blackbox_orders *orders);
/* What the process, which has ended, was in: what the thread with the fatal signal had noted, or
 * else the main thread. It is the other side's word: an index may be any number. */
struct blackbox_note blackbox_read(const struct blackbox *box);

/* By the process that is recorded, in its main thread. Takes `fd` over; NULL: it is no
 * blackbox. From then on a signal that ends the process is noted with its thread. */
struct blackbox *blackbox_open(int fd);
void blackbox_orders(const struct blackbox *box, struct blackbox_orders *out);
/* Returns what it was in, to be given to blackbox_leave. */
struct blackbox_note blackbox_enter(struct blackbox *box, struct blackbox_note note);
void blackbox_leave(struct blackbox *box, struct blackbox_note before);
/* The same in another thread. Returns a number for blackbox_leave_thread. */
unsigned int blackbox_enter_thread(struct blackbox *box, struct blackbox_note note);
void blackbox_leave_thread(struct blackbox *box, unsigned int number);
/* The checks have other indexes from now on, `from` being the old ones by the new. What any
 * thread has noted is noted anew; a run of a check that is no more is nobody's. */
void blackbox_turn(struct blackbox *box, const uint32_t *from, size_t count);

#endif
