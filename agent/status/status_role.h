/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_STATUS_ROLE_H
#define LICTOR_STATUS_ROLE_H

#include "agent/base/json.h"

struct conf_role;
struct roles;
struct status_sources;

/* One role of the status. */
cJSON *status_role(const struct status_sources *from, const struct conf_role *conf);

/* Why it is where it is: {"role", "lines": [sentences]}. */
cJSON *status_explain(struct roles *roles, const struct conf_role *conf);

#endif
