/* SPDX-License-Identifier: ISC */
/*
 * The state of this host as one JSON object: what lictorctl shows and scripts read. It only
 * reads, through the getters of the modules that own the state; names and units stand in
 * lictorctl(1). Times ending in _ms are milliseconds, "at" ones since 1970.
 */
#include "agent/status/status.h"

#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/consul/report.h"
#include "agent/consul/upkeep.h"
#include "agent/failover/contest.h"
#include "agent/failover/roles.h"
#include "agent/failover/vip.h"
#include "agent/health/run.h"
#include "agent/health/sched.h"
#include "agent/health/service.h"

static void
add_metrics(cJSON *check, const struct sched_state *state)
{
	cJSON *list =
	    state->n_metrics > 0 ? cJSON_AddArrayToObject(check, "metrics") : NULL;

	for (size_t i = 0; i < state->n_metrics; i++) {
		const struct run_metric *metric = &state->metrics[i];
		cJSON *item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "name", metric->name);
		cJSON_AddNumberToObject(item, "value", metric->value);
		cJSON_AddStringToObject(item, "unit", metric->unit);
		cJSON_AddItemToArray(list, item);
	}
}

static cJSON *
check_json(const struct status_sources *from, const struct conf_check *conf)
{
	struct sched_state state;
	cJSON *check = cJSON_CreateObject();

	sched_state(from->sched, conf->index, &state);
	cJSON_AddStringToObject(check, "name", conf->name);
	cJSON_AddStringToObject(check, "type", conf->class->name);
	cJSON_AddStringToObject(check, "status", check_status_name(state.status));
	cJSON_AddBoolToObject(check, "known", state.known);
	cJSON_AddStringToObject(check, "reason", check_reason_name(state.reason));
	cJSON_AddStringToObject(check, "output", state.output);
	json_add_uint(check, "runs", state.runs);
	json_add_uint(check, "row", state.row);
	json_add_uint(check, "interval_ms", (uint64_t)conf->interval_ms);
	if (state.last_run_ms >= 0)
		json_add_uint(check, "took_ms", (uint64_t)state.last_run_ms);
	if (state.changed_at > 0)
		json_add_uint(check, "changed_at", (uint64_t)state.changed_at);
	cJSON_AddBoolToObject(check, "flapping", state.flapping);
	if (state.flap_percent >= 0)
		json_add_uint(check, "flap_percent", (uint64_t)state.flap_percent);
	if (state.error_percent >= 0)
		json_add_uint(check, "error_percent", (uint64_t)state.error_percent);
	if (state.latency_ms >= 0)
		json_add_uint(check, "latency_ms", (uint64_t)state.latency_ms);
	add_metrics(check, &state);
	return check;
}

static cJSON *
service_json(const struct status_sources *from, const struct conf_service *conf)
{
	const struct service_verdict *verdict =
	    services_verdict(from->services, conf->index);
	cJSON *service = cJSON_CreateObject();

	cJSON_AddStringToObject(service, "name", conf->name);
	cJSON_AddStringToObject(service, "id", conf->id);
	cJSON_AddStringToObject(service, "status", check_status_name(verdict->status));
	cJSON_AddBoolToObject(service, "known", verdict->known);
	if (verdict->cause != NULL)
		cJSON_AddStringToObject(service, "cause", verdict->cause->name);
	if (conf->role != NULL)
		cJSON_AddStringToObject(service, "role", conf->role->name);
	cJSON *checks = cJSON_AddArrayToObject(service, "checks");
	for (size_t i = 0; i < conf->n_checks; i++)
		cJSON_AddItemToArray(checks, check_json(from, conf->checks[i]));
	return service;
}

/* What others did with the address. */
static void
add_contest(cJSON *item, const struct status_sources *from, uint32_t vip)
{
	struct contest_view view;

	vips_view(from->vips, vip, &view);
	json_add_uint(item, "probes", view.probes);
	for (int event = CONTEST_NONE + 1; event < CONTEST_EVENTS; event++)
		json_add_uint(item, contest_event_name((enum contest_event)event),
		    view.counts[event]);
	if (view.last == CONTEST_NONE)
		return;
	cJSON *last = cJSON_AddObjectToObject(item, "last");
	cJSON_AddStringToObject(last, "event", contest_event_name(view.last));
	if (view.last == CONTEST_CLAIMED || view.last == CONTEST_FOUND)
		cJSON_AddStringToObject(last, "mac", view.mac);
	json_add_uint(last, "at", (uint64_t)view.last_at);
}

static void
add_vips(cJSON *role, const struct status_sources *from, const struct conf_role *conf)
{
	cJSON *list = cJSON_AddArrayToObject(role, "vips");

	for (size_t i = 0; i < conf->n_vips; i++) {
		const struct conf_vip *vip = conf->vips[i];
		cJSON *item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "address", vip->text);
		json_add_uint(item, "prefix", vip->prefix);
		cJSON_AddStringToObject(item, "interface", vip->interface);
		cJSON_AddBoolToObject(item, "held",
		    from->vips != NULL && vips_is_held(from->vips, vip->index));
		if (from->vips != NULL)
			add_contest(item, from, vip->index);
		cJSON_AddItemToArray(list, item);
	}
}

static void
add_peers(cJSON *role, const struct status_sources *from, uint32_t index)
{
	struct role_peer peers[ROLE_PEERS];
	size_t count = roles_candidates(from->roles, index, peers);
	cJSON *list = cJSON_AddArrayToObject(role, "candidates");

	for (size_t i = 0; i < count; i++) {
		cJSON *item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "node", peers[i].node);
		cJSON_AddBoolToObject(item, "ready", peers[i].ready);
		json_add_uint(item, "priority", peers[i].priority);
		cJSON_AddItemToArray(list, item);
	}
}

static const char *
ready_text(enum role_ready ready)
{
	switch (ready) {
	case ROLE_READY_UNKNOWN: return "unknown";
	case ROLE_READY_NO: return "no";
	case ROLE_READY_YES: return "yes";
	}
	return "unknown";
}

/* What the protocol knows; absent as long as the node's name is not known. */
static void
add_view(cJSON *role, const struct role_view *view, int64_t now)
{
	cJSON_AddStringToObject(role, "reason", role_reason_name(view->reason));
	cJSON_AddStringToObject(role, "ready", ready_text(view->ready));
	cJSON_AddBoolToObject(role, "leaving", view->leaving);
	cJSON_AddBoolToObject(role, "lost", view->lost);
	cJSON_AddBoolToObject(role, "duplicate", view->duplicate);
	json_add_uint(role, "term", view->term);
	if (view->state == ROLE_MASTER && view->hold_until > now)
		json_add_uint(
		    role, "lease_left_ms", (uint64_t)(view->hold_until - now));
	if (view->state == ROLE_WAITING && view->wait_until > now)
		json_add_uint(role, "wait_left_ms", (uint64_t)(view->wait_until - now));
	if (!view->known)
		return;
	json_add_uint(role, "rev", view->reg.rev);
	cJSON_AddStringToObject(role, "holder", view->reg.holder);
	cJSON_AddStringToObject(
	    role, "fence", view->reg.fence.present ? view->reg.fence.node : "");
}

static cJSON *
role_json(const struct status_sources *from, const struct conf_role *conf)
{
	cJSON *role = cJSON_CreateObject();
	struct role_view view;

	cJSON_AddStringToObject(role, "name", conf->name);
	json_add_uint(role, "priority", conf->priority);
	if (from->roles != NULL) {
		roles_view(from->roles, conf->index, &view);
		cJSON_AddStringToObject(role, "state", role_state_name(view.state));
		add_view(role, &view, clock_boot_ms());
		add_peers(role, from, conf->index);
	} else {
		cJSON_AddStringToObject(role, "state", "backup");
		cJSON_AddStringToObject(role, "ready", "unknown");
	}
	cJSON *services = cJSON_AddArrayToObject(role, "services");
	for (size_t i = 0; i < conf->n_services; i++)
		cJSON_AddItemToArray(
		    services, cJSON_CreateString(conf->services[i]->name));
	add_vips(role, from, conf);
	return role;
}

static void
add_consul(cJSON *status, const struct status_sources *from)
{
	const struct conf_consul *conf = &from->conf->consul;
	cJSON *consul = cJSON_AddObjectToObject(status, "consul");

	cJSON_AddStringToObject(consul, "address",
	    conf->unix_socket != NULL ? conf->unix_socket : conf->address);
	cJSON_AddBoolToObject(consul, "answers", consul_reachable(from->consul));
	cJSON_AddBoolToObject(consul, "in_sync", report_in_sync(from->report));
}

/* Of a service or (NULL) of this host. */
static void
add_entries(
    cJSON *list, const struct status_sources *from, const struct conf_service *service)
{
	struct upkeep_view view;

	upkeep_view(from->upkeep, service, &view);
	for (int theirs = 0; theirs < 2; theirs++) {
		if (!(theirs ? view.theirs : view.ours))
			continue;
		cJSON *item = cJSON_CreateObject();
		if (service != NULL)
			cJSON_AddStringToObject(item, "service", service->name);
		cJSON_AddStringToObject(item, "by", theirs ? "consul" : "lictor");
		cJSON_AddStringToObject(
		    item, "reason", theirs ? view.their_reason : view.reason);
		if (!theirs)
			cJSON_AddStringToObject(item, "who", view.who);
		if (!theirs && view.until != 0) {
			json_add_uint(item, "until", (uint64_t)view.until);
			json_add_uint(item, "left_ms", (uint64_t)view.left_ms);
		}
		cJSON_AddItemToArray(list, item);
	}
}

static void
add_maintenance(cJSON *status, const struct status_sources *from)
{
	cJSON *maintenance = cJSON_AddObjectToObject(status, "maintenance");
	char why[128];

	cJSON_AddBoolToObject(
	    maintenance, "kept", upkeep_kept(from->upkeep, why, sizeof(why)));
	if (why[0] != '\0')
		cJSON_AddStringToObject(maintenance, "error", why);
	cJSON *list = cJSON_AddArrayToObject(maintenance, "list");
	add_entries(list, from, NULL);
	for (size_t i = 0; i < from->conf->n_services; i++)
		add_entries(list, from, from->conf->services[i]);
}

static const char *
fence_name(uint32_t kind)
{
	return kind == WIRE_FENCE_BPF     ? "bpf"
	    : kind == WIRE_FENCE_LIFETIME ? "lifetime"
					  : "unknown";
}

static void
add_fence(cJSON *status, const struct status_sources *from)
{
	const struct wire_fence_kind *is = from->fence;
	bool bpf = is->kind == WIRE_FENCE_BPF;
	cJSON *fence = cJSON_AddObjectToObject(status, "fence");

	cJSON_AddStringToObject(fence, "kind", fence_name(is->kind));
	if (is->kind == WIRE_FENCE_UNKNOWN)
		return;
	cJSON_AddBoolToObject(fence, "ok", is->ok != 0);
	cJSON_AddStringToObject(fence, "why", is->why);
	json_add_uint(fence, "lease_ms", (uint64_t)conf_lease(from->conf, bpf));
	json_add_uint(fence, "late_ms", (uint64_t)conf_margin(bpf));
}

cJSON *
status_json(const struct status_sources *from)
{
	const struct conf *conf = from->conf;
	cJSON *status = cJSON_CreateObject();

	cJSON_AddStringToObject(status, "version", PACKAGE_VERSION);
	cJSON_AddStringToObject(status, "node", from->node);
	add_consul(status, from);
	add_fence(status, from);
	add_maintenance(status, from);
	cJSON_AddBoolToObject(status, "handover", from->aside);
	cJSON *roles = cJSON_AddArrayToObject(status, "roles");
	for (size_t i = 0; i < conf->n_roles; i++)
		cJSON_AddItemToArray(roles, role_json(from, conf->roles[i]));
	cJSON *services = cJSON_AddArrayToObject(status, "services");
	for (size_t i = 0; i < conf->n_services; i++)
		cJSON_AddItemToArray(services, service_json(from, conf->services[i]));
	cJSON *checks = cJSON_AddArrayToObject(status, "checks");
	for (size_t i = 0; i < conf->n_checks; i++)
		if (conf->checks[i]->service == NULL)
			cJSON_AddItemToArray(checks, check_json(from, conf->checks[i]));
	return status;
}
