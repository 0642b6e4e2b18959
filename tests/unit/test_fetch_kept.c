/* SPDX-License-Identifier: ISC */
/*
 * Which connections are kept for the next request to the same target, which are given up, and
 * what becomes of a request over one that had ended.
 */
#include "agent/base/fetch.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "agent/base/util.h"
#include "tests/unit/fetch_bed.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

/* An answer, and whether its connection serves the next request. */
static const struct {
	const char *answer;
	bool stays;
} lasting[] = {
	{ GOOD, true },
	{ "HTTP/1.1 204 None\r\n\r\n", true },
	{ "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n",
	    true },
	{ "HTTP/1.1 100 Go on\r\nConnection: close\r\n\r\n" GOOD, true },
	{ "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", false },
	{ "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false },
	{ GOOD "more", false },
	{ GOOD GOOD, false },
	{ "HTTP/1.1 101 Other\r\n\r\n", false },
	{ "HTTP/1.1 200\r\nContent-Length: x\r\n\r\n", false },
};

static void
test_connections_are_kept(void)
{
	for (size_t i = 0; i < ARRAY_LENGTH(lasting); i++) {
		const char *const script[] = { lasting[i].answer, GOOD, NULL };
		struct bench b;
		bench_open(&b, script);
		ask(&b, "/", kept);
		CU_ASSERT_EQUAL(b.n_peers, 1);
		ask(&b, "/", kept);
		CU_ASSERT_EQUAL(b.error, NET_OK);
		CU_ASSERT_EQUAL(b.n_peers, lasting[i].stays ? 1 : 2);
		ask(&b, "/", once);
		CU_ASSERT_EQUAL(b.n_peers, lasting[i].stays ? 2 : 3);
		bench_close(&b);
	}
}

/* Each target has its own; as many as are in use at once. */
static void
test_connections_of_targets(void)
{
	static const char *const script[] = { GOOD, NULL };
	struct bench b;

	bench_open(&b, script);
	AUTO_FREE char *other = xasprintf("http://localhost:%u/", b.port);
	for (int i = 0; i < 3; i++) {
		ask(&b, "/", kept);
		ask(&b, other, kept);
		CU_ASSERT_EQUAL(b.n_peers, 2);
	}
	b.expected = b.told + 3;
	for (int i = 0; i < 3; i++)
		begin(&b, "/", kept);
	CU_ASSERT(until(b.loop, is_told, &b, 10000));
	CU_ASSERT_EQUAL(b.n_peers, 4);
	ask(&b, "/", kept);
	CU_ASSERT_EQUAL(b.n_peers, 4);
	bench_close(&b);
}

/* What the limit leaves out is read all the same, for the sake of the connection. */
static void
test_bodies_are_read_to_the_end(void)
{
	struct buf answer = { .limit = 4 << 20 };
	const char *script[] = { NULL, GOOD, NULL };
	struct bench b;

	for (int large = 0; large < 2; large++) {
		size_t len = large == 0 ? 60000 : 200000;
		buf_printf(
		    &answer, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
		AUTO_FREE char *body = xasprintf("%0*d", (int)len, 7);
		buf_add(&answer, body, large == 0 ? len : 150000);
		script[0] = answer.data;
		bench_open(&b, script);
		struct http_request request = { .body_limit = 10 };
		int size = 1 << 20;
		setsockopt(b.listener, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		ask(&b, "/", request);
		CU_ASSERT_EQUAL(b.error, NET_OK);
		CU_ASSERT_STRING_EQUAL(b.body.data, "0000000000");
		ask(&b, "/", request);
		CU_ASSERT_EQUAL(b.n_peers, large == 0 ? 1 : 2);
		bench_close(&b);
		buf_free(&answer);
	}
}

/* More targets than there are descriptors: what is kept gives way to what is needed. */
static void
test_kept_connections_give_way(void)
{
	static const char *const script[] = { GOOD, NULL };
	struct rlimit all, few = { .rlim_cur = 64 };
	struct bench b;

	getrlimit(RLIMIT_NOFILE, &all);
	few.rlim_max = all.rlim_max;
	setrlimit(RLIMIT_NOFILE, &few);
	bench_open(&b, script);
	setrlimit(RLIMIT_NOFILE, &all);
	for (int i = 1; i <= 100; i++) {
		AUTO_FREE char *url = xasprintf("http://127.0.0.%d:%u/", i, b.port);
		ask(&b, url, kept);
		CU_ASSERT_EQUAL(b.error, NET_OK);
		CU_ASSERT_STRING_EQUAL(b.body.data, "good");
	}
	CU_ASSERT_EQUAL(b.n_peers, 100);
	bench_close(&b);
}

/* Closed while it was kept: nobody's fault, and tried once more. */
static void
test_a_kept_connection_that_ended(void)
{
	static const char *const script[] = { GOOD, NULL };
	struct bench b;

	bench_open(&b, script);
	ask(&b, "/", kept);
	hang_up(b.peers[0]);
	ask(&b, "/", kept);
	CU_ASSERT_EQUAL(b.error, NET_OK);
	CU_ASSERT_STRING_EQUAL(b.body.data, "good");
	CU_ASSERT_EQUAL(b.n_peers, 2);
	CU_ASSERT_EQUAL(b.requests, 2);
	bench_close(&b);
}

/* Between two of its calls the loop has seen what has come. */
static bool
has_turned(void *arg)
{
	return ++*(int *)arg > 3;
}

/* What nobody asked for is not the answer to the next request (RFC 9112, 9.2). */
static void
test_an_answer_that_nobody_asked_for(void)
{
	static const char *const script[] = { GOOD, NULL };
	static const char late[] = "HTTP/1.1 503 Late\r\nContent-Length: 0\r\n\r\n";
	static const char *const stray[] = { late, "H", "\n" };

	for (size_t i = 0; i < ARRAY_LENGTH(stray); i++) {
		size_t len = strlen(stray[i]);
		struct bench b;
		bench_open(&b, script);
		ask(&b, "/", kept);
		setsockopt(
		    b.peers[0]->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
		CU_ASSERT_EQUAL(send(b.peers[0]->fd, stray[i], len, 0), (ssize_t)len);
		int turns = 0;
		CU_ASSERT(until(b.loop, has_turned, &turns, 10000));
		ask(&b, "/", kept);
		CU_ASSERT_EQUAL(b.error, NET_OK);
		CU_ASSERT_EQUAL(b.status, 200);
		CU_ASSERT_EQUAL(b.n_peers, 2);
		CU_ASSERT_EQUAL(b.requests, 2);
		ask(&b, "/", kept);
		CU_ASSERT_EQUAL(b.n_peers, 2);
		bench_close(&b);
	}
}

static void
test_only_once_more(void)
{
	static const char *const script[] = { GOOD, SILENCE, NULL };
	struct bench b;

	bench_open(&b, script);
	ask(&b, "/", kept);
	b.closes = true;
	ask(&b, "/", kept);
	CU_ASSERT_EQUAL(b.error, NET_CLOSED);
	CU_ASSERT_STRING_EQUAL(b.why, "the connection ended without an answer");
	CU_ASSERT_EQUAL(b.requests, 3);
	CU_ASSERT_EQUAL(b.n_peers, 2);
	ask(&b, "/", once);
	CU_ASSERT_EQUAL(b.error, NET_CLOSED);
	CU_ASSERT_EQUAL(b.requests, 4);
	bench_close(&b);
}

/* Once something of an answer has come it is an answer. */
static void
test_half_an_answer_is_one(void)
{
	static const char *const script[] = { GOOD, "HTTP/1.1 200 OK\r\n", NULL };
	struct bench b;

	bench_open(&b, script);
	ask(&b, "/", kept);
	b.closes = true;
	ask(&b, "/", kept);
	CU_ASSERT_EQUAL(b.error, NET_CLOSED);
	CU_ASSERT_STRING_EQUAL(
	    b.why, "the connection ended in the middle of the answer");
	CU_ASSERT_EQUAL(b.requests, 2);
	bench_close(&b);
}

static const struct tap_case cases[] = {
	{ "connections are kept", test_connections_are_kept },
	{ "connections of targets", test_connections_of_targets },
	{ "bodies are read to the end", test_bodies_are_read_to_the_end },
	{ "kept connections give way", test_kept_connections_give_way },
	{ "a kept connection that ended", test_a_kept_connection_that_ended },
	{ "an answer that nobody asked for", test_an_answer_that_nobody_asked_for },
	{ "only once more", test_only_once_more },
	{ "half an answer is one", test_half_an_answer_is_one },
};

TAP_MAIN("fetch_kept", cases)
