/* SPDX-License-Identifier: ISC */
/* => "hidden" has no symbol check_plugin, expected a plugin of lictord */
#include "checks/check.h"

static const struct check_option options[] = { { NULL } };

static void
start(struct check_run *run)
{
	check_done(run, CHECK_PASSING, CHECK_REASON_OK, "done");
}

extern const struct check_class hidden __asm__("check_plugin");
__attribute__((visibility("hidden"))) const struct check_class hidden = {
	.abi = CHECK_ABI,
	.name = "hidden",
	.help = "its symbol is seen by nobody",
	.options = options,
	.start = start,
};
