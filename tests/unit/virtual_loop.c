/* SPDX-License-Identifier: ISC */
/*
 * loop.h once more, on a clock of its own. Timers stand in a plain list, sorted; what loop.c
 * promises of slots, order and one turn is kept here too, so that what is tested on this
 * loop holds on the other. Nothing of libuv is in a program that has it.
 */
#include "tests/unit/virtual_loop.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"

#define SLOT_MS 10
#define IOS_MAX 64

struct loop_timer {
	struct loop *loop;
	void (*fn)(void *arg);
	void *arg;
	int64_t slot;
	bool set, due; /* due: fires in this turn */
	TAILQ_ENTRY(loop_timer) link;
};

struct loop_io {
	struct loop *loop;
	int fd;
	unsigned int events;
	void (*fn)(void *arg, unsigned int events);
	void *arg;
	TAILQ_ENTRY(loop_io) link;
};

struct loop_signal {
	struct loop *loop;
};

TAILQ_HEAD(timers, loop_timer);

struct loop {
	int64_t now, taken; /* taken: will have passed at the end of the turn */
	int64_t armed_for,
	    lag; /* when the next timers are due, and how late they were */
	struct timers timers, due;
	TAILQ_HEAD(, loop_io) ios;
	unsigned int handles;
	bool stopped;
};

struct loop *
loop_new(void)
{
	struct loop *loop = xcalloc(1, sizeof(*loop));

	loop->now = loop->armed_for = 1003;
	TAILQ_INIT(&loop->timers);
	TAILQ_INIT(&loop->due);
	TAILQ_INIT(&loop->ios);
	return loop;
}

void
loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	assert(loop->handles == 0);
	free(loop);
}

int64_t
loop_now(const struct loop *loop)
{
	return loop->now;
}

int64_t
loop_lag(const struct loop *loop)
{
	return loop->lag;
}

void
loop_stop(struct loop *loop)
{
	loop->stopped = true;
}

void
virtual_loop_take(struct loop *loop, int64_t ms)
{
	loop->taken += ms;
}

static void
fire_timers(struct loop *loop)
{
	struct loop_timer *timer;

	loop->lag = loop->now - loop->armed_for;
	while ((timer = TAILQ_FIRST(&loop->timers)) != NULL &&
	    timer->slot <= loop->now / SLOT_MS) {
		TAILQ_REMOVE(&loop->timers, timer, link);
		TAILQ_INSERT_TAIL(&loop->due, timer, link);
		timer->due = true;
	}
	while ((timer = TAILQ_FIRST(&loop->due)) != NULL) {
		loop_timer_stop(timer);
		timer->fn(timer->arg);
	}
}

static bool
has_io(const struct loop *loop, const struct loop_io *io)
{
	const struct loop_io *other;

	TAILQ_FOREACH(other, &loop->ios, link)
	if (other == io)
		return true;
	return false;
}

static void
look_at_ios(struct loop *loop)
{
	struct pollfd fds[IOS_MAX];
	struct loop_io *ios[IOS_MAX], *io;
	nfds_t n = 0;

	TAILQ_FOREACH(io, &loop->ios, link)
	{
		assert(n < IOS_MAX);
		fds[n] = (struct pollfd){ .fd = io->events != 0 ? io->fd : -1,
			.events = (short)(((io->events & LOOP_READ) != 0 ? POLLIN : 0) |
			    ((io->events & LOOP_WRITE) != 0 ? POLLOUT : 0)) };
		ios[n++] = io;
	}
	if (n == 0 || poll(fds, n, 0) <= 0)
		return;
	for (nfds_t i = 0; i < n; i++) {
		if (fds[i].revents == 0 || !has_io(loop, ios[i]))
			continue;
		unsigned int events = ios[i]->events;
		if ((fds[i].revents & (POLLERR | POLLHUP)) == 0)
			events &= ((fds[i].revents & POLLIN) != 0 ? LOOP_READ : 0) |
			    ((fds[i].revents & POLLOUT) != 0 ? LOOP_WRITE : 0);
		if (events != 0)
			ios[i]->fn(ios[i]->arg, events);
	}
}

void
loop_run(struct loop *loop)
{
	loop->stopped = false;
	while (!loop->stopped) {
		int64_t turn = loop->now;
		fire_timers(loop);
		look_at_ios(loop);
		loop->now += loop->taken;
		loop->taken = 0;
		const struct loop_timer *next = TAILQ_FIRST(&loop->timers);
		if (loop->stopped)
			break;
		if (next == NULL) {
			puts("Bail out! there is nothing to wait for");
			abort();
		}
		loop->armed_for =
		    next->slot * SLOT_MS > turn ? next->slot * SLOT_MS : turn;
		if (loop->now == turn && next->slot * SLOT_MS > loop->now)
			loop->now = next->slot * SLOT_MS;
	}
}

static void
on_end(void *arg)
{
	loop_stop(arg);
}

void
virtual_loop_run(struct loop *loop, int64_t ms)
{
	struct loop_timer *end = loop_timer_new(loop, on_end, loop);

	loop_timer_after(end, ms);
	loop_run(loop);
	loop_timer_free(end);
}

struct loop_timer *
loop_timer_new(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	struct loop_timer *timer = xcalloc(1, sizeof(*timer));

	*timer = (struct loop_timer){ .loop = loop, .fn = fn, .arg = arg };
	loop->handles++;
	return timer;
}

void
loop_timer_at(struct loop_timer *timer, int64_t when)
{
	struct loop *loop = timer->loop;
	struct loop_timer *before;

	loop_timer_stop(timer);
	timer->slot = when < 0  ? 0
	    : when <= loop->now ? when / SLOT_MS
				: (when + SLOT_MS - 1) / SLOT_MS;
	timer->set = true;
	before = TAILQ_LAST(&loop->timers, timers);
	while (before != NULL && before->slot > timer->slot)
		before = TAILQ_PREV(before, timers, link);
	if (before != NULL)
		TAILQ_INSERT_AFTER(&loop->timers, before, timer, link);
	else
		TAILQ_INSERT_HEAD(&loop->timers, timer, link);
}

void
loop_timer_after(struct loop_timer *timer, int64_t delay_ms)
{
	loop_timer_at(timer, timer->loop->now + delay_ms);
}

void
loop_timer_stop(struct loop_timer *timer)
{
	struct loop *loop = timer->loop;

	if (!timer->set)
		return;
	if (timer->due)
		TAILQ_REMOVE(&loop->due, timer, link);
	else
		TAILQ_REMOVE(&loop->timers, timer, link);
	timer->set = timer->due = false;
}

void
loop_timer_free(struct loop_timer *timer)
{
	if (timer == NULL)
		return;
	loop_timer_stop(timer);
	timer->loop->handles--;
	free(timer);
}

struct loop_io *
loop_io_new(
    struct loop *loop, int fd, void (*fn)(void *arg, unsigned int events), void *arg)
{
	struct loop_io *io = xcalloc(1, sizeof(*io));

	*io = (struct loop_io){ .loop = loop, .fd = fd, .fn = fn, .arg = arg };
	loop->handles++;
	TAILQ_INSERT_TAIL(&loop->ios, io, link);
	return io;
}

void
loop_io_watch(struct loop_io *io, unsigned int events)
{
	io->events = events;
}

void
loop_io_free(struct loop_io *io)
{
	if (io == NULL)
		return;
	TAILQ_REMOVE(&io->loop->ios, io, link);
	io->loop->handles--;
	free(io);
}

struct loop_signal *
loop_signal_new(
    struct loop *loop, int signum, void (*fn)(void *arg, int signum), void *arg)
{
	struct loop_signal *signal = xcalloc(1, sizeof(*signal));

	signal->loop = loop;
	loop->handles++;
	return signal;
}

void
loop_signal_free(struct loop_signal *signal)
{
	if (signal == NULL)
		return;
	signal->loop->handles--;
	free(signal);
}

/* No descriptor can be watched so here, which its owner is told. */
struct loop_edge *
loop_edge_new(
    struct loop *loop, int fd, void (*fn)(void *arg, unsigned int events), void *arg)
{
	errno = ENOTSUP;
	return NULL;
}

void
loop_edge_skip(struct loop_edge *edge)
{
	abort();
}

void
loop_edge_free(struct loop_edge *edge)
{
	assert(edge == NULL);
}
