/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_LINKS_H
#define LICTOR_LINKS_H

#include <stdbool.h>
#include <stddef.h>

struct netlink_link;

/* The interfaces of this network namespace, in no order. Starts zeroed. */
struct links {
	struct netlink_link *list;
	size_t count;
	bool *seen; /* by the dump that goes on; of each */
	bool *fresh; /* since somebody who cares has set it to false */
};

void links_done(struct links *links);

/* As netlink tells it. */
void links_take(struct links *links, const struct netlink_link *link, bool gone);
/* Around a dump: what it did not show is gone. After one that failed only begin again. */
void links_begin(struct links *links);
void links_end(struct links *links);

/* NULL: there is none. Until the next links_take. */
const struct netlink_link *links_find(const struct links *links, unsigned int ifindex);
/* Frames with that sender are this host's own, come back. */
bool links_have_mac(const struct links *links, const unsigned char mac[6]);

#endif
