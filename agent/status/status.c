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
#include "agent/health/run.h"
#include "agent/health/sched.h"
#include "agent/health/service.h"
#include "agent/status/status_role.h"

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
		cJSON_AddItemToArray(roles, status_role(from, conf->roles[i]));
	cJSON *services = cJSON_AddArrayToObject(status, "services");
	for (size_t i = 0; i < conf->n_services; i++)
		cJSON_AddItemToArray(services, service_json(from, conf->services[i]));
	cJSON *checks = cJSON_AddArrayToObject(status, "checks");
	for (size_t i = 0; i < conf->n_checks; i++)
		if (conf->checks[i]->service == NULL)
			cJSON_AddItemToArray(checks, check_json(from, conf->checks[i]));
	return status;
}
