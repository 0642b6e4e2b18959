/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_HEART_H
#define LICTOR_HEART_H

#include <stdbool.h>
#include <stdint.h>

struct consul;
struct heart;
struct loop;

struct heart_out {
	/* Once, before the first beat: whether somebody vouched for what Consul shows of
	 * us until now, that is, lictor's check had not run out. */
	void (*looked)(void *arg, bool alive);
	/* There is no such check: "lictor" has to be registered. */
	void (*lost)(void *arg);
	/* The connection broke: the agent may be another, that knows nothing. */
	void (*broken)(void *arg);
	/* One was taken after others had been refused: so may be what else was. */
	void (*welcome)(void *arg);
	void *arg;
};

/*
 * The heartbeat: tells the check "service:lictor" every third of its TTL that lictord
 * lives, on a connection of its own, whatever else is to be said. A beat without an answer
 * is repeated at once and then every half second (or sixth of the TTL), one that is denied
 * after a second: a token may be given back.
 */
struct heart *heart_new(struct loop *loop, struct consul *consul, int64_t ttl_ms,
    const struct heart_out *out);
void heart_free(struct heart *heart);

void heart_start(struct heart *heart);
/* "lictor" was registered just now: that made its check anew, or left it as it was. */
void heart_beat(struct heart *heart);

#endif
