/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SIM_H
#define LICTOR_SIM_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/failover/role.h"

/*
 * A world of a few hosts and one Consul in virtual time. Everything random comes from one
 * seed, so a schedule that breaks an invariant can be run again.
 */

#define HOSTS 4
#define ORDERS 1024		/* an agent gives up to a dozen a second */
#define MS INT64_C(1000)	/* world time is microseconds */
#define S (1000 * MS)
#define NEVER INT64_MAX

struct world;
struct host;

/* Something that will happen. Which fields count depends on `run`. */
struct item {
	int64_t at;
	uint64_t seq;
	void (*run)(struct world *world, struct item *item);
	struct host *host;
	uint32_t life;		/* of the agent it is for, or the address's generation */
	int64_t number;
	uint64_t order, term;
	struct role_register reg;	/* what a REGISTER event points to */
	struct role_peer peers[ROLE_PEERS];	/* or a PEERS event */
	struct role_event event;
};

/* A clock that runs at a rate of its own, which may change. */
struct clock {
	int64_t base_at;	/* world time */
	double base, rate;	/* microseconds */
};

struct host {
	char name[8];
	struct role_params params;
	struct role *role;		/* NULL: the agent is not running */
	uint32_t life;			/* counts starts of the agent */
	struct clock boot, raw;
	int64_t tick_at;
	enum role_ready ready;
	bool stopping;

	bool paused;			/* SIGSTOP: what happens waits in `late` */
	struct item **late;
	size_t n_late;
	bool cut;			/* from Consul */
	bool mute;			/* its writes are lost */
	int64_t disturbed_at;		/* slow or lost requests, stalls: the latest moment */

	int64_t hook_free_at;		/* hooks are serial */
	int64_t hooks;			/* so many; the newest one's end is told */

	/* the warden and the kernel */
	bool bpf;			/* the fence: fixed from one start of lictord to the next */
	bool warden_paused, warden_busy;
	uint32_t warden_life;
	struct order {
		uint32_t life;		/* of the agent that gave it */
		bool up;
		uint64_t number, term;
		int64_t until;
	} orders[ORDERS];		/* carried out one after the other */
	size_t n_orders;
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

	/* what check.c remembers of this life of the agent */
	struct role_view before;
	char own_wid[ROLE_WID_SIZE];	/* the outstanding OWN */
	bool own_unsure;
	int64_t own_unsure_at;
	bool given;			/* a GIVE was sent, and no OWN succeeded since */
	uint64_t seen_rev;
};

struct world {
	uint64_t seed, random;
	int64_t now;
	bool verbose;
	bool calm;			/* faults are over */
	size_t n_hosts;
	struct host hosts[HOSTS];
	struct item **heap;
	size_t n_heap, heap_size;
	uint64_t seq;
	struct item *running;
	struct role_actions actions;	/* of the newest step */

	/* Consul */
	bool outage;
	bool exists, wiped;
	int64_t wiped_at;
	struct role_register reg;
	uint64_t index;
	int64_t presence_version;
	double heavy, loss;		/* shares of slow and of lost messages */

	/* what was seen */
	uint64_t writes, steps, reads, masters, claims, objections, lapses;
	char failure[512];		/* "": nothing was violated */
	jmp_buf stop;
};

/* sim_queue.c */
uint64_t sim_random(struct world *world);
int64_t sim_between(struct world *world, int64_t min, int64_t max);
bool sim_chance(struct world *world, double share);
struct item *sim_item(struct world *world, int64_t delay, struct host *host,
    void (*run)(struct world *world, struct item *item));
void sim_push(struct world *world, struct item *item);
struct item *sim_pop(struct world *world, int64_t until);
double clock_us(const struct clock *clock, int64_t now);
int64_t clock_ms(const struct clock *clock, int64_t now);
int64_t clock_when(const struct clock *clock, int64_t now, int64_t ms);
void clock_set_rate(struct clock *clock, int64_t now, double rate);
void sim_say(const struct world *world, const struct host *host, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void sim_fail(struct world *world, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), noreturn));

/* sim_consul.c */
void consul_init(struct world *world, int64_t rev);
void consul_read(struct world *world, struct host *host);
void consul_write(struct world *world, struct host *host, uint64_t base,
    const struct role_register *content);
void consul_wipe(struct world *world);
void consul_start(struct world *world, struct host *host);
void consul_leave(struct world *world, struct host *host);	/* the session is lost */

/* sim_host.c */
void host_start(struct world *world, struct host *host);
void host_crash(struct world *world, struct host *host);
void host_pause(struct world *world, struct host *host);
void host_resume(struct world *world, struct host *host);
void host_forget_late(struct host *host);
void host_event(struct world *world, struct host *host, const struct role_event *event);
void host_ready(struct world *world, struct host *host, enum role_ready ready);
/* To an agent, if it is still the one it was meant for. */
void host_deliver(struct world *world, struct item *item);

/* sim_warden.c */
void warden_hold(struct world *world, struct host *host, uint64_t order, uint64_t term,
    int64_t until);
void warden_drop(struct world *world, struct host *host, uint64_t order, uint64_t term);
void warden_pause(struct world *world, struct host *host, int64_t duration);
void warden_crash(struct world *world, struct host *host);
void warden_refence(struct world *world, struct host *host, bool bpf);
void fence_watch(struct world *world, struct host *host);
void kernel_remove(struct world *world, struct host *host, const char *why);

/* sim_fault.c */
void faults_start(struct world *world);
void faults_end(struct world *world, struct host *only);	/* all is repaired */

/* sim_check.c */
void check_write(struct world *world, const char *wid, const struct role_register *old,
    const struct role_register *new);
void check_addresses(struct world *world);
void check_step(struct world *world, struct host *host, const struct role_event *event,
    struct role_now now, const struct role_actions *actions);

#endif
