/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_HOOKS_H
#define LICTOR_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/failover/role.h"

struct conf;
struct conf_changes;
struct hooks;
struct wire_exited;

struct hooks_out {
	/* A promote or demote hook ended; false: failed, timed out or could not be run. */
	void (*done)(void *arg, uint32_t role, bool demote, bool ok);
	/* Order to the runner. */
	void (*command)(void *arg, uint64_t run, uint32_t command, enum role_state state,
	    enum role_reason reason, uint64_t term, int64_t timeout_ms);
	void *arg;
};

/*
 * The commands an operator has run when a role changes: serial per role, each with a
 * timeout, the newest notify only. Numbers of runs have HOOKS_RUN set, so that they never
 * meet the scheduler's.
 */
#define HOOKS_RUN (UINT64_C(1) << 63)

/* `journal`: the file in which is kept how far each role's hook has come, for an agent that is
 * started after this one died; NULL: none. */
struct hooks *hooks_new(
    const struct conf *conf, const char *journal, const struct hooks_out *out);
void hooks_free(struct hooks *hooks);

/* The configuration is `next` from now on. A hook that runs goes on; one that waits and is
 * there no more is forgotten: the role's machine is told of that by role_set_params. */
void hooks_reload(struct hooks *hooks, const struct conf *next,
    const struct conf_changes *changes);

/* A promote after a demote that still runs waits for it, and the other way round; one
 * that is asked for again while it waits runs once. A role without that hook: `done` is
 * not called, the caller knows (role_params). The demote of a start (ROLE_REASON_START) is not
 * run where it had ended well and nothing was begun since, in this boot of the machine: `done`
 * says so from within the call. */
void hooks_promote(struct hooks *hooks, uint32_t role, enum role_reason reason,
    uint64_t term);
void hooks_demote(struct hooks *hooks, uint32_t role, enum role_reason reason,
    uint64_t term);
void hooks_notify(struct hooks *hooks, uint32_t role, enum role_state state,
    enum role_reason reason, uint64_t term);

/* An earlier agent of this boot ran the role's promote hook to a good end, and neither it nor
 * this one has left the role since: where this host is master still, all is as that hook left
 * it. Not so for a role that a reload added. */
bool hooks_promoted_before(const struct hooks *hooks, uint32_t role);

void hooks_ended(struct hooks *hooks, const struct wire_exited *exited);
bool hooks_idle(const struct hooks *hooks);

#endif
