/* SPDX-License-Identifier: ISC */
/*
 * Addresses of interfaces. One that is set here always has a lifetime, takes no route along
 * when it goes, and is never the source of this host's own connections (IPv6: deprecated). It
 * bears our label and our protocol number, by which a later lictord knows what one before
 * has left (a kernel renames labels with their interface, and one before 5.18 knows no
 * protocol numbers of addresses: either will do).
 */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/util.h"
#include "agent/warden/netlink_state.h"

#define BATCH 64
#define LABEL "lictor"

/* Since Linux 5.18; newer than some headers. */
#define ADDRESS_PROTOCOL 11
#define ADDRESS_MAX (IFA_MAX > ADDRESS_PROTOCOL ? IFA_MAX : ADDRESS_PROTOCOL)

static size_t
address_size(int family)
{
	return family == AF_INET ? 4 : 16;
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

static bool
is_ours(const struct nlattr *const *attrs)
{
	const struct nlattr *protocol = attrs[ADDRESS_PROTOCOL];
	char label[IF_NAMESIZE];

	netlink_name(attrs[IFA_LABEL], label, sizeof(label));
	return strcmp(label, LABEL) == 0 ||
	    (protocol != NULL && mnl_attr_get_payload_len(protocol) == 1 &&
		mnl_attr_get_u8(protocol) == NETLINK_PROTOCOL);
}

void
netlink_take_address(struct netlink *netlink, const struct nlmsghdr *message)
{
	const struct ifaddrmsg *head = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[ADDRESS_MAX + 1];

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*head) ||
	    (head->ifa_family != AF_INET && head->ifa_family != AF_INET6))
		return;
	struct netlink_address address = { .family = head->ifa_family,
		.prefix = head->ifa_prefixlen,
		.ifindex = head->ifa_index };
	netlink_attributes(message, sizeof(*head), attrs, ADDRESS_MAX);
	/* with a peer, IFA_ADDRESS is the peer's */
	const struct nlattr *own =
	    attrs[IFA_LOCAL] != NULL ? attrs[IFA_LOCAL] : attrs[IFA_ADDRESS];
	size_t size = address_size(address.family);
	if (own == NULL || mnl_attr_get_payload_len(own) != size)
		return;
	memcpy(address.address, mnl_attr_get_payload(own), size);
	address.valid_s = lifetime_left(head, attrs);
	address.ours = is_ours(attrs);
	netlink->out.address(
	    netlink->out.arg, &address, message->nlmsg_type == RTM_NEWADDR);
}

/* An order about an address at `data`; the caller adds what it needs more. */
static struct nlmsghdr *
put_address(char *data, uint16_t type, const struct netlink_address *address)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(data);
	struct ifaddrmsg *head =
	    mnl_nlmsg_put_extra_header(message, sizeof(struct ifaddrmsg));
	size_t size = address_size(address->family);

	message->nlmsg_type = type;
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
	struct nlmsghdr *message = put_address(data, RTM_NEWADDR, address);

	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
	message->nlmsg_seq = ++netlink->seq;
	mnl_attr_put_u32(
	    message, IFA_FLAGS, IFA_F_NOPREFIXROUTE | (v6 ? IFA_F_NODAD : 0));
	mnl_attr_put(message, IFA_CACHEINFO, sizeof(info), &info);
	mnl_attr_put_u8(message, ADDRESS_PROTOCOL, NETLINK_PROTOCOL);
	if (!v6)
		mnl_attr_put_strz(message, IFA_LABEL, LABEL);
	return MNL_ALIGN(message->nlmsg_len);
}

void
netlink_set(struct netlink *netlink, const struct netlink_address *list, size_t count,
    int *result)
{
	_Alignas(NLMSG_ALIGNTO) char data[BATCH * NETLINK_ORDER_SIZE] = { 0 };

	for (size_t done = 0; done < count;) {
		size_t len = 0, some = 0;
		while (some < BATCH && done + some < count)
			len += put_set(netlink, data + len, &list[done + some++]);
		netlink_send(netlink, data, len, some, result + done);
		done += some;
	}
}

int
netlink_delete(struct netlink *netlink, const struct netlink_address *address)
{
	_Alignas(NLMSG_ALIGNTO) char data[NETLINK_ORDER_SIZE] = { 0 };
	int error = netlink_order(netlink, put_address(data, RTM_DELADDR, address));

	return error == -EADDRNOTAVAIL || error == -ENODEV ? 0 : error;
}
