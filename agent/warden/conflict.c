/* SPDX-License-Identifier: ISC */
/*
 * Other hosts that have one of our addresses. What comes in is filtered in the kernel, so
 * that the warden wakes up for claims of these addresses alone (frame_filter), and taken
 * for another host's if its sender is none of our interfaces. While an address is held such a
 * frame is answered by announcing the address again, at most once a second, and the agent
 * gets the bytes, at most ten a second: what they mean, and what is done about it, is
 * decided there. While an address is probed (RFC 5227 2.1.1, RFC 4862 5.4.2) the frame is
 * the answer.
 *
 * The two sockets, one for ARP and one for IPv6, hear all interfaces, so that neither a
 * reload nor a new interface needs another. Above are warden and its orders; the state of
 * each address is in its vip (struct vip_watch).
 */
#include "agent/warden/conflict.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/log.h"
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

#define PROBE_MS 20
#define REPEAT_MS 1000
#define TOLD_MS 1000
#define TOLD_MAX 10 /* in TOLD_MS */
#define FRAMES_AT_ONCE 64

_Static_assert(
    FRAME_SEEN == WIRE_SEEN_MAX, "the wire carries what the filter lets pass");

struct ear {
	struct conflict *conflict;
	int family, fd;
	struct loop_io *io;
	bool bound;
};

struct conflict {
	const struct links *links;
	const struct holdings *held;
	struct loop *loop;
	struct loop_timer *timer;
	struct ear v4, v6;
};

static void
answer(struct vip *vip, uint64_t order, enum wire_found found, const unsigned char *mac)
{
	struct wire_message message = { .type = WIRE_PROBED,
		.probed = { .order = order, .vip = vip->conf->index, .found = found } };

	if (mac != NULL)
		memcpy(message.probed.mac, mac, 6);
	if (vip->shared->agent != NULL)
		wire_send(vip->shared->agent, &message, -1);
}

/* A window of a second for each address. */
static void
tell_agent(struct vip *vip, const unsigned char *frame, size_t len, int64_t now)
{
	struct vip_watch *watch = &vip->watch;
	struct wire_message message = { .type = WIRE_SEEN,
		.seen = { .vip = vip->conf->index, .len = (uint32_t)len } };

	if (now - watch->told_since >= TOLD_MS) {
		watch->told_since = now;
		watch->told = 0;
	}
	if (vip->shared->agent == NULL || watch->told == TOLD_MAX)
		return;
	watch->told++;
	memcpy(message.seen.bytes, frame, len);
	wire_send(vip->shared->agent, &message, -1);
}

static void
take_claim(struct vip *vip, const unsigned char *frame, size_t len, int64_t now)
{
	struct vip_watch *watch = &vip->watch;

	if (watch->probe != 0) {
		answer(vip, watch->probe, WIRE_FOUND_ANOTHER, frame + 6);
		watch->probe = 0;
	}
	if (!address_is_held(vip))
		return;
	tell_agent(vip, frame, len, now);
	if (now < watch->repeat_at)
		return;
	watch->repeat_at = now + REPEAT_MS;
	announcement_repeat(vip->announcement);
}

static void
take_frame(struct conflict *conflict, int family, unsigned int ifindex,
    const unsigned char *frame, size_t len)
{
	int64_t now = loop_now(conflict->loop);

	if (len < ETH_HLEN || links_have_mac(conflict->links, frame + 6))
		return;
	for (size_t i = 0; i < conflict->held->count; i++) {
		struct vip *vip = conflict->held->vips[i];
		if (vip->conf->family == family && vip->ifindex == ifindex &&
		    frame_claims(frame, len, family, vip->conf->address))
			take_claim(vip, frame, len, now);
	}
}

/* Some at a time, as with all that others can send. */
static void
on_frames(void *arg, unsigned int events)
{
	struct ear *ear = arg;
	unsigned char frame[FRAME_SEEN];

	for (int i = 0; i < FRAMES_AT_ONCE; i++) {
		struct sockaddr_ll from = { 0 };
		socklen_t size = sizeof(from);
		ssize_t len = recvfrom(ear->fd, frame, sizeof(frame), MSG_DONTWAIT,
		    (struct sockaddr *)&from, &size);
		if (len < 0)
			return;
		if (from.sll_hatype == ARPHRD_ETHER &&
		    from.sll_pkttype != PACKET_OUTGOING)
			take_frame(ear->conflict, ear->family,
			    (unsigned int)from.sll_ifindex, frame, (size_t)len);
	}
}

/* 0 or -errno. */
static int
listen_for(struct ear *ear, const struct frame_address *list, size_t count)
{
	AUTO_FREE struct sock_filter *program =
	    xcalloc(FRAME_FILTER_MAX, sizeof(*program));
	struct sock_fprog filter = { .filter = program };
	struct sockaddr_ll any = { .sll_family = AF_PACKET,
		.sll_protocol =
		    htons(ear->family == AF_INET ? ETH_P_ARP : ETH_P_IPV6) };
	bool wanted = false;

	for (size_t i = 0; i < count; i++)
		wanted = wanted || list[i].family == ear->family;
	if (!wanted && !ear->bound)
		return 0;
	filter.len = (unsigned short)frame_filter(program, ear->family, list, count);
	int error =
	    setsockopt(ear->fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter));
	if (error == 0 && !ear->bound)
		error = bind(ear->fd, (struct sockaddr *)&any, sizeof(any));
	ear->bound = ear->bound || error == 0;
	return error == 0 ? 0 : -errno;
}

void
conflict_watch(struct conflict *conflict)
{
	size_t count = conflict->held->count;
	AUTO_FREE struct frame_address *list = xcalloc(count + 1, sizeof(*list));

	for (size_t i = 0; i < count; i++) {
		const struct conf_vip *conf = conflict->held->vips[i]->conf;
		list[i] = (struct frame_address){ conf->family, conf->address };
	}
	int error = listen_for(&conflict->v4, list, count);
	if (error == 0)
		error = listen_for(&conflict->v6, list, count);
	if (error != 0)
		log_warning("vip",
		    "it is not seen when another host has one of the addresses: %s",
		    strerror(-error));
}

/* Probes. */

static void
set_timer(struct conflict *conflict)
{
	int64_t first = INT64_MAX;

	for (size_t i = 0; i < conflict->held->count; i++) {
		const struct vip_watch *watch = &conflict->held->vips[i]->watch;
		if (watch->probe != 0 && watch->probe_ends < first)
			first = watch->probe_ends;
	}
	if (first == INT64_MAX)
		loop_timer_stop(conflict->timer);
	else
		loop_timer_at(conflict->timer, first);
}

/* The interface, if there may be somebody on it. */
static const struct netlink_link *
find_link(const struct conflict *conflict, const struct vip *vip)
{
	const struct netlink_link *link = links_find(conflict->links, vip->ifindex);

	return link != NULL && link->up && link->has_mac && link->type == ARPHRD_ETHER
	    ? link
	    : NULL;
}

static void
on_timer(void *arg)
{
	struct conflict *conflict = arg;
	int64_t now = loop_now(conflict->loop);

	for (size_t i = 0; i < conflict->held->count; i++) {
		struct vip *vip = conflict->held->vips[i];
		if (vip->watch.probe == 0 || now < vip->watch.probe_ends)
			continue;
		answer(vip, vip->watch.probe,
		    find_link(conflict, vip) != NULL ? WIRE_FOUND_NOBODY
						     : WIRE_FOUND_UNKNOWN,
		    NULL);
		vip->watch.probe = 0;
	}
	set_timer(conflict);
}

static bool
send_probe(const struct conflict *conflict, const struct vip *vip)
{
	const struct netlink_link *link = find_link(conflict, vip);
	bool v6 = vip->conf->family == AF_INET6;
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
		.sll_ifindex = (int)vip->ifindex,
		.sll_halen = 6 };
	unsigned char frame[FRAME_MAX];

	if (link == NULL)
		return false;
	size_t len = frame_write(frame, v6 ? FRAME_NS_PROBE : FRAME_ARP_PROBE,
	    link->mac, vip->conf->address, false);
	memcpy(to.sll_addr, frame, 6);
	return sendto((v6 ? &conflict->v6 : &conflict->v4)->fd, frame, len, 0,
		   (struct sockaddr *)&to, sizeof(to)) == (ssize_t)len;
}

void
conflict_probe(struct conflict *conflict, const struct wire_probe *probe)
{
	struct vip *vip = conflict->held->vips[probe->vip];
	bool asked = vip->watch.probe != 0; /* one frame in PROBE_MS is enough */

	if (probe->order == 0 || probe->instance != vip->shared->instance ||
	    (!asked && !send_probe(conflict, vip))) {
		answer(vip, probe->order, WIRE_FOUND_UNKNOWN, NULL);
		return;
	}
	vip->watch.probe = probe->order;
	vip->watch.probe_ends = loop_now(conflict->loop) + PROBE_MS;
	set_timer(conflict);
}

void
conflict_forget(struct conflict *conflict)
{
	for (size_t i = 0; i < conflict->held->count; i++)
		conflict->held->vips[i]->watch.probe = 0;
	loop_timer_stop(conflict->timer);
}

/* Life. */

static void
open_ear(struct conflict *conflict, struct ear *ear, int family)
{
	ear->conflict = conflict;
	ear->family = family;
	ear->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ear->fd < 0)
		return;
	ear->io = loop_io_new(conflict->loop, ear->fd, on_frames, ear);
	loop_io_watch(ear->io, LOOP_READ);
}

struct conflict *
conflict_new(struct loop *loop, const struct links *links, const struct holdings *held)
{
	struct conflict *conflict = xcalloc(1, sizeof(*conflict));

	conflict->links = links;
	conflict->held = held;
	conflict->loop = loop;
	conflict->timer = loop_timer_new(loop, on_timer, conflict);
	conflict->v6.fd = -1;
	open_ear(conflict, &conflict->v4, AF_INET);
	if (conflict->v4.fd >= 0)
		open_ear(conflict, &conflict->v6, AF_INET6);
	if (conflict->v6.fd >= 0)
		return conflict;
	int error = errno;
	conflict_free(conflict);
	errno = error;
	return NULL;
}

void
conflict_free(struct conflict *conflict)
{
	if (conflict == NULL)
		return;
	loop_io_free(conflict->v4.io);
	loop_io_free(conflict->v6.io);
	cleanup_close(&conflict->v4.fd);
	cleanup_close(&conflict->v6.fd);
	loop_timer_free(conflict->timer);
	free(conflict);
}
