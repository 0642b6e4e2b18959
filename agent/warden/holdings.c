/* SPDX-License-Identifier: ISC */
/*
 * Which addresses there are, over all reloads. What an address is held for, and until when, is
 * in its vip (address.h), which timers point to and which therefore stays where it is as long
 * as the address is configured, whatever its index. One that is configured no more was given
 * away before; if the agent died over that it is still held here, and goes now.
 */
#include "agent/warden/holdings.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/warden/address.h"

/* It has what it needs of its configuration, which may be freed. */
struct leaving {
	struct leaving *next;
	struct vip *vip;
	struct conf_vip conf;
};

static struct vip *
make_vip(
    const struct address_shared *shared, const struct conf_vip *conf, struct loop *loop)
{
	struct vip *vip = xcalloc(1, sizeof(*vip));

	address_init(vip, shared, conf, loop);
	return vip;
}

static void
free_vip(struct vip *vip)
{
	address_done(vip);
	free(vip);
}

void
holdings_init(struct holdings *holdings, const struct address_shared *shared,
    const struct conf *conf, struct loop *loop)
{
	holdings->count = conf->n_vips;
	holdings->vips = xcalloc(conf->n_vips, sizeof(struct vip *));
	for (size_t i = 0; i < conf->n_vips; i++)
		holdings->vips[i] = make_vip(shared, conf->vips[i], loop);
}

/* Not what is left of its vip. */
static void
free_first(struct leaving **at)
{
	struct leaving *leaving = *at;

	*at = leaving->next;
	free(leaving->conf.text);
	free(leaving->conf.interface);
	free(leaving);
}

void
holdings_done(struct holdings *holdings)
{
	for (size_t i = 0; i < holdings->count; i++)
		free_vip(holdings->vips[i]);
	free(holdings->vips);
	while (holdings->leaving != NULL) {
		free_vip(holdings->leaving->vip);
		free_first(&holdings->leaving);
	}
}

static bool
is_same(const struct conf_vip *a, const struct conf_vip *b)
{
	return a->family == b->family && strcmp(a->interface, b->interface) == 0 &&
	    memcmp(a->address, b->address, a->family == AF_INET ? 4 : 16) == 0;
}

/* Takes it out of the old ones; NULL: it is new. */
static struct vip *
take_vip(struct holdings *old, const struct conf_vip *conf)
{
	for (size_t i = 0; i < old->count; i++) {
		struct vip *vip = old->vips[i];
		if (vip == NULL || !is_same(vip->conf, conf))
			continue;
		old->vips[i] = NULL;
		return vip;
	}
	return NULL;
}

/* One that could not be removed is configured again: what is due is due of this one. */
static struct vip *
take_back(struct holdings *holdings, const struct conf_vip *conf)
{
	for (struct leaving **at = &holdings->leaving; *at != NULL; at = &(*at)->next) {
		struct vip *vip = (*at)->vip;
		if (!is_same(vip->conf, conf))
			continue;
		address_turn(vip, conf);
		free_first(at);
		return vip;
	}
	return NULL;
}

static void
keep_leaving(struct holdings *holdings, struct vip *vip)
{
	struct leaving *leaving = xcalloc(1, sizeof(*leaving));

	leaving->conf = *vip->conf;
	leaving->conf.text = xstrdup(vip->conf->text);
	leaving->conf.interface = xstrdup(vip->conf->interface);
	leaving->conf.n_routes = leaving->conf.n_rules = 0;
	leaving->vip = vip;
	leaving->next = holdings->leaving;
	vip->conf = &leaving->conf;
	holdings->leaving = leaving;
}

static void
say_gone(const struct vip *vip)
{
	log_notice("vip", "%s removed from %s: it is configured no more",
	    vip->conf->text, vip->conf->interface);
}

/* To the fence an address is one, on whatever interface. */
static void
leave(const struct holdings *holdings, struct vip *vip)
{
	const struct conf_vip *conf = vip->conf;

	for (size_t i = 0; i < holdings->count; i++)
		if (address_is(holdings->vips[i], conf->family, conf->address))
			return;
	for (const struct leaving *at = holdings->leaving; at != NULL; at = at->next)
		if (at->vip != vip && address_is(at->vip, conf->family, conf->address))
			return;
	address_leave(vip);
}

static void
let_go(struct holdings *holdings, struct vip *vip)
{
	bool there = address_is_held(vip) || vip->expires != 0;

	if (there && !address_remove(vip)) {
		keep_leaving(holdings, vip);
		return;
	}
	if (there)
		say_gone(vip);
	leave(holdings, vip);
	free_vip(vip);
}

bool
holdings_turn(struct holdings *holdings, const struct address_shared *shared,
    const struct conf *next, struct loop *loop)
{
	struct holdings old = *holdings;
	bool any_new = false;

	holdings->count = next->n_vips;
	holdings->vips = xcalloc(next->n_vips, sizeof(struct vip *));
	for (size_t i = 0; i < next->n_vips; i++) {
		struct vip *vip = take_vip(&old, next->vips[i]);
		if (vip != NULL)
			address_turn(vip, next->vips[i]);
		else
			vip = take_back(holdings, next->vips[i]);
		any_new = any_new || vip == NULL;
		holdings->vips[i] =
		    vip != NULL ? vip : make_vip(shared, next->vips[i], loop);
		if (vip == NULL)
			address_enter(holdings->vips[i]);
	}
	for (size_t i = 0; i < old.count; i++)
		if (old.vips[i] != NULL)
			let_go(holdings, old.vips[i]);
	free(old.vips);
	return any_new;
}

void
holdings_remove(struct holdings *holdings)
{
	for (struct leaving **at = &holdings->leaving; *at != NULL;) {
		if (!address_remove((*at)->vip)) {
			at = &(*at)->next;
			continue;
		}
		say_gone((*at)->vip);
		leave(holdings, (*at)->vip);
		free_vip((*at)->vip);
		free_first(at);
	}
}
