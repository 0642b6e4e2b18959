/* SPDX-License-Identifier: ISC */
/*
 * Streams against real servers in this process, on a loopback of its own where that can be
 * had. The rules: an order is answered once and with what the server did, whatever became
 * of the connection before on the same socket; what is our own fault is never the server's.
 */
#include "agent/base/stream.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/resolve.h"
#include "agent/base/tls.h"
#include "agent/base/util.h"
#include "tests/unit/name_server.h"
#include "tests/unit/netns.h"
#include "tests/unit/tap.h"
#include "tests/unit/tls_server.h"
#include "tests/unit/until.h"

#define LIMIT_MS 20000
#define BULK 3000000 /* more than the kernel holds for both ends */
#define PORT 8333 /* where the kernel chooses no local ports */

/* ---- servers ---- */

enum manner {
	BANNER, /* says "hello" and closes */
	ECHO, /* gives back what it is told, closes when nothing more comes */
	HALF, /* says "bye" and no more, hears on */
	RESET, /* resets when it is told something */
	MUTE, /* says nothing */
	BULKY, /* hears BULK bytes, then says as many */
	CHAOS, /* says its mark, again and again, ends at some moment in some way */
};

struct server {
	struct loop *loop;
	struct loop_io *io;
	int fd;
	enum manner manner;
	char mark;
	size_t accepted, ends, resets; /* as the peers saw them */
	struct peer *peers;
};

struct peer {
	struct peer *next;
	struct server *server;
	struct loop_io *io;
	int fd;
	size_t heard, said, length; /* length: of what CHAOS will say */
	bool reset;
};

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

static void
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

/* On `port`, or on one of the kernel's choice if that is 0. */
static struct server *
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

static void
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

static uint16_t
server_port(const struct server *server)
{
	union resolve_address address;
	socklen_t len = sizeof(address);

	CU_ASSERT_EQUAL(getsockname(server->fd, &address.sa, &len), 0);
	return ntohs(address.in.sin_port);
}

/* ---- clients ---- */

struct world {
	struct loop *loop;
	struct resolve *resolve;
	struct tlss *tlss;
	struct streams *streams;
	const struct net_tls *tls; /* of those who connect */
};

static void
world_open(struct world *w)
{
	*w = (struct world){ .loop = loop_new() };
	w->resolve = resolve_new(w->loop);
	w->tlss = tlss_new();
	w->streams = streams_new(w->loop, w->resolve, w->tlss);
}

static void
world_close(struct world *w)
{
	streams_free(w->streams);
	tlss_free(w->tlss);
	resolve_free(w->resolve);
	loop_free(w->loop);
}

enum moment { NEVER, CONNECTED, WRITTEN, ARRIVED };

struct client {
	struct stream *stream;
	struct stream_target target;
	const char *say;
	size_t say_len, want; /* want: bytes that are enough; 0: the end */
	bool calling; /* in a call that must not answer from within */
	enum moment close_at; /* closed in that callback */
	bool polite;
	/* what came of it */
	bool over, connected, wrote;
	enum net_error error;
	int64_t certificate_end;
	char why[160];
	char *got;
	size_t got_len, got_size;
};

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

static void
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

static void
client_free(struct client *c)
{
	if (c->stream != NULL)
		stream_close(c->stream, false);
	free(c->got);
}

static bool
has_got(const struct client *c, const char *text)
{
	size_t len = strlen(text);

	return c->got_len == len && (len == 0 || memcmp(c->got, text, len) == 0);
}

static bool
is_over(void *arg)
{
	return ((struct client *)arg)->over;
}

static void
client_wait(struct world *w, struct client *c)
{
	CU_ASSERT_TRUE(until(w->loop, is_over, c, LIMIT_MS));
}

static void
run_client(struct world *w, struct client *c, const char *host, uint16_t port,
    const char *say, size_t want)
{
	client_open(w, c, host, port, say, want);
	client_wait(w, c);
}

/* ---- what must come of what ---- */

static const struct {
	enum manner manner;
	const char *say;
	size_t want;
	enum net_error error;
	const char *got, *why;
} rows[] = {
	{ BANNER, "", 0, NET_OK, "hello", "" },
	{ BANNER, "", 5, NET_OK, "hello", "" },
	{ BANNER, "you", 5, NET_OK, "hello", "" },
	{ ECHO, "what?", 5, NET_OK, "what?", "" },
	{ HALF, "", 0, NET_OK, "bye", "" },
	{ HALF, "see you", 0, NET_OK, "bye", "" },
	{ RESET, "go away", 0, NET_CLOSED, "", "the connection was reset" },
};

static void
run_row(struct world *w, const char *host, size_t row)
{
	struct server *server = server_new(w->loop, host, 0, rows[row].manner, 16);
	struct client c;

	run_client(w, &c, host, server_port(server), rows[row].say, rows[row].want);
	CU_ASSERT_EQUAL(c.error, rows[row].error);
	CU_ASSERT_STRING_EQUAL(c.why, rows[row].why);
	CU_ASSERT_TRUE(has_got(&c, rows[row].got));
	client_free(&c);
	server_free(server);
}

/* Every outcome is followed by every other, and by itself, on its socket. */
static void
test_outcomes(void)
{
	static const char *const hosts[] = { "127.0.0.1", "::1" };
	const size_t n = ARRAY_LENGTH(rows);

	for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++) {
		struct world w;
		world_open(&w);
		for (size_t a = 0; a < n; a++) {
			run_row(&w, hosts[i], a);
			for (size_t b = a; b < n; b++) {
				run_row(&w, hosts[i], b);
				if (b > a)
					run_row(&w, hosts[i], a);
			}
		}
		world_close(&w);
	}
}

/* What the other end sees of an end. */
static void
test_ends(void)
{
	struct world w;
	struct client c;

	world_open(&w);
	struct server *server = server_new(w.loop, "127.0.0.1", 0, ECHO, 16);
	for (size_t i = 1; i <= 4; i++) {
		client_open(&w, &c, "127.0.0.1", server_port(server), "x", 1);
		c.polite = i % 2 == 0;
		client_wait(&w, &c);
		run_for(w.loop, 10);
		CU_ASSERT_EQUAL(server->resets, (i + 1) / 2);
		CU_ASSERT_EQUAL(server->ends, i / 2);
		client_free(&c);
	}
	server_free(server);
	world_close(&w);
}

static void
test_refused(void)
{
	static const char *const hosts[] = { "127.0.0.1", "::1", "127.0.0.1" };
	struct world w;
	struct client c;

	world_open(&w);
	for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++) {
		run_client(&w, &c, hosts[i], PORT, "x", 0);
		CU_ASSERT_EQUAL(c.error, NET_REFUSED);
		CU_ASSERT_STRING_EQUAL(c.why, "the connection was refused");
		client_free(&c);
		struct server *server = server_new(w.loop, hosts[i], PORT, ECHO, 16);
		run_client(&w, &c, hosts[i], PORT, "x", 1);
		CU_ASSERT_EQUAL(c.error, NET_OK);
		client_free(&c);
		server_free(server);
	}
	run_client(&w, &c, "no.such.name.invalid.", PORT, "x", 0);
	CU_ASSERT_EQUAL(c.error, NET_RESOLVE);
	client_free(&c);
	world_close(&w);
}

static void
test_bulk(void)
{
	struct world w;
	struct client c;
	AUTO_FREE char *bulk = xcalloc(1, BULK + 1);

	world_open(&w);
	struct server *server = server_new(w.loop, "127.0.0.1", 0, BULKY, 16);
	bulk_fill(bulk, 0, BULK);
	client_open(&w, &c, "127.0.0.1", server_port(server), bulk, 0);
	c.say_len = BULK;
	client_wait(&w, &c);
	CU_ASSERT_EQUAL(c.error, NET_OK);
	CU_ASSERT_EQUAL_FATAL(c.got_len, BULK);
	CU_ASSERT_EQUAL(memcmp(c.got, bulk, BULK), 0);
	client_free(&c);
	server_free(server);
	world_close(&w);
}

/* Who only connects is not noticed by the service; who waits for it to speak is at once,
 * not when the kernel gets round to an acknowledgement it was told to put off. */
static void
test_connecting_is_quiet(void)
{
	struct world w;
	struct client c;
	int64_t best = INT64_MAX;

	world_open(&w);
	struct server *server = server_new(w.loop, "127.0.0.1", 0, BANNER, 16);
	for (int i = 0; i < 20; i++) {
		client_open(&w, &c, "127.0.0.1", server_port(server), "", 0);
		c.close_at = CONNECTED;
		client_wait(&w, &c);
		CU_ASSERT_EQUAL(c.error, NET_OK);
	}
	run_for(w.loop, 50);
	CU_ASSERT_EQUAL(server->accepted, 0);
	for (int i = 0; i < 5; i++) {
		int64_t start = clock_raw_ms();
		run_client(&w, &c, "127.0.0.1", server_port(server), "", 5);
		int64_t took = clock_raw_ms() - start;
		best = took < best ? took : best;
		client_free(&c);
	}
	CU_ASSERT_TRUE(best < 35); /* the kernel puts off 40 ms at the least */
	server_free(server);
	world_close(&w);
}

/* ---- TLS ---- */

static const struct tls_certificate certificates[] = {
	{ .file = "ca.pem", .name = "Our CA", .authority = true },
	{ .file = "other.pem", .name = "Another CA", .authority = true },
	{ .file = "well.pem", .issuer = "ca.pem", .alternatives = "DNS:db.example" },
};

static char bulk_heard[BULK], bulk_said[BULK];

/* Three letters come back at once, more when BULK have come, as many. */
static void
serve_echo(struct tls_peer *peer)
{
	size_t len = 0;

	while (len < 3 || (len > 3 && len < BULK)) {
		ssize_t n = tls_peer_read(peer, bulk_heard + len, BULK - len);
		if (n <= 0)
			return;
		len += (size_t)n;
	}
	tls_peer_write(peer, bulk_heard, len);
	tls_peer_end(peer);
}

static void
serve_nobody(int fd)
{
}

struct encrypted {
	struct world w;
	char *folder, *files[2];
	struct net_tls good, bad, none;
	struct tls_server *server, *rude;
};

static void
encrypted_open(struct encrypted *e)
{
	e->folder = tls_folder_new();
	for (size_t i = 0; i < ARRAY_LENGTH(certificates); i++)
		tls_certificate_make(e->folder, &certificates[i]);
	struct tls_server_conf well = { e->folder, "well.pem", .serve = serve_echo };
	struct tls_server_conf rude = { e->folder, "well.pem", .raw = serve_nobody };
	e->server = tls_server_start(&well);
	e->rude = tls_server_start(&rude);
	e->files[0] = xasprintf("%s/ca.pem", e->folder);
	e->files[1] = xasprintf("%s/other.pem", e->folder);
	e->good = (struct net_tls){ e->files[0], .server_name = "db.example" };
	e->bad = (struct net_tls){ e->files[1], .server_name = "db.example" };
	e->none = (struct net_tls){ "/nowhere/ca.pem" };
	world_open(&e->w);
}

static void
encrypted_close(struct encrypted *e)
{
	world_close(&e->w);
	tls_server_stop(e->server);
	tls_server_stop(e->rude);
	tls_folder_free(e->folder);
	free(e->files[0]);
	free(e->files[1]);
}

/* Plain and encrypted ones in turn, good and bad, all on one socket. */
static void
test_tls(void)
{
	struct encrypted e;

	encrypted_open(&e);
	const struct {
		const struct net_tls *tls;
		struct tls_server *server;
		size_t want;
		enum net_error error;
		const char *got;
	} turns[] = {
		{ &e.good, e.server, 0, NET_OK, "hey" },
		{ &e.good, e.server, 3, NET_OK, "hey" },
		{ &e.bad, e.server, 3, NET_TLS, "" },
		{ &e.none, e.server, 3, NET_LOCAL, "" },
		{ &e.good, e.rude, 3, NET_CLOSED, "" },
		{ NULL, e.rude, 0, NET_CLOSED, "" },
	};
	for (size_t i = 0; i < 3 * ARRAY_LENGTH(turns); i++) {
		size_t turn = i * (i / ARRAY_LENGTH(turns) + 1) % ARRAY_LENGTH(turns);
		struct client c;
		e.w.tls = turns[turn].tls;
		run_client(&e.w, &c, "127.0.0.1", tls_server_port(turns[turn].server),
		    "hey", turns[turn].want);
		bool ended = turns[turn].tls == NULL && c.error == NET_OK;
		CU_ASSERT_TRUE(c.error == turns[turn].error || ended);
		CU_ASSERT_TRUE(has_got(&c, turns[turn].got));
		CU_ASSERT_EQUAL(c.certificate_end > 0,
		    turns[turn].server == e.server && turns[turn].tls != &e.none);
		client_free(&c);
	}
	encrypted_close(&e);
}

static void
test_tls_bulk(void)
{
	struct encrypted e;
	struct client c;

	encrypted_open(&e);
	bulk_fill(bulk_said, 0, BULK);
	e.w.tls = &e.good;
	client_open(&e.w, &c, "127.0.0.1", tls_server_port(e.server), "", 0);
	c.say = bulk_said;
	c.say_len = BULK;
	client_wait(&e.w, &c);
	CU_ASSERT_EQUAL(c.error, NET_OK);
	CU_ASSERT_EQUAL_FATAL(c.got_len, BULK);
	CU_ASSERT_EQUAL(memcmp(c.got, bulk_said, BULK), 0);
	client_free(&c);
	encrypted_close(&e);
}

/* ---- sockets that are used again ---- */

static size_t
count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

static void
test_sockets_are_used_again(void)
{
	enum { AT_ONCE = 8, ROUNDS = 100 };
	struct world w;
	struct client c[AT_ONCE];
	size_t before = 0;

	world_open(&w);
	struct server *server = server_new(w.loop, "127.0.0.1", 0, MUTE, 64);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < AT_ONCE; i++) {
			client_open(&w, &c[i], "127.0.0.1", server_port(server), "", 0);
			c[i].close_at = CONNECTED;
		}
		for (int i = 0; i < AT_ONCE; i++)
			client_wait(&w, &c[i]);
		if (round == 0)
			before = count_descriptors();
		CU_ASSERT_EQUAL(count_descriptors(), before);
	}
	server_free(server);
	world_close(&w);
}

/* An IPv6 socket that has spoken IPv4, or has been bound to an interface by a link-local
 * address, would stay so. */
static void
test_what_a_reset_does_not_undo(void)
{
	static const char *const hosts[] = { "::ffff:127.0.0.1", "::1", "fe80::77%v0",
		"::1", "fe80::77%v0", "::ffff:127.0.0.1", "::1" };
	struct world w;

	if (!name_server_world()) {
		CU_ASSERT_TRUE(true);
		return;
	}
	CU_ASSERT_TRUE(netns_ip(0, "link add v0 type veth peer name v1", NULL, 0));
	CU_ASSERT_TRUE(netns_ip(0, "link set v1 up", NULL, 0));
	CU_ASSERT_TRUE(netns_ip(0, "link set v0 up", NULL, 0));
	CU_ASSERT_TRUE(netns_ip(0, "address add fe80::77/64 dev v0 nodad", NULL, 0));
	world_open(&w);
	struct server *server = server_new(w.loop, "::", PORT, ECHO, 16);
	for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++) {
		struct client c;
		run_client(&w, &c, hosts[i], PORT, "x", 1);
		CU_ASSERT_EQUAL(c.error, NET_OK);
		client_free(&c);
	}
	CU_ASSERT_EQUAL(server->accepted, ARRAY_LENGTH(hosts));
	server_free(server);
	world_close(&w);
	netns_ip(0, "link delete v0", NULL, 0);
}

enum { MARKS = 6, AT_ONCE = 40, IN_ALL = 3000 };

struct chaos {
	struct world w;
	struct server *servers[MARKS];
	uint16_t ports[MARKS];
	struct client clients[AT_ONCE];
	size_t begun, ended, wrong, met;
};

static void
chaos_begin(struct chaos *chaos, struct client *c)
{
	size_t i = random_u64() % MARKS;

	client_open(&chaos->w, c, i % 2 == 0 ? "127.0.0.1" : "::1", chaos->ports[i],
	    random_u64() % 2 == 0 ? "" : "x", random_u64() % 3 * 600);
	c->close_at = (enum moment)(random_u64() % (ARRIVED + 4));
	c->say_len = strlen(c->say);
	chaos->begun++;
}

/* What has come must all be of the server that was asked. */
static void
chaos_end(struct chaos *chaos, struct client *c)
{
	size_t server = 0;

	while (chaos->ports[server] != c->target.port)
		server++;
	for (size_t i = 0; i < c->got_len; i++)
		chaos->wrong += c->got[i] != chaos->servers[server]->mark;
	chaos->wrong += c->error != NET_OK && c->error != NET_CLOSED;
	chaos->wrong += !c->connected && c->over && c->error == NET_OK;
	chaos->met += c->got_len > 0;
	chaos->ended++;
	client_free(c);
}

static bool
chaos_goes_on(void *arg)
{
	struct chaos *chaos = arg;

	for (size_t i = 0; i < AT_ONCE; i++) {
		struct client *c = &chaos->clients[i];
		if (!c->over && random_u64() % 8 != 0)
			continue;
		if (chaos->ended == chaos->begun) /* none is left */
			continue;
		if (c->target.host == NULL)
			continue;
		chaos_end(chaos, c);
		*c = (struct client){ 0 };
		if (chaos->begun < IN_ALL)
			chaos_begin(chaos, c);
	}
	return chaos->ended == IN_ALL;
}

/* Whatever ends a connection, and whoever is the first: the next one on that socket knows
 * nothing of it. Some are closed by us at any moment, also while they connect. */
static void
test_nothing_of_the_former_connection(void)
{
	struct chaos *chaos = xcalloc(1, sizeof(*chaos));

	world_open(&chaos->w);
	for (size_t i = 0; i < MARKS; i++) {
		chaos->servers[i] = server_new(
		    chaos->w.loop, i % 2 == 0 ? "127.0.0.1" : "::1", 0, CHAOS, 256);
		chaos->servers[i]->mark = (char)('a' + i);
		chaos->ports[i] = server_port(chaos->servers[i]);
	}
	for (size_t i = 0; i < AT_ONCE; i++)
		chaos_begin(chaos, &chaos->clients[i]);
	CU_ASSERT_TRUE(until(chaos->w.loop, chaos_goes_on, chaos, LIMIT_MS));
	CU_ASSERT_EQUAL(chaos->wrong, 0);
	CU_ASSERT_TRUE(chaos->met > IN_ALL / 10);
	for (size_t i = 0; i < AT_ONCE; i++)
		client_free(&chaos->clients[i]);
	for (size_t i = 0; i < MARKS; i++)
		server_free(chaos->servers[i]);
	world_close(&chaos->w);
	free(chaos);
}

/* ---- the race ---- */

/* A listener whose queue is full drops what comes: nobody answers. */
struct hole {
	int fd, filler[2];
};

static void
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

static void
hole_close(struct hole *hole)
{
	close(hole->filler[0]);
	close(hole->filler[1]);
	close(hole->fd);
}

struct duel {
	struct world w;
	struct duelist {
		struct duel *duel;
		struct stream *stream;
		char byte;
	} both[2], third;
	struct stream_target target;
	size_t reading;
	bool connected; /* the third */
};

static void
on_duel_connected(void *arg, enum net_error error, const char *why)
{
	struct duelist *one = arg;

	if (one == &one->duel->third)
		one->duel->connected = true;
	else
		stream_write(one->stream, "x", 1);
}

static void
on_duel_written(void *arg, enum net_error error, const char *why)
{
	struct duelist *one = arg;

	one->duel->reading++;
	stream_read(one->stream, &one->byte, 1);
}

static void on_duel_arrived(
    void *arg, size_t len, enum net_error error, const char *why);

static const struct stream_out duel_out = { on_duel_connected, on_duel_written,
	on_duel_arrived };

/* The other has an edge in the same batch; its socket is the next to be used. */
static void
on_duel_arrived(void *arg, size_t len, enum net_error error, const char *why)
{
	struct duelist *one = arg;
	struct duel *duel = one->duel;
	struct duelist *other = &duel->both[one == duel->both];

	CU_ASSERT_PTR_NULL_FATAL(duel->third.stream);
	stream_close(other->stream, false);
	other->stream = NULL;
	duel->third.stream =
	    stream_open(duel->w.streams, &duel->target, &duel_out, &duel->third);
}

static bool
both_read(void *arg)
{
	const struct duel *duel = arg;

	return duel->reading == 2;
}

static bool
both_accepted(void *arg)
{
	return ((struct server *)arg)->accepted == 2;
}

/* A new connection that nobody answers is not taken as made because of what its socket had
 * to say before. */
static void
test_edges_of_the_former_connection(void)
{
	struct duel duel = { .target = { "127.0.0.1", PORT, NULL } };
	struct hole hole;

	world_open(&duel.w);
	hole_open(&hole, "127.0.0.1");
	struct server *server = server_new(duel.w.loop, "127.0.0.1", 0, MUTE, 16);
	struct stream_target target = { "127.0.0.1", server_port(server), NULL };
	duel.third.duel = &duel;
	for (size_t i = 0; i < 2; i++) {
		duel.both[i].duel = &duel;
		duel.both[i].stream =
		    stream_open(duel.w.streams, &target, &duel_out, &duel.both[i]);
	}
	CU_ASSERT_TRUE(until(duel.w.loop, both_read, &duel, LIMIT_MS));
	CU_ASSERT_TRUE(until(duel.w.loop, both_accepted, server, LIMIT_MS));
	for (struct peer *peer = server->peers; peer != NULL; peer = peer->next)
		CU_ASSERT_EQUAL(send(peer->fd, "x", 1, MSG_NOSIGNAL), 1);
	run_for(duel.w.loop, 30);
	CU_ASSERT_PTR_NOT_NULL_FATAL(duel.third.stream);
	CU_ASSERT_FALSE(duel.connected);
	stream_close(duel.third.stream, false);
	for (size_t i = 0; i < 2; i++)
		if (duel.both[i].stream != NULL)
			stream_close(duel.both[i].stream, false);
	server_free(server);
	hole_close(&hole);
	world_close(&duel.w);
}

struct order {
	char host[2][INET6_ADDRSTRLEN];
	size_t n;
};

static void
on_order(
    void *arg, const union resolve_address *addresses, size_t count, const char *why)
{
	struct order *order = arg;

	order->n = count;
	for (size_t i = 0; i < count && i < 2; i++)
		resolve_format(&addresses[i].sa, order->host[i], INET6_ADDRSTRLEN);
}

static bool
has_order(void *arg)
{
	return ((struct order *)arg)->n > 0;
}

/* Two addresses of one name, in the order in which they are tried. */
static bool
find_order(struct world *w, const char *name, struct order *order)
{
	if (!name_server_world()) {
		printf("# no namespaces: names were not tried\n");
		CU_ASSERT_TRUE(true);
		return false;
	}
	name_server_file("/etc/hosts",
	    "127.0.0.2 two.test\n127.0.0.3 two.test\n127.0.0.4 both.test\n::1 "
	    "both.test\n");
	world_open(w);
	*order = (struct order){ .n = 0 };
	resolve_start(w->resolve, name, on_order, order);
	CU_ASSERT_TRUE_FATAL(until(w->loop, has_order, order, LIMIT_MS));
	CU_ASSERT_EQUAL_FATAL(order->n, 2);
	return true;
}

static const char *const race_names[] = { "two.test", "both.test" };

/* The first address does not answer: the second is tried after 250 ms, and wins. */
static void
test_race_past_a_silent_address(void)
{
	for (size_t i = 0; i < ARRAY_LENGTH(race_names); i++) {
		struct world w;
		struct order order;
		struct hole hole;
		struct client c;
		if (!find_order(&w, race_names[i], &order))
			return;
		hole_open(&hole, order.host[0]);
		struct server *server =
		    server_new(w.loop, order.host[1], PORT, ECHO, 16);
		int64_t start = clock_raw_ms();
		run_client(&w, &c, race_names[i], PORT, "hm", 2);
		CU_ASSERT_TRUE(clock_raw_ms() - start >= 240);
		CU_ASSERT_EQUAL(c.error, NET_OK);
		CU_ASSERT_EQUAL(server->accepted, 1);
		client_free(&c);
		server_free(server);
		hole_close(&hole);
		world_close(&w);
	}
}

/* Two answer: the first has it, the other is not asked. */
static void
test_race_is_won_by_the_first(void)
{
	for (size_t i = 0; i < ARRAY_LENGTH(race_names); i++) {
		struct world w;
		struct order order;
		struct client c;
		if (!find_order(&w, race_names[i], &order))
			return;
		struct server *first =
		    server_new(w.loop, order.host[0], PORT, ECHO, 16);
		struct server *second =
		    server_new(w.loop, order.host[1], PORT, ECHO, 16);
		run_client(&w, &c, race_names[i], PORT, "hm", 2);
		CU_ASSERT_EQUAL(first->accepted, 1);
		CU_ASSERT_EQUAL(second->accepted, 0);
		client_free(&c);
		server_free(first);
		/* and the second at once when the first refuses */
		int64_t start = clock_raw_ms();
		run_client(&w, &c, race_names[i], PORT, "hm", 2);
		CU_ASSERT_TRUE(clock_raw_ms() - start < 240);
		CU_ASSERT_EQUAL(c.error, NET_OK);
		CU_ASSERT_EQUAL(second->accepted, 1);
		client_free(&c);
		server_free(second);
		run_client(&w, &c, race_names[i], PORT, "hm", 2);
		CU_ASSERT_EQUAL(c.error, NET_REFUSED);
		client_free(&c);
		world_close(&w);
	}
}

/* Closed while it resolves, while both are tried, and when the time is up between. */
static void
test_race_is_called_off(void)
{
	struct world w;
	struct order order;
	struct hole holes[2];
	struct client c;

	if (!find_order(&w, "two.test", &order))
		return;
	hole_open(&holes[0], order.host[0]);
	hole_open(&holes[1], order.host[1]);
	for (int64_t ms = 0; ms <= 300; ms += 150) {
		client_open(&w, &c, "two.test", PORT, "hm", 2);
		if (ms > 0)
			run_for(w.loop, ms);
		CU_ASSERT_FALSE(c.over);
		client_free(&c);
	}
	run_for(w.loop, 20);
	hole_close(&holes[0]);
	hole_close(&holes[1]);
	world_close(&w);
}

/* ---- what is our own fault ---- */

static void
set_port_range(const char *range)
{
	AUTO_CLOSE int fd =
	    open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY | O_CLOEXEC);

	CU_ASSERT_EQUAL_FATAL(write(fd, range, strlen(range)), (ssize_t)strlen(range));
}

/* The only local ports that there are: one of them is the port that is asked for, where
 * nobody listens. The kernel connects it to itself. */
static void
test_own_end_is_nobody(void)
{
	static const char *const hosts[] = { "127.0.0.1", "::1" };
	struct world w;
	struct client c;

	if (!name_server_world()) {
		CU_ASSERT_TRUE(true);
		return;
	}
	set_port_range("40000 40001");
	world_open(&w);
	for (uint16_t i = 0; i < 16; i++) {
		run_client(&w, &c, hosts[i % 2], 40000 + i / 2 % 2, "me?", 3);
		CU_ASSERT_EQUAL(c.error, NET_REFUSED);
		CU_ASSERT_STRING_EQUAL(c.why, "the connection was refused");
		client_free(&c);
	}
	world_close(&w);
	set_port_range("32768 60999");
}

static void
test_no_local_port_is_local(void)
{
	struct world w;
	struct client c[3];

	if (!name_server_world()) {
		CU_ASSERT_TRUE(true);
		return;
	}
	set_port_range("40000 40001");
	world_open(&w);
	struct server *server = server_new(w.loop, "127.0.0.1", PORT, MUTE, 16);
	for (int i = 0; i < 3; i++) {
		client_open(&w, &c[i], "127.0.0.1", PORT, "", 0);
		run_for(w.loop, 20);
	}
	client_wait(&w, &c[2]);
	CU_ASSERT_EQUAL(c[2].error, NET_LOCAL);
	CU_ASSERT_STRING_EQUAL(c[2].why, "no local port is left");
	for (int i = 0; i < 3; i++)
		client_free(&c[i]);
	server_free(server);
	world_close(&w);
	set_port_range("32768 60999");
}

/* How many the process could still open. */
static int
spare_descriptors(void)
{
	int fds[64], count = 0;

	while (count < 64 && (fds[count] = dup(STDERR_FILENO)) >= 0)
		count++;
	for (int i = 0; i < count; i++)
		close(fds[i]);
	return count;
}

/* The process may have 64 descriptors, 200 want to connect. All of this in a child, which
 * says with its exit status what was wrong. */
static int
exhaust(void)
{
	struct rlimit few = { 64, 64 };
	struct client c[200];
	size_t in = 0, local = 0;
	struct world w;

	setrlimit(RLIMIT_NOFILE, &few);
	world_open(&w);
	struct server *server = server_new(w.loop, "127.0.0.1", PORT, MUTE, 256);
	loop_io_watch(server->io, 0); /* the peers would need descriptors too */
	for (int i = 0; i < 200; i++)
		client_open(&w, &c[i], "127.0.0.1", PORT, "", 0);
	run_for(w.loop, 50);
	int spare = spare_descriptors();
	for (int i = 0; i < 200; i++) {
		in += c[i].connected && !c[i].over;
		local += c[i].over && c[i].error == NET_LOCAL &&
		    strcmp(c[i].why, "no descriptor is left") == 0;
		client_free(&c[i]);
	}
	/* a quarter is for the rest of the process */
	if (in < 24 || in + local != 200 || spare < 16)
		return 1;
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 32; i++) {
			client_open(&w, &c[i], "127.0.0.1", PORT, "", 0);
			c[i].close_at = CONNECTED;
			if (!until(w.loop, is_over, &c[i], LIMIT_MS) ||
			    c[i].error != NET_OK)
				return 2;
		}
	server_free(server);
	world_close(&w);
	return 0;
}

static void
test_no_descriptor_is_local(void)
{
	int pipes[2], status = -1;
	char said[4096] = "";
	size_t len = 0;
	ssize_t n;

	fflush(stdout);
	CU_ASSERT_EQUAL_FATAL(pipe(pipes), 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		_exit(exhaust());
	}
	close(pipes[1]);
	while ((n = read(pipes[0], said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	close(pipes[0]);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	const char *first = strstr(said, "no descriptor is left");
	CU_ASSERT_PTR_NOT_NULL_FATAL(first);
	CU_ASSERT_PTR_NULL(strstr(first + 1, "no descriptor"));
}

static void
test_half_made(void)
{
	struct world w;
	struct client c;

	streams_free(NULL);
	world_open(&w);
	client_open(&w, &c, "127.0.0.1", PORT, "", 0);
	client_free(&c); /* before the first turn */
	client_open(&w, &c, "255.255.255.255", PORT, "", 0);
	client_free(&c); /* it has failed, and nobody was told */
	run_client(&w, &c, "255.255.255.255", PORT, "", 0);
	CU_ASSERT_EQUAL(c.error, NET_REFUSED);
	world_close(&w);
}

static const struct tap_case cases[] = {
	{ "every outcome after every other", test_outcomes },
	{ "reset, or closed in order", test_ends },
	{ "refused, and no such name", test_refused },
	{ "more than the kernel holds, both ways", test_bulk },
	{ "connecting alone is not noticed", test_connecting_is_quiet },
	{ "TLS, and plain again", test_tls },
	{ "more than the kernel holds, encrypted", test_tls_bulk },
	{ "sockets are used again", test_sockets_are_used_again },
	{ "what a reset does not undo", test_what_a_reset_does_not_undo },
	{ "nothing of the former connection is left",
	    test_nothing_of_the_former_connection },
	{ "an edge of the former connection is none of the next",
	    test_edges_of_the_former_connection },
	{ "a silent address costs 250 ms", test_race_past_a_silent_address },
	{ "the first address that answers wins", test_race_is_won_by_the_first },
	{ "a race is called off", test_race_is_called_off },
	{ "our own end is nobody", test_own_end_is_nobody },
	{ "no local port is our own fault", test_no_local_port_is_local },
	{ "no descriptor is our own fault", test_no_descriptor_is_local },
	{ "closed before anything", test_half_made },
};

TAP_MAIN("stream", cases)
