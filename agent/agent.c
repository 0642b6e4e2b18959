/* SPDX-License-Identifier: ISC */
/*
 * The composition root of the agent process: makes every module, wires each one's news to
 * the next and unmakes them in mirror order. It decides nothing; the only order it knows
 * is that of a start (states that Consul still shows are taken over before the first
 * check runs and before a role decides) and of a stop (roles are given away, then
 * services say goodbye, then the runner hears that all is done). The wiring of failover is
 * in agent_failover.c.
 */
#include "agent/agent_state.h"

#include "agent/base/fetch.h"
#include "agent/base/http.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/paths.h"
#include "agent/base/resolve.h"
#include "agent/base/stream.h"
#include "agent/base/tls.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/consul/report.h"
#include "agent/consul/self.h"
#include "agent/consul/upkeep.h"
#include "agent/failover/doubt.h"
#include "agent/failover/hooks.h"
#include "agent/failover/roles.h"
#include "agent/failover/track.h"
#include "agent/failover/vip.h"
#include "agent/health/run.h"
#include "agent/health/sched.h"
#include "agent/health/service.h"
#include "agent/health/trust.h"
#include "agent/status/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PATIENCE_MS 200 /* with Consul at a start */

/* ---- checks to services, report and roles ---- */

static void
on_check_changed(
    void *arg, const struct conf_check *check, const struct sched_state *state)
{
	struct agent *agent = arg;

	services_check(agent->services, check, state->status, state->known);
	report_check(agent->report, check, state->status, state->output);
	track_check(agent->track, check, state->status, state->known);
}

static void
on_check_output(
    void *arg, const struct conf_check *check, const struct sched_state *state)
{
	struct agent *agent = arg;

	report_check_output(agent->report, check, state->output);
}

static void
on_verdict(void *arg, const struct conf_service *service,
    const struct service_verdict *verdict)
{
	struct agent *agent = arg;

	if (agent->roles != NULL)
		roles_service(agent->roles, service, verdict);
}

/* ---- commands, to the runner and back ---- */

void
agent_run(struct agent *agent, const struct wire_run *run)
{
	struct wire_message message = { .type = WIRE_RUN, .run = *run };

	wire_send(agent->runner, &message, -1);
}

static void
on_check_command(
    void *arg, uint64_t run, const struct conf_check *check, int64_t timeout_ms)
{
	struct wire_run order = {
		.run = run, .command = check->command->index, .timeout_ms = timeout_ms
	};

	agent_run(arg, &order);
}

static void
on_check_kill(void *arg, uint64_t run)
{
	struct agent *agent = arg;
	struct wire_message message = { .type = WIRE_KILL, .kill = { .run = run } };

	wire_send(agent->runner, &message, -1);
}

static void
on_exited(struct agent *agent, const struct wire_exited *exited)
{
	struct check_exit exit = { .value = (int)exited->value,
		.output = exited->output,
		.output_len = exited->output_len };

	if ((exited->run & HOOKS_RUN) != 0) {
		hooks_ended(agent->hooks, exited);
		return;
	}
	switch ((enum wire_exit)exited->how) {
	case WIRE_EXIT_CODE: exit.how = CHECK_EXITED; break;
	case WIRE_EXIT_SIGNAL: exit.how = CHECK_SIGNALLED; break;
	case WIRE_EXIT_TIMEOUT: exit.how = CHECK_TIMED_OUT; break;
	case WIRE_EXIT_UNKNOWN: exit.how = CHECK_NOT_RUN; break;
	}
	sched_command_ended(agent->sched, exited->run, &exit);
}

/* ---- maintenance, ours and Consul's ---- */

static void
on_our_maintenance(
    void *arg, const struct conf_service *service, bool on, const char *reason)
{
	struct agent *agent = arg;

	report_upkeep(agent->report, service, on, reason);
}

static void
on_consul_maintenance(
    void *arg, const struct conf_service *service, bool on, const char *reason)
{
	struct agent *agent = arg;

	upkeep_consul(agent->upkeep, service, on, reason);
}

static void
on_patience(void *arg)
{
	struct agent *agent = arg;

	agent->waited = true;
	agent_start_roles(agent);
}

/* ---- what Consul tells at the start, and the goodbye ---- */

static void
on_adopt(void *arg, const struct conf_check *check, enum check_status status,
    const char *output)
{
	struct agent *agent = arg;

	sched_adopt(agent->sched, check->index, status, output);
	services_check(agent->services, check, status, true);
	track_check(agent->track, check, status, true);
}

static void
on_adopted(void *arg)
{
	struct agent *agent = arg;

	agent->adopted = true;
	sched_start(agent->sched);
	agent_start_roles(agent);
}

static void
on_node(void *arg, const char *node)
{
	struct agent *agent = arg;

	agent->node = xstrdup(node);
	report_node(agent->report, node);
	agent_start_roles(agent);
}

static void
say_doubt(void *arg, const char *line)
{
	log_warning("consul", "%s", line);
}

/* A fresh agent begins under the right name, and gives nothing away. */
static void
on_self(void *arg, const struct self_facts *facts)
{
	static const struct doubt_out doubts = { say_doubt, NULL };
	struct agent *agent = arg;

	doubt_consul(agent->conf, facts, &doubts);
	str_copy(agent->address, sizeof(agent->address), facts->address);
	if (agent->roles != NULL)
		roles_bind(agent->roles, agent->address);
	if (agent->node == NULL) {
		on_node(agent, facts->node);
	} else if (agent->conf->node == NULL && strcmp(agent->node, facts->node) != 0) {
		log_error("consul",
		    "this node is called %s now, and was %s: the agent starts anew",
		    facts->node, agent->node);
		agent->status = 1;
		loop_stop(agent->loop);
	}
}

/* Its name is asked for unless it is configured, and its address if there are heartbeats. */
void
agent_look_for_self(struct agent *agent)
{
	const struct conf *conf = agent->conf;
	struct self_out self = { on_self, agent };
	bool needs_address = conf->n_roles > 0 && conf->failover.heartbeats &&
	    conf->failover.address == NULL;

	if (agent->self != NULL || (conf->node != NULL && !needs_address))
		return;
	char *state AUTO_FREE = path_state(NULL);
	agent->self =
	    self_new(agent->loop, agent->consul, conf->consul.datacenter, state, &self);
}

static void
on_report_stopped(void *arg)
{
	struct agent *agent = arg;
	struct wire_message message = { .type = WIRE_DONE };

	wire_send(agent->runner, &message, -1);
	agent->status = 0;
	loop_stop(agent->loop);
}

static void
stop(struct agent *agent)
{
	if (agent->stopping)
		return;
	agent->stopping = true;
	if (agent->roles != NULL)
		roles_stop(agent->roles);
	else
		report_stop(agent->report);
}

/* ---- the wall ---- */

static void
on_runner_message(void *arg, const struct wire_message *message, int fd)
{
	struct agent *agent = arg;
	struct wire_message pong = { .type = WIRE_PONG };

	if (message->type == WIRE_LINK)
		agent_link_warden(agent, fd, message->link.instance);
	else if (message->type == WIRE_PING)
		wire_send(agent->runner, &pong, -1);
	else if (message->type == WIRE_FENCE)
		agent_fenced(agent, &message->fence);
	else if (message->type == WIRE_STARTED)
		sched_command_started(agent->sched, message->started.run);
	else if (message->type == WIRE_EXITED)
		on_exited(agent, &message->exited);
	else if (message->type == WIRE_STOP)
		stop(agent);
	else if (message->type == WIRE_RELOADED)
		control_answer(agent->control, message->reloaded.request,
		    message->reloaded.ok != 0, message->reloaded.why);
	else
		agent_reload_message(agent, message, fd);
}

/* The runner is dead: its successor starts a fresh agent, which adopts what this one held. */
static void
on_runner_closed(void *arg, const char *why)
{
	struct agent *agent = arg;

	log_notice("loop",
	    "the runner is gone (%s): this agent ends, nothing is given away", why);
	agent->status = 1;
	loop_stop(agent->loop);
}

/* ---- life ---- */

static void
make_health(struct agent *agent)
{
	struct services_out services = { on_verdict, agent };
	struct sched_out sched = { on_check_changed, on_check_output, on_check_command,
		on_check_kill, agent };

	agent->http = http_new(agent->loop);
	http_be_modest(agent->http);
	agent->resolve = resolve_new(agent->loop);
	agent->tlss = tlss_new();
	agent->streams = streams_new(agent->loop, agent->resolve, agent->tlss);
	agent->fetch = fetch_new(agent->loop, agent->streams);
	agent->services = services_new(agent->conf, &services);
	struct run_servants servants = {
		.loop = agent->loop,
		.fetch = agent->fetch,
		.http = agent->http,
		.resolve = agent->resolve,
		.streams = agent->streams,
		.blackbox = agent->blackbox,
	};
	agent->sched = sched_new(&servants, agent->conf, &sched);
	trust_withdraw(agent->sched, agent->conf, agent->blackbox);
}

static void
make_upkeep(struct agent *agent)
{
	static const struct upkeep_clock clock = { clock_boot_ms, clock_wall_ms };
	struct upkeep_out out = { on_our_maintenance, agent_maintained, agent };
	char *path AUTO_FREE = path_state("maintenance");

	agent->upkeep = upkeep_new(agent->loop, agent->conf, path, &clock, &out);
}

static void
make_consul(struct agent *agent)
{
	struct report_out report = {
		.adopt = on_adopt,
		.adopted = on_adopted,
		.maintenance = on_consul_maintenance,
		.stopped = on_report_stopped,
		.arg = agent,
	};

	agent->consul = consul_new(agent->loop, &agent->conf->consul);
	agent->report = report_new(agent->loop, agent->consul, agent->conf, &report);
	if (agent->conf->node != NULL)
		on_node(agent, agent->conf->node);
	agent_look_for_self(agent);
	agent->patience = loop_timer_new(agent->loop, on_patience, agent);
	loop_timer_after(agent->patience, PATIENCE_MS);
}

/* A thousand checks at once are a thousand descriptors: all that the host allows. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void
agent_free(struct agent *agent)
{
	control_free(agent->control);
	roles_free(agent->roles);
	track_free(agent->track);
	self_free(agent->self);
	loop_timer_free(agent->patience);
	report_free(agent->report);
	upkeep_free(agent->upkeep);
	consul_free(agent->consul);
	vips_free(agent->vips);
	hooks_free(agent->hooks);
	if (!sched_free(agent->sched)) {
		log_notice("check",
		    "the agent ends while a check still hangs in a file or a library");
		_exit(agent->status);
	}
	services_free(agent->services);
	fetch_free(agent->fetch);
	streams_free(agent->streams);
	tlss_free(agent->tlss);
	resolve_free(agent->resolve);
	http_free(agent->http);
	wire_free(agent->warden);
	wire_free(agent->runner);
	agent_reload_done(agent);
	loop_free(agent->loop);
	free(agent->node);
	conf_free(agent->conf);
}

int
agent_main(struct conf *conf, int runner_fd, int control_fd, struct blackbox *box)
{
	struct agent agent = { .conf = conf, .blackbox = box, .loop = loop_new() };
	struct wire_out runner = { on_runner_message, on_runner_closed, &agent };
	struct control_out control;
	struct wire_message ready = { .type = WIRE_READY };

	raise_descriptor_limit();
	agent_reload_init(&agent);
	agent.runner = wire_new(
	    agent.loop, runner_fd, WIRE_AGENT, WIRE_RUNNER, conf->generation, &runner);
	make_health(&agent);
	agent_make_failover(&agent);
	make_upkeep(&agent);
	make_consul(&agent);
	agent_take_orders(&agent, &control);
	agent.control = control_new(agent.loop, control_fd, &control);
	upkeep_start(agent.upkeep);
	report_start(agent.report);
	wire_send(agent.runner, &ready, -1);
	loop_run(agent.loop);
	agent_free(&agent);
	return agent.status;
}
