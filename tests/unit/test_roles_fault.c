/* SPDX-License-Identifier: ISC */
/*
 * What befalls whole roles (roles_bed): an address that somebody else has, an agent that is
 * killed, a register that is lost, a master that is heard no more.
 */
#include "agent/failover/roles.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/failover/lease.h"
#include "agent/failover/role_explain.h"
#include "tests/unit/roles_bed.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

/* Another host, which knows nothing of the register, has the address as the first of two sees
 * it: it leaves the role to the second. */
static void
test_foreign(void)
{
	struct test test;
	struct agent *first = &test.agents[0], *second = &test.agents[1];
	struct role_view view;

	set_up_agents(&test, "foreign", 2, true);
	first->probed = FOREIGN;
	put_free_register(&test);
	start(first);
	health(first, CHECK_PASSING);
	for (int i = 0; i < 40 && first->probes < 2; i++)
		run_for(test.loop, 100);
	start(second);
	health(second, CHECK_PASSING);
	CU_ASSERT_TRUE(until(test.loop, is_master, second, LIMIT_MS));
	roles_view(first->roles_module, 0, &view);
	CU_ASSERT_EQUAL(view.ready, ROLE_READY_NO);
	CU_ASSERT_FALSE(first->master || holds(first));
	CU_ASSERT_EQUAL(first->probes, 2); /* it makes sure */
	tear_down(&test);
}

/* Who had it when it was looked for may have objected meanwhile: that alone makes nobody
 * less ready. */
static void
test_found_once(void)
{
	struct test test;
	struct agent *agent = &test.agents[0];
	struct role_view view;

	set_up_agents(&test, "once", 1, true);
	agent->probed = ONCE;
	put_free_register(&test);
	start_all(&test);
	CU_ASSERT_PTR_EQUAL(elect(&test), agent);
	CU_ASSERT_EQUAL(agent->probes, 2);
	roles_view(agent->roles_module, 0, &view);
	CU_ASSERT_EQUAL(view.ready, ROLE_READY_YES);
	tear_down(&test);
}

/* A warden that says nothing to a probe does not keep the role from being taken. */
static void
test_silent_probe(void)
{
	struct test test;
	struct agent *agent = &test.agents[0];

	set_up_agents(&test, "silent", 1, true);
	agent->probed = SILENT;
	put_free_register(&test);
	start_all(&test);
	CU_ASSERT_PTR_EQUAL(elect(&test), agent);
	CU_ASSERT_TRUE(agent->probes > 0);
	tear_down(&test);
}

static void
restart(const char *role, bool bpf, bool then_bpf)
{
	struct test test;
	struct agent *master, *backup;
	uint64_t term;

	set_up_agents(&test, role, 2, true);
	for (size_t i = 0; i < test.n_agents; i++)
		test.agents[i].bpf = bpf;
	put_free_register(&test);
	start_all(&test);
	master = elect(&test);
	backup = other(&test, master);
	term = master->term;
	kill_agent(master);
	master->master = false;
	master->bpf = then_bpf;
	int64_t began = clock_boot_ms();
	start(master); /* its services' states are not known yet */
	CU_ASSERT_TRUE(until(test.loop, is_master, master, LIMIT_MS));
	CU_ASSERT_TRUE(is_soon(&test, began, 1500));
	CU_ASSERT_TRUE(master->term > term);
	health(master, CHECK_PASSING);
	run_for(test.loop, 1000);
	CU_ASSERT_TRUE(master->master && !backup->master && holds(master));
	tear_down(&test);
}

/* Killed and started again within its lease: it goes on, the other never sees a gap. */
static void
test_restart(void)
{
	restart("restart", false, false);
}

/* The same where the kind of fence is another one after it. */
static void
test_restart_kind(void)
{
	restart("to-bpf", false, true);
	restart("to-lifetime", true, false);
}

static bool
register_is_lost(void *arg)
{
	const struct agent *agent = arg;
	struct role_view view;

	roles_view(agent->roles_module, 0, &view);
	return view.lost;
}

/* A register that vanished: the master makes it again; where there is none, an operator. */
static void
test_lost(void)
{
	static const char path[] = "/v1/kv/lictor/roles/lost/register";
	struct test test;
	struct agent *master;
	char out[16], why[160];

	set_up_agents(&test, "lost", 1, true);
	put_free_register(&test);
	start_all(&test);
	master = elect(&test);
	consul_server_ask(server, "DELETE", path, NULL, out, sizeof(out));
	run_for(test.loop, 3000);
	CU_ASSERT_TRUE(master->master && holds(master));
	health(master, CHECK_CRITICAL);
	kill_agent(master);
	master->master = false;
	consul_server_ask(server, "DELETE", path, NULL, out, sizeof(out));
	start(master);
	health(master, CHECK_PASSING);
	CU_ASSERT_TRUE(until(test.loop, register_is_lost, master, LIMIT_MS));
	run_for(test.loop, 3000); /* seen before: not made by itself */
	CU_ASSERT_FALSE(master->master);
	CU_ASSERT_EQUAL(roles_init(master->roles_module, 0, why, sizeof(why)), 0);
	CU_ASSERT_TRUE(until(test.loop, is_master, master, LIMIT_MS));
	tear_down(&test);
}

static bool
has_register(void *arg)
{
	const struct test *test = arg;
	AUTO_FREE char *path = xasprintf("/v1/kv/lictor/roles/%s/register", test->name);
	char out[16];

	return consul_server_ask(server, "GET", path, NULL, out, sizeof(out)) == 200;
}

/* Whose interface is down has looked for nobody: it makes no first register until it is up. */
static void
test_first_start_blind(void)
{
	struct test test;
	struct agent *agent = &test.agents[0];

	set_up_agents(&test, "blind", 1, true);
	agent->bpf = agent->down = true;
	start(agent);
	CU_ASSERT_FALSE(until(test.loop, has_register, &test, 3000));
	set_carrier(agent, true);
	CU_ASSERT_TRUE(until(test.loop, has_register, &test, LIMIT_MS));
	tear_down(&test);
}

/* Both agents have one loop: while that stands still neither is heard. */
#define SILENCE_MS 900

static void
let_hear(struct test *test)
{
	for (unsigned int i = 0; i < test->n_agents; i++) {
		struct agent *agent = &test->agents[i];

		agent->bpf = true;
		snprintf(agent->heard_at, sizeof(agent->heard_at), "127.0.7.%u", i + 1);
		agent->conf.failover = (struct conf_failover){
			.address = agent->heard_at,
			.port = 20000 + (unsigned int)getpid() % 10000,
			.heartbeats = true,
			.hold_ms = 3600000,
			.hold_alone_ms = 60000,
			.silence_ms = SILENCE_MS,
		};
	}
}

/* Who has no address to hear at yet has listened to nobody: he does so first, for 4 D. */
static void
test_first_start_deaf(void)
{
	struct test test;
	struct agent *agent = &test.agents[0];
	int64_t began;

	set_up_agents(&test, "deaf", 1, true);
	let_hear(&test);
	agent->conf.failover.address = NULL;
	start(agent);
	CU_ASSERT_FALSE(until(test.loop, has_register, &test, 4 * SILENCE_MS + 1000));
	began = clock_boot_ms();
	roles_bind(agent->roles_module, agent->heard_at);
	CU_ASSERT_TRUE(until(test.loop, has_register, &test, LIMIT_MS));
	CU_ASSERT_TRUE(clock_boot_ms() - began >= 4 * SILENCE_MS);
	tear_down(&test);
}

/* Who never has one makes it in the end. */
static void
test_first_start_alone(void)
{
	struct test test;

	set_up_agents(&test, "alone", 1, true);
	let_hear(&test);
	test.agents[0].conf.failover.address = NULL;
	start(&test.agents[0]);
	CU_ASSERT_TRUE(until(test.loop, has_register, &test, 3 * LIMIT_MS));
	tear_down(&test);
}

/* The host that made the first register had a clock that was far ahead. An operator's word
 * makes one that those who knew it take for newer. */
static void
test_lost_from_the_future(void)
{
	static const char path[] = "/v1/kv/lictor/roles/ahead/register";
	int64_t rev = clock_wall_ms() + 3600 * 1000;
	AUTO_FREE char *text = xasprintf("{\"v\":1,\"rev\":%" PRId64
					 ",\"wid\":\"test.1.GIVE.1\",\"holder\":\"\","
					 "\"fence\":null}",
	    rev);
	struct test test;
	struct agent *agent = &test.agents[0];
	char out[16], why[160];

	set_up_agents(&test, "ahead", 1, true);
	consul_server_ask(server, "PUT", path, text, out, sizeof(out));
	start(agent);
	health(agent, CHECK_CRITICAL);
	run_for(test.loop, 1500);
	consul_server_ask(server, "DELETE", path, NULL, out, sizeof(out));
	CU_ASSERT_TRUE(until(test.loop, register_is_lost, agent, LIMIT_MS));
	CU_ASSERT_EQUAL(roles_init(agent->roles_module, 0, why, sizeof(why)), 0);
	health(agent, CHECK_PASSING);
	CU_ASSERT_TRUE(until(test.loop, is_master, agent, LIMIT_MS));
	CU_ASSERT_TRUE((int64_t)agent->term > rev);
	tear_down(&test);
}

/* The other is counted on: it takes over without a wait for more than the lease. */
static bool
has_member(void *arg)
{
	struct role_view view;
	const struct agent *master = find_master(arg);

	if (master == NULL)
		return false;
	roles_view(master->roles_module, 0, &view);
	return view.reg.fence.n_members == 1 && view.reg.fence.hb && view.calm;
}

static bool
is_heard_no_more(void *arg)
{
	struct role_view view;
	const struct agent *agent = arg;

	roles_view(agent->roles_module, 0, &view);
	return view.state == ROLE_WAITING;
}

/* A master that is silent for D is claimed, and replaced when its lease is over; a role that
 * is paused is not, before it is resumed. */
static void
test_silent_master(bool paused)
{
	struct test test;
	struct agent *master, *backup;
	int64_t began;
	char why[128];

	set_up_agents(&test, paused ? "held-still" : "heard", 2, true);
	let_hear(&test);
	put_free_register(&test);
	start_all(&test);
	master = elect(&test);
	backup = master == &test.agents[0] ? &test.agents[1] : &test.agents[0];
	CU_ASSERT_TRUE_FATAL(until(test.loop, has_member, &test, LIMIT_MS));
	if (paused) {
		struct lease_pause pause = { .on = false };

		CU_ASSERT_TRUE(roles_pause(
		    backup->roles_module, 0, true, "ann", "", why, sizeof(why)));
		for (int i = 0; i < 50 && !pause.on; i++) {
			run_for(test.loop, 100);
			roles_paused(backup->roles_module, 0, &pause);
		}
		CU_ASSERT_TRUE_FATAL(pause.on);
	}
	kill_agent(master);
	master->master = false;
	began = clock_boot_ms();
	if (paused) {
		CU_ASSERT_FALSE(until(test.loop, is_heard_no_more, backup, 2000));
		CU_ASSERT_TRUE(roles_pause(
		    backup->roles_module, 0, false, "ann", "", why, sizeof(why)));
	}
	CU_ASSERT_TRUE(until(test.loop, is_master, backup, LIMIT_MS));
	/* that silence less a heartbeat, and the lease of a second, stretched */
	CU_ASSERT_TRUE(clock_boot_ms() - began >=
	    1111 + (paused ? 2000 : SILENCE_MS - SILENCE_MS / 8));
	CU_ASSERT_TRUE(clock_boot_ms() - began < (paused ? 8000 : 4000));
	tear_down(&test);
}

static void
test_heard(void)
{
	test_silent_master(false);
}

static void
test_paused(void)
{
	test_silent_master(true);
}

/* The longest first: they run side by side. */
static const struct tap_case cases[] = {
	{ "a first register by a host that cannot look", test_first_start_blind },
	{ "a first register by a host that cannot hear yet", test_first_start_deaf },
	{ "a first register by one that never can", test_first_start_alone },
	{ "a register that is lost", test_lost },
	{ "a lost one from a clock that was ahead", test_lost_from_the_future },
	{ "an address that another host has", test_foreign },
	{ "an address that another host had once", test_found_once },
	{ "a probe without an answer", test_silent_probe },
	{ "a restart adopts", test_restart },
	{ "a restart with another fence adopts", test_restart_kind },
	{ "a silent master is replaced when its lease is over", test_heard },
	{ "but not in a role that is paused", test_paused },
};

int
main(int argc, char **argv)
{
	return consul_server_main(
	    argc, argv, "roles_fault", cases, ARRAY_LENGTH(cases), &server);
}
