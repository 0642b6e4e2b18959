/* SPDX-License-Identifier: ISC */
/* => "option-overlap" has the options text and other in one place, expected a member for each */
#include "checks/check.h"

struct conf {
	char *text;
	uint64_t number;
	bool flag;
};

static const struct check_option options[] = {
	{ "text", CHECK_OPTION_TEXT, offsetof(struct conf, text) },
	{ "other", CHECK_OPTION_TEXT, offsetof(struct conf, text) },
	{ NULL },
};

static void
start(struct check_run *run)
{
	check_done(run, CHECK_PASSING, CHECK_REASON_OK, "done");
}

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.name = "option-overlap",
	.help = "has bad options",
	.conf_size = sizeof(struct conf),
	.options = options,
	.start = start,
};
