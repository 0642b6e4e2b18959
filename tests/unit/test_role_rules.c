/* SPDX-License-Identifier: ISC */
/*
 * Rules of the role machine that hold for all contents or all moments: the table of who
 * may write what, ticks that are due exactly when role_next_tick says so; and what happens
 * when hooks fail, Consul forgets, names are used twice and leases are made shorter.
 */
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/unit/role_bench.h"
#include "tests/unit/tap.h"

#define NAMES 4

/* Section 2 of the protocol's page, for web-1 in STANDBY. */
static bool
allowed(const struct role_register *old, enum role_write kind,
    const struct role_register *new, bool vip_gone)
{
	bool holder = strcmp(old->holder, "web-1") == 0;
	bool fenced = old->fence.present && strcmp(old->fence.node, "web-1") == 0;
	bool copied = old->fence.present ==
	    new->fence.present &&strcmp(old->fence.text, new->fence.text) == 0;

	if (new->rev <= old->rev || strcmp(new->wid, old->wid) == 0)
		return false;
	switch (kind) {
	case ROLE_OWN:
		return strcmp(new->holder, "web-1") == 0 &&
		    strcmp(new->fence.node, "web-1") == 0 &&
		    (!old->fence.present || fenced);
	case ROLE_CLAIM:
		return old->fence.present && !fenced && !holder && copied &&
		    strcmp(new->holder, "web-1") == 0;
	case ROLE_GIVE:
		return fenced &&
		    !new->fence.present &&vip_gone &&strcmp(new->holder, "web-1") != 0;
	case ROLE_ABANDON: return holder && !fenced && copied && new->holder[0] == '\0';
	}
	return false;
}

/* What a fresh agent writes first on that content, within 20 s; 1: something. */
static int
first_write(const char *holder, const char *fence, enum role_ready ready, bool stopping,
    const char *present)
{
	struct bench *bench = bench_new(&usual);
	const struct role_action *write;
	bool vip_gone = false;
	int64_t end = bench->now.boot + 20000;

	health(bench, ready);
	peers(bench, present, true, 100);
	if (stopping)
		stop(bench);
	other_writes(bench, "web-9.i9.OWN.1", holder, fence);
	while (!(write = find(bench, ROLE_ACTION_WRITE)) && bench->now.boot < end) {
		if (find(bench, ROLE_ACTION_VIP_DROP)) {
			gone(bench);
			vip_gone = true;
		} else {
			pass(bench,
			    role_next_tick(bench->role, bench->now) - bench->now.boot);
		}
		if (bench->view.state == ROLE_WAITING) /* the rest is test_wait's */
			break;
	}
	if (write)
		CU_ASSERT_TRUE(
		    allowed(&bench->reg, write->kind, &bench->actions.write, vip_gone));
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_VIP_HOLD));
	bench_free(bench);
	return write != NULL;
}

static void
test_table(void)
{
	static const char *const holders[NAMES] = { "", "web-1", "web-2", "web-3" };
	static const char *const fences[NAMES + 1] = { NULL, "", "web-1", "web-2",
		"web-3" };
	static const char *const present[] = { "", "web-1", "web-1 web-2",
		"web-2 web-3" };
	int writes = 0;

	for (size_t h = 0; h < NAMES; h++)
		for (size_t f = 0; f <= NAMES; f++)
			for (size_t p = 0; p < ARRAY_LENGTH(present); p++)
				for (int bits = 0; bits < 6; bits++)
					writes += first_write(holders[h], fences[f],
					    (enum role_ready)(bits / 2), bits % 2 != 0,
					    present[p]);
	CU_ASSERT_TRUE(writes > 150);
}

/* A story in which much happens, told with a tick each millisecond or only when one is
 * due: the actions must be the same at the same times. */
static void
tell(struct bench *bench, bool each_ms, struct buf *out)
{
	struct role_event event = { .type = ROLE_EVENT_TICK };
	int64_t start = bench->now.boot;

	for (int64_t ms = 0; ms < 40000; ms++) {
		bench->now.boot = start + ms;
		bench->now.raw += ms % 50 != 0; /* raw is the slower one */
		if (ms == 100)
			health(bench, ROLE_READY_YES);
		else if (ms == 200)
			peers(bench, "web-1 web-0", true, 100);
		else if (ms == 700)
			other_writes(bench, "web-2.i9.OWN.1", "web-2", "web-2");
		else if (ms == 20000)
			peers(bench, "web-1 web-3", true, 200);
		else if (find(bench, ROLE_ACTION_WRITE))
			reply(bench, find(bench, ROLE_ACTION_WRITE), ms % 2 == 0);
		else if (find(bench, ROLE_ACTION_READ) && ms % 3 != 0 &&
		    (ms < 15000 || ms > 18000))
			show(bench, true);
		else if (each_ms ||
		    role_next_tick(bench->role, bench->now) <= bench->now.boot)
			role_step(bench->role, &event, bench->now, &bench->actions);
		else
			bench->actions.count = 0;
		bench->now.boot = start + ms;
		for (size_t i = 0; i < bench->actions.count; i++)
			buf_printf(
			    out, "%d:%d ", (int)ms, (int)bench->actions.list[i].type);
	}
}

static void
test_ticks(void)
{
	struct role_params params = usual;
	struct buf often = { .limit = 1 << 20 }, rarely = { .limit = 1 << 20 };
	struct bench *bench;

	params.preempt = params.has_promote = true;
	params.address_first = true;
	params.preempt_delay_ms = 1234;
	bench = bench_new(&params);
	tell(bench, true, &often);
	bench_free(bench);
	bench = bench_new(&params);
	tell(bench, false, &rarely);
	CU_ASSERT_TRUE(often.len > 1000);
	CU_ASSERT_STRING_EQUAL(often.data, rarely.data);
	bench_free(bench);
	buf_free(&often);
	buf_free(&rarely);
}

static void
test_promote(void)
{
	struct role_params params = usual;
	struct bench *bench;

	params.has_promote = params.has_demote = true;
	bench = master_new(&params);
	CU_ASSERT_PTR_NOT_NULL(find(bench, ROLE_ACTION_PROMOTE));
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_VIP_HOLD));
	pass(bench, 500);
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_VIP_HOLD));
	hook_done(bench, false, true);
	CU_ASSERT_PTR_NOT_NULL(find(bench, ROLE_ACTION_VIP_HOLD));
	stop(bench);
	CU_ASSERT_PTR_NOT_NULL(find(bench, ROLE_ACTION_DEMOTE));
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_WRITE));
	CU_ASSERT_TRUE(bench->view.leaving);
	show(bench, true); /* it goes on holding meanwhile */
	CU_ASSERT_PTR_NOT_NULL(find(bench, ROLE_ACTION_VIP_HOLD));
	hook_done(bench, true, false);
	expect_state(bench, ROLE_STANDBY, ROLE_REASON_STOP, "lictord stops here");
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_DEMOTE));
	gone(bench);
	expect_write(bench, ROLE_GIVE, "web-2", NULL);
	bench_free(bench);
	params.address_first = true;
	bench = master_new(&params);
	CU_ASSERT_PTR_NOT_NULL(find(bench, ROLE_ACTION_VIP_HOLD));
	bench_free(bench);
}

/* Not again for 5 s, unless its services' state changes, not even when it is given. */
static void
test_promote_failed(void)
{
	struct role_params params = usual;

	params.has_promote = true;
	for (int change = 0; change < 2; change++) {
		struct bench *bench = master_new(&params);
		int64_t from;

		hook_done(bench, false, false);
		expect_state(
		    bench, ROLE_STANDBY, ROLE_REASON_HOOK, "the promote hook failed");
		from = bench->now.boot;
		gone(bench);
		expect_write(bench, ROLE_GIVE, "web-2", NULL);
		reply(bench, find(bench, ROLE_ACTION_WRITE), true);
		other_writes(bench, "web-2.i9.GIVE.2", "web-1", NULL);
		expect_write(bench, ROLE_ABANDON, "", NULL);
		reply(bench, find(bench, ROLE_ACTION_WRITE), true);
		if (change) {
			health(bench, ROLE_READY_NO);
			health(bench, ROLE_READY_YES);
		}
		CU_ASSERT_PTR_NOT_NULL(await(bench, ROLE_ACTION_WRITE, 6000));
		expect_write(bench, ROLE_OWN, "web-1", "web-1");
		CU_ASSERT_TRUE((bench->now.boot >= from + 5000) == !change);
		bench_free(bench);
	}
}

static void
test_demote_after_lapse(void)
{
	struct role_params params = usual;
	struct bench *bench;

	params.has_demote = true;
	bench = master_new(&params);
	pass(bench, 2250);
	CU_ASSERT_PTR_NOT_NULL(find(bench, ROLE_ACTION_DEMOTE));
	bench_free(bench);
	bench = bench_new(&params); /* a crash in between: it is run again */
	other_writes(bench, "web-2.i9.OWN.1", "web-2", "web-2");
	CU_ASSERT_PTR_NOT_NULL(find(bench, ROLE_ACTION_DEMOTE));
	other_writes(bench, "web-2.i9.OWN.2", "web-2", "web-2");
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_DEMOTE));
	bench_free(bench);
}

/* A restart while paused: who is unwell does not give the role away before it can know. */
static void
test_unwell_and_paused(void)
{
	struct role_event pause = { .type = ROLE_EVENT_PAUSE, .paused = true };

	for (int paused = 0; paused < 2; paused++) {
		struct role_params params = usual;
		struct bench *bench;

		params.release_when_unwell = true;
		bench = bench_new(&params);
		health(bench, ROLE_READY_NO);
		other_writes(bench, "web-1.0000000000000009.OWN.1", "web-1", "web-1");
		expect_write(bench, ROLE_OWN, "web-1", "web-1");
		reply(bench, find(bench, ROLE_ACTION_WRITE), true);
		CU_ASSERT_EQUAL(bench->view.state, ROLE_MASTER);
		if (paused)
			feed(bench, &pause);
		peers(bench, "web-1 web-2", true, 100);
		CU_ASSERT_EQUAL(bench->view.state, paused ? ROLE_MASTER : ROLE_STANDBY);
		bench_free(bench);
	}
}

static void
test_unwell(void)
{
	struct role_params params = usual;

	for (int release = 0; release < 2; release++) {
		struct bench *bench;

		params.release_when_unwell = release != 0;
		bench = master_new(&params);
		peers(bench, "web-1 web-2", false, 100);
		health(bench, ROLE_READY_NO);
		CU_ASSERT_EQUAL(
		    bench->view.state, release ? ROLE_STANDBY : ROLE_MASTER);
		if (release) {
			gone(bench);
			expect_write(bench, ROLE_GIVE, "", NULL);
		} else {
			pass(bench, 2250); /* after a lapse too */
			expect_write(bench, ROLE_OWN, "web-1", "web-1");
			reply(bench, find(bench, ROLE_ACTION_WRITE), true);
			peers(bench, "web-1 web-2", true, 100);
			expect_state(bench, ROLE_STANDBY, ROLE_REASON_SERVICE,
			    "this host is not ready for it");
		}
		bench_free(bench);
	}
}

static void
test_preempt(void)
{
	struct role_params params = usual;
	struct bench *bench;

	bench = master_new(&params);
	peers(bench, "web-2", true, 101);
	CU_ASSERT_EQUAL(bench->view.state, ROLE_MASTER);
	bench_free(bench);
	params.preempt = true;
	params.preempt_delay_ms = 1000;
	bench = master_new(&params);
	pass(bench, 5);
	peers(bench, "web-2", true, 101);
	pass(bench, 999);
	peers(bench, "web-2", false, 101); /* not ready: the delay starts anew */
	peers(bench, "web-2", true, 101);
	pass(bench, 999);
	CU_ASSERT_EQUAL(bench->view.state, ROLE_MASTER);
	pass(bench, 1);
	expect_state(bench, ROLE_STANDBY, ROLE_REASON_PREEMPTED,
	    "web-2 is back and has the higher priority");
	bench_free(bench);
}

/* An agent that restarts finds its role: adopted before the services' state is known,
 * given to a claimant, and left alone while Consul is away. */
static void
test_restart(void)
{
	struct bench *bench = bench_new(&usual);

	CU_ASSERT_PTR_NULL(await(bench, ROLE_ACTION_VIP_DROP, 5000));
	other_writes(bench, "web-1.i0.OWN.1", "web-1", "web-1");
	expect_write(bench, ROLE_OWN, "web-1", "web-1");
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_VIP_HOLD));
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_VIP_DROP));
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	expect_state(
	    bench, ROLE_MASTER, ROLE_REASON_RECOVERED, "it was this host's before");
	bench_free(bench);
	bench = bench_new(&usual);
	other_writes(bench, "web-2.i9.CLAIM.1", "web-2", "web-1");
	gone(bench);
	expect_write(bench, ROLE_GIVE, "web-2", NULL);
	bench_free(bench);
}

static void
test_lost(void)
{
	struct bench *bench = master_new(&usual);
	uint64_t rev = bench->reg.rev;

	bench->reg.index = 0;
	show(bench, true);
	CU_ASSERT_TRUE(bench->view.lost);
	CU_ASSERT_PTR_NOT_NULL(find(bench, ROLE_ACTION_ALARM));
	expect_write(bench, ROLE_OWN, "web-1", "web-1");
	CU_ASSERT_EQUAL(bench->actions.write.rev, rev + 1);
	show(bench, true);
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_ALARM)); /* said once */
	CU_ASSERT_EQUAL(bench->view.state, ROLE_MASTER);
	bench_free(bench);
	bench = master_new(&usual);
	bench->reg.rev--;
	bench->reg.index = 5;
	show(bench, true); /* an older one: it is written over */
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	CU_ASSERT_FALSE(bench->view.lost);
	CU_ASSERT_EQUAL(bench->view.reg.rev, rev + 1);
	bench_free(bench);
	bench = bench_new(&usual);
	health(bench, ROLE_READY_YES);
	peers(bench, "web-1", true, 100);
	other_writes(bench, "web-2.i9.OWN.1", "web-2", "web-2");
	bench->reg.rev--;
	show(bench, false); /* an old reply of the watch */
	CU_ASSERT_FALSE(bench->view.lost);
	pass(bench, 1);
	show(bench, true);
	CU_ASSERT_TRUE(bench->view.lost && !bench->view.known);
	CU_ASSERT_PTR_NULL(await(bench, ROLE_ACTION_WRITE, 60000));
	bench_free(bench);
}

static void
test_duplicate_and_branch(void)
{
	struct bench *bench = master_new(&usual);

	other_writes(bench, "web-1.i2.OWN.7", "web-1", "web-1");
	expect_state(bench, ROLE_STANDBY, ROLE_REASON_DUPLICATE,
	    "another agent uses this node's name");
	CU_ASSERT_TRUE(bench->view.duplicate);
	CU_ASSERT_PTR_NULL(await(bench, ROLE_ACTION_WRITE, 60000));
	bench_free(bench);
	bench = master_new(&usual);
	other_writes(bench, "web-1.0000000000000001.OWN.7", "web-1",
	    "web-1"); /* late, but ours */
	CU_ASSERT_EQUAL(bench->view.state, ROLE_MASTER);
	str_copy(
	    bench->reg.wid, sizeof(bench->reg.wid), "web-1.0000000000000001.OWN.8");
	show(bench, true); /* the same revision with another content */
	expect_state(
	    bench, ROLE_STANDBY, ROLE_REASON_BRANCH, "Consul's data was replaced");
	CU_ASSERT_PTR_NOT_NULL(find(bench, ROLE_ACTION_ALARM));
	bench_free(bench);
}

/* Word for word the same at another index, as when a copy is brought back: the next write is over
 * that index, and whoever waits begins again. A hint alone changes nothing. */
static void
test_written_anew(void)
{
	struct bench *bench = master_new(&usual);
	const struct role_action *write;
	int64_t until;

	for (int consistent = 0; consistent < 2; consistent++) {
		bench->reg.index += 10;
		show(bench, consistent);
		CU_ASSERT_EQUAL(bench->view.state, ROLE_MASTER);
		CU_ASSERT_EQUAL(
		    bench->view.reg.index, bench->reg.index - (consistent ? 0 : 10));
	}
	stop(bench);
	gone(bench);
	write = find(bench, ROLE_ACTION_WRITE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(write);
	CU_ASSERT_EQUAL(write->kind, ROLE_GIVE);
	CU_ASSERT_EQUAL(write->base, bench->reg.index);
	bench_free(bench);
	bench = bench_new(&usual);
	health(bench, ROLE_READY_YES);
	peers(bench, "", true, 100);
	other_writes(bench, "web-9.i9.FORCE.1", "web-1", "web-2");
	CU_ASSERT_EQUAL_FATAL(bench->view.state, ROLE_WAITING);
	until = bench->view.wait_until;
	pass(bench, 100);
	show(bench, true);
	CU_ASSERT_EQUAL(bench->view.wait_until, until);
	bench->reg.index += 10;
	show(bench, true);
	CU_ASSERT_EQUAL(bench->view.wait_until, until + 104);
	write = await(bench, ROLE_ACTION_WRITE, 60000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(write);
	CU_ASSERT_EQUAL(write->base, bench->reg.index);
	CU_ASSERT_TRUE(bench->now.boot >= until + 104);
	bench_free(bench);
}

/* An OWN whose success is learnt too late makes nobody master; the next one does. */
static void
test_late_own(void)
{
	for (int unwell = 0; unwell < 2; unwell++) {
		struct bench *bench = bench_new(&usual);
		struct role_action write;

		health(bench, ROLE_READY_YES);
		peers(bench, "web-1 web-2", true, 100);
		other_writes(bench, "web-2.i9.CLAIM.1", "web-1", "web-3");
		CU_ASSERT_PTR_NOT_NULL_FATAL(await(bench, ROLE_ACTION_WRITE, 5000));
		write = *find(bench, ROLE_ACTION_WRITE);
		if (unwell)
			health(bench, ROLE_READY_NO);
		pass(bench, 2250);
		reply(bench, &write, true);
		if (unwell) {
			expect_state(bench, ROLE_STANDBY, ROLE_REASON_SERVICE,
			    "this host is not ready for it");
			gone(bench);
			expect_write(bench, ROLE_GIVE, "web-2", NULL);
		} else {
			CU_ASSERT_EQUAL(bench->view.state, ROLE_WAITING);
			expect_write(bench, ROLE_OWN, "web-1", "web-1");
			reply(bench, find(bench, ROLE_ACTION_WRITE), true);
			expect_state(bench, ROLE_MASTER, ROLE_REASON_TAKEOVER,
			    "web-3 is gone and its lease is over");
		}
		bench_free(bench);
	}
}

/* A write that Consul refuses, though nobody else wrote, is not repeated at once. */
static void
test_refused_write(void)
{
	struct bench *bench = bench_new(&usual);
	struct role_event late = { .type = ROLE_EVENT_CAS,
		.cas = { .ok = true, .index = 99 } };
	char wid[ROLE_WID_SIZE];
	int64_t sent;

	health(bench, ROLE_READY_YES);
	other_writes(bench, "web-2.i9.GIVE.1", "web-1", NULL);
	sent = bench->now.boot;
	str_copy(wid, sizeof(wid), bench->actions.write.wid);
	reply(bench, find(bench, ROLE_ACTION_WRITE), false);
	CU_ASSERT_PTR_NOT_NULL(find(bench, ROLE_ACTION_READ));
	str_copy(late.cas.wid, sizeof(late.cas.wid), wid);
	show(bench, true);
	feed(bench, &late); /* S4: it was given up */
	CU_ASSERT_EQUAL(bench->view.state, ROLE_STANDBY);
	CU_ASSERT_EQUAL(bench->view.reg.rev, bench->reg.rev);
	CU_ASSERT_PTR_NOT_NULL(await(bench, ROLE_ACTION_WRITE, 1000));
	CU_ASSERT_EQUAL(bench->now.boot, sent + usual.confirm_ms);
	bench_free(bench);
}

/* S14: a shorter lease is published once the warden has held by it. */
static void
test_shorter_lease(void)
{
	struct bench *bench = bench_new(&usual);
	struct role_event event = { .type = ROLE_EVENT_VIP_HELD };

	bench->reg.rev = 1000;
	bench->reg.index = 7;
	str_copy(bench->reg.holder, ROLE_NODE_SIZE, "web-1");
	str_copy(bench->reg.wid, ROLE_WID_SIZE, "web-1.i0.OWN.1");
	set_fence(&bench->reg.fence, "web-1", 9000, 0);
	show(bench, true);
	CU_ASSERT_EQUAL(bench->actions.write.fence.lease_ms, 9000);
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_WRITE));
	CU_ASSERT_EQUAL(
	    find(bench, ROLE_ACTION_VIP_HOLD)->until, bench->now.boot + 2250);
	event.order = find(bench, ROLE_ACTION_VIP_HOLD)->order;
	pass(bench, 1200);
	feed(bench, &event); /* held, but the confirm is old */
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_WRITE));
	show(bench, true);
	expect_write(bench, ROLE_OWN, "web-1", "web-1");
	CU_ASSERT_EQUAL(bench->actions.write.fence.lease_ms, 3750);
	/* It binds at once. */
	CU_ASSERT_EQUAL(bench->view.hold_until, bench->now.boot - 1 + 2250);
	bench_free(bench);
}

/* This host was master with one kind of fence and is started again with the other: it adopts
 * by what is published, or by more, and lowers that once it holds by the smaller one. */
static void
restart_with(const struct role_params *now, int64_t published, int64_t first)
{
	struct bench *bench = bench_new(now);
	struct role_event event = { .type = ROLE_EVENT_VIP_HELD };
	int64_t own = now->lease_ms + now->margin_ms;

	bench->reg.rev = 1000;
	bench->reg.index = 7;
	str_copy(bench->reg.holder, ROLE_NODE_SIZE, "web-1");
	str_copy(bench->reg.wid, ROLE_WID_SIZE, "web-1.i0.OWN.1");
	set_fence(&bench->reg.fence, "web-1", published, 0);
	show(bench, true);
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_VIP_HOLD));
	const struct role_action *write = find(bench, ROLE_ACTION_WRITE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(write);
	CU_ASSERT_EQUAL(bench->actions.write.fence.lease_ms, first);
	reply(bench, write, true);
	const struct role_action *hold = find(bench, ROLE_ACTION_VIP_HOLD);
	CU_ASSERT_PTR_NOT_NULL_FATAL(hold);
	CU_ASSERT(hold->until <= bench->now.boot + now->lease_ms);
	CU_ASSERT(hold->until >= bench->now.boot + now->lease_ms - 10);
	event.order = hold->order;
	feed(bench, &event);
	write = find(bench, ROLE_ACTION_WRITE);
	CU_ASSERT_EQUAL(write != NULL, own < first);
	if (write != NULL)
		CU_ASSERT_EQUAL(bench->actions.write.fence.lease_ms, own);
	bench_free(bench);
}

static void
test_other_fence(void)
{
	struct role_params bpf = usual;

	bpf.lease_ms = 1000;
	bpf.margin_ms = 10;
	bpf.confirm_ms = bpf.lease_ms / 7;
	restart_with(&bpf, 3750, 3750);
	restart_with(&bpf, 1010, 1010);
	restart_with(&usual, 1010, 3750);
	restart_with(&usual, 3750, 3750);
}

/* S14 once more, in the middle of a term: what the warden held before the reload may last for
 * the longer lease. A larger one is published at once, and binds when Consul has it. */
static void
test_lease_changes(void)
{
	struct role_params params = usual;
	struct bench *bench = master_new(&usual);
	struct role_event event = { .type = ROLE_EVENT_VIP_HELD };

	const struct role_action *hold = await(bench, ROLE_ACTION_VIP_HOLD, 1000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(hold);
	event.order = hold->order;
	feed(bench, &event);
	params.lease_ms = 1250;
	params.confirm_ms = params.lease_ms / 7;
	role_set_params(bench->role, &params);
	show(bench, true); /* confirmed, but held by the old lease */
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_WRITE));
	hold = await(bench, ROLE_ACTION_VIP_HOLD, 200);
	CU_ASSERT_PTR_NOT_NULL_FATAL(hold);
	CU_ASSERT(hold->until <= bench->now.boot + 1250);
	uint64_t order = hold->order;
	feed(bench, &event); /* the old order's answer */
	show(bench, true);
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_WRITE));
	event.order = order;
	feed(bench, &event);
	expect_write(bench, ROLE_OWN, "web-1", "web-1");
	CU_ASSERT_EQUAL(bench->actions.write.fence.lease_ms, 2750);
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	role_set_params(bench->role, &usual);
	pass(bench, 1);
	expect_write(bench, ROLE_OWN, "web-1", "web-1");
	CU_ASSERT_EQUAL(bench->actions.write.fence.lease_ms, 3750);
	bench_free(bench);
}

/* A reload takes the role away and is given up again. */
static void
test_yield(void)
{
	struct bench *bench = master_new(&usual);
	struct role_event event = { .type = ROLE_EVENT_YIELD, .yield = true };

	peers(bench, "web-1", true, 100);
	feed(bench, &event);
	expect_state(bench, ROLE_STANDBY, ROLE_REASON_RELOAD,
	    "a new configuration takes it away here");
	gone(bench);
	expect_write(bench, ROLE_GIVE, "", NULL);
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	pass(bench, 10000);
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_WRITE));
	event.yield = false;
	feed(bench, &event);
	expect_write(bench, ROLE_OWN, "web-1", "web-1");
	bench_free(bench);
}

static const struct tap_case cases[] = {
	{ "a restart with another fence", test_other_fence },
	{ "a lease that changes", test_lease_changes },
	{ "a role that yields", test_yield },
	{ "who may write what", test_table },
	{ "a tick is needed only when one is due", test_ticks },
	{ "the address appears where the service is ready", test_promote },
	{ "a promote hook that fails", test_promote_failed },
	{ "the demote hook runs after a lapse and after a crash",
	    test_demote_after_lapse },
	{ "unwell like everybody else", test_unwell },
	{ "unwell and paused, after a restart", test_unwell_and_paused },
	{ "a higher priority comes back", test_preempt },
	{ "an agent restarts", test_restart },
	{ "Consul forgets the register", test_lost },
	{ "one name twice, one revision twice", test_duplicate_and_branch },
	{ "the same content at another index", test_written_anew },
	{ "an OWN that comes too late", test_late_own },
	{ "a write that is refused", test_refused_write },
	{ "a shorter lease", test_shorter_lease },
};

TAP_MAIN("role rules", cases)
