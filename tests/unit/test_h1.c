/* SPDX-License-Identifier: ISC */
/*
 * The parser of HTTP/1.x answers. Rows of a corpus, each of which must have its result in
 * all ways of cutting it in two, and byte by byte; every limit, one byte on either side of
 * it; and all short texts over an alphabet, for lengths, chunks and status lines, against
 * a plain reading of the same rule.
 */
#include "agent/base/h1.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

#define ENDED "the connection ended in the middle of the answer"
#define OK "HTTP/1.1 200 OK\r\n"
#define LENGTH_5 "Content-Length: 5\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"

/* A text with NULs in it and its length. */
#define BYTES(text) text, sizeof(text) - 1

struct row {
	const char *bytes;
	size_t len;
	const char *why; /* NULL: whole */
	int status;
	const char *body;
	size_t left; /* bytes that are not part of it, if it is whole */
	bool head, lasting;
};

static const struct row corpus[] = {
	{ BYTES(OK LENGTH_5 "\r\nhello"), NULL, 200, "hello", 0, false, true },
	{ BYTES(OK LENGTH_5 "\r\nhello, you"), NULL, 200, "hello", 5, false, true },
	{ BYTES(OK LENGTH_5 "\r\nhell"), ENDED, 200, "hell", 0, false, false },
	{ BYTES(OK "Content-Length: 0\r\n\r\n"), NULL, 200, "", 0, false, true },
	{ BYTES(OK "\r\nuntil the end"), NULL, 200, "until the end", 0, false, false },
	{ BYTES(OK "\r\n"), NULL, 200, "", 0, false, false },
	{ BYTES("HTTP/1.1 200\nContent-Length: 1\n\nx"), NULL, 200, "x", 0, false,
	    true },
	{ BYTES("HTTP/1.1 200 \r\n\r\n"), NULL, 200, "", 0, false, false },
	{ BYTES("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"), NULL, 200, "x", 0,
	    false, false },
	{ BYTES(OK "Connection: foo , CLOSE\r\n" LENGTH_5 "\r\nhello"), NULL, 200,
	    "hello", 0, false, false },
	{ BYTES(OK "Connection: closed\r\n" LENGTH_5 "\r\nhello"), NULL, 200, "hello",
	    0, false, true },
	/* what has no body */
	{ BYTES(OK LENGTH_5 "\r\nhello"), NULL, 200, "", 5, true, true },
	{ BYTES(OK CHUNKED "\r\n5\r\nhello"), NULL, 200, "", 8, true, true },
	{ BYTES("HTTP/1.1 204 None\r\n" LENGTH_5 "\r\nhello"), NULL, 204, "", 5, false,
	    true },
	{ BYTES("HTTP/1.1 304 Same\r\n" CHUNKED "\r\n"), NULL, 304, "", 0, false,
	    true },
	{ BYTES("HTTP/1.1 101 Switch\r\n\r\n\x81\x05"), NULL, 101, "", 2, false,
	    false },
	/* interim answers */
	{ BYTES("HTTP/1.1 100 Continue\r\nConnection: close\r\n" LENGTH_5
		"\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n" OK
		"Content-Length: 2\r\n\r\nhi"),
	    NULL, 200, "hi", 0, false, true },
	{ BYTES("HTTP/1.1 100 Continue\r\n\r\n"), ENDED, 0, "", 0, false, false },
	{ BYTES("HTTP/1.1 100 Continue\r\n\r\nhello"), "this is not HTTP", 0, "", 0,
	    false, false },
	/* chunks */
	{ BYTES(OK CHUNKED "\r\n5\r\nhello\r\n4;a=b\r\n you\r\n0\r\n\r\n"), NULL, 200,
	    "hello you", 0, false, true },
	{ BYTES(OK "TRANSFER-encoding:\tCHUNKED \r\n\r\n"
		   "5 \nhello\n0A;x=\"y\"\r\n, my world\r\n00\r\nT: u\r\n\r\nmore"),
	    NULL, 200, "hello, my world", 4, false, true },
	{ BYTES(OK CHUNKED "\r\n5\r\nhello\r\n"), ENDED, 200, "hello", 0, false,
	    false },
	{ BYTES(OK CHUNKED "\r\n5\r\nhello\r\n0\r\n"), ENDED, 200, "hello", 0, false,
	    false },
	{ BYTES(OK CHUNKED "\r\n5\r\nhelloo\r\n"), "a chunk is longer than its size",
	    200, "hello", 0, false, false },
	{ BYTES(OK CHUNKED "\r\n5\rhello"), "a line between the chunks does not end",
	    200, "", 0, false, false },
	{ BYTES(OK CHUNKED "\r\n5\r\nhello\r\r\n"), "a chunk is longer than its size",
	    200, "hello", 0, false, false },
	{ BYTES(OK CHUNKED "\r\n-5\r\nhello\r\n"),
	    "the size of a chunk is not a number", 200, "", 0, false, false },
	{ BYTES(OK CHUNKED "\r\n\r\nhello\r\n"), "the size of a chunk is not a number",
	    200, "", 0, false, false },
	{ BYTES(OK CHUNKED "\r\n1000000000000000\r\n"),
	    "the size of a chunk is too large", 200, "", 0, false, false },
	{ BYTES(OK CHUNKED "\r\n5;a\001\r\n"),
	    "a control character stands after the size of a chunk", 200, "", 0, false,
	    false },
	{ BYTES(OK CHUNKED "\r\n0\r\nContent-Length: many\r\n\r\n"), NULL, 200, "", 0,
	    false, true },
	{ BYTES(OK CHUNKED "\r\n0\r\nno trailer\r\n\r\n"),
	    "a line of the head is not \"Name: value\"", 200, "", 0, false, false },
	/* lengths */
	{ BYTES(OK LENGTH_5 LENGTH_5 "Content-Length: 05 , 5\r\n\r\nhello"), NULL, 200,
	    "hello", 0, false, true },
	{ BYTES(OK LENGTH_5 "Content-Length: 6\r\n\r\nhello"),
	    "the body has two different lengths", 0, "", 0, false, false },
	{ BYTES(OK "Content-Length: 5, 6\r\n\r\nhello"),
	    "the body has two different lengths", 0, "", 0, false, false },
	{ BYTES(OK "Content-Length: -5\r\n\r\n"),
	    "the length of the body is not a number", 0, "", 0, false, false },
	{ BYTES(OK "Content-Length: 99999999999999999999\r\n\r\n"),
	    "the length of the body is not a number", 0, "", 0, false, false },
	{ BYTES(OK "Content-Length: 18446744073709551621\r\n\r\nhello"),
	    "the length of the body is not a number", 0, "", 0, false, false },
	{ BYTES(OK LENGTH_5 CHUNKED "\r\n5\r\nhello\r\n0\r\n\r\n"),
	    "the body has both a length and chunks", 0, "", 0, false, false },
	{ BYTES(OK CHUNKED LENGTH_5 "\r\nhello"),
	    "the body has both a length and chunks", 0, "", 0, false, false },
	{ BYTES(OK "Transfer-Encoding: gzip, chunked\r\n\r\n"),
	    "the body has another transfer coding than chunked", 0, "", 0, false,
	    false },
	{ BYTES(OK CHUNKED CHUNKED "\r\n"),
	    "the body has another transfer coding than chunked", 0, "", 0, false,
	    false },
	{ BYTES("HTTP/1.0 200 OK\r\n" CHUNKED "\r\n0\r\n\r\n"),
	    "the body has a transfer coding, which HTTP/1.0 has not", 0, "", 0, false,
	    false },
	/* folded lines */
	{ BYTES(OK "Content-Length:\r\n \r\n\t 5\r\n\r\nhello"), NULL, 200, "hello", 0,
	    false, true },
	{ BYTES(OK "A: b\r\n c \r\n\td\r\n" LENGTH_5 "\r\nhello"), NULL, 200, "hello",
	    0, false, true },
	{ BYTES(OK " A: b\r\n\r\n"), "the head begins with a blank", 0, "", 0, false,
	    false },
	/* what is no head */
	{ BYTES(OK "Content-Length : 5\r\n\r\nhello"),
	    "a line of the head is not \"Name: value\"", 0, "", 0, false, false },
	{ BYTES(OK ": 5\r\n\r\n"), "a line of the head is not \"Name: value\"", 0, "",
	    0, false, false },
	{ BYTES(OK "A\0B: 5\r\n\r\n"), "a control character stands in the head", 0, "",
	    0, false, false },
	{ BYTES(OK "A: 5\0\r\n\r\n"), "a control character stands in the head", 0, "",
	    0, false, false },
	{ BYTES(OK "A: 5\rB: 6\r\n\r\n"), "a control character stands in the head", 0,
	    "", 0, false, false },
	{ BYTES(OK "A: 5\r\r\n\r\n"), "a control character stands in the head", 0, "",
	    0, false, false },
	{ BYTES(OK "A: \xc3\xa4\xff\r\n" LENGTH_5 "\r\nhello"), NULL, 200, "hello", 0,
	    false, true },
	{ BYTES("HTTP/1.1 200 \x7f\r\n\r\n"), "a control character stands in the head",
	    0, "", 0, false, false },
	{ BYTES("HTTP/2 200\r\n\r\n"),
	    "this is another version of HTTP than 1.0 and 1.1", 0, "", 0, false,
	    false },
	{ BYTES("HTTP/1.2 200 OK\r\n\r\n"),
	    "this is another version of HTTP than 1.0 and 1.1", 0, "", 0, false,
	    false },
	{ BYTES("HTTP/1.10 200 OK\r\n\r\n"),
	    "the status is not a number from 100 to 999", 0, "", 0, false, false },
	{ BYTES("HTTP/1.1 099 OK\r\n\r\n"),
	    "the status is not a number from 100 to 999", 0, "", 0, false, false },
	{ BYTES("HTTP/1.1 1000 OK\r\n\r\n"),
	    "the status is not a number from 100 to 999", 0, "", 0, false, false },
	{ BYTES("HTTP/1.1 999 OK\r\n\r\n"), NULL, 999, "", 0, false, false },
	{ BYTES("220 mail.example ESMTP\r\n"), "this is not HTTP", 0, "", 0, false,
	    false },
	{ BYTES("\r\n" OK "\r\n"), "this is not HTTP", 0, "", 0, false, false },
	{ BYTES("<html>no head</html>"), "this is not HTTP", 0, "", 0, false, false },
	{ BYTES("\x15\x03\x01\x00\x02\x02\x16"), "this is TLS, not HTTP", 0, "", 0,
	    false, false },
	{ BYTES("\0\0\x12\x04\0\0\0\0\0"), "this is not HTTP", 0, "", 0, false, false },
	{ BYTES(""), "the connection ended without an answer", 0, "", 0, false, false },
	{ BYTES("HTT"), ENDED, 0, "", 0, false, false },
	{ BYTES("HTTP/1.1 200 OK"), ENDED, 0, "", 0, false, false },
	{ BYTES(OK "A: b\r\n"), ENDED, 0, "", 0, false, false },
	{ BYTES(OK "Content-Length: 9\r\n\r\nNULs \0\0\0\0"), NULL, 200, "NULs ", 0,
	    false, true },
};

/* Takes it in pieces and ends it; how many bytes were not used. */
static size_t
take(struct h1 *h1, const char *bytes, size_t len, size_t first, size_t piece)
{
	size_t used = 0, size = first;

	while (used < len) {
		size = size < len - used ? size : len - used;
		size_t taken = h1_take(h1, bytes + used, size);
		used += taken;
		if (taken < size)
			break;
		size = piece;
	}
	h1_end(h1);
	return len - used;
}

static bool
same_buf(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && a->full == b->full &&
	    (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static bool
same(const struct h1 *a, const struct h1 *b)
{
	return a->phase == b->phase && a->status == b->status &&
	    a->lasting == b->lasting && a->error == b->error &&
	    strcmp(a->why, b->why) == 0 && a->body_seen == b->body_seen &&
	    same_buf(&a->body, &b->body) &&
	    (a->phase == H1_BROKEN || same_buf(&a->head, &b->head));
}

static void
check_row(const struct row *row, const struct h1 *h1, size_t left)
{
	bool closed = row->why != NULL && strstr(row->why, "ended") != NULL;
	enum net_error error = row->why == NULL ? NET_OK
	    : closed                            ? NET_CLOSED
						: NET_GARBAGE;

	CU_ASSERT_EQUAL(h1->phase, row->why != NULL ? H1_BROKEN : H1_WHOLE);
	CU_ASSERT_STRING_EQUAL(h1->why, row->why != NULL ? row->why : "");
	CU_ASSERT_EQUAL(h1->error, error);
	CU_ASSERT_EQUAL(h1->status, row->status);
	CU_ASSERT_STRING_EQUAL(h1->body.data != NULL ? h1->body.data : "", row->body);
	if (row->why == NULL) {
		CU_ASSERT_EQUAL(left, row->left);
		CU_ASSERT_EQUAL(h1->lasting, row->lasting);
	}
	if (strcmp(h1->why, row->why != NULL ? row->why : "") != 0)
		printf("# row %zu: %s\n", (size_t)(row - corpus), h1->why);
}

static void
test_rows_in_all_pieces(void)
{
	struct h1 whole = { .body.limit = 64 }, cut = { .body.limit = 64 };

	for (size_t i = 0; i < ARRAY_LENGTH(corpus); i++) {
		const struct row *row = &corpus[i];
		h1_begin(&whole, row->head);
		size_t left = take(&whole, row->bytes, row->len, row->len, 1);
		check_row(row, &whole, left);
		for (size_t at = 0; at <= row->len; at++) {
			size_t rest[] = { row->len, 1, 2, 3 };
			h1_begin(&cut, row->head);
			size_t after = take(&cut, row->bytes, row->len, at + 1,
			    rest[at % ARRAY_LENGTH(rest)]);
			bool equal = same(&whole, &cut) &&
			    (after == left || whole.error == NET_GARBAGE);
			CU_ASSERT(equal);
			if (!equal)
				printf("# row %zu cut at %zu: %s\n", i, at, cut.why);
		}
	}
	h1_free(&whole);
	h1_free(&cut);
}

static void
test_fields(void)
{
	static const char text[] = OK "A:  b c \t\r\nEmpty:\r\nFold: 1\r\n  2 \r\n\r\n"
				      "\t3\r\n";
	static const char first[] =
	    OK "A:  b c \t\r\nEmpty:\r\nFold: 1\r\n  2 \r\n \r\n\t3\r\n" CHUNKED
	       "\r\n0\r\nLate: yes\r\n\r\n";
	static const char kept[] = "A:  b c\0Empty:\0Fold: 1 2 3\0"
				   "Transfer-Encoding: chunked\0Late: yes";
	struct h1 h1 = { .body.limit = 64 };

	for (size_t piece = 1; piece <= sizeof(first); piece++) {
		h1_begin(&h1, false);
		take(&h1, first, sizeof(first) - 1, piece, piece);
		CU_ASSERT_EQUAL(h1.phase, H1_WHOLE);
		CU_ASSERT_EQUAL_FATAL(h1.head.len, sizeof(kept));
		CU_ASSERT_EQUAL(memcmp(h1.head.data, kept, sizeof(kept)), 0);
	}
	h1_begin(&h1, false);
	take(&h1, text, sizeof(text) - 1, 1, 1);
	CU_ASSERT_STRING_EQUAL(h1.body.data, "\t3\r\n");
	h1_free(&h1);
}

/* Adds "before", then `count` times `c`, then "after". */
static void
add(struct buf *to, const char *before, int c, size_t count, const char *after)
{
	char block[1024];

	memset(block, c, sizeof(block));
	buf_add(to, before, strlen(before));
	for (; count > sizeof(block); count -= sizeof(block))
		buf_add(to, block, sizeof(block));
	buf_add(to, block, count);
	buf_add(to, after, strlen(after));
}

/* The words that this has, the same in a few kinds of pieces. */
static const char *
judge(const struct buf *text)
{
	static const size_t pieces[] = { 1 << 20, 1, 7, 4096, 8191, 8192, 8193 };
	const char *why = NULL;

	for (size_t i = 0; i < ARRAY_LENGTH(pieces); i++) {
		struct h1 h1 = { .body.limit = 100 };
		h1_begin(&h1, false);
		take(&h1, text->data, text->len, pieces[i], pieces[i]);
		CU_ASSERT(why == NULL || strcmp(h1.why, why) == 0);
		CU_ASSERT(h1.head.len <= H1_HEAD_KEPT + 2 * H1_LINE_MAX);
		CU_ASSERT(h1.body.len <= 100);
		why = h1.why;
		h1_free(&h1);
	}
	return why;
}

#define END "Content-Length: 0\r\n\r\n"

static void
test_limits_of_lines(void)
{
	static const char *const starts[] = { "HTTP/1.1 200 ",
		OK "A: ", OK "A: b\r\n\t" };
	static const size_t before[] = { 13, 3, 1 + 5 };

	for (size_t i = 0; i < ARRAY_LENGTH(starts); i++)
		for (size_t more = 0; more < 2; more++) {
			struct buf text = { .limit = 1 << 20 };
			/* an unfolded line: "A: b", a blank, the text and its NUL */
			size_t room = i < 2 ? H1_LINE_MAX - 2 : H1_LINE_MAX;
			add(&text, starts[i], 'x', room - before[i] + more, "\r\n" END);
			CU_ASSERT_STRING_EQUAL(judge(&text),
			    more ? "a line of the head is longer than 8 KB" : "");
			buf_free(&text);
		}
}

static void
test_limits_of_heads(void)
{
	for (size_t more = 0; more < 2; more++) {
		struct buf text = { .limit = 1 << 20 };
		size_t room = H1_HEAD_MAX - strlen(OK) - strlen(END);
		buf_add(&text, OK, strlen(OK));
		for (; room >= 8000; room -= 4005)
			add(&text, "A: ", 'x', 4000, "\r\n");
		add(&text, "B: ", 'x', room - 5 + more, "\r\n" END);
		CU_ASSERT_STRING_EQUAL(
		    judge(&text), more ? "the head is longer than 64 KB" : "");
		buf_free(&text);
	}
	for (size_t more = 0; more < 2; more++) {
		struct buf text = { .limit = 1 << 20 };
		buf_add(&text, OK, strlen(OK));
		for (size_t i = 0; i < H1_FIELDS_MAX - 1 + more; i++)
			buf_printf(&text, "A: %zu\r\n", i);
		buf_add(&text, END, strlen(END));
		CU_ASSERT_STRING_EQUAL(
		    judge(&text), more ? "the head has more than 256 lines" : "");
		buf_free(&text);
	}
}

static void
test_limits_of_the_rest(void)
{
	for (size_t more = 0; more < 2; more++) {
		struct buf text = { .limit = 1 << 20 };
		for (size_t i = 0; i < H1_INTERIM_MAX + more; i++)
			buf_printf(&text, "HTTP/1.1 102 Processing\r\n\r\n");
		buf_printf(&text, "%s", OK END);
		CU_ASSERT_STRING_EQUAL(
		    judge(&text), more ? "more than 16 interim answers came" : "");
		buf_free(&text);
		add(&text, OK CHUNKED "\r\n1;", 'e', 1999, "\r\nx\r\n2;");
		add(&text, "", 'e', H1_EXTENSIONS_MAX - 2001 + more,
		    "\r\nxx\r\n0\r\n\r\n");
		CU_ASSERT_STRING_EQUAL(judge(&text),
		    more ? "the extensions of the chunks are longer than 4 KB" : "");
		buf_free(&text);
		add(&text, OK CHUNKED "\r\n", '0', 14 + more, "1\r\nx\r\n0\r\n\r\n");
		CU_ASSERT_STRING_EQUAL(
		    judge(&text), more ? "the size of a chunk is too large" : "");
		buf_free(&text);
	}
}

/* Fields beyond what is kept are still judged, and those before them stay. */
static void
test_fields_that_are_not_kept(void)
{
	struct buf text = { .limit = 1 << 20 };
	struct h1 h1 = { .body.limit = 10 };

	buf_printf(&text, "%s", OK);
	for (int i = 0; i < 12; i++)
		add(&text, "A: ", 'x', 4000, "\r\n\tmore\r\n");
	add(&text, LENGTH_5 "\r\n", 'b', 5, "");
	for (size_t piece = 1; piece < 5000; piece += 997) {
		h1_begin(&h1, false);
		take(&h1, text.data, text.len, piece, piece);
		CU_ASSERT_EQUAL(h1.phase, H1_WHOLE);
		CU_ASSERT_STRING_EQUAL(h1.body.data, "bbbbb");
		CU_ASSERT_EQUAL(h1.head.len, 4 * 4009 + strlen(LENGTH_5) - 1);
	}
	buf_free(&text);
	h1_free(&h1);
}

static void
test_bodies_are_cut(void)
{
	struct h1 h1 = { .body.limit = 3 };

	h1_begin(&h1, false);
	take(&h1, BYTES(OK LENGTH_5 "\r\nhello"), 1, 1);
	CU_ASSERT_STRING_EQUAL(h1.body.data, "hel");
	CU_ASSERT_TRUE(h1.body.full);
	CU_ASSERT_EQUAL(h1.body_seen, 5);
	CU_ASSERT_EQUAL(h1.phase, H1_WHOLE);
	h1_begin(&h1, false);
	CU_ASSERT_STRING_EQUAL(h1.body.data, "");
	take(&h1, BYTES(OK "Content-Length: 3\r\n\r\nyou"), 1, 1);
	CU_ASSERT_STRING_EQUAL(h1.body.data, "you");
	CU_ASSERT_FALSE(h1.body.full);
	h1_free(&h1);
}

/* ---- all short texts ---- */

/* Calls `look` with every text of up to `most` characters of the alphabet. */
static void
all_texts(const char *alphabet, size_t most, void (*look)(const char *text))
{
	size_t base = strlen(alphabet), digits[16] = { 0 };
	char text[16] = "";

	for (size_t len = 0; len <= most;) {
		for (size_t i = 0; i < len; i++)
			text[i] = alphabet[digits[i]];
		text[len] = '\0';
		look(text);
		size_t at = 0;
		while (at < len && ++digits[at] == base)
			digits[at++] = 0;
		if (at == len)
			len++;
	}
}

static size_t wrong; /* counted, since a million assertions are slow */

static void
count_wrong(const char *what, const char *text, bool right)
{
	if (!right && wrong++ == 0) {
		printf("# %s:", what);
		for (; *text != '\0'; text++)
			printf(" %02x", (unsigned char)*text);
		printf("\n");
	}
}

/* Numbers with blanks around and commas between, all of one value: or -1. */
static long
plain_length(const char *text)
{
	long all = -1;

	for (;;) {
		text += strspn(text, " ");
		size_t digits = strspn(text, "0123456789");
		if (digits == 0)
			return -1;
		long one = strtol(text, NULL, 10);
		text += digits;
		text += strspn(text, " ");
		if ((*text != '\0' && *text != ',') || (all >= 0 && one != all))
			return -1;
		all = one;
		if (*text++ == '\0')
			return all;
	}
}

static void
look_at_length(const char *text)
{
	static struct h1 h1 = { .body.limit = 0 };
	AUTO_FREE char *all = xasprintf("%sContent-Length:%s\r\n\r\n", OK, text);
	long length = plain_length(text);

	h1_begin(&h1, false);
	h1_take(&h1, all, strlen(all));
	count_wrong("Content-Length", text,
	    length < 0        ? h1.error == NET_GARBAGE
		: length == 0 ? h1.phase == H1_WHOLE
			      : h1.phase == H1_LENGTH && h1.left == (uint64_t)length);
	h1_free(&h1);
}

static void
test_all_lengths(void)
{
	wrong = 0;
	all_texts("012, +-x.", 5, look_at_length);
	CU_ASSERT_EQUAL(wrong, 0);
}

/* A chunk's first line: digits, then blanks, then perhaps a ';' and anything. The text is
 * followed by CR LF and the chunk. -1: not one. */
static long
plain_chunk(const char *text)
{
	char *end;

	if (strchr("01af", *text) == NULL || *text == '\0')
		return -1;
	long size = strtol(text, &end, 16);
	end += strspn(end, " ");
	return *end == '\0' || *end == ';' ? size : -1;
}

static void
look_at_chunk(const char *text)
{
	static struct h1 h1 = { .body.limit = 0 };
	AUTO_FREE char *all = xasprintf("%s%s\r\n%s\r\n", OK, CHUNKED, text);
	long size = plain_chunk(text);

	if (strncmp(text, "0x", 2) == 0)
		size = -1; /* to strtol it is a number */
	h1_begin(&h1, false);
	h1_take(&h1, all, strlen(all));
	count_wrong("chunk", text,
	    size < 0        ? h1.error == NET_GARBAGE
		: size == 0 ? h1.phase == H1_TRAILERS
			    : h1.phase == H1_CHUNK_DATA && h1.left == (uint64_t)size);
	h1_free(&h1);
}

static void
test_all_chunk_sizes(void)
{
	wrong = 0;
	all_texts("01afx ;-", 5, look_at_chunk);
	CU_ASSERT_EQUAL(wrong, 0);
}

/* Chunks of at most one digit: how many bytes they give, or -1 unless they are whole. */
static long
plain_chunks(const char *text)
{
	long bytes = 0;

	for (;;) {
		if (*text != '0' && *text != '1' && *text != '2')
			return -1;
		long size = *text++ - '0';
		text += *text == '\r';
		if (*text++ != '\n')
			return -1;
		if (size == 0)
			break;
		for (long i = 0; i < size; i++)
			if (*text++ == '\0')
				return -1;
		text += *text == '\r';
		if (*text++ != '\n')
			return -1;
		bytes += size;
	}
	text += *text == '\r';
	return strcmp(text, "\n") == 0 ? bytes : -1;
}

static void
look_at_chunks(const char *text)
{
	static struct h1 h1 = { .body.limit = 9 };
	char all[128];
	size_t len =
	    (size_t)snprintf(all, sizeof(all), "%s%s\r\n%s", OK, CHUNKED, text);
	bool leads = strncmp(text, "00", 2) == 0 || strstr(text, "\n00") != NULL ||
	    strstr(text, "01") != NULL || strstr(text, "10") != NULL ||
	    strstr(text, "11") != NULL;
	long bytes = plain_chunks(text);

	if (leads) /* numbers of two digits: not in the plain reading */
		return;
	h1_begin(&h1, false);
	size_t used = h1_take(&h1, all, len);
	bool whole = h1.phase == H1_WHOLE && used == len;
	count_wrong("chunks", text,
	    whole == (bytes >= 0) && (!whole || h1.body_seen == (uint64_t)bytes));
}

static void
test_all_chunks(void)
{
	wrong = 0;
	all_texts("01\r\n", 9, look_at_chunks);
	CU_ASSERT_EQUAL(wrong, 0);
}

/* What follows "HTTP/1." in a line. */
static int
plain_status(const char *text)
{
	if ((text[0] != '0' && text[0] != '1') || text[1] != ' ')
		return -1;
	if (strlen(text) < 5 || strspn(text + 2, "0123456789") < 3 || text[2] == '0')
		return -1;
	if (text[5] != '\0' && text[5] != ' ')
		return -1;
	return (text[2] - '0') * 100 + (text[3] - '0') * 10 + text[4] - '0';
}

static void
look_at_status(const char *text)
{
	static struct h1 h1 = { .body.limit = 9 };
	char all[128];
	size_t len =
	    (size_t)snprintf(all, sizeof(all), "HTTP/1.%s\r\nA: b\r\n\r\n", text);
	int status = plain_status(text);

	h1_begin(&h1, true);
	h1_take(&h1, all, len);
	bool interim = status >= 100 && status < 200 && status != 101;
	count_wrong("status", text,
	    status < 0    ? h1.error == NET_GARBAGE && h1.status == 0
		: interim ? h1.phase == H1_STATUS_LINE && h1.interims == 1
			  : h1.phase == H1_WHOLE && h1.status == status);
}

static void
test_all_status_lines(void)
{
	wrong = 0;
	all_texts("012 9x", 6, look_at_status);
	CU_ASSERT_EQUAL(wrong, 0);
}

static const struct tap_case cases[] = {
	{ "rows in all pieces", test_rows_in_all_pieces },
	{ "fields", test_fields },
	{ "limits of lines", test_limits_of_lines },
	{ "limits of heads", test_limits_of_heads },
	{ "limits of the rest", test_limits_of_the_rest },
	{ "fields that are not kept", test_fields_that_are_not_kept },
	{ "bodies are cut", test_bodies_are_cut },
	{ "all lengths", test_all_lengths },
	{ "all chunk sizes", test_all_chunk_sizes },
	{ "all chunks", test_all_chunks },
	{ "all status lines", test_all_status_lines },
};

TAP_MAIN("h1", cases)
