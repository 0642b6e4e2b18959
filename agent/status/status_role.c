/* SPDX-License-Identifier: ISC */
/*
 * The part of the status that speaks of a role: what the protocol knows of it here, its
 * candidates and peers, its addresses. See status.c for the rest.
 */
#include "agent/status/status_role.h"

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/failover/contest.h"
#include "agent/failover/lease.h"
#include "agent/failover/peer.h"
#include "agent/failover/roles.h"
#include "agent/failover/track.h"
#include "agent/failover/vip.h"
#include "agent/status/status.h"

#include <string.h>

#define EXPLAIN_LINES 32

/* What others did with the address. */
static void
add_contest(cJSON *item, const struct status_sources *from, uint32_t vip)
{
	struct contest_view view;

	vips_view(from->vips, vip, &view);
	json_add_uint(item, "probes", view.probes);
	for (int event = CONTEST_NONE + 1; event < CONTEST_EVENTS; event++)
		json_add_uint(item, contest_event_name((enum contest_event)event),
		    view.counts[event]);
	if (view.last == CONTEST_NONE)
		return;
	cJSON *last = cJSON_AddObjectToObject(item, "last");
	cJSON_AddStringToObject(last, "event", contest_event_name(view.last));
	if (view.last == CONTEST_CLAIMED || view.last == CONTEST_FOUND)
		cJSON_AddStringToObject(last, "mac", view.mac);
	json_add_uint(last, "at", (uint64_t)view.last_at);
}

static void
add_vips(cJSON *role, const struct status_sources *from, const struct conf_role *conf)
{
	cJSON *list = cJSON_AddArrayToObject(role, "vips");

	for (size_t i = 0; i < conf->n_vips; i++) {
		const struct conf_vip *vip = conf->vips[i];
		cJSON *item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "address", vip->text);
		json_add_uint(item, "prefix", vip->prefix);
		cJSON_AddStringToObject(item, "interface", vip->interface);
		cJSON_AddBoolToObject(item, "held",
		    from->vips != NULL && vips_is_held(from->vips, vip->index));
		if (from->vips != NULL)
			add_contest(item, from, vip->index);
		cJSON_AddItemToArray(list, item);
	}
}

static void
add_candidates(cJSON *role, const struct status_sources *from, uint32_t index)
{
	struct role_peer peers[ROLE_PEERS];
	size_t count = roles_candidates(from->roles, index, peers);
	cJSON *list = cJSON_AddArrayToObject(role, "candidates");

	for (size_t i = 0; i < count; i++) {
		cJSON *item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "node", peers[i].node);
		cJSON_AddBoolToObject(item, "ready", peers[i].ready);
		json_add_uint(item, "priority", peers[i].priority);
		cJSON_AddItemToArray(list, item);
	}
}

/* A time of clock_boot_ms as its age; nothing if it has not been. */
static void
add_age(cJSON *item, const char *name, int64_t at, int64_t now)
{
	if (at > 0)
		json_add_uint(item, name, now > at ? (uint64_t)(now - at) : 0);
}

/* Whom this host hears, and who hears it. */
static void
add_peers(cJSON *role, const struct status_sources *from, uint32_t index)
{
	struct peer_view peers[ROLE_PEERS * 2];
	size_t count = roles_peers(from->roles, index, peers, ARRAY_LENGTH(peers));
	cJSON *list = cJSON_AddArrayToObject(role, "peers");
	int64_t now = clock_boot_ms();

	for (size_t i = 0; i < count; i++) {
		const struct peer_view *peer = &peers[i];
		cJSON *item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "node", peer->node);
		cJSON_AddStringToObject(item, "address", peer->address);
		json_add_uint(item, "port", peer->port);
		cJSON_AddBoolToObject(item, "present", peer->present);
		cJSON_AddBoolToObject(item, "member", peer->member);
		cJSON_AddBoolToObject(item, "heartbeats", peer->hb);
		add_age(item, "heard_ms", peer->heard_at, now);
		add_age(item, "answered_ms", peer->acked_at, now);
		if (peer->rtt_us >= 0)
			json_add_uint(item, "rtt_us", (uint64_t)peer->rtt_us);
		json_add_uint(item, "version", peer->version);
		json_add_uint(item, "sent", peer->sent);
		json_add_uint(item, "heard", peer->heard);
		json_add_uint(item, "refused", peer->refused);
		json_add_uint(item, "errors", peer->errors);
		cJSON_AddStringToObject(item, "fact", peer->fact);
		cJSON_AddItemToArray(list, item);
	}
}

static void
add_pause(cJSON *role, const struct status_sources *from, uint32_t index)
{
	struct lease_pause pause;
	char who[sizeof(pause.who) * 4], reason[sizeof(pause.reason) * 4];

	roles_paused(from->roles, index, &pause);
	if (!pause.on)
		return;
	cJSON *item = cJSON_AddObjectToObject(role, "paused");
	text_escape(who, sizeof(who), pause.who, strlen(pause.who));
	text_escape(reason, sizeof(reason), pause.reason, strlen(pause.reason));
	cJSON_AddStringToObject(item, "who", who);
	cJSON_AddStringToObject(item, "reason", reason);
	if (pause.at > 0)
		json_add_uint(item, "at", (uint64_t)pause.at * 1000);
}

static const char *
ready_text(enum role_ready ready)
{
	switch (ready) {
	case ROLE_READY_UNKNOWN: return "unknown";
	case ROLE_READY_NO: return "no";
	case ROLE_READY_YES: return "yes";
	}
	return "unknown";
}

/* What the protocol knows; absent as long as the node's name is not known. */
static void
add_view(cJSON *role, const struct role_view *view, int64_t now)
{
	cJSON_AddStringToObject(role, "reason", role_reason_name(view->reason));
	cJSON_AddStringToObject(role, "ready", ready_text(view->ready));
	cJSON_AddBoolToObject(role, "leaving", view->leaving);
	cJSON_AddBoolToObject(role, "lost", view->lost);
	cJSON_AddBoolToObject(role, "duplicate", view->duplicate);
	cJSON_AddBoolToObject(role, "unreadable", view->unreadable);
	cJSON_AddBoolToObject(role, "calm", view->calm);
	cJSON_AddBoolToObject(role, "failsafe", view->failsafe);
	json_add_uint(role, "moves", view->moves);
	json_add_uint(role, "term", view->term);
	if (view->state == ROLE_MASTER && view->hold_until > now)
		json_add_uint(
		    role, "lease_left_ms", (uint64_t)(view->hold_until - now));
	if (view->state == ROLE_WAITING && view->wait_until > now)
		json_add_uint(role, "wait_left_ms", (uint64_t)(view->wait_until - now));
	if (!view->known)
		return;
	json_add_uint(role, "rev", view->reg.rev);
	cJSON_AddStringToObject(role, "holder", view->reg.holder);
	cJSON_AddStringToObject(
	    role, "fence", view->reg.fence.present ? view->reg.fence.node : "");
}

cJSON *
status_role(const struct status_sources *from, const struct conf_role *conf)
{
	cJSON *role = cJSON_CreateObject();
	struct role_view view;

	cJSON_AddStringToObject(role, "name", conf->name);
	json_add_uint(role, "priority",
	    from->track != NULL ? track_priority(from->track, conf->index)
				: conf->priority);
	json_add_uint(role, "configured_priority", conf->priority);
	if (from->roles != NULL) {
		roles_view(from->roles, conf->index, &view);
		cJSON_AddStringToObject(role, "state", role_state_name(view.state));
		add_view(role, &view, clock_boot_ms());
		add_pause(role, from, conf->index);
		add_candidates(role, from, conf->index);
		add_peers(role, from, conf->index);
	} else {
		cJSON_AddStringToObject(role, "state", "backup");
		cJSON_AddStringToObject(role, "ready", "unknown");
	}
	cJSON *services = cJSON_AddArrayToObject(role, "services");
	for (size_t i = 0; i < conf->n_services; i++)
		cJSON_AddItemToArray(
		    services, cJSON_CreateString(conf->services[i]->name));
	add_vips(role, from, conf);
	return role;
}

cJSON *
status_explain(struct roles *roles, const struct conf_role *conf)
{
	char lines[EXPLAIN_LINES][160];
	size_t count = roles_explain(roles, conf->index, lines, EXPLAIN_LINES);
	cJSON *words = cJSON_CreateObject();

	cJSON_AddStringToObject(words, "role", conf->name);
	cJSON *list = cJSON_AddArrayToObject(words, "lines");
	for (size_t i = 0; i < count; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(lines[i]));
	return words;
}
