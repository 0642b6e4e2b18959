/* SPDX-License-Identifier: ISC */
/*
 * The http check against servers that misbehave. One table says what each does and which
 * verdict it must have. Each row is run plain and with TLS, through our own client and
 * through libcurl's, all at once; where libcurl is laxer, the row says so. The check comes
 * from a configuration, and its run ends at a deadline, as in the daemon.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/fetch.h"
#include "agent/base/http.h"
#include "agent/base/loop.h"
#include "agent/base/resolve.h"
#include "agent/base/stream.h"
#include "agent/base/tls.h"
#include "agent/base/util.h"
#include "agent/conf/bundle.h"
#include "agent/conf/conf.h"
#include "agent/health/run.h"
#include "tests/unit/hostile_server.h"
#include "tests/unit/tap.h"
#include "tests/unit/tls_server.h"

#define AT_ONCE_MAX 24 /* runs */
#define LIMIT_MS 20000 /* of a run that must end by itself */

#define OK "HTTP/1.1 200 OK\r\n"
#define LENGTH_5 "Content-Length: 5\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define BYTES(text) .bytes = (text), .len = sizeof(text) - 1
#define EXPECT(expression) .options = "expect-body = '" expression "'"
#define FOR_EVER "for ever and ever "

struct verdict {
	enum check_status status;
	enum check_reason reason;
	const char *says; /* part of the output; NULL: whatever */
};

#define PASSING                                              \
	{                                                    \
		CHECK_PASSING, CHECK_REASON_OK, "status 200" \
	}
#define CRITICAL(reason, says)                              \
	{                                                   \
		CHECK_CRITICAL, CHECK_REASON_##reason, says \
	}
#define LOOSER(...) .differs = true, .curl = __VA_ARGS__

enum clients { BOTH, FETCH_ONLY, CURL_ONLY };

struct row {
	struct hostile_act act; /* first, for the server */
	const char *options;
	int deadline_ms; /* 0: LIMIT_MS */
	enum clients clients;
	struct verdict is;
	bool differs;
	struct verdict curl; /* plain or not */
	bool tls_differs;
	struct verdict tls;
};

#define ENDED "the connection ended in the middle of the answer"
#define NO_ANSWER "the connection ended without an answer"

static const struct row rows[] = {
	/* what is well */
	{ { "good", BYTES(OK LENGTH_5 "\r\nhello") }, EXPECT("^hello$"),
	    .is = PASSING },
	{ { "old", BYTES("HTTP/1.0 200 OK\r\n\r\nhello") }, EXPECT("^hello$"),
	    .is = PASSING },
	{ { "until-end", BYTES(OK "\r\nhello") }, EXPECT("^hello$"), .is = PASSING },
	{ { "no-phrase", BYTES("HTTP/1.1 200\r\n" LENGTH_5 "\r\nhello") },
	    EXPECT("^hello$"), .is = PASSING },
	{ { "bare-lf", BYTES("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello") },
	    EXPECT("^hello$"), .is = PASSING },
	{ { "folded", BYTES(OK "A: b\r\n c\r\n" LENGTH_5 "\r\nhello") },
	    EXPECT("^hello$"), .is = PASSING },
	{ { "chunks",
	      BYTES(OK CHUNKED
		  "\r\n5;a=\"b\"\r\nhello\r\n06\r\n world\r\n0\r\nT: u\r\n\r\n") },
	    EXPECT("^hello world$"), .is = PASSING },
	{ { "continue",
	      BYTES("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\n" OK
		      LENGTH_5 "\r\nhello") },
	    EXPECT("^hello$"), .is = PASSING },
	{ { "nul-in-body", BYTES(OK LENGTH_5 "\r\nh\0\0\0o") },
	    EXPECT("^h\\x00\\x00\\x00o$"), .is = PASSING },
	{ { "gzip",
	      BYTES(OK LENGTH_5 "Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\x00\xff") },
	    EXPECT("^\\x1f"), .is = PASSING },
	{ { "json", BYTES(OK "\r\n{\"db\":\"up\"}") }, "expect-json = {\"db=up\"}",
	    .is = PASSING },
	{ { "slow-enough", BYTES(OK LENGTH_5 "\r\nhello"), .pause_ms = 2 },
	    EXPECT("^hello$"), .is = PASSING },
	/* statuses */
	{ { "status-429", BYTES("HTTP/1.1 429 Much\r\n" LENGTH_5 "\r\nhello") },
	    .is = { CHECK_WARNING, CHECK_REASON_STATUS, "status 429\nhello" } },
	{ { "status-503", BYTES("HTTP/1.1 503 No\r\n" LENGTH_5 "\r\nhello") },
	    .is = CRITICAL(STATUS, "status 503\nhello") },
	{ { "status-304", BYTES("HTTP/1.1 304 Same\r\n" LENGTH_5 "\r\n"),
	      .end = HOSTILE_STAY },
	    .is = CRITICAL(STATUS, "status 304") },
	{ { "status-101", BYTES("HTTP/1.1 101 Switch\r\nUpgrade: x\r\n\r\n"),
	      .end = HOSTILE_STAY },
	    .is = CRITICAL(STATUS, "status 101") },
	{ { "status-600", BYTES("HTTP/1.1 600 Odd\r\n" LENGTH_5 "\r\nhello") },
	    .is = CRITICAL(STATUS, "status 600\nhello") },
	{ { "status-000", BYTES("HTTP/1.1 000 Odd\r\n" LENGTH_5 "\r\nhello") },
	    .is = CRITICAL(PROTOCOL, "the status is not a number") },
	{ { "status-099", BYTES("HTTP/1.1 099 Odd\r\n" LENGTH_5 "\r\nhello") },
	    .is = CRITICAL(PROTOCOL, "the status is not a number") },
	{ { "status-1000", BYTES("HTTP/1.1 1000 Odd\r\n" LENGTH_5 "\r\nhello") },
	    .is = CRITICAL(PROTOCOL, "the status is not a number") },
	{ { "redirect",
	      BYTES("HTTP/1.1 302 F\r\nLocation: http://127.0.0.1:1/\r\n\r\n"),
	      .end = HOSTILE_STAY },
	    .clients = FETCH_ONLY, .is = CRITICAL(STATUS, "status 302") },
	{ { "redirect-loop",
	      BYTES("HTTP/1.1 302 F\r\nLocation: /redirect-loop\r\n\r\n") },
	    .clients = CURL_ONLY, .is = CRITICAL(STATUS, "status 302") },
	{ { "redirect-away",
	      BYTES("HTTP/1.1 302 F\r\nLocation: http://127.0.0.1:1/\r\n\r\n") },
	    .clients = CURL_ONLY, .is = CRITICAL(REFUSED, "no connection") },
	{ { "redirect-file",
	      BYTES("HTTP/1.1 302 F\r\nLocation: file:///etc/passwd\r\n\r\n") },
	    .clients = CURL_ONLY, .is = CRITICAL(STATUS, "status 302") },
	/* bodies where there are none, and more than there should be */
	{ { "head", BYTES(OK LENGTH_5 "\r\nhello") }, "method = HEAD", .is = PASSING },
	{ { "head-stays", BYTES(OK LENGTH_5 "\r\n"), .end = HOSTILE_STAY },
	    "method = HEAD", .is = PASSING },
	{ { "status-204", BYTES("HTTP/1.1 204 N\r\n" LENGTH_5 "\r\nhello"),
	      .end = HOSTILE_STAY },
	    EXPECT("^$"), .is = { CHECK_PASSING, CHECK_REASON_OK, "status 204" } },
	{ { "more", BYTES(OK LENGTH_5 "\r\nhello, you") }, EXPECT("^hello$"),
	    .is = PASSING },
	{ { "two-answers", BYTES(OK LENGTH_5 "\r\nhello" OK LENGTH_5 "\r\nworld") },
	    EXPECT("^hello$"), .is = PASSING },
	{ { "endless-body", BYTES(OK "\r\n"), .again = FOR_EVER }, .is = PASSING },
	{ { "endless-match", BYTES(OK "\r\n"), .again = FOR_EVER }, EXPECT("ever"),
	    .is = PASSING },
	{ { "endless-other", BYTES(OK "\r\n"), .again = FOR_EVER }, EXPECT("never"),
	    .is = CRITICAL(BODY, "not as expected") },
	{ { "endless-fault", BYTES("HTTP/1.1 500 No\r\n\r\n"), .again = FOR_EVER },
	    .is = CRITICAL(STATUS, "for ever") },
	{ { "endless-json", BYTES(OK "\r\n"), .again = "[" }, "expect-json = {\"a=1\"}",
	    .is = CRITICAL(BODY, "the body is not JSON") },
	/* heads */
	{ { "long-line", BYTES(OK "A: "), .again = FOR_EVER },
	    .is = CRITICAL(PROTOCOL, "a line of the head is longer than 8 KB") },
	{ { "long-status", BYTES("HTTP/1.1 200 "), .again = FOR_EVER },
	    .is = CRITICAL(PROTOCOL, "a line of the head is longer than 8 KB") },
	{ { "endless-head", BYTES(OK),
	      .again =
		  "A: 0123456789 0123456789 0123456789 "
		  "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 "
		  "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 "
		  "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 "
		  "0123456789 0123456789 0123456789 0123456789 0123456789\r\n" },
	    .is = CRITICAL(PROTOCOL, "the head is longer than 64 KB") },
	{ { "many-lines", BYTES(OK), .again = "A: b\r\n" },
	    .is = CRITICAL(PROTOCOL, "the head has more than 256 lines") },
	{ { "endless-interim", BYTES(""), .again = "HTTP/1.1 102 Wait\r\n\r\n" },
	    .is = CRITICAL(PROTOCOL, "more than 16 interim answers") },
	{ { "nul-in-head", BYTES(OK "A: \0\r\n" LENGTH_5 "\r\nhello") },
	    .is = CRITICAL(PROTOCOL, "a control character stands in the head") },
	{ { "return-in-head", BYTES(OK "A: b\rC: d\r\n" LENGTH_5 "\r\nhello") },
	    .is = CRITICAL(PROTOCOL, "a control character stands in the head"),
	    LOOSER(PASSING) },
	{ { "blank-colon", BYTES(OK "Content-Length : 5\r\n\r\nhello") },
	    .is = CRITICAL(PROTOCOL, "not \"Name: value\""), LOOSER(PASSING) },
	{ { "no-colon", BYTES(OK "hello\r\n\r\n") },
	    .is = CRITICAL(PROTOCOL, "not \"Name: value\"") },
	/* lengths */
	{ { "negative-length", BYTES(OK "Content-Length: -5\r\n\r\nhello") },
	    EXPECT("hello"),
	    .is = CRITICAL(PROTOCOL, "the length of the body is not a number") },
	{ { "huge-length",
	      BYTES(OK "Content-Length: 99999999999999999999\r\n\r\nhello") },
	    EXPECT("hello"),
	    .is = CRITICAL(PROTOCOL, "the length of the body is not a number"),
	    LOOSER(PASSING) },
	{ { "largest-length",
	      BYTES(OK "Content-Length: 9000000000000000000\r\n\r\nhi") },
	    EXPECT("hi"), .is = CRITICAL(CLOSED, ENDED) },
	{ { "two-lengths", BYTES(OK LENGTH_5 "Content-Length: 6\r\n\r\nhello!") },
	    EXPECT("hello"),
	    .is = CRITICAL(PROTOCOL, "the body has two different lengths"),
	    LOOSER(PASSING) },
	{ { "length-and-chunks",
	      BYTES(OK LENGTH_5 CHUNKED "\r\n5\r\nhello\r\n0\r\n\r\n") },
	    EXPECT("hello"),
	    .is = CRITICAL(PROTOCOL, "the body has both a length and chunks"),
	    LOOSER(PASSING) },
	{ { "coding", BYTES(OK "Transfer-Encoding: gzip\r\n\r\n\x1f\x8b") },
	    EXPECT("."),
	    .is = CRITICAL(PROTOCOL, "another transfer coding than chunked"),
	    LOOSER(CRITICAL(BODY, NULL)) },
	/* chunks */
	{ { "chunk-bad-size", BYTES(OK CHUNKED "\r\nhello\r\n0\r\n\r\n") }, EXPECT("."),
	    .is = CRITICAL(PROTOCOL, "the size of a chunk is not a number") },
	{ { "chunk-huge-size", BYTES(OK CHUNKED "\r\nfffffffffffffffff\r\nhello\r\n") },
	    EXPECT("."), .is = CRITICAL(PROTOCOL, "the size of a chunk is too large") },
	{ { "chunk-cut", BYTES(OK CHUNKED "\r\nfffffff\r\nhello") }, EXPECT("."),
	    .is = CRITICAL(CLOSED, ENDED) },
	{ { "chunks-cut", BYTES(OK CHUNKED "\r\n5\r\nhello\r\n") }, EXPECT("."),
	    .is = CRITICAL(CLOSED, ENDED) },
	{ { "chunk-longer", BYTES(OK CHUNKED "\r\n5\r\nhello!\r\n0\r\n\r\n") },
	    EXPECT("."), .is = CRITICAL(PROTOCOL, "a chunk is longer than its size") },
	{ { "endless-extension", BYTES(OK CHUNKED "\r\n5;"), .again = FOR_EVER },
	    EXPECT("."), .deadline_ms = 300,
	    .is = CRITICAL(PROTOCOL, "the extensions of the chunks are longer"),
	    LOOSER(CRITICAL(TIMEOUT, NULL)) },
	{ { "endless-trailers", BYTES(OK CHUNKED "\r\n0\r\n"), .again = "A: b\r\n" },
	    EXPECT("."), .is = CRITICAL(PROTOCOL, "the head has more than 256 lines") },
	/* ends that come too early */
	{ { "close-at-once", .at_once = true, BYTES("") },
	    .is = CRITICAL(CLOSED, NULL) },
	{ { "reset-at-once", .at_once = true, BYTES(""), .end = HOSTILE_RESET },
	    .is = CRITICAL(CLOSED, NULL) },
	{ { "close", BYTES("") }, .is = CRITICAL(CLOSED, NO_ANSWER) },
	{ { "reset", BYTES(""), .end = HOSTILE_RESET },
	    .is = CRITICAL(CLOSED, NO_ANSWER) },
	{ { "close-in-status", BYTES("HTTP/1.1 20") }, .is = CRITICAL(CLOSED, NULL) },
	{ { "close-in-head", BYTES(OK "A: b\r\n") }, .is = CRITICAL(CLOSED, ENDED) },
	{ { "reset-in-head", BYTES(OK "A: b\r\n"), .end = HOSTILE_RESET },
	    .is = CRITICAL(CLOSED, NULL) },
	{ { "close-in-body", BYTES(OK LENGTH_5 "\r\nhell") }, EXPECT("hell"),
	    .is = CRITICAL(CLOSED, ENDED) },
	{ { "cut-in-body", BYTES(OK LENGTH_5 "\r\nhell"), .end = HOSTILE_CUT },
	    EXPECT("hell"), .is = CRITICAL(CLOSED, NULL) },
	{ { "reset-in-body", BYTES(OK LENGTH_5 "\r\nhell"), .end = HOSTILE_RESET },
	    EXPECT("hell"), .is = CRITICAL(CLOSED, NULL) },
	{ { "close-after-head", BYTES(OK LENGTH_5 "\r\n") }, .is = PASSING },
	{ { "cut-at-end", BYTES(OK "\r\nhello"), .end = HOSTILE_CUT }, EXPECT("hello"),
	    .is = PASSING, LOOSER(PASSING), .tls_differs = true,
	    .tls = CRITICAL(CLOSED, NULL) },
	/* ends that do not come */
	{ { "silent", BYTES(""), .end = HOSTILE_STAY }, .deadline_ms = 300,
	    .is = CRITICAL(TIMEOUT, NULL) },
	{ { "drip-head", BYTES(OK "A: "), .again = "x", .pause_ms = 50 },
	    .deadline_ms = 400, .is = CRITICAL(TIMEOUT, NULL) },
	{ { "drip-body", BYTES(OK "\r\n"), .again = "x", .pause_ms = 10 }, EXPECT("y"),
	    .deadline_ms = 500, .is = CRITICAL(TIMEOUT, NULL) },
	{ { "stay-in-body", BYTES(OK LENGTH_5 "\r\nhell"), .end = HOSTILE_STAY },
	    EXPECT("hell"), .deadline_ms = 300, .is = CRITICAL(TIMEOUT, NULL) },
	{ { "answer-at-once", .at_once = true, BYTES(OK LENGTH_5 "\r\nhello"),
	      .end = HOSTILE_STAY },
	    EXPECT("^hello$"), .is = PASSING },
	/* what is not HTTP/1 */
	{ { "smtp", BYTES("220 mail.example ESMTP\r\n"), .end = HOSTILE_STAY },
	    .is = CRITICAL(PROTOCOL, "this is not HTTP") },
	{ { "binary", BYTES("\x80\xff\xfe\x00\x01\x7f hello"), .end = HOSTILE_CLOSE },
	    .is = CRITICAL(PROTOCOL, "this is not HTTP") },
	{ { "tls-alert", BYTES("\x15\x03\x01\x00\x02\x02\x16") },
	    .is = CRITICAL(PROTOCOL, "this is TLS, not HTTP") },
	{ { "http-0.9", BYTES("<html>hello</html>\n") },
	    .is = CRITICAL(PROTOCOL, "this is not HTTP") },
	{ { "http-2",
	      BYTES("\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0\0\x05"
		    "\0\xff\xff\xff") },
	    .is = CRITICAL(PROTOCOL, "this is not HTTP") },
	{ { "http-2-line", BYTES("HTTP/2 200\r\n" LENGTH_5 "\r\nhello") },
	    .is = CRITICAL(PROTOCOL, "another version of HTTP"), LOOSER(PASSING) },
	{ { "http-1.2", BYTES("HTTP/1.2 200 OK\r\n" LENGTH_5 "\r\nhello") },
	    .is = CRITICAL(PROTOCOL, "another version of HTTP") },
	{ { "garbage-at-once", .at_once = true, BYTES("SSH-2.0-x\r\n"),
	      .end = HOSTILE_STAY },
	    .is = CRITICAL(PROTOCOL, "this is not HTTP") },
};

/* ---- servers that come to no answer ---- */

static void
raw_garbage(int fd)
{
	char data[4096];

	if (recv(fd, data, sizeof(data), 0) > 0)
		send(fd, "220 mail.example ESMTP\r\n", 24, MSG_NOSIGNAL);
}

static void
raw_plain_http(int fd)
{
	char data[4096];

	if (recv(fd, data, sizeof(data), 0) > 0)
		send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, MSG_NOSIGNAL);
}

/* RFC 8446 6: handshake_failure, fatal */
static void
raw_alert(int fd)
{
	char data[4096];

	if (recv(fd, data, sizeof(data), 0) > 0)
		send(fd, "\x15\x03\x03\x00\x02\x02\x28", 7, MSG_NOSIGNAL);
}

static void
raw_close(int fd)
{
	char data[4096];
	ssize_t n = recv(fd, data, sizeof(data), 0);

	CU_ASSERT(n > 0);
}

static void
raw_reset(int fd)
{
	struct linger linger = { 1, 0 };

	raw_close(fd);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static void
raw_stay(int fd)
{
	char data[4096];

	while (recv(fd, data, sizeof(data), 0) > 0)
		continue;
}

static void
serve_well(struct tls_peer *peer)
{
	static const char answer[] = OK LENGTH_5 "\r\nhello";
	char data[4096];

	if (tls_peer_read(peer, data, sizeof(data)) <= 0)
		return;
	tls_peer_write(peer, answer, strlen(answer));
	tls_peer_end(peer);
}

#define DAY_S 86400
static const struct tls_certificate certificates[] = {
	{ .file = "ca.pem", .name = "Our CA", .authority = true },
	{ .file = "other-ca.pem", .name = "Other CA", .authority = true },
	{ .file = "good.pem", .issuer = "ca.pem", .alternatives = "IP:127.0.0.1" },
	{ .file = "soon.pem",
	    .issuer = "ca.pem",
	    .alternatives = "IP:127.0.0.1",
	    .from_s = -DAY_S,
	    .until_s = 10 * DAY_S + 3600 },
	{ .file = "old.pem",
	    .issuer = "ca.pem",
	    .alternatives = "IP:127.0.0.1",
	    .from_s = -9 * DAY_S,
	    .until_s = -DAY_S },
	{ .file = "young.pem",
	    .issuer = "ca.pem",
	    .alternatives = "IP:127.0.0.1",
	    .from_s = DAY_S,
	    .until_s = 9 * DAY_S },
	{ .file = "others.pem", .issuer = "ca.pem", .alternatives = "IP:127.0.0.2" },
	{ .file = "unknown.pem",
	    .issuer = "other-ca.pem",
	    .alternatives = "IP:127.0.0.1" },
};

/* A server of TLS, asked by https unless it says otherwise. */
struct handshake {
	const char *certificate;
	void (*raw)(int fd);
	bool asks; /* for a certificate of ours */
	bool plain; /* asked by http */
	struct row row;
};

static const struct handshake handshakes[] = {
	{ "good.pem", .row = { { "good" }, .is = PASSING } },
	{ "soon.pem",
	    .row = { { "soon" }, "certificate-warning = 11",
		.is = { CHECK_WARNING, CHECK_REASON_CERTIFICATE,
		    "status 200, but the certificate ends in 10 days" } } },
	{ "soon.pem",
	    .row = { { "not-so-soon" }, "certificate-warning = 10", .is = PASSING } },
	{ "old.pem",
	    .row = { { "old" }, .is = CRITICAL(TLS, "the certificate has expired") } },
	{ "old.pem",
	    .row = { { "old" }, "verify = false\n\tcertificate-warning = 10",
		.is = { CHECK_WARNING, CHECK_REASON_CERTIFICATE,
		    "status 200, but the certificate has ended" } } },
	{ "young.pem", .row = { { "young" }, .is = CRITICAL(TLS, "not valid") } },
	{ "others.pem",
	    .row = { { "others" },
		.is = CRITICAL(TLS, "the certificate is not for 127.0.0.1") } },
	{ "unknown.pem",
	    .row = { { "unknown" }, .is = CRITICAL(TLS, "unknown authority") } },
	{ "unknown.pem", .row = { { "unverified" }, "verify = false", .is = PASSING } },
	{ "good.pem", .asks = true,
	    .row = { { "asks" }, .is = CRITICAL(TLS, "certificate") } },
	{ .raw = raw_garbage, .row = { { "garbage" }, .is = CRITICAL(TLS, NULL) } },
	{ .raw = raw_plain_http, .row = { { "plain" }, .is = CRITICAL(TLS, NULL) } },
	{ .raw = raw_alert, .row = { { "alert" }, .is = CRITICAL(TLS, NULL) } },
	{ .raw = raw_close,
	    .row = { { "close" },
		.is = CRITICAL(
		    CLOSED, "the connection ended during the TLS handshake") } },
	{ .raw = raw_reset,
	    .row = { { "reset" },
		.is = CRITICAL(
		    CLOSED, "the connection was reset during the TLS handshake") } },
	{ .raw = raw_stay,
	    .row = { { "stay" }, .deadline_ms = 300, .is = CRITICAL(TIMEOUT, NULL) } },
	{ "good.pem", .plain = true,
	    .row = { { "http-to-https" }, .deadline_ms = 2000,
		.is = CRITICAL(CLOSED, NULL) } },
};

/* ---- the bench ---- */

/* One run: of a row, by a client, plain or with TLS. */
struct trial {
	struct bench *bench;
	const struct row *row;
	bool tls, curl, began, ended;
	struct check_run *run;
	struct loop_timer *deadline;
	enum check_status status;
	enum check_reason reason;
	char *text;
};

struct bench {
	struct loop *loop;
	struct http *http;
	struct resolve *resolve;
	struct tlss *tlss;
	struct streams *streams;
	struct fetch *fetch;
	struct runs *runs;
	struct conf *conf;
	struct loop_timer *next;
	struct trial *trials;
	size_t count, begun, ended;
};

static void
end_trial(struct trial *trial)
{
	struct bench *b = trial->bench;

	loop_timer_stop(trial->deadline);
	trial->run = NULL;
	trial->ended = true;
	if (++b->ended == b->count)
		loop_stop(b->loop);
	loop_timer_after(b->next, 0);
}

static void
on_done(void *owner, const struct run_outcome *outcome)
{
	struct trial *trial = owner;

	trial->status = outcome->status;
	trial->reason = outcome->reason;
	trial->text = xstrdup(outcome->text);
	end_trial(trial);
}

static void
on_nothing(void *owner)
{
	CU_FAIL("no command is run here");
}

static void
on_deadline(void *arg)
{
	struct trial *trial = arg;

	run_cancel(trial->run);
	trial->status = CHECK_CRITICAL;
	trial->reason = CHECK_REASON_TIMEOUT;
	end_trial(trial);
}

static void
on_next(void *arg)
{
	struct bench *b = arg;

	while (b->begun < b->count && b->begun < b->ended + AT_ONCE_MAX) {
		struct trial *trial = &b->trials[b->begun];
		int limit =
		    trial->row->deadline_ms > 0 ? trial->row->deadline_ms : LIMIT_MS;
		trial->deadline = loop_timer_new(b->loop, on_deadline, trial);
		loop_timer_after(trial->deadline, limit);
		trial->run =
		    run_new(b->runs, b->conf->checks[b->begun++], limit, trial);
		run_begin(trial->run);
	}
}

static void
bench_open(struct bench *b, const char *text)
{
	static const struct runs_out out = { on_done, on_nothing, on_nothing };
	struct bundle_file files[] = { { "environment", "", 0 },
		{ "lictor.conf", "", 0 }, { "a.conf", text, strlen(text) } };
	struct conf_bundle *bundle = bundle_new(files, ARRAY_LENGTH(files));
	char error[CONF_ERROR_MAX] = "";

	bundle->received = true;
	b->conf = conf_parse(bundle, error);
	if (b->conf == NULL)
		printf("# %s\n", error);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b->conf);
	CU_ASSERT_EQUAL_FATAL(b->conf->n_checks, b->count);
	b->loop = loop_new();
	b->http = http_new(b->loop);
	b->resolve = resolve_new(b->loop);
	b->tlss = tlss_new();
	b->streams = streams_new(b->loop, b->resolve, b->tlss);
	b->fetch = fetch_new(b->loop, b->streams);
	struct run_servants servants = {
		.loop = b->loop,
		.fetch = b->fetch,
		.http = b->http,
		.resolve = b->resolve,
		.streams = b->streams,
	};
	b->runs = runs_new(&servants, &out);
	b->next = loop_timer_new(b->loop, on_next, b);
}

static void
bench_run(struct bench *b)
{
	loop_timer_after(b->next, 0);
	loop_run(b->loop);
}

static void
bench_close(struct bench *b)
{
	for (size_t i = 0; i < b->count; i++) {
		loop_timer_free(b->trials[i].deadline);
		free(b->trials[i].text);
	}
	free(b->trials);
	loop_timer_free(b->next);
	runs_free(b->runs);
	fetch_free(b->fetch);
	streams_free(b->streams);
	tlss_free(b->tlss);
	resolve_free(b->resolve);
	http_free(b->http);
	loop_free(b->loop);
	conf_free(b->conf);
}

static struct trial *
add_trial(struct bench *b, const struct row *row, bool tls, bool curl)
{
	b->trials = xrealloc(b->trials, b->count + 1, sizeof(*b->trials));
	struct trial *trial = &b->trials[b->count++];
	*trial = (struct trial){ .row = row, .tls = tls, .curl = curl };
	return trial;
}

/* Redirects are libcurl's: to follow them is to ask for it. */
static void
write_check(struct buf *text, const struct trial *trial, size_t number, uint16_t port,
    const char *folder)
{
	buf_printf(text, "http \"%zu\" {\n\turl = \"%s://127.0.0.1:%u/%s\"\n", number,
	    trial->tls ? "https" : "http", port, trial->row->act.name);
	if (trial->tls && folder != NULL)
		buf_printf(text, "\tca-file = \"%s/ca.pem\"\n", folder);
	if (trial->curl)
		buf_printf(text, "\tfollow = true\n");
	if (trial->row->options != NULL)
		buf_printf(text, "\t%s\n", trial->row->options);
	buf_printf(text, "}\n");
}

static const struct verdict *
expected(const struct trial *trial)
{
	const struct row *row = trial->row;

	if (trial->curl && row->differs)
		return &row->curl;
	return trial->tls && row->tls_differs ? &row->tls : &row->is;
}

static void
judge(const struct trial *trial)
{
	const struct verdict *is = expected(trial);
	const char *text = trial->text != NULL ? trial->text : "";
	/* libcurl has words of its own for what is not HTTP */
	bool words =
	    is->says != NULL && (!trial->curl || is->reason != CHECK_REASON_PROTOCOL);
	bool right = trial->status == is->status && trial->reason == is->reason &&
	    (!words || strstr(text, is->says) != NULL);

	CU_ASSERT(right);
	if (!right)
		printf("# %s, %s, %s: %s, %s: %.200s\n", trial->row->act.name,
		    trial->tls ? "TLS" : "plain", trial->curl ? "libcurl" : "fetch",
		    check_status_name(trial->status), check_reason_name(trial->reason),
		    text);
}

static void
run_all(struct bench *b, const struct buf *text)
{
	for (size_t i = 0; i < b->count; i++)
		b->trials[i].bench = b;
	bench_open(b, text->data);
	bench_run(b);
	for (size_t i = 0; i < b->count; i++)
		judge(&b->trials[i]);
	bench_close(b);
}

static void
test_answers(void)
{
	struct buf text = { .limit = 1 << 20 };
	struct bench b = { 0 };

	struct hostile *server =
	    hostile_start(&rows[0].act, ARRAY_LENGTH(rows), sizeof(rows[0]));
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
		for (int way = 0; way < 4; way++) {
			bool tls = (way & 1) != 0, curl = (way & 2) != 0;
			if (rows[i].clients == (curl ? FETCH_ONLY : CURL_ONLY))
				continue;
			struct trial *trial = add_trial(&b, &rows[i], tls, curl);
			write_check(&text, trial, b.count, hostile_port(server, i, tls),
			    hostile_folder(server));
		}
	run_all(&b, &text);
	hostile_stop(server);
	buf_free(&text);
}

static void
test_handshakes(void)
{
	struct tls_server *servers[ARRAY_LENGTH(handshakes)];
	struct buf text = { .limit = 1 << 20 };
	struct bench b = { 0 };
	char *folder = tls_folder_new();

	for (size_t i = 0; i < ARRAY_LENGTH(certificates); i++)
		tls_certificate_make(folder, &certificates[i]);
	for (size_t i = 0; i < ARRAY_LENGTH(handshakes); i++) {
		const struct handshake *handshake = &handshakes[i];
		struct tls_server_conf conf = {
			.folder = folder,
			.certificate = handshake->certificate,
			.client_ca = handshake->asks ? "ca.pem" : NULL,
			.serve = serve_well,
			.raw = handshake->raw,
		};
		servers[i] = tls_server_start(&conf);
		for (int curl = 0; curl < 2; curl++) {
			struct trial *trial = add_trial(
			    &b, &handshake->row, !handshake->plain, curl == 1);
			write_check(
			    &text, trial, b.count, tls_server_port(servers[i]), folder);
		}
	}
	run_all(&b, &text);
	for (size_t i = 0; i < ARRAY_LENGTH(handshakes); i++)
		tls_server_stop(servers[i]);
	tls_folder_free(folder);
	buf_free(&text);
}

/* A port of 127.0.0.1 where nobody accepts: its queue is full; or nobody listens. */
static uint16_t
deaf_port(int fds[3], bool listens)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);

	for (int i = 0; i < 3; i++)
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CU_ASSERT_EQUAL(bind(fds[0], (struct sockaddr *)&address, len), 0);
	CU_ASSERT(!listens || listen(fds[0], 0) == 0);
	CU_ASSERT_EQUAL(getsockname(fds[0], (struct sockaddr *)&address, &len), 0);
	for (int i = 1; i < 3 && listens; i++)
		CU_ASSERT(connect(fds[i], (struct sockaddr *)&address, len) == 0 ||
		    errno == EINPROGRESS);
	return ntohs(address.sin_port);
}

static void
test_nobody_there(void)
{
	static const struct row nobody[] = {
		{ { "refused" }, .is = CRITICAL(REFUSED, NULL) },
		{ { "never-accepts" }, .deadline_ms = 300,
		    .is = CRITICAL(TIMEOUT, NULL) },
	};
	struct buf text = { .limit = 1 << 20 };
	struct bench b = { 0 };
	int fds[ARRAY_LENGTH(nobody)][3];

	for (size_t i = 0; i < ARRAY_LENGTH(nobody); i++) {
		uint16_t port = deaf_port(fds[i], i == 1);
		for (int way = 0; way < 4; way++) {
			struct trial *trial =
			    add_trial(&b, &nobody[i], (way & 1) != 0, (way & 2) != 0);
			write_check(&text, trial, b.count, port, NULL);
		}
	}
	run_all(&b, &text);
	for (size_t i = 0; i < ARRAY_LENGTH(nobody); i++)
		for (int j = 0; j < 3; j++)
			close(fds[i][j]);
	buf_free(&text);
}

static const struct tap_case cases[] = {
	{ "answers", test_answers },
	{ "handshakes", test_handshakes },
	{ "nobody there", test_nobody_there },
};

TAP_MAIN("hostile", cases)
