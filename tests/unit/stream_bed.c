/* SPDX-License-Identifier: ISC */
/*
 * Servers in this process, each with a manner of its own, and clients that connect by a
 * stream, say something, read, and note what came of it. A client looks after the rules
 * that every callback keeps: none from within a call, none after the end.
 */
#include "tests/unit/stream_bed.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/resolve.h"
#include "agent/base/tls.h"
#include "agent/base/util.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

static void
peer_end(struct peer *peer)
{
	struct linger linger = { .l_onoff = peer->reset };

	if (peer->fd < 0)
		return;
	loop_io_free(peer->io);
	setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(peer->fd);
	peer->fd = -1;
}

void
bulk_fill(char *out, size_t from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (char)((from + i) * 31 >> 3);
}

static void
peer_say_bulk(struct peer *peer)
{
	char chunk[16384];

	while (peer->said < BULK) {
		size_t len = BULK - peer->said < sizeof(chunk) ? BULK - peer->said
							       : sizeof(chunk);
		bulk_fill(chunk, peer->said, len);
		ssize_t n = send(peer->fd, chunk, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n <= 0)
			return;
		peer->said += (size_t)n;
	}
	peer_end(peer);
}

static void
peer_say_mark(struct peer *peer)
{
	char chunk[700];

	memset(chunk, peer->server->mark, sizeof(chunk));
	while (peer->said < peer->length) {
		size_t len = peer->length - peer->said;
		ssize_t n = send(peer->fd, chunk, len < 700 ? len : 700,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n <= 0)
			return;
		peer->said += (size_t)n;
	}
	peer_end(peer);
}

static void
peer_hear(struct peer *peer, const char *data, size_t len)
{
	switch (peer->server->manner) {
	case ECHO:
		CU_ASSERT_EQUAL(send(peer->fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
		break;
	case RESET:
		peer->reset = true;
		peer_end(peer);
		break;
	case BULKY:
		if (peer->heard == BULK)
			loop_io_watch(peer->io, LOOP_WRITE);
		break;
	case BANNER:
	case HALF:
	case MUTE:
	case CHAOS: break;
	}
}

static void
on_peer(void *arg, unsigned int events)
{
	struct peer *peer = arg;
	char data[16384];

	if ((events & LOOP_WRITE) != 0) {
		if (peer->server->manner == BULKY)
			peer_say_bulk(peer);
		else
			peer_say_mark(peer);
		return;
	}
	ssize_t n = recv(peer->fd, data, sizeof(data), MSG_DONTWAIT);
	if (n <= 0) {
		peer->server->ends += n == 0;
		peer->server->resets += n < 0;
		peer_end(peer);
		return;
	}
	peer->heard += (size_t)n;
	peer_hear(peer, data, (size_t)n);
}

static void
peer_begin(struct peer *peer)
{
	switch (peer->server->manner) {
	case BANNER:
		CU_ASSERT_EQUAL(send(peer->fd, "hello", 5, MSG_NOSIGNAL), 5);
		peer_end(peer);
		return;
	case HALF:
		CU_ASSERT_EQUAL(send(peer->fd, "bye", 3, MSG_NOSIGNAL), 3);
		shutdown(peer->fd, SHUT_WR);
		break;
	case CHAOS:
		peer->length = random_u64() % 3000;
		peer->reset = random_u64() % 2 == 0;
		loop_io_watch(peer->io, LOOP_WRITE);
		return;
	case ECHO:
	case RESET:
	case MUTE:
	case BULKY: break;
	}
	loop_io_watch(peer->io, LOOP_READ);
}

static void
on_accept(void *arg, unsigned int events)
{
	struct server *server = arg;
	int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	struct peer *peer = xcalloc(1, sizeof(*peer));
	*peer = (struct peer){ .next = server->peers, .server = server, .fd = fd };
	peer->io = loop_io_new(server->loop, fd, on_peer, peer);
	server->peers = peer;
	server->accepted++;
	peer_begin(peer);
}

static socklen_t
make_address(union resolve_address *out, const char *host, uint16_t port)
{
	socklen_t len = 0;

	CU_ASSERT_TRUE_FATAL(resolve_literal(host, port, out, &len));
	return len;
}

struct server *
server_new(
    struct loop *loop, const char *host, uint16_t port, enum manner manner, int backlog)
{
	struct server *server = xcalloc(1, sizeof(*server));
	union resolve_address address;
	socklen_t len = make_address(&address, host, port);
	static const int on = 1;

	*server = (struct server){ .loop = loop, .manner = manner };
	server->fd =
	    socket(address.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	CU_ASSERT_TRUE_FATAL(server->fd >= 0);
	setsockopt(server->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	CU_ASSERT_EQUAL_FATAL(bind(server->fd, &address.sa, len), 0);
	CU_ASSERT_EQUAL_FATAL(listen(server->fd, backlog), 0);
	server->io = loop_io_new(loop, server->fd, on_accept, server);
	loop_io_watch(server->io, LOOP_READ);
	return server;
}

void
server_free(struct server *server)
{
	while (server->peers != NULL) {
		struct peer *peer = server->peers;
		server->peers = peer->next;
		peer_end(peer);
		free(peer);
	}
	loop_io_free(server->io);
	close(server->fd);
	free(server);
}

uint16_t
server_port(const struct server *server)
{
	union resolve_address address;
	socklen_t len = sizeof(address);

	CU_ASSERT_EQUAL(getsockname(server->fd, &address.sa, &len), 0);
	return ntohs(address.in.sin_port);
}

void
world_open(struct world *w)
{
	*w = (struct world){ .loop = loop_new() };
	w->resolve = resolve_new(w->loop);
	w->tlss = tlss_new();
	w->streams = streams_new(w->loop, w->resolve, w->tlss);
}

void
world_close(struct world *w)
{
	streams_free(w->streams);
	tlss_free(w->tlss);
	resolve_free(w->resolve);
	loop_free(w->loop);
}

static void
client_end(struct client *c, enum net_error error, const char *why)
{
	c->over = true;
	c->error = error;
	c->certificate_end = stream_certificate_end(c->stream);
	str_copy(c->why, sizeof(c->why), why != NULL ? why : "");
	CU_ASSERT_EQUAL(error == NET_OK, why == NULL);
	stream_close(c->stream, c->polite);
	c->stream = NULL;
}

static void
client_read(struct client *c)
{
	if (c->got_size - c->got_len < 5000) {
		c->got_size = c->got_size * 2 + 10000;
		c->got = xrealloc(c->got, c->got_size, 1);
	}
	c->calling = true;
	stream_read(c->stream, c->got + c->got_len, c->got_size - c->got_len);
	c->calling = false;
}

static void
on_connected(void *arg, enum net_error error, const char *why)
{
	struct client *c = arg;

	CU_ASSERT_FALSE(c->calling || c->over || c->connected);
	c->connected = error == NET_OK;
	if (error != NET_OK || c->close_at == CONNECTED)
		client_end(c, error, why);
	else if (c->say_len > 0)
		stream_write(c->stream, c->say, c->say_len);
	else
		client_read(c);
}

static void
on_written(void *arg, enum net_error error, const char *why)
{
	struct client *c = arg;

	CU_ASSERT_TRUE(c->connected && !c->wrote && !c->over);
	c->wrote = error == NET_OK;
	if (error != NET_OK || c->close_at == WRITTEN)
		client_end(c, error, why);
	else
		client_read(c);
}

static void
on_arrived(void *arg, size_t len, enum net_error error, const char *why)
{
	struct client *c = arg;

	CU_ASSERT_FALSE(c->calling || c->over);
	CU_ASSERT_TRUE(error == NET_OK || len == 0);
	c->got_len += len;
	if (error != NET_OK || len == 0 || c->close_at == ARRIVED ||
	    (c->want > 0 && c->got_len >= c->want))
		client_end(c, error, why);
	else
		client_read(c);
}

static const struct stream_out client_out = { on_connected, on_written, on_arrived };

void
client_open(struct world *w, struct client *c, const char *host, uint16_t port,
    const char *say, size_t want)
{
	*c = (struct client){ .target = { host, port, w->tls },
		.say = say,
		.say_len = strlen(say),
		.want = want,
		.calling = true };
	c->stream = stream_open(w->streams, &c->target, &client_out, c);
	c->calling = false;
}

void
client_free(struct client *c)
{
	if (c->stream != NULL)
		stream_close(c->stream, false);
	free(c->got);
}

bool
has_got(const struct client *c, const char *text)
{
	size_t len = strlen(text);

	return c->got_len == len && (len == 0 || memcmp(c->got, text, len) == 0);
}

bool
is_over(void *arg)
{
	return ((struct client *)arg)->over;
}

void
client_wait(struct world *w, struct client *c)
{
	CU_ASSERT_TRUE(until(w->loop, is_over, c, LIMIT_MS));
}

void
run_client(struct world *w, struct client *c, const char *host, uint16_t port,
    const char *say, size_t want)
{
	client_open(w, c, host, port, say, want);
	client_wait(w, c);
}

void
hole_open(struct hole *hole, const char *host)
{
	union resolve_address address;
	socklen_t len = make_address(&address, host, PORT);
	static const int on = 1;

	hole->fd = socket(address.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(hole->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	CU_ASSERT_EQUAL_FATAL(bind(hole->fd, &address.sa, len), 0);
	CU_ASSERT_EQUAL_FATAL(listen(hole->fd, 0), 0);
	for (int i = 0; i < 2; i++) {
		hole->filler[i] = socket(address.sa.sa_family,
		    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(hole->filler[i], &address.sa, len);
	}
}

void
hole_close(struct hole *hole)
{
	close(hole->filler[0]);
	close(hole->filler[1]);
	close(hole->fd);
}
