/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_MARKER_H
#define LICTOR_MARKER_H

#include <stdbool.h>

/* Whether this host has ever seen a register of the role, or cannot tell. */
bool marker_exists(const char *state_dir, const char *role);
/* From now on it has. A failure is logged, unless one was `said` already. */
void marker_make(const char *state_dir, const char *role, bool *said);

#endif
