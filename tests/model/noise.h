/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_MODEL_NOISE_H
#define LICTOR_MODEL_NOISE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/util.h"
#include "agent/failover/role.h"

/*
 * One life of the machine and what is around it, between noise.c, which has that life, and
 * noise_register.c, which has Consul's part in it. Everything is drawn from `random`.
 */

#define NODES 6
#define PENDING 8

struct request {
	bool out, write;
	int64_t sent_at;
	uint64_t base;
	struct role_register seen; /* a read's content when it was served */
	bool served, existed;
};

struct noise {
	uint64_t random;
	unsigned int life;
	unsigned int nonsense; /* of a thousand events */
	unsigned int steps;
	struct role_params params;
	struct role *role;
	struct role_now now;
	struct role_actions actions;
	struct role_view view;

	bool exists;
	struct role_register reg, old;
	struct request requests[PENDING];

	int64_t beat_ts;
	uint64_t order;
	bool demote; /* the newest hook */
	bool stopped;
	bool away; /* Consul */
	bool silent; /* whoever else has the role is not heard */
	struct role_peer peers[NODES];
};

/* noise.c */
extern const char *const noise_nodes[NODES];
uint64_t noise_draw(struct noise *noise);
int64_t noise_between(struct noise *noise, int64_t min, int64_t max);
bool noise_chance(struct noise *noise, unsigned int share);	/* so many of a thousand */
int64_t noise_one_of(struct noise *noise, const int64_t *list, size_t n);
#define ONE_OF(noise, ...) \
	noise_one_of(noise, (const int64_t[]){ __VA_ARGS__ }, \
	    ARRAY_LENGTH(((const int64_t[]){ __VA_ARGS__ })))
const char *noise_node(struct noise *noise);
const char *noise_peer(struct noise *noise);		/* not the machine's own */
void noise_step(struct noise *noise, const struct role_event *event);

/* noise_register.c */
void noise_first(struct noise *noise);			/* the register at a start */
/* Somebody else writes, mostly something that the protocol allows. */
void noise_write(struct noise *noise);
/* An answer to a request of the machine's; false: there is none, or it comes later. */
bool noise_answer(struct noise *noise);
/* A content that cannot be, or can be only when Consul was restored. */
void noise_nonsense(struct noise *noise);

#endif
