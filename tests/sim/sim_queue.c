/* SPDX-License-Identifier: ISC */
/*
 * Virtual time: what will happen, in order; the clocks of the hosts, which run at rates of
 * their own; and chance, all of it from one seed. The other files of the simulation stand
 * on this one. An item belongs to the queue until it is popped, then to the caller.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/util.h"
#include "tests/sim/sim.h"

/* splitmix64, public domain (S. Vigna). */
uint64_t
sim_random(struct world *world)
{
	uint64_t z = (world->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

int64_t
sim_between(struct world *world, int64_t min, int64_t max)
{
	return min + (int64_t)(sim_random(world) % (uint64_t)(max - min + 1));
}

bool
sim_chance(struct world *world, double share)
{
	return (double)(sim_random(world) >> 11) / 9007199254740992.0 < share;
}

struct item *
sim_item(struct world *world, int64_t delay, struct host *host,
    void (*run)(struct world *world, struct item *item))
{
	struct item *item = xcalloc(1, sizeof(*item));

	item->at = world->now + delay;
	item->host = host;
	item->life = host ? host->life : 0;
	item->run = run;
	return item;
}

static bool
before(const struct item *a, const struct item *b)
{
	return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

void
sim_push(struct world *world, struct item *item)
{
	size_t i = world->n_heap++;

	if (world->n_heap > world->heap_size) {
		world->heap_size = world->heap_size ? world->heap_size * 2 : 256;
		world->heap =
		    xrealloc(world->heap, world->heap_size, sizeof(struct item *));
	}
	item->seq = world->seq++;
	for (; i > 0 && before(item, world->heap[(i - 1) / 2]); i = (i - 1) / 2)
		world->heap[i] = world->heap[(i - 1) / 2];
	world->heap[i] = item;
}

struct item *
sim_pop(struct world *world, int64_t until)
{
	struct item *top, *last;
	size_t i = 0, child;

	if (world->n_heap == 0 || world->heap[0]->at > until)
		return NULL;
	top = world->heap[0];
	last = world->heap[--world->n_heap];
	while ((child = 2 * i + 1) < world->n_heap) {
		if (child + 1 < world->n_heap &&
		    before(world->heap[child + 1], world->heap[child]))
			child++;
		if (!before(world->heap[child], last))
			break;
		world->heap[i] = world->heap[child];
		i = child;
	}
	if (world->n_heap > 0)
		world->heap[i] = last;
	return top;
}

double
clock_us(const struct clock *clock, int64_t now)
{
	return clock->base + (double)(now - clock->base_at) * clock->rate;
}

int64_t
clock_ms(const struct clock *clock, int64_t now)
{
	return (int64_t)(clock_us(clock, now) / 1000);
}

/* The world's time at which the clock says ms, at its present rate. */
int64_t
clock_when(const struct clock *clock, int64_t now, int64_t ms)
{
	double left = (double)ms * 1000 - clock_us(clock, now);

	return left <= 0 ? now : now + (int64_t)(left / clock->rate) + 1;
}

void
clock_set_rate(struct clock *clock, int64_t now, double rate)
{
	clock->base = clock_us(clock, now);
	clock->base_at = now;
	clock->rate = rate;
}

void
sim_say(const struct world *world, const struct host *host, const char *fmt, ...)
{
	va_list ap;

	if (!world->verbose)
		return;
	printf("# %11.6f %-2s ", (double)world->now / S, host ? host->name : "");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

void
sim_fail(struct world *world, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(world->failure, sizeof(world->failure), fmt, ap);
	va_end(ap);
	longjmp(world->stop, 1);
}
