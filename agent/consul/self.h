/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SELF_H
#define LICTOR_SELF_H

struct consul;
struct loop;
struct self;

struct self_out {
	/* Once: what the local Consul agent calls this host. */
	void (*known)(void *arg, const char *node);
	void *arg;
};

/* Asks the local Consul agent for its node's name until it says it. Where `node` is set in
 * lictor.conf nobody needs this; it takes agent:read. */
struct self *self_new(struct loop *loop, struct consul *consul, const char *datacenter,
    const struct self_out *out);
void self_free(struct self *self);

#endif
