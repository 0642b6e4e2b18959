/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_STREAM_H
#define LICTOR_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/net.h"

struct loop;
struct resolve;
struct stream;
struct streams;
struct tlss;

/*
 * TCP connections, as cheap as the kernel allows, with or without TLS. Every address of a
 * name is tried as RFC 8305 orders them: the next one when an attempt fails or after 250 ms
 * without an answer, and the first that connects wins. No time limit: who asks has one.
 * Sockets of ended streams are reset and used again.
 */
struct streams *streams_new(struct loop *loop, struct resolve *resolve, struct tlss *tlss);
void streams_free(struct streams *streams);	/* when all streams are closed */
/* Where no descriptor is left for a stream `spare` is asked to close one that is kept for
 * later; false: there is none. NULL: nobody is asked. */
void streams_spare(struct streams *streams, bool (*spare)(void *arg), void *arg);

struct stream_target {
	const char *host;		/* a name or a literal without brackets */
	uint16_t port;
	const struct net_tls *tls;	/* NULL: plain */
};

/* Only `written` may come from within the call that asks for it. After an answer with an
 * error nothing but stream_close is allowed. One order at a time. `target` must stay until
 * `connected`. */
struct stream_out {
	void (*connected)(void *arg, enum net_error error, const char *why);
	void (*written)(void *arg, enum net_error error, const char *why);
	/* 0 bytes without an error: the other end has closed in order. */
	void (*arrived)(void *arg, size_t len, enum net_error error, const char *why);
};
struct stream *stream_open(struct streams *streams, const struct stream_target *target,
    const struct stream_out *out, void *arg);
/* `data` stays the caller's and must stay until the answer. */
void stream_write(struct stream *stream, const void *data, size_t len);
void stream_read(struct stream *stream, void *data, size_t size);
/* Of one that is connected and has no order: it has neither ended nor brought anything that
 * was not asked for. Otherwise it is only fit to be closed. */
bool stream_is_quiet(struct stream *stream);
int64_t stream_certificate_end(const struct stream *stream);	/* as tls_certificate_end */

/* In any callback too. The connection is reset, not closed in order, unless `polite`. */
void stream_close(struct stream *stream, bool polite);

#endif
