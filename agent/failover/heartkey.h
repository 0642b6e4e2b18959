/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_HEARTKEY_H
#define LICTOR_HEARTKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/mac.h"

struct conf;
struct consul;
struct heartkey;
struct loop;

#define HEARTKEYS 2

/* [0] signs, all are taken; none: heartbeats are off. */
struct heartkeys {
	size_t count;
	uint8_t keys[HEARTKEYS][MAC_KEY_SIZE];
};

struct heartkey_out {
	/* There are keys, or others, or none any more. Never from within a call. */
	void (*changed)(void *arg, const struct heartkeys *keys);
	void *arg;
};

/*
 * The key that signs heartbeats: from failover's key-file, read again when it changes, or
 * from Consul's lictor/heartbeat-key, which the first agent makes, watched. What Consul said is
 * kept in the state folder, so that an agent that starts without Consul has it.
 */
struct heartkey *heartkey_new(struct loop *loop, struct consul *consul,
    const struct conf *conf, const char *state_dir, const struct heartkey_out *out);
void heartkey_free(struct heartkey *heartkey);
/* With failover's heartbeats off nothing is asked, and no key is there. */
void heartkey_start(struct heartkey *heartkey);
void heartkey_reload(struct heartkey *heartkey, const struct conf *next);

/* Somebody signs with a key that is not known here: it may be new. Returns whether Consul is
 * asked for it, which is less and less often as long as it has no other. */
bool heartkey_look(struct heartkey *heartkey);

/* Begins a new key: both are taken at once, in ten seconds the new one signs. 0: Consul is
 * being asked, the log says how it ends; or -errno with `why`. */
int heartkey_rotate(struct heartkey *heartkey, char *why, size_t why_size);

#endif
