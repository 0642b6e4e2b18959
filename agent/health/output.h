/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_OUTPUT_H
#define LICTOR_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What a check said, fit to be kept and shown: line ends stay, every line is escaped as
 * text_escape does (util.h), blank space behind it goes, and of what is longer than `size`
 * bytes the head stays, or the tail. The caller frees it.
 */
char *output_clean(const char *text, size_t len, size_t size, bool tail);

#endif
