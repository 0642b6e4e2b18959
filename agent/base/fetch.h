/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_FETCH_H
#define LICTOR_FETCH_H

#include "agent/base/http.h"

struct fetch;
struct fetch_call;
struct loop;
struct streams;

/*
 * Our own HTTP/1.1 client (RFC 9112), for checks: one request and its answer over a stream,
 * plain or TLS, as cheap as possible. What it does not do (HTTP/2, proxies, redirects, unix
 * sockets) http.h's client does, through the same request and reply, so that every test can
 * be run through both. Memory is bounded whatever the server sends.
 */
struct fetch *fetch_new(struct loop *loop, struct streams *streams);
void fetch_free(struct fetch *fetch);	/* ends all calls without telling; not in `done` */

/* `done` is called once, never from within fetch_send; the reply is valid only in it.
 * `timeout_ms` is ignored: who asks has a deadline. The files and names of `tls` must stay
 * until then. A connection that is not `fresh` is kept for two minutes; one that ended
 * meanwhile is replaced by a new one, once. */
struct fetch_call *fetch_send(struct fetch *fetch, const struct http_request *request,
    void (*done)(void *arg, const struct http_reply *reply), void *arg);
void fetch_cancel(struct fetch_call *call);

#endif
