/* SPDX-License-Identifier: ISC */
/*
 * What is there, and making it so. Events only raise doubt, since they may be older than our
 * last order; what counts is a dump or the kernel's answer. Of two kinds of fence:
 *
 * lifetime: the addresses are set together, every one that is held with those that are asked
 * for: the kernel looks at lifetimes at most once a second and any change restarts that
 * second, so addresses set at different times end late.
 *
 * bpf: a deadline is written and no more, unless the address is not there or its own lifetime
 * is to be refreshed; and that only with the fence seen in place in the same step. Where it
 * is open the addresses are taken away first, then it is put back, then they are set again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/warden/netlink.h"
#include "agent/warden/routes.h"
#include "agent/warden/warden_state.h"

/* Those of which the kernel's list told first, before anybody asks whether the fence stands:
 * it never stood there, so nobody took it away. */
static void
fence_fresh(struct warden *warden)
{
	struct links *links = &warden->links;

	for (size_t i = 0; i < links->count; i++) {
		if (links->fresh[i])
			guard_link(&warden->guard, &links->list[i]);
		links->fresh[i] = false;
	}
}

/* The master of some may have had the fence for them. */
static void
suspect(struct warden *warden, const struct netlink_link *link, bool gone)
{
	const struct links *links = &warden->links;

	if (!gone)
		guard_suspect(&warden->guard, link->ifindex);
	for (size_t i = 0; i < links->count && gone; i++)
		if (links->list[i].master == link->ifindex)
			guard_suspect(&warden->guard, links->list[i].ifindex);
}

void
reality_tell_tracks(struct warden *warden)
{
	tracks_tell(
	    &warden->tracks, warden->conf, &warden->links, warden->shared.agent);
}

static void
on_link(void *arg, const struct netlink_link *link, bool gone)
{
	struct warden *warden = arg;
	unsigned int ifindex = gone ? 0 : link->ifindex;

	links_take(&warden->links, link, gone);
	if (!warden->dumping)
		fence_fresh(warden);
	if (!warden->dumping && !gone)
		guard_link(&warden->guard, link); /* it may have become another one */
	suspect(warden, link, gone);
	if (warden->shared.fence != NULL)
		loop_timer_at(warden->shared.work, 0);
	for (size_t i = 0; i < warden->held.count; i++) {
		struct vip *vip = warden->held.vips[i];
		if (strcmp(link->name, vip->conf->interface) == 0) {
			vip->seen = true;
			address_set_link(vip, ifindex, !gone && link->up);
		} else if (ifindex != 0 && ifindex == vip->ifindex) {
			address_set_link(vip, 0, false);
		}
	}
	if (!warden->dumping)
		reality_tell_tracks(warden);
}

static void
look_again(struct warden *warden)
{
	warden->shared.doubt = true;
	loop_timer_at(warden->shared.work, 0);
}

static void
take_there(struct vip *vip, const struct netlink_address *address, bool stretched)
{
	vip->present = true;
	vip->stretched = stretched;
	if (!address_is_held(vip))
		vip->expires = address->valid_s == UINT32_MAX
		    ? INT64_MAX
		    : clock_boot_ms() + (int64_t)address->valid_s * 1000;
}

/* Not one that we have set ourselves, which the kernel may tell of only now. */
static void
take_foreign(struct vip *vip, const struct netlink_address *address, bool present)
{
	if (present ? !address->ours && !address_is_held(vip) : vip->foreign)
		address_take_foreign(vip, present);
}

/* What events say may be older than our last order: they only raise doubt. */
static void
on_address(void *arg, const struct netlink_address *address, bool present)
{
	struct warden *warden = arg;

	if (warden->settling != NULL)
		settle_take(warden->settling, address);
	for (size_t i = 0; i < warden->held.count; i++) {
		struct vip *vip = warden->held.vips[i];
		if (!address_is(vip, address->family, address->address))
			continue;
		if (!warden->dumping)
			take_foreign(vip, address, present);
		if (!address_matches(vip, address))
			continue;
		bool stretched = present && address_outlasts(vip, address->valid_s);
		if (warden->dumping)
			take_there(vip, address, stretched);
		else if (address_is_held(vip) && (!present || stretched))
			look_again(warden);
		else if (!address_is_held(vip) && !present)
			routes_drop(
			    vip->routes, warden->shared.netlink, vip->conf, false);
	}
}

/* Our own doing is told as well: it is looked at, and found in place. */
static void
on_hook(void *arg, unsigned int ifindex)
{
	struct warden *warden = arg;

	guard_suspect(&warden->guard, ifindex);
	if (warden->shared.fence != NULL)
		loop_timer_at(warden->shared.work, 0);
}

static void
on_lost(void *arg)
{
	struct warden *warden = arg;

	warden->guard.suspicious = true;
	look_again(warden);
}

void
reality_dump(struct warden *warden)
{
	for (size_t i = 0; i < warden->held.count; i++) {
		warden->held.vips[i]->seen = false;
		warden->held.vips[i]->present = false;
		warden->held.vips[i]->stretched = false;
	}
	links_begin(&warden->links);
	warden->dumping = true;
	int error = netlink_dump(warden->shared.netlink);
	warden->dumping = false;
	warden->shared.doubt = error != 0;
	if (error != 0) {
		log_warning("vip", "the kernel's addresses cannot be listed: %s",
		    strerror(-error));
		loop_timer_after(warden->shared.again, ADDRESS_AGAIN_MS);
		return;
	}
	links_end(&warden->links);
	fence_fresh(warden);
	for (size_t i = 0; i < warden->held.count; i++) {
		struct vip *vip = warden->held.vips[i];
		if (!vip->seen && vip->ifindex != 0)
			address_set_link(vip, 0, false);
	}
	reality_tell_tracks(warden);
}

void
reality_clean(struct warden *warden)
{
	reality_dump(warden);
	for (size_t i = 0; i < warden->held.count; i++) {
		struct vip *vip = warden->held.vips[i];
		if (!address_is_held(vip) && vip->expires == INT64_MAX &&
		    address_remove(vip))
			log_warning("vip",
			    "%s removed from %s: it was there without an end",
			    vip->conf->text, vip->conf->interface);
	}
}

/* How it is told to whom it concerns: the agent is refused, the runner told. */
static void
tell_lost(struct warden *warden, bool lost)
{
	if (warden->shared.unfenced == lost)
		return;
	warden->shared.unfenced = lost;
	settle_tell(warden);
}

static void
withdraw_all(struct warden *warden)
{
	for (size_t i = 0; i < warden->held.count; i++)
		address_withdraw(warden->held.vips[i]);
}

/* Those that are held for a fence which does not come back are let go. */
static void
let_go(struct warden *warden)
{
	for (size_t i = 0; i < warden->held.count; i++)
		if (address_is_held(warden->held.vips[i]))
			address_remove(warden->held.vips[i]);
}

/* A deadline is written without a look at all of the fence: what happens to it is told. */
static bool
is_guarded(struct warden *warden, int64_t now)
{
	bool sets = false;

	for (size_t i = 0; i < warden->held.count && !sets; i++)
		sets = address_wants(warden->held.vips[i], now) > 0;
	return sets || warden->shared.unfenced ? guard_stands(&warden->guard)
					       : guard_clears(&warden->guard);
}

bool
reality_guard(struct warden *warden, int64_t now)
{
	if (warden->shared.kind != WIRE_FENCE_BPF)
		return true;
	if (is_guarded(warden, now) && !warden->shared.unfenced)
		return true;
	withdraw_all(warden);
	bool mended = guard_mend(&warden->guard);
	tell_lost(warden, warden->guard.lost);
	if (mended)
		return true;
	if (warden->guard.lost)
		let_go(warden);
	if (warden->shared.fence != NULL)
		loop_timer_after(warden->shared.again, ADDRESS_AGAIN_MS);
	return false;
}

struct batch {
	size_t count;
	struct wanted {
		struct vip *vip;
		int64_t until;
	} * wanted;
	struct netlink_address *addresses;
	int *results;
};

static void
batch_run(struct warden *warden, struct batch *batch, int64_t now)
{
	netlink_set(
	    warden->shared.netlink, batch->addresses, batch->count, batch->results);
	int64_t after = clock_boot_ms();
	for (size_t i = 0; i < batch->count; i++) {
		struct vip *vip = batch->wanted[i].vip;
		int64_t until = batch->wanted[i].until;
		int64_t expires = after + (int64_t)batch->addresses[i].valid_s * 1000;
		address_take_result(vip, batch->results[i], until, expires, now);
	}
}

/* Whether the kernel must be told of it, be it alone. False as well for one that is refused or
 * given up now. */
static bool
is_due(struct vip *vip, int64_t now)
{
	bool missing = address_is_missing(vip, now);

	if (missing && !vip->recast && !vip->withdrawn && address_give_up(vip, now)) {
		address_judge(vip, now);
		return false;
	}
	if (vip->shared->fence == NULL)
		return missing || vip->asked;
	if (vip->asked && !address_fence(vip))
		return false;
	bool due = address_wants(vip, now) > 0;
	if (vip->asked && !due)
		address_take_fenced(vip);
	return due;
}

void
reality_set(struct warden *warden, int64_t now)
{
	size_t n = warden->held.count;
	AUTO_FREE struct wanted *wanted = xcalloc(n, sizeof(*wanted));
	AUTO_FREE struct netlink_address *addresses = xcalloc(n, sizeof(*addresses));
	AUTO_FREE int *results = xcalloc(n, sizeof(*results));
	struct batch batch = { 0, wanted, addresses, results };
	bool needed = false;

	for (size_t i = 0; i < n; i++)
		needed = is_due(warden->held.vips[i], now) || needed;
	for (size_t i = 0; i < n && needed; i++) {
		struct vip *vip = warden->held.vips[i];
		int64_t end = vip->asked ? vip->hold.until_ms : vip->until;
		uint32_t valid_s = address_wants(vip, now);
		if (valid_s == 0)
			continue;
		wanted[batch.count] = (struct wanted){ vip, end };
		addresses[batch.count++] = address_for_kernel(vip, valid_s);
	}
	if (needed)
		batch_run(warden, &batch, now);
}

int
reality_open(struct warden *warden)
{
	struct netlink_out out = { .address = on_address,
		.link = on_link,
		.hook = on_hook,
		.lost = on_lost,
		.arg = warden };

	warden->shared.netlink = netlink_new(warden->loop, &out);
	return warden->shared.netlink == NULL ? -errno : 0;
}
