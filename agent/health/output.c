/* SPDX-License-Identifier: ISC */
/*
 * Output comes from the service that is checked or from its script, and goes to Consul,
 * the log, terminals and the status page: here is where it becomes harmless, once. It is
 * cut twice, before it is escaped (so that the work is bounded) and after (since escapes
 * are longer), never inside a character.
 */
#include "agent/health/output.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"

static bool
is_inside(char byte)
{
	return ((unsigned char)byte & 0xc0) == 0x80;
}

/* Of *len bytes at *text leaves no more than `size`. */
static void
cut(const char **text, size_t *len, size_t size, bool tail)
{
	size_t at = tail ? *len - size : size;

	if (*len <= size)
		return;
	for (int i = 0; i < 3 && at > 0 && at < *len && is_inside((*text)[at]); i++)
		at = tail ? at + 1 : at - 1;
	*text += tail ? at : 0;
	*len = tail ? *len - at : at;
}

/* Escapes line by line; returns the end of what it wrote. */
static char *
escape_lines(char *out, size_t size, const char *text, size_t len)
{
	const char *end = text + len;
	char *limit = out + size;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *stop = newline != NULL ? newline : end;
		size_t line = (size_t)(stop - text);
		if (newline != NULL && line > 0 && stop[-1] == '\r')
			line--;
		text_escape(out, (size_t)(limit - out), text, line);
		out += strlen(out);
		if (newline == NULL)
			break;
		*out++ = '\n';
		text = newline + 1;
	}
	return out;
}

char *
output_clean(const char *text, size_t len, size_t size, bool tail)
{
	cut(&text, &len, size, tail);
	size_t room = len * 4 + 4;
	AUTO_FREE char *escaped = xcalloc(1, room);
	const char *kept = escaped;
	size_t kept_len = (size_t)(escape_lines(escaped, room, text, len) - escaped);

	while (kept_len > 0 && strchr(" \n", kept[kept_len - 1]) != NULL)
		kept_len--;
	cut(&kept, &kept_len, size, tail);
	return xstrndup(kept, kept_len);
}
