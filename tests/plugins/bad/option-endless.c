/* SPDX-License-Identifier: ISC */
/* => "option-endless" has options without an end, expected at most 64 and a NULL name */
#include "checks/check.h"

#define FLAG(name, n)                        \
	{                                    \
		name, CHECK_OPTION_BOOL, (n) \
	}
#define EIGHT(name, n)                                                                 \
	FLAG(name "a", n), FLAG(name "b", (n) + 1), FLAG(name "c", (n) + 2),           \
	    FLAG(name "d", (n) + 3), FLAG(name "e", (n) + 4), FLAG(name "f", (n) + 5), \
	    FLAG(name "g", (n) + 6), FLAG(name "h", (n) + 7)

static const struct check_option options[] = { EIGHT("a", 0), EIGHT("b", 8),
	EIGHT("c", 16), EIGHT("d", 24), EIGHT("e", 32), EIGHT("f", 40), EIGHT("g", 48),
	EIGHT("h", 56), FLAG("i", 64), { NULL } };

static void
start(struct check_run *run)
{
	check_done(run, CHECK_PASSING, CHECK_REASON_OK, "done");
}

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.name = "option-endless",
	.help = "never ends",
	.conf_size = 100,
	.options = options,
	.start = start,
};
