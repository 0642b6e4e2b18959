/* SPDX-License-Identifier: ISC */
/* => "passive-start" is passive and has a start, expected one unless it is passive */
#include "checks/check.h"

static const struct check_option options[] = { { NULL } };

static void
start(struct check_run *run)
{
	check_done(run, CHECK_PASSING, CHECK_REASON_OK, "done");
}

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.name = "passive-start",
	.help = "both",
	.passive = true,
	.options = options,
	.start = start,
};
