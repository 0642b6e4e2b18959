/* SPDX-License-Identifier: ISC */
/*
 * The cheapest way to a TCP connection. connect(2) with AF_UNSPEC resets a connection and
 * leaves the socket as new: nothing is opened, registered or closed per connection. The
 * kernel lets go of the local port then and forgets errors at the next connect, so the next
 * connection is a fresh one. Two things it keeps, and sockets that have them are closed
 * instead: the interface of a link-local address and the use of IPv4 by an IPv6 socket.
 * What was fetched of the former connection is skipped when a socket is given back.
 * As many sockets stay open as were in use at once lately.
 */
#include "agent/base/sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/net.h"
#include "agent/base/util.h"

#define REVIEW_MS 10000
#define RANGE_FILE "/proc/sys/net/ipv4/ip_local_port_range"

enum family { FAMILY_IPV4, FAMILY_IPV6, FAMILIES };

/* What `struct socket` is from the inside. */
struct pooled {
	struct socket socket; /* first */
	struct sockets *sockets;
	struct loop_edge *edge;
	enum family family;
	bool again; /* may be used again */
	bool looped; /* may be connected to itself */
};

struct sockets {
	struct loop *loop;
	struct socket *idle[FAMILIES];
	size_t open, used; /* used: of those open */
	int end; /* net_descriptor_end */
	size_t most, most_before; /* used at once in this and the last period */
	uint16_t first_port, last_port; /* what the kernel chooses local ports from */
	bool (*spare)(void *arg); /* or NULL */
	void *spare_arg;
	struct loop_timer *review; /* set while sockets are open or there is a lack */
	bool reviewing;
	bool lacking, lacked; /* said so; and again in this period */
};

static void
pooled_free(struct pooled *pooled)
{
	loop_edge_free(pooled->edge);
	close(pooled->socket.fd);
	pooled->sockets->open--;
	free(pooled);
}

static bool
drop_idle(struct sockets *sockets, enum family family)
{
	struct socket *socket = sockets->idle[family];

	if (socket == NULL)
		return false;
	sockets->idle[family] = socket->next;
	pooled_free((struct pooled *)socket);
	return true;
}

/* The lack is over when a whole period had none. */
static void
review_lack(struct sockets *sockets)
{
	if (sockets->lacking && !sockets->lacked) {
		sockets->lacking = false;
		log_notice("check",
		    "there are enough descriptors again, because connections ended");
	}
	sockets->lacked = false;
}

/* Half of what was too much for two periods goes. */
static void
on_review(void *arg)
{
	struct sockets *sockets = arg;
	size_t enough =
	    sockets->most > sockets->most_before ? sockets->most : sockets->most_before;

	size_t surplus = sockets->open > enough ? (sockets->open - enough + 1) / 2 : 0;
	while (surplus > 0 &&
	    (drop_idle(sockets, FAMILY_IPV6) || drop_idle(sockets, FAMILY_IPV4)))
		surplus--;
	sockets->most_before = sockets->most;
	sockets->most = sockets->used;
	review_lack(sockets);
	sockets->reviewing = sockets->open > 0 || sockets->lacking;
	if (sockets->reviewing)
		loop_timer_after(sockets->review, REVIEW_MS);
}

static void
begin_reviews(struct sockets *sockets)
{
	if (sockets->reviewing)
		return;
	sockets->reviewing = true;
	loop_timer_after(sockets->review, REVIEW_MS);
}

static void
note_lack(struct sockets *sockets)
{
	sockets->lacked = true;
	if (sockets->lacking)
		return;
	sockets->lacking = true;
	begin_reviews(sockets);
	log_warning("check",
	    "no descriptor is left for a connection, because %zu are in use and the "
	    "limit of open files allows no more: checks that find none stay as they "
	    "are",
	    sockets->used);
}

/* Two numbers; without them every port may be one that the kernel chooses. */
static void
read_port_range(struct sockets *sockets)
{
	FILE *file AUTO_FCLOSE = fopen(RANGE_FILE, "re");
	char line[32] = "", *first = line;
	uint64_t from = 1, to = UINT16_MAX;

	if (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		parse_uint(strsep(&first, "\t "), 1, UINT16_MAX, &from);
		if (first != NULL)
			parse_uint(first, 1, UINT16_MAX, &to);
	}
	sockets->first_port = (uint16_t)from;
	sockets->last_port = (uint16_t)to;
}

struct sockets *
sockets_new(struct loop *loop)
{
	struct sockets *sockets = xcalloc(1, sizeof(*sockets));

	sockets->loop = loop;
	sockets->end = net_descriptor_end();
	sockets->review = loop_timer_new(loop, on_review, sockets);
	read_port_range(sockets);
	return sockets;
}

void
sockets_free(struct sockets *sockets)
{
	if (sockets == NULL)
		return;
	while (drop_idle(sockets, FAMILY_IPV4) || drop_idle(sockets, FAMILY_IPV6))
		;
	loop_timer_free(sockets->review);
	free(sockets);
}

void
sockets_spare(struct sockets *sockets, bool (*spare)(void *arg), void *arg)
{
	sockets->spare = spare;
	sockets->spare_arg = arg;
}

static void
on_edge(void *arg, unsigned int events)
{
	struct socket *socket = arg;

	if (socket->ready != NULL)
		socket->ready(socket->arg, socket, events);
}

/* The first segment carries the handshake's last acknowledgement with it, or the reset that
 * ends it all: one packet less. Both options outlive a reset. */
static void
set_options(int fd)
{
	static const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof(on));
}

/* A descriptor, or -1 with errno; one of the other family gives way. */
static int
open_socket(struct sockets *sockets, enum family family)
{
	static const int domains[] = {
		[FAMILY_IPV4] = AF_INET, [FAMILY_IPV6] = AF_INET6
	};
	enum family other = family == FAMILY_IPV4 ? FAMILY_IPV6 : FAMILY_IPV4;
	int fd = -1;

	do {
		fd = socket(
		    domains[family], SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (fd < sockets->end)
			continue;
		close(fd);
		fd = -1;
		errno = EMFILE;
	} while (fd < 0 && (errno == EMFILE || errno == ENFILE) &&
	    drop_idle(sockets, other));
	return fd;
}

static struct pooled *
pooled_new(struct sockets *sockets, enum family family)
{
	int fd = open_socket(sockets, family);

	if (fd < 0)
		return NULL;
	struct pooled *pooled = xcalloc(1, sizeof(*pooled));
	pooled->socket.fd = fd;
	pooled->sockets = sockets;
	pooled->family = family;
	sockets->open++;
	set_options(fd);
	pooled->edge = loop_edge_new(sockets->loop, fd, on_edge, pooled);
	if (pooled->edge != NULL)
		return pooled;
	int error = errno;
	pooled_free(pooled);
	errno = error;
	return NULL;
}

/* Or NULL with errno. */
static struct pooled *
take(struct sockets *sockets, enum family family)
{
	struct socket *socket = sockets->idle[family];

	if (socket == NULL)
		return pooled_new(sockets, family);
	sockets->idle[family] = socket->next;
	return (struct pooled *)socket;
}

/* The same, before what is kept for later. */
static struct pooled *
take_or_ask(struct sockets *sockets, enum family family)
{
	struct pooled *pooled;
	int error = 0;

	while ((pooled = take(sockets, family)) == NULL) {
		error = errno;
		if ((error != EMFILE && error != ENFILE) || sockets->spare == NULL ||
		    !sockets->spare(sockets->spare_arg))
			break;
	}
	errno = error;
	return pooled;
}

/* What the kernel would keep beyond a reset. */
static bool
may_come_again(const struct sockaddr *to)
{
	const struct sockaddr_in6 *in6 = (const void *)to;

	return to->sa_family == AF_INET ||
	    (in6->sin6_scope_id == 0 && !IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) &&
		!IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr));
}

/* The port stands at the same place in both kinds of address. */
static bool
may_meet_itself(const struct sockets *sockets, const struct sockaddr *to)
{
	uint16_t port = ntohs(((const struct sockaddr_in *)(const void *)to)->sin_port);

	return port >= sockets->first_port && port <= sockets->last_port;
}

int
sockets_connect(struct sockets *sockets, const struct sockaddr *to, socklen_t len,
    void (*ready)(void *arg, struct socket *socket, unsigned int events), void *arg,
    struct socket **out)
{
	struct pooled *pooled =
	    take_or_ask(sockets, to->sa_family == AF_INET6 ? FAMILY_IPV6 : FAMILY_IPV4);

	if (pooled == NULL) {
		int error = errno;
		if (error == EMFILE || error == ENFILE)
			note_lack(sockets);
		return -error;
	}
	pooled->again = may_come_again(to);
	pooled->looped = may_meet_itself(sockets, to);
	pooled->socket.ready = ready;
	pooled->socket.arg = arg;
	if (++sockets->used > sockets->most)
		sockets->most = sockets->used;
	begin_reviews(sockets);
	if (connect(pooled->socket.fd, to, len) != 0 && errno != EINPROGRESS) {
		int error = errno;
		sockets_release(&pooled->socket, false);
		return -error;
	}
	*out = &pooled->socket;
	return 0;
}

/* A port that nobody listens on can be given to our own end: TCP then connects it to
 * itself (RFC 9293, 3.5, simultaneous open). */
static bool
is_own_end(int fd)
{
	struct sockaddr_storage here = { 0 }, there = { 0 };
	socklen_t here_len = sizeof(here), there_len = sizeof(there);

	return getsockname(fd, (struct sockaddr *)&here, &here_len) == 0 &&
	    getpeername(fd, (struct sockaddr *)&there, &there_len) == 0 &&
	    here_len == there_len && memcmp(&here, &there, here_len) == 0;
}

int
sockets_connected(struct socket *socket, unsigned int events)
{
	const struct pooled *pooled = (const struct pooled *)socket;
	socklen_t len = sizeof(int);
	int error = 0;

	if ((events & LOOP_FAULT) != 0) {
		if (getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
			error = errno;
		return error != 0 ? -error : -EINPROGRESS;
	}
	if ((events & LOOP_WRITE) == 0)
		return -EINPROGRESS;
	return pooled->looped && is_own_end(socket->fd) ? -ECONNREFUSED : 0;
}

void
sockets_listen(struct socket *socket)
{
	static const int on = 1;

	setsockopt(socket->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

void
sockets_release(struct socket *socket, bool polite)
{
	static const struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	struct pooled *pooled = (struct pooled *)socket;
	struct sockets *sockets = pooled->sockets;

	socket->ready = NULL;
	sockets->used--;
	loop_edge_skip(pooled->edge);
	if (!polite && connect(socket->fd, &nobody, sizeof(nobody)) == 0 &&
	    pooled->again) {
		socket->next = sockets->idle[pooled->family];
		sockets->idle[pooled->family] = socket;
	} else {
		pooled_free(pooled);
	}
}
