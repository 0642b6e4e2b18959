/* SPDX-License-Identifier: ISC */
/*
 * Presence: the session and the keys by which other hosts see that this one lives and
 * whether it is fit for a role. lease owns it, feeds it what the watch saw and never waits
 * for it; nothing safe rests on it.
 *
 * Two lines of calls, one call out at a time in each: the session (session.c) and the keys
 * (candidate.c). A tick each second drives both, so nothing piles up while Consul is away.
 */
#include "agent/failover/presence_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"
#include "agent/consul/consul.h"

#define STOP_MS 900
#define SETTLE_MS 2000 /* a watch may show what was there before our last write */

static void
read_machine_id(char out[PRESENCE_MACHINE_SIZE])
{
	AUTO_FCLOSE FILE *file = fopen("/etc/machine-id", "re");

	out[0] = '\0';
	if (file == NULL || fgets(out, PRESENCE_MACHINE_SIZE, file) == NULL)
		return;
	out[strspn(out, "0123456789abcdef")] = '\0';
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
	presence_set_duplicate(presence);
	presence_write_next(presence);
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
