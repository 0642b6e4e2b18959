/* SPDX-License-Identifier: ISC */
/* => "option-twice" has the option text twice, expected it once */
#include "checks/check.h"

struct conf {
	char *text;
	uint64_t number;
	bool flag;
};

static const struct check_option options[] = {
	{ "text", CHECK_OPTION_TEXT, offsetof(struct conf, text) },
	{ "text", CHECK_OPTION_UINT, offsetof(struct conf, number) },
	{ NULL },
};

static void
start(struct check_run *run)
{
	check_done(run, CHECK_PASSING, CHECK_REASON_OK, "done");
}

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.name = "option-twice",
	.help = "has bad options",
	.conf_size = sizeof(struct conf),
	.options = options,
	.start = start,
};
