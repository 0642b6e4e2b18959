/* SPDX-License-Identifier: ISC */
/*
 * This host's key among the candidates of each role: what it should say, and the line of
 * calls that makes it say so, one out at a time. A key is acquired by the session when it
 * changes or vanishes, and goes when the role is withdrawn or has left this host.
 *
 * A key that another session holds is either our own from before (same machine: that
 * session is destroyed, only soon after a start) or another host's with our name.
 * presence.c owns all, ticks, and says which roles there are.
 */
#include "agent/failover/presence_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"
#include "agent/consul/consul.h"
#include "agent/failover/kv.h"

#define TAKEOVER_MS 30000 /* an old session of ours lives no longer than this */

struct candidate *
candidate_new(const struct conf_role *role)
{
	struct candidate *candidate = xcalloc(1, sizeof(*candidate));

	candidate->role = xstrdup(role->name);
	return candidate;
}

void
candidate_set(struct candidate *candidate, const struct conf_role *role)
{
	candidate->index = role->index;
	if (candidate->configured == role->priority)
		return;
	candidate->current = false;
	candidate->configured = candidate->priority = role->priority;
}

void
candidate_free(struct candidate *candidate)
{
	free(candidate->role);
	free(candidate);
}

/* What its key should say; "": it should not be there. */
static char *
candidate_print(const struct presence *presence, const struct candidate *candidate)
{
	if (candidate->withdrawn)
		return xstrdup("");
	AUTO_JSON cJSON *json = cJSON_CreateObject();

	cJSON_AddBoolToObject(json, "ready", candidate->ready);
	json_add_uint(json, "prio", candidate->priority);
	cJSON_AddStringToObject(json, "addr", presence->address);
	json_add_uint(json, "port", presence->port);
	cJSON_AddBoolToObject(json, "hb", presence->address[0] != '\0');
	cJSON_AddStringToObject(json, "machine_id", presence->machine);
	cJSON_AddStringToObject(json, "inst", presence->inst);
	return json_print(json);
}

static void
key_path(const struct presence *presence, const char *role, const char *query,
    char out[PRESENCE_PATH_SIZE])
{
	char name[3 * CONF_NAME_MAX + 1], node[3 * CONF_NAME_MAX + 1];

	consul_escape(name, sizeof(name), role);
	consul_escape(node, sizeof(node), presence->node);
	snprintf(out, PRESENCE_PATH_SIZE, "/v1/kv/lictor/roles/%s/candidates/%s%s",
	    name, node, query);
}

void
presence_set_duplicate(struct presence *presence)
{
	bool duplicate = false;

	for (size_t i = 0; i < presence->n_candidates; i++)
		duplicate = duplicate || presence->candidates[i]->duplicate;
	if (duplicate == presence->duplicate)
		return;
	presence->duplicate = duplicate;
	if (duplicate)
		log_error("role",
		    "another living host uses the node name %s: this one takes no role "
		    "until that is mended",
		    presence->node);
	else
		log_notice("role", "no other host uses the node name %s any more",
		    presence->node);
	presence->out.duplicate(presence->out.arg, duplicate);
}

/* The key of `busy` is done with, to be looked at again after `delay_ms`. */
static void
end_key(struct presence *presence, int64_t delay_ms)
{
	presence->busy->retry_at = loop_now(presence->loop) + delay_ms;
	presence_write_next(presence);
}

/* The role has left this host, and so has its key now. */
static void
forget(struct presence *presence, struct candidate *candidate)
{
	size_t i = 0;

	while (presence->candidates[i] != candidate)
		i++;
	presence->candidates[i] = presence->candidates[--presence->n_candidates];
	candidate_free(candidate);
	presence_set_duplicate(presence);
	presence_write_next(presence);
}

static void
on_destroyed(void *arg, const struct consul_reply *reply)
{
	struct presence *presence = arg;

	presence->key_call = NULL;
	presence_judge_session(presence, reply);
	end_key(presence, reply->result == CONSUL_OK ? 0 : PRESENCE_TICK_MS);
}

static void
destroy_rival(struct presence *presence)
{
	char path[PRESENCE_PATH_SIZE];

	log_info("role", "an old session of this host is ended to take its place");
	snprintf(path, sizeof(path), "/v1/session/destroy/%s", presence->rival);
	presence->key_call =
	    presence_call(presence, "PUT", path, NULL, PRESENCE_CALL_MS, on_destroyed);
}

/* Who holds our key? Own: an earlier process on this machine made it. */
static bool
is_own(const struct presence *presence, const cJSON *entry)
{
	AUTO_JSON cJSON *json = kv_json(entry);
	char machine[PRESENCE_MACHINE_SIZE] = "";

	if (loop_now(presence->loop) - presence->started_at > TAKEOVER_MS)
		return false;
	json_get_text(json, "machine_id", machine, sizeof(machine));
	return machine[0] == '\0' || strcmp(machine, presence->machine) == 0;
}

static void
on_looked(void *arg, const struct consul_reply *reply)
{
	struct presence *presence = arg;
	struct candidate *candidate = presence->busy;
	const cJSON *entry = cJSON_GetArrayItem(reply->json, 0);
	const char *session = json_text(entry, "Session");

	presence->key_call = NULL;
	if (reply->result == CONSUL_NOT_FOUND) {
		end_key(presence, 0);
	} else if (reply->result != CONSUL_OK || session == NULL ||
	    !session_id_valid(session) || strcmp(session, presence->session) == 0) {
		end_key(presence, PRESENCE_TICK_MS);
	} else if (is_own(presence, entry)) {
		str_copy(presence->rival, sizeof(presence->rival), session);
		destroy_rival(presence);
	} else {
		candidate->duplicate = true;
		presence_set_duplicate(presence);
		end_key(presence, PRESENCE_RENEW_MS);
	}
}

static void
look_at_key(struct presence *presence)
{
	char path[PRESENCE_PATH_SIZE];

	key_path(presence, presence->busy->role, "?consistent", path);
	presence->key_call =
	    presence_call(presence, NULL, path, NULL, PRESENCE_CALL_MS, on_looked);
}

static void
key_acquired(struct presence *presence)
{
	struct candidate *candidate = presence->busy;
	AUTO_FREE char *wanted = candidate_print(presence, candidate);

	candidate->current = strcmp(presence->busy_value, wanted) == 0;
	candidate->mismatch = candidate->duplicate = false;
	candidate->wrote_at = loop_now(presence->loop);
	presence_set_duplicate(presence);
	if (candidate->current && candidate->index == CONF_NONE)
		forget(presence, candidate);
	else
		end_key(presence, 0);
}

static void
on_written(void *arg, const struct consul_reply *reply)
{
	struct presence *presence = arg;

	presence->key_call = NULL;
	if (presence->busy->index != CONF_NONE)
		presence->out.wrote(presence->out.arg, presence->busy->index, reply);
	if (reply->result == CONSUL_OK && cJSON_IsTrue(reply->json)) {
		key_acquired(presence);
	} else if (reply->result == CONSUL_OK) {
		look_at_key(presence);
	} else {
		/* Consul says 500 to a session that is gone; a renewal tells. */
		presence->renew_at = loop_now(presence->loop);
		end_key(presence, PRESENCE_TICK_MS);
	}
}

static void
write_key(struct presence *presence, struct candidate *candidate)
{
	char path[PRESENCE_PATH_SIZE], query[64];

	free(presence->busy_value);
	presence->busy = candidate;
	presence->busy_value = candidate_print(presence, candidate);
	snprintf(query, sizeof(query), "?acquire=%s", presence->session);
	key_path(presence, candidate->role,
	    presence->busy_value[0] != '\0' ? query : "", path);
	if (presence->busy_value[0] == '\0')
		presence->key_call = presence_call(
		    presence, "DELETE", path, NULL, PRESENCE_CALL_MS, on_written);
	else
		presence->key_call = presence_call(presence, "PUT", path,
		    presence->busy_value, PRESENCE_CALL_MS, on_written);
}

void
presence_write_next(struct presence *presence)
{
	int64_t now = loop_now(presence->loop);

	if (!presence->alive || presence->key_call != NULL || presence->stopped != NULL)
		return;
	for (size_t i = 0; i < presence->n_candidates; i++) {
		struct candidate *candidate = presence->candidates[i];

		if (candidate->presented && !candidate->current &&
		    now >= candidate->retry_at) {
			write_key(presence, candidate);
			return;
		}
	}
}

void
presence_seen(
    struct presence *presence, uint32_t role, const char *session, const char *value)
{
	struct candidate *candidate = presence->candidates[role];
	AUTO_FREE char *wanted = NULL;

	if (!presence->alive || !candidate->current || candidate->withdrawn)
		return;
	wanted = candidate_print(presence, candidate);
	candidate->mismatch = session == NULL || value == NULL ||
	    strcmp(session, presence->session) != 0 || strcmp(value, wanted) != 0;
	if (candidate->mismatch && session == NULL)
		session_renew(presence);
}
