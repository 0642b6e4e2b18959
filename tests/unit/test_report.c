/* SPDX-License-Identifier: ISC */
/*
 * Consul's picture of a host, against a real Consul: what report was told is what the
 * agent shows, whatever happened in between. One server does for all cases; each case
 * begins with what the one before left, as a lictord with another configuration does.
 * What a case looks at or spoils goes past lictor, by consul_server_ask.
 */
#include "agent/consul/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/consul/desired.h"
#include "agent/consul/self.h"
#include "tests/unit/captured.h"
#include "tests/unit/consul_server.h"
#include "tests/unit/pace.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define LIMIT_MS 30000
#define TTL_MS 900
#define CHECKS 4
#define SERVICES 2
/* The configuration owns its texts elsewhere. */
#define TEXT(text) ((char *)(text))

static struct consul_server *server;

struct fixture {
	struct loop *loop;
	struct conf conf;
	struct conf_role role;
	struct conf_service db, web, *services[SERVICES];
	struct conf_check checks[CHECKS], *all[CHECKS];
	const struct conf_check *of_db[2], *of_web[1];
	struct consul *consul;
	struct report *report;
	/* the truth */
	enum check_status status[CHECKS];
	char output[CHECKS][64];
	bool told[CHECKS];
	enum report_role db_role;
	unsigned int term;
	/* what came back */
	enum check_status adopted_status[CHECKS];
	char adopted_output[CHECKS][64];
	enum check_status adopted_last;
	unsigned int adoptions, adopted, stopped;
	char maintained[64]; /* db's, and the reason; empty: it is not */
	char node[CONF_NAME_MAX + 1];
};

/* Nobody knows when there will be a word on the one; on the other there will be one. */
static const struct check_class reported = { .name = "ttl", .passive = true };
static const struct check_class measured = { .name = "tcp" };

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

/* Two services, one of a role, and a check of the node. */
static void
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

static void
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

static void
unmake(struct fixture *f)
{
	report_free(f->report);
	consul_free(f->consul);
	f->report = NULL;
	f->consul = NULL;
}

static bool
in_sync(void *arg)
{
	return report_in_sync(((struct fixture *)arg)->report);
}

static void
open_fixture(struct fixture *f)
{
	*f = (struct fixture){ .loop = loop_new() };
	configure(f);
	make(f);
	CU_ASSERT_TRUE(until(f->loop, in_sync, f, LIMIT_MS));
}

static void
close_fixture(struct fixture *f)
{
	unmake(f);
	loop_free(f->loop);
}

/* lictord dies and comes back, knowing nothing. */
static void
restart(struct fixture *f)
{
	unmake(f);
	f->adoptions = f->adopted = 0;
	make(f);
}

static void
put(const char *path, const char *body)
{
	char out[256];

	CU_ASSERT_EQUAL(
	    consul_server_ask(server, "PUT", path, body, out, sizeof(out)), 200);
}

static cJSON *
get(const char *path)
{
	static char out[1u << 17];

	if (consul_server_ask(server, "GET", path, NULL, out, sizeof(out)) != 200)
		return NULL;
	return json_parse(out, strlen(out));
}

static bool
text_is(const cJSON *object, const char *name, const char *expected)
{
	const char *text = json_text(object, name);

	return text && !strcmp(text, expected);
}

static void
tell(struct fixture *f, uint32_t i, enum check_status status, const char *output)
{
	f->status[i] = status;
	f->told[i] = true;
	str_copy(f->output[i], sizeof(f->output[i]), output);
	report_check(f->report, &f->checks[i], status, output);
}

static void
tell_role(struct fixture *f, enum report_role role, unsigned int term)
{
	f->db_role = role;
	f->term = term;
	report_role(f->report, &f->db, role, term);
}

static const char *const words[] = { "passing", "warning", "critical" };

static bool
check_shown(const struct fixture *f, const cJSON *checks, uint32_t i)
{
	AUTO_FREE char *id = desired_check_id(&f->checks[i]);
	const struct conf_service *service = f->checks[i].service;
	const cJSON *check = cJSON_GetObjectItemCaseSensitive(checks, id);

	return text_is(check, "Status", words[f->status[i]]) &&
	    (!f->told[i] || text_is(check, "Output", f->output[i])) &&
	    text_is(check, "Name", f->checks[i].name) &&
	    text_is(check, "ServiceID", service ? service->id : "") &&
	    text_is(check, "Notes", f->checks[i].notes ? f->checks[i].notes : "");
}

static bool
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

/* Everything that is true is shown, and lictor's life in each service. */
static bool
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

static void
tell_all(struct fixture *f, enum check_status status)
{
	for (uint32_t i = 0; i < CHECKS; i++)
		tell(f, i, status, words[status]);
}

static bool
check_is(const char *id, const char *status)
{
	AUTO_JSON cJSON *checks = get("/v1/agent/checks");

	return text_is(cJSON_GetObjectItemCaseSensitive(checks, id), "Status", status);
}

static bool
service_is_there(const char *id)
{
	AUTO_JSON cJSON *services = get("/v1/agent/services");

	return cJSON_GetObjectItemCaseSensitive(services, id) != NULL;
}

static bool
alias_passes(void *arg)
{
	(void)arg;
	return check_is("db-1:lictor", "passing") && check_is("web:lictor", "passing");
}

static void
test_registration(void)
{
	struct fixture f;

	open_fixture(&f);
	CU_ASSERT_EQUAL(f.adopted, 1);
	CU_ASSERT_TRUE(all_shown(&f));
	tell_all(&f, CHECK_PASSING);
	CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	CU_ASSERT_TRUE(until(f.loop, alias_passes, &f, LIMIT_MS));
	close_fixture(&f);
}

static void
open_measured(struct fixture *f)
{
	*f = (struct fixture){ .loop = loop_new() };
	configure(f);
	for (uint32_t i = 0; i < CHECKS; i++)
		f->checks[i].class = &measured;
	make(f);
}

static bool
db_there(void *arg)
{
	return service_is_there("db-1");
}

/* Who looks sees no service without the states of its checks, nor one that is critical
 * before it was looked at. */
static void
test_first_results(void)
{
	struct fixture f;

	open_measured(&f);
	run_for(f.loop, 500);
	CU_ASSERT_FALSE(service_is_there("db-1"));
	tell(&f, 0, CHECK_PASSING, "passing");
	run_for(f.loop, 300);
	CU_ASSERT_FALSE(service_is_there("db-1"));
	CU_ASSERT_FALSE(report_in_sync(f.report));
	tell(&f, 1, CHECK_WARNING, "warning");
	CU_ASSERT_TRUE(until(f.loop, db_there, NULL, LIMIT_MS));
	CU_ASSERT_TRUE(check_is("db-1:port", "passing"));
	CU_ASSERT_TRUE(check_is("db-1:query", "warning"));
	CU_ASSERT_FALSE(service_is_there("web"));
	CU_ASSERT_FALSE(check_is("lictor:disk", "critical"));
	/* nothing is waited for longer than a run may take */
	CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
	CU_ASSERT_TRUE(all_shown(&f));
	close_fixture(&f);
}

/* From each state to each other, each check by itself. */
static void
test_states(void)
{
	struct fixture f;

	open_fixture(&f);
	tell_all(&f, CHECK_PASSING);
	for (unsigned int step = 0; step < 9; step++)
		for (uint32_t i = 0; i < CHECKS; i++) {
			tell(&f, i, step % 3, words[step % 3]);
			tell(&f, i, step / 3, words[step / 3]);
			CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
			CU_ASSERT_TRUE(all_shown(&f));
		}
	close_fixture(&f);
}

static void
test_output(void)
{
	struct fixture f;

	open_fixture(&f);
	tell_all(&f, CHECK_PASSING);
	CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	report_check_output(f.report, &f.checks[0], "other words");
	run_for(f.loop, TTL_MS / 2);
	CU_ASSERT_TRUE(all_shown(&f));
	f.status[0] = CHECK_WARNING;
	str_copy(f.output[0], sizeof(f.output[0]), "newest words");
	report_check(f.report, &f.checks[0], CHECK_WARNING, "newest words");
	CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	close_fixture(&f);
}

static void
test_role(void)
{
	struct fixture f;

	open_fixture(&f);
	tell_all(&f, CHECK_PASSING);
	for (unsigned int term = 1; term < 6; term++) {
		tell_role(&f, term % 2 ? REPORT_MASTER : REPORT_BACKUP, term);
		CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
		CU_ASSERT_TRUE(all_shown(&f));
	}
	close_fixture(&f);
}

/* What Consul loses comes back with the present states, without any news. */
static void
test_lost(void)
{
	static const char *const losses[] = {
		"/v1/agent/service/deregister/db-1",
		"/v1/agent/service/deregister/web",
		"/v1/agent/check/deregister/db-1:port",
		"/v1/agent/check/deregister/db-1:lictor",
		"/v1/agent/check/deregister/lictor:disk",
	};
	struct fixture f;

	open_fixture(&f);
	tell_all(&f, CHECK_WARNING);
	tell_role(&f, REPORT_MASTER, 7);
	CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	for (size_t i = 0; i < ARRAY_LENGTH(losses); i++) {
		/* a registration under way would hide the loss */
		CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
		put(losses[i], NULL);
		put("/v1/agent/service/deregister/lictor", NULL);
		CU_ASSERT_FALSE(all_shown(&f));
		CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	}
	/* noticed by an update alone */
	put("/v1/agent/service/deregister/db-1", NULL);
	tell(&f, 0, CHECK_CRITICAL, "critical");
	CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	close_fixture(&f);
}

/* What others take away or change is noticed without a word of ours to Consul. */
static void
test_others(void)
{
	static const char *const wrongs[][2] = {
		{ "/v1/agent/service/deregister/db-1", NULL },
		{ "/v1/agent/check/deregister/db-1:port", NULL },
		{ "/v1/agent/check/deregister/lictor:disk", NULL },
		{ "/v1/agent/service/register",
		    "{\"ID\":\"db-1\",\"Name\":\"db\",\"Tags\":[\"no\"]}" },
	};
	struct fixture f;

	open_fixture(&f);
	tell_all(&f, CHECK_PASSING);
	tell_role(&f, REPORT_BACKUP, 0);
	report_node(f.report, "dev");
	CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	for (size_t i = 0; i < ARRAY_LENGTH(wrongs); i++) {
		put(wrongs[i][0], wrongs[i][1]);
		CU_ASSERT_FALSE(all_shown(&f));
		CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	}
	close_fixture(&f);
}

static bool
servers_show(const char *id, const char *status)
{
	AUTO_JSON cJSON *checks = get("/v1/health/node/dev");
	const cJSON *check;

	cJSON_ArrayForEach (check, checks)
		if (text_is(check, "CheckID", id) && text_is(check, "Status", status))
			return true;
	return false;
}

static bool
servers_right(void *arg)
{
	AUTO_JSON cJSON *node = get("/v1/catalog/node/dev");
	const cJSON *services = cJSON_GetObjectItemCaseSensitive(node, "Services");
	const struct fixture *f = arg;

	return db_shown(f, services) &&
	    cJSON_GetObjectItemCaseSensitive(services, "web") &&
	    cJSON_GetObjectItemCaseSensitive(services, "lictor") &&
	    servers_show("db-1:port", "passing") &&
	    servers_show("web:page", "passing") &&
	    servers_show("lictor:disk", "passing") &&
	    servers_show("web:lictor", "passing");
}

/* What is changed at the servers, past the agent, which knows nothing of it. */
static void
test_forged(void)
{
	static const char *const forgeries[][2] = {
		{ "/v1/catalog/register",
		    "{\"Node\":\"dev\",\"Address\":\"127.0.0.1\",\"Check\":{\"Node\":"
		    "\"dev\",\"CheckID\":\"db-1:port\",\"Name\":\"port\","
		    "\"ServiceID\":\"db-1\",\"Status\":\"critical\"}}" },
		{ "/v1/catalog/register",
		    "{\"Node\":\"dev\",\"Address\":\"127.0.0.1\",\"Check\":{\"Node\":"
		    "\"dev\",\"CheckID\":\"lictor:disk\",\"Name\":\"disk\","
		    "\"Status\":\"critical\"}}" },
		{ "/v1/catalog/register",
		    "{\"Node\":\"dev\",\"Address\":\"127.0.0.1\",\"Service\":{\"ID\":"
		    "\"db-1\",\"Service\":\"db\",\"Tags\":[\"no\"]}}" },
		{ "/v1/catalog/deregister",
		    "{\"Node\":\"dev\",\"ServiceID\":\"web\"}" },
		{ "/v1/catalog/deregister",
		    "{\"Node\":\"dev\",\"CheckID\":\"web:lictor\"}" },
		{ "/v1/catalog/deregister",
		    "{\"Node\":\"dev\",\"ServiceID\":\"lictor\"}" },
	};
	struct fixture f;

	open_fixture(&f);
	tell_all(&f, CHECK_PASSING);
	tell_role(&f, REPORT_BACKUP, 0);
	report_node(f.report, "dev");
	CU_ASSERT_TRUE(until(f.loop, servers_right, &f, LIMIT_MS));
	for (size_t i = 0; i < ARRAY_LENGTH(forgeries); i++) {
		/* what was told a moment ago is not judged */
		run_for(f.loop, 2200);
		put(forgeries[i][0], forgeries[i][1]);
		CU_ASSERT_FALSE(servers_right(&f));
		CU_ASSERT_TRUE(until(f.loop, servers_right, &f, LIMIT_MS));
		CU_ASSERT_TRUE(all_shown(&f));
	}
	close_fixture(&f);
}

static bool
was_adopted(void *arg)
{
	return ((struct fixture *)arg)->adopted > 0;
}

static void
test_restart(void)
{
	struct fixture f;

	open_fixture(&f);
	for (uint32_t i = 0; i < CHECKS; i++)
		tell(&f, i, i % 3, words[i % 3]);
	tell_role(&f, REPORT_MASTER, 9);
	CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	restart(&f);
	CU_ASSERT_TRUE(until(f.loop, was_adopted, &f, 250));
	CU_ASSERT_EQUAL(f.adoptions, CHECKS);
	for (uint32_t i = 0; i < CHECKS; i++) {
		CU_ASSERT_EQUAL(f.adopted_status[i], f.status[i]);
		CU_ASSERT_STRING_EQUAL(f.adopted_output[i], f.output[i]);
	}
	CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
	CU_ASSERT_TRUE(all_shown(&f));
	tell_role(&f, REPORT_BACKUP, 10);
	CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	CU_ASSERT_EQUAL(f.adopted, 1);
	close_fixture(&f);
}

static bool
lictor_expired(void *arg)
{
	(void)arg;
	return check_is("service:lictor", "critical");
}

/* Nobody vouched for the states any more: each is what `initial` says. */
static void
test_restart_late(void)
{
	struct fixture f;

	open_fixture(&f);
	tell_all(&f, CHECK_PASSING);
	tell_role(&f, REPORT_MASTER, 11);
	CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	unmake(&f);
	CU_ASSERT_TRUE(until(f.loop, lictor_expired, &f, LIMIT_MS));
	CU_ASSERT_TRUE(check_is("db-1:lictor", "critical"));
	f.adopted = f.adoptions = 0;
	for (uint32_t i = 0; i < CHECKS; i++) {
		f.checks[i].initial = f.status[i] = i % 3;
		f.told[i] = false;
	}
	f.db_role = REPORT_BACKUP;
	f.term = 0;
	make(&f);
	CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	CU_ASSERT_EQUAL(f.adoptions, 0);
	CU_ASSERT_EQUAL(f.adopted, 1);
	close_fixture(&f);
}

/* What is told to a Consul that hangs blocks nothing, and is shown when it goes on. */
static void
test_frozen(void)
{
	char log[8192];
	struct fixture f;
	int64_t slowest = 0;
	int keep;

	open_fixture(&f);
	tell_all(&f, CHECK_PASSING);
	CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	keep = capture_log();
	consul_server_freeze(server);
	for (unsigned int i = 0; i < 60; i++) {
		int64_t before = clock_boot_ms();

		tell(&f, i % CHECKS, i % 3, words[i % 3]);
		tell_role(&f, i % 2 ? REPORT_MASTER : REPORT_BACKUP, i + 20);
		run_for(f.loop, 50);
		if (clock_boot_ms() - before > slowest)
			slowest = clock_boot_ms() - before;
	}
	CU_ASSERT_TRUE(slowest < 500);
	CU_ASSERT_FALSE(report_in_sync(f.report));
	CU_ASSERT_FALSE(consul_reachable(f.consul));
	consul_server_thaw(server);
	CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
	CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	CU_ASSERT_TRUE(consul_reachable(f.consul));
	release_log(keep, log, sizeof(log));
	CU_ASSERT_EQUAL(count_words(log, "does not answer (timeout)"), 1);
	CU_ASSERT_EQUAL(count_words(log, "answers again after"), 1);
	CU_ASSERT_EQUAL(count_words(log, "\n"), 2);
	close_fixture(&f);
}

static bool
has_stopped(void *arg)
{
	return ((struct fixture *)arg)->stopped > 0;
}

static bool
web_maintained(void *arg)
{
	(void)arg;
	return check_is("_service_maintenance:web", "critical");
}

/* Something answers, but knows nothing of an agent's checks. */
static void
test_wrong_address(void)
{
	struct fixture f = { .loop = loop_new() };
	AUTO_FREE char *address =
	    xasprintf("%s/v1/kv/nothing", consul_server_address(server));
	char log[8192];
	int keep = capture_log();

	configure(&f);
	f.conf.consul.address = address;
	make(&f);
	run_for(f.loop, 1500);
	CU_ASSERT_EQUAL(f.adopted, 1);
	CU_ASSERT_FALSE(report_in_sync(f.report));
	release_log(keep, log, sizeof(log));
	CU_ASSERT_EQUAL(count_words(log, "is this Consul's address?"), 1);
	CU_ASSERT_EQUAL(count_words(log, "\n"), 1);
	close_fixture(&f);
}

/* A start and a stop beside a Consul that hangs end in their time. */
static void
test_frozen_start(void)
{
	struct pace *pace = pace_new(10, NULL, NULL);
	struct fixture f;
	int64_t before;

	open_fixture(&f); /* what it knows of then can be in maintenance */
	unmake(&f);
	f.adopted = f.adoptions = 0;
	consul_server_freeze(server);
	before = clock_boot_ms();
	make(&f);
	CU_ASSERT_TRUE(until(f.loop, was_adopted, &f, LIMIT_MS));
	CU_ASSERT_TRUE(pace_allows(pace, clock_boot_ms() - before, 400));
	CU_ASSERT_EQUAL(f.adoptions, 0);
	f.web.on_stop = CONF_MAINTENANCE;
	report_stop(f.report);
	CU_ASSERT_TRUE(until(f.loop, has_stopped, &f, LIMIT_MS));
	CU_ASSERT_TRUE(pace_allows(pace, clock_boot_ms() - before, 2400));
	pace_free(pace);
	consul_server_thaw(server);
	/* the order is in the socket's buffer, nobody waits for its answer any more */
	CU_ASSERT_TRUE(until(f.loop, web_maintained, &f, LIMIT_MS));
	unmake(&f);
	loop_free(f.loop);
}

static bool
web_free(void *arg)
{
	return !web_maintained(arg);
}

static void
stop(struct fixture *f, enum conf_on_stop on_stop)
{
	f->stopped = 0;
	f->web.on_stop = on_stop;
	report_stop(f->report);
	CU_ASSERT_EQUAL(f->stopped, 0);
	CU_ASSERT_TRUE(until(f->loop, has_stopped, f, 2000));
	CU_ASSERT_EQUAL(f->stopped, 1);
}

static void
test_stop(void)
{
	struct fixture f;

	open_fixture(&f);
	tell_all(&f, CHECK_WARNING);
	tell_role(&f, REPORT_BACKUP, 99);
	/* what comes while others are under way is said before the end */
	tell_all(&f, CHECK_PASSING);
	tell_role(&f, REPORT_MASTER, 100);
	stop(&f, CONF_LEAVE);
	CU_ASSERT_TRUE(all_shown(&f));
	CU_ASSERT_TRUE(web_free(NULL));

	restart(&f);
	CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
	tell_role(&f, REPORT_BACKUP, 101);
	stop(&f, CONF_MAINTENANCE);
	CU_ASSERT_TRUE(all_shown(&f));
	CU_ASSERT_TRUE(web_maintained(NULL));

	restart(&f);
	CU_ASSERT_TRUE(until(f.loop, web_free, &f, LIMIT_MS));
	CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
	CU_ASSERT_TRUE(all_shown(&f));
	stop(&f, CONF_DEREGISTER);
	CU_ASSERT_FALSE(service_is_there("web"));
	CU_ASSERT_TRUE(service_is_there("db-1"));
	close_fixture(&f);
}

/* An operator's maintenance outlives every registration of ours. */
static void
test_maintenance(void)
{
	struct fixture f;

	open_fixture(&f);
	tell_all(&f, CHECK_PASSING);
	put("/v1/agent/service/maintenance/db-1?enable=true&reason=disk", NULL);
	tell_role(&f, REPORT_MASTER, 200);
	CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	restart(&f);
	CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
	CU_ASSERT_TRUE(check_is("_service_maintenance:db-1", "critical"));
	put("/v1/agent/service/maintenance/db-1?enable=false", NULL);
	close_fixture(&f);
}

static bool
web_says(const char *reason)
{
	AUTO_JSON cJSON *checks = get("/v1/agent/checks");

	return text_is(
	    cJSON_GetObjectItemCaseSensitive(checks, "_service_maintenance:web"),
	    "Notes", reason);
}

static bool
ours_is_shown(void *arg)
{
	return web_says("lictor: disk") && in_sync(arg);
}

/* Ours is put back whatever wiped it, with its first reason, and ends when it is to. */
static void
test_upkeep(void)
{
	struct fixture f;

	open_fixture(&f);
	report_node(f.report, "dev");
	tell_all(&f, CHECK_PASSING);
	report_upkeep(f.report, &f.web, true, "lictor: disk");
	CU_ASSERT_TRUE(until(f.loop, ours_is_shown, &f, LIMIT_MS));
	put("/v1/agent/service/maintenance/web?enable=false", NULL);
	CU_ASSERT_TRUE(until(f.loop, ours_is_shown, &f, LIMIT_MS));
	put("/v1/agent/service/deregister/web", NULL);
	CU_ASSERT_TRUE(until(f.loop, ours_is_shown, &f, LIMIT_MS));
	report_upkeep(f.report, &f.web, true, "lictor: another disk");
	run_for(f.loop, 300);
	CU_ASSERT_TRUE(ours_is_shown(&f));
	stop(&f, CONF_MAINTENANCE);
	restart(&f); /* a stop that began none ends none */
	report_upkeep(f.report, &f.web, true, "lictor: disk");
	CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
	CU_ASSERT_TRUE(ours_is_shown(&f));
	report_upkeep(f.report, &f.web, false, "");
	CU_ASSERT_TRUE(until(f.loop, web_free, &f, LIMIT_MS));
	CU_ASSERT_FALSE(check_is("_service_maintenance:db-1", "critical"));
	report_upkeep(f.report, &f.web, true, "lictor: disk");
	CU_ASSERT_TRUE(until(f.loop, ours_is_shown, &f, LIMIT_MS));
	restart(&f); /* over while nobody ran */
	CU_ASSERT_TRUE(until(f.loop, web_free, &f, LIMIT_MS));
	close_fixture(&f);
}

static bool
told_of_disk(void *arg)
{
	return !strcmp(((struct fixture *)arg)->maintained, "disk");
}

static bool
told_of_none(void *arg)
{
	return !((struct fixture *)arg)->maintained[0];
}

static void
test_their_maintenance(void)
{
	struct fixture f;

	open_fixture(&f);
	report_node(f.report, "dev");
	CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
	run_for(f.loop, 500);
	put("/v1/agent/service/maintenance/db-1?enable=true&reason=disk", NULL);
	CU_ASSERT_TRUE(until(f.loop, told_of_disk, &f, LIMIT_MS));
	put("/v1/agent/service/maintenance/db-1?enable=false", NULL);
	CU_ASSERT_TRUE(until(f.loop, told_of_none, &f, LIMIT_MS));
	close_fixture(&f);
}

/* When the servers took the check last. */
static uint64_t
modified(const char *id)
{
	AUTO_FREE char *path =
	    xasprintf("/v1/health/node/dev?filter=CheckID==%%22%s%%22", id);
	AUTO_JSON cJSON *checks = get(path);
	uint64_t index = 0;

	json_get_uint(cJSON_GetArrayItem(checks, 0), "ModifyIndex", &index);
	return index;
}

/* The next configuration of the same host: db has another check in place of "query", web
 * is gone, "disk" is as it was. */
static void
configure_next(struct fixture *f, struct fixture *next)
{
	configure(next);
	next->checks[1].name = TEXT("space");
	next->all[2] = &next->checks[3];
	next->checks[3].index = 2;
	next->conf.n_services = 1;
	next->conf.n_checks = 3;
	next->conf.consul.address = f->conf.consul.address;
	report_reload(f->report, &next->conf, NULL);
}

static bool
web_gone(void *arg)
{
	(void)arg;
	return !service_is_there("web") && !check_is("db-1:query", "passing") &&
	    check_is("db-1:space", "warning");
}

/* What did not change does not notice, whatever else does. */
static void
test_reload(void)
{
	struct fixture f, next = { 0 };
	uint64_t port, disk;

	open_fixture(&f);
	tell_all(&f, CHECK_PASSING);
	tell_role(&f, REPORT_MASTER, 5);
	CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	port = modified("db-1:port");
	disk = modified("lictor:disk");
	CU_ASSERT_TRUE(port > 0 && disk > 0);
	configure_next(&f, &next);
	report_check(f.report, &next.checks[1], CHECK_WARNING, "warning");
	CU_ASSERT_TRUE(until(f.loop, web_gone, NULL, LIMIT_MS));
	CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
	CU_ASSERT_EQUAL(modified("db-1:port"), port);
	CU_ASSERT_EQUAL(modified("lictor:disk"), disk);
	CU_ASSERT_TRUE(check_is("db-1:port", "passing"));
	CU_ASSERT_TRUE(check_is("lictor:disk", "passing"));
	/* and back, the role not forgotten */
	f.conf.consul.ttl_ms = 2 * TTL_MS;
	report_reload(f.report, &f.conf, NULL);
	tell_all(&f, CHECK_WARNING);
	CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	close_fixture(&f);
}

#define MANY 300

static struct conf_check many[MANY];

/* db alone, with many checks. */
static void
configure_many(struct fixture *f, char *notes)
{
	static struct conf_check *all[MANY];
	static const struct conf_check *of_db[MANY];
	static char names[MANY][8];

	*f = (struct fixture){ .loop = loop_new() };
	configure(f);
	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "c%u", i);
		many[i] = (struct conf_check){ .index = i,
			.class = &reported,
			.name = names[i],
			.service = &f->db,
			.initial = CHECK_WARNING,
			.notes = notes };
		of_db[i] = all[i] = &many[i];
	}
	f->db.checks = of_db;
	f->db.n_checks = f->conf.n_checks = MANY;
	f->conf.n_services = 1;
	f->conf.checks = all;
}

static unsigned int
outputs_shown(const char *output)
{
	AUTO_JSON cJSON *checks = get("/v1/agent/checks");
	const cJSON *check;
	unsigned int n = 0;

	cJSON_ArrayForEach (check, checks)
		n += text_is(check, "Output", output);
	return n;
}

static void
tell_many(struct fixture *f, const char *output)
{
	for (uint32_t i = 0; i < MANY; i++)
		report_check_output(f->report, &many[i], output);
}

/* Outputs that change alone come a few at a time, where Consul has none yet more of them;
 * with a change of the status the newest comes at once. */
static void
test_budget(void)
{
	struct fixture f;
	unsigned int n;

	configure_many(&f, NULL);
	make(&f);
	CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
	tell_many(&f, "first");
	run_for(f.loop, 300);
	n = outputs_shown("first");
	CU_ASSERT_TRUE(n >= 20 && n <= 30);
	run_for(f.loop, 2200);
	n = outputs_shown("first");
	CU_ASSERT_TRUE(n >= 45 && n <= 75);
	report_check(f.report, &many[MANY - 1], CHECK_PASSING, "newest");
	CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
	CU_ASSERT_EQUAL(outputs_shown("newest"), 1);
	close_fixture(&f);
}

/* A service with more checks than one registration may carry. */
static void
test_many(void)
{
	char notes[1000], id[32];
	struct fixture f;

	memset(notes, 'n', sizeof(notes) - 1);
	notes[sizeof(notes) - 1] = '\0';
	configure_many(&f, notes);
	CU_ASSERT_TRUE(desired_checks_within(&f.db) < MANY);
	make(&f);
	CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
	for (uint32_t i = 0; i < MANY; i += MANY - 1) {
		snprintf(id, sizeof(id), "db-1:c%u", i);
		CU_ASSERT_TRUE(modified(id) > 0);
	}
	report_check(f.report, &many[MANY - 1], CHECK_PASSING, "passing");
	CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
	restart(&f);
	CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
	CU_ASSERT_EQUAL(f.adoptions, MANY);
	CU_ASSERT_EQUAL(f.adopted_last, CHECK_PASSING);
	close_fixture(&f);
}

static bool
web_expelled(void *arg)
{
	(void)arg;
	return !service_is_there("web");
}

static void
test_expelled(void)
{
	struct fixture f;

	open_fixture(&f);
	f.web.deregister_after_ms = 300;
	tell_all(&f, CHECK_PASSING);
	run_for(f.loop, 400);
	CU_ASSERT_TRUE(all_shown(&f));
	tell(&f, 2, CHECK_CRITICAL, "critical");
	run_for(f.loop, 150);
	CU_ASSERT_TRUE(all_shown(&f));
	CU_ASSERT_TRUE(until(f.loop, web_expelled, NULL, LIMIT_MS));
	run_for(f.loop, 300);
	CU_ASSERT_TRUE(web_expelled(NULL));
	CU_ASSERT_TRUE(report_in_sync(f.report));
	tell(&f, 2, CHECK_WARNING, "warning");
	CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	close_fixture(&f);
}

/* What is ours and configured no more goes; what is not ours stays. */
static void
test_removed(void)
{
	struct fixture f;

	open_fixture(&f);
	tell_role(&f, REPORT_BACKUP, 0);
	tell_all(&f, CHECK_PASSING);
	CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	put("/v1/agent/service/register",
	    "{\"ID\":\"mine\",\"Name\":\"mine\",\"Meta\":{\"lictor\":\"1\"}}");
	put("/v1/agent/service/register", "{\"ID\":\"theirs\",\"Name\":\"theirs\"}");
	put("/v1/agent/check/register",
	    "{\"ID\":\"db-1:old\",\"Name\":\"old\",\"ServiceID\":\"db-1\",\"TTL\":"
	    "\"4h\"}");
	put("/v1/agent/check/register",
	    "{\"ID\":\"their-check\",\"Name\":\"t\",\"ServiceID\":\"db-1\","
	    "\"TTL\":\"4h\"}");
	put("/v1/agent/check/register",
	    "{\"ID\":\"lictor:old\",\"Name\":\"old\",\"TTL\":\"4h\"}");
	restart(&f);
	CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
	CU_ASSERT_TRUE(all_shown(&f));
	CU_ASSERT_FALSE(service_is_there("mine"));
	CU_ASSERT_TRUE(service_is_there("theirs"));
	CU_ASSERT_FALSE(check_is("db-1:old", "critical"));
	CU_ASSERT_FALSE(check_is("lictor:old", "critical"));
	CU_ASSERT_TRUE(check_is("their-check", "critical"));
	put("/v1/agent/service/deregister/theirs", NULL);
	put("/v1/agent/check/deregister/their-check", NULL);
	close_fixture(&f);
}

static void
disturb(struct fixture *f)
{
	static const char *const spoils[] = {
		"/v1/agent/service/deregister/db-1",
		"/v1/agent/service/deregister/web",
		"/v1/agent/service/deregister/lictor",
		"/v1/agent/check/deregister/db-1:query",
		"/v1/agent/check/deregister/service:lictor",
		"/v1/agent/check/deregister/lictor:disk",
	};
	uint64_t dice = random_u64() % 16;
	uint32_t check = (uint32_t)(random_u64() % CHECKS);

	if (dice == 0)
		put(spoils[random_u64() % ARRAY_LENGTH(spoils)], NULL);
	else if (dice < 4)
		tell_role(
		    f, random_u64() % 2 ? REPORT_MASTER : REPORT_BACKUP, f->term + 1);
	else
		tell(f, check, dice % 3, words[dice % 3]);
	if (random_u64() % 4 == 0)
		run_for(f->loop, (int64_t)(random_u64() % 20));
}

/* Whatever the order of news and losses, the truth is shown once the heartbeat has found
 * something missing. */
static void
test_any_order(void)
{
	struct fixture f;

	open_fixture(&f);
	tell_role(&f, REPORT_BACKUP, 0);
	tell_all(&f, CHECK_PASSING);
	for (int round = 0; round < 12; round++) {
		for (int i = 0; i < 60; i++)
			disturb(&f);
		CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
		put("/v1/agent/service/deregister/lictor", NULL);
		CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	}
	close_fixture(&f);
}

static void
on_known(void *arg, const struct self_facts *facts)
{
	struct fixture *f = arg;

	str_copy(f->node, sizeof(f->node), facts->node);
}

static bool
node_known(void *arg)
{
	return ((struct fixture *)arg)->node[0] != '\0';
}

static void
test_self(void)
{
	struct fixture f;
	struct self_out out = { .known = on_known, .arg = &f };
	struct self *self;

	open_fixture(&f);
	self = self_new(f.loop, f.consul, NULL, NULL, &out);
	CU_ASSERT_TRUE(until(f.loop, node_known, &f, LIMIT_MS));
	CU_ASSERT_STRING_EQUAL(f.node, "dev");
	self_free(self);
	close_fixture(&f);
}

static const struct tap_case cases[] = {
	{ "services are registered with their states", test_registration },
	{ "nothing is shown before it is known", test_first_results },
	{ "every change of state is shown", test_states },
	{ "changes of the output alone wait", test_output },
	{ "tags and meta follow the role", test_role },
	{ "what Consul lost comes back", test_lost },
	{ "what others change comes back", test_others },
	{ "what is forged at the servers is put right", test_forged },
	{ "a restart goes on with what Consul shows", test_restart },
	{ "a late restart takes nothing over", test_restart_late },
	{ "a Consul that hangs", test_frozen },
	{ "start and stop beside a Consul that hangs", test_frozen_start },
	{ "on-stop", test_stop },
	{ "an operator's maintenance stays", test_maintenance },
	{ "our own maintenance is put back", test_upkeep },
	{ "maintenance by others is told", test_their_maintenance },
	{ "a reload writes what it changes", test_reload },
	{ "critical for too long", test_expelled },
	{ "more checks than one registration may carry", test_many },
	{ "outputs alone have a budget", test_budget },
	{ "what is configured no more is removed", test_removed },
	{ "news and losses in any order", test_any_order },
	{ "the node's name is found", test_self },
	{ "an address that is not Consul's is said once", test_wrong_address },
};

int
main(int argc, char **argv)
{
	return consul_server_main(
	    argc, argv, "report", cases, ARRAY_LENGTH(cases), &server);
}
