/* SPDX-License-Identifier: ISC */
/*
 * What Consul holds below lictor/roles/, sorted by role: who stands, the register, an
 * operator's request. Only keys of roles that are configured here count, and only
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

static bool
parse_peer(const char *node, const cJSON *entry, struct role_peer *peer)
{
	AUTO_JSON cJSON *json = kv_json(entry);
	uint64_t priority;

	if (!json_get_bool(json, "ready", &peer->ready) ||
	    !json_get_uint(json, "prio", &priority) || priority > UINT32_MAX)
		return false;
	peer->priority = (unsigned int)priority;
	return str_copy(peer->node, sizeof(peer->node), node);
}

static void
take_candidate(struct roster_role *role, const char *own_node, const char *node,
    const cJSON *entry)
{
	const char *session = json_text(entry, "Session");
	struct role_peer peer = { .priority = 0 };
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

bool
roster_same_peers(
    const struct roster_role *a, const struct role_peer *peers, size_t count)
{
	if (a->n_peers != count)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (a->peers[i].ready != peers[i].ready ||
		    a->peers[i].priority != peers[i].priority ||
		    strcmp(a->peers[i].node, peers[i].node) != 0)
			return false;
	}
	return true;
}
