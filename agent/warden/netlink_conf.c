/* SPDX-License-Identifier: ISC */
/*
 * Whether an interface forwards IPv6: its advertisements say so (RFC 4861 4.4), and hosts
 * that see a router's flag fall take its routes out of their tables (7.2.5), so ours must
 * say what the kernel's own do. Asked of rtnetlink, since /proc is closed to the warden.
 */
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "agent/warden/netlink_state.h"

static void
take_forwarding(void *arg, const struct nlmsghdr *message)
{
	const struct nlattr *attrs[NETCONFA_FORWARDING + 1];
	bool *forwards = arg;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(struct netconfmsg))
		return;
	netlink_attributes(
	    message, sizeof(struct netconfmsg), attrs, NETCONFA_FORWARDING);
	const struct nlattr *value = attrs[NETCONFA_FORWARDING];
	if (value != NULL && mnl_attr_validate(value, MNL_TYPE_U32) >= 0)
		*forwards = mnl_attr_get_u32(value) != 0;
}

bool
netlink_forwards(struct netlink *netlink, unsigned int ifindex)
{
	_Alignas(NLMSG_ALIGNTO) char data[NETLINK_ORDER_SIZE];
	struct nlmsghdr *request = mnl_nlmsg_put_header(data);
	struct netconfmsg *head =
	    mnl_nlmsg_put_extra_header(request, sizeof(struct netconfmsg));
	bool forwards = false;

	request->nlmsg_type = RTM_GETNETCONF;
	head->ncm_family = AF_INET6;
	mnl_attr_put_u32(request, NETCONFA_IFINDEX, ifindex);
	return netlink_get(netlink, request, take_forwarding, &forwards) == 0 &&
	    forwards;
}
