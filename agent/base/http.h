/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_HTTP_H
#define LICTOR_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/net.h"

struct buf;
struct loop;
struct http;
struct http_call;

enum http_version {
	HTTP_1_1,
	HTTP_2,			/* over TLS, by ALPN; another one is NET_GARBAGE */
	HTTP_2_PLAIN,		/* without TLS, both sides know it */
};

struct http_request {
	const char *method;		/* NULL: GET */
	const char *url;		/* copied */
	const char *unix_socket;	/* path, or NULL; copied */
	const char *const *headers;	/* "Name: value", NULL at the end; copied */
	const void *body;		/* copied; Content-Length is always sent, no Expect */
	size_t body_len;
	int64_t timeout_ms;		/* of the whole call; > 0 */
	size_t body_limit;		/* more of the answer's body than this is not kept;
					   0: it is not waited for */
	bool error_body;		/* nor is that of a status below 400 */
	const char *resolve;		/* "host:port:address,…": where to connect instead of
					   asking for the name */
	bool follow;			/* redirects, at most 5; headers go to the first
					   host and port only */
	bool fresh;			/* a connection of its own, closed afterwards */
	const struct net_tls *tls;	/* NULL: the defaults */
	enum http_version version;
	const char *proxy;		/* an http:// URL, or NULL; copied */
	bool certificate;		/* certificate_end of the reply is wanted */
};

struct http_reply {
	enum net_error error;
	char why[160];			/* for people when error is not NET_OK */
	int status;			/* 0 unless NET_OK */
	const char *body;		/* NUL-terminated, never NULL */
	size_t body_len;
	bool body_cut;			/* there was more than body_limit */
	int64_t sent_at;		/* clock_boot_ms before the first byte was sent */
	int64_t certificate_end;	/* seconds since 1970, if asked for, also of a
					   certificate that was refused; -1: none shown */
	const struct buf *fields;	/* for http_header */
};

/*
 * One client is one pool of connections of its own: who must not wait behind others takes
 * another client. Made of libcurl; no thread, no name resolution that blocks.
 */
struct http *http_new(struct loop *loop);
/* For checks: it takes no descriptor that is not for them (net_descriptor_end). */
void http_be_modest(struct http *http);
/* No more connections than that at a time; calls beyond wait, within their deadlines. */
void http_be_narrow(struct http *http, unsigned int connections);
void http_free(struct http *http);	/* ends all calls without telling */

/* `done` is called once, never from within http_send. The reply is valid only in it. */
struct http_call *http_send(struct http *http, const struct http_request *request,
    void (*done)(void *arg, const struct http_reply *reply), void *arg);
void http_cancel(struct http_call *call);	/* `done` is not called any more */

/* A header of the answer, or else a trailer, its name compared without case; or NULL. */
const char *http_header(const struct http_reply *reply, const char *name);

#endif
