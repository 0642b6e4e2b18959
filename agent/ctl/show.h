/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SHOW_H
#define LICTOR_SHOW_H

#include <stdio.h>

#include "agent/base/json.h"

/* The status of a host (status.h) as tables for a person. A member that is missing shows
 * as "-". */
void show_status(FILE *out, const cJSON *status);

/* What of it is in maintenance. */
void show_maintenance(FILE *out, const cJSON *status);

#endif
