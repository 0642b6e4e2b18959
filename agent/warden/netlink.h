/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_NETLINK_H
#define LICTOR_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct netlink;

/* An address on an interface, as rtnetlink names it (linux/if_addr.h). */
struct netlink_address {
	int family;
	unsigned char address[16];
	unsigned int prefix;
	unsigned int ifindex;
	uint32_t valid_s;	/* lifetime left; UINT32_MAX: permanent */
};

struct netlink_out {
	/* An address was added, refreshed or removed by anybody. */
	void (*address)(void *arg, const struct netlink_address *address, bool present);
	/* An interface appeared, changed or (up false, ifindex 0) vanished. */
	void (*link)(void *arg, const char *name, unsigned int ifindex, bool up);
	/* Events were lost (ENOBUFS): dump again. */
	void (*lost)(void *arg);
	void *arg;
};

/* The kernel's addresses and links, by rtnetlink (libmnl): one socket for orders, whose
 * answers are awaited (the kernel answers within the call), one for events. NULL with
 * errno set. */
struct netlink *netlink_new(struct loop *loop, const struct netlink_out *out);
void netlink_free(struct netlink *netlink);

/* Adds or refreshes addresses in one batch; result[i] is 0 or -errno. IPv6 with nodad
 * and preferred lifetime 0; no prefix route; valid_s >= 1. */
void netlink_set(struct netlink *netlink, const struct netlink_address *list,
    size_t count, int *result);
/* 0 also if it was not there; otherwise -errno. */
int netlink_delete(struct netlink *netlink, const struct netlink_address *address);
/* All links, then all addresses, through the `link` and `address` callbacks, which must
 * give no order here. 0 or -errno: what was told then has holes. */
int netlink_dump(struct netlink *netlink);

#endif
