/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_OPTIONS_H
#define LICTOR_OPTIONS_H

#include <stdbool.h>

#include "agent/conf/conf.h"

struct host;
struct node;
struct check_option;

/*
 * Fills the members that `table` describes from a section's options. What is not written,
 * or written as an empty text, gets the table's default, or stays as it is where there is
 * none; a text that is the default stays the table's. `host`:
 * files, commands, folders and users must be there; NULL: it is not asked. 0, or -1 with `error`;
 * options_free frees what was filled in, in both cases.
 */
int options_fill(void *base, const struct check_option *table,
    const struct node *section, const struct host *host, char error[CONF_ERROR_MAX]);
void options_free(void *base, const struct check_option *table);

/* Whether both have the same values. */
bool options_same(const struct check_option *table, const void *a, const void *b);

/* Which of the words (NULL at the end) an option's text is; -1 with `error`. */
int options_choose(const struct node *section, const char *option, const char *text,
    const char *const *words, char error[CONF_ERROR_MAX]);

/* A fault of an option: at its line, or at its section's if it was not written. */
int options_fault(const struct node *section, const char *option,
    char error[CONF_ERROR_MAX], const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
