/* SPDX-License-Identifier: ISC */
/*
 * A plugin that is C and C++ alike, for compilers that are asked to be strict. Nothing says
 * that its symbol is to be seen but the header, and lictord has to find that and the
 * functions of the interface by their names.
 */
#include <lictor/check.h>

static const struct check_option options[] = {
	{ 0, CHECK_OPTION_TEXT, 0, false, 0, 0, 0 },
};

static void
start(struct check_run *run)
{
	check_metric(run, "runs", 1, "");
	check_done(run, CHECK_UNKNOWN, CHECK_REASON_LOCAL, "%s", "not done");
}

const struct check_class check_plugin = { CHECK_ABI, "strict", "nothing", false, false,
	0, 0, options, 0, 0, start, 0 };
