/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_PLUGINS_TARGET_H
#define LICTOR_PLUGINS_TARGET_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "checks/check.h"

/* What the plugins for databases share; compiled into each of them. */

#define TARGET_HOST_MAX 253
#define TARGET_SECRET_MAX 512
#define TARGET_ADDRESSES_MAX 8

struct target {
	char host[TARGET_HOST_MAX + 1];	/* a name or a literal without brackets */
	uint16_t port;
};

/* "host", "host:port", "192.0.2.1:5432" or "[2001:db8::1]:5432" taken apart. 0, or -1 with
 * what is wrong and what is expected in `why`. */
int target_split(const char *text, uint16_t default_port, struct target *out, char *why,
    size_t why_size);

/* A name's addresses as text, for a library that takes no others; those to be tried in turn,
 * TARGET_ADDRESSES_MAX at the most. */
struct target_addresses {
	char text[TARGET_ADDRESSES_MAX][INET6_ADDRSTRLEN];
	size_t count, next;
};
void target_take_addresses(struct target_addresses *out, const struct check_address *list,
    size_t count);

/* The first line of a file, read anew each time, since passwords change. `path` NULL: "".
 * 0, or -1 with `why`. Small and local, so it does not block for long. */
int target_secret(const char *path, char out[TARGET_SECRET_MAX], char *why, size_t why_size);

#endif
