/* SPDX-License-Identifier: ISC */
/*
 * What operators ask of a running agent, over the control socket: each question is taken
 * to the module that it is for, by the names that people use. Nothing is decided here.
 * An answer that takes its time is given under the number of its request. See
 * control.h for the questions.
 */
#include "agent/agent_state.h"

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/consul/upkeep.h"
#include "agent/failover/roles.h"
#include "agent/health/sched.h"
#include "agent/status/control.h"
#include "agent/status/status.h"
#include "agent/status/status_role.h"

#include <errno.h>
#include <string.h>

static cJSON *
on_status(void *arg)
{
	struct agent *agent = arg;
	struct status_sources sources = { .conf = agent->conf,
		.node = agent->node != NULL ? agent->node : "",
		.aside = agent->aside,
		.sched = agent->sched,
		.services = agent->services,
		.consul = agent->consul,
		.report = agent->report,
		.upkeep = agent->upkeep,
		.fence = &agent->fence,
		.track = agent->track,
		.roles = agent->roles,
		.vips = agent->vips };

	return status_json(&sources);
}

/* The role an operator named, if it can be spoken to now. */
static const struct conf_role *
named_role(const struct agent *agent, const char *name, char *why, size_t size)
{
	const struct conf_role *role = conf_find_role(agent->conf, name);

	if (role == NULL)
		str_copy(why, size, "there is no role of that name here");
	else if (agent->roles == NULL)
		str_copy(why, size,
		    agent->node == NULL
			? "the node's name is not known yet: Consul has not answered"
			: "lictor is still starting");
	return agent->roles != NULL ? role : NULL;
}

static int
on_switchover(void *arg, const char *name, const char *to, char *why, size_t size)
{
	struct agent *agent = arg;
	const struct conf_role *role = named_role(agent, name, why, size);

	if (role == NULL)
		return -1;
	return roles_switchover(agent->roles, role->index, to, why, size);
}

static int
on_init(void *arg, const char *name, char *why, size_t size)
{
	struct agent *agent = arg;
	const struct conf_role *role = named_role(agent, name, why, size);

	if (role == NULL)
		return -1;
	return roles_init(agent->roles, role->index, why, size);
}

static int
on_report(void *arg, const char *name, enum check_status status, const char *output,
    char *why, size_t size)
{
	struct agent *agent = arg;
	const struct conf_check *check = conf_find_check(agent->conf, name);

	if (check == NULL)
		str_copy(why, size, "there is no check of that name here");
	else if (!check->class->passive)
		str_copy(why, size,
		    "lictor runs that check itself: only one of the type ttl is "
		    "reported");
	else if (!agent->adopted)
		str_copy(why, size, "lictor is still starting");
	else
		return sched_report(agent->sched, check->index, status, output);
	return -EINVAL;
}

static int
on_maintenance(void *arg, const char *name, const struct control_maintenance *wanted,
    char *why, size_t size)
{
	struct agent *agent = arg;
	const struct conf_service *service =
	    name != NULL ? conf_find_service(agent->conf, name) : NULL;

	if (name != NULL && service == NULL) {
		str_copy(why, size, "there is no service of that name here");
		return -ENOENT;
	}
	if (!wanted->on)
		return upkeep_end(agent->upkeep, service, wanted->who, why, size);
	upkeep_begin(
	    agent->upkeep, service, wanted->span_ms, wanted->reason, wanted->who);
	return 0;
}

static int
on_handover(void *arg, bool on, char *why, size_t size)
{
	struct agent *agent = arg;

	if (agent->stopping) {
		str_copy(why, size, "lictor stops");
		return -ESHUTDOWN;
	}
	if (agent->aside != on)
		log_notice("role", "%s",
		    on ? "this host hands its roles over, for an operator asks for it"
		       : "this host takes roles again, for an operator allows it");
	agent->aside = on;
	if (agent->roles != NULL)
		roles_hand_over(agent->roles, on);
	return 0;
}

/* To the runner, which answers when it is done. */
static int
ask_runner(struct agent *agent, uint32_t type, uint64_t request, char *why, size_t size)
{
	struct wire_message message = { .type = type,
		.reload = { .request = request } };

	if (agent->stopping) {
		str_copy(why, size, "lictor stops");
		return -ESHUTDOWN;
	}
	wire_send(agent->runner, &message, -1);
	return 0;
}

static int
on_reload(void *arg, uint64_t request, char *why, size_t size)
{
	return ask_runner(arg, WIRE_RELOAD, request, why, size);
}

static int
on_upgrade(void *arg, uint64_t request, char *why, size_t size)
{
	return ask_runner(arg, WIRE_UPGRADE, request, why, size);
}

static int
on_pause(void *arg, const char *name, bool on, const char *who, const char *reason,
    char *why, size_t size)
{
	struct agent *agent = arg;
	const struct conf_role *role = named_role(agent, name, why, size);

	if (role == NULL)
		return -ENOENT;
	return roles_pause(agent->roles, role->index, on, who, reason, why, size)
	    ? 0
	    : -EINVAL;
}

static cJSON *
on_explain(void *arg, const char *name, char *why, size_t size)
{
	struct agent *agent = arg;
	const struct conf_role *role = named_role(agent, name, why, size);

	return role != NULL ? status_explain(agent->roles, role) : NULL;
}

static void
on_forced(void *arg, bool ok, const char *why)
{
	struct agent *agent = arg;
	uint64_t request = agent->forcing;

	agent->forcing = 0;
	control_answer(agent->control, request, ok, why);
}

static int
on_force(void *arg, uint64_t request, const char *name, const char *node,
    const char *old, char *why, size_t size)
{
	struct agent *agent = arg;
	const struct conf_role *role = named_role(agent, name, why, size);

	if (role == NULL)
		return -ENOENT;
	if (agent->forcing != 0) {
		str_copy(why, size, "another failover is being asked for");
		return -EBUSY;
	}
	agent->forcing = request;
	roles_force(agent->roles, role->index, node, old, on_forced, agent);
	return 0;
}

static int
on_rotate(void *arg, char *why, size_t size)
{
	struct agent *agent = arg;

	if (agent->roles == NULL) {
		str_copy(
		    why, size, "there is no role here, or lictor is still starting");
		return -ENOENT;
	}
	return roles_rotate_key(agent->roles, why, size);
}

void
agent_take_orders(struct agent *agent, struct control_out *out)
{
	*out = (struct control_out){
		.status = on_status,
		.switchover = on_switchover,
		.init = on_init,
		.pause = on_pause,
		.explain = on_explain,
		.force = on_force,
		.rotate = on_rotate,
		.report = on_report,
		.maintenance = on_maintenance,
		.handover = on_handover,
		.reload = on_reload,
		.upgrade = on_upgrade,
		.arg = agent,
	};
}
