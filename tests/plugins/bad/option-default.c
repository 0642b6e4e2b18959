/* SPDX-License-Identifier: ISC */
/* => "option-default" has the option number with the default "9", expected one that the option itself could have */
#include "checks/check.h"

struct conf {
	char *text;
	uint64_t number;
	bool flag;
};

static const struct check_option options[] = {
	{ "number", CHECK_OPTION_UINT, offsetof(struct conf, number), .value = "9",
	    .min = 1, .max = 8 },
	{ NULL },
};

static void
start(struct check_run *run)
{
	check_done(run, CHECK_PASSING, CHECK_REASON_OK, "done");
}

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.name = "option-default",
	.help = "has bad options",
	.conf_size = sizeof(struct conf),
	.options = options,
	.start = start,
};
