/* SPDX-License-Identifier: ISC */
/*
 * The judge of a single address. An order is judged by what is known of it (the instance that
 * gave it, the term, the end it names, the kind of fence) and by `now`, which warden reads for
 * all its addresses at once; then come the consequences: it is held, refused or removed, the
 * agent is answered, the neighbours are told by announce.
 *
 * What was answered as held is held until its lease ends or it is dropped; what was
 * answered as gone, the kernel has confirmed.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/warden/address_state.h"
#include "agent/warden/announce.h"
#include "agent/warden/routes.h"

/* More often within that time is not put back: somebody else manages this address. */
#define PUT_BACK_MAX 10
#define PUT_BACK_MS 10000

static void
tell_rival(const struct vip *vip, enum wire_rival_kind kind, uint32_t count)
{
	struct wire_message message = { .type = WIRE_RIVAL,
		.rival = { .vip = vip->conf->index, .kind = kind, .count = count } };

	if (vip->shared->agent != NULL)
		wire_send(vip->shared->agent, &message, -1);
}

static bool
is_given_up(const struct vip *vip, int64_t now)
{
	return vip->given_up != 0 && now < vip->given_up + PUT_BACK_MS;
}

static enum wire_refusal
judge(const struct vip *vip, int64_t now)
{
	const struct wire_hold *hold = &vip->hold;
	bool fenced = vip->shared->kind == WIRE_FENCE_BPF;

	if (hold->instance != vip->shared->instance)
		return WIRE_REFUSAL_INSTANCE;
	if (vip->shared->kind == WIRE_FENCE_UNKNOWN || hold->fence != vip->shared->kind)
		return WIRE_REFUSAL_FENCE;
	if (hold->term <= vip->dropped)
		return WIRE_REFUSAL_TERM;
	if (hold->until_ms > now + vip->shared->lease_ms)
		return WIRE_REFUSAL_TOO_LONG;
	if (hold->until_ms <= now || (!fenced && hold->until_ms < now + 1000))
		return WIRE_REFUSAL_PAST;
	if (vip->shared->unfenced)
		return WIRE_REFUSAL_UNFENCED;
	if (vip->ifindex == 0 || is_given_up(vip, now))
		return WIRE_REFUSAL_KERNEL;
	return WIRE_REFUSAL_NONE;
}

void
address_prolong(const struct vip *vip, int64_t now)
{
	if (address_is_held(vip) && judge(vip, now) == WIRE_REFUSAL_NONE)
		address_set_deadline(vip, vip->hold.until_ms);
}

static void
refuse(struct vip *vip, enum wire_refusal reason)
{
	vip->asked = false;
	address_answer(vip, WIRE_REFUSED, vip->hold.order, reason);
}

/* A lifetime that was set for an earlier order must not outlast this one's deadline. */
static void
refuse_past(struct vip *vip)
{
	if (vip->expires > vip->hold.until_ms && address_remove(vip))
		log_notice("vip", "%s removed from %s: its lease is about to end",
		    vip->conf->text, vip->conf->interface);
	refuse(vip, WIRE_REFUSAL_PAST);
}

void
address_judge(struct vip *vip, int64_t now)
{
	enum wire_refusal reason = vip->asked ? judge(vip, now) : WIRE_REFUSAL_NONE;

	if (reason == WIRE_REFUSAL_PAST)
		refuse_past(vip);
	else if (reason != WIRE_REFUSAL_NONE)
		refuse(vip, reason);
}

static void
say_held(struct vip *vip)
{
	vip->asked = false;
	vip->gone_order = 0;
	address_answer(vip, WIRE_HELD, vip->hold.order, WIRE_REFUSAL_NONE);
}

static void
say_put_back(struct vip *vip)
{
	const struct conf_vip *conf = vip->conf;

	if (vip->recast) {
		log_notice("vip", "%s set on %s with another prefix, /%u", conf->text,
		    conf->interface, conf->prefix);
	} else if (vip->withdrawn) {
		log_notice("vip", "%s set on %s again, behind the fence", conf->text,
		    conf->interface);
	} else {
		vip->put_back++;
		tell_rival(vip, WIRE_RIVAL_REMOVED, ++vip->removed);
		log_warning("vip", "%s was removed from %s or changed there, put back",
		    conf->text, conf->interface);
	}
}

static void
take_held(struct vip *vip, int64_t until, int64_t expires, bool missing)
{
	bool first = !address_is_held(vip);
	bool announce = first || missing || (vip->asked && vip->hold.announce != 0);

	vip->until = until;
	vip->expires = expires;
	vip->present = true;
	vip->stretched = false;
	vip->delete_due = vip->stray != 0; /* what was to go is what was set again */
	vip->delete_failed = false;
	vip->given_up = 0;
	if (first)
		log_notice("vip", "%s set on %s, term %" PRIu64, vip->conf->text,
		    vip->conf->interface, vip->hold.term);
	if (vip->asked)
		say_held(vip);
	if (missing)
		say_put_back(vip);
	vip->recast = vip->withdrawn = false;
	if (announce)
		announcement_begin(vip->announcement, vip->ifindex);
	routes_hold(vip->routes, vip->shared->netlink, vip->conf, vip->ifindex,
	    first || missing);
}

/* A lifetime counts from when the kernel sets it: set late, it reaches beyond the lease. An
 * order that was not answered in time may have been carried out. */
static void
take_late(struct vip *vip)
{
	log_warning("vip", "%s removed from %s: it took too long to set it",
	    vip->conf->text, vip->conf->interface);
	address_remove(vip);
	if (vip->asked)
		refuse(vip, WIRE_REFUSAL_PAST);
}

static void
take_error(struct vip *vip, int error)
{
	log_debug("vip", "%s on %s: %s", vip->conf->text, vip->conf->interface,
	    strerror(-error));
	address_set_deadline(vip, vip->until);
	if (vip->asked)
		refuse(vip, WIRE_REFUSAL_KERNEL);
}

void
address_take_result(
    struct vip *vip, int error, int64_t until, int64_t expires, int64_t now)
{
	bool late = vip->shared->fence == NULL && expires > until + ADDRESS_LATE_MS;

	vip->refreshed = now;
	if (error == -ETIMEDOUT || (error == 0 && late))
		take_late(vip);
	else if (error == 0)
		take_held(vip, until, expires, address_is_missing(vip, now));
	else
		take_error(vip, error);
}

bool
address_fence(struct vip *vip)
{
	int error = address_set_deadline(vip, vip->hold.until_ms);

	if (error == 0)
		return true;
	log_error("vip", "%s: the fence's deadline cannot be written: %s",
	    vip->conf->text, strerror(-error));
	address_remove(vip);
	refuse(vip, WIRE_REFUSAL_UNFENCED);
	return false;
}

void
address_take_fenced(struct vip *vip)
{
	vip->until = vip->hold.until_ms;
	if (vip->hold.announce != 0)
		announcement_begin(vip->announcement, vip->ifindex);
	say_held(vip);
	routes_hold(vip->routes, vip->shared->netlink, vip->conf, vip->ifindex, false);
}

void
address_adopt(struct vip *vip, int64_t until)
{
	vip->until = until;
	announcement_begin_soon(vip->announcement, vip->ifindex);
	log_notice("vip", "%s found on %s, and its lease goes on", vip->conf->text,
	    vip->conf->interface);
}

void
address_take_foreign(struct vip *vip, bool present)
{
	if (present && !vip->foreign)
		log_warning("vip", "%s was added to this host by somebody else",
		    vip->conf->text);
	if (present)
		tell_rival(vip, WIRE_RIVAL_ADDED, ++vip->added);
	vip->foreign = present;
}

bool
address_give_up(struct vip *vip, int64_t now)
{
	if (now >= vip->counted_from + PUT_BACK_MS) {
		vip->counted_from = now;
		vip->put_back = 0;
	}
	if (vip->put_back < PUT_BACK_MAX)
		return false;
	log_error("vip",
	    "%s is removed from %s again and again by somebody else: given up",
	    vip->conf->text, vip->conf->interface);
	vip->given_up = now;
	address_remove(vip);
	return true;
}

void
address_finish_drop(struct vip *vip)
{
	if (!address_remove(vip) || vip->gone_order == 0)
		return;
	address_answer(vip, WIRE_GONE, vip->gone_order, WIRE_REFUSAL_NONE);
	vip->gone_order = 0;
}

bool
address_drop(struct vip *vip, const struct wire_drop *drop)
{
	if (drop->instance != vip->shared->instance) {
		address_answer(vip, WIRE_REFUSED, drop->order, WIRE_REFUSAL_INSTANCE);
		return false;
	}
	if (drop->up_to > vip->dropped)
		vip->dropped = drop->up_to;
	if (vip->asked)
		refuse(vip, WIRE_REFUSAL_TERM);
	bool held = address_is_held(vip);
	vip->gone_order = drop->order;
	address_finish_drop(vip);
	if (held && !vip->delete_due)
		log_notice("vip", "%s removed from %s: it was given up",
		    vip->conf->text, vip->conf->interface);
	return true;
}

void
address_announce(struct vip *vip, const struct wire_probe *order)
{
	enum wire_refusal reason = WIRE_REFUSAL_NONE;

	if (order->instance != vip->shared->instance)
		reason = WIRE_REFUSAL_INSTANCE;
	else if (!address_is_held(vip))
		reason = WIRE_REFUSAL_NOT_HELD;
	else
		announcement_begin(vip->announcement, vip->ifindex);
	address_answer(vip, reason == WIRE_REFUSAL_NONE ? WIRE_HELD : WIRE_REFUSED,
	    order->order, reason);
}
