/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_RESOLVE_H
#define LICTOR_RESOLVE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "agent/base/net.h"

struct loop;
struct resolve;
struct resolve_call;

union resolve_address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* "localhost" and what ends in ".localhost" (RFC 6761 6.3): this host, nobody is asked. */
bool resolve_is_localhost(const char *host);

/* An address literal made a socket address; false if `host` is a name. */
bool resolve_literal(const char *host, uint16_t port, union resolve_address *out,
    socklen_t *len);

/* How much of the union its family uses, as connect(2) wants to know. */
socklen_t resolve_address_len(const union resolve_address *address);

/* The address without its port, in words. */
void resolve_format(const struct sockaddr *address, char *out, size_t size);

/* Names by the hosts file and DNS as resolv.conf says; never blocks. An answer is kept for
 * its time to live, one from the hosts file until that changes; "there is none" for some
 * seconds, other faults not at all. What has expired is never given. */
struct resolve *resolve_new(struct loop *loop);
void resolve_free(struct resolve *resolve);

/* The addresses of the name (port 0, at most RESOLVE_MAX) in the order in which they should
 * be tried: as RFC 6724 sorts them, the families in turn (RFC 8305, 4); or none and `why`.
 * They stay until `done` returns. A literal is itself, localhost 127.0.0.1 and, if this host
 * has it, ::1. `done` is called once, never from within resolve_start; the caller's own
 * deadline ends it by resolve_cancel. */
#define RESOLVE_MAX 16
struct resolve_call *resolve_start(struct resolve *resolve, const char *host,
    void (*done)(void *arg, const union resolve_address *addresses, size_t count,
	const char *why),
    void *arg);
void resolve_cancel(struct resolve_call *call);
/* Within `done`: NET_OK, NET_RESOLVE, or NET_LOCAL where it was this process that could not
 * ask (no descriptor is left). */
enum net_error resolve_error(const struct resolve_call *call);

#endif
