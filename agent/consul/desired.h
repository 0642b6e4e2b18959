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
#define DESIRED_STOPPED "lictord stopped"	/* the reason of on-stop = maintenance */

char *desired_check_id(const struct conf_check *check);
char *desired_alias_id(const struct conf_service *service);

cJSON *desired_lictor(int64_t ttl_ms);
/* `states` by the index of a check. A service of a role without one yet is a backup. */
cJSON *desired_service(const struct conf_service *service, enum report_role role,
    uint64_t term, const enum check_status *states);
cJSON *desired_node_check(const struct conf_check *check, enum check_status status);
cJSON *desired_update(enum check_status status, const char *output);

/* `have` is the service's entry of /v1/agent/services, or the check's of
 * /v1/agent/checks; only our own fields are compared, and never a status. */
bool desired_service_shown(const cJSON *want, const cJSON *have);
bool desired_check_shown(const struct conf_check *check, const cJSON *have);

/* Made by lictor, in this life or an earlier one. */
bool desired_is_ours(const cJSON *service);
/* A status as Consul writes it; false if it is none. */
bool desired_read_status(const cJSON *check, enum check_status *out);
/* The role and term that a registration of ours shows. */
void desired_read_role(const cJSON *service, enum report_role *role, uint64_t *term);

#endif
