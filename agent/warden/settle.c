/* SPDX-License-Identifier: ISC */
/*
 * What comes first: the runner names the kind of fence, or has it found out, before it links
 * an agent. By then this host has only addresses that the configuration has, and each is
 * mute or held by a lease that runs. What an earlier lictord left is known by its label, by
 * the fence's map, by the programs on the interfaces. The order matters at each step: mute,
 * then delete, and only what the kernel has confirmed is forgotten by the map; every
 * address is in the map before the program is put in place; the program is taken away
 * after all that it mutes is gone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/warden/fence.h"
#include "agent/warden/netlink.h"
#include "agent/warden/routes.h"
#include "agent/warden/warden_state.h"

#define LOOKS_MAX 4 /* interfaces that come and go all the time make holes in a list */

/* An address of the map. */
struct entry {
	int family;
	unsigned char address[16];
	int64_t until;
	bool ours; /* it is configured */
	bool kept; /* it could not be deleted everywhere, or may be there unseen */
};

struct settling {
	struct warden *warden;
	struct entry *entries;
	size_t n_entries;
	struct netlink_address *there; /* what is on this host */
	size_t n_there;
};

static bool
is_configured(const struct warden *warden, int family, const unsigned char *address)
{
	for (size_t i = 0; i < warden->held.count; i++)
		if (address_is(warden->held.vips[i], family, address))
			return true;
	return false;
}

static void
take_entry(void *arg, int family, const unsigned char *address, int64_t until)
{
	struct settling *settling = arg;
	struct entry entry = { .family = family,
		.until = until,
		.ours = is_configured(settling->warden, family, address) };

	memcpy(entry.address, address, family == AF_INET ? 4 : 16);
	settling->entries = xrealloc(
	    settling->entries, settling->n_entries + 1, sizeof(*settling->entries));
	settling->entries[settling->n_entries++] = entry;
}

void
settle_take(struct settling *settling, const struct netlink_address *address)
{
	settling->there =
	    xrealloc(settling->there, settling->n_there + 1, sizeof(*settling->there));
	settling->there[settling->n_there++] = *address;
}

static struct entry *
find_entry(const struct settling *settling, int family, const unsigned char *address)
{
	for (size_t i = 0; i < settling->n_entries; i++) {
		struct entry *entry = &settling->entries[i];
		if (entry->family == family &&
		    memcmp(entry->address, address, family == AF_INET ? 4 : 16) == 0)
			return entry;
	}
	return NULL;
}

/* Nothing that is configured, and left by a lictord. */
static bool
is_stray(const struct settling *settling, const struct netlink_address *address)
{
	const struct warden *warden = settling->warden;
	const struct entry *entry =
	    find_entry(settling, address->family, address->address);

	for (size_t i = 0; i < warden->held.count; i++)
		if (address_matches(warden->held.vips[i], address))
			return false;
	return address->ours || (entry != NULL && !entry->ours);
}

static bool
remove_stray(const struct settling *settling, const struct netlink_address *address)
{
	char text[INET6_ADDRSTRLEN] = "";
	int error = netlink_delete(settling->warden->shared.netlink, address);

	inet_ntop(address->family, address->address, text, sizeof(text));
	if (error == 0)
		log_notice("vip",
		    "%s removed: an earlier lictord left it, and it is not configured",
		    text);
	else
		log_error("vip",
		    "%s, which an earlier lictord left, cannot be removed: %s", text,
		    strerror(-error));
	return error == 0;
}

static void
remove_strays(struct settling *settling)
{
	for (size_t i = 0; i < settling->n_there; i++) {
		const struct netlink_address *address = &settling->there[i];
		struct entry *entry =
		    find_entry(settling, address->family, address->address);
		if (is_stray(settling, address) && !remove_stray(settling, address) &&
		    entry != NULL)
			entry->kept = true;
	}
	settling->n_there = 0; /* so that nothing is said twice */
}

/* An earlier lictord's, that must not stay. */
static void
remove_left(struct vip *vip, const char *without)
{
	if (address_remove(vip))
		log_warning("vip", "%s removed from %s: it was there without a %s",
		    vip->conf->text, vip->conf->interface, without);
}

/* ---- kind bpf ---- */

/* Those that are not ours are mute from now on; ours have the deadline that they had. */
static void
fill_map(struct settling *settling, struct fence *fence)
{
	struct warden *warden = settling->warden;

	for (size_t i = 0; i < settling->n_entries; i++) {
		const struct entry *entry = &settling->entries[i];
		if (!entry->ours)
			fence_set(fence, entry->family, entry->address, 0);
	}
	for (size_t i = 0; i < warden->held.count; i++) {
		const struct conf_vip *conf = warden->held.vips[i]->conf;
		if (find_entry(settling, conf->family, conf->address) == NULL)
			address_enter(warden->held.vips[i]);
	}
}

static void
forget_entries(struct settling *settling, struct fence *fence)
{
	for (size_t i = 0; i < settling->n_entries; i++) {
		const struct entry *entry = &settling->entries[i];
		if (!entry->ours && !entry->kept)
			fence_forget(fence, entry->family, entry->address);
	}
}

/* The lease of before goes on, or it is over. */
static void
take_over(struct settling *settling)
{
	struct warden *warden = settling->warden;
	int64_t now = clock_boot_ms();

	for (size_t i = 0; i < warden->held.count; i++) {
		struct vip *vip = warden->held.vips[i];
		const struct entry *entry =
		    find_entry(settling, vip->conf->family, vip->conf->address);
		bool runs = entry != NULL && entry->until > now;
		if (vip->present && runs)
			address_adopt(vip, entry->until);
		else if (!vip->present)
			address_enter(vip);
		else
			remove_left(vip, "lease");
	}
}

/* Without a fence none may be there. */
static void
remove_present(struct settling *settling)
{
	const struct holdings *held = &settling->warden->held;

	for (size_t i = 0; i < held->count; i++)
		if (held->vips[i]->present)
			remove_left(held->vips[i], "fence");
}

/* True: it stands, and `why` is as it was. */
static bool
raise_fence(struct settling *settling)
{
	struct warden *warden = settling->warden;
	struct guard *guard = &warden->guard;
	struct fence *fence = guard->opened;

	if (fence == NULL)
		return false;
	warden->shared.fence = fence;
	fill_map(settling, fence);
	bool stands = guard_mend(guard);
	remove_strays(settling);
	forget_entries(settling, fence);
	if (stands)
		take_over(settling);
	return stands;
}

/* ---- kind lifetime ---- */

/* All that the programs mute, by whatever map. */
static bool
remove_all(struct settling *settling)
{
	struct warden *warden = settling->warden;
	bool removed = !warden->shared.doubt;

	for (size_t i = 0; i < warden->held.count; i++)
		if (warden->held.vips[i]->present)
			removed = address_remove(warden->held.vips[i]) && removed;
	for (size_t i = 0; i < settling->n_entries; i++)
		removed = removed && !settling->entries[i].kept;
	return removed;
}

/* False: a program stays and would mute what is held. */
static bool
lower_fence(struct settling *settling)
{
	struct warden *warden = settling->warden;
	struct links *links = &warden->links;

	remove_strays(settling);
	if (!guard_finds_any(&warden->guard))
		return true;
	bool removed = remove_all(settling);
	int error = removed
	    ? fence_detach(warden->shared.netlink, links->list, links->count)
	    : -EBUSY;
	if (error != 0)
		snprintf(warden->guard.why, sizeof(warden->guard.why),
		    "an earlier lictord's program cannot be removed: %s",
		    strerror(-error));
	else
		log_notice("fence", "an earlier lictord's program was removed");
	return error == 0;
}

/* With bpf the kernel's lifetime was but a last line, and reaches beyond any lease. */
static void
remove_long(struct settling *settling)
{
	struct warden *warden = settling->warden;
	int64_t end = clock_boot_ms() + warden_lease(warden, warden->conf);

	for (size_t i = 0; i < warden->held.count; i++) {
		struct vip *vip = warden->held.vips[i];
		if (vip->present && vip->expires > end)
			remove_left(vip, "lease");
	}
}

/* ---- both ---- */

static void
take_lifetime(struct settling *settling)
{
	struct address_shared *shared = &settling->warden->shared;
	struct guard *guard = &settling->warden->guard;

	shared->kind = WIRE_FENCE_LIFETIME;
	remove_long(settling);
	shared->unfenced = !lower_fence(settling);
	shared->fence = NULL;
	fence_free(guard->opened);
	guard->opened = NULL;
}

/* What the kernel could not list may be there: nobody's address is forgotten by the map then,
 * and stays mute until another start. */
static void
look(struct settling *settling)
{
	struct warden *warden = settling->warden;

	if (warden->guard.opened != NULL)
		fence_list(warden->guard.opened, take_entry, settling);
	reality_clean(warden);
	for (int i = 1; warden->shared.doubt && i < LOOKS_MAX; i++)
		reality_clean(warden);
	for (size_t i = 0; i < settling->n_entries; i++)
		settling->entries[i].kept = warden->shared.doubt;
}

static void
choose(struct settling *settling, enum wire_fence wanted)
{
	struct address_shared *shared = &settling->warden->shared;

	look(settling);
	if (wanted == WIRE_FENCE_LIFETIME) {
		take_lifetime(settling);
		return;
	}
	shared->kind = WIRE_FENCE_BPF;
	bool stands = raise_fence(settling);
	if (!stands && wanted == WIRE_FENCE_UNKNOWN) {
		take_lifetime(settling);
		return;
	}
	shared->unfenced = settling->warden->guard.lost = !stands;
	if (stands)
		return;
	remove_present(settling);
	loop_timer_after(shared->again, ADDRESS_AGAIN_MS);
}

void
settle_tell(struct warden *warden)
{
	const struct address_shared *shared = &warden->shared;
	struct wire_message message = { .type = WIRE_FENCED,
		.fenced = { .kind = shared->kind, .ok = !shared->unfenced } };

	str_copy(message.fenced.why, sizeof(message.fenced.why), warden->guard.why);
	wire_send(warden->runner, &message, -1);
}

void
settle(struct warden *warden, const struct wire_fence_kind *wanted)
{
	struct settling settling = { .warden = warden };

	if (warden->shared.kind == WIRE_FENCE_UNKNOWN) {
		warden->settling = &settling;
		choose(&settling, wanted->kind);
		warden->settling = NULL;
		routes_sweep(
		    warden->shared.netlink, warden->held.vips, warden->held.count);
		warden->shared.lease_ms = warden_lease(warden, warden->conf);
		warden_set_alarm(warden);
		free(settling.entries);
		free(settling.there);
	}
	settle_tell(warden);
}
