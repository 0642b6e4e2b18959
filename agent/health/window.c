/* SPDX-License-Identifier: ISC */
/*
 * The window over a check's last outcomes. One bit is kept of each, and its run time if a
 * limit asks for it; whether a limit is reached is counted along, so that a result costs
 * the same whatever the size. Only who looks at the percentile itself has it sorted out.
 */
#include "agent/health/window.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"

struct window {
	struct window_limits limits;
	uint16_t count, next; /* how many there are; where the next one goes */
	uint16_t failed; /* so many of them */
	uint16_t slow_warning, slow_critical; /* so many of those that were up */
	uint32_t *took; /* NULL: not asked for */
	uint32_t words[]; /* a bit for each that failed, then the run times */
};

static bool
judges_latency(const struct window_limits *limits)
{
	return limits->latency_warning_ms > 0 || limits->latency_critical_ms > 0;
}

struct window *
window_new(const struct window_limits *limits)
{
	bool latency = judges_latency(limits);
	size_t bits = (limits->size + 31) / 32, words = bits;

	if (!latency && limits->error_warning == 0 && limits->error_critical == 0)
		return NULL;
	if (latency)
		words += limits->size;
	struct window *window =
	    xcalloc(1, sizeof(*window) + words * sizeof(window->words[0]));
	window->limits = *limits;
	window->took = latency ? window->words + bits : NULL;
	return window;
}

void
window_free(struct window *window)
{
	free(window);
}

static bool
has_failed(const struct window *window, unsigned int i)
{
	return (window->words[i / 32] >> i % 32 & 1) != 0;
}

static bool
is_slow(uint32_t took, int64_t limit)
{
	return limit > 0 && took >= limit;
}

/* Adds to the counts what stands at a place, or takes it out of them. */
static void
count_in(struct window *window, unsigned int i, int sign)
{
	const struct window_limits *limits = &window->limits;

	window->count = (uint16_t)(window->count + sign);
	if (has_failed(window, i)) {
		window->failed = (uint16_t)(window->failed + sign);
	} else if (window->took != NULL) {
		if (is_slow(window->took[i], limits->latency_warning_ms))
			window->slow_warning = (uint16_t)(window->slow_warning + sign);
		if (is_slow(window->took[i], limits->latency_critical_ms))
			window->slow_critical =
			    (uint16_t)(window->slow_critical + sign);
	}
}

void
window_record(struct window *window, bool failed, int64_t took_ms)
{
	unsigned int i = window->next;

	if (window->count == window->limits.size)
		count_in(window, i, -1);
	window->words[i / 32] &= ~(UINT32_C(1) << i % 32);
	window->words[i / 32] |= (uint32_t)failed << i % 32;
	if (window->took != NULL)
		window->took[i] = took_ms < 0 ? 0
		    : took_ms < UINT32_MAX    ? (uint32_t)took_ms
					      : UINT32_MAX;
	count_in(window, i, 1);
	window->next = (uint16_t)((i + 1) % window->limits.size);
}

static bool
too_many_failed(const struct window *window, unsigned int percent)
{
	return percent > 0 && window->failed * 100u >= percent * window->count;
}

static bool
too_many_slow(const struct window *window, unsigned int slow)
{
	return slow * 10 > (unsigned int)(window->count - window->failed);
}

enum check_status
window_floor(const struct window *window, enum check_reason *reason)
{
	const struct window_limits *limits = &window->limits;

	if (window->count < limits->size)
		return CHECK_PASSING;
	if (too_many_failed(window, limits->error_critical)) {
		*reason = CHECK_REASON_ERROR_RATE;
		return CHECK_CRITICAL;
	}
	if (too_many_slow(window, window->slow_critical)) {
		*reason = CHECK_REASON_LATENCY;
		return CHECK_CRITICAL;
	}
	if (too_many_failed(window, limits->error_warning)) {
		*reason = CHECK_REASON_ERROR_RATE;
		return CHECK_WARNING;
	}
	if (too_many_slow(window, window->slow_warning)) {
		*reason = CHECK_REASON_LATENCY;
		return CHECK_WARNING;
	}
	return CHECK_PASSING;
}

int
window_error_percent(const struct window *window)
{
	unsigned int count = window->count;

	if (count == 0)
		return -1;
	return (int)((window->failed * 200u + count) / (2 * count));
}

static int
compare(const void *a, const void *b)
{
	uint32_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

int64_t
window_latency_ms(const struct window *window)
{
	size_t up = (size_t)(window->count - window->failed), n = 0;

	if (window->took == NULL || up == 0)
		return -1;
	AUTO_FREE uint32_t *took = xcalloc(up, sizeof(*took));
	for (unsigned int i = 0; i < window->count; i++)
		if (!has_failed(window, i))
			took[n++] = window->took[i];
	qsort(took, up, sizeof(*took), compare);
	return took[(up * 9 + 9) / 10 - 1];
}
