/* SPDX-License-Identifier: ISC */
/*
 * A role's addresses as one thing. Orders of a role become one message for each of its
 * addresses on the wire to the warden; an order is held, or gone, when every address of
 * the role has answered that very number. Whether the addresses can be set at all is
 * judged in vip_usable.c, of what comes in here.
 *
 * Above is roles, which decides; behind the wire is the warden, which judges each order
 * by its own clock. Nothing is assumed of a warden whose link is lost: its successor hears
 * the newest order again, a drop from here, a hold from the role at its next confirm. The
 * wire is the agent's; it may be taken away (vips_link) in the middle of a send.
 */
#include "agent/failover/vip_state.h"

#include <stdlib.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"
#include "agent/failover/contest.h"

static void
on_contested(void *arg, uint32_t vip)
{
	struct vips *vips = arg;

	vips_judge_role(vips, vips->conf->vips[vip]->role);
}

static void
on_probed(void *arg, uint32_t role, uint64_t order, bool found)
{
	struct vips *vips = arg;

	vips->out.probed(vips->out.arg, role, order, found);
}

struct vips *
vips_new(struct loop *loop, const struct conf *conf, const struct vips_out *out)
{
	struct vips *vips = xcalloc(1, sizeof(*vips));
	struct contest_out contest = { on_contested, on_probed, vips };

	vips->conf = conf;
	vips->out = *out;
	vips->loop = loop;
	vips->addresses = xcalloc(conf->n_vips + 1, sizeof(*vips->addresses));
	vips->roles = xcalloc(conf->n_roles + 1, sizeof(*vips->roles));
	vips->away_timer = loop_timer_new(loop, vips_away_due, vips);
	vips->refused_timer = loop_timer_new(loop, vips_refused_due, vips);
	vips->calm_timer = loop_timer_new(loop, vips_calm_due, vips);
	vips->contest = contest_new(loop, conf, &contest);
	loop_timer_after(vips->away_timer, VIPS_AWAY_MS);
	return vips;
}

void
vips_free(struct vips *vips)
{
	if (vips == NULL)
		return;
	loop_timer_free(vips->away_timer);
	loop_timer_free(vips->refused_timer);
	loop_timer_free(vips->calm_timer);
	contest_free(vips->contest);
	free(vips->addresses);
	free(vips->roles);
	free(vips);
}

void
vips_reload(
    struct vips *vips, const struct conf *next, const struct conf_changes *changes)
{
	struct address *addresses = vips->addresses;
	struct orders *roles = vips->roles;

	vips->conf = next;
	contest_reload(vips->contest, next, changes);
	vips->addresses = xcalloc(next->n_vips + 1, sizeof(*vips->addresses));
	vips->roles = xcalloc(next->n_roles + 1, sizeof(*vips->roles));
	for (size_t i = 0; i < next->n_vips; i++) {
		uint32_t from = changes->from.vips[i];
		vips->addresses[i].announce = true;
		if (from != CONF_NONE)
			vips->addresses[i] = addresses[from];
	}
	for (size_t i = 0; i < next->n_roles; i++)
		if (changes->from.roles[i] != CONF_NONE)
			vips->roles[i] = roles[changes->from.roles[i]];
	free(addresses);
	free(roles);
	vips_await_calm(vips);
}

static void
send_hold(struct vips *vips, uint32_t vip, uint64_t order, uint64_t term)
{
	struct address *address = &vips->addresses[vip];
	struct wire_message message = {
		.type = WIRE_HOLD,
		.hold = {
			.order = order,
			.vip = vip,
			.instance = vips->instance,
			.term = term,
			.until_ms = address->until,
			.announce = address->announce,
			.fence = vips->fence,
		},
	};

	if (vips->wire != NULL)
		wire_send(vips->wire, &message, -1);
	if (++address->unanswered == VIPS_UNANSWERED)
		vips_judge_role(vips, vips->conf->vips[vip]->role);
}

static void
send_drops(struct vips *vips, const struct conf_role *role)
{
	const struct orders *orders = &vips->roles[role->index];

	for (size_t i = 0; i < role->n_vips && vips->wire != NULL; i++) {
		struct wire_message message = {
			.type = WIRE_DROP,
			.drop = {
				.order = orders->drop,
				.vip = role->vips[i]->index,
				.instance = vips->instance,
				.up_to = orders->up_to,
			},
		};

		wire_send(vips->wire, &message, -1);
	}
}

static void
forget_answers(struct address *address)
{
	address->held = address->gone = 0;
	address->there = false;
	address->refusal = WIRE_REFUSAL_NONE;
}

void
vips_link(struct vips *vips, struct wire *warden, uint32_t instance)
{
	vips->wire = warden;
	vips->instance = instance;
	contest_link(vips->contest, warden, instance);
	if (warden == NULL) {
		loop_timer_after(vips->away_timer, VIPS_AWAY_MS);
		return;
	}
	loop_timer_stop(vips->away_timer);
	for (size_t i = 0; i < vips->conf->n_vips; i++)
		forget_answers(&vips->addresses[i]);
	if (vips->away) {
		vips->away = false;
		vips_judge(vips);
	}
	for (size_t i = 0; i < vips->conf->n_roles; i++) {
		if (vips->roles[i].drop > vips->roles[i].hold)
			send_drops(vips, vips->conf->roles[i]);
	}
}

void
vips_hold(struct vips *vips, uint32_t role, uint64_t order, uint64_t term,
    int64_t until, bool first)
{
	const struct conf_role *conf = vips->conf->roles[role];

	vips->roles[role].hold = order;
	for (size_t i = 0; i < conf->n_vips; i++) {
		struct address *address = &vips->addresses[conf->vips[i]->index];

		address->until = until;
		address->announce = address->announce || first;
		send_hold(vips, conf->vips[i]->index, order, term);
	}
}

void
vips_drop(struct vips *vips, uint32_t role, uint64_t order, uint64_t up_to)
{
	vips->roles[role].drop = order;
	vips->roles[role].up_to = up_to;
	send_drops(vips, vips->conf->roles[role]);
}

static bool
all_answered(
    const struct vips *vips, const struct conf_role *role, uint64_t order, bool held)
{
	for (size_t i = 0; i < role->n_vips; i++) {
		const struct address *address = &vips->addresses[role->vips[i]->index];

		if ((held ? address->held : address->gone) != order)
			return false;
	}
	return true;
}

/* An older hold's answer is good news as well, until a drop was ordered after it. */
static void
on_held(struct vips *vips, const struct conf_vip *vip, uint64_t order)
{
	const struct conf_role *role = vip->role;
	struct address *address = &vips->addresses[vip->index];

	if (order <= vips->roles[role->index].drop)
		return;
	address->held = order;
	address->there = true;
	address->announce = false;
	address->refused = WIRE_REFUSAL_NONE;
	address->refusal = WIRE_REFUSAL_NONE;
	vips_judge_role(vips, role);
	if (all_answered(vips, role, order, true))
		vips->out.held(vips->out.arg, role->index, order);
}

static void
on_gone(struct vips *vips, const struct conf_vip *vip, uint64_t order)
{
	const struct orders *orders = &vips->roles[vip->role->index];
	struct address *address = &vips->addresses[vip->index];

	if (order != orders->drop || orders->hold > orders->drop)
		return;
	address->gone = order;
	address->there = false;
	if (all_answered(vips, vip->role, order, false))
		vips->out.gone(vips->out.arg, vip->role->index, order);
}

/* Of an answer that is none of the others. */
static void
on_answer(
    struct vips *vips, const struct conf_vip *vip, const struct wire_message *message)
{
	const struct wire_order *answer = &message->answer;

	if (answer->order == 0)
		return; /* to an announcement: what is not held need not be announced */
	if (message->type == WIRE_HELD)
		on_held(vips, vip, answer->order);
	else if (message->type == WIRE_GONE)
		on_gone(vips, vip, answer->order);
	else if (message->type == WIRE_REFUSED)
		vips_refused(vips, vip, answer->reason);
}

static uint32_t
vip_of(const struct wire_message *message)
{
	if (message->type == WIRE_CARRIER)
		return message->carrier.vip;
	if (message->type == WIRE_STANDS)
		return message->stands.vip;
	if (message->type == WIRE_PROBED)
		return message->probed.vip;
	if (message->type == WIRE_RIVAL)
		return message->rival.vip;
	return message->type == WIRE_SEEN ? message->seen.vip : message->answer.vip;
}

void
vips_message(struct vips *vips, const struct wire_message *message)
{
	uint32_t index = vip_of(message);
	const struct conf_vip *vip;

	if (index >= vips->conf->n_vips)
		return;
	vip = vips->conf->vips[index];
	vips_heard(vips, vip);
	if (message->type == WIRE_CARRIER)
		vips_carrier(vips, vip, message->carrier.up != 0);
	else if (message->type == WIRE_STANDS)
		vips->addresses[index].stands_until = message->stands.until_ms;
	else if (message->type == WIRE_PROBED || message->type == WIRE_RIVAL ||
	    message->type == WIRE_SEEN)
		contest_message(vips->contest, message, vips_is_held(vips, index));
	else
		on_answer(vips, vip, message);
}

bool
vips_probe(struct vips *vips, uint32_t role, uint64_t order, bool sure)
{
	return contest_probe(vips->contest, role, order, sure);
}

void
vips_view(const struct vips *vips, uint32_t vip, struct contest_view *view)
{
	contest_view(vips->contest, vip, view);
}

bool
vips_warm(const struct vips *vips, uint32_t role)
{
	const struct conf_role *conf = vips->conf->roles[role];
	int64_t now = clock_boot_ms();

	for (size_t i = 0; i < conf->n_vips; i++)
		if (vips->addresses[conf->vips[i]->index].stands_until <= now)
			return false;
	return conf->n_vips > 0;
}

bool
vips_is_held(const struct vips *vips, uint32_t vip)
{
	const struct address *address = &vips->addresses[vip];

	return address->there && clock_boot_ms() < address->until;
}
