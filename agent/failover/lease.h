/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_LEASE_H
#define LICTOR_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/failover/role.h"

struct conf;
struct conf_changes;
struct consul;
struct lease;
struct loop;
struct roster_peer;

/* control/pause: nobody moves the role by itself. */
struct lease_pause {
	bool on;
	int64_t at;			/* unix time, s */
	char who[64], reason[160];	/* as they were written: for people, escape them */
};

struct lease_out {
	/* A read or the watch: content, or missing (only from a consistent read). */
	void (*reg)(void *arg, uint32_t role, int64_t sent_at, bool consistent,
	    const struct role_register *content /* NULL: missing */);
	/* Not ok: it may have been applied all the same, or be yet. One that the token may not
	 * do is told a second late, since the next one would be refused as well. */
	void (*wrote)(void *arg, uint32_t role, const char *wid, bool ok, uint64_t index);
	void (*peers)(
	    void *arg, uint32_t role, const struct roster_peer *list, size_t count);
	/* A register was seen that this host does not understand: nothing is to be made of
	 * the role. */
	void (*unreadable)(void *arg, uint32_t role);
	/* Consul has no register and this host has never seen one (10.1): may it be made now,
	 * and of which revision at least? Asked again and again as long as it is missing. */
	bool (*may_init)(void *arg, uint32_t role, uint64_t *rev);
	/* An operator's request was found (control/switchover), once per id; those that
	 * were there at the start are old. */
	void (*switchover)(void *arg, uint32_t role, const char *to);
	void (*pause)(void *arg, uint32_t role, const struct lease_pause *pause);
	/* Another living host uses this node's name, or does so no more. */
	void (*duplicate)(void *arg, bool duplicate);
	void *arg;
};

/*
 * Consul's side of the roles of this host: consistent reads of the registers (one
 * transaction for all that are due), writes by compare-and-set, one watch on
 * lictor/roles/, one presence session with a candidates/<node> key per role, and the
 * first register where nobody ever made one. Never uses an agent endpoint. `bpf`: the kind of
 * fence, which says how long leases are.
 */
struct lease *lease_new(struct loop *loop, struct consul *consul,
    const struct conf *conf, const char *node, const char *inst, const char *state_dir,
    bool bpf, const struct lease_out *out);
void lease_free(struct lease *lease);	/* forgets; destroys nothing in Consul */
void lease_start(struct lease *lease);

/* The configuration is `next` from now on. A role that is there no more has no place among the
 * candidates; its register stays as it is. */
void lease_reload(struct lease *lease, const struct conf *next,
    const struct conf_changes *changes);

void lease_read(struct lease *lease, uint32_t role);
void lease_write(struct lease *lease, uint32_t role, uint64_t base,
    const struct role_register *content, int64_t timeout_ms);
/* What candidates/<node> says of this host. */
void lease_present(struct lease *lease, uint32_t role, bool ready);
/* As presence_reach and presence_priority. */
void lease_reach(struct lease *lease, const char *address, uint16_t port);
void lease_priority(struct lease *lease, uint32_t role, unsigned int priority);
void lease_withdraw(struct lease *lease, uint32_t role);	/* it is not there, until then */
/* The operator's request, for the master to find; and its end, when the master acted. */
void lease_switchover(struct lease *lease, uint32_t role, const char *to);
void lease_switchover_done(struct lease *lease, uint32_t role);
/* The operator's word that nobody moves the role, for all hosts to find, or its end. */
void lease_pause(
    struct lease *lease, uint32_t role, bool on, const char *who, const char *reason);
/* The operator's word that nobody holds the role: writes the first register (rev at least
 * `rev`) over what the newest consistent read showed. */
void lease_init(struct lease *lease, uint32_t role, uint64_t rev);
/* Clean stop: the session is destroyed, presence ends at once. `done` within 1 s. */
void lease_stop(struct lease *lease, void (*done)(void *arg), void *arg);

#endif
