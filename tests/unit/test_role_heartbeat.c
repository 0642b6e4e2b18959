/* SPDX-License-Identifier: ISC */
/*
 * Heartbeats and their answers, as one machine hears and sends them: who is answered, by all
 * combinations; what a revision that is not known here stops; and when silence is a claim.
 */
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/unit/role_bench.h"
#include "tests/unit/tap.h"

/* A backup: web-2 has the role, revision 1000. */
static struct bench *
backup_new(const struct role_params *params, const char *present)
{
	struct bench *bench = bench_new(params);

	health(bench, ROLE_READY_YES);
	peers(bench, present, true, 100);
	other_writes(bench, "web-2.0000000000000009.OWN.1", "web-2", "web-2");
	set_fence(&bench->reg.fence, "web-2", 1010, 3600010);
	set_members(&bench->reg.fence, "web-1");
	bench->reg.rev++;
	bench->reg.index++;
	show(bench, true);
	CU_ASSERT_EQUAL_FATAL(bench->view.state, ROLE_STANDBY);
	return bench;
}

/* At once, and then at the same moments for all roles of a host. */
static void
test_beats(void)
{
	struct bench *bench = master_new(&peered);
	const struct role_action *sent = find(bench, ROLE_ACTION_HEARTBEAT);

	CU_ASSERT_PTR_NOT_NULL_FATAL(sent);
	for (int i = 0; i < 5; i++) {
		CU_ASSERT_EQUAL(sent->phase, ROLE_PHASE_MASTER);
		CU_ASSERT_EQUAL(sent->rev, bench->view.term);
		CU_ASSERT_EQUAL(sent->ts, bench->now.boot);
		CU_ASSERT_EQUAL(sent->lease_ms, 1010);
		if (i > 0)
			CU_ASSERT_EQUAL(bench->now.boot % 75, 0);
		sent = await(bench, ROLE_ACTION_HEARTBEAT, 75);
		CU_ASSERT_PTR_NOT_NULL_FATAL(sent);
	}
	bench_free(bench);
	bench = backup_new(&peered, "web-1");
	beat(bench, "web-2", 1001, ROLE_PHASE_MASTER);
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_HEARTBEAT));
	bench_free(bench);
	bench = bench_new(&usual); /* off */
	other_writes(bench, "web-2.0000000000000009.OWN.1", "web-2", "web-2");
	beat(bench, "web-2", 2000, ROLE_PHASE_MASTER);
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_ACK));
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_READ));
	bench_free(bench);
}

/* S6b: not whoever is known to have been replaced; by name, revision and phase. */
static void
test_acks(void)
{
	static const char *const senders[] = { "web-2", "web-3", "web-4", "web-1" };

	for (size_t s = 0; s < ARRAY_LENGTH(senders); s++)
		for (uint64_t rev = 1001; rev <= 1003; rev++)
			for (enum role_phase phase = 0; phase <= ROLE_PHASE_MASTER;
			     phase++) {
				struct bench *bench = backup_new(&peered, "web-1");
				const struct role_action *sent;
				bool named = s < 2, me = s == 3;

				other_writes(bench, "web-3.0000000000000009.CLAIM.1",
				    "web-3", "web-2");
				CU_ASSERT_EQUAL(bench->reg.rev, 1002);
				beat(bench, senders[s], rev, phase);
				sent = find(bench, ROLE_ACTION_ACK);
				CU_ASSERT_EQUAL(sent != NULL,
				    phase != ROLE_PHASE_STANDBY && !me &&
					(named || rev > 1002));
				CU_ASSERT_EQUAL(find(bench, ROLE_ACTION_READ) != NULL,
				    rev > 1002 && !me);
				if (sent) {
					CU_ASSERT_STRING_EQUAL(sent->node, senders[s]);
					CU_ASSERT_EQUAL(sent->inst, 77);
					CU_ASSERT_EQUAL(sent->rev, rev);
					CU_ASSERT_EQUAL(sent->ts, 123456);
					CU_ASSERT_EQUAL(sent->known, 1002);
					CU_ASSERT_TRUE(sent->ready);
				}
				bench_free(bench);
			}
}

/* S6, 10.10 and a register of another version. */
static void
test_no_acks(void)
{
	struct role_event namesake = { .type = ROLE_EVENT_NAMESAKE, .namesake = true };
	struct role_event unreadable = { .type = ROLE_EVENT_UNREADABLE };
	struct bench *bench = backup_new(&peered, "web-1");

	feed(bench, &namesake);
	CU_ASSERT_PTR_NOT_NULL(find(bench, ROLE_ACTION_ALARM));
	beat(bench, "web-2", 1001, ROLE_PHASE_MASTER);
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_ACK));
	CU_ASSERT_PTR_NULL(await(bench, ROLE_ACTION_WRITE, 5000));
	beat(bench, "web-2", 1001, ROLE_PHASE_MASTER);
	namesake.namesake = false;
	feed(bench, &namesake);
	beat(bench, "web-2", 1001, ROLE_PHASE_MASTER);
	CU_ASSERT_PTR_NOT_NULL(find(bench, ROLE_ACTION_ACK));
	feed(bench, &unreadable);
	CU_ASSERT_TRUE(bench->view.unreadable);
	beat(bench, "web-2", 1001, ROLE_PHASE_MASTER);
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_ACK));
	CU_ASSERT_PTR_NULL(await(bench, ROLE_ACTION_WRITE, 5000));
	show(bench, true);
	CU_ASSERT_FALSE(bench->view.unreadable);
	expect_write(bench, ROLE_CLAIM, "web-1", "web-2");
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	CU_ASSERT_EQUAL_FATAL(bench->view.state, ROLE_WAITING);
	/* S6: from the reply, not from the claim */
	CU_ASSERT_EQUAL(bench->view.wait_until, bench->now.boot + WAIT_MS(1010));
	CU_ASSERT_EQUAL(find(bench, ROLE_ACTION_HEARTBEAT)->phase, ROLE_PHASE_WAITING);
	CU_ASSERT_EQUAL(find(bench, ROLE_ACTION_HEARTBEAT)->rev, bench->view.reg.rev);
	beat(bench, "web-2", 1001,
	    ROLE_PHASE_MASTER); /* its wait began after its acks */
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_ACK));
	bench_free(bench);
	bench = master_new(&peered);
	beat(bench, "web-2", 1, ROLE_PHASE_MASTER);
	CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_ACK));
	bench_free(bench);
}

static void
test_nudge(void)
{
	struct role_event event = { .type = ROLE_EVENT_SWITCHOVER, .node = "web-2" };
	struct bench *bench = master_new(&peered);

	feed(bench, &event);
	gone(bench);
	expect_write(bench, ROLE_GIVE, "web-2", NULL);
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	const struct role_action *sent = find(bench, ROLE_ACTION_HEARTBEAT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(sent);
	CU_ASSERT_EQUAL(sent->phase, ROLE_PHASE_STANDBY);
	CU_ASSERT_EQUAL(sent->rev, bench->reg.rev);
	CU_ASSERT_PTR_NULL(await(bench, ROLE_ACTION_HEARTBEAT, 1000));
	bench_free(bench);
}

/* From the last heartbeat on, whatever Consul says of its presence. */
static void
test_silence(void)
{
	struct bench *bench = backup_new(&peered, "web-1 web-2");
	int64_t last;

	for (int i = 0; i < 100; i++) {
		beat(bench, "web-2", 1001, ROLE_PHASE_MASTER);
		pass(bench, 75);
		CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_WRITE));
	}
	beat(bench, "web-2", 1001, ROLE_PHASE_MASTER);
	last = bench->now.boot;
	CU_ASSERT_PTR_NOT_NULL(await(bench, ROLE_ACTION_WRITE, 400));
	expect_write(bench, ROLE_CLAIM, "web-1", "web-2");
	CU_ASSERT_EQUAL(bench->now.boot, last + 300);
	bench_free(bench);
	/* Both must be silent: whoever claimed it, and whom the fence names. */
	for (int who = 0; who < 2; who++) {
		bench = backup_new(&peered, "web-1");
		str_copy(bench->reg.holder, ROLE_NODE_SIZE, "web-3");
		bench->reg.rev++;
		bench->reg.index++;
		show(bench, true);
		for (int i = 0; i < 100; i++) {
			beat(bench, who ? "web-3" : "web-2", 1002, ROLE_PHASE_WAITING);
			pass(bench, 75);
			CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_WRITE));
		}
		bench_free(bench);
	}
	/* No member of the record: in no hurry. */
	bench = backup_new(&peered, "web-1");
	set_members(&bench->reg.fence, "web-3");
	bench->reg.rev++;
	bench->reg.index++;
	show(bench, true);
	beat(bench, "web-2", 1002, ROLE_PHASE_MASTER);
	last = bench->now.boot;
	CU_ASSERT_PTR_NOT_NULL(await(bench, ROLE_ACTION_WRITE, 20000));
	CU_ASSERT_EQUAL(bench->now.boot, last + 10000);
	bench_free(bench);
	/* Nobody has it, and its last master is silent: a stranger need not wait longer. */
	bench = backup_new(&peered, "web-1");
	set_members(&bench->reg.fence, "web-3");
	bench->reg.holder[0] = '\0';
	bench->reg.rev++;
	bench->reg.index++;
	beat(bench, "web-2", 1001, ROLE_PHASE_MASTER);
	bench->now.boot += 900;
	bench->now.raw += 900;
	show(bench, true);
	last = bench->now.boot;
	CU_ASSERT_PTR_NOT_NULL(await(bench, ROLE_ACTION_WRITE, 400));
	CU_ASSERT_EQUAL(bench->now.boot, last + 300);
	bench_free(bench);
}

/* S17: a master that this register does not know. */
static void
test_unknown_master(void)
{
	for (int shown = 0; shown < 3; shown++) {
		struct bench *bench = backup_new(&peered, "web-1");
		struct role_register *reg = &bench->reg;

		for (int i = 0; i < 20; i++) {
			beat(bench, "web-2", 1001, ROLE_PHASE_MASTER);
			pass(bench, 75);
		}
		beat(bench, "web-3", 1005, ROLE_PHASE_MASTER);
		CU_ASSERT_PTR_NOT_NULL(find(bench, ROLE_ACTION_READ));
		CU_ASSERT_PTR_NULL(await(bench, ROLE_ACTION_WRITE, 5000));
		if (shown == 1) /* the same revision, but another's */
			reg->rev = 1005;
		if (shown == 2) { /* as it says */
			reg->rev = 1005;
			set_fence(&reg->fence, "web-3", 1010, 0);
			str_copy(reg->holder, sizeof(reg->holder), "web-3");
		}
		show(bench, true);
		CU_ASSERT_EQUAL(bench->view.lost, shown < 2);
		CU_ASSERT_EQUAL(find(bench, ROLE_ACTION_ALARM) != NULL, shown < 2);
		CU_ASSERT_EQUAL(bench->view.max_rev, 1005);
		CU_ASSERT_EQUAL(
		    await(bench, ROLE_ACTION_WRITE, 20000) != NULL, shown == 2);
		bench_free(bench);
	}
}

/* The newer one stays, and of two of one revision that with the smaller name. */
static void
test_two_masters(void)
{
	static const struct {
		const char *from;
		int64_t more;
		bool falls;
	} table[] = { { "web-2", 1, true }, { "web-2", 0, false },
		{ "web-2", -1, false }, { "web-0", 1, true }, { "web-0", 0, true },
		{ "web-0", -1, false } };

	for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
		struct bench *bench = master_new(&peered);

		beat(bench, table[i].from,
		    (uint64_t)((int64_t)bench->reg.rev + table[i].more),
		    ROLE_PHASE_MASTER);
		CU_ASSERT_EQUAL(
		    bench->view.state, table[i].falls ? ROLE_STANDBY : ROLE_MASTER);
		CU_ASSERT_EQUAL(
		    find(bench, ROLE_ACTION_VIP_DROP) != NULL, table[i].falls);
		CU_ASSERT_EQUAL(find(bench, ROLE_ACTION_ALARM) != NULL, table[i].falls);
		bench_free(bench);
	}
}

/* S17: nothing for D/2 (the page's 2 B), however often heartbeats are sent, unless an own
 * deadline still runs or there are none. */
static void
test_start(void)
{
	static const struct {
		int64_t heartbeat_ms;
		bool warm;
		int64_t grace_ms;
	} rows[] = {
		{ 75, false, 150 },
		{ 37, false, 150 },
		{ 37, true, 0 },
		{ 0, false, 0 },
	};
	struct role_params params = peered;

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct bench *bench;
		int64_t start;

		params.heartbeat_ms = rows[i].heartbeat_ms;
		params.warm = rows[i].warm;
		bench = bench_new(&params);
		start = bench->now.boot;
		health(bench, ROLE_READY_YES);
		other_writes(bench, "web-1.0000000000000000.OWN.1", "web-1", "web-1");
		if (rows[i].grace_ms > 0) {
			CU_ASSERT_PTR_NULL(find(bench, ROLE_ACTION_WRITE));
			CU_ASSERT_PTR_NOT_NULL(await(bench, ROLE_ACTION_WRITE, 1000));
			CU_ASSERT_EQUAL(bench->now.boot, start + rows[i].grace_ms);
		}
		expect_write(bench, ROLE_OWN, "web-1", "web-1");
		bench_free(bench);
	}
}

static const struct tap_case cases[] = {
	{ "takers and masters send heartbeats", test_beats },
	{ "who is answered", test_acks },
	{ "who does not answer", test_no_acks },
	{ "a role that is given away is told of", test_nudge },
	{ "silence", test_silence },
	{ "a master that the register does not know", test_unknown_master },
	{ "two masters", test_two_masters },
	{ "the first moments", test_start },
};

TAP_MAIN("role heartbeat", cases)
