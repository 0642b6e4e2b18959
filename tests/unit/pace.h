/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_PACE_H
#define LICTOR_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace;

/* Measures from now on, each so many milliseconds, what it takes to wake up and to `act` (or
 * NULL), in a process of its own that inherits what is open here: begin before there are connections
 * whose end is to be noticed. */
struct pace *pace_new(int64_t each_ms, void (*act)(void *arg), void *arg);
void pace_free(struct pace *pace);

/* The longest time so far, in milliseconds, by which that process was
 * done late. */
int64_t pace_late_ms(const struct pace *pace);

/* Whether `took` is within the limit, for a machine as late as this one: whoever is measured
 * has to be woken a few times. */
bool pace_allows(const struct pace *pace, int64_t took, int64_t limit_ms);

#endif
