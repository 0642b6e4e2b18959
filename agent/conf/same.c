/* SPDX-License-Identifier: ISC */
/*
 * When two things of two configurations are equal: the words of a reload's "did not change".
 * A member that nobody compares here would be a change that nobody notices, so the sizes of
 * the structs are written down: who adds a member comes by. See same.h for the contract.
 */
#include "agent/conf/same.h"

#include <stddef.h>
#include <string.h>

#include "agent/conf/conf.h"
#include "agent/conf/options.h"

#define SIZED(type, size)                                             \
	_Static_assert(sizeof(void *) != 8 || sizeof(type) == (size), \
	    "a member was added: is it compared below?")

SIZED(struct conf_consul, 112);
SIZED(struct conf_command, 80);
SIZED(struct conf_check, 136);
SIZED(struct conf_service, 120);
SIZED(struct conf_vip, 120);
SIZED(struct conf_route, 52);
SIZED(struct conf_rule, 52);
SIZED(struct conf_role, 192);
SIZED(struct conf_track, 40);
SIZED(struct conf_failover, 48);

bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool
same_list(char *const *a, char *const *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0) {
		a++;
		b++;
	}
	return *a == NULL && *b == NULL;
}

static const char *
service_id(const struct conf_service *service)
{
	return service != NULL ? service->id : NULL;
}

/* What a check depends on is named, whatever its type is now. */
static bool
same_depends(const struct conf_check *a, const struct conf_check *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return strcmp(a->name, b->name) == 0 &&
	    same_text(service_id(a->service), service_id(b->service));
}

static bool
same_schedule(const struct conf_check *a, const struct conf_check *b)
{
	return a->interval_ms == b->interval_ms &&
	    a->fast_interval_ms == b->fast_interval_ms &&
	    a->timeout_ms == b->timeout_ms && a->rise == b->rise && a->fall == b->fall;
}

static bool
same_limits(const struct conf_check *a, const struct conf_check *b)
{
	return a->latency_warning_ms == b->latency_warning_ms &&
	    a->latency_critical_ms == b->latency_critical_ms &&
	    a->window == b->window && a->error_rate_warning == b->error_rate_warning &&
	    a->error_rate_critical == b->error_rate_critical &&
	    a->flap_threshold == b->flap_threshold;
}

/* A type that is loaded in one and stands in by its name in the other is not the same. */
static bool
same_options(const struct conf_check *a, const struct conf_check *b)
{
	if (a->class == b->class)
		return options_same(a->class->options, a->options, b->options);
	return strcmp(a->class->name, b->class->name) == 0 && a->class->start == NULL &&
	    b->class->start == NULL;
}

bool
same_check(const struct conf_check *a, const struct conf_check *b)
{
	return strcmp(a->name, b->name) == 0 &&
	    same_text(service_id(a->service), service_id(b->service)) &&
	    same_options(a, b) && same_schedule(a, b) && same_limits(a, b) &&
	    same_depends(a->depends_on, b->depends_on) && a->initial == b->initial &&
	    a->output_size == b->output_size && same_text(a->notes, b->notes);
}

bool
same_service(const struct conf_service *a, const struct conf_service *b)
{
	const char *role = a->role != NULL ? a->role->name : NULL;

	return strcmp(a->name, b->name) == 0 && strcmp(a->id, b->id) == 0 &&
	    same_text(a->address, b->address) && a->port == b->port &&
	    same_list(a->tags, b->tags) && same_list(a->meta, b->meta) &&
	    a->weight == b->weight && a->warning_weight == b->warning_weight &&
	    a->on_stop == b->on_stop && a->foreign == b->foreign &&
	    a->deregister_after_ms == b->deregister_after_ms &&
	    same_text(role, b->role != NULL ? b->role->name : NULL);
}

static bool
same_routes(const struct conf_vip *a, const struct conf_vip *b)
{
	if (a->n_routes != b->n_routes)
		return false;
	for (size_t i = 0; i < a->n_routes; i++) {
		const struct conf_route *x = &a->routes[i], *y = &b->routes[i];
		if (x->family != y->family || x->to_prefix != y->to_prefix ||
		    memcmp(x->to, y->to, sizeof(x->to)) != 0 ||
		    x->has_via != y->has_via ||
		    memcmp(x->via, y->via, sizeof(x->via)) != 0 ||
		    x->table != y->table || x->metric != y->metric)
			return false;
	}
	return true;
}

static bool
same_rules(const struct conf_vip *a, const struct conf_vip *b)
{
	if (a->n_rules != b->n_rules)
		return false;
	for (size_t i = 0; i < a->n_rules; i++) {
		const struct conf_rule *x = &a->rules[i], *y = &b->rules[i];
		if (x->family != y->family || x->from_prefix != y->from_prefix ||
		    memcmp(x->from, y->from, sizeof(x->from)) != 0 ||
		    x->to_prefix != y->to_prefix ||
		    memcmp(x->to, y->to, sizeof(x->to)) != 0 || x->table != y->table ||
		    x->priority != y->priority)
			return false;
	}
	return true;
}

bool
same_vip(const struct conf_vip *a, const struct conf_vip *b)
{
	return a->family == b->family &&
	    memcmp(a->address, b->address, sizeof(a->address)) == 0 &&
	    strcmp(a->text, b->text) == 0 && a->prefix == b->prefix &&
	    strcmp(a->interface, b->interface) == 0 &&
	    a->announce_refresh_ms == b->announce_refresh_ms &&
	    a->on_conflict == b->on_conflict &&
	    a->reset_connections == b->reset_connections && same_routes(a, b) &&
	    same_rules(a, b) && strcmp(a->role->name, b->role->name) == 0;
}

bool
same_command(const struct conf_command *a, const struct conf_command *b)
{
	const char *role = a->role != NULL ? a->role->name : NULL;

	return a->kind == b->kind && same_list(a->argv, b->argv) &&
	    same_text(a->user, b->user) && same_list(a->environment, b->environment) &&
	    same_text(a->directory, b->directory) && a->memory == b->memory &&
	    a->processes == b->processes && a->files == b->files &&
	    same_text(role, b->role != NULL ? b->role->name : NULL) &&
	    same_text(a->hook, b->hook);
}

static bool
same_hook(const struct conf_command *a, const struct conf_command *b)
{
	return a == NULL || b == NULL ? a == b : same_command(a, b);
}

static bool
same_tracks(const struct conf_role *a, const struct conf_role *b)
{
	if (a->n_tracks != b->n_tracks)
		return false;
	for (size_t i = 0; i < a->n_tracks; i++) {
		const struct conf_track *x = a->tracks[i], *y = b->tracks[i];
		if (x->kind != y->kind || strcmp(x->name, y->name) != 0 ||
		    x->weight != y->weight)
			return false;
	}
	return true;
}

static bool
same_parts(const struct conf_role *a, const struct conf_role *b)
{
	if (a->n_services != b->n_services || a->n_vips != b->n_vips)
		return false;
	for (size_t i = 0; i < a->n_services; i++)
		if (strcmp(a->services[i]->id, b->services[i]->id) != 0)
			return false;
	for (size_t i = 0; i < a->n_vips; i++)
		if (!same_vip(a->vips[i], b->vips[i]))
			return false;
	return same_tracks(a, b) && same_hook(a->promote, b->promote) &&
	    same_hook(a->demote, b->demote) && same_hook(a->notify, b->notify);
}

bool
same_role(const struct conf_role *a, const struct conf_role *b)
{
	return strcmp(a->name, b->name) == 0 && a->priority == b->priority &&
	    a->preempt == b->preempt && a->preempt_delay_ms == b->preempt_delay_ms &&
	    a->when_all_critical == b->when_all_critical &&
	    a->lease_ms == b->lease_ms && a->silence_ms == b->silence_ms &&
	    a->limit == b->limit && a->within_ms == b->within_ms &&
	    a->address_order == b->address_order &&
	    strcmp(a->master_tag, b->master_tag) == 0 &&
	    strcmp(a->backup_tag, b->backup_tag) == 0 && a->auto_init == b->auto_init &&
	    a->hook_timeout_ms == b->hook_timeout_ms && same_parts(a, b);
}

bool
same_failover(const struct conf_failover *a, const struct conf_failover *b)
{
	return same_text(a->address, b->address) && a->port == b->port &&
	    a->heartbeats == b->heartbeats && same_text(a->key_file, b->key_file) &&
	    a->silence_ms == b->silence_ms && a->hold_ms == b->hold_ms &&
	    a->hold_alone_ms == b->hold_alone_ms;
}

bool
same_consul(const struct conf_consul *a, const struct conf_consul *b)
{
	return same_text(a->address, b->address) &&
	    same_text(a->unix_socket, b->unix_socket) &&
	    same_text(a->token, b->token) && same_text(a->token_file, b->token_file) &&
	    same_text(a->auth, b->auth) && same_text(a->datacenter, b->datacenter) &&
	    same_text(a->namespace, b->namespace) &&
	    same_text(a->partition, b->partition) &&
	    same_text(a->ca_file, b->ca_file) &&
	    same_text(a->cert_file, b->cert_file) &&
	    same_text(a->key_file, b->key_file) &&
	    same_text(a->server_name, b->server_name) && a->verify == b->verify &&
	    a->ttl_ms == b->ttl_ms;
}
