/* SPDX-License-Identifier: ISC */
/*
 * The figures that monitoring plugins append to their output. Pure. The text comes from a
 * script and may be anything: nothing is trusted to end or to be a number.
 */
#include "checks/perfdata.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"

#define BLANKS " \t\r\n"
#define NUMBER_MAX 63

void
perfdata_part(char *text, char *data)
{
	char *line_end = text + strcspn(text, "\n");
	char *bar = memchr(text, '|', (size_t)(line_end - text));
	size_t len = 0;

	if (bar != NULL) {
		len = (size_t)(line_end - bar - 1);
		memcpy(data, bar + 1, len);
		memmove(bar, line_end, strlen(line_end) + 1);
		line_end = bar;
	}
	data[len] = '\0';
	bar = strchr(line_end, '|');
	if (bar == NULL)
		return;
	data[len++] = ' '; /* in place of the bar */
	memcpy(data + len, bar + 1, strlen(bar + 1) + 1);
	*bar = '\0';
}

/* 'a label', where '' stands for a quote, or a word. */
static bool
take_label(const char **at, struct perfdata *out)
{
	const char *p = *at;
	bool quoted = *p == '\'';
	size_t len = 0;

	for (p += quoted; *p != '\0'; p++) {
		if (quoted && *p == '\'' && *++p != '\'')
			break;
		if (!quoted && strchr("=" BLANKS, *p) != NULL)
			break;
		if (len < PERFDATA_NAME_MAX)
			out->name[len++] = *p;
	}
	out->name[len] = '\0';
	*at = p;
	return len > 0 && *p == '=';
}

/* Digits with a sign, a point and an exponent: what strtod takes beyond that ("inf", "0x1")
 * is no figure. */
static bool
take_value(const char **at, double *out)
{
	char number[NUMBER_MAX + 1], *end;
	size_t len = strspn(*at, "+-.0123456789eE");

	if (len == 0 || len > NUMBER_MAX)
		return false;
	memcpy(number, *at, len);
	number[len] = '\0';
	*out = strtod(number, &end);
	*at += end - number;
	return end != number && isfinite(*out);
}

/* What stands between the number and the next ';' or blank. */
static bool
take_unit(const char **at, struct perfdata *out)
{
	size_t len = strcspn(*at, ";" BLANKS);

	if (len > PERFDATA_UNIT_MAX)
		return false;
	memcpy(out->unit, *at, len);
	out->unit[len] = '\0';
	*at += len;
	return strpbrk(out->unit, "=|'0123456789") == NULL;
}

bool
perfdata_next(const char **at, struct perfdata *out)
{
	struct perfdata found;

	for (;;) {
		*at += strspn(*at, BLANKS);
		if (**at == '\0')
			return false;
		bool good = take_label(at, &found) && (++*at, true) &&
		    take_value(at, &found.value) && take_unit(at, &found);
		*at += strcspn(*at, BLANKS);
		if (good) {
			*out = found;
			return true;
		}
	}
}
