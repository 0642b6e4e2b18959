/* SPDX-License-Identifier: ISC */
/* => "passive-ttl" is passive and has no option ttl, expected one that is a duration */
#include "checks/check.h"

static const struct check_option options[] = { { NULL } };

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.name = "passive-ttl",
	.help = "waits for ever",
	.passive = true,
	.options = options,
};
