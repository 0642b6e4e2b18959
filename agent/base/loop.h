/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_LOOP_H
#define LICTOR_LOOP_H

#include <stdint.h>

struct loop;
struct loop_timer;
struct loop_io;
struct loop_edge;
struct loop_signal;

/* These and the handles below are never NULL: where the kernel gives no descriptor the
 * process ends with a line. */
struct loop *loop_new(void);
void loop_free(struct loop *loop);

/* Runs until loop_stop. Every handle belongs to whoever made it and must be freed before
 * the loop is. A handle may be freed in any callback, its own included; no callback of
 * it runs after that. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* CLOCK_MONOTONIC in milliseconds, read once a turn. Not for leases (util.h). */
int64_t loop_now(const struct loop *loop);

/* How late this turn's timers were: more than a slot or two means that there is more to do
 * than time. Milliseconds; of use in a timer's callback only. */
int64_t loop_lag(const struct loop *loop);

/*
 * One-shot timers. `when` is a time of loop_now's clock; it is rounded up to the next slot
 * of 10 ms, and all timers of a slot share one wake-up; one that is due already fires in
 * the next turn. Setting a running timer moves it.
 */
struct loop_timer *loop_timer_new(struct loop *loop, void (*fn)(void *arg), void *arg);
void loop_timer_at(struct loop_timer *timer, int64_t when);
void loop_timer_after(struct loop_timer *timer, int64_t delay_ms);
void loop_timer_stop(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer);

#define LOOP_READ 1u
#define LOOP_WRITE 2u

/* Watches a descriptor that stays its owner's and must be open until loop_io_free, which
 * forgets it at once (it may be closed right after). Starts with no events. An error or
 * hang-up is reported as the events that are watched, so that the next call says it. */
struct loop_io *loop_io_new(struct loop *loop, int fd,
    void (*fn)(void *arg, unsigned int events), void *arg);
void loop_io_watch(struct loop_io *io, unsigned int events);
void loop_io_free(struct loop_io *io);

/*
 * Watches a descriptor for edges: it is told what has become possible since it was told
 * last, so its owner goes on until EAGAIN before it waits. Made once, it costs no system
 * call per wait, for descriptors that are used again and again. Of a batch that the kernel
 * has handed over, loop_edge_skip drops what it holds for this one: for a descriptor that
 * begins anew meanwhile.
 */
#define LOOP_END 4u	/* the other end says no more */
#define LOOP_FAULT 8u	/* an error or a hang-up, which the next call says */
struct loop_edge *loop_edge_new(struct loop *loop, int fd,
    void (*fn)(void *arg, unsigned int events), void *arg);	/* NULL: errno */
void loop_edge_skip(struct loop_edge *edge);
void loop_edge_free(struct loop_edge *edge);	/* before the descriptor is closed */

struct loop_signal *loop_signal_new(struct loop *loop, int signum,
    void (*fn)(void *arg, int signum), void *arg);
void loop_signal_free(struct loop_signal *signal);

#endif
