/* SPDX-License-Identifier: ISC */
/*
 * Where the HTTP client goes when it is sent on, with which method, and what it takes along.
 */
#include "agent/base/http.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/unit/http_bed.h"
#include "tests/unit/tap.h"

static void
test_redirects(void)
{
	struct http_request follow = { .follow = true, .body_limit = 64 };
	struct client client;

	client_open(&client);
	CU_ASSERT_EQUAL(
	    ask(&client, "/hop/1", (struct http_request){ .follow = false })->status,
	    302);
	CU_ASSERT_EQUAL(ask(&client, "/hop/5", follow)->status, 200);
	CU_ASSERT_NSTRING_EQUAL(client.body, "GET /hop/0 ", 11);
	CU_ASSERT_EQUAL(ask(&client, "/hop/6", follow)->status, 302);
	const struct http_reply *reply = ask(&client, "/ftp", follow);
	CU_ASSERT_EQUAL(reply->error, NET_OK);
	CU_ASSERT_EQUAL(reply->status, 302);
	client_close(&client);
}

static void
test_redirects_change_the_method(void)
{
	static const struct {
		const char *method, *path, *start;
	} rows[] = {
		{ "POST", "/moved/301", "GET /echo" },
		{ "POST", "/moved/302", "GET /echo" },
		{ "POST", "/moved/303", "GET /echo" },
		{ "POST", "/moved/307", "POST /echo" },
		{ "POST", "/moved/308", "POST /echo" },
		{ "PUT", "/moved/302", "PUT /echo" },
		{ "PUT", "/moved/303", "GET /echo" },
		{ "GET", "/moved/302", "GET /echo" },
	};
	struct client client;

	client_open(&client);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct http_request request = { .method = rows[i].method,
			.body = "abc",
			.body_len = 3,
			.follow = true };
		CU_ASSERT_EQUAL(ask(&client, rows[i].path, request)->status, 200);
		CU_ASSERT_PTR_EQUAL(strstr(client.body, rows[i].start), client.body);
	}
	client_close(&client);
}

/* A token goes to the first host and port only. */
static void
test_redirects_keep_secrets(void)
{
	struct client client;
	char away[128];
	const char *headers[] = { "X-Consul-Token: secret", away, NULL };
	struct http_request request = { .headers = headers, .follow = true };
	static const char *const hosts[] = { "127.0.0.1", "localhost" };

	client_open(&client);
	for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++) {
		snprintf(away, sizeof(away), "X-Away: Location: http://%s:%u/echo",
		    hosts[i], client.server.port);
		CU_ASSERT_EQUAL(ask(&client, "/away", request)->status, 200);
		CU_ASSERT_EQUAL(strstr(client.body, "secret") != NULL, i == 0);
	}
	client_close(&client);
}

static const struct tap_case cases[] = {
	{ "redirects", test_redirects },
	{ "redirects change the method", test_redirects_change_the_method },
	{ "redirects keep secrets", test_redirects_keep_secrets },
};

TAP_MAIN("http_redirects", cases)
