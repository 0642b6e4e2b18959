/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_ROLE_STATE_H
#define LICTOR_ROLE_STATE_H

#include "agent/failover/role.h"

/*
 * What role.c (events, learning) and decide.c (what to do next) share, and nobody else
 * may see.
 */

/* The simulation builds its own copy of the machine in which single rules can be broken,
 * to show that their absence is found. */
#ifdef ROLE_MUTATIONS
#include "tests/sim/mutation.h"
#else
#define mutated(rule) false
#endif

#define ROLE_NEVER (INT64_MIN / 4)
#define ROLE_FOREVER (INT64_MAX / 4)

/* The one write that may be outstanding. */
struct role_cas {
	bool out;
	bool unsure;			/* its result is unknown: a consistent read decides */
	int64_t sent_at, unsure_at;
	enum role_write kind;
	struct role_register content;	/* index is not known yet */
};

struct role {
	struct role_params params;
	char inst[ROLE_INST_SIZE];
	uint64_t (*random)(void *arg);
	void *arg;

	/* of the step that runs */
	struct role_now now;
	struct role_actions *actions;
	int64_t wake;			/* the next moment at which anything is due */

	enum role_state state;
	enum role_reason reason;
	bool announced;			/* the first state has been published */

	/* the register */
	bool known;
	struct role_register reg;
	int64_t learnt_at;
	uint64_t max_rev;
	bool lost;
	uint64_t lost_index;		/* what a re-creation is based on */
	bool duplicate;
	struct role_cas cas;
	int64_t write_after;		/* a write that failed without any news is not
					   repeated at once */
	int64_t read_at, next_read;

	/* MASTER */
	int64_t confirmed_at;		/* send time of the newest confirm */
	int64_t binding_ms;		/* the smallest lease of the own fence records that may
					   be current */
	uint64_t term;
	bool promoted;			/* the promote hook has succeeded */
	bool leaving, left;		/* the demote hook runs; has ended */
	int64_t higher_since;		/* a host to be preferred is ready */

	/* WAITING: over when both clocks say so */
	struct role_now wait_until;

	/* STANDBY */
	int64_t suspect_since;		/* the role has looked free */
	unsigned int objected;		/* claims of ours that were taken back */
	bool my_claim;
	int64_t gave_at, excluded_until;

	bool give;			/* wanted: hand over, to give_to or to the best */
	char give_to[ROLE_NODE_SIZE];
	enum role_reason give_reason;
	char give_why[160];
	enum role_reason enter_reason;	/* of the mastership that an OWN asks for */
	char enter_why[160];

	/* the addresses */
	bool vip_maybe;
	uint64_t order;			/* of the newest order */
	uint64_t term_order;		/* the newest of before this term */
	uint64_t held_order;		/* the newest that was answered HELD */
	int64_t ordered_at;		/* when the newest hold or drop was sent */
	int64_t until;			/* of the newest hold in this term */

	/* what it was told */
	int64_t started_at;
	bool peers_known;
	size_t n_peers;
	struct role_peer peers[ROLE_PEERS];
	enum role_ready ready;
	bool paused, stopping, yielding;
};

/* role.c */
struct role_action *role_act(struct role *role, enum role_action_type type);
/* Text for an action, in the step's own buffer. */
const char *role_words(struct role *role, const char *text);
void role_alarm(struct role *role, const char *why);
void role_set_state(struct role *role, enum role_state to, enum role_reason reason,
    const char *why);
void role_step_down(struct role *role, enum role_reason reason, const char *why);
void role_drop_vips(struct role *role);
bool role_is_holder(const struct role *role);
bool role_is_fenced_in(const struct role *role);	/* fence.node is this node */
int64_t role_hold_until(const struct role *role);
/* Something will be due at `when`; one that has passed was looked at in this step. */
void role_wake(struct role *role, int64_t when);

/* learn.c */
void role_learn_register(struct role *role, int64_t sent_at, bool consistent,
    const struct role_register *content /* NULL: missing */);
void role_learn_written(struct role *role, const char *wid, bool ok, uint64_t index);
void role_wait(struct role *role);	/* the fence wait starts now */

/* decide.c */
void role_decide(struct role *role);
void role_give(struct role *role, const char *to, enum role_reason reason,
    const char *why);
bool role_must_go(const struct role *role);	/* nothing of it may stay here */
bool role_is_ready_peer(const struct role *role, const char *node);
const char *role_best_peer(const struct role *role);	/* ready; NULL: none */

#endif
