/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_REGISTERS_H
#define LICTOR_REGISTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/json.h"
#include "agent/failover/role.h"

struct conf;
struct conf_changes;
struct conf_consul;
struct consul;
struct consul_reply;
struct loop;
struct registers;

struct registers_out {
	/* As in lease_out. */
	void (*reg)(void *arg, uint32_t role, int64_t sent_at, bool consistent,
	    const struct role_register *content /* NULL: missing */);
	void (*wrote)(void *arg, uint32_t role, const char *wid, bool ok, uint64_t index);
	void (*unreadable)(void *arg, uint32_t role);
	bool (*may_init)(void *arg, uint32_t role, uint64_t *rev);
	void *arg;
};

/*
 * The registers of the roles in Consul: consistent reads (one transaction for all that are
 * due), writes by compare-and-set, and the first register where nobody ever made one.
 * `params` is for that first one: node, inst, lease and margin, `bpf` says what the lease is
 * with another configuration. In `state_dir` a file for
 * each role remembers that its register was seen.
 */
struct registers *registers_new(struct loop *loop, struct consul *consul,
    const struct conf *conf, const struct role_params *params, bool bpf,
    const char *state_dir, const struct registers_out *out);
void registers_free(struct registers *registers);	/* forgets what is under way */

/* The configuration is `next` from now on. What is under way for a role that is there no more
 * is forgotten. */
void registers_reload(struct registers *registers, const struct conf *next,
    const struct conf_changes *changes);

void registers_read(struct registers *registers, uint32_t role);
void registers_write(struct registers *registers, uint32_t role, uint64_t base,
    const struct role_register *content, int64_t timeout_ms);
/* Writes the first register, of a revision of at least `rev`, over what the newest
 * consistent read showed. */
void registers_init(struct registers *registers, uint32_t role, uint64_t rev);
/* The watch has seen a register: Consul's `entry` of its key. */
void registers_seen(struct registers *registers, uint32_t role, const cJSON *entry,
    int64_t sent_at);
/* What Consul said to a write of another key of the role: the permission is the same, and
 * said once. */
void registers_wrote_beside(struct registers *registers, uint32_t role,
    const struct consul_reply *reply);

/* The transaction that writes a register over exactly `base`; the caller's to free. */
cJSON *registers_cas(const struct conf_consul *consul, const char *key, uint64_t base,
    const struct role_register *content);

#endif
