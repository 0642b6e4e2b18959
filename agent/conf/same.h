/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SAME_H
#define LICTOR_SAME_H

#include <stdbool.h>

struct conf_check;
struct conf_command;
struct conf_consul;
struct conf_failover;
struct conf_role;
struct conf_service;
struct conf_vip;

/* Whether two things, each of a configuration of its own, say the same: all that an operator
 * can write about them, but not where it stands. What they name counts by its name. */
bool same_check(const struct conf_check *a, const struct conf_check *b);
bool same_service(const struct conf_service *a, const struct conf_service *b);
bool same_role(const struct conf_role *a, const struct conf_role *b);
bool same_vip(const struct conf_vip *a, const struct conf_vip *b);
bool same_command(const struct conf_command *a, const struct conf_command *b);
bool same_failover(const struct conf_failover *a, const struct conf_failover *b);
bool same_consul(const struct conf_consul *a, const struct conf_consul *b);

/* Both may be NULL, which equals itself alone. */
bool same_text(const char *a, const char *b);
/* Of texts, NULL at the end. */
bool same_list(char *const *a, char *const *b);

#endif
