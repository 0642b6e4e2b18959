/* SPDX-License-Identifier: ISC */
/*
 * What only libcurl's client does: HTTP/2, with TLS and without, against nghttpd, and
 * proxies, against a small one in a process of its own. The rest of it is test_http's.
 */
#include "agent/base/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "tests/unit/tap.h"
#include "tests/unit/tls_server.h"
#include "tests/unit/until.h"

#define LIMIT_MS 10000

/* ---- the client ---- */

struct client {
	struct loop *loop;
	struct http *http;
	bool told;
	enum net_error error;
	int status;
	char why[160], field[64], trailer[64];
	struct buf body;
	bool has_certificate;
};

static void
client_open(struct client *client)
{
	*client = (struct client){ .body.limit = 1 << 16 };
	client->loop = loop_new();
	client->http = http_new(client->loop);
}

static void
client_close(struct client *client)
{
	http_free(client->http);
	loop_free(client->loop);
	buf_free(&client->body);
}

static void
note(char *out, size_t size, const struct http_reply *reply, const char *name)
{
	const char *value = http_header(reply, name);

	str_copy(out, size, value != NULL ? value : "none");
}

static void
on_done(void *arg, const struct http_reply *reply)
{
	struct client *client = arg;

	client->told = true;
	client->error = reply->error;
	client->status = reply->status;
	client->has_certificate = reply->certificate_end > 0;
	str_copy(client->why, sizeof(client->why), reply->why);
	note(client->field, sizeof(client->field), reply, "Server");
	note(client->trailer, sizeof(client->trailer), reply, "Grpc-Status");
	buf_free(&client->body);
	buf_add(&client->body, reply->body, reply->body_len);
}

static bool
is_told(void *arg)
{
	struct client *client = arg;

	return client->told;
}

static void
ask(struct client *client, const char *url, struct http_request request)
{
	request.url = url;
	request.timeout_ms = LIMIT_MS;
	request.body_limit = 1000;
	request.certificate = true;
	client->told = false;
	http_send(client->http, &request, on_done, client);
	CU_ASSERT(until(client->loop, is_told, client, LIMIT_MS * 2));
}

/* ---- nghttpd ---- */

static uint16_t
free_port(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&address, len), 0);
	CU_ASSERT_EQUAL(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	close(fd);
	return ntohs(address.sin_port);
}

static bool
is_listening(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool listens = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;

	close(fd);
	return listens;
}

/* A server of HTTP/2 that gives back what it is sent, and has a trailer; with TLS if
 * there is a folder for its key. 0: there is none here. */
static pid_t
nghttpd_start(uint16_t port, const char *folder)
{
	AUTO_FREE char *number = xasprintf("%u", port);
	AUTO_FREE char *file = xasprintf("%s/good.pem", folder != NULL ? folder : "");
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("nghttpd", "nghttpd", "-a", "127.0.0.1", "--echo-upload",
		    "--trailer=grpc-status: 12", "--no-content-length", number,
		    folder != NULL ? file : "--no-tls", folder != NULL ? file : NULL,
		    NULL);
		_exit(127);
	}
	for (int i = 0; i < 500; i++) {
		if (is_listening(port))
			return pid;
		if (waitpid(pid, NULL, WNOHANG) == pid)
			break;
		poll(NULL, 0, 10);
	}
	printf("# there is no nghttpd here\n");
	CU_PASS("no nghttpd");
	return 0;
}

static void
nghttpd_stop(pid_t pid)
{
	if (pid == 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static const char sent[] = "\0\0\0\0\5hello";

static void
look_at_http_2(struct client *client, const char *url, struct http_request request)
{
	ask(client, url, request);
	CU_ASSERT_EQUAL(client->error, NET_OK);
	CU_ASSERT_EQUAL(client->status, 404);
	CU_ASSERT_PTR_NOT_NULL(strstr(client->field, "nghttp"));
	request.method = "POST";
	request.body = sent;
	request.body_len = sizeof(sent) - 1;
	ask(client, url, request);
	CU_ASSERT_EQUAL(client->error, NET_OK);
	CU_ASSERT_EQUAL(client->status, 200);
	CU_ASSERT_EQUAL_FATAL(client->body.len, sizeof(sent) - 1);
	CU_ASSERT_EQUAL(memcmp(client->body.data, sent, sizeof(sent) - 1), 0);
	CU_ASSERT_STRING_EQUAL(client->trailer, "12");
}

static void
test_http_2_plain(void)
{
	uint16_t port = free_port();
	pid_t pid = nghttpd_start(port, NULL);
	AUTO_FREE char *url = xasprintf("http://127.0.0.1:%u/", port);
	struct http_request request = { .version = HTTP_2_PLAIN, .fresh = true };
	struct client client;

	if (pid == 0)
		return;
	client_open(&client);
	look_at_http_2(&client, url, request);
	request.fresh = false;
	look_at_http_2(&client, url, request);
	request.version = HTTP_1_1;
	ask(&client, url, request);
	CU_ASSERT(client.error == NET_GARBAGE || client.error == NET_CLOSED);
	client_close(&client);
	nghttpd_stop(pid);
}

static const struct tls_certificate certificates[] = {
	{ .file = "ca.pem", .name = "Our CA", .authority = true },
	{ .file = "good.pem", .issuer = "ca.pem", .alternatives = "IP:127.0.0.1" },
	{ .file = "other.pem", .name = "Another CA", .authority = true },
};

static char *
make_folder(void)
{
	char *folder = tls_folder_new();

	for (size_t i = 0; i < ARRAY_LENGTH(certificates); i++)
		tls_certificate_make(folder, &certificates[i]);
	return folder;
}

static void
test_http_2_over_tls(void)
{
	uint16_t port = free_port();
	char *folder = make_folder();
	pid_t pid = nghttpd_start(port, folder);
	AUTO_FREE char *url = xasprintf("https://127.0.0.1:%u/", port);
	AUTO_FREE char *ca = xasprintf("%s/ca.pem", folder);
	struct net_tls tls = { .ca_file = ca };
	struct http_request request = { .version = HTTP_2, .fresh = true, .tls = &tls };
	struct client client;

	client_open(&client);
	if (pid != 0) {
		look_at_http_2(&client, url, request);
		CU_ASSERT(client.has_certificate);
		request.fresh = false;
		look_at_http_2(&client, url, request);
		request.fresh = true;
		request.tls = NULL;
		ask(&client, url, request);
		CU_ASSERT_EQUAL(client.error, NET_TLS);
	}
	client_close(&client);
	nghttpd_stop(pid);
	tls_folder_free(folder);
}

/* A server that knows nothing newer than HTTP/1.1 and does not look at what it is asked. */
static void
serve_old(struct tls_peer *peer)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold";
	char data[4096];

	if (tls_peer_read(peer, data, sizeof(data)) <= 0)
		return;
	tls_peer_write(peer, answer, strlen(answer));
	tls_peer_end(peer);
}

/* The same, for one request after the other. */
static void
serve_old_long(struct tls_peer *peer)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold";
	char data[4096];

	while (tls_peer_read(peer, data, sizeof(data)) > 0)
		tls_peer_write(peer, answer, strlen(answer));
}

/* Who trusts other authorities, or shows another certificate, does not get the connection
 * that was made for somebody else. */
static void
test_a_kept_connection_is_of_one_trust(void)
{
	char *folder = make_folder();
	struct tls_server_conf conf = {
		.folder = folder, .certificate = "good.pem", .serve = serve_old_long
	};
	struct tls_server *server = tls_server_start(&conf);
	AUTO_FREE char *url =
	    xasprintf("https://127.0.0.1:%u/", tls_server_port(server));
	AUTO_FREE char *ca = xasprintf("%s/ca.pem", folder);
	AUTO_FREE char *other = xasprintf("%s/other.pem", folder);
	struct net_tls ours = { .ca_file = ca }, theirs = { .ca_file = other },
		       nobodys = { .ca_file = NULL };
	struct http_request request = { 0 };
	struct client client;

	client_open(&client);
	for (int i = 0; i < 2; i++) {
		request.tls = &ours;
		ask(&client, url, request);
		CU_ASSERT_EQUAL(client.error, NET_OK);
		request.tls = &nobodys;
		ask(&client, url, request);
		CU_ASSERT_EQUAL(client.error, NET_TLS);
		request.tls = &ours;
		ask(&client, url, request);
		CU_ASSERT_EQUAL(client.error, NET_OK);
		request.tls = &theirs;
		ask(&client, url, request);
		CU_ASSERT_EQUAL(client.error, NET_TLS);
	}
	client_close(&client);
	tls_server_stop(server);
	tls_folder_free(folder);
}

static void
raw_old(int fd)
{
	static const char answer[] = "HTTP/1.1 400 Bad\r\nContent-Length: 3\r\n\r\nold";
	char data[4096];

	if (recv(fd, data, sizeof(data), 0) > 0)
		send(fd, answer, strlen(answer), MSG_NOSIGNAL);
}

static void
test_no_older_version(void)
{
	char *folder = make_folder();
	struct tls_server_conf conf = {
		.folder = folder, .certificate = "good.pem", .serve = serve_old
	};
	struct tls_server_conf plain = { .raw = raw_old };
	struct tls_server *servers[] = { tls_server_start(&conf),
		tls_server_start(&plain) };
	struct net_tls tls = { .no_verify = true };
	struct http_request request = { .version = HTTP_2, .tls = &tls, .fresh = true };
	AUTO_FREE char *url =
	    xasprintf("https://127.0.0.1:%u/", tls_server_port(servers[0]));
	AUTO_FREE char *plain_url =
	    xasprintf("http://127.0.0.1:%u/", tls_server_port(servers[1]));
	struct client client;

	client_open(&client);
	ask(&client, url, request);
	CU_ASSERT_EQUAL(client.error, NET_GARBAGE);
	CU_ASSERT_STRING_EQUAL(client.why, "the server speaks HTTP/1.1, not HTTP/2");
	request.version = HTTP_1_1;
	ask(&client, url, request);
	CU_ASSERT_EQUAL(client.error, NET_OK);
	CU_ASSERT_STRING_EQUAL(client.body.data, "old");
	request.version = HTTP_2_PLAIN;
	ask(&client, plain_url, request);
	CU_ASSERT_EQUAL(client.error, NET_CLOSED);
	CU_ASSERT_STRING_EQUAL(
	    client.why, "the connection ended without an answer of HTTP/2");
	client_close(&client);
	tls_server_stop(servers[0]);
	tls_server_stop(servers[1]);
	tls_folder_free(folder);
}

/* ---- a proxy ---- */

static void
pass_on(int from, int to)
{
	struct pollfd fds[] = { { from, POLLIN, 0 }, { to, POLLIN, 0 } };
	char data[4096];

	while (poll(fds, 2, -1) > 0)
		for (int i = 0; i < 2; i++) {
			if (fds[i].revents == 0)
				continue;
			ssize_t n = recv(fds[i].fd, data, sizeof(data), 0);
			if (n <= 0 ||
			    send(fds[1 - i].fd, data, (size_t)n, MSG_NOSIGNAL) != n)
				return;
		}
}

/* "CONNECT 127.0.0.1:PORT", whatever the host is called. */
static void
tunnel(int fd, const char *asked)
{
	static const char answer[] = "HTTP/1.1 200 Here\r\nServer: the proxy\r\n\r\n";
	uint16_t port = (uint16_t)strtoul(strchr(asked, ':') + 1, NULL, 10);
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(to, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    send(fd, answer, strlen(answer), MSG_NOSIGNAL) > 0)
		pass_on(fd, to);
	close(to);
}

static void
raw_proxy(int fd)
{
	static const char refusal[] =
	    "HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
	char data[4096];
	ssize_t n = recv(fd, data, sizeof(data) - 1, 0);

	if (n <= 0)
		return;
	data[n] = '\0';
	if (strncmp(data, "CONNECT no.", 11) == 0) {
		send(fd, refusal, strlen(refusal), MSG_NOSIGNAL);
	} else if (strncmp(data, "CONNECT ", 8) == 0) {
		tunnel(fd, data);
	} else {
		AUTO_FREE char *answer = xasprintf(
		    "HTTP/1.1 200 OK\r\nContent-Length: %zd\r\n\r\n%s", n, data);
		send(fd, answer, strlen(answer), MSG_NOSIGNAL);
	}
}

static void
test_proxy(void)
{
	struct tls_server_conf conf = { .raw = raw_proxy };
	struct tls_server *server = tls_server_start(&conf);
	uint16_t port = tls_server_port(server);
	AUTO_FREE char *proxy = xasprintf("http://127.0.0.1:%u", port);
	AUTO_FREE char *named = xasprintf("http://localhost:%u/", port);
	struct http_request request = { .proxy = proxy, .fresh = true };
	struct client client;

	client_open(&client);
	ask(&client, "http://web.invalid./page", request);
	CU_ASSERT_EQUAL(client.error, NET_OK);
	CU_ASSERT_PTR_NOT_NULL(
	    strstr(client.body.data, "GET http://web.invalid./page HTTP/1.1\r\n"));
	request.proxy = named;
	ask(&client, "http://web.invalid./page", request);
	CU_ASSERT_EQUAL(client.error, NET_OK);
	ask(&client, "https://no.example/", request);
	CU_ASSERT_EQUAL(client.error, NET_REFUSED);
	CU_ASSERT_STRING_EQUAL(client.why, "the proxy does not connect: status 403");
	request.proxy = "http://127.0.0.1:1/";
	ask(&client, "http://web.invalid./", request);
	CU_ASSERT_EQUAL(client.error, NET_REFUSED);
	request.proxy = "http://no.such.name.invalid./";
	ask(&client, "http://127.0.0.1/", request);
	CU_ASSERT_EQUAL(client.error, NET_RESOLVE);
	request.proxy = "https://127.0.0.1:1/";
	ask(&client, "http://127.0.0.1/", request);
	CU_ASSERT_EQUAL(client.error, NET_LOCAL);
	client_close(&client);
	tls_server_stop(server);
}

/* The certificate is the server's, and so are the headers. */
static void
test_tls_through_a_proxy(void)
{
	char *folder = make_folder();
	struct tls_server_conf old = {
		.folder = folder, .certificate = "good.pem", .serve = serve_old
	};
	struct tls_server_conf conf = { .raw = raw_proxy };
	struct tls_server *servers[] = { tls_server_start(&old),
		tls_server_start(&conf) };
	AUTO_FREE char *proxy =
	    xasprintf("http://127.0.0.1:%u", tls_server_port(servers[1]));
	AUTO_FREE char *url =
	    xasprintf("https://web.invalid:%u/", tls_server_port(servers[0]));
	AUTO_FREE char *ca = xasprintf("%s/ca.pem", folder);
	struct net_tls tls = { .ca_file = ca, .server_name = "127.0.0.1" };
	struct http_request request = { .proxy = proxy, .fresh = true, .tls = &tls };
	struct client client;

	client_open(&client);
	ask(&client, url, request);
	CU_ASSERT_EQUAL(client.error, NET_OK);
	CU_ASSERT_STRING_EQUAL(client.body.data, "old");
	CU_ASSERT_STRING_EQUAL(client.field, "none");
	tls.server_name = NULL;
	ask(&client, url, request);
	CU_ASSERT_EQUAL(client.error, NET_TLS);
	client_close(&client);
	tls_server_stop(servers[0]);
	tls_server_stop(servers[1]);
	tls_folder_free(folder);
}

static const struct tap_case cases[] = {
	{ "HTTP/2, plain", test_http_2_plain },
	{ "HTTP/2 over TLS", test_http_2_over_tls },
	{ "no older version", test_no_older_version },
	{ "a kept connection is of one trust", test_a_kept_connection_is_of_one_trust },
	{ "a proxy", test_proxy },
	{ "TLS through a proxy", test_tls_through_a_proxy },
};

TAP_MAIN("transfer", cases)
