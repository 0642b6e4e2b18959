/* SPDX-License-Identifier: ISC */
/*
 * What the warden hears and asks, in virtual time over a real cable: at its other end is the
 * foreign host, which is played here frame by frame, and at the wire the agent.
 */
#include "agent/warden/conflict.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/warden/address.h"
#include "agent/warden/announce.h"
#include "agent/warden/frame.h"
#include "agent/warden/holdings.h"
#include "agent/warden/links.h"
#include "agent/warden/netlink.h"
#include "tests/unit/netns.h"
#include "tests/unit/tap.h"
#include "tests/unit/virtual_loop.h"

#define OWN "02:00:00:00:00:99"
#define INSTANCE 3

enum { V4, V6, VIPS };

static const unsigned char own[6] = { 2, 0, 0, 0, 0, 0x99 };
static const unsigned char theirs[6] = { 2, 0, 0, 0, 0, 7 };

struct bed {
	struct loop *loop;
	struct netlink *netlink;
	struct links links;
	struct address_shared shared;
	struct conf conf;
	struct conf_vip vips[VIPS], *all[VIPS];
	struct holdings held;
	struct conflict *conflict;
	struct wire *agent, *warden;
	char texts[VIPS][16], interface[8];
	int end; /* of the cable, the foreign host's */
	unsigned int seen, probed, held_again, refused;
	struct wire_probed answer; /* the newest */
	struct wire_seen bytes;
};

static void
on_link(void *arg, const struct netlink_link *link, bool gone)
{
	struct bed *bed = arg;

	links_take(&bed->links, link, gone);
}

static void
ignore_address(void *arg, const struct netlink_address *address, bool present)
{
}

static void
ignore(void *arg)
{
}

static void
on_word(void *arg, const struct wire_message *message, int fd)
{
	struct bed *bed = arg;

	bed->seen += message->type == WIRE_SEEN;
	bed->probed += message->type == WIRE_PROBED;
	bed->held_again += message->type == WIRE_HELD;
	bed->refused += message->type == WIRE_REFUSED;
	if (message->type == WIRE_PROBED)
		bed->answer = message->probed;
	if (message->type == WIRE_SEEN)
		bed->bytes = message->seen;
}

static void
on_closed(void *arg, const char *why)
{
	CU_FAIL("the wire was closed");
}

static void
make_vips(struct bed *bed)
{
	memcpy(bed->texts[V4], "10.9.0.100", 11);
	memcpy(bed->texts[V6], "fd00:9::100", 12);
	memcpy(bed->interface, "va", 3);
	for (uint32_t i = 0; i < VIPS; i++) {
		int family = i == V4 ? AF_INET : AF_INET6;
		bed->vips[i] = (struct conf_vip){ .index = i,
			.family = family,
			.text = bed->texts[i],
			.interface = bed->interface };
		inet_pton(family, bed->texts[i], bed->vips[i].address);
		bed->all[i] = &bed->vips[i];
	}
	bed->conf.vips = bed->all;
	bed->conf.n_vips = VIPS;
	holdings_init(&bed->held, &bed->shared, &bed->conf, bed->loop);
	for (size_t i = 0; i < VIPS; i++)
		bed->held.vips[i]->ifindex = if_nametoindex("va");
}

static void
set_up(struct bed *bed)
{
	struct netlink_out out = {
		.address = ignore_address, .link = on_link, .lost = ignore, .arg = bed
	};
	struct sockaddr_ll any = { .sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex("vb") };
	struct wire_out words = { on_word, on_closed, bed };
	int fds[2];

	memset(bed, 0, sizeof(*bed));
	bed->loop = loop_new();
	bed->netlink = netlink_new(bed->loop, &out);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bed->netlink);
	CU_ASSERT_EQUAL(netlink_dump(bed->netlink), 0);
	CU_ASSERT_EQUAL_FATAL(wire_pair(fds), 0);
	bed->agent = wire_new(bed->loop, fds[0], WIRE_AGENT, WIRE_WARDEN, 1, &words);
	bed->warden = wire_new(bed->loop, fds[1], WIRE_WARDEN, WIRE_AGENT, 1, &words);
	bed->shared.netlink = bed->netlink;
	bed->shared.agent = bed->warden;
	bed->shared.instance = INSTANCE;
	bed->shared.announcer = announcer_new(bed->loop, &bed->links);
	CU_ASSERT_EQUAL_FATAL(announcer_open(bed->shared.announcer, bed->netlink), 0);
	make_vips(bed);
	bed->conflict = conflict_new(bed->loop, &bed->links, &bed->held);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bed->conflict);
	conflict_watch(bed->conflict);
	bed->end = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CU_ASSERT_EQUAL_FATAL(bind(bed->end, (struct sockaddr *)&any, sizeof(any)), 0);
}

static void
tear_down(struct bed *bed)
{
	conflict_free(bed->conflict);
	holdings_done(&bed->held);
	announcer_free(bed->shared.announcer);
	wire_free(bed->agent);
	wire_free(bed->warden);
	netlink_free(bed->netlink);
	links_done(&bed->links);
	loop_free(bed->loop);
	close(bed->end);
}

/* Enough turns for all that waits, a message each. */
static void
turns(struct bed *bed, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		virtual_loop_run(bed->loop, 0);
}

static size_t
send_claim(struct bed *bed, int vip, const unsigned char mac[6])
{
	unsigned char frame[FRAME_MAX];
	size_t len = frame_write(frame, vip == V4 ? FRAME_ARP_REQUEST : FRAME_NA, mac,
	    bed->vips[vip].address, false);

	CU_ASSERT_EQUAL(send(bed->end, frame, len, 0), (ssize_t)len);
	return len;
}

/* How many frames of ours have come to the other end that are this one. */
static unsigned int
heard(const struct bed *bed, enum frame_kind kind, int vip)
{
	unsigned char frame[256], want[FRAME_MAX];
	size_t len = frame_write(want, kind, own, bed->vips[vip].address, false);
	unsigned int count = 0;
	ssize_t n;

	while ((n = recv(bed->end, frame, sizeof(frame), 0)) >= 0)
		count += (size_t)n == len && memcmp(frame, want, len) == 0;
	return count;
}

static void
ask(struct bed *bed, uint32_t vip, uint64_t order, uint32_t instance)
{
	struct wire_probe probe = { .order = order, .vip = vip, .instance = instance };

	conflict_probe(bed->conflict, &probe);
}

static void
test_nobody(void)
{
	for (int vip = 0; vip < VIPS; vip++) {
		struct bed bed;
		set_up(&bed);
		for (uint64_t order = 1; order <= 7; order++)
			ask(&bed, (uint32_t)vip, order, INSTANCE);
		CU_ASSERT_EQUAL(
		    heard(&bed, vip == V4 ? FRAME_ARP_PROBE : FRAME_NS_PROBE, vip), 1);
		send_claim(&bed, vip, own); /* our own frame, come back */
		turns(&bed, 5);
		virtual_loop_run(bed.loop, 10);
		turns(&bed, 5);
		CU_ASSERT_EQUAL(bed.probed, 0);
		virtual_loop_run(bed.loop, 20);
		turns(&bed, 5);
		CU_ASSERT_EQUAL(bed.probed, 1);
		CU_ASSERT_EQUAL(bed.answer.order, 7);
		CU_ASSERT_EQUAL(bed.answer.vip, (uint32_t)vip);
		CU_ASSERT_EQUAL(bed.answer.found, WIRE_FOUND_NOBODY);
		send_claim(&bed, vip, theirs); /* too late, and it is not held */
		turns(&bed, 5);
		CU_ASSERT_EQUAL(bed.probed + bed.seen, 1);
		tear_down(&bed);
	}
}

static void
test_another(void)
{
	for (int vip = 0; vip < VIPS; vip++) {
		struct bed bed;
		set_up(&bed);
		ask(&bed, V4, 7, INSTANCE);
		ask(&bed, V6, 8, INSTANCE);
		send_claim(&bed, vip, theirs);
		send_claim(&bed, vip, theirs);
		turns(&bed, 5);
		CU_ASSERT_EQUAL(bed.probed, 1);
		CU_ASSERT_EQUAL(bed.answer.order, vip == V4 ? 7 : 8);
		CU_ASSERT_EQUAL(bed.answer.found, WIRE_FOUND_ANOTHER);
		CU_ASSERT(memcmp(bed.answer.mac, theirs, 6) == 0);
		virtual_loop_run(bed.loop, 40);
		turns(&bed, 5);
		CU_ASSERT_EQUAL(bed.probed, 2);
		CU_ASSERT_EQUAL(bed.answer.found, WIRE_FOUND_NOBODY);
		ask(&bed, V4, 9, INSTANCE);
		conflict_forget(bed.conflict);
		send_claim(&bed, V4, theirs);
		virtual_loop_run(bed.loop, 40);
		turns(&bed, 5);
		CU_ASSERT_EQUAL(bed.probed, 2);
		tear_down(&bed);
	}
}

static void
test_unknown(void)
{
	struct netlink_link down;
	struct bed bed;

	set_up(&bed);
	ask(&bed, V4, 1, INSTANCE - 1); /* not from the newest agent */
	bed.held.vips[V6]->ifindex = 0;
	ask(&bed, V6, 2, INSTANCE);
	down = *links_find(&bed.links, bed.held.vips[V4]->ifindex);
	down.up = false;
	links_take(&bed.links, &down, false);
	ask(&bed, V4, 3, INSTANCE);
	turns(&bed, 10);
	CU_ASSERT_EQUAL(bed.probed, 3);
	CU_ASSERT_EQUAL(bed.answer.order, 3);
	CU_ASSERT_EQUAL(bed.answer.found, WIRE_FOUND_UNKNOWN);
	down.up = true;
	links_take(&bed.links, &down, false);
	ask(&bed, V4, 4, INSTANCE);
	down.up = false; /* while it waits */
	links_take(&bed.links, &down, false);
	virtual_loop_run(bed.loop, 40);
	turns(&bed, 5);
	CU_ASSERT_EQUAL(bed.answer.order, 4);
	CU_ASSERT_EQUAL(bed.answer.found, WIRE_FOUND_UNKNOWN);
	CU_ASSERT_EQUAL(heard(&bed, FRAME_ARP_PROBE, V4), 1);
	tear_down(&bed);
}

/* Thirty claims a second: ten go to the agent and one is answered, in each of two. */
static void
test_claims(void)
{
	for (int vip = 0; vip < VIPS; vip++) {
		enum frame_kind kind = vip == V4 ? FRAME_ARP_REPLY : FRAME_NA;
		struct bed bed;
		size_t len = 0;

		set_up(&bed);
		struct vip *address = bed.held.vips[vip];
		address->until = INT64_MAX;
		announcement_begin(address->announcement, address->ifindex);
		virtual_loop_run(bed.loop, 1500);
		CU_ASSERT_EQUAL(heard(&bed, kind, vip), 10);
		for (unsigned int second = 1; second <= 2; second++) {
			for (int i = 0; i < 30; i++) {
				len = send_claim(&bed, vip, theirs);
				send_claim(&bed, vip, own);
				turns(&bed, 3);
			}
			turns(&bed, 20);
			CU_ASSERT_EQUAL(bed.seen, 10 * second);
			CU_ASSERT_EQUAL(heard(&bed, kind, vip), 1);
			virtual_loop_run(bed.loop, 1000);
		}
		CU_ASSERT_EQUAL(bed.bytes.vip, (uint32_t)vip);
		CU_ASSERT_EQUAL(bed.bytes.len, len);
		CU_ASSERT_TRUE(frame_claims(
		    bed.bytes.bytes, len, bed.vips[vip].family, bed.vips[vip].address));
		address->until = 0;
		tear_down(&bed);
	}
}

/* A reload takes an address away, and brings it back. */
static void
test_watch(void)
{
	struct conf without = { .vips = NULL };
	struct bed bed;

	set_up(&bed);
	holdings_turn(&bed.held, &bed.shared, &without, bed.loop);
	conflict_watch(bed.conflict);
	send_claim(&bed, V4, theirs);
	turns(&bed, 5);
	holdings_turn(&bed.held, &bed.shared, &bed.conf, bed.loop);
	conflict_watch(bed.conflict);
	bed.held.vips[V4]->ifindex = if_nametoindex("va");
	bed.held.vips[V4]->until = INT64_MAX;
	turns(&bed, 5);
	CU_ASSERT_EQUAL(bed.seen, 0);
	send_claim(&bed, V4, theirs);
	turns(&bed, 5);
	CU_ASSERT_EQUAL(bed.seen, 1);
	bed.held.vips[V4]->ifindex = if_nametoindex("vb"); /* on another interface */
	send_claim(&bed, V4, theirs);
	turns(&bed, 5);
	CU_ASSERT_EQUAL(bed.seen, 1);
	bed.held.vips[V4]->until = 0;
	tear_down(&bed);
}

static void
test_announce(void)
{
	struct wire_probe order = { .order = 5, .vip = V4, .instance = INSTANCE };
	struct bed bed;

	set_up(&bed);
	struct vip *vip = bed.held.vips[V4];
	address_announce(vip, &order);
	vip->until = INT64_MAX;
	order.instance--;
	address_announce(vip, &order);
	turns(&bed, 5);
	CU_ASSERT_EQUAL(bed.refused, 2);
	CU_ASSERT_EQUAL(heard(&bed, FRAME_ARP_REQUEST, V4), 0);
	order.instance++;
	address_announce(vip, &order);
	turns(&bed, 5);
	CU_ASSERT_EQUAL(bed.held_again, 1);
	CU_ASSERT_EQUAL(heard(&bed, FRAME_ARP_REQUEST, V4), 1);
	vip->until = 0;
	tear_down(&bed);
}

static const struct tap_case cases[] = {
	{ "nobody has it", test_nobody },
	{ "another host has it", test_another },
	{ "where nobody can be asked", test_unknown },
	{ "claims while it is held", test_claims },
	{ "the watch over reloads", test_watch },
	{ "an order to announce", test_announce },
};

static bool
await_shown(const char *show, const char *want)
{
	int64_t end = clock_boot_ms() + 5000;
	char text[256];

	do
		netns_ip(0, show, text, sizeof(text));
	while (strstr(text, want) == NULL && clock_boot_ms() < end);
	return strstr(text, want) != NULL;
}

int
main(int argc, char **argv)
{
	if (!netns_enter() ||
	    !netns_ip(
		0, "link add va address " OWN " type veth peer name vb", NULL, 0) ||
	    !netns_ip(0, "link set va up", NULL, 0) ||
	    !netns_ip(0, "link set vb up", NULL, 0) ||
	    !await_shown("link show va", "state UP") ||
	    !await_shown("link show vb", "state UP"))
		return 0;
	return tap_main(argc, argv, "conflict", cases, ARRAY_LENGTH(cases));
}
