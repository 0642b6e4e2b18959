/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CHECKS_BYTES_H
#define LICTOR_CHECKS_BYTES_H

#include <stddef.h>

/* What the text of an option stands for: \n, \r, \t, \0, \xNN and \\ are one byte each.
 * The caller's to free; NULL with what is wrong and what is expected in `why`. */
char *bytes_parse(const char *text, size_t *len, char *why, size_t why_size);

#endif
