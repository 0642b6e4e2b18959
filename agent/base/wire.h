/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_WIRE_H
#define LICTOR_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What crosses the wall between the three processes: fixed messages over socket pairs
 * (SOCK_SEQPACKET), one table of who may send which. Addresses and commands are named by
 * their index into the configuration that each process parsed itself; `generation` in
 * every message is that configuration's digest.
 */

enum wire_process { WIRE_RUNNER, WIRE_WARDEN, WIRE_AGENT };

enum wire_type {
	/* runner to agent and warden */
	WIRE_LINK = 1,	/* carries one end of a fresh agent-warden socket pair */
	WIRE_PING,	/* are you alive? */
	/* agent and warden to runner */
	WIRE_PONG,
	WIRE_READY,	/* agent: started and in charge; said once */
	WIRE_DONE,	/* agent: roles and services are given away, I end now */
	/* runner to agent */
	WIRE_STOP,	/* give everything away, then WIRE_DONE */
	WIRE_STARTED,	/* a check's command that had to wait for others begins now */
	WIRE_EXITED,	/* a command ended or could not be run */
	/* agent to runner */
	WIRE_RUN,
	WIRE_KILL,	/* TERM, then KILL of the command's process group */
	WIRE_UNLINKED,	/* the link to the warden has ended; may both have another? */
	/* agent to warden */
	WIRE_HOLD,
	WIRE_DROP,
	/* warden to agent */
	WIRE_HELD,
	WIRE_GONE,
	WIRE_REFUSED,	/* of a hold, with the reason */
	WIRE_CARRIER,	/* state of the interface of a vip: at the start and when it changes */
	/* a reload; `next` is the generation of the configuration that it brings */
	WIRE_RELOAD,	/* agent to runner: an operator asks for one */
	WIRE_PREPARE,	/* runner to both: parse the descriptor that comes along, keep it aside */
	WIRE_PREPARED,	/* back: that is done, or why it cannot be */
	WIRE_YIELD,	/* runner to agent: give away the roles and addresses that it takes away */
	WIRE_YIELDED,	/* agent to runner: given away or let go, whichever came first */
	WIRE_COMMIT,	/* runner to both: it counts from here on; both turn their wires */
	WIRE_COMMITTED,	/* back: the first message of the new generation */
	WIRE_ABORT,	/* runner to both: forget what was prepared */
	WIRE_RELOADED,	/* runner to agent: what came of a WIRE_RELOAD */
	/* the kind of fence, which the runner fixes once for its life */
	WIRE_FENCE,	/* runner to warden: find out, or use this one; to agent: it is this one */
	WIRE_FENCED,	/* warden to runner: its answer, and when that changes */
	/* agent to warden; the first is answered with PROBED, the second with HELD or REFUSED */
	WIRE_PROBE,	/* does anybody else have the address? */
	WIRE_ANNOUNCE,	/* an address that is held, again */
	/* warden to agent */
	WIRE_PROBED,
	WIRE_RIVAL,	/* an address is added or removed on this host, and not by us */
	WIRE_SEEN,	/* a frame of another host that speaks for an address */
	WIRE_STANDS,	/* on a fresh link: a deadline that an earlier agent asked for still runs */
	WIRE_TRACK,	/* state of an interface that a role tracks: at the start, on a change */
	/* agent to runner: an operator asks for the new binary; answered with RELOADED */
	WIRE_UPGRADE,
	WIRE_TYPES
};

#define WIRE_OUTPUT_MAX 4096
#define WIRE_WHY_MAX 512

/* instance: counts the agents that the runner has started; a newer one wins */
struct wire_link { uint32_t instance; };

struct wire_run {
	uint64_t run;		/* the agent's number of this run, echoed */
	uint32_t command;	/* index into conf->commands */
	uint32_t state;		/* hooks: enum wire_hook_state */
	uint32_t reason;	/* hooks: enum role_reason */
	int64_t timeout_ms;
	uint64_t term;		/* hooks: the fencing token */
};
enum wire_hook_state { WIRE_HOOK_NONE, WIRE_HOOK_MASTER, WIRE_HOOK_BACKUP };

struct wire_kill { uint64_t run; };
struct wire_started { uint64_t run; };

enum wire_exit { WIRE_EXIT_CODE, WIRE_EXIT_SIGNAL, WIRE_EXIT_TIMEOUT, WIRE_EXIT_UNKNOWN };
struct wire_exited {
	uint64_t run;
	uint32_t how;		/* enum wire_exit; UNKNOWN: it could not be run, `output` says why */
	uint32_t value;		/* exit code or signal number */
	uint32_t output_len;	/* the tail of standard output and error together */
	char output[WIRE_OUTPUT_MAX];
};

/* Orders of one agent are numbered upwards; answers echo the number. */
struct wire_hold {
	uint64_t order;
	uint32_t vip;		/* index into conf->vips */
	uint32_t instance;
	uint64_t term;		/* rev of the OWN that entered MASTER */
	int64_t until_ms;	/* CLOCK_BOOTTIME: not a moment longer */
	uint32_t announce;	/* 1: the first of this term, announce the address */
	uint32_t fence;		/* enum wire_fence: what the deadline was reckoned for */
};
struct wire_drop {
	uint64_t order;
	uint32_t vip;
	uint32_t instance;
	uint64_t up_to;		/* holds of terms up to this one are refused from now on */
};
struct wire_order { uint64_t order; uint32_t vip; uint32_t reason; };
enum wire_refusal {
	WIRE_REFUSAL_NONE,
	WIRE_REFUSAL_PAST,	/* the deadline has passed; lifetime: or less than a second is left */
	WIRE_REFUSAL_TOO_LONG,	/* beyond the largest lease */
	WIRE_REFUSAL_INSTANCE,	/* not from the newest agent */
	WIRE_REFUSAL_TERM,	/* not above the last drop */
	WIRE_REFUSAL_KERNEL,	/* the kernel refused the address */
	WIRE_REFUSAL_FENCE,	/* for another kind of fence than this warden's */
	WIRE_REFUSAL_UNFENCED,	/* the fence is not in place and cannot be put there */
	WIRE_REFUSAL_NOT_HELD,	/* of an announcement */
	WIRE_REFUSALS
};
struct wire_carrier { uint32_t vip; uint32_t up; };

enum wire_fence { WIRE_FENCE_UNKNOWN, WIRE_FENCE_BPF, WIRE_FENCE_LIFETIME };
/* To a warden with `fixed` 0: find out which it is, bpf if that can be had; with 1: this `kind`
 * or none. To an agent always with 1, before each link: what the runner has fixed for its life,
 * and what the warden last said of it. Each `why` ends with a NUL. */
struct wire_fence_kind {
	uint32_t kind;		/* enum wire_fence */
	uint32_t fixed;
	uint32_t ok;		/* 0: it cannot be had now, and no address can be held */
	uint32_t spare;
	char why[WIRE_WHY_MAX];
};
/* Once for each WIRE_FENCE, and again of itself when `ok` changes. `why`: for what it is not ok,
 * or not bpf. */
struct wire_fenced { uint32_t kind; uint32_t ok; char why[WIRE_WHY_MAX]; };

struct wire_probe { uint64_t order; uint32_t vip; uint32_t instance; }; /* ANNOUNCE as well */
enum wire_found { WIRE_FOUND_NOBODY, WIRE_FOUND_ANOTHER, WIRE_FOUND_UNKNOWN /* no carrier */ };
struct wire_probed {
	uint64_t order;
	uint32_t vip;
	uint32_t found;		/* enum wire_found */
	unsigned char mac[8];	/* of ANOTHER; six count */
};
enum wire_rival_kind { WIRE_RIVAL_ADDED, WIRE_RIVAL_REMOVED };
struct wire_rival {
	uint32_t vip;
	uint32_t kind;		/* enum wire_rival_kind */
	uint32_t count;		/* how often since the warden's start */
	uint32_t spare;
};
#define WIRE_SEEN_MAX 128
/* The frame from its link layer's header on, cut at WIRE_SEEN_MAX; at most ten a second and vip. */
struct wire_seen { uint32_t vip; uint32_t len; unsigned char bytes[WIRE_SEEN_MAX]; };

/* The first words on a fresh link, before any CARRIER, for each address of this host whose
 * deadline runs: until_ms is CLOCK_BOOTTIME. */
struct wire_stands { uint32_t vip; uint32_t spare; int64_t until_ms; };
struct wire_track { uint32_t track; /* index into conf->tracks */ uint32_t up; };

/* Each PREPARE is answered once. `why` ends with a NUL: a fault with FILE:LINE, or what changes
 * ("1 check added"), which the agent alone sees of plugins. */
/* RELOAD and UPGRADE, numbered together. */
struct wire_reload { uint64_t request; /* the agent's number, echoed; never 0 */ };
struct wire_prepare { uint64_t next; };
struct wire_prepared { uint64_t next; uint32_t ok; uint32_t spare; char why[WIRE_WHY_MAX]; };
struct wire_step { uint64_t next; };
struct wire_reloaded { uint64_t request; uint32_t ok; uint32_t spare; char why[WIRE_WHY_MAX]; };

struct wire_message {
	uint32_t type;		/* enum wire_type */
	uint32_t spare;
	uint64_t generation;
	union {
		struct wire_link link;
		struct wire_run run;
		struct wire_kill kill;
		struct wire_started started;
		struct wire_exited exited;
		struct wire_hold hold;
		struct wire_drop drop;
		struct wire_order answer;	/* HELD, GONE, REFUSED */
		struct wire_carrier carrier;
		struct wire_reload reload;	/* UPGRADE as well */
		struct wire_prepare prepare;
		struct wire_prepared prepared;
		struct wire_step step;		/* YIELD, YIELDED, COMMIT, COMMITTED, ABORT */
		struct wire_reloaded reloaded;
		struct wire_fence_kind fence;
		struct wire_fenced fenced;
		struct wire_probe probe;	/* PROBE, ANNOUNCE */
		struct wire_probed probed;
		struct wire_rival rival;
		struct wire_seen seen;
		struct wire_stands stands;
		struct wire_track track;
	};
};

struct loop;
struct wire;

struct wire_out {
	/* A valid message of the peer; fd is -1 or a descriptor that is now the callee's. */
	void (*message)(void *arg, const struct wire_message *message, int fd);
	/* The peer is gone, or sent what it may not (`why` says which). The wire is dead. */
	void (*closed)(void *arg, const char *why);
	void *arg;
};

/* One end of a socket pair. It owns fd. A message of a type that the peer may not send, of
 * another size than its type's, without the descriptor that its type carries or with one that
 * it does not, or of another generation closes the wire. */
struct wire *wire_new(struct loop *loop, int fd, enum wire_process self,
    enum wire_process peer, uint64_t generation, const struct wire_out *out);
void wire_free(struct wire *wire);

/* Fills in the generation. Never blocks: what the socket does not take now is queued (a
 * bounded amount; beyond it the wire closes). fd -1, or a descriptor to pass, which stays
 * the caller's. */
void wire_send(struct wire *wire, struct wire_message *message, int fd);

/* From now on `next` is the generation of what we send. What the peer sends may have the one
 * of before until its first message with `next`. */
void wire_turn(struct wire *wire, uint64_t next);

/* "hold", "drop", …; for logs. */
const char *wire_type_name(uint32_t type);
const char *wire_refusal_text(uint32_t refusal);

/* A connected pair, close-on-exec and non-blocking; 0 or -errno. */
int wire_pair(int fds[2]);

#endif
