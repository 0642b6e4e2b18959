/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_PRESENCE_H
#define LICTOR_PRESENCE_H

#include <stdbool.h>
#include <stdint.h>

struct conf;
struct consul;
struct consul_reply;
struct loop;
struct presence;

struct presence_out {
	/* Another living host uses this node's name, or does so no more. */
	void (*duplicate)(void *arg, bool duplicate);
	/* Consul's answer to a write of this host's key. */
	void (*wrote)(void *arg, uint32_t role, const struct consul_reply *reply);
	void *arg;
};

/*
 * This host's place among the candidates: one session in Consul and, held by it, the key
 * lictor/roles/<role>/candidates/<node> of each role that presence_set was called for.
 * The session outlives this process; its id is in `state_dir`, so that a restart goes on
 * with it. A hint to others, never more.
 */
struct presence *presence_new(struct loop *loop, struct consul *consul,
    const struct conf *conf, const char *node, const char *inst, const char *state_dir,
    const struct presence_out *out);
void presence_free(struct presence *presence);	/* leaves the session alive */
void presence_start(struct presence *presence);

void presence_set(struct presence *presence, uint32_t role, bool ready);
/* Where this host's heartbeats come from and go to, for all its roles; address "": it has
 * none. */
void presence_reach(struct presence *presence, const char *address, uint16_t port);
/* The priority that counts, until the role's configuration changes. */
void presence_priority(struct presence *presence, uint32_t role, unsigned int priority);
/* This host's key goes until it is set again: others shall not wait for this host. */
void presence_withdraw(struct presence *presence, uint32_t role);
/* The configuration is `next` from now on. A role that is there no more has no key. */
void presence_reload(struct presence *presence, const struct conf *next);
/* What a watch saw at this node's key: the session that holds it and its value (NULL, NULL:
 * no key). May be older than what was written last. */
void presence_seen(struct presence *presence, uint32_t role, const char *session,
    const char *value);
/* Destroys the session; `done` within a second, never from within. */
void presence_stop(struct presence *presence, void (*done)(void *arg), void *arg);

#endif
