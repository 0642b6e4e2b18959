/* SPDX-License-Identifier: ISC */
/*
 * Takes the fence away where it is not wanted any more: a warden that trusts in lifetimes
 * finds the program of an earlier one, with a map that nobody writes, and would be mute for
 * good. Needs no bpf, so that a lictord which was built without it can do it too. Ours is
 * known by its place and its name; the qdisc stays, others may have come to use it.
 */
#include <errno.h>

#include "agent/warden/fence.h"
#include "agent/warden/fence_links.h"
#include "agent/warden/fence_map.h"
#include "agent/warden/netlink.h"

static int
detach(struct netlink *netlink, unsigned int ifindex, bool out)
{
	struct netlink_hook hook;
	int error =
	    netlink_hooks(netlink, ifindex, out, FENCE_PRIORITY, FENCE_HANDLE, &hook);

	if (error == -ENODEV)
		return 0;
	if (error != 0 || hook.fixed.handle == 0 ||
	    !fence_is_ours(hook.fixed.name, out))
		return error;
	return netlink_hook_delete(netlink, ifindex, out, FENCE_PRIORITY, FENCE_HANDLE);
}

int
fence_detach(struct netlink *netlink, const struct netlink_link *links, size_t count)
{
	int failed = 0;

	for (size_t i = 0; i < count; i++)
		for (int out = 0; out <= 1; out++) {
			int error = detach(netlink, links[i].ifindex, out == 1);
			failed = error != 0 ? error : failed;
		}
	return failed;
}
