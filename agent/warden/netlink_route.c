/* SPDX-License-Identifier: ISC */
/*
 * Routes and rules that go with an address. All that is set here bears our protocol number,
 * and nothing else is ever removed or listed: what somebody else set in the same words
 * stays. When they come and go is routes' to say.
 */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>

#include "agent/conf/conf.h"
#include "agent/warden/netlink_state.h"

static size_t
address_size(int family)
{
	return family == AF_INET ? 4 : 16;
}

/* Deleting: of any scope. */
static unsigned char
scope_of(bool add, const struct conf_route *route)
{
	if (!add)
		return RT_SCOPE_NOWHERE;
	return route->has_via || route->family == AF_INET6 ? RT_SCOPE_UNIVERSE
							   : RT_SCOPE_LINK;
}

int
netlink_route(struct netlink *netlink, bool add, unsigned int ifindex,
    const struct conf_route *route, const unsigned char *source)
{
	_Alignas(NLMSG_ALIGNTO) char data[NETLINK_ORDER_SIZE];
	struct nlmsghdr *message = mnl_nlmsg_put_header(data);
	struct rtmsg *head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	size_t size = address_size(route->family);

	message->nlmsg_type = add ? RTM_NEWROUTE : RTM_DELROUTE;
	message->nlmsg_flags = add ? NLM_F_CREATE | NLM_F_EXCL : 0;
	*head = (struct rtmsg){ .rtm_family = (unsigned char)route->family,
		.rtm_dst_len = (unsigned char)route->to_prefix,
		.rtm_protocol = NETLINK_PROTOCOL,
		.rtm_scope = scope_of(add, route),
		.rtm_type = RTN_UNICAST,
		/* an interface needs no network of its own for its gateway */
		.rtm_flags = route->has_via ? RTNH_F_ONLINK : 0 };
	mnl_attr_put_u32(message, RTA_TABLE, route->table);
	mnl_attr_put_u32(message, RTA_OIF, ifindex);
	if (route->to_prefix > 0)
		mnl_attr_put(message, RTA_DST, size, route->to);
	if (route->has_via)
		mnl_attr_put(message, RTA_GATEWAY, size, route->via);
	if (route->metric > 0)
		mnl_attr_put_u32(message, RTA_PRIORITY, route->metric);
	if (add)
		mnl_attr_put(message, RTA_PREFSRC, size, source);
	int error = netlink_order(netlink, message);
	return !add && (error == -ESRCH || error == -ENODEV) ? 0 : error;
}

int
netlink_rule(struct netlink *netlink, bool add, const struct conf_rule *rule)
{
	_Alignas(NLMSG_ALIGNTO) char data[NETLINK_ORDER_SIZE];
	struct nlmsghdr *message = mnl_nlmsg_put_header(data);
	struct fib_rule_hdr *head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	size_t size = address_size(rule->family);

	message->nlmsg_type = add ? RTM_NEWRULE : RTM_DELRULE;
	message->nlmsg_flags = add ? NLM_F_CREATE | NLM_F_EXCL : 0;
	*head = (struct fib_rule_hdr){ .family = (unsigned char)rule->family,
		.dst_len = (unsigned char)rule->to_prefix,
		.src_len = (unsigned char)rule->from_prefix,
		.action = FR_ACT_TO_TBL };
	mnl_attr_put_u32(message, FRA_TABLE, rule->table);
	mnl_attr_put_u32(message, FRA_PRIORITY, rule->priority);
	mnl_attr_put_u8(message, FRA_PROTOCOL, NETLINK_PROTOCOL);
	if (rule->from_prefix > 0)
		mnl_attr_put(message, FRA_SRC, size, rule->from);
	if (rule->to_prefix > 0)
		mnl_attr_put(message, FRA_DST, size, rule->to);
	int error = netlink_order(netlink, message);
	return !add && error == -ENOENT ? 0 : error;
}

static void
take_address(const struct nlattr *attr, int family, unsigned char *out)
{
	size_t size = address_size(family);

	if (attr != NULL && mnl_attr_get_payload_len(attr) == size)
		memcpy(out, mnl_attr_get_payload(attr), size);
}

static uint32_t
take_number(const struct nlattr *attr)
{
	return attr != NULL && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0
	    ? mnl_attr_get_u32(attr)
	    : 0;
}

static void
take_route(const struct netlink_listing *listing, const struct nlmsghdr *message)
{
	const struct rtmsg *head = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[RTA_TABLE + 1];

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*head) ||
	    head->rtm_protocol != NETLINK_PROTOCOL ||
	    (head->rtm_family != AF_INET && head->rtm_family != AF_INET6))
		return;
	netlink_attributes(message, sizeof(*head), attrs, RTA_TABLE);
	struct conf_route route = { .family = head->rtm_family,
		.to_prefix = head->rtm_dst_len,
		.has_via = attrs[RTA_GATEWAY] != NULL,
		.table = take_number(attrs[RTA_TABLE]),
		.metric = take_number(attrs[RTA_PRIORITY]) };
	take_address(attrs[RTA_DST], route.family, route.to);
	take_address(attrs[RTA_GATEWAY], route.family, route.via);
	listing->route(listing->arg, &route, take_number(attrs[RTA_OIF]));
}

static void
take_rule(const struct netlink_listing *listing, const struct nlmsghdr *message)
{
	const struct fib_rule_hdr *head = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[FRA_PROTOCOL + 1];

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*head) ||
	    (head->family != AF_INET && head->family != AF_INET6))
		return;
	netlink_attributes(message, sizeof(*head), attrs, FRA_PROTOCOL);
	const struct nlattr *protocol = attrs[FRA_PROTOCOL];
	if (protocol == NULL || mnl_attr_validate(protocol, MNL_TYPE_U8) < 0 ||
	    mnl_attr_get_u8(protocol) != NETLINK_PROTOCOL)
		return;
	struct conf_rule rule = { .family = head->family,
		.from_prefix = head->src_len,
		.to_prefix = head->dst_len,
		.table = take_number(attrs[FRA_TABLE]),
		.priority = take_number(attrs[FRA_PRIORITY]) };
	take_address(attrs[FRA_SRC], rule.family, rule.from);
	take_address(attrs[FRA_DST], rule.family, rule.to);
	listing->rule(listing->arg, &rule);
}

static void
take_message(void *arg, const struct nlmsghdr *message)
{
	if (message->nlmsg_type == RTM_NEWROUTE)
		take_route(arg, message);
	else if (message->nlmsg_type == RTM_NEWRULE)
		take_rule(arg, message);
}

/* A kernel without the family, or without rules, has none. */
static int
list(struct netlink *netlink, uint16_t type, int family,
    const struct netlink_listing *listing)
{
	_Alignas(NLMSG_ALIGNTO) char data[NETLINK_ORDER_SIZE];
	struct nlmsghdr *request = mnl_nlmsg_put_header(data);
	/* the head of a rule is as long, and its family comes first as well */
	struct rtmsg *head = mnl_nlmsg_put_extra_header(request, sizeof(*head));

	_Static_assert(sizeof(struct rtmsg) == sizeof(struct fib_rule_hdr),
	    "the heads of routes and rules differ");
	request->nlmsg_type = type;
	head->rtm_family = (unsigned char)family;
	int error =
	    netlink_ask(netlink, request, take_message, (void *)(uintptr_t)listing);
	return error == -EOPNOTSUPP || error == -EAFNOSUPPORT ? 0 : error;
}

int
netlink_list_routes(struct netlink *netlink, const struct netlink_listing *listing)
{
	static const uint16_t types[] = { RTM_GETROUTE, RTM_GETRULE };
	static const int families[] = { AF_INET, AF_INET6 };
	int error = 0;

	for (size_t i = 0; i < 4 && error == 0; i++)
		error = list(netlink, types[i / 2], families[i % 2], listing);
	return error;
}
