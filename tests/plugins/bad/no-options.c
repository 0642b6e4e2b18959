/* SPDX-License-Identifier: ISC */
/* => "no-options" has no table of options, expected one, with a NULL name at the end */
#include "checks/check.h"

static void
start(struct check_run *run)
{
	check_done(run, CHECK_PASSING, CHECK_REASON_OK, "done");
}

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.name = "no-options",
	.help = "not even an empty table",
	.start = start,
};
