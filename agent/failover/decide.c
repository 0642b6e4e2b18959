/* SPDX-License-Identifier: ISC */
/*
 * What an agent does next, given all it knows: section 6 of the protocol's page, looked at
 * after each event. Only one write is outstanding at a time, so each decision is made on
 * the newest content and its write is void if that content has been replaced meanwhile.
 *
 * Who may write what: OWN by whoever the fence names, by anybody where there is no fence,
 * by the holder once its wait is over; CLAIM and ABANDON leave the fence record as it is;
 * GIVE only when this host is STANDBY and its addresses are verified absent.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/failover/role_state.h"

#define GAVE_MS 5000 /* having given the role away, do not ask for it so soon */
#define STRANGER_MS 10000 /* so long a member of the record may go first */
#define BACKOFF_MAX_MS 10000

bool
role_must_go(const struct role *role)
{
	return role->stopping || role->yielding;
}

bool
role_is_ready_peer(const struct role *role, const char *node)
{
	for (size_t i = 0; i < role->n_peers; i++)
		if (role->peers[i].ready && strcmp(role->peers[i].node, node) == 0)
			return strcmp(node, role->params.node) != 0;
	return false;
}

static bool
is_present(const struct role *role, const char *node)
{
	for (size_t i = 0; i < role->n_peers; i++)
		if (strcmp(role->peers[i].node, node) == 0)
			return true;
	return false;
}

static bool
goes_before(
    unsigned int a_priority, const char *a, unsigned int b_priority, const char *b)
{
	return a_priority != b_priority ? a_priority > b_priority : strcmp(a, b) < 0;
}

static const struct role_peer *
best_peer(const struct role *role)
{
	const struct role_peer *best = NULL;

	for (size_t i = 0; i < role->n_peers; i++) {
		const struct role_peer *peer = &role->peers[i];

		if (role_is_ready_peer(role, peer->node) &&
		    (!best ||
			goes_before(
			    peer->priority, peer->node, best->priority, best->node)))
			best = peer;
	}
	return best;
}

const char *
role_best_peer(const struct role *role)
{
	const struct role_peer *best = best_peer(role);

	return best ? best->node : NULL;
}

void
role_give(struct role *role, const char *to, enum role_reason reason, const char *why)
{
	role->give = true;
	str_copy(role->give_to, sizeof(role->give_to), to);
	role->give_reason = reason;
	str_copy(role->give_why, sizeof(role->give_why), why);
}

/* S12: every write changes the value, since both revision and write id are new. */
static void
write_register(struct role *role, enum role_write kind, const char *holder,
    const struct role_fence *fence)
{
	struct role_cas *cas = &role->cas;
	struct role_action *action;

	*cas =
	    (struct role_cas){ .out = true, .kind = kind, .sent_at = role->now.boot };
	cas->content.rev = role->max_rev + 1;
	snprintf(cas->content.wid, sizeof(cas->content.wid), "%s.%s.%s.%016" PRIx64,
	    role->params.node, role->inst, role_write_name(kind),
	    role->random(role->arg));
	str_copy(cas->content.holder, sizeof(cas->content.holder), holder);
	cas->content.fence = *fence;
	if (mutated(SAMEVAL) && strcmp(holder, role->reg.holder) == 0 &&
	    strcmp(fence->text, role->reg.fence.text) == 0) {
		cas->content.rev = role->reg.rev;
		str_copy(cas->content.wid, sizeof(cas->content.wid), role->reg.wid);
	}
	if (mutated(CHAIN) && kind == ROLE_CLAIM)
		str_copy(cas->content.fence.node, ROLE_NODE_SIZE, role->params.node);
	action = role_act(role, ROLE_ACTION_WRITE);
	action->kind = kind;
	action->base = role->lost ? role->lost_index : role->reg.index;
	role->actions->write = cas->content;
}

/*
 * S14: not less than our own record says, unless the warden has confirmed a deadline within
 * the smaller lease in this term: every hold of a term is that short, so one answer is
 * enough. And then right after a confirm, because the new lease binds when it is sent.
 */
static int64_t
lease_to_publish(const struct role *role)
{
	const struct role_params *params = &role->params;
	int64_t want = params->lease_ms + params->margin_ms;

	if (!role->known || !role_is_fenced_in(role) ||
	    want >= role->reg.fence.lease_ms || mutated(LOWERLEASE))
		return want;
	if (role->state == ROLE_MASTER &&
	    (!params->has_vips || role->held_order > role->term_order) &&
	    role->now.boot - role->confirmed_at < params->lease_ms / 2)
		return want;
	return role->reg.fence.lease_ms;
}

static void
own(struct role *role)
{
	struct role_fence fence = { .present = true };

	fence.lease_ms = lease_to_publish(role);
	str_copy(fence.node, sizeof(fence.node), role->params.node);
	snprintf(fence.text, sizeof(fence.text),
	    "{\"node\":\"%s\",\"lease_ms\":%" PRId64
	    ",\"hold_ms\":0,\"members\":[],\"hb\":false}",
	    fence.node, fence.lease_ms);
	/* S9: it binds from the moment it is sent, and so do the older ones. */
	if (role->state == ROLE_MASTER && fence.lease_ms < role->binding_ms &&
	    !mutated(BINDLATE))
		role->binding_ms = fence.lease_ms;
	write_register(role, ROLE_OWN, role->params.node, &fence);
}

/* An OWN that makes this host MASTER, if it succeeds. */
static void
enter(struct role *role, enum role_reason reason, const char *why)
{
	role->enter_reason = reason;
	str_copy(role->enter_why, sizeof(role->enter_why), why);
	own(role);
}

/* The fence is null: somebody gave the role away, or nobody ever had it. */
static void
enter_free(struct role *role)
{
	const char *end = strstr(role->reg.wid, ".GIVE.");
	const char *dot = end;
	char why[160];

	if (!end || !role_is_holder(role)) {
		enter(role, ROLE_REASON_ELECTED, "nobody had it");
		return;
	}
	while (dot > role->reg.wid && dot[-1] != '.')
		dot--;
	snprintf(why, sizeof(why), "%.*s handed it over",
	    dot > role->reg.wid ? (int)(dot - 1 - role->reg.wid) : 0, role->reg.wid);
	enter(role, ROLE_REASON_HANDED_OVER, why);
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

static void
start_waiting(struct role *role)
{
	const char *old = role->reg.fence.node;
	char why[160];

	role_wait(role);
	snprintf(why, sizeof(why), "%s%s may have it for another %.1f s",
	    old[0] ? old : "somebody", old[0] ? " is gone but" : "",
	    (double)(role->wait_until.boot - role->now.boot) / 1000);
	role_set_state(role, ROLE_WAITING,
	    old[0] ? ROLE_REASON_TAKEOVER : ROLE_REASON_ELECTED, why);
}

/* A ready host of higher priority for all of the delay. */
static void
consider_preemption(struct role *role)
{
	const struct role_params *params = &role->params;
	const struct role_peer *best = best_peer(role);
	char why[160];

	if (!params->preempt || !best || best->priority <= params->priority) {
		role->higher_since = ROLE_NEVER;
		return;
	}
	if (role->higher_since == ROLE_NEVER)
		role->higher_since = role->now.boot;
	if (role->now.boot < role->higher_since + params->preempt_delay_ms) {
		role_wake(role, role->higher_since + params->preempt_delay_ms);
		return;
	}
	snprintf(
	    why, sizeof(why), "%s is back and has the higher priority", best->node);
	role_give(role, best->node, ROLE_REASON_PREEMPTED, why);
}

static void
consider_giving(struct role *role)
{
	bool unwell = role->ready == ROLE_READY_NO;
	bool claimed = !role_is_holder(role);

	if (role->give)
		return;
	if (role->stopping)
		role_give(role, "", ROLE_REASON_STOP, "lictord stops here");
	else if (role->yielding)
		role_give(role, "", ROLE_REASON_RELOAD,
		    "a new configuration takes it away here");
	else if (unwell &&
	    (claimed || best_peer(role) || role->params.release_when_unwell))
		role_give(role, claimed ? role->reg.holder : "", ROLE_REASON_SERVICE,
		    "this host is not ready for it");
	else
		consider_preemption(role);
}

/* While the demote hook runs the master goes on confirming and holding. */
static void
leave(struct role *role)
{
	struct role_action *action;

	if (!role->give)
		return;
	if (!role->leaving && !role->params.has_demote) {
		role->leaving = role->left = true;
	} else if (!role->leaving) {
		role->leaving = true;
		action = role_act(role, ROLE_ACTION_DEMOTE);
		action->reason = role->give_reason;
	}
	if (role->left)
		role_step_down(role, role->give_reason, role->give_why);
}

static void
decide_master(struct role *role)
{
	if (!role_is_holder(role) && !role->leaving)
		own(role); /* object to the claim */
	else if (role_is_holder(role) &&
	    lease_to_publish(role) != role->reg.fence.lease_ms)
		own(role);
}

/* Unwell, but so is everybody else: it stays where it is. */
static bool
keeps_unwell(const struct role *role)
{
	return role->ready == ROLE_READY_NO && role_is_holder(role) &&
	    !best_peer(role) && !role->params.release_when_unwell;
}

/* The next master: who was asked for, who claimed it, or the best. */
static const char *
next_holder(const struct role *role)
{
	const char *best = role_best_peer(role);

	if (role->give && role->give_to[0] && role_is_ready_peer(role, role->give_to))
		return role->give_to;
	if (!role_is_holder(role) && role->reg.holder[0])
		return role->reg.holder;
	return best ? best : "";
}

/* The register says that the addresses may be here: take the role up again, or give it. */
static void
decide_in_doubt(struct role *role)
{
	static const struct role_fence none;
	bool fit = role->ready == ROLE_READY_YES || keeps_unwell(role) ||
	    (role->ready == ROLE_READY_UNKNOWN && role_is_holder(role));

	if (!role->give && !role_must_go(role) && fit) {
		enter(role, ROLE_REASON_RECOVERED, "it was this host's before");
		return;
	}
	if (role->vip_maybe) {
		role_drop_vips(role);
		return;
	}
	role->gave_at = role->now.boot;
	if (role->give && role->give_reason == ROLE_REASON_HOOK)
		role->excluded_until = role->now.boot + GAVE_MS;
	write_register(role, ROLE_GIVE, next_holder(role), &none);
}

/* A taker that may not go on. If its OWN came too late to count, the fence is its own. */
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
	if (role_is_fenced_in(role))
		decide_in_doubt(role);
	else
		write_register(role, ROLE_ABANDON, "", &role->reg.fence);
}

static void
decide_waiting(struct role *role)
{
	int64_t boot_left = role->wait_until.boot - role->now.boot;
	int64_t raw_left = role->wait_until.raw - role->now.raw;
	int64_t left = boot_left > raw_left ? boot_left : raw_left;

	if (role_must_go(role) || role->ready == ROLE_READY_NO)
		stop_waiting(role);
	else if (!role->reg.fence.present)
		enter_free(role);
	else if (role_is_fenced_in(role))
		own(role); /* once more, for the same reason */
	else if (left <= 0)
		enter_after_wait(role);
	else
		role_wake(role, role->now.boot + left);
}

static void
decide_as_holder(struct role *role)
{
	bool excluded = role->now.boot < role->excluded_until;

	if (role_must_go(role) || role->ready == ROLE_READY_NO || excluded)
		write_register(role, ROLE_ABANDON, "", &role->reg.fence);
	else if (role->ready == ROLE_READY_UNKNOWN && !role->my_claim)
		return;
	else if (!role->reg.fence.present)
		enter_free(role);
	else
		start_waiting(role);
}

static int64_t
stagger_ms(const struct role *role)
{
	int64_t rank = 0;

	for (size_t i = 0; i < role->n_peers; i++) {
		const struct role_peer *peer = &role->peers[i];

		if (role_is_ready_peer(role, peer->node) &&
		    strcmp(peer->node, role->reg.holder) != 0 &&
		    strcmp(peer->node, role->reg.fence.node) != 0 &&
		    goes_before(peer->priority, peer->node, role->params.priority,
			role->params.node))
			rank++;
	}
	return rank * role->params.stagger_ms;
}

/* How long holder and fence.node must have been away. */
static int64_t
silence_ms(const struct role *role)
{
	const struct role_fence *fence = &role->reg.fence;
	int64_t silence = role->params.silence_ms << role->objected;

	if (role->reg.holder[0] == '\0' && fence->node[0] == '\0')
		return 0;
	if (fence->hold_ms > 0)
		return STRANGER_MS;
	return silence < BACKOFF_MAX_MS ? silence : BACKOFF_MAX_MS;
}

static bool
looks_free(struct role *role)
{
	int64_t now = role->now.boot;
	int64_t from = role->started_at + role->params.grace_ms;

	if (role->ready != ROLE_READY_YES || role->paused || role_must_go(role) ||
	    !role->peers_known)
		return false;
	if (role->excluded_until > from)
		from = role->excluded_until;
	if (role->reg.holder[0] && role->gave_at + GAVE_MS > from)
		from = role->gave_at + GAVE_MS;
	role_wake(role, from);
	return now >= from && !is_present(role, role->reg.holder) &&
	    !is_present(role, role->reg.fence.node);
}

static void
contend(struct role *role)
{
	int64_t due;

	if (!looks_free(role)) {
		role->suspect_since = ROLE_NEVER;
		return;
	}
	if (role->suspect_since == ROLE_NEVER)
		role->suspect_since = role->now.boot;
	due = role->suspect_since + silence_ms(role) + stagger_ms(role);
	if (role->now.boot < due)
		role_wake(role, due);
	else if (!role->reg.fence.present)
		enter_free(role);
	else
		write_register(role, ROLE_CLAIM, role->params.node, &role->reg.fence);
}

static void
announce_start(struct role *role)
{
	const char *holder = role->reg.holder;
	char why[160];

	if (role->announced)
		return;
	snprintf(why, sizeof(why), holder[0] ? "%s has it" : "nobody has it%s", holder);
	role_set_state(role, ROLE_STANDBY, ROLE_REASON_START, why);
	/* An earlier instance may have died as master. */
	if (role->params.has_demote)
		role_act(role, ROLE_ACTION_DEMOTE)->reason = ROLE_REASON_START;
}

static void
decide_standby(struct role *role)
{
	if (role_is_fenced_in(role)) {
		decide_in_doubt(role);
		return;
	}
	announce_start(role);
	if (role->vip_maybe)
		role_drop_vips(role); /* left behind */
	if (role_is_holder(role))
		decide_as_holder(role);
	else
		contend(role);
}

void
role_decide(struct role *role)
{
	if (role->duplicate || (!role->known && role->state != ROLE_MASTER))
		return;
	if (role->lost && role->state != ROLE_MASTER)
		return;
	if (role->state == ROLE_MASTER && !role->lost) {
		consider_giving(role);
		leave(role);
	}
	if (role->cas.out)
		return;
	if (role->now.boot < role->write_after) {
		role_wake(role, role->write_after);
		return;
	}
	switch (role->state) {
	case ROLE_MASTER:
		if (role->lost)
			own(role); /* create it again (10.8) */
		else
			decide_master(role);
		break;
	case ROLE_WAITING: decide_waiting(role); break;
	case ROLE_STANDBY: decide_standby(role); break;
	}
}
