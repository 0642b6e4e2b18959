/* SPDX-License-Identifier: ISC */
/*
 * Any bytes as the answer of an HTTP/1.x server: they have the same result whole, byte by
 * byte and in pieces of odd sizes; what is kept stays within its limits; a fault has words
 * and an answer a status.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/h1.h"
#include "tests/fuzz/fuzz.h"

#define BODY_KEPT 100

static void
must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static void
take(struct h1 *h1, const char *data, size_t size, size_t piece, bool head)
{
	size_t at = 0, len = piece;

	h1->body.limit = BODY_KEPT;
	h1_begin(h1, head);
	while (at < size && h1->phase < H1_WHOLE) {
		len = len < size - at ? len : size - at;
		at += h1_take(h1, data + at, len);
		len = 1 + (len * 7 + piece) % piece;
	}
	must(at == size || h1->phase >= H1_WHOLE, "bytes were left");
	h1_end(h1);
	must(h1->phase >= H1_WHOLE, "an answer that does not end");
}

static void
look(const struct h1 *h1)
{
	bool broken = h1->phase == H1_BROKEN;

	must(h1->head.len <= H1_HEAD_KEPT + 2 * H1_LINE_MAX, "a head too large");
	must(h1->head.size <= 2 * (H1_HEAD_KEPT + 2 * H1_LINE_MAX) + 2, "memory");
	must(h1->body.len <= BODY_KEPT && h1->body.size <= 2 * BODY_KEPT + 2, "memory");
	must(h1->body.len <= h1->body_seen, "a body from nowhere");
	must((h1->error != NET_OK) == broken, "broken without an error");
	must((h1->why[0] != '\0') == broken, "broken without words");
	must(broken || (h1->status > 100 && h1->status <= 999), "no status");
	must(!broken || !h1->lasting || h1->status > 0, "broken before it began");
}

static bool
same_text(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && a->full == b->full &&
	    (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static void
must_be_same(const struct h1 *a, const struct h1 *b)
{
	must(a->phase == b->phase && a->status == b->status && a->error == b->error &&
		a->lasting == b->lasting && a->body_seen == b->body_seen,
	    "another answer in pieces");
	must(strcmp(a->why, b->why) == 0, "other words in pieces");
	must(same_text(&a->body, &b->body), "another body in pieces");
	must(a->phase == H1_BROKEN || same_text(&a->head, &b->head),
	    "other fields in pieces");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = { 1, 2, 13, 4099 };
	const char *text = (const char *)data;

	for (int head = 0; head < 2; head++) {
		struct h1 whole = { 0 }, cut = { 0 };
		take(&whole, text, size, size + 1, head == 1);
		look(&whole);
		for (size_t i = 0; i < ARRAY_LENGTH(pieces); i++) {
			take(&cut, text, size, pieces[i], head == 1);
			look(&cut);
			must_be_same(&whole, &cut);
		}
		h1_free(&whole);
		h1_free(&cut);
	}
	return 0;
}
