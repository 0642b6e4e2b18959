/* SPDX-License-Identifier: ISC */
/*
 * Whether a master goes on: when it gives the role away and to whom, how it leaves, and what
 * it writes to stay. These are the functions that the MASTER's rows of decide.c name.
 *
 * A master that leaves goes on confirming and holding until its demote hook has ended; it
 * moves of its own will only if it is neither paused nor has moved too often.
 */
#include "agent/failover/role_rules.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"

bool
role_must_go(const struct role *role)
{
	return role->stopping || role->yielding;
}

bool
role_has_failsafe(const struct role *role)
{
	return role_beats(role) && role->params.hold_peers_ms > 0;
}

static bool
is_unwell(const struct role *role)
{
	return role->ready == ROLE_READY_NO;
}

/* The next master: who was asked for, who claimed it, or the best. A role that is paused is
 * nobody's until somebody says so. */
const char *
role_next_holder(const struct role *role)
{
	unsigned int best = role_best_peer(role);

	if (role->give && role->give_to[0] && role_is_ready_peer(role, role->give_to))
		return role->give_to;
	if (!role_is_holder(role) && role->reg.holder[0])
		return role->reg.holder;
	if (role->paused &&
	    !(role->give && role->give_reason == ROLE_REASON_SWITCHOVER))
		return "";
	return best == ROLE_NOBODY ? "" : role->nodes[best].name;
}

void
role_give(struct role *role, const char *to, enum role_reason reason, const char *why)
{
	role->give = true;
	str_copy(role->give_to, sizeof(role->give_to), to);
	role->give_reason = reason;
	str_copy(role->give_why, sizeof(role->give_why), why);
}

void
stay_recreate(struct role *role)
{
	role_own(role, role->members);
}

bool
stay_must_stop(struct role *role)
{
	return !role->give && role->stopping;
}

void
stay_give_stopping(struct role *role)
{
	role_give(role, "", ROLE_REASON_STOP, "lictord stops here");
}

bool
stay_must_yield(struct role *role)
{
	return !role->give && role->yielding;
}

void
stay_give_yielding(struct role *role)
{
	role_give(
	    role, "", ROLE_REASON_RELOAD, "a new configuration takes it away here");
}

bool
stay_is_unwell_and_claimed(struct role *role)
{
	return !role->give && is_unwell(role) && !role_is_holder(role);
}

void
stay_give_claimant(struct role *role)
{
	role_give(role, role->reg.holder, ROLE_REASON_SERVICE,
	    "this host is not ready for it");
}

/* Where another is ready, or nobody shall have it rather than a host that is unwell. Whether
 * the role is paused is told with the first presence. */
bool
role_gives_unwell(struct role *role)
{
	if (role->paused || !role->peers_known)
		return false;
	return role->params.release_when_unwell ||
	    (role_best_peer(role) != ROLE_NOBODY && !role_is_limited(role));
}

/* By presence and, where there are heartbeats, by a recent ack: it lives. */
static bool
is_preferred(struct role *role, unsigned int place)
{
	const struct role_node *node = &role->nodes[place];

	if (!role->params.preempt || role->paused || place == ROLE_NOBODY ||
	    node->priority <= role->params.priority)
		return false;
	if (!role_beats(role) || !node->hb)
		return true;
	role_wake(role, node->acked_ts + role->params.lease_ms);
	return role->now.boot < node->acked_ts + role->params.lease_ms;
}

void
stay_watch_preferred(struct role *role)
{
	if (!is_preferred(role, role_best_peer(role)))
		role->higher_since = ROLE_NEVER;
	else if (role->higher_since == ROLE_NEVER)
		role->higher_since = role->now.boot;
}

static bool
is_outranked(struct role *role)
{
	int64_t due = role->higher_since + role->params.preempt_delay_ms;

	if (role->higher_since == ROLE_NEVER)
		return false;
	role_wake(role, due);
	return role->now.boot >= due;
}

/* It would be given away, had it not moved so often. */
static bool
is_wanted_elsewhere(struct role *role)
{
	if (role->give || role->paused)
		return false;
	if (is_unwell(role) && !role->params.release_when_unwell &&
	    role_best_peer(role) != ROLE_NOBODY)
		return true;
	return is_outranked(role);
}

bool
stay_is_held_back(struct role *role)
{
	if (!role_is_limited(role))
		role->limit_said = false; /* it may be said again */
	return is_wanted_elsewhere(role) && role_is_limited(role) && !role->limit_said;
}

void
stay_say_limit(struct role *role)
{
	char why[160];

	role->limit_said = true;
	snprintf(why, sizeof(why),
	    "it has moved %u times within %g s: it stays here until it is quieter",
	    role_moves(role), (double)role->params.within_ms / 1000);
	role_alarm(role, why);
}

bool
stay_is_unwell_and_replaceable(struct role *role)
{
	return !role->give && is_unwell(role) && role_gives_unwell(role);
}

void
stay_give_unwell(struct role *role)
{
	role_give(role, "", ROLE_REASON_SERVICE, "this host is not ready for it");
}

bool
stay_is_preempted(struct role *role)
{
	return !role->give && is_outranked(role) && !role_is_limited(role);
}

void
stay_give_preferred(struct role *role)
{
	const struct role_node *best = &role->nodes[role_best_peer(role)];
	char why[160];

	snprintf(
	    why, sizeof(why), "%s is back and has the higher priority", best->name);
	role_give(role, best->name, ROLE_REASON_PREEMPTED, why);
}

bool
stay_is_to_leave(struct role *role)
{
	return role->give && !role->leaving;
}

/* While the demote hook runs the master goes on confirming and holding. */
void
stay_leave(struct role *role)
{
	static const struct role_fence none;

	role->leaving = true;
	role->left = !role->params.has_demote;
	if (!role->left)
		role_demote(role, role->give_reason);
	if (mutated(HOOKGIVE) && !role->left && !role->cas.out)
		role_write(role, ROLE_GIVE, role_next_holder(role), &none);
}

bool
stay_has_left(struct role *role)
{
	return role->left;
}

void
stay_step_aside(struct role *role)
{
	role_step_down(role, role->give_reason, role->give_why);
}

bool
stay_is_claimed(struct role *role)
{
	return !role_is_holder(role);
}

bool
stay_is_claimed_leaving(struct role *role)
{
	return !role_is_holder(role) && role->leaving;
}

void
stay_own_again(struct role *role)
{
	role_own(role, role->members);
}

/* Without those silent for Tm, with those whose ack is younger than L. */
static role_nodes
members_now(struct role *role)
{
	role_nodes set = 0;

	for (size_t i = 1; role_has_failsafe(role) && i < role->n_nodes; i++) {
		const struct role_node *node = &role->nodes[i];
		int64_t silent_from = node->ack_at + role->params.member_ms + 1;

		if (role->members >> i & 1) {
			if (role->now.boot >= silent_from)
				continue;
			role_wake(role, silent_from);
			set |= (role_nodes)1 << i;
		} else if (role->now.boot < node->acked_ts + role->params.lease_ms) {
			set |= (role_nodes)1 << i;
		}
	}
	return set;
}

bool
stay_has_changed(struct role *role)
{
	return role_own_differs(role, members_now(role));
}

void
stay_own_changed(struct role *role)
{
	role_own(role, members_now(role));
}
