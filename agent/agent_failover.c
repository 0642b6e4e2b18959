/* SPDX-License-Identifier: ISC */
/*
 * The wiring of failover: the news of hooks, addresses, tracked checks and maintenance to the
 * roles, that of the roles to the report, and the link to the warden, which holds the
 * addresses. All but the roles is made at once; they begin when enough is known to decide,
 * and whatever was known before is told to them then. agent.c unmakes all in its order.
 */
#include "agent/agent_state.h"

#include "agent/base/log.h"
#include "agent/base/paths.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/consul/report.h"
#include "agent/consul/upkeep.h"
#include "agent/failover/hooks.h"
#include "agent/failover/roles.h"
#include "agent/failover/track.h"
#include "agent/failover/vip.h"
#include "agent/health/service.h"

/* ---- hooks, addresses and tracked checks to roles ---- */

static void
on_hook_command(void *arg, uint64_t run, uint32_t command, enum role_state state,
    enum role_reason reason, uint64_t term, int64_t timeout_ms)
{
	struct wire_run order = { .run = run,
		.command = command,
		.state = state == ROLE_MASTER ? WIRE_HOOK_MASTER : WIRE_HOOK_BACKUP,
		.reason = reason,
		.timeout_ms = timeout_ms,
		.term = term };

	agent_run(arg, &order);
}

static void
on_hook_done(void *arg, uint32_t role, bool demote, bool ok)
{
	struct agent *agent = arg;

	if (agent->roles != NULL)
		roles_hook_done(agent->roles, role, demote, ok);
}

static void
on_held(void *arg, uint32_t role, uint64_t order)
{
	struct agent *agent = arg;

	if (agent->roles != NULL)
		roles_held(agent->roles, role, order);
}

static void
on_gone(void *arg, uint32_t role, uint64_t order)
{
	struct agent *agent = arg;

	if (agent->roles != NULL)
		roles_gone(agent->roles, role, order);
}

static void
on_usable(void *arg, uint32_t role, bool usable, const char *why)
{
	struct agent *agent = arg;

	if (agent->roles != NULL)
		roles_usable(agent->roles, role, usable, why);
}

static void
on_probed(void *arg, uint32_t role, uint64_t order, bool found)
{
	struct agent *agent = arg;

	if (agent->roles != NULL)
		roles_probed(agent->roles, role, order, found);
}

static void
on_priority(void *arg, uint32_t role, unsigned int effective)
{
	struct agent *agent = arg;

	if (agent->roles != NULL)
		roles_set_priority(agent->roles, role, effective);
}

void
agent_make_failover(struct agent *agent)
{
	struct hooks_out hooks = { on_hook_done, on_hook_command, agent };
	struct track_out track = { on_priority, agent };
	struct vips_out vips = { on_held, on_gone, on_usable, on_probed, agent };
	char *journal AUTO_FREE = path_runtime(PATH_OF_AGENT "/hooks");

	agent->hooks = hooks_new(agent->conf, journal, &hooks);
	agent->vips = vips_new(agent->loop, agent->conf, &vips);
	agent->track = track_new(agent->conf, &track);
}

/* ---- roles, and what they have to know ---- */

void
agent_tell_role(struct agent *agent, uint32_t role, bool master, uint64_t term)
{
	const struct conf_role *conf = agent->conf->roles[role];

	for (size_t i = 0; i < conf->n_services; i++)
		report_role(agent->report, conf->services[i],
		    master ? REPORT_MASTER : REPORT_BACKUP, term);
}

static void
on_role_changed(void *arg, uint32_t role, bool master, uint64_t term)
{
	agent_tell_role(arg, role, master, term);
}

static void
on_roles_stopped(void *arg)
{
	struct agent *agent = arg;

	report_stop(agent->report);
}

void
agent_maintained(void *arg, const struct conf_service *service, const char *why)
{
	struct agent *agent = arg;

	if (agent->roles != NULL)
		roles_maintenance(agent->roles, service, why);
}

static void
tell_maintenance(struct agent *agent, const struct conf_service *service)
{
	agent_maintained(agent, service, upkeep_why(agent->upkeep, service));
}

/* Once the node's name and the kind of fence are known and states have been taken over; but
 * without Consul this host at least acks the heartbeats of others (10.2). */
void
agent_start_roles(struct agent *agent)
{
	struct roles_out out = { on_role_changed, on_roles_stopped, agent };

	if (agent->conf->n_roles == 0 || agent->roles != NULL || agent->node == NULL ||
	    !(agent->adopted || agent->waited) ||
	    agent->fence.kind == WIRE_FENCE_UNKNOWN || agent->stopping)
		return;
	char *state AUTO_FREE = path_state(NULL);
	agent->roles = roles_new(agent->loop, agent->consul, agent->vips, agent->hooks,
	    agent->conf, agent->fence.kind == WIRE_FENCE_BPF, agent->node, state, &out);
	for (size_t i = 0; i < agent->conf->n_services; i++)
		roles_service(agent->roles, agent->conf->services[i],
		    services_verdict(agent->services, (uint32_t)i));
	for (size_t i = 0; i <= agent->conf->n_services; i++)
		tell_maintenance(agent,
		    i < agent->conf->n_services ? agent->conf->services[i] : NULL);
	track_tell(agent->track);
	roles_hand_over(agent->roles, agent->aside);
	vips_tell(agent->vips);
	roles_bind(agent->roles, agent->address);
	roles_start(agent->roles);
}

/* ---- the warden ---- */

static void
on_warden_message(void *arg, const struct wire_message *message, int fd)
{
	struct agent *agent = arg;

	if (message->type == WIRE_TRACK)
		track_interface(
		    agent->track, message->track.track, message->track.up != 0);
	else
		vips_message(agent->vips, message);
}

static void
on_warden_closed(void *arg, const char *why)
{
	struct agent *agent = arg;
	struct wire_message unlinked = { .type = WIRE_UNLINKED };

	log_debug("vip", "the link to the warden ended: %s", why);
	vips_link(agent->vips, NULL, 0);
	wire_free(agent->warden);
	agent->warden = NULL;
	wire_send(agent->runner, &unlinked, -1);
}

void
agent_link_warden(struct agent *agent, int fd, uint32_t instance)
{
	struct wire_out out = { on_warden_message, on_warden_closed, agent };

	vips_link(agent->vips, NULL, 0);
	wire_free(agent->warden);
	agent->warden = wire_new(
	    agent->loop, fd, WIRE_AGENT, WIRE_WARDEN, agent->conf->generation, &out);
	vips_link(agent->vips, agent->warden, instance);
}

void
agent_fenced(struct agent *agent, const struct wire_fence_kind *fence)
{
	agent->fence = *fence;
	vips_fence(agent->vips, fence);
	agent_start_roles(agent);
}
