/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CTL_MOVE_H
#define LICTOR_CTL_MOVE_H

struct ctl;

/* The commands that bring a role to another host, with their arguments: the exit status tells
 * whether it got there. */
int move_switchover(const struct ctl *ctl, char **args);
int move_failover(const struct ctl *ctl, char **args);

#endif
