/* SPDX-License-Identifier: ISC */
/*
 * Reads an answer of HTTP/1.x as RFC 9112 has it, strictly where a lax reader would see
 * another answer than the next one does: two lengths, a length and chunks, blanks before
 * a colon, control characters. Lax only where the RFC asks for it: a bare LF ends a line,
 * a folded line is unfolded, a phrase may be missing.
 * Lines are gathered at the end of the head's buffer, whatever pieces they come in, and
 * judged when they are whole, so that the pieces cannot matter: a limit is passed at a
 * certain byte, and what is wrong in a line is looked for in one order. The framing of
 * chunks is read byte by byte. Neighbours: fetch, which reads from a stream into this.
 */
#include "agent/base/h1.h"

#include <string.h>
#include <strings.h>

#define NONE SIZE_MAX
/* the fields that are kept, one that may be continued, and the line after it */
#define HEAD_ROOM (H1_HEAD_KEPT + 2 * H1_LINE_MAX)
#define CHUNK_DIGITS_MAX 15

struct piece {
	const char *at;
	size_t len;
};

/* RFC 9110 5.6.2 */
static const bool is_token[256] = {
	['0' ... '9'] = true,
	['A' ... 'Z'] = true,
	['a' ... 'z'] = true,
	['!'] = true,
	['#'] = true,
	['$'] = true,
	['%'] = true,
	['&'] = true,
	['\''] = true,
	['*'] = true,
	['+'] = true,
	['-'] = true,
	['.'] = true,
	['^'] = true,
	['_'] = true,
	['`'] = true,
	['|'] = true,
	['~'] = true,
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* What no line may hold; a CR that does not end it is among them (RFC 9112 2.2). */
static bool
is_control(char c)
{
	return ((unsigned char)c < ' ' && c != '\t') || c == 0x7f;
}

static void
fault(struct h1 *h1, const char *why)
{
	h1->phase = H1_BROKEN;
	h1->error = NET_GARBAGE;
	h1->why = why;
}

static void
empty(struct buf *buf)
{
	buf->len = 0;
	buf->full = false;
	if (buf->data != NULL)
		buf->data[0] = '\0';
}

/* "HTTP/1.1 200 OK"; the phrase and the blank before it may be missing. A status above
 * 599 is no valid one, but it is one (RFC 9110 15). */
static void
end_status_line(struct h1 *h1, const char *text, size_t len)
{
	if (len < 8 || memcmp(text, "HTTP/1.", 7) != 0 ||
	    (text[7] != '0' && text[7] != '1')) {
		fault(h1, "this is another version of HTTP than 1.0 and 1.1");
		return;
	}
	if (len < 12 || text[8] != ' ' || text[9] == '0' || !is_digit(text[9]) ||
	    !is_digit(text[10]) || !is_digit(text[11]) ||
	    (len > 12 && text[12] != ' ')) {
		fault(h1, "the status is not a number from 100 to 999");
		return;
	}
	h1->old = text[7] == '0';
	h1->code = (text[9] - '0') * 100 + (text[10] - '0') * 10 + (text[11] - '0');
	h1->phase = H1_FIELDS;
	h1->line = 0;
	empty(&h1->head);
}

static bool
read_number(const char **text, const char *end, uint64_t *out)
{
	const char *from = *text;
	uint64_t number = 0;

	for (; *text < end && is_digit(**text); (*text)++) {
		if (number > INT64_MAX / 10 - 1)
			return false;
		number = number * 10 + (uint64_t)(**text - '0');
	}
	*out = number;
	return *text > from;
}

static const char *
skip_blanks(const char *text, const char *end)
{
	while (text < end && is_blank(*text))
		text++;
	return text;
}

/* One or more times the same number (RFC 9112 6.3). */
static void
take_length(struct h1 *h1, const char *text, const char *end)
{
	for (bool more = true; more; text = skip_blanks(text + 1, end)) {
		uint64_t length;
		bool number = read_number(&text, end, &length);
		text = skip_blanks(text, end);
		more = text < end;
		if (!number || (more && *text != ',')) {
			fault(h1, "the length of the body is not a number");
			return;
		}
		if (h1->has_length && h1->length != length) {
			fault(h1, "the body has two different lengths");
			return;
		}
		h1->has_length = true;
		h1->length = length;
		if (!more)
			return;
	}
}

/* We offer no coding, so there may be none but this one (RFC 9112 6.1). */
static void
take_coding(struct h1 *h1, const char *text, const char *end)
{
	if (h1->chunked || end - text != 7 || strncasecmp(text, "chunked", 7) != 0)
		fault(h1, "the body has another transfer coding than chunked");
	else if (h1->old)
		fault(h1, "the body has a transfer coding, which HTTP/1.0 has not");
	h1->chunked = true;
}

static void
take_connection(struct h1 *h1, const char *text, const char *end)
{
	while (text < end) {
		size_t len = strcspn(text, ", \t");
		if (len == 5 && strncasecmp(text, "close", 5) == 0)
			h1->close = true;
		text += len;
		text += strspn(text, ", \t");
	}
}

static bool
is_named(const char *text, size_t len, const char *name)
{
	return strlen(name) == len && strncasecmp(text, name, len) == 0;
}

/* A field without blanks at its end, and a NUL. Trailers frame nothing (RFC 9112 7.1.2). */
static void
read_field(struct h1 *h1, const char *text, size_t len)
{
	const char *end = text + len;
	size_t name = 0;

	while (name < len && is_token[(unsigned char)text[name]])
		name++;
	if (name == 0 || text[name] != ':') {
		fault(h1, "a line of the head is not \"Name: value\"");
		return;
	}
	const char *value = skip_blanks(text + name + 1, end);
	if (h1->phase == H1_TRAILERS)
		return;
	if (is_named(text, name, "content-length"))
		take_length(h1, value, end);
	else if (is_named(text, name, "transfer-encoding"))
		take_coding(h1, value, end);
	else if (is_named(text, name, "connection"))
		take_connection(h1, value, end);
}

/* The field that is open ends where the line begins: it had no further line. */
static void
end_field(struct h1 *h1)
{
	struct buf *head = &h1->head;

	if (h1->field == NONE)
		return;
	if (++h1->fields > H1_FIELDS_MAX) {
		fault(h1, "the head has more than 256 lines");
		return;
	}
	read_field(h1, head->data + h1->field, h1->line - h1->field - 1);
	if (h1->line > H1_HEAD_KEPT) {
		memmove(head->data + h1->field, head->data + h1->line,
		    head->len - h1->line + 1);
		head->len -= h1->line - h1->field;
		h1->line = h1->field;
	}
	h1->field = NONE;
}

/* RFC 9112 5.2: the line end and the blanks around it become one blank. */
static void
unfold(struct h1 *h1)
{
	struct buf *head = &h1->head;
	char *from = head->data + h1->line, *to = from;

	if (h1->field == NONE) {
		fault(h1, "the head begins with a blank");
		return;
	}
	while (is_blank(*from))
		from++;
	if (*from == '\0') {
		head->len = h1->line;
		return;
	}
	to[-1] = ' ';
	memmove(to, from, (size_t)(head->data + head->len - from));
	head->len -= (size_t)(from - to);
	if (head->len - h1->field > H1_LINE_MAX)
		fault(h1, "a line of the head is longer than 8 KB");
	h1->line = head->len;
}

static void
end_head(struct h1 *h1)
{
	int code = h1->code;

	if (code < 200 && code != 101) {
		if (++h1->interims > H1_INTERIM_MAX)
			fault(h1, "more than 16 interim answers came");
		else
			h1->phase = H1_STATUS_LINE;
		h1->close = h1->chunked = h1->has_length = false;
		empty(&h1->head);
		h1->line = 0;
		return;
	}
	if (h1->chunked && h1->has_length) {
		fault(h1, "the body has both a length and chunks");
		return;
	}
	h1->status = code;
	h1->lasting = !h1->old && !h1->close && code != 101;
	h1->left = h1->chunked ? 0 : h1->length;
	if (h1->bodyless || code == 101 || code == 204 || code == 304 ||
	    (h1->has_length && h1->length == 0))
		h1->phase = H1_WHOLE;
	else if (h1->chunked)
		h1->phase = H1_CHUNK_SIZE;
	else
		h1->phase = h1->has_length ? H1_LENGTH : H1_UNTIL_END;
	h1->lasting = h1->lasting && h1->phase != H1_UNTIL_END;
}

/* A line of fields or trailers; `blank`: it begins with one. */
static void
end_field_line(struct h1 *h1, bool blank, bool nothing)
{
	if (blank) {
		unfold(h1);
		return;
	}
	end_field(h1);
	if (h1->phase == H1_BROKEN)
		return;
	if (!nothing) {
		h1->field = h1->line;
		h1->line = h1->head.len;
		return;
	}
	h1->head.len = h1->line;
	if (h1->phase == H1_TRAILERS)
		h1->phase = H1_WHOLE;
	else
		end_head(h1);
}

/* The line that begins at `line` has its LF. It is kept with a NUL instead of its end. */
static void
end_line(struct h1 *h1)
{
	struct buf *head = &h1->head;
	char *text = head->data + h1->line;
	size_t len = head->len - h1->line - 1;

	if (len > 0 && text[len - 1] == '\r')
		len--;
	bool nothing = len == 0, blank = len > 0 && is_blank(text[0]);
	for (size_t i = 0; i < len; i++)
		if (is_control(text[i])) {
			fault(h1, "a control character stands in the head");
			return;
		}
	while (len > 0 && is_blank(text[len - 1]))
		len--;
	text[len] = '\0';
	head->len = h1->line + len + 1;
	head->data[head->len] = '\0';
	if (h1->phase == H1_STATUS_LINE)
		end_status_line(h1, text, len);
	else
		end_field_line(h1, blank, nothing);
}

/* So far. What is none is told at its first byte that is wrong: it may have no lines. */
static bool
is_http(const struct h1 *h1)
{
	static const char start[] = "HTTP/";
	size_t len = h1->head.len < 5 ? h1->head.len : 5;

	return memcmp(h1->head.data, start, len) == 0;
}

static void
take_line(struct h1 *h1, struct piece *in)
{
	const char *lf = memchr(in->at, '\n', in->len);
	size_t len = lf != NULL ? (size_t)(lf - in->at) + 1 : in->len;
	size_t line = H1_LINE_MAX - (h1->head.len - h1->line);
	size_t all = H1_HEAD_MAX - h1->head_seen;
	size_t room = line <= all ? line : all;
	bool fits = len <= room;

	len = fits ? len : room;
	buf_add(&h1->head, in->at, len);
	h1->head_seen += len;
	in->at += len;
	in->len -= len;
	if (h1->phase == H1_STATUS_LINE && !is_http(h1))
		fault(h1,
		    h1->head.data[0] == 0x15 ? "this is TLS, not HTTP"
					     : "this is not HTTP");
	else if (!fits)
		fault(h1,
		    line <= all ? "a line of the head is longer than 8 KB"
				: "the head is longer than 64 KB");
	else if (lf != NULL)
		end_line(h1);
}

static void
take_body(struct h1 *h1, struct piece *in, size_t len)
{
	buf_add(&h1->body, in->at, len);
	h1->body_seen += len;
	in->at += len;
	in->len -= len;
}

/* Of what has a known length; after it comes `next`. */
static void
take_part(struct h1 *h1, struct piece *in, enum h1_phase next)
{
	size_t len = in->len < h1->left ? in->len : (size_t)h1->left;

	take_body(h1, in, len);
	h1->left -= len;
	if (h1->left == 0)
		h1->phase = next;
}

static void
end_chunk_size(struct h1 *h1)
{
	h1->has_return = false;
	h1->digits = 0;
	if (h1->left > 0) {
		h1->phase = H1_CHUNK_DATA;
		return;
	}
	h1->phase = H1_TRAILERS;
	h1->line = h1->head.len;
}

static int
hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void
take_digit(struct h1 *h1, int value)
{
	if (++h1->digits > CHUNK_DIGITS_MAX)
		fault(h1, "the size of a chunk is too large");
	h1->left = h1->left * 16 + (uint64_t)value;
}

/* A byte between the digits and the end of their line: blanks, then extensions, of which
 * we know none (RFC 9112 7.1.1). */
static void
take_extension(struct h1 *h1, char c)
{
	bool begins = h1->phase != H1_CHUNK_EXTENSION;

	if (begins && c != ';' && !is_blank(c))
		fault(h1, "the size of a chunk is not a number");
	else if (is_control(c))
		fault(h1, "a control character stands after the size of a chunk");
	else if (++h1->extensions > H1_EXTENSIONS_MAX)
		fault(h1, "the extensions of the chunks are longer than 4 KB");
	else
		h1->phase = begins && c != ';' ? H1_CHUNK_BLANK : H1_CHUNK_EXTENSION;
}

static void
take_chunk_size(struct h1 *h1, char c)
{
	int value = hex_value(c);

	if (h1->has_return && c != '\n')
		fault(h1, "a line between the chunks does not end");
	else if (h1->phase == H1_CHUNK_SIZE && value >= 0)
		take_digit(h1, value);
	else if (h1->digits == 0)
		fault(h1, "the size of a chunk is not a number");
	else if (c == '\n')
		end_chunk_size(h1);
	else if (c == '\r')
		h1->has_return = true;
	else
		take_extension(h1, c);
}

static void
take_chunk_end(struct h1 *h1, char c)
{
	if (c == '\r' && !h1->has_return) {
		h1->has_return = true;
		return;
	}
	h1->has_return = false;
	if (c == '\n')
		h1->phase = H1_CHUNK_SIZE;
	else
		fault(h1, "a chunk is longer than its size");
}

static char
take_byte(struct piece *in)
{
	in->len--;
	return *in->at++;
}

static void
take_some(struct h1 *h1, struct piece *in)
{
	switch (h1->phase) {
	case H1_STATUS_LINE:
	case H1_FIELDS:
	case H1_TRAILERS: take_line(h1, in); break;
	case H1_LENGTH: take_part(h1, in, H1_WHOLE); break;
	case H1_UNTIL_END: take_body(h1, in, in->len); break;
	case H1_CHUNK_SIZE:
	case H1_CHUNK_BLANK:
	case H1_CHUNK_EXTENSION: take_chunk_size(h1, take_byte(in)); break;
	case H1_CHUNK_DATA: take_part(h1, in, H1_CHUNK_END); break;
	case H1_CHUNK_END: take_chunk_end(h1, take_byte(in)); break;
	case H1_WHOLE:
	case H1_BROKEN: break;
	}
}

size_t
h1_take(struct h1 *h1, const char *data, size_t len)
{
	struct piece in = { data, len };

	h1->any = h1->any || len > 0;
	while (in.len > 0 && h1->phase < H1_WHOLE)
		take_some(h1, &in);
	return len - in.len;
}

void
h1_end(struct h1 *h1)
{
	if (h1->phase >= H1_WHOLE)
		return;
	if (h1->phase == H1_UNTIL_END) {
		h1->phase = H1_WHOLE;
		return;
	}
	fault(h1,
	    h1->any ? "the connection ended in the middle of the answer"
		    : "the connection ended without an answer");
	h1->error = NET_CLOSED;
}

void
h1_begin(struct h1 *h1, bool head)
{
	struct buf heads = h1->head, body = h1->body;

	empty(&heads);
	empty(&body);
	heads.limit = HEAD_ROOM;
	*h1 = (struct h1){
		.head = heads,
		.body = body,
		.bodyless = head,
		.field = NONE,
		.why = "",
	};
}

void
h1_free(struct h1 *h1)
{
	buf_free(&h1->head);
	buf_free(&h1->body);
}
