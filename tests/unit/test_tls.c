/* SPDX-License-Identifier: ISC */
/*
 * TLS as client, against a server of OpenSSL's in a process of its own. Each fault is asked
 * for through tls and through libcurl: the reason and its words must be the same. Then
 * what may be resumed and what must not, and a handshake that is cut, damaged or slowed
 * at every byte of it.
 */
#include "agent/base/tls.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/http.h"
#include "agent/base/loop.h"
#include "agent/base/tls_session.h"
#include "agent/base/util.h"
#include "tests/unit/tap.h"
#include "tests/unit/tls_server.h"

#define HOST "web.example"
#define DAY_S 86400
#define LIMIT_MS 10000
#define IDLE_MS 50
#define SLACK 8 /* a signature is not always as long */
#define STRIDE 3 /* of the bytes of a connection that are tried */

static const char request[] = "GET / HTTP/1.1\r\nHost: web.example\r\n\r\n";

/* The certificates of a test, all in one folder. */
static const struct tls_certificate certificates[] = {
	{ .file = "ca.pem", .name = "Our CA", .authority = true },
	{ .file = "other-ca.pem", .name = "Other \"CA\"", .authority = true },
	{ .file = "impostor-ca.pem", .name = "Our CA", .authority = true },
	{ .file = "middle.pem",
	    .name = "Middle",
	    .issuer = "ca.pem",
	    .authority = true },
	{ .file = "old-middle.pem",
	    .name = "Old middle",
	    .issuer = "ca.pem",
	    .authority = true,
	    .from_s = -9 * DAY_S,
	    .until_s = -DAY_S },
	{ .file = "good.pem",
	    .issuer = "ca.pem",
	    .name = "good",
	    .alternatives = "DNS:web.example,DNS:*.wild.example,IP:127.0.0.1" },
	{ .file = "below.pem",
	    .issuer = "middle.pem",
	    .alternatives = "DNS:web.example" },
	{ .file = "below-old.pem",
	    .issuer = "old-middle.pem",
	    .alternatives = "DNS:web.example" },
	{ .file = "leaf-signed.pem",
	    .issuer = "good.pem",
	    .alternatives = "DNS:web.example" },
	{ .file = "common-name.pem", .issuer = "ca.pem", .name = HOST },
	{ .file = "old.pem",
	    .issuer = "ca.pem",
	    .alternatives = "DNS:web.example",
	    .from_s = -9 * DAY_S,
	    .until_s = -DAY_S },
	{ .file = "early.pem",
	    .issuer = "ca.pem",
	    .alternatives = "DNS:web.example",
	    .from_s = DAY_S,
	    .until_s = 2 * DAY_S },
	{ .file = "others.pem",
	    .issuer = "ca.pem",
	    .alternatives = "DNS:a.example,DNS:b.example,IP:192.0.2.1,IP:2001:db8::1" },
	{ .file = "many.pem",
	    .issuer = "ca.pem",
	    .alternatives = "DNS:a.example,DNS:b.example,DNS:c.example,DNS:d.example,"
			    "DNS:e.example,DNS:f.example,DNS:g.example" },
	{ .file = "own.pem", .name = "own", .alternatives = "DNS:web.example" },
	{ .file = "stranger.pem",
	    .issuer = "other-ca.pem",
	    .alternatives = "DNS:web.example" },
	{ .file = "forged.pem",
	    .issuer = "impostor-ca.pem",
	    .alternatives = "DNS:web.example" },
	{ .file = "weak.pem",
	    .issuer = "ca.pem",
	    .alternatives = "DNS:web.example",
	    .weak_key = true },
	{ .file = "sha1.pem",
	    .issuer = "ca.pem",
	    .alternatives = "DNS:web.example",
	    .weak_digest = true },
	{ .file = "client.pem",
	    .issuer = "ca.pem",
	    .alternatives = "DNS:web.example",
	    .purpose = "clientAuth" },
	{ .file = "old-client.pem",
	    .issuer = "ca.pem",
	    .from_s = -9 * DAY_S,
	    .until_s = -DAY_S },
	{ .file = "nul-name.pem",
	    .issuer = "ca.pem",
	    .name = "web.example\0.evil.example",
	    .name_len = 25 },
	{ .file = "nul-dns.pem",
	    .issuer = "ca.pem",
	    .dns = "web.example\0.evil.example",
	    .dns_len = 25 },
	{ .file = "revoked.pem",
	    .issuer = "ca.pem",
	    .alternatives = "DNS:web.example" },
};

struct bench {
	char *folder;
	struct tlss *tlss;
	struct tls_server *server;
	struct loop *loop;
	struct http *http;
	char paths[3][128];
};

/* One exchange and what came of it. */
struct seen {
	enum tls_step step; /* the last */
	enum net_error error;
	char why[300], answer[4096];
	size_t len;
	int64_t certificate_end;
	bool resumed;
};

static bool
copy_file(const char *folder, const char *from, const char *to, const char *mode)
{
	AUTO_FREE char *source = xasprintf("%s/%s", folder, from);
	AUTO_FREE char *target = xasprintf("%s/%s", folder, to);
	AUTO_FREE char *data = xcalloc(1, 65536);
	AUTO_FCLOSE FILE *in = fopen(source, "r");
	AUTO_FCLOSE FILE *out = fopen(target, mode);

	if (in == NULL || out == NULL)
		return false;
	size_t len = fread(data, 1, 65536, in);
	return fwrite(data, 1, len, out) == len;
}

static void
bench_open(struct bench *bench)
{
	*bench = (struct bench){ .folder = tls_folder_new(), .tlss = tlss_new() };
	for (size_t i = 0; i < ARRAY_LENGTH(certificates); i++)
		tls_certificate_make(bench->folder, &certificates[i]);
	tls_revocation_make(
	    bench->folder, "ca.pem", "revoked.pem", DAY_S, "revocations.pem");
	tls_revocation_make(
	    bench->folder, "ca.pem", "revoked.pem", -60, "old-revocations.pem");
	copy_file(bench->folder, "revocations.pem", "both.pem", "w");
	copy_file(bench->folder, "other-ca.pem", "both.pem", "a");
	bench->loop = loop_new();
	bench->http = http_new(bench->loop);
}

static void
bench_close(struct bench *bench)
{
	tls_server_stop(bench->server);
	http_free(bench->http);
	loop_free(bench->loop);
	tlss_free(bench->tlss);
	tls_folder_free(bench->folder);
}

static void
serve(struct bench *bench, struct tls_server_conf conf)
{
	tls_server_stop(bench->server);
	conf.folder = bench->folder;
	bench->server = tls_server_start(&conf);
}

/* The path of a file of the folder: as good as three of them. */
static const char *
path_of(struct bench *bench, int which, const char *file)
{
	if (file == NULL)
		return NULL;
	snprintf(
	    bench->paths[which], sizeof(bench->paths[0]), "%s/%s", bench->folder, file);
	return bench->paths[which];
}

static struct net_tls
files(struct bench *bench, const char *ca, const char *own)
{
	return (struct net_tls){ .ca_file = path_of(bench, 0, ca),
		.cert_file = path_of(bench, 1, own) };
}

static int
connect_to(const struct bench *bench)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons(tls_server_port(bench->server)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_EQUAL_FATAL(
	    connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	CU_ASSERT_EQUAL(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

/* True: again, for what was waited for has come. */
static bool
awaited(int fd, enum tls_step step)
{
	struct pollfd wanted = { .fd = fd,
		.events = step == TLS_WANT_READ ? POLLIN : POLLOUT };

	if (step != TLS_WANT_READ && step != TLS_WANT_WRITE)
		return false;
	CU_ASSERT_EQUAL_FATAL(poll(&wanted, 1, LIMIT_MS), 1);
	return true;
}

/* The request, and the answer until an end of some kind. */
static void
exchange(struct tls *tls, int fd, struct seen *seen)
{
	size_t put, got;

	do
		seen->step = tls_handshake(tls);
	while (awaited(fd, seen->step));
	for (size_t sent = 0; seen->step == TLS_DONE && sent < strlen(request);) {
		seen->step =
		    tls_write(tls, request + sent, strlen(request) - sent, &put);
		if (seen->step == TLS_DONE)
			sent += put;
		else if (awaited(fd, seen->step))
			seen->step = TLS_DONE;
	}
	while (seen->step == TLS_DONE || awaited(fd, seen->step)) {
		seen->step = tls_read(tls, seen->answer + seen->len,
		    sizeof(seen->answer) - seen->len - 1, &got);
		if (seen->step == TLS_DONE)
			seen->len += got;
	}
}

static struct seen
ask_target(struct bench *bench, const struct net_tls *conf, const char *host,
    const char *target)
{
	struct seen seen = { .error = NET_OK };
	int fd = connect_to(bench);
	struct tls *tls =
	    tls_open(bench->tlss, conf, host, target, fd, seen.why, sizeof(seen.why));

	if (tls == NULL) {
		seen.error = NET_LOCAL;
		seen.certificate_end = -1;
		close(fd);
		return seen;
	}
	exchange(tls, fd, &seen);
	seen.error = tls_error(tls);
	str_copy(seen.why, sizeof(seen.why), tls_why(tls));
	seen.certificate_end = tls_certificate_end(tls);
	seen.resumed = tls_resumed(tls);
	CU_ASSERT_EQUAL(seen.step == TLS_FAILED, seen.error != NET_OK);
	tls_close(tls, false);
	close(fd);
	return seen;
}

static struct seen
ask(struct bench *bench, const struct net_tls *conf, const char *host)
{
	return ask_target(bench, conf, host, "target");
}

/* The same through libcurl. */
struct reply {
	struct loop *loop;
	struct http_reply is;
};

static void
on_reply(void *arg, const struct http_reply *is)
{
	struct reply *reply = arg;

	reply->is = *is;
	loop_stop(reply->loop);
}

static struct http_reply
ask_curl(struct bench *bench, const struct net_tls *conf, const char *host)
{
	struct reply reply = { .loop = bench->loop };
	uint16_t port = tls_server_port(bench->server);
	bool ipv6 = strchr(host, ':') != NULL;
	AUTO_FREE char *url =
	    xasprintf(ipv6 ? "https://[%s]:%u/" : "https://%s:%u/", host, port);
	AUTO_FREE char *at = xasprintf("%s:%u:127.0.0.1", host, port);
	struct http_request wanted = { .url = url,
		.resolve = at,
		.tls = conf,
		.timeout_ms = LIMIT_MS,
		.body_limit = 4096,
		.fresh = true,
		.certificate = true };

	http_send(bench->http, &wanted, on_reply, &reply);
	loop_run(bench->loop);
	return reply.is;
}

static void
answer(struct tls_peer *peer)
{
	char in[1024], head[128];
	AUTO_FREE char *body = xasprintf(
	    "name=%s resumed=%d", tls_peer_name(peer), tls_peer_resumed(peer));

	if (tls_peer_read(peer, in, sizeof(in)) <= 0)
		return;
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
	    strlen(body));
	tls_peer_write(peer, head, strlen(head));
	tls_peer_write(peer, body, strlen(body));
	tls_peer_end(peer);
}

static int64_t
now_s(void)
{
	return clock_wall_ms() / 1000;
}

static void
check_answer(const struct seen *seen, const char *name, bool resumed)
{
	AUTO_FREE char *body = xasprintf("name=%s resumed=%d", name, resumed);

	CU_ASSERT_EQUAL(seen->step, TLS_END);
	CU_ASSERT_EQUAL(seen->resumed, resumed);
	CU_ASSERT_PTR_NOT_NULL(strstr(seen->answer, body));
	if (seen->step != TLS_END || strstr(seen->answer, body) == NULL)
		printf("# wanted %s, got step %d, %s, \"%s\"\n", body, seen->step,
		    seen->why, seen->answer);
	int64_t left = seen->certificate_end - now_s();
	CU_ASSERT_TRUE(left > DAY_S - 60 && left <= DAY_S);
}

/* Versions of TLS, sessions by ticket and by id: the second connection resumes, the third
 * and so on too. */
static void
test_exchanges_are_resumed(void)
{
	static const struct tls_server_conf rows[] = {
		{ .least = 12, .most = 12 },
		{ .least = 13, .most = 13 },
		{ .least = 12, .most = 12, .no_tickets = true },
		{ .least = 13, .most = 13, .no_tickets = true },
		{ .most = 0 },
	};
	struct bench bench;

	bench_open(&bench);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct tls_server_conf conf = rows[i];
		struct net_tls tls = files(&bench, "ca.pem", NULL);
		AUTO_FREE char *target = xasprintf("target %zu", i);
		conf.certificate = "good.pem";
		conf.serve = answer;
		serve(&bench, conf);
		for (int n = 0; n < 4; n++) {
			struct seen seen = ask_target(&bench, &tls, HOST, target);
			check_answer(&seen, HOST, n > 0);
		}
	}
	bench_close(&bench);
}

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

/* Each pair of different rules: what one left is nothing to the other. */
static void
test_sessions_are_not_mixed(void)
{
	static const struct {
		const char *ca, *own, *host, *target;
		bool no_verify;
	} rows[] = {
		{ "ca.pem", NULL, HOST, "target", false },
		{ "good.pem", NULL, HOST, "target", false },
		{ "ca.pem", "client.pem", HOST, "target", false },
		{ "ca.pem", NULL, "x.wild.example", "target", false },
		{ "ca.pem", NULL, HOST, "another", false },
		{ "ca.pem", NULL, HOST, "target", true },
	};
	struct tls_server_conf conf = { .certificate = "good.pem", .serve = answer };
	size_t count = ARRAY_LENGTH(rows);
	struct bench bench;

	bench_open(&bench);
	serve(&bench, conf);
	for (size_t n = 0; n < count * count; n++) {
		size_t both[] = { n / count, n % count };
		tlss_free(bench.tlss);
		bench.tlss = tlss_new();
		for (int i = 0; i < 2; i++) {
			size_t at = both[i];
			struct net_tls tls = files(&bench, rows[at].ca, rows[at].own);
			tls.no_verify = rows[at].no_verify;
			struct seen seen =
			    ask_target(&bench, &tls, rows[at].host, rows[at].target);
			check_answer(
			    &seen, rows[at].host, i == 1 && both[0] == both[1]);
		}
	}
	bench_close(&bench);
}

/* What is kept of a target is small: the certificates are not. */
static void
test_kept_memory(void)
{
	struct tls_server_conf conf = { .certificate = "below.pem", .serve = answer };
	enum { COUNT = 64, MOST = 2048 };
	struct bench bench;

	bench_open(&bench);
	serve(&bench, conf);
	struct net_tls tls = files(&bench, "ca.pem", NULL);
	ask_target(&bench, &tls, HOST, "first");
	size_t before = mallinfo2().uordblks;
	for (int i = 0; i < COUNT; i++) {
		AUTO_FREE char *target = xasprintf("target %d", i);
		CU_ASSERT_EQUAL(ask_target(&bench, &tls, HOST, target).step, TLS_END);
		CU_ASSERT_TRUE(ask_target(&bench, &tls, HOST, target).resumed);
	}
	CU_ASSERT_TRUE(mallinfo2().uordblks < before + (size_t)COUNT * MOST);
	bench_close(&bench);
}

/* A certificate of the chain, the server's own or the one above, that ends while its
 * session is kept. */
static void
expire(struct bench *bench, const char *words)
{
	struct net_tls tls = files(bench, "ca.pem", NULL);
	struct seen seen = ask_target(bench, &tls, HOST, words);
	int64_t start_ms = clock_raw_ms();

	CU_ASSERT_TRUE(seen.resumed || seen.error != NET_OK);
	while (seen.error == NET_OK && clock_raw_ms() - start_ms < LIMIT_MS) {
		poll(NULL, 0, 50);
		seen = ask_target(bench, &tls, HOST, words);
	}
	struct http_reply reply = ask_curl(bench, &tls, HOST);
	CU_ASSERT_EQUAL(seen.error, NET_TLS);
	CU_ASSERT_PTR_NOT_NULL(strstr(seen.why, words));
	CU_ASSERT_STRING_EQUAL(reply.why, seen.why);
}

static void
test_expired_sessions(void)
{
	static const struct tls_certificate brief[] = {
		{ .file = "brief.pem",
		    .issuer = "ca.pem",
		    .alternatives = "DNS:web.example",
		    .from_s = -DAY_S,
		    .until_s = 2 },
		{ .file = "brief-ca.pem",
		    .issuer = "ca.pem",
		    .name = "Brief",
		    .authority = true,
		    .from_s = -DAY_S,
		    .until_s = 2 },
		{ .file = "below-brief.pem",
		    .issuer = "brief-ca.pem",
		    .alternatives = "DNS:web.example" },
	};
	static const char *const words[] = { "the certificate has expired",
		"its authority \"Brief\" has expired" };
	struct tls_server *servers[2];
	struct bench bench;

	bench_open(&bench);
	struct net_tls tls = files(&bench, "ca.pem", NULL);
	for (size_t i = 0; i < ARRAY_LENGTH(brief); i++)
		tls_certificate_make(bench.folder, &brief[i]);
	for (size_t i = 0; i < 2; i++) {
		struct tls_server_conf conf = { .certificate = brief[2 * i].file,
			.serve = answer };
		bench.server = NULL;
		serve(&bench, conf);
		servers[i] = bench.server;
		CU_ASSERT_EQUAL(ask_target(&bench, &tls, HOST, words[i]).error, NET_OK);
		CU_ASSERT_TRUE(ask_target(&bench, &tls, HOST, words[i]).resumed);
		CU_ASSERT_EQUAL(ask_curl(&bench, &tls, HOST).error, NET_OK);
	}
	for (size_t i = 0; i < 2; i++) {
		bench.server = servers[i];
		expire(&bench, words[i]);
	}
	tls_server_stop(servers[0]);
	bench_close(&bench);
}

static void
cut_if_resumed(struct tls_peer *peer)
{
	char in[1024];

	if (!tls_peer_resumed(peer))
		answer(peer);
	else
		tls_peer_read(peer, in, sizeof(in));
}

/* What may be at fault is not offered again. */
static void
test_failed_sessions(void)
{
	struct tls_server_conf conf = { .certificate = "good.pem",
		.serve = cut_if_resumed };
	struct bench bench;

	bench_open(&bench);
	serve(&bench, conf);
	struct net_tls tls = files(&bench, "ca.pem", NULL);
	for (int n = 0; n < 6; n++) {
		struct seen seen = ask(&bench, &tls, HOST);
		CU_ASSERT_EQUAL(seen.resumed, n % 2 == 1);
		CU_ASSERT_EQUAL(seen.error, n % 2 == 1 ? NET_CLOSED : NET_OK);
	}
	bench_close(&bench);
}

/* Asks until the error is as wanted: files are looked at once a second. */
static struct seen
ask_until(struct bench *bench, const struct net_tls *tls, enum net_error error)
{
	int64_t start_ms = clock_raw_ms();
	struct seen seen = ask(bench, tls, HOST);

	while (seen.error != error && clock_raw_ms() - start_ms < LIMIT_MS) {
		poll(NULL, 0, 20);
		seen = ask(bench, tls, HOST);
	}
	CU_ASSERT_EQUAL(seen.error, error);
	return seen;
}

/* A file is read again when it changes, and no session outlives what it said. */
static void
test_files_that_change(void)
{
	struct tls_server_conf conf = { .certificate = "good.pem", .serve = answer };
	struct bench bench;

	bench_open(&bench);
	serve(&bench, conf);
	CU_ASSERT_TRUE(copy_file(bench.folder, "ca.pem", "now.pem", "w"));
	struct net_tls tls = files(&bench, "now.pem", NULL);
	CU_ASSERT_EQUAL(ask(&bench, &tls, HOST).error, NET_OK);
	CU_ASSERT_TRUE(ask(&bench, &tls, HOST).resumed);
	copy_file(bench.folder, "other-ca.pem", "now.pem", "w");
	struct seen seen = ask_until(&bench, &tls, NET_TLS);
	CU_ASSERT_PTR_NOT_NULL(strstr(seen.why, "unknown authority"));
	int hole = open(tls.ca_file, O_WRONLY | O_TRUNC | O_CLOEXEC);
	CU_ASSERT_TRUE(hole >= 0 && close(hole) == 0);
	seen = ask_until(&bench, &tls, NET_LOCAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(seen.why, "now.pem: this is no certificate"));
	copy_file(bench.folder, "ca.pem", "now.pem", "w");
	seen = ask_until(&bench, &tls, NET_OK);
	check_answer(&seen, HOST, false);
	seen = ask(&bench, &tls, HOST);
	check_answer(&seen, HOST, true);
	bench_close(&bench);
}

static void
test_files_of_no_use(void)
{
	static const struct {
		const char *ca, *cert, *key, *why;
	} rows[] = {
		{ "key.pem", NULL, NULL, "key.pem: this is no certificate in PEM" },
		{ "empty", NULL, NULL,
		    "empty: there is no certificate in this folder" },
		{ "ca.pem", "key.pem", NULL, "key.pem: this is no certificate in PEM" },
		{ "ca.pem", "none.pem", NULL, "none.pem: No such file or directory" },
		{ "ca.pem", "client.pem", "none.pem",
		    "none.pem: No such file or directory" },
		{ "ca.pem", "client.pem", "list.pem",
		    "list.pem: this is no key in PEM" },
		{ "ca.pem", "client.pem", "good.pem",
		    "good.pem: the key does not belong to the certificate" },
		{ "ca.pem", "weak.pem", NULL, "weak.pem: " },
	};
	struct tls_server_conf conf = { .certificate = "good.pem", .serve = answer };
	struct bench bench;

	bench_open(&bench);
	serve(&bench, conf);
	AUTO_FREE char *key = xasprintf("%s/key.pem", bench.folder);
	FILE *file = fopen(key, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fputs("-----BEGIN NONSENSE-----\n!\n", file);
	fclose(file);
	copy_file(bench.folder, "key.pem", "list.pem", "w");
	AUTO_FREE char *empty = xasprintf("%s/empty", bench.folder);
	CU_ASSERT_EQUAL(mkdir(empty, 0755), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct net_tls tls = files(&bench, rows[i].ca, rows[i].cert);
		tls.key_file = path_of(&bench, 2, rows[i].key);
		struct seen seen = ask(&bench, &tls, HOST);
		struct http_reply reply = ask_curl(&bench, &tls, HOST);
		CU_ASSERT_EQUAL(seen.error, NET_LOCAL);
		CU_ASSERT_EQUAL(reply.error, NET_LOCAL);
		CU_ASSERT_STRING_EQUAL(reply.why, seen.why);
		CU_ASSERT_PTR_NOT_NULL(strstr(seen.why, rows[i].why));
		if (strstr(seen.why, rows[i].why) == NULL)
			printf("# %zu: %s\n", i, seen.why);
	}
	bench_close(&bench);
}

/* All files of a folder, whatever they are called; a new one counts. */
static void
test_folder(void)
{
	struct tls_server_conf conf = { .certificate = "good.pem", .serve = answer };
	struct bench bench;

	bench_open(&bench);
	serve(&bench, conf);
	AUTO_FREE char *folder = xasprintf("%s/folder", bench.folder);
	CU_ASSERT_EQUAL(mkdir(folder, 0755), 0);
	copy_file(bench.folder, "other-ca.pem", "folder/other.pem", "w");
	copy_file(bench.folder, "client.pem", "folder/ca", "w");
	struct net_tls tls = files(&bench, "folder", NULL);
	CU_ASSERT_EQUAL(ask(&bench, &tls, HOST).error, NET_TLS);
	CU_ASSERT_EQUAL(ask_curl(&bench, &tls, HOST).error, NET_TLS);
	copy_file(bench.folder, "ca.pem", "folder/ca", "w");
	struct seen seen = ask_until(&bench, &tls, NET_OK);
	check_answer(&seen, HOST, false);
	/* curl's has looked at the folder a moment later */
	int64_t start_ms = clock_raw_ms();
	while (ask_curl(&bench, &tls, HOST).error != NET_OK &&
	    clock_raw_ms() - start_ms < LIMIT_MS)
		poll(NULL, 0, 20);
	CU_ASSERT_TRUE(clock_raw_ms() - start_ms < LIMIT_MS);
	bench_close(&bench);
}

/* Files cannot be read for want of a descriptor: they did not change, and are of use
 * again once there is one. */
static void
test_no_descriptor(void)
{
	struct rlimit was, none;
	struct bench bench;
	struct tls *tls = NULL;
	char why[300] = "";
	int64_t start_ms = clock_raw_ms();

	bench_open(&bench);
	struct net_tls conf = files(&bench, "ca.pem", NULL);
	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){ 0, was.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	CU_ASSERT_PTR_NULL(
	    tls_open(bench.tlss, &conf, HOST, "target", -1, why, sizeof(why)));
	setrlimit(RLIMIT_NOFILE, &was);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "ca.pem: Too many open files"));
	while (tls == NULL && clock_raw_ms() - start_ms < LIMIT_MS) {
		poll(NULL, 0, 50);
		tls = tls_open(bench.tlss, &conf, HOST, "target", -1, why, sizeof(why));
	}
	CU_ASSERT_PTR_NOT_NULL(tls);
	tls_close(tls, false);
	bench_close(&bench);
}

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
		return tls_write(tls, request, strlen(request), &n);
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
	CU_ASSERT_TRUE(sent_by(&relay) > (ssize_t)strlen(request) + 40);
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

/* Bounded, and each key its own. */
static void
test_kept_sessions(void)
{
	struct tls_session session = { .valid_until = -1 };
	struct tls_sessions *sessions = tls_sessions_new();
	char key[32];

	session.verified_at = clock_boot_ms();
	for (int i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "key %d", i);
		session.certificate_end = i;
		tls_sessions_keep(sessions, key, &session);
		tls_sessions_keep(sessions, key, &session);
		CU_ASSERT_EQUAL(
		    tls_sessions_count(sessions), (size_t)(i < 16384 ? i + 1 : 16384));
	}
	for (int i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "key %d", i);
		const struct tls_session *found = tls_sessions_find(sessions, key);
		CU_ASSERT_EQUAL(found != NULL, i < 16384);
		if (found != NULL)
			CU_ASSERT_EQUAL(found->certificate_end, i);
	}
	for (int i = 0; i < 16384; i += 2) {
		snprintf(key, sizeof(key), "key %d", i);
		tls_sessions_drop(sessions, key);
		CU_ASSERT_PTR_NULL(tls_sessions_find(sessions, key));
	}
	CU_ASSERT_EQUAL(tls_sessions_count(sessions), 8192);
	session.verified_at -= TLS_SESSION_MS;
	tls_sessions_keep(sessions, "old", &session);
	CU_ASSERT_PTR_NULL(tls_sessions_find(sessions, "old"));
	session.verified_at += 1000;
	tls_sessions_keep(sessions, "young", &session);
	CU_ASSERT_PTR_NOT_NULL(tls_sessions_find(sessions, "young"));
	session.valid_until = now_s();
	tls_sessions_keep(sessions, "ended", &session);
	CU_ASSERT_PTR_NULL(tls_sessions_find(sessions, "ended"));
	tls_sessions_free(sessions);
	tls_sessions_free(NULL);
}

static const struct tap_case cases[] = {
	{ "exchanges are resumed", test_exchanges_are_resumed },
	{ "faults have words, whoever asks", test_faults_have_words },
	{ "without verifying", test_without_verifying },
	{ "names", test_names },
	{ "sessions are not mixed", test_sessions_are_not_mixed },
	{ "kept memory", test_kept_memory },
	{ "expired sessions", test_expired_sessions },
	{ "failed sessions", test_failed_sessions },
	{ "files that change", test_files_that_change },
	{ "files of no use", test_files_of_no_use },
	{ "a folder of authorities", test_folder },
	{ "no descriptor", test_no_descriptor },
	{ "ends", test_ends },
	{ "renegotiation is refused", test_renegotiation_is_refused },
	{ "cut or damaged anywhere", test_cut_or_damaged_anywhere },
	{ "byte by byte", test_byte_by_byte },
	{ "a reason behind the end", test_a_reason_behind_the_end },
	{ "last words", test_last_words },
	{ "much data", test_much_data },
	{ "closed at any moment", test_closed_at_any_moment },
	{ "kept sessions", test_kept_sessions },
};

TAP_MAIN_APART("tls", cases)
