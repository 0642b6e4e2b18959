/* SPDX-License-Identifier: ISC */
/*
 * What goes wrong, as the plan says: to processes, to services, to clocks, and what operators
 * do meanwhile; to Consul and the links in sim_links.c. A fault begins, and most end after a
 * time. At the end of some schedules everything is repaired, or all but one host stay dead.
 */
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_fault.h"
#include "tests/sim/trace.h"

static bool
is_over(const struct world *world, const struct item *item)
{
	return world->calm || !item->host->role || item->host->life != item->life;
}

static void
start(struct world *world, struct host *host, uint64_t random)
{
	if (host->role)
		return;
	/* A restart may come with another configuration, … */
	if (draw_chance(&random, 0.3))
		host_set_lease(host, host_any_lease(host, &random));
	/* … and with another fence, if all of lictord is started again. */
	if (draw_chance(&random, 0.1)) {
		warden_refence(world, host, !host->bpf);
		host_set_lease(host, host_any_lease(host, &random));
	}
	host_start(world, host);
}

/* --- processes --- */

static void
begin_pause(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	host_pause(world, host);
}

static void
end_pause(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	host_resume(world, host);
}

static void
begin_crash(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	host_crash(world, host);
}

static void
end_crash(struct world *world, struct host *host, const struct fault *fault)
{
	start(world, host, fault->random);
}

static void
start_later(struct world *world, struct item *item)
{
	host_start(world, item->host);
}

/* The new binary follows at once, with nothing carried over. */
static void
begin_upgrade(struct world *world, struct host *host, const struct fault *fault)
{
	host_crash(world, host);
	fault_follow_up(
	    world, host, (int64_t)(fault->random % 300) * MS, start_later, 0);
}

static void
begin_power(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	host_power_off(world, host);
}

static void
begin_blackout(struct world *world, struct host *host, const struct fault *fault)
{
	(void)host;
	(void)fault;
	for (size_t i = 0; i < HOSTS; i++)
		if (world->hosts[i].plays)
			host_power_off(world, &world->hosts[i]);
}

/* Not all of them need come back. */
static void
end_blackout(struct world *world, struct host *host, const struct fault *fault)
{
	for (size_t i = 0; i < HOSTS; i++)
		if (world->hosts[i].plays &&
		    (&world->hosts[i] == host || (fault->random >> i) & 1))
			start(world, &world->hosts[i], fault->random >> 8);
}

static void
stopped(struct world *world, struct item *item)
{
	if (!is_over(world, item))
		host_crash(world, item->host);
}

static void
begin_stop(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	host->stopping = true;
	host_tell(world, host, ROLE_EVENT_STOP, 0);
	fault_follow_up(world, host, fault->span / 2, stopped, 0);
}

/* --- claimed while well --- */

static void
resume_later(struct world *world, struct item *item)
{
	if (!is_over(world, item))
		host_resume(world, item->host);
}

static void
pause_later(struct world *world, struct item *item)
{
	if (is_over(world, item))
		return;
	host_pause(world, item->host);
	fault_follow_up(world, item->host, item->number, resume_later, 0);
}

/* Nobody hears it, and its presence is gone: its role is claimed under it. */
static void
be_claimed(struct world *world, struct host *host, int64_t span)
{
	fault_cut_all(world, host, true);
	session_lose(world, host);
	host->session_lost_until = world->now + span;
}

static int64_t
soon(const struct fault *fault)
{
	return (int64_t)(fault->random % 1200) * MS;
}

static void
begin_claimed_pause(struct world *world, struct host *host, const struct fault *fault)
{
	be_claimed(world, host, fault->span);
	fault_follow_up(world, host, soon(fault), pause_later, fault->span);
}

static void
restart_later(struct world *world, struct item *item)
{
	struct host *host = item->host;

	if (is_over(world, item))
		return;
	if (item->number & 1)
		warden_pause(world, host, 4 * S);
	host_crash(world, host);
	if (item->number & 2)
		host_set_lease(host, host->bpf ? 600 : 1250);
	host_start(world, host);
	if (item->number & 4)
		fault_follow_up(
		    world, host, (item->number >> 8) % 600 * MS, pause_later, 2 * S);
}

static void
begin_claimed_restart(struct world *world, struct host *host, const struct fault *fault)
{
	be_claimed(world, host, fault->span);
	fault_follow_up(
	    world, host, soon(fault), restart_later, (int64_t)(fault->random >> 40));
}

static void
begin_claimed_mute(struct world *world, struct host *host, const struct fault *fault)
{
	be_claimed(world, host, fault->span);
	host->mute = true;
}

static void
end_claimed(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	fault_cut_all(world, host, false);
	host->mute = false;
}

static void
unwell_later(struct world *world, struct item *item)
{
	if (!world->calm)
		host_ready(world, item->host, ROLE_READY_NO);
}

/* A lapse, the return, and then a handover, all within one stall of the warden. */
static void
begin_flap(struct world *world, struct host *host, const struct fault *fault)
{
	warden_pause(world, host, 4 * S);
	host->cut = true;
	fault_cut_all(world, host, true);
	fault_follow_up(
	    world, host, 3 * S + (int64_t)(fault->random % 900) * MS, unwell_later, 0);
}

static void
end_flap(struct world *world, struct host *host, const struct fault *fault)
{
	end_isolation(world, host, fault);
	host_ready(world, host, ROLE_READY_YES);
}

/* --- the warden, the services, the clocks, the operator --- */

static void
begin_warden_pause(struct world *world, struct host *host, const struct fault *fault)
{
	warden_pause(world, host, fault->span);
}

static void
begin_warden_crash(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	warden_crash(world, host);
}

static void
begin_service(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	host_ready(world, host, ROLE_READY_NO);
}

static void
end_service(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	host_ready(world, host, ROLE_READY_YES);
}

static void
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

static void
begin_role_pause(struct world *world, struct host *host, const struct fault *fault)
{
	(void)host;
	(void)fault;
	pause_role(world, true);
}

static void
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

static void
begin_force(struct world *world, struct host *host, const struct fault *fault)
{
	struct host *to = fault_another(world, host, fault->random);

	host_power_off(world, host);
	fault_follow_up(world, to, soon(fault), force_later, host - world->hosts);
}

static void
begin_clock(struct world *world, struct host *host, const struct fault *fault)
{
	uint64_t random = fault->random;
	double slew = (double)draw_between(&random, -84900, 84900) / 1e6;

	if (draw_chance(&random, 0.5))
		slew = slew < 0 ? -0.0849 : 0.0849;
	clock_set_rate(&host->boot, world->now, 1 + slew);
	fence_watch(world, host);
	clock_set_rate(
	    &host->raw, world->now, 1 + (double)draw_between(&random, -999, 999) / 1e6);
}

/* Another configuration, without a restart. */
static void
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
		    pause_later, fault->span);
}

static void
begin_yield(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	host_tell(world, host, ROLE_EVENT_YIELD, 1);
}

static void
end_yield(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	host_tell(world, host, ROLE_EVENT_YIELD, 0);
}

/* A second agent of a host's name, on another machine. */
static void
begin_namesake(struct world *world, struct host *host, const struct fault *fault)
{
	struct host *twin = &world->hosts[NAMESAKE];

	(void)fault;
	check_odd(world, 4 * S);
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
	check_odd(world, 6 * S);
	consul_force(world, item->host, &reg);
}

/* Who shall have it has been no member for long enough. */
static void
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

static const struct {
	fault_step *begin, *end;
} steps[] = {
	[FAULT_OUTAGE] = { begin_outage, end_outage },
	[FAULT_LEADER] = { begin_outage, end_outage },
	[FAULT_CUT] = { begin_cut, end_cut },
	[FAULT_ISOLATION] = { begin_isolation, end_isolation },
	[FAULT_UDP] = { begin_udp, end_udp },
	[FAULT_ONE_WAY] = { begin_pair, end_pair },
	[FAULT_PAIR] = { begin_pair, end_pair },
	[FAULT_DATAGRAMS] = { begin_datagrams, end_datagrams },
	[FAULT_REPLIES] = { begin_replies, end_replies },
	[FAULT_SLOW] = { begin_slow, end_slow },
	[FAULT_MUTE] = { begin_mute, end_mute },
	[FAULT_PAUSE] = { begin_pause, end_pause },
	[FAULT_CRASH] = { begin_crash, end_crash },
	[FAULT_UPGRADE] = { begin_upgrade, NULL },
	[FAULT_POWER] = { begin_power, end_crash },
	[FAULT_BLACKOUT] = { begin_blackout, end_blackout },
	[FAULT_STOP] = { begin_stop, end_crash },
	[FAULT_SESSION] = { begin_session, NULL },
	[FAULT_CLAIMED_PAUSE] = { begin_claimed_pause, end_claimed },
	[FAULT_CLAIMED_RESTART] = { begin_claimed_restart, end_claimed },
	[FAULT_CLAIMED_MUTE] = { begin_claimed_mute, end_claimed },
	[FAULT_FLAP] = { begin_flap, end_flap },
	[FAULT_WARDEN_PAUSE] = { begin_warden_pause, NULL },
	[FAULT_WARDEN_CRASH] = { begin_warden_crash, NULL },
	[FAULT_SERVICE] = { begin_service, end_service },
	[FAULT_SWITCHOVER] = { begin_switchover, NULL },
	[FAULT_ROLE_PAUSE] = { begin_role_pause, end_role_pause },
	[FAULT_FORCE] = { begin_force, end_crash },
	[FAULT_CLOCK] = { begin_clock, NULL },
	[FAULT_RELOAD] = { begin_reload, NULL },
	[FAULT_YIELD] = { begin_yield, end_yield },
	[FAULT_FOREIGN] = { begin_foreign, end_foreign },
	[FAULT_REWRITE] = { begin_rewrite, NULL },
	[FAULT_WIPE] = { begin_wipe, NULL },
	[FAULT_RESTORE] = { begin_restore, NULL },
	[FAULT_CLUSTERS] = { begin_clusters, end_clusters },
	[FAULT_NAMESAKE] = { begin_namesake, begin_crash },
	[FAULT_PERJURY] = { begin_perjury, NULL },
};
_Static_assert(ARRAY_LENGTH(steps) == FAULTS, "one row per kind of fault");

static void
end_fault(struct world *world, struct item *item)
{
	const struct fault *fault = &world->plan->faults[item->number];
	struct host *host = item->host;

	if (world->calm)
		return;
	if (fault->kind == FAULT_NAMESAKE)
		host = &world->hosts[NAMESAKE];
	sim_say(world, host, "%s ends", fault_name(fault->kind));
	steps[fault->kind].end(world, host, fault);
}

static struct host *
victim(struct world *world, const struct fault *fault)
{
	struct host *host = NULL;
	int left = fault->host < 0 ? (int)(fault->random & 1) : fault->host;

	for (size_t i = 0; i < HOSTS; i++)
		if (fault->host < 0 && world->hosts[i].vip)
			return &world->hosts[i];
	for (size_t i = 0; i < HOSTS; i++)
		if (world->hosts[i].plays && (!host || left-- > 0))
			host = &world->hosts[i];
	return host;
}

static void
begin_fault(struct world *world, struct item *item)
{
	const struct fault *fault = &world->plan->faults[item->number];
	struct host *host = victim(world, fault);

	if (world->calm)
		return;
	sim_say(world, host, "FAULT %s, %.3f s", fault_name(fault->kind),
	    (double)fault->span / S);
	steps[fault->kind].begin(world, host, fault);
	if (steps[fault->kind].end)
		fault_follow_up(world, host, fault->span, end_fault, item->number);
}

void
faults_start(struct world *world)
{
	for (size_t i = 0; i < HOSTS; i++)
		if (world->hosts[i].plays)
			fault_follow_up(world, &world->hosts[i],
			    sim_between(world, 0, 300 * MS), start_later, 0);
	for (size_t i = 0; i < world->plan->n_faults; i++)
		fault_follow_up(
		    world, NULL, world->plan->faults[i].at, begin_fault, (int64_t)i);
}

static void
repair(struct world *world, struct host *host, bool lives)
{
	if (host->foreign)
		end_foreign(world, host, NULL);
	host->cut = host->mute = false;
	memset(host->deaf, 0, sizeof(host->deaf));
	host->session_lost_until = 0;
	if (host->stopping || !lives)
		host_crash(world, host);
	if (!lives)
		return;
	host_start(world, host);
	host_resume(world, host);
	host_ready(world, host, ROLE_READY_YES);
	host_tell(world, host, ROLE_EVENT_YIELD, 0);
}

void
faults_end(struct world *world, struct host *only)
{
	sim_say(
	    world, only, "all is repaired%s", only ? ", but only one host lives" : "");
	world->calm = true;
	world->outage = false;
	world->heavy = world->loss = world->datagrams = world->dull = 0;
	for (size_t i = 0; i < HOSTS; i++)
		if (world->hosts[i].plays)
			repair(
			    world, &world->hosts[i], !only || only == &world->hosts[i]);
	pause_role(world, false);
}
