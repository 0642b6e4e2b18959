/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TRIAL_H
#define LICTOR_TRIAL_H

#include "agent/conf/conf.h"

/*
 * Parses the configuration once more with its plugins, in a process of its own that may
 * crash or hang. 0, or -1 with the first fault in `error`, also one such as "db.conf:7: …
 * crashed". For who loads no plugin itself; blocks for 10 seconds at the most.
 */
int trial_run(const struct conf *conf, char error[CONF_ERROR_MAX]);

/* The same for who may not block. The configuration, which has plugins, must stay. NULL with
 * `error`: there is no process for it. */
#define TRIAL_LIMIT_MS 10000
struct trial;
struct trial *trial_start(const struct conf *conf, char error[CONF_ERROR_MAX]);
/* Can be read from once it has ended; the trial's. */
int trial_fd(const struct trial *trial);
/* What came of it, as of trial_run. One that has not ended is killed, and has taken too long. */
int trial_end(struct trial *trial, char error[CONF_ERROR_MAX]);
void trial_free(struct trial *trial);	/* kills it */

#endif
