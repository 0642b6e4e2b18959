/* SPDX-License-Identifier: ISC */
/*
 * The rule of window.h against a naive second statement of it, which keeps all results and
 * sorts the run times anew each time: windows of every size up to 40 and some larger ones,
 * with random limits, over random results that fail and slow down in stretches.
 */
#include "agent/health/window.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/util.h"
#include "tests/unit/tap.h"

#define LONG 3000

struct result {
	bool failed;
	int64_t took_ms;
};

struct naive {
	struct window_limits limits;
	struct result results[LONG];
	int len;
	/* out of the newest `size` */
	int failed, count;
	int64_t percentile; /* -1: nothing was up */
};

static int
compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void
naive_look(struct naive *n)
{
	static int64_t up[1000];
	int n_up = 0, from = n->len - (int)n->limits.size;

	n->failed = n->count = 0;
	for (int i = from < 0 ? 0 : from; i < n->len; i++) {
		n->count++;
		if (n->results[i].failed)
			n->failed++;
		else
			up[n_up++] = n->results[i].took_ms;
	}
	qsort(up, (size_t)n_up, sizeof(up[0]), compare);
	/* nearest rank: the least number with at least 90 % of all not above it */
	n->percentile = -1;
	for (int rank = 1; rank <= n_up && n->percentile < 0; rank++)
		if (rank * 10 >= n_up * 9)
			n->percentile = up[rank - 1];
}

static bool
rate_reaches(const struct naive *n, unsigned int percent)
{
	return percent > 0 && n->failed * 100.0 >= (double)percent * n->count;
}

static bool
latency_reaches(const struct naive *n, int64_t limit)
{
	return limit > 0 && n->percentile >= limit;
}

static enum check_status
naive_floor(const struct naive *n, enum check_reason *reason)
{
	const struct window_limits *l = &n->limits;
	bool rate, latency;

	if (n->count < (int)l->size)
		return CHECK_PASSING;
	rate = rate_reaches(n, l->error_critical);
	latency = latency_reaches(n, l->latency_critical_ms);
	if (rate || latency) {
		*reason = rate ? CHECK_REASON_ERROR_RATE : CHECK_REASON_LATENCY;
		return CHECK_CRITICAL;
	}
	rate = rate_reaches(n, l->error_warning);
	latency = latency_reaches(n, l->latency_warning_ms);
	if (rate || latency) {
		*reason = rate ? CHECK_REASON_ERROR_RATE : CHECK_REASON_LATENCY;
		return CHECK_WARNING;
	}
	return CHECK_PASSING;
}

static uint64_t seed;

static int64_t
random_below(int64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (int64_t)(seed % (uint64_t)n);
}

static struct window_limits
random_limits(unsigned int size)
{
	struct window_limits l = { .size = size };

	if (random_below(3) > 0)
		l.error_critical = (unsigned int)random_below(100) + 1;
	if (random_below(3) > 0)
		l.error_warning = (unsigned int)random_below(100) + 1;
	if (random_below(3) > 0)
		l.latency_critical_ms = random_below(60) + 1;
	if (random_below(3) > 0)
		l.latency_warning_ms = random_below(60) + 1;
	return l;
}

/* How often it differs. */
static int
compare_window(const struct naive *n, const struct window *window)
{
	enum check_reason expected = CHECK_REASON_OK, reason = CHECK_REASON_OK;
	bool latency =
	    n->limits.latency_warning_ms > 0 || n->limits.latency_critical_ms > 0;
	enum check_status floor = naive_floor(n, &expected);
	double percent = 100.0 * n->failed / n->count;
	int wrong = window_floor(window, &reason) != floor || reason != expected;

	wrong += window_error_percent(window) != (int)(percent + 0.5 + 1e-9);
	wrong += window_latency_ms(window) != (latency ? n->percentile : -1);
	return wrong;
}

static int
compare_history(unsigned int size, int length)
{
	static struct naive n;
	int wrong = 0;
	int64_t failing = 1, slow = 1;

	n.limits = random_limits(size);
	n.len = 0;
	struct window *window = window_new(&n.limits);
	if (window == NULL)
		return n.limits.error_warning + n.limits.error_critical > 0 ||
		    n.limits.latency_warning_ms + n.limits.latency_critical_ms > 0;
	wrong += window_error_percent(window) != -1 || window_latency_ms(window) != -1;
	for (int i = 0; i < length; i++) {
		if (random_below(30) == 0) {
			failing = random_below(11);
			slow = random_below(80) + 1;
		}
		n.results[n.len++] =
		    (struct result){ random_below(10) < failing, random_below(slow) };
		window_record(window, n.results[i].failed, n.results[i].took_ms);
		naive_look(&n);
		wrong += compare_window(&n, window);
	}
	window_free(window);
	return wrong;
}

static void
histories(void)
{
	seed = random_u64() | 1;
	printf("# seed %" PRIu64 "\n", seed);
	for (unsigned int size = 1; size <= 40; size++)
		for (int i = 0; i < 12; i++)
			CU_ASSERT_EQUAL(compare_history(size, 400), 0);
	CU_ASSERT_EQUAL(compare_history(100, LONG), 0);
	CU_ASSERT_EQUAL(compare_history(1000, LONG), 0);
}

/* Every history of eight results in a window of up to six, of which each failed, was slow or
 * was quick, at limits where a single result decides. */
static void
every_short_history(void)
{
	static struct naive n;
	int wrong = 0, compared = 0;

	for (unsigned int size = 1; size <= 6; size++)
		for (int history = 0; history < 6561; history++) {
			n.limits = (struct window_limits){ size, 34, 50, 5, 9 };
			n.len = 0;
			struct window *window = window_new(&n.limits);
			for (int i = 0, rest = history; i < 8; i++, rest /= 3) {
				int64_t took = rest % 3 == 2 ? 5 + 4 * (i % 2) : 4;
				n.results[n.len++] =
				    (struct result){ rest % 3 == 1, took };
				window_record(window, rest % 3 == 1, took);
				naive_look(&n);
				wrong += compare_window(&n, window);
				compared++;
			}
			window_free(window);
		}
	CU_ASSERT_EQUAL(compared, 6 * 6561 * 8);
	CU_ASSERT_EQUAL(wrong, 0);
}

static void
extremes(void)
{
	struct window_limits none = { .size = 20 };
	struct window_limits slow = { .size = 1, .latency_critical_ms = 3600 * 1000 };

	CU_ASSERT_PTR_NULL(window_new(&none));
	window_free(NULL);
	enum check_reason reason = CHECK_REASON_OK;
	struct window *window = window_new(&slow);
	window_record(window, false, INT64_MAX);
	CU_ASSERT_EQUAL(window_latency_ms(window), UINT32_MAX);
	CU_ASSERT_EQUAL((int)window_floor(window, &reason), (int)CHECK_CRITICAL);
	CU_ASSERT_EQUAL((int)reason, (int)CHECK_REASON_LATENCY);
	window_record(window, false, -1);
	CU_ASSERT_EQUAL(window_latency_ms(window), 0);
	CU_ASSERT_EQUAL((int)window_floor(window, &reason), (int)CHECK_PASSING);
	window_free(window);
}

static const struct tap_case cases[] = {
	{ "every short history agrees with the naive rule", every_short_history },
	{ "long histories agree, at every size up to 40", histories },
	{ "extremes", extremes },
};
TAP_MAIN("window", cases)
