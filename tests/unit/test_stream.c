/* SPDX-License-Identifier: ISC */
/*
 * Streams against real servers in this process. The rules: an order is answered once and with
 * what the server did, whatever became of the connection before on the same socket, plain or
 * in TLS.
 */
#include "agent/base/stream.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/util.h"
#include "tests/unit/entries.h"
#include "tests/unit/name_server.h"
#include "tests/unit/netns.h"
#include "tests/unit/stream_bed.h"
#include "tests/unit/tap.h"
#include "tests/unit/tls_server.h"
#include "tests/unit/until.h"

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

static void
test_sockets_are_used_again(void)
{
	enum { AT_ONCE = 8, ROUNDS = 100 };
	struct world w;
	struct client c[AT_ONCE];
	int before = 0;

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
			before = count_entries("/proc/self/fd");
		CU_ASSERT_EQUAL(count_entries("/proc/self/fd"), before);
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
	{ "closed before anything", test_half_made },
};

TAP_MAIN("stream", cases)
