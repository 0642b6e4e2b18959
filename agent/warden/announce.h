/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_ANNOUNCE_H
#define LICTOR_ANNOUNCE_H

#include <stdbool.h>

struct announcement;
struct announcer;
struct conf_vip;
struct links;
struct loop;
struct netlink;

/* Sends for all addresses. `links` stay the caller's. */
struct announcer *announcer_new(struct loop *loop, const struct links *links);
/* Its packet socket, which must be had before the warden's filter and before anything is
 * announced; netlink stays the caller's. 0 or -errno. */
int announcer_open(struct announcer *announcer, struct netlink *netlink);
void announcer_free(struct announcer *announcer);

/* Those of one address; they are freed before the announcer is. */
struct announcement *announcement_new(
    struct announcer *announcer, const struct conf_vip *conf);
void announcement_free(struct announcement *announcement);
/* The same address, as another configuration has it. */
void announcement_turn(struct announcement *announcement, const struct conf_vip *conf);

/*
 * Tells the neighbours that the address is on this interface from now on: five times at
 * once, five times after a second, then each announce-refresh. One of them goes out before
 * this returns, or as soon as the other addresses leave room for it; an IPv6 one asks the
 * kernel whether the interface forwards, so not while a dump goes on.
 */
void announcement_begin(struct announcement *announcement, unsigned int ifindex);
/* The same from the loop's next turn on. */
void announcement_begin_soon(struct announcement *announcement, unsigned int ifindex);
/* Once, at once, if it is announced at all: another host has just said otherwise. */
void announcement_repeat(struct announcement *announcement);
void announcement_end(struct announcement *announcement);

#endif
