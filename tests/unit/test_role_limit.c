/* SPDX-License-Identifier: ISC */
/*
 * What keeps a role where it is: a limit of moves, an operator's pause; and the ways back
 * into it: an adoption with hooks, a register that is made again, an operator's force.
 */
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/unit/role_bench.h"
#include "tests/unit/tap.h"

/* It goes to another host and comes back, each half second. */
static void
move(struct bench *bench)
{
	pass(bench, 250);
	other_writes(bench, "web-2.0000000000000009.OWN.1", "web-2", "web-2");
	gone(bench);
	pass(bench, 250);
	other_writes(bench, "web-2.0000000000000009.GIVE.1", "web-1", NULL);
	expect_write(bench, ROLE_OWN, "web-1", "web-1");
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
}

static void
test_limit(void)
{
	struct role_params params = peered;
	struct bench *bench;
	int64_t first;

	params.limit = 6;
	params.within_ms = 60000;
	bench = master_new(&params);
	first = bench->now.boot + 250;
	for (int i = 0; i < 3; i++)
		move(bench);
	CU_ASSERT_EQUAL(bench->view.moves, 6);
	health(bench, ROLE_READY_NO);
	CU_ASSERT_EQUAL(bench->view.state, ROLE_MASTER);
	CU_ASSERT_PTR_NOT_NULL(find(bench, ROLE_ACTION_ALARM));
	while (bench->now.boot < first + 59800) {
		pass(bench, 100);
		ack(bench, "web-2", bench->now.boot);
		show(bench, true);
		CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_ALARM));
		CU_ASSERT_EQUAL_FATAL(bench->view.state, ROLE_MASTER);
	}
	for (int i = 0; bench->view.state == ROLE_MASTER && i < 10; i++)
		pass(bench, role_next_tick(bench->role, bench->now) - bench->now.boot);
	expect_state(
	    bench, ROLE_STANDBY, ROLE_REASON_SERVICE, "this host is not ready for it");
	CU_ASSERT_TRUE(bench->now.boot <= first + 60010);
	bench_free(bench);
	/* A silent master is claimed all the same, and an operator's word counts. */
	bench = master_new(&params);
	for (int i = 0; i < 3; i++)
		move(bench);
	struct role_event event = { .type = ROLE_EVENT_SWITCHOVER, .node = "web-2" };
	feed(bench, &event);
	expect_state(bench, ROLE_STANDBY, ROLE_REASON_SWITCHOVER, "an operator asked");
	other_writes(bench, "web-2.0000000000000009.OWN.1", "web-2", "web-2");
	peers(bench, "web-1", true, 100);
	CU_ASSERT_PTR_NOT_NULL(await(bench, ROLE_ACTION_WRITE, 10000));
	expect_write(bench, ROLE_CLAIM, "web-1", "web-2");
	bench_free(bench);
}

/* Without heartbeats 6.9 wants presence gone; with them silence is enough, and a pause stops
 * that too. */
static void
test_pause(void)
{
	struct role_event pause = { .type = ROLE_EVENT_PAUSE, .paused = true };
	struct role_event event = { .type = ROLE_EVENT_SWITCHOVER };
	struct role_params params = peered;
	struct bench *bench = bench_new(&peered);

	health(bench, ROLE_READY_YES);
	peers(bench, "web-1", true, 100);
	feed(bench, &pause);
	CU_ASSERT_TRUE(bench->view.paused);
	other_writes(bench, "web-2.0000000000000009.OWN.1", "web-2", "web-2");
	CU_ASSERT_PTR_NULL(await(bench, ROLE_ACTION_WRITE, 60000));
	other_writes(bench, "web-2.0000000000000009.GIVE.2", "web-1", NULL);
	expect_write(bench, ROLE_OWN, "web-1", "web-1"); /* by an operator's word */
	bench_free(bench);

	params.preempt = true;
	bench = master_new(&params);
	feed(bench, &pause);
	peers(bench, "web-2", true, 200);
	ack(bench, "web-2", bench->now.boot);
	health(bench, ROLE_READY_NO);
	CU_ASSERT_EQUAL(bench->view.state, ROLE_MASTER);
	pass(bench, 5000); /* after a lapse, too, it comes back */
	expect_write(bench, ROLE_OWN, "web-1", "web-1");
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	feed(bench, &event); /* the best, an operator says */
	gone(bench);
	expect_write(bench, ROLE_GIVE, "web-2", NULL);
	bench_free(bench);

	bench = master_new(&params);
	feed(bench, &pause);
	stop(bench);
	gone(bench);
	expect_write(bench, ROLE_GIVE, "", NULL);
	bench_free(bench);
}

/* The promote hook of the last term has succeeded: the address is there at once. */
static void
test_promoted_before(void)
{
	struct role_params params = peered;

	params.has_promote = true;
	for (int before = 0; before < 2; before++)
		for (int given = 0; given < 2; given++) {
			struct bench *bench;

			params.promoted_before = before;
			bench = bench_new(&params);
			health(bench, ROLE_READY_YES);
			other_writes(bench, "web-1.0000000000000000.OWN.1", "web-1",
			    given ? NULL : "web-1");
			reply(bench, find(bench, ROLE_ACTION_WRITE), true);
			CU_ASSERT_EQUAL_FATAL(bench->view.state, ROLE_MASTER);
			CU_ASSERT_PTR_NOT_NULL(find(bench, ROLE_ACTION_PROMOTE));
			CU_ASSERT_EQUAL(find(bench, ROLE_ACTION_VIP_HOLD) != NULL,
			    before && !given);
			bench_free(bench);
		}
}

/* 10.8: above all that was ever heard; reads do not count meanwhile. */
static void
test_made_again(void)
{
	struct role_event event = { .type = ROLE_EVENT_ACK };
	struct bench *bench = master_new(&peered);
	int64_t until;

	str_copy(event.ack.from, sizeof(event.ack.from), "web-2");
	event.ack.inst = 1;
	event.ack.ts = bench->now.boot;
	event.ack.known = 5000;
	feed(bench, &event);
	until = bench->view.hold_until;
	bench->reg.index = 0;
	show(bench, true);
	CU_ASSERT_TRUE(bench->view.lost);
	expect_write(bench, ROLE_OWN, "web-1", "web-1");
	CU_ASSERT_EQUAL(bench->actions.write.rev, 5001);
	CU_ASSERT_EQUAL(find(bench, ROLE_ACTION_WRITE)->base, 0);
	CU_ASSERT_EQUAL(bench->view.hold_until, until);
	pass(bench, 900);
	ack(bench, "web-2", bench->now.boot);
	CU_ASSERT_EQUAL(bench->view.hold_until, bench->now.boot + 1000);
	bench_free(bench);
}

static void
test_namesake(void)
{
	struct role_event event = { .type = ROLE_EVENT_NAMESAKE, .namesake = true };
	struct bench *bench = master_new(&peered);

	feed(bench, &event);
	other_writes(bench, "web-2.0000000000000009.CLAIM.1", "web-2", "web-1");
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_WRITE));
	CU_ASSERT_EQUAL(bench->view.state, ROLE_MASTER);
	event.namesake = false;
	feed(bench, &event);
	expect_write(bench, ROLE_OWN, "web-1", "web-1");
	bench_free(bench);
}

/* By name of the host and of whom the register names. */
static void
test_force(void)
{
	static const struct {
		const char *fence, *node, *old;
		bool good;
	} table[] = { { "web-2", "web-1", "web-2", true },
		{ "web-2", "web-3", "web-2", true },
		{ "web-2", "web-1", "web-3", false },
		{ "web-2", "web-2", "web-2", false }, { "web-2", "", "web-2", false },
		{ "", "web-1", "", false }, { NULL, "web-1", "web-2", false } };

	for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
		struct role_register now = { .rev = 7, .holder = "web-2" }, out;
		struct bench *bench = bench_new(&peered);
		struct role_wid wid;
		char why[160] = "";

		if (table[i].fence)
			set_fence(&now.fence, table[i].fence, 1010, 0);
		CU_ASSERT_EQUAL(role_force(&now, &peered, 5, table[i].node,
				    table[i].old, &out, why, sizeof(why)),
		    table[i].good);
		CU_ASSERT_EQUAL(why[0] == '\0', table[i].good);
		if (table[i].good) {
			CU_ASSERT_EQUAL(out.rev, 8);
			CU_ASSERT_STRING_EQUAL(out.holder, table[i].node);
			CU_ASSERT_FALSE(out.fence.present);
			CU_ASSERT_TRUE(role_wid_split(out.wid, &wid));
			CU_ASSERT_STRING_EQUAL(wid.node, "web-1");
			CU_ASSERT_STRING_EQUAL(wid.inst, "0000000000000001");
			CU_ASSERT_STRING_EQUAL(wid.kind, "FORCE");
			health(bench, ROLE_READY_YES);
			bench->reg = out;
			bench->reg.index = 9;
			show(bench, true);
			CU_ASSERT_EQUAL(find(bench, ROLE_ACTION_WRITE) != NULL,
			    strcmp(table[i].node, "web-1") == 0);
		}
		bench_free(bench);
	}
}

/* Names have dots; from its end a write id is clear. */
static void
test_wid(void)
{
	struct role_wid wid;

	CU_ASSERT_TRUE(role_wid_split("db-1.example.org.00ff.OWN.12", &wid));
	CU_ASSERT_STRING_EQUAL(wid.node, "db-1.example.org");
	CU_ASSERT_STRING_EQUAL(wid.inst, "00ff");
	CU_ASSERT_STRING_EQUAL(wid.kind, "OWN");
	CU_ASSERT_FALSE(role_wid_split("", &wid));
	CU_ASSERT_FALSE(role_wid_split("a.b.c", &wid));
	CU_ASSERT_FALSE(role_wid_split("a.b.a-kind-that-is-far-too-long.c", &wid));
}

static const struct tap_case cases[] = {
	{ "so many moves and no more", test_limit },
	{ "a paused role stays where it is", test_pause },
	{ "promoted before", test_promoted_before },
	{ "a lost register is made again", test_made_again },
	{ "a namesake", test_namesake },
	{ "an operator's force", test_force },
	{ "write ids", test_wid },
};

TAP_MAIN("role limit", cases)
