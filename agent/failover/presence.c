/* SPDX-License-Identifier: ISC */
/*
 * Presence: the session and the keys by which other hosts see that this one lives and
 * whether it is fit for a role. lease owns it, feeds it what the watch saw and never waits
 * for it; nothing safe rests on it.
 *
 * Two lines of calls, one call out at a time in each: the session (session.c) and the keys
 * (acquired by the session when they change or vanish). A tick each second drives both, so
 * nothing piles up while Consul is away.
 *
 * A key that another session holds is either our own from before (same machine: that
 * session is destroyed, only soon after a start) or another host's with our name.
 */
#include "agent/failover/presence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"
#include "agent/consul/consul.h"
#include "agent/failover/kv.h"
#include "agent/failover/presence_state.h"

#define STOP_MS 900
#define SETTLE_MS 2000 /* a watch may show what was there before our last write */
#define TAKEOVER_MS 30000 /* an old session of ours lives no longer than this */

static void
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
read_machine_id(char out[PRESENCE_MACHINE_SIZE])
{
	AUTO_FCLOSE FILE *file = fopen("/etc/machine-id", "re");

	out[0] = '\0';
	if (file == NULL || fgets(out, PRESENCE_MACHINE_SIZE, file) == NULL)
		return;
	out[strspn(out, "0123456789abcdef")] = '\0';
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

struct consul_call *
presence_call(struct presence *presence, const char *method, const char *path,
    const char *text, int64_t timeout_ms, consul_done_fn *done)
{
	struct consul_request request = {
		.channel = CONSUL_LEASE,
		.method = method,
		.path = path,
		.text = text,
		.timeout_ms = timeout_ms,
	};

	return consul_send(presence->consul, &request, done, presence);
}

/* A token that Consul does not know is said by who reports. */
void
presence_judge_session(struct presence *presence, const struct consul_reply *reply)
{
	bool denied = reply->result == CONSUL_DENIED && !consul_token_unknown(reply);
	bool said = presence->session_denied;

	if (denied && !said)
		log_error("role",
		    "Consul refuses this host a session, because %s: its roles may be "
		    "taken by others (the token needs session \"%s\" write)",
		    reply->why, presence->node);
	if (reply->result == CONSUL_OK && said)
		log_notice("role", "Consul gives this host a session again");
	if (denied || reply->result == CONSUL_OK)
		presence->session_denied = denied;
}

static void
set_duplicate(struct presence *presence)
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

/* The line of keys. */

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
	set_duplicate(presence);
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
		set_duplicate(presence);
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
	set_duplicate(presence);
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

static void
on_tick(void *arg)
{
	struct presence *presence = arg;
	int64_t now = loop_now(presence->loop);

	if (presence->stopped != NULL) {
		presence->stopped(presence->stopped_arg);
		return;
	}
	if (presence->n_candidates == 0 && presence->session_call == NULL) {
		session_end(presence); /* until a reload brings a role */
		return;
	}
	if (now >= presence->renew_at)
		session_renew(presence);
	for (size_t i = 0; i < presence->n_candidates; i++) {
		struct candidate *candidate = presence->candidates[i];

		if (candidate->mismatch && now >= candidate->wrote_at + SETTLE_MS)
			candidate->current = false;
	}
	presence_write_next(presence);
	loop_timer_after(presence->timer, PRESENCE_TICK_MS);
}

static struct candidate *
candidate_new(const struct conf_role *role)
{
	struct candidate *candidate = xcalloc(1, sizeof(*candidate));

	candidate->role = xstrdup(role->name);
	return candidate;
}

static void
candidate_set(struct candidate *candidate, const struct conf_role *role)
{
	candidate->index = role->index;
	if (candidate->configured == role->priority)
		return;
	candidate->current = false;
	candidate->configured = candidate->priority = role->priority;
}

struct presence *
presence_new(struct loop *loop, struct consul *consul, const struct conf *conf,
    const char *node, const char *inst, const char *state_dir,
    const struct presence_out *out)
{
	struct presence *presence = xcalloc(1, sizeof(*presence));

	presence->loop = loop;
	presence->consul = consul;
	presence->out = *out;
	presence->node = xstrdup(node);
	presence->inst = xstrdup(inst);
	presence->address = xstrdup("");
	presence->file = xasprintf("%s/session", state_dir);
	presence->n_candidates = conf->n_roles;
	presence->candidates = xcalloc(conf->n_roles + 1, sizeof(struct candidate *));
	for (size_t i = 0; i < conf->n_roles; i++) {
		presence->candidates[i] = candidate_new(conf->roles[i]);
		candidate_set(presence->candidates[i], conf->roles[i]);
	}
	presence->timer = loop_timer_new(loop, on_tick, presence);
	read_machine_id(presence->machine);
	return presence;
}

static void
cancel_calls(struct presence *presence)
{
	if (presence->session_call != NULL)
		consul_cancel(presence->session_call);
	if (presence->key_call != NULL)
		consul_cancel(presence->key_call);
	presence->session_call = presence->key_call = NULL;
}

void
presence_free(struct presence *presence)
{
	if (presence == NULL)
		return;
	cancel_calls(presence);
	loop_timer_free(presence->timer);
	free(presence->node);
	free(presence->inst);
	free(presence->address);
	free(presence->file);
	free(presence->busy_value);
	for (size_t i = 0; i < presence->n_candidates; i++)
		candidate_free(presence->candidates[i]);
	free(presence->candidates);
	free(presence);
}

void
presence_start(struct presence *presence)
{
	presence->started_at = presence->renew_at = loop_now(presence->loop);
	session_load(presence);
	on_tick(presence);
}

void
presence_set(struct presence *presence, uint32_t role, bool ready)
{
	struct candidate *candidate = presence->candidates[role];

	if (candidate->presented && !candidate->withdrawn && candidate->ready == ready)
		return;
	candidate->withdrawn = false;
	candidate->presented = true;
	candidate->ready = ready;
	candidate->current = false;
	candidate->retry_at = 0;
	presence_write_next(presence);
}

void
presence_reach(struct presence *presence, const char *address, uint16_t port)
{
	if (address[0] == '\0')
		port = 0;
	if (strcmp(presence->address, address) == 0 && presence->port == port)
		return;
	free(presence->address);
	presence->address = xstrdup(address);
	presence->port = port;
	for (size_t i = 0; i < presence->n_candidates; i++)
		if (!presence->candidates[i]->withdrawn)
			presence->candidates[i]->current = false;
	presence_write_next(presence);
}

void
presence_priority(struct presence *presence, uint32_t role, unsigned int priority)
{
	struct candidate *candidate = presence->candidates[role];

	if (candidate->priority == priority)
		return;
	candidate->priority = priority;
	if (!candidate->withdrawn)
		candidate->current = false;
	candidate->retry_at = 0;
	presence_write_next(presence);
}

void
presence_withdraw(struct presence *presence, uint32_t role)
{
	struct candidate *candidate = presence->candidates[role];

	if (!candidate->presented || candidate->withdrawn)
		return;
	candidate->withdrawn = true;
	candidate->current = false;
	candidate->retry_at = 0;
	presence_write_next(presence);
}

static struct candidate *
take_candidate(struct presence *presence, const char *role)
{
	for (size_t i = 0; i < presence->n_candidates; i++) {
		struct candidate *candidate = presence->candidates[i];

		if (candidate == NULL || strcmp(candidate->role, role) != 0)
			continue;
		presence->candidates[i] = NULL;
		return candidate;
	}
	return NULL;
}

/* Those that no role has taken: they wait for their key to go, if they have one. */
static void
leave(struct presence *presence, struct candidate **list, size_t *count)
{
	for (size_t i = 0; i < presence->n_candidates; i++) {
		struct candidate *candidate = presence->candidates[i];

		if (candidate == NULL)
			continue;
		if (!candidate->presented ||
		    (candidate->withdrawn && candidate->current)) {
			candidate_free(candidate);
			continue;
		}
		if (!candidate->withdrawn)
			candidate->current = false;
		candidate->withdrawn = true;
		candidate->duplicate = false;
		candidate->retry_at = 0;
		candidate->index = CONF_NONE;
		list[(*count)++] = candidate;
	}
}

void
presence_reload(struct presence *presence, const struct conf *next)
{
	size_t count = next->n_roles;
	struct candidate **list =
	    xcalloc(count + presence->n_candidates + 1, sizeof(struct candidate *));

	for (size_t i = 0; i < count; i++) {
		const struct conf_role *role = next->roles[i];

		list[i] = take_candidate(presence, role->name);
		if (list[i] == NULL)
			list[i] = candidate_new(role);
		candidate_set(list[i], role);
	}
	leave(presence, list, &count);
	free(presence->candidates);
	presence->candidates = list;
	presence->n_candidates = count;
	if (presence->started_at != 0 && presence->stopped == NULL)
		loop_timer_after(presence->timer, PRESENCE_TICK_MS);
	set_duplicate(presence);
	presence_write_next(presence);
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

static void
on_ended(void *arg, const struct consul_reply *reply)
{
	struct presence *presence = arg;

	presence->session_call = NULL;
	if (reply->result == CONSUL_OK)
		unlink(presence->file);
	presence->stopped(presence->stopped_arg);
}

void
presence_stop(struct presence *presence, void (*done)(void *arg), void *arg)
{
	char path[PRESENCE_PATH_SIZE];

	cancel_calls(presence);
	presence->stopped = done;
	presence->stopped_arg = arg;
	if (presence->session[0] == '\0') {
		loop_timer_after(presence->timer, 0);
		return;
	}
	loop_timer_stop(presence->timer);
	snprintf(path, sizeof(path), "/v1/session/destroy/%s", presence->session);
	presence->session_call =
	    presence_call(presence, "PUT", path, NULL, STOP_MS, on_ended);
}
