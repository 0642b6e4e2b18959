/* SPDX-License-Identifier: ISC */
/*
 * The invariants of section 13 of the protocol's page that are about a host and what it does,
 * asserted at each step. They are judged from outside where that is possible: from the world's
 * own register and links, and from what the machine is told and does. Only I4 looks inside.
 * Those about the register and the addresses are in sim_audit.c, those about the peace at the
 * end of a schedule in sim_world.c.
 */
#include <string.h>

#include "agent/failover/role_state.h"
#include "tests/sim/sim.h"

#define SLOWEST_CLOCK 0.915

/* Two masters whose leases run at the same time. */
static void
check_masters(struct world *world, const struct host *host)
{
	for (size_t i = 0; i < SLOTS && !world->odd; i++) {
		const struct host *other = &world->hosts[i];

		if (other != host && other->role && other->state == ROLE_MASTER &&
		    clock_ms(&other->boot, world->now) < other->hold_until)
			sim_fail(
			    world, "I1: %s and %s are master", host->name, other->name);
	}
}

static bool
shows_own(const struct host *host, const struct role_event *event)
{
	const char *wid = "";

	if (event->type == ROLE_EVENT_CAS && event->cas.ok)
		wid = event->cas.wid;
	else if (event->type == ROLE_EVENT_REGISTER && event->reg.content)
		wid = event->reg.content->wid;
	return host->own && strcmp(wid, host->own->reg.wid) == 0;
}

static bool
is_whole(const struct host *host)
{
	bool deaf = host->paused || host->params.heartbeat_ms == 0;

	for (size_t i = 0; i < SLOTS; i++)
		deaf = deaf || host->deaf[i];
	return !deaf;
}

/* S17: nobody believes a snapshot while it hears a master that knows better. */
static void
check_heard(struct world *world, const struct host *host)
{
	for (size_t i = 0; i < HOSTS; i++) {
		const struct host *other = &world->hosts[i];

		if (other != host && other->role && other->state == ROLE_MASTER &&
		    other->entered_at < world->now - S &&
		    other->pulse_bad_at < world->now - S && is_whole(other) &&
		    is_whole(host) && world->datagrams == 0 && world->heavy == 0)
			sim_fail(world, "S17: %s is master, but hears %s", host->name,
			    other->name);
	}
}

/* I7, with the outstanding OWN as check_step remembers it. */
static void
check_entered(struct world *world, struct host *host, const struct role_event *event)
{
	if (!shows_own(host, event))
		sim_fail(world, "I7: %s is master without its own outstanding OWN",
		    host->name);
	host->given = false;
	host->confirmed_ms = host->own_sent_ms;
	host->entered_at = world->now;
	world->masters++;
	check_masters(world, host);
	if (world->restored)
		check_heard(world, host);
}

static void
forget_own(struct world *world, struct host *host)
{
	content_drop(world, host->own);
	host->own = NULL;
	host->own_unsure = false;
}

/* What makes an OWN an outstanding one no more. */
static void
remember_own(struct world *world, struct host *host, const struct role_event *event,
    struct role_now now)
{
	const struct role_register *reg = NULL;

	if (!host->own)
		return;
	if (event->type == ROLE_EVENT_CAS && !event->cas.ok &&
	    strcmp(event->cas.wid, host->own->reg.wid) == 0) {
		host->own_unsure = true;
		host->own_unsure_ms = now.boot;
	}
	if (event->type != ROLE_EVENT_REGISTER || !host->own_unsure ||
	    !event->reg.consistent || event->reg.sent_at < host->own_unsure_ms)
		return;
	reg = event->reg.content;
	if (!reg || strcmp(reg->wid, host->own->reg.wid) != 0)
		forget_own(world, host);
}

/* S5 as seen from outside: the newest read that shows the whole role as its own, or the
 * newest own write that made it so. */
static void
remember_confirm(struct host *host, const struct role_event *event)
{
	const struct role_register *reg;

	if (shows_own(host, event) && host->own_sent_ms > host->confirmed_ms)
		host->confirmed_ms = host->own_sent_ms;
	if (event->type != ROLE_EVENT_REGISTER || !event->reg.consistent)
		return;
	reg = event->reg.content;
	if (audit_fenced(reg, host->name) && strcmp(reg->holder, host->name) == 0 &&
	    event->reg.sent_at > host->confirmed_ms)
		host->confirmed_ms = event->reg.sent_at;
}

static bool
links_bad(const struct world *world, const struct host *host, int64_t since)
{
	bool bad = host->paused || host->foreign || host->pulse_bad_at > since ||
	    world->datagrams > 0.05 || world->heavy > 0.05;

	for (size_t i = 0; i < SLOTS; i++)
		bad = bad || host->deaf[i] || world->hosts[i].deaf[host - world->hosts];
	return bad;
}

/* I10: each member has been STANDBY within the lease before a hold that it carries. */
static void
check_failsafe(
    struct world *world, const struct host *host, const struct role_fence *fence)
{
	int64_t lease =
	    (int64_t)((double)(fence->lease_ms * MS) / SLOWEST_CLOCK) + 2 * MS;

	world->failsafes++;
	for (size_t i = 0; i < fence->n_members; i++)
		for (size_t j = 0; j < HOSTS; j++) {
			const struct host *member = &world->hosts[j];
			int64_t at = member->role && member->state == ROLE_STANDBY
			    ? world->now
			    : member->standby_at;

			if (strcmp(member->name, fence->members[i]) == 0 &&
			    world->now - at > lease)
				sim_fail(world,
				    "I10: %s holds by %s, who promised nothing",
				    host->name, member->name);
		}
}

static void
check_hold(
    struct world *world, const struct host *host, struct role_now now, int64_t until)
{
	const struct role_register *reg = consul_register(world, host);

	if (host->role->state != ROLE_MASTER)
		sim_fail(world, "I5: %s sets the address as %s", host->name,
		    role_state_name(host->role->state));
	if (now.boot >= role_hold_until(host->role) ||
	    until > role_hold_until(host->role) ||
	    until > now.boot + host->params.lease_ms)
		sim_fail(world, "I5: %s sets the address beyond its lease", host->name);
	if (host->given)
		sim_fail(world, "I8: %s sets the address after a GIVE", host->name);
	if (!world->odd && !world->wiped && audit_fenced(reg, host->name) &&
	    until > host->confirmed_ms + reg->fence.lease_ms)
		check_failsafe(world, host, &reg->fence);
}

static bool
is_meant(const struct host *host, enum role_reason reason)
{
	return host->leaving || reason == ROLE_REASON_SERVICE ||
	    reason == ROLE_REASON_SWITCHOVER || reason == ROLE_REASON_PREEMPTED ||
	    reason == ROLE_REASON_STOP || reason == ROLE_REASON_RELOAD ||
	    reason == ROLE_REASON_HOOK;
}

/* Everybody else has been there, has heard and was heard, all the time. */
static bool
all_acked(const struct world *world, const struct host *host)
{
	int64_t since = world->now - UNDISTURBED;

	for (size_t i = 0; i < HOSTS; i++) {
		const struct host *other = &world->hosts[i];

		if (!other->plays)
			continue;
		if (!other->role || other->role->unreadable ||
		    links_bad(world, other, since) || other->params.heartbeat_ms == 0 ||
		    (other != host && other->state != ROLE_STANDBY))
			return false;
	}
	return true;
}

/* I11: a master that nothing slowed down loses its role only when it means to. I12: nor
 * does one whose members all acknowledge, until its hold is over. */
static void
check_loss(struct world *world, const struct host *host,
    const struct role_action *state, struct role_now now)
{
	const struct role_register *reg = consul_register(world, host);

	world->lapses += state->reason == ROLE_REASON_LAPSE;
	if (is_meant(host, state->reason) || world->odd || world->wiped)
		return;
	if (world->now > host->consul_bad_at + UNDISTURBED && !host->foreign)
		sim_fail(world, "I11: %s lost the role undisturbed: %s", host->name,
		    state->why);
	/* an OWN that came when its lease was almost over gave nobody time for an ack */
	if (audit_fenced(reg, host->name) && reg->fence.n_members > 0 &&
	    world->now > host->entered_at + host->params.silence_ms * MS &&
	    now.boot + host->params.margin_ms <
		host->confirmed_ms + reg->fence.hold_ms &&
	    all_acked(world, host))
		sim_fail(world, "I12: %s lost the role that its members kept: %s",
		    host->name, state->why);
}

/* I6 */
static void
check_pulse(struct world *world, const struct host *host,
    const struct role_action *action, const struct role_event *event)
{
	enum role_state state = host->role->state;

	if (action->type == ROLE_ACTION_ACK && host->state != ROLE_STANDBY &&
	    state != ROLE_STANDBY)
		sim_fail(world, "I6: %s acknowledges as %s", host->name,
		    role_state_name(state));
	if (action->type == ROLE_ACTION_HEARTBEAT &&
	    action->phase != ROLE_PHASE_STANDBY && (int)action->phase != (int)state)
		sim_fail(world, "I6: %s beats as another than %s", host->name,
		    role_state_name(state));
	if (action->type == ROLE_ACTION_HEARTBEAT &&
	    action->phase == ROLE_PHASE_STANDBY && event->type != ROLE_EVENT_CAS &&
	    event->type != ROLE_EVENT_REGISTER)
		sim_fail(world, "I6: %s beats as a standby", host->name);
}

static void
check_action(struct world *world, struct host *host, const struct role_action *action,
    const struct role_event *event, struct role_now now)
{
	switch (action->type) {
	case ROLE_ACTION_VIP_HOLD: check_hold(world, host, now, action->until); break;
	case ROLE_ACTION_WRITE:
		forget_own(world, host);
		if (action->kind == ROLE_OWN) {
			host->own = content_new(world, &world->actions.write);
			host->own_sent_ms = now.boot;
		}
		host->given = host->given || action->kind == ROLE_GIVE;
		break;
	case ROLE_ACTION_STATE:
		if (action->from == ROLE_MASTER && action->to != ROLE_MASTER)
			check_loss(world, host, action, now);
		break;
	case ROLE_ACTION_HEARTBEAT:
	case ROLE_ACTION_ACK: check_pulse(world, host, action, event); break;
	case ROLE_ACTION_READ:
	case ROLE_ACTION_VIP_DROP:
	case ROLE_ACTION_PROMOTE:
	case ROLE_ACTION_DEMOTE:
	case ROLE_ACTION_ALARM:
	case ROLE_ACTION_TYPES: break;
	}
}

void
check_one_master(struct world *world, struct item *item)
{
	const struct host *first = NULL;

	(void)item;
	for (size_t i = 0; i < SLOTS; i++) {
		const struct host *host = &world->hosts[i];

		if (!host->role || host->state != ROLE_MASTER ||
		    host->entered_at > world->now - S / 2 ||
		    links_bad(world, host, world->now - S))
			continue;
		if (first)
			sim_fail(world, "S17: %s and %s hear each other as masters",
			    first->name, host->name);
		first = host;
	}
}

static bool
is_record(const struct role *role, const struct role_record *record,
    const struct role_fence *fence)
{
	role_nodes members = 0;

	for (size_t i = 0; i < fence->n_members; i++)
		members |= UINT32_C(1) << role_node_find(role, fence->members[i]);
	return record->lease_ms == fence->lease_ms &&
	    record->hold_ms == fence->hold_ms && record->members == members;
}

/* I4 */
static bool
is_bound(const struct role *role, const struct role_fence *fence)
{
	for (size_t i = 0; i < role->n_binding; i++)
		if (is_record(role, &role->binding[i], fence))
			return true;
	return false;
}

static void
check_master(struct world *world, const struct host *host, struct role_now now)
{
	const struct role *role = host->role;
	const struct role_register *reg = consul_register(world, host);

	if (role->term == host->term && now.boot >= host->hold_until)
		sim_fail(world, "S2: %s revived a lease that was over", host->name);
	if (now.boot >= role_hold_until(role))
		sim_fail(world, "S2: %s is master beyond its lease", host->name);
	if (!world->odd && audit_fenced(reg, host->name) &&
	    !is_bound(role, &reg->fence))
		sim_fail(world, "I4: %s is not bound by its record in the register",
		    host->name);
}

void
check_start(struct world *world, struct host *host)
{
	forget_own(world, host);
	host->state = ROLE_STANDBY;
	host->standby_at = world->now;
	host->term = host->seen_rev = 0;
	host->leaving = host->given = false;
}

void
check_step(struct world *world, struct host *host, const struct role_event *event,
    struct role_now now, const struct role_actions *actions)
{
	const struct role *role = host->role;

	if (role->state == ROLE_MASTER && role->term != host->term)
		check_entered(world, host, event);
	if (role->state != ROLE_MASTER && host->state == ROLE_MASTER)
		forget_own(world, host);
	remember_confirm(host, event);
	remember_own(world, host, event, now);
	for (size_t i = 0; i < actions->count; i++)
		check_action(world, host, &actions->list[i], event, now);
	if (role->known && role->reg.rev < host->seen_rev)
		sim_fail(world, "I9: %s applied revision %llu after %llu", host->name,
		    (unsigned long long)role->reg.rev,
		    (unsigned long long)host->seen_rev);
	if (role->known)
		host->seen_rev = role->reg.rev;
	if (role->state == ROLE_MASTER)
		check_master(world, host, now);
	if (role->state == ROLE_STANDBY || host->state == ROLE_STANDBY)
		host->standby_at = world->now;
	host->state = role->state;
	host->term = role->term;
	host->leaving = role->leaving;
	host->hold_until =
	    role->state == ROLE_MASTER ? role_hold_until(role) : ROLE_NEVER;
}
