/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SIGHT_H
#define LICTOR_SIGHT_H

struct consul_reply;
struct loop;
struct sight;

/*
 * Whether the token lets us see our own node. Consul leaves out what it may not show and
 * says 200: an answer of /v1/health/node/<node> without a single check, since each node has
 * one of Consul's own. Said once when it has lasted, and once when it is over.
 */
struct sight *sight_new(struct loop *loop, const char *node);
void sight_free(struct sight *sight);

/* An answer of /v1/health/node/<node>; one that is no success tells nothing. */
void sight_look(struct sight *sight, const struct consul_reply *reply);

#endif
