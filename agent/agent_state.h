/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_AGENT_STATE_H
#define LICTOR_AGENT_STATE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/agent.h"
#include "agent/base/wire.h"
#include "agent/conf/merge.h"

/*
 * What agent.c (the modules, their wiring, start and stop), agent_failover.c (that of
 * failover), agent_orders.c (what operators ask) and agent_reload.c (another configuration)
 * share, and nobody else may see.
 */

struct conf_service;
struct control_out;

struct agent {
	struct conf *conf;
	struct blackbox *blackbox;	/* start's */
	struct loop *loop;
	struct wire *runner, *warden;
	struct http *http;
	struct resolve *resolve;
	struct tlss *tlss;
	struct streams *streams;
	struct fetch *fetch;
	struct consul *consul;
	struct report *report;
	struct upkeep *upkeep;
	struct self *self;
	struct sched *sched;
	struct services *services;
	struct hooks *hooks;
	struct vips *vips;
	struct track *track;
	struct roles *roles;		/* NULL until agent_start_roles */
	struct control *control;
	char *node;			/* NULL until known */
	char address[INET6_ADDRSTRLEN];	/* that Consul's agent advertises; "": not known */
	struct wire_fence_kind fence;	/* its kind unknown until the runner says it */
	bool adopted, stopping;
	uint64_t forcing;		/* the request of a failover by hand; 0: none */
	struct loop_timer *patience;	/* with Consul, which may be away */
	bool waited;			/* long enough */
	bool aside;			/* its roles are handed over, it takes none */
	int status;
	/* a reload */
	bool locked;			/* for addresses */
	struct conf *next;		/* prepared; NULL: none is */
	struct conf_changes changes;	/* what it changes */
	struct retired *retired;	/* that count no longer, but may be in use */
	struct loop_timer *retire;
};

/* agent.c: asks what Consul's agent says of itself, if that is of use and not done yet. */
void agent_look_for_self(struct agent *agent);
/* agent.c: has the runner run a command. */
void agent_run(struct agent *agent, const struct wire_run *run);

/* agent_failover.c: all but the roles. */
void agent_make_failover(struct agent *agent);
/* The roles, as soon as the node's name and the kind of fence are known and states have been
 * taken over, or Consul did not tell them soon. */
void agent_start_roles(struct agent *agent);
/* Services have this role's tag. */
void agent_tell_role(struct agent *agent, uint32_t role, bool master, uint64_t term);
/* The roles hear that a service (NULL: the host) is in maintenance; `why` NULL: no more. */
void agent_maintained(void *arg, const struct conf_service *service, const char *why);
/* What the runner says of the warden: a link to it (takes `fd` over), its fence. */
void agent_link_warden(struct agent *agent, int fd, uint32_t instance);
void agent_fenced(struct agent *agent, const struct wire_fence_kind *fence);

/* agent_orders.c: what operators may ask. */
void agent_take_orders(struct agent *agent, struct control_out *out);

/* agent_reload.c: PREPARE, YIELD, COMMIT and ABORT of the runner. Takes `fd` over. */
void agent_reload_message(
    struct agent *agent, const struct wire_message *message, int fd);
void agent_reload_init(struct agent *agent);
/* What was prepared and what has retired; after all that may use it. */
void agent_reload_done(struct agent *agent);

#endif
