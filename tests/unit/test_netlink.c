/* SPDX-License-Identifier: ISC */
/*
 * Orders and events against the real kernel, in a network namespace of the test's own with
 * a veth pair (va, vb).
 */
#include "agent/warden/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "tests/unit/netns.h"
#include "tests/unit/tap.h"

#define MANY 200

/* What was last told, and how often. */
struct bed {
	struct loop *loop;
	struct netlink *netlink;
	struct loop_timer *limit;
	struct netlink_address wanted, last;
	struct netlink_link link;
	bool present, up, until_up, until_down;
	unsigned int addresses, links, vanished, lost, ifindex;
	unsigned int until_addresses, until_links; /* end the loop; 0: no */
	const char *name;
	bool late;
};

static void
stop_if_enough(struct bed *bed)
{
	if ((bed->until_addresses != 0 && bed->addresses >= bed->until_addresses) ||
	    (bed->until_links != 0 && bed->links >= bed->until_links) ||
	    (bed->until_up && bed->up) || (bed->until_down && !bed->up))
		loop_stop(bed->loop);
}

static void
on_address(void *arg, const struct netlink_address *address, bool present)
{
	struct bed *bed = arg;

	if (address->family != bed->wanted.family ||
	    memcmp(address->address, bed->wanted.address, 16) != 0)
		return;
	bed->last = *address;
	bed->present = present;
	bed->addresses++;
	stop_if_enough(bed);
}

static void
on_link(void *arg, const struct netlink_link *link, bool gone)
{
	struct bed *bed = arg;

	if (bed->name == NULL || strcmp(link->name, bed->name) != 0)
		return;
	bed->link = *link;
	bed->ifindex = gone ? 0 : link->ifindex;
	bed->up = !gone && link->up;
	bed->links++;
	bed->vanished += gone;
	stop_if_enough(bed);
}

static void
on_lost(void *arg)
{
	struct bed *bed = arg;

	bed->lost++;
	loop_stop(bed->loop);
}

static void
on_limit(void *arg)
{
	struct bed *bed = arg;

	bed->late = true;
	loop_stop(bed->loop);
}

static void
bed_open(struct bed *bed)
{
	struct netlink_out out = {
		.address = on_address, .link = on_link, .lost = on_lost, .arg = bed
	};

	*bed = (struct bed){ .loop = loop_new(), .name = "va" };
	bed->limit = loop_timer_new(bed->loop, on_limit, bed);
	CU_ASSERT_FATAL(netns_ip(0, "link add va type veth peer name vb", NULL, 0));
	CU_ASSERT_FATAL(netns_ip(0, "link set va up", NULL, 0));
	CU_ASSERT_FATAL(netns_ip(0, "link set vb up", NULL, 0));
	bed->netlink = netlink_new(bed->loop, &out);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bed->netlink);
}

static void
bed_close(struct bed *bed)
{
	netlink_free(bed->netlink);
	loop_timer_free(bed->limit);
	loop_free(bed->loop);
	netns_ip(0, "link del va", NULL, 0);
}

static bool
await(struct bed *bed, unsigned int addresses, unsigned int links, int64_t limit_ms)
{
	bed->until_addresses = addresses == 0 ? 0 : bed->addresses + addresses;
	bed->until_links = links == 0 ? 0 : bed->links + links;
	bed->late = false;
	loop_timer_after(bed->limit, limit_ms);
	loop_run(bed->loop);
	loop_timer_stop(bed->limit);
	return !bed->late;
}

/* Lets all that the kernel has said by now be heard. */
static void
hear_all(struct bed *bed)
{
	await(bed, 0, 0, 30);
}

/* The kernel tells of a carrier at its leisure. */
static bool
await_up(struct bed *bed, bool up)
{
	bed->until_up = up;
	bed->until_down = !up;
	bool seen = bed->up == up || await(bed, 0, 0, 5000);
	bed->until_up = bed->until_down = false;
	return seen;
}

static struct netlink_address
address_of(const char *text, uint32_t valid_s)
{
	struct netlink_address address = { .family = AF_INET,
		.prefix = 32,
		.ifindex = if_nametoindex("va"),
		.valid_s = valid_s };

	if (strchr(text, ':') != NULL) {
		address.family = AF_INET6;
		address.prefix = 128;
	}
	CU_ASSERT_EQUAL(inet_pton(address.family, text, address.address), 1);
	return address;
}

static int
set_one(struct bed *bed, const struct netlink_address *address)
{
	int result = 1;

	netlink_set(bed->netlink, address, 1, &result);
	return result;
}

/* The lifetime left of `address` by a dump, or 0: it is not there. */
static uint32_t
left(struct bed *bed, const struct netlink_address *address)
{
	bed->wanted = *address;
	bed->addresses = 0;
	CU_ASSERT_EQUAL(netlink_dump(bed->netlink), 0);
	return bed->addresses == 0 ? 0 : bed->last.valid_s;
}

static const char *const both[] = { "10.9.0.100", "fd00:9::100" };

static void
test_set(void)
{
	struct bed bed;
	char text[2048];

	bed_open(&bed);
	for (size_t i = 0; i < ARRAY_LENGTH(both); i++) {
		struct netlink_address address = address_of(both[i], 30);
		CU_ASSERT_EQUAL(set_one(&bed, &address), 0);
		uint32_t valid_s = left(&bed, &address);
		CU_ASSERT(valid_s == 29 || valid_s == 30);
		CU_ASSERT_EQUAL(bed.last.prefix, address.prefix);
		CU_ASSERT_EQUAL(bed.last.ifindex, address.ifindex);
		address.valid_s = 5; /* shorter and longer alike */
		CU_ASSERT_EQUAL(set_one(&bed, &address), 0);
		CU_ASSERT(left(&bed, &address) <= 5);
		address.valid_s = 60;
		CU_ASSERT_EQUAL(set_one(&bed, &address), 0);
		CU_ASSERT(left(&bed, &address) >= 59);
		CU_ASSERT_EQUAL(bed.addresses, 1);
	}
	netns_ip(0, "-4 addr show dev va", text, sizeof(text));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "10.9.0.100/32"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "noprefixroute"));
	CU_ASSERT_PTR_NULL(strstr(text, "deprecated"));
	netns_ip(0, "-6 addr show dev va to fd00:9::100", text, sizeof(text));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "noprefixroute"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "nodad"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "deprecated"));
	CU_ASSERT_PTR_NULL(strstr(text, "tentative"));
	bed_close(&bed);
}

static void
test_delete(void)
{
	struct bed bed;

	bed_open(&bed);
	for (size_t i = 0; i < ARRAY_LENGTH(both); i++) {
		struct netlink_address address = address_of(both[i], 30);
		CU_ASSERT_EQUAL(
		    netlink_delete(bed.netlink, &address), 0); /* not there */
		CU_ASSERT_EQUAL(set_one(&bed, &address), 0);
		CU_ASSERT_EQUAL(netlink_delete(bed.netlink, &address), 0);
		CU_ASSERT_EQUAL(left(&bed, &address), 0);
		CU_ASSERT_EQUAL(netlink_delete(bed.netlink, &address), 0);
		address.ifindex = 4711; /* no interface, no address */
		CU_ASSERT_EQUAL(netlink_delete(bed.netlink, &address), 0);
		CU_ASSERT_EQUAL(set_one(&bed, &address), -ENODEV);
	}
	bed_close(&bed);
}

/* Each of a batch has its own result, beyond what one message takes. */
static void
test_batch(void)
{
	struct bed bed;
	struct netlink_address list[MANY];
	int result[MANY];
	unsigned int wrong = 0, there = 0;
	char text[32];

	bed_open(&bed);
	for (unsigned int i = 0; i < MANY; i++) {
		snprintf(
		    text, sizeof(text), i % 2 == 0 ? "10.9.1.%u" : "fd00:9::1:%x", i);
		list[i] = address_of(text, 60);
		if (i % 7 == 3)
			list[i].ifindex = 4711;
	}
	netlink_set(bed.netlink, list, MANY, result);
	for (unsigned int i = 0; i < MANY; i++) {
		wrong += result[i] != (i % 7 == 3 ? -ENODEV : 0);
		there += left(&bed, &list[i]) != 0;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(there, MANY - (MANY + 3) / 7);
	netlink_set(bed.netlink, list, 0, result);
	bed_close(&bed);
}

static void
test_expiry(void)
{
	for (size_t i = 0; i < ARRAY_LENGTH(both); i++) {
		struct bed bed;
		bed_open(&bed);
		struct netlink_address address = address_of(both[i], 1);
		bed.wanted = address;
		int64_t began = clock_boot_ms();
		CU_ASSERT_EQUAL(set_one(&bed, &address), 0);
		CU_ASSERT(await(&bed, 1, 0, 1000));
		CU_ASSERT(bed.present && bed.last.valid_s == 1);
		CU_ASSERT(await(&bed, 1, 0, 4000));
		CU_ASSERT_FALSE(bed.present);
		CU_ASSERT(clock_boot_ms() - began >= 950);
		CU_ASSERT_EQUAL(left(&bed, &address), 0);
		bed_close(&bed);
	}
}

/* An address without an end is told as such, and gets one by being set. */
static void
test_foreign(void)
{
	struct bed bed;

	bed_open(&bed);
	bed.wanted = address_of(both[0], 30);
	netns_ip(0, "addr add 10.9.0.100/32 dev va", NULL, 0);
	CU_ASSERT(await(&bed, 1, 0, 1000));
	CU_ASSERT(bed.present && bed.last.valid_s == UINT32_MAX);
	CU_ASSERT_EQUAL(left(&bed, &bed.wanted), UINT32_MAX);
	hear_all(&bed);
	CU_ASSERT_EQUAL(set_one(&bed, &bed.wanted), 0);
	CU_ASSERT(await(&bed, 1, 0, 1000));
	CU_ASSERT(bed.present && bed.last.valid_s == 30);
	netns_ip(0, "addr del 10.9.0.100/32 dev va", NULL, 0);
	CU_ASSERT(await(&bed, 1, 0, 1000));
	CU_ASSERT_FALSE(bed.present);
	bed_close(&bed);
}

static void
test_links(void)
{
	struct bed bed;
	unsigned int va;

	bed_open(&bed);
	va = if_nametoindex("va");
	CU_ASSERT_EQUAL(netlink_dump(bed.netlink), 0);
	CU_ASSERT(bed.links == 1 && bed.up && bed.ifindex == va);
	netns_ip(0, "link set vb down", NULL, 0); /* no carrier */
	CU_ASSERT(await_up(&bed, false) && bed.ifindex == va);
	netns_ip(0, "link set vb up", NULL, 0);
	CU_ASSERT(await_up(&bed, true));
	netns_ip(0, "link set va down", NULL, 0);
	CU_ASSERT(await_up(&bed, false) && bed.ifindex == va);
	bed.name = "vz";
	netns_ip(0, "link set va name vz", NULL, 0);
	hear_all(&bed);
	CU_ASSERT(!bed.up && bed.ifindex == va && bed.link.ifindex == va);
	netns_ip(0, "link set vz name va", NULL, 0);
	bed.name = "va";
	netns_ip(0, "link set va up", NULL, 0);
	CU_ASSERT(await_up(&bed, true));
	netns_ip(0, "link del va", NULL, 0);
	hear_all(&bed);
	CU_ASSERT(!bed.up && bed.ifindex == 0);
	bed_close(&bed);
}

static void
look_at(struct bed *bed, const char *name)
{
	bed->name = name;
	bed->links = 0;
	CU_ASSERT_EQUAL(netlink_dump(bed->netlink), 0);
	CU_ASSERT_EQUAL(bed->links, 1);
}

/* What each is made of, and whom it belongs to. */
static void
test_kinds(void)
{
	struct bed bed;
	char text[32], path[64] = "";

	bed_open(&bed);
	look_at(&bed, "lo");
	CU_ASSERT(bed.link.loopback && bed.link.type == ARPHRD_LOOPBACK);
	look_at(&bed, "va");
	CU_ASSERT(bed.link.type == ARPHRD_ETHER && !bed.link.loopback);
	CU_ASSERT_STRING_EQUAL(bed.link.kind, "veth");
	CU_ASSERT(bed.link.has_mac && bed.link.master == 0);
	CU_ASSERT_EQUAL(bed.link.lower, if_nametoindex("vb"));
	snprintf(text, sizeof(text), "%02x:%02x:%02x", bed.link.mac[0], bed.link.mac[1],
	    bed.link.mac[2]);
	char shown[512];
	CU_ASSERT(netns_ip(0, "-o link show va", shown, sizeof(shown)));
	CU_ASSERT_PTR_NOT_NULL(strstr(shown, text));
	if (netns_ip(0, "link add name b0 type bridge", NULL, 0)) {
		CU_ASSERT(netns_ip(0, "link set va master b0", NULL, 0));
		look_at(&bed, "va");
		CU_ASSERT_EQUAL(bed.link.master, if_nametoindex("b0"));
		CU_ASSERT_STRING_EQUAL(bed.link.port_kind, "bridge");
		look_at(&bed, "b0");
		CU_ASSERT_STRING_EQUAL(bed.link.kind, "bridge");
		netns_ip(0, "link del b0", NULL, 0);
	}
	if (netns_ip(0, "link add m0 link va type macvlan mode bridge", NULL, 0)) {
		look_at(&bed, "m0");
		CU_ASSERT_STRING_EQUAL(bed.link.kind, "macvlan");
		CU_ASSERT_EQUAL(bed.link.lower, if_nametoindex("va"));
	}
	/* the other end, in another namespace, is none of ours */
	pid_t neighbour = netns_neighbour();
	snprintf(path, sizeof(path), "link set vb netns %d", (int)neighbour);
	CU_ASSERT(neighbour > 0 && netns_ip(0, path, NULL, 0));
	look_at(&bed, "va");
	CU_ASSERT_EQUAL(bed.link.lower, 0);
	netns_leave(neighbour);
	bed_close(&bed);
}

/* Ours are known by what they bear, whatever becomes of their interface's name. */
static void
test_ours(void)
{
	struct bed bed;

	bed_open(&bed);
	for (size_t i = 0; i < ARRAY_LENGTH(both); i++) {
		char words[64];
		snprintf(words, sizeof(words), "addr add %s/%s dev va", both[i],
		    i == 0 ? "32" : "128");
		struct netlink_address address = address_of(both[i], 30);
		CU_ASSERT(netns_ip(0, words, NULL, 0));
		CU_ASSERT(left(&bed, &address) > 0 && !bed.last.ours);
		CU_ASSERT_EQUAL(netlink_delete(bed.netlink, &address), 0);
		CU_ASSERT_EQUAL(set_one(&bed, &address), 0);
		CU_ASSERT(left(&bed, &address) > 0 && bed.last.ours);
	}
	struct netlink_address first = address_of(both[0], 30);
	CU_ASSERT(netns_ip(0, "link set va down", NULL, 0));
	CU_ASSERT(netns_ip(0, "link set va name vz", NULL, 0));
	CU_ASSERT(left(&bed, &first) > 0 && bed.last.ours);
	CU_ASSERT(netns_ip(0, "link set vz name va", NULL, 0));
	bed_close(&bed);
}

/* A port that leaves its bridge has not vanished, though the bridge says so. */
static void
test_bridge(void)
{
	struct bed bed;

	bed_open(&bed);
	if (!netns_ip(0, "link add name b0 type bridge", NULL, 0)) {
		CU_PASS("no bridges in this kernel");
		bed_close(&bed);
		return;
	}
	netns_ip(0, "link set va master b0", NULL, 0);
	netns_ip(0, "link set va nomaster", NULL, 0);
	hear_all(&bed);
	CU_ASSERT(bed.links > 0 && bed.ifindex == if_nametoindex("va") && bed.up);
	CU_ASSERT_EQUAL(bed.vanished, 0);
	netns_ip(0, "link del b0", NULL, 0);
	bed_close(&bed);
}

/* More events than the socket holds: said once, and events go on afterwards. */
static void
test_lost(void)
{
	struct bed bed;
	struct netlink_address list[MANY];
	int result[MANY];
	char text[32];

	bed_open(&bed);
	for (unsigned int i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "10.9.2.%u", i);
		list[i] = address_of(text, 60);
	}
	for (unsigned int i = 0; i < 200; i++)
		netlink_set(bed.netlink, list, MANY, result);
	CU_ASSERT(await(&bed, 0, 0, 5000));
	CU_ASSERT_EQUAL(bed.lost, 1);
	hear_all(&bed);
	CU_ASSERT_EQUAL(bed.lost, 1);
	bed.wanted = list[0];
	bed.present = true;
	CU_ASSERT_EQUAL(netlink_delete(bed.netlink, &list[0]), 0);
	while (bed.present && await(&bed, 1, 0, 5000))
		; /* thousands may be to be heard before */
	CU_ASSERT_FALSE(bed.present);
	netlink_free(NULL);
	bed_close(&bed);
}

static const struct tap_case cases[] = {
	{ "an address is set with a lifetime and no route", test_set },
	{ "an address is deleted, or was not there", test_delete },
	{ "each address of a batch has its result", test_batch },
	{ "the kernel ends an address and says so", test_expiry },
	{ "what others do is told", test_foreign },
	{ "interfaces are told as they are", test_links },
	{ "what an interface is made of is told", test_kinds },
	{ "addresses of ours are known", test_ours },
	{ "a port that leaves a bridge stays", test_bridge },
	{ "lost events are told", test_lost },
};

int
main(int argc, char **argv)
{
	if (!netns_enter())
		return 0;
	return tap_main(argc, argv, "netlink", cases, ARRAY_LENGTH(cases));
}
