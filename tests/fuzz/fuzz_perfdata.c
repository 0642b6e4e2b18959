/* SPDX-License-Identifier: ISC */
/*
 * Any output of a plugin: it is parted without losing a byte but the bars, and every figure
 * found in it has a printable form.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "checks/perfdata.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = xstrndup((const char *)data, size);
	AUTO_FREE char *figures = xstrdup(text);
	size_t len = strlen(text), bars = 0;
	struct perfdata figure;

	for (const char *p = text; *p != '\0'; p++)
		bars += *p == '|';
	perfdata_part(text, figures);
	size_t parted = strlen(text) + strlen(figures);
	if (parted > len || parted + bars < len || parted + 2 < len)
		abort();
	for (const char *at = figures; perfdata_next(&at, &figure);)
		if (figure.name[0] == '\0' || !isfinite(figure.value) ||
		    at > figures + strlen(figures))
			abort();
	return 0;
}
