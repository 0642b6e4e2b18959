/* SPDX-License-Identifier: ISC */
/*
 * Which filters an interface's frames pass by, in the order of the kernel, which is that of
 * the dump: the fence stands or falls with being the first. Attaching is libbpf's (fence);
 * here is only looking, and taking away a filter of ours.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>

#include "agent/warden/netlink_state.h"

static uint32_t
parent_of(bool out)
{
	return TC_H_MAKE(TC_H_CLSACT, out ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
}

void
netlink_take_hook(struct netlink *netlink, const struct nlmsghdr *message)
{
	const struct tcmsg *head = mnl_nlmsg_get_payload(message);

	if (netlink->out.hook == NULL ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(*head))
		return;
	if (message->nlmsg_type == RTM_DELQDISC && head->tcm_parent != TC_H_CLSACT)
		return;
	netlink->out.hook(netlink->out.arg, (unsigned int)head->tcm_ifindex);
}

static struct nlmsghdr *
put_request(char *data, uint16_t type, unsigned int ifindex, uint32_t parent)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(data);
	struct tcmsg *head = mnl_nlmsg_put_extra_header(message, sizeof(struct tcmsg));

	message->nlmsg_type = type;
	head->tcm_family = AF_UNSPEC;
	head->tcm_ifindex = (int)ifindex;
	head->tcm_parent = parent;
	return message;
}

struct looking {
	uint32_t priority, handle;
	struct netlink_hook *hook;
};

static void
take_qdisc(void *arg, const struct nlmsghdr *message)
{
	const struct looking *looking = arg;
	const struct nlattr *attrs[TCA_KIND + 1];
	const size_t head = sizeof(struct tcmsg);

	if (mnl_nlmsg_get_payload_len(message) < head)
		return;
	netlink_attributes(message, head, attrs, TCA_KIND);
	netlink_name(
	    attrs[TCA_KIND], looking->hook->qdisc, sizeof(looking->hook->qdisc));
}

static void
take_program(const struct nlattr *options, struct netlink_filter *filter)
{
	const struct nlattr *attrs[TCA_BPF_MAX + 1];

	filter->name[0] = '\0';
	if (options == NULL)
		return;
	netlink_nested(options, attrs, TCA_BPF_MAX);
	netlink_name(attrs[TCA_BPF_NAME], filter->name, sizeof(filter->name));
	if (attrs[TCA_BPF_ID] != NULL &&
	    mnl_attr_validate(attrs[TCA_BPF_ID], MNL_TYPE_U32) >= 0)
		filter->program = mnl_attr_get_u32(attrs[TCA_BPF_ID]);
}

static void
take_filter(void *arg, const struct nlmsghdr *message)
{
	struct looking *looking = arg;
	const struct tcmsg *head = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[TCA_OPTIONS + 1];

	/* handle 0: not a filter but the place for some */
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*head) || head->tcm_handle == 0)
		return;
	struct netlink_filter filter = { .priority = TC_H_MAJ(head->tcm_info) >> 16,
		.handle = head->tcm_handle };
	netlink_attributes(message, sizeof(*head), attrs, TCA_OPTIONS);
	netlink_name(attrs[TCA_KIND], filter.name, sizeof(filter.name));
	if (strcmp(filter.name, "bpf") == 0)
		take_program(attrs[TCA_OPTIONS], &filter);
	if (looking->hook->first.handle == 0)
		looking->hook->first = filter;
	if (filter.priority == looking->priority && filter.handle == looking->handle)
		looking->hook->fixed = filter;
}

/* The kernel shows the answer to everybody who listens to changes of tc, so this is not a
 * question for each look. */
static int
ask_qdisc(struct netlink *netlink, unsigned int ifindex, struct looking *looking)
{
	_Alignas(NLMSG_ALIGNTO) char data[NETLINK_ORDER_SIZE];
	int error = netlink_get(netlink,
	    put_request(data, RTM_GETQDISC, ifindex, TC_H_CLSACT), take_qdisc, looking);

	return error == -ENOENT ? 0 : error;
}

int
netlink_hooks(struct netlink *netlink, unsigned int ifindex, bool out,
    uint32_t priority, uint32_t handle, struct netlink_hook *hook)
{
	_Alignas(NLMSG_ALIGNTO) char data[NETLINK_ORDER_SIZE];
	struct netlink_hook found = { 0 };
	struct looking looking = { priority, handle, &found };
	struct nlmsghdr *request =
	    put_request(data, RTM_GETTFILTER, ifindex, parent_of(out));

	mnl_attr_put_u32(request, TCA_CHAIN, 0);
	int error = netlink_ask(netlink, request, take_filter, &looking);
	if (error == 0 && found.fixed.handle == 0)
		error = ask_qdisc(netlink, ifindex, &looking);
	if (error == 0)
		*hook = found;
	return error;
}

int
netlink_hook_delete(struct netlink *netlink, unsigned int ifindex, bool out,
    uint32_t priority, uint32_t handle)
{
	_Alignas(NLMSG_ALIGNTO) char data[NETLINK_ORDER_SIZE];
	struct nlmsghdr *order =
	    put_request(data, RTM_DELTFILTER, ifindex, parent_of(out));
	struct tcmsg *head = mnl_nlmsg_get_payload(order);

	head->tcm_handle = handle;
	head->tcm_info = TC_H_MAKE(priority << 16, htons(ETH_P_ALL));
	mnl_attr_put_strz(order, TCA_KIND, "bpf");
	int error = netlink_order(netlink, order);
	return error == -ENOENT || error == -ENODEV || error == -EINVAL ? 0 : error;
}
