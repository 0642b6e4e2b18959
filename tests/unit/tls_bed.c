/* SPDX-License-Identifier: ISC */
/*
 * TLS as client, against a server of OpenSSL's in a process of its own: the certificates of
 * all cases, one exchange with the server by tls.h or through libcurl, and what came of it.
 * A bench is its case's own, so that cases run at once.
 */
#include "tests/unit/tls_bed.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "tests/unit/tap.h"

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

bool
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

void
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

void
bench_close(struct bench *bench)
{
	tls_server_stop(bench->server);
	http_free(bench->http);
	loop_free(bench->loop);
	tlss_free(bench->tlss);
	tls_folder_free(bench->folder);
}

void
serve(struct bench *bench, struct tls_server_conf conf)
{
	tls_server_stop(bench->server);
	conf.folder = bench->folder;
	bench->server = tls_server_start(&conf);
}

const char *
path_of(struct bench *bench, int which, const char *file)
{
	if (file == NULL)
		return NULL;
	snprintf(
	    bench->paths[which], sizeof(bench->paths[0]), "%s/%s", bench->folder, file);
	return bench->paths[which];
}

struct net_tls
files(struct bench *bench, const char *ca, const char *own)
{
	return (struct net_tls){ .ca_file = path_of(bench, 0, ca),
		.cert_file = path_of(bench, 1, own) };
}

int
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

bool
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
	for (size_t sent = 0; seen->step == TLS_DONE && sent < strlen(REQUEST);) {
		seen->step =
		    tls_write(tls, &REQUEST[sent], strlen(REQUEST) - sent, &put);
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

struct seen
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

struct seen
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

struct http_reply
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

void
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

int64_t
now_s(void)
{
	return clock_wall_ms() / 1000;
}

void
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
