/* SPDX-License-Identifier: ISC */
/*
 * What an agent makes of the register's contents and of the replies to its own writes:
 * the one place where newer facts replace older ones, and where MASTER is entered. What
 * newer content means is the table at the end.
 *
 * Replies come late, twice, out of order or never. So content of a lower revision than
 * known is never applied (S10), unless a read that was sent after the higher one was
 * learnt says so: then the register was lost. A write counts only while it is the
 * outstanding one (S3, S4), and a confirm only from the moment its read was sent (S5).
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/failover/role_rules.h"

#define OBJECTED_MAX 5

static void
become_master(struct role *role, int64_t confirmed_at)
{
	bool recovered =
	    role->promoted_before && role->enter_reason == ROLE_REASON_RECOVERED;

	role->term = role->reg.rev;
	role->confirmed_at = confirmed_at;
	role->n_binding = 0;
	role->binding[role->n_binding++] = role_record_known(role);
	for (size_t i = 0; i < role->n_nodes; i++) {
		role->nodes[i].acked_ts = ROLE_NEVER;
		if (role->members >> i & 1)
			role->nodes[i].ack_at = role->now.boot;
	}
	role->long_order = role->held_order = role->order;
	role->ordered_at = role->until = ROLE_NEVER;
	role->next_read = role->next_beat = role->now.boot;
	role->higher_since = ROLE_NEVER;
	role->objected = 0;
	role->give = role->leaving = role->left = false;
	role->promoted = !role->params.has_promote || recovered;
	role->promoted_before = false;
	role_set_state(role, ROLE_MASTER, role->enter_reason, role->enter_why);
	if (role->params.has_promote)
		role_act(role, ROLE_ACTION_PROMOTE)->reason = role->enter_reason;
}

static bool
is_not_mine(const struct role *role, const struct role_news *news)
{
	(void)news;
	return !role_is_fenced_in(role);
}

static void
be_superseded(struct role *role, const struct role_news *news)
{
	char why[160];

	(void)news;
	snprintf(why, sizeof(why), "the register says that %s has it",
	    role->reg.fence.present ? role->reg.fence.node : "nobody");
	role->give = false;
	role_step_down(role, ROLE_REASON_SUPERSEDED, why);
}

static bool
is_namesakes(const struct role *role, const struct role_news *news)
{
	struct role_wid wid;

	(void)news;
	if (mutated(SAMEVAL))
		return false;
	return !mutated(NODUP) && role_wid_split(role->reg.wid, &wid) &&
	    strcmp(wid.node, role->params.node) == 0 &&
	    strcmp(wid.inst, role->inst) != 0;
}

static void
be_duplicate(struct role *role, const struct role_news *news)
{
	(void)news;
	role->duplicate = true;
	role_step_down(
	    role, ROLE_REASON_DUPLICATE, "another agent uses this node's name");
	role_alarm(role,
	    "another agent uses this node's name: nothing is written "
	    "until this one is restarted");
}

static bool
always(const struct role *role, const struct role_news *news)
{
	(void)role;
	(void)news;
	return true;
}

/* The index has moved: every other write of ours is dead (S9). */
static void
be_bound(struct role *role, const struct role_news *news)
{
	role->n_binding = 0;
	role->binding[role->n_binding++] = role_record_known(role);
	if (news->own && news->sent.boot > role->confirmed_at)
		role->confirmed_at = news->sent.boot;
}

static int64_t
owned_since(const struct role_news *news)
{
	return news->shown_at > news->sent.boot ? news->shown_at : news->sent.boot;
}

static bool
is_owned_in_time(const struct role *role, const struct role_news *news)
{
	return news->own && news->kind == ROLE_OWN &&
	    role->now.boot <
	    owned_since(news) + role->reg.fence.lease_ms - role->params.margin_ms;
}

static void
be_master(struct role *role, const struct role_news *news)
{
	become_master(role, owned_since(news));
}

static bool
is_owned(const struct role *role, const struct role_news *news)
{
	(void)role;
	return news->own && news->kind == ROLE_OWN;
}

static bool
is_claimed(const struct role *role, const struct role_news *news)
{
	return news->own && news->kind == ROLE_CLAIM && role_is_holder(role) &&
	    role->reg.fence.present;
}

/* S6: it starts now, when this host knows that it is the holder. */
static void
be_waiting(struct role *role, const struct role_news *news)
{
	if (mutated(TSEND))
		role_start_waiting(role, news->sent);
	else
		role_start_waiting(role, role->now);
}

static bool
is_given(const struct role *role, const struct role_news *news)
{
	(void)role;
	return news->own && news->kind == ROLE_GIVE;
}

static void
tell_given(struct role *role, const struct role_news *news)
{
	(void)news;
	role_nudge(role);
}

static bool
is_taken_back(const struct role *role, const struct role_news *news)
{
	(void)news;
	return !role_is_holder(role);
}

static void
stop_waiting(struct role *role, const struct role_news *news)
{
	char why[160];

	(void)news;
	if (role->reg.holder[0])
		snprintf(why, sizeof(why), "%s took it back", role->reg.holder);
	else
		snprintf(why, sizeof(why), "the register names nobody");
	role_set_state(role, ROLE_STANDBY, ROLE_REASON_SUPERSEDED, why);
}

static bool
is_fenced(const struct role *role, const struct role_news *news)
{
	(void)news;
	return role->reg.fence.present;
}

static void
wait_again(struct role *role, const struct role_news *news)
{
	(void)news;
	role_wait(role, role->now);
}

/* The first row that applies to the state in which the content is learnt. */
static void
take_lesson(struct role *role, const struct role_news *news)
{
	enum role_state from = role->state;

	for (size_t i = 0; i < role_lessons_count; i++) {
		const struct role_lesson *lesson = &role_lessons[i];

		if (!(lesson->states & 1U << from) || !lesson->applies(role, news))
			continue;
		if (lesson->act)
			lesson->act(role, news);
		assert(role->state == from || lesson->to & 1U << role->state);
		return;
	}
}

/* How often the role went from one host to another, whoever was named in between. */
static void
count_move(struct role *role)
{
	const char *node = role->reg.fence.node;
	bool first = role->mover[0] == '\0';

	if (node[0] == '\0' || strcmp(node, role->mover) == 0)
		return;
	str_copy(role->mover, sizeof(role->mover), node);
	if (first)
		return;
	if (role->n_moves == ROLE_MOVES)
		memmove(role->moves, role->moves + 1,
		    --role->n_moves * sizeof(role->moves[0]));
	role->moves[role->n_moves++] = role->now.boot;
}

static bool
moves(const struct role *role, const struct role_register *content)
{
	return !role->known || strcmp(role->reg.holder, content->holder) != 0 ||
	    role->reg.fence.present != content->fence.present ||
	    strcmp(role->reg.fence.node, content->fence.node) != 0;
}

/* A newer content. `shown_at`: when the consistent read that shows it was sent. */
static void
learn(struct role *role, const struct role_register *content, int64_t shown_at)
{
	const struct role_cas *cas = &role->cas;
	struct role_news news = {
		.own = (cas->out || mutated(LATEREPLY)) &&
		    strcmp(cas->content.wid, content->wid) == 0,
		.kind = cas->kind,
		.sent = { cas->sent_at, cas->sent_raw },
		.shown_at = shown_at,
	};

	if (role->known && role->my_claim && !news.own && role_is_holder(role) &&
	    strcmp(content->holder, role->params.node) != 0 &&
	    role->objected < OBJECTED_MAX)
		role->objected++;
	if (moves(role, content)) {
		role->known_since = role->now.boot;
		role->suspect_since = ROLE_NEVER;
	}
	role->cas.out = false;
	role->write_after = ROLE_NEVER;
	role->known = true;
	if (content != &role->reg)
		role->reg = *content;
	role_nodes_of_register(role);
	role->learnt_at = role->now.boot;
	if (content->rev > role->max_rev)
		role->max_rev = content->rev;
	role->lost = false;
	role->my_claim = news.own && news.kind == ROLE_CLAIM;
	count_move(role);
	if (news.own)
		role->my_rev = content->rev;
	take_lesson(role, &news);
	if (role->state != ROLE_MASTER && !role_is_fenced_in(role))
		role->give = false;
}

static void
forget(struct role *role)
{
	role->cas.out = false;
	role->known = false;
	role->reg = (struct role_register){ 0 };
	role_nodes_of_register(role);
}

/* The register went back or vanished, as a read sent after we knew better says. */
static void
lose(struct role *role, const struct role_register *content, const char *alarm)
{
	if (!role->lost)
		role_alarm(role, alarm);
	role->lost = true;
	role->lost_index = content ? content->index : 0;
	role->learnt_at = role->now.boot;
	if (role->state == ROLE_MASTER)
		return;
	forget(role);
	if (role->state == ROLE_WAITING)
		role_fall(role, ROLE_FALL_LOST, "the register in Consul was lost");
}

static void
branch(struct role *role, const struct role_register *content)
{
	role_alarm(role,
	    "its register in Consul was replaced by another of the same "
	    "revision: was Consul restored?");
	if (role->state == ROLE_MASTER)
		role_fall(role, ROLE_FALL_BRANCH, "Consul's data was replaced");
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

	if (!same_content(content, &role->reg) || !role_is_fenced_in(role))
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
give_up_write(struct role *role, int64_t sent_at,
    const struct role_register *content /* NULL: missing */)
{
	if (!role->cas.out || !role->cas.unsure || sent_at < role->cas.unsure_at ||
	    (content && strcmp(content->wid, role->cas.content.wid) == 0))
		return;
	role->cas.out = false;
	role->write_after = role->cas.sent_at + role->params.confirm_ms;
}

/* S17: a master was heard that this register, as it was read since, does not know. */
static bool
misses_master(const struct role *role, const struct role_register *content)
{
	if (role->state == ROLE_MASTER || role->beat_from == ROLE_NOBODY ||
	    mutated(NOHBREV))
		return false;
	if (content->rev != role->beat_rev)
		return content->rev < role->beat_rev;
	return !content->fence.present ||
	    strcmp(content->fence.node, role->nodes[role->beat_from].name) != 0;
}

static void
lose_to_master(struct role *role, const struct role_register *content)
{
	if (role->beat_rev > role->max_rev)
		role->max_rev = role->beat_rev;
	lose(role, content,
	    "a master was heard that its register in Consul does not know: was Consul "
	    "restored, or is there another cluster?");
}

static void
learn_of_loss(struct role *role, const struct role_register *content)
{
	lose(role, content,
	    content ? "its register in Consul is older than what was "
		      "known: was Consul restored?"
		    : "its register in Consul is lost: lictorctl init "
		      "is the word that nobody has its address");
}

/* What is known, again. At another index somebody has written it anew, word for word: brought
 * back from a copy, say. Over the old index nothing can be written any more; and what it said
 * in between nobody knows, so that whoever waits begins again. */
static void
learn_again(struct role *role, const struct role_register *content)
{
	role->lost = false;
	if (content->index == role->reg.index || mutated(OLDINDEX))
		return;
	role->reg.index = content->index;
	role->learnt_at = role->now.boot;
	if (role->state == ROLE_WAITING && role->reg.fence.present)
		role_wait(role, role->now);
}

void
role_learn_register(struct role *role, int64_t sent_at, bool consistent,
    const struct role_register *content /* NULL: missing */)
{
	bool later = consistent && sent_at > role->learnt_at;

	if (consistent) {
		role->unreadable = false;
		give_up_write(role, sent_at, content);
	}
	if (content && consistent && sent_at > role->beat_at &&
	    misses_master(role, content)) {
		lose_to_master(role, content);
		return;
	}
	if (content && role->known && later && content->rev == role->reg.rev &&
	    !same_content(content, &role->reg)) {
		branch(role, content);
		return;
	}
	if (!content || (content->rev < role->max_rev && !mutated(STALEREAD))) {
		if (later)
			learn_of_loss(role, content);
		return;
	}
	if (!role->known || content->rev > role->reg.rev || mutated(STALEREAD))
		learn(role, content, consistent ? sent_at : ROLE_NEVER);
	else if (later)
		learn_again(role, content);
	if (consistent)
		confirm(role, sent_at, content);
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

const struct role_lesson role_lessons[] = {
	{ IN_MASTER, "fence not mine", "addresses down", is_not_mine, be_superseded,
	    IN_STANDBY },
	{ IN_MASTER, "fence mine, by another instance of my name",
	    "addresses down, alarm, no writes", is_namesakes, be_duplicate,
	    IN_STANDBY },
	{ IN_MASTER, "fence mine", "that record alone binds", always, be_bound, STAYS },
	{ IN_STANDBY | IN_WAITING, "my OWN, in time", "promote, addresses up",
	    is_owned_in_time, be_master, IN_MASTER },
	{ IN_STANDBY | IN_WAITING, "my OWN, too late", "", is_owned, NULL, STAYS },
	{ IN_STANDBY, "my CLAIM", "the fence wait starts", is_claimed, be_waiting,
	    IN_WAITING },
	{ IN_STANDBY, "my GIVE", "nudge the others", is_given, tell_given, STAYS },
	{ IN_WAITING, "holder not me", "", is_taken_back, stop_waiting, IN_STANDBY },
	{ IN_WAITING, "holder me, by somebody else", "the fence wait starts again",
	    is_fenced, wait_again, STAYS },
};
const size_t role_lessons_count = ARRAY_LENGTH(role_lessons);
