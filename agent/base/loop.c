/* SPDX-License-Identifier: ISC */
/*
 * The one file that knows libuv. All timers of a loop stand in a heap of their own, in
 * slots of 10 ms, behind a single uv_timer: thousands of checks cost one wake-up per slot.
 * That timer is set in a prepare callback, once a turn, because libuv 1.44 runs a timer
 * that is started with no delay from within a timer in the same turn, for ever.
 * Every handle is its maker's. libuv keeps a handle's memory until its close callback, so
 * freeing one means closing it there and forgetting it here; a timer of ours is in the heap
 * or nowhere, and leaves at once. What the heap is ordered by stands in the heap itself: of
 * thousands of timers only those that move are touched.
 * libuv watches levels and asks the kernel for each change of what is watched; edges come
 * through an epoll instance of ours, which libuv watches as one descriptor.
 */
#include "agent/base/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <uv.h>

#include "agent/base/log.h"
#include "agent/base/util.h"

#define SLOT_MS 10
#define NOWHERE SIZE_MAX
#define EDGES_MAX 512 /* in one batch */

struct loop_timer {
	struct loop *loop;
	void (*fn)(void *arg);
	void *arg;
	size_t place; /* in the heap, or NOWHERE */
};

struct turn {
	int64_t slot; /* fires at slot * SLOT_MS */
	uint64_t order; /* of those in one slot: first set, first fired */
	struct loop_timer *timer;
};

struct loop {
	uv_loop_t uv;
	uv_timer_t wake;
	uv_prepare_t prepare;
	struct turn *heap;
	size_t heap_len, heap_size;
	size_t timers; /* that exist, set or not */
	uint64_t order; /* of the next timer that is set */
	int64_t armed_slot; /* what `wake` is set to, or -1 */
	int64_t armed_for, lag; /* when it was due, and how late it was the last time */
	struct loop_io *edges; /* the epoll instance `edge_fd`, or NULL */
	int edge_fd;
	struct epoll_event batch[EDGES_MAX];
	int batch_at, batch_len; /* told so far, and in all */
};

struct loop_io {
	uv_poll_t poll;
	void (*fn)(void *arg, unsigned int events);
	void *arg;
	unsigned int events;
};

struct loop_edge {
	struct loop *loop;
	int fd;
	void (*fn)(void *arg, unsigned int events);
	void *arg;
};

struct loop_signal {
	uv_signal_t signal;
	void (*fn)(void *arg, int signum);
	void *arg;
};

/* What libuv refuses here is a bug of ours or the end of the system's resources. */
static void
must(int error, const char *what)
{
	if (error == 0)
		return;
	log_error("loop", "no %s: %s, this process ends", what, uv_strerror(error));
	abort();
}

static bool
earlier(const struct turn *a, const struct turn *b)
{
	return a->slot != b->slot ? a->slot < b->slot : a->order < b->order;
}

static void
heap_put(struct loop *loop, size_t place, const struct turn *turn)
{
	loop->heap[place] = *turn;
	turn->timer->place = place;
}

/* Finds the place of a turn that may stand too low or too high, beginning at `place`. */
static void
heap_settle(struct loop *loop, size_t place, struct turn turn)
{
	while (place > 0 && earlier(&turn, &loop->heap[(place - 1) / 2])) {
		heap_put(loop, place, &loop->heap[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	for (;;) {
		size_t child = place * 2 + 1;
		if (child + 1 < loop->heap_len &&
		    earlier(&loop->heap[child + 1], &loop->heap[child]))
			child++;
		if (child >= loop->heap_len || !earlier(&loop->heap[child], &turn))
			break;
		heap_put(loop, place, &loop->heap[child]);
		place = child;
	}
	heap_put(loop, place, &turn);
}

static void
heap_add(struct loop *loop, struct turn turn)
{
	if (loop->heap_len == loop->heap_size) {
		loop->heap_size = loop->heap_size == 0 ? 64 : loop->heap_size * 2;
		loop->heap = xrealloc(loop->heap, loop->heap_size, sizeof(turn));
	}
	loop->heap_len++;
	heap_settle(loop, loop->heap_len - 1, turn);
}

static void
heap_remove(struct loop_timer *timer)
{
	struct loop *loop = timer->loop;
	size_t place = timer->place;
	struct turn last = loop->heap[--loop->heap_len];

	timer->place = NOWHERE;
	if (last.timer != timer)
		heap_settle(loop, place, last);
}

/* A timer that is set by these callbacks waits for the next turn even if it is due already:
 * it stands behind all that were set before, and those are all that fire. */
static void
on_wake(uv_timer_t *wake)
{
	struct loop *loop = wake->data;
	uint64_t set = loop->order;

	loop->armed_slot = -1;
	int64_t slot = loop_now(loop) / SLOT_MS;
	loop->lag = loop_now(loop) - loop->armed_for;
	while (loop->heap_len > 0 && loop->heap[0].slot <= slot &&
	    loop->heap[0].order < set) {
		struct loop_timer *timer = loop->heap[0].timer;
		heap_remove(timer);
		timer->fn(timer->arg);
	}
}

static void
on_prepare(uv_prepare_t *prepare)
{
	struct loop *loop = prepare->data;
	int64_t slot = loop->heap_len > 0 ? loop->heap[0].slot : -1;

	if (slot == loop->armed_slot)
		return;
	loop->armed_slot = slot;
	if (slot < 0) {
		uv_timer_stop(&loop->wake);
		return;
	}
	int64_t delay = slot * SLOT_MS - loop_now(loop);
	loop->armed_for = loop_now(loop) + (delay > 0 ? delay : 0);
	must(uv_timer_start(&loop->wake, on_wake, delay > 0 ? (uint64_t)delay : 0, 0),
	    "timer");
}

struct loop *
loop_new(void)
{
	struct loop *loop = xcalloc(1, sizeof(*loop));

	must(uv_loop_init(&loop->uv), "loop");
	must(uv_timer_init(&loop->uv, &loop->wake), "timer");
	must(uv_prepare_init(&loop->uv, &loop->prepare), "timer");
	loop->wake.data = loop;
	loop->prepare.data = loop;
	loop->armed_slot = -1;
	must(uv_prepare_start(&loop->prepare, on_prepare), "timer");
	return loop;
}

void
loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	assert(loop->timers == 0);
	loop_io_free(loop->edges);
	if (loop->edges != NULL)
		close(loop->edge_fd);
	uv_close((uv_handle_t *)&loop->wake, NULL);
	uv_close((uv_handle_t *)&loop->prepare, NULL);
	uv_run(&loop->uv, UV_RUN_NOWAIT); /* calls the close callbacks */
	int error = uv_loop_close(&loop->uv);
	assert(error == 0);
	free(loop->heap);
	free(loop);
}

void
loop_run(struct loop *loop)
{
	uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void
loop_stop(struct loop *loop)
{
	uv_stop(&loop->uv);
}

int64_t
loop_now(const struct loop *loop)
{
	return (int64_t)uv_now(&loop->uv);
}

int64_t
loop_lag(const struct loop *loop)
{
	return loop->lag;
}

struct loop_timer *
loop_timer_new(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	struct loop_timer *timer = xcalloc(1, sizeof(*timer));

	*timer =
	    (struct loop_timer){ .loop = loop, .fn = fn, .arg = arg, .place = NOWHERE };
	loop->timers++;
	return timer;
}

void
loop_timer_at(struct loop_timer *timer, int64_t when)
{
	struct loop *loop = timer->loop;
	int64_t now = loop_now(loop);
	int64_t slot = now / SLOT_MS; /* due already */

	if (when > now)
		slot = when / SLOT_MS + (when % SLOT_MS != 0);

	loop_timer_stop(timer);
	heap_add(loop, (struct turn){ slot, loop->order++, timer });
}

void
loop_timer_after(struct loop_timer *timer, int64_t delay_ms)
{
	loop_timer_at(timer, loop_now(timer->loop) + delay_ms);
}

void
loop_timer_stop(struct loop_timer *timer)
{
	if (timer->place != NOWHERE)
		heap_remove(timer);
}

void
loop_timer_free(struct loop_timer *timer)
{
	if (timer == NULL)
		return;
	loop_timer_stop(timer);
	timer->loop->timers--;
	free(timer);
}

static int
uv_interest(unsigned int events)
{
	return ((events & LOOP_READ) != 0 ? UV_READABLE : 0) |
	    ((events & LOOP_WRITE) != 0 ? UV_WRITABLE : 0);
}

/* An error stops libuv's watcher; ours goes on, and the owner's next call says which. */
static void
on_poll(uv_poll_t *poll, int status, int uv_events)
{
	struct loop_io *io = poll->data;
	unsigned int events = 0;

	if (status < 0) {
		events = io->events;
		must(uv_poll_start(poll, uv_interest(events), on_poll), "watcher");
	}
	if ((uv_events & UV_READABLE) != 0)
		events |= LOOP_READ;
	if ((uv_events & UV_WRITABLE) != 0)
		events |= LOOP_WRITE;
	events &= io->events;
	if (events != 0)
		io->fn(io->arg, events);
}

static void
on_handle_closed(uv_handle_t *handle)
{
	free(handle->data);
}

struct loop_io *
loop_io_new(
    struct loop *loop, int fd, void (*fn)(void *arg, unsigned int events), void *arg)
{
	struct loop_io *io = xcalloc(1, sizeof(*io));

	must(uv_poll_init(&loop->uv, &io->poll, fd), "watcher");
	io->poll.data = io;
	io->fn = fn;
	io->arg = arg;
	return io;
}

void
loop_io_watch(struct loop_io *io, unsigned int events)
{
	if (events == io->events)
		return;
	io->events = events;
	must(uv_poll_start(&io->poll, uv_interest(events), on_poll), "watcher");
}

void
loop_io_free(struct loop_io *io)
{
	if (io != NULL)
		uv_close((uv_handle_t *)&io->poll, on_handle_closed);
}

static unsigned int
edge_events(uint32_t events)
{
	return ((events & EPOLLIN) != 0 ? LOOP_READ : 0) |
	    ((events & EPOLLOUT) != 0 ? LOOP_WRITE : 0) |
	    ((events & EPOLLRDHUP) != 0 ? LOOP_END : 0) |
	    ((events & (EPOLLERR | EPOLLHUP)) != 0 ? LOOP_FAULT : 0);
}

static bool
tell_batch(struct loop *loop)
{
	int n = epoll_wait(loop->edge_fd, loop->batch, EDGES_MAX, 0);

	loop->batch_len = n > 0 ? n : 0;
	for (loop->batch_at = 0; loop->batch_at < loop->batch_len;) {
		const struct epoll_event *event = &loop->batch[loop->batch_at++];
		struct loop_edge *edge = event->data.ptr;
		if (edge != NULL)
			edge->fn(edge->arg, edge_events(event->events));
	}
	return n > 0;
}

/* What the first batch leads to (a reset is an edge too, an answer may be quick) is taken
 * along without another turn; what is left makes the instance readable again. */
static void
on_edges(void *arg, unsigned int events)
{
	struct loop *loop = arg;

	if (tell_batch(loop))
		tell_batch(loop);
}

struct loop_edge *
loop_edge_new(
    struct loop *loop, int fd, void (*fn)(void *arg, unsigned int events), void *arg)
{
	struct loop_edge *edge = xcalloc(1, sizeof(*edge));
	struct epoll_event event = { EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		{ .ptr = edge } };

	*edge = (struct loop_edge){ loop, fd, fn, arg };
	if (loop->edges == NULL) {
		loop->edge_fd = epoll_create1(EPOLL_CLOEXEC);
		must(loop->edge_fd < 0 ? -errno : 0, "watcher");
		loop->edges = loop_io_new(loop, loop->edge_fd, on_edges, loop);
		loop_io_watch(loop->edges, LOOP_READ);
	}
	if (epoll_ctl(loop->edge_fd, EPOLL_CTL_ADD, fd, &event) == 0)
		return edge;
	free(edge);
	return NULL;
}

void
loop_edge_skip(struct loop_edge *edge)
{
	struct loop *loop = edge->loop;

	for (int i = loop->batch_at; i < loop->batch_len; i++)
		if (loop->batch[i].data.ptr == edge)
			loop->batch[i].data.ptr = NULL;
}

void
loop_edge_free(struct loop_edge *edge)
{
	if (edge == NULL)
		return;
	loop_edge_skip(edge);
	epoll_ctl(edge->loop->edge_fd, EPOLL_CTL_DEL, edge->fd, NULL);
	free(edge);
}

static void
on_signal(uv_signal_t *handle, int signum)
{
	struct loop_signal *signal = handle->data;

	signal->fn(signal->arg, signum);
}

struct loop_signal *
loop_signal_new(
    struct loop *loop, int signum, void (*fn)(void *arg, int signum), void *arg)
{
	struct loop_signal *signal = xcalloc(1, sizeof(*signal));

	must(uv_signal_init(&loop->uv, &signal->signal), "signal watcher");
	signal->signal.data = signal;
	signal->fn = fn;
	signal->arg = arg;
	must(uv_signal_start(&signal->signal, on_signal, signum), "signal watcher");
	return signal;
}

void
loop_signal_free(struct loop_signal *signal)
{
	if (signal != NULL)
		uv_close((uv_handle_t *)&signal->signal, on_handle_closed);
}
