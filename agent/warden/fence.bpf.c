/* SPDX-License-Identifier: ISC */
/*
 * The fence in the kernel: a frame that asks for an address of ours, or is sent from it,
 * is dropped once the address's deadline has passed, whatever has become of the process
 * that wrote the deadline. Compiled by clang for the kernel's machine, loaded by fence.c,
 * run by tc (clsact) on every frame of an interface.
 *
 * In: ARP request's target, IPv4 and IPv6 destination, target of a neighbour solicitation.
 * Out: ARP sender, IPv4 and IPv6 source, target of a neighbour advertisement. Nothing else:
 * this host must go on hearing and reaching the address at its real master. What may pass
 * is left to the filters of others (TC_ACT_UNSPEC ends nothing).
 *
 * The frame alone is believed: where the link layer has a header (14 bytes, the other
 * programs are for links that have none) the type stands in it, behind at most two tags,
 * each of which the kernel would take off and come by here again. The kernel's metadata is
 * not asked. Behind an IPv6 header at most four headers of hop-by-hop options, routing or
 * destination options are passed; nobody's neighbour discovery has one.
 *
 * None of the kernel's functions used here is for GPL programs alone.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "agent/warden/fence_map.h"

#define TAGS_MAX 2
#define TAG_SIZE 4
#define OPTIONS_MAX 4
#define ARP_REQUEST 1
#define NEIGHBOUR_SOLICITATION 135
#define NEIGHBOUR_ADVERTISEMENT 136

enum way { IN, OUT };

/* What does not change with the hardware (RFC 826). */
struct arp_head {
	__be16 hardware, protocol;
	__u8 hardware_size, protocol_size;
	__be16 operation;
};

/* RFC 4861: the same for solicitation and advertisement. */
struct neighbour {
	__u8 type, code;
	__be16 checksum;
	__be32 flags;
	__u8 target[16];
};

/* RFC 8200: of hop-by-hop and destination options and of routing. */
struct options_head {
	__u8 next, size; /* in eights beyond the first */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FENCE_ADDRESSES_MAX);
	__type(key, struct fence_key);
	__type(value, __u64);
} deadlines SEC(".maps");

static __always_inline int
judge(const struct fence_key *key)
{
	const __u64 *deadline = bpf_map_lookup_elem(&deadlines, key);

	if (deadline == NULL || bpf_ktime_get_boot_ns() < *deadline)
		return TC_ACT_UNSPEC;
	return TC_ACT_SHOT;
}

static __always_inline int
judge_v4(struct __sk_buff *skb, __u32 offset)
{
	struct fence_key key = { .address = { [10] = 0xff, [11] = 0xff } };

	if (bpf_skb_load_bytes(skb, offset, key.address + 12, 4) != 0)
		return TC_ACT_UNSPEC;
	return judge(&key);
}

static __always_inline int
judge_v6(struct __sk_buff *skb, __u32 offset)
{
	struct fence_key key;

	if (bpf_skb_load_bytes(skb, offset, key.address, sizeof(key.address)) != 0)
		return TC_ACT_UNSPEC;
	return judge(&key);
}

static __always_inline int
judge_arp(struct __sk_buff *skb, __u32 offset, enum way way)
{
	struct arp_head head;

	if (bpf_skb_load_bytes(skb, offset, &head, sizeof(head)) != 0 ||
	    head.protocol != bpf_htons(ETH_P_IP) || head.protocol_size != 4)
		return TC_ACT_UNSPEC;
	offset += sizeof(head) + head.hardware_size;
	if (way == OUT)
		return judge_v4(skb, offset);
	if (head.operation != bpf_htons(ARP_REQUEST))
		return TC_ACT_UNSPEC;
	return judge_v4(skb, offset + 4 + head.hardware_size);
}

static __always_inline int
judge_neighbour(struct __sk_buff *skb, __u32 offset, enum way way)
{
	__u8 wanted = way == IN ? NEIGHBOUR_SOLICITATION : NEIGHBOUR_ADVERTISEMENT;
	__u8 type;

	if (bpf_skb_load_bytes(skb, offset, &type, sizeof(type)) != 0 || type != wanted)
		return TC_ACT_UNSPEC;
	return judge_v6(skb, offset + offsetof(struct neighbour, target));
}

/* What the IPv6 header's own addresses did not decide. */
static __always_inline int
judge_payload(struct __sk_buff *skb, __u32 offset, __u8 next, enum way way)
{
	struct options_head head;

#pragma unroll
	for (int i = 0; i < OPTIONS_MAX; i++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING &&
		    next != IPPROTO_DSTOPTS)
			break;
		if (bpf_skb_load_bytes(skb, offset, &head, sizeof(head)) != 0)
			return TC_ACT_UNSPEC;
		next = head.next;
		offset += (head.size + 1) * 8;
	}
	if (next != IPPROTO_ICMPV6)
		return TC_ACT_UNSPEC;
	return judge_neighbour(skb, offset, way);
}

static __always_inline int
judge_ipv6(struct __sk_buff *skb, __u32 offset, enum way way)
{
	__u32 own = way == IN ? offsetof(struct ipv6hdr, daddr)
			      : offsetof(struct ipv6hdr, saddr);
	__u8 next;

	if (judge_v6(skb, offset + own) == TC_ACT_SHOT)
		return TC_ACT_SHOT;
	if (bpf_skb_load_bytes(skb, offset + offsetof(struct ipv6hdr, nexthdr), &next,
		sizeof(next)) != 0)
		return TC_ACT_UNSPEC;
	return judge_payload(skb, offset + sizeof(struct ipv6hdr), next, way);
}

static __always_inline int
judge_ipv4(struct __sk_buff *skb, __u32 offset, enum way way)
{
	return judge_v4(skb,
	    offset +
		(way == IN ? offsetof(struct iphdr, daddr)
			   : offsetof(struct iphdr, saddr)));
}

static __always_inline int
judge_frame(struct __sk_buff *skb, enum way way)
{
	__u32 offset = offsetof(struct ethhdr, h_proto);
	__be16 type;

#pragma unroll
	for (int i = 0; i <= TAGS_MAX; i++) {
		if (bpf_skb_load_bytes(skb, offset, &type, sizeof(type)) != 0)
			return TC_ACT_UNSPEC;
		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		offset += TAG_SIZE;
	}
	offset += sizeof(type);
	if (type == bpf_htons(ETH_P_ARP))
		return judge_arp(skb, offset, way);
	if (type == bpf_htons(ETH_P_IP))
		return judge_ipv4(skb, offset, way);
	if (type == bpf_htons(ETH_P_IPV6))
		return judge_ipv6(skb, offset, way);
	return TC_ACT_UNSPEC;
}

static __always_inline int
judge_bare(struct __sk_buff *skb, enum way way)
{
	__u8 first;

	if (bpf_skb_load_bytes(skb, 0, &first, sizeof(first)) != 0)
		return TC_ACT_UNSPEC;
	if (first >> 4 == 4)
		return judge_ipv4(skb, 0, way);
	if (first >> 4 == 6)
		return judge_ipv6(skb, 0, way);
	return TC_ACT_UNSPEC;
}

SEC("tc")
int
lictor_in(struct __sk_buff *skb)
{
	return judge_frame(skb, IN);
}

SEC("tc")
int
lictor_out(struct __sk_buff *skb)
{
	return judge_frame(skb, OUT);
}

SEC("tc")
int
lictor_in_bare(struct __sk_buff *skb)
{
	return judge_bare(skb, IN);
}

SEC("tc")
int
lictor_out_bare(struct __sk_buff *skb)
{
	return judge_bare(skb, OUT);
}

/* Attached nowhere: tells the loader which time it is here. */
SEC("tc")
int
lictor_clock(struct __sk_buff *skb)
{
	__u64 now = bpf_ktime_get_boot_ns();

	return bpf_skb_store_bytes(skb, 0, &now, sizeof(now), 0);
}

char terms[] SEC("license") = "ISC";
