/* SPDX-License-Identifier: ISC */
/*
 * webservice NAME PORT: the demonstration's small real web service. It answers every
 * request with "node NAME", on all IPv4 and IPv6 addresses, virtual ones that come later
 * included. One process, many clients at a time, so that a client that stops halfway
 * delays nobody. What comes to the port by UDP goes back with NAME behind it, for caller.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/util.h"

#define CLIENTS 200
#define IDLE_MS 5000

/* What the sockets wait for, behind the clients. */
enum { LISTENER = CLIENTS, DATAGRAMS, POLLED };

struct client {
	int fd; /* -1: free */
	int64_t until;
	char last[3]; /* the newest bytes, to see the empty line across two reads */
};

static int
listen_on(uint16_t port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int one = 1, zero = 0;

	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) != 0 ||
	    listen(fd, CLIENTS) != 0)
		return -1;
	return fd;
}

static void
client_close(struct client *client)
{
	close(client->fd);
	client->fd = -1;
}

static void
client_answer(struct client *client, const char *name)
{
	AUTO_FREE char *answer =
	    xasprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
		      "Content-Length: %zu\r\nConnection: close\r\n"
		      "\r\nnode %s\n",
		strlen(name) + 6, name);

	/* Small enough for any socket's buffer; if it is not taken, the client is gone. */
	if (send(client->fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
		fprintf(stderr, "webservice: %s\n", strerror(errno));
	client_close(client);
}

static void
client_read(struct client *client, const char *name)
{
	char text[sizeof(client->last) + 4096 + 1];
	size_t kept = sizeof(client->last);

	memcpy(text, client->last, kept);
	ssize_t n = recv(client->fd, text + kept, 4096, 0);
	if (n <= 0) {
		client_close(client);
		return;
	}
	if (memmem(text, kept + (size_t)n, "\r\n\r\n", 4) != NULL)
		client_answer(client, name);
	else
		memcpy(client->last, text + n, kept);
}

static void
accept_all(int listener, struct client *clients)
{
	for (size_t i = 0; i < CLIENTS; i++) {
		if (clients[i].fd >= 0)
			continue;
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			return;
		clients[i] =
		    (struct client){ .fd = fd, .until = clock_raw_ms() + IDLE_MS };
	}
}

static int
datagrams_on(uint16_t port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int one = 1, zero = 0;

	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) != 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one)) != 0 ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) != 0)
		return -1;
	return fd;
}

/* From the address that was asked: it stands in the control data both ways. */
static void
echo_all(int fd, const char *name)
{
	for (;;) {
		char text[64], control[128], answer[192];
		struct sockaddr_in6 from;
		struct iovec iov = { text, sizeof(text) - 1 };
		struct msghdr msg = { .msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(fd, &msg, 0);
		if (n < 0)
			return;
		text[n] = '\0';
		snprintf(answer, sizeof(answer), "%s %.100s", text, name);
		iov = (struct iovec){ answer, strlen(answer) };
		sendmsg(
		    fd, &msg, MSG_NOSIGNAL); /* the address may have gone meanwhile */
	}
}

static void
serve(int listener, int datagrams, struct client *clients, const char *name)
{
	struct pollfd fds[POLLED];

	for (;;) {
		for (size_t i = 0; i < CLIENTS; i++)
			fds[i] =
			    (struct pollfd){ .fd = clients[i].fd, .events = POLLIN };
		fds[LISTENER] = (struct pollfd){ .fd = listener, .events = POLLIN };
		fds[DATAGRAMS] = (struct pollfd){ .fd = datagrams, .events = POLLIN };
		if (poll(fds, POLLED, 1000) < 0 && errno != EINTR)
			return;
		int64_t now = clock_raw_ms();
		for (size_t i = 0; i < CLIENTS; i++) {
			if (clients[i].fd < 0)
				continue;
			if (fds[i].revents != 0)
				client_read(&clients[i], name);
			else if (now >= clients[i].until)
				client_close(&clients[i]);
		}
		if (fds[LISTENER].revents != 0)
			accept_all(listener, clients);
		if (fds[DATAGRAMS].revents != 0)
			echo_all(datagrams, name);
	}
}

int
main(int argc, char **argv)
{
	struct client clients[CLIENTS];
	uint64_t port;

	if (argc != 3 || parse_uint(argv[2], 1, 65535, &port) != 0) {
		fprintf(stderr, "usage: webservice NAME PORT\n");
		return 2;
	}
	int listener = listen_on((uint16_t)port);
	int datagrams = datagrams_on((uint16_t)port);
	if (listener < 0 || datagrams < 0) {
		fprintf(stderr, "webservice: port %s: %s\n", argv[2], strerror(errno));
		return 1;
	}
	for (size_t i = 0; i < CLIENTS; i++)
		clients[i] = (struct client){ .fd = -1 };
	serve(listener, datagrams, clients, argv[1]);
	return 1;
}
