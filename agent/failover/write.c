/* SPDX-License-Identifier: ISC */
/*
 * The four writes of a role's register. Each is a compare-and-set on the newest content
 * known, so that it is void if that content has been replaced meanwhile; only one is out at
 * a time. The table at the end says who may write what.
 *
 * A fence record is written only by the node that it names: everybody else copies it word
 * for word (S8) or clears it. What an own record says binds this host from the moment it is
 * sent (S9), and its lease never shrinks before the warden holds by the smaller one (S14).
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/failover/role_rules.h"

/* 10.8: a register that was lost is made again above all that anybody has seen. */
static uint64_t
next_rev(const struct role *role)
{
	uint64_t rev = role->max_rev;

	if (role->lost && role->seen_rev > rev)
		rev = role->seen_rev;
	return rev + 1;
}

/* S12: every write changes the value, since both revision and write id are new. */
void
role_write(struct role *role, enum role_write kind, const char *holder,
    const struct role_fence *fence)
{
	struct role_cas *cas = &role->cas;
	struct role_register *content = &cas->content;
	struct role_action *action;

	assert(role_mutant() || role_writes[kind].allowed(role));
	cas->out = true;
	cas->unsure = false;
	cas->kind = kind;
	cas->sent_at = role->now.boot;
	cas->sent_raw = role->now.raw;
	content->index = 0;
	content->rev = next_rev(role);
	snprintf(content->wid, sizeof(content->wid), "%s.%s.%s.%016" PRIx64,
	    role->params.node, role->inst, role_write_name(kind),
	    role->random(role->arg));
	str_copy(content->holder, sizeof(content->holder), holder);
	content->fence = *fence;
	if (mutated(SAMEVAL) && strcmp(holder, role->reg.holder) == 0 &&
	    strcmp(fence->text, role->reg.fence.text) == 0) {
		content->rev = role->reg.rev;
		str_copy(content->wid, sizeof(content->wid), role->reg.wid);
	}
	if (mutated(CHAIN) && kind == ROLE_CLAIM)
		str_copy(content->fence.node, ROLE_NODE_SIZE, role->params.node);
	if (mutated(GIVEWAIT) && kind == ROLE_ABANDON)
		memset(&content->fence, 0, sizeof(content->fence));
	action = role_act(role, ROLE_ACTION_WRITE);
	action->kind = kind;
	action->base = role->lost ? role->lost_index : role->reg.index;
	role->actions->write = *content;
}

/* Right after a confirm: what binds at once takes nothing away. */
static bool
is_just_confirmed(const struct role *role)
{
	int64_t lease_ms = role_binding_ms(role) - role->params.margin_ms;

	if (role->params.lease_ms < lease_ms)
		lease_ms = role->params.lease_ms;
	return role->now.boot - role->confirmed_at < lease_ms / 2;
}

/*
 * S14: not less than our own record says, unless the warden has confirmed a deadline within
 * the smaller lease in this term, and no hold that may last longer has been sent since. All
 * holds last for params.lease_ms at the most, so long_order tells.
 */
static int64_t
lease_to_publish(const struct role *role)
{
	const struct role_params *params = &role->params;
	int64_t want = params->lease_ms + params->margin_ms;

	if (!role->known || !role_is_fenced_in(role) ||
	    want >= role->reg.fence.lease_ms || mutated(LOWERLEASE))
		return want;
	if (role->state != ROLE_MASTER)
		return mutated(LOWERADOPT) ? want : role->reg.fence.lease_ms;
	if ((!params->has_vips || role->held_order > role->long_order) &&
	    is_just_confirmed(role))
		return want;
	return role->reg.fence.lease_ms;
}

static int64_t
configured_hold(const struct role *role, role_nodes members)
{
	const struct role_params *params = &role->params;
	int64_t hold = members ? params->hold_peers_ms : params->hold_alone_ms;

	return role_has_failsafe(role) && hold > 0 ? hold + params->margin_ms : 0;
}

/* A smaller one, too, is published only where it takes nothing away. */
static bool
keeps_hold(const struct role *role, role_nodes members)
{
	return role->state == ROLE_MASTER && !is_just_confirmed(role) &&
	    configured_hold(role, members) < role->reg.fence.hold_ms;
}

static void
print_fence(const struct role *role, struct role_fence *fence, role_nodes members)
{
	size_t len;

	fence->n_members = role_node_names(role, members, fence->members);
	len = (size_t)snprintf(fence->text, sizeof(fence->text),
	    "{\"node\":\"%s\",\"lease_ms\":%" PRId64 ",\"hold_ms\":%" PRId64
	    ",\"members\":[",
	    fence->node, fence->lease_ms, fence->hold_ms);
	for (size_t i = 0; i < fence->n_members; i++)
		len += (size_t)snprintf(fence->text + len, sizeof(fence->text) - len,
		    "%s\"%s\"", i > 0 ? "," : "", fence->members[i]);
	snprintf(fence->text + len, sizeof(fence->text) - len, "],\"hb\":%s}",
	    fence->hb ? "true" : "false");
}

static struct role_record
next_record(const struct role *role, role_nodes members)
{
	role_nodes set = role_has_failsafe(role) ? role_nodes_limit(members) : 0;

	return (struct role_record){ lease_to_publish(role),
		keeps_hold(role, set) ? role->reg.fence.hold_ms
				      : configured_hold(role, set),
		set };
}

static bool
is_bound(const struct role *role, const struct role_record *record)
{
	for (size_t i = 0; i < role->n_binding; i++)
		if (role->binding[i].lease_ms == record->lease_ms &&
		    role->binding[i].hold_ms == record->hold_ms &&
		    role->binding[i].members == record->members)
			return true;
	return false;
}

bool
role_own_differs(struct role *role, role_nodes members)
{
	const struct role_fence *fence = &role->reg.fence;
	struct role_record record = next_record(role, members);

	/* One that was given up may be applied still, and binds until the index has moved. */
	if (role->n_binding > 1)
		return true;
	if (keeps_hold(role, record.members))
		return false;
	return record.members != role->members || record.lease_ms != fence->lease_ms ||
	    record.hold_ms != fence->hold_ms || fence->hb != role_beats(role);
}

void
role_own(struct role *role, role_nodes members)
{
	struct role_record record = next_record(role, members);
	struct role_fence fence = { .present = true, .hb = role_beats(role) };

	/* So many records are out already: the newest once more moves the index, too. */
	if (role->state == ROLE_MASTER && role->n_binding == ROLE_RECORDS &&
	    !is_bound(role, &record))
		record = role->binding[ROLE_RECORDS - 1];
	fence.lease_ms = record.lease_ms;
	fence.hold_ms = record.hold_ms;
	str_copy(fence.node, sizeof(fence.node), role->params.node);
	print_fence(role, &fence, record.members);
	role_write(role, ROLE_OWN, role->params.node, &fence);
	if (role->state == ROLE_MASTER)
		role_bind(role, &record);
}

static bool
owns(const struct role *role)
{
	bool waited = role->state == ROLE_WAITING &&
	    role->now.boot >= role->wait_until.boot &&
	    role->now.raw >= role->wait_until.raw;

	return !role->reg.fence.present || role_is_fenced_in(role) ||
	    (role_is_holder(role) && waited);
}

static bool
claims(const struct role *role)
{
	return role->state == ROLE_STANDBY && role->reg.fence.present &&
	    !role_is_fenced_in(role) && !role_is_holder(role);
}

static bool
gives(const struct role *role)
{
	return role->state == ROLE_STANDBY && role_is_fenced_in(role) &&
	    !role->vip_maybe;
}

static bool
abandons(const struct role *role)
{
	return role_is_holder(role) && !role_is_fenced_in(role);
}

const struct role_write_row role_writes[] = {
	{ ROLE_OWN, "fence null or mine; or I am holder and its fence wait is over",
	    "holder = me, fence = {me, ...}", owns },
	{ ROLE_CLAIM, "fence another's, holder another or nobody, I am backup",
	    "holder = me, fence unchanged", claims },
	{ ROLE_GIVE, "fence mine, I am backup, my addresses are verified absent",
	    "fence = null, holder = the next one", gives },
	{ ROLE_ABANDON, "I am holder, fence not mine",
	    "holder = nobody, fence unchanged", abandons },
};
_Static_assert(ARRAY_LENGTH(role_writes) == ROLE_ABANDON + 1, "one row per write");
