/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_ROLES_STATE_H
#define LICTOR_ROLES_STATE_H

#include <sys/queue.h>

#include "agent/failover/role.h"
#include "agent/failover/roles.h"

/*
 * What roles.c (news, readiness, life), seat.c (one role's machine) and operator.c (what
 * an operator asks for) share, and nobody else may see.
 */

#define ROLES_MARGIN_MS 1500		/* g of the lifetime fence */
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
	struct loop_timer *timer;
	STAILQ_HEAD(posts, post) posts;
	bool stepping;
	enum role_ready ready;
	bool usable_known, usable;
	char unusable_why[ROLES_WHY_SIZE];
	bool missing;			/* Consul has no register */
	int64_t unheard_since;		/* whether the addresses are gone; 0: it is known */
	bool withdrawn;			/* others may claim the role, though this host
					   lives */
	struct alarm alarms[ROLES_ALARMS];
	size_t n_peers;
	struct role_peer peers[ROLE_PEERS];
};

struct roles {
	struct loop *loop;
	struct consul *consul;
	struct vips *vips;
	struct hooks *hooks;
	const struct conf *conf;
	struct roles_out out;
	struct lease *lease;
	char *node;
	struct loop_timer *grace_timer, *stop_timer;
	bool duplicate;			/* another host uses our name */
	bool stopping, ending;		/* ending: all is given away */
	struct service_verdict *verdicts;
	char **maintenance;		/* why a service is in one, by index, and then this
					   host; NULL: it is not */
	struct seat *seats;
};

/* seat.c: a seat is made in zeroed memory that its roles own. `inst`: of this process;
 * NULL: this host can take no role. Clearing frees what the seat owns, made or half-made. */
void seat_init(struct seat *seat, struct roles *roles, const struct conf_role *conf,
    const char *inst);
void seat_clear(struct seat *seat);
/* Tells the machine and carries out all that it wants done; from within an action the event
 * waits for the end of it. */
void seat_feed(struct seat *seat, const struct role_event *event);

/* operator.c: a request that the lease found; acted on if the role is master here. */
void operator_asked(struct roles *roles, uint32_t role, const char *to);

/* roles.c: goes on with a stop when nothing of any role is left here. */
void roles_check_stop(struct roles *roles);

#endif
