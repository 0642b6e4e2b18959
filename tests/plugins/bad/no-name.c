/* SPDX-License-Identifier: ISC */
/* => "no-name" has no name, expected one */
#include "checks/check.h"

static const struct check_option options[] = { { NULL } };

static void
start(struct check_run *run)
{
	check_done(run, CHECK_PASSING, CHECK_REASON_OK, "done");
}

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.help = "it has no name",
	.options = options,
	.start = start,
};
