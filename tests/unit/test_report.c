/* SPDX-License-Identifier: ISC */
/*
 * Consul's picture of a host, against a real Consul: what report was told is what the
 * agent shows, whatever others did to it in between. One server does for all cases; each
 * begins with what the one before left, as a lictord with another configuration does.
 */
#include "agent/consul/report.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/desired.h"
#include "agent/consul/self.h"
#include "checks/check.h"
#include "tests/unit/consul_server.h"
#include "tests/unit/report_bed.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

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

/* There will be one on this. */
static const struct check_class measured = { .name = "tcp" };

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
			tell(&f, i, step % 3, check_status_name(step % 3));
			tell(&f, i, step / 3, check_status_name(step / 3));
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
			.class = f->checks[0].class,
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
		tell(f, check, dice % 3, check_status_name(dice % 3));
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
	{ "critical for too long", test_expelled },
	{ "more checks than one registration may carry", test_many },
	{ "outputs alone have a budget", test_budget },
	{ "what is configured no more is removed", test_removed },
	{ "news and losses in any order", test_any_order },
	{ "the node's name is found", test_self },
};

int
main(int argc, char **argv)
{
	return consul_server_main(
	    argc, argv, "report", cases, ARRAY_LENGTH(cases), &server);
}
