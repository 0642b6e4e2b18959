/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_DESIRED_H
#define LICTOR_DESIRED_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/json.h"
#include "agent/consul/report.h"

/*
 * What Consul's agent is to show: ids, the bodies of registrations, and whether what it
 * shows is that already. No I/O; whoever asked for a body or an id frees it.
 */

#define DESIRED_LICTOR "lictor"
#define DESIRED_HEARTBEAT "service:lictor"
#define DESIRED_MAINTENANCE "_service_maintenance:"
#define DESIRED_NODE_MAINTENANCE "_node_maintenance"
#define DESIRED_MARK "lictor: "	/* what the notes begin with of what is ours elsewhere */
#define DESIRED_STOPPED DESIRED_MARK "stopped"	/* the reason of on-stop = maintenance */

char *desired_check_id(const struct conf_check *check);
char *desired_alias_id(const struct conf_service *service);
/* Of the call that begins or ends Consul's maintenance mode. */
char *desired_maintenance_path(
    const struct conf_service *service, bool on, const char *reason);

cJSON *desired_lictor(int64_t ttl_ms);
/* Without checks; and with `n` of its own, whose states are by their index, and the alias.
 * Those that are CHECK_UNKNOWN are left out. A service of a role without one yet is a
 * backup. */
cJSON *desired_form(
    const struct conf_service *service, enum report_role role, uint64_t term);
cJSON *desired_service(const struct conf_service *service, enum report_role role,
    uint64_t term, const enum check_status *states, size_t n);
/* How many of its own are registered with the service: more would be too big a body. */
size_t desired_checks_within(const struct conf_service *service);
/* By itself: of the node, or of the service that is there. */
cJSON *desired_check(const struct conf_check *check, enum check_status status);
cJSON *desired_alias(const struct conf_service *service);
cJSON *desired_update(enum check_status status, const char *output);

/* `have` is the service's entry of /v1/agent/services, or the check's of
 * /v1/agent/checks; only our own fields are compared, and never a status. */
bool desired_service_shown(const cJSON *want, const cJSON *have);
bool desired_check_shown(const struct conf_check *check, const cJSON *have);
bool desired_alias_shown(const struct conf_service *service, const cJSON *have);

/* Made by lictor, in this life or an earlier one. */
bool desired_is_ours(const cJSON *service);
/* Marked in its notes: a check of ours in somebody's service, or a maintenance. */
bool desired_is_marked(const cJSON *check);
/* A status as Consul writes it; false if it is none. */
bool desired_read_status(const cJSON *check, enum check_status *out);
/* The role and term that a registration of ours shows. */
void desired_read_role(const cJSON *service, enum report_role *role, uint64_t *term);

#endif
