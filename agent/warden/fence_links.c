/* SPDX-License-Identifier: ISC */
/*
 * Which interfaces the fence must be on: Linux answers for any of its addresses on any
 * interface, so on each through which frames come to this host or leave it. The ports of a
 * bridge, a bond or a team hand theirs to their master, which has the fence for them all,
 * but for a bond in balance-alb, which sends ARP of its own by its ports. What has an upper
 * one with another address (VLAN, macvlan) is a way in itself and has it as well.
 *
 * Pure: knows links as the kernel tells of them, and asks nobody.
 */
#include "agent/warden/fence_links.h"

#include <net/if_arp.h>
#include <string.h>

#include "agent/warden/fence_map.h"
#include "agent/warden/netlink.h"

#define ETHERNET_HEADER 14
/* linux/if_bonding.h, which does not go together with net/if.h */
#define BOND_MODE_ALB 6

static const struct netlink_link *
find(const struct netlink_link *links, size_t count, unsigned int ifindex)
{
	for (size_t i = 0; i < count; i++)
		if (links[i].ifindex == ifindex)
			return &links[i];
	return NULL;
}

/* Whether all that passes the link passes a master that has the fence. */
static bool
is_covered(
    const struct netlink_link *link, const struct netlink_link *links, size_t count)
{
	const struct netlink_link *master =
	    link->master == 0 ? NULL : find(links, count, link->master);

	if (master == NULL || master == link)
		return false;
	if (strcmp(link->port_kind, "bond") == 0)
		return master->bond_mode != BOND_MODE_ALB;
	return strcmp(link->port_kind, "bridge") == 0 ||
	    strcmp(link->port_kind, "team") == 0;
}

static bool
has_known_header(uint16_t type, unsigned int *l2_length)
{
	switch (type) {
	case ARPHRD_ETHER: *l2_length = ETHERNET_HEADER; return true;
	case ARPHRD_NONE: /* tun, wireguard */
	case ARPHRD_PPP:
	case ARPHRD_TUNNEL: /* ipip */ *l2_length = 0; return true;
	default: return false;
	}
}

enum fence_need
fence_need(const struct netlink_link *link, const struct netlink_link *links,
    size_t count, unsigned int *l2_length)
{
	if (link->loopback || is_covered(link, links, count))
		return FENCE_NOT_NEEDED;
	if (has_known_header(link->type, l2_length))
		return FENCE_NEEDED;
	return link->up ? FENCE_IMPOSSIBLE : FENCE_NOT_NEEDED;
}

bool
fence_is_ours(const char *name, bool out)
{
	const char *ours = out ? FENCE_OUT : FENCE_IN;

	return strncmp(name, ours, strlen(ours)) == 0;
}
