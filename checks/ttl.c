/* SPDX-License-Identifier: ISC */
/*
 * A check that somebody else makes: a job or a script that says how it is, as Consul's
 * users know it from their TTL checks. There is nothing to run. The scheduler takes the
 * reports, and the word of who has not reported for longer than the ttl is that it failed.
 */
#include <stddef.h>

#include "checks/builtin.h"
#include "checks/check.h"

#define SECOND 1000
#define DAY (24 * 3600 * SECOND)

struct ttl {
	int64_t ttl_ms;
};

static const struct check_option options[] = {
	{ "ttl", CHECK_OPTION_DURATION, offsetof(struct ttl, ttl_ms), .required = true,
	    .min = SECOND, .max = DAY },
	{ NULL },
};

const struct check_class check_ttl_class = {
	.abi = CHECK_ABI,
	.name = "ttl",
	.help = "somebody reports in time",
	.passive = true,
	.conf_size = sizeof(struct ttl),
	.options = options,
};
