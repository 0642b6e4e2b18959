/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_PACE_H
#define LICTOR_PACE_H

#include <stdint.h>

struct pace;

/* Measures from now on, in a process of its own that inherits what is open here: begin
 * before there are connections whose end is to be noticed. */
struct pace *pace_new(void);
void pace_free(struct pace *pace);

/* The longest time so far, in milliseconds, by which a process that had to act at a moment
 * was late with it. */
int64_t pace_late_ms(const struct pace *pace);

#endif
