/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CTL_MAINTENANCE_H
#define LICTOR_CTL_MAINTENANCE_H

#include <stddef.h>

#include "agent/base/json.h"

/* "on" or "off", then a service or NULL; the options may be NULL. What lictord is to be asked
 * (control.h), or NULL with `why`: it was used wrongly. */
cJSON *maintenance_request(char *const *args, const char *span, const char *reason,
    char *why, size_t why_size);

#endif
