/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_UNTIL_H
#define LICTOR_UNTIL_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

/* Runs the loop until the condition holds, looked at every 10 ms; false: not within the
 * limit. */
bool until(struct loop *loop, bool (*holds)(void *arg), void *arg, int64_t limit_ms);

/* Runs the loop for so long: to see that something does not happen. */
void run_for(struct loop *loop, int64_t ms);

#endif
