/* SPDX-License-Identifier: ISC */
/*
 * What is planned of whole roles (roles_bed): one master is elected, handovers go through,
 * hooks are waited for, and what cannot be done is refused. What befalls them is in
 * test_roles_fault.
 */
#include "agent/failover/roles.h"

#include <errno.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "tests/unit/roles_bed.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

static void
elect_and_switch(const char *role, bool first_bpf, bool second_bpf, bool first_start)
{
	struct test test;
	struct agent *master, *backup;
	unsigned int probes;
	char why[160];

	set_up_agents(&test, role, 2, true);
	test.agents[0].bpf = first_bpf;
	test.agents[1].bpf = second_bpf;
	for (size_t i = 0; i < 2 && first_bpf == second_bpf; i++)
		test.agents[i].conf.lease_ms = CALM_LEASE_MS;
	if (!first_start)
		put_free_register(&test);
	start_all(&test);
	master = elect(&test);
	backup = other(&test, master);
	run_for(test.loop, CALM_LEASE_MS + 500); /* it is confirmed */
	CU_ASSERT_PTR_EQUAL(find_master(&test), master);
	CU_ASSERT_TRUE(holds(master) && !holds(backup));
	CU_ASSERT_TRUE(master->probes > 0);
	probes = master->probes + backup->probes; /* and no more from here on */
	/* asked of the master, then of the backup, who passes it on through Consul */
	CU_ASSERT_EQUAL(
	    roles_switchover(master->roles_module, 0, backup->node, why, sizeof(why)),
	    0);
	expect_handover(&test, master, backup);
	CU_ASSERT_TRUE(until(test.loop, both_present, &test, LIMIT_MS));
	CU_ASSERT_EQUAL(
	    roles_switchover(master->roles_module, 0, "", why, sizeof(why)), 0);
	expect_handover(&test, backup, master);
	CU_ASSERT_EQUAL(master->probes + backup->probes, probes);
	tear_down(&test);
}

static void
test_elect_and_switch(void)
{
	elect_and_switch("elect", true, true, true);
}

/* Each host has the fence that it can have: they agree by what is published. */
static void
test_two_kinds(void)
{
	elect_and_switch("mixed", true, false, false);
}

static void
test_service(void)
{
	struct test test;
	struct agent *master, *backup;

	set_up_agents(&test, "service", 2, true);
	put_free_register(&test);
	start_all(&test);
	master = elect(&test);
	backup = other(&test, master);
	health(master, CHECK_WARNING);
	run_for(test.loop, 300);
	CU_ASSERT_TRUE(master->master);
	health(master, CHECK_CRITICAL);
	expect_handover(&test, master, backup);
	health(backup, CHECK_CRITICAL); /* nobody is well: it stays where it is */
	run_for(test.loop, 500);
	CU_ASSERT_TRUE(backup->master);
	health(master, CHECK_PASSING);
	expect_handover(&test, backup, master);
	tear_down(&test);
}

static void
expect_refused(struct agent *agent, const char *to, int err)
{
	char why[160] = "";

	CU_ASSERT_EQUAL(
	    roles_switchover(agent->roles_module, 0, to, why, sizeof(why)), err);
	CU_ASSERT_STRING_NOT_EQUAL(why, "");
}

/* However well all is; over is over, and nobody in maintenance is better than the other. */
static void
test_maintenance(void)
{
	struct test test;
	struct agent *master, *backup;

	set_up_agents(&test, "upkeep", 2, true);
	put_free_register(&test);
	start_all(&test);
	master = elect(&test);
	backup = other(&test, master);
	roles_maintenance(master->roles_module, &master->service, "service web is old");
	expect_handover(&test, master, backup);
	roles_maintenance(backup->roles_module, NULL, "the host is old");
	run_for(test.loop, 500); /* both: it stays where it is */
	CU_ASSERT_TRUE(backup->master && holds(backup));
	roles_maintenance(master->roles_module, &master->service, NULL);
	expect_handover(&test, backup, master);
	expect_refused(master, backup->node, -EAGAIN);
	roles_maintenance(backup->roles_module, NULL, NULL);
	CU_ASSERT_TRUE(until(test.loop, both_present, &test, LIMIT_MS));
	CU_ASSERT_TRUE(master->master); /* it does not go back by itself */
	tear_down(&test);
}

/* Who hands over takes nothing; where nobody else is ready all stays as it is. */
static void
test_handover(void)
{
	struct test test;
	struct agent *master, *backup;

	set_up_agents(&test, "aside", 2, true);
	put_free_register(&test);
	start_all(&test);
	master = elect(&test);
	backup = other(&test, master);
	roles_hand_over(master->roles_module, true);
	expect_handover(&test, master, backup);
	expect_refused(backup, master->node, -EAGAIN);
	roles_hand_over(backup->roles_module, true);
	run_for(test.loop, 500);
	CU_ASSERT_TRUE(backup->master && holds(backup));
	roles_hand_over(master->roles_module, false);
	expect_handover(&test, backup, master);
	tear_down(&test);
}

static bool
is_stopped(void *arg)
{
	const struct agent *agent = arg;

	return agent->stopped > 0;
}

static void
test_stop(void)
{
	struct test test;
	struct agent *master, *backup;

	set_up_agents(&test, "stop", 2, true);
	put_free_register(&test);
	start_all(&test);
	master = elect(&test);
	backup = other(&test, master);
	roles_stop(master->roles_module);
	CU_ASSERT_TRUE(until(test.loop, is_stopped, master, LIMIT_MS));
	CU_ASSERT_FALSE(holds(master));
	expect_handover(&test, master, backup);
	roles_stop(backup->roles_module); /* the last one gives it to nobody */
	CU_ASSERT_TRUE(until(test.loop, is_stopped, backup, LIMIT_MS));
	CU_ASSERT_TRUE(!holds(backup) && backup->stopped == 1);
	tear_down(&test);
}

static void
test_without_address(void)
{
	struct test test;
	struct agent *master;

	set_up_agents(&test, "plain", 2, false);
	put_free_register(&test);
	start_all(&test);
	master = elect(&test);
	health(master, CHECK_CRITICAL);
	expect_handover(&test, master, other(&test, master));
	tear_down(&test);
}

static bool
hook_runs(void *arg)
{
	const struct agent *agent = arg;

	return agent->run != 0;
}

/* The address appears when promote has succeeded, and stays while demote runs. */
static void
test_hooks(void)
{
	struct test test;
	struct agent *master, *backup;
	char why[160];

	set_up_agents(&test, "hooks", 2, true);
	put_free_register(&test);
	test.agents[0].role.promote = &test.agents[0].promote;
	test.agents[0].role.demote = &test.agents[0].demote;
	master = &test.agents[0];
	backup = &test.agents[1];
	start(master);
	health(master, CHECK_PASSING);
	CU_ASSERT_TRUE(until(test.loop, hook_runs, master, LIMIT_MS));
	if (master->demoted > 0) { /* an earlier process may have died as master */
		end_hook(master, 0);
		CU_ASSERT_TRUE(until(test.loop, hook_runs, master, LIMIT_MS));
	}
	CU_ASSERT_TRUE(master->promoted == 1 && master->master);
	run_for(test.loop, 500);
	CU_ASSERT_FALSE(holds(master));
	end_hook(master, 0);
	CU_ASSERT_TRUE(until(test.loop, is_master, master, LIMIT_MS));
	start(backup);
	health(backup, CHECK_PASSING);
	CU_ASSERT_TRUE(until(test.loop, both_present, &test, LIMIT_MS));
	master->demoted = 0;
	CU_ASSERT_EQUAL(
	    roles_switchover(master->roles_module, 0, "web-2", why, sizeof(why)), 0);
	CU_ASSERT_TRUE(until(test.loop, hook_runs, master, LIMIT_MS));
	run_for(test.loop, 2500);
	CU_ASSERT_TRUE(master->demoted == 1 && holds(master));
	end_hook(master, 1);
	expect_handover(&test, master, backup);
	tear_down(&test);
}

static void
test_refusals(void)
{
	struct test test;
	struct agent *master, *backup;
	char why[160] = "";

	set_up_agents(&test, "refuse", 2, true);
	start_all(&test);
	expect_refused(&test.agents[0], "", -ENOENT); /* no master yet */
	put_free_register(&test);
	master = elect(&test);
	backup = other(&test, master);
	for (size_t i = 0; i < AGENTS; i++) {
		expect_refused(&test.agents[i], master->node, -EALREADY);
		expect_refused(&test.agents[i], "web-9", -ENOENT);
	}
	CU_ASSERT_EQUAL(roles_init(master->roles_module, 0, why, sizeof(why)), -EEXIST);
	CU_ASSERT_STRING_NOT_EQUAL(why, "");
	health(backup, CHECK_CRITICAL);
	run_for(test.loop, 300);
	for (size_t i = 0; i < AGENTS; i++) {
		expect_refused(&test.agents[i], backup->node, -EAGAIN);
		expect_refused(&test.agents[i], "", -EAGAIN);
	}
	tear_down(&test);
}

/* A node name that a register cannot carry: no role, and nothing falls over. */
static void
test_bad_name(void)
{
	struct test test;
	struct agent *agent = &test.agents[0];
	struct role_view view;

	set_up_agents(&test, "name", 1, true);
	str_copy(agent->node, sizeof(agent->node), "a\"b");
	start_all(&test);
	run_for(test.loop, 100);
	roles_view(agent->roles_module, 0, &view);
	CU_ASSERT_FALSE(view.known);
	expect_refused(agent, "", -ENOENT);
	roles_stop(agent->roles_module);
	CU_ASSERT_TRUE(until(test.loop, is_stopped, agent, LIMIT_MS));
	tear_down(&test);
}

/* The longest first: they run side by side. */
static const struct tap_case cases[] = {
	{ "one is elected, and switched over twice", test_elect_and_switch },
	{ "two kinds of fence", test_two_kinds },
	{ "a failed service hands over", test_service },
	{ "maintenance hands over", test_maintenance },
	{ "a host hands all over", test_handover },
	{ "a stop hands over", test_stop },
	{ "a role without addresses", test_without_address },
	{ "hooks hold the address back and keep it", test_hooks },
	{ "what cannot be done is refused", test_refusals },
	{ "a node name that cannot be used", test_bad_name },
};

int
main(int argc, char **argv)
{
	return consul_server_main(
	    argc, argv, "roles", cases, ARRAY_LENGTH(cases), &server);
}
