/* SPDX-License-Identifier: ISC */
/*
 * Where the fence must be, on made-up links: every type of link layer, as a port of every
 * kind of master in every mode, known and unknown, against the rule; and the few pictures
 * of it that people have of their machines.
 */
#include "agent/warden/fence_links.h"

#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/warden/fence_map.h"
#include "agent/warden/netlink.h"
#include "tests/unit/tap.h"

#define TYPES 65536
#define MODES 7 /* of a bond, balance-alb the last */
#define ALB 6

enum master { NO_MASTER, KNOWN_MASTER, UNKNOWN_MASTER, MASTERS };

static const char *const port_kinds[] = { "", "bridge", "bond", "team", "vrf",
	"openvswitch", "bridge_slave" };

/* What the link layer puts before a packet; -1: not known. */
static int
header_of(unsigned int type)
{
	if (type == ARPHRD_ETHER)
		return 14;
	return type == ARPHRD_NONE || type == ARPHRD_PPP || type == ARPHRD_TUNNEL ? 0
										  : -1;
}

static bool
is_handed_up(enum master master, const char *kind, unsigned int mode)
{
	if (master != KNOWN_MASTER)
		return false;
	return strcmp(kind, "bridge") == 0 || strcmp(kind, "team") == 0 ||
	    (strcmp(kind, "bond") == 0 && mode != ALB);
}

static enum fence_need
rule(const struct netlink_link *link, enum master master, unsigned int mode)
{
	if (link->loopback || is_handed_up(master, link->port_kind, mode))
		return FENCE_NOT_NEEDED;
	if (header_of(link->type) >= 0)
		return FENCE_NEEDED;
	return link->up ? FENCE_IMPOSSIBLE : FENCE_NOT_NEEDED;
}

static bool
fits(const struct netlink_link *link, enum master master, unsigned int mode)
{
	const struct netlink_link links[] = { *link,
		{ .ifindex = 3, .type = ARPHRD_ETHER, .bond_mode = (uint8_t)mode } };
	unsigned int l2_length = 99;
	enum fence_need want = rule(link, master, mode);

	if (fence_need(&links[0], links, ARRAY_LENGTH(links), &l2_length) != want)
		return false;
	return want == FENCE_NEEDED ? (int)l2_length == header_of(link->type)
				    : l2_length == 99 || header_of(link->type) >= 0;
}

static unsigned int
count_wrong(unsigned int type, unsigned int mode)
{
	static const unsigned int masters[MASTERS] = { 0, 3, 17 };
	unsigned int wrong = 0;

	for (size_t kind = 0; kind < ARRAY_LENGTH(port_kinds); kind++)
		for (unsigned int rest = 0; rest < 4 * MASTERS; rest++) {
			enum master master = (enum master)(rest / 4);
			struct netlink_link link = { .ifindex = 2,
				.type = (uint16_t)type,
				.master = masters[master],
				.loopback = (rest & 1) != 0,
				.up = (rest & 2) != 0 };
			str_copy(
			    link.port_kind, sizeof(link.port_kind), port_kinds[kind]);
			wrong += !fits(&link, master, mode);
		}
	return wrong;
}

static void
test_every_type(void)
{
	unsigned int wrong = 0;

	for (unsigned int type = 0; type < TYPES; type++)
		wrong += count_wrong(type, type % MODES);
	CU_ASSERT_EQUAL(wrong, 0);
}

static void
test_every_mode(void)
{
	static const unsigned int types[] = { ARPHRD_ETHER, ARPHRD_NONE, ARPHRD_PPP,
		ARPHRD_TUNNEL, ARPHRD_SIT, ARPHRD_IPGRE, ARPHRD_LOOPBACK };
	unsigned int wrong = 0;

	for (size_t i = 0; i < ARRAY_LENGTH(types); i++)
		for (unsigned int mode = 0; mode < MODES; mode++)
			wrong += count_wrong(types[i], mode);
	CU_ASSERT_EQUAL(wrong, 0);
}

/* N: the fence must be there, -: it need not, X: it cannot be. */
static void
test_pictures(void)
{
	static const struct netlink_link links[] = {
		{ .ifindex = 1,
		    .type = ARPHRD_LOOPBACK,
		    .loopback = true,
		    .name = "lo" },
		{ .ifindex = 2,
		    .type = ARPHRD_ETHER,
		    .master = 4,
		    .port_kind = "bond" },
		{ .ifindex = 3,
		    .type = ARPHRD_ETHER,
		    .master = 4,
		    .port_kind = "bond" },
		{ .ifindex = 4, .type = ARPHRD_ETHER, .kind = "bond", .bond_mode = 4 },
		{ .ifindex = 5, .type = ARPHRD_ETHER, .kind = "vlan", .lower = 4 },
		{ .ifindex = 6,
		    .type = ARPHRD_ETHER,
		    .master = 7,
		    .port_kind = "bond" },
		{ .ifindex = 7,
		    .type = ARPHRD_ETHER,
		    .kind = "bond",
		    .bond_mode = ALB },
		{ .ifindex = 8,
		    .type = ARPHRD_ETHER,
		    .master = 9,
		    .port_kind = "bridge" },
		{ .ifindex = 9, .type = ARPHRD_ETHER, .kind = "bridge" },
		{ .ifindex = 10, .type = ARPHRD_ETHER, .kind = "macvlan", .lower = 11 },
		{ .ifindex = 11, .type = ARPHRD_ETHER },
		{ .ifindex = 12, .type = ARPHRD_NONE, .kind = "wireguard" },
		{ .ifindex = 13, .type = ARPHRD_SIT, .kind = "sit" },
		{ .ifindex = 14, .type = ARPHRD_SIT, .kind = "sit", .up = true },
		{ .ifindex = 15,
		    .type = ARPHRD_ETHER,
		    .master = 99,
		    .port_kind = "bridge" },
		/* a bridge on a bond hands up twice */
		{ .ifindex = 16,
		    .type = ARPHRD_ETHER,
		    .master = 17,
		    .port_kind = "bond" },
		{ .ifindex = 17,
		    .type = ARPHRD_ETHER,
		    .kind = "bond",
		    .master = 9,
		    .port_kind = "bridge" },
	};
	static const char want[] = "---NNNN-NNNN-XN--";
	static const char signs[] = {
		[FENCE_NEEDED] = 'N', [FENCE_NOT_NEEDED] = '-', [FENCE_IMPOSSIBLE] = 'X'
	};
	char got[ARRAY_LENGTH(links) + 1] = "";
	unsigned int l2_length;

	for (size_t i = 0; i < ARRAY_LENGTH(links); i++)
		got[i] = signs[fence_need(
		    &links[i], links, ARRAY_LENGTH(links), &l2_length)];
	CU_ASSERT_STRING_EQUAL(got, want);
}

static void
test_names(void)
{
	CU_ASSERT(fence_is_ours(FENCE_IN ":[42]", false));
	CU_ASSERT(fence_is_ours(FENCE_IN "_bare:[42]", false));
	CU_ASSERT(fence_is_ours(FENCE_OUT ":[42]", true));
	CU_ASSERT_FALSE(fence_is_ours(FENCE_IN ":[42]", true));
	CU_ASSERT_FALSE(fence_is_ours(FENCE_OUT ":[42]", false));
	CU_ASSERT_FALSE(fence_is_ours("lictor", false));
	CU_ASSERT_FALSE(fence_is_ours("", false));
}

static const struct tap_case cases[] = {
	{ "links of every type are fenced by the rule", test_every_type },
	{ "ports of bonds in every mode are", test_every_mode },
	{ "machines as they are", test_pictures },
	{ "the program is known by its name", test_names },
};

TAP_MAIN("fence_links", cases)
