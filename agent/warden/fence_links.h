/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_FENCE_LINKS_H
#define LICTOR_FENCE_LINKS_H

#include <stddef.h>

struct netlink_link;

enum fence_need {
	FENCE_NEEDED,
	FENCE_NOT_NEEDED,	/* what comes in here comes in through another link */
	FENCE_IMPOSSIBLE,	/* the program cannot read what passes there */
};

/* Whether the fence must be on the link. `links` are all there are. `l2_length` is that of
 * the link layer's header before the packet, set only where it is needed. */
enum fence_need fence_need(const struct netlink_link *link,
    const struct netlink_link *links, size_t count, unsigned int *l2_length);

#endif
