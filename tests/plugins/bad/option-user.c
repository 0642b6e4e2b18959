/* SPDX-License-Identifier: ISC */
/* => "option-user" has the option user of a type that goes with commands, .* */
#include "checks/check.h"

struct conf {
	char *text;
	uint64_t number;
	bool flag;
};

static const struct check_option options[] = {
	{ "user", CHECK_OPTION_USER, offsetof(struct conf, text) },
	{ NULL },
};

static void
start(struct check_run *run)
{
	check_done(run, CHECK_PASSING, CHECK_REASON_OK, "done");
}

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.name = "option-user",
	.help = "has bad options",
	.conf_size = sizeof(struct conf),
	.options = options,
	.start = start,
};
