/* SPDX-License-Identifier: ISC */
/*
 * The HTTP client and a small server of its own: a child with a thread for each connection,
 * whose behaviour the path names.
 */
#include "tests/unit/http_bed.h"

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
#include "tests/unit/tap.h"

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

void
client_open(struct client *client)
{
	*client = (struct client){ .expected = 1 };
	server_start(&client->server);
	client->loop = loop_new();
	client->http = http_new(client->loop);
}

void
client_close(struct client *client)
{
	forget(client);
	http_free(client->http);
	loop_free(client->loop);
	server_stop(&client->server);
}

void
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

const struct http_reply *
ask(struct client *client, const char *path, struct http_request request)
{
	client->told = 0;
	start(client, path, request);
	loop_run(client->loop);
	CU_ASSERT_EQUAL(client->told, 1);
	return &client->reply;
}
