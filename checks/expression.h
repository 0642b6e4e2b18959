/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_EXPRESSION_H
#define LICTOR_EXPRESSION_H

#include <stdbool.h>
#include <stddef.h>

struct expression;

/* A regular expression (PCRE2), or NULL with its fault and where it is in `why`. */
struct expression *expression_new(const char *pattern, char *why, size_t why_size);
void expression_free(struct expression *expression);

/* Whether it is found anywhere in the text, with bounded effort: what would take longer
 * is not found. */
bool expression_matches(const struct expression *expression, const char *text,
    size_t len);

#endif
