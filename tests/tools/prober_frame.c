/* SPDX-License-Identifier: ISC */
/*
 * The frames of prober: questions by ARP, neighbour solicitation, ICMP echo and UDP, what
 * answers them, and what a host says that took the address. A question's number is in what
 * comes back: in the destination MAC of ARP replies and neighbour advertisements (the
 * question named a sender made of it), in the sequence of an echo, in a datagram's data.
 */
#include "tests/tools/prober.h"

#include <net/if_arp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* How the MACs begin that carry a number. */
static const unsigned char tag_head[4] = { 2, 'p', 'r', 'o' };

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

static uint32_t
sum16(uint32_t sum, const unsigned char *data, size_t len)
{
	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)data[i] << 8 | (i + 1 < len ? data[i + 1] : 0u);
	return sum;
}

static unsigned int
fold(uint32_t sum)
{
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

static void
tag_mac(uint32_t number, unsigned char mac[ETH_ALEN])
{
	memcpy(mac, tag_head, 4);
	mac[4] = (unsigned char)(number >> 8);
	mac[5] = (unsigned char)number;
}

static size_t
head(const struct prober *p, unsigned char *frame, const unsigned char *to)
{
	size_t at = put(frame, 0, to, ETH_ALEN);

	return put(frame, at, p->own, ETH_ALEN);
}

/* An ARP probe (RFC 5227): no sender address, so nobody learns anything from it. */
static size_t
arp_frame(const struct prober *p, unsigned char *frame, const unsigned char *to)
{
	unsigned char tag[ETH_ALEN];
	size_t at = put_u16(frame, head(p, frame, to), ETHERTYPE_ARP);

	tag_mac(p->number, tag);
	at = put(frame, at, "\x00\x01\x08\x00\x06\x04\x00\x01", 8);
	at = put(frame, at, tag, ETH_ALEN);
	at = put(frame, at, "\0\0\0\0\0\0\0\0\0\0", 10);
	return put(frame, at, p->address, 4);
}

/* Network header and room for a message of so many bytes: where the message begins. */
static size_t
ip_head(const struct prober *p, unsigned char *frame, const unsigned char *mac,
    const unsigned char *from, const unsigned char *to, unsigned int protocol,
    size_t len)
{
	bool v6 = p->family == AF_INET6;
	size_t at = head(p, frame, mac), ip;

	at = put_u16(frame, at, v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
	if (v6) {
		at = put(frame, at, "\x60\0\0\0", 4);
		at = put_u16(frame, at, (unsigned int)len);
		at = put_u16(frame, at, protocol << 8 | 255);
		at = put(frame, at, from, 16);
		return put(frame, at, to, 16);
	}
	ip = at;
	at = put_u16(frame, at, 0x4500);
	at = put_u16(frame, at, (unsigned int)(20 + len));
	at = put(frame, at, "\0\0\0\0\x40", 5);
	frame[at++] = (unsigned char)protocol;
	at = put_u16(frame, at, 0);
	at = put(frame, at, from, 4);
	at = put(frame, at, to, 4);
	put_u16(frame, ip + 10, fold(sum16(0, frame + ip, 20)));
	return at;
}

static uint32_t
pseudo_sum(const unsigned char *from, const unsigned char *to, size_t size,
    unsigned int protocol, size_t len)
{
	return sum16(sum16((uint32_t)len + protocol, from, size), to, size);
}

/* To the solicited-node address, as who has no entry yet asks. */
static size_t
ns_frame(const struct prober *p, unsigned char *frame, const unsigned char *mac)
{
	static const unsigned char from[16] = { 0xfe, 0x80, [8] = 'p', 'r', 'o', 'b' };
	unsigned char to[16] = { 0xff, 2, [11] = 1, 0xff }, tag[ETH_ALEN];
	size_t at, icmp;

	memcpy(to + 13, p->address + 13, 3);
	tag_mac(p->number, tag);
	icmp = at = ip_head(p, frame, mac, from, to, IPPROTO_ICMPV6, 32);
	at = put(frame, at, "\x87\0\0\0\0\0\0\0", 8);
	at = put(frame, at, p->address, 16);
	at = put(frame, at, "\x01\x01", 2);
	at = put(frame, at, tag, ETH_ALEN);
	put_u16(frame, icmp + 2,
	    fold(
		sum16(pseudo_sum(from, to, 16, IPPROTO_ICMPV6, 32), frame + icmp, 32)));
	return at;
}

static size_t
echo_frame(const struct prober *p, unsigned char *frame, const unsigned char *mac)
{
	bool v6 = p->family == AF_INET6;
	unsigned int protocol = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	size_t at = ip_head(p, frame, mac, p->own_address, p->address, protocol, 8);
	size_t icmp = at;

	at = put_u16(frame, at, v6 ? 0x8000 : 0x0800);
	at = put_u16(frame, at, 0);
	at = put_u16(frame, at, p->own_port); /* the identifier */
	at = put_u16(frame, at, p->number & 0xffff);
	put_u16(frame, icmp + 2,
	    fold(sum16(v6 ? pseudo_sum(p->own_address, p->address, 16, protocol, 8) : 0,
		frame + icmp, 8)));
	return at;
}

static size_t
udp_frame(const struct prober *p, unsigned char *frame, const unsigned char *mac)
{
	size_t size = p->family == AF_INET6 ? 16 : 4, len = 10;
	size_t at =
	    ip_head(p, frame, mac, p->own_address, p->address, IPPROTO_UDP, len);
	size_t udp = at;
	unsigned int sum;

	at = put_u16(frame, at, p->own_port);
	at = put_u16(frame, at, p->port);
	at = put_u16(frame, at, (unsigned int)len);
	at = put_u16(frame, at, 0);
	at = put_u16(frame, at, p->number & 0xffff);
	sum = fold(sum16(pseudo_sum(p->own_address, p->address, size, IPPROTO_UDP, len),
	    frame + udp, len));
	put_u16(frame, udp + 6, sum != 0 ? sum : 0xffff);
	return at;
}

size_t
frame_question(const struct prober *p, enum kind kind, const unsigned char *mac,
    unsigned char frame[FRAME])
{
	switch (kind) {
	case NEIGHBOUR:
		return p->family == AF_INET6 ? ns_frame(p, frame, mac)
					     : arp_frame(p, frame, mac);
	case ECHO: return echo_frame(p, frame, mac);
	case UDP: return udp_frame(p, frame, mac);
	case KINDS: break;
	}
	return 0;
}

size_t
frame_claim(const struct prober *p, unsigned char frame[FRAME])
{
	static const unsigned char all[16] = { 0xff, 2, [15] = 1 };
	const unsigned char *mac = (const unsigned char *)"\x33\x33\0\0\0\1";
	size_t at, icmp;

	if (p->family == AF_INET) {
		at = arp_frame(
		    p, frame, (const unsigned char *)"\xff\xff\xff\xff\xff\xff");
		put(frame, put(frame, 22, p->own, ETH_ALEN), p->address, 4);
		return at;
	}
	icmp = at = ip_head(p, frame, mac, p->address, all, IPPROTO_ICMPV6, 32);
	at = put(frame, at, "\x88\0\0\0\x20\0\0\0", 8);
	at = put(frame, at, p->address, 16);
	at = put(frame, at, "\x02\x01", 2);
	at = put(frame, at, p->own, ETH_ALEN);
	put_u16(frame, icmp + 2,
	    fold(sum16(pseudo_sum(p->address, all, 16, IPPROTO_ICMPV6, 32),
		frame + icmp, 32)));
	return at;
}

static unsigned int
get_u16(const unsigned char *at)
{
	return (unsigned int)at[0] << 8 | at[1];
}

enum kind
frame_read(
    const struct prober *p, const unsigned char *f, size_t len, unsigned int *number)
{
	bool v6 = p->family == AF_INET6;
	const unsigned char *from = f + (v6 ? 22 : 26), *m = f + (v6 ? 54 : 34);
	unsigned int type = get_u16(f + 12), protocol = f[v6 ? 20 : 23];
	bool tagged = memcmp(f, tag_head, 4) == 0;

	*number = get_u16(f + 4);
	if (!v6 && type == ETHERTYPE_ARP)
		return tagged && get_u16(f + 20) == ARPOP_REPLY &&
			memcmp(f + 28, p->address, 4) == 0
		    ? NEIGHBOUR
		    : KINDS;
	if (type != (v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP) || len < (v6 ? 62u : 42u))
		return KINDS;
	if (v6 && protocol == IPPROTO_ICMPV6 && m[0] == 136)
		return tagged && len >= 78 && memcmp(m + 8, p->address, 16) == 0
		    ? NEIGHBOUR
		    : KINDS;
	if (memcmp(from, p->address, v6 ? 16 : 4) != 0)
		return KINDS;
	if (protocol == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) &&
	    m[0] == (v6 ? 129 : 0) && get_u16(m + 4) == p->own_port) {
		*number = get_u16(m + 6);
		return ECHO;
	}
	if (protocol == IPPROTO_UDP && len >= (v6 ? 64u : 44u) &&
	    get_u16(m) == p->port && get_u16(m + 2) == p->own_port) {
		*number = get_u16(m + 8);
		return UDP;
	}
	return KINDS;
}
