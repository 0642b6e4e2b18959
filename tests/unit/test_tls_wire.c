/* SPDX-License-Identifier: ISC */
/*
 * TLS on the wire: a connection that is cut, damaged or slowed at every byte of it, closed at
 * every moment, or filled with more than the kernel takes; and whose end is whose.
 */
#include "agent/base/tls.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "tests/unit/tap.h"
#include "tests/unit/tls_bed.h"
#include "tests/unit/tls_server.h"

#define IDLE_MS 50
#define SLACK 8 /* a signature is not always as long */
#define STRIDE 3 /* of the bytes of a connection that are tried */

static void
cut_off(struct tls_peer *peer)
{
	char in[1024];

	if (tls_peer_read(peer, in, sizeof(in)) > 0)
		tls_peer_write(peer, "half", 4);
}

static void
reset_it(struct tls_peer *peer)
{
	char in[1024];

	tls_peer_read(peer, in, sizeof(in));
	tls_peer_reset(peer);
}

static void
end_it(struct tls_peer *peer)
{
	cut_off(peer);
	tls_peer_end(peer);
}

/* An attacker can cut a connection, but not forge its end (RFC 9112 9.8). */
static void
test_ends(void)
{
	static const struct {
		void (*serve)(struct tls_peer *peer);
		enum tls_step step;
		enum net_error error;
		const char *why, *answer;
	} rows[] = {
		{ end_it, TLS_END, NET_OK, "", "half" },
		{ cut_off, TLS_FAILED, NET_CLOSED,
		    "the connection ended without TLS's own end", "half" },
		{ reset_it, TLS_FAILED, NET_CLOSED,
		    "the connection was reset without TLS's own end", "" },
	};
	struct bench bench;

	bench_open(&bench);
	struct net_tls tls = files(&bench, "ca.pem", NULL);
	for (size_t n = 0; n < 2 * ARRAY_LENGTH(rows); n++) {
		size_t i = n / 2;
		struct tls_server_conf conf = { .certificate = "good.pem",
			.most = n % 2 == 0 ? 12 : 13,
			.serve = rows[i].serve };
		serve(&bench, conf);
		struct seen seen = ask(&bench, &tls, HOST);
		CU_ASSERT_EQUAL(seen.step, rows[i].step);
		CU_ASSERT_EQUAL(seen.error, rows[i].error);
		CU_ASSERT_STRING_EQUAL(seen.why, rows[i].why);
		CU_ASSERT_STRING_EQUAL(seen.answer, rows[i].answer);
	}
	bench_close(&bench);
}

static void
renegotiate(struct tls_peer *peer)
{
	char in[1024];

	if (tls_peer_read(peer, in, sizeof(in)) <= 0)
		return;
	bool agreed = tls_peer_renegotiate(peer);
	tls_peer_write(peer, agreed ? "agreed" : "refused", agreed ? 6 : 7);
	tls_peer_end(peer);
}

static void
test_renegotiation_is_refused(void)
{
	struct tls_server_conf conf = {
		.certificate = "good.pem", .most = 12, .serve = renegotiate
	};
	struct bench bench;

	bench_open(&bench);
	serve(&bench, conf);
	struct net_tls tls = files(&bench, "ca.pem", NULL);
	struct seen seen = ask(&bench, &tls, HOST);
	CU_ASSERT_STRING_EQUAL(seen.answer, ""); /* OpenSSL takes offence */
	CU_ASSERT_EQUAL(seen.error, NET_TLS);
	CU_ASSERT_STRING_EQUAL(seen.why, "the server refused: it gave up");
	bench_close(&bench);
}

/* Between us and the server: bytes go where and when the test says. */
struct relay {
	int ours, inner, server; /* ours is the client's */
	size_t brought; /* bytes from the server */
	bool damaged;
};

static void
relay_open(struct relay *relay, const struct bench *bench)
{
	int pair[2];

	CU_ASSERT_EQUAL_FATAL(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
	    0);
	*relay = (struct relay){ pair[0], pair[1], connect_to(bench), 0, false };
}

static void
relay_close(struct relay *relay)
{
	close(relay->ours);
	if (relay->inner >= 0)
		close(relay->inner);
	close(relay->server);
}

static void
relay_up(struct relay *relay)
{
	char data[4096];
	ssize_t n;

	while ((n = recv(relay->inner, data, sizeof(data), 0)) > 0)
		CU_ASSERT_EQUAL(send(relay->server, data, (size_t)n, MSG_NOSIGNAL), n);
}

/* What the client has sent and is not relayed yet. */
static ssize_t
sent_by(const struct relay *relay)
{
	char data[4096];
	ssize_t n = recv(relay->inner, data, sizeof(data), MSG_PEEK);

	return n < 0 ? 0 : n;
}

/* Up to `count` bytes; `damage` is mixed into the first. False: there are no more, or, of a
 * damaged length, not enough. */
static bool
relay_down(struct relay *relay, size_t count, unsigned char damage)
{
	struct pollfd wanted = { .fd = relay->server, .events = POLLIN };
	char data[4096];

	relay_up(relay);
	if (poll(&wanted, 1, relay->damaged ? IDLE_MS : LIMIT_MS) != 1)
		return false;
	relay->damaged = relay->damaged || damage != 0;
	ssize_t n =
	    recv(relay->server, data, count < sizeof(data) ? count : sizeof(data), 0);
	if (n <= 0)
		return false;
	data[0] ^= (char)damage;
	CU_ASSERT_EQUAL(send(relay->inner, data, (size_t)n, MSG_NOSIGNAL), n);
	relay->brought += (size_t)n;
	return true;
}

/* What happens to the bytes from the server: `count` are brought at once; the one at `at`
 * (0: none) is not and nothing after it, or `damage` is mixed into it. */
struct plan {
	size_t count, at;
	unsigned char damage;
};

/* False: no more is to come. */
static bool
bring(struct relay *relay, const struct plan *plan)
{
	size_t left = plan->at - relay->brought;
	bool before = plan->at > relay->brought;

	if (!before || left > plan->count)
		return relay_down(relay, plan->count, 0);
	if (left > 1)
		return relay_down(relay, left - 1, 0);
	return plan->damage != 0 && relay_down(relay, 1, plan->damage);
}

static enum tls_step
step_once(struct tls *tls, int stage, struct seen *seen)
{
	size_t n;

	if (stage == 0)
		return tls_handshake(tls);
	if (stage == 1)
		return tls_write(tls, REQUEST, strlen(REQUEST), &n);
	enum tls_step step = tls_read(
	    tls, seen->answer + seen->len, sizeof(seen->answer) - seen->len - 1, &n);
	seen->len += step == TLS_DONE ? n : 0;
	return step;
}

static enum tls_step
exchange_slowly(
    struct tls *tls, struct relay *relay, const struct plan *plan, struct seen *seen)
{
	int stage = 0;

	for (;;) {
		enum tls_step step = step_once(tls, stage, seen);
		if (step == TLS_DONE) {
			stage += stage < 2;
			continue;
		}
		if (step != TLS_WANT_READ || relay->inner < 0)
			return step;
		CU_ASSERT_FALSE(tls_pending(tls));
		if (!bring(relay, plan)) {
			relay_up(relay);
			close(relay->inner);
			relay->inner = -1;
		}
	}
}

static struct seen
ask_slowly(struct bench *bench, struct plan plan, size_t *brought)
{
	struct net_tls conf = files(bench, "ca.pem", NULL);
	struct seen seen = { .error = NET_OK };
	struct relay relay;

	relay_open(&relay, bench);
	struct tls *tls = tls_open(
	    bench->tlss, &conf, HOST, "slow", relay.ours, seen.why, sizeof(seen.why));
	CU_ASSERT_PTR_NOT_NULL_FATAL(tls);
	seen.step = exchange_slowly(tls, &relay, &plan, &seen);
	seen.error = tls_error(tls);
	str_copy(seen.why, sizeof(seen.why), tls_why(tls));
	seen.resumed = tls_resumed(tls);
	seen.certificate_end = tls_certificate_end(tls);
	*brought = relay.brought;
	tls_close(tls, false);
	relay_close(&relay);
	return seen;
}

/* A connection cut after any byte but the last of the end is closed, and one that is
 * damaged anywhere fails: an answer is never taken for whole that is not. */
static void
test_cut_or_damaged_anywhere(void)
{
	size_t brought, whole;
	struct bench bench;

	bench_open(&bench);
	for (int version = 12; version <= 13; version++) {
		struct tls_server_conf conf = { .certificate = "good.pem",
			.least = version,
			.most = version,
			.no_sessions = true,
			.serve = answer };
		serve(&bench, conf);
		struct seen seen =
		    ask_slowly(&bench, (struct plan){ 4096, 0, 0 }, &whole);
		check_answer(&seen, HOST, false);
		for (size_t at = 1; at + SLACK <= whole; at += STRIDE) {
			struct plan plan = { 4096, at, 0 };
			seen = ask_slowly(&bench, plan, &brought);
			CU_ASSERT_EQUAL(seen.step, TLS_FAILED);
			CU_ASSERT_EQUAL(seen.error, NET_CLOSED);
			plan.damage = 0x40;
			seen = ask_slowly(&bench, plan, &brought);
			CU_ASSERT_EQUAL(seen.step, TLS_FAILED);
			CU_ASSERT_TRUE(
			    seen.error == NET_TLS || seen.error == NET_CLOSED);
		}
	}
	bench_close(&bench);
}

static void
test_byte_by_byte(void)
{
	size_t brought;
	struct bench bench;

	bench_open(&bench);
	for (int version = 12; version <= 13; version++) {
		struct tls_server_conf conf = { .certificate = "good.pem",
			.least = version,
			.most = version,
			.serve = answer };
		serve(&bench, conf);
		for (int n = 0; n < 3; n++) {
			struct seen seen =
			    ask_slowly(&bench, (struct plan){ 1, 0, 0 }, &brought);
			CU_ASSERT_EQUAL(seen.step, TLS_END);
			check_answer(&seen, HOST, n > 0);
		}
	}
	bench_close(&bench);
}

/* The server's reason has come, and then nothing can be written any more. */
static void
test_a_reason_behind_the_end(void)
{
	struct tls_server_conf conf = { .certificate = "good.pem",
		.client_ca = "ca.pem",
		.least = 13,
		.serve = answer };
	struct plan plan = { 4096, 0, 0 };
	struct seen seen = { .error = NET_OK };
	struct relay relay;
	struct bench bench;

	bench_open(&bench);
	serve(&bench, conf);
	struct net_tls tls_conf = files(&bench, "ca.pem", NULL);
	relay_open(&relay, &bench);
	struct tls *tls = tls_open(bench.tlss, &tls_conf, HOST, "target", relay.ours,
	    seen.why, sizeof(seen.why));
	while (step_once(tls, 0, &seen) != TLS_DONE)
		CU_ASSERT_TRUE_FATAL(bring(&relay, &plan));
	CU_ASSERT_EQUAL(sent_by(&relay), 0);
	CU_ASSERT_EQUAL(step_once(tls, 1, &seen), TLS_DONE);
	CU_ASSERT_TRUE(sent_by(&relay) > (ssize_t)strlen(REQUEST) + 40);
	while (bring(&relay, &plan))
		continue;
	close(relay.inner);
	relay.inner = -1;
	CU_ASSERT_EQUAL(step_once(tls, 1, &seen), TLS_FAILED);
	CU_ASSERT_EQUAL(tls_error(tls), NET_TLS);
	CU_ASSERT_STRING_EQUAL(tls_why(tls), "the server requires a certificate of us");
	tls_close(tls, false);
	relay_close(&relay);
	bench_close(&bench);
}

/* The end of the handshake is sent in any case, and why it failed. */
static void
test_last_words(void)
{
	struct tls_server_conf conf = { .certificate = "good.pem", .serve = answer };
	struct plan plan = { 4096, 0, 0 };
	struct bench bench;
	enum tls_step step;

	bench_open(&bench);
	serve(&bench, conf);
	for (int trusted = 0; trusted <= 1; trusted++) {
		struct net_tls tls_conf =
		    files(&bench, trusted ? "ca.pem" : "other-ca.pem", NULL);
		struct seen seen = { .error = NET_OK };
		struct relay relay;
		relay_open(&relay, &bench);
		struct tls *tls = tls_open(bench.tlss, &tls_conf, HOST, "target",
		    relay.ours, seen.why, sizeof(seen.why));
		while ((step = step_once(tls, 0, &seen)) == TLS_WANT_READ)
			CU_ASSERT_TRUE_FATAL(bring(&relay, &plan));
		CU_ASSERT_EQUAL(step, trusted ? TLS_DONE : TLS_FAILED);
		CU_ASSERT_EQUAL(sent_by(&relay) > 0, !trusted);
		tls_close(tls, false);
		CU_ASSERT_TRUE(sent_by(&relay) > 0);
		relay_close(&relay);
	}
	bench_close(&bench);
}

#define MUCH (1 << 23) /* more than both ends' kernels take before anybody reads */

static void
echo(struct tls_peer *peer)
{
	static char data[MUCH];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(data) &&
	    (n = tls_peer_read(peer, data + len, sizeof(data) - len)) > 0)
		len += (size_t)n;
	tls_peer_write(peer, data, len);
	tls_peer_end(peer);
}

/* More than the kernel takes at once, both ways. */
static void
test_much_data(void)
{
	struct tls_server_conf conf = { .certificate = "good.pem", .serve = echo };
	size_t size = MUCH, at = 0, n, waits = 0;
	int small = 16384;
	AUTO_FREE char *out = xcalloc(1, size), *in = xcalloc(1, size);
	struct bench bench;
	char why[200];
	enum tls_step step;

	bench_open(&bench);
	serve(&bench, conf);
	for (size_t i = 0; i < size; i++)
		out[i] = (char)(i * 31 >> 3);
	struct net_tls files_now = files(&bench, "ca.pem", NULL);
	int fd = connect_to(&bench);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	struct tls *tls =
	    tls_open(bench.tlss, &files_now, HOST, "much", fd, why, sizeof(why));
	do
		step = tls_handshake(tls);
	while (awaited(fd, step));
	while (at < size) {
		step = tls_write(tls, out + at, size - at, &n);
		at += step == TLS_DONE ? n : 0;
		waits += step == TLS_WANT_WRITE;
		if (step != TLS_DONE && !awaited(fd, step))
			break;
	}
	CU_ASSERT_EQUAL(at, size);
	CU_ASSERT_TRUE(waits > 0);
	for (at = 0; at < size && (step == TLS_DONE || awaited(fd, step));) {
		step = tls_read(tls, in + at, size - at < 999 ? size - at : 999, &n);
		at += step == TLS_DONE ? n : 0;
		if (step == TLS_WANT_READ)
			CU_ASSERT_FALSE(tls_pending(tls));
	}
	CU_ASSERT_EQUAL(memcmp(in, out, size), 0);
	tls_close(tls, true);
	close(fd);
	bench_close(&bench);
}

static void
say_who(struct tls_peer *peer)
{
	char in[16];
	ssize_t n = tls_peer_read(peer, in, sizeof(in));

	tls_peer_write(peer, n == 0 ? "end" : "cut", 3);
}

/* Given up at every moment; with `polite` the server sees an end. */
static void
test_closed_at_any_moment(void)
{
	struct tls_server_conf conf = { .certificate = "good.pem", .serve = say_who };
	struct bench bench;
	char why[200];

	bench_open(&bench);
	serve(&bench, conf);
	struct net_tls tls_conf = files(&bench, "ca.pem", NULL);
	for (int n = 0; n < 12; n++) {
		int fd = connect_to(&bench), steps = n / 2;
		struct tls *tls = tls_open(
		    bench.tlss, &tls_conf, HOST, "moment", fd, why, sizeof(why));
		enum tls_step step = TLS_WANT_WRITE;
		while (steps-- > 0 && awaited(fd, step))
			step = tls_handshake(tls);
		tls_close(tls, n % 2 == 1);
		close(fd);
	}
	tls_close(NULL, true);
	tlss_free(NULL);
	bench_close(&bench);
}

static const struct tap_case cases[] = {
	{ "ends", test_ends },
	{ "renegotiation is refused", test_renegotiation_is_refused },
	{ "cut or damaged anywhere", test_cut_or_damaged_anywhere },
	{ "byte by byte", test_byte_by_byte },
	{ "a reason behind the end", test_a_reason_behind_the_end },
	{ "last words", test_last_words },
	{ "much data", test_much_data },
	{ "closed at any moment", test_closed_at_any_moment },
};

TAP_MAIN_APART("tls_wire", cases)
