/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_OUTBOX_H
#define LICTOR_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "agent/consul/complaint.h"
#include "agent/consul/consul.h"

struct loop;
struct outbox;

/* What goes first. */
enum outbox_queue {
	OUTBOX_FIRST,		/* lictor itself; roles: tags move with the address */
	OUTBOX_CRITICAL,
	OUTBOX_REGISTER,
	OUTBOX_STATUS,
	OUTBOX_REST,		/* outputs, refreshes, removals */
	OUTBOX_QUEUES,
	OUTBOX_ASIDE = OUTBOX_QUEUES,	/* failed; tried again later */
	OUTBOX_REFUSED,		/* not taken as it is */
	OUTBOX_NONE,
};

/* Something that is to be sent; part of its owner's struct. What exactly is sent is built
 * at the last moment. There are thousands: mind the size. */
struct outbox_item {
	struct complaint *complaint;	/* items about one thing share one */
	uint8_t kind;		/* the owner's */
	/* private */
	enum outbox_queue queue : 8, home : 8, again : 8;
	bool refused;		/* what was said last is not taken as it is */
	uint64_t said;		/* a hash of that */
	struct outbox *outbox;
	struct consul_call *call;
	int64_t touched_at;
	TAILQ_ENTRY(outbox_item) link;
};

struct outbox_message {
	char *path;		/* freed by the outbox, as is the body; NULL: nothing is to be
				   said any more */
	cJSON *body;		/* NULL: none */
	int64_t timeout_ms;	/* 0: 2 s */
};

struct outbox_out {
	void (*build)(void *arg, struct outbox_item *item, struct outbox_message *message);
	/* The answer. After CONSUL_BUSY, _DENIED and _CONFLICT the item has been set aside and
	 * is sent again; after the others it is idle unless it was put again. After CONSUL_BAD
	 * it is sent when it says something else, or else after a minute or outbox_renew. */
	void (*done)(void *arg, struct outbox_item *item, const struct consul_reply *reply);
	/* For a warning: "registering db", and the permission it takes: service "db" write */
	void (*describe)(void *arg, const struct outbox_item *item, char *what,
	    size_t what_size, char *needs, size_t needs_size);
	void *arg;
};

/*
 * Sends items to the local agent (PUT, on the report channel, 2 s at the most unless it says), a few at a
 * time and the most urgent first. What fails is set aside, said once, and tried again
 * with growing waits; several busy answers in a row stop everything for such a wait.
 */
struct outbox *outbox_new(struct loop *loop, struct consul *consul,
    const struct outbox_out *out);
void outbox_free(struct outbox *outbox);	/* after its items were dropped */

void outbox_init(struct outbox *outbox, struct outbox_item *item, int kind,
    struct complaint *complaint);
/* To be sent; one that is under way is sent again after its answer. Nothing leaves before
 * outbox_flush. */
void outbox_put(struct outbox_item *item, enum outbox_queue queue);
/* What was refused or set aside may be sent again: Consul may be another. */
void outbox_renew(struct outbox *outbox);
/* Forgets the item, ends its call without telling. */
void outbox_drop(struct outbox_item *item);
/* Forgets what waits; calls under way go on. */
void outbox_clear(struct outbox *outbox);

/* While it is closed nothing new leaves. */
void outbox_open(struct outbox *outbox, bool open);
void outbox_flush(struct outbox *outbox);

bool outbox_flying(const struct outbox_item *item);
bool outbox_quiet(const struct outbox_item *item);	/* nor does it wait for anything */
/* Nothing of it was sent or answered after `at` (loop_now), nor is under way: what was asked
 * for then shows what came of it. */
bool outbox_settled_by(const struct outbox_item *item, int64_t at);
/* Nothing is under way. */
bool outbox_still(const struct outbox *outbox);
/* Nothing is queued or under way; something may have been set aside. */
bool outbox_idle(const struct outbox *outbox);
bool outbox_settled(const struct outbox *outbox);	/* nor that; or refused */

#endif
