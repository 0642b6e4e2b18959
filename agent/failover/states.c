/* SPDX-License-Identifier: ISC */
/*
 * The states of a role's machine: their names, the one function that sets them, and what
 * goes with leaving one. Why a state ends without new content of the register and without a
 * decision is the table of falls; who finds that it did (role.c, hear.c, learn.c) names the
 * row.
 *
 * Whatever the reason, a master that steps down gives up its addresses before anything else.
 */
#include "agent/failover/role_rules.h"

#include <assert.h>

#include "agent/base/util.h"

#define DROP_REPEAT_MS 200 /* an answer to a drop takes no longer */

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

void
role_demote(struct role *role, enum role_reason reason)
{
	role->promoted_before = false;
	role_act(role, ROLE_ACTION_DEMOTE)->reason = reason;
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
	role->n_binding = 0;
	role_set_state(role, ROLE_STANDBY, reason, why);
	if (role->params.has_demote && !demoting)
		role_demote(role, reason);
	role->term = 0;
}

const struct role_fall_row role_falls[] = {
	[ROLE_FALL_LAPSE] = { IN_MASTER, "the hold is over", ROLE_REASON_LAPSE,
	    IN_STANDBY },
	[ROLE_FALL_BRANCH] = { IN_MASTER, "the same revision, another content",
	    ROLE_REASON_BRANCH, IN_STANDBY },
	[ROLE_FALL_NEWER] = { IN_MASTER, "a master of a higher revision is heard",
	    ROLE_REASON_SUPERSEDED, IN_STANDBY },
	[ROLE_FALL_EQUAL] = { IN_MASTER,
	    "a master of the same revision and a smaller name is heard",
	    ROLE_REASON_SUPERSEDED, IN_STANDBY },
	[ROLE_FALL_LOST] = { IN_WAITING, "the register is lost", ROLE_REASON_BRANCH,
	    IN_STANDBY },
};
_Static_assert(ARRAY_LENGTH(role_falls) == ROLE_FALLS, "one row per fall");

void
role_fall(struct role *role, enum role_fall fall, const char *why)
{
	const struct role_fall_row *row = &role_falls[fall];

	assert(role_mutant() || row->states & 1U << role->state);
	if (role->state == ROLE_MASTER)
		role_step_down(role, row->reason, why);
	else
		role_set_state(role, ROLE_STANDBY, row->reason, why);
	assert(row->to & 1U << role->state);
}
