/* SPDX-License-Identifier: ISC */
/*
 * Other hosts that say an address is theirs: what their frames say, and how often. The bytes
 * come from a network that anybody may write to, by way of a warden that looked at no more
 * than it must; so nothing of them is believed here that is not read again.
 *
 * Five gratuitous frames in a row are one claim and not five: what counts is whether the
 * other host comes back after it has heard that the address is taken.
 */
#include "agent/failover/rival.h"

#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <string.h>

#define MAC_SIZE 6
#define V6_SIZE 16

#define ARP_SIZE 42
#define AT_ARP_MAC 22
#define AT_ARP_ADDRESS 28
#define AT_ICMP 54
#define AT_TARGET 62
#define AT_OPTIONS 78

static unsigned int
get_u16(const unsigned char *frame, size_t at)
{
	return (unsigned int)frame[at] << 8 | frame[at + 1];
}

static bool
read_arp(const unsigned char *frame, size_t len, const unsigned char *address,
    unsigned char mac[6])
{
	if (len < ARP_SIZE || get_u16(frame, 12) != ETHERTYPE_ARP ||
	    get_u16(frame, 14) != ARPHRD_ETHER || get_u16(frame, 16) != ETHERTYPE_IP ||
	    frame[18] != MAC_SIZE || frame[19] != 4)
		return false;
	if (memcmp(frame + AT_ARP_ADDRESS, address, 4) != 0)
		return false;
	memcpy(mac, frame + AT_ARP_MAC, MAC_SIZE);
	return true;
}

/* The option that names the target's MAC; who sends none is the sender of the frame. */
static const unsigned char *
find_mac(const unsigned char *frame, size_t len)
{
	size_t at = AT_OPTIONS;

	while (at + 8 <= len && frame[at + 1] != 0) {
		if (frame[at] == ND_OPT_TARGET_LINKADDR && frame[at + 1] == 1)
			return frame + at + 2;
		at += (size_t)frame[at + 1] * 8;
	}
	return frame + ETH_ALEN;
}

static bool
read_advert(const unsigned char *frame, size_t len, const unsigned char *address,
    unsigned char mac[6])
{
	if (len < AT_OPTIONS || get_u16(frame, 12) != ETHERTYPE_IPV6 ||
	    frame[20] != IPPROTO_ICMPV6 || frame[21] != 255 ||
	    frame[AT_ICMP] != ND_NEIGHBOR_ADVERT || frame[AT_ICMP + 1] != 0)
		return false;
	if (memcmp(frame + AT_TARGET, address, V6_SIZE) != 0)
		return false;
	memcpy(mac, find_mac(frame, len), MAC_SIZE);
	return true;
}

bool
rival_read(const unsigned char *frame, size_t len, int family,
    const unsigned char *address, unsigned char mac[6])
{
	return family == AF_INET ? read_arp(frame, len, address, mac)
				 : read_advert(frame, len, address, mac);
}

enum rival_news
rival_count(struct rival *rival, int64_t now)
{
	int64_t newest = rival->at[(rival->count + RIVAL_TIMES - 1) % RIVAL_TIMES];
	int64_t *oldest = &rival->at[rival->count % RIVAL_TIMES];

	if (rival->count > 0 && now - newest < RIVAL_ONE_MS)
		return RIVAL_SAME;
	bool first = rival->count == 0 || now - newest >= RIVAL_WINDOW_MS;
	*oldest = now;
	rival->count++;
	if (first)
		return RIVAL_FIRST;
	return rival->count >= RIVAL_TIMES &&
		now - rival->at[rival->count % RIVAL_TIMES] < RIVAL_WINDOW_MS
	    ? RIVAL_OFTEN
	    : RIVAL_MORE;
}
