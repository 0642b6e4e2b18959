/* SPDX-License-Identifier: ISC */
/*
 * What a master holds by while Consul is away, and who must have acked for it: the
 * arithmetic of its hold to the millisecond, members that come and go, records that bind
 * together, the wait of whoever is a member and of whoever is not, and the calm.
 */
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/unit/role_bench.h"
#include "tests/unit/tap.h"

/* A master whose record lists them, confirmed just now. */
static struct bench *
holder_new(const struct role_params *params, const char *names)
{
	struct bench *bench = bench_new(params);

	health(bench, ROLE_READY_YES);
	peers(bench, names, true, 100);
	other_writes(bench, "web-2.0000000000000009.GIVE.1", "web-1", NULL);
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	CU_ASSERT_EQUAL_FATAL(bench->view.state, ROLE_MASTER);
	return bench;
}

static void
expect_members(const struct bench *bench, const char *names, int64_t hold_ms)
{
	const struct role_fence *fence = &bench->actions.write.fence;
	char text[256] = "";

	CU_ASSERT_PTR_NOT_NULL_FATAL(find(bench, ROLE_ACTION_WRITE));
	for (size_t i = 0; i < fence->n_members; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
		    i > 0 ? " " : "", fence->members[i]);
	CU_ASSERT_STRING_EQUAL(text, names);
	CU_ASSERT_EQUAL(fence->hold_ms, hold_ms);
	CU_ASSERT_TRUE(fence->hb);
}

/* Time passes in which only that node answers, and Consul every read. */
static void
peered_pass(struct bench *bench, const char *node, int64_t ms, bool writes)
{
	for (int64_t end = bench->now.boot + ms; bench->now.boot < end;) {
		pass(bench, 20);
		if (!find(bench, ROLE_ACTION_WRITE))
			ack(bench, node, bench->now.boot - 5);
		if (!find(bench, ROLE_ACTION_WRITE))
			show(bench, true);
		if (find(bench, ROLE_ACTION_WRITE))
			reply(bench, find(bench, ROLE_ACTION_WRITE), writes);
	}
}

/* Acks are of heartbeats sent `ago`; the clock runs on by `ms`. */
static void
ack_all(struct bench *bench, const char *const *names, size_t n, int64_t ago)
{
	for (size_t i = 0; i < n; i++)
		ack(bench, names[i], bench->now.boot - ago);
}

/* Consul is away: the oldest of the members' newest acks and a lease, and never longer than
 * the hold after the last confirm. */
static void
test_failsafe(void)
{
	static const char *const both[] = { "web-2", "web-3" };
	struct bench *bench = holder_new(&peered, "web-1 web-2 web-3");
	int64_t confirmed = bench->now.boot - 2;

	CU_ASSERT_STRING_EQUAL(bench->reg.fence.text,
	    "{\"node\":\"web-1\",\"lease_ms\":1010,\"hold_ms\":3600010,\"members\":["
	    "\"web-2\",\"web-3\"],\"hb\":true}");
	CU_ASSERT_EQUAL(bench->view.hold_until, confirmed + 1000);
	pass(bench, 500);
	ack(bench, "web-2", bench->now.boot - 3);
	CU_ASSERT_EQUAL(bench->view.hold_until, confirmed + 1000);
	ack(bench, "web-3", bench->now.boot - 7);
	CU_ASSERT_EQUAL(bench->view.hold_until, bench->now.boot - 7 + 1000);
	CU_ASSERT_FALSE(bench->view.failsafe);
	for (int64_t s = 0; s < 3599; s++) {
		pass(bench, 500);
		ack_all(bench, both, 2, 5);
		pass(bench, 500);
		ack_all(bench, both, 2, 5);
		CU_ASSERT_EQUAL_FATAL(bench->view.state, ROLE_MASTER);
	}
	CU_ASSERT_TRUE(bench->view.failsafe);
	CU_ASSERT_EQUAL(bench->view.hold_until, confirmed + 3600000);
	pass(bench, bench->view.hold_until - bench->now.boot - 1);
	ack_all(bench, both, 2, 0);
	CU_ASSERT_EQUAL(bench->view.state, ROLE_MASTER);
	pass(bench, 1);
	expect_state(bench, ROLE_STANDBY, ROLE_REASON_LAPSE,
	    "neither Consul nor all members confirmed the lease for 1 s");
	bench_free(bench);
}

/* S2: the ack that comes in the very millisecond of the lapse revives nothing; and acks to
 * another life, from the future or of an older heartbeat move nothing. */
static void
test_acks_that_count(void)
{
	struct role_event event = { .type = ROLE_EVENT_ACK };
	struct bench *bench = holder_new(&peered, "web-1 web-2");
	int64_t until;

	pass(bench, 400);
	ack(bench, "web-2", bench->now.boot - 5);
	until = bench->view.hold_until;
	pass(bench, 100);
	ack(bench, "web-2", bench->now.boot - 300);
	CU_ASSERT_EQUAL(bench->view.hold_until, until);
	ack(bench, "web-2", bench->now.boot + 1);
	CU_ASSERT_EQUAL(bench->view.hold_until, until);
	ack(bench, "web-9", bench->now.boot);
	CU_ASSERT_TRUE(bench->view.hold_until <= until);
	bench_free(bench);
	bench = holder_new(&peered, "web-1 web-2");
	pass(bench, 400);
	ack(bench, "web-2", bench->now.boot - 5);
	until = bench->view.hold_until;
	str_copy(event.ack.from, sizeof(event.ack.from), "web-2");
	event.ack.inst = 2;
	event.ack.ts = bench->now.boot;
	feed(bench, &event);
	CU_ASSERT_EQUAL(bench->view.hold_until, until);
	pass(bench, until - bench->now.boot - 1);
	bench->now.boot++;
	bench->now.raw++;
	ack(bench, "web-2", bench->now.boot);
	expect_state(bench, ROLE_STANDBY, ROLE_REASON_LAPSE,
	    "neither Consul nor all members confirmed the lease for 1 s");
	bench_free(bench);
}

/* However long the hold is, a deadline is never further away than a lease (S1). */
static void
test_alone(void)
{
	struct bench *bench = holder_new(&peered, "web-1");
	const struct role_action *hold = find(bench, ROLE_ACTION_VIP_HOLD);
	int64_t confirmed = bench->now.boot - 2, last = 0;

	CU_ASSERT_EQUAL(bench->reg.fence.hold_ms, 60010);
	CU_ASSERT_EQUAL(bench->reg.fence.n_members, 0);
	CU_ASSERT_EQUAL(bench->view.hold_until, confirmed + 60000);
	for (int holds = 0; bench->view.state == ROLE_MASTER; holds++) {
		CU_ASSERT_PTR_NOT_NULL_FATAL(hold);
		CU_ASSERT_TRUE(hold->until <= bench->now.boot + 1000);
		CU_ASSERT_TRUE(hold->until <= bench->view.hold_until);
		CU_ASSERT_TRUE(holds == 0 || bench->now.boot - last >= 142);
		last = bench->now.boot;
		hold = await(bench, ROLE_ACTION_VIP_HOLD, 200);
		if (hold == NULL)
			break;
	}
	CU_ASSERT_TRUE(last >= confirmed + 59800);
	CU_ASSERT_TRUE(bench->now.boot >= confirmed + 60000 - 1);
	bench_free(bench);
}

/* S9: whoever comes binds as soon as the record is sent, whoever goes until it is applied. */
static void
test_coming_and_going(void)
{
	struct bench *bench = holder_new(&peered, "web-1 web-2");
	int64_t until;

	pass(bench, 900);
	ack(bench, "web-2", bench->now.boot - 5);
	until = bench->view.hold_until;
	ack(bench, "web-3", bench->now.boot - 400);
	expect_write(bench, ROLE_OWN, "web-1", "web-1");
	expect_members(bench, "web-2 web-3", 3600010);
	CU_ASSERT_EQUAL(bench->view.n_binding, 2);
	CU_ASSERT_EQUAL(bench->view.hold_until, bench->now.boot - 400 + 1000);
	CU_ASSERT_TRUE(bench->view.hold_until < until);
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	CU_ASSERT_EQUAL(bench->view.n_binding, 1);
	until = bench->now.boot;
	for (int i = 0; i < 980; i++) {
		pass(bench, 10);
		CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_WRITE));
		ack(bench, "web-2", bench->now.boot - 5);
		if (i % 10 == 0)
			show(bench, true);
	}
	CU_ASSERT_PTR_NOT_NULL(await(bench, ROLE_ACTION_WRITE, 400));
	CU_ASSERT_TRUE(bench->now.boot > until + 9990);
	expect_members(bench, "web-2", 3600010);
	CU_ASSERT_EQUAL(bench->view.n_binding, 2);
	pass(bench, 500);
	ack(bench, "web-2", bench->now.boot);
	CU_ASSERT_TRUE(bench->view.hold_until < bench->now.boot + 999);
	bench_free(bench);
}

/* More than four records are never out; the index moves by the newest of them. */
static void
test_many_records(void)
{
	static const char *const names[] = { "a", "b", "c", "d", "e", "f" };
	struct bench *bench = holder_new(&peered, "web-1 web-2");
	size_t n = 0;

	for (;;) {
		CU_ASSERT_EQUAL(bench->view.n_binding, n < 3 ? n + 1 : 4);
		ack(bench, "web-2", bench->now.boot - 5);
		ack(bench, names[n], bench->now.boot - 5);
		if (!find(bench, ROLE_ACTION_WRITE))
			CU_ASSERT_PTR_NOT_NULL_FATAL(
			    await(bench, ROLE_ACTION_WRITE, 200));
		CU_ASSERT_EQUAL(
		    bench->actions.write.fence.n_members, n < 3 ? n + 2 : 4);
		if (++n == ARRAY_LENGTH(names))
			break;
		reply(bench, find(bench, ROLE_ACTION_WRITE), false);
		show(bench, true);
	}
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	CU_ASSERT_EQUAL(bench->view.n_binding, 2);
	CU_ASSERT_EQUAL(bench->actions.write.fence.n_members, 7);
	bench_free(bench);
}

/* An OWN that came to nothing may be applied still: what it says binds until another has
 * moved the index, even if nothing of it is wanted any more. */
static void
test_given_up(void)
{
	struct bench *bench = holder_new(&peered, "web-1 web-2");

	ack(bench, "web-2", bench->now.boot - 5);
	ack(bench, "web-3", bench->now.boot - 5);
	if (!find(bench, ROLE_ACTION_WRITE))
		CU_ASSERT_PTR_NOT_NULL_FATAL(await(bench, ROLE_ACTION_WRITE, 200));
	reply(bench, find(bench, ROLE_ACTION_WRITE), false);
	CU_ASSERT_EQUAL(bench->view.n_binding, 2);
	peered_pass(bench, "web-2", 3000, false);
	CU_ASSERT_EQUAL(bench->view.n_binding, 2);
	peered_pass(bench, "web-2", 500, true);
	CU_ASSERT_EQUAL(bench->view.n_binding, 1);
	CU_ASSERT_EQUAL(bench->view.state, ROLE_MASTER);
	CU_ASSERT_EQUAL(bench->view.reg.fence.n_members, 1);
	bench_free(bench);
}

/* S7, by all combinations. */
static void
test_wait(void)
{
	static const int64_t holds[] = { 0, 500, 1010, 60010, 3600010 };

	for (size_t i = 0; i < 2 * ARRAY_LENGTH(holds); i++) {
		int64_t hold = holds[i / 2];
		bool member = i % 2 != 0;
		int64_t z = !member && hold > 1010 ? hold : 1010;
		struct bench *bench = bench_new(&peered);

		health(bench, ROLE_READY_YES);
		peers(bench, "web-1", true, 100);
		other_writes(bench, "web-2.0000000000000009.OWN.1", "web-2", "web-2");
		set_fence(&bench->reg.fence, "web-2", 1010, hold);
		set_members(&bench->reg.fence, member ? "web-3 web-1" : "web-3");
		str_copy(bench->reg.holder, ROLE_NODE_SIZE, "web-1");
		bench->reg.rev++;
		bench->reg.index++;
		show(bench, true);
		CU_ASSERT_EQUAL_FATAL(bench->view.state, ROLE_WAITING);
		CU_ASSERT_EQUAL(bench->view.wait_until, bench->now.boot + WAIT_MS(z));
		/* A member that is ready need not wait so long. */
		peers(bench, "web-1 web-3", true, 100);
		CU_ASSERT_EQUAL(
		    find(bench, ROLE_ACTION_WRITE) != NULL, hold != 0 && !member);
		if (hold != 0 && !member) {
			expect_write(bench, ROLE_ABANDON, "", "web-2");
			CU_ASSERT_EQUAL(bench->view.state, ROLE_STANDBY);
		}
		bench_free(bench);
	}
}

/* Reads each second while all is well, and each C from the first ack that is missing. */
static void
test_calm(void)
{
	struct bench *bench = holder_new(&peered, "web-1 web-2");
	int reads = 0;
	int64_t last;

	for (int i = 0; i < 10000 / 75; i++) {
		pass(bench, 75);
		reads += find(bench, ROLE_ACTION_READ) != NULL;
		if (find(bench, ROLE_ACTION_READ))
			show(bench, true);
		ack(bench, "web-2", bench->now.boot - 1);
		reads += find(bench, ROLE_ACTION_READ) != NULL;
	}
	CU_ASSERT_TRUE(bench->view.calm);
	CU_ASSERT_TRUE(reads >= 9 && reads <= 12);
	last = bench->now.boot - 1;
	if (find(bench, ROLE_ACTION_READ) == NULL)
		CU_ASSERT_PTR_NOT_NULL(await(bench, ROLE_ACTION_READ, 400));
	CU_ASSERT_TRUE(bench->now.boot <= last + 188);
	CU_ASSERT_PTR_NOT_NULL(await(bench, ROLE_ACTION_READ, 400));
	CU_ASSERT_PTR_NOT_NULL(await(bench, ROLE_ACTION_READ, 143));
	CU_ASSERT_FALSE(bench->view.calm);
	bench_free(bench);
	bench = bench_new(&peered); /* a backup that hears its master */
	peers(bench, "web-1", true, 100);
	other_writes(bench, "web-2.0000000000000009.OWN.1", "web-2", "web-2");
	reads = 0;
	for (int i = 0; i < 20000 / 75; i++) {
		beat(bench, "web-2", 1000, ROLE_PHASE_MASTER);
		reads += find(bench, ROLE_ACTION_READ) != NULL;
		pass(bench, 75);
		reads += find(bench, ROLE_ACTION_READ) != NULL;
	}
	CU_ASSERT_TRUE(reads >= 3 && reads <= 5);
	bench_free(bench);
}

/* Acks carry no longer than the hold after a confirm: with a short one the calm ends in time,
 * so that one read may be lost whichever it is. */
static void
test_short_hold(void)
{
	for (int64_t hold = 1000; hold <= 4000; hold += 50) {
		struct role_params params = peered;
		struct bench *bench;
		int reads = 0;

		params.hold_peers_ms = hold;
		bench = holder_new(&params, "web-1 web-2");
		for (int ms = 0; ms < 20000; ms += 25) {
			pass(bench, 25);
			if (find(bench, ROLE_ACTION_READ) && reads++ % 3 != 1)
				show(bench, true);
			if (ms % 75 == 0)
				ack(bench, "web-2", bench->now.boot - 1);
			CU_ASSERT_EQUAL_FATAL(bench->view.state, ROLE_MASTER);
		}
		CU_ASSERT_TRUE(reads >= (hold < 2000 ? 25 : 18));
		bench_free(bench);
	}
}

/* A read that is near joins one that goes out anyway. */
static void
test_along(void)
{
	struct role_event event = { .type = ROLE_EVENT_ALONG };

	for (int64_t ms = 1; ms < 142; ms++) {
		struct bench *bench = master_new(&usual);

		bench_free(bench);
		bench = holder_new(&peered, "web-1");
		CU_ASSERT_PTR_NOT_NULL(find(bench, ROLE_ACTION_READ));
		pass(bench, ms);
		feed(bench, &event);
		CU_ASSERT_EQUAL(find(bench, ROLE_ACTION_READ) != NULL, ms >= 71);
		bench_free(bench);
	}
}

/* A reload: another hold is published, a smaller one right after a confirm. */
static void
test_reload(void)
{
	struct role_params params = peered;
	struct bench *bench = holder_new(&peered, "web-1 web-2");

	params.hold_peers_ms = 1800000;
	pass(bench, 700);
	ack(bench, "web-2", bench->now.boot);
	role_set_params(bench->role, &params);
	pass(bench, 1);
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_WRITE));
	show(bench, true);
	expect_members(bench, "web-2", 1800010);
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	role_set_params(bench->role, &peered);
	pass(bench, 700);
	expect_members(bench, "web-2", 3600010);
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	params.heartbeat_ms = 0;
	role_set_params(bench->role, &params);
	show(bench, true);
	CU_ASSERT_STRING_EQUAL(bench->actions.write.fence.text,
	    "{\"node\":\"web-1\",\"lease_ms\":1010,\"hold_ms\":0,\"members\":[],\"hb\":"
	    "false}");
	bench_free(bench);
}

static const struct tap_case cases[] = {
	{ "a master without Consul", test_failsafe },
	{ "which acks count", test_acks_that_count },
	{ "a master alone", test_alone },
	{ "members come and go", test_coming_and_going },
	{ "many records at once", test_many_records },
	{ "an OWN that was given up", test_given_up },
	{ "members wait for the lease, strangers for the hold", test_wait },
	{ "calm", test_calm },
	{ "calm, and a short hold", test_short_hold },
	{ "reads go together", test_along },
	{ "a reload of the hold", test_reload },
};

TAP_MAIN("role members", cases)
