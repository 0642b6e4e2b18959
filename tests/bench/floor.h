/* SPDX-License-Identifier: ISC */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <stddef.h>
#include <stdint.h>

/* One kind of floor: begins check n (1 to count), and does what the descriptor it watches
 * has. Failures are counted. */
struct floor {
	int poll;
	uint32_t count;
	uint64_t failed;
	void *kind; /* the kind's own */
};

struct floor_kind {
	const char *name;
	/* 0, or it said why on standard error */
	int (*open)(struct floor *floor, const char *what);
	void (*start)(struct floor *floor, uint32_t check);
	void (*work)(struct floor *floor, uint64_t data); /* epoll_data */
};

extern const struct floor_kind floor_http, floor_tcp, floor_https, floor_script;

#endif
