/* SPDX-License-Identifier: ISC */
/*
 * The role machine, event by event. Which write is allowed on which content is tried for
 * all contents; the ways in and out of mastership one by one, with the reasons that people
 * see; and that a tick is needed only when role_next_tick says so, by comparing with one
 * each millisecond. What many agents do to each other is the simulation's part.
 */
#include "agent/failover/role.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/unit/role_bench.h"
#include "tests/unit/tap.h"

static void
test_names(void)
{
	for (enum role_reason i = 0; i < ROLE_REASONS; i++)
		for (enum role_reason j = 0; j < i; j++)
			CU_ASSERT_STRING_NOT_EQUAL(
			    role_reason_name(i), role_reason_name(j));
	CU_ASSERT_STRING_EQUAL(role_reason_name(ROLE_REASON_BRANCH), "branch");
	CU_ASSERT_STRING_EQUAL(role_reason_name(ROLE_REASON_LAPSE), "lapse");
	CU_ASSERT_STRING_EQUAL(role_state_name(ROLE_STANDBY), "backup");
	CU_ASSERT_STRING_EQUAL(role_write_name(ROLE_ABANDON), "ABANDON");
}

static void
test_handover(void)
{
	struct bench *bench = master_new(&usual);
	const struct role_action *hold = find(bench, ROLE_ACTION_VIP_HOLD);
	int64_t sent = bench->now.boot - 2;

	expect_state(
	    bench, ROLE_MASTER, ROLE_REASON_HANDED_OVER, "web-2 handed it over");
	CU_ASSERT_PTR_NOT_NULL_FATAL(hold);
	CU_ASSERT_TRUE(hold->first);
	CU_ASSERT_EQUAL(hold->until, sent + 2250);
	CU_ASSERT_EQUAL(hold->term, bench->reg.rev);
	CU_ASSERT_EQUAL(bench->view.term, bench->reg.rev);
	CU_ASSERT_STRING_EQUAL(bench->reg.fence.text,
	    "{\"node\":\"web-1\",\"lease_ms\":3750,\"hold_ms\":0,\"members\":[],\"hb\":"
	    "false}");
	pass(bench, usual.confirm_ms - 1);
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_VIP_HOLD));
	show(bench, true); /* a confirm moves the deadline, each C */
	hold = find(bench, ROLE_ACTION_VIP_HOLD);
	CU_ASSERT_PTR_NOT_NULL_FATAL(hold);
	CU_ASSERT_FALSE(hold->first);
	CU_ASSERT_EQUAL(hold->until, bench->now.boot - 1 + 2250);
	bench_free(bench);
}

/* The first millisecond at which the lease is over, and not one before. */
static void
test_lapse(void)
{
	struct bench *bench = master_new(&usual);

	show(bench, false); /* the watch confirms nothing */
	pass(bench, bench->view.hold_until - 1 - bench->now.boot);
	CU_ASSERT_EQUAL(bench->view.state, ROLE_MASTER);
	bench->now.boot++;
	bench->now.raw++;
	show(bench, true); /* too late to revive it */
	expect_state(bench, ROLE_STANDBY, ROLE_REASON_LAPSE,
	    "the lease could not be confirmed for 2.25 s");
	CU_ASSERT_EQUAL(bench->actions.list[0].type, ROLE_ACTION_VIP_DROP);
	CU_ASSERT_EQUAL(bench->actions.list[0].term, bench->reg.rev);
	expect_write(bench, ROLE_OWN, "web-1", "web-1");
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	expect_state(
	    bench, ROLE_MASTER, ROLE_REASON_RECOVERED, "it was this host's before");
	bench_free(bench);
}

/* Both clocks must agree that the wait is over, whichever is slower. */
static void
test_wait(void)
{
	static const int64_t leases[][2] = { { 3750, 0 }, { 2, 0 }, { 914, 915 },
		{ 1000, 61500 }, { 9007199254740991, 0 } };

	for (size_t i = 0; i < 2 * ARRAY_LENGTH(leases); i++) {
		int64_t lease = leases[i / 2][0], hold = leases[i / 2][1];
		int64_t wait = WAIT_MS(lease > hold ? lease : hold);
		struct bench *bench = bench_new(&usual);
		int64_t *slow = i % 2 ? &bench->now.boot : &bench->now.raw;

		health(bench, ROLE_READY_YES);
		peers(bench, "web-1", true, 100);
		other_writes(bench, "web-2.i9.OWN.1", "web-2", "web-2");
		set_fence(&bench->reg.fence, "web-2", lease, hold);
		str_copy(bench->reg.holder, ROLE_NODE_SIZE, "web-1");
		bench->reg.rev++;
		bench->reg.index++;
		show(bench, true);
		CU_ASSERT_EQUAL_FATAL(bench->view.state, ROLE_WAITING);
		CU_ASSERT_EQUAL(bench->view.wait_until, bench->now.boot + wait);
		CU_ASSERT_TRUE((double)wait >= (double)lease * 1.001 / 0.915);
		*slow -= 1;
		pass(bench, wait);
		CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_WRITE));
		pass(bench, 1);
		expect_write(bench, ROLE_OWN, "web-1", "web-1");
		reply(bench, find(bench, ROLE_ACTION_WRITE), true);
		expect_state(bench, ROLE_MASTER, ROLE_REASON_TAKEOVER,
		    "web-2 is gone and its lease is over");
		bench_free(bench);
	}
}

static void
test_first_election(void)
{
	struct bench *bench = bench_new(&usual);

	role_register_init(&bench->reg, &usual, 1000000, 5);
	bench->reg.index = 40;
	health(bench, ROLE_READY_YES);
	show(bench, true);
	expect_state(bench, ROLE_STANDBY, ROLE_REASON_START, "nobody has it");
	CU_ASSERT_PTR_NULL(
	    await(bench, ROLE_ACTION_WRITE, 20000)); /* presence unknown */
	peers(bench, "web-1 web-0", true, 100);
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_WRITE)); /* web-0 comes first */
	CU_ASSERT_PTR_NOT_NULL(await(bench, ROLE_ACTION_WRITE, 200));
	expect_write(bench, ROLE_CLAIM, "web-1", "");
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	expect_state(bench, ROLE_WAITING, ROLE_REASON_ELECTED,
	    "somebody may have it for another 4.4 s");
	CU_ASSERT_PTR_NOT_NULL(await(bench, ROLE_ACTION_WRITE, WAIT_MS(4000)));
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	expect_state(bench, ROLE_MASTER, ROLE_REASON_ELECTED, "nobody had it");
	bench_free(bench);
}

/* A master whose presence is gone is claimed after the silence; it takes it back, and the
 * next claim waits twice as long. */
static void
test_takeover(void)
{
	struct bench *bench = bench_new(&usual);
	int64_t from;

	health(bench, ROLE_READY_YES);
	peers(bench, "web-1 web-2", true, 100);
	other_writes(bench, "web-2.i9.OWN.1", "web-2", "web-2");
	expect_state(bench, ROLE_STANDBY, ROLE_REASON_START, "web-2 has it");
	CU_ASSERT_PTR_NULL(await(bench, ROLE_ACTION_WRITE, 20000));
	other_writes(bench, "web-3.i9.CLAIM.1", "web-3", "web-2");
	peers(bench, "web-1 web-3", true, 100); /* whoever claimed it is there */
	CU_ASSERT_PTR_NULL(await(bench, ROLE_ACTION_WRITE, 20000));
	peers(bench, "web-1 web-2", true, 100); /* or whom the fence names */
	CU_ASSERT_PTR_NULL(await(bench, ROLE_ACTION_WRITE, 20000));
	other_writes(bench, "web-2.i9.OWN.1", "web-2", "web-2");
	for (int64_t silence = 600; silence < 20000; silence *= 2) {
		peers(bench, "web-1", true, 100);
		from = bench->now.boot;
		CU_ASSERT_PTR_NOT_NULL(await(bench, ROLE_ACTION_WRITE, 30000));
		CU_ASSERT_EQUAL(
		    bench->now.boot - from, silence < 10000 ? silence : 10000);
		expect_write(bench, ROLE_CLAIM, "web-1", "web-2");
		reply(bench, find(bench, ROLE_ACTION_WRITE), true);
		expect_state(bench, ROLE_WAITING, ROLE_REASON_TAKEOVER,
		    "web-2 is gone but may have it for another 4.1 s");
		other_writes(bench, "web-2.i9.OWN.2", "web-2", "web-2");
		expect_state(
		    bench, ROLE_STANDBY, ROLE_REASON_SUPERSEDED, "web-2 took it back");
	}
	peers(bench, "web-1 web-2", true, 100); /* it is back: the patience too */
	peers(bench, "web-1", true, 100);
	from = bench->now.boot;
	CU_ASSERT_PTR_NOT_NULL(await(bench, ROLE_ACTION_WRITE, 30000));
	CU_ASSERT_EQUAL(bench->now.boot - from, 600);
	bench_free(bench);
}

static void
test_objection(void)
{
	struct bench *bench = master_new(&usual);
	int64_t until = bench->view.hold_until;

	other_writes(bench, "web-2.i9.CLAIM.2", "web-2", "web-1");
	CU_ASSERT_EQUAL(bench->view.hold_until, until); /* S5 */
	expect_write(bench, ROLE_OWN, "web-1", "web-1");
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_STATE));
	CU_ASSERT_TRUE(bench->view.hold_until > until);
	peers(bench, "web-1 web-2", false, 100);
	health(bench, ROLE_READY_NO); /* unwell: the claimant may have it */
	other_writes(bench, "web-2.i9.CLAIM.3", "web-2", "web-1");
	expect_state(
	    bench, ROLE_STANDBY, ROLE_REASON_SERVICE, "this host is not ready for it");
	gone(bench);
	expect_write(bench, ROLE_GIVE, "web-2", NULL);
	bench_free(bench);
}

static void
test_give_order(void)
{
	struct bench *bench = master_new(&usual);
	struct role_event event = { .type = ROLE_EVENT_SWITCHOVER, .node = "web-2" };
	uint64_t order;

	feed(bench, &event);
	expect_state(bench, ROLE_STANDBY, ROLE_REASON_SWITCHOVER, "an operator asked");
	order = find(bench, ROLE_ACTION_VIP_DROP)->order;
	event.type = ROLE_EVENT_VIP_GONE;
	event.order = order - 1; /* S15: an answer to an older order */
	feed(bench, &event);
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_WRITE));
	CU_ASSERT_PTR_NOT_NULL(await(bench, ROLE_ACTION_VIP_DROP, 200)); /* again */
	gone(bench);
	expect_write(bench, ROLE_GIVE, "web-2", NULL);
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	peers(bench, "web-1", true, 100); /* web-2 dies; not asked for within 5 s */
	order = (uint64_t)bench->now.boot;
	CU_ASSERT_PTR_NOT_NULL(await(bench, ROLE_ACTION_WRITE, 10000));
	CU_ASSERT_TRUE(bench->now.boot >= (int64_t)order + 4900);
	expect_write(bench, ROLE_OWN, "web-1", "web-1");
	bench_free(bench);
}

static void
test_switchover_refused(void)
{
	struct bench *bench = master_new(&usual);
	struct role_event event = { .type = ROLE_EVENT_SWITCHOVER, .node = "web-3" };

	feed(bench, &event);
	CU_ASSERT_PTR_NOT_NULL(find(bench, ROLE_ACTION_ALARM));
	str_copy(event.node, sizeof(event.node), "web-1");
	feed(bench, &event);
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_ALARM));
	peers(bench, "web-1 web-2", false, 100);
	event.node[0] = '\0';
	feed(bench, &event);
	CU_ASSERT_PTR_NOT_NULL(find(bench, ROLE_ACTION_ALARM));
	CU_ASSERT_EQUAL(bench->view.state, ROLE_MASTER);
	bench_free(bench);
}

static const struct tap_case cases[] = {
	{ "names", test_names },
	{ "a role that is handed over is taken at once", test_handover },
	{ "a lease ends to the millisecond", test_lapse },
	{ "a wait is over when both clocks say so", test_wait },
	{ "the first taker waits", test_first_election },
	{ "a silent master is claimed, ever more patiently", test_takeover },
	{ "a claim is objected to while well", test_objection },
	{ "a role is given only when its address is gone", test_give_order },
	{ "a switchover needs somebody who is ready", test_switchover_refused },
};

TAP_MAIN("role", cases)
