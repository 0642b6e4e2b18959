/* SPDX-License-Identifier: ISC */
/*
 * Which sockets end with an address: in a network namespace of the test's own every kind of
 * socket stands on an address that leaves and on one that stays, and the rule is asked of
 * each: it ends if it has a peer and its own address has left, and nothing else does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/warden/netlink.h"
#include "tests/unit/netns.h"
#include "tests/unit/tap.h"

#define MANY 10

/* An own address of a socket, in the words of its family. */
static const struct {
	const char *leaving, *staying;
	int family; /* of the socket */
	bool v6; /* of the address */
} kinds[] = {
	{ "192.0.2.1", "192.0.2.2", AF_INET, false },
	{ "::ffff:192.0.2.1", "::ffff:192.0.2.2", AF_INET6, false },
	{ "2001:db8::1", "2001:db8::2", AF_INET6, true },
};

enum role { LISTENS, ACCEPTED, CONNECTED, BOUND_UDP, CONNECTED_UDP, ROLES };

static void
on_address(void *arg, const struct netlink_address *address, bool present)
{
}

static void
on_link(void *arg, const struct netlink_link *link, bool gone)
{
}

static void
on_lost(void *arg)
{
}

static socklen_t
make_name(int family, const char *text, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	out->ss_family = (sa_family_t)family;
	CU_ASSERT_EQUAL(
	    inet_pton(family, text,
		family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr),
	    1);
	return family == AF_INET ? sizeof(*v4) : sizeof(*v6);
}

static int
open_bound(int family, int type, const char *text)
{
	struct sockaddr_storage name;
	socklen_t len = make_name(family, text, &name);
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&name, len), 0);
	return fd;
}

static void
connect_to(int fd, int other)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);

	CU_ASSERT_EQUAL(getsockname(other, (struct sockaddr *)&name, &len), 0);
	CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&name, len), 0);
}

/* One of each role with its own address `text`; their peers are on `other`. */
struct stand {
	int own[ROLES], peer[ROLES];
};

static void
stand_open(struct stand *stand, int family, const char *text, const char *other)
{
	int elsewhere = open_bound(family, SOCK_STREAM, other);

	CU_ASSERT_EQUAL(listen(elsewhere, 1), 0);
	stand->own[LISTENS] = open_bound(family, SOCK_STREAM, text);
	CU_ASSERT_EQUAL(listen(stand->own[LISTENS], MANY), 0);
	stand->peer[LISTENS] = elsewhere;
	stand->peer[ACCEPTED] = open_bound(family, SOCK_STREAM, other);
	connect_to(stand->peer[ACCEPTED], stand->own[LISTENS]);
	stand->own[ACCEPTED] = accept(stand->own[LISTENS], NULL, NULL);
	stand->own[CONNECTED] = open_bound(family, SOCK_STREAM, text);
	connect_to(stand->own[CONNECTED], elsewhere);
	stand->peer[CONNECTED] = accept(elsewhere, NULL, NULL);
	for (enum role role = BOUND_UDP; role <= CONNECTED_UDP; role++) {
		stand->peer[role] = open_bound(family, SOCK_DGRAM, other);
		stand->own[role] = open_bound(family, SOCK_DGRAM, text);
	}
	connect_to(stand->own[CONNECTED_UDP], stand->peer[CONNECTED_UDP]);
}

static void
stand_close(struct stand *stand)
{
	for (enum role role = LISTENS; role < ROLES; role++) {
		close(stand->own[role]);
		close(stand->peer[role]);
	}
}

static int
error_of(int fd)
{
	int error = -1;
	socklen_t len = sizeof(error);

	CU_ASSERT_EQUAL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
	return error;
}

static bool
has_peer(enum role role)
{
	return role == ACCEPTED || role == CONNECTED || role == CONNECTED_UDP;
}

/* How many were ended until a call has seen the last kind, or -errno. */
static int
end_kinds(const char *text, unsigned int *kind, unsigned int last, size_t limit)
{
	int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	struct netlink_out out = {
		.address = on_address, .link = on_link, .lost = on_lost
	};
	struct loop *loop = loop_new();
	struct netlink *netlink = netlink_new(loop, &out);
	unsigned char address[16] = { 0 };
	int ended = 0, now;

	CU_ASSERT_PTR_NOT_NULL_FATAL(netlink);
	CU_ASSERT_EQUAL(inet_pton(family, text, address), 1);
	do {
		now = netlink_end_sockets(netlink, family, address, kind, limit);
		ended = now < 0 ? now : ended + now;
	} while (now >= 0 && *kind < last);
	netlink_free(netlink);
	loop_free(loop);
	return ended;
}

static int
end_sockets(const char *text, size_t limit)
{
	unsigned int kind = 0;

	return end_kinds(text, &kind, NETLINK_SOCKET_KINDS, limit);
}

/* A kernel without SOCK_DESTROY says so of the first socket. */
static bool
can_destroy(void)
{
	int pair[2] = { open_bound(AF_INET, SOCK_DGRAM, "192.0.2.1"),
		open_bound(AF_INET, SOCK_DGRAM, "192.0.2.1") };

	connect_to(pair[0], pair[1]);
	int ended = end_sockets("192.0.2.1", 1);
	close(pair[0]);
	close(pair[1]);
	if (ended == -EOPNOTSUPP)
		puts("# this kernel ends no sockets");
	CU_ASSERT(ended == 1 || ended == -EOPNOTSUPP);
	return ended == 1;
}

static void
test_rule(void)
{
	struct stand leaving[ARRAY_LENGTH(kinds)], staying[ARRAY_LENGTH(kinds)];

	if (!can_destroy())
		return;
	for (size_t v6 = 0; v6 < 2; v6++) {
		int expected = 0;
		for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
			stand_open(&leaving[i], kinds[i].family, kinds[i].leaving,
			    kinds[i].staying);
			stand_open(&staying[i], kinds[i].family, kinds[i].staying,
			    kinds[i].staying);
			expected += kinds[i].v6 == v6 ? 3 : 0;
		}
		CU_ASSERT_EQUAL(
		    end_sockets(v6 ? "2001:db8::1" : "192.0.2.1", 100), expected);
		for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++) {
			for (enum role role = LISTENS; role < ROLES; role++) {
				bool ends = kinds[i].v6 == v6 && has_peer(role);
				CU_ASSERT_EQUAL(error_of(leaving[i].own[role]),
				    ends ? ECONNABORTED : 0);
				CU_ASSERT_EQUAL(error_of(staying[i].own[role]), 0);
			}
			stand_close(&leaving[i]);
			stand_close(&staying[i]);
		}
	}
}

/* Who has not been accepted yet would be served as a stranger's address. */
static void
test_waiting(void)
{
	if (!can_destroy())
		return;
	int listener = open_bound(AF_INET, SOCK_STREAM, "192.0.2.1");
	int peer = open_bound(AF_INET, SOCK_STREAM, "192.0.2.2"), again;

	CU_ASSERT_EQUAL(listen(listener, MANY), 0);
	connect_to(peer, listener);
	CU_ASSERT_EQUAL(end_sockets("192.0.2.1", 100), 1);
	struct pollfd wait = { .fd = peer, .events = POLLIN };
	CU_ASSERT_EQUAL(poll(&wait, 1, 1000), 1);
	CU_ASSERT_EQUAL(error_of(peer), ECONNRESET);
	again = open_bound(AF_INET, SOCK_STREAM, "192.0.2.2");
	connect_to(again, listener); /* it listens on */
	close(again);
	close(peer);
	close(listener);
}

static void
test_slices(void)
{
	if (!can_destroy())
		return;
	int listener = open_bound(AF_INET, SOCK_STREAM, "192.0.2.2");
	int fds[MANY], peers[MANY];

	CU_ASSERT_EQUAL(listen(listener, MANY), 0);
	for (int i = 0; i < MANY; i++) {
		fds[i] = open_bound(AF_INET, SOCK_STREAM, "192.0.2.1");
		connect_to(fds[i], listener);
		peers[i] = accept(listener, NULL, NULL);
	}
	unsigned int kind = 0;
	CU_ASSERT_EQUAL(end_kinds("192.0.2.1", &kind, 0, 4), 4);
	CU_ASSERT_EQUAL(end_kinds("192.0.2.1", &kind, 0, 4), 4);
	CU_ASSERT_EQUAL(kind, 0);
	CU_ASSERT_EQUAL(end_kinds("192.0.2.1", &kind, 0, 4), 2);
	CU_ASSERT_EQUAL(kind, 1);
	CU_ASSERT_EQUAL(end_sockets("192.0.2.1", 4), 0);
	for (int i = 0; i < MANY; i++) {
		CU_ASSERT_EQUAL(error_of(fds[i]), ECONNABORTED);
		close(fds[i]);
		close(peers[i]);
	}
	close(listener);
}

static const struct tap_case cases[] = {
	{ "what has a peer on the address ends, nothing else", test_rule },
	{ "who waits to be accepted ends, the listener stays", test_waiting },
	{ "some at a time", test_slices },
};

int
main(int argc, char **argv)
{
	if (!netns_enter())
		return 0;
	if (!netns_ip(0, "link set lo up", NULL, 0) ||
	    !netns_ip(0, "addr add 192.0.2.1/32 dev lo", NULL, 0) ||
	    !netns_ip(0, "addr add 192.0.2.2/32 dev lo", NULL, 0) ||
	    !netns_ip(0, "addr add 2001:db8::1/128 dev lo nodad", NULL, 0) ||
	    !netns_ip(0, "addr add 2001:db8::2/128 dev lo nodad", NULL, 0)) {
		puts("1..0 # SKIP no addresses on lo here");
		return 0;
	}
	return tap_main(argc, argv, "netlink_diag", cases, ARRAY_LENGTH(cases));
}
