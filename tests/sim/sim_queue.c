/* SPDX-License-Identifier: ISC */
/*
 * Virtual time: what will happen, in order; the clocks of the hosts, which run at rates of
 * their own; and chance. The other files of the simulation stand on this one.
 *
 * An item belongs to the queue from sim_push until it has run, then to whoever sets
 * world->kept, else it is dropped. Items and contents are not given back to the heap: the
 * next schedule finds them.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/util.h"
#include "tests/sim/sim.h"

#define BRANCHES 4 /* of the heap: fewer misses than two */

/* splitmix64, public domain (S. Vigna). */
uint64_t
draw(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

int64_t
draw_between(uint64_t *state, int64_t min, int64_t max)
{
	return min + (int64_t)(draw(state) % (uint64_t)(max - min + 1));
}

bool
draw_chance(uint64_t *state, double share)
{
	return (double)(draw(state) >> 11) / 9007199254740992.0 < share;
}

int64_t
sim_between(struct world *world, int64_t min, int64_t max)
{
	return draw_between(&world->random, min, max);
}

bool
sim_chance(struct world *world, double share)
{
	return draw_chance(&world->random, share);
}

struct item *
sim_item(struct world *world, struct host *host,
    void (*run)(struct world *world, struct item *item))
{
	struct item *item = world->free_items;

	if (item)
		world->free_items = item->next;
	else
		item = xcalloc(1, sizeof(*item));
	item->run = run;
	item->host = host;
	item->content = NULL;
	item->life = host ? host->life : 0;
	item->consistent = item->ok = false;
	return item;
}

void
sim_drop(struct world *world, struct item *item)
{
	content_drop(world, item->content);
	item->next = world->free_items;
	world->free_items = item;
}

struct content *
content_new(struct world *world, const struct role_register *reg)
{
	struct content *content = world->free_contents;

	if (content)
		world->free_contents = content->next;
	else
		content = xcalloc(1, sizeof(*content));
	content->reg = *reg;
	content->refs = 1;
	return content;
}

struct content *
content_ref(struct content *content)
{
	if (content)
		content->refs++;
	return content;
}

void
content_drop(struct world *world, struct content *content)
{
	if (!content || --content->refs > 0)
		return;
	content->next = world->free_contents;
	world->free_contents = content;
}

static bool
before(const struct entry *a, const struct entry *b)
{
	return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

void
sim_push(struct world *world, int64_t delay, struct item *item)
{
	struct entry entry = { world->now + delay, world->seq++, item };
	size_t i = world->n_heap++;

	if (world->n_heap > world->heap_size) {
		world->heap_size = world->heap_size ? world->heap_size * 2 : 256;
		world->heap =
		    xrealloc(world->heap, world->heap_size, sizeof(struct entry));
	}
	for (; i > 0 && before(&entry, &world->heap[(i - 1) / BRANCHES]);
	     i = (i - 1) / BRANCHES)
		world->heap[i] = world->heap[(i - 1) / BRANCHES];
	world->heap[i] = entry;
}

/* The first of all is taken away, and the last one finds its place. */
static void
sift(struct world *world)
{
	struct entry *heap = world->heap;
	struct entry last = heap[--world->n_heap];
	size_t n = world->n_heap, i = 0, first;

	while ((first = BRANCHES * i + 1) < n) {
		size_t end = first + BRANCHES < n ? first + BRANCHES : n;
		size_t least = first;

		for (size_t child = first + 1; child < end; child++)
			if (before(&heap[child], &heap[least]))
				least = child;
		if (!before(&heap[least], &last))
			break;
		heap[i] = heap[least];
		i = least;
	}
	heap[i] = last;
}

void
sim_run(struct world *world, int64_t until)
{
	while (world->n_heap > 0 && world->heap[0].at <= until) {
		world->now = world->heap[0].at;
		world->running = world->heap[0].item;
		world->kept = false;
		sift(world);
		world->running->run(world, world->running);
		if (!world->kept)
			sim_drop(world, world->running);
		world->running = NULL;
	}
	world->now = until;
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
