/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_RUNNER_H
#define LICTOR_RUNNER_H

#include <stdbool.h>

struct conf;
struct upgrade_kept;

/* Debug subjects and such that children are started with. */
struct runner_options {
	const char *folder;		/* of the configuration, read again by a reload */
	const char *const *debug;	/* -d arguments, NULL at the end */
	bool may_hold;			/* a warden could set addresses (identity.h) */
	const struct upgrade_kept *kept; /* by an earlier version in this process, or NULL */
};

/*
 * The main process: starts the agent and, where a vip is configured and may be held, the warden; starts
 * them again when they die (at once; after several deaths within a second each 100 ms);
 * runs commands; passes SIGTERM on as a planned handover, SIGHUP as a reload; on SIGUSR2 executes
 * the newer binary in its own place; speaks to systemd. Takes `conf` over. Returns the exit status.
 */
int runner_main(struct conf *conf, const struct runner_options *options);

#endif
