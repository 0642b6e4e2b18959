/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_BUDGET_H
#define LICTOR_BUDGET_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "agent/base/json.h"

struct conf;
struct conf_role;

/*
 * How long a role's addresses may be without a host after each kind of fault, by the timers
 * of the configuration (failover protocol, section 12). All milliseconds.
 */
struct conf_budget {
	int64_t lease_ms, late_ms, silence_ms;	/* L, g, D */
	int64_t wait_ms;	/* W: how long a host that takes over waits */
	int64_t planned_ms;	/* switchover, stop, preemption; hooks_ms come on top */
	int64_t hooks_ms;	/* what demote and promote may take together */
	int64_t detect_ms;	/* from a service's failure to its check's, at most */
	int64_t service_ms;	/* from there on; hooks_ms come on top */
	int64_t crash_ms;	/* of the master's host, or of all of lictor on it */
	int64_t isolated_ms;	/* the master's host is cut off from all others */
	int64_t deaf_ms;	/* it is heard, but hears nothing, Consul neither */
	int64_t soon_ms;	/* it crashes within five seconds of a handover */
	int64_t taker_ms;	/* and the host that takes over crashes before it has */
	int64_t stranger_ms;	/* only a host takes over that the master did not know */
	int64_t stranger_alone_ms; /* the same of a master that knew none */
	int64_t unheard_ms;	/* a master without heartbeats crashes */
	int64_t outage_ms;	/* without Consul, answered by all members: it holds for so long */
	int64_t outage_alone_ms;	/* … and without members */
};

/* Pure. `rank`: how many candidates that rank before the one that takes over died as well. */
void conf_budget(const struct conf *conf, const struct conf_role *role, bool bpf,
    unsigned int rank, struct conf_budget *out);

/* For each role and each kind of fence that this host may come to have: as lines for a person,
 * roles with the same figures together; or as a list of objects with "role", "fence" and
 * members that are called as those of the struct. */
void conf_budget_print(FILE *out, const struct conf *conf);
cJSON *conf_budget_json(const struct conf *conf);

#endif
