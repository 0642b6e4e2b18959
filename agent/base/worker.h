/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_WORKER_H
#define LICTOR_WORKER_H

#include <stdbool.h>

struct loop;
struct workers;

/*
 * Threads for what may block: a file on a dead server, a library without an asynchronous
 * interface. At most 16 at once, made when they are needed; what comes when all are busy
 * waits its turn. They take no signals and hold up no exit.
 */
struct workers *workers_new(struct loop *loop);

/* Waits a second at the most for what is being done; what has not begun is not done, and
 * `done` is not called any more. False: something still hangs, and what it touches must
 * stay (the process is about to end). */
bool workers_free(struct workers *workers);

/* `work` in a thread, `done` on the loop afterwards, never from within this call. */
void workers_start(struct workers *workers, void (*work)(void *arg),
    void (*done)(void *arg), void *arg);

#endif
