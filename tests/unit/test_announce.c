/* SPDX-License-Identifier: ISC */
/*
 * The frames against ones written down by hand, and against the real kernel of a
 * neighbour in another network namespace, who must change its mind about an address.
 */
#include "agent/warden/announce.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/unit/netns.h"
#include "tests/unit/tap.h"

static const unsigned char mac[6] = { 0x02, 0x11, 0x22, 0x33, 0x44, 0x55 };

static void
test_arp_frames(void)
{
	static const unsigned char want[42] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* to all */
		0x02, 0x11, 0x22, 0x33, 0x44, 0x55, 0x08, 0x06, /* ARP */
		0x00, 0x01, 0x08, 0x00, 6, 4, 0x00, 0x01, /* Ethernet, IPv4, request */
		0x02, 0x11, 0x22, 0x33, 0x44, 0x55, 10, 9, 0, 100, /* sender */
		0, 0, 0, 0, 0, 0, 10, 9, 0, 100, /* target */
	};
	unsigned char frame[64], reply[42];

	CU_ASSERT_EQUAL(announce_arp_frame(frame, mac, want + 28, 0), sizeof(want));
	CU_ASSERT(memcmp(frame, want, sizeof(want)) == 0);
	memcpy(reply, want, sizeof(want));
	reply[21] = 2;
	memcpy(reply + 32, mac, 6);
	CU_ASSERT_EQUAL(announce_arp_frame(frame, mac, want + 28, 1), sizeof(want));
	CU_ASSERT(memcmp(frame, reply, sizeof(reply)) == 0);
}

/* Over the pseudo-header and the message, checksum included, it must be all ones. */
static unsigned int
sum_of(const unsigned char *frame)
{
	uint32_t sum = 32 + 58;

	for (size_t i = 22; i < 86; i += 2)
		sum += (uint32_t)(frame[i] << 8 | frame[i + 1]);
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void
test_na_frame(void)
{
	static const unsigned char want[86] = {
		0x33, 0x33, 0, 0, 0, 1, /* all nodes */
		0x02, 0x11, 0x22, 0x33, 0x44, 0x55, 0x86, 0xdd, /* IPv6 */
		0x60, 0, 0, 0, 0, 32, 58, 255, /* 32 bytes of ICMPv6, hop limit 255 */
		0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, /* from */
		0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, /* to */
		136, 0, 0, 0, 0x20, 0, 0, 0, /* advertisement, override */
		0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, /* target */
		2, 1, 0x02, 0x11, 0x22, 0x33, 0x44, 0x55, /* its hardware address */
	};
	unsigned char frame[128], address[16];

	CU_ASSERT_EQUAL(announce_na_frame(frame, mac, want + 22), sizeof(want));
	CU_ASSERT_EQUAL(sum_of(frame), 0xffff);
	frame[56] = frame[57] = 0;
	CU_ASSERT(memcmp(frame, want, sizeof(want)) == 0);
	for (unsigned int i = 0; i < 65536;
	     i++) { /* each value of two bytes of the sum */
		memcpy(address, want + 22, sizeof(address));
		address[14] = (unsigned char)(i >> 8);
		address[15] = (unsigned char)i;
		announce_na_frame(frame, mac, address);
		if (sum_of(frame) != 0xffff)
			CU_FAIL("a wrong checksum");
	}
}

static bool
await_shown(pid_t where, const char *show, const char *want)
{
	int64_t end = clock_boot_ms() + 5000;
	char text[256];

	do
		netns_ip(where, show, text, sizeof(text));
	while (strstr(text, want) == NULL && clock_boot_ms() < end);
	return strstr(text, want) != NULL;
}

static void
test_neighbour(void)
{
	static const char wrong[] = "02:aa:aa:aa:aa:aa", own[] = "02:00:00:00:00:99";
	pid_t other = netns_neighbour();
	unsigned char address[16];
	char words[128];

	CU_ASSERT_FATAL(other > 0);
	snprintf(
	    words, sizeof(words), "link add va address %s type veth peer name vb", own);
	CU_ASSERT(netns_ip(0, words, NULL, 0));
	snprintf(words, sizeof(words), "link set vb netns %d", (int)other);
	CU_ASSERT(netns_ip(0, words, NULL, 0));
	CU_ASSERT(netns_ip(0, "link set va up", NULL, 0));
	CU_ASSERT(netns_ip(other, "link set vb up", NULL, 0));
	CU_ASSERT(netns_ip(other, "addr add 10.9.0.2/24 dev vb", NULL, 0));
	CU_ASSERT(netns_ip(other, "addr add fd00:9::2/64 dev vb nodad", NULL, 0));
	CU_ASSERT(
	    await_shown(0, "link show va", "state UP")); /* drops frames until then */
	CU_ASSERT(await_shown(other, "link show vb", "state UP"));
	snprintf(words, sizeof(words),
	    "neigh add 10.9.0.100 lladdr %s dev vb nud reachable", wrong);
	CU_ASSERT(netns_ip(other, words, NULL, 0));
	snprintf(words, sizeof(words),
	    "neigh add fd00:9::100 lladdr %s dev vb nud reachable", wrong);
	CU_ASSERT(netns_ip(other, words, NULL, 0));

	inet_pton(AF_INET, "10.9.0.100", address);
	CU_ASSERT_EQUAL(announce_send(if_nametoindex("va"), AF_INET, address), 0);
	CU_ASSERT(await_shown(other, "neigh show 10.9.0.100", own));
	inet_pton(AF_INET6, "fd00:9::100", address);
	CU_ASSERT_EQUAL(announce_send(if_nametoindex("va"), AF_INET6, address), 0);
	CU_ASSERT(await_shown(other, "neigh show fd00:9::100", own));

	netns_ip(0, "link set va down", NULL, 0);
	CU_ASSERT_EQUAL(
	    announce_send(if_nametoindex("va"), AF_INET6, address), -ENETDOWN);
	CU_ASSERT_EQUAL(announce_send(4711, AF_INET6, address), -ENODEV);
	CU_ASSERT_EQUAL(announce_send(if_nametoindex("lo"), AF_INET6, address), 0);
	netns_ip(0, "link del va", NULL, 0);
	netns_leave(other);
}

static const struct tap_case cases[] = {
	{ "the ARP frames are as RFC 5227 has them", test_arp_frames },
	{ "the advertisement is as RFC 4861 has it", test_na_frame },
	{ "a neighbour changes its mind", test_neighbour },
};

int
main(int argc, char **argv)
{
	if (!netns_enter())
		return 0;
	return tap_main(argc, argv, "announce", cases, ARRAY_LENGTH(cases));
}
