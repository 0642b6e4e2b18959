/* SPDX-License-Identifier: ISC */
/* => "option-range" has the option number with a range that is none, expected min up to max */
#include "checks/check.h"

struct conf {
	char *text;
	uint64_t number;
	bool flag;
};

static const struct check_option options[] = {
	{ "number", CHECK_OPTION_UINT, offsetof(struct conf, number), .min = 2,
	    .max = 1 },
	{ NULL },
};

static void
start(struct check_run *run)
{
	check_done(run, CHECK_PASSING, CHECK_REASON_OK, "done");
}

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.name = "option-range",
	.help = "has bad options",
	.conf_size = sizeof(struct conf),
	.options = options,
	.start = start,
};
