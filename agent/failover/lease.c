/* SPDX-License-Identifier: ISC */
/*
 * Consul's side of the roles: what a watch on all of lictor/roles/ shows, who stands
 * (roster sorts it) and an operator's requests. registers reads and writes the roles'
 * registers, for which the watch is a hint; presence does this host's own candidacy.
 *
 * Above is roles, which decides. Owns those two and the watch; an operator's request is an
 * errand in one list, so that freeing the lease ends them all.
 */
#include "agent/failover/lease.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"
#include "agent/consul/consul.h"
#include "agent/consul/watch.h"
#include "agent/failover/kv.h"
#include "agent/failover/presence.h"
#include "agent/failover/registers.h"
#include "agent/failover/roster.h"

#define CONTROL_MS 5000
#define WAIT_MS 2000
#define PATH_SIZE 512
#define REQUEST_SIZE 64

struct errand {
	LIST_ENTRY(errand) link;
	struct lease *lease;
	struct consul_call *call;
	uint32_t role;
	const char *what;
};

struct seat {
	const struct conf_role *conf;
	bool crowded; /* said */
	bool told; /* what the watch showed, once at least */
	uint64_t watched; /* index of what the watch told last */
	uint64_t request_index; /* of control/switchover */
	char request[REQUEST_SIZE];
	struct lease_pause pause;
	size_t n_peers;
	struct roster_peer peers[ROLE_PEERS];
};

struct lease {
	struct loop *loop;
	struct consul *consul;
	const struct conf *conf;
	struct lease_out out;
	char *node;
	struct registers *registers;
	struct presence *presence;
	bool started;
	struct watch *watch; /* if there is a role */
	bool unlisted; /* said: Consul does not list the keys */
	LIST_HEAD(errands, errand) errands;
	struct seat *seats;
};

/* A request is acted on once, and never when it was there before we looked. */
static void
tell_request(struct lease *lease, struct seat *seat, const cJSON *entry)
{
	AUTO_JSON cJSON *json = kv_json(entry);
	char id[REQUEST_SIZE], to[ROLE_NODE_SIZE];

	if (json == NULL || !json_get_text(json, "id", id, sizeof(id)) ||
	    !json_get_text(json, "to", to, sizeof(to)) ||
	    strcmp(id, seat->request) == 0 ||
	    !json_get_uint(entry, "ModifyIndex", &seat->request_index))
		return;
	str_copy(seat->request, sizeof(seat->request), id);
	if (seat->told)
		lease->out.switchover(lease->out.arg, seat->conf->index, to);
}

/* It is the key's being there that counts, whatever it says. */
static void
tell_pause(struct lease *lease, struct seat *seat, const cJSON *entry)
{
	AUTO_JSON cJSON *json = kv_json(entry);
	struct lease_pause pause = { .on = entry != NULL };
	uint64_t at;

	json_get_text(json, "who", pause.who, sizeof(pause.who));
	json_get_text(json, "reason", pause.reason, sizeof(pause.reason));
	if (json_get_uint(json, "at", &at))
		pause.at = (int64_t)at;
	if (pause.on == seat->pause.on && pause.at == seat->pause.at &&
	    strcmp(pause.who, seat->pause.who) == 0 &&
	    strcmp(pause.reason, seat->pause.reason) == 0)
		return;
	seat->pause = pause;
	lease->out.pause(lease->out.arg, seat->conf->index, &pause);
}

static void
tell_peers(struct lease *lease, struct seat *seat, const struct roster_role *news)
{
	if (news->crowded && !seat->crowded)
		log_warning("role",
		    "%s: more than %d hosts stand for it, the others are not seen",
		    seat->conf->name, ROLE_PEERS);
	seat->crowded = news->crowded;
	if (seat->told && roster_same_peers(news, seat->peers, seat->n_peers))
		return;
	seat->n_peers = news->n_peers;
	memcpy(seat->peers, news->peers, sizeof(seat->peers));
	lease->out.peers(lease->out.arg, seat->conf->index, seat->peers, seat->n_peers);
}

static void
tell_news(struct lease *lease, struct seat *seat, const struct roster_role *news,
    int64_t sent_at)
{
	uint32_t role = seat->conf->index;
	uint64_t index;

	presence_seen(lease->presence, role, news->own_session, news->own_value);
	tell_pause(lease, seat, news->pause);
	tell_peers(lease, seat, news);
	if (news->reg != NULL && json_get_uint(news->reg, "ModifyIndex", &index) &&
	    index != seat->watched) {
		seat->watched = index;
		registers_seen(lease->registers, role, news->reg, sent_at);
	}
	tell_request(lease, seat, news->request);
	seat->told = true;
}

static void
on_news(void *arg, const struct consul_reply *reply)
{
	struct lease *lease = arg;
	struct roster_role *roster;

	if (lease->unlisted)
		log_notice("role", "Consul lists the roles' keys again");
	lease->unlisted = false;
	roster = roster_new(lease->conf, lease->node, reply->json);
	for (size_t i = 0; i < lease->conf->n_roles; i++)
		tell_news(lease, &lease->seats[i], &roster[i], reply->sent_at);
	roster_free(roster, lease->conf);
}

/* The watch only hints: the reads find out, and say, what is wrong. But for a permission that
 * nothing else needs: what the token may not see is left out of a list, unless Consul's
 * acl.enable_key_list_policy is set. */
static void
on_trouble(void *arg, const struct consul_reply *reply)
{
	struct lease *lease = arg;

	if (reply->result != CONSUL_DENIED || consul_token_unknown(reply) ||
	    lease->unlisted)
		return;
	lease->unlisted = true;
	log_error("role",
	    "Consul does not list the roles' keys, so other hosts are not seen: %s (it "
	    "needs key_prefix \"" ROSTER_PREFIX "\" list)",
	    reply->why);
}

/* An operator's request. */

static void
on_controlled(void *arg, const struct consul_reply *reply)
{
	struct errand *errand = arg;
	const struct seat *seat = &errand->lease->seats[errand->role];

	if (reply->result != CONSUL_OK)
		log_warning("role", "%s: the request %s: Consul says %s",
		    seat->conf->name, errand->what, reply->why);
	LIST_REMOVE(errand, link);
	free(errand);
}

static void
send_control(struct lease *lease, uint32_t role, const char *what, const char *key,
    const char *text /* NULL: the key goes */)
{
	char name[3 * CONF_NAME_MAX + 1], path[PATH_SIZE];
	struct consul_request request = {
		.channel = CONSUL_LEASE,
		.method = text != NULL ? "PUT" : "DELETE",
		.path = path,
		.text = text,
		.timeout_ms = CONTROL_MS,
	};
	struct errand *errand = xcalloc(1, sizeof(*errand));

	consul_escape(name, sizeof(name), lease->seats[role].conf->name);
	snprintf(
	    path, sizeof(path), "/v1/kv/" ROSTER_PREFIX "%s/control/%s", name, key);
	errand->what = what;
	errand->lease = lease;
	errand->role = role;
	LIST_INSERT_HEAD(&lease->errands, errand, link);
	errand->call = consul_send(lease->consul, &request, on_controlled, errand);
}

void
lease_switchover(struct lease *lease, uint32_t role, const char *to)
{
	AUTO_JSON cJSON *json = cJSON_CreateObject();
	AUTO_FREE char *text = NULL;
	char id[32];

	snprintf(id, sizeof(id), "%016" PRIx64, random_u64());
	cJSON_AddStringToObject(json, "to", to);
	cJSON_AddStringToObject(json, "id", id);
	text = json_print(json);
	send_control(lease, role, "to switch over", "switchover", text);
}

void
lease_switchover_done(struct lease *lease, uint32_t role)
{
	char key[64];

	snprintf(key, sizeof(key), "switchover?cas=%" PRIu64,
	    lease->seats[role].request_index);
	send_control(lease, role, "to switch over", key, NULL);
}

void
lease_pause(
    struct lease *lease, uint32_t role, bool on, const char *who, const char *reason)
{
	AUTO_JSON cJSON *json = cJSON_CreateObject();
	AUTO_FREE char *text = NULL;

	if (!on) {
		send_control(lease, role, "to resume it", "pause", NULL);
		return;
	}
	cJSON_AddStringToObject(json, "who", who);
	json_add_uint(json, "at", (uint64_t)(clock_wall_ms() / 1000));
	cJSON_AddStringToObject(json, "reason", reason);
	text = json_print(json);
	send_control(lease, role, "to pause it", "pause", text);
}

/* Life. */

static void
on_duplicate(void *arg, bool duplicate)
{
	struct lease *lease = arg;

	lease->out.duplicate(lease->out.arg, duplicate);
}

static void
on_candidate_wrote(void *arg, uint32_t role, const struct consul_reply *reply)
{
	struct lease *lease = arg;

	registers_wrote_beside(lease->registers, role, reply);
}

struct lease *
lease_new(struct loop *loop, struct consul *consul, const struct conf *conf,
    const char *node, const char *inst, const char *state_dir, bool bpf,
    const struct lease_out *out)
{
	struct lease *lease = xcalloc(1, sizeof(*lease));
	struct presence_out presence_out = { on_duplicate, on_candidate_wrote, lease };
	struct registers_out registers_out = { out->reg, out->wrote, out->unreadable,
		out->may_init, out->arg };
	struct role_params params = { 0 };

	params.margin_ms = conf_margin(bpf);
	str_copy(params.node, sizeof(params.node), node);
	params.inst = strtoull(inst, NULL, 16);
	lease->loop = loop;
	lease->consul = consul;
	lease->conf = conf;
	lease->out = *out;
	lease->node = xstrdup(node);
	LIST_INIT(&lease->errands);
	lease->seats = xcalloc(conf->n_roles + 1, sizeof(*lease->seats));
	for (size_t i = 0; i < conf->n_roles; i++)
		lease->seats[i].conf = conf->roles[i];
	lease->registers =
	    registers_new(loop, consul, conf, &params, bpf, state_dir, &registers_out);
	lease->presence =
	    presence_new(loop, consul, conf, node, inst, state_dir, &presence_out);
	return lease;
}

void
lease_free(struct lease *lease)
{
	if (lease == NULL)
		return;
	presence_free(lease->presence);
	registers_free(lease->registers);
	watch_free(lease->watch);
	for (struct errand *errand = LIST_FIRST(&lease->errands), *next; errand != NULL;
	     errand = next) {
		next = LIST_NEXT(errand, link);
		consul_cancel(errand->call);
		free(errand);
	}
	free(lease->seats);
	free(lease->node);
	free(lease);
}

static void
start_watch(struct lease *lease)
{
	static const struct watch_way way = { .wait_ms = WAIT_MS };
	struct watch_out out = { on_news, on_trouble, lease };

	lease->watch = watch_new(
	    lease->loop, lease->consul, "/v1/kv/" ROSTER_PREFIX "?recurse", &way, &out);
}

void
lease_start(struct lease *lease)
{
	if (lease->conf->n_roles == 0)
		return;
	lease->started = true;
	start_watch(lease);
	presence_start(lease->presence);
}

static void
turn_errands(struct lease *lease, const uint32_t *to)
{
	struct errand *next;

	for (struct errand *errand = LIST_FIRST(&lease->errands); errand != NULL;
	     errand = next) {
		next = LIST_NEXT(errand, link);
		errand->role = to[errand->role];
		if (errand->role != CONF_NONE)
			continue;
		consul_cancel(errand->call);
		LIST_REMOVE(errand, link);
		free(errand);
	}
}

/* Without a role there is nothing to be watched. */
static void
turn_watch(struct lease *lease)
{
	if (lease->conf->n_roles == 0) {
		watch_free(lease->watch);
		lease->watch = NULL;
	} else if (lease->started && lease->watch == NULL) {
		start_watch(lease);
	}
}

void
lease_reload(
    struct lease *lease, const struct conf *next, const struct conf_changes *changes)
{
	const uint32_t *from = changes->from.roles;
	uint32_t *to = conf_invert(from, next->n_roles, lease->conf->n_roles);
	struct seat *before = lease->seats;

	turn_errands(lease, to);
	lease->seats = xcalloc(next->n_roles + 1, sizeof(*lease->seats));
	for (size_t i = 0; i < next->n_roles; i++) {
		if (from[i] != CONF_NONE)
			lease->seats[i] = before[from[i]];
		lease->seats[i].conf = next->roles[i];
	}
	free(to);
	free(before);
	lease->conf = next;
	registers_reload(lease->registers, next, changes);
	presence_reload(lease->presence, next);
	turn_watch(lease);
}

void
lease_read(struct lease *lease, uint32_t role)
{
	registers_read(lease->registers, role);
}

void
lease_write(struct lease *lease, uint32_t role, uint64_t base,
    const struct role_register *content, int64_t timeout_ms)
{
	registers_write(lease->registers, role, base, content, timeout_ms);
}

void
lease_init(struct lease *lease, uint32_t role, uint64_t rev)
{
	registers_init(lease->registers, role, rev);
}

void
lease_present(struct lease *lease, uint32_t role, bool ready)
{
	presence_set(lease->presence, role, ready);
}

void
lease_reach(struct lease *lease, const char *address, uint16_t port)
{
	presence_reach(lease->presence, address, port);
}

void
lease_priority(struct lease *lease, uint32_t role, unsigned int priority)
{
	presence_priority(lease->presence, role, priority);
}

void
lease_withdraw(struct lease *lease, uint32_t role)
{
	presence_withdraw(lease->presence, role);
}

void
lease_stop(struct lease *lease, void (*done)(void *arg), void *arg)
{
	presence_stop(lease->presence, done, arg);
}
