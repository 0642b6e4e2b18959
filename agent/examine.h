/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_EXAMINE_H
#define LICTOR_EXAMINE_H

#include <stdbool.h>
#include <stddef.h>

struct conf;

/* "1 service, 2 checks, 1 role". */
void examine_count(const struct conf *conf, char *out, size_t size);

/* What `lictord -t` says of a configuration without a fault: what is in it, what each fault
 * costs its roles, and on standard error what may not go well, for which the local
 * Consul agent is asked, but not waited for. `json`: all of it as one object. */
void examine(const struct conf *conf, bool json);

/* The same doubts in the log, but for those that only Consul can tell. */
void examine_host(const struct conf *conf);

#endif
