/* SPDX-License-Identifier: ISC */
/*
 * The rule of flap.h against a naive second statement of it, which keeps the whole history
 * in an array and weighs it anew each time: every sequence of two states up to 21 results,
 * so that every pattern of changes was seen, and long random ones of three states at every
 * threshold, where the oldest results fall out.
 */
#include "agent/health/flap.h"

#include <inttypes.h>
#include <stdio.h>

#include "agent/base/util.h"
#include "tests/unit/tap.h"

#define LONG 4000

struct naive {
	enum check_status states[LONG];
	int len;
	bool flapping;
	enum check_status held;
};

/* In units of a nineteenth of a percent: a change weighs 0.8 to 1.2, all 20 of them 20. */
static int
naive_share(const struct naive *n)
{
	int share = 0;

	for (int step = 0; step < 20; step++) {
		int newer = n->len - 20 + step;
		if (newer >= 1 && n->states[newer] != n->states[newer - 1])
			share += 76 + 2 * step; /* 95 * (0.8 + 0.4 * step / 19) */
	}
	return share; /* share / 95 of 20, in percent: share / 19 */
}

static enum check_status
naive_step(struct naive *n, enum check_status state, int threshold)
{
	n->states[n->len++] = state;
	int share = naive_share(n);
	if (!n->flapping) {
		n->flapping = threshold > 0 && share >= 19 * threshold;
		n->held = CHECK_PASSING;
	} else {
		n->flapping = 4 * share >= 19 * threshold;
	}
	for (int i = n->len - 1; i >= 0 && i >= n->len - 21; i--)
		if (n->states[i] > n->held)
			n->held = n->states[i];
	return n->flapping ? n->held : state;
}

struct walk {
	struct naive naive;
	long compared, wrong;
};

/* Both of what may follow, as deep as the history is long. */
static void
walk(struct walk *w, const struct flap *flap)
{
	bool flapping = w->naive.flapping;
	enum check_status held = w->naive.held;

	for (int i = 0; i < 2 && w->naive.len < FLAP_RESULTS; i++) {
		struct flap next = *flap;
		enum check_status state = i == 0 ? CHECK_PASSING : CHECK_CRITICAL;
		enum check_status expected = naive_step(&w->naive, state, 20);
		w->wrong += flap_record(&next, state, 20) != expected ||
		    flap_is_on(&next) != w->naive.flapping;
		w->compared++;
		walk(w, &next);
		w->naive.len--;
		w->naive.flapping = flapping;
		w->naive.held = held;
	}
}

static void
every_pattern(void)
{
	static struct walk w;
	struct flap flap;

	flap_init(&flap);
	walk(&w, &flap);
	CU_ASSERT_EQUAL(w.compared, (1L << 22) - 2);
	CU_ASSERT_EQUAL(w.wrong, 0);
}

static uint64_t
next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* A check that is steady for a while and restless for a while. */
static int
compare_long(int threshold, uint64_t *seed)
{
	static struct naive naive;
	struct flap flap;
	enum check_status state = CHECK_PASSING;
	int wrong = 0, rest = 0, restless = 1;

	naive.len = 0;
	naive.flapping = false;
	flap_init(&flap);
	for (int i = 0; i < LONG; i++) {
		if (rest-- == 0) {
			rest = (int)(next_random(seed) % 60);
			restless = (int)(next_random(seed) % 12) + 1;
		}
		if (next_random(seed) % (uint64_t)restless == 0)
			state = (enum check_status)(next_random(seed) % 3);
		enum check_status expected = naive_step(&naive, state, threshold);
		wrong += flap_record(&flap, state, (unsigned int)threshold) != expected;
		wrong += flap_is_on(&flap) != naive.flapping;
		wrong += flap_state(&flap, state) != expected;
		wrong +=
		    (int)flap_percent(&flap) != (2 * naive_share(&naive) + 19) / 38;
	}
	return wrong;
}

static void
long_histories(void)
{
	uint64_t seed = random_u64() | 1;

	printf("# seed %" PRIu64 "\n", seed);
	for (int threshold = 0; threshold <= 100; threshold++)
		CU_ASSERT_EQUAL(compare_long(threshold, &seed), 0);
}

/* The figures that the manual gives. */
static void
by_example(void)
{
	struct flap flap;
	int results = 0;

	flap_init(&flap);
	for (int i = 0; i < 4; i++)
		flap_record(&flap, i % 2 ? CHECK_CRITICAL : CHECK_PASSING, 20);
	CU_ASSERT_EQUAL(flap_percent(&flap), 18);
	CU_ASSERT_FALSE(flap_is_on(&flap));
	CU_ASSERT_EQUAL(
	    (int)flap_record(&flap, CHECK_PASSING, 20), (int)CHECK_CRITICAL);
	CU_ASSERT_EQUAL(flap_percent(&flap), 23);
	while (flap_is_on(&flap) && results < 100) {
		flap_record(&flap, CHECK_PASSING, 20);
		results++;
	}
	CU_ASSERT_EQUAL(results, 19);
	CU_ASSERT_EQUAL((int)flap_state(&flap, CHECK_PASSING), (int)CHECK_PASSING);
	CU_ASSERT_EQUAL(sizeof(flap), 8);
}

/* A state that was taken over is what the first result may change. */
static void
taken_over(void)
{
	struct flap flap;

	flap_adopt(&flap, CHECK_WARNING);
	CU_ASSERT_EQUAL(flap_percent(&flap), 0);
	flap_record(&flap, CHECK_PASSING, 20);
	CU_ASSERT_EQUAL(flap_percent(&flap), 6);
	flap_init(&flap);
	flap_record(&flap, CHECK_PASSING, 20);
	CU_ASSERT_EQUAL(flap_percent(&flap), 0);
}

static const struct tap_case cases[] = {
	{ "every pattern of changes agrees with the naive rule", every_pattern },
	{ "long histories of three states agree, at every threshold", long_histories },
	{ "it begins and ends where the manual says", by_example },
	{ "a state taken over counts", taken_over },
};
TAP_MAIN("flap", cases)
