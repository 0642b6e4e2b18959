/* SPDX-License-Identifier: ISC */
/*
 * The session of this host's presence: created, renewed each third of its TTL, made again
 * when it is gone, one call out at a time. Its id is kept in a file, so that a restart
 * goes on with it.
 *
 * presence.c owns all and ticks; when the session lives its keys may be written, when it
 * is lost they are to be written again.
 */
#include "agent/failover/presence_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"

#define TTL "10s"

bool
session_id_valid(const char *text)
{
	return strlen(text) == PRESENCE_SESSION_SIZE - 1 &&
	    strspn(text, "0123456789abcdef-") == PRESENCE_SESSION_SIZE - 1;
}

/* The session of an earlier process, if this node and machine made it: a copied state
 * folder must not make two hosts share one. */
void
session_load(struct presence *presence)
{
	AUTO_FCLOSE FILE *file = fopen(presence->file, "re");
	AUTO_FREE char *whose = NULL;
	char line[256];

	if (file == NULL || fgets(line, sizeof(line), file) == NULL)
		return;
	line[strcspn(line, "\n")] = '\0';
	if (strlen(line) < PRESENCE_SESSION_SIZE ||
	    line[PRESENCE_SESSION_SIZE - 1] != ' ')
		return;
	line[PRESENCE_SESSION_SIZE - 1] = '\0';
	whose = xasprintf("%s %s", presence->node, presence->machine);
	if (session_id_valid(line) && strcmp(line + PRESENCE_SESSION_SIZE, whose) == 0)
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
have_session(struct presence *presence)
{
	presence->alive = true;
	presence->renew_at = loop_now(presence->loop) + PRESENCE_RENEW_MS;
	presence_write_next(presence);
}

static void
lose_session(struct presence *presence)
{
	presence->alive = false;
	presence->session[0] = '\0';
	for (size_t i = 0; i < presence->n_candidates; i++)
		presence->candidates[i]->current = false;
}

static void
on_created(void *arg, const struct consul_reply *reply)
{
	struct presence *presence = arg;
	const char *id = reply->json == NULL ? NULL : json_text(reply->json, "ID");

	presence->session_call = NULL;
	presence_judge_session(presence, reply);
	if (reply->result != CONSUL_OK || id == NULL || !session_id_valid(id)) {
		presence->renew_at = loop_now(presence->loop) + PRESENCE_TICK_MS;
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
		.timeout_ms = PRESENCE_CALL_MS,
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
	presence_judge_session(presence, reply);
	if (reply->result == CONSUL_OK) {
		have_session(presence);
		return;
	}
	presence->renew_at = loop_now(presence->loop) + PRESENCE_TICK_MS;
	if (reply->result == CONSUL_NOT_FOUND) {
		lose_session(presence);
		session_renew(presence);
	}
}

void
session_renew(struct presence *presence)
{
	char path[PRESENCE_PATH_SIZE];

	if (presence->session_call != NULL || presence->stopped != NULL)
		return;
	if (presence->session[0] == '\0') {
		create(presence);
		return;
	}
	snprintf(path, sizeof(path), "/v1/session/renew/%s", presence->session);
	presence->session_call =
	    presence_call(presence, "PUT", path, NULL, PRESENCE_CALL_MS, on_renewed);
}

/* If Consul does not hear of it, it ends by its TTL. */
static void
on_ended(void *arg, const struct consul_reply *reply)
{
	struct presence *presence = arg;

	presence->session_call = NULL;
	presence_judge_session(presence, reply);
}

void
session_end(struct presence *presence)
{
	char path[PRESENCE_PATH_SIZE];

	if (presence->session[0] == '\0')
		return;
	snprintf(path, sizeof(path), "/v1/session/destroy/%s", presence->session);
	lose_session(presence);
	unlink(presence->file);
	presence->renew_at = 0;
	presence->session_call =
	    presence_call(presence, "PUT", path, NULL, PRESENCE_CALL_MS, on_ended);
}
