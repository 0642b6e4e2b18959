/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_NETLINK_STATE_H
#define LICTOR_NETLINK_STATE_H

#include <libmnl/libmnl.h>
#include <stdint.h>

#include "agent/warden/netlink.h"

/*
 * What the files netlink*.c share, and nobody else sees: the sockets and the ways to ask the
 * kernel. One order or one dump goes on at a time, since there is one buffer for answers.
 */

#define NETLINK_ORDER_SIZE 256 /* more than one order or request takes */
#define NETLINK_ANSWER_SIZE 32768

/* Who made an address, a route or a rule (IFA_PROTO, rtm_protocol, FRA_PROTOCOL). A number
 * that linux/rtnetlink.h gives to nobody, nor a routing daemon to itself: what bears it is
 * taken for ours, and removed. */
#define NETLINK_PROTOCOL 108

struct netlink {
	struct netlink_out out;
	struct mnl_socket *orders, *events;
	struct loop_io *io;
	uint32_t seq;
	_Alignas(NLMSG_ALIGNTO) char answer[NETLINK_ANSWER_SIZE];
};

typedef void netlink_take(void *arg, const struct nlmsghdr *message);

/* `count` orders at `data`, each with NLM_F_ACK and numbered by ++netlink->seq, the last one
 * last; result[i] is the kernel's answer: 0 or -errno, -ETIMEDOUT if there was none. */
void netlink_send(struct netlink *netlink, const char *data, size_t len, size_t count,
    int *result);
/* A single order: flags and number are put in here. 0 or -errno. */
int netlink_order(struct netlink *netlink, struct nlmsghdr *message);
/* A dump, tried again as long as it has holes: each of its messages to `take`, which must ask
 * nothing itself and may be told of a thing twice. 0 or -errno. */
int netlink_ask(struct netlink *netlink, struct nlmsghdr *request, netlink_take *take,
    void *arg);

/* The same for a thing that the request names. -errno also if there is none. */
int netlink_get(struct netlink *netlink, struct nlmsghdr *request, netlink_take *take,
    void *arg);

/* The attributes behind a head of `head` bytes, or in a nest, by their types up to `max`
 * (`attrs` has max + 1 members, all are set). */
void netlink_attributes(const struct nlmsghdr *message, size_t head,
    const struct nlattr **attrs, uint16_t max);
void netlink_nested(
    const struct nlattr *nest, const struct nlattr **attrs, uint16_t max);
/* Copies a name, cut to what fits; "" for NULL or one that is none. */
void netlink_name(const struct nlattr *attr, char *name, size_t size);

/* News for `out`, of events and of dumps alike. */
void netlink_take_address(struct netlink *netlink, const struct nlmsghdr *message);
void netlink_take_link(struct netlink *netlink, const struct nlmsghdr *message);
void netlink_take_hook(struct netlink *netlink, const struct nlmsghdr *message);

#endif
