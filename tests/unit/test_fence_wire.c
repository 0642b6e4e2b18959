/* SPDX-License-Identifier: ISC */
/*
 * What a neighbour hears of an address behind the fence: questions and announcements as
 * frames on a veth pair, with and without tags (of VID 0, which every kernel takes off), and
 * packets on a tun interface, which has no link layer. Each look ends with a question that
 * is always answered, so that silence is seen without waiting for it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "agent/warden/fence.h"
#include "tests/unit/fence_bed.h"
#include "tests/unit/netns.h"
#include "tests/unit/tap.h"

#define LIMIT_MS 5000 /* for an answer that must come */
#define LATER_MS 3600000
#define TAGS_MAX 2
#define ETHERNET_HEADER 14
#define REPLACED 20
#define EVERY 10 /* pings at least for each */

enum question { ASK_ARP, ASK_NS, ASK_ECHO4, ASK_ECHO6, QUESTIONS };

struct wire {
	struct fence_bed bed;
	int client; /* vb, in the neighbour's namespace */
	int own; /* va */
	unsigned char client_mac[6], own_mac[6];
};

struct frame {
	unsigned char bytes[256];
	size_t len;
};

static const unsigned char vip4[4] = { 10, 9, 0, 100 };
static const unsigned char own4[4] = { 10, 9, 0, 1 };
static const unsigned char client4[4] = { 10, 9, 0, 20 };
static const unsigned char vip6[16] = { 0xfd, 0, 0, 9, [15] = 0x64 };
static const unsigned char client6[16] = { 0xfd, 0, 0, 9, [15] = 0x20 };
static const unsigned char all_macs[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
static const unsigned char nothing[16];

static void
put(struct frame *frame, const void *data, size_t len)
{
	memcpy(frame->bytes + frame->len, data, len);
	frame->len += len;
}

static void
put_u16(struct frame *frame, unsigned int value)
{
	const unsigned char bytes[2] = { value >> 8 & 0xff, value & 0xff };

	put(frame, bytes, sizeof(bytes));
}

static void
put_link_layer(struct frame *frame, const unsigned char *to, const unsigned char *from,
    unsigned int tags, unsigned int type)
{
	put(frame, to, 6);
	put(frame, from, 6);
	for (unsigned int i = 0; i < tags; i++) {
		put_u16(frame, 0x8100);
		put_u16(frame, 0);
	}
	put_u16(frame, type);
}

static void
put_arp(struct frame *frame, unsigned int operation, const unsigned char *mac,
    const unsigned char *sender, const unsigned char *target)
{
	put(frame, "\0\1\x08\0\6\4", 6);
	put_u16(frame, operation);
	put(frame, mac, 6);
	put(frame, sender, 4);
	put(frame, operation == 2 ? mac : nothing, 6);
	put(frame, target, 4);
}

/* The sum of the Internet over `len` bytes, begun with `sum`. */
static unsigned int
checksum(const unsigned char *data, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += (uint32_t)data[i] << (i % 2 == 0 ? 8 : 0);
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

static void
store_u16(unsigned char *at, unsigned int value)
{
	at[0] = (unsigned char)(value >> 8);
	at[1] = (unsigned char)value;
}

static void
put_echo4(struct frame *frame, const unsigned char *from, const unsigned char *to,
    unsigned int number)
{
	unsigned char packet[28] = { 0x45, [3] = 28, [8] = 64, [9] = 1, [20] = 8 };

	memcpy(packet + 12, from, 4);
	memcpy(packet + 16, to, 4);
	store_u16(packet + 10, checksum(packet, 20, 0));
	store_u16(packet + 26, number);
	store_u16(packet + 22, checksum(packet + 20, 8, 0));
	put(frame, packet, sizeof(packet));
}

/* Echo request, solicitation or advertisement, by its type. */
static void
put_icmp6(struct frame *frame, unsigned char type, const unsigned char *from,
    const unsigned char *to, const unsigned char *target)
{
	unsigned char packet[64] = { 0x60, [6] = 58, [7] = 255 };
	size_t len = type == 128 ? 8 : 24;

	packet[5] = (unsigned char)len;
	memcpy(packet + 8, from, 16);
	memcpy(packet + 24, to, 16);
	packet[40] = type;
	packet[44] = type == 136 ? 0x20 : 0;
	if (target != NULL)
		memcpy(packet + 48, target, 16);
	store_u16(packet + 42, checksum(packet + 8, 32 + len, (uint32_t)len + 58));
	put(frame, packet, 40 + len);
}

/* A question of the client about our address, or (ASK_ARP) about `address`. */
static void
make_question(struct frame *frame, const struct wire *wire, enum question question,
    unsigned int tags, const unsigned char *address)
{
	static const unsigned char group[16] = { 0xff,
		2, [11] = 1, [12] = 0xff, [15] = 0x64 };
	static const unsigned char group_mac[6] = { 0x33, 0x33, 0xff, 0, 0, 0x64 };
	const unsigned char *to = wire->own_mac, *from = wire->client_mac;

	frame->len = 0;
	switch (question) {
	case ASK_ARP:
		put_link_layer(frame, all_macs, from, tags, 0x0806);
		put_arp(frame, 1, from, client4, address);
		break;
	case ASK_NS:
		put_link_layer(frame, group_mac, from, tags, 0x86dd);
		put_icmp6(frame, 135, client6, group, vip6);
		break;
	case ASK_ECHO4:
		put_link_layer(frame, to, from, tags, 0x0800);
		put_echo4(frame, client4, vip4, 1);
		break;
	case ASK_ECHO6:
		put_link_layer(frame, to, from, tags, 0x86dd);
		put_icmp6(frame, 128, client6, vip6, NULL);
		break;
	case QUESTIONS: break;
	}
}

static unsigned int
type_of(const struct frame *frame, size_t *at)
{
	unsigned int type;

	*at = 12;
	do {
		type = frame->bytes[*at] << 8 | frame->bytes[*at + 1];
		*at += type == 0x8100 ? 4 : 2;
	} while (type == 0x8100);
	return type;
}

/* Whoever hears it learns that, or talks with it as if, the sender has the address. */
static bool
is_from(const struct frame *frame, const unsigned char *ip4, const unsigned char *ip6)
{
	size_t at;
	unsigned int type = type_of(frame, &at);
	const unsigned char *packet = frame->bytes + at;

	if (type == 0x0806)
		return memcmp(packet + 14, ip4, 4) == 0;
	if (type == 0x0800)
		return memcmp(packet + 12, ip4, 4) == 0;
	if (type != 0x86dd || ip6 == NULL)
		return false;
	return memcmp(packet + 8, ip6, 16) == 0 ||
	    (packet[40] == 136 && memcmp(packet + 48, ip6, 16) == 0);
}

static bool
receive(int fd, struct frame *frame)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	memset(frame, 0, sizeof(*frame));
	if (poll(&poll_fd, 1, LIMIT_MS) <= 0)
		return false;
	ssize_t len = recv(fd, frame->bytes, sizeof(frame->bytes), 0);
	frame->len = len < 0 ? 0 : (size_t)len;
	return len > 0;
}

static void
send_frame(int fd, const struct frame *frame)
{
	CU_ASSERT_EQUAL(send(fd, frame->bytes, frame->len, 0), (ssize_t)frame->len);
}

/* Whether the client hears our address before the answer about the host's other one. */
static bool
hears(struct wire *wire, const struct frame *question)
{
	struct frame frame;
	bool heard = false;

	send_frame(wire->client, question);
	make_question(&frame, wire, ASK_ARP, 0, own4);
	send_frame(wire->client, &frame);
	do {
		if (!receive(wire->client, &frame)) {
			CU_FAIL("the other address is not answered");
			return heard;
		}
		heard = heard || is_from(&frame, vip4, vip6);
	} while (
	    type_of(&frame, &(size_t){ 0 }) != 0x0806 || !is_from(&frame, own4, NULL));
	return heard;
}

/* A socket that is bound to an interface in the namespace of `where`. */
static int
open_packet(pid_t where, const char *name)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(3) };
	char path[64];
	AUTO_CLOSE int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	const int on = 1;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)where);
	AUTO_CLOSE int away = where == 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (away >= 0)
		CU_ASSERT_EQUAL(setns(away, CLONE_NEWNET), 0);
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	to.sll_ifindex = (int)if_nametoindex(name);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	CU_ASSERT_EQUAL(
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)), 0);
	if (away >= 0)
		CU_ASSERT_EQUAL(setns(home, CLONE_NEWNET), 0);
	return fd;
}

static void
mac_of(int fd, unsigned char mac[6])
{
	struct sockaddr_ll own;
	socklen_t len = sizeof(own);

	CU_ASSERT_EQUAL(getsockname(fd, (struct sockaddr *)&own, &len), 0);
	memcpy(mac, own.sll_addr, 6);
}

static void
ip(const char *format, ...)
{
	char words[160];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	if (!netns_ip(0, words, NULL, 0)) {
		printf("# ip %s\n", words);
		CU_FAIL("ip");
	}
}

static void
set_both(struct wire *wire, int64_t until_ms)
{
	CU_ASSERT_EQUAL(fence_set(wire->bed.fence, AF_INET, vip4, until_ms), 0);
	CU_ASSERT_EQUAL(fence_set(wire->bed.fence, AF_INET6, vip6, until_ms), 0);
}

static void
lapse(struct wire *wire)
{
	set_both(wire, clock_boot_ms());
}

static void
hold(struct wire *wire)
{
	set_both(wire, clock_boot_ms() + LATER_MS);
}

static void
wire_open(struct wire *wire)
{
	char mac[24];

	fence_bed_open(&wire->bed);
	wire->client = open_packet(wire->bed.neighbour, "vb");
	wire->own = open_packet(0, "va");
	mac_of(wire->client, wire->client_mac);
	mac_of(wire->own, wire->own_mac);
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", wire->client_mac[0],
	    wire->client_mac[1], wire->client_mac[2], wire->client_mac[3],
	    wire->client_mac[4], wire->client_mac[5]);
	ip("addr add 10.9.0.1/24 dev va");
	ip("addr add fd00:9::1/64 dev va nodad");
	ip("neigh add 10.9.0.20 lladdr %s dev va", mac);
	ip("neigh add fd00:9::20 lladdr %s dev va", mac);
	ip("addr add 10.9.0.100/32 dev va");
	ip("addr add fd00:9::64/128 dev va nodad");
	hold(wire);
	CU_ASSERT_EQUAL(fence_bed_attach(&wire->bed), 0);
}

static void
wire_close(struct wire *wire)
{
	close(wire->client);
	close(wire->own);
	fence_bed_close(&wire->bed);
}

/* Two tags are no question to every kernel, but silence is due behind them too. */
static void
test_questions(void)
{
	struct wire wire;
	struct frame frame;

	wire_open(&wire);
	for (unsigned int tags = 0; tags <= TAGS_MAX; tags++)
		for (enum question question = 0; question < QUESTIONS; question++) {
			make_question(&frame, &wire, question, tags, vip4);
			hold(&wire);
			bool heard = hears(&wire, &frame);
			CU_ASSERT(heard || tags == TAGS_MAX);
			lapse(&wire);
			CU_ASSERT_FALSE(hears(&wire, &frame));
			hold(&wire);
			CU_ASSERT_EQUAL(hears(&wire, &frame), heard);
			set_both(&wire, 0);
			CU_ASSERT_FALSE(hears(&wire, &frame));
		}
	wire_close(&wire);
}

/* Nobody does anything at the deadline, and what is asked from then on is not answered. */
static void
test_deadline(void)
{
	struct wire wire;
	struct frame frame;

	wire_open(&wire);
	for (enum question question = 0; question < QUESTIONS; question++) {
		unsigned int before = 0, after = 0;
		int64_t now, deadline = clock_boot_ms() + 50;
		make_question(&frame, &wire, question, 0, vip4);
		set_both(&wire, deadline);
		do {
			now = clock_boot_ms();
			bool heard = hears(&wire, &frame);
			before += heard && now < deadline;
			after += heard && now >= deadline;
		} while (now < deadline + 50);
		CU_ASSERT(before > 0);
		CU_ASSERT_EQUAL(after, 0);
	}
	wire_close(&wire);
}

/* Without it they are answered: it is the program that makes us mute. */
static void
test_no_hook(void)
{
	struct wire wire;
	struct frame frame;

	wire_open(&wire);
	lapse(&wire);
	make_question(&frame, &wire, ASK_ARP, 0, vip4);
	CU_ASSERT_FALSE(hears(&wire, &frame));
	CU_ASSERT(netns_run(0, "tc", "qdisc del dev va clsact", NULL, 0));
	CU_ASSERT(hears(&wire, &frame));
	CU_ASSERT_EQUAL(fence_bed_attach(&wire.bed), 0);
	CU_ASSERT_FALSE(hears(&wire, &frame));
	wire_close(&wire);
}

enum claim { CLAIM_REQUEST, CLAIM_REPLY, CLAIM_NA, CLAIM_ECHO4, CLAIM_ECHO6, CLAIMS };

static void
make_claim(
    struct frame *frame, const struct wire *wire, enum claim claim, unsigned int tags)
{
	const unsigned char *mac = wire->own_mac;

	frame->len = 0;
	put_link_layer(frame, all_macs, mac, tags,
	    claim <= CLAIM_REPLY       ? 0x0806
		: claim == CLAIM_ECHO4 ? 0x0800
				       : 0x86dd);
	switch (claim) {
	case CLAIM_REQUEST: put_arp(frame, 1, mac, vip4, vip4); break;
	case CLAIM_REPLY: put_arp(frame, 2, mac, vip4, vip4); break;
	case CLAIM_NA: put_icmp6(frame, 136, client6, client6, vip6); break;
	case CLAIM_ECHO4: put_echo4(frame, vip4, client4, 1); break;
	case CLAIM_ECHO6: put_icmp6(frame, 128, vip6, client6, NULL); break;
	case CLAIMS: break;
	}
}

/* What a backup sends about the address of another: its probes, and its own packets. */
static void
make_asking(
    struct frame *frame, const struct wire *wire, enum claim as, unsigned int tags)
{
	const unsigned char *mac = wire->own_mac;

	frame->len = 0;
	put_link_layer(frame, all_macs, mac, tags,
	    as <= CLAIM_REPLY       ? 0x0806
		: as == CLAIM_ECHO4 ? 0x0800
				    : 0x86dd);
	switch (as) {
	case CLAIM_REQUEST: put_arp(frame, 1, mac, nothing, vip4); break;
	case CLAIM_REPLY: put_arp(frame, 1, mac, own4, vip4); break;
	case CLAIM_NA: put_icmp6(frame, 135, nothing, vip6, vip6); break;
	case CLAIM_ECHO4: put_echo4(frame, own4, vip4, 1); break;
	case CLAIM_ECHO6: put_icmp6(frame, 128, client6, vip6, NULL); break;
	case CLAIMS: break;
	}
}

/* Whether the frame gets to the client, before one of a type that nobody else uses. */
static bool
gets_out(struct wire *wire, const struct frame *sent)
{
	struct frame frame = { .len = 0 };
	bool out = false;

	/* what the fence drops is no room to the sender */
	CU_ASSERT(send(wire->own, sent->bytes, sent->len, 0) > 0 || errno == ENOBUFS);
	put_link_layer(&frame, all_macs, wire->own_mac, 0, 0x88b5);
	frame.len = 60;
	send_frame(wire->own, &frame);
	do {
		if (!receive(wire->client, &frame)) {
			CU_FAIL("the last frame did not come");
			return out;
		}
		/* one tag may come in the metadata: the ends are the same */
		out = out ||
		    (frame.len >= ETHERNET_HEADER &&
			memcmp(frame.bytes + frame.len - 20,
			    sent->bytes + sent->len - 20, 20) == 0);
	} while (type_of(&frame, &(size_t){ 0 }) != 0x88b5);
	return out;
}

static void
test_claims(void)
{
	struct wire wire;
	struct frame frame;

	wire_open(&wire);
	for (unsigned int tags = 0; tags <= TAGS_MAX; tags++)
		for (enum claim claim = 0; claim < CLAIMS; claim++) {
			make_claim(&frame, &wire, claim, tags);
			hold(&wire);
			CU_ASSERT(gets_out(&wire, &frame));
			lapse(&wire);
			CU_ASSERT_FALSE(gets_out(&wire, &frame));
			make_asking(&frame, &wire, claim, tags);
			CU_ASSERT(gets_out(&wire, &frame));
		}
	wire_close(&wire);
}

struct pinger {
	struct wire *wire;
	atomic_uint sent, heard;
	atomic_bool end;
};

static void
hear_replies(struct pinger *pinger, int wait_ms)
{
	struct pollfd client = { .fd = pinger->wire->client, .events = POLLIN };
	struct frame frame;

	while (poll(&client, 1, wait_ms) > 0 && receive(client.fd, &frame)) {
		pinger->heard += type_of(&frame, &(size_t){ 0 }) == 0x0800 &&
		    is_from(&frame, vip4, NULL);
		wait_ms = 0;
	}
}

/* One each millisecond at least, whatever becomes of the answers. */
static void *
ping(void *arg)
{
	struct pinger *pinger = arg;
	struct frame frame;

	while (!pinger->end) {
		frame.len = 0;
		put_link_layer(
		    &frame, pinger->wire->own_mac, pinger->wire->client_mac, 0, 0x0800);
		put_echo4(&frame, client4, vip4, ++pinger->sent);
		if (send(pinger->wire->client, frame.bytes, frame.len, 0) < 0)
			break;
		hear_replies(pinger, 1);
	}
	int64_t limit = clock_raw_ms() + LIMIT_MS;
	while (pinger->heard < pinger->sent && clock_raw_ms() < limit)
		hear_replies(pinger, 10);
	return NULL;
}

/* A warden ends and the next one puts its program in the place of the old one. */
static void
test_replaced(void)
{
	struct wire wire;
	struct pinger pinger = { .wire = &wire };
	pthread_t thread;
	char why[256];

	wire_open(&wire);
	CU_ASSERT_FATAL(pthread_create(&thread, NULL, ping, &pinger) == 0);
	for (unsigned int i = 1; i <= REPLACED; i++) {
		while (pinger.sent < i * EVERY)
			sched_yield();
		fence_free(wire.bed.fence);
		wire.bed.fence = fence_open(FENCE_BED_FOLDER, why, sizeof(why));
		CU_ASSERT_PTR_NOT_NULL_FATAL(wire.bed.fence);
		CU_ASSERT_FALSE(fence_bed_stands(&wire.bed, NULL));
		CU_ASSERT_EQUAL(fence_bed_attach(&wire.bed), 0);
		CU_ASSERT(fence_bed_stands(&wire.bed, NULL));
	}
	pinger.end = true;
	pthread_join(thread, NULL);
	printf("# %u pings, %u answered\n", pinger.sent, pinger.heard);
	CU_ASSERT_EQUAL(pinger.heard, pinger.sent);
	lapse(&wire);
	struct frame frame;
	make_question(&frame, &wire, ASK_ECHO4, 0, vip4);
	CU_ASSERT_FALSE(hears(&wire, &frame));
	wire_close(&wire);
}

static int
open_tun(void)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	str_copy(request.ifr_name, sizeof(request.ifr_name), "t0");
	if (fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* Whether a packet for our address is answered before one for the interface's own. */
static bool
answers_bare(int fd, bool v6)
{
	static const unsigned char far4[4] = { 10, 8, 0, 2 },
				   near4[4] = { 10, 8, 0, 1 };
	static const unsigned char far6[16] = { 0xfd, 0, 0, 8, [15] = 2 };
	struct frame frame = { .len = 0 };
	bool answered = false;
	ssize_t len;

	if (v6)
		put_icmp6(&frame, 128, far6, vip6, NULL);
	else
		put_echo4(&frame, far4, vip4, 1);
	CU_ASSERT_EQUAL(write(fd, frame.bytes, frame.len), (ssize_t)frame.len);
	frame.len = 0;
	put_echo4(&frame, far4, near4, 2);
	CU_ASSERT_EQUAL(write(fd, frame.bytes, frame.len), (ssize_t)frame.len);
	do {
		struct pollfd tun = { .fd = fd, .events = POLLIN };
		memset(frame.bytes, 0, sizeof(frame.bytes));
		if (poll(&tun, 1, LIMIT_MS) <= 0)
			break;
		len = read(fd, frame.bytes, sizeof(frame.bytes));
		bool is_v6 = frame.bytes[0] >> 4 == 6;
		answered = answered ||
		    (is_v6 ? memcmp(frame.bytes + 8, vip6, 16) == 0
			   : memcmp(frame.bytes + 12, vip4, 4) == 0);
	} while (len > 0 && memcmp(frame.bytes + 12, near4, 4) != 0);
	CU_ASSERT_EQUAL(memcmp(frame.bytes + 12, near4, 4), 0);
	return answered;
}

static void
test_bare(void)
{
	struct wire wire;
	AUTO_CLOSE int tun = open_tun();

	if (tun < 0) {
		CU_PASS("this kernel has no tun");
		return;
	}
	wire_open(&wire);
	ip("link set t0 up");
	ip("addr add 10.8.0.1/24 dev t0");
	ip("addr add fd00:8::1/64 dev t0 nodad");
	CU_ASSERT_EQUAL(fence_bed_attach(&wire.bed), 0);
	CU_ASSERT(fence_bed_stands(&wire.bed, NULL));
	for (int v6 = 0; v6 <= 1; v6++) {
		hold(&wire);
		CU_ASSERT(answers_bare(tun, v6 == 1));
		lapse(&wire);
		CU_ASSERT_FALSE(answers_bare(tun, v6 == 1));
	}
	wire_close(&wire);
}

static const struct tap_case cases[] = {
	{ "a lapsed address is asked for in vain", test_questions },
	{ "the deadline comes by itself", test_deadline },
	{ "without the program there is an answer", test_no_hook },
	{ "a lapsed address is claimed in vain, and may be asked for", test_claims },
	{ "the program is replaced and no ping is lost", test_replaced },
	{ "packets without a link layer", test_bare },
};

int
main(int argc, char **argv)
{
	if (!fence_bed_enter())
		return 0;
	return tap_main(argc, argv, "fence_wire", cases, ARRAY_LENGTH(cases));
}
