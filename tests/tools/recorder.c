/* SPDX-License-Identifier: ISC */
/*
 * recorder PORT TO [HOLD MS]: stands in front of an HTTP server on this host's port TO and
 * prints one line for each request, when its last byte has come and before that is passed on:
 *
 *	MICROSECONDS METHOD PATH BODY
 *
 * by the wall clock, with what is not printable of the body as spaces. The order of the lines is
 * that in which they were sent, whatever connections they came on. The answers to requests
 * whose path begins with HOLD are held back for so many milliseconds. It ends with a signal.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/util.h"

#define PAIRS_MAX 64
#define REQUEST_MAX ((size_t)64 << 10)
#define CHUNK 16384

/* A client and its connection to the server. */
struct pair {
	int client, server; /* -1: no pair */
	char request[REQUEST_MAX]; /* as far as it has come */
	size_t len;
	int64_t held_until; /* clock_boot_ms; answers wait until then */
};

static struct pair pairs[PAIRS_MAX];
static const char *hold_path = "";
static int64_t hold_ms;

static int64_t
wall_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static struct sockaddr_in
local(uint64_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int
listen_on(uint64_t port)
{
	struct sockaddr_in at = local(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 64) == 0)
		return fd;
	perror("recorder");
	exit(1);
}

static void
close_pair(struct pair *pair)
{
	close(pair->client);
	close(pair->server);
	pair->client = pair->server = -1;
}

static void
accept_pair(int listener, uint64_t to)
{
	struct sockaddr_in at = local(to);
	int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	for (size_t i = 0; client >= 0 && server >= 0 && i < PAIRS_MAX; i++) {
		struct pair *pair = &pairs[i];
		if (pair->client >= 0)
			continue;
		if (connect(server, (struct sockaddr *)&at, sizeof(at)) != 0)
			break;
		pair->client = client;
		pair->server = server;
		pair->len = 0;
		pair->held_until = 0;
		return;
	}
	close(client);
	close(server);
}

/* ---- requests ---- */

/* The length of the first request of which all has come, its head's in `head`; or 0. */
static size_t
whole_length(const char *text, size_t len, size_t *head)
{
	static const char field[] = "\r\nContent-Length:";
	const char *end = memmem(text, len, "\r\n\r\n", 4);
	size_t body = 0;

	if (end == NULL)
		return 0;
	*head = (size_t)(end - text) + 4;
	for (size_t i = 0; i + sizeof(field) - 1 < *head; i++)
		if (strncasecmp(text + i, field, sizeof(field) - 1) == 0)
			body = strtoul(text + i + sizeof(field) - 1, NULL, 10);
	return *head + body <= len ? *head + body : 0;
}

static void
print_request(const char *text, size_t head, size_t len)
{
	const char *space = memchr(text, ' ', head);
	const char *end = space == NULL
	    ? NULL
	    : memchr(space + 1, ' ', head - (size_t)(space + 1 - text));

	if (end == NULL)
		return;
	printf("%lld %.*s ", (long long)wall_us(), (int)(end - text), text);
	for (size_t i = head; i < len; i++)
		putchar(isprint((unsigned char)text[i]) ? text[i] : ' ');
	putchar('\n');
	fflush(stdout);
}

static bool
is_held(const char *text, size_t head)
{
	const char *path = memchr(text, ' ', head);
	size_t len = strlen(hold_path);

	return len > 0 && path != NULL && (size_t)(path + 1 - text) + len <= head &&
	    memcmp(path + 1, hold_path, len) == 0;
}

static void
take_requests(struct pair *pair)
{
	size_t head, len;

	while ((len = whole_length(pair->request, pair->len, &head)) > 0) {
		print_request(pair->request, head, len);
		if (is_held(pair->request, head))
			pair->held_until = clock_boot_ms() + hold_ms;
		memmove(pair->request, pair->request + len, pair->len - len);
		pair->len -= len;
	}
}

/* ---- bytes ---- */

static bool
send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
		data += sent;
		len -= (size_t)sent;
	}
	return true;
}

static bool
pass(struct pair *pair, bool request)
{
	char data[CHUNK];
	ssize_t len = recv(request ? pair->client : pair->server, data, CHUNK, 0);

	if (len <= 0 || (request && pair->len + (size_t)len > REQUEST_MAX))
		return false;
	if (request) {
		memcpy(pair->request + pair->len, data, (size_t)len);
		pair->len += (size_t)len;
		take_requests(pair);
	}
	return send_all(request ? pair->server : pair->client, data, (size_t)len);
}

static int
wait_for_bytes(struct pollfd *fds, int listener)
{
	int64_t now = clock_boot_ms(), first = 0;

	fds[0] = (struct pollfd){ .fd = listener, .events = POLLIN };
	for (size_t i = 0; i < PAIRS_MAX; i++) {
		int64_t left = pairs[i].held_until - now;
		bool held = pairs[i].client >= 0 && left > 0;
		if (held && (first == 0 || left < first))
			first = left;
		fds[1 + 2 * i] =
		    (struct pollfd){ .fd = pairs[i].client, .events = POLLIN };
		fds[2 + 2 * i] = (struct pollfd){ .fd = held ? -1 : pairs[i].server,
			.events = POLLIN };
	}
	return poll(fds, 1 + 2 * PAIRS_MAX, first > 0 ? (int)first : -1);
}

int
main(int argc, char **argv)
{
	static struct pollfd fds[1 + 2 * PAIRS_MAX];
	uint64_t port, to, ms = 0;

	if (argc < 3 || parse_uint(argv[1], 1, 65535, &port) != 0 ||
	    parse_uint(argv[2], 1, 65535, &to) != 0 ||
	    (argc > 4 && parse_uint(argv[4], 0, 60000, &ms) != 0)) {
		fputs("usage: recorder PORT TO [HOLD MS]\n", stderr);
		return 2;
	}
	hold_path = argc > 4 ? argv[3] : "";
	hold_ms = (int64_t)ms;
	for (size_t i = 0; i < PAIRS_MAX; i++)
		pairs[i].client = pairs[i].server = -1;
	int listener = listen_on(port);
	while (wait_for_bytes(fds, listener) >= 0 || errno == EINTR) {
		if (fds[0].revents != 0)
			accept_pair(listener, to);
		for (size_t i = 0; i < PAIRS_MAX; i++) {
			bool asked = fds[1 + 2 * i].revents != 0;
			bool answered = fds[2 + 2 * i].revents != 0;
			if ((asked && !pass(&pairs[i], true)) ||
			    (answered && !pass(&pairs[i], false)))
				close_pair(&pairs[i]);
		}
	}
	return 1;
}
