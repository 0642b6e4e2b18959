/* SPDX-License-Identifier: ISC */
/*
 * What operators do meanwhile: they move the role, pause it, change the configuration; they
 * swear that a host is off, truly or falsely, and start an agent of a name that is taken. The
 * table of all faults is in sim_fault.c; what they do to Consul's data is in sim_links.c.
 */
#include <string.h>

#include "agent/base/util.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_fault.h"
#include "tests/sim/trace.h"

void
begin_switchover(struct world *world, struct host *host, const struct fault *fault)
{
	int64_t to = -1;

	if (fault->random & 1)
		to = fault_another(world, host, fault->random >> 8) - world->hosts;
	for (size_t i = 0; i < HOSTS; i++)
		host_tell(world, &world->hosts[i], ROLE_EVENT_SWITCHOVER, to);
}

static void
pause_role(struct world *world, bool on)
{
	for (size_t i = 0; i < HOSTS; i++)
		host_tell(world, &world->hosts[i], ROLE_EVENT_PAUSE, on);
}

void
begin_role_pause(struct world *world, struct host *host, const struct fault *fault)
{
	(void)host;
	(void)fault;
	pause_role(world, true);
}

void
end_role_pause(struct world *world, struct host *host, const struct fault *fault)
{
	(void)host;
	(void)fault;
	pause_role(world, false);
}

/* "OLD is fenced": its power is off, and the operator says who shall have the role. */
static void
force_later(struct world *world, struct item *item)
{
	const struct role_register *now = consul_register(world, item->host);
	const struct host *old = &world->hosts[item->number];
	struct role_register reg;
	char why[160];

	if (!now || !old->off || strcmp(now->fence.node, old->name) != 0 ||
	    !role_force(now, &item->host->params, draw(&world->random),
		item->host->name, old->name, &reg, why, sizeof(why)))
		return;
	sim_say(world, item->host, "the operator forces %s out", old->name);
	consul_force(world, item->host, &reg);
}

void
begin_force(struct world *world, struct host *host, const struct fault *fault)
{
	struct host *to = fault_another(world, host, fault->random);

	host_power_off(world, host);
	fault_follow_up(world, to, fault_soon(fault), force_later, host - world->hosts);
}

/* Another configuration, without a restart. */
void
begin_reload(struct world *world, struct host *host, const struct fault *fault)
{
	struct role_params *params = &host->params;
	uint64_t random = fault->random;

	host_set_lease(host, host_any_lease(host, &random));
	params->has_promote = draw_chance(&random, 0.5);
	params->has_demote = draw_chance(&random, 0.5);
	params->priority = 100 + (unsigned int)draw_between(&random, 0, 2) * 10;
	if (draw_chance(&random, 0.3))
		params->hold_peers_ms = draw_between(&random, 0, 3) * 5000;
	if (params->hold_peers_ms == 0 || draw_chance(&random, 0.1))
		params->hold_alone_ms = params->hold_peers_ms == 0 ? 0 : 4000;
	sim_say(world, host, "a reload, lease %lld ms, hold %lld ms",
	    (long long)params->lease_ms, (long long)params->hold_peers_ms);
	consul_bad(world, host, 0);
	net_bad(world, host, 0);
	world->presence_version++; /* it tells the others its priority */
	if (host->role)
		role_set_params(host->role, params);
	if (host->role && world->trace)
		trace_params(world->trace, host->who, params);
	host_tell(world, host, ROLE_EVENT_TICK, 0);
	if (draw_chance(&random, 0.3))
		fault_follow_up(world, host, draw_between(&random, 10, 600) * MS,
		    fault_pause_later, fault->span);
}

void
begin_yield(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	host_tell(world, host, ROLE_EVENT_YIELD, 1);
}

void
end_yield(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	host_tell(world, host, ROLE_EVENT_YIELD, 0);
}

/* A second agent of a host's name, on another machine. */
void
begin_namesake(struct world *world, struct host *host, const struct fault *fault)
{
	struct host *twin = &world->hosts[NAMESAKE];

	(void)fault;
	audit_odd(world, 4 * S);
	str_copy(twin->name, sizeof(twin->name), host->name);
	str_copy(twin->params.node, sizeof(twin->params.node), host->name);
	twin->plays = true;
	host_start(world, twin);
}

/* It is not off at all, but cut from Consul, and the new master beats no heart. */
static void
swear_falsely(struct world *world, struct item *item)
{
	const struct role_register *now = consul_register(world, item->host);
	struct host *old = &world->hosts[item->number];
	struct role_register reg;
	char why[160];

	if (!now || old->state != ROLE_MASTER ||
	    !role_force(now, &item->host->params, draw(&world->random),
		item->host->name, old->name, &reg, why, sizeof(why)))
		return;
	sim_say(
	    world, item->host, "the operator forces %s out, which lives", old->name);
	old->cut = true;
	audit_odd(world, 6 * S);
	consul_force(world, item->host, &reg);
}

/* Who shall have it has been no member for long enough. */
void
begin_perjury(struct world *world, struct host *host, const struct fault *fault)
{
	struct host *to = fault_another(world, host, fault->random);

	to->params.heartbeat_ms = 0;
	if (to->role)
		role_set_params(to->role, &to->params);
	if (to->role && world->trace)
		trace_params(world->trace, to->who, &to->params);
	fault_follow_up(
	    world, to, to->params.member_ms + S, swear_falsely, host - world->hosts);
}
