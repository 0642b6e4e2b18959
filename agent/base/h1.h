/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_H1_H
#define LICTOR_H1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/net.h"
#include "agent/base/util.h"

/* What an answer may have at the most, in bytes unless said otherwise. */
#define H1_LINE_MAX 8192		/* of the head, its end included */
#define H1_HEAD_MAX 65536		/* all heads and the trailers */
#define H1_HEAD_KEPT 16384		/* of the fields; more are read but not kept */
#define H1_FIELDS_MAX 256		/* lines */
#define H1_INTERIM_MAX 16		/* answers 1xx before the answer */
#define H1_EXTENSIONS_MAX 4096		/* between the chunks' sizes and their line ends */

enum h1_phase {
	H1_STATUS_LINE,
	H1_FIELDS,
	H1_LENGTH,		/* so many bytes of body */
	H1_UNTIL_END,
	H1_CHUNK_SIZE,
	H1_CHUNK_BLANK,
	H1_CHUNK_EXTENSION,
	H1_CHUNK_DATA,
	H1_CHUNK_END,
	H1_TRAILERS,
	H1_WHOLE,
	H1_BROKEN,
};

/*
 * An answer of HTTP/1.0 or 1.1 (RFC 9112) that comes in pieces. The same bytes have the
 * same result in whatever pieces they come. Pure: it has nothing but these buffers, whose
 * limits are kept; the caller sets that of the body.
 */
struct h1 {
	enum h1_phase phase;
	int status;		/* of the final answer; 0 before its head is whole */
	bool lasting;		/* once it is whole: the connection may serve another */
	enum net_error error;	/* of H1_BROKEN: NET_GARBAGE or NET_CLOSED */
	const char *why;	/* in words; never freed */
	struct buf head;	/* "Name: value" and a NUL, of fields and trailers */
	struct buf body;	/* up to its limit */
	uint64_t body_seen;	/* kept or not */
	/* inside */
	bool bodyless;		/* asked by HEAD */
	bool old;		/* HTTP/1.0 */
	bool close, chunked, has_length, has_return, any;
	uint64_t length, left;
	size_t line, field;	/* offsets into `head`; `field` NONE: no field is open */
	size_t head_seen, fields, interims, extensions, digits;
	int code;		/* of the head that is being read */
};

/* For another answer; `head` says that HEAD asks for it. The buffers' memory stays. */
void h1_begin(struct h1 *h1, bool head);
void h1_free(struct h1 *h1);

/* How much of it was used: all, unless the answer is whole or broken. */
size_t h1_take(struct h1 *h1, const char *data, size_t len);

/* The other end has closed in order: what is not whole is broken. */
void h1_end(struct h1 *h1);

#endif
