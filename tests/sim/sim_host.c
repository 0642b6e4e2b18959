/* SPDX-License-Identifier: ISC */
/*
 * A host: the real role machine, driven as seat.c drives it (the clock read after each
 * event, a tick when role_next_tick says so), its hooks, and the ways in which a process
 * stops, dies and comes back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/sim/sim.h"

static void step(
    struct world *world, struct host *host, const struct role_event *event);

static uint64_t
wid_random(void *arg)
{
	return sim_random(arg);
}

static void
tick(struct world *world, struct item *item)
{
	struct role_event event = { .type = ROLE_EVENT_TICK };

	if (!item->host->role || item->host->life != item->life ||
	    item->host->tick_at != item->at || item->host->paused)
		return;
	step(world, item->host, &event);
}

static void
arm(struct world *world, struct host *host, struct role_now now)
{
	int64_t next = role_next_tick(host->role, now);
	struct item *item;

	if (next <= now.boot)
		sim_fail(world, "%s would tick without end", host->name);
	item = sim_item(
	    world, clock_when(&host->boot, world->now, next) - world->now, host, tick);
	if (sim_chance(world, 0.3)) /* a loop is never punctual */
		item->at += sim_between(world, 0, 10 * MS);
	host->tick_at = item->at;
	sim_push(world, item);
}

static void
hook_ended(struct world *world, struct item *item)
{
	if (item->number == item->host->hooks)
		host_deliver(world, item);
}

static void
hook(struct world *world, struct host *host, bool demote)
{
	static const int64_t durations[] = { 0, 0, 20 * MS, 300 * MS, 3 * S, 10 * S };
	int64_t duration = durations[sim_between(world, 0, world->calm ? 2 : 5)];
	int64_t at = host->hook_free_at > world->now ? host->hook_free_at : world->now;
	struct item *item;

	host->hook_free_at = at + sim_between(world, 0, duration);
	item = sim_item(world, host->hook_free_at - world->now, host, hook_ended);
	item->number = ++host->hooks;
	item->event.type = ROLE_EVENT_HOOK_DONE;
	item->event.hook.demote = demote;
	item->event.hook.ok = world->calm || !sim_chance(world, 0.1);
	sim_push(world, item);
}

static void
carry_out(struct world *world, struct host *host, const struct role_action *action)
{
	switch (action->type) {
	case ROLE_ACTION_READ: consul_read(world, host); break;
	case ROLE_ACTION_WRITE:
		consul_write(world, host, action->base, &world->actions.write);
		break;
	case ROLE_ACTION_VIP_HOLD:
		warden_hold(world, host, action->order, action->term, action->until);
		break;
	case ROLE_ACTION_VIP_DROP:
		warden_drop(world, host, action->order, action->term);
		break;
	case ROLE_ACTION_PROMOTE: hook(world, host, false); break;
	case ROLE_ACTION_DEMOTE: hook(world, host, true); break;
	case ROLE_ACTION_STATE:
		sim_say(world, host, "%s -> %s: %s (%s)", role_state_name(action->from),
		    role_state_name(action->to), action->why,
		    role_reason_name(action->reason));
		break;
	case ROLE_ACTION_ALARM: sim_say(world, host, "ALARM: %s", action->why); break;
	case ROLE_ACTION_HEARTBEAT:
	case ROLE_ACTION_ACK:
	case ROLE_ACTION_TYPES: break;
	}
}

static void
step(struct world *world, struct host *host, const struct role_event *event)
{
	struct role_actions *actions = &world->actions;
	struct role_now now = { clock_ms(&host->boot, world->now),
		clock_ms(&host->raw, world->now) };

	world->steps++;
	role_step(host->role, event, now, actions);
	check_step(world, host, event, now, actions);
	for (size_t i = 0; i < actions->count; i++)
		carry_out(world, host, &actions->list[i]);
	arm(world, host, now);
}

/* The item may have been copied since it was made. */
static void
step_item(struct world *world, struct host *host, struct item *item)
{
	if (item->event.type == ROLE_EVENT_REGISTER && item->event.reg.content)
		item->event.reg.content = &item->reg;
	if (item->event.type == ROLE_EVENT_PEERS)
		item->event.peers.list = item->peers;
	step(world, host, &item->event);
}

void
host_event(struct world *world, struct host *host, const struct role_event *event)
{
	struct item *item = sim_item(world, 0, host, host_deliver);

	item->event = *event;
	sim_push(world, item);
}

void
host_deliver(struct world *world, struct item *item)
{
	struct host *host = item->host;
	struct item *copy;

	if (!host->role || host->life != item->life)
		return;
	if (!host->paused) {
		step_item(world, host, item);
		return;
	}
	copy = xcalloc(1, sizeof(*copy));
	*copy = *item;
	host->late = xrealloc(host->late, host->n_late + 1, sizeof(struct item *));
	host->late[host->n_late++] = copy;
}

void
host_forget_late(struct host *host)
{
	for (size_t i = 0; i < host->n_late; i++)
		free(host->late[i]);
	free(host->late);
	host->late = NULL;
	host->n_late = 0;
}

/* The services' states are known a moment after a start. */
static void
tell_ready(struct world *world, struct item *item)
{
	item->event.type = ROLE_EVENT_HEALTH;
	item->event.ready = item->host->ready;
	host_deliver(world, item);
}

void
host_start(struct world *world, struct host *host)
{
	struct role_now now = { clock_ms(&host->boot, world->now),
		clock_ms(&host->raw, world->now) };
	struct role_event event = { .type = ROLE_EVENT_TICK };

	if (host->role)
		return;
	host->life++;
	host->params.inst = host->life;
	host->role = role_new(&host->params, now, wid_random, world);
	host->paused = host->stopping = host->given = false;
	host->own_wid[0] = '\0';
	host->seen_rev = 0;
	host->hook_free_at = world->now;
	role_view(host->role, &host->before);
	sim_say(world, host, "the agent starts, lease %lld ms",
	    (long long)host->params.lease_ms);
	consul_start(world, host);
	host_event(world, host, &event);
	sim_push(
	    world, sim_item(world, sim_between(world, 0, 200 * MS), host, tell_ready));
}

void
host_crash(struct world *world, struct host *host)
{
	if (!host->role)
		return;
	sim_say(world, host, "the agent dies");
	role_free(host->role);
	host->role = NULL;
	host->paused = false;
	host_forget_late(host);
}

void
host_pause(struct world *world, struct host *host)
{
	if (!host->role || host->paused)
		return;
	sim_say(world, host, "the agent stops running");
	host->paused = true;
}

static bool
is_reply(const struct item *item)
{
	return item->event.type == ROLE_EVENT_REGISTER ||
	    item->event.type == ROLE_EVENT_CAS;
}

/* Replies come over several connections, so in any order; the rest does not. */
static void
shuffle_replies(struct world *world, struct item **list, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = (size_t)sim_between(world, 0, (int64_t)i - 1);
		struct item *swap = list[i - 1];

		if (!is_reply(list[i - 1]) || !is_reply(list[j]))
			continue;
		list[i - 1] = list[j];
		list[j] = swap;
	}
}

void
host_resume(struct world *world, struct host *host)
{
	struct role_event event = { .type = ROLE_EVENT_TICK };

	if (!host->role || !host->paused)
		return;
	sim_say(
	    world, host, "the agent runs again, %zu events are waiting", host->n_late);
	host->paused = false;
	host->disturbed_at = world->now;
	if (sim_chance(world, 0.5))
		shuffle_replies(world, host->late, host->n_late);
	for (size_t i = 0; i < host->n_late; i++)
		step_item(world, host, host->late[i]);
	if (host->n_late == 0)
		step(world, host, &event);
	host_forget_late(host);
}

void
host_ready(struct world *world, struct host *host, enum role_ready ready)
{
	struct role_event event = { .type = ROLE_EVENT_HEALTH, .ready = ready };

	host->ready = ready;
	host_event(world, host, &event);
}
