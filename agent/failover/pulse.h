/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_PULSE_H
#define LICTOR_PULSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/mac.h"
#include "agent/failover/role.h"

/*
 * One message between two agents, in one UDP datagram: pure, bytes to struct and back.
 * What all versions have in common: the first four fields and the node's name at their place, the
 * code of the rest at the end, so that another version can be told from noise.
 */

#define PULSE_VERSION 1
#define PULSE_MAX 200	/* bytes */
#define PULSE_KEYS 2

enum pulse_type {
	PULSE_HEARTBEAT,
	PULSE_ACK,
	PULSE_HELLO,	/* proves that its sender lives, and asks for the same: peer.c */
};

struct pulse {
	enum pulse_type type;
	unsigned int version;		/* as read */
	char node[ROLE_NODE_SIZE];	/* the sender's */
	uint64_t from, to;		/* instances: the sender's, and the receiver's as the
					   sender knows it (0: not at all) */
	uint64_t seq;			/* of the sender's instance, over all its messages */
	uint64_t role;			/* pulse_role of its name; a HELLO has 0 */
	uint64_t rev;			/* HEARTBEAT: the sender's my_rev; ACK: what it acks */
	uint64_t known;			/* ACK: the acker's max_rev */
	int64_t ts;			/* of the heartbeat's sender, echoed by the ACK; HELLO:
					   the seq of the message that it answers, 0: none */
	uint32_t lease_ms;		/* HEARTBEAT */
	enum role_phase phase;		/* HEARTBEAT */
	bool ready;			/* ACK */
	bool ask;			/* HELLO: to be answered by one that does not ask */
	size_t key;			/* which signs, or has signed; not there: the first */
};

/* [0] signs what is no answer, all are taken. */
struct pulse_keys {
	size_t count;
	struct {
		uint8_t id[2];		/* of the key, told by it */
		struct mac *mac;
	} list[PULSE_KEYS];
};
void pulse_keys_set(struct pulse_keys *keys, const uint8_t (*bytes)[MAC_KEY_SIZE],
    size_t count);
void pulse_keys_clear(struct pulse_keys *keys);

/* How messages name a role. */
uint64_t pulse_role(const char *name);

/* The number of bytes. There must be a key. */
size_t pulse_print(const struct pulse *pulse, const struct pulse_keys *keys,
    uint8_t out[PULSE_MAX]);

/* 0; -EINVAL: not a message of ours; -ENOKEY: signed with a key that is not among these;
 * -EBADMSG: it has such a key's id, but not its signature; -EPROTO: an agent with the key
 * sent it, in another version: `node` and `version` are set, nothing else. */
int pulse_read(const uint8_t *data, size_t len, const struct pulse_keys *keys,
    struct pulse *pulse);

#endif
