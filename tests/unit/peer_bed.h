/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TESTS_PEER_BED_H
#define LICTOR_TESTS_PEER_BED_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/conf/conf.h"
#include "agent/failover/heartkey.h"
#include "agent/failover/peer.h"
#include "agent/failover/pulse.h"
#include "agent/failover/roster.h"

#define LIMIT_MS 5000
#define HOSTS 3
#define ROLES 2

/* One host: its servant and what it told. */
struct host {
	struct peers *peers;
	struct conf conf; /* its port is its own */
	char node[16], address[INET6_ADDRSTRLEN];
	uint64_t inst;
	unsigned int beats, acks, ables, unknown_keys, namesakes;
	bool able, namesake;
	uint32_t role;
	struct pulse beat, ack;
};

struct fixture {
	struct loop *loop;
	struct conf conf;
	struct conf_role *roles[ROLES];
	struct host hosts[HOSTS];
	struct heartkeys keys;
	int fd; /* the stranger's */
	char stranger[INET6_ADDRSTRLEN];
	unsigned int port, ports[HOSTS], count;
	int family;
};

extern const struct heartkeys key_a;	/* that a fixture begins with */

void open_fixture(struct fixture *f, int family);
void close_fixture(struct fixture *f);

/* With IPv4 each has an address of the loopback of its own, with IPv6 there is one: ports
 * differ. */
void start_host(struct fixture *f, size_t i, uint64_t inst);
void stop_host(struct fixture *f, size_t i);
/* db-1 and db-2, who know each other by their presence and have proved that they live. */
void start_two(struct fixture *f);
/* What a servant that is made by hand tells: to `host`. */
struct peers_out told_to(struct host *host);

struct sockaddr_storage sockaddr_of(const struct fixture *f, const char *address,
    unsigned int port);
struct roster_peer place_of(const struct host *host);
/* To `i` the others are present for `role`, and it itself, as a watch shows. */
void show_all(struct fixture *f, size_t i, uint32_t role);
/* What `i` knows of a node; NULL: nothing. Good until the next call. */
const struct peer_view *view_of(struct fixture *f, size_t i, const char *node);

void beat(struct fixture *f, size_t i, uint64_t rev);
/* db-1 sends until db-2 hears it: after a restart the first ones are not. */
bool beats_until_heard(struct fixture *f);
/* Conditions, of a fixture: db-2 has heard `count`, db-1 so many acks. */
bool heard_beats(void *arg);
bool heard_acks(void *arg);

#endif
