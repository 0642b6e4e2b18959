/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TESTS_LEASE_BED_H
#define LICTOR_TESTS_LEASE_BED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/json.h"
#include "agent/conf/conf.h"
#include "agent/failover/lease.h"
#include "agent/failover/roster.h"
#include "tests/unit/consul_server.h"

#define LIMIT_MS 20000
#define ROLES 130
#define INIT_MS 300 /* until a first register may be made */

extern struct consul_server *server;	/* of this program's cases */

struct told {
	unsigned int regs, missing, /* of consistent reads */
	    peers_told, wrote;
	int64_t sent_at;
	struct role_register reg;
	bool wrote_ok;
	uint64_t wrote_index;
	char wid[ROLE_WID_SIZE];
	size_t n_peers;
	struct roster_peer peers[ROLE_PEERS];
	unsigned int pauses, unreadable;
	struct lease_pause pause;
	unsigned int switchovers;
	char to[ROLE_NODE_SIZE];
};

struct fixture {
	struct loop *loop;
	struct conf conf;
	struct conf_role *roles[ROLES];
	struct consul *consul;
	struct lease *lease;
	char node[32], prefix[32], state_dir[64];
	struct told told[ROLES];
	int64_t began;
	uint64_t heard_rev;
	unsigned int duplicates, stopped;
	unsigned int asked; /* whether a first register may be made */
	bool duplicate;
	const char *text; /* what a condition waits for */
	unsigned int count;
	const unsigned int *counter;
};

/* web-1 with roles PREFIX0, PREFIX1, ... and a state folder of its own; not started yet. */
void set_up(struct fixture *f, const char *prefix, size_t n_roles);
void tear_down(struct fixture *f);
/* An agent starts, or starts again, with what its state folder holds. */
void start(struct fixture *f, const char *inst);

/* Of Consul itself: the status, and what the body begins with. */
int ask(const char *method, const char *body, char *out, size_t size, const char *fmt,
    ...);
/* This node's candidacy as Consul has it; NULL: no key. The caller frees it. */
cJSON *candidate(const struct fixture *f);
/* Until one of the fixture's counters is at least so much. */
bool wait_count(struct fixture *f, const unsigned int *counter, unsigned int least,
    int64_t limit_ms);
/* Until it says so. */
bool wait_candidate(struct fixture *f, const char *text);
#endif
