/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_WORDS_H
#define LICTOR_WORDS_H

#include <stddef.h>

/* A list of borrowed texts that grows, NULL at the end; starts with { 0 }. */
struct words {
	const char **text;
	size_t len;
};
void words_cleanup(struct words *words);
#define AUTO_WORDS __attribute__((cleanup(words_cleanup)))

/* `more`: texts, NULL at the end, or NULL. */
void words_add(struct words *words, const char *const *more);
/* "NAME=value" each, in place of what the list has under that name. */
void words_set(struct words *words, const char *const *more);

/* A copy of texts with memory of its own, NULL at the end; never NULL. */
char **words_copy(const char *const *list);
void words_free(char **list);

#endif
