/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_RIVAL_H
#define LICTOR_RIVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the warden heard of another host, read and counted. Pure; times are milliseconds of
 * any one clock, which only grows. */

/* Who claims the address in this frame (four bytes, or sixteen with AF_INET6), which may be
 * cut. False: nobody does, or it is no such frame; `mac` is untouched. */
bool rival_read(const unsigned char *frame, size_t len, int family,
    const unsigned char *address, unsigned char mac[6]);

#define RIVAL_TIMES 3	      /* so often, */
#define RIVAL_WINDOW_MS 60000 /* within so long, is again and again */
#define RIVAL_ONE_MS 1000     /* what comes so soon after another is the same claim */

/* The claims of one address. Starts zeroed. */
struct rival {
	uint64_t count;
	int64_t at[RIVAL_TIMES]; /* the newest ones, of which at[count % RIVAL_TIMES] is the
				    oldest */
};

enum rival_news {
	RIVAL_SAME,	/* part of the one before */
	RIVAL_FIRST,	/* for longer than the window there was none */
	RIVAL_MORE,
	RIVAL_OFTEN,	/* this is the third within the window, or a further one */
};
/* Counts a claim. */
enum rival_news rival_count(struct rival *rival, int64_t now);

#endif
