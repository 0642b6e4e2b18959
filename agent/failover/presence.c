/* SPDX-License-Identifier: ISC */
/*
 * Presence: the session and the keys by which other hosts see that this one lives and
 * whether it is fit for a role. lease owns it, feeds it what the watch saw and never waits
 * for it; nothing safe rests on it.
 *
 * Two lines of calls, one call out at a time in each: the session (created, renewed each
 * third of its TTL, made again when it is gone) and the keys (acquired by the session when
 * they change or vanish). A tick each second drives both, so nothing piles up while Consul
 * is away.
 *
 * A key that another session holds is either our own from before (same machine: that
 * session is destroyed, only soon after a start) or another host's with our name.
 */
#include "agent/failover/presence.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/failover/kv.h"

#define TTL "10s"
#define RENEW_MS 3300
#define TICK_MS 1000
#define CALL_MS 3000
#define STOP_MS 900
#define SETTLE_MS 2000 /* a watch may show what was there before our last write */
#define TAKEOVER_MS 30000 /* an old session of ours lives no longer than this */
#define SESSION_SIZE 37 /* a UUID */
#define MACHINE_SIZE 33
#define PATH_SIZE 512

struct candidate {
	bool presented, ready;
	bool withdrawn; /* the key shall not be there */
	bool current; /* the key says what it should */
	bool mismatch; /* the watch saw something else */
	bool duplicate; /* another host holds it */
	bool denied; /* said in the log */
	int64_t wrote_at, retry_at;
};

struct presence {
	struct loop *loop;
	struct consul *consul;
	const struct conf *conf;
	struct presence_out out;
	char *node, *inst, *file;
	char machine[MACHINE_SIZE];
	char session[SESSION_SIZE]; /* "": none */
	char rival[SESSION_SIZE]; /* the session that is to be destroyed */
	bool alive; /* Consul said so of `session` */
	bool session_denied, duplicate; /* said in the log */
	struct loop_timer *timer;
	int64_t started_at, renew_at;
	struct consul_call *session_call, *key_call;
	uint32_t busy; /* the role of key_call */
	char *busy_value; /* what it writes */
	struct candidate *candidates;
	void (*stopped)(void *arg); /* stopping once set */
	void *stopped_arg;
};

static void renew(struct presence *presence);
static void write_next(struct presence *presence);

/* What its key should say; "": it should not be there. */
static char *
candidate_print(const struct presence *presence, uint32_t role)
{
	if (presence->candidates[role].withdrawn)
		return xstrdup("");
	AUTO_JSON cJSON *json = cJSON_CreateObject();

	cJSON_AddBoolToObject(json, "ready", presence->candidates[role].ready);
	json_add_uint(json, "prio", presence->conf->roles[role]->priority);
	cJSON_AddStringToObject(json, "addr", "");
	json_add_uint(json, "port", 0);
	cJSON_AddBoolToObject(json, "hb", false);
	cJSON_AddStringToObject(json, "machine_id", presence->machine);
	cJSON_AddStringToObject(json, "inst", presence->inst);
	return json_print(json);
}

static void
read_machine_id(char out[MACHINE_SIZE])
{
	AUTO_FCLOSE FILE *file = fopen("/etc/machine-id", "re");

	out[0] = '\0';
	if (file == NULL || fgets(out, MACHINE_SIZE, file) == NULL)
		return;
	out[strspn(out, "0123456789abcdef")] = '\0';
}

static bool
is_session(const char *text)
{
	return strlen(text) == SESSION_SIZE - 1 &&
	    strspn(text, "0123456789abcdef-") == SESSION_SIZE - 1;
}

/* The session of an earlier process, if this node and machine made it: a copied state
 * folder must not make two hosts share one. */
static void
load_session(struct presence *presence)
{
	AUTO_FCLOSE FILE *file = fopen(presence->file, "re");
	AUTO_FREE char *whose = NULL;
	char line[256];

	if (file == NULL || fgets(line, sizeof(line), file) == NULL)
		return;
	line[strcspn(line, "\n")] = '\0';
	if (strlen(line) < SESSION_SIZE || line[SESSION_SIZE - 1] != ' ')
		return;
	line[SESSION_SIZE - 1] = '\0';
	whose = xasprintf("%s %s", presence->node, presence->machine);
	if (is_session(line) && strcmp(line + SESSION_SIZE, whose) == 0)
		str_copy(presence->session, sizeof(presence->session), line);
}

static int
write_file(const char *path, const char *text)
{
	size_t len = strlen(text);
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	return write(fd, text, len) == (ssize_t)len ? 0 : -EIO;
}

/* Without the file a restart only leaves a session to its TTL. */
static void
save_session(const struct presence *presence)
{
	AUTO_FREE char *fresh = xasprintf("%s.new", presence->file);
	AUTO_FREE char *text = xasprintf(
	    "%s %s %s\n", presence->session, presence->node, presence->machine);
	int err = write_file(fresh, text);

	if (err == 0 && rename(fresh, presence->file) != 0)
		err = -errno;
	if (err != 0)
		log_warning(
		    "role", "%s cannot be written: %s", presence->file, strerror(-err));
}

static void
key_path(const struct presence *presence, uint32_t role, const char *query,
    char out[PATH_SIZE])
{
	char name[3 * CONF_NAME_MAX + 1], node[3 * CONF_NAME_MAX + 1];

	consul_escape(name, sizeof(name), presence->conf->roles[role]->name);
	consul_escape(node, sizeof(node), presence->node);
	snprintf(out, PATH_SIZE, "/v1/kv/lictor/roles/%s/candidates/%s%s", name, node,
	    query);
}

static struct consul_call *
call(struct presence *presence, const char *method, const char *path, const char *text,
    int64_t timeout_ms, consul_done_fn *done)
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

static void
set_denied(
    const struct presence *presence, bool *said, const struct consul_reply *reply)
{
	bool denied = reply->result == CONSUL_DENIED;

	if (denied && !*said)
		log_error("role",
		    "Consul refuses to let this host stand as a candidate, because %s: "
		    "the token needs session \"%s\" write and key_prefix "
		    "\"lictor/roles/\" write",
		    reply->why, presence->node);
	if (denied || reply->result == CONSUL_OK)
		*said = denied;
}

static void
set_duplicate(struct presence *presence)
{
	bool duplicate = false;

	for (size_t i = 0; i < presence->conf->n_roles; i++)
		duplicate = duplicate || presence->candidates[i].duplicate;
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

/* The session line. */

static void
have_session(struct presence *presence)
{
	presence->alive = true;
	presence->renew_at = loop_now(presence->loop) + RENEW_MS;
	write_next(presence);
}

static void
lose_session(struct presence *presence)
{
	presence->alive = false;
	presence->session[0] = '\0';
	for (size_t i = 0; i < presence->conf->n_roles; i++)
		presence->candidates[i].current = false;
}

static void
on_created(void *arg, const struct consul_reply *reply)
{
	struct presence *presence = arg;
	const char *id = reply->json == NULL ? NULL : json_text(reply->json, "ID");

	presence->session_call = NULL;
	set_denied(presence, &presence->session_denied, reply);
	if (reply->result != CONSUL_OK || id == NULL || !is_session(id)) {
		presence->renew_at = loop_now(presence->loop) + TICK_MS;
		return;
	}
	str_copy(presence->session, sizeof(presence->session), id);
	save_session(presence);
	have_session(presence);
}

/* No checks: the session ends by its TTL or by us, not when gossip doubts the node. */
static void
create(struct presence *presence)
{
	AUTO_JSON cJSON *body = cJSON_CreateObject();
	AUTO_FREE char *name = xasprintf("lictor presence of %s", presence->node);
	struct consul_request request = {
		.channel = CONSUL_LEASE,
		.method = "PUT",
		.path = "/v1/session/create",
		.body = body,
		.timeout_ms = CALL_MS,
	};

	cJSON_AddStringToObject(body, "Name", name);
	cJSON_AddStringToObject(body, "TTL", TTL);
	cJSON_AddStringToObject(body, "Behavior", "delete");
	cJSON_AddStringToObject(body, "LockDelay", "0s");
	cJSON_AddArrayToObject(body, "NodeChecks");
	presence->session_call =
	    consul_send(presence->consul, &request, on_created, presence);
}

static void
on_renewed(void *arg, const struct consul_reply *reply)
{
	struct presence *presence = arg;

	presence->session_call = NULL;
	set_denied(presence, &presence->session_denied, reply);
	if (reply->result == CONSUL_OK) {
		have_session(presence);
		return;
	}
	presence->renew_at = loop_now(presence->loop) + TICK_MS;
	if (reply->result == CONSUL_NOT_FOUND) {
		lose_session(presence);
		renew(presence);
	}
}

static void
renew(struct presence *presence)
{
	char path[PATH_SIZE];

	if (presence->session_call != NULL || presence->stopped != NULL)
		return;
	if (presence->session[0] == '\0') {
		create(presence);
		return;
	}
	snprintf(path, sizeof(path), "/v1/session/renew/%s", presence->session);
	presence->session_call = call(presence, "PUT", path, NULL, CALL_MS, on_renewed);
}

/* The line of keys. */

/* The key of `busy` is done with, to be looked at again after `delay_ms`. */
static void
end_key(struct presence *presence, int64_t delay_ms)
{
	struct candidate *candidate = &presence->candidates[presence->busy];

	candidate->retry_at = loop_now(presence->loop) + delay_ms;
	write_next(presence);
}

static void
on_destroyed(void *arg, const struct consul_reply *reply)
{
	struct presence *presence = arg;

	presence->key_call = NULL;
	set_denied(presence, &presence->candidates[presence->busy].denied, reply);
	end_key(presence, reply->result == CONSUL_OK ? 0 : TICK_MS);
}

static void
destroy_rival(struct presence *presence)
{
	char path[PATH_SIZE];

	log_info("role", "an old session of this host is ended to take its place");
	snprintf(path, sizeof(path), "/v1/session/destroy/%s", presence->rival);
	presence->key_call = call(presence, "PUT", path, NULL, CALL_MS, on_destroyed);
}

/* Who holds our key? Own: an earlier process on this machine made it. */
static bool
is_own(const struct presence *presence, const cJSON *entry)
{
	AUTO_JSON cJSON *json = kv_json(entry);
	char machine[MACHINE_SIZE] = "";

	if (loop_now(presence->loop) - presence->started_at > TAKEOVER_MS)
		return false;
	json_get_text(json, "machine_id", machine, sizeof(machine));
	return machine[0] == '\0' || strcmp(machine, presence->machine) == 0;
}

static void
on_looked(void *arg, const struct consul_reply *reply)
{
	struct presence *presence = arg;
	struct candidate *candidate = &presence->candidates[presence->busy];
	const cJSON *entry = cJSON_GetArrayItem(reply->json, 0);
	const char *session = json_text(entry, "Session");

	presence->key_call = NULL;
	if (reply->result == CONSUL_NOT_FOUND) {
		end_key(presence, 0);
	} else if (reply->result != CONSUL_OK || session == NULL ||
	    !is_session(session) || strcmp(session, presence->session) == 0) {
		end_key(presence, TICK_MS);
	} else if (is_own(presence, entry)) {
		str_copy(presence->rival, sizeof(presence->rival), session);
		destroy_rival(presence);
	} else {
		candidate->duplicate = true;
		set_duplicate(presence);
		end_key(presence, RENEW_MS);
	}
}

static void
look_at_key(struct presence *presence)
{
	char path[PATH_SIZE];

	key_path(presence, presence->busy, "?consistent", path);
	presence->key_call = call(presence, NULL, path, NULL, CALL_MS, on_looked);
}

static void
key_acquired(struct presence *presence)
{
	struct candidate *candidate = &presence->candidates[presence->busy];
	AUTO_FREE char *wanted = candidate_print(presence, presence->busy);

	candidate->current = strcmp(presence->busy_value, wanted) == 0;
	candidate->mismatch = candidate->duplicate = false;
	candidate->wrote_at = loop_now(presence->loop);
	set_duplicate(presence);
	end_key(presence, 0);
}

static void
on_written(void *arg, const struct consul_reply *reply)
{
	struct presence *presence = arg;

	presence->key_call = NULL;
	set_denied(presence, &presence->candidates[presence->busy].denied, reply);
	if (reply->result == CONSUL_OK && cJSON_IsTrue(reply->json)) {
		key_acquired(presence);
	} else if (reply->result == CONSUL_OK) {
		look_at_key(presence);
	} else {
		/* Consul says 500 to a session that is gone; a renewal tells. */
		presence->renew_at = loop_now(presence->loop);
		end_key(presence, TICK_MS);
	}
}

static void
write_key(struct presence *presence, uint32_t role)
{
	char path[PATH_SIZE], query[64];

	free(presence->busy_value);
	presence->busy = role;
	presence->busy_value = candidate_print(presence, role);
	snprintf(query, sizeof(query), "?acquire=%s", presence->session);
	key_path(presence, role, presence->busy_value[0] != '\0' ? query : "", path);
	if (presence->busy_value[0] == '\0')
		presence->key_call =
		    call(presence, "DELETE", path, NULL, CALL_MS, on_written);
	else
		presence->key_call = call(
		    presence, "PUT", path, presence->busy_value, CALL_MS, on_written);
}

static void
write_next(struct presence *presence)
{
	int64_t now = loop_now(presence->loop);

	if (!presence->alive || presence->key_call != NULL || presence->stopped != NULL)
		return;
	for (uint32_t i = 0; i < presence->conf->n_roles; i++) {
		const struct candidate *candidate = &presence->candidates[i];

		if (candidate->presented && !candidate->current &&
		    now >= candidate->retry_at) {
			write_key(presence, i);
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
	if (now >= presence->renew_at)
		renew(presence);
	for (size_t i = 0; i < presence->conf->n_roles; i++) {
		struct candidate *candidate = &presence->candidates[i];

		if (candidate->mismatch && now >= candidate->wrote_at + SETTLE_MS)
			candidate->current = false;
	}
	write_next(presence);
	loop_timer_after(presence->timer, TICK_MS);
}

struct presence *
presence_new(struct loop *loop, struct consul *consul, const struct conf *conf,
    const char *node, const char *inst, const char *state_dir,
    const struct presence_out *out)
{
	struct presence *presence = xcalloc(1, sizeof(*presence));

	presence->loop = loop;
	presence->consul = consul;
	presence->conf = conf;
	presence->out = *out;
	presence->node = xstrdup(node);
	presence->inst = xstrdup(inst);
	presence->file = xasprintf("%s/session", state_dir);
	presence->candidates =
	    xcalloc(conf->n_roles + 1, sizeof(*presence->candidates));
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
	free(presence->file);
	free(presence->busy_value);
	free(presence->candidates);
	free(presence);
}

void
presence_start(struct presence *presence)
{
	presence->started_at = presence->renew_at = loop_now(presence->loop);
	load_session(presence);
	on_tick(presence);
}

void
presence_set(struct presence *presence, uint32_t role, bool ready)
{
	struct candidate *candidate = &presence->candidates[role];

	if (candidate->presented && !candidate->withdrawn && candidate->ready == ready)
		return;
	candidate->withdrawn = false;
	candidate->presented = true;
	candidate->ready = ready;
	candidate->current = false;
	candidate->retry_at = 0;
	write_next(presence);
}

void
presence_withdraw(struct presence *presence, uint32_t role)
{
	struct candidate *candidate = &presence->candidates[role];

	if (!candidate->presented || candidate->withdrawn)
		return;
	candidate->withdrawn = true;
	candidate->current = false;
	candidate->retry_at = 0;
	write_next(presence);
}

void
presence_seen(
    struct presence *presence, uint32_t role, const char *session, const char *value)
{
	struct candidate *candidate = &presence->candidates[role];
	AUTO_FREE char *wanted = NULL;

	if (!presence->alive || !candidate->current || candidate->withdrawn)
		return;
	wanted = candidate_print(presence, role);
	candidate->mismatch = session == NULL || value == NULL ||
	    strcmp(session, presence->session) != 0 || strcmp(value, wanted) != 0;
	if (candidate->mismatch && session == NULL)
		renew(presence);
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
	char path[PATH_SIZE];

	cancel_calls(presence);
	presence->stopped = done;
	presence->stopped_arg = arg;
	if (presence->session[0] == '\0') {
		loop_timer_after(presence->timer, 0);
		return;
	}
	loop_timer_stop(presence->timer);
	snprintf(path, sizeof(path), "/v1/session/destroy/%s", presence->session);
	presence->session_call = call(presence, "PUT", path, NULL, STOP_MS, on_ended);
}
