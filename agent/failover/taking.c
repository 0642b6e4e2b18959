/* SPDX-License-Identifier: ISC */
/*
 * What stands between the decision to take a role and the write that says so. Fences and
 * leases know of hosts that run lictor and share a register; they do not know of an address
 * that somebody set by hand, or of a second cluster's role with the same one. So before any
 * OWN that no GIVE to this host preceded the addresses are looked for: one probe of 20 ms. In
 * a planned handover there is none, since whoever gave the role away had them until then.
 *
 * The machine knows nothing of this: to it the write is out, and it counts its lease from
 * before the probe, so holding it back is safe. A write that was overtaken meanwhile is never
 * sent. If somebody has the address the machine is told that the write came to nothing, and
 * reads: the old master may have objected meanwhile. Only if the register is as it was, the
 * machine tries again and somebody has the address still, is he one who should not have it,
 * and this host not ready (by way of vips) as long as he has.
 */
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/failover/lease.h"
#include "agent/failover/roles_state.h"
#include "agent/failover/vip.h"

#define ANSWER_MS 250 /* of the warden, which waits 20 ms itself */
#define AGAIN_MS 1000 /* as long as another host is known to have the address */

static void
send_write(struct seat *seat, uint64_t base, const struct role_register *content)
{
	struct roles *roles = seat->roles;

	lease_write(roles->lease, seat->conf->index, base, content,
	    conf_role_lease(roles->conf, seat->conf, roles->bpf));
}

static void
send_held_back(struct seat *seat)
{
	struct role_view view;

	role_view(seat->role, &view);
	if (view.reg.index == seat->held_base)
		send_write(seat, seat->held_base, &seat->held_back);
}

static void
give_up(struct seat *seat)
{
	struct role_event event = { .type = ROLE_EVENT_CAS };

	str_copy(event.cas.wid, sizeof(event.cas.wid), seat->held_back.wid);
	seat_feed(seat, &event);
}

static void
on_timer(void *arg)
{
	struct seat *seat = arg;

	if (seat->probe == 0) {
		give_up(seat);
		return;
	}
	seat->probe = 0;
	log_debug("role", "%s: taken without a probe, the warden does not answer",
	    seat->conf->name);
	send_held_back(seat);
}

/* It may be at another host for all that the register says. */
static bool
is_taking(const struct seat *seat, const struct role_action *action)
{
	struct role_view view;

	role_view(seat->role, &view);
	bool given = !view.reg.fence.present &&
	    strcmp(view.reg.holder, seat->roles->node) == 0 &&
	    strstr(view.reg.wid, ".GIVE.") != NULL;
	return action->kind == ROLE_OWN && view.state != ROLE_MASTER && !given &&
	    seat->conf->n_vips > 0;
}

void
taking_write(struct seat *seat, const struct role_action *action,
    const struct role_register *content)
{
	loop_timer_stop(seat->probe_timer);
	seat->probe = 0;
	if (!is_taking(seat, action)) {
		send_write(seat, action->base, content);
		return;
	}
	seat->held_base = action->base;
	seat->held_back = *content;
	if (vips_contested(seat->roles->vips, seat->conf->index)) {
		loop_timer_after(seat->probe_timer, AGAIN_MS);
		return;
	}
	seat->probe = ++seat->probes;
	bool sure = seat->found && seat->found_base == action->base;
	if (vips_probe(seat->roles->vips, seat->conf->index, seat->probe, sure)) {
		loop_timer_after(seat->probe_timer, ANSWER_MS);
		return;
	}
	seat->probe = 0;
	send_write(seat, action->base, content);
}

void
roles_probed(struct roles *roles, uint32_t role, uint64_t order, bool found)
{
	struct seat *seat = roles->seats[role];

	if (first_looked(seat, order, found) || seat->probe == 0 ||
	    order != seat->probe)
		return;
	seat->probe = 0;
	seat->found = found;
	seat->found_base = seat->held_base;
	loop_timer_stop(seat->probe_timer);
	if (found)
		give_up(seat);
	else
		send_held_back(seat);
}

void
taking_init(struct seat *seat)
{
	seat->probe_timer = loop_timer_new(seat->roles->loop, on_timer, seat);
}

void
taking_done(struct seat *seat)
{
	loop_timer_free(seat->probe_timer);
}
