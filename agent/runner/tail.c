/* SPDX-License-Identifier: ISC */
/*
 * A ring of bytes: of what a command prints, however much, its last words are kept. It
 * costs a copy of those bytes at the most, whatever the length of a piece.
 */
#include "agent/runner/tail.h"

#include <string.h>

void
tail_add(struct tail *tail, const char *data, size_t len)
{
	size_t size = sizeof(tail->data);

	if (len > size) {
		tail->total += len - size;
		data += len - size;
		len = size;
	}
	size_t at = tail->total % size;
	size_t first = len < size - at ? len : size - at;
	memcpy(tail->data + at, data, first);
	memcpy(tail->data, data + first, len - first);
	tail->total += len;
}

uint32_t
tail_copy(const struct tail *tail, char *out, size_t max)
{
	size_t size = sizeof(tail->data);
	size_t len = tail->total < max ? (size_t)tail->total : max;
	size_t at = (size_t)((tail->total - len) % size);
	size_t first = len < size - at ? len : size - at;

	memcpy(out, tail->data + at, first);
	memcpy(out + first, tail->data, len - first);
	return (uint32_t)len;
}
