/* SPDX-License-Identifier: ISC */
/*
 * What goes wrong, at random: to Consul, to the links, to processes, to services, and what
 * operators do meanwhile. At the end everything is repaired, or all but one host stay
 * dead.
 */
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/sim/sim.h"

enum fault {
	FAULT_OUTAGE,
	FAULT_CUT,
	FAULT_PAUSE,
	FAULT_CRASH,
	FAULT_POWER,
	FAULT_SESSION,
	FAULT_MUTE,
	FAULT_SESSION_PAUSE,
	FAULT_SESSION_RESTART,
	FAULT_SESSION_MUTE,
	FAULT_FLAP,
	FAULT_WARDEN_PAUSE,
	FAULT_WARDEN_CRASH,
	FAULT_SERVICE,
	FAULT_SWITCHOVER,
	FAULT_OPERATOR_PAUSE,
	FAULT_STOP,
	FAULT_HEAVY,
	FAULT_LOSS,
	FAULT_CLOCK,
	FAULT_RELOAD,
	FAULT_YIELD,
	FAULTS
};

static void fault(struct world *world, struct item *item);

static int64_t
duration(struct world *world)
{
	static const int64_t list[] = { 50 * MS, 200 * MS, 500 * MS, S, 2 * S, 3 * S,
		5 * S, 8 * S, 15 * S, 30 * S };

	return list[sim_between(world, 0, 9)] * sim_between(world, 50, 130) / 100;
}

static struct host *
victim(struct world *world)
{
	struct host *host =
	    &world->hosts[sim_between(world, 0, (int64_t)world->n_hosts - 1)];

	if (sim_chance(world, 0.5))
		for (size_t i = 0; i < world->n_hosts; i++)
			if (world->hosts[i].vip)
				host = &world->hosts[i];
	return host;
}

static int64_t
any_lease(struct world *world, const struct host *host)
{
	static const int64_t bpf[] = { 600, 1000, 1000, 2250 };
	static const int64_t lifetime[] = { 1250, 1250, 2250, 3250 };

	return (host->bpf ? bpf : lifetime)[sim_between(world, 0, 3)];
}

static void
start(struct world *world, struct host *host)
{
	if (host->role)
		return;
	/* A restart may come with another configuration, … */
	if (sim_chance(world, 0.3))
		host->params.lease_ms = any_lease(world, host);
	/* … and with another fence, if all of lictord is started again. */
	if (sim_chance(world, 0.1)) {
		warden_refence(world, host, !host->bpf);
		host->params.lease_ms = any_lease(world, host);
	}
	host->params.confirm_ms = host->params.lease_ms / 7;
	host_start(world, host);
}

static void
yield(struct world *world, struct host *host, bool on)
{
	struct role_event event = { .type = ROLE_EVENT_YIELD, .yield = on };

	host_event(world, host, &event);
}

static void
repair(struct world *world, enum fault kind, struct host *host)
{
	struct role_event event = { .type = ROLE_EVENT_PAUSE };

	switch (kind) {
	case FAULT_OUTAGE: world->outage = false; break;
	case FAULT_CUT: host->cut = false; break;
	case FAULT_MUTE:
	case FAULT_SESSION_MUTE: host->mute = false; break;
	case FAULT_PAUSE: host_resume(world, host); break;
	case FAULT_STOP: host_crash(world, host); break;
	case FAULT_CRASH:
	case FAULT_POWER: start(world, host); break;
	case FAULT_SERVICE: host_ready(world, host, ROLE_READY_YES); break;
	case FAULT_OPERATOR_PAUSE: host_event(world, host, &event); break;
	case FAULT_YIELD: yield(world, host, false); break;
	case FAULT_HEAVY: world->heavy = 0.01; break;
	case FAULT_LOSS: world->loss = 0.01; break;
	case FAULT_SESSION:
	case FAULT_SESSION_PAUSE:
	case FAULT_SESSION_RESTART:
	case FAULT_FLAP:
	case FAULT_WARDEN_PAUSE:
	case FAULT_WARDEN_CRASH:
	case FAULT_SWITCHOVER:
	case FAULT_CLOCK:
	case FAULT_RELOAD:
	case FAULTS: break;
	}
}

static void
repair_later(struct world *world, struct item *item)
{
	if (!world->calm)
		repair(world, (enum fault)item->number, item->host);
}

static void
later(struct world *world, int64_t delay, enum fault kind, struct host *host)
{
	struct item *item = sim_item(world, delay, host, repair_later);

	item->number = kind;
	sim_push(world, item);
}

static void
pause_later(struct world *world, struct item *item)
{
	if (!world->calm && item->host->role && item->host->life == item->life) {
		host_pause(world, item->host);
		later(world, duration(world), FAULT_PAUSE, item->host);
	}
}

/* Presence is lost while the agent is well, so that its role is claimed under it. */
static void
lose_session(struct world *world, struct host *host)
{
	consul_leave(world, host);
	host->session_lost_until = world->now + 30 * S;
}

static void
pause_soon(struct world *world, struct host *host, int64_t min, int64_t max)
{
	sim_push(
	    world, sim_item(world, sim_between(world, min, max), host, pause_later));
}

/* Another configuration, without a restart. */
static void
reload(struct world *world, struct host *host)
{
	struct role_params *params = &host->params;
	struct role_event event = { .type = ROLE_EVENT_TICK };

	params->lease_ms = any_lease(world, host);
	params->confirm_ms = params->lease_ms / 7;
	params->has_promote = sim_chance(world, 0.5);
	params->has_demote = sim_chance(world, 0.5);
	sim_say(world, host, "a reload, lease %lld ms", (long long)params->lease_ms);
	if (host->role)
		role_set_params(host->role, params);
	host_event(world, host, &event);
	if (sim_chance(world, 0.3))
		pause_soon(world, host, 10 * MS, 600 * MS);
}

static void
restart_later(struct world *world, struct item *item)
{
	struct host *host = item->host;

	if (world->calm || host->life != item->life || !host->role)
		return;
	if (sim_chance(world, 0.5))
		warden_pause(world, host, 6 * S);
	host_crash(world, host);
	if (sim_chance(world, 0.5))
		host->params.lease_ms = host->bpf ? 600 : 1250;
	start(world, host);
	if (sim_chance(world, 0.5))
		pause_soon(world, host, 10 * MS, 600 * MS);
}

static void
unwell_later(struct world *world, struct item *item)
{
	if (world->calm)
		return;
	host_ready(world, item->host, ROLE_READY_NO);
	later(world, 5 * S, FAULT_SERVICE, item->host);
}

/* A lapse, the return, and then a handover, all within one stall of the warden. */
static void
flap(struct world *world, struct host *host)
{
	int64_t stall = 4 * S;

	warden_pause(world, host, stall);
	host_pause(world, host);
	later(world, 3500 * MS, FAULT_PAUSE, host);
	sim_push(world,
	    sim_item(world, 3500 * MS + sim_between(world, 0, 500 * MS), host,
		unwell_later));
}

static void
switch_over(struct world *world)
{
	struct role_event event = { .type = ROLE_EVENT_SWITCHOVER };

	if (sim_chance(world, 0.5))
		str_copy(event.node, sizeof(event.node),
		    world->hosts[sim_between(world, 0, (int64_t)world->n_hosts - 1)]
			.name);
	for (size_t i = 0; i < world->n_hosts; i++)
		host_event(world, &world->hosts[i], &event);
}

static void
change_clocks(struct world *world, struct host *host)
{
	double slew = (double)sim_between(world, -84900, 84900) / 1e6;

	if (sim_chance(world, 0.5))
		slew = slew < 0 ? -0.0849 : 0.0849;
	clock_set_rate(&host->boot, world->now, 1 + slew);
	fence_watch(world, host);
	clock_set_rate(
	    &host->raw, world->now, 1 + (double)sim_between(world, -999, 999) / 1e6);
}

static void
break_something(struct world *world, struct host *host, enum fault kind)
{
	struct role_event event = { .type = ROLE_EVENT_PAUSE, .paused = true };
	int64_t span = duration(world);

	switch (kind) {
	case FAULT_OUTAGE: world->outage = true; break;
	case FAULT_CUT: host->cut = true; break;
	case FAULT_PAUSE: host_pause(world, host); break;
	case FAULT_CRASH: host_crash(world, host); break;
	case FAULT_POWER:
		host_crash(world, host);
		kernel_remove(world, host, "power loss");
		break;
	case FAULT_SESSION: consul_leave(world, host); return;
	case FAULT_MUTE: host->mute = true; break;
	case FAULT_SESSION_PAUSE:
		lose_session(world, host);
		pause_soon(world, host, 600 * MS, 1200 * MS);
		return;
	case FAULT_SESSION_RESTART:
		lose_session(world, host);
		sim_push(world,
		    sim_item(world, sim_between(world, 600 * MS, 1200 * MS), host,
			restart_later));
		return;
	case FAULT_SESSION_MUTE:
		lose_session(world, host);
		host->mute = true;
		break;
	case FAULT_FLAP: flap(world, host); return;
	case FAULT_WARDEN_PAUSE: warden_pause(world, host, span); return;
	case FAULT_WARDEN_CRASH: warden_crash(world, host); return;
	case FAULT_SERVICE: host_ready(world, host, ROLE_READY_NO); break;
	case FAULT_SWITCHOVER: switch_over(world); return;
	case FAULT_OPERATOR_PAUSE: host_event(world, host, &event); break;
	case FAULT_STOP:
		event.type = ROLE_EVENT_STOP;
		host->stopping = true;
		host_event(world, host, &event);
		later(world, S, FAULT_STOP, host);
		later(world, S + span, FAULT_CRASH, host);
		return;
	case FAULT_HEAVY: world->heavy = 0.3; break;
	case FAULT_LOSS: world->loss = 0.3; break;
	case FAULT_CLOCK: change_clocks(world, host); return;
	case FAULT_RELOAD: reload(world, host); return;
	case FAULT_YIELD: yield(world, host, true); break;
	case FAULTS: return;
	}
	later(world, span, kind, host);
}

static void
fault(struct world *world, struct item *item)
{
	static const int64_t pauses[] = { 20 * MS, 300 * MS, S, 3 * S, 6 * S, 12 * S,
		20 * S };
	enum fault kind = (enum fault)sim_between(world, 0, FAULTS - 1);
	struct host *host = victim(world);

	if (world->calm)
		return;
	sim_say(world, host, "fault %d", (int)kind);
	break_something(world, host, kind);
	sim_push(world,
	    sim_item(world,
		pauses[sim_between(world, 0, 6)] * sim_between(world, 50, 150) / 100,
		NULL, fault));
}

/* The operator's word after a wipe: nobody has the address. */
static void
init_again(struct world *world, struct item *item)
{
	bool held = world->exists;

	for (size_t i = 0; i < world->n_hosts; i++) {
		struct role_view view = { 0 };

		if (world->hosts[i].role)
			role_view(world->hosts[i].role, &view);
		held = held || world->hosts[i].vip || view.state == ROLE_MASTER;
	}
	if (!held)
		consul_init(world, 1000000000 + world->now);
	if (!world->exists)
		sim_push(world, sim_item(world, S, NULL, init_again));
}

static void
wipe(struct world *world, struct item *item)
{
	if (world->calm)
		return;
	consul_wipe(world);
	sim_push(world, sim_item(world, 20 * S, NULL, init_again));
}

static void
first_start(struct world *world, struct item *item)
{
	start(world, item->host);
}

void
faults_start(struct world *world)
{
	for (size_t i = 0; i < world->n_hosts; i++)
		sim_push(world,
		    sim_item(world, sim_between(world, 0, S), &world->hosts[i],
			first_start));
	sim_push(world, sim_item(world, 15 * S, NULL, fault));
	if (sim_chance(world, 0.1))
		sim_push(
		    world, sim_item(world, sim_between(world, 20, 60) * S, NULL, wipe));
}

void
faults_end(struct world *world, struct host *only)
{
	struct role_event event = { .type = ROLE_EVENT_PAUSE };

	sim_say(
	    world, only, "all is repaired%s", only ? ", but only one host lives" : "");
	world->calm = true;
	world->outage = false;
	world->heavy = world->loss = 0;
	for (size_t i = 0; i < world->n_hosts; i++) {
		struct host *host = &world->hosts[i];

		host->cut = host->mute = false;
		host->session_lost_until = 0;
		if (host->stopping || (only && host != only))
			host_crash(world, host);
		if (only && host != only)
			continue;
		start(world, host);
		host_resume(world, host);
		host_ready(world, host, ROLE_READY_YES);
		host_event(world, host, &event);
		yield(world, host, false);
	}
}
