/* SPDX-License-Identifier: ISC */
/*
 * The roles of this host: the ears of role.c's pure machines. News of services, lease,
 * vips and hooks becomes events for the seats (seat.c), one for each role; whether this
 * host is ready for a role is judged here, and when a stop is complete. What an operator
 * asks for is in operator.c, and what a new configuration changes in roles_reload.c.
 *
 * Owns the seats and the lease. The invariant: a machine hears of nothing but by
 * seat_feed, which takes one event at a time.
 */
#include "agent/failover/roles.h"

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
#include "agent/failover/roles_state.h"
#include "agent/failover/roster.h"
#include "agent/health/service.h"

#define STOP_MS 10000 /* and the longest hook */

/* Readiness: nothing in maintenance, all services well, addresses usable, no other host
 * with our name. */

/* Why the role is not to be here however well all is; NULL: nothing stands against it. */
static const char *
find_operators_word(const struct seat *seat)
{
	const struct roles *roles = seat->roles;
	const char *why = roles->maintenance[roles->conf->n_services];

	if (why == NULL && roles->aside)
		why = "its roles are being handed over";
	for (size_t i = 0; why == NULL && i < seat->conf->n_services; i++)
		why = roles->maintenance[seat->conf->services[i]->index];
	return why;
}

static enum role_ready
judge_services(const struct seat *seat, char why[ROLES_WHY_SIZE])
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
		snprintf(why, ROLES_WHY_SIZE, "service %s is critical%s%s",
		    service->name, verdict->cause != NULL ? " by its check " : "",
		    verdict->cause != NULL ? verdict->cause->name : "");
		return ROLE_READY_NO;
	}
	return ready;
}

static enum role_ready
judge(const struct seat *seat, char why[ROLES_WHY_SIZE])
{
	const char *word = find_operators_word(seat);
	enum role_ready ready = judge_services(seat, why);

	if (word != NULL)
		str_copy(why, ROLES_WHY_SIZE, word);
	if (word != NULL || ready == ROLE_READY_NO)
		return ROLE_READY_NO;
	if (seat->roles->duplicate || seat->roles->namesake) {
		str_copy(why, ROLES_WHY_SIZE, "another host uses this node's name");
		return ROLE_READY_NO;
	}
	if (seat->conf->n_vips == 0)
		return ready;
	if (seat->usable_known && !seat->usable) {
		str_copy(why, ROLES_WHY_SIZE, seat->unusable_why);
		return ROLE_READY_NO;
	}
	return seat->usable_known ? ready : ROLE_READY_UNKNOWN;
}

void
roles_why_unready(const struct seat *seat, char why[ROLES_WHY_SIZE])
{
	judge(seat, why);
}

static void
update_ready(struct seat *seat)
{
	struct role_event event = { .type = ROLE_EVENT_HEALTH };
	char why[ROLES_WHY_SIZE] = "";
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
	seat_feed(seat, &event);
}

void
roles_judge(struct roles *roles)
{
	for (size_t i = 0; i < roles->conf->n_roles; i++)
		update_ready(roles->seats[i]);
}

/* 10.10: another agent uses this node's name, Consul or its heartbeats say. */
void
roles_judge_name(struct roles *roles)
{
	struct role_event event = { .type = ROLE_EVENT_NAMESAKE };

	event.namesake = roles->duplicate || roles->namesake;
	roles_judge(roles);
	for (size_t i = 0; i < roles->conf->n_roles; i++)
		seat_feed(roles->seats[i], &event);
}

/* Who is not judged yet stands as not ready, so that others see this host at all. */
static void
on_grace(void *arg)
{
	struct roles *roles = arg;

	for (uint32_t i = 0; i < roles->conf->n_roles; i++) {
		const struct seat *seat = roles->seats[i];

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
		update_ready(roles->seats[service->role->index]);
}

void
roles_maintenance(
    struct roles *roles, const struct conf_service *service, const char *why)
{
	size_t place = service != NULL ? service->index : roles->conf->n_services;

	free(roles->maintenance[place]);
	roles->maintenance[place] = why != NULL ? xstrdup(why) : NULL;
	if (service == NULL)
		roles_judge(roles);
	else if (service->role != NULL)
		update_ready(roles->seats[service->role->index]);
}

void
roles_hand_over(struct roles *roles, bool on)
{
	roles->aside = on;
	roles_judge(roles);
}

void
roles_usable(struct roles *roles, uint32_t role, bool usable, const char *why)
{
	struct seat *seat = roles->seats[role];

	seat->usable_known = true;
	seat->usable = usable;
	str_copy(seat->unusable_why, sizeof(seat->unusable_why), why);
	update_ready(seat);
}

void
roles_held(struct roles *roles, uint32_t role, uint64_t order)
{
	struct role_event event = { .type = ROLE_EVENT_VIP_HELD, .order = order };

	seat_feed(roles->seats[role], &event);
}

void
roles_gone(struct roles *roles, uint32_t role, uint64_t order)
{
	struct role_event event = { .type = ROLE_EVENT_VIP_GONE, .order = order };

	seat_feed(roles->seats[role], &event);
}

void
roles_hook_done(struct roles *roles, uint32_t role, bool demote, bool ok)
{
	struct role_event event = {
		.type = ROLE_EVENT_HOOK_DONE,
		.hook = { demote, ok },
	};

	seat_feed(roles->seats[role], &event);
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
	event.reg.content = content;
	roles->seats[role]->missing = content == NULL;
	seat_feed(roles->seats[role], &event);
}

static void
on_wrote(void *arg, uint32_t role, const char *wid, bool ok, uint64_t index)
{
	struct roles *roles = arg;
	struct role_event event = { .type = ROLE_EVENT_CAS };

	str_copy(event.cas.wid, sizeof(event.cas.wid), wid);
	event.cas.ok = ok;
	event.cas.index = index;
	seat_feed(roles->seats[role], &event);
}

static void
on_peers(void *arg, uint32_t role, const struct roster_peer *list, size_t count)
{
	struct roles *roles = arg;
	struct seat *seat = roles->seats[role];
	struct role_event event = { .type = ROLE_EVENT_PEERS };

	for (size_t i = 0; i < count; i++)
		seat->peers[i] = list[i].peer;
	event.peers.list = seat->peers;
	seat->n_peers = event.peers.count = count;
	hearing_present(seat, list, count);
	seat_feed(seat, &event);
}

static void
on_pause(void *arg, uint32_t role, const struct lease_pause *pause)
{
	operator_paused(arg, role, pause);
}

static void
on_unreadable(void *arg, uint32_t role)
{
	struct roles *roles = arg;
	struct role_event event = { .type = ROLE_EVENT_UNREADABLE };

	seat_feed(roles->seats[role], &event);
}

static bool
on_may_init(void *arg, uint32_t role, uint64_t *rev)
{
	struct roles *roles = arg;

	return first_may_init(roles->seats[role], rev);
}

static void
on_duplicate(void *arg, bool duplicate)
{
	struct roles *roles = arg;

	roles->duplicate = duplicate;
	roles_judge_name(roles);
}

static void
on_switchover(void *arg, uint32_t role, const char *to)
{
	operator_asked(arg, role, to);
}

/* Life. */

static void
make_seats(struct roles *roles)
{
	if (!role_name_valid(roles->node) && roles->conf->n_roles > 0)
		log_error("role",
		    "this host takes no role: its node name is longer than %d bytes "
		    "or has a quote, a backslash or a control character",
		    ROLE_NODE_SIZE - 1);
	roles->seats = xcalloc(roles->conf->n_roles + 1, sizeof(struct seat *));
	for (size_t i = 0; i < roles->conf->n_roles; i++)
		roles->seats[i] = seat_new(roles, roles->conf->roles[i]);
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
    struct hooks *hooks, const struct conf *conf, bool bpf, const char *node,
    const char *state_dir, const struct roles_out *out)
{
	struct roles *roles = xcalloc(1, sizeof(*roles));
	struct lease_out lease_out = {
		.reg = on_reg,
		.wrote = on_wrote,
		.peers = on_peers,
		.switchover = on_switchover,
		.pause = on_pause,
		.duplicate = on_duplicate,
		.unreadable = on_unreadable,
		.may_init = on_may_init,
		.arg = roles,
	};

	roles->inst_number = random_u64();
	role_inst_print(roles->inst_number, roles->inst);
	roles->loop = loop;
	roles->consul = consul;
	roles->vips = vips;
	roles->hooks = hooks;
	roles->conf = conf;
	roles->bpf = bpf;
	roles->out = *out;
	roles->node = xstrdup(node);
	roles->verdicts = xcalloc(conf->n_services + 1, sizeof(*roles->verdicts));
	roles->maintenance = xcalloc(conf->n_services + 1, sizeof(*roles->maintenance));
	roles->tick_timer = loop_timer_new(loop, pace_tick, roles);
	roles->grace_timer = loop_timer_new(loop, on_grace, roles);
	roles->stop_timer = loop_timer_new(loop, on_stop_time, roles);
	roles->yield_timer = loop_timer_new(loop, roles_yield_end, roles);
	roles->lease = lease_new(
	    loop, consul, conf, node, roles->inst, state_dir, bpf, &lease_out);
	hearing_init(roles, state_dir);
	make_seats(roles);
	return roles;
}

void
roles_free(struct roles *roles)
{
	if (roles == NULL)
		return;
	lease_free(roles->lease);
	hearing_done(roles);
	for (size_t i = 0; i < roles->conf->n_roles; i++)
		seat_free(roles->seats[i]);
	loop_timer_free(roles->tick_timer);
	loop_timer_free(roles->grace_timer);
	loop_timer_free(roles->yield_timer);
	loop_timer_free(roles->stop_timer);
	free(roles->seats);
	for (size_t i = 0; i <= roles->conf->n_services; i++)
		free(roles->maintenance[i]);
	free(roles->maintenance);
	free(roles->verdicts);
	free(roles->node);
	free(roles);
}

void
roles_start(struct roles *roles)
{
	struct role_event event = { .type = ROLE_EVENT_TICK };

	if (roles->conf->n_roles == 0 || roles->seats[0]->role == NULL)
		return;
	hearing_start(roles);
	roles->started = true;
	lease_start(roles->lease);
	loop_timer_after(roles->grace_timer, ROLES_GRACE_MS);
	roles_judge(roles);
	for (size_t i = 0; i < roles->conf->n_roles; i++)
		seat_feed(roles->seats[i], &event);
}

bool
roles_has_given(const struct seat *seat)
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

void
roles_check_stop(struct roles *roles)
{
	if (!roles->stopping || roles->ending || !hooks_idle(roles->hooks))
		return;
	for (size_t i = 0; i < roles->conf->n_roles; i++) {
		if (!roles_has_given(roles->seats[i]))
			return;
	}
	roles->ending = true;
	loop_timer_stop(roles->stop_timer);
	lease_stop(roles->lease, roles->out.stopped, roles->out.arg);
}

int64_t
roles_hooks_limit(const struct conf_role *role)
{
	return role->demote != NULL || role->notify != NULL ? role->hook_timeout_ms : 0;
}

void
roles_stop(struct roles *roles)
{
	struct role_event event = { .type = ROLE_EVENT_STOP };
	int64_t limit = 0;

	for (size_t i = 0; i < roles->conf->n_roles; i++) {
		int64_t hooks = roles_hooks_limit(roles->conf->roles[i]);

		if (hooks > limit)
			limit = hooks;
	}
	loop_timer_after(roles->stop_timer, STOP_MS + limit);
	for (size_t i = 0; i < roles->conf->n_roles; i++)
		seat_feed(roles->seats[i], &event);
	roles->stopping = true;
	roles_check_stop(roles);
}

void
roles_view(const struct roles *roles, uint32_t role, struct role_view *view)
{
	memset(view, 0, sizeof(*view));
	if (roles->seats[role]->role != NULL)
		role_view(roles->seats[role]->role, view);
}

size_t
roles_candidates(
    const struct roles *roles, uint32_t role, struct role_peer list[ROLE_PEERS])
{
	const struct seat *seat = roles->seats[role];

	memcpy(list, seat->peers, seat->n_peers * sizeof(*list));
	return seat->n_peers;
}
