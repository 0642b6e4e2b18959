/* SPDX-License-Identifier: ISC */
/*
 * Bytes that grow up to a limit, for whatever an outsider may send without end: answers,
 * requests, the output of commands. Declared in util.h. The owner sets the limit, reads
 * the fields and calls buf_free. Invariant: len <= limit, and data[len] is NUL once
 * data is not NULL.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"

/* Room for `len` more bytes and the NUL. */
static void
make_room(struct buf *buf, size_t len)
{
	size_t need = buf->len + len + 1, size = buf->size < 64 ? 64 : buf->size;

	if (need <= buf->size)
		return;
	while (size < need)
		size *= 2;
	buf->data = xrealloc(buf->data, size, 1);
	buf->size = size;
}

void
buf_add(struct buf *buf, const void *data, size_t len)
{
	if (len > buf->limit - buf->len) {
		len = buf->limit - buf->len;
		buf->full = true;
	}
	make_room(buf, len);
	if (len > 0)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void
buf_printf(struct buf *buf, const char *fmt, ...)
{
	AUTO_FREE char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	int len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (len < 0)
		out_of_memory();
	buf_add(buf, text, (size_t)len);
}

void
buf_free(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){ .limit = buf->limit };
}
