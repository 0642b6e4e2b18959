/* SPDX-License-Identifier: ISC */
/*
 * When neighbours and switches are told that an address is here. Each address has its
 * rounds, of which the first is the one that counts and the others are for frames that get
 * lost; all of them draw from one bucket, so that a hundred addresses at once are a stream
 * and not a burst that a switch drops. When there is not room for all, whoever has been
 * told less goes first: no address waits for another's second round.
 *
 * Owns the packet socket, which receives nothing. What the interface is comes from links;
 * one that is no Ethernet has nobody who has to be told.
 */
#include "agent/warden/announce.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/warden/frame.h"
#include "agent/warden/links.h"
#include "agent/warden/netlink.h"

/* The rounds of an address, from the first one on; then comes each refresh. */
static const int64_t round_at[] = { 0, 10, 20, 30, 40, 1000, 1010, 1020, 1030, 1040 };
#define ROUNDS ARRAY_LENGTH(round_at)

/* The bucket, in frames: so many a millisecond come in, so many fit. */
#define FILL_PER_MS 1
#define BUCKET 256
#define FRAMES_PER_ROUND 2 /* of IPv6 one */

struct announcement {
	TAILQ_ENTRY(announcement) link;
	struct announcer *announcer;
	const struct conf_vip *conf;
	unsigned int ifindex; /* 0: it is not announced */
	int64_t begun, due;
	size_t round; /* the next; ROUNDS: a refresh */
	bool never; /* no refresh is configured */
	bool failed; /* which was said */
};

struct announcer {
	struct loop *loop;
	const struct links *links;
	struct netlink *netlink;
	struct loop_timer *timer;
	int fd;
	int64_t tokens, filled_at;
	TAILQ_HEAD(announcements, announcement) all;
};

static int
send_frame(const struct announcement *announcement, enum frame_kind kind,
    const unsigned char mac[6], bool router)
{
	unsigned char frame[FRAME_MAX];
	size_t len = frame_write(frame, kind, mac, announcement->conf->address, router);
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
		.sll_ifindex = (int)announcement->ifindex,
		.sll_halen = 6 };

	memcpy(to.sll_addr, frame, 6);
	return sendto(announcement->announcer->fd, frame, len, 0,
		   (struct sockaddr *)&to, sizeof(to)) < 0
	    ? -errno
	    : 0;
}

/* One round. 0 or -errno. */
static int
tell(const struct announcement *announcement)
{
	const struct announcer *announcer = announcement->announcer;
	const struct netlink_link *link =
	    links_find(announcer->links, announcement->ifindex);

	if (link == NULL)
		return -ENODEV;
	if (link->type != ARPHRD_ETHER || !link->has_mac)
		return 0;
	if (announcement->conf->family == AF_INET6)
		return send_frame(announcement, FRAME_NA, link->mac,
		    netlink_forwards(announcer->netlink, announcement->ifindex));
	int error = send_frame(announcement, FRAME_ARP_REQUEST, link->mac, false);
	return error != 0 ? error
			  : send_frame(announcement, FRAME_ARP_REPLY, link->mac, false);
}

static void
tell_once(struct announcement *announcement)
{
	int error = tell(announcement);

	announcement->announcer->tokens -= FRAMES_PER_ROUND;
	if (error != 0 && !announcement->failed)
		log_warning("vip", "%s cannot be announced on %s: %s",
		    announcement->conf->text, announcement->conf->interface,
		    strerror(-error));
	announcement->failed = error != 0;
}

static void
fill(struct announcer *announcer)
{
	int64_t now = loop_now(announcer->loop);

	announcer->tokens += (now - announcer->filled_at) * FILL_PER_MS;
	if (announcer->tokens > BUCKET)
		announcer->tokens = BUCKET;
	announcer->filled_at = now;
}

/* When the next one is due, and which one. */
static void
plan(struct announcement *announcement)
{
	int64_t refresh_ms = announcement->conf->announce_refresh_ms;
	int64_t now = loop_now(announcement->announcer->loop);

	if (announcement->round < ROUNDS)
		announcement->round++;
	announcement->never = false;
	if (announcement->round < ROUNDS) {
		announcement->due = announcement->begun + round_at[announcement->round];
		return;
	}
	announcement->never = refresh_ms == 0;
	announcement->due = now + refresh_ms;
}

static bool
waits(const struct announcement *announcement)
{
	return announcement->ifindex != 0 && !announcement->never;
}

/* The one that is due and has been told least, and of those the first; NULL: none is. */
static struct announcement *
find_due(const struct announcer *announcer)
{
	int64_t now = loop_now(announcer->loop);
	struct announcement *i, *best = NULL;

	TAILQ_FOREACH(i, &announcer->all, link)
	if (waits(i) && i->due <= now &&
	    (best == NULL || i->round < best->round ||
		(i->round == best->round && i->due < best->due)))
		best = i;
	return best;
}

static void
set_timer(struct announcer *announcer)
{
	struct announcement *i;
	int64_t next = INT64_MAX;

	TAILQ_FOREACH(i, &announcer->all, link)
	if (waits(i) && i->due < next)
		next = i->due;
	int64_t room = loop_now(announcer->loop) +
	    (FRAMES_PER_ROUND - announcer->tokens) / FILL_PER_MS;
	if (next == INT64_MAX)
		loop_timer_stop(announcer->timer);
	else
		loop_timer_at(announcer->timer, next > room ? next : room);
}

static void
work(struct announcer *announcer)
{
	struct announcement *next;

	fill(announcer);
	while (announcer->tokens >= FRAMES_PER_ROUND &&
	    (next = find_due(announcer)) != NULL) {
		tell_once(next);
		plan(next);
	}
	set_timer(announcer);
}

static void
on_timer(void *arg)
{
	work(arg);
}

struct announcer *
announcer_new(struct loop *loop, const struct links *links)
{
	struct announcer *announcer = xcalloc(1, sizeof(*announcer));

	announcer->loop = loop;
	announcer->links = links;
	announcer->fd = -1;
	announcer->tokens = BUCKET;
	announcer->filled_at = loop_now(loop);
	announcer->timer = loop_timer_new(loop, on_timer, announcer);
	TAILQ_INIT(&announcer->all);
	return announcer;
}

int
announcer_open(struct announcer *announcer, struct netlink *netlink)
{
	announcer->netlink = netlink;
	announcer->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return announcer->fd < 0 ? -errno : 0;
}

void
announcer_free(struct announcer *announcer)
{
	if (announcer == NULL)
		return;
	loop_timer_free(announcer->timer);
	cleanup_close(&announcer->fd);
	free(announcer);
}

struct announcement *
announcement_new(struct announcer *announcer, const struct conf_vip *conf)
{
	struct announcement *announcement = xcalloc(1, sizeof(*announcement));

	announcement->announcer = announcer;
	announcement->conf = conf;
	TAILQ_INSERT_TAIL(&announcer->all, announcement, link);
	return announcement;
}

void
announcement_free(struct announcement *announcement)
{
	if (announcement == NULL)
		return;
	TAILQ_REMOVE(&announcement->announcer->all, announcement, link);
	free(announcement);
}

void
announcement_turn(struct announcement *announcement, const struct conf_vip *conf)
{
	bool refreshes = announcement->ifindex != 0 && announcement->round == ROUNDS;
	bool same = refreshes && /* else the old one may be gone */
	    conf->announce_refresh_ms == announcement->conf->announce_refresh_ms;

	announcement->conf = conf;
	if (!refreshes || same)
		return;
	plan(announcement);
	set_timer(announcement->announcer);
}

static void
start(struct announcement *announcement, unsigned int ifindex)
{
	announcement->ifindex = ifindex;
	announcement->begun = announcement->due =
	    loop_now(announcement->announcer->loop);
	announcement->round = 0;
	announcement->never = false;
}

void
announcement_begin(struct announcement *announcement, unsigned int ifindex)
{
	start(announcement, ifindex);
	work(announcement->announcer);
}

void
announcement_begin_soon(struct announcement *announcement, unsigned int ifindex)
{
	start(announcement, ifindex);
	loop_timer_at(announcement->announcer->timer, 0);
}

void
announcement_repeat(struct announcement *announcement)
{
	fill(announcement->announcer);
	if (announcement->ifindex != 0 &&
	    announcement->announcer->tokens >= FRAMES_PER_ROUND)
		tell_once(announcement);
}

void
announcement_end(struct announcement *announcement)
{
	announcement->ifindex = 0;
	set_timer(announcement->announcer);
}
