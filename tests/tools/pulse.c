/* SPDX-License-Identifier: ISC */
/*
 * pulse ADDRESS PORT: a client that never lets go. A thousand times a second it sends a
 * number over one TCP connection and the same one as a datagram, and counts what comes back:
 * what it misses was lost, by an address that was gone for a moment or by a filter before it.
 * At SIGTERM it sends no more, waits for what is on its way and prints what it saw; if the
 * connection ends before, that is the end of it too, and its exit status is 1.
 *
 * pulse --answer ADDRESS PORT: the other side, which sends everything back. The address
 * need not be there yet.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/util.h"

#define EVERY_NS 1000000
#define LAST_NS 500000000 /* for what is on its way at the end */
#define CLIENTS 8

struct count {
	const char *name;
	uint64_t sent, answered;
	int64_t heard, longest; /* ns */
};

static volatile sig_atomic_t stop;

static void
on_signal(int signum)
{
	(void)signum;
	stop = 1;
}

static int64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static _Noreturn void
die(const char *what)
{
	fprintf(stderr, "pulse: %s: %s\n", what, strerror(errno));
	exit(2);
}

static struct sockaddr_in
address_of(const char *text, const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	uint64_t number;

	if (inet_pton(AF_INET, text, &address.sin_addr) != 1 ||
	    parse_uint(port, 1, 65535, &number) != 0) {
		errno = EINVAL;
		die("the address");
	}
	address.sin_port = htons((uint16_t)number);
	return address;
}

/* ---- the client ---- */

static int
connected(int type, const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) != 0)
		die("no connection");
	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* An answer may come in pieces over TCP: its bytes are what counts. */
static bool
hear(int fd, struct count *count)
{
	char bytes[4096];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	int64_t now = now_ns();

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == ECONNREFUSED);
	if (count->heard != 0 && now - count->heard > count->longest)
		count->longest = now - count->heard;
	count->heard = now;
	count->answered += (uint64_t)n;
	return true;
}

static bool
hear_both(const int fds[2], struct count counts[2], int64_t until)
{
	struct pollfd polls[2] = { { fds[0], POLLIN, 0 }, { fds[1], POLLIN, 0 } };
	int64_t left = until - now_ns();
	struct timespec wait = { left > 0 ? left / 1000000000 : 0,
		left > 0 ? left % 1000000000 : 0 };

	if (ppoll(polls, 2, &wait, NULL) <= 0)
		return true;
	for (int i = 0; i < 2; i++)
		if (polls[i].revents != 0 && !hear(fds[i], &counts[i]))
			return false;
	return true;
}

static bool
beat(int fd, struct count *count, uint64_t number)
{
	ssize_t n = send(fd, &number, sizeof(number), MSG_NOSIGNAL);

	count->sent += sizeof(number); /* a datagram that cannot go is lost, too */
	return n == sizeof(number) || errno == ECONNREFUSED || errno == ENETUNREACH ||
	    errno == EHOSTUNREACH;
}

static bool
run(const int fds[2], struct count counts[2])
{
	int64_t next = now_ns(), end = 0;
	bool alive = true;

	for (uint64_t number = 0; alive && !stop; number++) {
		alive = beat(fds[0], &counts[0], number) &&
		    beat(fds[1], &counts[1], number);
		next += EVERY_NS;
		do
			alive = alive && hear_both(fds, counts, next);
		while (alive && now_ns() < next);
	}
	for (end = now_ns() + LAST_NS; alive && now_ns() < end;)
		alive = hear_both(fds, counts, end);
	return alive;
}

static int
ask(const struct sockaddr_in *to)
{
	struct count counts[2] = { { .name = "tcp" }, { .name = "udp" } };
	int fds[2] = { connected(SOCK_STREAM, to), connected(SOCK_DGRAM, to) };
	bool alive = run(fds, counts);

	for (int i = 0; i < 2; i++)
		printf("%s: sent %llu, lost %lld, longest wait %.1f ms\n",
		    counts[i].name,
		    (unsigned long long)(counts[i].sent / sizeof(uint64_t)),
		    (long long)(counts[i].sent - counts[i].answered) /
			(long long)sizeof(uint64_t),
		    (double)counts[i].longest / 1e6);
	if (!alive)
		printf("the connection ended\n");
	return alive ? 0 : 1;
}

/* ---- the other side ---- */

static int
bound(int type, const struct sockaddr_in *at)
{
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one));
	if (fd < 0 || bind(fd, (const struct sockaddr *)at, sizeof(*at)) != 0)
		die("cannot bind");
	if (type == SOCK_STREAM && listen(fd, CLIENTS) != 0)
		die("cannot listen");
	return fd;
}

static void
echo_datagram(int fd)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char bytes[4096];
	ssize_t n = recvfrom(
	    fd, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&from, &len);

	if (n > 0)
		sendto(fd, bytes, (size_t)n, 0, (struct sockaddr *)&from, len);
}

/* False: the client is gone. */
static bool
echo_stream(int fd)
{
	char bytes[4096];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	return n > 0 && send(fd, bytes, (size_t)n, MSG_NOSIGNAL) == n;
}

static void
take_client(struct pollfd *polls)
{
	int fd = accept4(polls[1].fd, NULL, NULL, SOCK_CLOEXEC), one = 1;

	for (int i = 2; i < CLIENTS + 2 && fd >= 0; i++)
		if (polls[i].fd < 0) {
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			polls[i] = (struct pollfd){ fd, POLLIN, 0 };
			return;
		}
	close(fd);
}

static int
answer(const struct sockaddr_in *at)
{
	struct pollfd polls[CLIENTS + 2] = { { bound(SOCK_DGRAM, at), POLLIN, 0 },
		{ bound(SOCK_STREAM, at), POLLIN, 0 } };

	for (int i = 2; i < CLIENTS + 2; i++)
		polls[i].fd = -1;
	while (!stop) {
		if (poll(polls, CLIENTS + 2, -1) <= 0)
			continue;
		if (polls[0].revents != 0)
			echo_datagram(polls[0].fd);
		if (polls[1].revents != 0)
			take_client(polls);
		for (int i = 2; i < CLIENTS + 2; i++)
			if (polls[i].fd >= 0 && polls[i].revents != 0 &&
			    !echo_stream(polls[i].fd)) {
				close(polls[i].fd);
				polls[i].fd = -1;
			}
	}
	return 0;
}

int
main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	bool answers = argc == 4 && strcmp(argv[1], "--answer") == 0;

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	if (!answers && argc != 3) {
		fprintf(stderr, "usage: pulse [--answer] ADDRESS PORT\n");
		return 2;
	}
	struct sockaddr_in address = address_of(argv[argc - 2], argv[argc - 1]);
	return answers ? answer(&address) : ask(&address);
}
