/* SPDX-License-Identifier: ISC */
#ifndef BENCH_ARRIVALS_H
#define BENCH_ARRIVALS_H

#include <stddef.h>
#include <stdint.h>

/* A check's run as the target saw it: when (CLOCK_MONOTONIC, nanoseconds) and which. */
struct arrival {
	int64_t at;
	uint32_t id;
	uint32_t unused;
};

struct arrivals {
	struct arrival *list;
	size_t count, size;
};
void arrivals_add(struct arrivals *arrivals, const struct arrival *arrival);
void arrivals_free(struct arrivals *arrivals);

/* Notes each SYN that reaches a listening socket; the id is the lower half of the address
 * it was sent to. NULL with errno: the kernel does not let us. */
struct tap;
struct tap *tap_new(int listener);
void tap_free(struct tap *tap);
/* Moves what was noted since the last time; arrivals NULL: forgets it. */
void tap_drain(struct tap *tap, struct arrivals *arrivals);

#endif
