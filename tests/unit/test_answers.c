/* SPDX-License-Identifier: ISC */
/*
 * Answers that Consul 1.8.7 does not give, or seldom: those of newer versions, of its limits,
 * of a proxy that stands in between. A scripted server stands before the real Consul, says
 * each of them to each kind of request, and passes everything else on. Whatever was said,
 * what Consul shows in the end is the truth, no check was ever shown worse than it was or is,
 * and the log is short.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/json.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/consul/report.h"
#include "tests/unit/consul_server.h"
#include "tests/unit/scripted.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define LIMIT_MS \
	60000 /* two calls that hang are given up after 6 s, and tried again later */
#define TTL_MS 900
#define CHECKS 3
#define SAID 2 /* so often in a row */
#define LINES 8 /* of the log, at most, for one fault */
#define TEXT(text) ((char *)(text))

static struct consul_server *server;

struct answer {
	int status; /* 0: the bytes as they are; NULL: none, the connection hangs */
	const char *text;
};

static const struct answer answers[] = {
	{ 403, "ACL not found" },
	{ 403, "Permission denied: anonymous token lacks permission 'service:write'" },
	{ 404, "Unknown check ID \"x\". Ensure that the check ID is passed" },
	{ 404, "unknown service ID: x" },
	{ 413, "Request body too large, max size: 524288 bytes." },
	{ 429, "rate limit exceeded, try a different server" },
	{ 429, "" },
	{ 500, "No cluster leader" },
	{ 500, "rpc error making call: i/o deadline reached" },
	{ 503, "rate limit exceeded, try again later" },
	{ 502, "<html>bad gateway</html>" },
	{ 200, "<html>please log in</html>" },
	{ 200, "{\"db-1:port\":" },
	{ 0, "" },
	{ 0, "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"a\"" },
	{ 0, "what do you want?\r\n\r\n" },
	{ 0, NULL },
};

struct fixture {
	struct loop *loop;
	struct conf conf;
	struct conf_service db, *services[1];
	struct conf_check checks[CHECKS], *all[CHECKS];
	const struct conf_check *of_db[2];
	struct scripted *proxy;
	struct consul *consul;
	struct report *report;
	enum check_status status[CHECKS], before[CHECKS];
	/* what is said to requests that begin so, and how often yet */
	const char *to;
	const struct answer *answer;
	unsigned int left;
};

static const struct check_class reported = { .name = "ttl", .passive = true };
static char *none[] = { NULL };
static const char *const words[] = { "passing", "warning", "critical" };
static const char *const ids[CHECKS] = { "db-1:port", "db-1:query", "lictor:disk" };

static void
pass_on(const char *request, struct scripted_call *call)
{
	static char out[1u << 17];
	char method[8], path[256];
	const char *body = strstr(request, "\r\n\r\n");
	int status = -1;

	if (sscanf(request, "%7s %255s", method, path) == 2)
		status = consul_server_ask(
		    server, method, path, body ? body + 4 : NULL, out, sizeof(out));
	if (status > 0)
		scripted_answer(call, status, "", out);
	else
		scripted_raw(call, "");
}

static void
on_asked(void *arg, const char *request, struct scripted_call *call)
{
	struct fixture *f = arg;

	if (f->left == 0 || strncmp(request, f->to, strlen(f->to)) != 0) {
		pass_on(request, call);
		return;
	}
	f->left--;
	if (f->answer->status)
		scripted_answer(call, f->answer->status, "", f->answer->text);
	else if (f->answer->text)
		scripted_raw(call, f->answer->text);
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
on_nothing(void *arg)
{
	(void)arg;
}

static void
configure(struct fixture *f)
{
	static const char *const names[CHECKS] = { "port", "query", "disk" };

	f->db = (struct conf_service){
		.name = TEXT("db"),
		.id = TEXT("db-1"),
		.tags = none,
		.meta = none,
		.weight = 1,
		.warning_weight = 1,
		.checks = f->of_db,
		.n_checks = 2,
	};
	for (uint32_t i = 0; i < CHECKS; i++) {
		f->checks[i] = (struct conf_check){
			.index = i,
			.class = &reported,
			.name = TEXT(names[i]),
			.service = i < 2 ? &f->db : NULL,
			.initial = CHECK_CRITICAL,
		};
		f->all[i] = &f->checks[i];
	}
	f->of_db[0] = &f->checks[0];
	f->of_db[1] = &f->checks[1];
	f->services[0] = &f->db;
	f->conf = (struct conf){
		.services = f->services,
		.n_services = 1,
		.checks = f->all,
		.n_checks = CHECKS,
	};
	f->conf.consul.address = TEXT(scripted_address(f->proxy));
	f->conf.consul.ttl_ms = TTL_MS;
}

static void
tell_all(struct fixture *f, unsigned int step)
{
	for (uint32_t i = 0; i < CHECKS; i++) {
		f->before[i] = f->status[i];
		f->status[i] = (step + i) % 2 ? CHECK_WARNING : CHECK_PASSING;
		report_check(f->report, &f->checks[i], f->status[i], "words");
	}
}

static cJSON *
shown_checks(void)
{
	static char out[1u << 17];

	if (consul_server_ask(
		server, "GET", "/v1/agent/checks", NULL, out, sizeof(out)) != 200)
		return NULL;
	return json_parse(out, strlen(out));
}

static const char *
shown(const cJSON *checks, const char *id)
{
	const char *text =
	    json_text(cJSON_GetObjectItemCaseSensitive(checks, id), "Status");

	return text ? text : "";
}

static bool
all_shown(void *arg)
{
	const struct fixture *f = arg;
	AUTO_JSON cJSON *checks = shown_checks();

	for (uint32_t i = 0; i < CHECKS; i++) {
		const char *status = shown(checks, ids[i]);

		/* no worse than what was true and is */
		CU_ASSERT_STRING_NOT_EQUAL(status, "critical");
		if (strcmp(status, words[f->status[i]]) != 0)
			return false;
	}
	return f->left < SAID && report_in_sync(f->report) &&
	    !strcmp(shown(checks, "service:lictor"), "passing") &&
	    /* the node's check counts as well */
	    !strcmp(shown(checks, "db-1:lictor"), words[f->status[2]]);
}

static void
open_fixture(struct fixture *f)
{
	struct report_out out = {
		.adopt = on_adopt,
		.adopted = on_nothing,
		.stopped = on_nothing,
		.arg = f,
	};

	*f = (struct fixture){ .loop = loop_new() };
	f->proxy = scripted_new(f->loop, on_asked, f);
	configure(f);
	f->consul = consul_new(f->loop, &f->conf.consul);
	f->report = report_new(f->loop, f->consul, &f->conf, &out);
}

static void
close_fixture(struct fixture *f)
{
	report_free(f->report);
	consul_free(f->consul);
	scripted_free(f->proxy);
	loop_free(f->loop);
}

static size_t
log_lines(int log)
{
	static char text[1u << 15];
	ssize_t len = pread(log, text, sizeof(text), 0);
	size_t n = 0;

	for (ssize_t i = 0; i < len; i++)
		n += text[i] == '\n';
	return n;
}

static void
deregister(const char *what)
{
	char path[128], out[256];

	snprintf(path, sizeof(path), "/v1/agent/%s", what);
	consul_server_ask(server, "PUT", path, NULL, out, sizeof(out));
}

/* Something to do for every kind of request: a loss, and news. */
static void
disturb(struct fixture *f, unsigned int step)
{
	tell_all(f, step);
	deregister("service/deregister/db-1");
	deregister("check/deregister/lictor:disk");
	deregister("service/deregister/lictor");
}

static bool
is_said(void *arg)
{
	return ((struct fixture *)arg)->left < SAID;
}

/* What is not taken as it is is not said again in haste; a reload is a new beginning. */
static void
begin_anew(struct fixture *f)
{
	CU_ASSERT_TRUE(until(f->loop, is_said, f, LIMIT_MS));
	run_for(f->loop, 50);
	f->left = 0;
	report_reload(f->report, &f->conf, NULL);
}

static void
say_all_to(const char *to)
{
	int keep = fcntl(2, F_DUPFD_CLOEXEC, 3);
	struct fixture f;

	CU_ASSERT_TRUE_FATAL(keep >= 0);
	open_fixture(&f);
	tell_all(&f, 0);
	report_start(f.report);
	CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
	for (unsigned int i = 0; i < ARRAY_LENGTH(answers); i++) {
		AUTO_CLOSE int log = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

		dup2(log, 2);
		f.to = to;
		f.answer = &answers[i];
		f.left = SAID;
		disturb(&f, i);
		if (answers[i].status == 413)
			begin_anew(&f);
		CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
		dup2(keep, 2);
		if (f.left == SAID || log_lines(log) > LINES)
			fprintf(stderr, "%d %s to %s: %u unsaid, %zu lines\n",
			    answers[i].status, answers[i].text ? answers[i].text : "-",
			    to, f.left, log_lines(log));
		CU_ASSERT_TRUE(f.left < SAID);
		CU_ASSERT_TRUE(log_lines(log) <= LINES);
		f.left = 0;
	}
	close(keep);
	close_fixture(&f);
}

static void
test_beat(void)
{
	say_all_to("PUT /v1/agent/check/update/service:lictor");
}

static void
test_update(void)
{
	say_all_to("PUT /v1/agent/check/update/db-1%3Aport");
}

static void
test_service(void)
{
	say_all_to("PUT /v1/agent/service/register");
}

static void
test_check(void)
{
	say_all_to("PUT /v1/agent/check/register");
}

static void
test_checks(void)
{
	say_all_to("GET /v1/agent/checks ");
}

static void
test_services(void)
{
	say_all_to("GET /v1/agent/services ");
}

/* The first question of a life. A 404 there is another's address: what follows is as if
 * Consul knew nothing. */
static void
test_look(void)
{
	for (unsigned int i = 0; i < ARRAY_LENGTH(answers); i++) {
		struct fixture f;

		open_fixture(&f);
		f.to = "GET /v1/agent/checks?filter=";
		f.answer = &answers[i];
		f.left = answers[i].status == 403 || answers[i].status == 404 ||
			answers[i].status == 413
		    ? 1
		    : SAID;
		tell_all(&f, i);
		report_start(f.report);
		CU_ASSERT_TRUE(until(f.loop, all_shown, &f, LIMIT_MS));
		close_fixture(&f);
	}
}

static const struct tap_case cases[] = {
	{ "to the first look", test_look },
	{ "to a heartbeat", test_beat },
	{ "to an update", test_update },
	{ "to a registration", test_service },
	{ "to the registration of a node's check", test_check },
	{ "to the question for the checks", test_checks },
	{ "to the question for the services", test_services },
};

int
main(int argc, char **argv)
{
	return consul_server_main(
	    argc, argv, "answers", cases, ARRAY_LENGTH(cases), &server);
}
