/* SPDX-License-Identifier: ISC */
/*
 * What Consul's agent is to show of this host, as pure functions of the configuration,
 * the checks' states and the roles: report compares it with what is shown and sends what
 * differs. What is ours is marked in its meta, so that a service that left the
 * configuration is found again, and nothing that others registered is touched; the mark's
 * value is the form that is registered, so that another lictor registers it anew. A check
 * has no meta: in somebody else's service its notes are marked.
 *
 * The own checks have a TTL of weeks: they change by being told. That lictor lives is the
 * one heartbeat of the service "lictor", and the alias check of it that each service has.
 */
#include "agent/consul/desired.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"

#define OWN_TTL "720h"
#define FORM \
	"2" /* to be raised when Consul cannot show that an older lictor's differs */
/* Consul refuses 512 KiB; what surrounds a check, its id twice among it, is less than 100 */
#define CHECKS_MAX (200u << 10)
#define CHECK_SIZE 100

static const char *const status_words[] = {
	[CHECK_PASSING] = "passing",
	[CHECK_WARNING] = "warning",
	[CHECK_CRITICAL] = "critical",
};
_Static_assert(ARRAY_LENGTH(status_words) == CHECK_UNKNOWN, "Consul knows no unknown");

char *
desired_check_id(const struct conf_check *check)
{
	return xasprintf(
	    "%s:%s", check->service ? check->service->id : DESIRED_LICTOR, check->name);
}

char *
desired_alias_id(const struct conf_service *service)
{
	return xasprintf("%s:" DESIRED_LICTOR, service->id);
}

char *
desired_maintenance_path(
    const struct conf_service *service, bool on, const char *reason)
{
	AUTO_FREE char *escaped = xcalloc(3, strlen(reason) + 1);
	char id[3 * CONF_NAME_MAX + 1];

	consul_escape(id, sizeof(id), service->id);
	consul_escape(escaped, 3 * (strlen(reason) + 1), reason);
	return xasprintf("/v1/agent/service/maintenance/%s?enable=%s&reason=%s", id,
	    on ? "true" : "false", escaped);
}

static void
add_status(cJSON *object, enum check_status status)
{
	assert((size_t)status < ARRAY_LENGTH(status_words));
	cJSON_AddStringToObject(object, "Status", status_words[status]);
}

/* A key that is there already gets the new value. */
static void
set_text(cJSON *object, const char *name, const char *value)
{
	cJSON_DeleteItemFromObjectCaseSensitive(object, name);
	cJSON_AddStringToObject(object, name, value);
}

static cJSON *
body_new(const char *id, const char *name)
{
	cJSON *body = cJSON_CreateObject();

	cJSON_AddStringToObject(body, "ID", id);
	cJSON_AddStringToObject(body, "Name", name);
	return body;
}

/* NULL: none. */
static char *
notes_of(const struct conf_service *service, const char *notes)
{
	if (service && service->foreign)
		return xasprintf(DESIRED_MARK "%s", notes ? notes : service->name);
	return notes ? xstrdup(notes) : NULL;
}

static void
add_notes(cJSON *body, const struct conf_service *service, const char *text)
{
	AUTO_FREE char *notes = notes_of(service, text);

	if (notes)
		cJSON_AddStringToObject(body, "Notes", notes);
}

static cJSON *
own_check(const struct conf_check *check, enum check_status status, const char *id_key)
{
	AUTO_FREE char *id = desired_check_id(check);
	cJSON *body = cJSON_CreateObject();

	cJSON_AddStringToObject(body, id_key, id);
	cJSON_AddStringToObject(body, "Name", check->name);
	add_notes(body, check->service, check->notes);
	cJSON_AddStringToObject(body, "TTL", OWN_TTL);
	add_status(body, status);
	return body;
}

cJSON *
desired_check(const struct conf_check *check, enum check_status status)
{
	cJSON *body = own_check(check, status, "ID");

	if (check->service)
		cJSON_AddStringToObject(body, "ServiceID", check->service->id);
	return body;
}

cJSON *
desired_update(enum check_status status, const char *output)
{
	cJSON *body = cJSON_CreateObject();

	add_status(body, status);
	cJSON_AddStringToObject(body, "Output", output);
	return body;
}

cJSON *
desired_lictor(int64_t ttl_ms)
{
	cJSON *body = body_new(DESIRED_LICTOR, DESIRED_LICTOR);
	cJSON *meta = cJSON_AddObjectToObject(body, "Meta");
	cJSON *check = cJSON_CreateObject();
	char ttl[32];

	snprintf(ttl, sizeof(ttl), "%lldms", (long long)ttl_ms);
	cJSON_AddStringToObject(meta, "lictor", FORM);
	cJSON_AddStringToObject(meta, "ttl", ttl); /* that of a check is not shown */
	cJSON_AddStringToObject(check, "CheckID", DESIRED_HEARTBEAT);
	cJSON_AddStringToObject(check, "Name", "lictord is alive");
	cJSON_AddStringToObject(check, "TTL", ttl);
	add_status(check, CHECK_PASSING);
	cJSON_AddItemToArray(cJSON_AddArrayToObject(body, "Checks"), check);
	return body;
}

/* Passing at its first registration, as lictor is just then; later Consul's word on
 * "lictor" counts. */
static cJSON *
alias_check(const struct conf_service *service, const char *id_key)
{
	AUTO_FREE char *id = desired_alias_id(service);
	cJSON *check = cJSON_CreateObject();

	cJSON_AddStringToObject(check, id_key, id);
	cJSON_AddStringToObject(check, "Name", DESIRED_LICTOR);
	add_notes(check, service, NULL);
	cJSON_AddStringToObject(check, "AliasService", DESIRED_LICTOR);
	add_status(check, CHECK_PASSING);
	return check;
}

cJSON *
desired_alias(const struct conf_service *service)
{
	cJSON *body = alias_check(service, "ID");

	cJSON_AddStringToObject(body, "ServiceID", service->id);
	return body;
}

static size_t
length(const char *text)
{
	return text ? strlen(text) : 0;
}

size_t
desired_checks_within(const struct conf_service *service)
{
	size_t room = CHECKS_MAX, n = 0;

	for (; n < service->n_checks; n++) {
		const struct conf_check *check = service->checks[n];
		/* a byte is six at the most when it is escaped */
		size_t size = CHECK_SIZE + 2 * strlen(check->name) +
		    strlen(service->id) + 6 * length(check->notes);

		if (size > room)
			break;
		room -= size;
	}
	return n;
}

static void
add_checks(cJSON *body, const struct conf_service *service,
    const enum check_status *states, size_t n)
{
	cJSON *checks = cJSON_AddArrayToObject(body, "Checks");

	for (size_t i = 0; i < n; i++) {
		const struct conf_check *check = service->checks[i];
		enum check_status status = states[check->index];

		if (status != CHECK_UNKNOWN)
			cJSON_AddItemToArray(
			    checks, own_check(check, status, "CheckID"));
	}
	cJSON_AddItemToArray(checks, alias_check(service, "CheckID"));
}

static const char *
role_tag(const struct conf_service *service, enum report_role role)
{
	if (!service->role)
		return NULL;
	return role == REPORT_MASTER ? service->role->master_tag
				     : service->role->backup_tag;
}

static void
add_tags(cJSON *body, const struct conf_service *service, enum report_role role)
{
	cJSON *tags = cJSON_AddArrayToObject(body, "Tags");
	const char *tag = role_tag(service, role);

	for (char **t = service->tags; *t; t++)
		cJSON_AddItemToArray(tags, cJSON_CreateString(*t));
	if (tag)
		cJSON_AddItemToArray(tags, cJSON_CreateString(tag));
}

static void
add_meta(cJSON *body, const struct conf_service *service, enum report_role role,
    uint64_t term)
{
	cJSON *meta = cJSON_AddObjectToObject(body, "Meta");
	char text[32];

	for (char **m = service->meta; *m; m++) {
		size_t len = strcspn(*m, "=");
		AUTO_FREE char *key = xstrndup(*m, len);

		set_text(meta, key, (*m)[len] ? *m + len + 1 : "");
	}
	set_text(meta, "lictor", FORM);
	if (!service->role)
		return;
	set_text(meta, "role", role == REPORT_MASTER ? "master" : "backup");
	snprintf(text, sizeof(text), "%llu", (unsigned long long)term);
	set_text(meta, "term", text);
}

cJSON *
desired_form(const struct conf_service *service, enum report_role role, uint64_t term)
{
	cJSON *body = body_new(service->id, service->name);
	cJSON *weights;

	if (service->address)
		cJSON_AddStringToObject(body, "Address", service->address);
	if (service->port)
		json_add_uint(body, "Port", service->port);
	add_tags(body, service, role);
	add_meta(body, service, role, term);
	weights = cJSON_AddObjectToObject(body, "Weights");
	json_add_uint(weights, "Passing", service->weight);
	json_add_uint(weights, "Warning", service->warning_weight);
	return body;
}

cJSON *
desired_service(const struct conf_service *service, enum report_role role,
    uint64_t term, const enum check_status *states, size_t n)
{
	cJSON *body = desired_form(service, role, term);

	add_checks(body, service, states, n);
	return body;
}

static const cJSON *
member(const cJSON *object, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(object, name);
}

/* An absent text and an empty one are the same to Consul. */
static bool
same_text(const cJSON *a, const char *a_name, const cJSON *b, const char *b_name)
{
	const char *left = json_text(a, a_name), *right = json_text(b, b_name);

	return !strcmp(left ? left : "", right ? right : "");
}

static bool
same_uint(const cJSON *a, const cJSON *b, const char *name, uint64_t absent)
{
	uint64_t left = absent, right = absent;

	json_get_uint(a, name, &left);
	json_get_uint(b, name, &right);
	return left == right;
}

/* Empty lists and maps are shown as null by some versions. */
static bool
same_items(const cJSON *want, const cJSON *have)
{
	if (cJSON_GetArraySize(want) != cJSON_GetArraySize(have))
		return false;
	return cJSON_GetArraySize(want) == 0 || cJSON_Compare(want, have, true);
}

bool
desired_service_shown(const cJSON *want, const cJSON *have)
{
	const cJSON *weights = member(want, "Weights");

	return have && same_text(want, "Name", have, "Service") &&
	    same_text(want, "Address", have, "Address") &&
	    same_uint(want, have, "Port", 0) &&
	    same_items(member(want, "Tags"), member(have, "Tags")) &&
	    same_items(member(want, "Meta"), member(have, "Meta")) &&
	    same_uint(weights, member(have, "Weights"), "Passing", 1) &&
	    same_uint(weights, member(have, "Weights"), "Warning", 1);
}

static bool
text_shown(const cJSON *have, const char *name, const char *want)
{
	const char *text = json_text(have, name);

	return !strcmp(text ? text : "", want ? want : "");
}

static bool
type_shown(const cJSON *have, const char *want)
{
	const char *type = json_text(have, "Type");

	return !type || !strcmp(type, want);
}

bool
desired_check_shown(const struct conf_check *check, const cJSON *have)
{
	const struct conf_service *service = check->service;
	AUTO_FREE char *notes = notes_of(service, check->notes);

	return json_text(have, "Name") && text_shown(have, "Name", check->name) &&
	    text_shown(have, "Notes", notes) &&
	    text_shown(have, "ServiceID", service ? service->id : NULL) &&
	    type_shown(have, "ttl");
}

bool
desired_alias_shown(const struct conf_service *service, const cJSON *have)
{
	AUTO_FREE char *notes = notes_of(service, NULL);

	return text_shown(have, "Notes", notes) &&
	    text_shown(have, "ServiceID", service->id) && type_shown(have, "alias");
}

bool
desired_is_ours(const cJSON *service)
{
	const char *mark = json_text(member(service, "Meta"), "lictor");

	return mark && mark[0];
}

bool
desired_is_marked(const cJSON *check)
{
	const char *notes = json_text(check, "Notes");

	return notes && !strncmp(notes, DESIRED_MARK, strlen(DESIRED_MARK));
}

bool
desired_read_status(const cJSON *check, enum check_status *out)
{
	const char *word = json_text(check, "Status");

	for (size_t i = 0; word && i < ARRAY_LENGTH(status_words); i++) {
		if (strcmp(word, status_words[i]) != 0)
			continue;
		*out = (enum check_status)i;
		return true;
	}
	return false;
}

void
desired_read_role(const cJSON *service, enum report_role *role, uint64_t *term)
{
	const cJSON *meta = member(service, "Meta");
	const char *word = json_text(meta, "role"), *text = json_text(meta, "term");

	*role = REPORT_NO_ROLE;
	*term = 0;
	if (!desired_is_ours(service) || !word)
		return;
	if (!strcmp(word, "master"))
		*role = REPORT_MASTER;
	else if (!strcmp(word, "backup"))
		*role = REPORT_BACKUP;
	if (text)
		parse_uint(text, 0, UINT64_MAX, term);
}
