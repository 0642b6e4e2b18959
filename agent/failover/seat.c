/* SPDX-License-Identifier: ISC */
/*
 * One role on this host: the hands of role.c's pure machine. Each event is judged with
 * clocks read after it came; what the machine wants done goes to lease, vips and hooks,
 * and what people should know of it to the log.
 *
 * roles.c, which owns the seats, brings the news. A seat owns its machine, its timer and a
 * queue of events. The invariant: one event at a time, all of its actions carried out
 * before the next; what an action brings about at once waits in the queue.
 */
#include "agent/failover/roles_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/failover/hooks.h"
#include "agent/failover/lease.h"
#include "agent/failover/vip.h"

#define HEARTBEATS \
	8 /* in D: with four, a loss of 30 % asks for the role all the time */
#define STAGGER_MS 200
#define MEMBER_MS 10000
#define CALM_MS 1000
#define ALARM_MS 60000
#define UNHEARD_MS 3000 /* a drop is answered within milliseconds */

/* An event, with what it points to. */
struct post {
	STAILQ_ENTRY(post) link;
	struct role_event event;
	struct role_register content;
	struct role_peer peers[ROLE_PEERS];
};

static void
post(struct seat *seat, const struct role_event *event)
{
	struct post *post = xcalloc(1, sizeof(*post));

	post->event = *event;
	if (event->type == ROLE_EVENT_REGISTER && event->reg.content != NULL) {
		post->content = *event->reg.content;
		post->event.reg.content = &post->content;
	}
	if (event->type == ROLE_EVENT_PEERS) {
		memcpy(post->peers, event->peers.list,
		    event->peers.count * sizeof(post->peers[0]));
		post->event.peers.list = post->peers;
	}
	STAILQ_INSERT_TAIL(&seat->posts, post, link);
}

static void
post_order(struct seat *seat, enum role_event_type type, uint64_t order)
{
	struct role_event event = { .type = type, .order = order };

	post(seat, &event);
}

static bool
alarm_is_news(struct seat *seat, const char *why)
{
	uint64_t digest = fnv1a64(why, strlen(why));
	int64_t now = loop_now(seat->roles->loop);
	struct alarm *oldest = &seat->alarms[0];

	for (size_t i = 0; i < ROLES_ALARMS; i++) {
		struct alarm *alarm = &seat->alarms[i];

		if (alarm->digest == digest && now < alarm->at + ALARM_MS) {
			alarm->at = now;
			return false;
		}
		if (alarm->at < oldest->at)
			oldest = alarm;
	}
	*oldest = (struct alarm){ digest, now };
	return true;
}

/* Hooks and tags know master and backup only: a taker that waits is a backup still. */
static void
tell_state(struct seat *seat, const struct role_action *action)
{
	struct roles *roles = seat->roles;
	bool was = action->from == ROLE_MASTER, is = action->to == ROLE_MASTER;
	char term[40] = "";
	struct role_view view;

	role_view(seat->role, &view);
	if (is)
		snprintf(term, sizeof(term), " (term %" PRIu64 ")", view.term);
	if (action->from == action->to)
		log_notice("role", "%s: %s%s: %s", seat->conf->name,
		    role_state_name(action->to), term, action->why);
	else
		log_notice("role", "%s: %s -> %s%s: %s", seat->conf->name,
		    role_state_name(action->from), role_state_name(action->to), term,
		    action->why);
	if (was == is && action->from != action->to)
		return;
	roles->out.changed(roles->out.arg, seat->conf->index, is, is ? view.term : 0);
	hooks_notify(roles->hooks, seat->conf->index, action->to, action->reason,
	    is ? view.term : action->term);
}

static void
carry_out(struct seat *seat, const struct role_action *action,
    const struct role_register *content)
{
	struct roles *roles = seat->roles;
	uint32_t role = seat->conf->index;

	switch (action->type) {
	case ROLE_ACTION_READ:
		roles->reads = true;
		lease_read(roles->lease, role);
		break;
	case ROLE_ACTION_WRITE: taking_write(seat, action, content); break;
	case ROLE_ACTION_VIP_HOLD:
		if (seat->conf->n_vips > 0)
			vips_hold(roles->vips, role, action->order, action->term,
			    action->until, action->first);
		else
			post_order(seat, ROLE_EVENT_VIP_HELD, action->order);
		break;
	case ROLE_ACTION_VIP_DROP:
		if (seat->conf->n_vips > 0)
			vips_drop(roles->vips, role, action->order, action->term);
		else
			post_order(seat, ROLE_EVENT_VIP_GONE, action->order);
		break;
	case ROLE_ACTION_PROMOTE:
		hooks_promote(roles->hooks, role, action->reason, action->term);
		break;
	case ROLE_ACTION_DEMOTE:
		hooks_demote(roles->hooks, role, action->reason, action->term);
		break;
	case ROLE_ACTION_STATE: tell_state(seat, action); break;
	case ROLE_ACTION_ALARM:
		if (alarm_is_news(seat, action->why))
			log_error("role", "%s: %s", seat->conf->name, action->why);
		break;
	case ROLE_ACTION_HEARTBEAT:
	case ROLE_ACTION_ACK: hearing_act(seat, action); break;
	case ROLE_ACTION_TYPES: break;
	}
}

static struct role_now
read_clocks(void)
{
	return (struct role_now){ clock_boot_ms(), clock_raw_ms() };
}

static void
step(struct seat *seat, const struct role_event *event)
{
	struct role_actions actions;

	role_step(seat->role, event, read_clocks(), &actions);
	if (event->type == ROLE_EVENT_REGISTER || event->type == ROLE_EVENT_CAS)
		hearing_register(seat);
	for (size_t i = 0; i < actions.count; i++)
		carry_out(seat, &actions.list[i], &actions.write);
}

/* The role is to be given away, but the warden does not say that the addresses are gone: it
 * is dead or frozen and they have ended, or will, with their lease. Who claims the role
 * waits for that, but nobody claims it from a candidate that is there. */
static void
stand(struct seat *seat)
{
	struct roles *roles = seat->roles;
	int64_t now = loop_now(roles->loop);
	struct role_view view;

	role_view(seat->role, &view);
	if (view.state != ROLE_STANDBY || !view.vip_maybe || !view.reg.fence.present ||
	    strcmp(view.reg.fence.node, roles->node) != 0) {
		seat->unheard_since = 0;
		if (seat->withdrawn)
			lease_present(roles->lease, seat->conf->index,
			    seat->ready == ROLE_READY_YES);
		seat->withdrawn = false;
		return;
	}
	if (seat->unheard_since == 0)
		seat->unheard_since = now;
	if (seat->withdrawn || now < seat->unheard_since + UNHEARD_MS)
		return;
	seat->withdrawn = true;
	log_warning("role",
	    "%s: the warden does not say that the addresses are gone: others may claim "
	    "the role, and wait until its lease is over",
	    seat->conf->name);
	lease_withdraw(roles->lease, seat->conf->index);
}

void
seat_feed(struct seat *seat, const struct role_event *event)
{
	struct post *first;

	if (seat->role == NULL)
		return;
	post(seat, event);
	if (seat->stepping)
		return;
	seat->stepping = true;
	while ((first = STAILQ_FIRST(&seat->posts)) != NULL) {
		STAILQ_REMOVE_HEAD(&seat->posts, link);
		step(seat, &first->event);
		free(first);
	}
	seat->stepping = false;
	stand(seat);
	seat->due = role_next_tick(seat->role, read_clocks());
	pace_stepped(seat->roles);
	roles_check_stop(seat->roles);
	roles_check_yield(seat->roles);
}

static uint64_t
draw_random(void *arg)
{
	(void)arg;
	return random_u64();
}

static void
fill_params(const struct seat *seat, struct role_params *params)
{
	const struct roles *roles = seat->roles;
	const struct conf_role *role = seat->conf;
	int64_t lease_ms = conf_role_lease(roles->conf, role, roles->bpf);
	int64_t silence_ms = conf_silence(roles->conf, role, roles->bpf);

	*params = (struct role_params){
		.priority = seat->priority,
		.preempt = role->preempt,
		.preempt_delay_ms = role->preempt_delay_ms,
		.lease_ms = lease_ms,
		.margin_ms = conf_margin(roles->bpf),
		.confirm_ms = lease_ms / 7,
		.silence_ms = silence_ms,
		.stagger_ms = STAGGER_MS,
		.grace_ms = ROLES_GRACE_MS,
		.heartbeat_ms = roles->able ? silence_ms / HEARTBEATS : 0,
		.member_ms = MEMBER_MS,
		.calm_ms = CALM_MS,
		.hold_alone_ms = roles->conf->failover.hold_alone_ms,
		.hold_peers_ms = roles->conf->failover.hold_ms,
		.limit = role->limit,
		.within_ms = role->within_ms,
		.warm = vips_warm(roles->vips, role->index),
		.promoted_before = hooks_promoted_before(roles->hooks, role->index),
		.has_vips = role->n_vips > 0,
		.has_promote = role->promote != NULL,
		.has_demote = role->demote != NULL,
		.address_first = role->address_order == CONF_BEFORE_PROMOTE,
		.release_when_unwell = role->when_all_critical == CONF_RELEASE,
		.inst = roles->inst_number,
	};
	str_copy(params->node, sizeof(params->node), roles->node);
}

struct seat *
seat_new(struct roles *roles, const struct conf_role *conf)
{
	struct seat *seat = xcalloc(1, sizeof(*seat));
	struct role_params params;

	seat->roles = roles;
	seat->conf = conf;
	seat->configured = seat->priority = conf->priority;
	seat->ready = ROLE_READY_UNKNOWN;
	STAILQ_INIT(&seat->posts);
	seat->born_at = clock_boot_ms();
	taking_init(seat);
	fill_params(seat, &params);
	if (role_name_valid(roles->node))
		seat->role = role_new(&params, read_clocks(), draw_random, NULL);
	return seat;
}

static void
set_params(struct seat *seat)
{
	struct role_params params;

	fill_params(seat, &params);
	if (seat->role != NULL)
		role_set_params(seat->role, &params);
}

void
seat_set(struct seat *seat, const struct conf_role *conf)
{
	seat->conf = conf;
	if (conf->priority != seat->configured)
		seat->configured = seat->priority = conf->priority;
	set_params(seat);
}

void
seat_set_priority(struct seat *seat, unsigned int priority)
{
	struct role_event event = { .type = ROLE_EVENT_TICK };

	if (seat->priority == priority)
		return;
	seat->priority = priority;
	set_params(seat);
	seat_feed(seat, &event);
}

void
seat_free(struct seat *seat)
{
	struct post *first;

	if (seat == NULL)
		return;
	while ((first = STAILQ_FIRST(&seat->posts)) != NULL) {
		STAILQ_REMOVE_HEAD(&seat->posts, link);
		free(first);
	}
	force_free(seat->force);
	taking_done(seat);
	role_free(seat->role);
	free(seat);
}
