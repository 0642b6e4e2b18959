/* SPDX-License-Identifier: ISC */
/*
 * A server of a few lines for scripts of answers. It reads one request per connection,
 * hands it to the script, and keeps the connection open until the script answers it.
 */
#include "tests/unit/scripted.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"

struct scripted_call {
	struct scripted *server;
	int fd;
	struct loop_io *io;
	struct buf request;
	bool asked;
	LIST_ENTRY(scripted_call) link;
};

struct scripted {
	struct loop *loop;
	int fd;
	struct loop_io *io;
	char address[40];
	void (*asked)(void *arg, const char *request, struct scripted_call *call);
	void *arg;
	LIST_HEAD(, scripted_call) calls;
};

static void
call_end(struct scripted_call *call)
{
	LIST_REMOVE(call, link);
	loop_io_free(call->io);
	close(call->fd);
	buf_free(&call->request);
	free(call);
}

bool
scripted_waits(const struct scripted *server, const struct scripted_call *call)
{
	const struct scripted_call *at;

	LIST_FOREACH(at, &server->calls, link)
	if (at == call)
		return true;
	return false;
}

static bool
is_whole(const struct buf *request)
{
	const char *end = request->data ? strstr(request->data, "\r\n\r\n") : NULL;
	const char *length = end ? strcasestr(request->data, "content-length:") : NULL;
	size_t body = length && length < end ? strtoul(length + 15, NULL, 10) : 0;

	return end && request->len >= (size_t)(end + 4 - request->data) + body;
}

static void
on_bytes(void *arg, unsigned int events)
{
	struct scripted_call *call = arg;
	char part[4096];
	ssize_t got = recv(call->fd, part, sizeof(part), MSG_DONTWAIT);

	(void)events;
	if (got <= 0) {
		call_end(call);
		return;
	}
	buf_add(&call->request, part, (size_t)got);
	if (call->asked || !is_whole(&call->request))
		return;
	call->asked = true;
	call->server->asked(call->server->arg, call->request.data, call);
}

static void
on_connection(void *arg, unsigned int events)
{
	struct scripted *server = arg;
	int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct scripted_call *call;

	(void)events;
	if (fd < 0)
		return;
	call = xcalloc(1, sizeof(*call));
	*call = (struct scripted_call){
		.server = server,
		.fd = fd,
		.request = { .limit = 1u << 16 },
	};
	LIST_INSERT_HEAD(&server->calls, call, link);
	call->io = loop_io_new(server->loop, fd, on_bytes, call);
	loop_io_watch(call->io, LOOP_READ);
}

struct scripted *
scripted_new(struct loop *loop,
    void (*asked)(void *arg, const char *request, struct scripted_call *call),
    void *arg)
{
	struct scripted *server = xcalloc(1, sizeof(*server));
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(address);

	*server = (struct scripted){ .loop = loop, .asked = asked, .arg = arg };
	LIST_INIT(&server->calls);
	server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->fd < 0 || bind(server->fd, (struct sockaddr *)&address, len) ||
	    listen(server->fd, 16) ||
	    getsockname(server->fd, (struct sockaddr *)&address, &len)) {
		perror("scripted server");
		exit(1);
	}
	snprintf(server->address, sizeof(server->address), "http://127.0.0.1:%u",
	    ntohs(address.sin_port));
	server->io = loop_io_new(loop, server->fd, on_connection, server);
	loop_io_watch(server->io, LOOP_READ);
	return server;
}

void
scripted_free(struct scripted *server)
{
	struct scripted_call *call, *next;

	for (call = LIST_FIRST(&server->calls); call; call = next) {
		next = LIST_NEXT(call, link);
		call_end(call);
	}
	loop_io_free(server->io);
	close(server->fd);
	free(server);
}

const char *
scripted_address(const struct scripted *server)
{
	return server->address;
}

void
scripted_raw(struct scripted_call *call, const char *bytes)
{
	if (send(call->fd, bytes, strlen(bytes), MSG_NOSIGNAL) < 0)
		perror("scripted server");
	call_end(call);
}

void
scripted_answer(
    struct scripted_call *call, int status, const char *headers, const char *body)
{
	AUTO_FREE char *text =
	    xasprintf("HTTP/1.1 %d Words\r\nConnection: close\r\n%sContent-Length: "
		      "%zu\r\n\r\n%s",
		status, headers, strlen(body), body);

	scripted_raw(call, text);
}
