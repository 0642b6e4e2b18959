/* SPDX-License-Identifier: ISC */
/*
 * When a failure is said: at once and once, or, where it may pass by itself, when it has
 * lasted; and its end when its beginning was. Held against all runs of failures of each
 * kind, at each pace.
 */
#include "agent/consul/complaint.h"

#include "agent/base/util.h"
#include "agent/consul/consul.h"
#include "tests/unit/tap.h"

static const struct {
	struct consul_reply reply;
	bool passes;
} kinds[] = {
	{ { .result = CONSUL_DENIED, .status = 403, .why = "Permission denied" },
	    false },
	{ { .result = CONSUL_BAD, .status = 413, .why = "too large" }, false },
	{ { .result = CONSUL_CONFLICT, .status = 409, .why = "no" }, false },
	{ { .result = CONSUL_DENIED, .status = 403, .why = "403 ACL not found" },
	    true },
	{ { .result = CONSUL_BUSY, .status = 500, .why = "No cluster leader" }, true },
	{ { .result = CONSUL_BUSY, .status = 429, .why = "rate limit exceeded" },
	    true },
};

/* The rule, said another way: the first time, or the first at which it has lasted. */
static bool
expected(bool passes, unsigned int times, int64_t pace)
{
	unsigned int first = 1;

	if (passes)
		while (first < 3 || (int64_t)(first - 1) * pace < 10000)
			first++;
	return times == first;
}

static void
test_once(void)
{
	static const int64_t paces[] = { 1, 100, 999, 5000, 9999, 10000, 60000 };

	for (size_t kind = 0; kind < ARRAY_LENGTH(kinds); kind++)
		for (size_t p = 0; p < ARRAY_LENGTH(paces); p++) {
			struct complaint complaint = { 0 };
			bool said = false;

			for (unsigned int i = 1; i < 12000; i++) {
				bool due = complaint_due(&complaint, &kinds[kind].reply,
				    77 + (i - 1) * paces[p]);

				CU_ASSERT_EQUAL(
				    due, expected(kinds[kind].passes, i, paces[p]));
				said = said || due;
			}
			CU_ASSERT_TRUE(said);
			CU_ASSERT_TRUE(complaint_over(&complaint));
			CU_ASSERT_FALSE(complaint_over(&complaint));
		}
}

/* What works in between begins anew, and what was not said does not end. */
static void
test_passed(void)
{
	struct complaint complaint = { 0 };

	for (int64_t now = 0; now < 100000; now += 5000) {
		CU_ASSERT_FALSE(complaint_due(&complaint, &kinds[3].reply, now));
		CU_ASSERT_FALSE(complaint_due(&complaint, &kinds[4].reply, now + 4000));
		CU_ASSERT_FALSE(complaint_over(&complaint));
	}
}

static const struct tap_case cases[] = {
	{ "said once, when it is due", test_once },
	{ "what passes is not said", test_passed },
};

TAP_MAIN("complaint", cases)
