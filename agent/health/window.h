/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_WINDOW_H
#define LICTOR_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "checks/check.h"

/* What is too much; 0: no limit. */
struct window_limits {
	unsigned int size;	/* judged outcomes that are looked at, 1 to 1000 */
	unsigned int error_warning, error_critical;	/* percent */
	int64_t latency_warning_ms, latency_critical_ms;
};

/*
 * The last outcomes of one check that could be judged, and whether too many of them failed
 * or were slow. Pure. The error rate is the share of critical outcomes; it is too high at
 * a limit and above. The latency is the 90th percentile (nearest rank) of the run times of
 * those that were up; it is too high at a limit and above, which means: if more than a
 * tenth of them took that long. Nothing is too much before the window is full.
 */
struct window;

/* NULL: there is no limit, and none of the functions below may be called but window_free. */
struct window *window_new(const struct window_limits *limits);
void window_free(struct window *window);

void window_record(struct window *window, bool failed, int64_t took_ms);

/* The best state that the window allows; `reason` ERROR_RATE (if both) or LATENCY, untouched
 * if it allows PASSING. */
enum check_status window_floor(const struct window *window, enum check_reason *reason);

/* Of what the window holds so far, rounded to the nearest; -1: it holds nothing. */
int window_error_percent(const struct window *window);
/* -1: nothing was up, or there is no limit of the latency. */
int64_t window_latency_ms(const struct window *window);

#endif
