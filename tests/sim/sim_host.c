/* SPDX-License-Identifier: ISC */
/*
 * A host: the real role machine, driven as seat.c drives it (the clock read after each
 * event, a tick when role_next_tick says so), its hooks, and the ways in which a process
 * stops, dies and comes back.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/sim/sim.h"
#include "tests/sim/trace.h"

static void step(
    struct world *world, struct host *host, const struct role_event *event);

static uint64_t
wid_random(void *arg)
{
	struct world *world = arg;

	return draw(&world->random);
}

static int64_t
unpunctual(struct world *world)
{
	return sim_chance(world, 0.2) ? sim_between(world, 0, 10 * MS) : 0;
}

/* One tick a host waits in the queue; if it comes too early it waits on. */
static void
tick(struct world *world, struct item *item)
{
	struct role_event event = { .type = ROLE_EVENT_TICK };
	struct host *host = item->host;
	int64_t due;

	if (!host->role || host->life != item->life || host->tick_at != world->now)
		return;
	host->tick_at = NEVER;
	if (host->paused)
		return;
	due = clock_when(&host->boot, world->now, host->wanted_ms);
	if (due <= world->now) {
		step(world, host, &event);
		return;
	}
	host->tick_at = due;
	world->kept = true;
	sim_push(world, due - world->now, item);
}

static void
arm(struct world *world, struct host *host, struct role_now now)
{
	int64_t next = role_next_tick(host->role, now);
	int64_t at;

	if (next <= now.boot)
		sim_fail(world, "%s would tick without end", host->name);
	host->wanted_ms = next;
	at = clock_when(&host->boot, world->now, next) + unpunctual(world);
	if (host->tick_at <= at)
		return;
	host->tick_at = at;
	sim_push(world, at - world->now, sim_item(world, host, tick));
}

static void
hook_ended(struct world *world, struct item *item)
{
	struct host *host = item->host;

	if (item->number != host->hooks)
		return;
	if (item->type == ROLE_EVENT_HOOK_DONE && !item->consistent && item->ok)
		host->journal_promoted = true;
	host_deliver(world, item);
}

static void
hook(struct world *world, struct host *host, bool demote)
{
	static const int64_t durations[] = { 0, 0, 20 * MS, 300 * MS, 3 * S, 10 * S };
	int64_t duration = durations[sim_between(world, 0, world->calm ? 2 : 5)];
	int64_t at = host->hook_free_at > world->now ? host->hook_free_at : world->now;
	struct item *item = sim_item(world, host, hook_ended);

	host->journal_promoted = false;
	host->hook_free_at = at + sim_between(world, 0, duration);
	item->number = ++host->hooks;
	item->type = ROLE_EVENT_HOOK_DONE;
	item->consistent = demote;
	item->ok = world->calm || !sim_chance(world, 0.1);
	sim_push(world, host->hook_free_at - world->now, item);
}

static void
send_pulse(struct world *world, struct host *host, const struct role_action *action)
{
	struct pulse pulse = {
		.ack = action->type == ROLE_ACTION_ACK,
		.phase = action->phase,
		.ready = action->ready,
		.inst = action->inst,
		.rev = action->rev,
		.known = action->known,
		.ts = action->ts,
	};

	for (size_t i = 0; i < SLOTS; i++)
		if (&world->hosts[i] != host &&
		    (!pulse.ack || strcmp(world->hosts[i].name, action->node) == 0))
			net_pulse(world, host, &world->hosts[i], &pulse);
}

static void
carry_out(struct world *world, struct host *host, const struct role_action *action)
{
	switch (action->type) {
	case ROLE_ACTION_READ: consul_read(world, host); break;
	case ROLE_ACTION_WRITE:
		consul_write(world, host, action->base, &world->actions.write);
		break;
	case ROLE_ACTION_VIP_HOLD: warden_hold(world, host, action); break;
	case ROLE_ACTION_VIP_DROP: warden_drop(world, host, action); break;
	case ROLE_ACTION_PROMOTE: hook(world, host, false); break;
	case ROLE_ACTION_DEMOTE: hook(world, host, true); break;
	case ROLE_ACTION_STATE:
		sim_say(world, host, "%s -> %s: %s (%s)", role_state_name(action->from),
		    role_state_name(action->to), action->why,
		    role_reason_name(action->reason));
		break;
	case ROLE_ACTION_ALARM: sim_say(world, host, "ALARM: %s", action->why); break;
	case ROLE_ACTION_HEARTBEAT:
	case ROLE_ACTION_ACK: send_pulse(world, host, action); break;
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
	if (world->trace)
		trace_step(world->trace, host->who, event, now, actions, host->role);
	check_step(world, host, event, now, actions);
	for (size_t i = 0; i < actions->count; i++)
		carry_out(world, host, &actions->list[i]);
	arm(world, host, now);
}

static void
step_with_peers(struct world *world, const struct item *item)
{
	struct role_peer list[SLOTS];
	struct role_event event = { .type = ROLE_EVENT_PEERS, .peers.list = list };

	for (size_t i = 0; i < SLOTS; i++) {
		const struct host *other = &world->hosts[i];
		struct role_peer *peer = &list[event.peers.count];

		if (!item->peers.here[i])
			continue;
		str_copy(peer->node, sizeof(peer->node), other->name);
		peer->ready = item->peers.ready[i];
		peer->priority = other->params.priority;
		peer->hb = other->params.heartbeat_ms > 0;
		event.peers.count++;
	}
	step(world, item->host, &event);
}

static void
step_with_pulse(struct world *world, const struct item *item)
{
	const struct pulse *pulse = &item->pulse;
	struct role_event event;

	event.type = item->type;
	if (pulse->ack) {
		str_copy(event.ack.from, ROLE_NODE_SIZE, pulse->from->name);
		event.ack.inst = pulse->inst;
		event.ack.rev = pulse->rev;
		event.ack.ts = pulse->ts;
		event.ack.ready = pulse->ready;
		event.ack.known = pulse->known;
	} else {
		str_copy(event.heartbeat.from, ROLE_NODE_SIZE, pulse->from->name);
		event.heartbeat.inst = pulse->from_inst;
		event.heartbeat.rev = pulse->rev;
		event.heartbeat.phase = pulse->phase;
		event.heartbeat.ts = pulse->ts;
	}
	step(world, item->host, &event);
}

static void
step_with(struct world *world, const struct item *item)
{
	struct role_event event;

	event.type = item->type;
	switch (item->type) {
	case ROLE_EVENT_PEERS: step_with_peers(world, item); return;
	case ROLE_EVENT_HEARTBEAT:
	case ROLE_EVENT_ACK: step_with_pulse(world, item); return;
	case ROLE_EVENT_REGISTER:
		event.reg.sent_at = item->number;
		event.reg.consistent = item->consistent;
		event.reg.content = item->content ? &item->content->reg : NULL;
		break;
	case ROLE_EVENT_CAS:
		str_copy(event.cas.wid, sizeof(event.cas.wid), item->content->reg.wid);
		event.cas.ok = item->ok;
		event.cas.index = item->order;
		break;
	case ROLE_EVENT_HOOK_DONE:
		event.hook.demote = item->consistent;
		event.hook.ok = item->ok;
		break;
	case ROLE_EVENT_HEALTH: event.ready = (enum role_ready)item->number; break;
	case ROLE_EVENT_SWITCHOVER:
		str_copy(event.node, sizeof(event.node),
		    item->number < 0 ? "" : world->hosts[item->number].name);
		break;
	case ROLE_EVENT_PAUSE: event.paused = item->ok; break;
	case ROLE_EVENT_YIELD: event.yield = item->ok; break;
	case ROLE_EVENT_NAMESAKE: event.namesake = item->ok; break;
	case ROLE_EVENT_VIP_GONE:
	case ROLE_EVENT_VIP_HELD: event.order = item->order; break;
	case ROLE_EVENT_TICK:
	case ROLE_EVENT_STOP:
	case ROLE_EVENT_ALONG:
	case ROLE_EVENT_UNREADABLE:
	case ROLE_EVENTS: break;
	}
	step(world, item->host, &event);
}

void
host_tell(
    struct world *world, struct host *host, enum role_event_type type, int64_t number)
{
	struct item *item = sim_item(world, host, host_deliver);

	item->type = type;
	item->number = number;
	item->ok = number != 0;
	sim_push(world, 0, item);
}

void
host_deliver(struct world *world, struct item *item)
{
	struct host *host = item->host;

	if (!host->role || host->life != item->life)
		return;
	if (!host->paused) {
		step_with(world, item);
	} else if (host->n_late < LATE) {
		host->late[host->n_late++] = item;
		world->kept = true;
	}
}

static void
forget_late(struct world *world, struct host *host)
{
	for (size_t i = 0; i < host->n_late; i++)
		sim_drop(world, host->late[i]);
	host->n_late = 0;
}

/* The services' states are known a moment after a start. */
static void
tell_ready(struct world *world, struct item *item)
{
	item->type = ROLE_EVENT_HEALTH;
	item->number = item->host->ready;
	host_deliver(world, item);
}

void
host_start(struct world *world, struct host *host)
{
	struct role_now now = { clock_ms(&host->boot, world->now),
		clock_ms(&host->raw, world->now) };

	if (host->role)
		return;
	host->life++;
	host->params.inst =
	    ((uint64_t)(host - world->hosts + 1) << 32) | (uint64_t)host->life;
	host->params.warm = warden_stands(world, host);
	host->params.promoted_before = host->journal_promoted;
	host->role = role_new(&host->params, now, wid_random, world);
	host->who = ++world->traced;
	if (world->trace)
		trace_start(world->trace, host->who, &host->params, now);
	host->paused = host->stopping = host->off = false;
	host->tick_at = NEVER;
	sim_say(world, host, "the agent starts, lease %lld ms%s",
	    (long long)host->params.lease_ms, host->params.warm ? ", warm" : "");
	check_start(world, host);
	net_bad(world, host, 0);
	session_start(world, host);
	host_tell(world, host, ROLE_EVENT_TICK, 0);
	sim_push(
	    world, sim_between(world, 0, 200 * MS), sim_item(world, host, tell_ready));
}

void
host_crash(struct world *world, struct host *host)
{
	if (!host->role)
		return;
	sim_say(world, host, "the agent dies");
	role_free(host->role);
	host->role = NULL;
	if (world->trace)
		trace_end(world->trace, host->who);
	host->paused = false;
	net_bad(world, host, 0);
	consul_bad(world, host, 0);
	forget_late(world, host);
	content_drop(world, host->own);
	host->own = NULL;
}

/* With the kernel, and with the memory of the hooks. */
void
host_power_off(struct world *world, struct host *host)
{
	host_crash(world, host);
	kernel_remove(world, host, "power loss");
	warden_crash(world, host);
	host->off = true;
	host->warden_paused = false;
	host->fence_ms = 0;
	host->hook_free_at = world->now;
	host->hooks++;
	host->journal_promoted = false;
	host->boot.base = (double)sim_between(world, 0, 30 * S);
	host->raw.base = (double)sim_between(world, 0, 30 * S);
	host->boot.base_at = host->raw.base_at = world->now;
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
	return item->type == ROLE_EVENT_REGISTER || item->type == ROLE_EVENT_CAS;
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
	consul_bad(world, host, 0);
	net_bad(world, host, 0);
	if (sim_chance(world, 0.5))
		shuffle_replies(world, host->late, host->n_late);
	for (size_t i = 0; i < host->n_late; i++)
		step_with(world, host->late[i]);
	if (host->n_late == 0)
		step(world, host, &event);
	forget_late(world, host);
}

void
host_ready(struct world *world, struct host *host, enum role_ready ready)
{
	host->ready = ready;
	host_tell(world, host, ROLE_EVENT_HEALTH, ready);
}

void
host_set_lease(struct host *host, int64_t lease_ms)
{
	host->params.lease_ms = lease_ms;
	host->params.confirm_ms = lease_ms / 7;
}

int64_t
host_any_lease(const struct host *host, uint64_t *random)
{
	static const int64_t bpf[] = { 600, 1000, 1000, 2250 };
	static const int64_t lifetime[] = { 1250, 1250, 2250, 3250 };

	return (host->bpf ? bpf : lifetime)[draw_between(random, 0, 3)];
}
