/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_HOSTILE_SERVER_H
#define LICTOR_HOSTILE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hostile;

enum hostile_end {
	HOSTILE_CLOSE,	/* in order, with a close_notify */
	HOSTILE_CUT,	/* without one */
	HOSTILE_RESET,
	HOSTILE_STAY,	/* open until the client goes */
};

/* What is said to who asks for "/name", or to whoever connects. */
struct hostile_act {
	const char *name;
	bool at_once;		/* without reading the request; on a port of its own */
	const char *bytes;
	size_t len;
	const char *again;	/* and then this, for ever */
	int pause_ms;		/* between bytes of `bytes` and times of `again` */
	enum hostile_end end;
};

/* A web server on 127.0.0.1 that does what the acts say, plain and with TLS; its folder has
 * the authority's "ca.pem". The acts must stay as they are; their number is `count`, one is
 * `size` bytes from the next. */
struct hostile *hostile_start(const struct hostile_act *acts, size_t count, size_t size);
void hostile_stop(struct hostile *hostile);

const char *hostile_folder(const struct hostile *hostile);
uint16_t hostile_port(const struct hostile *hostile, size_t act, bool tls);

#endif
