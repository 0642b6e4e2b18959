/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_NETLINK_H
#define LICTOR_NETLINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf_route;
struct conf_rule;
struct loop;
struct netlink;

/* An address on an interface, as rtnetlink names it (linux/if_addr.h). */
struct netlink_address {
	int family;
	unsigned char address[16];
	unsigned int prefix;
	unsigned int ifindex;
	uint32_t valid_s; /* lifetime left; UINT32_MAX: permanent */
	bool ours; /* told: it bears lictor's label or protocol number */
};

/* An interface (linux/if_link.h, linux/if_arp.h). */
struct netlink_link {
	unsigned int ifindex;
	unsigned int master; /* bridge, bond or team that it is a port of; or 0 */
	unsigned int lower; /* the one below it (VLAN, macvlan) in this namespace; or 0 */
	uint16_t type; /* ARPHRD_ */
	bool up; /* it is, and the one below has a carrier */
	bool loopback;
	char name[IF_NAMESIZE];
	char kind[16]; /* "bridge", "bond", "vlan"; "" for a real one */
	char port_kind[16]; /* what its master is */
	uint8_t bond_mode; /* of a bond (BOND_MODE_); else 0 */
	bool has_mac; /* its address has six bytes */
	unsigned char mac[6];
};

/* A filter of a clsact qdisc. */
struct netlink_filter {
	uint32_t priority, handle; /* handle 0: there is none */
	uint32_t program; /* id of its bpf program; 0: of another kind */
	char name[64]; /* of the program; of another kind, that kind */
};

/* What passes by one direction of an interface, in chain 0. */
struct netlink_hook {
	char qdisc[16]; /* "clsact", "ingress", or "": none; "" also where `fixed` is */
	struct netlink_filter first; /* runs first */
	struct netlink_filter fixed; /* the one that was asked for */
};

struct netlink_out {
	/* An address was added, refreshed or removed by anybody. */
	void (*address)(void *arg, const struct netlink_address *address, bool present);
	/* An interface appeared, changed or is gone. */
	void (*link)(void *arg, const struct netlink_link *link, bool gone);
	/* A clsact qdisc or a filter of the interface was removed or changed by anybody,
	 * ourselves included; the index may be one of a shared block. NULL: not told. */
	void (*hook)(void *arg, unsigned int ifindex);
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
 * and preferred lifetime 0; no prefix route; our label; valid_s >= 1. */
void netlink_set(struct netlink *netlink, const struct netlink_address *list,
    size_t count, int *result);
/* 0 also if it was not there; otherwise -errno. */
int netlink_delete(struct netlink *netlink, const struct netlink_address *address);
/* All links, then all addresses, through the `link` and `address` callbacks, which must
 * give no order here. 0 or -errno: what was told then has holes. */
int netlink_dump(struct netlink *netlink);

/* How the interface's egress (`out`) or ingress is hooked, and which filter has `priority`
 * and `handle`. 0 or -errno; -ENODEV: there is no such interface. */
int netlink_hooks(struct netlink *netlink, unsigned int ifindex, bool out,
    uint32_t priority, uint32_t handle, struct netlink_hook *hook);
/* Deletes that bpf filter, never the qdisc. 0 also if it was not there; else -errno. */
int netlink_hook_delete(struct netlink *netlink, unsigned int ifindex, bool out,
    uint32_t priority, uint32_t handle);

/* Sets (the host's own traffic by it comes from `source`) or deletes a route through the
 * interface, or a rule, with our protocol number. -EEXIST: there is one, whose ever it is; to
 * delete what is not there, or not ours, is 0; otherwise -errno. */
int netlink_route(struct netlink *netlink, bool add, unsigned int ifindex,
    const struct conf_route *route, const unsigned char *source);
int netlink_rule(struct netlink *netlink, bool add, const struct conf_rule *rule);
/* All that bear our number, through callbacks that must give no order. 0 or -errno. */
struct netlink_listing {
	void (*route)(void *arg, const struct conf_route *route, unsigned int ifindex);
	void (*rule)(void *arg, const struct conf_rule *rule);
	void *arg;
};
int netlink_list_routes(struct netlink *netlink, const struct netlink_listing *listing);

/* Ends sockets with a peer whose own address it is: TCP, and UDP that is connected; at most
 * `limit` of one kind a call, since looking for them takes a millisecond. `kind` is 0 at
 * first and moves on when there are no more of it. How many were ended, or -errno;
 * -EOPNOTSUPP: this kernel cannot. */
#define NETLINK_SOCKET_KINDS 4
int netlink_end_sockets(struct netlink *netlink, int family,
    const unsigned char *address, unsigned int *kind, size_t limit);

/* The interface forwards IPv6, as far as the kernel tells. */
bool netlink_forwards(struct netlink *netlink, unsigned int ifindex);

#endif
