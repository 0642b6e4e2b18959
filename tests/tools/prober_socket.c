/* SPDX-License-Identifier: ISC */
/*
 * The sockets of prober: one that sends and gets whole frames, whatever MAC they are for,
 * and a port of its own. When a frame came is the kernel's word (SO_TIMESTAMPNS), told in
 * CLOCK_BOOTTIME: this process may be run late.
 */
#include "tests/tools/prober.h"

#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/util.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

int64_t
clock_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int
socket_open(struct prober *p, const char *interface)
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

bool
socket_own_address(struct prober *p, const char *interface)
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

int
socket_take_port(struct prober *p)
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

void
socket_gather(struct prober *p,
    void (*take)(struct prober *, const unsigned char *frame, size_t len, int64_t at))
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
		take(p, frame, (size_t)n, arrival(&msg));
	}
}
