/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CHECKS_ADDRESS_H
#define LICTOR_CHECKS_ADDRESS_H

#include <stddef.h>
#include <stdint.h>

/* Where a check goes, as an option says it. */
struct address {
	char host[254];		/* a name or a literal, without brackets */
	uint16_t port;
};

/* "host:port", "192.0.2.1:53", "[2001:db8::1]:53"; with a default port (not 0) also the
 * same without a port, and then a bare IPv6 address too. 0, or -1 with what is wrong and
 * what is expected in `why`. */
int address_parse(const char *text, uint16_t default_port, struct address *out, char *why,
    size_t why_size);

/* A name or a literal alone, an IPv6 address in brackets or not; the same errors. */
int address_parse_host(const char *text, struct address *out, char *why, size_t why_size);

#endif
