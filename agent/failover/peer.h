/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_PEER_H
#define LICTOR_PEER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/failover/role.h"

struct conf;
struct conf_changes;
struct heartkeys;
struct loop;
struct peers;
struct pulse;
struct roster_peer;

struct peers_out {
	/* Fresh messages of another agent: signed, not heard before, meant for this process
	 * and sent by the newest one of its node. Of HEARTBEATs and ACKs alone; `role` is the
	 * index. */
	void (*heartbeat)(void *arg, uint32_t role, const struct pulse *pulse);
	void (*ack)(void *arg, uint32_t role, const struct pulse *pulse);
	/* peers_able has changed. */
	void (*able)(void *arg, bool able);
	/* A living agent has this node's name (10.10), or has been silent for a while. */
	void (*namesake)(void *arg, bool on);
	/* A message is signed with a key that is not known: heartkey_look. */
	void (*unknown_key)(void *arg);
	void *arg;
};

/*
 * The heartbeat servant: one UDP socket for all roles, and the other agents: where they
 * are, which instance of them lives. Heartbeats of a role go to who is present, to the
 * members of its register and to who was heard of it in the last 24 hours. Nothing is told
 * from within a call.
 */
struct peers *peers_new(struct loop *loop, const struct conf *conf, const char *node,
    uint64_t inst, const struct peers_out *out);
void peers_free(struct peers *peers);
void peers_reload(struct peers *peers, const struct conf *next,
    const struct conf_changes *changes);

/* What the Consul agent advertises, where failover's `address` is not set: the socket is
 * opened once this is known (and opened again when it changes). "": not known. */
void peers_bind(struct peers *peers, const char *advertised);
void peers_keys(struct peers *peers, const struct heartkeys *keys);

/* Complete lists, others of that role are forgotten unless they were heard. This node's own
 * name is in `list` only if another instance holds it. */
void peers_present(struct peers *peers, uint32_t role, const struct roster_peer *list,
    size_t count);
void peers_members(struct peers *peers, uint32_t role, const char (*nodes)[ROLE_NODE_SIZE],
    size_t count);

/* To all of that role; `ts` was read before this call. */
void peers_heartbeat(struct peers *peers, uint32_t role, enum role_phase phase,
    uint64_t rev, int64_t ts, int64_t lease_ms);
/* To one: the echo of a heartbeat of `node`'s instance `inst`. */
void peers_ack(struct peers *peers, uint32_t role, const char *node, uint64_t inst,
    uint64_t rev, int64_t ts, bool ready, uint64_t known);

/* Socket and key are there: else this host publishes hb false, sends and acks nothing. */
bool peers_able(const struct peers *peers);
/* Takes in what has come, before the loop's turn for it. */
void peers_listen(struct peers *peers);
/* What presence shall say (lease_reach): "" and 0 while this host is not able. */
void peers_reach(const struct peers *peers, char address[INET6_ADDRSTRLEN],
    uint16_t *port);

/* What people want to see of another agent. Times are clock_boot_ms, 0: never. */
struct peer_view {
	char node[ROLE_NODE_SIZE];
	char address[INET6_ADDRSTRLEN];	/* "": not known */
	unsigned int port;
	bool present, member;
	bool hb;			/* as its presence says */
	int64_t heard_at;		/* anything from it */
	int64_t acked_at;		/* an answer: it hears us */
	int64_t rtt_us;			/* of the last answer; -1: none yet */
	unsigned int version;		/* of its messages; 0: none yet */
	uint64_t inst;
	uint64_t sent, heard, refused, errors;
	char fact[160];			/* "": nothing is wrong */
};
size_t peers_view(const struct peers *peers, uint32_t role, struct peer_view *list,
    size_t size);
/* What keeps this host from heartbeats, "": nothing. */
void peers_why_not(const struct peers *peers, char *why, size_t why_size);

#endif
