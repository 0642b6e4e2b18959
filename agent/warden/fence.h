/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_FENCE_H
#define LICTOR_FENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fence;
struct netlink;
struct netlink_link;

/*
 * Loads the program and takes the map of this network namespace over, or makes it: both
 * are pinned in a folder of the namespace's own that is made below `folder`, which is on a
 * bpffs. Compares the program's clock with ours (a time namespace parts them). Attaches to
 * nothing: every configured address comes into the map first (fence_set). NULL with `why`.
 * Opens files and loads a program, which the warden's filter forbids later.
 */
struct fence *fence_open(const char *folder, char *why, size_t size);
/* Program and map stay attached and pinned. */
void fence_free(struct fence *fence);

/* The comparison of the clocks again: a snapshot of the machine may have parted them. */
bool fence_clock_ok(struct fence *fence);

/* From `until_ms` (CLOCK_BOOTTIME) on this host is mute for the address; 0: from now on.
 * 0 or -errno. */
int fence_set(struct fence *fence, int family, const unsigned char *address,
    int64_t until_ms);
/* No longer one of ours; only after the kernel's ACK of its delete. 0 also if it was not
 * there; otherwise -errno. */
int fence_forget(struct fence *fence, int family, const unsigned char *address);
/* Each address of the map with its deadline, which a dead warden may have left; `each` may
 * set and forget. 0 or -errno. */
int fence_list(struct fence *fence,
    void (*each)(void *arg, int family, const unsigned char *address, int64_t until_ms),
    void *arg);

/*
 * Puts the program on the link, both ways, if it must be there (fence_links.h) and is not
 * yet; an older one of ours is replaced in one step. `links` are all there are, the link's
 * master among them. 0; -EOPNOTSUPP: it cannot be fenced; or -errno; both with `why`, which
 * names the link. Touches nothing of others, never removes a qdisc.
 */
int fence_attach(struct fence *fence, struct netlink *netlink,
    const struct netlink_link *link, const struct netlink_link *links, size_t count,
    char *why, size_t size);
/* In place on the link, if it must be there: ours and first in its chain. */
bool fence_is_on(struct fence *fence, struct netlink *netlink,
    const struct netlink_link *link, const struct netlink_link *links, size_t count);
/* The same on every link: the step before
 * each address is added or refreshed. False with the first link that is open. */
bool fence_verify(struct fence *fence, struct netlink *netlink,
    const struct netlink_link *links, size_t count, unsigned int *open_ifindex);

/* Removes the programs of any lictord, known by their name, from all the links: only after
 * the kernel's ACK that each address they mute is deleted. 0 or the last -errno. Needs no
 * fence and does the same where there is none (fence_hooks.c). */
int fence_detach(
    struct netlink *netlink, const struct netlink_link *links, size_t count);

#endif
