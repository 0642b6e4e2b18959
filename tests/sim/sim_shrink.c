/* SPDX-License-Identifier: ISC */
/*
 * A schedule that violates an invariant, made shorter: faults are left out by halves,
 * quarters and so on down to single ones, then hosts, then time, as long as the same
 * invariant is still violated. Since what is left out changes how the weather falls, some
 * more weathers are tried each time.
 */
#include <string.h>

#include "agent/base/util.h"
#include "tests/sim/sim.h"

#define WEATHERS 20
#define TRIES 20000

struct shrinker {
	struct world *world;
	struct plan best;
	char kind[4]; /* the invariant: its failure's first letters */
	char failure[512];
	int tries;
	int64_t failed_at;
};

static bool
fails(struct shrinker *shrinker, struct plan *plan)
{
	struct world *world = shrinker->world;
	uint64_t random = plan->weather;

	for (int i = 0; i < WEATHERS && shrinker->tries < TRIES; i++) {
		shrinker->tries++;
		if (!world_play(world, plan, false) &&
		    strncmp(world->failure, shrinker->kind, 3) == 0) {
			str_copy(shrinker->failure, sizeof(shrinker->failure),
			    world->failure);
			shrinker->failed_at = world->now;
			shrinker->best = *plan;
			return true;
		}
		plan->weather = draw(&random);
	}
	return false;
}

static void
leave_out(struct plan *plan, size_t first, size_t n)
{
	size_t end = first + n < plan->n_faults ? first + n : plan->n_faults;

	memmove(&plan->faults[first], &plan->faults[end],
	    (plan->n_faults - end) * sizeof(struct fault));
	plan->n_faults -= end - first;
}

static void
shrink_faults(struct shrinker *shrinker)
{
	size_t n = (shrinker->best.n_faults + 1) / 2;

	while (n > 0) {
		bool less = false;

		for (size_t first = 0; first < shrinker->best.n_faults;) {
			struct plan plan = shrinker->best;

			leave_out(&plan, first, n);
			if (fails(shrinker, &plan))
				less = true;
			else
				first += n;
		}
		if (!less || n > 1)
			n /= 2;
	}
}

static void
shrink_hosts(struct shrinker *shrinker)
{
	for (int i = HOSTS - 1; i >= 0; i--) {
		struct plan plan = shrinker->best;

		plan.hosts &= ~(1U << i);
		if (plan.hosts != shrinker->best.hosts && plan.hosts != 0)
			fails(shrinker, &plan);
	}
}

static void
shrink_time(struct shrinker *shrinker)
{
	struct plan plan = shrinker->best;

	if (shrinker->failed_at < plan.horizon) {
		plan.horizon = shrinker->failed_at + 1;
		plan.settle = false;
		fails(shrinker, &plan);
	}
}

bool
shrink(struct plan *plan, char failure[512])
{
	struct shrinker shrinker = { .world = world_new(), .best = *plan };
	size_t before;
	bool failed = !world_play(shrinker.world, plan, false);

	if (failed) {
		str_copy(shrinker.kind, sizeof(shrinker.kind), shrinker.world->failure);
		fails(&shrinker, plan);
		do {
			before = shrinker.best.n_faults;
			shrink_time(&shrinker);
			shrink_faults(&shrinker);
			shrink_hosts(&shrinker);
		} while (shrinker.best.n_faults < before);
		*plan = shrinker.best;
		str_copy(failure, 512, shrinker.failure);
	}
	world_free(shrinker.world);
	return failed;
}
