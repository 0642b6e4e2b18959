/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_PLUGINS_TARGET_H
#define LICTOR_PLUGINS_TARGET_H

#include <stddef.h>
#include <stdint.h>

/* What the plugins for databases share; compiled into each of them. */

#define TARGET_HOST_MAX 253
#define TARGET_SECRET_MAX 512

struct target {
	char host[TARGET_HOST_MAX + 1];	/* a name or a literal without brackets */
	uint16_t port;
};

/* "host", "host:port", "192.0.2.1:5432" or "[2001:db8::1]:5432" taken apart. 0, or -1 with
 * what is wrong and what is expected in `why`. */
int target_split(const char *text, uint16_t default_port, struct target *out, char *why,
    size_t why_size);

/* The first line of a file, read anew each time, since passwords change. `path` NULL: "".
 * 0, or -1 with `why`. Small and local, so it does not block for long. */
int target_secret(const char *path, char out[TARGET_SECRET_MAX], char *why, size_t why_size);

#endif
