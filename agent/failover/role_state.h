/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_ROLE_STATE_H
#define LICTOR_ROLE_STATE_H

#include "agent/failover/role.h"

/*
 * What the files of the machine share, and nobody else may see but role_explain.c, which
 * only reads it: role.c (the step), states.c (entering and leaving one), role_nodes.c (who
 * else there is), wait.c (how long anything lasts), hear.c (heartbeats), learn.c (the
 * register's contents), write.c (the four writes), decide.c (what to do next), stay.c (a
 * master's part of it).
 */

/* The simulation builds its own copy of the machine in which single rules can be broken,
 * to show that their absence is found. */
#ifdef ROLE_MUTATIONS
#include "tests/sim/mutation.h"
#define role_mutant() (!mutated(NOTHING))
#else
#define mutated(rule) false
#define role_mutant() false
#endif

#define ROLE_NEVER (INT64_MIN / 4)
#define ROLE_FOREVER (INT64_MAX / 4)

#define ROLE_NODES 24		/* known by name at once: this host, candidates, members of
				   records, senders of heartbeats */
#define ROLE_ME 0		/* this host's place among them */
#define ROLE_NOBODY ROLE_NODES
#define ROLE_RECORDS 4		/* own fence records that may be current at once */
#define ROLE_MOVES 16

/* A set of nodes: the bit 1 << place. */
typedef uint32_t role_nodes;

struct role_node {
	char name[ROLE_NODE_SIZE];	/* "": the place is free */
	bool present, ready, hb;	/* in Consul, as it says */
	unsigned int priority;
	int64_t heard_at;		/* its last heartbeat as taker or master came */
	int64_t ack_at;			/* its last ack came */
	int64_t acked_ts;		/* send time of the newest heartbeat that it acked in
					   this term */
};

/* An own fence record, or what matters of it. */
struct role_record {
	int64_t lease_ms, hold_ms;	/* as published */
	role_nodes members;
};

/* The one write that may be outstanding. */
struct role_cas {
	bool out;
	bool unsure;			/* its result is unknown: a consistent read decides */
	int64_t sent_at, sent_raw, unsure_at; /* of BOOTTIME, and one of RAW */
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
	unsigned int holder, fencer;	/* their places; ROLE_NOBODY */
	role_nodes members;		/* of its fence record, */
	bool whole;			/* all of them */
	int64_t known_since;		/* holder and fencer are these */
	int64_t learnt_at;
	uint64_t max_rev;
	uint64_t my_rev;		/* of the newest own write that was applied */
	bool lost;
	uint64_t lost_index;		/* what a re-creation is based on */
	bool duplicate;			/* S16; for good */
	bool namesake;			/* 10.10; as long as it is there */
	bool unreadable;
	struct role_cas cas;
	int64_t write_after;		/* a write that failed without any news is not
					   repeated at once */
	int64_t read_at, next_read;

	/* heartbeats */
	uint64_t seen_rev;		/* the highest in any message */
	uint64_t beat_rev;		/* S17: the highest of a master, */
	unsigned int beat_from;		/* who said it first, */
	int64_t beat_at;		/* and when */
	int64_t next_beat;

	/* MASTER */
	int64_t confirmed_at;		/* send time of the newest confirm */
	size_t n_binding;
	struct role_record binding[ROLE_RECORDS]; /* the register's, and those sent since */
	uint64_t term;
	bool promoted;			/* the promote hook has succeeded */
	bool promoted_before;
	bool leaving, left;		/* the demote hook runs; has ended */
	int64_t higher_since;		/* a host to be preferred is ready */

	/* WAITING: over when both clocks say so */
	struct role_now wait_until;

	/* STANDBY */
	int64_t suspect_since;		/* the role has looked free */
	unsigned int objected;		/* claims of ours that were taken back */
	bool my_claim;
	int64_t gave_at, excluded_until;

	/* moves from host to host, newest last */
	char mover[ROLE_NODE_SIZE];	/* the last that a fence record named */
	size_t n_moves;
	int64_t moves[ROLE_MOVES];
	bool limit_said;

	bool give;			/* wanted: hand over, to give_to or to the best */
	char give_to[ROLE_NODE_SIZE];
	enum role_reason give_reason;
	char give_why[160];
	enum role_reason enter_reason;	/* of the mastership that an OWN asks for */
	char enter_why[160];

	/* the addresses */
	bool vip_maybe;
	uint64_t order;			/* of the newest order */
	uint64_t long_order;		/* S14: the newest hold that may last longer than the
					   lease to publish, or is of an earlier term */
	uint64_t held_order;		/* the newest that was answered HELD */
	int64_t ordered_at;		/* when the newest hold or drop was sent */
	int64_t until;			/* of the newest hold in this term */

	/* what it was told */
	int64_t started_at;
	bool peers_known;
	enum role_ready ready;
	bool paused, stopping, yielding;

	struct role_node nodes[ROLE_NODES];
	size_t n_nodes;			/* places used so far */
};

/* Why a state ends that no content of the register and no decision ends. */
enum role_fall {
	ROLE_FALL_LAPSE,
	ROLE_FALL_BRANCH,
	ROLE_FALL_NEWER,
	ROLE_FALL_EQUAL,
	ROLE_FALL_LOST,
	ROLE_FALLS
};

/* role.c */
struct role_action *role_act(struct role *role, enum role_action_type type);
/* Text for an action, in the step's own buffer. */
const char *role_words(struct role *role, const char *text);
void role_alarm(struct role *role, const char *why);
bool role_is_holder(const struct role *role);
bool role_is_fenced_in(const struct role *role);	/* fence.node is this node */
/* Something will be due at `when`; one that has passed was looked at in this step. */
void role_wake(struct role *role, int64_t when);

/* states.c */
void role_set_state(struct role *role, enum role_state to, enum role_reason reason,
    const char *why);
void role_step_down(struct role *role, enum role_reason reason, const char *why);
void role_fall(struct role *role, enum role_fall fall, const char *why);
void role_drop_vips(struct role *role);
void role_demote(struct role *role, enum role_reason reason);

/* role_nodes.c */
unsigned int role_node_find(const struct role *role, const char *name);
/* Its place, a new one if need be; ROLE_NOBODY for "" or if there is no room. */
unsigned int role_node_place(struct role *role, const char *name);
/* Places of all that the newest register names. */
void role_nodes_of_register(struct role *role);
/* As many as a record can have. */
role_nodes role_nodes_limit(role_nodes set);
size_t role_node_names(const struct role *role, role_nodes set,
    char names[ROLE_PEERS][ROLE_NODE_SIZE]); /* sorted */
void role_nodes_present(struct role *role, const struct role_peer *list, size_t count);
void role_nodes_view(const struct role *role, struct role_view *view);
bool role_is_ready_peer(const struct role *role, const char *node);
unsigned int role_best_peer(const struct role *role);	/* ready; ROLE_NOBODY: none */
int64_t role_rank(const struct role *role);		/* so many would go first */
bool role_member_stands(const struct role *role);	/* one of the record could take it */

/* wait.c */
bool role_beats(const struct role *role);		/* heartbeats are on */
int64_t role_lease_left(const struct role_record *record, int64_t margin_ms);
int64_t role_binding_ms(const struct role *role);
int64_t role_hold_until(const struct role *role);
int64_t role_confirmed_until(const struct role *role);	/* without failsafe */
void role_bind(struct role *role, const struct role_record *record);
struct role_record role_record_known(const struct role *role); /* the register's */
void role_wait(struct role *role, struct role_now from); /* the fence wait */
bool role_is_member(const struct role *role);		/* or it need not wait longer */
/* It is to be heard, if it has the role. */
bool role_node_beats(const struct role *role, unsigned int place);
int64_t role_silence_ms(const struct role *role);
bool role_away(struct role *role, unsigned int place);	/* quiet for that, or not present */
int64_t role_calm_until(const struct role *role);	/* ROLE_NEVER: it is not calm */
int64_t role_pace(const struct role *role);
unsigned int role_moves(const struct role *role);
bool role_is_limited(struct role *role);

/* hear.c */
void role_hear(struct role *role, const struct role_event *event);
void role_take_ack(struct role *role, const struct role_event *event);
bool role_must_read(struct role *role);			/* S17 */
void role_beat(struct role *role);
void role_nudge(struct role *role);

/* learn.c */
void role_learn_register(struct role *role, int64_t sent_at, bool consistent,
    const struct role_register *content /* NULL: missing */);
void role_learn_written(struct role *role, const char *wid, bool ok, uint64_t index);

/* write.c */
void role_own(struct role *role, role_nodes members);
bool role_own_differs(struct role *role, role_nodes members);
void role_write(struct role *role, enum role_write kind, const char *holder,
    const struct role_fence *fence);

/* decide.c */
void role_decide(struct role *role);
void role_start_waiting(struct role *role, struct role_now from);

/* stay.c */
void role_give(struct role *role, const char *to, enum role_reason reason,
    const char *why);
/* An unwell master that nobody claims gives the role away. */
bool role_gives_unwell(struct role *role);
bool role_has_failsafe(const struct role *role);
const char *role_next_holder(const struct role *role);	/* "": nobody */
bool role_must_go(const struct role *role);	/* nothing of it may stay here */

#endif
