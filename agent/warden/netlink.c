/* SPDX-License-Identifier: ISC */
/*
 * The one file that knows libmnl: addresses and links of this network namespace. Orders
 * have a socket of their own, and each is over when the kernel has answered it, so "done"
 * means done; what anybody else changes is told by events on the other socket. Nothing is
 * remembered here. An address set here always has a lifetime, takes no route along when
 * it goes, and is never the source of this host's own connections (IPv6: deprecated).
 */
#include "agent/warden/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"

/* linux/if.h, which names it, does not go together with net/if.h. */
#define LOWER_UP 0x10000u

#define BATCH 64
#define ORDER_SIZE 128 /* more than one address order takes */
#define ANSWER_SIZE 32768
#define ANSWER_LIMIT_S 1
#define DUMPS_MAX 8
#define EVENTS_AT_ONCE 64

struct netlink {
	struct netlink_out out;
	struct mnl_socket *orders, *events;
	struct loop_io *io;
	uint32_t seq;
	_Alignas(NLMSG_ALIGNTO) char answer[ANSWER_SIZE];
};

static size_t
address_size(int family)
{
	return family == AF_INET ? 4 : 16;
}

static int
take_address_attr(const struct nlattr *attr, void *data)
{
	const struct nlattr **attrs = data;
	uint16_t type = mnl_attr_get_type(attr);

	if (type <= IFA_MAX)
		attrs[type] = attr;
	return MNL_CB_OK;
}

static uint32_t
lifetime_left(const struct ifaddrmsg *head, const struct nlattr *const *attrs)
{
	uint32_t flags = attrs[IFA_FLAGS] != NULL ? mnl_attr_get_u32(attrs[IFA_FLAGS])
						  : head->ifa_flags;
	const struct ifa_cacheinfo *info;

	if ((flags & IFA_F_PERMANENT) != 0 || attrs[IFA_CACHEINFO] == NULL ||
	    mnl_attr_get_payload_len(attrs[IFA_CACHEINFO]) < sizeof(*info))
		return UINT32_MAX;
	info = mnl_attr_get_payload(attrs[IFA_CACHEINFO]);
	return info->ifa_valid;
}

static void
take_address(struct netlink *netlink, const struct nlmsghdr *message)
{
	const struct ifaddrmsg *head = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[IFA_MAX + 1] = { 0 };
	struct netlink_address address = { .family = head->ifa_family,
		.prefix = head->ifa_prefixlen,
		.ifindex = head->ifa_index };

	if (head->ifa_family != AF_INET && head->ifa_family != AF_INET6)
		return;
	mnl_attr_parse(message, sizeof(*head), take_address_attr, attrs);
	/* with a peer, IFA_ADDRESS is the peer's */
	const struct nlattr *own =
	    attrs[IFA_LOCAL] != NULL ? attrs[IFA_LOCAL] : attrs[IFA_ADDRESS];
	size_t size = address_size(address.family);
	if (own == NULL || mnl_attr_get_payload_len(own) != size)
		return;
	memcpy(address.address, mnl_attr_get_payload(own), size);
	address.valid_s = lifetime_left(head, attrs);
	netlink->out.address(
	    netlink->out.arg, &address, message->nlmsg_type == RTM_NEWADDR);
}

static int
take_link_attr(const struct nlattr *attr, void *data)
{
	const char **name = data;

	if (mnl_attr_get_type(attr) == IFLA_IFNAME &&
	    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		*name = mnl_attr_get_str(attr);
	return MNL_CB_OK;
}

static void
take_link(struct netlink *netlink, const struct nlmsghdr *message)
{
	const struct ifinfomsg *head = mnl_nlmsg_get_payload(message);
	const unsigned int both = IFF_UP | LOWER_UP;
	const char *name = NULL;

	/* a bridge tells of its ports on the same group: those do not come or go */
	if (head->ifi_family != AF_UNSPEC)
		return;
	mnl_attr_parse(message, sizeof(*head), take_link_attr, &name);
	if (name == NULL)
		return;
	if (message->nlmsg_type == RTM_DELLINK)
		netlink->out.link(netlink->out.arg, name, 0, false);
	else
		netlink->out.link(netlink->out.arg, name, (unsigned int)head->ifi_index,
		    (head->ifi_flags & both) == both);
}

static int
take_message(const struct nlmsghdr *message, void *data)
{
	struct netlink *netlink = data;
	uint16_t type = message->nlmsg_type;
	size_t len = mnl_nlmsg_get_payload_len(message);

	if ((type == RTM_NEWADDR || type == RTM_DELADDR) &&
	    len >= sizeof(struct ifaddrmsg))
		take_address(netlink, message);
	else if ((type == RTM_NEWLINK || type == RTM_DELLINK) &&
	    len >= sizeof(struct ifinfomsg))
		take_link(netlink, message);
	return MNL_CB_OK;
}

/* Some at a time: a storm of events must not keep the loop from a deadline. */
static void
on_events(void *arg, unsigned int events)
{
	struct netlink *netlink = arg;
	_Alignas(NLMSG_ALIGNTO) char data[ANSWER_SIZE];

	for (int i = 0; i < EVENTS_AT_ONCE; i++) {
		ssize_t len = mnl_socket_recvfrom(netlink->events, data, sizeof(data));
		if (len < 0 && errno == ENOBUFS) {
			netlink->out.lost(netlink->out.arg);
			return;
		}
		if (len < 0)
			return;
		mnl_cb_run(data, (size_t)len, 0, 0, take_message, netlink);
	}
}

static struct mnl_socket *
open_socket(int flags, unsigned int groups)
{
	struct mnl_socket *sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | flags);

	if (sock == NULL)
		return NULL;
	if (mnl_socket_bind(sock, groups, MNL_SOCKET_AUTOPID) == 0)
		return sock;
	int error = errno;
	mnl_socket_close(sock);
	errno = error;
	return NULL;
}

struct netlink *
netlink_new(struct loop *loop, const struct netlink_out *out)
{
	struct netlink *netlink = xcalloc(1, sizeof(*netlink));
	struct timeval limit = { .tv_sec = ANSWER_LIMIT_S };

	netlink->out = *out;
	netlink->orders = open_socket(0, 0);
	if (netlink->orders != NULL)
		netlink->events = open_socket(SOCK_NONBLOCK,
		    RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR);
	if (netlink->events == NULL) {
		int error = errno;
		netlink_free(netlink);
		errno = error;
		return NULL;
	}
	setsockopt(mnl_socket_get_fd(netlink->orders), SOL_SOCKET, SO_RCVTIMEO, &limit,
	    sizeof(limit));
	netlink->io =
	    loop_io_new(loop, mnl_socket_get_fd(netlink->events), on_events, netlink);
	loop_io_watch(netlink->io, LOOP_READ);
	return netlink;
}

void
netlink_free(struct netlink *netlink)
{
	if (netlink == NULL)
		return;
	loop_io_free(netlink->io);
	if (netlink->events != NULL)
		mnl_socket_close(netlink->events);
	if (netlink->orders != NULL)
		mnl_socket_close(netlink->orders);
	free(netlink);
}

/* One order about an address at `data`, numbered; the caller adds what it needs more. */
static struct nlmsghdr *
put_address(struct netlink *netlink, char *data, uint16_t type, uint16_t flags,
    const struct netlink_address *address)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(data);
	struct ifaddrmsg *head =
	    mnl_nlmsg_put_extra_header(message, sizeof(struct ifaddrmsg));
	size_t size = address_size(address->family);

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	message->nlmsg_seq = ++netlink->seq;
	head->ifa_family = (uint8_t)address->family;
	head->ifa_prefixlen = (uint8_t)address->prefix;
	head->ifa_index = address->ifindex;
	mnl_attr_put(message, IFA_LOCAL, size, address->address);
	mnl_attr_put(message, IFA_ADDRESS, size, address->address);
	return message;
}

static size_t
put_set(struct netlink *netlink, char *data, const struct netlink_address *address)
{
	bool v6 = address->family == AF_INET6;
	struct ifa_cacheinfo info = { .ifa_valid = address->valid_s,
		.ifa_prefered = v6 ? 0 : address->valid_s };
	struct nlmsghdr *message = put_address(
	    netlink, data, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, address);

	mnl_attr_put_u32(
	    message, IFA_FLAGS, IFA_F_NOPREFIXROUTE | (v6 ? IFA_F_NODAD : 0));
	mnl_attr_put(message, IFA_CACHEINFO, sizeof(info), &info);
	return MNL_ALIGN(message->nlmsg_len);
}

/* What the kernel says to the orders first .. first + count - 1, in any number of
 * datagrams; answers to older orders, given up on, are passed over. */
static void
await_answers(struct netlink *netlink, uint32_t first, size_t count, int *result)
{
	size_t waiting = count;

	while (waiting > 0) {
		ssize_t got = mnl_socket_recvfrom(
		    netlink->orders, netlink->answer, sizeof(netlink->answer));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			break;
		int len = (int)got;
		for (const struct nlmsghdr *m = (void *)netlink->answer;
		     mnl_nlmsg_ok(m, len); m = mnl_nlmsg_next(m, &len)) {
			const struct nlmsgerr *answer = mnl_nlmsg_get_payload(m);
			uint32_t at = m->nlmsg_seq - first;
			if (m->nlmsg_type != NLMSG_ERROR || at >= count ||
			    result[at] != INT32_MIN)
				continue;
			result[at] = answer->error;
			waiting--;
		}
	}
	for (size_t i = 0; waiting > 0 && i < count; i++)
		if (result[i] == INT32_MIN)
			result[i] = -ETIMEDOUT;
}

static void
send_orders(
    struct netlink *netlink, const char *data, size_t len, size_t count, int *result)
{
	uint32_t first = netlink->seq - (uint32_t)count + 1;
	ssize_t sent = mnl_socket_sendto(netlink->orders, data, len);
	int error = errno;

	for (size_t i = 0; i < count; i++)
		result[i] = sent < 0 ? -error : INT32_MIN;
	if (sent >= 0)
		await_answers(netlink, first, count, result);
}

void
netlink_set(struct netlink *netlink, const struct netlink_address *list, size_t count,
    int *result)
{
	_Alignas(NLMSG_ALIGNTO) char data[BATCH * ORDER_SIZE];

	for (size_t done = 0; done < count;) {
		size_t len = 0, some = 0;
		while (some < BATCH && done + some < count)
			len += put_set(netlink, data + len, &list[done + some++]);
		send_orders(netlink, data, len, some, result + done);
		done += some;
	}
}

int
netlink_delete(struct netlink *netlink, const struct netlink_address *address)
{
	_Alignas(NLMSG_ALIGNTO) char data[ORDER_SIZE];
	int result;

	struct nlmsghdr *message = put_address(netlink, data, RTM_DELADDR, 0, address);
	send_orders(netlink, data, message->nlmsg_len, 1, &result);
	return result == -EADDRNOTAVAIL || result == -ENODEV ? 0 : result;
}

/* One datagram of the dump `seq`: 1 if more follow, 0 at its end, or -errno. `torn`: the
 * lists changed meanwhile and what was told may have holes. */
static int
take_dump(struct netlink *netlink, uint32_t seq, int len, bool *torn)
{
	for (const struct nlmsghdr *m = (void *)netlink->answer; mnl_nlmsg_ok(m, len);
	     m = mnl_nlmsg_next(m, &len)) {
		if (m->nlmsg_seq != seq)
			continue;
		*torn = *torn || (m->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		if (m->nlmsg_type == NLMSG_DONE)
			return 0;
		if (m->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *answer = mnl_nlmsg_get_payload(m);
			return answer->error;
		}
		take_message(m, netlink);
	}
	return 1;
}

/* 0 or -errno; -EINTR: torn. */
static int
dump(struct netlink *netlink, uint16_t type, size_t head_size)
{
	_Alignas(NLMSG_ALIGNTO) char data[ORDER_SIZE];
	struct nlmsghdr *message = mnl_nlmsg_put_header(data);
	bool torn = false;
	int more = 1;

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	message->nlmsg_seq = ++netlink->seq;
	mnl_nlmsg_put_extra_header(message, head_size); /* zero: of all families */
	if (mnl_socket_sendto(netlink->orders, message, message->nlmsg_len) < 0)
		return -errno;
	while (more > 0) {
		ssize_t len = mnl_socket_recvfrom(
		    netlink->orders, netlink->answer, sizeof(netlink->answer));
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		more = take_dump(netlink, message->nlmsg_seq, (int)len, &torn);
	}
	return more == 0 && torn ? -EINTR : more;
}

static int
dump_whole(struct netlink *netlink, uint16_t type, size_t head_size)
{
	int error = dump(netlink, type, head_size);

	for (int i = 1; error == -EINTR && i < DUMPS_MAX; i++)
		error = dump(netlink, type, head_size);
	return error;
}

int
netlink_dump(struct netlink *netlink)
{
	int error = dump_whole(netlink, RTM_GETLINK, sizeof(struct ifinfomsg));

	if (error != 0)
		return error;
	return dump_whole(netlink, RTM_GETADDR, sizeof(struct ifaddrmsg));
}
