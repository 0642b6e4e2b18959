/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CTL_POLICY_H
#define LICTOR_CTL_POLICY_H

struct ctl;

/* The commands that change what a role may do by itself, or say why it does what it does; each
 * with its arguments, and its exit status. */
int policy_pause(const struct ctl *ctl, char **args);
int policy_resume(const struct ctl *ctl, char **args);
int policy_explain(const struct ctl *ctl, char **args);
int policy_init(const struct ctl *ctl, char **args);
int policy_key(const struct ctl *ctl, char **args);

#endif
