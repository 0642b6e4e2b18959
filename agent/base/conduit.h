/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CONDUIT_H
#define LICTOR_CONDUIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/net.h"

struct socket;
struct tls;

/*
 * Moves bytes over a connected socket, plain or in TLS, and knows from the edges so far what
 * is worth a system call. It never waits and calls nobody back.
 */

/* One connection, part of its owner's struct; starts zeroed. */
struct conduit {
	/* private */
	struct socket *socket; /* NULL: none was taken */
	struct tls *tls; /* NULL: plain */
	/* the socket may have more for us, takes more, says no more but what it has */
	bool readable, writable, last, spoken;
	int error; /* why a plain one failed: of errno */
};

/* It is the conduit's from here on, and so is `tls`, over its descriptor; NULL: plain. */
void conduit_take(struct conduit *conduit, struct socket *socket);
void conduit_secure(struct conduit *conduit, struct tls *tls);
/* What the socket can do now (loop.h), until a call says otherwise. */
void conduit_events(struct conduit *conduit, unsigned int events);

enum conduit_step {
	CONDUIT_DONE,
	CONDUIT_WAITS, /* for an edge */
	CONDUIT_FAILED, /* conduit_error says why; it is only fit to be closed */
};

/* Of TLS, before anything else. */
enum conduit_step conduit_handshake(struct conduit *conduit);
/* Goes on after `*done` of `len` bytes, which it moves; done with all of them. */
enum conduit_step conduit_write(
    struct conduit *conduit, const char *data, size_t len, size_t *done);
/* Some bytes; 0: the other end has closed in order. */
enum conduit_step conduit_read(
    struct conduit *conduit, void *data, size_t size, size_t *got);
enum net_error conduit_error(const struct conduit *conduit, const char **why);

/* Whether a step that has waited could be done now. */
bool conduit_may_write(const struct conduit *conduit);
bool conduit_may_read(const struct conduit *conduit);

/* A read is wanted: if nothing was said before, the other end is to speak first. */
void conduit_listen(struct conduit *conduit);
/* It has neither ended nor brought anything that was not asked for. */
bool conduit_is_quiet(struct conduit *conduit);
int64_t conduit_certificate_end(const struct conduit *conduit); /* as of tls.h */

/* The connection is reset, not closed in order, unless `polite`. Of one without a socket
 * too. */
void conduit_close(struct conduit *conduit, bool polite);

#endif
