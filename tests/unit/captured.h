/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CAPTURED_H
#define LICTOR_CAPTURED_H

#include <stddef.h>

/* From here on what this process logs goes to a file without a name. The result is for
 * release_log. */
int capture_log(void);
/* What was logged since, which then goes where it would have gone. */
void release_log(int keep, char *out, size_t size);

unsigned int count_words(const char *text, const char *word);

#endif
