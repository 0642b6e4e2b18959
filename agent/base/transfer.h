/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TRANSFER_H
#define LICTOR_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/http.h"

struct loop;
struct transfer;
struct transfers;
struct url;

struct transfer_request {
	const char *method, *url, *unix_socket;
	const struct url *to;	/* the same URL, taken apart */
	/* where to connect, parted by commas, IPv6 ones in brackets; NULL: where the URL
	 * says, which is an address or localhost */
	const char *addresses;
	const char *proxy;	/* an http:// URL, or NULL; `addresses` are the proxy's then */
	const struct url *proxy_to;	/* the same, taken apart */
	enum http_version version;
	char *const *headers;	/* or NULL; the caller's own first */
	const void *body;	/* borrowed until the transfer is freed; NULL: none */
	size_t body_len;
	bool fresh;
	const struct net_tls *tls;	/* NULL: the defaults */
	bool certificate;	/* look when it ends */
};

enum transfer_wish {
	TRANSFER_MORE,
	TRANSFER_ENOUGH,	/* the transfer is done */
	TRANSFER_REFUSED,	/* this is no answer */
};

struct transfer_end {
	enum net_error error;
	const char *why;	/* the same words for the same fault */
	int status;
	const char *location;	/* where a redirect leads, as a whole URL, or NULL */
	int64_t certificate_end;	/* seconds since 1970; -1: not looked at, or none */
};

struct transfer_out {
	/* A line of the head, of an interim one too, or of the trailers; and a part of
	 * the body. */
	enum transfer_wish (*head)(void *arg, const char *line, size_t len);
	enum transfer_wish (*body)(void *arg, const char *data, size_t len);
	/* Once, unless the transfer is freed before, which may be done in it. */
	void (*done)(void *arg, const struct transfer_end *end);
};

/* A pool of connections: one per HTTP client. */
struct transfers *transfers_new(struct loop *loop, const struct transfer_out *out);
/* None of its sockets has this number or one above it. */
void transfers_set_end(struct transfers *transfers, int descriptor);
/* No more than these at a time; transfers beyond wait for one. */
void transfers_set_connections(struct transfers *transfers, unsigned int connections);
void transfers_free(struct transfers *transfers);	/* when it has no transfers */

/* One request and its answer: no names are asked for, nothing is followed, nothing ends by
 * time. NULL with `why`. `arg` is given to the callbacks. */
struct transfer *transfer_start(struct transfers *transfers,
    const struct transfer_request *request, void *arg, const char **why);
void transfer_free(struct transfer *transfer);

int transfer_status(const struct transfer *transfer);	/* of the answer so far, or 0 */
/* How far it has come, for people: "while it connected", "without an answer" … */
const char *transfer_phase(const struct transfer *transfer);

#endif
