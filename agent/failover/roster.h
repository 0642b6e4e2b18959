/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_ROSTER_H
#define LICTOR_ROSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/json.h"
#include "agent/failover/role.h"

struct conf;

#define ROSTER_PREFIX "lictor/roles/"

#define ROSTER_ADDRESS_SIZE 46		/* of an IPv6 address */

/* What one candidate says of itself. */
struct roster_peer {
	struct role_peer peer;
	char address[ROSTER_ADDRESS_SIZE];	/* for heartbeats; "": it takes none */
	uint16_t port;
	uint64_t inst;				/* of its process; 0: it does not say */
};

/* What one answer of the watch says of one role. */
struct roster_role {
	size_t n_peers;
	struct roster_peer peers[ROLE_PEERS];
	bool crowded;			/* there were more */
	const char *own_session;	/* who holds this node's candidacy; NULL: no key */
	char *own_value;
	const cJSON *reg;		/* entry of register, or NULL; and of ... */
	const cJSON *request, *pause;	/* ... control/switchover and control/pause */
};

/*
 * An answer to `/v1/kv/lictor/roles/?recurse` sorted by the roles of `conf`; borrows from it.
 * Never NULL: an answer that is no list has no entries.
 */
struct roster_role *roster_new(const struct conf *conf, const char *node,
    const cJSON *answer);
void roster_free(struct roster_role *roster, const struct conf *conf);

bool roster_same_peers(const struct roster_role *a, const struct roster_peer *peers,
    size_t count);

#endif
