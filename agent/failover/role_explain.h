/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_ROLE_EXPLAIN_H
#define LICTOR_ROLE_EXPLAIN_H

#include <stddef.h>

#include "agent/failover/role.h"

enum { ROLE_LINE_SIZE = 160 };

/* Why the role is where it is as this host knows it, what would move it, and how long what goes
 * on will last: at most `n` sentences, the most important first. Pure. Returns how many. */
size_t role_explain(const struct role *role, struct role_now now,
    char lines[][ROLE_LINE_SIZE], size_t n);

#endif
