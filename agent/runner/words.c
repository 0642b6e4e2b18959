/* SPDX-License-Identifier: ISC */
/*
 * Argument lists and environments in the form that exec takes. A list that is put together
 * borrows its texts; one that waits (a run's own arguments, until its turn comes) is a copy.
 * In an environment a name stands once: programs do not agree which of two counts.
 */
#include "agent/runner/words.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"

void
words_cleanup(struct words *words)
{
	free(words->text);
}

static void
add_one(struct words *words, const char *text)
{
	words->text = xrealloc(words->text, words->len + 2, sizeof(*words->text));
	words->text[words->len++] = text;
	words->text[words->len] = NULL;
}

static void
set_one(struct words *words, const char *text)
{
	size_t name = strcspn(text, "=");

	for (size_t i = 0; i < words->len; i++)
		if (strncmp(words->text[i], text, name) == 0 &&
		    words->text[i][name] == '=') {
			words->text[i] = text;
			return;
		}
	add_one(words, text);
}

void
words_add(struct words *words, const char *const *more)
{
	for (size_t i = 0; more != NULL && more[i] != NULL; i++)
		add_one(words, more[i]);
}

void
words_set(struct words *words, const char *const *more)
{
	for (size_t i = 0; more != NULL && more[i] != NULL; i++)
		set_one(words, more[i]);
}

char **
words_copy(const char *const *list)
{
	size_t count = 0;

	while (list != NULL && list[count] != NULL)
		count++;
	char **copy = xcalloc(count + 1, sizeof(*copy));
	for (size_t i = 0; i < count; i++)
		copy[i] = xstrdup(list[i]);
	return copy;
}

void
words_free(char **list)
{
	for (size_t i = 0; list != NULL && list[i] != NULL; i++)
		free(list[i]);
	free(list);
}
