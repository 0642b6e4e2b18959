/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CONTROL_H
#define LICTOR_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/json.h"
#include "checks/check.h"

struct loop;
struct control;

struct control_maintenance {
	bool on;
	int64_t span_ms;	/* 0: until it is ended */
	const char *reason, *who;
};

struct control_out {
	/* Answers one request with a fresh object, which becomes the caller's. */
	cJSON *(*status)(void *arg);
	/* 0, or -errno with `why`. `to` is "" for the best candidate. */
	int (*switchover)(void *arg, const char *role, const char *to, char *why, size_t size);
	int (*init)(void *arg, const char *role, char *why, size_t size);
	/* No host moves the role by itself, until it is resumed. */
	int (*pause)(void *arg, const char *role, bool on, const char *who,
	    const char *reason, char *why, size_t size);
	/* Why the role is where it is: a fresh object, or NULL with `why`. */
	cJSON *(*explain)(void *arg, const char *role, char *why, size_t size);
	/* The operator's word that `fenced` cannot hold the role any more: `to` gets it. */
	int (*force)(void *arg, uint64_t request, const char *role, const char *to,
	    const char *fenced, char *why, size_t size);
	/* A new key of heartbeats. */
	int (*rotate)(void *arg, char *why, size_t size);
	/* The outcome of a passive check, "SERVICE/CHECK" or the name of the node's. */
	int (*report)(void *arg, const char *check, enum check_status status,
	    const char *output, char *why, size_t size);
	/* Begins or ends a maintenance of ours; NULL: of the whole host. */
	int (*maintenance)(void *arg, const char *service,
	    const struct control_maintenance *wanted, char *why, size_t size);
	/* This host's roles go to whoever is ready, and it takes none; off: it may again. */
	int (*handover)(void *arg, bool on, char *why, size_t size);
	/* Begins a reload, or the new binary's start in place; as `force`, control_answer
	 * answers `request`, perhaps from within. 0, or -errno with `why`. */
	int (*reload)(void *arg, uint64_t request, char *why, size_t size);
	int (*upgrade)(void *arg, uint64_t request, char *why, size_t size);
	void *arg;
};

/*
 * The control socket: one JSON object a line in, one out ({"command":"status"},
 * {"command":"switchover","role":"db","to":""}, {"command":"pause","role":"db",
 * "reason":"new switch","who":"alice"}, {"command":"resume","role":"db"},
 * {"command":"explain","role":"db"}, {"command":"failover","role":"db","to":"b",
 * "fenced":"a"}, {"command":"key","act":"rotate"}, {"command":"pass","check":"db/backup",
 * "output":"done"}, {"command":"maintenance","on":true,"service":"db","span_ms":1800000,
 * "reason":"new disk","who":"alice"}, {"command":"handover","on":true},
 * {"command":"reload"}, {"command":"upgrade"}; answers have "ok" and "error", or "text").
 * Bounded in clients, time and bytes. Changing commands need root, our own user or the group
 * lictor-admin; reading ones the group lictor-status as well (SO_PEERCRED,
 * SO_PEERGROUPS). `fd` is a listening socket that stays the caller's.
 */
struct control *control_new(struct loop *loop, int fd, const struct control_out *out);
void control_free(struct control *control);

/* What came of a request that is answered later: what was done, or why it was not. */
void control_answer(
    struct control *control, uint64_t request, bool ok, const char *why);

#endif
