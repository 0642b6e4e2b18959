/* SPDX-License-Identifier: ISC */
/*
 * The state of a role's machine in sentences: what `lictorctl explain` prints. It follows
 * the order in which decide.c looks at things and asks the same functions, so that what it
 * says is what will be done. It works on a copy: those functions note when to look again,
 * and an explanation must not wake anybody. See role_explain.h for the contract.
 */
#include "agent/failover/role_explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/failover/role_state.h"

#define GAVE_MS 5000 /* as in decide.c */

struct words {
	char (*lines)[ROLE_LINE_SIZE];
	size_t n, count;
};

static void __attribute__((format(printf, 2, 3)))
say(struct words *words, const char *fmt, ...)
{
	va_list ap;

	if (words->count == words->n)
		return;
	va_start(ap, fmt);
	vsnprintf(words->lines[words->count++], ROLE_LINE_SIZE, fmt, ap);
	va_end(ap);
}

/* "0.3 s", "12 s", "4 min": as exact as it matters. */
struct span {
	char text[32];
};

static struct span
span_of(int64_t ms)
{
	struct span span;

	if (ms < 0)
		ms = 0;
	if (ms < 10000)
		snprintf(span.text, sizeof(span.text), "%.1f s", (double)ms / 1000);
	else if (ms < 120000)
		snprintf(span.text, sizeof(span.text), "%d s", (int)(ms / 1000));
	else
		snprintf(span.text, sizeof(span.text), "%d min", (int)(ms / 60000));
	return span;
}

static struct span
since(const struct role *role, int64_t then)
{
	return span_of(role->now.boot - then);
}

static struct span
until(const struct role *role, int64_t then)
{
	return span_of(then - role->now.boot);
}

/* ---- what stands against everything ---- */

/* False: there is nothing more to be said. */
static bool
explain_blocks(struct words *words, const struct role *role)
{
	if (role->duplicate)
		say(words,
		    "Another agent has written the register under this node's name: "
		    "this "
		    "host writes nothing until lictord is started again.");
	else if (role->namesake)
		say(words,
		    "Another agent uses this node's name: this host writes nothing "
		    "meanwhile.");
	if (role->unreadable)
		say(words,
		    "A newer lictor has written the register: this host only watches.");
	if (!role->known && !role->lost)
		say(words, "Nothing is known of the register yet.");
	return role->known || role->lost;
}

static void
explain_lost(struct words *words, const struct role *role)
{
	if (!role->lost)
		return;
	say(words,
	    "Register lost: Consul has forgotten what this host knows, revision %llu.",
	    (unsigned long long)role->max_rev);
	if (role->state == ROLE_MASTER) {
		say(words, "This host is master and writes it anew.");
		return;
	}
	say(words,
	    "A master may hold on without Consul, so no host takes the role by "
	    "itself.");
	say(words,
	    "If you are sure that none has its addresses: \"lictorctl init\" (after "
	    "data "
	    "was wiped by hand, a minute later).");
}

/* ---- who has it ---- */

static void
explain_holds(struct words *words, const struct role *role)
{
	int64_t hold = role_hold_until(role), confirmed = role_confirmed_until(role);

	say(words, "This host is master, term %llu (%s).",
	    (unsigned long long)role->term, role_reason_name(role->reason));
	if (hold > confirmed && role->now.boot >= confirmed)
		say(words,
		    "Consul has not confirmed it for %s: it stays as long as every "
		    "member "
		    "answers, %s more by the last answers.",
		    since(role, role->confirmed_at).text, until(role, hold).text);
	else
		say(words, "Consul confirmed it %s ago; it holds for %s more.",
		    since(role, role->confirmed_at).text, until(role, hold).text);
	if (role_calm_until(role) != ROLE_NEVER)
		say(words,
		    "The members' answers carry it: Consul is asked once a second.");
	if (role->params.has_promote && !role->promoted)
		say(words, "The promote hook runs%s.",
		    role->params.address_first ? ""
					       : "; the addresses appear when it ends");
}

/* Of another host. */
static void
explain_heard(struct words *words, const struct role *role, unsigned int place)
{
	const struct role_node *node = &role->nodes[place];

	if (place == ROLE_NOBODY || place == ROLE_ME)
		return;
	if (!role_node_beats(role, place))
		say(words, "%s sends no heartbeats; Consul %s.", node->name,
		    node->present ? "shows it alive" : "does not show it any more");
	else if (node->heard_at == ROLE_NEVER)
		say(words, "%s has not been heard as master here.", node->name);
	else
		say(words, "%s was heard %s ago.", node->name,
		    since(role, node->heard_at).text);
}

static void
explain_owner(struct words *words, const struct role *role)
{
	const char *holder = role->reg.holder;
	const struct role_fence *fence = &role->reg.fence;

	if (!fence->present && holder[0] == '\0')
		say(words, "Nobody has it.");
	else if (!fence->present)
		say(words, "It was given to %s, which has not taken it yet.", holder);
	else if (fence->node[0] == '\0')
		say(words, "Nobody has had it since its register was made.");
	else if (strcmp(holder, fence->node) == 0)
		say(words, "%s has it.", holder);
	else if (holder[0] == '\0')
		say(words, "%s was the last to have it, and nobody has claimed it.",
		    fence->node);
	else
		say(words, "%s had it, and %s has claimed it.", fence->node, holder);
	explain_heard(words, role, role->fencer);
	if (role->holder != role->fencer)
		explain_heard(words, role, role->holder);
}

static void
explain_wait(struct words *words, const struct role *role)
{
	int64_t boot = role->wait_until.boot - role->now.boot;
	int64_t raw = role->wait_until.raw - role->now.raw;
	const char *old = role->reg.fence.node;

	say(words,
	    "This host has claimed it and takes it in %s, when %s cannot have the "
	    "addresses any more.",
	    span_of(boot > raw ? boot : raw).text, old[0] != '\0' ? old : "nobody");
	if (!role_is_member(role))
		say(words,
		    "It takes so long because %s did not know this host: it may have "
		    "held "
		    "on without Consul. See lictorctl failover.",
		    old[0] != '\0' ? old : "the last master");
}

/* ---- what keeps it, what would move it ---- */

static bool
is_limited(const struct role *role)
{
	struct role copy = *role;

	return role_is_limited(&copy);
}

static void
explain_stays(struct words *words, const struct role *role)
{
	unsigned int best = role_best_peer(role);

	say(words, "This host is not ready for it.");
	if (role->paused)
		say(words, "It stays all the same, since it is paused.");
	else if (best == ROLE_NOBODY && !role->params.release_when_unwell)
		say(words, "It stays all the same, since no other host is ready.");
	else if (best != ROLE_NOBODY && is_limited(role))
		say(words, "It stays all the same, since it has moved too often.");
}

static void
explain_preferred(struct words *words, const struct role *role, unsigned int best)
{
	const struct role_node *node = &role->nodes[best];

	if (node->priority <= role->params.priority)
		return;
	if (!role->params.preempt)
		say(words, "%s has the higher priority, %u, but preempt is off.",
		    node->name, node->priority);
	else if (role->higher_since != ROLE_NEVER)
		say(words, "%s has the higher priority, %u, and gets it in %s.",
		    node->name, node->priority,
		    until(role, role->higher_since + role->params.preempt_delay_ms)
			.text);
	else
		say(words, "%s has the higher priority, %u.", node->name,
		    node->priority);
}

static void
explain_master(struct words *words, const struct role *role)
{
	unsigned int best = role_best_peer(role);

	explain_holds(words, role);
	if (!role_is_holder(role) && role->reg.holder[0] != '\0')
		say(words, "%s has claimed it%s.", role->reg.holder,
		    role->leaving ? "" : ", which this host objects to");
	if (role->give || role->leaving) {
		say(words, "It is on its way to another host: %s.", role->give_why);
		return;
	}
	if (role->ready == ROLE_READY_NO)
		explain_stays(words, role);
	if (best == ROLE_NOBODY) {
		say(words, "No other host is ready: it could go nowhere.");
		return;
	}
	explain_preferred(words, role, best);
	if (role->ready != ROLE_READY_NO)
		say(words,
		    "It goes to %s if this host is not ready for it any more, stops, "
		    "or "
		    "is told to (lictorctl switchover).",
		    role->nodes[best].name);
}

/* Until when this host does not even look; ROLE_NEVER: it does. */
static int64_t
explain_holding_back(struct words *words, const struct role *role)
{
	int64_t grace = role->started_at + role->params.grace_ms;
	int64_t gave = role->gave_at + GAVE_MS;

	if (role->now.boot < role->excluded_until) {
		say(words,
		    "Its promote hook failed here: this host does not try again for "
		    "%s.",
		    until(role, role->excluded_until).text);
		return role->excluded_until;
	}
	if (role->reg.holder[0] != '\0' && role->now.boot < gave) {
		say(words, "This host gave it away %s ago and does not ask for it yet.",
		    since(role, role->gave_at).text);
		return gave;
	}
	if (role->now.boot < grace) {
		say(words, "This host has just started and waits %s for the others.",
		    until(role, grace).text);
		return grace;
	}
	return ROLE_NEVER;
}

static void
explain_claim(struct words *words, const struct role *role)
{
	int64_t rank = role_rank(role);
	struct role copy = *role;

	if (role->suspect_since != ROLE_NEVER)
		say(words, "It looks free for %s: this host takes it next%s.",
		    since(role, role->suspect_since).text,
		    rank > 0 ? ", if none that ranks before it does" : "");
	else if (role_node_beats(role, role->holder) ||
	    role_node_beats(role, role->fencer))
		say(words, "This host would claim it after %s of silence.",
		    span_of(role_silence_ms(role)).text);
	else
		say(words, "This host would claim it once Consul does not show %s.",
		    role->reg.holder[0] != '\0' ? role->reg.holder
						: role->reg.fence.node);
	if (rank > 0)
		say(words, "%lld host%s before it in rank: %s later for that.",
		    (long long)rank, rank == 1 ? " stands" : "s stand",
		    span_of(rank * role->params.stagger_ms).text);
	if (!role->reg.fence.present)
		return;
	role_wait(&copy, role->now);
	say(words, "It would then have to wait %s for the addresses%s.",
	    until(role, copy.wait_until.boot).text,
	    role_is_member(role) ? ""
				 : ", since the master does not know it as a member");
}

static void
explain_standby(struct words *words, const struct role *role)
{
	explain_owner(words, role);
	if (role_is_fenced_in(role)) {
		say(words, "By the register the addresses may be here: this host %s.",
		    role->ready == ROLE_READY_NO || role->give || role_must_go(role)
			? "gives the role away when they are gone"
			: "takes the role back");
		return;
	}
	if (role->ready == ROLE_READY_NO)
		say(words, "This host is not ready for it.");
	else if (role->ready == ROLE_READY_UNKNOWN)
		say(words, "It is not known yet whether this host is ready for it.");
	if (role_must_go(role))
		say(words, "This host takes no role now: it stops or hands over.");
	else if (role->paused)
		say(words, "It is paused: this host would not take it over.");
	else if (role->ready == ROLE_READY_YES &&
	    explain_holding_back(words, role) == ROLE_NEVER)
		explain_claim(words, role);
}

/* ---- what is always of interest ---- */

static void
explain_members(struct words *words, const struct role *role)
{
	const struct role_fence *fence = &role->reg.fence;
	struct buf names = { .limit = 100 };

	if (!role_beats(role)) {
		say(words,
		    "This host takes no part in heartbeats: an outage of Consul would "
		    "take the role from it, and it is no member.");
		return;
	}
	if (!fence->present || fence->hold_ms == 0)
		return;
	for (size_t i = 0; i < fence->n_members; i++)
		buf_printf(&names, "%s%s", i == 0 ? "" : ", ", fence->members[i]);
	if (fence->n_members > 0)
		say(words,
		    "Members, who may take over quickly and whose answers carry it "
		    "through an outage: %s.",
		    names.data);
	else
		say(words,
		    "%s has no members: without Consul it holds for %s, and any other "
		    "host waits for so long.",
		    fence->node[0] != '\0' ? fence->node : "The last master",
		    span_of(fence->hold_ms).text);
	buf_free(&names);
}

static void
explain_limit(struct words *words, const struct role *role)
{
	unsigned int moves = role_moves(role);

	if (moves > 0 && role->params.limit > 0)
		say(words, "It has moved %u time%s within %s; the limit is %u%s.",
		    moves, moves == 1 ? "" : "s", span_of(role->params.within_ms).text,
		    role->params.limit,
		    is_limited(role) ? ": it moves only if its master is gone" : "");
}

size_t
role_explain(const struct role *from, struct role_now now, char lines[][ROLE_LINE_SIZE],
    size_t n)
{
	struct words words = { lines, n, 0 };
	struct role role = *from;

	role.now = now;
	if (!explain_blocks(&words, &role))
		return words.count;
	explain_lost(&words, &role);
	switch (role.state) {
	case ROLE_MASTER: explain_master(&words, &role); break;
	case ROLE_WAITING:
		explain_owner(&words, &role);
		explain_wait(&words, &role);
		break;
	case ROLE_STANDBY:
		if (!role.lost)
			explain_standby(&words, &role);
		break;
	}
	explain_members(&words, &role);
	if (role.paused)
		say(&words,
		    "It is paused: no host moves it by itself until \"lictorctl "
		    "resume\".");
	explain_limit(&words, &role);
	return words.count;
}
