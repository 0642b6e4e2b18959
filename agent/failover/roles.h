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
struct roles;
struct vips;
struct hooks;
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

void roles_view(const struct roles *roles, uint32_t role, struct role_view *view);
size_t roles_peers(const struct roles *roles, uint32_t role,
    struct role_peer list[ROLE_PEERS]);

#endif
