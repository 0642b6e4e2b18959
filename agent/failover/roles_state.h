/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_ROLES_STATE_H
#define LICTOR_ROLES_STATE_H

#include <sys/queue.h>

#include "agent/failover/lease.h"
#include "agent/failover/role.h"
#include "agent/failover/roles.h"

struct conf_changes;
struct heartkey;
struct peers;
struct roster_peer;

/*
 * What roles.c (news, readiness, life), seat.c (one role's machine), pace.c (when it is
 * woken), hearing.c (heartbeats), taking.c (its writes), first.c (its first register), operator.c and force.c (what
 * an operator asks for), explain.c (why it is as it is) and roles_reload.c (another configuration) share, and nobody else
 * may see.
 */

#define ROLES_GRACE_MS 1000		/* in which nobody is judged yet */
#define ROLES_WHY_SIZE 320
#define ROLES_ALARMS 4

/* An alarm is said again when it has been quiet for a while. */
struct alarm {
	uint64_t digest;
	int64_t at;
};

struct seat {
	struct roles *roles;
	const struct conf_role *conf;
	struct role *role;		/* NULL: this host can take none */
	int64_t due;			/* by clock_boot_ms, its machine's next tick */
	STAILQ_HEAD(posts, post) posts;
	bool stepping;
	unsigned int configured, priority; /* priority: the one that counts now */
	enum role_ready ready;
	bool usable_known, usable;
	char unusable_why[ROLES_WHY_SIZE];
	bool missing;			/* Consul has no register */
	int64_t unheard_since;		/* whether the addresses are gone; 0: it is known */
	bool withdrawn;			/* others may claim the role, though this host
					   lives */
	bool yields;			/* a reload takes it, or an address of it, away */
	struct alarm alarms[ROLES_ALARMS];
	struct loop_timer *probe_timer;	/* taking.c's, as the next three */
	uint64_t held_base;		/* a write that waits for a probe, over this index */
	struct role_register held_back;
	bool found;			/* by the last probe, before ... */
	uint64_t found_base;		/* ... a write over this index */
	uint64_t probe;			/* its order; 0: none goes on */
	uint64_t probes;		/* asked for */
	struct force *force;		/* NULL: none goes on */
	int64_t born_at;		/* by clock_boot_ms; first.c's, as the next eight */
	int64_t heard_at;		/* any heartbeat of the role */
	uint64_t heard_rev;		/* the highest in any */
	uint64_t look;			/* the order of its probe; 0: none goes on */
	int64_t looked_at;
	bool nobody;			/* had the addresses, by the last one ... */
	int64_t nobody_at;		/* ... answered then */
	int64_t somebody_until;		/* has them; 0: nobody ever had */
	uint64_t told_index;		/* of the register that peers know the members of */
	struct lease_pause pause;	/* control/pause as it was seen last */
	size_t n_peers;
	struct role_peer peers[ROLE_PEERS];
};

struct roles {
	struct loop *loop;
	struct consul *consul;
	struct vips *vips;
	struct hooks *hooks;
	const struct conf *conf;
	bool bpf;			/* the kind of fence */
	struct roles_out out;
	struct lease *lease;
	char *node;
	struct loop_timer *tick_timer;	/* pace.c's, as the next two */
	bool pacing;			/* a round over all seats goes on */
	bool reads;			/* one of them reads its register */
	struct loop_timer *grace_timer, *stop_timer;
	struct peers *peers;		/* hearing.c's, as the next four */
	struct heartkey *heartkey;
	bool able;			/* of heartbeats ... */
	int64_t able_at;		/* ... by clock_boot_ms since then */
	bool namesake;			/* an agent with our name is heard */
	bool started;
	bool duplicate;			/* another host uses our name, Consul says */
	bool aside;			/* an operator has this host's roles handed over */
	bool stopping, ending;		/* ending: all is given away */
	struct service_verdict *verdicts;
	char **maintenance;		/* why a service is in one, by index, and then this
					   host; NULL: it is not */
	struct seat **seats;		/* by the role's index */
	uint64_t inst_number;		/* of this process, and as text: */
	char inst[ROLE_INST_SIZE];
	struct loop_timer *yield_timer;
	void (*yielded)(void *arg);	/* set while seats yield */
	void *yielded_arg;
};

/* roles.c: why this host is not ready; nothing is written if it is. */
void roles_why_unready(const struct seat *seat, char why[ROLES_WHY_SIZE]);

/* seat.c. Freeing frees what the seat owns. A seat whose node has a name that no register can
 * carry takes no role. */
struct seat *seat_new(struct roles *roles, const struct conf_role *conf);
void seat_free(struct seat *seat);
/* The role says this now; node-wide things are those of the roles' configuration. */
void seat_set(struct seat *seat, const struct conf_role *conf);
void seat_set_priority(struct seat *seat, unsigned int priority);
/* Tells the machine and carries out all that it wants done; from within an action the event
 * waits for the end of it. */
void seat_feed(struct seat *seat, const struct role_event *event);

/* taking.c: a write of the machine, after a probe where it needs one. */
void taking_init(struct seat *seat);
void taking_done(struct seat *seat);
void taking_write(struct seat *seat, const struct role_action *action,
    const struct role_register *content);

/* pace.c: some machine has stepped; all are woken when they want to be. */
void pace_stepped(struct roles *roles);
void pace_tick(void *arg);		/* of tick_timer */

/* hearing.c. */
void hearing_init(struct roles *roles, const char *state_dir);
void hearing_start(struct roles *roles);
void hearing_reload(struct roles *roles, const struct conf_changes *changes);
void hearing_done(struct roles *roles);
/* Who stands in Consul; the register has changed; a HEARTBEAT or an ACK is to be sent. */
void hearing_present(struct seat *seat, const struct roster_peer *list, size_t count);
void hearing_register(struct seat *seat);
void hearing_act(struct seat *seat, const struct role_action *action);

/* first.c: as registers_out.may_init. And the answer to a probe: false, it is not first.c's. */
bool first_may_init(struct seat *seat, uint64_t *rev);
bool first_looked(struct seat *seat, uint64_t order, bool found);

/* force.c: what goes on ends, untold; or told, for the role goes. */
void force_free(struct force *force);
void force_end(struct seat *seat);

/* operator.c: a request that the lease found; acted on if the role is master here. */
void operator_asked(struct roles *roles, uint32_t role, const char *to);
/* The same of a pause or its end. */
void operator_paused(
    struct roles *roles, uint32_t role, const struct lease_pause *pause);

/* roles.c: goes on with a stop when nothing of any role is left here. */
void roles_check_stop(struct roles *roles);
/* Nothing of the role is left here, or nothing more can be done about it. */
bool roles_has_given(const struct seat *seat);
void roles_judge(struct roles *roles);	/* is this host ready for them? */
void roles_judge_name(struct roles *roles);	/* and is its name its own? */
/* How long the hooks of a role that is given away may take. */
int64_t roles_hooks_limit(const struct conf_role *role);

/* roles_reload.c: a yield ends when all that yields is given away. */
void roles_check_yield(struct roles *roles);
void roles_yield_end(void *arg);	/* its limit has passed */

#endif
