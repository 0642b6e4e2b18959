/* SPDX-License-Identifier: ISC */
/*
 * How long anything lasts in the machine of one role: the hold of a master, the fence wait
 * of a taker, the silence that makes a role look free, the pause between two reads. It is
 * arithmetic on what has been learnt and the step's clocks, and changes nothing.
 *
 * What an agent holds by and waits for are always the published figures, never its own
 * configuration: a master by every own record that may be the current one, a taker by the
 * record it found.
 */
#include <string.h>

#include "agent/base/util.h"
#include "agent/failover/role_state.h"

/* A wait is longer than the lease by the errors of both clocks: the holder's BOOTTIME runs
 * at least 1 - 0.085 as fast as it should (chrony slews by up to 83,333 ppm), the taker's
 * MONOTONIC_RAW at most 1 + 0.001. */
#define WAIT_NUMERATOR 1001
#define WAIT_DENOMINATOR 915

bool
role_beats(const struct role *role)
{
	return role->params.heartbeat_ms > 0;
}

/* The smallest of the own records that may be current. */
int64_t
role_binding_ms(const struct role *role)
{
	int64_t lease_ms = ROLE_FOREVER;

	for (size_t i = 0; i < role->n_binding; i++)
		if (role->binding[i].lease_ms < lease_ms)
			lease_ms = role->binding[i].lease_ms;
	return lease_ms;
}

int64_t
role_confirmed_until(const struct role *role)
{
	return role->confirmed_at + role_binding_ms(role) - role->params.margin_ms;
}

/* Held by acks alone: until a member's newest one is too old, or Consul away for too long. */
static int64_t
failsafe_until(const struct role *role, const struct role_record *record)
{
	int64_t until = role->confirmed_at + record->hold_ms - role->params.margin_ms;
	int64_t left_ms = record->lease_ms - role->params.margin_ms;

	if (record->hold_ms == 0)
		return ROLE_NEVER;
	for (size_t i = 0; i < role->n_nodes; i++)
		if (record->members >> i & 1 &&
		    role->nodes[i].acked_ts + left_ms < until)
			until = role->nodes[i].acked_ts + left_ms;
	return until;
}

int64_t
role_hold_until(const struct role *role)
{
	int64_t confirmed, failsafe = ROLE_FOREVER;

	if (role->state != ROLE_MASTER)
		return ROLE_NEVER;
	confirmed = role_confirmed_until(role);
	for (size_t i = 0; i < role->n_binding; i++) {
		int64_t until = failsafe_until(role, &role->binding[i]);

		if (until < failsafe)
			failsafe = until;
	}
	return confirmed > failsafe ? confirmed : failsafe;
}

/* What a record of ours in the register says. A member that is not known here can never
 * ack, so that there is no failsafe. */
struct role_record
role_record_known(const struct role *role)
{
	const struct role_fence *fence = &role->reg.fence;

	return (struct role_record){ fence->lease_ms, role->whole ? fence->hold_ms : 0,
		role->members };
}

/* S9: one that is sent binds from then on, and the older ones do too. */
void
role_bind(struct role *role, const struct role_record *record)
{
	for (size_t i = 0; i < role->n_binding; i++) {
		const struct role_record *old = &role->binding[i];

		if (old->lease_ms == record->lease_ms &&
		    old->hold_ms == record->hold_ms && old->members == record->members)
			return;
	}
	if (mutated(SHRINKEARLY))
		role->n_binding = 0;
	if (role->n_binding == ROLE_RECORDS)
		return;
	role->binding[role->n_binding] = *record;
	if (mutated(GROWLATE))
		role->binding[role->n_binding].members &= role->members;
	if (mutated(BINDLATE))
		role->binding[role->n_binding].lease_ms = ROLE_FOREVER;
	role->n_binding++;
}

bool
role_is_member(const struct role *role)
{
	return !role->reg.fence.present || role->reg.fence.hold_ms == 0 ||
	    role->members >> ROLE_ME & 1;
}

/*
 * The fence wait starts when this host knows that it is the holder. Another host's agent may
 * still go on by itself for what its record says: for its lease if this host has to ack for
 * more, else for as long as its acks may last (S7). One millisecond more, because clocks are
 * read in whole ones.
 */
void
role_wait(struct role *role, struct role_now from)
{
	const struct role_fence *fence = &role->reg.fence;
	bool longer = fence->hold_ms > fence->lease_ms && !role_is_member(role) &&
	    !mutated(SHORTWN);
	int64_t z = longer ? fence->hold_ms : fence->lease_ms;
	int64_t wait =
	    (z * WAIT_NUMERATOR + WAIT_DENOMINATOR - 1) / WAIT_DENOMINATOR + 1;

	if (mutated(NOFENCE))
		wait = 0;
	if (mutated(SHORTW))
		wait = wait * 8 / 10;
	role->wait_until.boot = from.boot + wait;
	role->wait_until.raw = from.raw + wait;
}

/* Its record says so, or it does itself; of a holder without either it is assumed. */
bool
role_node_beats(const struct role *role, unsigned int place)
{
	const struct role_node *node = &role->nodes[place];

	if (!role_beats(role) || place == ROLE_NOBODY)
		return false;
	if (place == role->fencer)
		return role->reg.fence.hb;
	return !node->present || node->hb;
}

/* D, longer the more often it was wrong; a stranger to the record is in no hurry. */
int64_t
role_silence_ms(const struct role *role)
{
	int64_t base = role->params.silence_ms, most = role->params.member_ms;
	int64_t silence = role_is_member(role) ? base << role->objected : most;

	if (role->reg.holder[0] == '\0')
		return base;
	if (silence > most)
		silence = most;
	return silence > base ? silence : base;
}

bool
role_away(struct role *role, unsigned int place)
{
	int64_t from = role->known_since;

	if (place == ROLE_NOBODY)
		return true;
	if (!role_node_beats(role, place))
		return !role->nodes[place].present;
	if (role->nodes[place].heard_at > from)
		from = role->nodes[place].heard_at;
	if (role->started_at > from)
		from = role->started_at;
	role_wake(role, from + role_silence_ms(role));
	return role->now.boot >= from + role_silence_ms(role);
}

/* 2.5 B: one heartbeat or ack may be lost. */
static int64_t
fresh_ms(const struct role *role)
{
	return role->params.heartbeat_ms * 5 / 2;
}

/* Acks carry no longer than the hold after a confirm; a lease before that Consul is asked. */
static int64_t
acked_until(const struct role *role)
{
	int64_t until = ROLE_FOREVER, carried = ROLE_FOREVER, ends;

	for (size_t i = 0; i < role->n_binding; i++) {
		const struct role_record *record = &role->binding[i];

		if (record->hold_ms == 0 || record->members == 0)
			return ROLE_NEVER;
		ends = role->confirmed_at + record->hold_ms - record->lease_ms;
		if (ends < carried)
			carried = ends;
		for (size_t n = 0; n < role->n_nodes; n++)
			if (record->members >> n & 1 && role->nodes[n].acked_ts < until)
				until = role->nodes[n].acked_ts;
	}
	if (mutated(CALMKEEP))
		return ROLE_FOREVER;
	until += fresh_ms(role);
	return until < carried ? until : carried;
}

/* As long as heartbeats alone carry the role, Consul may be asked less often. Reads have no
 * safety role, so that being calm is safe. */
int64_t
role_calm_until(const struct role *role)
{
	int64_t until = ROLE_NEVER;

	if (role->params.calm_ms == 0 || !role_beats(role) || role->cas.out ||
	    !role->known)
		return ROLE_NEVER;
	if (role->state == ROLE_MASTER && role_is_holder(role) && !role->lost &&
	    !role->unreadable && !role->give)
		until = acked_until(role);
	else if (role->state == ROLE_STANDBY && !role_is_fenced_in(role) &&
	    role->holder != ROLE_NOBODY && role->suspect_since == ROLE_NEVER &&
	    role->beat_rev <= role->max_rev)
		until = mutated(CALMKEEP)
		    ? ROLE_FOREVER
		    : role->nodes[role->holder].heard_at + fresh_ms(role);
	return until >= role->now.boot ? until : ROLE_NEVER;
}

/* How long after one consistent read the next is due, though no news asks for it. */
int64_t
role_pace(const struct role *role)
{
	const struct role_params *params = &role->params;
	bool open = role->state != ROLE_STANDBY || role->cas.out ||
	    role->beat_rev > role->max_rev || role_is_fenced_in(role) ||
	    role->suspect_since != ROLE_NEVER;

	if (role_calm_until(role) != ROLE_NEVER)
		return role->state == ROLE_MASTER ? params->calm_ms
						  : 5 * params->calm_ms;
	return open ? params->confirm_ms : 4 * params->confirm_ms;
}

unsigned int
role_moves(const struct role *role)
{
	unsigned int n = 0;

	for (size_t i = 0; i < role->n_moves; i++)
		n += role->now.boot < role->moves[i] + role->params.within_ms;
	return n;
}

/* It has moved so often that it moves only if it must. */
bool
role_is_limited(struct role *role)
{
	const struct role_params *params = &role->params;
	unsigned int limit = params->limit < ROLE_MOVES ? params->limit : ROLE_MOVES;

	if (limit == 0 || role_moves(role) < limit)
		return false;
	role_wake(role, role->moves[role->n_moves - limit] + params->within_ms);
	return true;
}
