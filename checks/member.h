/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_MEMBER_H
#define LICTOR_MEMBER_H

#include <stdbool.h>
#include <stddef.h>

/* "PATH=VALUE": 0, or -1 with what is wrong and what is expected in `why`. */
int member_check(const char *text, char *why, size_t why_size);

/*
 * Whether the JSON text in `body` has, for each of the texts (NULL at the end), this value
 * there; or false with `why`, for people. Names and indexes are parted by dots, as in
 * "items.0.ok=true"; a value is true, false, null, a number, or a text without quotes.
 */
bool members_hold(const char *const *texts, const char *body, size_t len, char *why,
    size_t why_size);

#endif
