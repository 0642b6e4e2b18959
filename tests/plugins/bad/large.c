/* SPDX-License-Identifier: ISC */
/* => "large" wants 0 bytes for each check and 4294967296 for each run, expected at most 1048576 */
#include "checks/check.h"

static const struct check_option options[] = { { NULL } };

static void
start(struct check_run *run)
{
	check_done(run, CHECK_PASSING, CHECK_REASON_OK, "done");
}

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.name = "large",
	.help = "wants all memory",
	.options = options,
	.run_size = (size_t)1 << 32,
	.start = start,
};
