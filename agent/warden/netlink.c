/* SPDX-License-Identifier: ISC */
/*
 * The kernel of this network namespace, by rtnetlink: the files netlink*.c alone know libmnl.
 * Orders have a socket of their own, and each is over when the kernel has answered it, so
 * "done" means done; what anybody else changes is told by events on the other socket. Nothing
 * is remembered here. This file has the sockets, the orders, the dumps and the events; what
 * they say of addresses, links and hooks is in netlink_address, netlink_link, netlink_tc.
 */
#include "agent/warden/netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/warden/netlink_state.h"

#define ANSWER_LIMIT_S 1
#define DUMPS_MAX 8
#define EVENTS_SIZE \
	(4 << 20) /* of what waits; a thousand interfaces are 2 MB of news */
#define EVENTS_AT_ONCE 16 /* each may mean orders to a kernel that is busy */

static void
forget_attributes(const struct nlattr **attrs, uint16_t max)
{
	for (size_t i = 0; i <= max; i++)
		attrs[i] = NULL;
}

void
netlink_attributes(const struct nlmsghdr *message, size_t head,
    const struct nlattr **attrs, uint16_t max)
{
	const struct nlattr *attr;

	forget_attributes(attrs, max);
	mnl_attr_for_each(attr, message, head)
	{
		if (mnl_attr_get_type(attr) <= max)
			attrs[mnl_attr_get_type(attr)] = attr;
	}
}

void
netlink_nested(const struct nlattr *nest, const struct nlattr **attrs, uint16_t max)
{
	const struct nlattr *attr;

	forget_attributes(attrs, max);
	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_type(attr) <= max)
			attrs[mnl_attr_get_type(attr)] = attr;
	}
}

void
netlink_name(const struct nlattr *attr, char *name, size_t size)
{
	size_t len = 0;

	if (attr != NULL && mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0) {
		const char *text = mnl_attr_get_str(attr);
		len = strnlen(text, size - 1);
		memcpy(name, text, len);
	}
	name[len] = '\0';
}

static void
take_message(void *arg, const struct nlmsghdr *message)
{
	struct netlink *netlink = arg;

	switch (message->nlmsg_type) {
	case RTM_NEWADDR:
	case RTM_DELADDR: netlink_take_address(netlink, message); break;
	case RTM_NEWLINK:
	case RTM_DELLINK: netlink_take_link(netlink, message); break;
	case RTM_DELQDISC:
	case RTM_NEWTFILTER:
	case RTM_DELTFILTER: netlink_take_hook(netlink, message); break;
	default: break;
	}
}

static int
take_event(const struct nlmsghdr *message, void *data)
{
	take_message(data, message);
	return MNL_CB_OK;
}

/* Some at a time: a storm of events must not keep the loop from a deadline. */
static void
on_events(void *arg, unsigned int events)
{
	struct netlink *netlink = arg;
	_Alignas(NLMSG_ALIGNTO) char data[NETLINK_ANSWER_SIZE];

	for (int i = 0; i < EVENTS_AT_ONCE; i++) {
		ssize_t len = mnl_socket_recvfrom(netlink->events, data, sizeof(data));
		if (len < 0 && errno == ENOBUFS) {
			netlink->out.lost(netlink->out.arg);
			return;
		}
		if (len < 0)
			return;
		mnl_cb_run(data, (size_t)len, 0, 0, take_event, netlink);
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
	int events_size = EVENTS_SIZE;

	netlink->out = *out;
	netlink->orders = open_socket(0, 0);
	if (netlink->orders != NULL)
		netlink->events = open_socket(SOCK_NONBLOCK,
		    RTMGRP_LINK | RTMGRP_TC | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR);
	if (netlink->events == NULL) {
		int error = errno;
		netlink_free(netlink);
		errno = error;
		return NULL;
	}
	setsockopt(mnl_socket_get_fd(netlink->orders), SOL_SOCKET, SO_RCVTIMEO, &limit,
	    sizeof(limit));
	/* without the right to it, or where it is forbidden, more is lost, and asked for */
	setsockopt(mnl_socket_get_fd(netlink->events), SOL_SOCKET, SO_RCVBUFFORCE,
	    &events_size, sizeof(events_size));
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

void
netlink_send(
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

int
netlink_order(struct netlink *netlink, struct nlmsghdr *message)
{
	int result;

	message->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	message->nlmsg_seq = ++netlink->seq;
	netlink_send(netlink, (const char *)message, message->nlmsg_len, 1, &result);
	return result;
}

struct asking {
	uint32_t seq;
	netlink_take *take;
	void *arg;
	bool torn; /* the lists changed meanwhile: what was told may have holes */
};

/* One datagram of the answer: 1 if more follow, 0 at its end, or -errno. */
static int
take_dump(const struct netlink *netlink, struct asking *asking, int len)
{
	for (const struct nlmsghdr *m = (const void *)netlink->answer;
	     mnl_nlmsg_ok(m, len); m = mnl_nlmsg_next(m, &len)) {
		if (m->nlmsg_seq != asking->seq)
			continue;
		asking->torn = asking->torn || (m->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		if (m->nlmsg_type == NLMSG_DONE)
			return 0;
		if (m->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *answer = mnl_nlmsg_get_payload(m);
			return answer->error;
		}
		asking->take(asking->arg, m);
	}
	return 1;
}

/* 0 or -errno; -EINTR: torn. */
static int
ask_once(struct netlink *netlink, struct nlmsghdr *request, struct asking *asking)
{
	int more = 1;

	request->nlmsg_seq = asking->seq = ++netlink->seq;
	asking->torn = false;
	if (mnl_socket_sendto(netlink->orders, request, request->nlmsg_len) < 0)
		return -errno;
	while (more > 0) {
		ssize_t len = mnl_socket_recvfrom(
		    netlink->orders, netlink->answer, sizeof(netlink->answer));
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		more = take_dump(netlink, asking, (int)len);
	}
	return more == 0 && asking->torn ? -EINTR : more;
}

int
netlink_ask(
    struct netlink *netlink, struct nlmsghdr *request, netlink_take *take, void *arg)
{
	struct asking asking = { .take = take, .arg = arg };

	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	int error = ask_once(netlink, request, &asking);

	for (int i = 1; error == -EINTR && i < DUMPS_MAX; i++)
		error = ask_once(netlink, request, &asking);
	return error;
}

int
netlink_get(
    struct netlink *netlink, struct nlmsghdr *request, netlink_take *take, void *arg)
{
	struct asking asking = { .take = take, .arg = arg };

	/* without ECHO some answers are told to those who listen, not to who asked */
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_ECHO;
	return ask_once(netlink, request, &asking);
}

static int
dump(struct netlink *netlink, uint16_t type, size_t head_size)
{
	_Alignas(NLMSG_ALIGNTO) char data[NETLINK_ORDER_SIZE];
	struct nlmsghdr *request = mnl_nlmsg_put_header(data);

	request->nlmsg_type = type;
	mnl_nlmsg_put_extra_header(request, head_size); /* zero: of all families */
	return netlink_ask(netlink, request, take_message, netlink);
}

int
netlink_dump(struct netlink *netlink)
{
	int error = dump(netlink, RTM_GETLINK, sizeof(struct ifinfomsg));

	if (error != 0)
		return error;
	return dump(netlink, RTM_GETADDR, sizeof(struct ifaddrmsg));
}
