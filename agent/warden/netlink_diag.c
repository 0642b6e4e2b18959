/* SPDX-License-Identifier: ISC */
/*
 * The ending of sockets on an address that has left, by sock_diag(7): those that have a
 * peer, so that a program reads an error instead of waiting for one who talks to another
 * host now. A socket that listens, or is bound and not connected, stays: the address may
 * come back. Each list and each run of orders has a socket of its own: it is rare, it is
 * another protocol than the other orders', and a list that is long enough is left unread.
 */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "agent/base/util.h"
#include "agent/warden/netlink_state.h"

#define ANSWER_LIMIT_S 1
#define SYN_RECV_NEW 12 /* TCP_NEW_SYN_RECV, of a peer that is not yet accepted */

/* Of TCP all that have a peer and still tell it something; of UDP "established" is what
 * connect(2) makes of it. */
#define BIT(state) (1u << (state))
#define STATES                                                              \
	(BIT(TCP_ESTABLISHED) | BIT(TCP_SYN_SENT) | BIT(TCP_SYN_RECV) |     \
	    BIT(TCP_FIN_WAIT1) | BIT(TCP_FIN_WAIT2) | BIT(TCP_CLOSE_WAIT) | \
	    BIT(TCP_LAST_ACK) | BIT(TCP_CLOSING) | BIT(SYN_RECV_NEW))

/* The kernel's small filter: one condition, the address on our side, of either family; a
 * yes ends behind it, a no beyond the end. */
struct filter {
	struct inet_diag_bc_op op;
	uint8_t family, prefix_len; /* from here on struct inet_diag_hostcond */
	int port;
	unsigned char address[16];
};
_Static_assert(offsetof(struct filter, address) ==
	sizeof(struct inet_diag_bc_op) + sizeof(struct inet_diag_hostcond),
    "the kernel reads it otherwise");

struct ending {
	struct mnl_socket *sock;
	struct inet_diag_req_v2 *found;
	size_t count, limit;
	char *answer;
};

static int
open_socket(struct ending *ending)
{
	struct timeval limit = { .tv_sec = ANSWER_LIMIT_S };

	ending->sock = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	if (ending->sock == NULL)
		return errno == EPROTONOSUPPORT ? -EOPNOTSUPP : -errno;
	setsockopt(mnl_socket_get_fd(ending->sock), SOL_SOCKET, SO_RCVTIMEO, &limit,
	    sizeof(limit));
	return 0;
}

static void
put_filter(struct nlmsghdr *request, int family, const unsigned char *address)
{
	size_t size = family == AF_INET ? 4 : 16;
	size_t len = offsetof(struct filter, address) + size;
	struct filter filter = {
		.op = { INET_DIAG_BC_S_COND, (unsigned char)len,
		    (unsigned short)(len + sizeof(struct inet_diag_bc_op)) },
		.family = (uint8_t)family,
		.prefix_len = (uint8_t)(8 * size),
		.port = -1,
	};

	memcpy(filter.address, address, size);
	mnl_attr_put(request, INET_DIAG_REQ_BYTECODE, len, &filter);
}

static void
take_socket(struct ending *ending, int protocol, const struct nlmsghdr *message)
{
	const struct inet_diag_msg *head = mnl_nlmsg_get_payload(message);

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*head) ||
	    ending->count == ending->limit)
		return;
	ending->found[ending->count++] = (struct inet_diag_req_v2){
		.sdiag_family = head->idiag_family,
		.sdiag_protocol = (uint8_t)protocol,
		.idiag_states = UINT32_MAX,
		.id = head->id,
	};
}

/* One datagram: 1 if more follow, 0 at the end or when there are enough, or -errno. */
static int
take_answer(struct ending *ending, int protocol, int len)
{
	for (const struct nlmsghdr *m = (const void *)ending->answer;
	     mnl_nlmsg_ok(m, len); m = mnl_nlmsg_next(m, &len)) {
		if (m->nlmsg_type == NLMSG_DONE)
			return 0;
		if (m->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *answer = mnl_nlmsg_get_payload(m);
			return answer->error;
		}
		if (m->nlmsg_type == SOCK_DIAG_BY_FAMILY)
			take_socket(ending, protocol, m);
	}
	return ending->count < ending->limit;
}

static int
ask(struct ending *ending, struct nlmsghdr *request, int protocol)
{
	int more = 1;

	if (mnl_socket_sendto(ending->sock, request, request->nlmsg_len) < 0)
		return -errno;
	while (more > 0) {
		ssize_t len = mnl_socket_recvfrom(
		    ending->sock, ending->answer, NETLINK_ANSWER_SIZE);
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		more = take_answer(ending, protocol, (int)len);
	}
	return more;
}

/* -ENOENT: the kernel cannot list them. */
static int
find(struct ending *ending, int socket_family, int protocol, int family,
    const unsigned char *address)
{
	_Alignas(NLMSG_ALIGNTO) char data[NETLINK_ORDER_SIZE];
	struct nlmsghdr *request = mnl_nlmsg_put_header(data);
	struct inet_diag_req_v2 *head =
	    mnl_nlmsg_put_extra_header(request, sizeof(*head));

	request->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	head->sdiag_family = (uint8_t)socket_family;
	head->sdiag_protocol = (uint8_t)protocol;
	head->idiag_states = protocol == IPPROTO_TCP ? STATES : BIT(TCP_ESTABLISHED);
	put_filter(request, family, address);
	int error = open_socket(ending);
	if (error == 0) {
		error = ask(ending, request, protocol);
		mnl_socket_close(ending->sock);
	}
	return error;
}

/* A socket of IPv6 has an IPv4 address as ::ffff:… */
static const struct {
	int protocol;
	bool mapped;
} kinds[] = {
	{ IPPROTO_TCP, false },
	{ IPPROTO_TCP, true },
	{ IPPROTO_UDP, false },
	{ IPPROTO_UDP, true },
};
_Static_assert(ARRAY_LENGTH(kinds) == NETLINK_SOCKET_KINDS, "a kind is missing");

static int
find_kind(
    struct ending *ending, unsigned int kind, int family, const unsigned char *address)
{
	int socket_family = kinds[kind].mapped ? AF_INET6 : family;
	int error = 0;

	if (!kinds[kind].mapped || family == AF_INET)
		error =
		    find(ending, socket_family, kinds[kind].protocol, family, address);
	return error == -ENOENT ? 0 : error;
}

static int
destroy(struct ending *ending, const struct inet_diag_req_v2 *which)
{
	_Alignas(NLMSG_ALIGNTO) char data[NETLINK_ORDER_SIZE];
	struct nlmsghdr *order = mnl_nlmsg_put_header(data);

	order->nlmsg_type = SOCK_DESTROY;
	order->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	memcpy(
	    mnl_nlmsg_put_extra_header(order, sizeof(*which)), which, sizeof(*which));
	return ask(ending, order, which->sdiag_protocol);
}

/* How many were ended; what ended by itself meanwhile does not count. */
static int
end_found(struct ending *ending)
{
	int ended = 0, error = open_socket(ending);

	if (error != 0)
		return error;
	for (size_t i = 0; i < ending->count; i++) {
		int result = destroy(ending, &ending->found[i]);
		ended += result == 0;
		if (result != 0 && result != -ENOENT)
			error = result;
	}
	mnl_socket_close(ending->sock);
	return ended == 0 ? error : ended;
}

int
netlink_end_sockets(struct netlink *netlink, int family, const unsigned char *address,
    unsigned int *kind, size_t limit)
{
	struct ending ending = { .limit = limit, .answer = netlink->answer };

	ending.found = xcalloc(limit, sizeof(*ending.found));
	int result = find_kind(&ending, *kind, family, address);
	if (result == 0 && ending.count > 0)
		result = end_found(&ending);
	if (result <= 0 || ending.count < limit)
		(*kind)++;
	free(ending.found);
	return result;
}
