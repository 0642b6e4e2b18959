/* SPDX-License-Identifier: ISC */
/*
 * Our own HTTP client: what is sent, byte for byte, what is told of an answer, and that a call
 * can be ended at any moment. How answers are read is test_h1's, which connections are used
 * again test_fetch_kept's, and how servers misbehave test_hostile's.
 */
#include "agent/base/fetch.h"

#include <string.h>

#include "agent/base/util.h"
#include "tests/unit/fetch_bed.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define HEAD_OF(method, path)                                 \
	method " " path " HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n" \
	       "User-Agent: lictor/" PACKAGE_VERSION "\r\nAccept: */*\r\n"

static const struct {
	const char *method, *where, *body, *headers[5], *sent;
	bool keep;
} requests[] = {
	{ NULL, "/", NULL, { NULL }, HEAD_OF("GET", "/") "Connection: close\r\n\r\n" },
	{ NULL, "/", NULL, { NULL }, HEAD_OF("GET", "/") "\r\n", .keep = true },
	{ "HEAD", "", NULL, { NULL },
	    HEAD_OF("HEAD", "/") "Connection: close\r\n\r\n" },
	{ NULL, "?a=/b#part", NULL, { NULL },
	    HEAD_OF("GET", "/?a=/b") "Connection: close\r\n\r\n" },
	{ NULL, "/a/?b#", NULL, { NULL },
	    HEAD_OF("GET", "/a/?b") "Connection: close\r\n\r\n" },
	{ "POST", "/", NULL, { NULL },
	    HEAD_OF("POST", "/") "Connection: close\r\nContent-Length: 0\r\n\r\n" },
	{ "PUT", "/", "body", { NULL },
	    HEAD_OF("PUT", "/") "Connection: close\r\nContent-Length: 4\r\n\r\nbody" },
	{ NULL, "/", "", { NULL },
	    HEAD_OF("GET", "/") "Connection: close\r\nContent-Length: 0\r\n\r\n" },
	{ NULL, "/", NULL, { "X-One: 1", "x-two:2", "X-None:", "Accept:" },
	    "GET / HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
	    "User-Agent: lictor/" PACKAGE_VERSION "\r\nConnection: close\r\n"
	    "X-One: 1\r\nx-two:2\r\n\r\n" },
	{ "PUT", "/", "body",
	    { "HOST: web.example", "user-agent: me", "ACCEPT: text/html",
		"connection: keep-alive" },
	    "PUT / HTTP/1.1\r\nHOST: web.example\r\nuser-agent: me\r\n"
	    "ACCEPT: text/html\r\nconnection: keep-alive\r\n"
	    "Content-Length: 4\r\n\r\nbody" },
	{ "PUT", "/", "body", { "Content-Length: 4", "Hostile: yes" },
	    HEAD_OF("PUT", "/") "Connection: close\r\nContent-Length: 4\r\n"
				"Hostile: yes\r\n\r\nbody" },
};

static void
test_requests_byte_for_byte(void)
{
	static const char *const script[] = { "HTTP/1.1 204 None\r\n\r\n", NULL };
	struct bench b;

	bench_open(&b, script);
	for (size_t i = 0; i < ARRAY_LENGTH(requests); i++) {
		AUTO_FREE char *where =
		    xasprintf("http://127.0.0.1:%u%s", b.port, requests[i].where);
		struct http_request request = {
			.method = requests[i].method,
			.headers = requests[i].headers,
			.body = requests[i].body,
			.body_len =
			    requests[i].body != NULL ? strlen(requests[i].body) : 0,
			.fresh = !requests[i].keep,
		};
		const char *port = strstr(requests[i].sent, "%u");
		AUTO_FREE char *sent = port == NULL
		    ? xstrdup(requests[i].sent)
		    : xasprintf("%.*s%u%s", (int)(port - requests[i].sent),
			  requests[i].sent, b.port, port + 2);
		buf_free(&b.asked);
		ask(&b, where, request);
		CU_ASSERT_EQUAL(b.error, NET_OK);
		CU_ASSERT_EQUAL(b.status, 204);
		CU_ASSERT_STRING_EQUAL(b.asked.data, sent);
	}
	bench_close(&b);
}

static void
test_hosts(void)
{
	static const char *const script[] = { GOOD, NULL };
	static const char *const hosts[] = { "[::1]", "localhost", "127.0.0.1" };
	struct bench b;

	bench_open(&b, script);
	for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++) {
		AUTO_FREE char *url = xasprintf("http://%s:%u/", hosts[i], b.port);
		AUTO_FREE char *host =
		    xasprintf("\r\nHost: %s:%u\r\n", hosts[i], b.port);
		buf_free(&b.asked);
		ask(&b, url, once);
		CU_ASSERT_EQUAL(b.error, NET_OK);
		CU_ASSERT_PTR_NOT_NULL(strstr(b.asked.data, host));
	}
	bench_close(&b);
}

/* A body has NULs, and may be larger than what the kernel takes at once. */
static void
test_a_large_body(void)
{
	static const char *const script[] = { GOOD, NULL };
	static char body[900000];
	struct bench b;

	bench_open(&b, script);
	memset(body, 'x', sizeof(body));
	body[5] = '\0';
	struct http_request request = {
		.method = "PUT", .body = body, .body_len = sizeof(body), .fresh = true
	};
	ask(&b, "/", request);
	CU_ASSERT_EQUAL(b.error, NET_OK);
	CU_ASSERT(b.asked.len > sizeof(body));
	CU_ASSERT_EQUAL(
	    memcmp(b.asked.data + b.asked.len - sizeof(body), body, sizeof(body)), 0);
	bench_close(&b);
}

static void
test_fields_and_trailers(void)
{
	static const char *const script[] = { "HTTP/1.1 200 OK\r\nX-FIELD:  one \r\n"
					      "X-Field: two\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		"0\r\nx-fielder: no\r\nx-field: late\r\n\r\n",
		GOOD, NULL };
	static const char *const fields[] = { "one", "late", "none" };
	struct bench b;

	bench_open(&b, script);
	b.closes = true;
	for (size_t i = 0; i < ARRAY_LENGTH(fields); i++) {
		ask(&b, "/", once);
		CU_ASSERT_EQUAL(b.error, NET_OK);
		CU_ASSERT_STRING_EQUAL(b.field, fields[i]);
	}
	bench_close(&b);
}

/* The head is enough where no body is wanted, and a body up to its limit. */
static void
test_enough_is_enough(void)
{
	static const char *const script[] = {
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour", NULL
	};
	static const struct {
		size_t limit;
		bool error_body;
		const char *body; /* NULL: it waits for more */
	} wants[] = { { 3, false, "fou" }, { 4, true, "four" }, { 4, false, NULL },
		{ 100, true, "four" }, { 100, false, NULL } };
	struct bench b;

	bench_open(&b, script);
	for (size_t i = 0; i < ARRAY_LENGTH(wants); i++) {
		struct http_request request = { .fresh = true,
			.body_limit = wants[i].limit,
			.error_body = wants[i].error_body };
		if (wants[i].body != NULL) {
			ask(&b, "/", request);
			CU_ASSERT_EQUAL(b.error, NET_OK);
			CU_ASSERT_STRING_EQUAL(b.body.data, wants[i].body);
			continue;
		}
		int told = b.told;
		struct fetch_call *call = begin(&b, "/", request);
		run_for(b.loop, 50);
		CU_ASSERT_EQUAL(b.told, told);
		fetch_cancel(call);
	}
	bench_close(&b);
}

/* 408 on a kept connection: the server had waited long enough. On a new one it is what it
 * is. */
static void
test_request_timeout(void)
{
#define TIMED_OUT "HTTP/1.1 408 Late\r\nContent-Length: 0\r\n\r\n"
	static const char *const script[] = { GOOD, TIMED_OUT, GOOD, NULL };
	static const char *const first[] = { TIMED_OUT, NULL };
	struct bench b;

	bench_open(&b, script);
	ask(&b, "/", kept);
	ask(&b, "/", kept);
	CU_ASSERT_EQUAL(b.status, 200);
	CU_ASSERT_EQUAL(b.n_peers, 2);
	bench_close(&b);
	bench_open(&b, first);
	ask(&b, "/", kept);
	CU_ASSERT_EQUAL(b.status, 408);
	bench_close(&b);
}

static void
test_faulty_orders(void)
{
	static const char *const urls[] = { "", "ftp://127.0.0.1/", "http://",
		"http://a b/", "http://127.0.0.1:70000/", "nonsense" };
	static const char *const script[] = { GOOD, NULL };
	struct bench b;

	bench_open(&b, script);
	for (size_t i = 0; i < ARRAY_LENGTH(urls); i++) {
		if (urls[i][0] != '\0')
			ask(&b, urls[i], once);
		CU_ASSERT(urls[i][0] == '\0' || b.error == NET_LOCAL);
	}
	CU_ASSERT_STRING_EQUAL(b.why, "this is not an http or https URL");
	ask(&b, "http://127.0.0.1:1/", once);
	CU_ASSERT_EQUAL(b.error, NET_REFUSED);
	ask(&b, "http://no.such.name.invalid./", once);
	CU_ASSERT_EQUAL(b.error, NET_RESOLVE);
	bench_close(&b);
}

struct order {
	struct fetch_call *call;
	int told;
};

static void
on_order(void *arg, const struct http_reply *reply)
{
	struct order *order = arg;

	order->told++;
	fetch_cancel(order->call); /* which is nothing */
	order->call = NULL;
}

/* Cancelled in whatever state, or freed with calls in every state: nobody is told twice or
 * afterwards. */
static void
end_after(int turns, bool cancel)
{
	static const char *const script[] = { GOOD, SILENCE, GOOD, NULL };
	struct order orders[8] = { { NULL } };
	struct bench b;

	bench_open(&b, script);
	ask(&b, "/", kept);
	AUTO_FREE char *good = xasprintf("http://127.0.0.1:%u/", b.port);
	const char *urls[] = { good, "http://127.0.0.1:1/", "nonsense", good };
	for (size_t i = 0; i < 8; i++) {
		struct http_request request = { .url = urls[i % 4], .fresh = i < 4 };
		orders[i].call = fetch_send(b.fetch, &request, on_order, &orders[i]);
	}
	for (int i = 0; i < turns; i++)
		until(b.loop, NULL, NULL, 0);
	for (size_t i = 0; i < 8 && cancel; i++)
		fetch_cancel(orders[i].call);
	fetch_free(b.fetch);
	b.fetch = NULL;
	run_for(b.loop, 10);
	for (size_t i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(orders[i].told, orders[i].call == NULL);
	bench_close(&b);
}

static void
test_cancelled_at_any_moment(void)
{
	for (int turns = 0; turns < 16; turns++) {
		end_after(turns, false);
		end_after(turns, true);
	}
}

static void
test_many_at_once(void)
{
	static const char *const script[] = { GOOD, NULL };
	struct bench b;

	bench_open(&b, script);
	for (int round = 0; round < 2; round++) {
		b.expected = b.told + 200;
		for (int i = 0; i < 200; i++)
			begin(&b, "/", once);
		CU_ASSERT(until(b.loop, is_told, &b, 10000));
		CU_ASSERT_EQUAL(b.error, NET_OK);
	}
	CU_ASSERT_EQUAL(b.requests, 400);
	bench_close(&b);
}

/* A call that is begun where another one is told. */
struct chain {
	struct bench *bench;
	int left;
};

static void
on_link(void *arg, const struct http_reply *reply)
{
	struct chain *chain = arg;
	struct bench *b = chain->bench;
	AUTO_FREE char *url = xasprintf("http://127.0.0.1:%u/", b->port);
	struct http_request request = { .url = url, .fresh = chain->left % 2 == 0 };

	CU_ASSERT_EQUAL(reply->error, NET_OK);
	if (--chain->left > 0)
		fetch_send(b->fetch, &request, on_link, chain);
	else
		b->told++;
}

static void
test_one_after_another(void)
{
	static const char *const script[] = { GOOD, NULL };
	struct bench b;

	bench_open(&b, script);
	struct chain chain = { &b, 20 };
	AUTO_FREE char *url = xasprintf("http://127.0.0.1:%u/", b.port);
	struct http_request request = { .url = url };
	fetch_send(b.fetch, &request, on_link, &chain);
	CU_ASSERT(until(b.loop, is_told, &b, 10000));
	CU_ASSERT_EQUAL(b.requests, 20);
	bench_close(&b);
}

static const struct tap_case cases[] = {
	{ "requests byte for byte", test_requests_byte_for_byte },
	{ "hosts", test_hosts },
	{ "a large body", test_a_large_body },
	{ "fields and trailers", test_fields_and_trailers },
	{ "enough is enough", test_enough_is_enough },
	{ "request timeout", test_request_timeout },
	{ "faulty orders", test_faulty_orders },
	{ "cancelled at any moment", test_cancelled_at_any_moment },
	{ "many at once", test_many_at_once },
	{ "one after another", test_one_after_another },
};

TAP_MAIN("fetch", cases)
