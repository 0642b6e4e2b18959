/* SPDX-License-Identifier: ISC */
/*
 * Any text as a duration and as a number: what is taken is within its range, and is written
 * and read back as the same.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/fuzz/fuzz.h"

#define DAY_MS INT64_C(86400000)

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = xstrndup((const char *)data, size);
	char again[64];
	int64_t ms = -1, same = -2;
	uint64_t number = 1;

	if (parse_duration(text, 10, DAY_MS, &ms) == 0) {
		format_duration(ms, again, sizeof(again));
		if (ms < 10 || ms > DAY_MS ||
		    parse_duration(again, 10, DAY_MS, &same) != 0 || same != ms)
			abort();
	} else if (ms != -1) {
		abort();
	}
	if (parse_uint(text, 5, UINT64_MAX - 5, &number) == 0) {
		snprintf(again, sizeof(again), "%" PRIu64, number);
		if (number < 5 || strcmp(again, text) != 0)
			abort();
	} else if (number != 1) {
		abort();
	}
	return 0;
}
