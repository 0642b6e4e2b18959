/* SPDX-License-Identifier: ISC */
/*
 * Our own HTTP client and a server on the same loop, which answers each request with the next
 * text of a script and notes what it was sent.
 */
#include "tests/unit/fetch_bed.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/resolve.h"
#include "agent/base/stream.h"
#include "agent/base/tls.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

const struct http_request once = { .fresh = true }, kept = { .fresh = false };

void
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

void
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

void
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

bool
is_told(void *arg)
{
	struct bench *b = arg;

	return b->told >= b->expected;
}

struct fetch_call *
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

void
ask(struct bench *b, const char *where, struct http_request request)
{
	b->expected = b->told + 1;
	begin(b, where, request);
	CU_ASSERT(until(b->loop, is_told, b, 10000));
}
