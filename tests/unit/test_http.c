/* SPDX-License-Identifier: ISC */
/*
 * The HTTP client against a small server of its own, whose behaviour the path names. Every way
 * in which a call can end has a row.
 */
#include "agent/base/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "tests/unit/entries.h"
#include "tests/unit/http_bed.h"
#include "tests/unit/pace.h"
#include "tests/unit/tap.h"

static const struct http_request plain;

static void
test_an_answer(void)
{
	struct client client;

	client_open(&client);
	int64_t before = clock_boot_ms();
	const struct http_reply *reply = ask(&client, "/count", plain);
	CU_ASSERT_EQUAL(reply->error, NET_OK);
	CU_ASSERT_EQUAL(reply->status, 200);
	CU_ASSERT_STRING_EQUAL(client.body, "number 1");
	CU_ASSERT_FALSE(reply->body_cut);
	CU_ASSERT_TRUE(reply->sent_at >= before && reply->sent_at <= clock_boot_ms());
	CU_ASSERT_TRUE(client.number != NULL && strcmp(client.number, "seven") == 0);
	reply = ask(&client, "/missing", plain);
	CU_ASSERT_EQUAL(reply->error, NET_OK);
	CU_ASSERT_EQUAL(reply->status, 404);
	CU_ASSERT_STRING_EQUAL(client.body, "no such thing");
	reply = ask(&client, "/early", plain);
	CU_ASSERT_EQUAL(reply->status, 200);
	CU_ASSERT_STRING_EQUAL(client.body, "late");
	client_close(&client);
}

static void
test_connections_are_kept_or_fresh(void)
{
	struct client client;
	struct http_request fresh = { .fresh = true };

	client_open(&client);
	ask(&client, "/count", fresh);
	CU_ASSERT_STRING_EQUAL(client.body, "number 1");
	for (int i = 1; i <= 3; i++) {
		AUTO_FREE char *number = xasprintf("number %d", i);
		ask(&client, "/count", plain);
		CU_ASSERT_STRING_EQUAL(client.body, number);
	}
	ask(&client, "/count", fresh);
	CU_ASSERT_STRING_EQUAL(client.body, "number 1");
	ask(&client, "/count", plain);
	CU_ASSERT_STRING_EQUAL(client.body, "number 4");
	client_close(&client);
}

/* Watches wait on theirs: a connection beside them is as much kept as if it were the only one. */
static void
test_connections_beside_others(void)
{
	struct client client;
	struct http_call *waiting[4];

	client_open(&client);
	http_be_narrow(client.http, ARRAY_LENGTH(waiting) + 1);
	for (size_t i = 0; i < ARRAY_LENGTH(waiting); i++) {
		start(&client, "/silent", plain);
		waiting[i] = client.call;
	}
	for (int i = 1; i <= 3; i++) {
		AUTO_FREE char *number = xasprintf("number %d", i);
		ask(&client, "/count", plain);
		CU_ASSERT_STRING_EQUAL(client.body, number);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(waiting); i++)
		http_cancel(waiting[i]);
	client_close(&client);
}

/* What the server sees of each method, with and without a body. */
static void
test_requests_as_the_server_sees_them(void)
{
	static const char *const headers[] = { "X-Consul-Token: t", "Content-Type: a/b",
		NULL };
	static const struct {
		const char *method, *body, *line, *length;
	} rows[] = {
		{ NULL, NULL, "GET /echo HTTP/1.1\r\n", NULL },
		{ "PUT", NULL, "PUT /echo HTTP/1.1\r\n", "Content-Length: 0\r\n" },
		{ "PUT", "", "PUT /echo HTTP/1.1\r\n", "Content-Length: 0\r\n" },
		{ "PUT", "{}", "PUT /echo HTTP/1.1\r\n", "Content-Length: 2\r\n" },
		{ "POST", "12345", "POST /echo HTTP/1.1\r\n", "Content-Length: 5\r\n" },
		{ "GET", "q", "GET /echo HTTP/1.1\r\n", "Content-Length: 1\r\n" },
		{ "DELETE", NULL, "DELETE /echo HTTP/1.1\r\n",
		    "Content-Length: 0\r\n" },
	};
	struct client client;

	client_open(&client);
	for (size_t n = 0; n < 2 * ARRAY_LENGTH(rows); n++) {
		size_t i = n / 2;
		bool typed = n % 2 == 1;
		struct http_request request = { .method = rows[i].method,
			.body = rows[i].body,
			.body_len = rows[i].body == NULL ? 0 : strlen(rows[i].body),
			.headers = typed ? headers : NULL };
		CU_ASSERT_EQUAL(ask(&client, "/echo", request)->status, 200);
		CU_ASSERT_PTR_EQUAL(strstr(client.body, rows[i].line), client.body);
		const char *length = strstr(client.body, "Content-Length");
		CU_ASSERT_EQUAL(length == NULL, rows[i].length == NULL);
		if (length != NULL && rows[i].length != NULL)
			CU_ASSERT_NSTRING_EQUAL(
			    length, rows[i].length, strlen(rows[i].length));
		CU_ASSERT_PTR_NULL(strstr(client.body, "Expect"));
		CU_ASSERT_PTR_NULL(strstr(client.body, "urlencoded"));
		CU_ASSERT_EQUAL(
		    strstr(client.body, "X-Consul-Token: t\r\n") != NULL, typed);
		CU_ASSERT_EQUAL(
		    strstr(client.body, "Content-Type: a/b\r\n") != NULL, typed);
		const char *body = strstr(client.body, "\r\n\r\n") + 4;
		CU_ASSERT_STRING_EQUAL(body, rows[i].body == NULL ? "" : rows[i].body);
	}
	struct http_request head = { .method = "HEAD" };
	CU_ASSERT_EQUAL(ask(&client, "/hop/0", plain)->status, 200);
	CU_ASSERT_EQUAL(ask(&client, "/close", head)->error, NET_CLOSED);
	client_close(&client);
}

static void
test_every_ending_has_its_name(void)
{
	static const struct {
		const char *path;
		enum net_error error;
		const char *why;
	} rows[] = {
		{ "/close", NET_CLOSED, "the connection ended without an answer" },
		{ "/cut", NET_CLOSED,
		    "the connection ended in the middle of the answer" },
		{ "/garbage", NET_GARBAGE, "this is not HTTP" },
		{ "/flood", NET_GARBAGE, "this is not HTTP" },
		{ "/longline", NET_GARBAGE, "this is not HTTP" },
		{ "http://127.0.0.1:1/", NET_REFUSED,
		    "no connection: Connection refused" },
		{ "ftp://127.0.0.1/", NET_LOCAL, "this is not an http or https URL" },
		{ "file:///etc/passwd", NET_LOCAL, "this is not an http or https URL" },
		{ "http://127.0.0.1:70000/", NET_LOCAL,
		    "this is not an http or https URL" },
		{ "http://", NET_LOCAL, "this is not an http or https URL" },
		{ "nonsense", NET_LOCAL, NULL },
	};
	struct client client;

	client_open(&client);
	setenv("http_proxy", "http://127.0.0.1:2/", 1);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		const struct http_reply *reply = ask(&client, rows[i].path, plain);
		CU_ASSERT_EQUAL(reply->error, rows[i].error);
		if (reply->error != rows[i].error)
			printf("# %s: %s\n", rows[i].path, reply->why);
		CU_ASSERT_EQUAL(reply->status, 0);
		if (rows[i].why != NULL)
			CU_ASSERT_STRING_EQUAL(reply->why, rows[i].why);
	}
	AUTO_FREE char *tls = xasprintf("https://127.0.0.1:%u/", client.server.port);
	CU_ASSERT_EQUAL(ask(&client, tls, plain)->error, NET_TLS);
	CU_ASSERT_EQUAL(ask(&client, "/count", plain)->error, NET_OK);
	unsetenv("http_proxy");
	client_close(&client);
}

static void
test_deadlines(void)
{
	static const struct {
		const char *path, *why;
	} rows[] = {
		{ "/silent", "150ms have passed without an answer" },
		{ "/drip", "150ms have passed in the middle of the answer" },
	};
	struct http_request request = { .timeout_ms = 150 };
	struct pace *pace = pace_new(10, NULL, NULL);
	struct client client;

	client_open(&client);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		int64_t start_ms = clock_raw_ms();
		const struct http_reply *reply = ask(&client, rows[i].path, request);
		CU_ASSERT_EQUAL(reply->error, NET_TIMEOUT);
		CU_ASSERT_STRING_EQUAL(reply->why, rows[i].why);
		int64_t took = clock_raw_ms() - start_ms;
		CU_ASSERT_TRUE(took >= 145 && pace_allows(pace, took, 1000));
	}
	client_close(&client);
	pace_free(pace);
}

/* The limit against bodies around it; without end, the cut ends the transfer. */
static void
test_body_limits(void)
{
	struct client client;

	client_open(&client);
	for (size_t limit = 7; limit <= 9; limit++) {
		struct http_request request = { .body_limit = limit, .fresh = true };
		const struct http_reply *reply = ask(&client, "/count", request);
		CU_ASSERT_EQUAL(reply->error, NET_OK);
		CU_ASSERT_EQUAL(reply->status, 200);
		CU_ASSERT_EQUAL(reply->body_cut, limit == 7);
		CU_ASSERT_EQUAL(reply->body_len, limit == 7 ? 7 : 8);
		CU_ASSERT_NSTRING_EQUAL(client.body, "number 1", reply->body_len);
	}
	struct http_request request = { .body_limit = 100000 };
	const struct http_reply *reply = ask(&client, "/endless", request);
	CU_ASSERT_EQUAL(reply->error, NET_OK);
	CU_ASSERT_TRUE(reply->body_cut);
	CU_ASSERT_EQUAL(reply->body_len, 100000);
	client_close(&client);
}

static void
test_where_to_connect(void)
{
	struct client client;
	char url[128], fixed[128];
	struct http_request at = { .resolve = fixed, .fresh = true };

	client_open(&client);
	struct http_request unix_socket = { .unix_socket = client.server.path };
	ask(&client, "http://anything.invalid/echo", unix_socket);
	CU_ASSERT_EQUAL(client.reply.status, 200);
	CU_ASSERT_PTR_NOT_NULL(strstr(client.body, "Host: anything.invalid\r\n"));
	unix_socket.unix_socket = "/nowhere/sock";
	CU_ASSERT_EQUAL(ask(&client, "http://x/", unix_socket)->error, NET_REFUSED);
	snprintf(url, sizeof(url), "http://LocalHost:%u/echo", client.server.port);
	CU_ASSERT_EQUAL(ask(&client, url, plain)->status, 200);
	snprintf(url, sizeof(url), "http://some.invalid:%u/echo", client.server.port);
	snprintf(fixed, sizeof(fixed), "some.invalid:%u:127.0.0.1", client.server.port);
	CU_ASSERT_EQUAL(ask(&client, url, at)->status, 200);
	CU_ASSERT_PTR_NOT_NULL(strstr(client.body, "Host: some.invalid"));
	snprintf(fixed, sizeof(fixed), "some.invalid:%u:127.0.0.2", client.server.port);
	CU_ASSERT_EQUAL(ask(&client, url, at)->error, NET_REFUSED);
	/* the first that takes the connection */
	snprintf(fixed, sizeof(fixed), "some.invalid:%u:127.0.0.2,[::2],127.0.0.1",
	    client.server.port);
	CU_ASSERT_EQUAL(ask(&client, url, at)->status, 200);
	snprintf(url, sizeof(url), "http://Some.Invalid.:%u/echo", client.server.port);
	snprintf(
	    fixed, sizeof(fixed), "some.invalid.:%u:127.0.0.1", client.server.port);
	CU_ASSERT_EQUAL(ask(&client, url, at)->status, 200);
	if (client.server.port6 != 0) {
		snprintf(url, sizeof(url), "http://[::1]:%u/echo", client.server.port6);
		CU_ASSERT_EQUAL(ask(&client, url, plain)->status, 200);
		snprintf(
		    url, sizeof(url), "http://localhost:%u/echo", client.server.port6);
		CU_ASSERT_EQUAL(ask(&client, url, plain)->status, 200);
		snprintf(url, sizeof(url), "http://six.invalid:%u/echo",
		    client.server.port6);
		snprintf(
		    fixed, sizeof(fixed), "six.invalid:%u:::1", client.server.port6);
		CU_ASSERT_EQUAL(ask(&client, url, at)->status, 200);
	}
	client_close(&client);
}

static void
test_many_at_once(void)
{
	struct client client;

	client_open(&client);
	client.expected = 300;
	for (int i = 0; i < 200; i++)
		start(&client, i % 2 == 0 ? "/count" : "/close", plain);
	for (int i = 0; i < 100; i++)
		start(&client, "http://127.0.0.1:1/", plain);
	loop_run(client.loop);
	CU_ASSERT_EQUAL(client.told, 300);
	client_close(&client);
}

/* More endings at once than are told before the deadline of each: still one ending. */
static void
test_an_ending_is_final(void)
{
	struct http_request request = { .timeout_ms = 1 };
	struct client client;

	client_open(&client);
	client.expected = 5000;
	for (int i = 0; i < client.expected; i++)
		start(&client, "bad:", request);
	loop_run(client.loop);
	CU_ASSERT_EQUAL(client.told, client.expected);
	CU_ASSERT_EQUAL(client.reply.error, NET_LOCAL);
	client_close(&client);
}

struct killer {
	struct client client;
	struct http_call *self, *others[4];
	int told;
	bool all;
};

static void
on_other(void *arg, const struct http_reply *reply)
{
	struct killer *killer = arg;

	killer->told += 100;
}

static void
on_time(void *arg)
{
	loop_stop(arg);
}

/* Cancels itself (which is nothing), the others, or frees the whole client. */
static void
on_kill(void *arg, const struct http_reply *reply)
{
	struct killer *killer = arg;

	killer->told++;
	http_cancel(killer->self);
	if (killer->all) {
		http_free(killer->client.http);
		killer->client.http = NULL;
	} else {
		for (size_t i = 0; i < ARRAY_LENGTH(killer->others); i++)
			http_cancel(killer->others[i]);
	}
}

static void
test_ended_in_a_callback(void)
{
	static const char *const paths[] = { "/count", "/silent", "/drip", "/close" };

	for (int all = 0; all <= 1; all++) {
		struct killer killer = { .all = all == 1 };
		struct client *client = &killer.client;
		client_open(client);
		struct loop_timer *timer =
		    loop_timer_new(client->loop, on_time, client->loop);
		struct http_request bad = { .url = "bad:", .timeout_ms = 1000 };
		killer.self = http_send(client->http, &bad, on_kill, &killer);
		for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
			AUTO_FREE char *url = xasprintf(
			    "http://127.0.0.1:%u%s", client->server.port, paths[i]);
			struct http_request request = {
				.url = url, .timeout_ms = 50, .body_limit = 100
			};
			killer.others[i] =
			    http_send(client->http, &request, on_other, &killer);
		}
		loop_timer_after(timer, 100);
		loop_run(client->loop);
		CU_ASSERT_EQUAL(killer.told, 1);
		loop_timer_free(timer);
		client_close(client);
	}
}

/* Freed at any moment of a call: after each of its first turns. No descriptor stays. */
static void
test_freed_at_any_moment(void)
{
	static const char *const paths[] = { "/count", "/silent", "/endless",
		"/hop/5" };
	struct client client;

	client_open(&client);
	http_free(client.http);
	client.http = NULL;
	int before = count_entries("/proc/self/fd");
	for (int turns = 0; turns < 24; turns++) {
		struct loop_timer *timer =
		    loop_timer_new(client.loop, on_time, client.loop);
		struct http_request request = { .follow = true };
		client.http = http_new(client.loop);
		client.expected = 0;
		start(&client, paths[turns % 4], request);
		for (int i = 0; i < turns / 4; i++) {
			loop_timer_after(timer, i % 2 * 10);
			loop_run(client.loop);
		}
		http_free(client.http);
		loop_timer_free(timer);
		CU_ASSERT_EQUAL(count_entries("/proc/self/fd"), before);
	}
	client.http = NULL;
	http_free(NULL);
	http_cancel(NULL);
	client_close(&client);
}

static void
test_names_are_asked_for_aside(void)
{
	struct http_request request = { .timeout_ms = 4000 };
	struct client client;

	client_open(&client);
	const struct http_reply *reply =
	    ask(&client, "http://no-such-name.invalid/", request);
	CU_ASSERT_TRUE(reply->error == NET_RESOLVE || reply->error == NET_TIMEOUT);
	CU_ASSERT_EQUAL(reply->sent_at, 0);
	CU_ASSERT_NOT_EQUAL(reply->why[0], '\0');
	CU_ASSERT_EQUAL(count_entries("/proc/self/task"), 1);
	client_close(&client);
}

static const struct tap_case cases[] = {
	{ "an answer", test_an_answer },
	{ "connections are kept or fresh", test_connections_are_kept_or_fresh },
	{ "kept beside those that wait", test_connections_beside_others },
	{ "requests as the server sees them", test_requests_as_the_server_sees_them },
	{ "every ending has its name", test_every_ending_has_its_name },
	{ "deadlines", test_deadlines },
	{ "body limits", test_body_limits },
	{ "where to connect", test_where_to_connect },
	{ "many at once", test_many_at_once },
	{ "an ending is final", test_an_ending_is_final },
	{ "ended in a callback", test_ended_in_a_callback },
	{ "freed at any moment", test_freed_at_any_moment },
	{ "names are asked for aside", test_names_are_asked_for_aside },
};

TAP_MAIN("http", cases)
