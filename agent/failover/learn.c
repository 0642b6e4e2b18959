/* SPDX-License-Identifier: ISC */
/*
 * What an agent makes of the register's contents and of the replies to its own writes:
 * the one place where newer facts replace older ones, and where MASTER is entered.
 *
 * Replies come late, twice, out of order or never. So content of a lower revision than
 * known is never applied (S10), unless a read that was sent after the higher one was
 * learnt says so: then the register was lost. A write counts only while it is the
 * outstanding one (S3, S4), and a confirm only from the moment its read was sent (S5).
 */
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/failover/role_state.h"

#define OBJECTED_MAX 5

/* A wait is longer than the lease by the errors of both clocks: the holder's BOOTTIME runs
 * at least 1 - 0.085 as fast as it should (chrony slews by up to 83,333 ppm), the taker's
 * MONOTONIC_RAW at most 1 + 0.001. */
#define WAIT_NUMERATOR 1001
#define WAIT_DENOMINATOR 915

/*
 * The fence wait starts now, when this host knows that it is the holder. Another host's
 * agent may still go on by itself for what its record says; this one never acks, so the
 * longer of the two numbers counts. One millisecond more, because clocks are read in whole
 * ones.
 */
void
role_wait(struct role *role)
{
	const struct role_fence *fence = &role->reg.fence;
	int64_t z = fence->hold_ms > fence->lease_ms ? fence->hold_ms : fence->lease_ms;
	int64_t wait =
	    (z * WAIT_NUMERATOR + WAIT_DENOMINATOR - 1) / WAIT_DENOMINATOR + 1;

	if (mutated(NOFENCE))
		wait = 0;
	if (mutated(SHORTW))
		wait = wait * 8 / 10;
	role->wait_until.boot = role->now.boot + wait;
	role->wait_until.raw = role->now.raw + wait;
}

static bool
fences(const struct role_register *reg, const char *node)
{
	return reg->fence.present && strcmp(reg->fence.node, node) == 0;
}

static void
become_master(struct role *role, int64_t confirmed_at)
{
	role->term = role->reg.rev;
	role->confirmed_at = confirmed_at;
	role->binding_ms = role->reg.fence.lease_ms;
	role->term_order = role->held_order = role->order;
	role->ordered_at = role->until = ROLE_NEVER;
	role->next_read = role->now.boot;
	role->higher_since = ROLE_NEVER;
	role->objected = 0;
	role->give = false;
	role->leaving = role->left = false;
	role->promoted = !role->params.has_promote;
	role_set_state(role, ROLE_MASTER, role->enter_reason, role->enter_why);
	if (role->params.has_promote)
		role_act(role, ROLE_ACTION_PROMOTE)->reason = role->enter_reason;
}

static bool
written_by_namesake(const struct role *role, const struct role_register *reg)
{
	struct role_wid wid;

	return !mutated(SAMEVAL) && role_wid_split(reg->wid, &wid) &&
	    strcmp(wid.node, role->params.node) == 0 &&
	    strcmp(wid.inst, role->inst) != 0;
}

static void
learn_as_master(struct role *role, bool own, int64_t own_sent_at)
{
	char why[160];

	if (!role_is_fenced_in(role)) {
		snprintf(why, sizeof(why), "the register says that %s has it",
		    role->reg.fence.present ? role->reg.fence.node : "nobody");
		role->give = false;
		role_step_down(role, ROLE_REASON_SUPERSEDED, why);
		return;
	}
	if (written_by_namesake(role, &role->reg)) {
		role->duplicate = true;
		role_step_down(
		    role, ROLE_REASON_DUPLICATE, "another agent uses this node's name");
		role_alarm(role,
		    "another agent uses this node's name: nothing is written "
		    "until this one is restarted");
		return;
	}
	/* The index has moved: every other write of ours is dead (S9). */
	role->binding_ms = role->reg.fence.lease_ms;
	if (own && own_sent_at > role->confirmed_at)
		role->confirmed_at = own_sent_at;
}

static void
learn_as_waiting(struct role *role)
{
	char why[160];

	if (!role_is_holder(role)) {
		if (role->reg.holder[0])
			snprintf(why, sizeof(why), "%s took it back", role->reg.holder);
		else
			snprintf(why, sizeof(why), "the register names nobody");
		role_set_state(role, ROLE_STANDBY, ROLE_REASON_SUPERSEDED, why);
	} else if (role->reg.fence.present) {
		role_wait(role);
	}
}

/* A newer content. `shown_at`: when the consistent read that shows it was sent. */
static void
learn(struct role *role, const struct role_register *content, int64_t shown_at)
{
	const char *me = role->params.node;
	bool own = (role->cas.out || mutated(LATEREPLY)) &&
	    strcmp(role->cas.content.wid, content->wid) == 0;
	enum role_write kind = role->cas.kind;
	int64_t sent_at = role->cas.sent_at;
	bool moved = !role->known || strcmp(role->reg.holder, content->holder) != 0 ||
	    role->reg.fence.present != content->fence.present ||
	    strcmp(role->reg.fence.node, content->fence.node) != 0;

	if (role->known && role->my_claim && !own && role_is_holder(role) &&
	    strcmp(content->holder, me) != 0 && role->objected < OBJECTED_MAX)
		role->objected++;
	role->cas.out = false;
	role->write_after = ROLE_NEVER;
	role->known = true;
	role->reg = *content;
	role->learnt_at = role->now.boot;
	if (content->rev > role->max_rev)
		role->max_rev = content->rev;
	role->lost = false;
	role->my_claim = own && kind == ROLE_CLAIM;
	if (moved)
		role->suspect_since = ROLE_NEVER;

	if (role->state == ROLE_MASTER) {
		learn_as_master(role, own, sent_at);
	} else if (own && kind == ROLE_OWN) {
		int64_t since = shown_at > sent_at ? shown_at : sent_at;

		if (role->now.boot <
		    since + content->fence.lease_ms - role->params.margin_ms)
			become_master(role, since);
	} else if (role->state == ROLE_WAITING) {
		learn_as_waiting(role);
	}
	if (role->state != ROLE_MASTER && !role_is_fenced_in(role))
		role->give = false;
}

/* The register went back or vanished, as a read sent after we knew better says. */
static void
lose(struct role *role, const struct role_register *content /* NULL: missing */)
{
	if (!role->lost)
		role_alarm(role,
		    content ? "its register in Consul is older than what was "
			      "known: was Consul restored?"
			    : "its register in Consul is lost: lictorctl init "
			      "is the word that nobody has its address");
	role->lost = true;
	role->lost_index = content ? content->index : 0;
	role->learnt_at = role->now.boot;
	if (role->state == ROLE_MASTER)
		return;
	role->cas.out = false;
	role->known = false;
	role->reg = (struct role_register){ 0 };
	if (role->state == ROLE_WAITING)
		role_set_state(role, ROLE_STANDBY, ROLE_REASON_BRANCH,
		    "the register in Consul was lost");
}

static void
branch(struct role *role, const struct role_register *content)
{
	role_alarm(role,
	    "its register in Consul was replaced by another of the same "
	    "revision: was Consul restored?");
	if (role->state == ROLE_MASTER)
		role_step_down(role, ROLE_REASON_BRANCH, "Consul's data was replaced");
	role->cas.out = false;
	learn(role, content, ROLE_NEVER);
}

static bool
same_content(const struct role_register *a, const struct role_register *b)
{
	return a->rev == b->rev && strcmp(a->wid, b->wid) == 0;
}

/* S5: the register, as it was when the read was sent, is ours and claimed by nobody. */
static void
confirm(struct role *role, int64_t sent_at, const struct role_register *content)
{
	const char *me = role->params.node;

	if (!same_content(content, &role->reg) || !fences(content, me))
		return;
	if (strcmp(content->holder, me) != 0 && !mutated(CLAIMCONFIRM))
		return;
	if (mutated(READADOPT) && role->state == ROLE_STANDBY && role->announced)
		become_master(role, sent_at);
	if (role->state == ROLE_MASTER && !role->lost && sent_at > role->confirmed_at)
		role->confirmed_at = sent_at;
}

/* The outstanding write was not (yet) applied: from now on its outcome is ignored. */
static void
give_up_write(struct role *role, int64_t sent_at)
{
	if (!role->cas.out || !role->cas.unsure || sent_at < role->cas.unsure_at)
		return;
	role->cas.out = false;
	role->write_after = role->cas.sent_at + role->params.confirm_ms;
}

void
role_learn_register(struct role *role, int64_t sent_at, bool consistent,
    const struct role_register *content /* NULL: missing */)
{
	bool later = consistent && sent_at > role->learnt_at;

	if (content && role->known && later && content->rev == role->reg.rev &&
	    !same_content(content, &role->reg)) {
		branch(role, content);
		return;
	}
	if (!content || (content->rev < role->max_rev && !mutated(STALEREAD))) {
		if (consistent)
			give_up_write(role, sent_at);
		if (later)
			lose(role, content);
		return;
	}
	if (!role->known || content->rev > role->reg.rev || mutated(STALEREAD))
		learn(role, content, consistent ? sent_at : ROLE_NEVER);
	else if (later)
		role->lost = false;
	if (consistent) {
		confirm(role, sent_at, content);
		give_up_write(role, sent_at);
	}
}

void
role_learn_written(struct role *role, const char *wid, bool ok, uint64_t index)
{
	struct role_register content;

	if (strcmp(role->cas.content.wid, wid) != 0)
		return;
	if (!role->cas.out && !mutated(LATEREPLY))
		return;
	if (ok) {
		content = role->cas.content;
		content.index = index;
		learn(role, &content, ROLE_NEVER);
		return;
	}
	role->cas.unsure = true;
	role->cas.unsure_at = role->now.boot;
	role->next_read = role->now.boot;
}
