/* SPDX-License-Identifier: ISC */
/*
 * The floor of HTTP and TCP checks, with every trick that we know of: a socket is taken
 * again for the next check (connecting to nowhere resets the connection, so that neither
 * side is left waiting, and saves making, watching and closing a socket); the handshake's
 * last packet waits for the request or is left out; what is complete at once, as it is on
 * one machine, is not waited for.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "tests/bench/floor.h"

static const char request[] =
    "GET / HTTP/1.1\r\nHost: target\r\nConnection: close\r\n\r\n";

struct net {
	struct sockaddr_in to;
	int *idle; /* sockets that no check uses */
	size_t idle_count, idle_size;
};

static int
net_open(struct floor *floor, const char *what)
{
	uint64_t port;

	if (parse_uint(what, 1, 65535, &port) != 0)
		return -EINVAL;
	struct net *net = xcalloc(1, sizeof(*net));
	net->to = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port) };
	floor->kind = net;
	return 0;
}

static int
take(struct floor *floor, struct net *net)
{
	if (net->idle_count > 0)
		return net->idle[--net->idle_count];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* nothing yet */
	struct epoll_event event = { .events = EPOLLONESHOT, .data.u64 = (uint64_t)fd };
	if (fd < 0 || epoll_ctl(floor->poll, EPOLL_CTL_ADD, fd, &event) != 0) {
		perror("floor: socket");
		exit(1);
	}
	return fd;
}

static void
give(struct net *net, int fd)
{
	static const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

	(void)connect(fd, &nowhere, sizeof(nowhere));
	if (net->idle_count == net->idle_size) {
		net->idle_size = net->idle_size * 2 + 64;
		net->idle = xrealloc(net->idle, net->idle_size, sizeof(*net->idle));
	}
	net->idle[net->idle_count++] = fd;
}

/* The socket, on its way to check n; -1: refused at once. */
static int
begin(struct floor *floor, struct net *net, uint32_t check)
{
	int fd = take(floor, net), zero = 0;

	net->to.sin_addr.s_addr = htonl(0x7f010000U + check);
	setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &zero, sizeof(zero));
	if (connect(fd, (struct sockaddr *)&net->to, sizeof(net->to)) == 0 ||
	    errno == EINPROGRESS)
		return fd;
	floor->failed++;
	give(net, fd);
	return -1;
}

static void
tcp_start(struct floor *floor, uint32_t check)
{
	struct net *net = floor->kind;

	int fd = begin(floor, net, check);
	if (fd < 0)
		return;
	/* asked again, it says whether it is connected */
	if (connect(fd, (struct sockaddr *)&net->to, sizeof(net->to)) != 0)
		floor->failed++;
	give(net, fd);
}

static void
tcp_work(struct floor *floor, uint64_t data)
{
}

static void
http_start(struct floor *floor, uint32_t check)
{
	struct net *net = floor->kind;

	int fd = begin(floor, net, check);
	if (fd < 0)
		return;
	/* once: an idle socket says that it is not connected, for ever */
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT,
		.data.u64 = (uint64_t)fd };
	if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0 &&
	    epoll_ctl(floor->poll, EPOLL_CTL_MOD, fd, &event) == 0)
		return;
	floor->failed++;
	give(net, fd);
}

static void
http_work(struct floor *floor, uint64_t data)
{
	struct net *net = floor->kind;
	char answer[2048];
	int fd = (int)data;

	ssize_t n = recv(fd, answer, sizeof(answer), 0);
	if (n < 12 || memcmp(answer, "HTTP/1.1 200", 12) != 0)
		floor->failed++;
	give(net, fd);
}

const struct floor_kind floor_tcp = { "tcp", net_open, tcp_start, tcp_work };
const struct floor_kind floor_http = { "http", net_open, http_start, http_work };
