/* SPDX-License-Identifier: ISC */
/*
 * The failover protocol of one role: the step, its events and its life. Its states are in
 * states.c, what the register's contents mean in learn.c, what heartbeats do in hear.c, what
 * to do next in decide.c; lease.c, peer.c, vip.c and hooks.c carry the actions out, all
 * through seat.c. Nothing here reads a clock or does I/O.
 *
 * The register in Consul is all that safety rests on. The addresses are here only while
 * this host is MASTER and its lease runs; MASTER is entered only by the success of an own
 * OWN that is the outstanding write; and a lease that has run out is noticed before
 * anything else is looked at, so nothing that arrives late can revive it. The letters and
 * numbers (S2, 10.8) are those of the protocol's page.
 */
#include "agent/failover/role.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/failover/role_rules.h"

struct role_action *
role_act(struct role *role, enum role_action_type type)
{
	struct role_actions *actions = role->actions;
	struct role_action *action;

	assert(actions->count < ROLE_ACTIONS);
	action = &actions->list[actions->count++];
	*action = (struct role_action){ .type = type, .term = role->term };
	return action;
}

void
role_wake(struct role *role, int64_t when)
{
	if (when > role->now.boot && when < role->wake)
		role->wake = when;
}

bool
role_is_holder(const struct role *role)
{
	return strcmp(role->reg.holder, role->params.node) == 0;
}

bool
role_is_fenced_in(const struct role *role)
{
	return role->reg.fence.present &&
	    strcmp(role->reg.fence.node, role->params.node) == 0;
}

const char *
role_words(struct role *role, const char *text)
{
	struct role_actions *actions = role->actions;
	char *words = actions->words + actions->n_words;
	size_t left = sizeof(actions->words) - actions->n_words;

	str_copy(words, left, text);
	if (actions->n_words + strlen(words) + 1 < sizeof(actions->words))
		actions->n_words += strlen(words) + 1;
	return words;
}

void
role_alarm(struct role *role, const char *why)
{
	role_act(role, ROLE_ACTION_ALARM)->why = role_words(role, why);
}

/* S2: before anything else is looked at. */
static void
lapse(struct role *role)
{
	char why[120];
	int64_t lease_ms = role_binding_ms(role) - role->params.margin_ms;
	bool peers = role->reg.fence.hold_ms > 0;

	if (role->state != ROLE_MASTER || role->now.boot < role_hold_until(role) ||
	    (mutated(HOOKHOLD) && role->leaving))
		return;
	snprintf(why, sizeof(why), "%s for %g s",
	    peers ? "neither Consul nor all members confirmed the lease"
		  : "the lease could not be confirmed",
	    (double)lease_ms / 1000);
	role_fall(role, ROLE_FALL_LAPSE, why);
}

static void
on_ready(struct role *role, enum role_ready ready)
{
	if (ready != role->ready)
		role->excluded_until = ROLE_NEVER;
	role->ready = ready;
}

static void
on_switchover(struct role *role, const char *to)
{
	char why[160];

	if (role->state != ROLE_MASTER || role->give ||
	    strcmp(to, role->params.node) == 0)
		return;
	if (to[0] ? role_is_ready_peer(role, to)
		  : role_best_peer(role) != ROLE_NOBODY) {
		role_give(role, to, ROLE_REASON_SWITCHOVER, "an operator asked");
		return;
	}
	snprintf(why, sizeof(why), "a switchover was asked for, but %s is ready",
	    to[0] ? to : "nobody else");
	if (to[0])
		snprintf(why, sizeof(why),
		    "a switchover to %s was asked for, but it is no "
		    "candidate that is ready",
		    to);
	role_alarm(role, why);
}

static void
on_hook_done(struct role *role, bool demote, bool ok)
{
	if (role->state != ROLE_MASTER)
		return;
	if (demote)
		role->left = role->leaving;
	else if (ok)
		role->promoted = true;
	else if (!role->give)
		role_give(role, "", ROLE_REASON_HOOK, "the promote hook failed");
}

static void
on_vip_gone(struct role *role, uint64_t order)
{
	/* S15: an answer to an older order says nothing about the newest. */
	if (order == role->order || mutated(GONEORDER))
		role->vip_maybe = false;
}

static int64_t
next_read(const struct role *role)
{
	int64_t due = role->read_at + role_pace(role);

	return role->next_read < due ? role->next_read : due;
}

/* One request for all roles of a host that would read soon. */
static void
on_along(struct role *role)
{
	if (next_read(role) <= role->now.boot + role_pace(role) / 2)
		role->next_read = role->now.boot;
}

static void
on_unreadable(struct role *role)
{
	if (!role->unreadable)
		role_alarm(role,
		    "its register in Consul is of a version that this lictord does not "
		    "know: it is neither written nor answered for");
	role->unreadable = true;
}

static void
on_namesake(struct role *role, bool on)
{
	if (on && !role->namesake)
		role_alarm(role,
		    "another agent uses this node's name: nothing is written as long "
		    "as it does");
	role->namesake = on;
}

static void
take(struct role *role, const struct role_event *event)
{
	switch (event->type) {
	case ROLE_EVENT_TICK: break;
	case ROLE_EVENT_REGISTER:
		role_learn_register(role, event->reg.sent_at, event->reg.consistent,
		    event->reg.content);
		break;
	case ROLE_EVENT_CAS:
		role_learn_written(
		    role, event->cas.wid, event->cas.ok, event->cas.index);
		break;
	case ROLE_EVENT_PEERS:
		role_nodes_present(role, event->peers.list, event->peers.count);
		break;
	case ROLE_EVENT_HEALTH: on_ready(role, event->ready); break;
	case ROLE_EVENT_SWITCHOVER: on_switchover(role, event->node); break;
	case ROLE_EVENT_PAUSE: role->paused = event->paused; break;
	case ROLE_EVENT_STOP: role->stopping = true; break;
	case ROLE_EVENT_YIELD: role->yielding = event->yield; break;
	case ROLE_EVENT_HOOK_DONE:
		on_hook_done(role, event->hook.demote, event->hook.ok);
		break;
	case ROLE_EVENT_VIP_GONE: on_vip_gone(role, event->order); break;
	case ROLE_EVENT_VIP_HELD:
		if (event->order > role->held_order)
			role->held_order = event->order;
		break;
	case ROLE_EVENT_HEARTBEAT: role_hear(role, event); break;
	case ROLE_EVENT_ACK: role_take_ack(role, event); break;
	case ROLE_EVENT_ALONG: on_along(role); break;
	case ROLE_EVENT_UNREADABLE: on_unreadable(role); break;
	case ROLE_EVENT_NAMESAKE: on_namesake(role, event->namesake); break;
	case ROLE_EVENTS: break;
	}
}

/* S1: as far as the hold goes, but never further than a lease. */
static int64_t
hold_vips_until(const struct role *role)
{
	const struct role_params *params = &role->params;
	int64_t now = role->now.boot;
	int64_t until = role_hold_until(role);
	int64_t lease_ms = role_binding_ms(role) - params->margin_ms;

	if (mutated(RESTARTKEEP) && role->state == ROLE_STANDBY && role->known &&
	    role_is_holder(role) && role_is_fenced_in(role))
		return now + params->lease_ms;
	if (mutated(HOOKHOLD) && role->leaving)
		return now + params->lease_ms;
	if (mutated(LONGLIFE))
		return until;
	if (lease_ms > params->lease_ms)
		lease_ms = params->lease_ms;
	return until > now + lease_ms ? now + lease_ms : until;
}

/* The address is there while the hold runs, before the hooks or once they succeeded. It is set
 * each C, and at once where that comes late. */
static void
refresh_vips(struct role *role)
{
	const struct role_params *params = &role->params;
	struct role_action *action;
	int64_t now = role->now.boot;
	int64_t until;

	if (role->state != ROLE_MASTER && !mutated(RESTARTKEEP))
		return;
	role_wake(role, role_hold_until(role));
	until = hold_vips_until(role);
	if (!params->has_vips || !(role->promoted || params->address_first) ||
	    now >= until)
		return;
	if (until >= role->until + params->confirm_ms ||
	    now >= role->ordered_at + params->confirm_ms) {
		action = role_act(role, ROLE_ACTION_VIP_HOLD);
		action->order = ++role->order;
		action->until = until;
		action->first = role->until == ROLE_NEVER;
		role->until = until;
		role->ordered_at = now;
		role->vip_maybe = true;
	}
	role_wake(role, role->ordered_at + params->confirm_ms);
}

static void
read_register(struct role *role)
{
	if (role->now.boot >= next_read(role)) {
		role->read_at = role->now.boot;
		role->next_read = ROLE_FOREVER;
		role_act(role, ROLE_ACTION_READ);
	}
	role_wake(role, next_read(role));
	role_wake(role, role_calm_until(role) + 1);
}

struct role *
role_new(const struct role_params *params, struct role_now now,
    uint64_t (*random)(void *arg), void *arg)
{
	struct role *role = xcalloc(1, sizeof(*role));

	assert(role_name_valid(params->node));
	role->params = *params;
	role_inst_print(params->inst, role->inst);
	role->random = random;
	role->arg = arg;
	role->now = now;
	role->started_at = role->next_read = role->wake = now.boot;
	role->known_since = role->next_beat = now.boot;
	role->learnt_at = role->read_at = role->write_after = ROLE_NEVER;
	role->suspect_since = role->gave_at = role->excluded_until = ROLE_NEVER;
	role->ordered_at = role->beat_at = ROLE_NEVER;
	role->higher_since = ROLE_NEVER;
	role->holder = role->fencer = role->beat_from = ROLE_NOBODY;
	role->promoted_before = params->promoted_before;
	role->vip_maybe = params->has_vips; /* an earlier instance may have left it */
	role_node_place(role, params->node);
	return role;
}

void
role_set_params(struct role *role, const struct role_params *params)
{
	struct role_params *mine = &role->params;
	struct role_params start = *mine;

	/* S14: what was held or ordered by now may last for the longer lease. */
	if ((params->lease_ms < mine->lease_ms && !mutated(LITERALS14)) ||
	    params->has_vips != mine->has_vips)
		role->long_order = role->order;
	*mine = *params;
	str_copy(mine->node, sizeof(mine->node), start.node);
	mine->inst = start.inst;
	mine->margin_ms = start.margin_ms;
	mine->warm = start.warm;
	/* what waits for a hook that is there no more waits no longer */
	if (!mine->has_promote)
		role->promoted = true;
	if (!mine->has_demote)
		role->left = role->leaving;
}

void
role_free(struct role *role)
{
	free(role);
}

void
role_step(struct role *role, const struct role_event *event, struct role_now now,
    struct role_actions *actions)
{
	role->now = now;
	role->actions = actions;
	role->wake = ROLE_FOREVER;
	actions->count = actions->n_words = 0;
	if (!mutated(RESURRECT))
		lapse(role);
	take(role, event);
	lapse(role);
	role_decide(role);
	refresh_vips(role);
	read_register(role);
	role_beat(role);
	role->actions = NULL;
}

int64_t
role_next_tick(const struct role *role, struct role_now now)
{
	return role->wake > now.boot ? role->wake : now.boot;
}

void
role_view(const struct role *role, struct role_view *view)
{
	*view = (struct role_view){
		.state = role->state,
		.known = role->known,
		.lost = role->lost,
		.duplicate = role->duplicate,
		.max_rev = role->max_rev,
		.term = role->term,
		.hold_until = role->state == ROLE_MASTER ? role_hold_until(role) : 0,
		.wait_until = role->state == ROLE_WAITING ? role->wait_until.boot : 0,
		.leaving = role->leaving,
		.vip_maybe = role->vip_maybe,
		.ready = role->ready,
		.reason = role->reason,
		.calm = role_calm_until(role) != ROLE_NEVER,
		.paused = role->paused,
		.unreadable = role->unreadable,
		.moves = role_moves(role),
	};
	if (role->state == ROLE_MASTER) {
		view->n_binding = role->n_binding;
		view->binding_ms = role_binding_ms(role);
		view->failsafe = role->now.boot >= role_confirmed_until(role);
	}
	role_nodes_view(role, view);
	if (role->known)
		view->reg = role->reg;
}
