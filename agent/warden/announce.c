/* SPDX-License-Identifier: ISC */
/*
 * The frames by which neighbours and switches learn that an address has moved to this
 * host's interface; the kernel sends none by itself when an address is added. They are
 * written here byte by byte and sent by a packet socket that receives nothing, so that
 * no routing and no address of the interface has a say.
 */
#include "agent/warden/announce.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/util.h"

#define MAC_SIZE 6
#define ALL_NODES_MAC "\x33\x33\x00\x00\x00\x01"

static const unsigned char all_nodes[16] = { 0xff, 0x02, [15] = 0x01 };

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

/* RFC 826; "gratuitous": sender and target are the same address (RFC 5227). With another
 * target hardware address than the sender's Linux does not take a reply for gratuitous, and
 * ignores it within a second of the last change. */
size_t
announce_arp_frame(unsigned char frame[64], const unsigned char mac[6],
    const unsigned char address[4], int reply)
{
	size_t at = put(frame, 0, "\xff\xff\xff\xff\xff\xff", MAC_SIZE);

	at = put(frame, at, mac, MAC_SIZE);
	at = put_u16(frame, at, ETHERTYPE_ARP);
	at = put_u16(frame, at, ARPHRD_ETHER);
	at = put_u16(frame, at, ETHERTYPE_IP);
	at = put_u16(frame, at, MAC_SIZE << 8 | 4);
	at = put_u16(frame, at, reply ? ARPOP_REPLY : ARPOP_REQUEST);
	at = put(frame, at, mac, MAC_SIZE);
	at = put(frame, at, address, 4);
	at = put(
	    frame, at, reply ? mac : (const unsigned char[MAC_SIZE]){ 0 }, MAC_SIZE);
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
static unsigned int
icmp_checksum(const unsigned char source[16], const unsigned char *message, size_t len)
{
	uint32_t sum = (uint32_t)len + IPPROTO_ICMPV6;

	sum = sum16(sum, source, 16);
	sum = sum16(sum, all_nodes, 16);
	sum = sum16(sum, message, len);
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

/* RFC 4861 4.4 and 7.2.6: to all nodes, override set, the target's hardware address. */
size_t
announce_na_frame(unsigned char frame[128], const unsigned char mac[6],
    const unsigned char address[16])
{
	const size_t icmp_len = sizeof(struct nd_neighbor_advert) + 8;
	size_t at = put(frame, 0, ALL_NODES_MAC, MAC_SIZE);

	at = put(frame, at, mac, MAC_SIZE);
	at = put_u16(frame, at, ETHERTYPE_IPV6);
	at = put(frame, at, "\x60\x00\x00\x00", 4);
	at = put_u16(frame, at, (unsigned int)icmp_len);
	at = put_u16(frame, at, IPPROTO_ICMPV6 << 8 | 255); /* hop limit */
	at = put(frame, at, address, 16);
	at = put(frame, at, all_nodes, 16);
	const size_t icmp = at;
	at = put_u16(frame, at, ND_NEIGHBOR_ADVERT << 8);
	at = put_u16(frame, at, 0);
	at = put(frame, at, "\x20\x00\x00\x00", 4); /* override */
	at = put(frame, at, address, 16);
	at = put_u16(frame, at, ND_OPT_TARGET_LINKADDR << 8 | 1);
	at = put(frame, at, mac, MAC_SIZE);
	put_u16(frame, icmp + 2, icmp_checksum(address, frame + icmp, icmp_len));
	return at;
}

/* 0 or -errno; -EOPNOTSUPP: not an Ethernet. */
static int
find_mac(int fd, unsigned int ifindex, unsigned char mac[MAC_SIZE])
{
	struct ifreq request = { .ifr_ifindex = (int)ifindex };

	if (ioctl(fd, SIOCGIFNAME, &request) != 0 ||
	    ioctl(fd, SIOCGIFHWADDR, &request) != 0)
		return -errno;
	if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return -EOPNOTSUPP;
	memcpy(mac, request.ifr_hwaddr.sa_data, MAC_SIZE);
	return 0;
}

static int
send_frame(int fd, unsigned int ifindex, const unsigned char *frame, size_t len)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
		.sll_ifindex = (int)ifindex,
		.sll_halen = MAC_SIZE };

	memcpy(to.sll_addr, frame, MAC_SIZE);
	return sendto(fd, frame, len, 0, (struct sockaddr *)&to, sizeof(to)) < 0
	    ? -errno
	    : 0;
}

int
announce_send(unsigned int ifindex, int family, const unsigned char *address)
{
	unsigned char mac[MAC_SIZE], frame[128];
	AUTO_CLOSE int fd =
	    socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	int error = find_mac(fd, ifindex, mac);
	if (error != 0)
		return error == -EOPNOTSUPP ? 0
					    : error; /* nobody there has to be told */
	if (family == AF_INET6)
		return send_frame(
		    fd, ifindex, frame, announce_na_frame(frame, mac, address));
	error =
	    send_frame(fd, ifindex, frame, announce_arp_frame(frame, mac, address, 0));
	if (error != 0)
		return error;
	return send_frame(
	    fd, ifindex, frame, announce_arp_frame(frame, mac, address, 1));
}
