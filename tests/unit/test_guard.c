/* SPDX-License-Identifier: ISC */
/*
 * The guard of the fence on a veth pair: what opens it is seen, mended, or lost.
 */
#include "agent/warden/guard.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "agent/warden/address.h"
#include "agent/warden/fence.h"
#include "agent/warden/netlink.h"
#include "tests/unit/fence_bed.h"
#include "tests/unit/netns.h"
#include "tests/unit/tap.h"

struct bed {
	struct fence_bed base;
	struct address_shared shared;
	struct guard guard;
};

static void
bed_open(struct bed *bed)
{
	*bed = (struct bed){ .guard = {
				 .shared = &bed->shared, .links = &bed->base.links } };
	fence_bed_open(&bed->base);
	fence_bed_look(&bed->base);
	bed->shared.netlink = bed->base.netlink;
	bed->shared.fence = bed->base.fence;
	CU_ASSERT(guard_mend(&bed->guard));
	CU_ASSERT(guard_stands(&bed->guard));
}

static bool
tc(const char *words)
{
	return netns_run(0, "tc", words, NULL, 0);
}

static void
test_mended(void)
{
	struct bed bed;

	bed_open(&bed);
	for (int i = 0; i < 5; i++) {
		CU_ASSERT(tc("qdisc del dev va clsact"));
		CU_ASSERT_FALSE(guard_stands(&bed.guard));
		CU_ASSERT(bed.guard.suspicious && bed.guard.open);
		CU_ASSERT(guard_mend(&bed.guard));
		CU_ASSERT(guard_stands(&bed.guard));
		CU_ASSERT_FALSE(bed.guard.suspicious || bed.guard.open);
		CU_ASSERT_FALSE(bed.guard.lost);
	}
	fence_bed_close(&bed.base);
}

/* Lost at the third attempt, of those some time apart, and not for ever. */
static void
test_lost(void)
{
	struct bed bed;

	bed_open(&bed);
	CU_ASSERT(tc("qdisc del dev va clsact") && tc("qdisc add dev va ingress"));
	for (int i = 1; i <= 4; i++) {
		CU_ASSERT_FALSE(guard_stands(&bed.guard));
		CU_ASSERT_FALSE(guard_mend(&bed.guard));
		CU_ASSERT_EQUAL(bed.guard.failed, (unsigned int)i);
		bed.guard.failed_at = clock_boot_ms() + 60000;
		CU_ASSERT_FALSE(guard_mend(&bed.guard)); /* at once: none more */
		CU_ASSERT_EQUAL(bed.guard.failed, (unsigned int)i);
		CU_ASSERT_EQUAL(bed.guard.lost, i >= 3);
		bed.guard.failed_at = 0;
		CU_ASSERT_PTR_NOT_NULL(strstr(bed.guard.why, "va"));
	}
	CU_ASSERT(tc("qdisc del dev va ingress"));
	CU_ASSERT(guard_mend(&bed.guard));
	CU_ASSERT_FALSE(bed.guard.lost);
	CU_ASSERT(guard_stands(&bed.guard));
	fence_bed_close(&bed.base);
}

/* Of an interface that is no more nobody can come in. */
static void
test_gone(void)
{
	struct bed bed;

	bed_open(&bed);
	CU_ASSERT(netns_ip(0, "link add vc type veth peer name vd", NULL, 0));
	fence_bed_look(&bed.base);
	CU_ASSERT_FALSE(guard_stands(&bed.guard));
	CU_ASSERT(guard_mend(&bed.guard));
	CU_ASSERT(netns_ip(0, "link del vc", NULL, 0));
	CU_ASSERT(guard_stands(&bed.guard));
	CU_ASSERT_FALSE(bed.guard.open);
	fence_bed_close(&bed.base);
}

static void
test_any(void)
{
	struct bed bed;

	bed_open(&bed);
	CU_ASSERT(guard_finds_any(&bed.guard));
	CU_ASSERT_EQUAL(
	    fence_detach(bed.base.netlink, bed.base.links.list, bed.base.links.count),
	    0);
	CU_ASSERT_FALSE(guard_finds_any(&bed.guard));
	bed.shared.fence = NULL;
	CU_ASSERT_FALSE(guard_stands(&bed.guard));
	CU_ASSERT_FALSE(guard_mend(&bed.guard));
	fence_bed_close(&bed.base);
}

static bool
stands_nowhere(void *arg)
{
	struct bed *bed = arg;
	bool stands = guard_stands(&bed->guard);

	for (int i = 0; i < 3; i++) {
		stands = guard_mend(&bed->guard) || stands;
		bed->guard.failed_at = 0;
	}
	return !stands && bed->guard.lost && strstr(bed->guard.why, "clock") != NULL;
}

static void
test_clock(void)
{
	struct bed bed;

	bed_open(&bed);
	CU_ASSERT(fence_bed_in_other_time(stands_nowhere, &bed));
	fence_bed_close(&bed.base);
}

static const struct tap_case cases[] = {
	{ "a fence that was taken away is put back", test_mended },
	{ "one that cannot be put back is lost until it can", test_lost },
	{ "an interface that is gone is not open", test_gone },
	{ "a fence of anybody is found", test_any },
	{ "with another clock there is none", test_clock },
};

int
main(int argc, char **argv)
{
	if (!fence_bed_enter())
		return 0;
	return tap_main(argc, argv, "guard", cases, ARRAY_LENGTH(cases));
}
