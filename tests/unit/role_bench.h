/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_ROLE_BENCH_H
#define LICTOR_ROLE_BENCH_H

#include "agent/failover/role.h"

/* z * 1.001 / 0.915, rounded up, and the millisecond of the clocks' resolution. */
#define WAIT_MS(z) (((z) * 1001 + 914) / 915 + 1)

/* A machine with a hand on its clock. */
struct bench {
	struct role *role;
	struct role_now now;
	struct role_actions actions; /* of the newest event */
	struct role_view view;
	struct role_register reg; /* Consul's */
	uint64_t random;
};

/* web-1 with the lifetime fence's figures. */
extern const struct role_params usual;
/* The same host with the bpf fence's and heartbeats, after a start that was warm. */
extern const struct role_params peered;

struct bench *bench_new(const struct role_params *params);
/* A master since this very moment, by a handover from web-2. */
struct bench *master_new(const struct role_params *params);
void bench_free(struct bench *bench);

/* Events; each brings the view up to date. */
void feed(struct bench *bench, const struct role_event *event);
void pass(struct bench *bench, int64_t ms);
void show(struct bench *bench, bool consistent);	/* Consul's register */
/* Somebody else's write, seen by a consistent read. fence NULL: null. */
void other_writes(struct bench *bench, const char *wid, const char *holder,
    const char *fence);
void reply(struct bench *bench, const struct role_action *write, bool ok);
void peers(struct bench *bench, const char *names, bool ready, unsigned int priority);
/* A heartbeat, and an answer to one of this host's. */
void beat(struct bench *bench, const char *from, uint64_t rev, enum role_phase phase);
void ack(struct bench *bench, const char *from, int64_t ts);
void health(struct bench *bench, enum role_ready ready);
void stop(struct bench *bench);
void gone(struct bench *bench);				/* of the newest event's drop */
void hook_done(struct bench *bench, bool demote, bool ok);

void set_fence(struct role_fence *fence, const char *node, int64_t lease_ms,
    int64_t hold_ms);
/* With these members; it is of one with heartbeats. */
void set_members(struct role_fence *fence, const char *names);

/* Among the newest event's actions; NULL: none. */
const struct role_action *find(const struct bench *bench, enum role_action_type type);
/* Until an action of that type; NULL if none comes within the time. */
const struct role_action *await(struct bench *bench, enum role_action_type type,
    int64_t limit_ms);
void expect_state(const struct bench *bench, enum role_state to, enum role_reason reason,
    const char *why);
void expect_write(const struct bench *bench, enum role_write kind, const char *holder,
    const char *fence);

#endif
