/* SPDX-License-Identifier: ISC */
/*
 * The same picture when somebody comes or goes: lictord that starts again, stops or reloads, a
 * Consul that hangs or is another, and operators with a maintenance. One server does for all
 * cases; each begins with what the one before left.
 */
#include "agent/consul/report.h"

#include <string.h>

#include "agent/base/json.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "checks/check.h"
#include "tests/unit/captured.h"
#include "tests/unit/consul_server.h"
#include "tests/unit/pace.h"
#include "tests/unit/report_bed.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

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
		tell(&f, i, i % 3, check_status_name(i % 3));
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

		tell(&f, i % CHECKS, i % 3, check_status_name(i % 3));
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

static const struct tap_case cases[] = {
	{ "a restart goes on with what Consul shows", test_restart },
	{ "a late restart takes nothing over", test_restart_late },
	{ "a Consul that hangs", test_frozen },
	{ "start and stop beside a Consul that hangs", test_frozen_start },
	{ "on-stop", test_stop },
	{ "an operator's maintenance stays", test_maintenance },
	{ "our own maintenance is put back", test_upkeep },
	{ "maintenance by others is told", test_their_maintenance },
	{ "a reload writes what it changes", test_reload },
	{ "an address that is not Consul's is said once", test_wrong_address },
};

int
main(int argc, char **argv)
{
	return consul_server_main(
	    argc, argv, "report_life", cases, ARRAY_LENGTH(cases), &server);
}
