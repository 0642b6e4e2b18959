/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_ROUTES_H
#define LICTOR_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

struct conf_vip;
struct loop;
struct netlink;
struct routes;
struct vip;

/* What goes with an address: its routes and rules, which come when the kernel has confirmed
 * it and go after it, and the connections that it leaves behind. */
struct routes *routes_new(struct loop *loop, const struct conf_vip *conf);
/* What is set stays. */
void routes_free(struct routes *routes);
/* Another configuration of the same address, or the interface has come back: all is due at
 * the next hold. */
void routes_turn(struct routes *routes, const struct conf_vip *conf);

/* The address is there (still). Sets what is due: all if it is `fresh`, otherwise what
 * failed, once a second, and now and then everything, since others may remove it. */
void routes_hold(struct routes *routes, struct netlink *netlink,
    const struct conf_vip *conf, unsigned int ifindex, bool fresh);
/* The address is not there (any more). `left`: it was, so its connections are ended, not
 * now but soon, some at a time. */
void routes_drop(struct routes *routes, struct netlink *netlink,
    const struct conf_vip *conf, bool left);

/* At a start, after the first dump: finds what a dead warden has set. What goes with no
 * address, or with one that is not there, is removed. */
void routes_sweep(struct netlink *netlink, struct vip *const *vips, size_t count);

#endif
