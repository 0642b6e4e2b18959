/* SPDX-License-Identifier: ISC */
/*
 * Our own HTTP client against a server on the same loop that answers each request with the
 * next text of a script: what is sent, byte for byte, and which connection is used again.
 * How answers are read is test_h1's, and how servers misbehave test_hostile's.
 */
#include "agent/base/fetch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/resolve.h"
#include "agent/base/stream.h"
#include "agent/base/tls.h"
#include "agent/base/util.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define PEERS_MAX 512
#define GOOD "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
#define SILENCE "" /* no answer */

struct peer {
	struct bench *bench;
	int fd;
	struct loop_io *io;
	struct buf asked;
};

struct bench {
	struct loop *loop;
	struct resolve *resolve;
	struct tlss *tlss;
	struct streams *streams;
	struct fetch *fetch;
	/* the server */
	int listener;
	uint16_t port;
	struct loop_io *io;
	struct peer *peers[PEERS_MAX];
	size_t n_peers; /* connections that ever were */
	const char *const *script; /* an answer each, the last one for ever */
	bool closes; /* after each answer */
	struct buf asked; /* all requests, one after the other */
	size_t requests;
	/* the client */
	int told, expected;
	bool sending;
	enum net_error error;
	char why[160];
	int status;
	struct buf body;
	char field[64];
};

static void
hang_up(struct peer *peer)
{
	loop_io_free(peer->io);
	peer->io = NULL;
	close(peer->fd);
	buf_free(&peer->asked);
}

/* A request and the length that it says of its body. */
static bool
is_whole(const struct buf *asked)
{
	const char *end = strstr(asked->data, "\r\n\r\n");
	const char *length = strstr(asked->data, "Content-Length: ");
	size_t body = length != NULL ? strtoul(length + 16, NULL, 10) : 0;

	return end != NULL && asked->len >= (size_t)(end - asked->data) + 4 + body;
}

static void
on_asked(void *arg, unsigned int events)
{
	struct peer *peer = arg;
	struct bench *b = peer->bench;
	char data[4096];
	ssize_t n = recv(peer->fd, data, sizeof(data), MSG_DONTWAIT);

	if (n <= 0) {
		hang_up(peer);
		return;
	}
	buf_add(&peer->asked, data, (size_t)n);
	if (!is_whole(&peer->asked))
		return;
	buf_add(&b->asked, peer->asked.data, peer->asked.len);
	buf_free(&peer->asked);
	b->requests++;
	const char *answer = *b->script;
	if (b->script[1] != NULL)
		b->script++;
	if (send(peer->fd, answer, strlen(answer), MSG_NOSIGNAL) < 0 || b->closes)
		hang_up(peer);
}

static void
on_peer(void *arg, unsigned int events)
{
	struct bench *b = arg;
	int fd = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	CU_ASSERT_FATAL(b->n_peers < PEERS_MAX);
	struct peer *peer = xcalloc(1, sizeof(*peer));
	*peer = (struct peer){ b, fd, NULL, { .limit = 1 << 20 } };
	peer->io = loop_io_new(b->loop, fd, on_asked, peer);
	loop_io_watch(peer->io, LOOP_READ);
	b->peers[b->n_peers++] = peer;
}

static void
bench_open(struct bench *b, const char *const *script)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_ANY_INIT };
	socklen_t len = sizeof(address);

	*b = (struct bench){ .script = script,
		.asked.limit = 1 << 20,
		.body.limit = 1 << 20,
		.expected = 1 };
	b->loop = loop_new();
	b->resolve = resolve_new(b->loop);
	b->tlss = tlss_new();
	b->streams = streams_new(b->loop, b->resolve, b->tlss);
	b->fetch = fetch_new(b->loop, b->streams);
	b->listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CU_ASSERT_EQUAL(bind(b->listener, (struct sockaddr *)&address, len), 0);
	CU_ASSERT_EQUAL(listen(b->listener, 512), 0);
	getsockname(b->listener, (struct sockaddr *)&address, &len);
	b->port = ntohs(address.sin6_port);
	b->io = loop_io_new(b->loop, b->listener, on_peer, b);
	loop_io_watch(b->io, LOOP_READ);
}

static void
bench_close(struct bench *b)
{
	fetch_free(b->fetch);
	streams_free(b->streams);
	tlss_free(b->tlss);
	resolve_free(b->resolve);
	loop_io_free(b->io);
	close(b->listener);
	for (size_t i = 0; i < b->n_peers; i++) {
		if (b->peers[i]->io != NULL)
			hang_up(b->peers[i]);
		free(b->peers[i]);
	}
	loop_free(b->loop);
	buf_free(&b->asked);
	buf_free(&b->body);
}

static void
on_done(void *arg, const struct http_reply *reply)
{
	struct bench *b = arg;
	const char *field = http_header(reply, "x-field");

	CU_ASSERT_FALSE(b->sending);
	b->told++;
	b->error = reply->error;
	b->status = reply->status;
	str_copy(b->why, sizeof(b->why), reply->why);
	str_copy(b->field, sizeof(b->field), field != NULL ? field : "none");
	buf_free(&b->body);
	buf_add(&b->body, reply->body, reply->body_len);
	CU_ASSERT_EQUAL(reply->body[reply->body_len], '\0');
	CU_ASSERT_EQUAL(reply->certificate_end, -1);
	CU_ASSERT(reply->error != NET_OK || reply->sent_at > 0);
}

static bool
is_told(void *arg)
{
	struct bench *b = arg;

	return b->told >= b->expected;
}

static struct fetch_call *
begin(struct bench *b, const char *where, struct http_request request)
{
	AUTO_FREE char *url = where[0] == '/'
	    ? xasprintf("http://127.0.0.1:%u%s", b->port, where)
	    : xstrdup(where);

	request.url = url;
	if (request.body_limit == 0)
		request.body_limit = 1024;
	b->sending = true;
	struct fetch_call *call = fetch_send(b->fetch, &request, on_done, b);
	b->sending = false;
	return call;
}

/* One call to its end. */
static void
ask(struct bench *b, const char *where, struct http_request request)
{
	b->expected = b->told + 1;
	begin(b, where, request);
	CU_ASSERT(until(b->loop, is_told, b, 10000));
}

static const struct http_request once = { .fresh = true }, kept = { .fresh = false };

/* ---- what is sent ---- */

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

/* ---- what comes back ---- */

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

/* ---- which connection ---- */

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

/* ---- ends ---- */

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
	{ "connections are kept", test_connections_are_kept },
	{ "connections of targets", test_connections_of_targets },
	{ "bodies are read to the end", test_bodies_are_read_to_the_end },
	{ "kept connections give way", test_kept_connections_give_way },
	{ "a kept connection that ended", test_a_kept_connection_that_ended },
	{ "an answer that nobody asked for", test_an_answer_that_nobody_asked_for },
	{ "only once more", test_only_once_more },
	{ "half an answer is one", test_half_an_answer_is_one },
	{ "request timeout", test_request_timeout },
	{ "faulty orders", test_faulty_orders },
	{ "cancelled at any moment", test_cancelled_at_any_moment },
	{ "many at once", test_many_at_once },
	{ "one after another", test_one_after_another },
};

TAP_MAIN("fetch", cases)
