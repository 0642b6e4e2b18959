/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_FAULT_H
#define LICTOR_FAULT_H

#include "agent/conf/conf.h"

struct node;

/* Writes "FILE:LINE: what is wrong, what is expected" ("FILE: …" for line 0) as one
 * printable line. Returns -1, so that a caller can end with it. */
int fault_set(char error[CONF_ERROR_MAX], const char *file, int line, const char *fmt,
    ...) __attribute__((format(printf, 4, 5)));

/* The same about an option or a section of a file. */
int fault_at(char error[CONF_ERROR_MAX], const struct node *node, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
