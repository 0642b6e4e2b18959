/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CTL_SHOW_ROLE_H
#define LICTOR_CTL_SHOW_ROLE_H

#include <stdio.h>

#include "agent/base/json.h"

/* The "roles" of a status, with what is to be said of their addresses and pauses. */
void show_roles(FILE *out, const cJSON *roles);
/* Whom this host hears for them; nothing where it hears for none. */
void show_peers(FILE *out, const cJSON *roles);

#endif
