/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_NETNS_H
#define LICTOR_NETNS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A network namespace of the test's own, for root, or for others where the kernel lets
 * them have one. False: printed is the TAP line that skips the whole test. */
bool netns_enter(void);

/* A process that sleeps in one more network namespace, to be killed by netns_leave. */
pid_t netns_neighbour(void);
void netns_leave(pid_t neighbour);

/* Runs `ip` with words that are parted by single spaces, in the namespace of `where` (0:
 * ours). True: exit status 0. `out` gets what it printed, cut to size; or NULL. */
bool netns_ip(pid_t where, const char *words, char *out, size_t size);
/* The same with another tool. */
bool netns_run(
    pid_t where, const char *tool, const char *words, char *out, size_t size);

#endif
