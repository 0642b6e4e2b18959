/* SPDX-License-Identifier: ISC */
/*
 * The loop: timers fire in the order of their slots, never early, and handles may be
 * freed in any callback. The rule for timers is checked with many random ones.
 */
#include "agent/base/loop.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define MANY 2000

struct probe {
	struct loop *loop;
	struct loop_timer *timer;
	struct crowd *crowd;
	int64_t when;
	bool fired, wanted, due;
};

struct crowd {
	struct loop *loop;
	struct probe probes[MANY];
	struct loop_timer *end;
	int64_t last_slot;
	int early, late, disorder, unwanted;
};

static void
on_end(void *arg)
{
	loop_stop(arg);
}

static void
on_probe(void *arg)
{
	struct probe *probe = arg;
	struct crowd *crowd = probe->crowd;
	int64_t slot = (probe->when + (probe->due ? 0 : 9)) / 10;
	int64_t now = loop_now(crowd->loop);

	crowd->early += now < slot * 10;
	crowd->late += now > slot * 10 + 250;
	crowd->disorder += slot < crowd->last_slot;
	crowd->unwanted += !probe->wanted || probe->fired;
	crowd->last_slot = slot;
	probe->fired = true;
	struct probe *other = &crowd->probes[random_u64() % MANY];
	if (!other->fired && other->wanted && random_u64() % 4 == 0) {
		loop_timer_free(other->timer);
		other->timer = NULL;
		other->wanted = false;
	}
}

static void
set_probe(struct crowd *crowd, struct probe *probe)
{
	int64_t now = loop_now(crowd->loop);

	*probe = (struct probe){ .crowd = crowd, .wanted = true };
	probe->timer = loop_timer_new(crowd->loop, on_probe, probe);
	for (uint64_t moves = random_u64() % 3 + 1; moves > 0; moves--) {
		probe->when = now + (int64_t)(random_u64() % 300);
		probe->due = probe->when <= now;
		loop_timer_at(probe->timer, probe->when);
	}
	if (random_u64() % 8 == 0) {
		loop_timer_stop(probe->timer);
		probe->wanted = false;
	}
}

static void
test_timers_fire_in_order(void)
{
	struct crowd *crowd = xcalloc(1, sizeof(*crowd));
	int missed = 0;

	crowd->loop = loop_new();
	for (int i = 0; i < MANY; i++)
		set_probe(crowd, &crowd->probes[i]);
	crowd->end = loop_timer_new(crowd->loop, on_end, crowd->loop);
	loop_timer_after(crowd->end, 320);
	loop_run(crowd->loop);
	for (int i = 0; i < MANY; i++) {
		missed += crowd->probes[i].wanted && !crowd->probes[i].fired;
		loop_timer_free(crowd->probes[i].timer);
	}
	CU_ASSERT_EQUAL(crowd->early, 0);
	CU_ASSERT_EQUAL(crowd->late, 0);
	CU_ASSERT_EQUAL(crowd->disorder, 0);
	CU_ASSERT_EQUAL(crowd->unwanted, 0);
	CU_ASSERT_EQUAL(missed, 0);
	loop_timer_free(crowd->end);
	loop_free(crowd->loop);
	free(crowd);
}

struct turns {
	struct loop *loop;
	struct loop_timer *again, *beside;
	struct loop_io *io;
	int ran, beside_ran, io_ran;
};

static void
on_beside(void *arg)
{
	struct turns *turns = arg;

	turns->beside_ran++;
}

/* Always due: it must not keep the descriptor from its turn. */
static void
on_again(void *arg)
{
	struct turns *turns = arg;

	turns->ran++;
	if (turns->ran == 1)
		loop_timer_at(turns->beside, 0);
	if (turns->ran == 100000)
		loop_stop(turns->loop);
	loop_timer_at(turns->again, 0);
}

static void
on_turns_io(void *arg, unsigned int events)
{
	struct turns *turns = arg;

	if (++turns->io_ran == 3)
		loop_stop(turns->loop);
}

static void
test_due_timers_wait_for_the_next_turn(void)
{
	struct turns turns = { .loop = loop_new() };
	int fds[2];

	CU_ASSERT_EQUAL_FATAL(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	turns.again = loop_timer_new(turns.loop, on_again, &turns);
	turns.beside = loop_timer_new(turns.loop, on_beside, &turns);
	turns.io = loop_io_new(turns.loop, fds[0], on_turns_io, &turns);
	loop_io_watch(turns.io, LOOP_WRITE);
	loop_timer_at(turns.again, -5);
	loop_run(turns.loop);
	CU_ASSERT_EQUAL(turns.io_ran, 3);
	CU_ASSERT_TRUE(turns.ran >= 2 && turns.ran <= 5);
	CU_ASSERT_EQUAL(turns.beside_ran, 1);
	loop_timer_free(turns.again);
	loop_timer_free(turns.beside);
	loop_io_free(turns.io);
	loop_free(turns.loop);
	close(fds[0]);
	close(fds[1]);
}

struct killers {
	struct loop *loop;
	struct loop_timer *a, *b, *end;
	struct loop_io *io[2];
	int pair[2][2];
	int fired, io_fired;
};

static void
on_killer(void *arg)
{
	struct killers *killers = arg;

	killers->fired++;
	loop_timer_free(killers->a);
	loop_timer_free(killers->b);
	killers->a = killers->b = NULL;
}

/* Frees itself and the other, which is ready in the same turn, and closes both. */
static void
on_killer_io(void *arg, unsigned int events)
{
	struct killers *killers = arg;

	killers->io_fired++;
	for (int i = 0; i < 2; i++) {
		loop_io_free(killers->io[i]);
		killers->io[i] = NULL;
		close(killers->pair[i][0]);
		close(killers->pair[i][1]);
	}
}

static void
test_handles_are_freed_in_callbacks(void)
{
	struct killers killers = { .loop = loop_new() };

	killers.a = loop_timer_new(killers.loop, on_killer, &killers);
	killers.b = loop_timer_new(killers.loop, on_killer, &killers);
	loop_timer_at(killers.a, 0);
	loop_timer_at(killers.b, 0);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK,
					  0, killers.pair[i]),
		    0);
		killers.io[i] = loop_io_new(
		    killers.loop, killers.pair[i][0], on_killer_io, &killers);
		loop_io_watch(killers.io[i], LOOP_READ | LOOP_WRITE);
	}
	killers.end = loop_timer_new(killers.loop, on_end, killers.loop);
	loop_timer_after(killers.end, 50);
	loop_run(killers.loop);
	CU_ASSERT_EQUAL(killers.fired, 1);
	CU_ASSERT_EQUAL(killers.io_fired, 1);
	loop_timer_free(killers.end);
	loop_free(killers.loop);
}

struct watcher {
	struct loop *loop;
	unsigned int seen;
	int calls;
};

static void
on_watcher(void *arg, unsigned int events)
{
	struct watcher *watcher = arg;

	watcher->seen = events;
	if (++watcher->calls == 2)
		loop_stop(watcher->loop);
}

/* A peer that reset the connection: POLLERR and POLLHUP together. Twice: level triggered. */
static void
test_errors_are_reported_as_watched(void)
{
	static const unsigned int wanted[] = { LOOP_READ, LOOP_WRITE,
		LOOP_READ | LOOP_WRITE };

	for (size_t i = 0; i < ARRAY_LENGTH(wanted); i++) {
		struct watcher watcher = { .loop = loop_new() };
		int fds[2];
		CU_ASSERT_EQUAL_FATAL(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
		CU_ASSERT_EQUAL(write(fds[0], "x", 1), 1);
		close(fds[1]);
		struct loop_io *io =
		    loop_io_new(watcher.loop, fds[0], on_watcher, &watcher);
		loop_io_watch(io, wanted[i]);
		loop_run(watcher.loop);
		CU_ASSERT_EQUAL(watcher.seen, wanted[i]);
		loop_io_free(io);
		close(fds[0]);
		loop_free(watcher.loop);
	}
}

static void
on_once(void *arg)
{
	*(bool *)arg = true;
}

/* A descriptor watched for nothing says nothing, and the same number may come again. */
static void
test_unwatched_is_silent_and_numbers_come_again(void)
{
	struct watcher watcher = { .loop = loop_new() };
	struct loop_timer *end = loop_timer_new(watcher.loop, on_end, watcher.loop);
	int fds[2];

	for (int round = 0; round < 3; round++) {
		CU_ASSERT_EQUAL_FATAL(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
		struct loop_io *io =
		    loop_io_new(watcher.loop, fds[0], on_watcher, &watcher);
		loop_io_watch(io, LOOP_WRITE);
		loop_io_watch(io, 0);
		loop_timer_after(end, 20);
		loop_run(watcher.loop);
		CU_ASSERT_EQUAL(watcher.calls, 0);
		loop_io_watch(io, LOOP_WRITE);
		loop_run(watcher.loop);
		CU_ASSERT_EQUAL(watcher.calls, 2);
		CU_ASSERT_EQUAL(watcher.seen, LOOP_WRITE);
		watcher.calls = 0;
		loop_io_free(io);
		close(fds[0]);
		close(fds[1]);
	}
	loop_timer_free(end);
	loop_free(watcher.loop);
}

/* Many descriptors that are watched for edges, and a rule for what happens in each call. */
#define EDGES 200

struct edges {
	struct loop *loop;
	struct watched {
		struct edges *edges;
		struct loop_edge *edge;
		int fds[2], calls;
		unsigned int events; /* all that were told */
	} watched[EDGES];
	int told;
	void (*rule)(struct edges *edges, struct watched *watched);
};

static void
on_edge(void *arg, unsigned int events)
{
	struct watched *watched = arg;

	watched->calls++;
	watched->events |= events;
	watched->edges->told++;
	if (watched->edges->rule != NULL)
		watched->edges->rule(watched->edges, watched);
}

static struct edges *
edges_new(void (*rule)(struct edges *edges, struct watched *watched))
{
	struct edges *edges = xcalloc(1, sizeof(*edges));

	edges->loop = loop_new();
	for (int i = 0; i < EDGES; i++) {
		struct watched *one = &edges->watched[i];
		one->edges = edges;
		CU_ASSERT_EQUAL_FATAL(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, one->fds), 0);
		one->edge = loop_edge_new(edges->loop, one->fds[0], on_edge, one);
		CU_ASSERT_PTR_NOT_NULL_FATAL(one->edge);
	}
	run_for(edges->loop, 30); /* all can be written to */
	CU_ASSERT_EQUAL(edges->told, EDGES);
	for (int i = 0; i < EDGES; i++)
		edges->watched[i].calls = (int)(edges->watched[i].events = 0);
	edges->told = 0;
	edges->rule = rule;
	return edges;
}

static void
edges_free(struct edges *edges)
{
	for (int i = 0; i < EDGES; i++) {
		loop_edge_free(edges->watched[i].edge);
		close(edges->watched[i].fds[0]);
		close(edges->watched[i].fds[1]);
	}
	loop_free(edges->loop);
	free(edges);
}

static void
say_to_all(struct edges *edges)
{
	for (int i = 0; i < EDGES; i++)
		CU_ASSERT_EQUAL(write(edges->watched[i].fds[1], "x", 1), 1);
	run_for(edges->loop, 30);
}

/* Each is told once of what has come, read or not, and again when more comes. */
static void
test_edges_are_told_once(void)
{
	struct edges *edges = edges_new(NULL);

	for (int round = 1; round <= 3; round++) {
		say_to_all(edges);
		for (int i = 0; i < EDGES; i++)
			CU_ASSERT_EQUAL(edges->watched[i].calls, round);
	}
	CU_ASSERT_EQUAL(edges->watched[0].events & (LOOP_END | LOOP_FAULT), 0);
	CU_ASSERT_NOT_EQUAL(edges->watched[0].events & LOOP_READ, 0);
	shutdown(edges->watched[0].fds[1], SHUT_WR);
	CU_ASSERT_EQUAL(write(edges->watched[1].fds[0], "x", 1), 1);
	close(edges->watched[1].fds[1]); /* it had something to read: a reset */
	edges->watched[1].fds[1] = -1;
	run_for(edges->loop, 30);
	CU_ASSERT_EQUAL(edges->watched[0].events & (LOOP_END | LOOP_FAULT), LOOP_END);
	CU_ASSERT_NOT_EQUAL(edges->watched[1].events & LOOP_FAULT, 0);
	edges_free(edges);
}

static void
free_all(struct edges *edges, struct watched *watched)
{
	for (int i = 0; i < EDGES; i++) {
		loop_edge_free(edges->watched[i].edge);
		edges->watched[i].edge = NULL;
	}
}

static void
test_edges_are_freed_in_a_batch(void)
{
	struct edges *edges = edges_new(free_all);

	say_to_all(edges);
	CU_ASSERT_EQUAL(edges->told, 1);
	edges_free(edges);
}

/* Every other one is dropped, whichever half is told first. */
static void
skip_other(struct edges *edges, struct watched *watched)
{
	loop_edge_skip(edges->watched[(watched - edges->watched) ^ 1].edge);
}

static void
test_edges_are_skipped(void)
{
	struct edges *edges = edges_new(skip_other);
	int both = 0, none = 0;

	say_to_all(edges);
	for (int i = 0; i < EDGES; i += 2) {
		int calls = edges->watched[i].calls + edges->watched[i + 1].calls;
		both += calls > 1;
		none += calls == 0;
	}
	CU_ASSERT_EQUAL(none, 0);
	CU_ASSERT_TRUE(both <= EDGES / 64 + 1); /* parted by the end of a batch */
	edges->rule = NULL;
	edges->told = 0;
	say_to_all(edges);
	CU_ASSERT_EQUAL(edges->told, EDGES);
	edges_free(edges);
}

struct signals {
	struct loop *loop;
	struct loop_signal *signal;
	int seen;
};

static void
on_signal(void *arg, int signum)
{
	struct signals *signals = arg;

	signals->seen = signum;
	loop_signal_free(signals->signal);
	loop_stop(signals->loop);
}

static void
test_signals_arrive(void)
{
	struct signals signals = { .loop = loop_new() };

	signals.signal = loop_signal_new(signals.loop, SIGUSR1, on_signal, &signals);
	raise(SIGUSR1);
	loop_run(signals.loop);
	CU_ASSERT_EQUAL(signals.seen, SIGUSR1);
	loop_free(signals.loop);
}

/* A thousand timers that are due already, one after the other: no slot is waited for. */
static void
on_chain(void *arg)
{
	struct turns *turns = arg;

	if (++turns->ran == 1000)
		loop_stop(turns->loop);
	loop_timer_after(turns->again, 0);
}

static void
test_due_timers_wait_for_no_slot(void)
{
	struct turns turns = { .loop = loop_new() };

	turns.again = loop_timer_new(turns.loop, on_chain, &turns);
	int64_t start = clock_raw_ms();
	loop_timer_after(turns.again, 0);
	loop_run(turns.loop);
	CU_ASSERT_EQUAL(turns.ran, 1000);
	CU_ASSERT_TRUE(clock_raw_ms() - start < 5000);
	loop_timer_free(turns.again);
	loop_free(turns.loop);
}

static void
test_half_made(void)
{
	struct loop *loop = loop_new();
	bool ran = false;
	struct loop_timer *timer = loop_timer_new(loop, on_once, &ran);

	loop_timer_after(timer, 0);
	loop_stop(loop);
	loop_run(loop);
	CU_ASSERT_FALSE(ran);
	loop_timer_free(timer);
	loop_free(loop);
	loop_free(NULL);
	loop_timer_free(NULL);
	loop_io_free(NULL);
	loop_edge_free(NULL);
	loop_signal_free(NULL);
}

static const struct tap_case cases[] = {
	{ "timers fire in order and never early", test_timers_fire_in_order },
	{ "due timers wait for the next turn", test_due_timers_wait_for_the_next_turn },
	{ "due timers wait for no slot", test_due_timers_wait_for_no_slot },
	{ "handles are freed in callbacks", test_handles_are_freed_in_callbacks },
	{ "errors are reported as what is watched",
	    test_errors_are_reported_as_watched },
	{ "unwatched is silent and numbers come again",
	    test_unwatched_is_silent_and_numbers_come_again },
	{ "edges are told once", test_edges_are_told_once },
	{ "edges are freed in a batch", test_edges_are_freed_in_a_batch },
	{ "edges are skipped", test_edges_are_skipped },
	{ "signals arrive", test_signals_arrive },
	{ "stop before run, free of nothing", test_half_made },
};

TAP_MAIN("loop", cases)
