/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_WATCH_H
#define LICTOR_WATCH_H

#include "agent/consul/consul.h"

struct watch;

/*
 * A blocking query kept going: waits with a deadline of their own, the index reset when it
 * goes backwards, a bounded rate, back-off with jitter while Consul is away. A hint only:
 * nothing safe may rest on it.
 */
struct watch_way {
	/* Short where a server that goes silent must not blind us, long where the answers
	 * come from the agent beside us, whose end we notice. */
	int64_t wait_ms;
	/* The answers may be big: the next question waits 20 times what the last answer
	 * cost Consul and us, by its size (25 KB a millisecond). A change that comes alone
	 * is told at once for all that; a storm costs a twentieth. */
	bool patient;
	/* Not by X-Consul-Index but by the ContentHash of the answer: /v1/agent/service/ID,
	 * which the agent answers by itself. */
	bool by_hash;
};

struct watch_out {
	/* Something may have changed (first answer, a new index or hash, or 404): the whole
	 * answer. */
	void (*news)(void *arg, const struct consul_reply *reply);
	/* A call failed; said for each. The next one is on its way. */
	void (*trouble)(void *arg, const struct consul_reply *reply);
	void *arg;
};

/* `path` may have a query; index and wait are added. */
struct watch *watch_new(struct loop *loop, struct consul *consul, const char *path,
    const struct watch_way *way, const struct watch_out *out);
/* Asks now, without waiting for a change: the answer is news. */
void watch_again(struct watch *watch);
void watch_free(struct watch *watch);

#endif
