/* SPDX-License-Identifier: ISC */
/*
 * How late runs are against their schedule. A check's schedule is every interval from a
 * phase that only its prober knows; the earliest that fits all of its runs is taken, so
 * that its run k was meant for phase + k * interval. A run that was left out makes all
 * that follow late by a whole interval, and a prober that counts its interval from the
 * end of the last run falls behind bit by bit: both are to be seen.
 */
#include "tests/bench/lateness.h"

#include <stdlib.h>

#include "agent/base/util.h"

/* Of each check, for its phase to be known. */
#define LEAST_RUNS 2

struct schedule {
	int64_t phase;
	uint32_t runs;
};

static int
compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static void
find_phases(const struct arrivals *arrivals, struct schedule *schedules, uint32_t count,
    int64_t interval)
{
	for (size_t i = 0; i < arrivals->count; i++) {
		const struct arrival *arrival = &arrivals->list[i];
		if (arrival->id == 0 || arrival->id > count)
			continue;
		struct schedule *schedule = &schedules[arrival->id];
		int64_t phase = arrival->at - schedule->runs * interval;
		if (schedule->runs == 0 || phase < schedule->phase)
			schedule->phase = phase;
		schedule->runs++;
	}
}

/* In the order of time again: the runs count down to where they were. */
static size_t
find_delays(const struct arrivals *arrivals, struct schedule *schedules, uint32_t count,
    int64_t interval, int64_t *delays)
{
	size_t n = 0;

	for (size_t i = arrivals->count; i-- > 0;) {
		const struct arrival *arrival = &arrivals->list[i];
		if (arrival->id == 0 || arrival->id > count)
			continue;
		struct schedule *schedule = &schedules[arrival->id];
		schedule->runs--;
		delays[n++] = arrival->at - schedule->runs * interval - schedule->phase;
	}
	return n;
}

static void
count_runs(struct lateness *lateness, const struct schedule *schedules, uint32_t count)
{
	for (uint32_t id = 1; id <= count; id++) {
		uint32_t runs = schedules[id].runs;
		if (runs == 0)
			continue;
		if (lateness->checks++ == 0 || runs < lateness->fewest)
			lateness->fewest = runs;
		if (runs > lateness->most)
			lateness->most = runs;
	}
}

struct lateness
lateness_of(const struct arrivals *arrivals, uint32_t count, int64_t interval_ms)
{
	int64_t interval = interval_ms * 1000000;
	struct lateness lateness = { .p99 = -1, .max = -1 };
	AUTO_FREE struct schedule *schedules = xcalloc(count + 1, sizeof(*schedules));
	AUTO_FREE int64_t *delays = xcalloc(arrivals->count + 1, sizeof(*delays));

	find_phases(arrivals, schedules, count, interval);
	count_runs(&lateness, schedules, count);
	size_t n = find_delays(arrivals, schedules, count, interval, delays);
	if (lateness.fewest < LEAST_RUNS)
		return lateness;
	qsort(delays, n, sizeof(*delays), compare);
	lateness.p99 = delays[n * 99 / 100] / 1000;
	lateness.max = delays[n - 1] / 1000;
	return lateness;
}
