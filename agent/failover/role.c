/* SPDX-License-Identifier: ISC */
/*
 * The failover protocol of one role: the step, its events and its states. What the
 * register's contents mean is in learn.c, what to do next in decide.c; lease.c, vip.c and
 * hooks.c carry the actions out, all through seat.c. Nothing here reads a clock or does
 * I/O.
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
#include "agent/failover/role_state.h"

#define DROP_REPEAT_MS 200 /* an answer to a drop takes no longer */
#define IDLE_READ_MS 1000 /* a standby's reads: the watch brings the news */

static const char *const state_names[] = { "backup", "waiting", "master" };
_Static_assert(ARRAY_LENGTH(state_names) == ROLE_MASTER + 1, "one name per state");

static const char *const reason_names[] = { "none", "start", "elected", "handed-over",
	"takeover", "recovered", "lapse", "service", "switchover", "preempted", "stop",
	"reload", "superseded", "hook", "duplicate", "branch" };
_Static_assert(ARRAY_LENGTH(reason_names) == ROLE_REASONS, "one name per reason");

static const char *const write_names[] = { "OWN", "CLAIM", "GIVE", "ABANDON" };
_Static_assert(ARRAY_LENGTH(write_names) == ROLE_ABANDON + 1, "one name per write");

const char *
role_state_name(enum role_state state)
{
	return state_names[state];
}

const char *
role_reason_name(enum role_reason reason)
{
	return reason_names[reason];
}

const char *
role_write_name(enum role_write kind)
{
	return write_names[kind];
}

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

int64_t
role_hold_until(const struct role *role)
{
	if (role->state != ROLE_MASTER)
		return ROLE_NEVER;
	return role->confirmed_at + role->binding_ms - role->params.margin_ms;
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

/* The one place where the state changes. */
void
role_set_state(
    struct role *role, enum role_state to, enum role_reason reason, const char *why)
{
	struct role_action *action;

	if (to == role->state && role->announced)
		return;
	action = role_act(role, ROLE_ACTION_STATE);
	action->from = role->state;
	action->to = to;
	action->reason = reason;
	action->why = role_words(role, why);
	role->state = to;
	role->reason = reason;
	role->announced = true;
}

void
role_drop_vips(struct role *role)
{
	struct role_action *action;

	if (role->now.boot < role->ordered_at + DROP_REPEAT_MS) {
		role_wake(role, role->ordered_at + DROP_REPEAT_MS);
		return;
	}
	role->ordered_at = role->now.boot;
	action = role_act(role, ROLE_ACTION_VIP_DROP);
	action->order = ++role->order;
	action->term = role->max_rev;
	role_wake(role, role->ordered_at + DROP_REPEAT_MS);
}

/* MASTER no more, whatever the reason: the addresses go first. */
void
role_step_down(struct role *role, enum role_reason reason, const char *why)
{
	bool demoting = role->leaving;

	if (role->params.has_vips) {
		role->vip_maybe = true;
		role->ordered_at = ROLE_NEVER;
		role_drop_vips(role);
	}
	role->cas.out = false;
	role->leaving = role->left = false;
	role->suspect_since = ROLE_NEVER;
	role->next_read = role->now.boot;
	role_set_state(role, ROLE_STANDBY, reason, why);
	if (role->params.has_demote && !demoting)
		role_act(role, ROLE_ACTION_DEMOTE)->reason = reason;
	role->term = 0;
}

/* S2: before anything else is looked at. */
static void
lapse(struct role *role)
{
	char why[80];
	int64_t lease_ms = role->binding_ms - role->params.margin_ms;

	if (role->state != ROLE_MASTER || role->now.boot < role_hold_until(role))
		return;
	snprintf(why, sizeof(why), "the lease could not be confirmed for %g s",
	    (double)lease_ms / 1000);
	role_step_down(role, ROLE_REASON_LAPSE, why);
}

static void
on_peers(struct role *role, const struct role_peer *list, size_t count)
{
	role->peers_known = true;
	role->n_peers = 0;
	for (size_t i = 0; i < count && i < ROLE_PEERS; i++) {
		if (!role_name_valid(list[i].node))
			continue;
		role->peers[role->n_peers++] = list[i];
		if (strcmp(list[i].node, role->reg.holder) == 0)
			role->objected = 0;
	}
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
	if (to[0] ? role_is_ready_peer(role, to) : role_best_peer(role) != NULL) {
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
		on_peers(role, event->peers.list, event->peers.count);
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
	case ROLE_EVENT_HEARTBEAT:
	case ROLE_EVENT_ACK:
	case ROLE_EVENT_ALONG:
	case ROLE_EVENT_UNREADABLE:
	case ROLE_EVENT_NAMESAKE:
	case ROLE_EVENTS: break;
	}
}

/* The address is there while the lease runs, before the hooks or once they succeeded. */
static void
refresh_vips(struct role *role)
{
	const struct role_params *params = &role->params;
	struct role_action *action;
	int64_t now = role->now.boot;
	int64_t until = role_hold_until(role);

	if (mutated(RESTARTKEEP) && role->state == ROLE_STANDBY && role->known &&
	    role_is_holder(role) && role_is_fenced_in(role))
		until = now + params->lease_ms;
	else if (role->state != ROLE_MASTER)
		return;
	role_wake(role, until);
	if (!params->has_vips || !(role->promoted || params->address_first) ||
	    now >= until)
		return;
	if (until > now + params->lease_ms)
		until = now + params->lease_ms;
	if (until > role->until || now >= role->ordered_at + params->confirm_ms) {
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

/* How long after one consistent read the next is due, though no news asks for it. */
static int64_t
pace(const struct role *role)
{
	int64_t confirm_ms = role->params.confirm_ms;
	int64_t idle_ms = 4 * confirm_ms > IDLE_READ_MS ? 4 * confirm_ms : IDLE_READ_MS;

	if (role->state != ROLE_STANDBY || role->cas.out)
		return confirm_ms;
	if (!role->known)
		return idle_ms;
	if (role_is_fenced_in(role) || role->suspect_since != ROLE_NEVER)
		return confirm_ms;
	return idle_ms;
}

static void
read_register(struct role *role)
{
	int64_t due = role->read_at + pace(role);

	if (role->next_read < due)
		due = role->next_read;
	if (role->now.boot >= due) {
		role->read_at = role->now.boot;
		role->next_read = ROLE_FOREVER;
		role_act(role, ROLE_ACTION_READ);
		due = role->read_at + pace(role);
	}
	role_wake(role, due);
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
	role->learnt_at = role->read_at = role->write_after = ROLE_NEVER;
	role->suspect_since = role->gave_at = role->excluded_until = ROLE_NEVER;
	role->ordered_at = ROLE_NEVER;
	role->vip_maybe = params->has_vips; /* an earlier instance may have left it */
	return role;
}

void
role_set_params(struct role *role, const struct role_params *params)
{
	struct role_params *mine = &role->params;

	/* S14: what was held or ordered by now may last for the longer lease. */
	if (params->lease_ms < mine->lease_ms || params->has_vips != mine->has_vips)
		role->term_order = role->order;
	mine->priority = params->priority;
	mine->preempt = params->preempt;
	mine->preempt_delay_ms = params->preempt_delay_ms;
	mine->lease_ms = params->lease_ms;
	mine->confirm_ms = params->confirm_ms;
	mine->silence_ms = params->silence_ms;
	mine->stagger_ms = params->stagger_ms;
	mine->has_vips = params->has_vips;
	mine->has_promote = params->has_promote;
	mine->has_demote = params->has_demote;
	mine->address_first = params->address_first;
	mine->release_when_unwell = params->release_when_unwell;
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
		.binding_ms = role->state == ROLE_MASTER ? role->binding_ms : 0,
	};
	if (role->known)
		view->reg = role->reg;
}
