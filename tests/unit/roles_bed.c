/* SPDX-License-Identifier: ISC */
/*
 * Whole roles against a real Consul, several agents in one process, each with a warden of
 * a few lines behind a real wire. Asserted at every word of a warden: no two of them hold
 * at once.
 */
#include "tests/unit/roles_bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/consul/consul.h"
#include "agent/failover/vip.h"
#include "tests/unit/pace.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

struct consul_server *server;

/* ---- the warden: judges a hold by the clock, like the real one, in a few words ---- */

bool
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
	if (agent->down)
		answer.probed.found = WIRE_FOUND_UNKNOWN;
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

void
set_carrier(struct agent *agent, bool up)
{
	struct wire_message carrier = {
		.type = WIRE_CARRIER,
		.carrier = { .vip = 0, .up = up },
	};

	agent->down = !up;
	wire_send(agent->warden, &carrier, -1);
}

static void
link_warden(struct agent *agent)
{
	struct wire_out to_agent = { on_answer, on_closed, agent };
	struct wire_out to_warden = { on_order, on_closed, agent };
	struct loop *loop = agent->test->loop;
	int fds[2];

	CU_ASSERT_EQUAL_FATAL(wire_pair(fds), 0);
	agent->wire = wire_new(loop, fds[0], WIRE_AGENT, WIRE_WARDEN, 1, &to_agent);
	agent->warden = wire_new(loop, fds[1], WIRE_WARDEN, WIRE_AGENT, 1, &to_warden);
	vips_link(agent->vips, agent->wire, 1);
	set_carrier(agent, !agent->down);
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

void
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

void
health(struct agent *agent, enum check_status status)
{
	struct service_verdict verdict = { .status = status, .known = true };

	roles_service(agent->roles_module, &agent->service, &verdict);
}

void
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

void
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

void
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

void
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

void
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

void
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

struct agent *
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

bool
is_master(void *arg)
{
	const struct agent *agent = arg;

	return agent->master && has_address(agent);
}

bool
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

struct agent *
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

struct agent *
other(struct test *test, const struct agent *agent)
{
	return agent == &test->agents[0] ? &test->agents[1] : &test->agents[0];
}

bool
is_soon(const struct test *test, int64_t began, int64_t limit_ms)
{
	return pace_allows(test->pace, clock_boot_ms() - began, limit_ms);
}

void
expect_handover(struct test *test, const struct agent *from, struct agent *to)
{
	int64_t began = clock_boot_ms();

	CU_ASSERT_TRUE(until(test->loop, is_master, to, LIMIT_MS));
	CU_ASSERT_FALSE(from->master);
	CU_ASSERT_TRUE(is_soon(test, began, 1000));
}
