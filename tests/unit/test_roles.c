/* SPDX-License-Identifier: ISC */
/*
 * Whole roles against a real Consul, several agents in one process, each with a warden of
 * a few lines behind a real wire: one master is elected, planned handovers go through, a
 * restart adopts. Asserted at every word of a warden: no two of them hold at once.
 */
#include "agent/failover/roles.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/failover/hooks.h"
#include "agent/failover/lease.h"
#include "agent/failover/vip.h"
#include "agent/health/service.h"
#include "tests/unit/consul_server.h"
#include "tests/unit/pace.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define LIMIT_MS 30000
#define CALM_LEASE_MS 3000 /* that a busy machine does not lose */
#define AGENTS 2

static struct consul_server *server;

struct agent {
	char heard_at[16]; /* by heartbeats */
	struct test *test;
	char node[16], service_name[8], address[16], interface[8], state_dir[64];
	struct conf conf;
	struct conf_role role, *roles[1];
	struct conf_service service, *services[1];
	const struct conf_service *of_role[1];
	struct conf_vip vip, *vips_list[1];
	const struct conf_vip *vips_of_role[1];
	struct conf_command promote, demote;
	struct consul *consul;
	struct wire *wire, *warden;
	struct vips *vips;
	struct hooks *hooks;
	struct roles *roles_module;
	uint64_t run; /* a hook that runs */
	bool hooks_end; /* at once, well */
	unsigned int promoted, demoted, changes, stopped;
	bool bpf; /* the kind of its fence */
	bool master; /* as told to tags */
	uint64_t term;
	int64_t held_until; /* as the warden has it; 0: dropped */
	unsigned int probes; /* that it was asked for */
	enum {
		NOBODY,
		FOREIGN,
		ONCE,
		SILENT
	} probed; /* what it finds, or says nothing */
};

struct test {
	struct loop *loop;
	char name[16];
	struct agent agents[AGENTS];
	size_t n_agents;
	struct pace *pace;
};

/* ---- the warden: judges a hold by the clock, like the real one, in a few words ---- */

static bool
holds(const struct agent *agent)
{
	return agent->held_until > clock_boot_ms();
}

static void
answer_probe(struct agent *agent, const struct wire_probe *probe)
{
	struct wire_message answer = {
		.type = WIRE_PROBED,
		.probed = { .order = probe->order,
		    .found = agent->probed == FOREIGN ||
			    (agent->probed == ONCE && agent->probes == 0)
			? WIRE_FOUND_ANOTHER
			: WIRE_FOUND_NOBODY,
		    .mac = { 2, 0, 0, 0, 0, 7 } },
	};

	CU_ASSERT_FALSE(holds(agent) && agent->master);
	agent->probes++;
	if (agent->probed != SILENT)
		wire_send(agent->warden, &answer, -1);
}

static void
on_order(void *arg, const struct wire_message *message, int fd)
{
	struct agent *agent = arg;
	bool hold = message->type == WIRE_HOLD;
	struct wire_message answer = {
		.type = hold ? WIRE_HELD : WIRE_GONE,
		.answer = { .order = hold ? message->hold.order : message->drop.order },
	};

	CU_ASSERT_EQUAL(fd, -1);
	if (message->type == WIRE_PROBE) {
		answer_probe(agent, &message->probe);
		return;
	}
	agent->held_until = hold ? message->hold.until_ms : 0;
	for (size_t i = 0; hold && i < agent->test->n_agents; i++) {
		const struct agent *other = &agent->test->agents[i];

		CU_ASSERT_TRUE(other == agent || !holds(other));
	}
	CU_ASSERT_TRUE(!hold ||
	    message->hold.until_ms <=
		clock_boot_ms() + conf_lease(&agent->conf, agent->bpf));
	CU_ASSERT_TRUE(!hold ||
	    message->hold.fence == (agent->bpf ? WIRE_FENCE_BPF : WIRE_FENCE_LIFETIME));
	wire_send(agent->warden, &answer, -1);
}

static void
on_answer(void *arg, const struct wire_message *message, int fd)
{
	struct agent *agent = arg;

	CU_ASSERT_EQUAL(fd, -1);
	vips_message(agent->vips, message);
}

static void
on_closed(void *arg, const char *why)
{
	(void)arg, (void)why;
	CU_FAIL("the wire was closed");
}

static void
link_warden(struct agent *agent)
{
	struct wire_out to_agent = { on_answer, on_closed, agent };
	struct wire_out to_warden = { on_order, on_closed, agent };
	struct wire_message carrier = {
		.type = WIRE_CARRIER,
		.carrier = { .vip = 0, .up = 1 },
	};
	struct loop *loop = agent->test->loop;
	int fds[2];

	CU_ASSERT_EQUAL_FATAL(wire_pair(fds), 0);
	agent->wire = wire_new(loop, fds[0], WIRE_AGENT, WIRE_WARDEN, 1, &to_agent);
	agent->warden = wire_new(loop, fds[1], WIRE_WARDEN, WIRE_AGENT, 1, &to_warden);
	vips_link(agent->vips, agent->wire, 1);
	wire_send(agent->warden, &carrier, -1);
}

/* ---- the agent's wiring ---- */

static void
on_held(void *arg, uint32_t role, uint64_t order)
{
	struct agent *agent = arg;

	roles_held(agent->roles_module, role, order);
}

static void
on_gone(void *arg, uint32_t role, uint64_t order)
{
	struct agent *agent = arg;

	roles_gone(agent->roles_module, role, order);
}

static void
on_usable(void *arg, uint32_t role, bool usable, const char *why)
{
	struct agent *agent = arg;

	roles_usable(agent->roles_module, role, usable, why);
}

static void
on_probed(void *arg, uint32_t role, uint64_t order, bool found)
{
	struct agent *agent = arg;

	roles_probed(agent->roles_module, role, order, found);
}

static void
on_hook_done(void *arg, uint32_t role, bool demote, bool ok)
{
	struct agent *agent = arg;

	roles_hook_done(agent->roles_module, role, demote, ok);
}

static void
end_hook(struct agent *agent, uint32_t value)
{
	struct wire_exited exited = {
		.run = agent->run,
		.how = WIRE_EXIT_CODE,
		.value = value,
	};

	agent->run = 0;
	hooks_ended(agent->hooks, &exited);
}

static void
on_command(void *arg, uint64_t run, uint32_t command, enum role_state state,
    enum role_reason reason, uint64_t term, int64_t timeout_ms)
{
	struct agent *agent = arg;

	(void)reason, (void)term, (void)timeout_ms;
	CU_ASSERT_EQUAL(state == ROLE_MASTER, command == 0);
	agent->run = run;
	*(command == 0 ? &agent->promoted : &agent->demoted) += 1;
}

static void
on_changed(void *arg, uint32_t role, bool master, uint64_t term)
{
	struct agent *agent = arg;

	CU_ASSERT_EQUAL(role, 0);
	CU_ASSERT_EQUAL(master, term > 0);
	agent->changes++;
	agent->master = master;
	agent->term = term;
}

static void
on_stopped(void *arg)
{
	struct agent *agent = arg;

	agent->stopped++;
}

static void
make_conf(struct agent *agent, const char *role_name, bool with_vip)
{
	str_copy(agent->service_name, sizeof(agent->service_name), "web");
	str_copy(agent->address, sizeof(agent->address), "10.0.0.100");
	str_copy(agent->interface, sizeof(agent->interface), "eth0");
	agent->service = (struct conf_service){
		.name = agent->service_name,
		.role = &agent->role,
	};
	agent->vip = (struct conf_vip){
		.role = &agent->role,
		.text = agent->address,
		.interface = agent->interface,
	};
	agent->services[0] = &agent->service;
	agent->of_role[0] = &agent->service;
	agent->vips_list[0] = &agent->vip;
	agent->vips_of_role[0] = &agent->vip;
	agent->demote.index = 1;
	agent->role = (struct conf_role){
		.name = agent->test->name,
		.services = agent->of_role,
		.n_services = 1,
		.priority = 100,
		.auto_init = true,
		.vips = agent->vips_of_role,
		.n_vips = with_vip ? 1 : 0,
		.hook_timeout_ms = 1000,
	};
	str_copy(agent->test->name, sizeof(agent->test->name), role_name);
	agent->roles[0] = &agent->role;
	agent->conf = (struct conf){
		.consul = { .address = xstrdup(consul_server_address(server)) },
		.roles = agent->roles,
		.n_roles = 1,
		.services = agent->services,
		.n_services = 1,
		.vips = agent->vips_list,
		.n_vips = with_vip ? 1 : 0,
	};
}

static void
health(struct agent *agent, enum check_status status)
{
	struct service_verdict verdict = { .status = status, .known = true };

	roles_service(agent->roles_module, &agent->service, &verdict);
}

static void
start(struct agent *agent)
{
	struct vips_out vips_out = { on_held, on_gone, on_usable, on_probed, agent };
	struct hooks_out hooks_out = { on_hook_done, on_command, agent };
	struct roles_out roles_out = { on_changed, on_stopped, agent };
	struct loop *loop = agent->test->loop;
	struct wire_fence_kind fence = {
		.kind = agent->bpf ? WIRE_FENCE_BPF : WIRE_FENCE_LIFETIME,
		.fixed = 1,
		.ok = 1,
	};

	agent->consul = consul_new(loop, &agent->conf.consul);
	agent->vips = vips_new(loop, &agent->conf, &vips_out);
	vips_fence(agent->vips, &fence);
	agent->hooks = hooks_new(&agent->conf, NULL, &hooks_out);
	agent->roles_module = roles_new(loop, agent->consul, agent->vips, agent->hooks,
	    &agent->conf, agent->bpf, agent->node, agent->state_dir, &roles_out);
	if (agent->conf.n_vips > 0)
		link_warden(agent);
	roles_start(agent->roles_module);
}

/* As SIGKILL does it: nothing is said to anybody. */
static void
kill_agent(struct agent *agent)
{
	roles_free(agent->roles_module);
	hooks_free(agent->hooks);
	vips_free(agent->vips);
	consul_free(agent->consul);
	wire_free(agent->wire);
	wire_free(agent->warden);
	agent->roles_module = NULL;
	agent->hooks = NULL;
	agent->vips = NULL;
	agent->consul = NULL;
	agent->wire = agent->warden = NULL;
}

static void
write_something(void *arg)
{
	char out[16];

	(void)arg;
	consul_server_ask(server, "PUT", "/v1/kv/pace", "pace", out, sizeof(out));
}

static void
set_up_agents(struct test *test, const char *role_name, size_t n_agents, bool with_vip)
{
	memset(test, 0, sizeof(*test));
	test->pace = pace_new(50, write_something, NULL);
	test->loop = loop_new();
	test->n_agents = n_agents;
	for (size_t i = 0; i < n_agents; i++) {
		struct agent *agent = &test->agents[i];

		agent->test = test;
		snprintf(
		    agent->node, sizeof(agent->node), "web-%u", (unsigned int)i + 1);
		str_copy(agent->state_dir, sizeof(agent->state_dir),
		    "/tmp/lictor-test-XXXXXX");
		CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(agent->state_dir));
		make_conf(agent, role_name, with_vip);
	}
}

/* A register that nobody holds: an election without the waits of a first start. */
static void
put_free_register(const struct test *test)
{
	AUTO_FREE char *path = xasprintf("/v1/kv/lictor/roles/%s/register", test->name);
	char out[16];

	CU_ASSERT_EQUAL(consul_server_ask(server, "PUT", path,
			    "{\"v\":1,\"rev\":1,\"wid\":\"test.1.GIVE.1\","
			    "\"holder\":\"\",\"fence\":null}",
			    out, sizeof(out)),
	    200);
}

static void
start_all(struct test *test)
{
	for (size_t i = 0; i < test->n_agents; i++) {
		start(&test->agents[i]);
		health(&test->agents[i], CHECK_PASSING);
	}
}

static void
clean_state(const struct agent *agent)
{
	AUTO_FREE char *session = xasprintf("%s/session", agent->state_dir);
	AUTO_FREE char *folder = xasprintf("%s/roles", agent->state_dir);
	AUTO_FREE char *seen = xasprintf("%s/%s.seen", folder, agent->role.name);

	AUTO_FREE char *key = xasprintf("%s/heartbeat-key", agent->state_dir);

	unlink(key);
	unlink(session);
	unlink(seen);
	rmdir(folder);
	CU_ASSERT_EQUAL(rmdir(agent->state_dir), 0);
}

static void
tear_down(struct test *test)
{
	for (size_t i = 0; i < test->n_agents; i++) {
		kill_agent(&test->agents[i]);
		clean_state(&test->agents[i]);
		free(test->agents[i].conf.consul.address);
	}
	loop_free(test->loop);
	pace_free(test->pace);
}

static struct agent *
find_master(struct test *test)
{
	struct agent *master = NULL;

	for (size_t i = 0; i < test->n_agents; i++) {
		if (!test->agents[i].master)
			continue;
		CU_ASSERT_PTR_NULL(master);
		master = &test->agents[i];
	}
	return master;
}

static bool
has_address(const struct agent *agent)
{
	return agent->conf.n_vips == 0 || vips_is_held(agent->vips, 0);
}

static bool
is_up(void *arg)
{
	const struct agent *master = find_master(arg);

	return master != NULL && has_address(master);
}

static bool
is_master(void *arg)
{
	const struct agent *agent = arg;

	return agent->master && has_address(agent);
}

static bool
both_present(void *arg)
{
	const struct test *test = arg;
	struct role_peer peers[ROLE_PEERS];

	for (size_t i = 0; i < test->n_agents; i++) {
		size_t n = roles_candidates(test->agents[i].roles_module, 0, peers);

		if (n < test->n_agents || !peers[0].ready || !peers[1].ready)
			return false;
	}
	return true;
}

static struct agent *
elect(struct test *test)
{
	struct agent *master;

	CU_ASSERT_TRUE_FATAL(until(test->loop, is_up, test, LIMIT_MS));
	if (test->n_agents > 1)
		CU_ASSERT_TRUE_FATAL(until(test->loop, both_present, test, LIMIT_MS));
	master = find_master(test);
	CU_ASSERT_PTR_NOT_NULL_FATAL(master);
	return master;
}

static struct agent *
other(struct test *test, const struct agent *agent)
{
	return agent == &test->agents[0] ? &test->agents[1] : &test->agents[0];
}

/* Within the time, less what this machine and its Consul need for the steps between: each is
 * a write, or a wait for somebody to see one. */
static bool
is_soon(const struct test *test, int64_t began, int64_t limit_ms)
{
	return pace_allows(test->pace, clock_boot_ms() - began, limit_ms);
}

/* The role goes from one to the other, and no time is lost over it. */
static void
expect_handover(struct test *test, const struct agent *from, struct agent *to)
{
	int64_t began = clock_boot_ms();

	CU_ASSERT_TRUE(until(test->loop, is_master, to, LIMIT_MS));
	CU_ASSERT_FALSE(from->master);
	CU_ASSERT_TRUE(is_soon(test, began, 1000));
}

/* ---- cases ---- */

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

/* A node name that a register cannot carry: no role, and nothing falls over. */
/* ---- heartbeats ---- */

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
		};
	}
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
	/* a silence of 300 ms less a heartbeat, and the lease of a second, stretched */
	CU_ASSERT_TRUE(clock_boot_ms() - began >= 1111 + (paused ? 2000 : 200));
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
	{ "a register that is lost", test_lost },
	{ "a lost one from a clock that was ahead", test_lost_from_the_future },
	{ "one is elected, and switched over twice", test_elect_and_switch },
	{ "two kinds of fence", test_two_kinds },
	{ "a failed service hands over", test_service },
	{ "maintenance hands over", test_maintenance },
	{ "a host hands all over", test_handover },
	{ "a stop hands over", test_stop },
	{ "an address that another host has", test_foreign },
	{ "an address that another host had once", test_found_once },
	{ "a probe without an answer", test_silent_probe },
	{ "a restart adopts", test_restart },
	{ "a restart with another fence adopts", test_restart_kind },
	{ "a role without addresses", test_without_address },
	{ "hooks hold the address back and keep it", test_hooks },
	{ "what cannot be done is refused", test_refusals },
	{ "a node name that cannot be used", test_bad_name },
	{ "a silent master is replaced when its lease is over", test_heard },
	{ "but not in a role that is paused", test_paused },
};

int
main(int argc, char **argv)
{
	return consul_server_main(
	    argc, argv, "roles", cases, ARRAY_LENGTH(cases), &server);
}
