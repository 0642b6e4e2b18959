/* SPDX-License-Identifier: ISC */
#ifndef BENCH_LATENESS_H
#define BENCH_LATENESS_H

#include <stdint.h>

#include "tests/bench/arrivals.h"

/* How well a window's arrivals keep to a schedule; microseconds. */
struct lateness {
	uint32_t checks; /* how many of them came at all */
	uint32_t fewest, most; /* runs of one check, of those that came */
	int64_t p99, max; /* -1: some check came less than twice */
};

/* The arrivals in order of time; ids run from 1 to count, others are left out. */
struct lateness lateness_of(
    const struct arrivals *arrivals, uint32_t count, int64_t interval_ms);

#endif
