/* SPDX-License-Identifier: ISC */
/*
 * What the comparison with the reference found and the protocol's page settled: each of
 * these was decided otherwise once, by the machine or by tests/model/role.py.
 */
#include <string.h>

#include "agent/base/util.h"
#include "tests/unit/role_bench.h"
#include "tests/unit/tap.h"

/* 6.1: a master whose register is lost makes it again before it looks at anything else. */
static void
test_lost_before_giving(void)
{
	struct bench *bench = master_new(&usual);

	peers(bench, "web-1 web-2", true, 100);
	bench->reg.index = 0;
	show(bench, true);
	expect_write(bench, ROLE_OWN, "web-1", "web-1");
	stop(bench);
	CU_ASSERT_EQUAL(bench->view.state, ROLE_MASTER);
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_VIP_DROP));
	bench->actions.list[0] =
	    (struct role_action){ .type = ROLE_ACTION_WRITE, .kind = ROLE_OWN };
	reply(bench, &bench->actions.list[0], true);
	expect_state(bench, ROLE_STANDBY, ROLE_REASON_STOP, "lictord stops here");
	bench_free(bench);
}

/* 10.8: only a master makes it again, and it is none once its lease is over. */
static void
test_lost_after_a_lapse(void)
{
	struct bench *bench = master_new(&usual);
	const struct role_action *write;

	bench->reg.index = 0;
	show(bench, true);
	write = find(bench, ROLE_ACTION_WRITE);
	reply(bench, write, false);
	pass(bench, 2250);
	CU_ASSERT_EQUAL(bench->view.state, ROLE_STANDBY);
	CU_ASSERT_TRUE(bench->view.lost);
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_WRITE));
	CU_ASSERT_PTR_NULL(await(bench, ROLE_ACTION_WRITE, 60000));
	bench_free(bench);
}

static void
present(struct bench *bench, const char *node)
{
	struct role_peer peer = { .ready = true, .priority = 100, .hb = true };
	struct role_event event = { .type = ROLE_EVENT_PEERS, .peers = { 1, &peer } };

	str_copy(peer.node, sizeof(peer.node), node);
	feed(bench, &event);
}

/* 10.7: an OWN from WAITING lists who is present when it is sent, the second one too. */
static void
test_members_of_a_second_own(void)
{
	struct role_params params = usual;
	struct bench *bench;
	struct role_action write;

	params.heartbeat_ms = 150;
	params.member_ms = 10000;
	params.hold_alone_ms = params.hold_peers_ms = 60000;
	bench = bench_new(&params);
	health(bench, ROLE_READY_YES);
	present(bench, "web-2");
	other_writes(bench, "web-2.i9.CLAIM.1", "web-1", "web-3");
	CU_ASSERT_PTR_NOT_NULL_FATAL(await(bench, ROLE_ACTION_WRITE, 6000));
	CU_ASSERT_EQUAL(bench->actions.write.fence.n_members, 1);
	CU_ASSERT_STRING_EQUAL(bench->actions.write.fence.members[0], "web-2");
	write = *find(bench, ROLE_ACTION_WRITE);
	present(bench, "web-4");
	pass(bench, 2250);
	reply(bench, &write, true);
	expect_write(bench, ROLE_OWN, "web-1", "web-1");
	CU_ASSERT_EQUAL(bench->actions.write.fence.n_members, 1);
	CU_ASSERT_STRING_EQUAL(bench->actions.write.fence.members[0], "web-4");
	bench_free(bench);
}

/* What the watch brings may be older than the read that found another version. */
static void
test_unreadable(void)
{
	struct role_event event = { .type = ROLE_EVENT_UNREADABLE };
	struct bench *bench = bench_new(&usual);

	health(bench, ROLE_READY_YES);
	feed(bench, &event);
	CU_ASSERT_PTR_NOT_NULL(find(bench, ROLE_ACTION_ALARM));
	bench->reg.rev = 1000;
	bench->reg.index = 7;
	str_copy(bench->reg.wid, sizeof(bench->reg.wid), "web-2.i9.GIVE.1");
	str_copy(bench->reg.holder, sizeof(bench->reg.holder), "web-1");
	show(bench, false);
	CU_ASSERT_TRUE(bench->view.unreadable);
	CU_ASSERT_PTR_NULL(await(bench, ROLE_ACTION_WRITE, 10000));
	show(bench, true);
	expect_write(bench, ROLE_OWN, "web-1", "web-1");
	bench_free(bench);
}

/* An OWN of an earlier life of this agent arrives while it waits: it is this host's, so
 * the reason that hooks see is that of a return. */
static void
test_an_earlier_lifes_own(void)
{
	struct bench *bench = bench_new(&usual);

	health(bench, ROLE_READY_YES);
	other_writes(bench, "web-1.i0.CLAIM.1", "web-1", "web-3");
	CU_ASSERT_EQUAL(bench->view.state, ROLE_WAITING);
	other_writes(bench, "web-1.i0.OWN.2", "web-1", "web-1");
	expect_write(bench, ROLE_OWN, "web-1", "web-1");
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	expect_state(
	    bench, ROLE_MASTER, ROLE_REASON_RECOVERED, "it was this host's before");
	bench_free(bench);
}

static const struct tap_case cases[] = {
	{ "an OWN of an earlier life", test_an_earlier_lifes_own },
	{ "a lost register before a stop", test_lost_before_giving },
	{ "a lost register after a lapse", test_lost_after_a_lapse },
	{ "the members of a second OWN", test_members_of_a_second_own },
	{ "a register of another version", test_unreadable },
};

TAP_MAIN("role settled", cases)
