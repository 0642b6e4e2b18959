/* SPDX-License-Identifier: ISC */
/*
 * The HTTP client against a small server of its own: a child with a thread for each
 * connection, whose behaviour the path names. Every way in which a call can end has a row.
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
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "tests/unit/entries.h"
#include "tests/unit/pace.h"
#include "tests/unit/tap.h"

struct server {
	pid_t pid;
	uint16_t port, port6; /* 127.0.0.1; ::1 or 0 */
	char dir[32], path[64];
};

static void
say(int fd, const char *text)
{
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		pthread_exit(NULL);
}

static void
answer(int fd, const char *status, const char *more, const char *body)
{
	AUTO_FREE char *text =
	    xasprintf("HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n%s", status,
		strlen(body), more, body);

	say(fd, text);
}

/* Reads a request whole: head and body; false: no more. */
static bool
read_request(int fd, struct buf *in)
{
	size_t want = 0;
	char part[4096];

	buf_free(in);
	for (;;) {
		const char *end =
		    in->data == NULL ? NULL : strstr(in->data, "\r\n\r\n");
		if (end != NULL && want == 0) {
			const char *length =
			    strcasestr(in->data, "\r\ncontent-length:");
			want = (size_t)(end - in->data) + 4 +
			    (length == NULL || length > end
				    ? 0
				    : strtoul(length + 17, NULL, 10));
		}
		if (want > 0 && in->len >= want)
			return true;
		ssize_t n = recv(fd, part, sizeof(part), 0);
		if (n <= 0)
			return false;
		if (in->len == 0 && part[0] == 0x16) /* a TLS handshake */
			return say(fd, "no TLS is spoken here\r\n"), false;
		buf_add(in, part, (size_t)n);
	}
}

static void
say_for_ever(int fd, const char *text, int pause_ms)
{
	for (;;) {
		say(fd, text);
		if (pause_ms > 0)
			poll(NULL, 0, pause_ms);
	}
}

static bool
path_is(const char *request, const char *path)
{
	const char *at = strchr(request, ' ');

	return at != NULL && strncmp(at + 1, path, strlen(path)) == 0;
}

static void
redirects(int fd, const char *in)
{
	int hop = in[strcspn(in, " ") + 6] - '0';
	AUTO_FREE char *where = xasprintf("Location: /hop/%d\r\n", hop - 1);

	if (hop == 0)
		answer(fd, "200 OK", "", in);
	else
		answer(fd, "302 Found", where, "a page about where it went");
}

static void
moved(int fd, const char *in)
{
	int status = (int)strtol(strstr(in, "/moved/") + 7, NULL, 10);
	AUTO_FREE char *line = xasprintf("%d Moved", status);

	answer(fd, line, "Location: /echo\r\n", "");
}

/* False: the connection is to be closed. */
static bool
act(int fd, const char *in, int number)
{
	AUTO_FREE char *count = xasprintf("number %d", number);

	if (path_is(in, "/echo"))
		answer(fd, "200 OK", "", in);
	else if (path_is(in, "/count"))
		answer(fd, "200 OK", "X-Number:  seven \r\nx-other: 1\r\n", count);
	else if (path_is(in, "/missing"))
		answer(fd, "404 Not Found", "", "no such thing");
	else if (path_is(in, "/early"))
		answer(fd, "100 Continue\r\n\r\nHTTP/1.1 200 OK", "", "late");
	else if (path_is(in, "/hop/"))
		redirects(fd, in);
	else if (path_is(in, "/moved/"))
		moved(fd, in);
	else if (path_is(in, "/ftp"))
		answer(fd, "302 Found", "Location: ftp://127.0.0.1/\r\n", "");
	else if (path_is(in, "/away"))
		answer(fd, "307 Away", strstr(in, "X-Away: ") + 8, "");
	else if (path_is(in, "/endless"))
		say(fd, "HTTP/1.1 200 OK\r\n\r\n"), say_for_ever(fd, "0123456789", 0);
	else if (path_is(in, "/drip"))
		say(fd, "HTTP/1.1 200 OK\r\n\r\n"), say_for_ever(fd, ".", 5);
	else if (path_is(in, "/flood"))
		say(fd, "HTTP/1.1 200 OK\r\n"), say_for_ever(fd, "X-Flood: 1\r\n", 0);
	else if (path_is(in, "/longline"))
		say(fd, "HTTP/1.1 200 OK\r\nX-Long: "),
		    say_for_ever(fd, "0123456789", 0);
	else if (path_is(in, "/silent"))
		poll(NULL, 0, 30000);
	else if (path_is(in, "/cut"))
		return say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
		       false;
	else if (path_is(in, "/garbage"))
		return say(fd, "220 mail.example ESMTP\r\n"), false;
	else
		return false;
	return true;
}

static void *
serve(void *arg)
{
	int fd = (int)(intptr_t)arg, number = 0;
	struct buf in = { .limit = 1 << 20 };

	while (read_request(fd, &in) && act(fd, in.data, ++number))
		continue;
	buf_free(&in);
	close(fd);
	return NULL;
}

static void
serve_all(const int *listeners, size_t count)
{
	struct pollfd fds[3];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t i = 0; i < count; i++)
		fds[i] = (struct pollfd){ .fd = listeners[i], .events = POLLIN };
	for (;;) {
		poll(fds, count, -1);
		for (size_t i = 0; i < count; i++) {
			pthread_t thread;
			if ((fds[i].revents & POLLIN) == 0)
				continue;
			intptr_t fd = accept(fds[i].fd, NULL, NULL);
			if (pthread_create(&thread, NULL, serve, (void *)fd) == 0)
				pthread_detach(thread);
		}
	}
}

static int
listen_on(const struct sockaddr *address, socklen_t len)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && bind(fd, address, len) == 0 && listen(fd, 64) == 0)
		return fd;
	close(fd);
	return -1;
}

static uint16_t
port_of(int fd)
{
	struct sockaddr_in6 address = { 0 };
	socklen_t len = sizeof(address);

	getsockname(fd, (struct sockaddr *)&address, &len);
	return ntohs(address.sin6_port); /* where sin_port is */
}

static void
server_start(struct server *server)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fds[3];

	*server = (struct server){ .dir = "/tmp/test_http.XXXXXX" };
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(server->dir));
	snprintf(server->path, sizeof(server->path), "%s/sock", server->dir);
	str_copy(un.sun_path, sizeof(un.sun_path), server->path);
	fds[0] = listen_on((struct sockaddr *)&in, sizeof(in));
	fds[1] = listen_on((struct sockaddr *)&un, sizeof(un));
	fds[2] = listen_on((struct sockaddr *)&in6, sizeof(in6));
	CU_ASSERT_FATAL(fds[0] >= 0 && fds[1] >= 0);
	server->port = port_of(fds[0]);
	server->port6 = fds[2] >= 0 ? port_of(fds[2]) : 0;
	server->pid = fork();
	CU_ASSERT_FATAL(server->pid >= 0);
	if (server->pid == 0)
		serve_all(fds, fds[2] >= 0 ? 3 : 2);
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void
server_stop(struct server *server)
{
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	unlink(server->path);
	rmdir(server->dir);
}

/* A client and what it was told last. */
struct client {
	struct server server;
	struct loop *loop;
	struct http *http;
	struct http_call *call;
	bool sending;
	int told, expected;
	struct http_reply reply;
	char *body, *number;
};

static void
forget(struct client *client)
{
	free(client->body);
	free(client->number);
	client->body = client->number = NULL;
}

static void
on_done(void *arg, const struct http_reply *reply)
{
	struct client *client = arg;
	const char *number = http_header(reply, "x-NUMBER");

	CU_ASSERT_FALSE(client->sending);
	forget(client);
	client->reply = *reply;
	client->body = xstrndup(reply->body, reply->body_len);
	client->number = number == NULL ? NULL : xstrdup(number);
	CU_ASSERT_EQUAL(reply->body[reply->body_len], '\0');
	CU_ASSERT_PTR_NULL(http_header(reply, "x-numbe"));
	if (++client->told == client->expected)
		loop_stop(client->loop);
}

static void
client_open(struct client *client)
{
	*client = (struct client){ .expected = 1 };
	server_start(&client->server);
	client->loop = loop_new();
	client->http = http_new(client->loop);
}

static void
client_close(struct client *client)
{
	forget(client);
	http_free(client->http);
	loop_free(client->loop);
	server_stop(&client->server);
}

static void
start(struct client *client, const char *path, struct http_request request)
{
	AUTO_FREE char *url = path[0] == '/'
	    ? xasprintf("http://127.0.0.1:%u%s", client->server.port, path)
	    : xstrdup(path);

	request.url = url;
	if (request.timeout_ms == 0)
		request.timeout_ms = 10000;
	if (request.body_limit == 0)
		request.body_limit = 4096;
	client->sending = true;
	client->call = http_send(client->http, &request, on_done, client);
	client->sending = false;
}

static const struct http_reply *
ask(struct client *client, const char *path, struct http_request request)
{
	client->told = 0;
	start(client, path, request);
	loop_run(client->loop);
	CU_ASSERT_EQUAL(client->told, 1);
	return &client->reply;
}

static const struct http_request plain;

static void
test_an_answer(void)
{
	struct client client;

	client_open(&client);
	int64_t before = clock_boot_ms();
	const struct http_reply *reply = ask(&client, "/count", plain);
	CU_ASSERT_EQUAL(reply->error, NET_OK);
	CU_ASSERT_EQUAL(reply->status, 200);
	CU_ASSERT_STRING_EQUAL(client.body, "number 1");
	CU_ASSERT_FALSE(reply->body_cut);
	CU_ASSERT_TRUE(reply->sent_at >= before && reply->sent_at <= clock_boot_ms());
	CU_ASSERT_TRUE(client.number != NULL && strcmp(client.number, "seven") == 0);
	reply = ask(&client, "/missing", plain);
	CU_ASSERT_EQUAL(reply->error, NET_OK);
	CU_ASSERT_EQUAL(reply->status, 404);
	CU_ASSERT_STRING_EQUAL(client.body, "no such thing");
	reply = ask(&client, "/early", plain);
	CU_ASSERT_EQUAL(reply->status, 200);
	CU_ASSERT_STRING_EQUAL(client.body, "late");
	client_close(&client);
}

static void
test_connections_are_kept_or_fresh(void)
{
	struct client client;
	struct http_request fresh = { .fresh = true };

	client_open(&client);
	ask(&client, "/count", fresh);
	CU_ASSERT_STRING_EQUAL(client.body, "number 1");
	for (int i = 1; i <= 3; i++) {
		AUTO_FREE char *number = xasprintf("number %d", i);
		ask(&client, "/count", plain);
		CU_ASSERT_STRING_EQUAL(client.body, number);
	}
	ask(&client, "/count", fresh);
	CU_ASSERT_STRING_EQUAL(client.body, "number 1");
	ask(&client, "/count", plain);
	CU_ASSERT_STRING_EQUAL(client.body, "number 4");
	client_close(&client);
}

/* Watches wait on theirs: a connection beside them is as much kept as if it were the only one. */
static void
test_connections_beside_others(void)
{
	struct client client;
	struct http_call *waiting[4];

	client_open(&client);
	http_be_narrow(client.http, ARRAY_LENGTH(waiting) + 1);
	for (size_t i = 0; i < ARRAY_LENGTH(waiting); i++) {
		start(&client, "/silent", plain);
		waiting[i] = client.call;
	}
	for (int i = 1; i <= 3; i++) {
		AUTO_FREE char *number = xasprintf("number %d", i);
		ask(&client, "/count", plain);
		CU_ASSERT_STRING_EQUAL(client.body, number);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(waiting); i++)
		http_cancel(waiting[i]);
	client_close(&client);
}

/* What the server sees of each method, with and without a body. */
static void
test_requests_as_the_server_sees_them(void)
{
	static const char *const headers[] = { "X-Consul-Token: t", "Content-Type: a/b",
		NULL };
	static const struct {
		const char *method, *body, *line, *length;
	} rows[] = {
		{ NULL, NULL, "GET /echo HTTP/1.1\r\n", NULL },
		{ "PUT", NULL, "PUT /echo HTTP/1.1\r\n", "Content-Length: 0\r\n" },
		{ "PUT", "", "PUT /echo HTTP/1.1\r\n", "Content-Length: 0\r\n" },
		{ "PUT", "{}", "PUT /echo HTTP/1.1\r\n", "Content-Length: 2\r\n" },
		{ "POST", "12345", "POST /echo HTTP/1.1\r\n", "Content-Length: 5\r\n" },
		{ "GET", "q", "GET /echo HTTP/1.1\r\n", "Content-Length: 1\r\n" },
		{ "DELETE", NULL, "DELETE /echo HTTP/1.1\r\n",
		    "Content-Length: 0\r\n" },
	};
	struct client client;

	client_open(&client);
	for (size_t n = 0; n < 2 * ARRAY_LENGTH(rows); n++) {
		size_t i = n / 2;
		bool typed = n % 2 == 1;
		struct http_request request = { .method = rows[i].method,
			.body = rows[i].body,
			.body_len = rows[i].body == NULL ? 0 : strlen(rows[i].body),
			.headers = typed ? headers : NULL };
		CU_ASSERT_EQUAL(ask(&client, "/echo", request)->status, 200);
		CU_ASSERT_PTR_EQUAL(strstr(client.body, rows[i].line), client.body);
		const char *length = strstr(client.body, "Content-Length");
		CU_ASSERT_EQUAL(length == NULL, rows[i].length == NULL);
		if (length != NULL && rows[i].length != NULL)
			CU_ASSERT_NSTRING_EQUAL(
			    length, rows[i].length, strlen(rows[i].length));
		CU_ASSERT_PTR_NULL(strstr(client.body, "Expect"));
		CU_ASSERT_PTR_NULL(strstr(client.body, "urlencoded"));
		CU_ASSERT_EQUAL(
		    strstr(client.body, "X-Consul-Token: t\r\n") != NULL, typed);
		CU_ASSERT_EQUAL(
		    strstr(client.body, "Content-Type: a/b\r\n") != NULL, typed);
		const char *body = strstr(client.body, "\r\n\r\n") + 4;
		CU_ASSERT_STRING_EQUAL(body, rows[i].body == NULL ? "" : rows[i].body);
	}
	struct http_request head = { .method = "HEAD" };
	CU_ASSERT_EQUAL(ask(&client, "/hop/0", plain)->status, 200);
	CU_ASSERT_EQUAL(ask(&client, "/close", head)->error, NET_CLOSED);
	client_close(&client);
}

static void
test_every_ending_has_its_name(void)
{
	static const struct {
		const char *path;
		enum net_error error;
		const char *why;
	} rows[] = {
		{ "/close", NET_CLOSED, "the connection ended without an answer" },
		{ "/cut", NET_CLOSED,
		    "the connection ended in the middle of the answer" },
		{ "/garbage", NET_GARBAGE, "this is not HTTP" },
		{ "/flood", NET_GARBAGE, "this is not HTTP" },
		{ "/longline", NET_GARBAGE, "this is not HTTP" },
		{ "http://127.0.0.1:1/", NET_REFUSED,
		    "no connection: Connection refused" },
		{ "ftp://127.0.0.1/", NET_LOCAL, "this is not an http or https URL" },
		{ "file:///etc/passwd", NET_LOCAL, "this is not an http or https URL" },
		{ "http://127.0.0.1:70000/", NET_LOCAL,
		    "this is not an http or https URL" },
		{ "http://", NET_LOCAL, "this is not an http or https URL" },
		{ "nonsense", NET_LOCAL, NULL },
	};
	struct client client;

	client_open(&client);
	setenv("http_proxy", "http://127.0.0.1:2/", 1);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		const struct http_reply *reply = ask(&client, rows[i].path, plain);
		CU_ASSERT_EQUAL(reply->error, rows[i].error);
		if (reply->error != rows[i].error)
			printf("# %s: %s\n", rows[i].path, reply->why);
		CU_ASSERT_EQUAL(reply->status, 0);
		if (rows[i].why != NULL)
			CU_ASSERT_STRING_EQUAL(reply->why, rows[i].why);
	}
	AUTO_FREE char *tls = xasprintf("https://127.0.0.1:%u/", client.server.port);
	CU_ASSERT_EQUAL(ask(&client, tls, plain)->error, NET_TLS);
	CU_ASSERT_EQUAL(ask(&client, "/count", plain)->error, NET_OK);
	unsetenv("http_proxy");
	client_close(&client);
}

static void
test_deadlines(void)
{
	static const struct {
		const char *path, *why;
	} rows[] = {
		{ "/silent", "150ms have passed without an answer" },
		{ "/drip", "150ms have passed in the middle of the answer" },
	};
	struct http_request request = { .timeout_ms = 150 };
	struct pace *pace = pace_new(10, NULL, NULL);
	struct client client;

	client_open(&client);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		int64_t start_ms = clock_raw_ms();
		const struct http_reply *reply = ask(&client, rows[i].path, request);
		CU_ASSERT_EQUAL(reply->error, NET_TIMEOUT);
		CU_ASSERT_STRING_EQUAL(reply->why, rows[i].why);
		int64_t took = clock_raw_ms() - start_ms;
		CU_ASSERT_TRUE(took >= 145 && pace_allows(pace, took, 1000));
	}
	client_close(&client);
	pace_free(pace);
}

/* The limit against bodies around it; without end, the cut ends the transfer. */
static void
test_body_limits(void)
{
	struct client client;

	client_open(&client);
	for (size_t limit = 7; limit <= 9; limit++) {
		struct http_request request = { .body_limit = limit, .fresh = true };
		const struct http_reply *reply = ask(&client, "/count", request);
		CU_ASSERT_EQUAL(reply->error, NET_OK);
		CU_ASSERT_EQUAL(reply->status, 200);
		CU_ASSERT_EQUAL(reply->body_cut, limit == 7);
		CU_ASSERT_EQUAL(reply->body_len, limit == 7 ? 7 : 8);
		CU_ASSERT_NSTRING_EQUAL(client.body, "number 1", reply->body_len);
	}
	struct http_request request = { .body_limit = 100000 };
	const struct http_reply *reply = ask(&client, "/endless", request);
	CU_ASSERT_EQUAL(reply->error, NET_OK);
	CU_ASSERT_TRUE(reply->body_cut);
	CU_ASSERT_EQUAL(reply->body_len, 100000);
	client_close(&client);
}

static void
test_redirects(void)
{
	struct http_request follow = { .follow = true, .body_limit = 64 };
	struct client client;

	client_open(&client);
	CU_ASSERT_EQUAL(ask(&client, "/hop/1", plain)->status, 302);
	CU_ASSERT_EQUAL(ask(&client, "/hop/5", follow)->status, 200);
	CU_ASSERT_NSTRING_EQUAL(client.body, "GET /hop/0 ", 11);
	CU_ASSERT_EQUAL(ask(&client, "/hop/6", follow)->status, 302);
	const struct http_reply *reply = ask(&client, "/ftp", follow);
	CU_ASSERT_EQUAL(reply->error, NET_OK);
	CU_ASSERT_EQUAL(reply->status, 302);
	client_close(&client);
}

static void
test_redirects_change_the_method(void)
{
	static const struct {
		const char *method, *path, *start;
	} rows[] = {
		{ "POST", "/moved/301", "GET /echo" },
		{ "POST", "/moved/302", "GET /echo" },
		{ "POST", "/moved/303", "GET /echo" },
		{ "POST", "/moved/307", "POST /echo" },
		{ "POST", "/moved/308", "POST /echo" },
		{ "PUT", "/moved/302", "PUT /echo" },
		{ "PUT", "/moved/303", "GET /echo" },
		{ "GET", "/moved/302", "GET /echo" },
	};
	struct client client;

	client_open(&client);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct http_request request = { .method = rows[i].method,
			.body = "abc",
			.body_len = 3,
			.follow = true };
		CU_ASSERT_EQUAL(ask(&client, rows[i].path, request)->status, 200);
		CU_ASSERT_PTR_EQUAL(strstr(client.body, rows[i].start), client.body);
	}
	client_close(&client);
}

/* A token goes to the first host and port only. */
static void
test_redirects_keep_secrets(void)
{
	struct client client;
	char away[128];
	const char *headers[] = { "X-Consul-Token: secret", away, NULL };
	struct http_request request = { .headers = headers, .follow = true };
	static const char *const hosts[] = { "127.0.0.1", "localhost" };

	client_open(&client);
	for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++) {
		snprintf(away, sizeof(away), "X-Away: Location: http://%s:%u/echo",
		    hosts[i], client.server.port);
		CU_ASSERT_EQUAL(ask(&client, "/away", request)->status, 200);
		CU_ASSERT_EQUAL(strstr(client.body, "secret") != NULL, i == 0);
	}
	client_close(&client);
}

static void
test_where_to_connect(void)
{
	struct client client;
	char url[128], fixed[128];
	struct http_request at = { .resolve = fixed, .fresh = true };

	client_open(&client);
	struct http_request unix_socket = { .unix_socket = client.server.path };
	ask(&client, "http://anything.invalid/echo", unix_socket);
	CU_ASSERT_EQUAL(client.reply.status, 200);
	CU_ASSERT_PTR_NOT_NULL(strstr(client.body, "Host: anything.invalid\r\n"));
	unix_socket.unix_socket = "/nowhere/sock";
	CU_ASSERT_EQUAL(ask(&client, "http://x/", unix_socket)->error, NET_REFUSED);
	snprintf(url, sizeof(url), "http://LocalHost:%u/echo", client.server.port);
	CU_ASSERT_EQUAL(ask(&client, url, plain)->status, 200);
	snprintf(url, sizeof(url), "http://some.invalid:%u/echo", client.server.port);
	snprintf(fixed, sizeof(fixed), "some.invalid:%u:127.0.0.1", client.server.port);
	CU_ASSERT_EQUAL(ask(&client, url, at)->status, 200);
	CU_ASSERT_PTR_NOT_NULL(strstr(client.body, "Host: some.invalid"));
	snprintf(fixed, sizeof(fixed), "some.invalid:%u:127.0.0.2", client.server.port);
	CU_ASSERT_EQUAL(ask(&client, url, at)->error, NET_REFUSED);
	/* the first that takes the connection */
	snprintf(fixed, sizeof(fixed), "some.invalid:%u:127.0.0.2,[::2],127.0.0.1",
	    client.server.port);
	CU_ASSERT_EQUAL(ask(&client, url, at)->status, 200);
	snprintf(url, sizeof(url), "http://Some.Invalid.:%u/echo", client.server.port);
	snprintf(
	    fixed, sizeof(fixed), "some.invalid.:%u:127.0.0.1", client.server.port);
	CU_ASSERT_EQUAL(ask(&client, url, at)->status, 200);
	if (client.server.port6 != 0) {
		snprintf(url, sizeof(url), "http://[::1]:%u/echo", client.server.port6);
		CU_ASSERT_EQUAL(ask(&client, url, plain)->status, 200);
		snprintf(
		    url, sizeof(url), "http://localhost:%u/echo", client.server.port6);
		CU_ASSERT_EQUAL(ask(&client, url, plain)->status, 200);
		snprintf(url, sizeof(url), "http://six.invalid:%u/echo",
		    client.server.port6);
		snprintf(
		    fixed, sizeof(fixed), "six.invalid:%u:::1", client.server.port6);
		CU_ASSERT_EQUAL(ask(&client, url, at)->status, 200);
	}
	client_close(&client);
}

static void
test_many_at_once(void)
{
	struct client client;

	client_open(&client);
	client.expected = 300;
	for (int i = 0; i < 200; i++)
		start(&client, i % 2 == 0 ? "/count" : "/close", plain);
	for (int i = 0; i < 100; i++)
		start(&client, "http://127.0.0.1:1/", plain);
	loop_run(client.loop);
	CU_ASSERT_EQUAL(client.told, 300);
	client_close(&client);
}

/* More endings at once than are told before the deadline of each: still one ending. */
static void
test_an_ending_is_final(void)
{
	struct http_request request = { .timeout_ms = 1 };
	struct client client;

	client_open(&client);
	client.expected = 5000;
	for (int i = 0; i < client.expected; i++)
		start(&client, "bad:", request);
	loop_run(client.loop);
	CU_ASSERT_EQUAL(client.told, client.expected);
	CU_ASSERT_EQUAL(client.reply.error, NET_LOCAL);
	client_close(&client);
}

struct killer {
	struct client client;
	struct http_call *self, *others[4];
	int told;
	bool all;
};

static void
on_other(void *arg, const struct http_reply *reply)
{
	struct killer *killer = arg;

	killer->told += 100;
}

static void
on_time(void *arg)
{
	loop_stop(arg);
}

/* Cancels itself (which is nothing), the others, or frees the whole client. */
static void
on_kill(void *arg, const struct http_reply *reply)
{
	struct killer *killer = arg;

	killer->told++;
	http_cancel(killer->self);
	if (killer->all) {
		http_free(killer->client.http);
		killer->client.http = NULL;
	} else {
		for (size_t i = 0; i < ARRAY_LENGTH(killer->others); i++)
			http_cancel(killer->others[i]);
	}
}

static void
test_ended_in_a_callback(void)
{
	static const char *const paths[] = { "/count", "/silent", "/drip", "/close" };

	for (int all = 0; all <= 1; all++) {
		struct killer killer = { .all = all == 1 };
		struct client *client = &killer.client;
		client_open(client);
		struct loop_timer *timer =
		    loop_timer_new(client->loop, on_time, client->loop);
		struct http_request bad = { .url = "bad:", .timeout_ms = 1000 };
		killer.self = http_send(client->http, &bad, on_kill, &killer);
		for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
			AUTO_FREE char *url = xasprintf(
			    "http://127.0.0.1:%u%s", client->server.port, paths[i]);
			struct http_request request = {
				.url = url, .timeout_ms = 50, .body_limit = 100
			};
			killer.others[i] =
			    http_send(client->http, &request, on_other, &killer);
		}
		loop_timer_after(timer, 100);
		loop_run(client->loop);
		CU_ASSERT_EQUAL(killer.told, 1);
		loop_timer_free(timer);
		client_close(client);
	}
}

/* Freed at any moment of a call: after each of its first turns. No descriptor stays. */
static void
test_freed_at_any_moment(void)
{
	static const char *const paths[] = { "/count", "/silent", "/endless",
		"/hop/5" };
	struct client client;

	client_open(&client);
	http_free(client.http);
	client.http = NULL;
	int before = count_entries("/proc/self/fd");
	for (int turns = 0; turns < 24; turns++) {
		struct loop_timer *timer =
		    loop_timer_new(client.loop, on_time, client.loop);
		struct http_request request = { .follow = true };
		client.http = http_new(client.loop);
		client.expected = 0;
		start(&client, paths[turns % 4], request);
		for (int i = 0; i < turns / 4; i++) {
			loop_timer_after(timer, i % 2 * 10);
			loop_run(client.loop);
		}
		http_free(client.http);
		loop_timer_free(timer);
		CU_ASSERT_EQUAL(count_entries("/proc/self/fd"), before);
	}
	client.http = NULL;
	http_free(NULL);
	http_cancel(NULL);
	client_close(&client);
}

static void
test_names_are_asked_for_aside(void)
{
	struct http_request request = { .timeout_ms = 4000 };
	struct client client;

	client_open(&client);
	const struct http_reply *reply =
	    ask(&client, "http://no-such-name.invalid/", request);
	CU_ASSERT_TRUE(reply->error == NET_RESOLVE || reply->error == NET_TIMEOUT);
	CU_ASSERT_EQUAL(reply->sent_at, 0);
	CU_ASSERT_NOT_EQUAL(reply->why[0], '\0');
	CU_ASSERT_EQUAL(count_entries("/proc/self/task"), 1);
	client_close(&client);
}

static const struct tap_case cases[] = {
	{ "an answer", test_an_answer },
	{ "connections are kept or fresh", test_connections_are_kept_or_fresh },
	{ "kept beside those that wait", test_connections_beside_others },
	{ "requests as the server sees them", test_requests_as_the_server_sees_them },
	{ "every ending has its name", test_every_ending_has_its_name },
	{ "deadlines", test_deadlines },
	{ "body limits", test_body_limits },
	{ "redirects", test_redirects },
	{ "redirects change the method", test_redirects_change_the_method },
	{ "redirects keep secrets", test_redirects_keep_secrets },
	{ "where to connect", test_where_to_connect },
	{ "many at once", test_many_at_once },
	{ "an ending is final", test_an_ending_is_final },
	{ "ended in a callback", test_ended_in_a_callback },
	{ "freed at any moment", test_freed_at_any_moment },
	{ "names are asked for aside", test_names_are_asked_for_aside },
};

TAP_MAIN("http", cases)
