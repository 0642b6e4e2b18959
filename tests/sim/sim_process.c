/* SPDX-License-Identifier: ISC */
/*
 * What goes wrong on a host: its processes, those of the agent and of the warden, stand still,
 * die and come back; its services fail; its clocks go wrong. Some of it only together, or while
 * the agent's role is claimed though it is well. The table of all faults is in sim_fault.c.
 */
#include "tests/sim/sim.h"
#include "tests/sim/sim_fault.h"

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

void
begin_pause(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	host_pause(world, host);
}

void
end_pause(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	host_resume(world, host);
}

void
begin_crash(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	host_crash(world, host);
}

void
end_crash(struct world *world, struct host *host, const struct fault *fault)
{
	start(world, host, fault->random);
}

void
fault_start_later(struct world *world, struct item *item)
{
	host_start(world, item->host);
}

/* The new binary follows at once, with nothing carried over. */
void
begin_upgrade(struct world *world, struct host *host, const struct fault *fault)
{
	host_crash(world, host);
	fault_follow_up(
	    world, host, (int64_t)(fault->random % 300) * MS, fault_start_later, 0);
}

void
begin_power(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	host_power_off(world, host);
}

void
begin_blackout(struct world *world, struct host *host, const struct fault *fault)
{
	(void)host;
	(void)fault;
	for (size_t i = 0; i < HOSTS; i++)
		if (world->hosts[i].plays)
			host_power_off(world, &world->hosts[i]);
}

/* Not all of them need come back. */
void
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

void
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

void
fault_pause_later(struct world *world, struct item *item)
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

int64_t
fault_soon(const struct fault *fault)
{
	return (int64_t)(fault->random % 1200) * MS;
}

void
begin_claimed_pause(struct world *world, struct host *host, const struct fault *fault)
{
	be_claimed(world, host, fault->span);
	fault_follow_up(world, host, fault_soon(fault), fault_pause_later, fault->span);
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
		fault_follow_up(world, host, (item->number >> 8) % 600 * MS,
		    fault_pause_later, 2 * S);
}

void
begin_claimed_restart(struct world *world, struct host *host, const struct fault *fault)
{
	be_claimed(world, host, fault->span);
	fault_follow_up(world, host, fault_soon(fault), restart_later,
	    (int64_t)(fault->random >> 40));
}

void
begin_claimed_mute(struct world *world, struct host *host, const struct fault *fault)
{
	be_claimed(world, host, fault->span);
	host->mute = true;
}

void
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
void
begin_flap(struct world *world, struct host *host, const struct fault *fault)
{
	warden_pause(world, host, 4 * S);
	host->cut = true;
	fault_cut_all(world, host, true);
	fault_follow_up(
	    world, host, 3 * S + (int64_t)(fault->random % 900) * MS, unwell_later, 0);
}

void
end_flap(struct world *world, struct host *host, const struct fault *fault)
{
	end_isolation(world, host, fault);
	host_ready(world, host, ROLE_READY_YES);
}

/* --- the warden, the services, the clocks --- */

void
begin_warden_pause(struct world *world, struct host *host, const struct fault *fault)
{
	warden_pause(world, host, fault->span);
}

void
begin_warden_crash(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	warden_crash(world, host);
}

void
begin_service(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	host_ready(world, host, ROLE_READY_NO);
}

void
end_service(struct world *world, struct host *host, const struct fault *fault)
{
	(void)fault;
	host_ready(world, host, ROLE_READY_YES);
}

void
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
