/* SPDX-License-Identifier: ISC */
/*
 * The machine in sentences: what must be said in each situation, that a sentence is one, and
 * that nothing changes by being explained, not a byte.
 */
#include "agent/failover/role_explain.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/failover/role_state.h"
#include "tests/unit/role_bench.h"
#include "tests/unit/tap.h"

enum { LINES = 32 };

/* All sentences, one a line. */
static const char *
explain(const struct bench *bench)
{
	static char all[LINES * ROLE_LINE_SIZE];
	char lines[LINES][ROLE_LINE_SIZE], fewer[LINES][ROLE_LINE_SIZE];
	AUTO_FREE struct role *before = xcalloc(1, sizeof(*before));
	size_t len = 0;

	*before = *bench->role;
	size_t count = role_explain(bench->role, bench->now, lines, LINES);
	CU_ASSERT_EQUAL(memcmp((const unsigned char *)before,
			    (const unsigned char *)bench->role, sizeof(*before)),
	    0);
	CU_ASSERT(count > 0 && count < LINES);
	for (size_t i = 0; i < count; i++) {
		size_t end = strlen(lines[i]);
		CU_ASSERT(end > 10 && end < ROLE_LINE_SIZE - 1);
		CU_ASSERT(lines[i][end - 1] == '.' || lines[i][end - 1] == ')');
		CU_ASSERT(isupper((unsigned char)lines[i][0]) ||
		    strncmp(lines[i], "web-", 4) == 0 || isdigit(lines[i][0]));
		len += (size_t)snprintf(all + len, sizeof(all) - len, "%s\n", lines[i]);
	}
	for (size_t n = 0; n <= count; n++) {
		size_t less = role_explain(bench->role, bench->now, fewer, n);
		CU_ASSERT_EQUAL(less, n);
		for (size_t i = 0; i < n; i++)
			CU_ASSERT_STRING_EQUAL(fewer[i], lines[i]);
	}
	return all;
}

static void
says(const struct bench *bench, const char *words)
{
	const char *all = explain(bench);

	if (strstr(all, words) == NULL) {
		printf("# \"%s\" is missing in\n# %s\n", words, all);
		CU_FAIL("it is not said");
	}
}

static void
is_silent(const struct bench *bench, const char *words)
{
	CU_ASSERT_PTR_NULL(strstr(explain(bench), words));
}

static void
pause_role(struct bench *bench, bool on)
{
	struct role_event event = { .type = ROLE_EVENT_PAUSE, .paused = on };

	feed(bench, &event);
}

static void
test_start(void)
{
	struct bench *bench = bench_new(&usual);

	pass(bench, 1);
	says(bench, "Nothing is known of the register yet");
	bench_free(bench);
}

static void
test_master(void)
{
	struct role_params params = usual;
	params.preempt = false;
	struct bench *bench = master_new(&params);

	says(bench, "This host is master, term ");
	says(bench, "(handed-over).");
	says(bench, "it holds for 2.2 s more.");
	peers(bench, "web-2", false, 50);
	says(bench, "No other host is ready: it could go nowhere.");
	peers(bench, "web-2", true, 50);
	says(bench, "It goes to web-2 if this host is not ready for it any more");
	is_silent(bench, "the higher priority");
	peers(bench, "web-2", true, 150);
	says(bench, "web-2 has the higher priority, 150, but preempt is off.");
	says(bench, "takes no part in heartbeats");
	bench_free(bench);
}

static void
test_preempted(void)
{
	struct role_params params = usual;
	params.preempt = true;
	params.preempt_delay_ms = 60000;
	struct bench *bench = master_new(&params);

	peers(bench, "web-2", true, 150);
	says(bench, "web-2 has the higher priority, 150, and gets it in 60 s.");
	pause_role(bench, true);
	says(bench, "It is paused: no host moves it by itself");
	bench_free(bench);
}

static void
test_unwell(void)
{
	struct bench *bench = master_new(&usual);

	peers(bench, "web-2", false, 50);
	health(bench, ROLE_READY_NO);
	says(bench, "This host is not ready for it.");
	says(bench, "It stays all the same, since no other host is ready.");
	pause_role(bench, true);
	peers(bench, "web-2", true, 50);
	says(bench, "It stays all the same, since it is paused.");
	bench_free(bench);
}

/* web-2 has it and is seen in Consul. */
static struct bench *
backup_new(const struct role_params *params)
{
	struct bench *bench = bench_new(params);

	peers(bench, "web-2", true, 50);
	health(bench, ROLE_READY_YES);
	other_writes(bench, "web-2.00000000000000aa.OWN.1", "web-2", "web-2");
	return bench;
}

static void
test_backup(void)
{
	struct bench *bench = backup_new(&usual);

	says(bench, "web-2 has it.");
	says(bench, "web-2 sends no heartbeats; Consul shows it alive.");
	says(bench, "This host has just started and waits 1.0 s for the others.");
	pass(bench, 2000);
	says(bench, "This host would claim it once Consul does not show web-2.");
	says(bench, "It would then have to wait 4.1 s for the addresses.");
	health(bench, ROLE_READY_NO);
	says(bench, "This host is not ready for it.");
	is_silent(bench, "would claim it");
	health(bench, ROLE_READY_YES);
	pause_role(bench, true);
	says(bench, "It is paused: this host would not take it over.");
	is_silent(bench, "would claim it");
	bench_free(bench);
}

static void
test_waiting(void)
{
	struct bench *bench = backup_new(&usual);

	pass(bench, 2000);
	peers(bench, "web-3", true, 50);
	const struct role_action *claim = await(bench, ROLE_ACTION_WRITE, 5000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(claim);
	reply(bench, claim, true);
	CU_ASSERT_EQUAL(bench->view.state, ROLE_WAITING);
	says(bench, "web-2 had it, and web-1 has claimed it.");
	says(
	    bench, "This host has claimed it and takes it in 4.1 s, when web-2 cannot");
	pass(bench, 2000);
	says(bench, "takes it in 2.1 s");
	bench_free(bench);
}

/* Who held on without Consul must be waited for by a stranger. */
static void
test_stranger(void)
{
	struct role_params params = usual;
	params.heartbeat_ms = 150;
	params.hold_alone_ms = 60000;
	params.hold_peers_ms = 3600000;
	struct bench *bench = bench_new(&params);

	health(bench, ROLE_READY_YES);
	peers(bench, "web-3", false, 50);
	other_writes(bench, "web-2.00000000000000aa.OWN.1", "web-2", "web-2");
	bench->reg.rev++;
	bench->reg.index++;
	set_fence(&bench->reg.fence, "web-2", 3750, 61500);
	bench->reg.fence.hb = true;
	show(bench, true);
	pass(bench, 2000);
	says(bench, "web-2 has not been heard as master here.");
	says(bench, "This host would claim it after 10 s of silence.");
	says(bench,
	    "It would then have to wait 67 s for the addresses, since the master "
	    "does not know it as a member.");
	says(bench, "web-2 has no members: without Consul it holds for 61 s");
	bench_free(bench);
}

static void
test_lost(void)
{
	struct bench *bench = backup_new(&usual);
	struct role_event missing = { .type = ROLE_EVENT_REGISTER };

	pass(bench, 2000);
	missing.reg.sent_at = bench->now.boot;
	missing.reg.consistent = true;
	feed(bench, &missing);
	says(bench, "Register lost: Consul has forgotten what this host knows");
	says(bench, "\"lictorctl init\"");
	is_silent(bench, "would claim");
	bench_free(bench);
}

/* Each move counts, and only so long. */
static void
test_limit(void)
{
	struct role_params params = usual;
	params.limit = 2;
	params.within_ms = 600000;
	struct bench *bench = backup_new(&params);
	char wid[64];

	for (int i = 0; i < 3; i++) {
		const char *node = i % 2 != 0 ? "web-2" : "web-3";
		snprintf(wid, sizeof(wid), "%s.00000000000000aa.OWN.%d", node, i);
		pass(bench, 1000);
		other_writes(bench, wid, node, node);
		if (i == 0)
			says(bench,
			    "It has moved 1 time within 10 min; the limit is 2.");
	}
	says(bench, "the limit is 2: it moves only if its master is gone.");
	pass(bench, 600000);
	is_silent(bench, "It has moved");
	bench_free(bench);
}

static void
test_blocked(void)
{
	struct bench *bench = backup_new(&usual);
	struct role_event namesake = { .type = ROLE_EVENT_NAMESAKE, .namesake = true };
	struct role_event unreadable = { .type = ROLE_EVENT_UNREADABLE };

	feed(bench, &namesake);
	says(bench, "Another agent uses this node's name");
	namesake.namesake = false;
	feed(bench, &namesake);
	is_silent(bench, "Another agent");
	feed(bench, &unreadable);
	says(bench, "A newer lictor has written the register");
	bench_free(bench);
}

static const struct tap_case cases[] = {
	{ "before anything is known", test_start },
	{ "a master", test_master },
	{ "a master that is to be preempted", test_preempted },
	{ "a master that is not ready", test_unwell },
	{ "a backup", test_backup },
	{ "a wait", test_waiting },
	{ "a stranger", test_stranger },
	{ "a register that is lost", test_lost },
	{ "a role that moved too often", test_limit },
	{ "a host that may not write", test_blocked },
};

TAP_MAIN("explain", cases)
