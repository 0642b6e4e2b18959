/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_PRESENCE_STATE_H
#define LICTOR_PRESENCE_STATE_H

#include <stddef.h>

#include "agent/consul/consul.h"
#include "agent/failover/presence.h"

struct conf_role;

/*
 * What presence.c (roles come and go, life), candidate.c (the keys) and session.c (the session
 * that holds them) share, and nobody else may see.
 */

#define PRESENCE_RENEW_MS 3300
#define PRESENCE_TICK_MS 1000
#define PRESENCE_CALL_MS 3000
#define PRESENCE_SESSION_SIZE 37		/* a UUID */
#define PRESENCE_MACHINE_SIZE 33
#define PRESENCE_PATH_SIZE 512

struct candidate {
	char *role;				/* its name */
	uint32_t index;				/* CONF_NONE: the role is here no more, and
						   this goes when its key has gone */
	unsigned int configured, priority;	/* priority: the one that counts */
	bool presented, ready;
	bool withdrawn;				/* the key shall not be there */
	bool current;				/* the key says what it should */
	bool mismatch;				/* the watch saw something else */
	bool duplicate;				/* another host holds it */
	int64_t wrote_at, retry_at;
};

struct presence {
	struct loop *loop;
	struct consul *consul;
	struct presence_out out;
	char *node, *inst, *file;
	char machine[PRESENCE_MACHINE_SIZE];
	char *address;				/* "": no heartbeats */
	uint16_t port;
	char session[PRESENCE_SESSION_SIZE];	/* "": none */
	char rival[PRESENCE_SESSION_SIZE];	/* the session that is to be destroyed */
	bool alive;				/* Consul said so of `session` */
	bool session_denied, duplicate;		/* said in the log */
	struct loop_timer *timer;
	int64_t started_at, renew_at;
	struct consul_call *session_call, *key_call;
	struct candidate *busy;			/* whose key_call is */
	char *busy_value;			/* what it writes */
	struct candidate **candidates;		/* by the role's index; then those that go */
	size_t n_candidates;
	void (*stopped)(void *arg);		/* stopping once set */
	void *stopped_arg;
};

/* session.c: the session of an earlier process on this machine, if it left one. */
void session_load(struct presence *presence);
/* Renews the session or makes a new one, unless that is under way. */
void session_renew(struct presence *presence);
/* Destroys it, for there is no role that it stands for; the next renewal makes another. */
void session_end(struct presence *presence);
/* Whether the text looks like the id of a session. */
bool session_id_valid(const char *text);

/* presence.c: a call on the channel of the roles; body `text` (NULL: none). */
struct consul_call *presence_call(struct presence *presence, const char *method,
    const char *path, const char *text, int64_t timeout_ms, consul_done_fn *done);
/* The answer to a call for a session: a refusal is logged once, and its end. */
void presence_judge_session(struct presence *presence, const struct consul_reply *reply);

/* candidate.c: of a role, which says nothing yet; what its configuration says of it. */
struct candidate *candidate_new(const struct conf_role *role);
void candidate_set(struct candidate *candidate, const struct conf_role *role);
void candidate_free(struct candidate *candidate);
/* Writes the next key that is due, if the session lives and no call for a key is out. */
void presence_write_next(struct presence *presence);
/* Gathers from the candidates whether another host has this one's name; says a change. */
void presence_set_duplicate(struct presence *presence);

#endif
