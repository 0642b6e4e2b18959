/* SPDX-License-Identifier: ISC */
/*
 * Bytes that are sent, as an option writes them: the configuration itself knows text only,
 * and only in double quotes a few escapes, but protocols speak in any bytes.
 */
#include "checks/bytes.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"

/* What stands after a backslash: the byte and where the text goes on, or NULL. */
static const char *
read_escape(const char *p, char *out)
{
	static const char letters[] = "nrt0\\", bytes[] = "\n\r\t\0\\";
	const char *letter = *p != '\0' ? strchr(letters, *p) : NULL;

	if (letter != NULL) {
		*out = bytes[letter - letters];
		return p + 1;
	}
	if (p[0] != 'x' || !isxdigit((unsigned char)p[1]) ||
	    !isxdigit((unsigned char)p[2]))
		return NULL;
	*out = (char)strtoul((char[]){ p[1], p[2], '\0' }, NULL, 16);
	return p + 3;
}

char *
bytes_parse(const char *text, size_t *len, char *why, size_t why_size)
{
	char *bytes = xcalloc(1, strlen(text) + 1);
	size_t n = 0;

	while (*text != '\0') {
		char byte = *text++;
		if (byte == '\\' && (text = read_escape(text, &byte)) == NULL) {
			snprintf(why, why_size,
			    "a backslash before what is not known, expected \\n, \\r, "
			    "\\t, \\0, \\xNN or \\\\");
			free(bytes);
			return NULL;
		}
		bytes[n++] = byte;
	}
	*len = n;
	return bytes;
}
