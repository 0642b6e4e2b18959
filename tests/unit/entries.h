/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TESTS_ENTRIES_H
#define LICTOR_TESTS_ENTRIES_H

/* How many entries that folder has; of /proc/self/fd the one that it is read by counts too.
 * 0: it cannot be read. */
int count_entries(const char *folder);

#endif
