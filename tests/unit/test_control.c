/* SPDX-License-Identifier: ISC */
/* The control socket: what clients may send, how much, and what they get. */
#include "agent/status/control.h"

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "tests/unit/tap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct bench {
	struct loop *loop;
	struct control *control;
	struct loop_timer *limit;
	char dir[32], path[64], said[128];
	int listener, client;
	bool timed_out;
	uint64_t reload; /* the newest request for one */
	struct loop_timer *reloaded; /* answers it */
};

static cJSON *
on_status(void *arg)
{
	return cJSON_Parse("{\"node\":\"n1\"}");
}

static int
on_switchover(void *arg, const char *role, const char *to, char *why, size_t size)
{
	struct bench *bench = arg;

	snprintf(bench->said, sizeof(bench->said), "switchover %s %s", role, to);
	str_copy(why, size, "no such candidate");
	return strcmp(to, "n9") == 0 ? -ENOENT : 0;
}

static int
on_init(void *arg, const char *role, char *why, size_t size)
{
	struct bench *bench = arg;

	snprintf(bench->said, sizeof(bench->said), "init %s", role);
	return 0;
}

static int
on_pause(void *arg, const char *role, bool on, const char *who, const char *reason,
    char *why, size_t size)
{
	struct bench *bench = arg;

	snprintf(bench->said, sizeof(bench->said), "%s %s %s %s",
	    on ? "pause" : "resume", role, who, reason);
	str_copy(why, size, "it is not paused");
	return on ? 0 : -EINVAL;
}

static cJSON *
on_explain(void *arg, const char *role, char *why, size_t size)
{
	str_copy(why, size, "no such role");
	return strcmp(role, "db") == 0 ? cJSON_CreateObject() : NULL;
}

/* Answered from within. */
static int
on_force(void *arg, uint64_t request, const char *role, const char *to,
    const char *fenced, char *why, size_t size)
{
	struct bench *bench = arg;

	snprintf(bench->said, sizeof(bench->said), "force %s %s %s", role, to, fenced);
	str_copy(why, size, "lictor stops");
	if (strcmp(role, "none") == 0)
		return -ENOENT;
	control_answer(bench->control, request, strcmp(fenced, "n1") == 0,
	    "the fence names another node");
	return 0;
}

static int
on_rotate(void *arg, char *why, size_t size)
{
	struct bench *bench = arg;

	str_copy(bench->said, sizeof(bench->said), "rotate");
	return 0;
}

static int
on_report(void *arg, const char *check, enum check_status status, const char *output,
    char *why, size_t size)
{
	struct bench *bench = arg;

	snprintf(bench->said, sizeof(bench->said), "%s %s %s",
	    check_status_name(status), check, output);
	str_copy(why, size, "no such check");
	return strcmp(check, "none") == 0 ? -EINVAL : 0;
}

static int
on_maintenance(void *arg, const char *service, const struct control_maintenance *wanted,
    char *why, size_t size)
{
	struct bench *bench = arg;

	snprintf(bench->said, sizeof(bench->said), "%s %s %lld %s %s",
	    wanted->on ? "on" : "off", service != NULL ? service : "-",
	    (long long)wanted->span_ms, wanted->reason, wanted->who);
	str_copy(why, size, "no such service");
	return service != NULL && strcmp(service, "none") == 0 ? -ENOENT : 0;
}

static int
on_handover(void *arg, bool on, char *why, size_t size)
{
	struct bench *bench = arg;

	snprintf(bench->said, sizeof(bench->said), "handover %s", on ? "on" : "off");
	str_copy(why, size, "lictor stops");
	return on ? 0 : -ESHUTDOWN;
}

static int
on_reload(void *arg, uint64_t request, char *why, size_t size)
{
	struct bench *bench = arg;

	bench->reload = request;
	str_copy(why, size, "lictor stops");
	if (bench->reloaded == NULL)
		return -ESHUTDOWN;
	loop_timer_after(bench->reloaded, 0);
	return 0;
}

/* Of what nobody asked for it is told too. */
static void
on_reloaded(void *arg)
{
	struct bench *bench = arg;

	control_answer(bench->control, bench->reload + 1, true, "another");
	control_answer(bench->control, 0, true, "nobody's");
	control_answer(
	    bench->control, bench->reload, bench->reload == 2, "a.conf:1: x");
}

static void
on_limit(void *arg)
{
	struct bench *bench = arg;

	bench->timed_out = true;
	loop_stop(bench->loop);
}

static int
connect_client(const struct bench *bench)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	str_copy(address.sun_path, sizeof(address.sun_path), bench->path);
	CU_ASSERT_FATAL(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static void
bench_open(struct bench *bench)
{
	struct control_out out = { .status = on_status,
		.switchover = on_switchover,
		.init = on_init,
		.pause = on_pause,
		.explain = on_explain,
		.force = on_force,
		.rotate = on_rotate,
		.report = on_report,
		.maintenance = on_maintenance,
		.handover = on_handover,
		.reload = on_reload,
		.upgrade = on_reload,
		.arg = bench };
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	*bench = (struct bench){ .dir = "/tmp/lictor-test-XXXXXX" };
	CU_ASSERT_FATAL(mkdtemp(bench->dir) != NULL);
	snprintf(bench->path, sizeof(bench->path), "%s/s", bench->dir);
	str_copy(address.sun_path, sizeof(address.sun_path), bench->path);
	bench->listener =
	    socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CU_ASSERT_FATAL(
	    bind(bench->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	CU_ASSERT_FATAL(listen(bench->listener, 64) == 0);
	bench->loop = loop_new();
	bench->limit = loop_timer_new(bench->loop, on_limit, bench);
	bench->control = control_new(bench->loop, bench->listener, &out);
	bench->client = connect_client(bench);
}

static void
bench_close(struct bench *bench)
{
	close(bench->client);
	control_free(bench->control);
	loop_timer_free(bench->limit);
	loop_free(bench->loop);
	close(bench->listener);
	unlink(bench->path);
	rmdir(bench->dir);
}

struct reader {
	struct bench *bench;
	char *out;
	size_t size, len;
	bool eof;
};

static void
on_answer(void *arg, unsigned int events)
{
	struct reader *reader = arg;
	ssize_t n = recv(reader->bench->client, reader->out + reader->len,
	    reader->size - 1 - reader->len, MSG_DONTWAIT);

	if (n > 0)
		reader->len += (size_t)n;
	reader->eof = n == 0 || (n < 0 && errno != EAGAIN);
	reader->out[reader->len] = '\0';
	if (reader->eof || (reader->len > 0 && reader->out[reader->len - 1] == '\n'))
		loop_stop(reader->bench->loop);
}

/* Runs the loop until the client has a whole line (true) or was closed (false). */
static bool
await_line(struct bench *bench, char *out, size_t size, int64_t limit_ms)
{
	struct reader reader = { .bench = bench, .out = out, .size = size };
	struct loop_io *io =
	    loop_io_new(bench->loop, bench->client, on_answer, &reader);

	out[0] = '\0';
	bench->timed_out = false;
	loop_io_watch(io, LOOP_READ);
	loop_timer_after(bench->limit, limit_ms);
	loop_run(bench->loop);
	loop_timer_stop(bench->limit);
	loop_io_free(io);
	CU_ASSERT(!bench->timed_out);
	return !reader.eof;
}

/* The error of the answer to a line, or "ok", or "closed". */
static void
exchange(struct bench *bench, const char *line, char *out, size_t size)
{
	char text[4096];

	CU_ASSERT(send(bench->client, line, strlen(line), MSG_NOSIGNAL) ==
	    (ssize_t)strlen(line));
	if (!await_line(bench, text, sizeof(text), 8000)) {
		str_copy(out, size, "closed");
		return;
	}
	cJSON *answer AUTO_JSON = json_parse(text, strlen(text) - 1);
	bool ok = false;
	CU_ASSERT_FATAL(answer != NULL);
	CU_ASSERT(json_get_bool(answer, "ok", &ok));
	str_copy(out, size, ok ? "ok" : json_text(answer, "error"));
}

/* What a line is answered, and what the owner was told: "" is nothing. */
struct row {
	const char *line, *answer, *said;
};

static void
exchange_rows(const struct row *rows, size_t count)
{
	struct bench bench;
	char answer[256];

	bench_open(&bench);
	for (size_t i = 0; i < count; i++) {
		bench.said[0] = '\0';
		exchange(&bench, rows[i].line, answer, sizeof(answer));
		CU_ASSERT_STRING_EQUAL(answer, rows[i].answer);
		CU_ASSERT_STRING_EQUAL(bench.said, rows[i].said);
	}
	bench_close(&bench);
}

static const struct row orders_of_roles[] = {
	{ "{\"command\":\"switchover\",\"role\":\"db\"}\n", "ok", "switchover db " },
	{ "{\"command\":\"switchover\",\"role\":\"db\",\"to\":\"n2\"}\n", "ok",
	    "switchover db n2" },
	{ "{\"command\":\"switchover\",\"role\":\"db\",\"to\":\"n9\"}\n",
	    "no such candidate", "switchover db n9" },
	{ "{\"command\":\"switchover\"}\n", "switchover needs a role", "" },
	{ "{\"command\":\"init\",\"role\":\"db\"}\n", "ok", "init db" },
	{ "{\"command\":\"init\",\"role\":7}\n", "init needs a role", "" },
	{ "{\"command\":\"pause\",\"role\":\"db\",\"who\":\"bob\","
	  "\"reason\":\"new switch\"}\n",
	    "ok", "pause db bob new switch" },
	{ "{\"command\":\"resume\",\"role\":\"db\",\"who\":\"bob\"}\n",
	    "it is not paused", "resume db bob " },
	{ "{\"command\":\"pause\"}\n", "pause needs a role", "" },
	{ "{\"command\":\"resume\",\"role\":7}\n", "resume needs a role", "" },
	{ "{\"command\":\"pause\",\"role\":\"db\",\"reason\":7}\n",
	    "a reason has at most 120 bytes and no control character", "" },
	{ "{\"command\":\"explain\",\"role\":\"db\"}\n", "ok", "" },
	{ "{\"command\":\"explain\",\"role\":\"x\"}\n", "no such role", "" },
	{ "{\"command\":\"explain\"}\n", "explain needs a role", "" },
	{ "{\"command\":\"failover\",\"role\":\"db\",\"to\":\"n2\","
	  "\"fenced\":\"n1\"}\n",
	    "ok", "force db n2 n1" },
	{ "{\"command\":\"failover\",\"role\":\"db\",\"to\":\"n2\","
	  "\"fenced\":\"n3\"}\n",
	    "the fence names another node", "force db n2 n3" },
	{ "{\"command\":\"failover\",\"role\":\"none\",\"to\":\"n2\","
	  "\"fenced\":\"n1\"}\n",
	    "lictor stops", "force none n2 n1" },
	{ "{\"command\":\"failover\",\"role\":\"db\",\"to\":\"n2\"}\n",
	    "failover needs a role, the node that gets it and the node that is "
	    "fenced",
	    "" },
};

static void
test_roles(void)
{
	exchange_rows(orders_of_roles, ARRAY_LENGTH(orders_of_roles));
}

static const struct row orders_of_the_host[] = {
	{ "{\"command\":\"status\"}\n", "ok", "" },
	{ "{\"command\":\"key\",\"act\":\"rotate\"}\n", "ok", "rotate" },
	{ "{\"command\":\"key\"}\n", "a key can be rotated, and nothing else", "" },
	{ "{\"command\":\"upgrade\"}\n", "lictor stops", "" },
	{ "{\"command\":\"handover\",\"on\":true}\n", "ok", "handover on" },
	{ "{\"command\":\"handover\",\"on\":false}\n", "lictor stops", "handover off" },
	{ "{\"command\":\"handover\"}\n", "a handover is to be on or off", "" },
};

static void
test_host(void)
{
	exchange_rows(orders_of_the_host, ARRAY_LENGTH(orders_of_the_host));
}

static const struct row reports[] = {
	{ "{\"command\":\"pass\",\"check\":\"db/job\",\"output\":\"done\"}\n", "ok",
	    "passing db/job done" },
	{ "{\"command\":\"warn\",\"check\":\"db/job\"}\n", "ok", "warning db/job " },
	{ "{\"command\":\"fail\",\"check\":\"none\",\"output\":\"x\"}\n",
	    "no such check", "critical none x" },
	{ "{\"command\":\"fail\"}\n", "a report needs a check", "" },
};

static void
test_reports(void)
{
	exchange_rows(reports, ARRAY_LENGTH(reports));
}

static const struct row maintenances[] = {
	{ "{\"command\":\"maintenance\",\"on\":true,\"service\":\"db\","
	  "\"span_ms\":5000,\"reason\":\"new disk\",\"who\":\"alice\"}\n",
	    "ok", "on db 5000 new disk alice" },
	{ "{\"command\":\"maintenance\",\"on\":false,\"who\":\"bob\"}\n", "ok",
	    "off - 0  bob" },
	{ "{\"command\":\"maintenance\",\"on\":true,\"service\":\"none\","
	  "\"who\":\"bob\"}\n",
	    "no such service", "on none 0  bob" },
	{ "{\"command\":\"maintenance\"}\n", "maintenance is to be on or off", "" },
	{ "{\"command\":\"maintenance\",\"on\":true,\"service\":7}\n",
	    "a service is named by a text", "" },
	{ "{\"command\":\"maintenance\",\"on\":true,"
	  "\"span_ms\":31536000001}\n",
	    "a maintenance lasts from 1 ms to a year", "" },
	{ "{\"command\":\"maintenance\",\"on\":true,\"span_ms\":-1}\n",
	    "a maintenance lasts from 1 ms to a year", "" },
	{ "{\"command\":\"maintenance\",\"on\":true,\"span_ms\":0}\n",
	    "a maintenance lasts from 1 ms to a year", "" },
	{ "{\"command\":\"maintenance\",\"on\":true,\"reason\":\"a\\nb\"}\n",
	    "a reason has at most 120 bytes and no control character", "" },
};

static void
test_maintenance(void)
{
	exchange_rows(maintenances, ARRAY_LENGTH(maintenances));
}

static const struct row no_orders[] = {
	{ "{\"command\":\"fly\"}\n", "unknown command", "" },
	{ "{}\n", "a request is one JSON object with a \"command\"", "" },
	{ "\n", "a request is one JSON object with a \"command\"", "" },
	{ "{\"command\":\"status\"} {}\n",
	    "a request is one JSON object with a \"command\"", "" },
};

static void
test_no_orders(void)
{
	exchange_rows(no_orders, ARRAY_LENGTH(no_orders));
}

/* The answer to a reload comes later; what the client sends meanwhile waits for it, and it may
 * have said that it sends no more. */
static void
test_reload(void)
{
	static const char two[] = "{\"command\":\"reload\"}\n{\"command\":\"fly\"}\n";
	struct bench bench;
	char answer[512];

	bench_open(&bench);
	exchange(&bench, "{\"command\":\"reload\"}\n", answer, sizeof(answer));
	CU_ASSERT_STRING_EQUAL(answer, "lictor stops");
	bench.reloaded = loop_timer_new(bench.loop, on_reloaded, &bench);
	exchange(&bench, "{\"command\":\"reload\"}\n", answer, sizeof(answer));
	CU_ASSERT_EQUAL(bench.reload, 2);
	CU_ASSERT_STRING_EQUAL(answer, "ok");
	CU_ASSERT(send(bench.client, two, sizeof(two) - 1, MSG_NOSIGNAL) > 0);
	CU_ASSERT(shutdown(bench.client, SHUT_WR) == 0);
	CU_ASSERT(await_line(&bench, answer, sizeof(answer), 8000));
	CU_ASSERT_EQUAL(bench.reload, 3);
	const char *first = strstr(answer, "a.conf:1: x");
	CU_ASSERT_PTR_NOT_NULL_FATAL(first);
	CU_ASSERT_PTR_NOT_NULL(strstr(first, "unknown command"));
	loop_timer_free(bench.reloaded);
	bench_close(&bench);
}

/* By its length, not by the clock. */
static void
test_endless_line_is_closed(void)
{
	struct bench bench;
	char line[40000], answer[256];
	int64_t began = clock_boot_ms();

	memset(line, 'x', sizeof(line));
	line[sizeof(line) - 1] = '\0';
	bench_open(&bench);
	exchange(&bench, line, answer, sizeof(answer));
	CU_ASSERT_STRING_EQUAL(answer, "closed");
	CU_ASSERT(clock_boot_ms() - began < 4000);
	bench_close(&bench);
}

/* The longest output that lictorctl sends, in the longest way to write it. */
static void
test_longest_report_is_taken(void)
{
	struct bench bench;
	struct buf line = { .limit = 1 << 16 };
	char answer[256];

	buf_printf(&line, "{\"command\":\"pass\",\"check\":\"a/b\",\"output\":\"");
	for (int i = 0; i < 4095; i++)
		buf_add(&line, "\\u0001", 6);
	buf_add(&line, "\"}\n", 3);
	bench_open(&bench);
	exchange(&bench, line.data, answer, sizeof(answer));
	CU_ASSERT_STRING_EQUAL(answer, "ok");
	bench_close(&bench);
	buf_free(&line);
}

static void
test_silent_client_is_closed(void)
{
	struct bench bench;
	char answer[256];
	int64_t began = clock_boot_ms();

	bench_open(&bench);
	exchange(&bench, "{\"command\":", answer, sizeof(answer));
	CU_ASSERT_STRING_EQUAL(answer, "closed");
	CU_ASSERT(clock_boot_ms() - began < 7000);
	bench_close(&bench);
}

/* The newest of many is refused, those that are served stay served. */
static void
test_too_many_clients(void)
{
	struct bench bench;
	int others[40];
	char answer[256];

	bench_open(&bench);
	exchange(&bench, "{\"command\":\"status\"}\n", answer, sizeof(answer));
	for (size_t i = 0; i < ARRAY_LENGTH(others); i++)
		others[i] = connect_client(&bench);
	int first = bench.client;
	bench.client = others[39];
	CU_ASSERT(!await_line(&bench, answer, sizeof(answer), 2000));
	bench.client = first;
	exchange(&bench, "{\"command\":\"status\"}\n", answer, sizeof(answer));
	CU_ASSERT_STRING_EQUAL(answer, "ok");
	for (size_t i = 0; i < ARRAY_LENGTH(others); i++)
		close(others[i]);
	bench_close(&bench);
}

/* A bench without a client, and this process is a stranger to it. False: it cannot become
 * another user. */
static bool
open_to_strangers(struct bench *bench)
{
	if (geteuid() != 0) {
		CU_PASS("only root can become another user");
		return false;
	}
	bench_open(bench);
	close(bench->client);
	CU_ASSERT_FATAL(chmod(bench->dir, 0755) == 0 && chmod(bench->path, 0666) == 0);
	CU_ASSERT_FATAL(setegid(65534) == 0 && seteuid(65534) == 0);
	return true;
}

static void
be_root(void)
{
	CU_ASSERT_FATAL(seteuid(0) == 0 && setegid(0) == 0);
}

/* Those who may nothing keep nobody out who may, however many they are. */
static void
test_strangers_leave_room(void)
{
	struct bench bench;
	int strangers[40];
	char answer[256];

	if (!open_to_strangers(&bench))
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(strangers); i++)
		strangers[i] = connect_client(&bench);
	be_root();
	bench.client = connect_client(&bench);
	exchange(&bench, "{\"command\":\"status\"}\n", answer, sizeof(answer));
	CU_ASSERT_STRING_EQUAL(answer, "ok");
	for (size_t i = 0; i < ARRAY_LENGTH(strangers); i++)
		close(strangers[i]);
	bench_close(&bench);
}

/* A user without our groups is told so: the kernel's word counts (needs root to become
 * somebody else; a plain user is judged by its own uid). */
static void
test_strangers_are_refused(void)
{
	struct bench bench;
	char answer[256] = "";

	if (!open_to_strangers(&bench))
		return;
	bench.client = connect_client(&bench);
	be_root();
	exchange(&bench, "{\"command\":\"status\"}\n", answer, sizeof(answer));
	CU_ASSERT_STRING_EQUAL(
	    answer, "permission denied: root, lictor-admin or lictor-status may");
	bench_close(&bench);
}

static const struct tap_case cases[] = {
	{ "what concerns a role", test_roles },
	{ "what concerns the host", test_host },
	{ "reports of checks", test_reports },
	{ "maintenance", test_maintenance },
	{ "what is no command", test_no_orders },
	{ "a reload is answered when it is over", test_reload },
	{ "a line without an end is closed", test_endless_line_is_closed },
	{ "the longest report is taken", test_longest_report_is_taken },
	{ "a client that says nothing is closed", test_silent_client_is_closed },
	{ "one client too many is closed, the others are served",
	    test_too_many_clients },
	{ "strangers leave room for others", test_strangers_leave_room },
	{ "a user of neither group is refused", test_strangers_are_refused },
};
TAP_MAIN_APART("control", cases)
