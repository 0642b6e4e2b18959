/* SPDX-License-Identifier: ISC */
/*
 * The invariants of section 13 of the protocol's page, asserted at each step. They are
 * judged from outside where that is possible: from the world's own register and addresses
 * and from what the machine shows. Only I4 looks inside.
 */
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/failover/role_state.h"
#include "tests/sim/sim.h"

#define UNDISTURBED (6 * S)

static struct host *
find_host(struct world *world, const char *wid, char kind[16])
{
	char name[ROLE_WID_SIZE];
	char *dot, *second;

	str_copy(name, sizeof(name), wid);
	dot = strchr(name, '.');
	second = dot ? strchr(dot + 1, '.') : NULL;
	if (!second)
		return NULL;
	*dot = '\0';
	snprintf(kind, 16, "%.*s", (int)strcspn(second + 1, "."), second + 1);
	for (size_t i = 0; i < world->n_hosts; i++)
		if (strcmp(world->hosts[i].name, name) == 0)
			return &world->hosts[i];
	return NULL;
}

static bool
fenced(const struct role_register *reg, const char *node)
{
	return reg->fence.present && strcmp(reg->fence.node, node) == 0;
}

static bool
write_allowed(const char *kind, const struct host *host,
    const struct role_register *old, const struct role_register *new)
{
	const char *me = host->name;
	bool holder = strcmp(old->holder, me) == 0;
	bool same_fence = old->fence.present ==
		new->fence.present &&strcmp(old->fence.text, new->fence.text) == 0 &&
	    strcmp(old->fence.node, new->fence.node) == 0;

	if (strcmp(kind, "OWN") == 0)
		return strcmp(new->holder, me) == 0 && fenced(new, me) &&
		    (!old->fence.present || fenced(old, me) || holder);
	if (strcmp(kind, "CLAIM") == 0)
		return strcmp(new->holder, me) == 0 && same_fence &&
		    old->fence.present && !fenced(old, me) && !holder;
	if (strcmp(kind, "ABANDON") == 0)
		return new->holder[0] == '\0' && same_fence &&holder &&
		    !fenced(old, me);
	return strcmp(kind, "GIVE") == 0 && !new->fence.present &&fenced(old, me) &&
	    !host->vip;
}

/* I3, I2: accepted writes follow the table of section 2. */
void
check_write(struct world *world, const char *wid, const struct role_register *old,
    const struct role_register *new)
{
	char kind[16];
	const struct host *host = find_host(world, wid, kind);

	if (!host)
		sim_fail(world, "I3: a write by nobody: %s", wid);
	if (old && new->rev <= old->rev)
		sim_fail(world, "I3: revision %llu after %llu",
		    (unsigned long long)new->rev, (unsigned long long)old->rev);
	if (old && !write_allowed(kind, host, old, new))
		sim_fail(world, "I3: %s is not allowed on holder %s fence %s", wid,
		    old->holder, old->fence.present ? old->fence.node : "null");
	if (strcmp(kind, "CLAIM") == 0)
		world->claims++;
	if (strcmp(kind, "OWN") == 0 && old && fenced(old, host->name) &&
	    strcmp(old->holder, host->name) != 0)
		world->objections++;
	check_addresses(world);
}

/* I1, I2 */
void
check_addresses(struct world *world)
{
	const struct host *holder = NULL;

	for (size_t i = 0; i < world->n_hosts; i++) {
		const struct host *host = &world->hosts[i];

		if (!host->vip)
			continue;
		if (holder)
			sim_fail(world, "I1: %s and %s have the address", holder->name,
			    host->name);
		holder = host;
		if (!world->wiped && !fenced(&world->reg, host->name))
			sim_fail(world, "I2: %s has the address, the fence is %s",
			    host->name, world->reg.fence.node);
	}
}

/* Two masters whose leases run at the same time. */
static void
check_masters(struct world *world, const struct host *host)
{
	struct role_view view;

	for (size_t i = 0; i < world->n_hosts; i++) {
		const struct host *other = &world->hosts[i];

		if (other == host || !other->role)
			continue;
		role_view(other->role, &view);
		if (view.state == ROLE_MASTER &&
		    clock_ms(&other->boot, world->now) < view.hold_until)
			sim_fail(
			    world, "I1: %s and %s are master", host->name, other->name);
	}
}

/* I7, with the outstanding OWN as check_step remembers it. */
static void
check_entered(struct world *world, struct host *host, const struct role_event *event)
{
	const char *wid = "";

	if (event->type == ROLE_EVENT_CAS && event->cas.ok)
		wid = event->cas.wid;
	else if (event->type == ROLE_EVENT_REGISTER && event->reg.content)
		wid = event->reg.content->wid;
	if (!wid[0] || strcmp(wid, host->own_wid) != 0)
		sim_fail(world, "I7: %s is master without its own outstanding OWN",
		    host->name);
	host->given = false;
	world->masters++;
	check_masters(world, host);
}

/* What makes an OWN an outstanding one no more. */
static void
remember_own(struct host *host, const struct role_event *event, struct role_now now)
{
	if (event->type == ROLE_EVENT_CAS && !event->cas.ok &&
	    strcmp(event->cas.wid, host->own_wid) == 0) {
		host->own_unsure = true;
		host->own_unsure_at = now.boot;
	}
	if (event->type != ROLE_EVENT_REGISTER || !host->own_unsure)
		return;
	if (event->reg.consistent && event->reg.sent_at >= host->own_unsure_at &&
	    (!event->reg.content ||
		strcmp(event->reg.content->wid, host->own_wid) != 0)) {
		host->own_wid[0] = '\0';
		host->own_unsure = false;
	}
}

static void
check_hold(struct world *world, const struct host *host, const struct role_view *view,
    struct role_now now, int64_t until)
{
	if (view->state != ROLE_MASTER)
		sim_fail(world, "I5: %s sets the address as %s", host->name,
		    role_state_name(view->state));
	if (now.boot >= view->hold_until || until > view->hold_until ||
	    until > now.boot + host->params.lease_ms)
		sim_fail(world, "I5: %s sets the address beyond its lease", host->name);
	if (host->given)
		sim_fail(world, "I8: %s sets the address after a GIVE", host->name);
}

/* I11: a master that nothing slowed down loses its role only when it means to. */
static void
check_loss(
    struct world *world, const struct host *host, const struct role_action *state)
{
	bool meant = host->before.leaving || state->reason == ROLE_REASON_SERVICE ||
	    state->reason == ROLE_REASON_SWITCHOVER ||
	    state->reason == ROLE_REASON_PREEMPTED ||
	    state->reason == ROLE_REASON_STOP || state->reason == ROLE_REASON_RELOAD ||
	    state->reason == ROLE_REASON_HOOK;

	world->lapses += state->reason == ROLE_REASON_LAPSE;
	if (meant || (world->wiped && world->now < world->wiped_at + 60 * S))
		return;
	if (world->now > host->disturbed_at + UNDISTURBED)
		sim_fail(world, "I11: %s lost the role undisturbed: %s", host->name,
		    state->why);
}

static void
check_action(struct world *world, struct host *host, const struct role_action *action,
    const struct role_view *view, struct role_now now)
{
	switch (action->type) {
	case ROLE_ACTION_VIP_HOLD:
		check_hold(world, host, view, now, action->until);
		break;
	case ROLE_ACTION_WRITE:
		host->own_unsure = false;
		host->own_wid[0] = '\0';
		if (action->kind == ROLE_OWN)
			str_copy(host->own_wid, sizeof(host->own_wid),
			    world->actions.write.wid);
		host->given = host->given || action->kind == ROLE_GIVE;
		break;
	case ROLE_ACTION_STATE:
		if (action->from == ROLE_MASTER && action->to != ROLE_MASTER)
			check_loss(world, host, action);
		break;
	case ROLE_ACTION_READ:
	case ROLE_ACTION_VIP_DROP:
	case ROLE_ACTION_PROMOTE:
	case ROLE_ACTION_DEMOTE:
	case ROLE_ACTION_ALARM:
	case ROLE_ACTION_HEARTBEAT:
	case ROLE_ACTION_ACK:
	case ROLE_ACTION_TYPES: break;
	}
}

void
check_step(struct world *world, struct host *host, const struct role_event *event,
    struct role_now now, const struct role_actions *actions)
{
	struct role_view view;

	role_view(host->role, &view);
	if (view.state == ROLE_MASTER && view.term != host->before.term)
		check_entered(world, host, event);
	if (view.state != ROLE_MASTER && host->before.state == ROLE_MASTER)
		host->own_wid[0] = '\0';
	remember_own(host, event, now);
	for (size_t i = 0; i < actions->count; i++)
		check_action(world, host, &actions->list[i], &view, now);
	if (view.known && view.reg.rev < host->seen_rev)
		sim_fail(world, "I9: %s applied revision %llu after %llu", host->name,
		    (unsigned long long)view.reg.rev,
		    (unsigned long long)host->seen_rev);
	if (view.known)
		host->seen_rev = view.reg.rev;
	if (view.state == ROLE_MASTER && view.term == host->before.term &&
	    now.boot >= host->before.hold_until)
		sim_fail(world, "S2: %s revived a lease that was over", host->name);
	if (view.state == ROLE_MASTER && now.boot >= view.hold_until)
		sim_fail(world, "S2: %s is master beyond its lease", host->name);
	if (view.state == ROLE_MASTER && world->exists &&
	    fenced(&world->reg, host->name) &&
	    view.binding_ms > world->reg.fence.lease_ms)
		sim_fail(world, "I4: %s is not bound by its record in the register",
		    host->name);
	host->before = view;
}
