/* SPDX-License-Identifier: ISC */
/* => "no-start" has no start, expected one unless it is passive */
#include "checks/check.h"

static const struct check_option options[] = { { NULL } };

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.name = "no-start",
	.help = "does nothing",
	.options = options,
};
