/* SPDX-License-Identifier: ISC */
/*
 * The budget of a failover: the figures that the protocol's page names, and the rule that
 * more time in any timer makes no figure less.
 */
#include "agent/conf/budget.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "tests/unit/conf_text.h"
#include "tests/unit/tap.h"

static struct conf_budget
budget_of(const char *text, bool bpf, unsigned int rank)
{
	struct conf *conf = conf_of_text(text);
	struct conf_budget budget;

	conf_budget(conf, conf->roles[0], bpf, rank, &budget);
	conf_free(conf);
	return budget;
}

/* Section 12, and what the lab must keep to. */
static void
test_page(void)
{
	struct conf_budget bpf = budget_of("role x { }", true, 0);
	struct conf_budget seconds = budget_of("role x { }", false, 0);
	struct conf_budget quick = budget_of("role x { lease = 600ms }", true, 0);
	struct conf_budget third = budget_of("role x { }", true, 1);
	struct conf_budget off =
	    budget_of("failover { heartbeats = false } role x { }", true, 0);

	CU_ASSERT_EQUAL(bpf.wait_ms, 1105);
	CU_ASSERT_EQUAL(seconds.wait_ms, 4103);
	CU_ASSERT(bpf.crash_ms >= 1460 && bpf.crash_ms <= 1600);
	CU_ASSERT(quick.crash_ms >= 1020 && quick.crash_ms <= 1100);
	CU_ASSERT(seconds.crash_ms >= 4740 && seconds.crash_ms <= 4850);
	CU_ASSERT_EQUAL(bpf.isolated_ms, bpf.crash_ms);
	CU_ASSERT_EQUAL(bpf.deaf_ms, bpf.crash_ms + 1000);
	CU_ASSERT_EQUAL(bpf.soon_ms, bpf.crash_ms - 300 + 5000);
	CU_ASSERT_EQUAL(third.crash_ms, bpf.crash_ms + 200);
	CU_ASSERT(bpf.taker_ms >= 2 * (300 + 1105));
	CU_ASSERT(bpf.stranger_alone_ms >= 70000 && bpf.stranger_alone_ms < 80000);
	CU_ASSERT(bpf.stranger_ms >= 3600000 && bpf.stranger_ms < 4000000);
	CU_ASSERT_EQUAL(bpf.planned_ms, 15);
	CU_ASSERT_EQUAL(bpf.hooks_ms, 0);
	CU_ASSERT_EQUAL(bpf.outage_ms, 3600000);
	CU_ASSERT_EQUAL(bpf.outage_alone_ms, 60000);
	CU_ASSERT(off.lease_ms == 15000 && off.crash_ms > 30000 + 15000);
	CU_ASSERT_EQUAL(off.outage_ms, 0);
	CU_ASSERT_EQUAL(off.stranger_ms, off.crash_ms);
}

static bool
not_less(const struct conf_budget *a, const struct conf_budget *b)
{
	return a->crash_ms >= b->crash_ms && a->isolated_ms >= b->isolated_ms &&
	    a->deaf_ms >= b->deaf_ms && a->soon_ms >= b->soon_ms &&
	    a->taker_ms >= b->taker_ms && a->stranger_ms >= b->stranger_ms &&
	    a->stranger_alone_ms >= b->stranger_alone_ms &&
	    a->unheard_ms >= b->unheard_ms && a->wait_ms >= b->wait_ms &&
	    a->taker_ms > a->crash_ms && a->crash_ms > a->silence_ms + a->wait_ms &&
	    a->wait_ms > a->lease_ms + a->late_ms;
}

static void
try_more(int lease, int silence, int hold, const int more[3])
{
	AUTO_FREE char *first =
	    xasprintf("failover { lease = %dms silence = %dms outage-hold = %ds "
		      "outage-hold-alone = %ds } role x { }",
		lease, silence, hold, hold);
	AUTO_FREE char *second =
	    xasprintf("failover { lease = %dms silence = %dms outage-hold = %ds "
		      "outage-hold-alone = %ds } role x { }",
		lease + more[0], silence + more[1], hold + more[2], hold + more[2]);

	for (unsigned int rank = 0; rank < 3; rank++)
		for (int bpf = 0; bpf < 2; bpf++) {
			struct conf_budget a = budget_of(first, bpf != 0, rank);
			struct conf_budget b = budget_of(second, bpf != 0, rank);
			struct conf_budget c = budget_of(first, bpf != 0, rank + 1);
			CU_ASSERT(not_less(&b, &a));
			CU_ASSERT(not_less(&c, &a));
		}
}

static void
test_more(void)
{
	static const int more[][3] = { { 1000, 0, 0 }, { 0, 100, 0 }, { 0, 0, 10 } };

	for (int lease = 1250; lease < 6000; lease += 1000)
		for (int silence = 100; silence <= 800; silence += 100)
			for (int hold = 10; hold < 3600; hold *= 4)
				for (size_t i = 0; i < ARRAY_LENGTH(more); i++)
					try_more(lease, silence, hold, more[i]);
}

/* The slowest check of all services counts, and hooks that there are. */
static void
test_role(void)
{
	static const char text[] =
	    "service a { tcp quick { address = \"127.0.0.1:1\" interval = 1s } }\n"
	    "service b { tcp slow { address = \"127.0.0.1:1\" interval = 4s\n"
	    "    fast-interval = 1s timeout = 3s fall = 3 } }\n"
	    "service c { ttl told { ttl = 5s } }\n"
	    "role x { services = {a, b, c}\n"
	    "  hooks { promote = {/bin/true} notify = {/bin/true} timeout = 7s } }";
	struct conf_budget budget = budget_of(text, true, 0);

	CU_ASSERT_EQUAL(budget.detect_ms, 4000 + 3000 + 2 * 3000);
	CU_ASSERT_EQUAL(budget.hooks_ms, 7000);
}

static void
test_words(void)
{
	static const char text[] = "role x { } role y { lease = 4250ms } role z { }";
	struct conf *conf = conf_of_text(text);
	AUTO_FREE char *lines = NULL;
	size_t size = 0;
	cJSON *list AUTO_JSON = conf_budget_json(conf);
	const cJSON *item;
	int count = 0;

	FILE *out = open_memstream(&lines, &size);
	conf_budget_print(out, conf);
	fclose(out);
	CU_ASSERT_PTR_NOT_NULL(strstr(lines, "role x, z: with the fence lifetime"));
	CU_ASSERT_PTR_NULL(strstr(lines, "role z"));
	cJSON_ArrayForEach (item, list) {
		struct conf_budget budget;
		const char *fence = json_text(item, "fence");
		uint64_t crash = 0;
		conf_budget(conf, conf_find_role(conf, json_text(item, "role")),
		    strcmp(fence, "bpf") == 0, 0, &budget);
		CU_ASSERT(json_get_uint(item, "crash_ms", &crash));
		CU_ASSERT_EQUAL((int64_t)crash, budget.crash_ms);
		count++;
	}
	CU_ASSERT_EQUAL(count, conf_has_bpf() ? 6 : 3);
	conf_free(conf);
}

static const struct tap_case cases[] = {
	{ "the figures of the page", test_page },
	{ "more time makes nothing less", test_more },
	{ "checks and hooks of a role", test_role },
	{ "words", test_words },
};

TAP_MAIN("budget", cases)
