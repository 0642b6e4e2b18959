/* SPDX-License-Identifier: ISC */
/*
 * What interfaces there are, as netlink told last: announce and conflict need their
 * addresses, the fence needs all of them. Reality brings the news and stands around the
 * dumps; nothing is asked for here.
 */
#include "agent/warden/links.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/warden/netlink.h"

void
links_done(struct links *links)
{
	free(links->list);
	free(links->seen);
	free(links->fresh);
	*links = (struct links){ 0 };
}

/* Where it is, or the count. */
static size_t
find(const struct links *links, unsigned int ifindex)
{
	size_t at = 0;

	while (at < links->count && links->list[at].ifindex != ifindex)
		at++;
	return at;
}

static void
forget(struct links *links, size_t at)
{
	size_t last = --links->count;

	links->list[at] = links->list[last];
	links->seen[at] = links->seen[last];
	links->fresh[at] = links->fresh[last];
}

static void
grow(struct links *links)
{
	size_t count = links->count + 1;

	links->list = xrealloc(links->list, count, sizeof(*links->list));
	links->seen = xrealloc(links->seen, count, sizeof(*links->seen));
	links->fresh = xrealloc(links->fresh, count, sizeof(*links->fresh));
	links->fresh[count - 1] = true;
	links->count = count;
}

void
links_take(struct links *links, const struct netlink_link *link, bool gone)
{
	size_t at = find(links, link->ifindex);

	if (gone && at < links->count)
		forget(links, at);
	if (gone)
		return;
	if (at == links->count)
		grow(links);
	links->list[at] = *link;
	links->seen[at] = true;
}

void
links_begin(struct links *links)
{
	for (size_t i = 0; i < links->count; i++)
		links->seen[i] = false;
}

void
links_end(struct links *links)
{
	for (size_t i = links->count; i-- > 0;)
		if (!links->seen[i])
			forget(links, i);
}

const struct netlink_link *
links_find(const struct links *links, unsigned int ifindex)
{
	size_t at = find(links, ifindex);

	return at < links->count ? &links->list[at] : NULL;
}

bool
links_have_mac(const struct links *links, const unsigned char mac[6])
{
	for (size_t i = 0; i < links->count; i++)
		if (links->list[i].has_mac && memcmp(links->list[i].mac, mac, 6) == 0)
			return true;
	return false;
}
