/* SPDX-License-Identifier: ISC */
/*
 * What becomes of Consul's picture of a host where the order of answers decides, against a
 * script: what is told before the host begins its work, a picture asked for twice, a loss
 * or a call without an answer in the middle of one, a registration that is not taken as it
 * is, and a service that Consul's servers keep. What Consul does is test_report's to see.
 */
#include "agent/consul/report.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/consul/desired.h"
#include "tests/unit/pace.h"
#include "tests/unit/scripted.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define LIMIT_MS 20000
#define TTL_MS 3000
#define TEXT(text) ((char *)(text))

static const char alive[] = "\"service:lictor\":{\"Status\":\"passing\"}";

struct fixture {
	struct loop *loop;
	struct conf conf, next;
	struct conf_service db, *services[1];
	struct conf_check port, *all[1];
	const struct conf_check *of_db[1];
	struct scripted *server;
	struct consul *consul;
	struct report *report;
	/* the script */
	const char *checks, *services_shown; /* by the agent */
	const char *catalog; /* the servers' services; NULL: no answer */
	int register_status; /* of db */
	int beat_status;
	bool hold, hang; /* the picture; the next update */
	struct scripted_call *held, *watched; /* it; the watch of lictor's definition */
	struct scripted_call *polled; /* the one of the servers' services */
	unsigned int readings, services_read, registered, vouched, updated, beaten;
	unsigned int wanted;
	/* what was told */
	bool maintained, adopted, ready_in_maintenance;
};

static const struct check_class reported = { .name = "ttl", .passive = true };
static char *none[] = { NULL };

static bool
is(const char *request, const char *begin)
{
	return !strncmp(request, begin, strlen(begin));
}

static void
answer(struct scripted_call *call, const char *body)
{
	scripted_answer(call, 200, "", body);
}

static void
say(struct scripted_call *call, int status, const char *trouble)
{
	scripted_answer(call, status, "", status == 200 ? "" : trouble);
}

static void
on_put(struct fixture *f, const char *request, struct scripted_call *call)
{
	if (is(request, "PUT /v1/agent/check/update/service:lictor ")) {
		f->beaten++;
		say(call, f->beat_status, "Unknown check ID");
	} else if (is(request, "PUT /v1/agent/check/update/")) {
		f->updated++;
		if (f->hang)
			scripted_raw(call, "");
		else
			answer(call, "");
		f->hang = false;
	} else if (strstr(request, "\"db\"")) {
		f->registered++;
		say(call, f->register_status, "too large");
	} else if (is(request, "PUT /v1/agent/service/register")) {
		f->vouched++;
		answer(call, "");
	} else {
		answer(call, "");
	}
}

static void
on_checks(struct fixture *f, struct scripted_call *call)
{
	f->readings++;
	if (f->hold)
		f->held = call;
	else
		answer(call, f->checks);
}

static void
on_asked(void *arg, const char *request, struct scripted_call *call)
{
	struct fixture *f = arg;
	AUTO_FREE char *look = xasprintf("{%s}", alive);

	if (is(request, "PUT "))
		on_put(f, request, call);
	else if (is(request, "GET /v1/agent/checks?filter="))
		answer(call, look);
	else if (is(request, "GET /v1/agent/checks "))
		on_checks(f, call);
	else if (is(request, "GET /v1/agent/services ")) {
		f->services_read++;
		answer(call, f->services_shown);
	} else if (is(request, "GET /v1/agent/service/lictor "))
		f->watched = call;
	else if (is(request, "GET /v1/catalog/node/n1 ") && f->catalog)
		scripted_answer(call, 200, "X-Consul-Index: 7\r\n", f->catalog);
	else if (is(request, "GET /v1/catalog/node/n1?"))
		f->polled = call;
}

static void
on_adopt(void *arg, const struct conf_check *check, enum check_status status,
    const char *output)
{
	(void)arg;
	(void)check;
	(void)status;
	(void)output;
}

static void
on_adopted(void *arg)
{
	struct fixture *f = arg;

	f->adopted = true;
	f->ready_in_maintenance = !f->maintained;
}

static void
on_maintenance(
    void *arg, const struct conf_service *service, bool on, const char *reason)
{
	(void)reason;
	if (!service)
		((struct fixture *)arg)->maintained = on;
}

static void
on_stopped(void *arg)
{
	(void)arg;
}

static void
configure(struct fixture *f)
{
	f->db = (struct conf_service){
		.name = TEXT("db"),
		.id = TEXT("db"),
		.tags = none,
		.meta = none,
		.weight = 1,
		.warning_weight = 1,
		.checks = f->of_db,
		.n_checks = 1,
	};
	f->port = (struct conf_check){
		.class = &reported,
		.name = TEXT("port"),
		.service = &f->db,
		.initial = CHECK_CRITICAL,
	};
	f->services[0] = &f->db;
	f->all[0] = &f->port;
	f->of_db[0] = &f->port;
	f->conf = (struct conf){
		.services = f->services,
		.n_services = 1,
		.checks = f->all,
		.n_checks = 1,
	};
	f->conf.consul.ttl_ms = TTL_MS;
	f->conf.consul.address = xstrdup(scripted_address(f->server));
	f->next = f->conf;
	f->next.consul.ttl_ms = 2 * TTL_MS;
}

static void
open_fixture(struct fixture *f)
{
	struct report_out out = {
		.adopt = on_adopt,
		.adopted = on_adopted,
		.maintenance = on_maintenance,
		.stopped = on_stopped,
		.arg = f,
	};

	*f = (struct fixture){ .loop = loop_new(), .checks = "{}" };
	f->services_shown = "{}";
	f->register_status = f->beat_status = 200;
	f->server = scripted_new(f->loop, on_asked, f);
	configure(f);
	f->consul = consul_new(f->loop, &f->conf.consul);
	f->report = report_new(f->loop, f->consul, &f->conf, &out);
}

static void
close_fixture(struct fixture *f)
{
	report_free(f->report);
	consul_free(f->consul);
	scripted_free(f->server);
	free(f->conf.consul.address);
	loop_free(f->loop);
}

static bool
in_sync(void *arg)
{
	return report_in_sync(((struct fixture *)arg)->report);
}

static bool
is_watched(void *arg)
{
	return ((struct fixture *)arg)->watched != NULL;
}

static bool
is_held(void *arg)
{
	return ((struct fixture *)arg)->held != NULL;
}

static bool
is_adopted(void *arg)
{
	return ((struct fixture *)arg)->adopted;
}

static bool
read_enough(void *arg)
{
	struct fixture *f = arg;

	return f->readings >= f->wanted && f->services_read >= f->wanted;
}

static bool
wait_read(struct fixture *f, unsigned int readings, int64_t limit)
{
	f->wanted = readings;
	return until(f->loop, read_enough, f, limit);
}

/* In sync, with the watch of lictor's definition under way. */
static void
start(struct fixture *f)
{
	open_fixture(f);
	report_start(f->report);
	report_node(f->report, "n1");
	report_check(f->report, &f->port, CHECK_PASSING, "");
	CU_ASSERT_TRUE(until(f->loop, in_sync, f, LIMIT_MS));
	CU_ASSERT_TRUE_FATAL(until(f->loop, is_watched, f, LIMIT_MS));
	f->readings = f->services_read = 0;
}

/* Somebody changes something. */
static void
news(struct fixture *f)
{
	struct scripted_call *call = f->watched;

	f->watched = NULL;
	answer(call, "{\"ContentHash\":\"a1\"}");
}

/* A host in Consul's own maintenance is never taken for ready. */
static void
test_adopted(void)
{
	struct fixture f;

	open_fixture(&f);
	f.checks = "{\"_node_maintenance\":{\"CheckID\":\"_node_maintenance\","
		   "\"Status\":\"critical\",\"Notes\":\"moved\"}}";
	report_start(f.report);
	CU_ASSERT_TRUE(until(f.loop, is_adopted, &f, LIMIT_MS));
	CU_ASSERT_FALSE(f.ready_in_maintenance);
	close_fixture(&f);
}

/* A look that was due, and another way to beat: the picture is read once. */
static void
test_once(void)
{
	struct fixture f;

	start(&f);
	news(&f);
	run_for(f.loop, 20);
	f.hold = true;
	report_reload(f.report, &f.next, NULL);
	CU_ASSERT_TRUE(until(f.loop, is_held, &f, LIMIT_MS));
	run_for(f.loop, 150);
	CU_ASSERT_EQUAL(f.readings, 1);
	f.hold = false;
	answer(f.held, f.checks);
	CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
	close_fixture(&f);
}

/* A call without an answer may be carried out late: there is a look a second later, though
 * others come before. */
static void
test_late(void)
{
	struct fixture f;

	start(&f);
	f.hold = f.hang = true;
	report_check(f.report, &f.port, CHECK_WARNING, "");
	CU_ASSERT_TRUE(until(f.loop, is_held, &f, LIMIT_MS));
	CU_ASSERT_TRUE(until(f.loop, is_watched, &f, LIMIT_MS));
	news(&f);
	run_for(f.loop, 50);
	f.hold = false;
	answer(f.held, f.checks);
	CU_ASSERT_TRUE(wait_read(&f, 2, 500));
	run_for(f.loop, 600);
	CU_ASSERT_EQUAL(f.readings, 2);
	CU_ASSERT_TRUE(wait_read(&f, 3, 1500));
	run_for(f.loop, 300);
	CU_ASSERT_EQUAL(f.readings, 3);
	close_fixture(&f);
}

/* Lost while the picture is read, which may not show it. */
static void
test_lost(void)
{
	struct fixture f;
	unsigned int beaten;

	start(&f);
	f.hold = true;
	news(&f);
	CU_ASSERT_TRUE(until(f.loop, is_held, &f, LIMIT_MS));
	f.beat_status = 404;
	beaten = f.beaten;
	while (f.beaten == beaten)
		run_for(f.loop, 20);
	f.beat_status = 200;
	run_for(f.loop, 50);
	f.hold = false;
	answer(f.held, f.checks);
	CU_ASSERT_TRUE(wait_read(&f, 2, 500));
	close_fixture(&f);
}

/* What Consul does not take as it is does not go out again before it is another, or Consul
 * is; and holds up nothing. */
static void
test_refused(void)
{
	struct fixture f;

	open_fixture(&f);
	f.register_status = 413;
	report_start(f.report);
	report_node(f.report, "n1");
	report_check(f.report, &f.port, CHECK_PASSING, "");
	CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
	CU_ASSERT_TRUE_FATAL(until(f.loop, is_watched, &f, LIMIT_MS));
	CU_ASSERT_EQUAL(f.registered, 1);
	run_for(f.loop, 800);
	report_check(f.report, &f.port, CHECK_PASSING, "as it was");
	run_for(f.loop, 100);
	CU_ASSERT_EQUAL(f.registered, 1);
	CU_ASSERT_TRUE(report_in_sync(f.report));
	report_check(f.report, &f.port, CHECK_WARNING, "");
	run_for(f.loop, 100);
	CU_ASSERT_EQUAL(f.registered, 2);
	f.register_status = 200;
	scripted_raw(f.watched, "");
	run_for(f.loop, 100);
	CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
	CU_ASSERT_TRUE(f.registered >= 3);
	close_fixture(&f);
}

/* A token that is given back is met by the heartbeat: what else was refused goes out with
 * it, however long it would have waited. */
static void
test_welcome(void)
{
	struct pace *pace = pace_new(10, NULL, NULL);
	struct fixture f;
	int64_t back;

	start(&f);
	f.beat_status = f.register_status = 403;
	report_role(f.report, &f.db, REPORT_NO_ROLE, 5); /* registered again */
	run_for(f.loop, 3000); /* by now the next try may be seconds away */
	CU_ASSERT_TRUE(f.registered >= 3);
	f.registered = 0;
	f.beat_status = f.register_status = 200;
	back = clock_boot_ms();
	CU_ASSERT_TRUE(until(f.loop, in_sync, &f, LIMIT_MS));
	CU_ASSERT_TRUE(pace_allows(pace, clock_boot_ms() - back, 1200));
	CU_ASSERT_EQUAL(f.registered, 1);
	close_fixture(&f);
	pace_free(pace);
}

static unsigned int
count(const char *text, const char *words)
{
	unsigned int n = 0;

	for (const char *at = text; (at = strstr(at, words)) != NULL; at++)
		n++;
	return n;
}

static void
read_log(int fd, char *out, size_t size)
{
	ssize_t len = pread(fd, out, size - 1, 0);

	out[len > 0 ? len : 0] = '\0';
}

/* In the log that standard error is. */
static bool
is_said(const char *words)
{
	static char text[1u << 15];

	read_log(2, text, sizeof(text));
	return count(text, words) > 0;
}

static bool
is_left_said(void *arg)
{
	(void)arg;
	return is_said("service old was removed");
}

/* Whoever asks the servers hears that there is only theirs. */
static bool
is_end_said(void *arg)
{
	struct fixture *f = arg;

	if (scripted_waits(f->server, f->polled))
		scripted_answer(f->polled, 200, "X-Consul-Index: 8\r\n", f->catalog);
	return is_said("servers show service old no more");
}

/* What the agent dropped and its servers keep is said once, and when it is gone. */
static void
test_left(void)
{
	static char log[1u << 15];
	struct fixture f;
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int keep = fcntl(2, F_DUPFD_CLOEXEC, 3);

	CU_ASSERT_TRUE_FATAL(fd >= 0 && keep >= 0);
	dup2(fd, 2);
	open_fixture(&f);
	f.catalog = "{\"Services\":{\"old\":{\"Meta\":{\"lictor\":\"0.1\"}},"
		    "\"theirs\":{\"Meta\":{}}}}";
	report_start(f.report);
	report_node(f.report, "n1");
	report_check(f.report, &f.port, CHECK_PASSING, "");
	CU_ASSERT_TRUE(until(f.loop, is_left_said, &f, LIMIT_MS));
	f.catalog = "{\"Services\":{\"theirs\":{\"Meta\":{}}}}";
	CU_ASSERT_TRUE(until(f.loop, is_end_said, &f, LIMIT_MS));
	dup2(keep, 2);
	read_log(fd, log, sizeof(log));
	CU_ASSERT_EQUAL(count(log, "service old was removed from Consul's agent"), 1);
	CU_ASSERT_EQUAL(count(log, "servers show service old no more"), 1);
	CU_ASSERT_EQUAL(count(log, "theirs"), 0);
	close(keep);
	close(fd);
	close_fixture(&f);
}

/* As Consul's agent shows what is registered so; the caller's, as `want` is not any more. */
static char *
shown(cJSON *want)
{
	cJSON_AddStringToObject(want, "Service", json_text(want, "Name"));
	char *text = json_print(want);
	cJSON_Delete(want);
	return text;
}

static bool
was_vouched(void *arg)
{
	return ((struct fixture *)arg)->vouched > 0;
}

static bool
was_registered(void *arg)
{
	return ((struct fixture *)arg)->registered > 0;
}

/* News, with an alias that says that lictor is dead while Consul hears it live. */
static void
alias_behind(struct fixture *f, const char *more, char **services, char **checks)
{
	AUTO_FREE char *lictor = shown(desired_lictor(TTL_MS));
	AUTO_FREE char *db = shown(desired_form(&f->db, REPORT_NO_ROLE, 0));

	*services = xasprintf("{\"lictor\":%s,\"db\":%s}", lictor, db);
	*checks = xasprintf(
	    "{\"service:lictor\":{\"Status\":\"passing\",\"ServiceID\":\"lictor\"},"
	    "\"db:port\":{\"Status\":\"passing\",\"ServiceID\":\"db\","
	    "\"Name\":\"port\",\"Type\":\"ttl\"},"
	    "\"db:lictor\":{\"Status\":\"critical\",\"ServiceID\":\"db\","
	    "\"Name\":\"lictor\",\"Type\":\"alias\"}%s}",
	    more);
	f->services_shown = *services;
	f->checks = *checks;
	f->vouched = f->registered = 0;
	news(f);
	CU_ASSERT_TRUE(wait_read(f, 1, LIMIT_MS));
}

/* It is woken, and if that does not help, made anew; once. */
static void
test_behind(void)
{
	AUTO_FREE char *services = NULL, *checks = NULL;
	struct fixture f;

	start(&f);
	alias_behind(&f, "", &services, &checks);
	CU_ASSERT_TRUE(until(f.loop, was_vouched, &f, LIMIT_MS));
	CU_ASSERT_EQUAL(f.registered, 0);
	CU_ASSERT_TRUE(until(f.loop, was_registered, &f, LIMIT_MS));
	run_for(f.loop, 2500);
	CU_ASSERT_EQUAL(f.vouched, 1);
	CU_ASSERT_EQUAL(f.registered, 1);
	close_fixture(&f);
}

/* An alias sees what is critical on the node as well. */
static void
test_not_behind(void)
{
	AUTO_FREE char *services = NULL, *checks = NULL;
	struct fixture f;

	start(&f);
	alias_behind(&f, ",\"disk\":{\"Status\":\"critical\"}", &services, &checks);
	run_for(f.loop, 2500);
	CU_ASSERT_EQUAL(f.readings, 1);
	CU_ASSERT_EQUAL(f.vouched, 0);
	CU_ASSERT_EQUAL(f.registered, 0);
	close_fixture(&f);
}

static const struct tap_case cases[] = {
	{ "an alias that is behind", test_behind },
	{ "an alias that is critical for the node", test_not_behind },
	{ "a maintenance is told before the work begins", test_adopted },
	{ "the picture is read once at a time", test_once },
	{ "a late look after a call without an answer", test_late },
	{ "a loss while the picture is read", test_lost },
	{ "a registration that is not taken as it is", test_refused },
	{ "a token that is given back", test_welcome },
	{ "a service that only the servers have", test_left },
};

TAP_MAIN_APART("reading", cases)
