/* SPDX-License-Identifier: ISC */
/*
 * The roles of this host: the hands and ears of role.c's pure machine. News of services,
 * lease, vips and hooks becomes events; each is judged with clocks read after it came;
 * what the machine wants done goes to lease, vips and hooks.
 *
 * Owns one machine, its timer and a queue of events for each role, and the lease. The
 * invariant: one event at a time, all of its actions carried out before the next; what an
 * action brings about at once waits in the queue.
 */
#include "agent/failover/roles.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/failover/hooks.h"
#include "agent/failover/lease.h"
#include "agent/failover/vip.h"
#include "agent/health/service.h"

#define MARGIN_MS 1500 /* g of the lifetime fence */
#define SILENCE_MS 600
#define STAGGER_MS 200
#define GRACE_MS 1000
#define STOP_MS 10000 /* and the longest hook */
#define IDLE_MS 60000 /* the clocks may be looked at no more rarely */
#define ALARM_MS 60000
#define UNHEARD_MS 3000 /* a drop is answered within milliseconds */
#define ALARMS 4
#define WHY_SIZE 192

struct post {
	STAILQ_ENTRY(post) link;
	struct role_event event;
};

/* An alarm is said again when it has been quiet for a while. */
struct alarm {
	uint64_t digest;
	int64_t at;
};

struct seat {
	struct roles *roles;
	const struct conf_role *conf;
	struct role *role; /* NULL: this host can take none */
	struct loop_timer *timer;
	STAILQ_HEAD(posts, post) posts;
	bool stepping;
	enum role_ready ready;
	bool usable_known, usable;
	char unusable_why[WHY_SIZE];
	bool missing; /* Consul has no register */
	int64_t unheard_since; /* whether the addresses are gone; 0: it is known */
	bool withdrawn; /* others may claim the role, though this host lives */
	struct alarm alarms[ALARMS];
	size_t n_peers;
	struct role_peer peers[ROLE_PEERS];
};

struct roles {
	struct loop *loop;
	struct consul *consul;
	struct vips *vips;
	struct hooks *hooks;
	const struct conf *conf;
	struct roles_out out;
	struct lease *lease;
	char *node;
	struct loop_timer *grace_timer, *stop_timer;
	bool duplicate; /* another host uses our name */
	bool stopping, ending; /* ending: all is given away */
	struct service_verdict *verdicts;
	struct seat *seats;
};

static void check_stop(struct roles *roles);

static void
post(struct seat *seat, const struct role_event *event)
{
	struct post *post = xcalloc(1, sizeof(*post));

	post->event = *event;
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

	for (size_t i = 0; i < ALARMS; i++) {
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
carry_out(struct seat *seat, const struct role_action *action)
{
	struct roles *roles = seat->roles;
	uint32_t role = seat->conf->index;

	switch (action->type) {
	case ROLE_ACTION_READ: lease_read(roles->lease, role); break;
	case ROLE_ACTION_WRITE:
		lease_write(roles->lease, role, action->base, &action->content,
		    roles->conf->lease_ms);
		break;
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
	}
}

static struct role_now
read_clocks(void)
{
	return (struct role_now){ clock_boot_ms(), clock_raw_ms() };
}

static void
set_timer(struct seat *seat)
{
	struct role_now now = read_clocks();
	int64_t delay = role_next_tick(seat->role, now) - now.boot;

	if (delay > IDLE_MS)
		delay = IDLE_MS;
	loop_timer_after(seat->timer, delay > 0 ? delay : 0);
}

static void
step(struct seat *seat, const struct role_event *event)
{
	struct role_actions actions = { .count = 0 };

	role_step(seat->role, event, read_clocks(), &actions);
	for (size_t i = 0; i < actions.count; i++)
		carry_out(seat, &actions.list[i]);
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

static void
feed(struct seat *seat, const struct role_event *event)
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
	set_timer(seat);
	check_stop(seat->roles);
}

static void
on_timer(void *arg)
{
	struct role_event event = { .type = ROLE_EVENT_TICK };

	feed(arg, &event);
}

/* Readiness: all services well, addresses usable, no other host with our name. */

static enum role_ready
judge_services(const struct seat *seat, char why[WHY_SIZE])
{
	enum role_ready ready = ROLE_READY_YES;

	for (size_t i = 0; i < seat->conf->n_services; i++) {
		const struct conf_service *service = seat->conf->services[i];
		const struct service_verdict *verdict =
		    &seat->roles->verdicts[service->index];

		if (!verdict->known || verdict->status == CHECK_UNKNOWN) {
			ready = ROLE_READY_UNKNOWN;
			continue;
		}
		if (verdict->status != CHECK_CRITICAL)
			continue;
		snprintf(why, WHY_SIZE, "service %s is critical%s%s", service->name,
		    verdict->cause != NULL ? " by its check " : "",
		    verdict->cause != NULL ? verdict->cause->name : "");
		return ROLE_READY_NO;
	}
	return ready;
}

static enum role_ready
judge(const struct seat *seat, char why[WHY_SIZE])
{
	enum role_ready ready = judge_services(seat, why);

	if (ready == ROLE_READY_NO)
		return ready;
	if (seat->roles->duplicate) {
		str_copy(why, WHY_SIZE, "another host uses this node's name");
		return ROLE_READY_NO;
	}
	if (seat->conf->n_vips == 0)
		return ready;
	if (seat->usable_known && !seat->usable) {
		str_copy(why, WHY_SIZE, seat->unusable_why);
		return ROLE_READY_NO;
	}
	return seat->usable_known ? ready : ROLE_READY_UNKNOWN;
}

static void
update_ready(struct seat *seat)
{
	struct role_event event = { .type = ROLE_EVENT_HEALTH };
	char why[WHY_SIZE] = "";
	enum role_ready ready = judge(seat, why);

	if (ready == seat->ready)
		return;
	seat->ready = ready;
	if (ready == ROLE_READY_YES)
		log_notice("role", "%s: this host is ready for it", seat->conf->name);
	else if (ready == ROLE_READY_NO)
		log_notice("role", "%s: this host is not ready for it: %s",
		    seat->conf->name, why);
	if (ready != ROLE_READY_UNKNOWN && seat->role != NULL && !seat->withdrawn)
		lease_present(
		    seat->roles->lease, seat->conf->index, ready == ROLE_READY_YES);
	event.ready = ready;
	feed(seat, &event);
}

static void
update_all_ready(struct roles *roles)
{
	for (size_t i = 0; i < roles->conf->n_roles; i++)
		update_ready(&roles->seats[i]);
}

/* Who is not judged yet stands as not ready, so that others see this host at all. */
static void
on_grace(void *arg)
{
	struct roles *roles = arg;

	for (uint32_t i = 0; i < roles->conf->n_roles; i++) {
		const struct seat *seat = &roles->seats[i];

		if (seat->ready == ROLE_READY_UNKNOWN && seat->role != NULL &&
		    !seat->withdrawn)
			lease_present(roles->lease, i, false);
	}
}

void
roles_service(struct roles *roles, const struct conf_service *service,
    const struct service_verdict *verdict)
{
	roles->verdicts[service->index] = *verdict;
	if (service->role != NULL)
		update_ready(&roles->seats[service->role->index]);
}

void
roles_usable(struct roles *roles, uint32_t role, bool usable, const char *why)
{
	struct seat *seat = &roles->seats[role];

	seat->usable_known = true;
	seat->usable = usable;
	str_copy(seat->unusable_why, sizeof(seat->unusable_why), why);
	update_ready(seat);
}

void
roles_held(struct roles *roles, uint32_t role, uint64_t order)
{
	struct role_event event = { .type = ROLE_EVENT_VIP_HELD, .order = order };

	feed(&roles->seats[role], &event);
}

void
roles_gone(struct roles *roles, uint32_t role, uint64_t order)
{
	struct role_event event = { .type = ROLE_EVENT_VIP_GONE, .order = order };

	feed(&roles->seats[role], &event);
}

void
roles_hook_done(struct roles *roles, uint32_t role, bool demote, bool ok)
{
	struct role_event event = {
		.type = ROLE_EVENT_HOOK_DONE,
		.hook = { demote, ok },
	};

	feed(&roles->seats[role], &event);
}

/* What the lease tells. */

static void
on_reg(void *arg, uint32_t role, int64_t sent_at, bool consistent,
    const struct role_register *content)
{
	struct roles *roles = arg;
	struct role_event event = { .type = ROLE_EVENT_REGISTER };

	event.reg.sent_at = sent_at;
	event.reg.consistent = consistent;
	event.reg.missing = content == NULL;
	if (content != NULL)
		event.reg.content = *content;
	roles->seats[role].missing = content == NULL;
	feed(&roles->seats[role], &event);
}

static void
on_wrote(void *arg, uint32_t role, const char *wid, bool ok, uint64_t index)
{
	struct roles *roles = arg;
	struct role_event event = { .type = ROLE_EVENT_CAS };

	str_copy(event.cas.wid, sizeof(event.cas.wid), wid);
	event.cas.ok = ok;
	event.cas.index = index;
	feed(&roles->seats[role], &event);
}

static void
on_peers(void *arg, uint32_t role, const struct role_peer *list, size_t count)
{
	struct roles *roles = arg;
	struct seat *seat = &roles->seats[role];
	struct role_event event = { .type = ROLE_EVENT_PEERS };

	memcpy(seat->peers, list, count * sizeof(*list));
	memcpy(event.peers.list, list, count * sizeof(*list));
	seat->n_peers = event.peers.count = count;
	feed(seat, &event);
}

static void
on_duplicate(void *arg, bool duplicate)
{
	struct roles *roles = arg;

	roles->duplicate = duplicate;
	update_all_ready(roles);
}

/* May the role go from `from` to `to` ("": whoever is best)? */
static int
judge_target(const struct seat *seat, const char *from, const char *to, char *why,
    size_t why_size)
{
	bool there = false;

	if (strcmp(from, to) == 0) {
		snprintf(why, why_size, "%s is its master already", to);
		return -EALREADY;
	}
	for (size_t i = 0; i < seat->n_peers; i++) {
		const struct role_peer *peer = &seat->peers[i];
		bool meant = to[0] == '\0' ? strcmp(peer->node, from) != 0
					   : strcmp(peer->node, to) == 0;

		if (meant && peer->ready)
			return 0;
		there = there || meant;
	}
	if (to[0] == '\0')
		snprintf(why, why_size, "no other host is ready for it");
	else
		snprintf(why, why_size, "%s is %s", to,
		    there ? "not ready for it" : "no candidate for it");
	return there ? -EAGAIN : -ENOENT;
}

static void
switch_over(struct seat *seat, const char *to)
{
	struct role_event event = { .type = ROLE_EVENT_SWITCHOVER };

	log_notice("role", "%s: an operator asks to switch over to %s",
	    seat->conf->name, to[0] != '\0' ? to : "the best candidate");
	str_copy(event.node, sizeof(event.node), to);
	feed(seat, &event);
}

static void
on_switchover(void *arg, uint32_t role, const char *to)
{
	struct roles *roles = arg;
	struct seat *seat = &roles->seats[role];
	struct role_view view;
	char why[WHY_SIZE];

	if (seat->role == NULL)
		return;
	role_view(seat->role, &view);
	if (view.state != ROLE_MASTER)
		return;
	lease_switchover_done(roles->lease, role);
	if (judge_target(seat, roles->node, to, why, sizeof(why)) != 0)
		log_warning("role", "%s: an operator's switchover is refused: %s",
		    seat->conf->name, why);
	else
		switch_over(seat, to);
}

/* Life. */

static uint64_t
draw_random(void *arg)
{
	(void)arg;
	return random_u64();
}

static struct role *
make_role(const struct conf *conf, const struct conf_role *role, const char *node,
    const char *inst)
{
	struct role_params params = {
		.priority = role->priority,
		.preempt = role->preempt,
		.preempt_delay_ms = role->preempt_delay_ms,
		.lease_ms = conf->lease_ms,
		.margin_ms = MARGIN_MS,
		.confirm_ms = conf->lease_ms / 7,
		.silence_ms = SILENCE_MS,
		.stagger_ms = STAGGER_MS,
		.grace_ms = GRACE_MS,
		.has_vips = role->n_vips > 0,
		.has_promote = role->promote != NULL,
		.has_demote = role->demote != NULL,
		.address_first = role->address_order == CONF_BEFORE_PROMOTE,
		.release_when_unwell = role->when_all_critical == CONF_RELEASE,
	};

	str_copy(params.node, sizeof(params.node), node);
	str_copy(params.inst, sizeof(params.inst), inst);
	return role_new(&params, read_clocks(), draw_random, NULL);
}

static void
make_seats(struct roles *roles, const char *inst)
{
	bool valid = role_name_valid(roles->node);

	if (!valid && roles->conf->n_roles > 0)
		log_error("role",
		    "this host takes no role: its node name is longer than %d bytes "
		    "or has a quote, a backslash or a control character",
		    ROLE_NODE_SIZE - 1);
	for (size_t i = 0; i < roles->conf->n_roles; i++) {
		struct seat *seat = &roles->seats[i];

		seat->roles = roles;
		seat->conf = roles->conf->roles[i];
		seat->ready = ROLE_READY_UNKNOWN;
		STAILQ_INIT(&seat->posts);
		seat->timer = loop_timer_new(roles->loop, on_timer, seat);
		if (valid)
			seat->role =
			    make_role(roles->conf, seat->conf, roles->node, inst);
	}
}

static void
on_stop_time(void *arg)
{
	struct roles *roles = arg;

	roles->ending = true;
	log_warning("role", "not every role could be given away in time");
	lease_stop(roles->lease, roles->out.stopped, roles->out.arg);
}

struct roles *
roles_new(struct loop *loop, struct consul *consul, struct vips *vips,
    struct hooks *hooks, const struct conf *conf, const char *node,
    const char *state_dir, const struct roles_out *out)
{
	struct roles *roles = xcalloc(1, sizeof(*roles));
	struct lease_out lease_out = {
		.reg = on_reg,
		.wrote = on_wrote,
		.peers = on_peers,
		.switchover = on_switchover,
		.duplicate = on_duplicate,
		.arg = roles,
	};
	char inst[32];

	snprintf(inst, sizeof(inst), "%016" PRIx64, random_u64());
	roles->loop = loop;
	roles->consul = consul;
	roles->vips = vips;
	roles->hooks = hooks;
	roles->conf = conf;
	roles->out = *out;
	roles->node = xstrdup(node);
	roles->verdicts = xcalloc(conf->n_services + 1, sizeof(*roles->verdicts));
	roles->seats = xcalloc(conf->n_roles + 1, sizeof(*roles->seats));
	roles->grace_timer = loop_timer_new(loop, on_grace, roles);
	roles->stop_timer = loop_timer_new(loop, on_stop_time, roles);
	roles->lease =
	    lease_new(loop, consul, conf, node, inst, state_dir, MARGIN_MS, &lease_out);
	make_seats(roles, inst);
	return roles;
}

static void
free_seat(struct seat *seat)
{
	struct post *first;

	while ((first = STAILQ_FIRST(&seat->posts)) != NULL) {
		STAILQ_REMOVE_HEAD(&seat->posts, link);
		free(first);
	}
	loop_timer_free(seat->timer);
	role_free(seat->role);
}

void
roles_free(struct roles *roles)
{
	if (roles == NULL)
		return;
	lease_free(roles->lease);
	for (size_t i = 0; i < roles->conf->n_roles; i++)
		free_seat(&roles->seats[i]);
	loop_timer_free(roles->grace_timer);
	loop_timer_free(roles->stop_timer);
	free(roles->seats);
	free(roles->verdicts);
	free(roles->node);
	free(roles);
}

void
roles_start(struct roles *roles)
{
	if (roles->conf->n_roles == 0 || roles->seats[0].role == NULL)
		return;
	lease_start(roles->lease);
	loop_timer_after(roles->grace_timer, GRACE_MS);
	update_all_ready(roles);
	for (size_t i = 0; i < roles->conf->n_roles; i++)
		on_timer(&roles->seats[i]);
}

/* Nothing of the role is left here, or nothing more can be done about it. */
static bool
is_given_away(const struct seat *seat)
{
	const char *node = seat->roles->node;
	struct role_view view;

	if (seat->role == NULL)
		return true;
	role_view(seat->role, &view);
	if (view.state != ROLE_STANDBY)
		return false;
	if (!view.known || view.lost)
		return true;
	return strcmp(view.reg.holder, node) != 0 &&
	    !(view.reg.fence.present && strcmp(view.reg.fence.node, node) == 0);
}

static void
check_stop(struct roles *roles)
{
	if (!roles->stopping || roles->ending || !hooks_idle(roles->hooks))
		return;
	for (size_t i = 0; i < roles->conf->n_roles; i++) {
		if (!is_given_away(&roles->seats[i]))
			return;
	}
	roles->ending = true;
	loop_timer_stop(roles->stop_timer);
	lease_stop(roles->lease, roles->out.stopped, roles->out.arg);
}

void
roles_stop(struct roles *roles)
{
	struct role_event event = { .type = ROLE_EVENT_STOP };
	int64_t limit = 0;

	for (size_t i = 0; i < roles->conf->n_roles; i++) {
		const struct conf_role *role = roles->conf->roles[i];
		bool hooks = role->demote != NULL || role->notify != NULL;

		if (hooks && role->hook_timeout_ms > limit)
			limit = role->hook_timeout_ms;
	}
	loop_timer_after(roles->stop_timer, STOP_MS + limit);
	for (size_t i = 0; i < roles->conf->n_roles; i++)
		feed(&roles->seats[i], &event);
	roles->stopping = true;
	check_stop(roles);
}

int
roles_switchover(
    struct roles *roles, uint32_t role, const char *to, char *why, size_t why_size)
{
	struct seat *seat = &roles->seats[role];
	struct role_view view;
	int err;

	roles_view(roles, role, &view);
	if (!view.known || view.reg.holder[0] == '\0') {
		snprintf(why, why_size, "it has no master that could hand it over");
		return -ENOENT;
	}
	err = judge_target(seat, view.reg.holder, to, why, why_size);
	if (err != 0)
		return err;
	if (view.state == ROLE_MASTER) {
		switch_over(seat, to);
		return 0;
	}
	if (!consul_reachable(roles->consul)) {
		snprintf(why, why_size, "Consul does not answer");
		return -EHOSTUNREACH;
	}
	lease_switchover(roles->lease, role, to);
	return 0;
}

int
roles_init(struct roles *roles, uint32_t role, char *why, size_t why_size)
{
	struct role_view view;

	roles_view(roles, role, &view);
	if (!view.lost && !roles->seats[role].missing) {
		snprintf(why, why_size, "%s",
		    view.known ? "its register exists"
			       : "its register could not be read yet");
		return view.known ? -EEXIST : -EAGAIN;
	}
	if (!consul_reachable(roles->consul)) {
		snprintf(why, why_size, "Consul does not answer");
		return -EHOSTUNREACH;
	}
	log_notice("role", "%s: an operator says that nobody holds it",
	    roles->seats[role].conf->name);
	lease_init(roles->lease, role, view.max_rev + 1);
	return 0;
}

void
roles_view(const struct roles *roles, uint32_t role, struct role_view *view)
{
	memset(view, 0, sizeof(*view));
	if (roles->seats[role].role != NULL)
		role_view(roles->seats[role].role, view);
}

size_t
roles_peers(const struct roles *roles, uint32_t role, struct role_peer list[ROLE_PEERS])
{
	const struct seat *seat = &roles->seats[role];

	memcpy(list, seat->peers, seat->n_peers * sizeof(*list));
	return seat->n_peers;
}

const char *
roles_node(const struct roles *roles)
{
	return roles->node;
}
