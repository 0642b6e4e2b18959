/* SPDX-License-Identifier: ISC */
/*
 * The one line that an operator reads when the configuration is wrong. Everything that
 * reads or judges the configuration ends here. Invariant: whatever names and values the
 * files quote, the result is one line and leaves the terminal alone.
 */
#include "agent/conf/fault.h"

#include <stdarg.h>
#include <stdio.h>

#include "agent/conf/scan.h"

static void
write_line(
    char error[CONF_ERROR_MAX], const char *file, int line, const char *fmt, va_list ap)
{
	int len = line > 0 ? snprintf(error, CONF_ERROR_MAX, "%s:%d: ", file, line)
			   : snprintf(error, CONF_ERROR_MAX, "%s: ", file);

	if (len > 0 && len < CONF_ERROR_MAX)
		vsnprintf(error + len, (size_t)(CONF_ERROR_MAX - len), fmt, ap);
	for (char *p = error; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == '\x7f')
			*p = '?';
}

int
fault_set(char error[CONF_ERROR_MAX], const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_line(error, file, line, fmt, ap);
	va_end(ap);
	return -1;
}

int
fault_at(char error[CONF_ERROR_MAX], const struct node *node, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_line(error, node->file, node->line, fmt, ap);
	va_end(ap);
	return -1;
}
