/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_FENCE_LINKS_H
#define LICTOR_FENCE_LINKS_H

#include <stdbool.h>
#include <stddef.h>

struct netlink_link;

enum fence_need {
	FENCE_NEEDED,
	FENCE_NOT_NEEDED,	/* nothing passes here that does not pass another link */
	FENCE_IMPOSSIBLE,	/* the program cannot read what passes here */
};

/* Whether the fence must be on the link. `links` are all there are. `l2_length` is that of
 * the link layer's header before the packet, set only where it is needed. A link of a type
 * that cannot be fenced is not needed as long as it is down: ask again when it comes up. */
enum fence_need fence_need(const struct netlink_link *link,
    const struct netlink_link *links, size_t count, unsigned int *l2_length);

/* Whether a filter of that name is the program of a lictord for that way. */
bool fence_is_ours(const char *name, bool out);

#endif
