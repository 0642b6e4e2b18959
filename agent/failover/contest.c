/* SPDX-License-Identifier: ISC */
/*
 * Others that have one of our addresses: what a probe finds before it is taken, what the
 * warden hears while it is held, and what it sees other programs of this host do. Here it
 * becomes what operators read and what keeps a role away: found at another host an address
 * is not to be taken for a while; claimed again and again it is defended or, if
 * `on-conflict` says so, given away. Reading and counting frames is rival's.
 *
 * Belongs to vips, which has the link to the warden and asks contest_fault when it judges
 * whether an address is usable. The warden has announced the address against each claim
 * already; at the first of many it is ordered to do so as at a takeover.
 */
#include "agent/failover/contest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"
#include "agent/failover/rival.h"

#define FOUND_MS 30000 /* then it is looked for again */
#define LOOK_MS 250 /* the warden takes 20 ms; without an answer it may be taken */
#define LOOK_ORDER UINT64_MAX /* those of roles count from 1 */
#define YIELD_MS 60000
#define MAC_TEXT 18

enum away { HERE, FOUND_ELSEWHERE, YIELDED };

struct address {
	struct rival rival;
	enum away away;
	int64_t until; /* of `away`; the loop's time */
	bool looking; /* whether another host has it still */
	bool often; /* said of these claims */
	struct contest_view view;
};

/* Of one role: the probe that goes on. */
struct probing {
	uint64_t order; /* 0: none */
	bool sure;
	size_t waiting; /* for so many addresses */
};

struct contest {
	struct loop *loop;
	const struct conf *conf;
	struct contest_out out;
	struct wire *wire; /* NULL: no link */
	uint32_t instance;
	struct address *addresses;
	struct probing *roles;
	struct loop_timer *timer;
};

static const char *const event_names[] = {
	[CONTEST_NONE] = "none",
	[CONTEST_CLAIMED] = "claimed",
	[CONTEST_FOUND] = "found",
	[CONTEST_ADDED] = "added",
	[CONTEST_REMOVED] = "removed",
};
_Static_assert(ARRAY_LENGTH(event_names) == CONTEST_EVENTS, "an event has no name");

static void
set_timer(struct contest *contest)
{
	int64_t first = INT64_MAX;

	for (size_t i = 0; i < contest->conf->n_vips; i++) {
		const struct address *address = &contest->addresses[i];
		if (address->away != HERE && address->until < first)
			first = address->until;
	}
	if (first == INT64_MAX)
		loop_timer_stop(contest->timer);
	else
		loop_timer_at(contest->timer, first);
}

static void
ask(struct contest *contest, uint32_t vip, uint64_t order)
{
	struct wire_message message = { .type = WIRE_PROBE,
		.probe = {
		    .order = order, .vip = vip, .instance = contest->instance } };

	contest->addresses[vip].view.probes++;
	wire_send(contest->wire, &message, -1);
}

/* True: it is to be found out first whether it is there still, so that a role is neither
 * tried nor called ready, and not ready again, each half minute for as long as it is. */
static bool
look_first(struct contest *contest, uint32_t vip)
{
	struct address *address = &contest->addresses[vip];
	bool look = address->away == FOUND_ELSEWHERE && !address->looking &&
	    contest->wire != NULL;

	address->looking = look;
	if (!look)
		return false;
	address->until = loop_now(contest->loop) + LOOK_MS;
	ask(contest, vip, LOOK_ORDER);
	return true;
}

static void
come_back(struct contest *contest, uint32_t vip)
{
	contest->addresses[vip].away = HERE;
	contest->addresses[vip].looking = false;
	contest->out.changed(contest->out.arg, vip);
}

static void
on_timer(void *arg)
{
	struct contest *contest = arg;
	int64_t now = loop_now(contest->loop);

	for (uint32_t i = 0; i < contest->conf->n_vips; i++) {
		const struct address *address = &contest->addresses[i];
		if (address->away != HERE && now >= address->until &&
		    !look_first(contest, i))
			come_back(contest, i);
	}
	set_timer(contest);
}

static void
keep_away(struct contest *contest, uint32_t vip, enum away away, int64_t for_ms)
{
	struct address *address = &contest->addresses[vip];

	address->away = away;
	address->until = loop_now(contest->loop) + for_ms;
	set_timer(contest);
	contest->out.changed(contest->out.arg, vip);
}

static void
note(struct address *address, enum contest_event event, const unsigned char *mac)
{
	struct contest_view *view = &address->view;

	view->counts[event]++;
	view->last = event;
	view->last_at = clock_wall_ms();
	if (mac != NULL)
		snprintf(view->mac, sizeof(view->mac), "%02x:%02x:%02x:%02x:%02x:%02x",
		    mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

/* Probes. */

bool
contest_probe(struct contest *contest, uint32_t role, uint64_t order, bool sure)
{
	const struct conf_role *conf = contest->conf->roles[role];

	if (contest->wire == NULL || conf->n_vips == 0)
		return false;
	contest->roles[role] = (struct probing){ order, sure, conf->n_vips };
	for (size_t i = 0; i < conf->n_vips && contest->wire != NULL; i++)
		ask(contest, conf->vips[i]->index, order);
	return true;
}

static void
on_looked(struct contest *contest, uint32_t vip, const struct wire_probed *probed)
{
	struct address *address = &contest->addresses[vip];

	if (!address->looking)
		return;
	address->looking = false;
	if (probed->found == WIRE_FOUND_ANOTHER) {
		note(address, CONTEST_FOUND, probed->mac);
		address->until = loop_now(contest->loop) + FOUND_MS;
	} else {
		come_back(contest, vip);
	}
	set_timer(contest);
}

static void
on_probed(struct contest *contest, const struct wire_probed *probed)
{
	const struct conf_vip *vip = contest->conf->vips[probed->vip];
	struct probing *probing = &contest->roles[vip->role->index];
	bool found = probed->found == WIRE_FOUND_ANOTHER;

	if (probing->order == 0 || probed->order != probing->order)
		return;
	if (found && probing->sure) {
		struct address *address = &contest->addresses[vip->index];
		note(address, CONTEST_FOUND, probed->mac);
		log_error("vip", "%s is not taken on %s: another host, %s, has it",
		    vip->text, vip->interface, address->view.mac);
		keep_away(contest, vip->index, FOUND_ELSEWHERE, FOUND_MS);
	}
	if (!found && --probing->waiting > 0)
		return;
	probing->order = 0;
	contest->out.probed(contest->out.arg, vip->role->index, probed->order, found);
}

/* Claims. */

static void
announce(const struct contest *contest, uint32_t vip)
{
	struct wire_message message = { .type = WIRE_ANNOUNCE,
		.probe = { .vip = vip, .instance = contest->instance } };

	if (contest->wire != NULL)
		wire_send(contest->wire, &message, -1);
}

static void
take_often(struct contest *contest, const struct conf_vip *vip)
{
	struct address *address = &contest->addresses[vip->index];
	bool yield = vip->on_conflict == CONF_YIELD;

	if (!address->often)
		log_error("vip",
		    "another host, %s, claims %s on %s again and again: %s",
		    address->view.mac, vip->text, vip->interface,
		    yield ? "the role is given away, if there is a host that takes it"
			  : "it is announced against that host");
	address->often = true;
	if (yield && address->away == HERE)
		keep_away(contest, vip->index, YIELDED, YIELD_MS);
}

static void
on_seen(struct contest *contest, const struct wire_seen *seen)
{
	const struct conf_vip *vip = contest->conf->vips[seen->vip];
	struct address *address = &contest->addresses[seen->vip];
	unsigned char mac[6];

	if (seen->len > WIRE_SEEN_MAX ||
	    !rival_read(seen->bytes, seen->len, vip->family, vip->address, mac))
		return;
	enum rival_news news = rival_count(&address->rival, loop_now(contest->loop));
	if (news == RIVAL_SAME)
		return;
	note(address, CONTEST_CLAIMED, mac);
	if (news == RIVAL_FIRST) {
		address->often = false;
		log_warning("vip",
		    "another host, %s, claims %s on %s, which is held here: announced "
		    "again",
		    address->view.mac, vip->text, vip->interface);
		announce(contest, seen->vip);
	}
	if (news == RIVAL_OFTEN)
		take_often(contest, vip);
}

void
contest_message(struct contest *contest, const struct wire_message *message, bool held)
{
	if (message->type == WIRE_PROBED && message->probed.order == LOOK_ORDER)
		on_looked(contest, message->probed.vip, &message->probed);
	else if (message->type == WIRE_PROBED)
		on_probed(contest, &message->probed);
	else if (message->type == WIRE_SEEN && held)
		on_seen(contest, &message->seen);
	else if (message->type == WIRE_RIVAL)
		note(&contest->addresses[message->rival.vip],
		    message->rival.kind == WIRE_RIVAL_ADDED ? CONTEST_ADDED
							    : CONTEST_REMOVED,
		    NULL);
}

/* What others ask. */

bool
contest_fault(const struct contest *contest, uint32_t vip, char *why, size_t why_size)
{
	const struct address *address = &contest->addresses[vip];
	const struct conf_vip *conf = contest->conf->vips[vip];

	if (address->away == HERE)
		return false;
	snprintf(why, why_size, "another host, %s, %s %s on %s", address->view.mac,
	    address->away == YIELDED ? "claims" : "has", conf->text, conf->interface);
	return true;
}

void
contest_view(const struct contest *contest, uint32_t vip, struct contest_view *view)
{
	*view = contest->addresses[vip].view;
}

const char *
contest_event_name(enum contest_event event)
{
	return event_names[event];
}

/* Life. */

struct contest *
contest_new(struct loop *loop, const struct conf *conf, const struct contest_out *out)
{
	struct contest *contest = xcalloc(1, sizeof(*contest));

	contest->loop = loop;
	contest->conf = conf;
	contest->out = *out;
	contest->addresses = xcalloc(conf->n_vips + 1, sizeof(*contest->addresses));
	contest->roles = xcalloc(conf->n_roles + 1, sizeof(*contest->roles));
	contest->timer = loop_timer_new(loop, on_timer, contest);
	return contest;
}

void
contest_free(struct contest *contest)
{
	if (contest == NULL)
		return;
	loop_timer_free(contest->timer);
	free(contest->addresses);
	free(contest->roles);
	free(contest);
}

/* A probe that an older warden was asked for is answered by nobody: who asked has a limit. */
void
contest_link(struct contest *contest, struct wire *warden, uint32_t instance)
{
	contest->wire = warden;
	contest->instance = instance;
	for (size_t i = 0; i < contest->conf->n_roles; i++)
		contest->roles[i].order = 0;
}

void
contest_reload(struct contest *contest, const struct conf *next,
    const struct conf_changes *changes)
{
	struct address *addresses = contest->addresses;

	contest->conf = next;
	contest->addresses = xcalloc(next->n_vips + 1, sizeof(*contest->addresses));
	for (size_t i = 0; i < next->n_vips; i++)
		if (changes->from.vips[i] != CONF_NONE)
			contest->addresses[i] = addresses[changes->from.vips[i]];
	free(addresses);
	free(contest->roles);
	contest->roles = xcalloc(next->n_roles + 1, sizeof(*contest->roles));
	set_timer(contest);
}
