/* SPDX-License-Identifier: ISC */
/*
 * TLS as client: each fault is asked for through tls and through libcurl, and the reason and
 * its words must be the same. And which name is asked for, and which is verified.
 */
#include "agent/base/tls.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "agent/base/http.h"
#include "agent/base/util.h"
#include "tests/unit/tap.h"
#include "tests/unit/tls_bed.h"
#include "tests/unit/tls_server.h"

static void
raw_http(int fd)
{
	static const char text[] = "HTTP/1.1 400 Bad Request\r\n\r\nno TLS here\r\n";

	send(fd, text, strlen(text), MSG_NOSIGNAL);
	recv(fd, (char[2048]){ 0 }, 2048, 0);
}

static void
raw_ssh(int fd)
{
	send(fd, "SSH-2.0-OpenSSH_9.2\r\n", 21, MSG_NOSIGNAL);
	recv(fd, (char[2048]){ 0 }, 2048, 0);
}

static void
raw_close(int fd)
{
	recv(fd, (char[2048]){ 0 }, 2048, 0);
}

static void
raw_reset(int fd)
{
	struct linger linger = { 1, 0 };

	recv(fd, (char[1]){ 0 }, 1, 0);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static void
raw_alert(int fd)
{
	recv(fd, (char[2048]){ 0 }, 2048, 0);
	send(fd, "\x15\x03\x03\x00\x02\x02\x70", 7, MSG_NOSIGNAL);
}

static void
raw_garbage(int fd)
{
	recv(fd, (char[2048]){ 0 }, 2048, 0);
	send(fd, "\x16\x03\x03\x00\x04\x63\x00\x00\x00", 9, MSG_NOSIGNAL);
}

/* %1 is yesterday, %2 tomorrow, as in the message. */
static void
expected_words(const char *pattern, char *out, size_t size)
{
	const char *mark = strchr(pattern, '%');
	time_t when = time(NULL);
	char date[64];
	struct tm tm;

	if (mark == NULL) {
		str_copy(out, size, pattern);
		return;
	}
	when += mark[1] == '1' ? -DAY_S : DAY_S;
	gmtime_r(&when, &tm);
	strftime(date, sizeof(date), "%Y-%m-%d", &tm);
	snprintf(out, size, "%.*s%s%s", (int)(mark - pattern), pattern, date, mark + 2);
}

#define NOT_FOR "the certificate is not for "

struct fault_row {
	const char *name;
	struct tls_server_conf server;
	const char *host, *ca, *own;
	enum net_error error;
	const char *why; /* the beginning */
	bool no_verify;
};

static const struct fault_row fault_rows[] = {
	{ "expired", { .certificate = "old.pem" }, .error = NET_TLS,
	    .why = "the certificate has expired (on %1)" },
	{ "early", { .certificate = "early.pem" }, .error = NET_TLS,
	    .why = "the certificate is not valid yet (from %2 " },
	{ "expired above", { .certificate = "below-old.pem" }, .error = NET_TLS,
	    .why = "the certificate of its authority \"Old middle\" has expired "
		   "(on %1)" },
	{ "other name", { .certificate = "others.pem" }, .error = NET_TLS,
	    .why =
		NOT_FOR HOST " but for a.example, b.example, 192.0.2.1, 2001:db8::1" },
	{ "many names", { .certificate = "many.pem" }, .error = NET_TLS,
	    .why = NOT_FOR HOST " but for a.example, b.example, c.example, "
				"d.example, e.example, ..." },
	{ "other literal", { .certificate = "others.pem" }, .host = "127.0.0.1",
	    .error = NET_TLS, .why = NOT_FOR "127.0.0.1 but for a.example" },
	{ "a literal is no common name", { .certificate = "common-name.pem" },
	    .host = "127.0.0.1", .error = NET_TLS,
	    .why = NOT_FOR "127.0.0.1 but for web.example" },
	{ "the star is one label", { .certificate = "good.pem" },
	    .host = "a.b.wild.example", .error = NET_TLS,
	    .why = NOT_FOR "a.b.wild.example but for web.example, *.wild.example" },
	{ "NUL in the name", { .certificate = "nul-name.pem" }, .error = NET_TLS,
	    .why = NOT_FOR HOST " but for web.example?.evil.example" },
	{ "NUL in an alternative", { .certificate = "nul-dns.pem" }, .error = NET_TLS,
	    .why = NOT_FOR HOST " but for " },
	{ "unknown authority", { .certificate = "stranger.pem" }, .error = NET_TLS,
	    .why = "the certificate is signed by an unknown authority "
		   "(\"Other ?CA?\")" },
	{ "the system's know it not", { .certificate = "good.pem" }, .ca = "",
	    .error = NET_TLS,
	    .why = "the certificate is signed by an unknown authority (\"Our CA\")" },
	{ "self-signed", { .certificate = "own.pem" }, .error = NET_TLS,
	    .why = "the certificate is self-signed" },
	{ "forged", { .certificate = "forged.pem" }, .error = NET_TLS,
	    .why = "the signature of the certificate is wrong" },
	{ "signed by a leaf", { .certificate = "leaf-signed.pem" }, .error = NET_TLS,
	    .why = "the certificate is signed by what is no authority" },
	{ "revoked", { .certificate = "revoked.pem" }, .ca = "revocations.pem",
	    .error = NET_TLS, .why = "the certificate has been revoked" },
	{ "old list of revocations", { .certificate = "good.pem" },
	    .ca = "old-revocations.pem", .error = NET_TLS,
	    .why = "the revocation list of its authority is out of date" },
	{ "weak key", { .certificate = "weak.pem" }, .error = NET_TLS,
	    .why = "the key of the certificate is too weak" },
	{ "weak digest", { .certificate = "sha1.pem" }, .error = NET_TLS,
	    .why = "the signature of the certificate is too weak" },
	{ "wrong purpose", { .certificate = "client.pem" }, .error = NET_TLS,
	    .why = "the certificate is not made for servers" },
	{ "old TLS", { .certificate = "good.pem", .least = 10, .most = 11 },
	    .error = NET_TLS, .why = "no version of TLS in common" },
	{ "no cipher",
	    { .certificate = "good.pem",
		.most = 12,
		.ciphers = "ECDHE-RSA-AES128-GCM-SHA256" },
	    .error = NET_TLS, .why = "no cipher or kind of key in common" },
	{ "1.2: certificate required",
	    { .certificate = "good.pem", .most = 12, .client_ca = "ca.pem" },
	    .error = NET_TLS, .why = "the server requires a certificate of us" },
	{ "1.3: certificate required",
	    { .certificate = "good.pem", .client_ca = "ca.pem" }, .error = NET_TLS,
	    .why = "the server requires a certificate of us" },
	{ "1.2: certificate refused",
	    { .certificate = "good.pem", .most = 12, .client_ca = "ca.pem" },
	    .own = "stranger.pem", .error = NET_TLS,
	    .why = "the server refused: our certificate is signed by an unknown "
		   "authority" },
	{ "1.3: certificate refused",
	    { .certificate = "good.pem", .client_ca = "ca.pem" }, .own = "stranger.pem",
	    .error = NET_TLS,
	    .why = "the server refused: our certificate is signed by an unknown "
		   "authority" },
	{ "certificate expired", { .certificate = "good.pem", .client_ca = "ca.pem" },
	    .own = "old-client.pem", .error = NET_TLS,
	    .why = "the server refused: our certificate has expired" },
	{ "not verified, and refused",
	    { .certificate = "old.pem", .client_ca = "ca.pem" }, .error = NET_TLS,
	    .why = "the server requires a certificate of us", .no_verify = true },
	{ "plain HTTP", { .raw = raw_http }, .error = NET_TLS,
	    .why = "the other end does not speak TLS" },
	{ "SSH", { .raw = raw_ssh }, .error = NET_TLS,
	    .why = "the other end does not speak TLS" },
	{ "closed", { .raw = raw_close }, .error = NET_CLOSED,
	    .why = "the connection ended during the TLS handshake" },
	{ "reset", { .raw = raw_reset }, .error = NET_CLOSED,
	    .why = "the connection was reset during the TLS handshake" },
	{ "unknown name", { .raw = raw_alert }, .error = NET_TLS,
	    .why = "the server refused: it does not know the name asked for" },
	{ "garbage", { .raw = raw_garbage }, .error = NET_TLS,
	    .why = "the other end breaks the rules of TLS: " },
	{ "no such file", { .certificate = "good.pem" }, .ca = "nowhere.pem",
	    .error = NET_LOCAL, .why = "ca-file " },
	{ "1.2: certificate shown",
	    { .certificate = "good.pem", .most = 12, .client_ca = "ca.pem" },
	    .own = "client.pem" },
	{ "1.3: certificate shown",
	    { .certificate = "good.pem", .client_ca = "ca.pem" }, .own = "client.pem" },
	{ "common name", { .certificate = "common-name.pem" } },
	{ "the star", { .certificate = "good.pem" }, .host = "a.wild.example" },
	{ "a literal", { .certificate = "good.pem" }, .host = "127.0.0.1" },
	{ "another than the revoked", { .certificate = "good.pem" },
	    .ca = "revocations.pem" },
	{ "an authority without a list", { .certificate = "stranger.pem" },
	    .ca = "both.pem" },
	{ "a chain", { .certificate = "below.pem" } },
	{ "the middle is enough", { .certificate = "below.pem" }, .ca = "middle.pem" },
	{ "itself is trusted", { .certificate = "own.pem" }, .ca = "own.pem" },
	{ "the leaf is trusted", { .certificate = "good.pem" }, .ca = "good.pem" },
};

static void
check_fault(
    const struct fault_row *row, const char *who, enum net_error error, const char *got)
{
	char why[200];

	expected_words(row->why == NULL ? "" : row->why, why, sizeof(why));
	bool same =
	    row->why == NULL ? got[0] == '\0' : strncmp(got, why, strlen(why)) == 0;
	CU_ASSERT_EQUAL(error, row->error);
	CU_ASSERT_TRUE(same);
	if (error != row->error || !same)
		printf("# %s, %s: %d \"%s\"\n", row->name, who, error, got);
}

static void
test_faults_have_words(void)
{
	struct bench bench;

	bench_open(&bench);
	for (size_t i = 0; i < ARRAY_LENGTH(fault_rows); i++) {
		const struct fault_row *row = &fault_rows[i];
		const char *ca = row->ca == NULL ? "ca.pem" : row->ca;
		const char *host = row->host == NULL ? HOST : row->host;
		struct net_tls tls = files(&bench, ca[0] == '\0' ? NULL : ca, row->own);
		tls.no_verify = row->no_verify;
		struct tls_server_conf conf = row->server;
		conf.serve = answer;
		serve(&bench, conf);
		for (int n = 0; n < 2; n++) { /* what failed is not resumed either */
			struct seen seen = ask(&bench, &tls, host);
			check_fault(row, "tls", seen.error, seen.why);
			CU_ASSERT_EQUAL(seen.resumed, n == 1 && row->why == NULL);
		}
		struct seen seen = ask_target(&bench, &tls, host, "again");
		struct http_reply reply = ask_curl(&bench, &tls, host);
		check_fault(row, "curl", reply.error, reply.why);
		CU_ASSERT_STRING_EQUAL(reply.why, seen.why);
		CU_ASSERT_EQUAL(reply.certificate_end, seen.certificate_end);
		CU_ASSERT_EQUAL(seen.certificate_end != -1,
		    row->error != NET_LOCAL && row->server.raw == NULL &&
			row->server.ciphers == NULL && row->server.least == 0);
	}
	bench_close(&bench);
}

/* Neither name nor chain nor date counts, but the end is told. */
static void
test_without_verifying(void)
{
	static const struct {
		const char *file;
		int64_t end_s;
	} rows[] = {
		{ "good.pem", DAY_S },
		{ "old.pem", -DAY_S },
		{ "early.pem", 2 * DAY_S },
		{ "others.pem", DAY_S },
		{ "own.pem", DAY_S },
		{ "stranger.pem", DAY_S },
	};
	struct net_tls tls = { .no_verify = true };
	struct bench bench;

	bench_open(&bench);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct tls_server_conf conf = { .certificate = rows[i].file,
			.serve = answer };
		serve(&bench, conf);
		AUTO_FREE char *target = xasprintf("%zu", i);
		for (int n = 0; n < 2; n++) {
			struct seen seen = ask_target(&bench, &tls, HOST, target);
			CU_ASSERT_EQUAL(seen.step, TLS_END);
			CU_ASSERT_EQUAL(seen.resumed, n == 1);
			int64_t left = seen.certificate_end - now_s();
			CU_ASSERT_TRUE(
			    left <= rows[i].end_s && left > rows[i].end_s - 60);
		}
		struct http_reply reply = ask_curl(&bench, &tls, HOST);
		CU_ASSERT_EQUAL(reply.error, NET_OK);
		int64_t left = reply.certificate_end - now_s();
		CU_ASSERT_TRUE(left <= rows[i].end_s && left > rows[i].end_s - 60);
	}
	bench_close(&bench);
}

/* Which name is asked for, and which is verified. */
static void
test_names(void)
{
	static const struct {
		const char *host, *server_name, *sent;
	} rows[] = {
		{ HOST, NULL, HOST },
		{ HOST ".", NULL, HOST },
		{ "127.0.0.1", NULL, "" },
		{ "db.example", HOST, HOST },
		{ "db.example", "127.0.0.1", "" },
		{ "192.0.2.9", "x.wild.example", "x.wild.example" },
	};
	struct tls_server_conf conf = { .certificate = "good.pem", .serve = answer };
	struct bench bench;

	bench_open(&bench);
	serve(&bench, conf);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct net_tls tls = files(&bench, "ca.pem", NULL);
		AUTO_FREE char *target = xasprintf("%zu", i);
		tls.server_name = rows[i].server_name;
		for (int n = 0; n < 2; n++) {
			struct seen seen =
			    ask_target(&bench, &tls, rows[i].host, target);
			check_answer(&seen, rows[i].sent, n == 1);
		}
	}
	bench_close(&bench);
}

static const struct tap_case cases[] = {
	{ "faults have words, whoever asks", test_faults_have_words },
	{ "without verifying", test_without_verifying },
	{ "names", test_names },
};

TAP_MAIN_APART("tls", cases)
