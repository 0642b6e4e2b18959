/* SPDX-License-Identifier: ISC */
/*
 * What the kernel tells of an interface: its name and state, what it is made of and what it
 * belongs to, which decides where the fence must stand.
 */
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/warden/netlink_state.h"

/* linux/if.h, which names it, does not go together with net/if.h. */
#define LOWER_UP 0x10000u

static unsigned int
number(const struct nlattr *attr)
{
	return attr != NULL && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0
	    ? mnl_attr_get_u32(attr)
	    : 0;
}

static uint8_t
bond_mode(const struct nlattr *data)
{
	const struct nlattr *attrs[IFLA_BOND_MODE + 1];

	if (data == NULL)
		return 0;
	netlink_nested(data, attrs, IFLA_BOND_MODE);
	const struct nlattr *mode = attrs[IFLA_BOND_MODE];
	return mode != NULL && mnl_attr_get_payload_len(mode) == 1
	    ? mnl_attr_get_u8(mode)
	    : 0;
}

static void
take_kind(const struct nlattr *nest, struct netlink_link *link)
{
	const struct nlattr *attrs[IFLA_INFO_MAX + 1];

	if (nest == NULL)
		return;
	netlink_nested(nest, attrs, IFLA_INFO_MAX);
	netlink_name(attrs[IFLA_INFO_KIND], link->kind, sizeof(link->kind));
	netlink_name(
	    attrs[IFLA_INFO_SLAVE_KIND], link->port_kind, sizeof(link->port_kind));
	if (strcmp(link->kind, "bond") == 0)
		link->bond_mode = bond_mode(attrs[IFLA_INFO_DATA]);
}

static void
take_mac(const struct nlattr *attr, struct netlink_link *link)
{
	link->has_mac =
	    attr != NULL && mnl_attr_get_payload_len(attr) == sizeof(link->mac);
	if (link->has_mac)
		memcpy(link->mac, mnl_attr_get_payload(attr), sizeof(link->mac));
}

void
netlink_take_link(struct netlink *netlink, const struct nlmsghdr *message)
{
	const struct ifinfomsg *head = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[IFLA_MAX + 1];
	const unsigned int both = IFF_UP | LOWER_UP;

	/* a bridge tells of its ports on the same group: those do not come or go */
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*head) ||
	    head->ifi_family != AF_UNSPEC)
		return;
	netlink_attributes(message, sizeof(*head), attrs, IFLA_MAX);
	if (attrs[IFLA_IFNAME] == NULL)
		return;
	struct netlink_link link = { .ifindex = (unsigned int)head->ifi_index,
		.master = number(attrs[IFLA_MASTER]),
		.type = head->ifi_type,
		.up = (head->ifi_flags & both) == both,
		.loopback = (head->ifi_flags & IFF_LOOPBACK) != 0 };
	netlink_name(attrs[IFLA_IFNAME], link.name, sizeof(link.name));
	/* an index of another namespace would name a stranger */
	if (attrs[IFLA_LINK_NETNSID] == NULL)
		link.lower = number(attrs[IFLA_LINK]);
	take_kind(attrs[IFLA_LINKINFO], &link);
	take_mac(attrs[IFLA_ADDRESS], &link);
	netlink->out.link(netlink->out.arg, &link, message->nlmsg_type == RTM_DELLINK);
}
