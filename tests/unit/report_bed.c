/* SPDX-License-Identifier: ISC */
/*
 * A host that a real Consul is told of: two services, one of a role, and a check of the node;
 * what is true of it, and whether Consul shows just that. What a case looks at or spoils goes
 * past lictor, by consul_server_ask.
 */
#include "tests/unit/report_bed.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/consul/consul.h"
#include "agent/consul/desired.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

struct consul_server *server;

/* Nobody knows when there will be a word on it. */
static const struct check_class reported = { .name = "ttl", .passive = true };

static char *no_tags[] = { NULL };
static char *db_tags[] = { TEXT("sql"), TEXT("a b\"c"), NULL };
static char *db_meta[] = { TEXT("version=15"), TEXT("note=x=y"), NULL };

static void
on_adopt(void *arg, const struct conf_check *check, enum check_status status,
    const char *output)
{
	struct fixture *f = arg;

	CU_ASSERT_EQUAL(f->adopted, 0);
	f->adoptions++;
	if (check->index == f->conf.n_checks - 1)
		f->adopted_last = status;
	if (check->index >= CHECKS)
		return;
	f->adopted_status[check->index] = status;
	str_copy(f->adopted_output[check->index], sizeof(f->adopted_output[0]), output);
}

static void
on_adopted(void *arg)
{
	((struct fixture *)arg)->adopted++;
}

static void
on_stopped(void *arg)
{
	((struct fixture *)arg)->stopped++;
}

static void
on_maintenance(
    void *arg, const struct conf_service *service, bool on, const char *reason)
{
	struct fixture *f = arg;

	if (service == &f->db)
		str_copy(f->maintained, sizeof(f->maintained), on ? reason : "");
}

static void
set_check(struct fixture *f, uint32_t i, char *name, const struct conf_service *service)
{
	f->checks[i] = (struct conf_check){
		.index = i,
		.class = &reported,
		.name = name,
		.service = service,
		.initial = CHECK_CRITICAL,
		.notes = i == 0 ? TEXT("is the port open?") : NULL,
	};
	f->all[i] = &f->checks[i];
	f->status[i] = f->checks[i].initial;
}

void
configure(struct fixture *f)
{
	f->role = (struct conf_role){ .name = TEXT("db") };
	f->role.master_tag = TEXT("master");
	f->role.backup_tag = TEXT("backup");
	f->db = (struct conf_service){
		.index = 0,
		.name = TEXT("db"),
		.id = TEXT("db-1"),
		.address = TEXT("127.0.0.9"),
		.port = 5432,
		.tags = db_tags,
		.meta = db_meta,
		.weight = 3,
		.warning_weight = 2,
		.role = &f->role,
		.checks = f->of_db,
		.n_checks = 2,
	};
	f->web = (struct conf_service){
		.index = 1,
		.name = TEXT("web"),
		.id = TEXT("web"),
		.tags = no_tags,
		.meta = no_tags,
		.weight = 1,
		.warning_weight = 1,
		.checks = f->of_web,
		.n_checks = 1,
	};
	set_check(f, 0, TEXT("port"), &f->db);
	set_check(f, 1, TEXT("query"), &f->db);
	set_check(f, 2, TEXT("page"), &f->web);
	set_check(f, 3, TEXT("disk"), NULL);
	f->of_db[0] = &f->checks[0];
	f->of_db[1] = &f->checks[1];
	f->of_web[0] = &f->checks[2];
	f->services[0] = &f->db;
	f->services[1] = &f->web;
	f->conf = (struct conf){
		.services = f->services,
		.n_services = SERVICES,
		.checks = f->all,
		.n_checks = CHECKS,
	};
	f->conf.consul.address = TEXT(consul_server_address(server));
	f->conf.consul.ttl_ms = TTL_MS;
	f->db_role = REPORT_BACKUP;
}

void
make(struct fixture *f)
{
	struct report_out out = {
		.adopt = on_adopt,
		.adopted = on_adopted,
		.maintenance = on_maintenance,
		.stopped = on_stopped,
		.arg = f,
	};

	f->consul = consul_new(f->loop, &f->conf.consul);
	f->report = report_new(f->loop, f->consul, &f->conf, &out);
	report_start(f->report);
}

void
unmake(struct fixture *f)
{
	report_free(f->report);
	consul_free(f->consul);
	f->report = NULL;
	f->consul = NULL;
}

bool
in_sync(void *arg)
{
	return report_in_sync(((struct fixture *)arg)->report);
}

void
open_fixture(struct fixture *f)
{
	*f = (struct fixture){ .loop = loop_new() };
	configure(f);
	make(f);
	CU_ASSERT_TRUE(until(f->loop, in_sync, f, LIMIT_MS));
}

void
close_fixture(struct fixture *f)
{
	unmake(f);
	loop_free(f->loop);
}

void
restart(struct fixture *f)
{
	unmake(f);
	f->adoptions = f->adopted = 0;
	make(f);
}

void
put(const char *path, const char *body)
{
	char out[256];

	CU_ASSERT_EQUAL(
	    consul_server_ask(server, "PUT", path, body, out, sizeof(out)), 200);
}

cJSON *
get(const char *path)
{
	static char out[1u << 17];

	if (consul_server_ask(server, "GET", path, NULL, out, sizeof(out)) != 200)
		return NULL;
	return json_parse(out, strlen(out));
}

bool
text_is(const cJSON *object, const char *name, const char *expected)
{
	const char *text = json_text(object, name);

	return text && !strcmp(text, expected);
}

void
tell(struct fixture *f, uint32_t i, enum check_status status, const char *output)
{
	f->status[i] = status;
	f->told[i] = true;
	str_copy(f->output[i], sizeof(f->output[i]), output);
	report_check(f->report, &f->checks[i], status, output);
}

void
tell_role(struct fixture *f, enum report_role role, unsigned int term)
{
	f->db_role = role;
	f->term = term;
	report_role(f->report, &f->db, role, term);
}

static bool
check_shown(const struct fixture *f, const cJSON *checks, uint32_t i)
{
	AUTO_FREE char *id = desired_check_id(&f->checks[i]);
	const struct conf_service *service = f->checks[i].service;
	const cJSON *check = cJSON_GetObjectItemCaseSensitive(checks, id);

	return text_is(check, "Status", check_status_name(f->status[i])) &&
	    (!f->told[i] || text_is(check, "Output", f->output[i])) &&
	    text_is(check, "Name", f->checks[i].name) &&
	    text_is(check, "ServiceID", service ? service->id : "") &&
	    text_is(check, "Notes", f->checks[i].notes ? f->checks[i].notes : "");
}

bool
db_shown(const struct fixture *f, const cJSON *services)
{
	const cJSON *db = cJSON_GetObjectItemCaseSensitive(services, "db-1");
	const cJSON *tags = cJSON_GetObjectItemCaseSensitive(db, "Tags");
	const cJSON *meta = cJSON_GetObjectItemCaseSensitive(db, "Meta");
	const cJSON *weights = cJSON_GetObjectItemCaseSensitive(db, "Weights");
	const char *role = f->db_role == REPORT_MASTER ? "master" : "backup";
	const cJSON *last = cJSON_GetArrayItem(tags, 2);
	char term[16];
	uint64_t port = 0, passing = 0, warning = 0;

	snprintf(term, sizeof(term), "%u", f->term);
	json_get_uint(db, "Port", &port);
	json_get_uint(weights, "Passing", &passing);
	json_get_uint(weights, "Warning", &warning);
	return cJSON_GetArraySize(tags) == 3 && cJSON_IsString(last) &&
	    !strcmp(last->valuestring, role) && text_is(meta, "role", role) &&
	    text_is(meta, "term", term) && text_is(meta, "version", "15") &&
	    text_is(meta, "note", "x=y") && text_is(meta, "lictor", "2") &&
	    cJSON_GetArraySize(meta) == 5 && text_is(db, "Address", "127.0.0.9") &&
	    text_is(db, "Service", "db") && port == 5432 && passing == 3 &&
	    warning == 2;
}

bool
all_shown(void *arg)
{
	const struct fixture *f = arg;
	AUTO_JSON cJSON *checks = get("/v1/agent/checks");
	AUTO_JSON cJSON *services = get("/v1/agent/services");

	for (uint32_t i = 0; i < CHECKS; i++)
		if (!check_shown(f, checks, i))
			return false;
	return db_shown(f, services) &&
	    text_is(
		cJSON_GetObjectItemCaseSensitive(services, "web"), "Service", "web") &&
	    cJSON_GetObjectItemCaseSensitive(checks, "db-1:lictor") &&
	    cJSON_GetObjectItemCaseSensitive(checks, "web:lictor") &&
	    text_is(cJSON_GetObjectItemCaseSensitive(checks, "service:lictor"),
		"Status", "passing");
}

void
tell_all(struct fixture *f, enum check_status status)
{
	for (uint32_t i = 0; i < CHECKS; i++)
		tell(f, i, status, check_status_name(status));
}

bool
check_is(const char *id, const char *status)
{
	AUTO_JSON cJSON *checks = get("/v1/agent/checks");

	return text_is(cJSON_GetObjectItemCaseSensitive(checks, id), "Status", status);
}

bool
service_is_there(const char *id)
{
	AUTO_JSON cJSON *services = get("/v1/agent/services");

	return cJSON_GetObjectItemCaseSensitive(services, id) != NULL;
}

uint64_t
modified(const char *id)
{
	AUTO_FREE char *path =
	    xasprintf("/v1/health/node/dev?filter=CheckID==%%22%s%%22", id);
	AUTO_JSON cJSON *checks = get(path);
	uint64_t index = 0;

	json_get_uint(cJSON_GetArrayItem(checks, 0), "ModifyIndex", &index);
	return index;
}
