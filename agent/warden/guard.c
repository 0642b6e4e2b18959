/* SPDX-License-Identifier: ISC */
/*
 * Sees that the fence is whole. A fence that is open on one interface is no fence, since a
 * host answers for its addresses on all of them. It is looked at before each step that
 * sets or refreshes an address, put on new interfaces in the turn in which the kernel
 * tells of them, and put back when somebody took it away, with no address there meanwhile
 * (reality does that). If that does not succeed three times within a second it is lost: no
 * address is held until it stands again, and never does the kind of fence change.
 */
#include "agent/warden/guard.h"

#include <errno.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/warden/address.h"
#include "agent/warden/fence.h"
#include "agent/warden/fence_links.h"
#include "agent/warden/fence_map.h"
#include "agent/warden/links.h"
#include "agent/warden/netlink.h"

#define ATTEMPTS 3 /* ADDRESS_AGAIN_MS apart */

void
guard_open(struct guard *guard, const char *folder)
{
	if (folder == NULL)
		str_copy(guard->why, sizeof(guard->why),
		    "there is no bpf file system to keep its deadlines on");
	else
		guard->opened = fence_open(folder, guard->why, sizeof(guard->why));
}

void
guard_done(struct guard *guard)
{
	fence_free(guard->opened);
}

/* An interface of which the end is not yet told cannot be open. */
static bool
is_gone(const struct guard *guard, unsigned int ifindex)
{
	struct netlink_hook hook;

	return netlink_hooks(guard->shared->netlink, ifindex, false, FENCE_PRIORITY,
		   FENCE_HANDLE, &hook) == -ENODEV;
}

static void
say_open(struct guard *guard, unsigned int ifindex)
{
	const struct netlink_link *link = links_find(guard->links, ifindex);

	if (!guard->open)
		log_warning("fence",
		    "it is not in place on %s: no address is there until it is",
		    link->name);
	guard->open = true;
}

/* Set going again from a snapshot, this process may have another clock than the kernel's
 * program (a time namespace): a deadline would not be what it says. */
static bool
is_in_time(struct guard *guard)
{
	if (fence_clock_ok(guard->shared->fence))
		return true;
	str_copy(guard->why, sizeof(guard->why), "the program's clock is not ours");
	if (!guard->open)
		log_warning("fence", "its clock is not ours: no address is there");
	guard->open = guard->suspicious = true;
	return false;
}

static void
say_whole(struct guard *guard)
{
	if (guard->open)
		log_notice("fence", "it is in place on every interface again");
	guard->open = guard->lost = false;
	guard->failed = 0;
}

void
guard_suspect(struct guard *guard, unsigned int ifindex)
{
	for (size_t i = 0; i < guard->n_suspects; i++)
		if (guard->suspects[i] == ifindex)
			return;
	if (guard->n_suspects == GUARD_SUSPECTS)
		guard->suspicious = true;
	else
		guard->suspects[guard->n_suspects++] = ifindex;
}

bool
guard_stands(struct guard *guard)
{
	const struct address_shared *shared = guard->shared;
	unsigned int ifindex;

	if (shared->fence == NULL)
		return false;
	guard->suspicious = false;
	guard->n_suspects = 0;
	if (!is_in_time(guard))
		return false;
	while (!fence_verify(shared->fence, shared->netlink, guard->links->list,
	    guard->links->count, &ifindex)) {
		if (!is_gone(guard, ifindex)) {
			say_open(guard, ifindex);
			guard->suspicious = true;
			return false;
		}
		links_take(guard->links, links_find(guard->links, ifindex), true);
	}
	say_whole(guard);
	return true;
}

bool
guard_clears(struct guard *guard)
{
	const struct address_shared *shared = guard->shared;
	bool clear = !guard->suspicious && shared->fence != NULL;

	for (size_t i = 0; i < guard->n_suspects && clear; i++) {
		const struct netlink_link *link =
		    links_find(guard->links, guard->suspects[i]);
		clear = link == NULL ||
		    fence_is_on(shared->fence, shared->netlink, link,
			guard->links->list, guard->links->count);
	}
	if (!clear)
		return guard_stands(guard);
	guard->n_suspects = 0;
	return true;
}

static bool
attach(struct guard *guard, const struct netlink_link *link)
{
	int error = fence_attach(guard->shared->fence, guard->shared->netlink, link,
	    guard->links->list, guard->links->count, guard->why, sizeof(guard->why));

	return error == 0 || is_gone(guard, link->ifindex);
}

/* Attempts that orders and events caused meanwhile count for nothing. */
static void
count_failure(struct guard *guard)
{
	int64_t now = clock_boot_ms();

	if (guard->failed > 0 && now < guard->failed_at + ADDRESS_AGAIN_MS)
		return;
	guard->failed_at = now;
	guard->failed++;
}

bool
guard_mend(struct guard *guard)
{
	bool whole = guard->shared->fence != NULL;

	for (size_t i = 0; i < guard->links->count && whole; i++)
		whole = attach(guard, &guard->links->list[i]);
	if (whole && guard_stands(guard))
		return true;
	count_failure(guard);
	if (!guard->lost && guard->failed >= ATTEMPTS && guard->shared->fence != NULL)
		log_error("fence", "it cannot be put in place: %s", guard->why);
	guard->lost = guard->lost || guard->failed >= ATTEMPTS;
	return false;
}

void
guard_link(struct guard *guard, const struct netlink_link *link)
{
	if (guard->shared->fence != NULL && !attach(guard, link))
		log_debug("fence", "%s", guard->why);
}

static bool
finds(struct guard *guard, unsigned int ifindex, bool out)
{
	struct netlink_hook hook;

	return netlink_hooks(guard->shared->netlink, ifindex, out, FENCE_PRIORITY,
		   FENCE_HANDLE, &hook) == 0 &&
	    hook.fixed.handle != 0 && fence_is_ours(hook.fixed.name, out);
}

bool
guard_finds_any(struct guard *guard)
{
	bool any = false;

	for (size_t i = 0; i < guard->links->count && !any; i++)
		any = finds(guard, guard->links->list[i].ifindex, false) ||
		    finds(guard, guard->links->list[i].ifindex, true);
	return any;
}
