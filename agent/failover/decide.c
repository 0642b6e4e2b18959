/* SPDX-License-Identifier: ISC */
/*
 * What an agent does next, given all it knows: section 6 of the protocol's page, looked at
 * after each event. It is the table at the end, row by row; the functions above it say when
 * a row applies and what it does. What may be written, and how, is in write.c.
 *
 * Only one write is outstanding at a time, so each decision is made on the newest content. A
 * host gives the role away only when its addresses are verified absent, and objects to a
 * claim as long as it is well.
 */
#include "agent/failover/role_rules.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"

#define GAVE_MS 5000 /* having given the role away, do not ask for it so soon */

static bool
is_unwell(const struct role *role)
{
	return role->ready == ROLE_READY_NO;
}

static bool
always(struct role *role)
{
	(void)role;
	return true;
}

/* S16, 10.10, a register of another version. */
static bool
is_mute(struct role *role)
{
	return role->duplicate || role->namesake || role->unreadable;
}

static bool
is_blind(struct role *role)
{
	return !role->known || role->lost;
}

static bool
is_lost(struct role *role)
{
	return role->lost;
}

static bool
is_writing(struct role *role)
{
	return role->cas.out;
}

static bool
is_backing_off(struct role *role)
{
	role_wake(role, role->write_after);
	return role->now.boot < role->write_after;
}

static bool
is_lost_and_busy(struct role *role)
{
	return role->lost && (role->cas.out || is_backing_off(role));
}

static bool
is_mine(struct role *role)
{
	return role_is_fenced_in(role);
}

static bool
is_free(struct role *role)
{
	return !role->reg.fence.present;
}

/* 10.7: from STANDBY or WAITING all that are present, so that each may take over quickly. */
static role_nodes
candidates(const struct role *role)
{
	role_nodes set = 0;

	for (size_t i = 1; role_has_failsafe(role) && i < role->n_nodes; i++)
		if (role->nodes[i].present && role->nodes[i].hb)
			set |= (role_nodes)1 << i;
	return set;
}

/* An OWN that makes this host MASTER, if it succeeds. */
static void
enter(struct role *role, enum role_reason reason, const char *why)
{
	role->enter_reason = reason;
	str_copy(role->enter_why, sizeof(role->enter_why), why);
	role_own(role, candidates(role));
}

/* The fence is null: somebody gave the role away, or nobody ever had it. */
static void
enter_free(struct role *role)
{
	struct role_wid wid = { .node = "" };
	char why[160];

	if (!role_is_holder(role) || !role_wid_split(role->reg.wid, &wid)) {
		enter(role, ROLE_REASON_ELECTED, "nobody had it");
	} else if (strcmp(wid.kind, "GIVE") == 0) {
		snprintf(why, sizeof(why), "%s handed it over", wid.node);
		enter(role, ROLE_REASON_HANDED_OVER, why);
	} else if (strcmp(wid.kind, "FORCE") == 0) {
		enter(role, ROLE_REASON_SWITCHOVER,
		    "an operator said that whoever had it is off");
	} else {
		enter(role, ROLE_REASON_ELECTED, "nobody had it");
	}
}

static void
enter_after_wait(struct role *role)
{
	const char *old = role->reg.fence.node;
	char why[160];

	if (old[0] == '\0') {
		enter(role, ROLE_REASON_ELECTED, "nobody had it");
		return;
	}
	snprintf(why, sizeof(why), "%s is gone and its lease is over", old);
	enter(role, ROLE_REASON_TAKEOVER, why);
}

void
role_start_waiting(struct role *role, struct role_now from)
{
	const char *old = role->reg.fence.node;
	char why[160];

	role_wait(role, from);
	role->next_beat = role->now.boot;
	role->enter_reason = ROLE_REASON_NONE;
	snprintf(why, sizeof(why), "%s%s may have it for another %.1f s",
	    old[0] ? old : "somebody", old[0] ? " is gone but" : "",
	    (double)(role->wait_until.boot - role->now.boot) / 1000);
	role_set_state(role, ROLE_WAITING,
	    old[0] ? ROLE_REASON_TAKEOVER : ROLE_REASON_ELECTED, why);
}

/* WAITING: whether it goes on. */

static void
stop_waiting(struct role *role)
{
	if (role->stopping)
		role_set_state(
		    role, ROLE_STANDBY, ROLE_REASON_STOP, "lictord stops here");
	else if (role->yielding)
		role_set_state(role, ROLE_STANDBY, ROLE_REASON_RELOAD,
		    "a new configuration takes it away here");
	else
		role_set_state(role, ROLE_STANDBY, ROLE_REASON_SERVICE,
		    "this host is not ready for it");
}

static bool
is_unfit(struct role *role)
{
	return role_must_go(role) || is_unwell(role);
}

/* If its OWN came too late to count, the fence is its own. */
static bool
is_unfit_and_mine(struct role *role)
{
	return is_unfit(role) && role_is_fenced_in(role);
}

static void
abandon(struct role *role)
{
	role_write(role, ROLE_ABANDON, "", &role->reg.fence);
}

static void
abandon_waiting(struct role *role)
{
	stop_waiting(role);
	abandon(role);
}

/* For the same reason as before, and with whoever is there now. Without a reason it was an
 * OWN of an earlier life of this agent that arrived. */
static void
own_once_more(struct role *role)
{
	if (role->enter_reason == ROLE_REASON_NONE)
		enter(role, ROLE_REASON_RECOVERED, "it was this host's before");
	else
		role_own(role, candidates(role));
}

static bool
is_slower(struct role *role)
{
	return !role_is_member(role) && !role_is_fenced_in(role) &&
	    role_member_stands(role);
}

static void
abandon_to_member(struct role *role)
{
	role_set_state(role, ROLE_STANDBY, ROLE_REASON_SUPERSEDED,
	    "another host need not wait so long");
	abandon(role);
}

static bool
has_waited(struct role *role)
{
	int64_t boot_left = role->wait_until.boot - role->now.boot;
	int64_t raw_left = role->wait_until.raw - role->now.raw;
	int64_t left = boot_left > raw_left ? boot_left : raw_left;

	role_wake(role, role->now.boot + left);
	return left <= 0;
}

/* STANDBY, and the register says that the addresses may be here. */

/* Unwell, but so is everybody else, or it may not move: it stays where it is. */
static bool
keeps_unwell(struct role *role)
{
	return is_unwell(role) && role_is_holder(role) && !role_gives_unwell(role);
}

static bool
is_mine_to_take(struct role *role)
{
	bool fit = role->ready == ROLE_READY_YES || keeps_unwell(role) ||
	    (role->ready == ROLE_READY_UNKNOWN && role_is_holder(role));

	return role_is_fenced_in(role) && fit && !role->give && !role_must_go(role);
}

static void
take_back(struct role *role)
{
	enter(role, ROLE_REASON_RECOVERED, "it was this host's before");
}

static bool
is_mine_and_here(struct role *role)
{
	return role_is_fenced_in(role) && role->vip_maybe;
}

static void
give(struct role *role)
{
	static const struct role_fence none;

	role->gave_at = role->now.boot;
	if (role->give && role->give_reason == ROLE_REASON_HOOK)
		role->excluded_until = role->now.boot + GAVE_MS;
	role_write(role, ROLE_GIVE, role_next_holder(role), &none);
}

/* STANDBY, and it is somebody else's or nobody's. */

static bool
is_unannounced(struct role *role)
{
	return !role->announced;
}

static void
announce(struct role *role)
{
	const char *holder = role->reg.holder;
	char why[160];

	snprintf(why, sizeof(why), holder[0] ? "%s has it" : "nobody has it%s", holder);
	role_set_state(role, ROLE_STANDBY, ROLE_REASON_START, why);
	/* An earlier instance may have died as master. */
	if (role->params.has_demote)
		role_demote(role, ROLE_REASON_START);
}

static bool
is_left_behind(struct role *role)
{
	return role->vip_maybe;
}

static bool
is_holder(struct role *role)
{
	return role_is_holder(role);
}

static bool
is_unfit_holder(struct role *role)
{
	return role_is_holder(role) &&
	    (is_unfit(role) || role->now.boot < role->excluded_until);
}

static bool
is_unsure_holder(struct role *role)
{
	return role_is_holder(role) && role->ready == ROLE_READY_UNKNOWN;
}

static bool
is_free_holder(struct role *role)
{
	return role_is_holder(role) && !role->reg.fence.present;
}

static void
wait_from_now(struct role *role)
{
	role_start_waiting(role, role->now);
}

static bool
looks_free(struct role *role)
{
	int64_t from = role->started_at + role->params.grace_ms;

	if (role->ready != ROLE_READY_YES || role->paused || role_must_go(role) ||
	    !role->peers_known)
		return false;
	if (role->excluded_until > from)
		from = role->excluded_until;
	if (role->reg.holder[0] && role->gave_at + GAVE_MS > from)
		from = role->gave_at + GAVE_MS;
	role_wake(role, from);
	return role->now.boot >= from && role_away(role, role->holder) &&
	    role_away(role, role->fencer);
}

static void
suspect(struct role *role)
{
	if (!looks_free(role))
		role->suspect_since = ROLE_NEVER;
	else if (role->suspect_since == ROLE_NEVER)
		role->suspect_since = role->now.boot;
}

/* The better ones go first. */
static bool
is_next(struct role *role)
{
	int64_t due;

	if (role->suspect_since == ROLE_NEVER)
		return false;
	due = role->suspect_since + role_rank(role) * role->params.stagger_ms;
	if ((role->holder != ROLE_NOBODY && !role_node_beats(role, role->holder)) ||
	    (role->fencer != ROLE_NOBODY && !role_node_beats(role, role->fencer)))
		due += role_silence_ms(role); /* so long its presence must be gone */
	role_wake(role, due);
	return role->now.boot >= due;
}

static bool
is_next_and_free(struct role *role)
{
	return !role->reg.fence.present && is_next(role);
}

static void
claim(struct role *role)
{
	role_write(role, ROLE_CLAIM, role->params.node, &role->reg.fence);
}

void
role_decide(struct role *role)
{
	for (size_t i = 0; i < role_decisions_count; i++) {
		const struct role_rule *rule = &role_decisions[i];
		enum role_state from = role->state;

		if (!(rule->states & 1U << from) || !rule->applies(role))
			continue;
		if (rule->act)
			rule->act(role);
		assert(role->state == from || rule->to & 1U << role->state);
		if (rule->last)
			return;
	}
}

#define OUTSIDE (IN_STANDBY | IN_WAITING)

const struct role_rule role_decisions[] = {
	{ ANYWHERE, "a namesake, or a register of another version", "no writes",
	    is_mute, NULL, STAYS, true },
	{ OUTSIDE, "a master is ahead of me, or just started", "read first",
	    role_must_read, NULL, STAYS, true },
	{ OUTSIDE, "the register is not known, or lost", "", is_blind, NULL, STAYS,
	    true },

	{ IN_MASTER, "the register is lost, a write is out or just failed", "",
	    is_lost_and_busy, NULL, STAYS, true },
	{ IN_MASTER, "the register is lost", "OWN: make it again", is_lost,
	    stay_recreate, STAYS, true },
	{ IN_MASTER, "lictord stops", "give it to the best", stay_must_stop,
	    stay_give_stopping, STAYS, false },
	{ IN_MASTER, "a new configuration takes it away", "give it to the best",
	    stay_must_yield, stay_give_yielding, STAYS, false },
	{ IN_MASTER, "unwell and claimed", "give it to the claimant",
	    stay_is_unwell_and_claimed, stay_give_claimant, STAYS, false },
	{ IN_MASTER, "always", "look for a higher priority", always,
	    stay_watch_preferred, STAYS, false },
	{ IN_MASTER, "should move, but did so too often", "alarm", stay_is_held_back,
	    stay_say_limit, STAYS, false },
	{ IN_MASTER, "unwell, another is ready", "give it to the best",
	    stay_is_unwell_and_replaceable, stay_give_unwell, STAYS, false },
	{ IN_MASTER, "a higher priority is ready for the delay", "give it to that host",
	    stay_is_preempted, stay_give_preferred, STAYS, false },
	{ IN_MASTER, "to be given", "demote hook", stay_is_to_leave, stay_leave, STAYS,
	    false },
	{ IN_MASTER, "the demote hook has ended", "addresses down", stay_has_left,
	    stay_step_aside, IN_STANDBY, false },

	{ ANYWHERE, "a write is out", "wait for its outcome", is_writing, NULL, STAYS,
	    true },
	{ ANYWHERE, "a write came to nothing just now", "wait for C", is_backing_off,
	    NULL, STAYS, true },

	{ IN_MASTER, "claimed while leaving", "let it be", stay_is_claimed_leaving,
	    NULL, STAYS, true },
	{ IN_MASTER, "claimed", "OWN: object", stay_is_claimed, stay_own_again, STAYS,
	    true },
	{ IN_MASTER, "members, lease, hold or hb changed", "OWN", stay_has_changed,
	    stay_own_changed, STAYS, true },

	{ IN_WAITING, "unfit, fence mine after all", "", is_unfit_and_mine,
	    stop_waiting, IN_STANDBY, false },
	{ IN_WAITING, "unfit", "ABANDON", is_unfit, abandon_waiting, IN_STANDBY, true },
	{ IN_WAITING, "no member, and a member is ready", "ABANDON", is_slower,
	    abandon_to_member, IN_STANDBY, true },
	{ IN_WAITING, "fence null", "OWN", is_free, enter_free, STAYS, true },
	{ IN_WAITING, "fence mine after all", "OWN once more", is_mine, own_once_more,
	    STAYS, true },
	{ IN_WAITING, "the fence wait is over", "OWN", has_waited, enter_after_wait,
	    STAYS, true },

	{ IN_STANDBY, "fence mine, and fit", "OWN: return", is_mine_to_take, take_back,
	    STAYS, true },
	{ IN_STANDBY, "fence mine, addresses may be here", "addresses down",
	    is_mine_and_here, role_drop_vips, STAYS, true },
	{ IN_STANDBY, "fence mine", "GIVE", is_mine, give, STAYS, true },
	{ IN_STANDBY, "just started", "say so, demote hook", is_unannounced, announce,
	    STAYS, false },
	{ IN_STANDBY, "addresses may be here", "addresses down", is_left_behind,
	    role_drop_vips, STAYS, false },
	{ IN_STANDBY, "holder me, unfit", "ABANDON", is_unfit_holder, abandon, STAYS,
	    true },
	{ IN_STANDBY, "holder me, not known whether fit", "wait until it is",
	    is_unsure_holder, NULL, STAYS, true },
	{ IN_STANDBY, "holder me, fence null", "OWN", is_free_holder, enter_free, STAYS,
	    true },
	{ IN_STANDBY, "holder me", "the fence wait starts", is_holder, wait_from_now,
	    IN_WAITING, true },
	{ IN_STANDBY, "always", "is the role free?", always, suspect, STAYS, false },
	{ IN_STANDBY, "free for rank * S, fence null", "OWN", is_next_and_free,
	    enter_free, STAYS, true },
	{ IN_STANDBY, "free for rank * S", "CLAIM", is_next, claim, STAYS, true },
};
const size_t role_decisions_count = ARRAY_LENGTH(role_decisions);
