/* SPDX-License-Identifier: ISC */
/* => "option-odd" has the option number at offset [0-9]+ of [0-9]+ bytes, expected a member of its type */
#include "checks/check.h"

struct conf {
	char *text;
	uint64_t number;
	bool flag;
};

static const struct check_option options[] = {
	{ "number", CHECK_OPTION_UINT, offsetof(struct conf, number) + 1 },
	{ NULL },
};

static void
start(struct check_run *run)
{
	check_done(run, CHECK_PASSING, CHECK_REASON_OK, "done");
}

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.name = "option-odd",
	.help = "has bad options",
	.conf_size = sizeof(struct conf),
	.options = options,
	.start = start,
};
