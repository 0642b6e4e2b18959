/* SPDX-License-Identifier: ISC */
/*
 * The frames by which hosts learn who has an address, byte by byte: those that we send (the
 * kernel sends none by itself when an address is added, and its duplicate address
 * detection would keep the address from working for a second), and what a frame of others
 * says. Pure; announce and conflict own the sockets.
 *
 * The filter and frame_claims tell the same frames, the one in the kernel, the other for
 * what has come through: a claim is an ARP packet with the address as its sender, or a
 * neighbour advertisement with it as its target. A probe (sender 0, source ::) claims
 * nothing, neither another lictor's nor that of a tool that looks for duplicates.
 */
#include "agent/warden/frame.h"

#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define MAC_SIZE 6
#define V6_SIZE 16

/* Where things stand in a frame. */
#define AT_TYPE 12
#define AT_ARP 14 /* hardware and protocol type, their sizes, the operation */
#define AT_ARP_SENDER 28
#define AT_NEXT_HEADER 20
#define AT_HOP_LIMIT 21
#define AT_ICMP 54
#define AT_ICMP_TARGET 62

#define HOP_LIMIT 255 /* so that it comes from this link (RFC 4861 7.1) */

static const unsigned char all_nodes[V6_SIZE] = { 0xff, 0x02, [15] = 0x01 };
static const unsigned char unspecified[V6_SIZE];

static size_t
put(unsigned char *frame, size_t at, const void *data, size_t len)
{
	memcpy(frame + at, data, len);
	return at + len;
}

static size_t
put_u16(unsigned char *frame, size_t at, unsigned int value)
{
	const unsigned char bytes[2] = { (unsigned char)(value >> 8),
		(unsigned char)value };

	return put(frame, at, bytes, sizeof(bytes));
}

/* RFC 826. With another target MAC than the sender's Linux does not take a reply for
 * gratuitous, and ignores it within a second of the last change. */
static size_t
write_arp(unsigned char *frame, enum frame_kind kind, const unsigned char *mac,
    const unsigned char *address)
{
	static const unsigned char nothing[MAC_SIZE];
	bool reply = kind == FRAME_ARP_REPLY;
	size_t at = put(frame, 0, "\xff\xff\xff\xff\xff\xff", MAC_SIZE);

	at = put(frame, at, mac, MAC_SIZE);
	at = put_u16(frame, at, ETHERTYPE_ARP);
	at = put_u16(frame, at, ARPHRD_ETHER);
	at = put_u16(frame, at, ETHERTYPE_IP);
	at = put_u16(frame, at, MAC_SIZE << 8 | 4);
	at = put_u16(frame, at, reply ? ARPOP_REPLY : ARPOP_REQUEST);
	at = put(frame, at, mac, MAC_SIZE);
	at = put(frame, at, kind == FRAME_ARP_PROBE ? nothing : address, 4);
	at = put(frame, at, reply ? mac : nothing, MAC_SIZE);
	return put(frame, at, address, 4);
}

/* RFC 1071, big-endian. */
static uint32_t
sum16(uint32_t sum, const unsigned char *data, size_t len)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)data[i] << 8 | data[i + 1];
	return sum;
}

/* RFC 4443 2.3: the pseudo-header's addresses, length and type, then the message. */
static void
put_checksum(unsigned char *frame, size_t len)
{
	uint32_t sum = (uint32_t)(len - AT_ICMP) + IPPROTO_ICMPV6;

	sum = sum16(sum, frame + AT_ICMP - 2 * V6_SIZE, 2 * V6_SIZE);
	sum = sum16(sum, frame + AT_ICMP, len - AT_ICMP);
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	put_u16(frame, AT_ICMP + 2, ~sum & 0xffff);
}

/* To a multicast group; the message has a head of eight bytes, the target and `options`. */
static size_t
write_icmp(unsigned char *frame, unsigned int type, const unsigned char *mac,
    const unsigned char *from, const unsigned char *to, const unsigned char *target,
    size_t options)
{
	size_t at = put(frame, 0, "\x33\x33", 2);

	at = put(frame, at, to + 12, 4);
	at = put(frame, at, mac, MAC_SIZE);
	at = put_u16(frame, at, ETHERTYPE_IPV6);
	at = put(frame, at, "\x60\x00\x00\x00", 4);
	at = put_u16(frame, at, (unsigned int)(8 + V6_SIZE + options));
	at = put_u16(frame, at, IPPROTO_ICMPV6 << 8 | HOP_LIMIT);
	at = put(frame, at, from, V6_SIZE);
	at = put(frame, at, to, V6_SIZE);
	at = put_u16(frame, at, type << 8);
	at = put(frame, at, "\x00\x00\x00\x00\x00\x00", 6);
	return put(frame, at, target, V6_SIZE);
}

static size_t
write_advert(unsigned char *frame, const unsigned char *mac,
    const unsigned char *address, bool router)
{
	size_t at =
	    write_icmp(frame, ND_NEIGHBOR_ADVERT, mac, address, all_nodes, address, 8);

	frame[AT_ICMP + 4] = router ? 0xa0 : 0x20; /* router, override */
	at = put_u16(frame, at, ND_OPT_TARGET_LINKADDR << 8 | 1);
	at = put(frame, at, mac, MAC_SIZE);
	put_checksum(frame, at);
	return at;
}

/* From nobody, so without an option that names a MAC. */
static size_t
write_solicit(
    unsigned char *frame, const unsigned char *mac, const unsigned char *address)
{
	unsigned char group[V6_SIZE] = { 0xff, 0x02, [11] = 0x01, 0xff };

	memcpy(group + 13, address + 13, 3);
	size_t at =
	    write_icmp(frame, ND_NEIGHBOR_SOLICIT, mac, unspecified, group, address, 0);
	put_checksum(frame, at);
	return at;
}

size_t
frame_write(unsigned char frame[FRAME_MAX], enum frame_kind kind,
    const unsigned char mac[6], const unsigned char *address, bool router)
{
	switch (kind) {
	case FRAME_ARP_REQUEST:
	case FRAME_ARP_REPLY:
	case FRAME_ARP_PROBE: return write_arp(frame, kind, mac, address);
	case FRAME_NA: return write_advert(frame, mac, address, router);
	case FRAME_NS_PROBE: return write_solicit(frame, mac, address);
	}
	return 0;
}

static unsigned int
get_u16(const unsigned char *frame, size_t at)
{
	return (unsigned int)frame[at] << 8 | frame[at + 1];
}

bool
frame_claims(
    const unsigned char *frame, size_t len, int family, const unsigned char *address)
{
	static const unsigned char head[6] = { 0, ARPHRD_ETHER, 8, 0, MAC_SIZE, 4 };

	if (family == AF_INET)
		return len >= FRAME_ARP_SIZE &&
		    get_u16(frame, AT_TYPE) == ETHERTYPE_ARP &&
		    memcmp(frame + AT_ARP, head, sizeof(head)) == 0 &&
		    memcmp(frame + AT_ARP_SENDER, address, 4) == 0;
	return len >= AT_ICMP_TARGET + V6_SIZE &&
	    get_u16(frame, AT_TYPE) == ETHERTYPE_IPV6 &&
	    frame[AT_NEXT_HEADER] == IPPROTO_ICMPV6 &&
	    frame[AT_HOP_LIMIT] == HOP_LIMIT && frame[AT_ICMP] == ND_NEIGHBOR_ADVERT &&
	    memcmp(frame + AT_ICMP_TARGET, address, V6_SIZE) == 0;
}

/* The filter. A jump reaches 255 instructions at most, so each test that may fail early has
 * an end of its own right behind it. */

struct writer {
	struct sock_filter *at;
	size_t len;
};

static void
emit(struct writer *to, struct sock_filter instruction)
{
	to->at[to->len++] = instruction;
}

static void
load(struct writer *to, unsigned int size, unsigned int at)
{
	emit(to, (struct sock_filter)BPF_STMT(BPF_LD | size | BPF_ABS, at));
}

static void
end(struct writer *to, unsigned int taken)
{
	emit(to, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, taken));
}

/* On if what is at that place is `value`, or else the frame is let go. */
static void
demand(struct writer *to, unsigned int size, unsigned int at, unsigned int value)
{
	load(to, size, at);
	emit(to, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0));
	end(to, 0);
}

static unsigned int
get_u32(const unsigned char *bytes)
{
	return get_u16(bytes, 0) << 16 | get_u16(bytes, 2);
}

/* Takes the frame if the words from `at` on are the address's, else goes on behind. */
static void
take_if(struct writer *to, unsigned int at, const unsigned char *address, size_t words)
{
	for (size_t i = 0; i < words; i++) {
		unsigned int rest = (unsigned int)(2 * (words - i) - 1);
		unsigned char past = (unsigned char)rest;
		load(to, BPF_W, at + 4 * (unsigned int)i);
		emit(to,
		    (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, get_u32(address + 4 * i), 0, past));
	}
	end(to, FRAME_SEEN);
}

static void
demand_arp(struct writer *to)
{
	demand(to, BPF_H, AT_TYPE, ETHERTYPE_ARP);
	demand(to, BPF_W, AT_ARP, ARPHRD_ETHER << 16 | ETHERTYPE_IP);
	demand(to, BPF_H, AT_ARP + 4, MAC_SIZE << 8 | 4);
}

static void
demand_advert(struct writer *to)
{
	demand(to, BPF_H, AT_TYPE, ETHERTYPE_IPV6);
	demand(to, BPF_H, AT_NEXT_HEADER, IPPROTO_ICMPV6 << 8 | HOP_LIMIT);
	demand(to, BPF_B, AT_ICMP, ND_NEIGHBOR_ADVERT);
}

size_t
frame_filter(struct sock_filter program[FRAME_FILTER_MAX], int family,
    const struct frame_address *list, size_t count)
{
	struct writer to = { program, 0 };
	size_t words = family == AF_INET ? 1 : 4, each = 2 * words + 1, wanted = 0;
	unsigned int at = family == AF_INET ? AT_ARP_SENDER : AT_ICMP_TARGET;

	if (family == AF_INET)
		demand_arp(&to);
	else
		demand_advert(&to);
	for (size_t i = 0; i < count; i++)
		wanted += list[i].family == family;
	bool fits = to.len + wanted * each + 1 <= FRAME_FILTER_MAX;
	for (size_t i = 0; fits && i < count; i++)
		if (list[i].family == family)
			take_if(&to, at, list[i].address, words);
	end(&to, fits ? 0 : FRAME_SEEN);
	return to.len;
}
