/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SIM_H
#define LICTOR_SIM_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "agent/failover/role.h"

/*
 * A world of a few hosts, their network and Consul in virtual time. What goes wrong is drawn
 * up front into a plan; everything else that is random, the weather, comes from one number
 * of the plan. So a schedule that breaks an invariant can be run again, and made shorter.
 */

#define HOSTS 4
#define SLOTS (HOSTS + 1)	/* the last one is for a namesake */
#define NAMESAKE HOSTS
#define FAULTS_MAX 256
#define ORDERS 1024		/* an agent gives up to a dozen a second */
#define LATE 512		/* what waits for a process that stands still */
#define HISTORY 16
#define MS INT64_C(1000)	/* world time is microseconds */
#define S (1000 * MS)
#define NEVER INT64_MAX
#define UNDISTURBED (6 * S)	/* for so long; then more is asked of a host */

struct world;
struct host;

/* --- plans --- */

enum fault_kind {
	FAULT_OUTAGE,		/* Consul, for everybody */
	FAULT_LEADER,		/* the same, for as long as an election takes */
	FAULT_CUT,		/* a host from Consul */
	FAULT_ISOLATION,	/* a host from everything */
	FAULT_UDP,		/* a host from all others' heartbeats */
	FAULT_ONE_WAY,
	FAULT_PAIR,
	FAULT_DATAGRAMS,	/* many are lost */
	FAULT_REPLIES,		/* many of Consul's are lost */
	FAULT_SLOW,		/* many messages are */
	FAULT_MUTE,		/* a host's writes are lost */
	FAULT_PAUSE,
	FAULT_CRASH,
	FAULT_UPGRADE,
	FAULT_POWER,
	FAULT_BLACKOUT,		/* power of all hosts */
	FAULT_STOP,
	FAULT_SESSION,
	FAULT_CLAIMED_PAUSE,	/* claimed while well, and then this */
	FAULT_CLAIMED_RESTART,
	FAULT_CLAIMED_MUTE,
	FAULT_FLAP,
	FAULT_WARDEN_PAUSE,
	FAULT_WARDEN_CRASH,
	FAULT_SERVICE,
	FAULT_SWITCHOVER,
	FAULT_ROLE_PAUSE,
	FAULT_FORCE,
	FAULT_CLOCK,
	FAULT_RELOAD,
	FAULT_YIELD,
	FAULT_FOREIGN,		/* a register of another version */
	FAULT_REWRITE,		/* the register is written anew, word for word */
	/* once in a schedule, if at all */
	FAULT_WIPE,
	FAULT_RESTORE,
	FAULT_CLUSTERS,
	FAULT_NAMESAKE,
	FAULT_PERJURY,		/* forced out while it lives */
	FAULTS
};
#define FAULTS_COMMON FAULT_WIPE

struct fault {
	int64_t at, span;
	enum fault_kind kind;
	int host;			/* -1: who has the address */
	uint64_t random;		/* its own chance */
};

struct plan {
	uint64_t seed, weather;
	unsigned int hosts;		/* a bit for each that takes part */
	int64_t horizon;
	bool settle;			/* then all is repaired, and must become quiet */
	int only;			/* the one host that is left then; -1: all */
	size_t n_faults;
	struct fault faults[FAULTS_MAX];
};

/* sim_plan.c */
/* With that kind in it, once or more; FAULTS: as it falls. */
void plan_draw(struct plan *plan, uint64_t seed, enum fault_kind kind);
void plan_print(const struct plan *plan, FILE *out);
bool plan_read(struct plan *plan, FILE *in);
const char *fault_name(enum fault_kind kind);
enum fault_kind fault_find(const char *name);	/* FAULTS: there is none */

/* sim_shrink.c: until nothing can be left out, or the limit of tries is reached. */
bool shrink(struct plan *plan, char failure[512]);

/* --- the world --- */

/* A register's content, shared by all that carry it. */
struct content {
	struct role_register reg;
	unsigned int refs;
	struct content *next;		/* of those that are free */
};

struct pulse {
	bool ack, ready;
	enum role_phase phase;
	uint64_t seq, from_inst, inst, rev, known;
	int64_t ts;
	struct host *from;
};

/* Something that will happen. Which members count depends on `run`. */
struct item {
	void (*run)(struct world *world, struct item *item);
	struct host *host;
	struct content *content;
	uint32_t life;			/* of the agent it is for, or the address's generation */
	enum role_event_type type;	/* what host_deliver tells */
	bool consistent, ok;
	union {
		struct { int64_t number; uint64_t order; };
		struct { uint8_t here[SLOTS], ready[SLOTS]; } peers;
		struct pulse pulse;
	};
	struct item *next;		/* of those that are free */
};

struct entry {
	int64_t at;
	uint64_t seq;
	struct item *item;
};

/* A clock that runs at a rate of its own, which may change. */
struct clock {
	int64_t base_at;		/* world time */
	double base, rate;		/* microseconds */
};

/* An order to the warden. */
struct order {
	uint32_t life;			/* of the agent that gave it */
	bool up;
	uint64_t number, term;
	int64_t until;
};

struct cluster {
	struct content *content;	/* NULL: the key does not exist */
	uint64_t index;
	int64_t moved_at;		/* when the key got the index that it has, or vanished */
	size_t n_history;
	struct content *history[HISTORY];
};

struct host {
	char name[8];
	bool plays;			/* in this schedule */
	struct role_params params;
	struct role *role;		/* NULL: the agent is not running */
	uint32_t life;			/* counts starts of the agent */
	unsigned int who;		/* in the trace */
	struct clock boot, raw;
	int64_t tick_at;
	int64_t wanted_ms;		/* when its agent wants a tick: boot */
	enum role_ready ready;
	bool stopping;
	bool off;			/* no power */

	bool paused;			/* SIGSTOP: what happens waits in `late` */
	size_t n_late;

	/* its links */
	bool cut;			/* from Consul */
	bool mute;			/* its writes are lost */
	bool foreign;			/* its reads show another version */
	size_t cluster;
	bool deaf[SLOTS];		/* to datagrams from there */
	uint64_t seq;
	struct { uint64_t inst, seq; } heard[SLOTS];
	int64_t consul_bad_at;		/* slow or lost requests, stalls: the latest moment */
	int64_t pulse_bad_at;		/* the same of heartbeats */

	/* its hooks */
	int64_t hook_free_at;		/* they are serial */
	int64_t hooks;			/* so many; the newest one's end is told */
	bool journal_promoted;

	/* the warden and the kernel */
	bool bpf;			/* the fence: fixed from one start of lictord to the next */
	bool warden_paused, warden_busy;
	uint32_t warden_life;
	size_t first_order, n_orders;	/* carried out one after the other */
	uint64_t last_drop;
	int64_t deadline_ms;		/* boot; 0: none */
	int64_t lifetime_ms;		/* boot: when the address's lifetime ends */
	int64_t fence_ms;		/* boot: the deadline in the fence, which outlives the warden */
	bool vip;
	uint32_t vip_life;

	/* presence */
	bool present, present_ready;
	int64_t renewed_at;
	int64_t session_lost_until;	/* Consul refuses it a new one */
	int64_t peers_seen;

	/* what sim_check.c remembers of this life of the agent */
	enum role_state state;
	uint64_t term;
	int64_t hold_until;
	bool leaving;
	struct content *own;		/* the outstanding OWN; NULL: none */
	int64_t own_sent_ms;
	bool own_unsure;
	int64_t own_unsure_ms;
	bool given;			/* a GIVE was sent, and no OWN succeeded since */
	uint64_t seen_rev;
	int64_t confirmed_ms;
	int64_t entered_at;		/* MASTER: world time */
	int64_t standby_at;		/* the latest moment: world time */

	struct item *late[LATE];
	struct order orders[ORDERS];	/* a ring */
};

struct world {
	const struct plan *plan;
	uint64_t random;		/* the weather */
	int64_t now;
	bool verbose;
	bool calm;			/* faults are over */
	uint64_t seq;
	struct item *running;
	bool kept;			/* the item that runs waits for something else now */

	/* Consul */
	bool outage;
	struct cluster clusters[2];
	int64_t presence_version;
	double heavy, loss, datagrams;	/* shares of slow and of lost messages */
	double dull;			/* of the warden's slow orders */

	/* What the page excepts: sections 14 and 15 */
	bool wiped;
	bool restored;
	bool odd;			/* names or clusters are double, the past came back */
	int64_t overlap_limit;		/* two may have the address for so long */
	int64_t overlap_from;		/* since when they have */

	/* what was seen */
	uint64_t writes, steps, reads, masters, claims, objections, lapses, failsafes,
	    pulses;
	char failure[512];		/* "": nothing was violated */
	jmp_buf stop;

	/* kept from one schedule to the next */
	size_t n_heap, heap_size;
	FILE *trace;			/* of every machine's steps; NULL: none */
	unsigned int traced;		/* machines so far */
	struct entry *heap;
	struct item *free_items;
	struct content *free_contents;
	struct role_actions actions;	/* of the newest step */
	struct host hosts[SLOTS];
};

/* sim_world.c */
struct world *world_new(void);
void world_free(struct world *world);
/* false: an invariant was violated, world->failure says which */
bool world_play(struct world *world, const struct plan *plan, bool verbose);

/* sim_queue.c */
uint64_t draw(uint64_t *state);
int64_t draw_between(uint64_t *state, int64_t min, int64_t max);
bool draw_chance(uint64_t *state, double share);
int64_t sim_between(struct world *world, int64_t min, int64_t max);
bool sim_chance(struct world *world, double share);
struct item *sim_item(struct world *world, struct host *host,
    void (*run)(struct world *world, struct item *item));
void sim_push(struct world *world, int64_t delay, struct item *item);
void sim_run(struct world *world, int64_t until);
void sim_drop(struct world *world, struct item *item);
struct content *content_new(struct world *world, const struct role_register *reg);
struct content *content_ref(struct content *content);
void content_drop(struct world *world, struct content *content);
double clock_us(const struct clock *clock, int64_t now);
int64_t clock_ms(const struct clock *clock, int64_t now);
int64_t clock_when(const struct clock *clock, int64_t now, int64_t ms);
void clock_set_rate(struct clock *clock, int64_t now, double rate);
void sim_say(const struct world *world, const struct host *host, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void sim_fail(struct world *world, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), noreturn));

/* sim_consul.c */
void consul_init(struct world *world, bool first);
const struct role_register *consul_register(const struct world *world,
    const struct host *host);		/* NULL: there is none */
void consul_read(struct world *world, struct host *host);
void consul_write(struct world *world, struct host *host, uint64_t base,
    const struct role_register *reg);
void consul_force(struct world *world, struct host *host, const struct role_register *reg);
bool consul_unreachable(const struct world *world, const struct host *host);
int64_t consul_delay(struct world *world);
void consul_rewrite(struct world *world, struct host *host);
void consul_delete(struct world *world, struct host *host, int64_t span);
void consul_wipe(struct world *world, bool all);
void consul_restore(struct world *world, uint64_t back, bool imported);
void consul_split(struct world *world, unsigned int away);	/* a bit for each host */
void consul_unite(struct world *world);
void consul_bad(struct world *world, struct host *host, int64_t span);

/* sim_session.c */
void session_start(struct world *world, struct host *host);
void session_lose(struct world *world, struct host *host);

/* sim_net.c */
void net_pulse(struct world *world, struct host *from, struct host *to,
    const struct pulse *pulse);
void net_cut(struct world *world, struct host *from, struct host *to, bool cut);
void net_bad(struct world *world, struct host *host, int64_t span);

/* sim_host.c */
void host_start(struct world *world, struct host *host);
void host_crash(struct world *world, struct host *host);
void host_power_off(struct world *world, struct host *host);
void host_pause(struct world *world, struct host *host);
void host_resume(struct world *world, struct host *host);
/* An event that needs no more than a number. */
void host_tell(struct world *world, struct host *host, enum role_event_type type,
    int64_t number);
void host_ready(struct world *world, struct host *host, enum role_ready ready);
int64_t host_any_lease(const struct host *host, uint64_t *random);
void host_set_lease(struct host *host, int64_t lease_ms);
/* To an agent, if it is still the one it was meant for. */
void host_deliver(struct world *world, struct item *item);

/* sim_warden.c */
void warden_hold(struct world *world, struct host *host, const struct role_action *hold);
void warden_drop(struct world *world, struct host *host, const struct role_action *drop);
void warden_pause(struct world *world, struct host *host, int64_t span);
void warden_crash(struct world *world, struct host *host);
void warden_refence(struct world *world, struct host *host, bool bpf);
bool warden_stands(const struct world *world, const struct host *host);
void fence_watch(struct world *world, struct host *host);
void kernel_remove(struct world *world, struct host *host, const char *why);

/* sim_fault.c */
void faults_start(struct world *world);
void faults_end(struct world *world, struct host *only);	/* all is repaired */

/* sim_audit.c */
/* It names that node in its fence record. */
bool audit_fenced(const struct role_register *reg /* NULL: missing */, const char *node);
void audit_write(struct world *world, const struct role_register *old,
    const struct role_register *reg);
void audit_addresses(struct world *world);
/* A write over another index than the register has. */
void audit_refused(struct world *world, const struct host *host);
void audit_odd(struct world *world, int64_t limit);	/* what the page excepts begins */

/* sim_check.c */
/* S17: where all have heard each other since the item was pushed a second ago. */
void check_one_master(struct world *world, struct item *item);
void check_start(struct world *world, struct host *host);
void check_step(struct world *world, struct host *host, const struct role_event *event,
    struct role_now now, const struct role_actions *actions);

#endif
