/* SPDX-License-Identifier: ISC */
/*
 * What goes wrong, as the plan says: to hosts in sim_process.c, by operators in
 * sim_operator.c, to Consul and the links in sim_links.c. A fault begins, and most end after
 * a time. At the end of some schedules everything is repaired, or all but one host stay dead.
 */
#include <string.h>

#include "agent/base/util.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_fault.h"

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
			    sim_between(world, 0, 300 * MS), fault_start_later, 0);
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
	end_role_pause(world, NULL, NULL);
}
