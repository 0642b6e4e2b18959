/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SELF_H
#define LICTOR_SELF_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

struct conf;
struct consul;
struct loop;
struct self;

/* What the local Consul agent says of itself. */
struct self_facts {
	char node[64];			/* its name of this host */
	char address[INET6_ADDRSTRLEN];	/* that it advertises */
	bool kept;			/* not said now: what it said before the last start;
					   what follows is not known then */
	bool debug;			/* it says the rest, too */
	bool server;
	bool leave_on_terminate;
	bool node_id_pinned;		/* by its configuration */
	int64_t election_timeout_ms;	/* of raft, as a server has it; 0: not said */
};

struct self_out {
	/* Once; but where Consul did not answer at once and `facts` were kept ones, once more
	 * when it has. Never from within self_new. */
	void (*known)(void *arg, const struct self_facts *facts);
	void *arg;
};

/* Asks the local Consul agent what it calls this host until it says it. It takes agent:read.
 * `state_dir` keeps the answer for a start without Consul, on this machine alone; NULL:
 * nothing is kept. */
struct self *self_new(struct loop *loop, struct consul *consul, const char *datacenter,
    const char *state_dir, const struct self_out *out);
void self_free(struct self *self);

#endif
