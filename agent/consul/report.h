/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_REPORT_H
#define LICTOR_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "checks/check.h"

struct conf;
struct conf_changes;
struct conf_check;
struct conf_service;
struct consul;
struct loop;
struct report;

enum report_role { REPORT_NO_ROLE, REPORT_BACKUP, REPORT_MASTER };

struct report_out {
	/* A state that Consul's agent still shows for one of our checks, lictor's own ttl
	 * there not having run out. Said between report_start and `adopted`. */
	void (*adopt)(void *arg, const struct conf_check *check, enum check_status status,
	    const char *output);
	/* All has been adopted that can be (once; at the latest 200 ms after report_start:
	 * a Consul that is away has nothing to tell). */
	void (*adopted)(void *arg);
	/* Consul shows or ends a maintenance that is not ours, of a service of ours or (NULL)
	 * of the node. May be NULL. */
	void (*maintenance)(void *arg, const struct conf_service *service, bool on,
	    const char *reason);
	/* report_stop is through: Consul shows what `on-stop` asks for, or could not be told. */
	void (*stopped)(void *arg);
	void *arg;
};

/*
 * Makes Consul's picture of this host equal to ours, through the local agent: the service
 * "lictor" with its TTL check (the heartbeat), the configured services with their checks,
 * an alias of "service:lictor" in each, tags and meta of the role. Status changes go out
 * at once, the newest truth only, critical ones first; output changes alone are limited.
 * What Consul lost is registered again; what is not ours is not touched.
 *
 * Ids: the service's id; "<service id>:<check>"; "<service id>:lictor"; node checks
 * "lictor:<check>".
 */
struct report *report_new(struct loop *loop, struct consul *consul,
    const struct conf *conf, const struct report_out *out);
void report_free(struct report *report);

/* Asks what Consul still shows (adopt, adopted), then registers what is missing. */
void report_start(struct report *report);

/* The node's name, once it is known: what others change or lose of this host's picture is
 * noticed at once from then on (before, when a call fails for it). */
void report_node(struct report *report, const char *node);

/* The configuration is `next` from now on, the one before being there still. What Consul
 * shows is read again, and written where it is not what it should be. */
void report_reload(struct report *report, const struct conf *next,
    const struct conf_changes *changes);

void report_check(struct report *report, const struct conf_check *check,
    enum check_status status, const char *output);
void report_check_output(struct report *report, const struct conf_check *check,
    const char *output);

/* Tag and meta of a service's role; term is the fencing token, 0 for none. */
void report_role(struct report *report, const struct conf_service *service,
    enum report_role role, uint64_t term);

/* Our own maintenance of a service, as Consul is to show it; `reason` begins with "lictor: ". */
void report_upkeep(struct report *report, const struct conf_service *service, bool on,
    const char *reason);

/* Services by their `on-stop`; ends with `stopped`, within 2 s and 20 ms for each service, 8 s at the
 * most. */
void report_stop(struct report *report);

/* For the status: everything that was to be said is said. */
bool report_in_sync(const struct report *report);

#endif
