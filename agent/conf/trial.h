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

#endif
