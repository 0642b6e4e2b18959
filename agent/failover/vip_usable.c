/* SPDX-License-Identifier: ISC */
/*
 * Whether the addresses of a role can be set at all: a warden that is there and answers, an
 * interface that is up and calm, a fence, no refusal of the kernel lately, no other host that
 * has one of them. Facts are gathered for each address, judged for each role, and told only
 * when the verdict changes: they are part of the role's readiness.
 *
 * vip.c owns all, hears the warden and brings what it says; contest knows of other hosts.
 */
#include "agent/failover/vip_state.h"

#include <stdio.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/failover/contest.h"

#define REFUSED_MS 60000 /* then the kernel may be asked again */
#define CALM_MS 500 /* an interface that was down counts again after so long */
#define WHY_SIZE 192

/* What keeps the address from being set; false: nothing known. */
static bool
fault(const struct vips *vips, const struct conf_vip *vip, char why[WHY_SIZE])
{
	const struct address *address = &vips->addresses[vip->index];

	if (vips->away)
		snprintf(why, WHY_SIZE, "the warden, which sets addresses, is gone");
	else if (address->unanswered >= VIPS_UNANSWERED)
		snprintf(
		    why, WHY_SIZE, "the warden, which sets addresses, does not answer");
	else if (address->carrier_known && !address->carrier)
		snprintf(
		    why, WHY_SIZE, "interface %s is down or missing", vip->interface);
	else if (vips->unfenced[0] != '\0')
		snprintf(why, WHY_SIZE, "there is no fence: %s", vips->unfenced);
	else if (address->refused != WIRE_REFUSAL_NONE)
		snprintf(why, WHY_SIZE, "%s on %s: %s", vip->text, vip->interface,
		    wire_refusal_text(address->refused));
	else
		return contest_fault(vips->contest, vip->index, why, WHY_SIZE);
	return true;
}

void
vips_judge_role(struct vips *vips, const struct conf_role *role)
{
	struct orders *orders = &vips->roles[role->index];
	char why[WHY_SIZE] = "";
	bool known = true, usable = true;

	for (size_t i = 0; i < role->n_vips && usable; i++) {
		usable = !fault(vips, role->vips[i], why);
		known = known && vips->addresses[role->vips[i]->index].carrier_known;
	}
	if (usable && !known)
		return;
	if (orders->known && orders->usable == usable)
		return;
	orders->known = true;
	orders->usable = usable;
	vips->out.usable(vips->out.arg, role->index, usable, why);
}

void
vips_judge(struct vips *vips)
{
	for (size_t i = 0; i < vips->conf->n_roles; i++) {
		if (vips->conf->roles[i]->n_vips > 0)
			vips_judge_role(vips, vips->conf->roles[i]);
	}
}

void
vips_tell(struct vips *vips)
{
	for (size_t i = 0; i < vips->conf->n_roles; i++)
		vips->roles[i].known = false;
	vips_judge(vips);
}

void
vips_away_due(void *arg)
{
	struct vips *vips = arg;

	vips->away = true;
	vips_judge(vips);
}

void
vips_refused_due(void *arg)
{
	struct vips *vips = arg;

	for (size_t i = 0; i < vips->conf->n_vips; i++)
		vips->addresses[i].refused = WIRE_REFUSAL_NONE;
	vips_judge(vips);
}

void
vips_await_calm(struct vips *vips)
{
	int64_t first = 0;

	for (size_t i = 0; i < vips->conf->n_vips; i++) {
		int64_t at = vips->addresses[i].calm_at;
		if (at != 0 && (first == 0 || at < first))
			first = at;
	}
	if (first != 0)
		loop_timer_at(vips->calm_timer, first);
	else
		loop_timer_stop(vips->calm_timer);
}

void
vips_calm_due(void *arg)
{
	struct vips *vips = arg;

	for (size_t i = 0; i < vips->conf->n_vips; i++) {
		struct address *address = &vips->addresses[i];
		if (address->calm_at == 0 || loop_now(vips->loop) < address->calm_at)
			continue;
		address->calm_at = 0;
		address->carrier = true;
		address->refused = WIRE_REFUSAL_NONE;
	}
	vips_judge(vips);
	vips_await_calm(vips);
}

void
vips_fence(struct vips *vips, const struct wire_fence_kind *fence)
{
	vips->fence = fence->kind;
	for (size_t i = 0; i < vips->conf->n_vips && fence->ok != 0; i++)
		if (vips->addresses[i].refused == WIRE_REFUSAL_UNFENCED)
			vips->addresses[i].refused = WIRE_REFUSAL_NONE;
	str_copy(
	    vips->unfenced, sizeof(vips->unfenced), fence->ok != 0 ? "" : fence->why);
	vips_judge(vips);
}

void
vips_refused(struct vips *vips, const struct conf_vip *vip, uint32_t reason)
{
	struct address *address = &vips->addresses[vip->index];

	if (reason == WIRE_REFUSAL_KERNEL || reason == WIRE_REFUSAL_UNFENCED) {
		address->refused = reason;
		loop_timer_after(vips->refused_timer, REFUSED_MS);
		vips_judge_role(vips, vip->role);
		return;
	}
	if (address->refusal != reason)
		log_warning("vip", "%s: the warden refuses to hold it: %s", vip->text,
		    wire_refusal_text(reason));
	address->refusal = reason;
}

/* Down counts at once; up after some calm, for one that flaps is of no use and each of its
 * turns would be a handover. What is heard first of it counts as it is. */
void
vips_carrier(struct vips *vips, const struct conf_vip *vip, bool up)
{
	struct address *address = &vips->addresses[vip->index];

	if (up && address->carrier_known && !address->carrier) {
		if (address->calm_at == 0)
			address->calm_at = loop_now(vips->loop) + CALM_MS;
	} else {
		address->carrier_known = true;
		address->carrier = up;
		address->calm_at = 0;
		vips_judge_role(vips, vip->role);
	}
	vips_await_calm(vips);
}

/* A warden that can be linked to may still be frozen, or not come as far as its loop. */
void
vips_heard(struct vips *vips, const struct conf_vip *vip)
{
	struct address *address = &vips->addresses[vip->index];
	bool silent = address->unanswered >= VIPS_UNANSWERED;

	address->unanswered = 0;
	if (silent)
		vips_judge_role(vips, vip->role);
}

bool
vips_contested(const struct vips *vips, uint32_t role)
{
	const struct conf_role *conf = vips->conf->roles[role];
	char why[WHY_SIZE];

	for (size_t i = 0; i < conf->n_vips; i++)
		if (contest_fault(
			vips->contest, conf->vips[i]->index, why, sizeof(why)))
			return true;
	return false;
}
