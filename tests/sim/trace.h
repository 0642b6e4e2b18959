/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TRACE_H
#define LICTOR_TRACE_H

#include <stdio.h>

#include "agent/failover/role.h"

/*
 * What a role machine was told and what it did, one line of JSON a step, for
 * tests/model/compare.py. `who` is one machine from role_new to role_free; numbers are not
 * used again in one trace.
 */
void trace_start(FILE *out, unsigned int who, const struct role_params *params,
    struct role_now now);
void trace_params(FILE *out, unsigned int who, const struct role_params *params);
/* After the step: `role` is looked at as it is then. */
void trace_step(FILE *out, unsigned int who, const struct role_event *event,
    struct role_now now, const struct role_actions *actions, const struct role *role);
void trace_end(FILE *out, unsigned int who);

#endif
