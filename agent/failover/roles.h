/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_ROLES_H
#define LICTOR_ROLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/failover/role.h"

struct conf;
struct conf_changes;
struct conf_service;
struct consul;
struct loop;
struct peer_view;
struct roles;
struct vips;
struct hooks;
struct lease_pause;
struct service_verdict;
struct services;

struct roles_out {
	/* The role is master here (with its term) or not: for tags and meta. */
	void (*changed)(void *arg, uint32_t role, bool master, uint64_t term);
	void (*stopped)(void *arg);	/* after roles_stop: all is given away */
	void *arg;
};

/*
 * The roles of this host: feeds role_step with the news of services, lease, vips and
 * hooks, each with the clock read after it arrived, and carries out its actions. `bpf`: the kind
 * of fence, which does not change any more.
 */
struct roles *roles_new(struct loop *loop, struct consul *consul, struct vips *vips,
    struct hooks *hooks, const struct conf *conf, bool bpf, const char *node,
    const char *state_dir, const struct roles_out *out);
void roles_free(struct roles *roles);
void roles_start(struct roles *roles);
/* What the Consul agent beside this one advertises: where heartbeats are sent from and to,
 * unless failover's `address` says it. "": not known. */
void roles_bind(struct roles *roles, const char *advertised);

void roles_service(struct roles *roles, const struct conf_service *service,
    const struct service_verdict *verdict);
/* A service, or (NULL) this host, is in a maintenance; why NULL: in none. */
void roles_maintenance(
    struct roles *roles, const struct conf_service *service, const char *why);
/* Hands over what this host has to whoever is ready, and takes nothing, until `off`. */
void roles_hand_over(struct roles *roles, bool on);
/* From vips and hooks. */
void roles_held(struct roles *roles, uint32_t role, uint64_t order);
void roles_gone(struct roles *roles, uint32_t role, uint64_t order);
void roles_usable(struct roles *roles, uint32_t role, bool usable, const char *why);
void roles_probed(struct roles *roles, uint32_t role, uint64_t order, bool found);
void roles_hook_done(struct roles *roles, uint32_t role, bool demote, bool ok);

/* Gives every role away; `stopped` when it is done, at most 10 s plus the hooks' timeout. */
void roles_stop(struct roles *roles);

/*
 * Before a reload: every role that `next` takes away, or an address of it, is given away, as
 * by a handover; `done` (perhaps from within) when nothing of them is left here, after 10 s
 * plus the hooks' timeout at the latest. roles_keep: the reload was given up, they may be taken again.
 */
void roles_yield(struct roles *roles, const struct conf *next,
    const struct conf_changes *changes, void (*done)(void *arg), void *arg);
void roles_keep(struct roles *roles);
/* The configuration is `next` from now on, and so it is for services, vips and hooks. A role
 * that is in both goes on; one that is there no more has been given away, or is let go. */
void roles_reload(struct roles *roles, const struct conf *next,
    const struct conf_changes *changes, const struct services *services);

/* The operator's words. 0, or -errno with `why` (not master here, no such candidate, not
 * ready, the register exists…). The outcome of an accepted one is seen in the status. */
int roles_switchover(struct roles *roles, uint32_t role, const char *to, char *why,
    size_t why_size);
int roles_init(struct roles *roles, uint32_t role, char *why, size_t why_size);

/* No host moves the role by itself until it is resumed (control/pause in Consul). `who` asks
 * and `reason` are shown to whoever looks. False: refused, with `why`. */
bool roles_pause(struct roles *roles, uint32_t role, bool on, const char *who,
    const char *reason, char *why, size_t n);
/* For the status (lease.h). */
void roles_paused(const struct roles *roles, uint32_t role, struct lease_pause *pause);

/* 10.9: the operator swears that `old`, which the register's fence names, is off or its
 * addresses removed: the role goes to `node` without a wait. `done`, perhaps from within, with
 * what was written or why it was refused, and when `old` was heard last. */
void roles_force(struct roles *roles, uint32_t role, const char *node, const char *old,
    void (*done)(void *arg, bool ok, const char *why), void *arg);

/* Of Consul's KV: a new heartbeat key, which all hosts use within seconds. 0 or -errno. */
int roles_rotate_key(struct roles *roles, char *why, size_t n);

/* The priority that counts from now on: the configured one and what is tracked. */
void roles_set_priority(struct roles *roles, uint32_t role, unsigned int effective);

void roles_view(const struct roles *roles, uint32_t role, struct role_view *view);
size_t roles_candidates(const struct roles *roles, uint32_t role,
    struct role_peer list[ROLE_PEERS]);
/* Whom this host has heard of itself, by heartbeats (peer.h). */
size_t roles_peers(const struct roles *roles, uint32_t role, struct peer_view *list,
    size_t n);
/* What holds the role where it is, in words: lines written. */
size_t roles_explain(struct roles *roles, uint32_t role, char lines[][160], size_t n);

#endif
