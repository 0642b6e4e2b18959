/* SPDX-License-Identifier: ISC */
/* => "other-name" calls itself "redis", expected the name of its file */
#include "checks/check.h"

static const struct check_option options[] = { { NULL } };

static void
start(struct check_run *run)
{
	check_done(run, CHECK_PASSING, CHECK_REASON_OK, "done");
}

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.name = "redis",
	.help = "another one",
	.options = options,
	.start = start,
};
