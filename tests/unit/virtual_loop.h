/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_VIRTUAL_LOOP_H
#define LICTOR_VIRTUAL_LOOP_H

#include <stdint.h>

struct loop;

/*
 * A loop whose time passes only when nothing is left to do: hours in milliseconds, the same
 * each time. A program that links virtual_loop.o has it in place of agent/base/loop.o.
 * It begins at a time that is no slot. Descriptors are looked at before time moves, signals never come, nor
 * do edges.
 * Where a descriptor alone is waited for, or nothing at all, loop_run ends the test.
 */

/* From within a callback: the rest of this turn takes so long. */
void virtual_loop_take(struct loop *loop, int64_t ms);

/* Runs for so long. */
void virtual_loop_run(struct loop *loop, int64_t ms);

#endif
