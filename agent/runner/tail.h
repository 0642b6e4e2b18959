/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TAIL_H
#define LICTOR_TAIL_H

#include <stddef.h>
#include <stdint.h>

#include "agent/base/wire.h"

/* The last bytes of a stream; starts with a total of 0. */
struct tail {
	uint64_t total;
	char data[WIRE_OUTPUT_MAX];	/* byte number n stands at n modulo the size */
};

void tail_add(struct tail *tail, const char *data, size_t len);

/* At most `max` bytes, the last ones, in their order; how many. */
uint32_t tail_copy(const struct tail *tail, char *out, size_t max);

#endif
