/* SPDX-License-Identifier: ISC */
/*
 * What the built-in types http and tcp say of what they are answered, plain and in TLS.
 */
#include "checks/builtin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "checks/check.h"
#include "tests/unit/checks_bed.h"
#include "tests/unit/tap.h"
#include "tests/unit/tls_server.h"

struct row {
	const char *given[8]; /* "%" in the first one stands for the server's port */
	enum check_status status;
	enum check_reason reason;
	const char *says;
	int64_t timeout_ms;
};

static void
check_result(const struct bench *b, size_t i, enum check_status status,
    enum check_reason reason, const char *says)
{
	const struct result *result = &b->results[i];
	bool right = result->status == status && result->reason == reason &&
	    strstr(result->output, says) != NULL;

	if (!right)
		printf("# row %zu: %s, %s: %s\n", i, check_status_name(result->status),
		    check_reason_name(result->reason), result->output);
	CU_ASSERT(right);
}

static void
run_rows(const struct check_class *class, const struct row *rows, size_t n)
{
	struct bench *b = bench_new();

	for (size_t i = 0; i < n; i++) {
		const char *given[8];
		const char *percent = strchr(rows[i].given[0], '%');
		memcpy(given, rows[i].given, sizeof(given));
		AUTO_FREE char *first = percent == NULL
		    ? xstrdup(given[0])
		    : xasprintf("%.*s%u%s", (int)(percent - given[0]), given[0],
			  b->server->port, percent + 1);
		given[0] = first;
		struct conf_check *check = bench_add(b, class, given);
		if (rows[i].timeout_ms > 0)
			check->timeout_ms = rows[i].timeout_ms;
	}
	bench_run(b);
	for (size_t i = 0; i < n; i++)
		check_result(b, i, rows[i].status, rows[i].reason, rows[i].says);
	bench_free(b);
}

static const struct row http_rows[] = {
	{ { "url=http://127.0.0.1:%/status/200" }, CHECK_PASSING, CHECK_REASON_OK,
	    "/status/200: status 200" },
	{ { "url=http://localhost:%/status/200" }, CHECK_PASSING, CHECK_REASON_OK,
	    "status 200" },
	{ { "url=http://127.0.0.1:%/status/503" }, CHECK_CRITICAL, CHECK_REASON_STATUS,
	    "/status/503: status 503\nsaid so" },
	{ { "url=http://127.0.0.1:%/status/404", "expect-status=200-299, 404" },
	    CHECK_PASSING, CHECK_REASON_OK, "status 404" },
	{ { "url=http://127.0.0.1:%/status/429", "expect-status=200" }, CHECK_CRITICAL,
	    CHECK_REASON_STATUS, "status 429" },
	{ { "url=http://127.0.0.1:%/status/200", "expect-body=^said so$" },
	    CHECK_PASSING, CHECK_REASON_OK, "status 200" },
	{ { "url=http://127.0.0.1:%/status/200", "expect-body=^so" }, CHECK_CRITICAL,
	    CHECK_REASON_BODY, "not as expected\nsaid so" },
	{ { "url=http://127.0.0.1:%/status/500", "expect-body=said" }, CHECK_CRITICAL,
	    CHECK_REASON_STATUS, "status 500" },
	{ { "url=http://127.0.0.1:%/big", "expect-body=near" }, CHECK_PASSING,
	    CHECK_REASON_OK, "status 200" },
	{ { "url=http://127.0.0.1:%/big", "expect-body=far" }, CHECK_CRITICAL,
	    CHECK_REASON_BODY, "not as expected\n0000" },
	{ { "url=http://127.0.0.1:%/echo", "method=PUT", "headers=X-One: 1|X-Two: 2",
	      "body=fine",
	      "expect-body=(?s)^PUT /echo .*X-One: 1\r\nX-Two: 2\r\n.*\r\n\r\nfine$" },
	    CHECK_PASSING, CHECK_REASON_OK, "PUT http" },
	{ { "url=http://127.0.0.1:%/status/204", "method=HEAD" }, CHECK_PASSING,
	    CHECK_REASON_OK, "HEAD http" },
	{ { "url=http://127.0.0.1:%/redirect" }, CHECK_CRITICAL, CHECK_REASON_STATUS,
	    "status 302" },
	{ { "url=http://127.0.0.1:%/redirect", "follow=true" }, CHECK_PASSING,
	    CHECK_REASON_OK, "status 204" },
	{ { "url=http://127.0.0.1:%/garbage" }, CHECK_CRITICAL, CHECK_REASON_PROTOCOL,
	    "" },
	{ { "url=http://127.0.0.1:%/close" }, CHECK_CRITICAL, CHECK_REASON_CLOSED, "" },
	{ { "url=http://127.0.0.1:%/hang" }, CHECK_CRITICAL, CHECK_REASON_TIMEOUT,
	    "not done within 1s", 1000 },
	{ { "url=https://127.0.0.1:%/status/200" }, CHECK_CRITICAL,
	    CHECK_REASON_TIMEOUT, "not done", 1000 },
	{ { "url=http://127.0.0.1:1/" }, CHECK_CRITICAL, CHECK_REASON_REFUSED,
	    "127.0.0.1:1" },
	{ { "url=http://127.0.0.1:%/json", "expect-json=status.db=up|n=3|items.1=b" },
	    CHECK_PASSING, CHECK_REASON_OK, "status 200" },
	{ { "url=http://127.0.0.1:%/json", "expect-json=n=3|status.db=down" },
	    CHECK_CRITICAL, CHECK_REASON_BODY,
	    "status 200, but status.db is \"up\", expected down\n{" },
	{ { "url=http://127.0.0.1:%/json", "expect-json=n=3", "expect-body=none" },
	    CHECK_CRITICAL, CHECK_REASON_BODY, "but the body is not as expected\n{" },
	{ { "url=http://127.0.0.1:%/status/200", "expect-json=a=1" }, CHECK_CRITICAL,
	    CHECK_REASON_BODY, "but the body is not JSON\nsaid so" },
	{ { "url=http://127.0.0.1:%/endless" }, CHECK_PASSING, CHECK_REASON_OK,
	    "status 200" },
	{ { "url=http://127.0.0.1:%/endless", "follow=true" }, CHECK_PASSING,
	    CHECK_REASON_OK, "status 200" },
	{ { "url=http://127.0.0.1:%/endless", "expect-body=." }, CHECK_CRITICAL,
	    CHECK_REASON_TIMEOUT, "not done", 1000 },
	{ { "url=http://127.0.0.1:%/status/302" }, CHECK_CRITICAL, CHECK_REASON_STATUS,
	    "/status/302: status 302" },
	{ { "url=http://127.0.0.1:%/status/200", "keep-alive=true" }, CHECK_PASSING,
	    CHECK_REASON_OK, "status 200" },
	{ { "url=http://web.example/status/200", "proxy=http://127.0.0.1:1" },
	    CHECK_CRITICAL, CHECK_REASON_REFUSED, "no connection" },
};

static void
http_outcomes(void)
{
	run_rows(&check_http_class, http_rows, ARRAY_LENGTH(http_rows));
}

static const struct row tcp_rows[] = {
	{ { "address=127.0.0.1:%" }, CHECK_PASSING, CHECK_REASON_OK, ": connected" },
	{ { "address=localhost:%" }, CHECK_PASSING, CHECK_REASON_OK, ": connected" },
	{ { "address=127.0.0.1:%", "send=HELLO\r\n" }, CHECK_PASSING, CHECK_REASON_OK,
	    "took what was sent" },
	{ { "address=127.0.0.1:%", "send=PING\r\n", "expect=^\\+PONG" }, CHECK_PASSING,
	    CHECK_REASON_OK, "answered as expected" },
	{ { "address=127.0.0.1:%", "send=SLOW\r\n", "expect=^\\+PONG" }, CHECK_PASSING,
	    CHECK_REASON_OK, "answered as expected" },
	{ { "address=127.0.0.1:%", "send=SORRY\r\n", "expect=^\\+PONG" },
	    CHECK_CRITICAL, CHECK_REASON_BODY, "not as expected\n-NO\\x1b" },
	{ { "address=127.0.0.1:%", "send=NOISE\r\n", "expect=^\\+PONG" },
	    CHECK_CRITICAL, CHECK_REASON_BODY, "not as expected\n~~~~" },
	{ { "address=127.0.0.1:%", "send=PI\\x4eG\\r\\n", "expect=^\\+PONG" },
	    CHECK_PASSING, CHECK_REASON_OK, "answered as expected" },
	{ { "address=127.0.0.1:%", "send=ECHO\\0\\x7F\\t\\\\\r\n",
	      "expect=^ECHO\\x00\\x7f\t\\\\\r\n$" },
	    CHECK_PASSING, CHECK_REASON_OK, "answered as expected" },
	{ { "address=127.0.0.1:%", "send=CLOSE\r\n", "expect=^\\+PONG" },
	    CHECK_CRITICAL, CHECK_REASON_CLOSED, "closed before an answer" },
	{ { "address=127.0.0.1:%", "expect=^\\+PONG" }, CHECK_CRITICAL,
	    CHECK_REASON_TIMEOUT, "not done within 1s", 1000 },
	{ { "address=127.0.0.1:1" }, CHECK_CRITICAL, CHECK_REASON_REFUSED,
	    "127.0.0.1:1: the connection was refused" },
};

static void
tcp_outcomes(void)
{
	run_rows(&check_tcp_class, tcp_rows, ARRAY_LENGTH(tcp_rows));
}

#define DAY_S 86400
static const struct tls_certificate certificates[] = {
	{ .file = "ca.pem", .name = "Our CA", .authority = true },
	{ .file = "other-ca.pem", .name = "Another CA", .authority = true },
	{ .file = "well.pem",
	    .issuer = "ca.pem",
	    .alternatives = "DNS:db.example,IP:127.0.0.1",
	    .from_s = -DAY_S,
	    .until_s = 9 * DAY_S + DAY_S / 2 },
	{ .file = "old.pem",
	    .issuer = "ca.pem",
	    .alternatives = "IP:127.0.0.1",
	    .from_s = -9 * DAY_S,
	    .until_s = -DAY_S },
};

enum { WELL_SERVER, OLD_SERVER, STRICT_SERVER, TLS_SERVERS };

struct tls_row {
	int server;
	const char *given[6]; /* after "address" and "tls"; @ stands for the folder */
	enum check_status status;
	enum check_reason reason;
	const char *says;
};

#define CA "ca-file=@/ca.pem"
static const struct tls_row tls_rows[] = {
	{ WELL_SERVER, { CA }, CHECK_PASSING, CHECK_REASON_OK, ": connected" },
	{ WELL_SERVER, { CA, "send=PING\\n", "expect=^\\+PONG$" }, CHECK_PASSING,
	    CHECK_REASON_OK, "answered as expected" },
	{ WELL_SERVER, { CA, "send=PING\\n", "expect=^-" }, CHECK_CRITICAL,
	    CHECK_REASON_BODY, "not as expected\n+PONG" },
	{ WELL_SERVER, { CA, "server-name=db.example" }, CHECK_PASSING, CHECK_REASON_OK,
	    ": connected" },
	{ WELL_SERVER, { CA, "server-name=web.example" }, CHECK_CRITICAL,
	    CHECK_REASON_TLS, "web.example" },
	{ WELL_SERVER, { "ca-file=@/other-ca.pem" }, CHECK_CRITICAL, CHECK_REASON_TLS,
	    "authority" },
	{ WELL_SERVER, { "ca-file=@/other-ca.pem", "verify=false" }, CHECK_PASSING,
	    CHECK_REASON_OK, ": connected" },
	{ WELL_SERVER, { "ca-file=@/none.pem" }, CHECK_UNKNOWN, CHECK_REASON_LOCAL,
	    "none.pem" },
	{ WELL_SERVER, { CA, "certificate-warning=9" }, CHECK_PASSING, CHECK_REASON_OK,
	    ": connected" },
	{ WELL_SERVER, { CA, "certificate-warning=10" }, CHECK_WARNING,
	    CHECK_REASON_CERTIFICATE,
	    ": connected, but the certificate ends in 9 days" },
	{ WELL_SERVER, { CA, "certificate-warning=10", "send=PING\\n", "expect=^-" },
	    CHECK_CRITICAL, CHECK_REASON_BODY, "not as expected" },
	{ OLD_SERVER, { CA }, CHECK_CRITICAL, CHECK_REASON_TLS, "expired" },
	{ OLD_SERVER, { CA, "verify=false" }, CHECK_PASSING, CHECK_REASON_OK,
	    ": connected" },
	{ OLD_SERVER, { CA, "verify=false", "certificate-warning=1" }, CHECK_WARNING,
	    CHECK_REASON_CERTIFICATE, ": connected, but the certificate has ended" },
	{ STRICT_SERVER, { CA, "cert-file=@/well.pem", "send=PING\\n", "expect=PONG" },
	    CHECK_PASSING, CHECK_REASON_OK, "answered as expected" },
	{ STRICT_SERVER, { CA, "send=PING\\n", "expect=PONG" }, CHECK_CRITICAL,
	    CHECK_REASON_TLS, "certificate" },
};

static void
serve_pong(struct tls_peer *peer)
{
	char line[64];

	if (tls_peer_read(peer, line, sizeof(line)) <= 0)
		return;
	tls_peer_write(peer, "+PONG", 5);
	tls_peer_end(peer);
}

/* What stands for the folder is replaced. */
static char *
fill_in(const char *given, const char *folder)
{
	const char *at = strchr(given, '@');

	return at == NULL
	    ? xstrdup(given)
	    : xasprintf("%.*s%s%s", (int)(at - given), given, folder, at + 1);
}

static void
add_tls_row(
    struct bench *b, const struct tls_row *row, uint16_t port, const char *folder)
{
	char *given[9] = { xasprintf("address=127.0.0.1:%u", port),
		xstrdup("tls=true") };

	for (size_t i = 0; i < ARRAY_LENGTH(row->given) && row->given[i] != NULL; i++)
		given[i + 2] = fill_in(row->given[i], folder);
	bench_add(b, &check_tcp_class, (const char *const *)given);
	for (size_t i = 0; given[i] != NULL; i++)
		free(given[i]);
}

static void
tcp_with_tls(void)
{
	char *folder = tls_folder_new();
	struct tls_server_conf confs[TLS_SERVERS] = {
		[WELL_SERVER] = { folder, "well.pem", .serve = serve_pong },
		[OLD_SERVER] = { folder, "old.pem", .serve = serve_pong },
		[STRICT_SERVER] = { folder, "well.pem", .client_ca = "ca.pem",
		    .serve = serve_pong },
	};
	struct tls_server *servers[TLS_SERVERS];
	struct bench *b = bench_new();

	for (size_t i = 0; i < ARRAY_LENGTH(certificates); i++)
		tls_certificate_make(folder, &certificates[i]);
	for (size_t i = 0; i < TLS_SERVERS; i++)
		servers[i] = tls_server_start(&confs[i]);
	for (size_t i = 0; i < ARRAY_LENGTH(tls_rows); i++)
		add_tls_row(b, &tls_rows[i],
		    tls_server_port(servers[tls_rows[i].server]), folder);
	bench_run(b);
	for (size_t i = 0; i < ARRAY_LENGTH(tls_rows); i++)
		check_result(
		    b, i, tls_rows[i].status, tls_rows[i].reason, tls_rows[i].says);
	for (size_t i = 0; i < TLS_SERVERS; i++)
		tls_server_stop(servers[i]);
	bench_free(b);
	tls_folder_free(folder);
}

/* Consul's rule for every status that a server can answer with. */
static void
http_statuses(void)
{
	struct bench *b = bench_new();
	int wrong = 0;

	for (unsigned int status = 200; status <= 599; status++) {
		AUTO_FREE char *url = xasprintf(
		    "url=http://127.0.0.1:%u/status/%u", b->server->port, status);
		const char *given[] = { url, NULL };
		bench_add(b, &check_http_class, given);
	}
	bench_run(b);
	for (unsigned int status = 200; status <= 599; status++) {
		const struct result *r = &b->results[status - 200];
		enum check_status ought = CHECK_CRITICAL;
		if (status / 100 == 2)
			ought = CHECK_PASSING;
		if (status == 429)
			ought = CHECK_WARNING;
		wrong += r->status != ought ||
		    r->reason !=
			(ought == CHECK_PASSING ? CHECK_REASON_OK
						: CHECK_REASON_STATUS);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	bench_free(b);
}

static const struct tap_case cases[] = {
	{ "http judges what it is answered", http_outcomes },
	{ "every HTTP status is judged by Consul's rule", http_statuses },
	{ "tcp judges what it is answered", tcp_outcomes },
	{ "tcp with TLS", tcp_with_tls },
};

TAP_MAIN("checks", cases)
