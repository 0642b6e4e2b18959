/* SPDX-License-Identifier: ISC */
/*
 * prober: who answers for an address, and when? A thousand times a second it asks every
 * host by its MAC address, by ARP or neighbour solicitation, by ICMP echo and by UDP, and
 * counts the questions that more than one host answered, and how long nobody did. The
 * sharper brother of observer; what it can do stands in `usage`.
 *
 * A question's number comes back in its answer: in the destination MAC of ARP replies and
 * neighbour advertisements (the question named a sender made of it), in the sequence of an
 * echo, in a datagram's data. So a late answer never counts for another question. When an
 * answer came is the kernel's word (SO_TIMESTAMPNS), not ours, who may run late; an answer
 * that came long after its question may be of another holder than an early one, so two of
 * that sort prove nothing and are counted apart, as unclear.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/ether.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/util.h"

#define HOSTS 8
#define RING 1024 /* questions whose answers are still told apart */
#define CLEAR_NS 2000000 /* a handover takes longer than this: two writes in Consul */
#define SILENT_NS 50000000 /* then a host counts as silent, for the events, */
#define SILENT_ASKED 20 /* if it was asked so many times meanwhile */
#define MS_NS 1000000

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif
#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

static const char usage[] =
    "usage: prober [options] INTERFACE ADDRESS MAC...\n"
    "       prober --answer PORT ADDRESS\n"
    "       prober --claim TIMES [--every USEC] INTERFACE ADDRESS\n"
    "\n"
    "Asks each host (MAC) a thousand times a second for ADDRESS (IPv4 or IPv6) until\n"
    "SIGTERM, SIGINT or --for; then prints what it saw. Times are milliseconds of\n"
    "CLOCK_BOOTTIME, as the warden's deadlines are.\n"
    "  --ask LIST     of neighbour (ARP or NS), echo (ICMP), udp; default neighbour.\n"
    "                 echo and udp need an address of the family on INTERFACE\n"
    "  --port PORT    where udp asks; somebody there must send back what it gets\n"
    "  --every USEC   one question to each host in so many microseconds, default 1000\n"
    "  --for MS       ends by itself\n"
    "  --events       a line at once when a host begins to answer (after 50 ms of\n"
    "                 silence) and when it has been silent for 50 ms\n"
    "  --answer PORT  the other side of udp: sends back what comes to ADDRESS, which\n"
    "                 need not be there yet\n"
    "  --claim TIMES  says so often that ADDRESS is here, whether it is or not, as a\n"
    "                 host does that took it: gratuitous ARP, or an advertisement\n"
    "\n"
    "Prints at the end, one line for all and one for each kind of question and host:\n"
    "  dual 0 of 5000, unclear 0, longest without any 1.1 ms before 812.345, own pause "
    "1.2 ms, switches 1\n"
    "  neighbour 02:00:00:00:00:01: answers 2500, first 800.123, last 3300.456\n"
    "dual: questions that two hosts answered within 2 ms; unclear: that two hosts\n"
    "answered, one of them later; longest without any: over all kinds, and when it\n"
    "ended; own pause: the longest time in which prober itself was not run.\n";

enum kind { NEIGHBOUR, ECHO, UDP, KINDS };
static const char *const kind_names[] = { "neighbour", "echo", "udp" };
_Static_assert(ARRAY_LENGTH(kind_names) == KINDS, "a kind has no name");

/* How the MACs begin that carry a number. */
static const unsigned char tag_head[4] = { 2, 'p', 'r', 'o' };

struct seen {
	uint64_t answers;
	int64_t first, last; /* ns of CLOCK_BOOTTIME */
};

struct question {
	uint32_t number;
	int64_t sent_at;
	unsigned int hosts[KINDS]; /* a bit for each that answered */
	unsigned int counted[KINDS]; /* 1: as unclear, 2: as dual */
};

struct prober {
	int fd, udp_fd, family;
	bool asks[KINDS], events;
	unsigned int port, own_port;
	int64_t every_ns, for_ms;
	unsigned char address[16], own_address[16], own[ETH_ALEN];
	unsigned char macs[HOSTS][ETH_ALEN];
	unsigned int n_macs, holder; /* holder: who answered last; n_macs: nobody yet */
	bool answering[HOSTS];
	uint32_t answered[HOSTS]; /* the newest question */
	struct seen seen[KINDS][HOSTS];
	uint32_t number;
	struct question ring[RING];
	int64_t held_at, longest, longest_end, asked_at, pause;
	uint64_t dual, unclear, switches;
};

static volatile sig_atomic_t stop;

static void
on_signal(int signum)
{
	(void)signum;
	stop = 1;
}

static int64_t
clock_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double
in_ms(int64_t ns)
{
	return (double)ns / MS_NS;
}

/* Frames. */

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

static void
ask(const struct prober *p, enum kind kind, const unsigned char *mac)
{
	unsigned char frame[128];
	size_t len = 0;

	switch (kind) {
	case NEIGHBOUR:
		len = p->family == AF_INET6 ? ns_frame(p, frame, mac)
					    : arp_frame(p, frame, mac);
		break;
	case ECHO: len = echo_frame(p, frame, mac); break;
	case UDP: len = udp_frame(p, frame, mac); break;
	case KINDS: break;
	}
	if (send(p->fd, frame, len, 0) < 0 && errno != ENETDOWN)
		fprintf(stderr, "prober: %s\n", strerror(errno));
}

/* What a host sends that has taken the address. */
static size_t
claim_frame(const struct prober *p, unsigned char *frame)
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

/* Answers. */

static unsigned int
get_u16(const unsigned char *at)
{
	return (unsigned int)at[0] << 8 | at[1];
}

/* Which kind of question it answers, or KINDS, and the number's low 16 bits. */
static enum kind
read_frame(
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

static void
print_mac(const unsigned char mac[ETH_ALEN], char text[18])
{
	snprintf(text, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
	    mac[3], mac[4], mac[5]);
}

static void
tell(const struct prober *p, unsigned int host, const char *what, int64_t at)
{
	char text[18];

	if (!p->events)
		return;
	print_mac(p->macs[host], text);
	printf("%.3f %s %s\n", in_ms(at), text, what);
	fflush(stdout);
}

static void
count_twice(struct prober *p, struct question *question, enum kind kind, int64_t at)
{
	unsigned int hosts = question->hosts[kind];
	bool clear = at - question->sent_at <= CLEAR_NS;

	if ((hosts & (hosts - 1)) == 0 || question->counted[kind] != 0)
		return;
	question->counted[kind] = 1;
	*(clear ? &p->dual : &p->unclear) += 1;
}

static void
take(struct prober *p, enum kind kind, unsigned int host, struct question *question,
    int64_t at)
{
	struct seen *seen = &p->seen[kind][host];

	question->hosts[kind] |= 1u << host;
	count_twice(p, question, kind, at);
	if (seen->answers++ == 0)
		seen->first = at;
	seen->last = at;
	if (!p->answering[host])
		tell(p, host, "answers", at);
	p->answering[host] = true;
	p->answered[host] = question->number;
	if (at - p->held_at > p->longest) {
		p->longest = at - p->held_at;
		p->longest_end = at;
	}
	if (at > p->held_at)
		p->held_at = at;
	if (p->holder != host && p->holder < p->n_macs)
		p->switches++;
	p->holder = host;
}

/* When the kernel got it, as BOOTTIME tells. */
static int64_t
arrival(struct msghdr *msg)
{
	int64_t now = clock_ns(CLOCK_BOOTTIME);
	struct timespec stamp;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL;
	     c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&stamp, CMSG_DATA(c), sizeof(stamp));
		return now -
		    (clock_ns(CLOCK_REALTIME) - (int64_t)stamp.tv_sec * 1000000000 -
			stamp.tv_nsec);
	}
	return now;
}

static void
take_frame(struct prober *p, const unsigned char *frame, size_t len, int64_t at)
{
	unsigned int number, host = 0;
	enum kind kind = len < 42 ? KINDS : read_frame(p, frame, len, &number);

	if (kind == KINDS)
		return;
	struct question *question = &p->ring[number % RING];
	while (host < p->n_macs && memcmp(frame + 6, p->macs[host], ETH_ALEN) != 0)
		host++;
	if (host < p->n_macs && (question->number & 0xffff) == number)
		take(p, kind, host, question, at);
}

static void
gather(struct prober *p)
{
	unsigned char frame[256], control[256];

	for (;;) {
		struct iovec iov = { frame, sizeof(frame) };
		struct msghdr msg = { .msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(p->fd, &msg, MSG_DONTWAIT);
		if (n < 0)
			return;
		take_frame(p, frame, (size_t)n, arrival(&msg));
	}
}

static void
look_for_silence(struct prober *p, int64_t now)
{
	for (unsigned int i = 0; i < p->n_macs; i++) {
		int64_t last = 0;
		for (int kind = 0; kind < KINDS; kind++)
			if (p->seen[kind][i].last > last)
				last = p->seen[kind][i].last;
		if (!p->answering[i] || now - last < SILENT_NS ||
		    p->number - p->answered[i] < SILENT_ASKED)
			continue;
		p->answering[i] = false;
		tell(p, i, "is silent since", last);
	}
}

static void
ask_all(struct prober *p, int64_t now)
{
	struct question *question = &p->ring[++p->number % RING];

	if (p->asked_at != 0 && now - p->asked_at > p->pause)
		p->pause = now - p->asked_at;
	p->asked_at = now;
	*question = (struct question){ .number = p->number, .sent_at = now };
	for (int kind = 0; kind < KINDS; kind++)
		for (unsigned int i = 0; i < p->n_macs && p->asks[kind]; i++)
			ask(p, (enum kind)kind, p->macs[i]);
}

/* What was missed because this process was not run is not asked later. */
static void
run(struct prober *p)
{
	struct pollfd fd = { .fd = p->fd, .events = POLLIN };
	int64_t begun = clock_ns(CLOCK_BOOTTIME), due = begun;

	p->held_at = begun;
	while (!stop) {
		int64_t now = clock_ns(CLOCK_BOOTTIME);
		if (p->for_ms != 0 && now - begun >= p->for_ms * MS_NS)
			break;
		if (now >= due) {
			ask_all(p, now);
			look_for_silence(p, now);
			due = due + p->every_ns > now ? due + p->every_ns
						      : now + p->every_ns;
		}
		struct timespec wait = { (due - now) / 1000000000,
			(due - now) % 1000000000 };
		if (ppoll(&fd, 1, &wait, NULL) > 0)
			gather(p);
	}
}

static void
summary(const struct prober *p)
{
	int64_t silent = p->asked_at - p->held_at;
	bool still = silent > p->longest;
	char text[18];

	printf("dual %llu of %llu, unclear %llu, longest without any %.1f ms before "
	       "%.3f, own pause %.1f ms, switches %llu\n",
	    (unsigned long long)p->dual, (unsigned long long)p->number,
	    (unsigned long long)p->unclear, in_ms(still ? silent : p->longest),
	    in_ms(still ? p->asked_at : p->longest_end), in_ms(p->pause),
	    (unsigned long long)p->switches);
	for (int kind = 0; kind < KINDS; kind++)
		for (unsigned int i = 0; i < p->n_macs && p->asks[kind]; i++) {
			const struct seen *seen = &p->seen[kind][i];
			print_mac(p->macs[i], text);
			printf("%s %s: answers %llu, first %.3f, last %.3f\n",
			    kind_names[kind], text, (unsigned long long)seen->answers,
			    in_ms(seen->first), in_ms(seen->last));
		}
}

/* Life. */

static int
open_packets(struct prober *p, const char *interface)
{
	struct sockaddr_ll any = { .sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL) };
	struct ifreq request = { .ifr_ifru = { .ifru_ivalue = 0 } };
	struct packet_mreq all = { .mr_type = PACKET_MR_PROMISC };
	int on = 1, room = 1 << 22;

	p->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (p->fd < 0 || !str_copy(request.ifr_name, IFNAMSIZ, interface) ||
	    ioctl(p->fd, SIOCGIFINDEX, &request) != 0)
		return -1;
	any.sll_ifindex = all.mr_ifindex = request.ifr_ifindex;
	if (ioctl(p->fd, SIOCGIFHWADDR, &request) != 0)
		return -1;
	memcpy(p->own, request.ifr_hwaddr.sa_data, ETH_ALEN);
	if (setsockopt(p->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) != 0 ||
	    setsockopt(p->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)) != 0 ||
	    setsockopt(p->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) !=
		0 ||
	    setsockopt(p->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)) !=
		0)
		return -1;
	return bind(p->fd, (struct sockaddr *)&any, sizeof(any));
}

/* The interface's own, of the address's family; not a link-local one. */
static bool
find_own_address(struct prober *p, const char *interface)
{
	struct ifaddrs *list;
	bool found = false;

	if (getifaddrs(&list) != 0)
		return false;
	for (struct ifaddrs *i = list; i != NULL && !found; i = i->ifa_next) {
		const void *address = i->ifa_addr;
		if (address == NULL || i->ifa_addr->sa_family != p->family ||
		    strcmp(i->ifa_name, interface) != 0)
			continue;
		const struct sockaddr_in *v4 = address;
		const struct sockaddr_in6 *v6 = address;
		if (p->family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr))
			continue;
		if (p->family == AF_INET6)
			memcpy(p->own_address, &v6->sin6_addr, 16);
		else
			memcpy(p->own_address, &v4->sin_addr, 4);
		found = true;
	}
	freeifaddrs(list);
	return found;
}

/* Takes a port, so that the kernel does not refuse what comes back to it. */
static int
take_port(struct prober *p)
{
	struct sockaddr_in6 any = { .sin6_family = (sa_family_t)p->family };
	socklen_t size = sizeof(any);

	p->udp_fd = socket(p->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (p->udp_fd < 0 || bind(p->udp_fd, (struct sockaddr *)&any, size) != 0 ||
	    getsockname(p->udp_fd, (struct sockaddr *)&any, &size) != 0)
		return -1;
	p->own_port = ntohs(any.sin6_port); /* an IPv4 one is in the same place */
	return 0;
}

static bool
parse_address(struct prober *p, const char *text)
{
	p->family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	return inet_pton(p->family, text, p->address) == 1;
}

static bool
parse_kinds(struct prober *p, char *list)
{
	char *rest = list, *word;

	while ((word = strsep(&rest, ",")) != NULL) {
		int kind = 0;
		while (kind < KINDS && strcmp(word, kind_names[kind]) != 0)
			kind++;
		if (kind == KINDS)
			return false;
		p->asks[kind] = true;
	}
	return true;
}

static bool
parse_number(const char *text, uint64_t max, uint64_t *out)
{
	return parse_uint(text, 1, max, out) == 0;
}

/* 0; -1: that is no way to call it; 1: help was asked for. */
static int
parse(struct prober *p, int argc, char **argv, uint64_t *answer, uint64_t *claims)
{
	enum { ASK = 1, PORT, EVERY, FOR, EVENTS, ANSWER, CLAIM, HELP };
	static const struct option options[] = { { "ask", 1, NULL, ASK },
		{ "port", 1, NULL, PORT }, { "every", 1, NULL, EVERY },
		{ "for", 1, NULL, FOR }, { "events", 0, NULL, EVENTS },
		{ "answer", 1, NULL, ANSWER }, { "claim", 1, NULL, CLAIM },
		{ "help", 0, NULL, HELP }, { NULL, 0, NULL, 0 } };
	uint64_t port = 7, every_us = 1000, for_ms = 0;
	bool fine = true;
	int option;

	while (fine && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == ASK)
			fine = parse_kinds(p, optarg);
		else if (option == PORT)
			fine = parse_number(optarg, 65535, &port);
		else if (option == EVERY)
			fine = parse_number(optarg, 60000000, &every_us);
		else if (option == FOR)
			fine = parse_number(optarg, 86400000, &for_ms);
		else if (option == EVENTS)
			p->events = true;
		else if (option == ANSWER)
			fine = parse_number(optarg, 65535, answer);
		else if (option == CLAIM)
			fine = parse_number(optarg, 1000000, claims);
		else if (option == HELP)
			return 1;
		else
			fine = false;
	}
	p->port = (unsigned int)port;
	p->every_ns = (int64_t)every_us * 1000;
	p->for_ms = (int64_t)for_ms;
	return fine ? 0 : -1;
}

static bool
parse_hosts(struct prober *p, int argc, char **argv)
{
	if (argc - optind < 3 || argc - optind - 2 > HOSTS ||
	    !parse_address(p, argv[optind + 1]))
		return false;
	for (int i = optind + 2; i < argc; i++)
		if (ether_aton_r(argv[i], (struct ether_addr *)p->macs[p->n_macs++]) ==
		    NULL)
			return false;
	p->holder = p->n_macs;
	return true;
}

static int
fail(const char *what)
{
	fprintf(stderr, "prober: %s: %s\n", what, strerror(errno));
	return 1;
}

/* From the address that was asked, which may come and go. */
static int
answer_all(struct prober *p, const char *text, unsigned int port)
{
	struct sockaddr_storage self = { .ss_family = 0 };
	bool v6 = p->family == AF_INET6;
	char data[2048];
	int on = 1;

	if (v6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&self;
		*in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
			.sin6_port = htons((uint16_t)port) };
		memcpy(&in6->sin6_addr, p->address, 16);
	} else {
		struct sockaddr_in *in = (struct sockaddr_in *)&self;
		*in = (struct sockaddr_in){ .sin_family = AF_INET,
			.sin_port = htons((uint16_t)port) };
		memcpy(&in->sin_addr, p->address, 4);
	}
	int fd = socket(p->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
		v6 ? IPV6_FREEBIND : IP_FREEBIND, &on, sizeof(on)) != 0 ||
	    bind(fd, (struct sockaddr *)&self, sizeof(self)) != 0)
		return fail(text);
	while (!stop) {
		struct sockaddr_storage from;
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(
		    fd, data, sizeof(data), 0, (struct sockaddr *)&from, &size);
		if (n >= 0) /* the address may have gone meanwhile */
			sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, size);
	}
	close(fd);
	return 0;
}

static int
claim(struct prober *p, const char *interface, uint64_t times)
{
	const struct timespec pause = { p->every_ns / 1000000000,
		p->every_ns % 1000000000 };
	unsigned char frame[128];

	if (open_packets(p, interface) != 0)
		return fail(interface);
	for (uint64_t i = 0; i < times && !stop; i++) {
		if (i > 0)
			nanosleep(&pause, NULL);
		if (send(p->fd, frame, claim_frame(p, frame), 0) < 0)
			return fail(interface);
	}
	close(p->fd);
	return 0;
}

static int
probe(struct prober *p, const char *interface)
{
	bool needs_own = p->asks[ECHO] || p->asks[UDP];

	if (!needs_own)
		p->asks[NEIGHBOUR] = true;
	errno = EADDRNOTAVAIL;
	if (needs_own && !find_own_address(p, interface))
		return fail("an address to ask from");
	if (open_packets(p, interface) != 0 || take_port(p) != 0)
		return fail(interface);
	prctl(PR_SET_TIMERSLACK, 1);
	run(p);
	gather(p);
	summary(p);
	close(p->fd);
	close(p->udp_fd);
	return 0;
}

int
main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	static struct prober prober;
	uint64_t answer = 0, claims = 0;
	int parsed = parse(&prober, argc, argv, &answer, &claims);

	if (parsed > 0) {
		fputs(usage, stdout);
		return 0;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	if (parsed == 0 && answer != 0 && argc == optind + 1 &&
	    parse_address(&prober, argv[optind]))
		return answer_all(&prober, argv[optind], (unsigned int)answer);
	if (parsed == 0 && claims != 0 && argc == optind + 2 &&
	    parse_address(&prober, argv[optind + 1]))
		return claim(&prober, argv[optind], claims);
	if (parsed != 0 || answer != 0 || claims != 0 ||
	    !parse_hosts(&prober, argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	return probe(&prober, argv[optind]);
}
