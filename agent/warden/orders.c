/* SPDX-License-Identifier: ISC */
/*
 * What the agent says. Each order is judged by address; here it is found out what it is about,
 * and that it comes from the newest agent's own link. A hold waits until all that came with
 * it are there (warden.c, on_work), but for the deadline of what is held already; a drop is
 * carried out at once.
 */
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/warden/conflict.h"
#include "agent/warden/warden_state.h"

static void
take_hold(struct warden *warden, const struct wire_hold *hold)
{
	struct vip *vip = warden->held.vips[hold->vip];

	vip->asked = true;
	vip->hold = *hold;
	address_prolong(vip, clock_boot_ms());
	loop_timer_at(warden->shared.work, 0);
}

static void
take_drop(struct warden *warden, const struct wire_drop *drop)
{
	if (address_drop(warden->held.vips[drop->vip], drop))
		warden_set_alarm(warden);
}

static uint32_t
vip_of(const struct wire_message *message)
{
	if (message->type == WIRE_HOLD)
		return message->hold.vip;
	return message->type == WIRE_DROP ? message->drop.vip : message->probe.vip;
}

static void
on_agent(void *arg, const struct wire_message *message, int fd)
{
	struct warden *warden = arg;
	uint32_t vip = vip_of(message);

	warden_lapse(warden, clock_boot_ms());
	if (vip >= warden->held.count) {
		log_error("vip",
		    "the link to the agent is cut: it named an address that does not "
		    "exist");
		orders_forget(warden);
		return;
	}
	if (message->type == WIRE_HOLD)
		take_hold(warden, &message->hold);
	else if (message->type == WIRE_DROP)
		take_drop(warden, &message->drop);
	else if (message->type == WIRE_PROBE)
		conflict_probe(warden->conflict, &message->probe);
	else if (message->type == WIRE_ANNOUNCE)
		address_announce(warden->held.vips[vip], &message->probe);
}

void
orders_forget(struct warden *warden)
{
	wire_free(warden->shared.agent);
	warden->shared.agent = NULL;
	for (size_t i = 0; i < warden->held.count; i++) {
		warden->held.vips[i]->asked = false;
		warden->held.vips[i]->gone_order = 0;
	}
	conflict_forget(warden->conflict);
}

static void
on_agent_closed(void *arg, const char *why)
{
	log_debug("vip", "the link to the agent ended: %s", why);
	orders_forget(arg);
}

void
orders_link(struct warden *warden, uint32_t instance, int fd)
{
	struct wire_out out = {
		.message = on_agent, .closed = on_agent_closed, .arg = warden
	};

	if (instance < warden->shared.instance) {
		close(fd);
		return;
	}
	orders_forget(warden);
	warden->shared.instance = instance;
	warden->agent_fd = fd;
	warden->shared.agent = wire_new(
	    warden->loop, fd, WIRE_WARDEN, WIRE_AGENT, warden->conf->generation, &out);
	tracks_forget(&warden->tracks, warden->conf);
	reality_tell_tracks(warden);
	for (size_t i = 0; i < warden->held.count; i++)
		address_tell_standing(warden->held.vips[i], clock_boot_ms());
	for (size_t i = 0; i < warden->held.count; i++) {
		warden->held.vips[i]->dropped = 0;
		address_tell_carrier(warden->held.vips[i]);
	}
}
