/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_ROLE_H
#define LICTOR_ROLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * The failover protocol of one role on one host: a pure state machine. No I/O, no clock, no
 * allocation in a step: events in, at most ROLE_ACTIONS actions out. All times are
 * milliseconds of CLOCK_BOOTTIME, but `raw`, CLOCK_MONOTONIC_RAW, which must agree before
 * a fence wait is over.
 *
 * With params.heartbeat_ms 0 this is the protocol without direct heartbeats (10.11: fence
 * records with hb false, hold 0, no members): a silent master's role is claimed when its
 * presence in Consul is gone.
 */

#define ROLE_NODE_SIZE 64
#define ROLE_WID_SIZE 192
#define ROLE_FENCE_SIZE 736	/* the fence record's JSON, as it was read: any register of
				   ours with it fits into a kibibyte */
#define ROLE_PEERS 8
#define ROLE_ACTIONS 16
#define ROLE_WORDS_SIZE 1024	/* of all the reasons that a step gives */
#define ROLE_INST_SIZE 17	/* an instance as text: 16 lower-case hex digits */

enum role_state { ROLE_STANDBY, ROLE_WAITING, ROLE_MASTER };

/* Why the state changed; the word that hooks and logs see. */
enum role_reason {
	ROLE_REASON_NONE,
	ROLE_REASON_START,	/* the first state after a start */
	ROLE_REASON_ELECTED,	/* nobody held the role */
	ROLE_REASON_HANDED_OVER, /* the master gave it to this host */
	ROLE_REASON_TAKEOVER,	/* the master was silent and its lease is over */
	ROLE_REASON_RECOVERED,	/* the role was this host's before */
	ROLE_REASON_LAPSE,	/* the lease could not be confirmed in time */
	ROLE_REASON_SERVICE,	/* this host is not ready for it */
	ROLE_REASON_SWITCHOVER,	/* an operator asked */
	ROLE_REASON_PREEMPTED,	/* a host of higher priority came back */
	ROLE_REASON_STOP,	/* lictord stops */
	ROLE_REASON_RELOAD,	/* a new configuration takes it, or an address of it, away */
	ROLE_REASON_SUPERSEDED,	/* the register names another host */
	ROLE_REASON_HOOK,	/* the promote hook failed */
	ROLE_REASON_DUPLICATE,	/* another agent uses this node's name */
	ROLE_REASON_BRANCH,	/* Consul's data was replaced */
	ROLE_REASONS
};
/* As operators know it: "backup" (the protocol's STANDBY), "waiting", "master". */
const char *role_state_name(enum role_state state);
const char *role_reason_name(enum role_reason reason);	/* "lapse", … */

enum role_write { ROLE_OWN, ROLE_CLAIM, ROLE_GIVE, ROLE_ABANDON };
const char *role_write_name(enum role_write kind);	/* "OWN", … */

/* What a heartbeat says of its sender; STANDBY is a nudge to read. */
enum role_phase { ROLE_PHASE_STANDBY, ROLE_PHASE_WAITING, ROLE_PHASE_MASTER };

struct role_fence {
	bool present;			/* false: null */
	char node[ROLE_NODE_SIZE];
	int64_t lease_ms, hold_ms;	/* as published: g included; hold 0: none */
	bool hb;
	size_t n_members;
	char members[ROLE_PEERS][ROLE_NODE_SIZE]; /* whose acks it needs in failsafe */
	char text[ROLE_FENCE_SIZE];	/* the whole record as JSON: copied verbatim by
					   whoever does not write its own */
};

/* The content of lictor/roles/<role>/register. */
struct role_register {
	uint64_t index;			/* ModifyIndex; 0: the key does not exist */
	uint64_t rev;
	char wid[ROLE_WID_SIZE];	/* <node>.<inst>.<KIND>.<random> */
	char holder[ROLE_NODE_SIZE];	/* "": nobody */
	struct role_fence fence;
};

struct role_peer {
	char node[ROLE_NODE_SIZE];
	bool ready;
	unsigned int priority;
	bool hb;			/* it takes part in heartbeats */
};

enum role_ready { ROLE_READY_UNKNOWN, ROLE_READY_NO, ROLE_READY_YES };

struct role_params {
	char node[ROLE_NODE_SIZE];
	uint64_t inst;			/* of this process: new at each start */
	unsigned int priority;
	bool preempt;
	int64_t preempt_delay_ms;
	int64_t lease_ms;		/* L */
	int64_t margin_ms;		/* g */
	int64_t confirm_ms;		/* C */
	int64_t silence_ms;		/* D */
	int64_t stagger_ms;		/* S */
	int64_t grace_ms;
	int64_t heartbeat_ms;		/* B; 0: no heartbeats, so no failsafe either */
	int64_t member_ms;		/* Tm */
	int64_t calm_ms;		/* a master's pause between reads while calm, a
					   standby's is five times as long; 0: never calm */
	int64_t hold_alone_ms;		/* of a record without members, and of one with: */
	int64_t hold_peers_ms;		/* 0: no failsafe, and without members */
	unsigned int limit;		/* so many moves within ... */
	int64_t within_ms;		/* ... so long, and it moves only if it must; 0: any */
	bool has_vips;			/* false: VIP_DROP is answered by itself */
	bool has_promote, has_demote;	/* hooks; without one its step is immediate */
	bool address_first;		/* before-promote */
	bool release_when_unwell;	/* when-all-critical = release: not even the last
					   candidate keeps it while unwell */
	/* of a start only */
	bool promoted_before;		/* the promote hook of this host's last term has
					   succeeded, and no demote hook began since */
	bool warm;			/* a deadline that an earlier agent gave still runs */
};

enum role_event_type {
	ROLE_EVENT_TICK,
	ROLE_EVENT_REGISTER,	/* a read or the watch */
	ROLE_EVENT_CAS,		/* the reply to the outstanding write */
	ROLE_EVENT_PEERS,	/* presence, complete; this host included or not */
	ROLE_EVENT_HEALTH,
	ROLE_EVENT_SWITCHOVER,	/* to `node`, "" = the best */
	ROLE_EVENT_PAUSE,
	ROLE_EVENT_STOP,
	ROLE_EVENT_YIELD,	/* as STOP, for a new configuration; taken back with false */
	ROLE_EVENT_HOOK_DONE,	/* of the newest PROMOTE or DEMOTE action */
	ROLE_EVENT_VIP_GONE,
	ROLE_EVENT_VIP_HELD,
	ROLE_EVENT_HEARTBEAT,
	ROLE_EVENT_ACK,
	ROLE_EVENT_ALONG,	/* a read goes out anyway: join it if yours is near */
	ROLE_EVENT_UNREADABLE,	/* a consistent read found a register of another version: no
				   writes and no acks until one can be read */
	ROLE_EVENT_NAMESAKE,	/* another agent uses this node's name (10.10) or does so
				   no more: no writes and no acks meanwhile */
	ROLE_EVENTS
};

/* What it points to must last for the step, no longer. */
struct role_event {
	enum role_event_type type;
	union {
		struct {
			int64_t sent_at;
			bool consistent;
			const struct role_register *content; /* NULL: a consistent read
								said 404 for the key */
		} reg;
		struct {
			char wid[ROLE_WID_SIZE];
			bool ok;		/* false: unsure (409, error, deadline) */
			uint64_t index;
		} cas;
		struct {
			size_t count;
			const struct role_peer *list;
		} peers;
		enum role_ready ready;
		char node[ROLE_NODE_SIZE];
		bool paused;
		bool yield;
		bool namesake;
		struct { bool demote; bool ok; } hook;
		uint64_t order;
		struct {
			char from[ROLE_NODE_SIZE];
			uint64_t inst;		/* the sender's */
			uint64_t rev;
			enum role_phase phase;
			int64_t ts;		/* the sender's clock, for the ack */
		} heartbeat;
		struct {
			char from[ROLE_NODE_SIZE];
			uint64_t inst;		/* the heartbeat's, echoed, as rev and ts */
			uint64_t rev;
			int64_t ts;
			bool ready;
			uint64_t known;		/* the acker's highest revision */
		} ack;
	};
};

enum role_action_type {
	ROLE_ACTION_READ,	/* a consistent read of the register */
	ROLE_ACTION_WRITE,	/* cas `content` on base index `base`; reply by CAS */
	ROLE_ACTION_VIP_HOLD,	/* all addresses until `until`, order `order` */
	ROLE_ACTION_VIP_DROP,	/* all addresses, order `order`, terms up to `term` */
	ROLE_ACTION_PROMOTE,	/* run the promote hook; answer HOOK_DONE */
	ROLE_ACTION_DEMOTE,	/* run the demote hook; answer HOOK_DONE */
	ROLE_ACTION_STATE,	/* the state changed: log, tags, notify hook */
	ROLE_ACTION_ALARM,	/* `why` for the log: somebody must look */
	ROLE_ACTION_HEARTBEAT,	/* to every known peer: phase, rev, ts, lease_ms */
	ROLE_ACTION_ACK,	/* to `node`: inst, rev, ts, ready, known */
	ROLE_ACTION_TYPES
};

/* Which members count depends on the type. What is pointed to lasts until the next step. */
struct role_action {
	enum role_action_type type;
	enum role_write kind;
	enum role_state from, to;
	enum role_reason reason;
	enum role_phase phase;
	bool first;			/* VIP_HOLD: the first of this term */
	bool ready;
	uint64_t base;			/* WRITE: the index; the content is actions.write */
	uint64_t order;
	uint64_t term;
	uint64_t inst, rev, known;
	int64_t until;
	int64_t ts, lease_ms;
	const char *node;
	const char *why;		/* STATE, ALARM */
};

/* Not to be copied: actions point into it. At most one of them is a WRITE. */
struct role_actions {
	size_t count;
	struct role_action list[ROLE_ACTIONS];
	struct role_register write;	/* what the WRITE writes; index unused */
	size_t n_words;
	char words[ROLE_WORDS_SIZE];
};

struct role_now { int64_t boot, raw; };

struct role;	/* in role.c; made once per role, freed at the end */

/* `random` gives 64 random bits for write ids (util.h's random_u64, or a test's). */
struct role *role_new(const struct role_params *params, struct role_now now,
    uint64_t (*random)(void *arg), void *arg);
void role_free(struct role *role);

/* A new configuration; node, inst and margin stay. A smaller lease is published as S14 asks,
 * a larger one with the next OWN. */
void role_set_params(struct role *role, const struct role_params *params);

void role_step(struct role *role, const struct role_event *event, struct role_now now,
    struct role_actions *actions);

/* When the next TICK is due at the latest. */
int64_t role_next_tick(const struct role *role, struct role_now now);

/* Another host that the machine knows of. */
struct role_member_view {
	char node[ROLE_NODE_SIZE];
	bool member;			/* of the newest record */
	int64_t heard_at, acked_at;	/* when its last heartbeat or ack came; negative: never */
};

/* What people and tests want to see. */
struct role_view {
	enum role_state state;
	bool known;			/* the register has been read */
	bool lost;			/* the register went back or vanished */
	bool duplicate;			/* another agent uses this node's name */
	uint64_t term;			/* of this host's mastership; 0: not master */
	struct role_register reg;	/* the newest known */
	uint64_t max_rev;		/* ever known: a lower one is lost */
	int64_t hold_until;		/* master: the lease's end */
	int64_t wait_until;		/* waiting: the fence wait's end */
	bool leaving;			/* master: giving the role away */
	bool vip_maybe;			/* the addresses may be here */
	enum role_ready ready;
	enum role_reason reason;	/* of the last change of state */
	bool calm;			/* heartbeats alone carry it */
	bool failsafe;			/* master: held by acks, not by Consul */
	bool paused;
	bool unreadable;		/* the register is of another version */
	size_t n_binding;		/* own records that may be the current one */
	int64_t binding_ms;		/* master: the smallest lease of these */
	unsigned int moves;		/* from host to host, in params.within_ms */
	size_t n_members;
	struct role_member_view members[ROLE_PEERS];
};
void role_view(const struct role *role, struct role_view *view);

/* The machine's tables as a graph, in the language of dot(1). */
void role_draw(FILE *out);

/* A node name that a register can carry: 1 to 63 bytes, no control character, quote or
 * backslash. params.node must be one; peers with other names are not seen. */
bool role_name_valid(const char *name);

/* The first register of 10.1: nobody holds it, and the first taker waits. */
void role_register_init(struct role_register *reg, const struct role_params *params,
    int64_t wall_ms, uint64_t random);

/*
 * An operator's word that `old`, who has the role by `now`, is off: `node` gets it at once
 * (10.9). `by` is whose instance writes. False with `why` if the register says otherwise.
 */
bool role_force(const struct role_register *now, const struct role_params *by,
    uint64_t random, const char *node, const char *old, struct role_register *out,
    char *why, size_t why_size);

/* The parts of a write id, from its end, because nodes' names have dots too. */
struct role_wid { char node[ROLE_NODE_SIZE], inst[ROLE_NODE_SIZE], kind[16]; };
bool role_wid_split(const char *wid, struct role_wid *parts);
void role_inst_print(uint64_t inst, char out[ROLE_INST_SIZE]);

/* JSON of a register and back: 0, or -EPROTO with `why` (unknown v, wrong types, > 1 KiB). */
void role_register_print(const struct role_register *reg, char out[1024]);
int role_register_parse(const char *text, size_t len, struct role_register *reg,
    char *why, size_t why_size);

#endif
