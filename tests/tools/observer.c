/* SPDX-License-Identifier: ISC */
/*
 * observer INTERFACE ADDRESS MAC...: who holds an IPv4 address? Each 5 ms it asks every
 * host by its MAC address, with an ARP probe (RFC 5227: no sender address, so nobody
 * learns anything from it), and counts the rounds in which more than one answered. At
 * SIGTERM or SIGINT it prints the count and the longest time in which nobody did.
 *
 * The round's number travels in the sender's hardware address and comes back as the
 * reply's destination, so a late reply never counts for another round. A round that took
 * long (this process was not run) could have seen first one holder, then the next: two
 * answers in it prove nothing and are counted apart, as unclear.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/if_ether.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/util.h"

#define HOSTS 8
#define ROUND_MS 5
#define CLEAR_MS 2 /* a handover takes longer than this: two writes in Consul */

struct observer {
	int fd, ifindex;
	struct in_addr address;
	unsigned char macs[HOSTS][ETH_ALEN], own[ETH_ALEN];
	unsigned int n_macs, holder; /* holder: the newest one seen, n_macs: none yet */
	uint16_t round;
	int64_t held_at, longest_ms;
	uint64_t rounds, dual, unclear, switches;
};

struct frame {
	struct ether_header ethernet;
	struct ether_arp arp;
};
_Static_assert(sizeof(struct frame) == 42, "an ARP frame has no gaps");

static volatile sig_atomic_t stop;

static void
on_signal(int signum)
{
	(void)signum;
	stop = 1;
}

static void
round_mac(uint16_t round, unsigned char mac[ETH_ALEN])
{
	const unsigned char tag[ETH_ALEN] = { 0x02, 'o', 'b', 's',
		(unsigned char)(round >> 8), (unsigned char)round };

	memcpy(mac, tag, ETH_ALEN);
}

static int
observer_open(struct observer *o, const char *interface)
{
	struct sockaddr_ll any = { .sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ARP) };
	struct ifreq request = { .ifr_ifru = { .ifru_ivalue = 0 } };
	struct packet_mreq all = { .mr_type = PACKET_MR_PROMISC };

	o->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (o->fd < 0 || !str_copy(request.ifr_name, IFNAMSIZ, interface) ||
	    ioctl(o->fd, SIOCGIFINDEX, &request) != 0)
		return -1;
	o->ifindex = any.sll_ifindex = all.mr_ifindex = request.ifr_ifindex;
	if (ioctl(o->fd, SIOCGIFHWADDR, &request) != 0)
		return -1;
	memcpy(o->own, request.ifr_hwaddr.sa_data, ETH_ALEN);
	if (setsockopt(o->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) !=
	    0)
		return -1;
	return bind(o->fd, (struct sockaddr *)&any, sizeof(any));
}

static void
ask(const struct observer *o, const unsigned char mac[ETH_ALEN])
{
	struct frame frame = { .ethernet.ether_type = htons(ETHERTYPE_ARP) };
	struct arphdr *head = &frame.arp.ea_hdr;

	memcpy(frame.ethernet.ether_dhost, mac, ETH_ALEN);
	memcpy(frame.ethernet.ether_shost, o->own, ETH_ALEN);
	head->ar_hrd = htons(ARPHRD_ETHER);
	head->ar_pro = htons(ETHERTYPE_IP);
	head->ar_hln = ETH_ALEN;
	head->ar_pln = sizeof(o->address);
	head->ar_op = htons(ARPOP_REQUEST);
	round_mac(o->round, frame.arp.arp_sha);
	memcpy(frame.arp.arp_tpa, &o->address, sizeof(o->address));
	if (send(o->fd, &frame, sizeof(frame), 0) < 0)
		fprintf(stderr, "observer: %s\n", strerror(errno));
}

/* The host whose answer to this round this is, or n_macs. */
static unsigned int
answer_of(const struct observer *o, const struct frame *frame)
{
	unsigned char tag[ETH_ALEN];
	unsigned int host = 0;

	round_mac(o->round, tag);
	if (frame->arp.ea_hdr.ar_op != htons(ARPOP_REPLY) ||
	    memcmp(frame->arp.arp_tha, tag, ETH_ALEN) != 0 ||
	    memcmp(frame->arp.arp_spa, &o->address, sizeof(o->address)) != 0)
		return o->n_macs;
	while (host < o->n_macs &&
	    memcmp(frame->arp.arp_sha, o->macs[host], ETH_ALEN) != 0)
		host++;
	return host;
}

/* Takes in what has arrived: a bit for each host that answered this round. */
static unsigned int
answers(const struct observer *o)
{
	struct frame frame;
	unsigned int hosts = 0;

	for (;;) {
		ssize_t n = recv(o->fd, &frame, sizeof(frame), 0);
		if (n < 0)
			return hosts;
		if ((size_t)n < sizeof(frame))
			continue;
		hosts |= 1u << answer_of(o, &frame);
	}
}

static void
judge(struct observer *o, unsigned int hosts, int64_t took_ms, int64_t now)
{
	unsigned int seen = hosts & ((1u << o->n_macs) - 1);

	o->rounds++;
	if ((seen & (seen - 1)) != 0 && took_ms <= CLEAR_MS)
		o->dual++;
	else if ((seen & (seen - 1)) != 0)
		o->unclear++;
	if (seen == 0)
		return;
	if (now - o->held_at > o->longest_ms)
		o->longest_ms = now - o->held_at;
	o->held_at = now;
	if ((seen & (seen - 1)) != 0 ||
	    (o->holder < o->n_macs && seen == 1u << o->holder))
		return;
	if (o->holder < o->n_macs)
		o->switches++;
	o->holder = (unsigned int)__builtin_ctz(seen);
}

/* One round: ask all, gather until the next one is due. */
static void
look(struct observer *o)
{
	struct pollfd fd = { .fd = o->fd, .events = POLLIN };
	unsigned int hosts = 0;
	int64_t begun = clock_boot_ms(), last = begun, now;

	o->round++;
	for (unsigned int i = 0; i < o->n_macs; i++)
		ask(o, o->macs[i]);
	while ((now = clock_boot_ms()) < begun + ROUND_MS) {
		if (poll(&fd, 1, (int)(begun + ROUND_MS - now)) <= 0)
			continue;
		unsigned int more = answers(o);
		if ((more & ~hosts) != 0)
			last = clock_boot_ms();
		hosts |= more;
	}
	judge(o, hosts, last - begun, last);
}

static int
parse(struct observer *o, int argc, char **argv)
{
	if (argc < 4 || argc - 3 > HOSTS ||
	    inet_pton(AF_INET, argv[2], &o->address) != 1)
		return -1;
	for (int i = 3; i < argc; i++)
		if (ether_aton_r(argv[i], (struct ether_addr *)o->macs[o->n_macs++]) ==
		    NULL)
			return -1;
	o->holder = o->n_macs;
	return 0;
}

static void
summary(const struct observer *o)
{
	int64_t silent = clock_boot_ms() - o->held_at;

	printf("dual %llu of %llu, unclear %llu, longest without any %lld ms, switches "
	       "%llu\n",
	    (unsigned long long)o->dual, (unsigned long long)o->rounds,
	    (unsigned long long)o->unclear,
	    (long long)(silent > o->longest_ms ? silent : o->longest_ms),
	    (unsigned long long)o->switches);
}

int
main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct observer observer = { .fd = -1 };

	if (parse(&observer, argc, argv) != 0) {
		fprintf(stderr, "usage: observer INTERFACE IPV4-ADDRESS MAC...\n");
		return 2;
	}
	if (observer_open(&observer, argv[1]) != 0) {
		fprintf(stderr, "observer: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	observer.held_at = clock_boot_ms();
	while (!stop)
		look(&observer);
	summary(&observer);
	return 0;
}
