/* SPDX-License-Identifier: ISC */
/*
 * Heartbeats, as one role's machine hears and sends them. Only takers and masters send any:
 * an agent without the role is silent, or nobody would take over. Who is STANDBY answers,
 * and the answer says that and nothing else; it is what a master without Consul lives on. So
 * a taker never answers (S6), nor does whoever knows that the sender was replaced (S6b): to
 * refuse an answer is always safe.
 *
 * A master's revision that is higher than any known here says that a register was lost or is
 * another one (S17): it is read before anything is written.
 */
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/failover/role_state.h"

static void
note_rev(struct role *role, uint64_t rev)
{
	if (rev > role->seen_rev)
		role->seen_rev = rev;
}

/* S17. The first to say it counts, since a read that was sent later must show it. */
static void
note_master(struct role *role, unsigned int place, uint64_t rev)
{
	if (rev < role->beat_rev || (rev == role->beat_rev && place == role->beat_from))
		return;
	role->beat_rev = rev;
	role->beat_from = place;
	role->beat_at = role->now.boot;
}

static bool
may_ack(const struct role *role, unsigned int place, uint64_t rev)
{
	if (role->state != ROLE_STANDBY &&
	    !(mutated(NOPROMISE) && role->state == ROLE_WAITING))
		return false;
	if (role->duplicate || role->namesake || role->unreadable)
		return false;
	if (mutated(REVIVE))
		return true;
	return !role->known || role->reg.rev < rev || place == role->fencer ||
	    place == role->holder;
}

static void
ack(struct role *role, unsigned int place, const struct role_event *event)
{
	struct role_action *action = role_act(role, ROLE_ACTION_ACK);

	action->node = role->nodes[place].name;
	action->inst = event->heartbeat.inst;
	action->rev = event->heartbeat.rev;
	action->ts = event->heartbeat.ts;
	action->ready = role->ready == ROLE_READY_YES;
	action->known = role->max_rev;
}

static void
yield_to(struct role *role, enum role_fall fall, const char *from)
{
	char why[160];

	snprintf(why, sizeof(why), "%s is master by %s revision", from,
	    fall == ROLE_FALL_NEWER ? "a higher" : "the same");
	role_fall(role, fall, why);
	role_alarm(role, why);
}

/* There should be none; of two with one revision the smaller name stays. */
static void
meet_master(struct role *role, const char *from, uint64_t rev)
{
	if (role->state != ROLE_MASTER)
		return;
	if (rev > role->max_rev)
		yield_to(role, ROLE_FALL_NEWER, from);
	else if (rev == role->max_rev && strcmp(from, role->params.node) < 0 &&
	    !mutated(EQUALREV))
		yield_to(role, ROLE_FALL_EQUAL, from);
}

void
role_hear(struct role *role, const struct role_event *event)
{
	const char *from = event->heartbeat.from;
	uint64_t rev = event->heartbeat.rev;
	unsigned int place = role_node_place(role, from);

	if (place == ROLE_ME || !role_beats(role))
		return;
	note_rev(role, rev);
	if (rev > role->max_rev)
		role->next_read = role->now.boot;
	if (event->heartbeat.phase == ROLE_PHASE_STANDBY || place == ROLE_NOBODY)
		return;
	role->nodes[place].heard_at = role->now.boot;
	if (place == role->holder)
		role->objected = 0;
	if (may_ack(role, place, rev))
		ack(role, place, event);
	if (event->heartbeat.phase != ROLE_PHASE_MASTER)
		return;
	note_master(role, place, rev);
	meet_master(role, from, rev);
}

/* One that a later life of this agent gets, or that says more than was sent, counts for
 * nothing. */
void
role_take_ack(struct role *role, const struct role_event *event)
{
	unsigned int place = role_node_place(role, event->ack.from);
	struct role_node *node = &role->nodes[place];

	if (place == ROLE_ME || !role_beats(role))
		return;
	note_rev(role, event->ack.known);
	if (event->ack.inst != role->params.inst || role->state == ROLE_STANDBY ||
	    place == ROLE_NOBODY || event->ack.ts > role->now.boot)
		return;
	node->ack_at = role->now.boot;
	if (role->state == ROLE_MASTER && event->ack.ts > node->acked_ts)
		node->acked_ts = event->ack.ts;
}

/* S17: before anything is decided, by whoever is not MASTER. */
bool
role_must_read(struct role *role)
{
	/* The page's 2 B, with its B of D/4. Where B is D/8 a master sends four heartbeats in
	 * that time: the first to come is answered by HELLO alone, since peers do not know
	 * one another yet, the next one is heard, and two may be lost. */
	int64_t from =
	    role->started_at + (role_beats(role) ? role->params.silence_ms / 2 : 0);

	if (role->beat_rev > role->max_rev && !mutated(NOHBREV))
		return true;
	if (role->params.warm || mutated(NOGRACE2B))
		return false;
	role_wake(role, from);
	return role->now.boot < from;
}

static void
send_beat(struct role *role, enum role_phase phase, uint64_t rev)
{
	struct role_action *action = role_act(role, ROLE_ACTION_HEARTBEAT);

	action->phase = phase;
	action->rev = rev;
	action->ts = role->now.boot;
	action->lease_ms = role->params.lease_ms + role->params.margin_ms;
}

/* At the same moments for all roles of a host, so that it wakes up once for them. */
void
role_beat(struct role *role)
{
	const struct role_params *params = &role->params;

	if (role->state == ROLE_STANDBY || !role_beats(role))
		return;
	if (role->now.boot >= role->next_beat) {
		send_beat(role,
		    role->state == ROLE_MASTER ? ROLE_PHASE_MASTER : ROLE_PHASE_WAITING,
		    role->my_rev);
		role->next_beat =
		    (role->now.boot / params->heartbeat_ms + 1) * params->heartbeat_ms;
	}
	role_wake(role, role->next_beat);
}

/* The role was given away: read now. */
void
role_nudge(struct role *role)
{
	if (role_beats(role))
		send_beat(role, ROLE_PHASE_STANDBY, role->reg.rev);
}
