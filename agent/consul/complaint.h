/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_COMPLAINT_H
#define LICTOR_COMPLAINT_H

#include <stdbool.h>
#include <stdint.h>

struct consul_reply;

/* A failure that is said once, as its end is; things that fail together share one. */
struct complaint {
	bool said;
	unsigned int times;	/* failures in a row */
	int64_t since;		/* loop_now of the first of them */
};

/* Another failure; whether it is to be said now. What may pass by itself (Consul is busy,
 * or a server lags behind and knows the token not yet) is said when it has happened three
 * times and for 10 s. */
bool complaint_due(
    struct complaint *complaint, const struct consul_reply *reply, int64_t now);

/* It works; whether that is to be said. */
bool complaint_over(struct complaint *complaint);

/* "registering db is denied (403 …): the token lacks service "db" write" */
void complaint_say(
    const char *what, const struct consul_reply *reply, const char *needs);

#endif
