/* SPDX-License-Identifier: ISC */
/*
 * The keeper of a single address: what is known of it, where it is, and how it is taken away
 * from there. What orders about it come to is in address_order.c. Whatever takes it away does
 * so in this order: mute (kind bpf), deleted as the kernel confirms, told. Warden brings the
 * orders and what the kernel says, sets the addresses together, and owns every address.
 */
#include "agent/warden/address.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/warden/address_state.h"
#include "agent/warden/announce.h"
#include "agent/warden/fence.h"
#include "agent/warden/netlink.h"
#include "agent/warden/routes.h"

/* With the bpf fence the kernel's lifetime is a last line, whatever the lease. */
#define LIFETIME_S 10
#define REFRESH_MS 3000
#define REFRESH_GRID_MS \
	1000 /* those that are due at about the same time are set together */

/* Room for a kernel that is late, where nobody has ordered what it is told. */
#define SPARE_MS 200

bool
address_is_held(const struct vip *vip)
{
	return vip->until != 0;
}

struct netlink_address
address_for_kernel(const struct vip *vip, uint32_t valid_s)
{
	struct netlink_address address = { .family = vip->conf->family,
		.prefix = vip->conf->prefix,
		.ifindex = vip->ifindex,
		.valid_s = valid_s };

	memcpy(address.address, vip->conf->address, sizeof(address.address));
	return address;
}

bool
address_is(const struct vip *vip, int family, const unsigned char *address)
{
	return family == vip->conf->family &&
	    memcmp(address, vip->conf->address, family == AF_INET ? 4 : 16) == 0;
}

bool
address_matches(const struct vip *vip, const struct netlink_address *address)
{
	return address_is(vip, address->family, address->address) &&
	    address->ifindex == vip->ifindex && address->prefix == vip->conf->prefix;
}

void
address_answer(
    struct vip *vip, enum wire_type type, uint64_t order, enum wire_refusal reason)
{
	struct wire_message message = { .type = type,
		.answer = {
		    .order = order, .vip = vip->conf->index, .reason = reason } };

	if (vip->shared->agent != NULL)
		wire_send(vip->shared->agent, &message, -1);
}

void
address_tell_carrier(struct vip *vip)
{
	struct wire_message message = { .type = WIRE_CARRIER,
		.carrier = { .vip = vip->conf->index, .up = vip->up } };

	if (vip->shared->agent != NULL)
		wire_send(vip->shared->agent, &message, -1);
}

/* With the kind lifetime a fresh warden knows of a lease by the dump alone, which is never
 * beyond it. */
void
address_tell_standing(struct vip *vip, int64_t now)
{
	bool dumped = vip->shared->kind == WIRE_FENCE_LIFETIME && vip->present;
	int64_t until = dumped && !address_is_held(vip) ? vip->expires : vip->until;
	struct wire_message message = { .type = WIRE_STANDS,
		.stands = { .vip = vip->conf->index, .until_ms = until } };

	if (vip->shared->agent != NULL && until > now)
		wire_send(vip->shared->agent, &message, -1);
}

/* From here on it is not held; that it is gone is another question. */
static void
release(struct vip *vip)
{
	vip->until = 0;
	vip->recast = vip->withdrawn = false;
	announcement_end(vip->announcement);
}

static int
delete_on(struct vip *vip, unsigned int ifindex)
{
	struct netlink_address address = address_for_kernel(vip, 0);

	address.ifindex = ifindex;
	return ifindex == 0 ? 0 : netlink_delete(vip->shared->netlink, &address);
}

int
address_set_deadline(const struct vip *vip, int64_t until)
{
	const struct address_shared *shared = vip->shared;

	return shared->fence == NULL
	    ? 0
	    : fence_set(shared->fence, vip->conf->family, vip->conf->address, until);
}

void
address_enter(struct vip *vip)
{
	int error = address_set_deadline(vip, 0);

	if (error != 0)
		log_error("vip", "%s cannot be told to the fence: %s", vip->conf->text,
		    strerror(-error));
}

void
address_leave(struct vip *vip)
{
	if (vip->shared->fence != NULL)
		fence_forget(vip->shared->fence, vip->conf->family, vip->conf->address);
}

/* The kernel's word that it is on neither interface, or -errno. */
static int delete (struct vip *vip)
{
	int error = delete_on(vip, vip->stray);

	return error != 0 ? error : delete_on(vip, vip->ifindex);
}

bool
address_remove(struct vip *vip)
{
	bool left = address_is_held(vip) || vip->expires != 0;
	int mute = address_set_deadline(vip, 0), gone = delete (vip);
	int error =
	    mute != 0 ? mute : gone; /* each is tried, whatever the other says */

	release(vip);
	if (error != 0 && !vip->delete_failed)
		log_error("vip", "%s cannot be removed from %s: %s; tried again",
		    vip->conf->text, vip->conf->interface, strerror(-error));
	vip->delete_due = vip->delete_failed = error != 0;
	if (error != 0) {
		loop_timer_after(vip->shared->again, ADDRESS_AGAIN_MS);
		return false;
	}
	vip->stray = 0;
	vip->expires = 0;
	vip->present = false;
	routes_drop(vip->routes, vip->shared->netlink, vip->conf, left);
	return true;
}

void
address_withdraw(struct vip *vip)
{
	if (vip->expires == 0)
		return;
	if (!address_is_held(vip) || delete (vip) != 0) {
		address_remove(vip);
		return;
	}
	vip->stray = 0;
	vip->present = vip->delete_due = false;
	vip->withdrawn = true;
}

/* To the kernel it is another address then. Until the new one is there, which is at the next
 * work, it is not. */
static void
recast(struct vip *vip)
{
	int error = delete_on(vip, vip->ifindex);

	if (error != 0)
		log_error("vip", "%s/%u cannot be removed from %s: %s", vip->conf->text,
		    vip->conf->prefix, vip->conf->interface, strerror(-error));
	vip->present = false;
	if (!address_is_held(vip)) {
		vip->expires = 0;
		return;
	}
	vip->recast = true;
	loop_timer_at(vip->shared->work, 0);
}

void
address_turn(struct vip *vip, const struct conf_vip *conf)
{
	if (conf->prefix != vip->conf->prefix && vip->expires != 0)
		recast(vip);
	vip->conf = conf;
	announcement_turn(vip->announcement, conf);
	routes_turn(vip->routes, conf);
}

void
address_lapse(struct vip *vip, int64_t now)
{
	if (!address_is_held(vip) || now < vip->until)
		return;
	if (address_remove(vip))
		log_notice("vip", "%s removed from %s: its lease ended",
		    vip->conf->text, vip->conf->interface);
}

void
address_set_link(struct vip *vip, unsigned int ifindex, bool up)
{
	bool changed = vip->up != up;

	if (vip->ifindex != ifindex && vip->ifindex != 0 && vip->expires != 0) {
		if (vip->stray == 0)
			vip->stray = vip->ifindex; /* renamed, it took it along */
		vip->delete_due = true;
		loop_timer_at(vip->shared->work, 0);
	}
	vip->ifindex = ifindex;
	vip->up = up;
	if (!changed)
		return;
	address_tell_carrier(vip);
	if (up)
		routes_turn(vip->routes, vip->conf);
	if (up && address_is_held(vip))
		announcement_begin_soon(
		    vip->announcement, ifindex); /* perhaps to another switch */
}

/* Whole seconds, the one that has begun included, as the kernel tells them. */
bool
address_outlasts(const struct vip *vip, uint32_t valid_s)
{
	int64_t end = vip->shared->fence != NULL ? vip->expires : vip->until;

	return address_is_held(vip) &&
	    clock_boot_ms() + ((int64_t)valid_s - 1) * 1000 > end + ADDRESS_LATE_MS;
}

bool
address_is_missing(const struct vip *vip, int64_t now)
{
	return address_is_held(vip) && !vip->shared->doubt &&
	    (vip->stretched || !vip->present) &&
	    (vip->shared->fence != NULL || now < vip->expires - ADDRESS_LATE_MS);
}

int64_t
address_refresh_at(const struct vip *vip)
{
	return vip->shared->fence == NULL || !address_is_held(vip) || vip->ifindex == 0
	    ? 0
	    : (vip->refreshed + REFRESH_MS) / REFRESH_GRID_MS * REFRESH_GRID_MS;
}

/* With those that are ordered all others of the host are set again, but only if they lose
 * nothing by that: neither do they end sooner than they would, nor is there a risk that the
 * kernel sets them too late and they must go. */
static uint32_t
wants_along(const struct vip *vip, int64_t now)
{
	int64_t left = vip->until - now - SPARE_MS;

	return left < 1000 || now + left / 1000 * 1000 < vip->expires
	    ? 0
	    : (uint32_t)(left / 1000);
}

uint32_t
address_wants(const struct vip *vip, int64_t now)
{
	int64_t end = vip->asked ? vip->hold.until_ms : vip->until;

	if ((!vip->asked && !address_is_held(vip)) || vip->ifindex == 0)
		return 0;
	if (vip->shared->fence == NULL && !vip->asked && vip->present &&
	    !vip->stretched)
		return wants_along(vip, now);
	if (vip->shared->fence == NULL)
		return end - now < 1000 ? 0 : (uint32_t)((end - now) / 1000);
	return !address_is_held(vip) || !vip->present || vip->stretched ||
		now >= address_refresh_at(vip)
	    ? LIFETIME_S
	    : 0;
}

void
address_init(struct vip *vip, const struct address_shared *shared,
    const struct conf_vip *conf, struct loop *loop)
{
	vip->shared = shared;
	vip->conf = conf;
	vip->announcement = announcement_new(shared->announcer, conf);
	vip->routes = routes_new(loop, conf);
}

void
address_done(struct vip *vip)
{
	announcement_free(vip->announcement);
	routes_free(vip->routes);
}
