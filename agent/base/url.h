/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_URL_H
#define LICTOR_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where an http:// or https:// URL leads. */
struct url {
	bool tls;
	char host[254];		/* a name or an address literal, without brackets */
	uint16_t port;		/* 80 or 443 unless written */
};

/* Strict: printable ASCII only, no user name, a port from 1 to 65535, a host that is a
 * name or a whole address. 0 or -EINVAL with what is wrong and what is expected in
 * `why`. */
int url_split(const char *text, struct url *out, char *why, size_t why_size);

/* A name or an address literal without brackets, as it may stand in a URL. */
bool url_is_host(const char *text);

/* A port alone, from 1 to 65535; the same errors. */
int url_port(const char *text, uint16_t *out, char *why, size_t why_size);

#endif
