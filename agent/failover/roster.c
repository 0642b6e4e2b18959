/* SPDX-License-Identifier: ISC */
/*
 * What Consul holds below lictor/roles/, sorted by role: who stands, the register, what
 * operators want. Only keys of roles that are configured here count, and only
 * candidates whose key is held by a session: another would stand for ever. What is
 * malformed is passed over; it is another host's fault, and a hint at best.
 */
#include "agent/failover/roster.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/failover/kv.h"

/* The role that a key belongs to and the rest of the key; NULL if it is none of ours. */
static const struct conf_role *
split_key(const struct conf *conf, const char *key, const char **rest)
{
	const char *name = key + strlen(ROSTER_PREFIX), *end;

	if (strncmp(key, ROSTER_PREFIX, strlen(ROSTER_PREFIX)) != 0)
		return NULL;
	end = strchr(name, '/');
	for (size_t i = 0; end != NULL && i < conf->n_roles; i++) {
		size_t len = (size_t)(end - name);

		if (strlen(conf->roles[i]->name) == len &&
		    strncmp(conf->roles[i]->name, name, len) == 0) {
			*rest = end + 1;
			return conf->roles[i];
		}
	}
	return NULL;
}

/* Sixteen hex digits; 0: something else. */
static uint64_t
parse_inst(const char *text)
{
	if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
		return 0;
	return strtoull(text, NULL, 16);
}

/* Where its heartbeats come from and go to. Without an address it has none. */
static void
parse_reach(const cJSON *json, struct roster_peer *peer)
{
	char inst[ROLE_NODE_SIZE];
	uint64_t port = 0;

	if (json_get_text(json, "inst", inst, sizeof(inst)))
		peer->inst = parse_inst(inst);
	if (!json_get_bool(json, "hb", &peer->peer.hb) || !peer->peer.hb)
		return;
	peer->peer.hb =
	    json_get_text(json, "addr", peer->address, sizeof(peer->address)) &&
	    peer->address[0] != '\0' && json_get_uint(json, "port", &port) &&
	    port > 0 && port <= UINT16_MAX;
	peer->port = peer->peer.hb ? (uint16_t)port : 0;
	if (!peer->peer.hb)
		peer->address[0] = '\0';
}

static bool
parse_peer(const char *node, const cJSON *entry, struct roster_peer *peer)
{
	AUTO_JSON cJSON *json = kv_json(entry);
	uint64_t priority;

	if (!json_get_bool(json, "ready", &peer->peer.ready) ||
	    !json_get_uint(json, "prio", &priority) || priority > UINT32_MAX)
		return false;
	peer->peer.priority = (unsigned int)priority;
	parse_reach(json, peer);
	return str_copy(peer->peer.node, sizeof(peer->peer.node), node);
}

static void
take_candidate(struct roster_role *role, const char *own_node, const char *node,
    const cJSON *entry)
{
	const char *session = json_text(entry, "Session");
	struct roster_peer peer = { .port = 0 };
	size_t len;

	if (session == NULL)
		return;
	if (strcmp(node, own_node) == 0 && role->own_session == NULL) {
		role->own_session = session;
		role->own_value = kv_value(entry, &len);
	}
	if (!parse_peer(node, entry, &peer))
		return;
	if (role->n_peers == ROLE_PEERS)
		role->crowded = true;
	else
		role->peers[role->n_peers++] = peer;
}

static void
take_entry(struct roster_role *roster, const struct conf *conf, const char *node,
    const cJSON *entry)
{
	static const char candidates[] = "candidates/";
	const char *key = json_text(entry, "Key"), *rest;
	const struct conf_role *conf_role =
	    key == NULL ? NULL : split_key(conf, key, &rest);
	struct roster_role *role;

	if (conf_role == NULL)
		return;
	role = &roster[conf_role->index];
	if (strcmp(rest, "register") == 0)
		role->reg = entry;
	else if (strcmp(rest, "control/switchover") == 0)
		role->request = entry;
	else if (strcmp(rest, "control/pause") == 0)
		role->pause = entry;
	else if (strncmp(rest, candidates, strlen(candidates)) == 0)
		take_candidate(role, node, rest + strlen(candidates), entry);
}

struct roster_role *
roster_new(const struct conf *conf, const char *node, const cJSON *answer)
{
	struct roster_role *roster = xcalloc(conf->n_roles + 1, sizeof(*roster));
	const cJSON *entry;

	cJSON_ArrayForEach (entry, answer)
		take_entry(roster, conf, node, entry);
	return roster;
}

void
roster_free(struct roster_role *roster, const struct conf *conf)
{
	if (roster == NULL)
		return;
	for (size_t i = 0; i < conf->n_roles; i++)
		free(roster[i].own_value);
	free(roster);
}

static bool
same_peer(const struct roster_peer *a, const struct roster_peer *b)
{
	return a->peer.ready == b->peer.ready && a->peer.priority == b->peer.priority &&
	    a->peer.hb == b->peer.hb && a->port == b->port && a->inst == b->inst &&
	    strcmp(a->address, b->address) == 0 &&
	    strcmp(a->peer.node, b->peer.node) == 0;
}

bool
roster_same_peers(
    const struct roster_role *a, const struct roster_peer *peers, size_t count)
{
	if (a->n_peers != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!same_peer(&a->peers[i], &peers[i]))
			return false;
	return true;
}
