/* SPDX-License-Identifier: ISC */
/* => "undefined" cannot be loaded \(.*undefined symbol: nobody_has_this\), expected a plugin for this lictord */
#include "checks/check.h"

extern void nobody_has_this(struct check_run *run);

static const struct check_option options[] = { { NULL } };

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.name = "undefined",
	.help = "calls what lictord does not have",
	.options = options,
	.start = nobody_has_this,
};
