/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_PRIVILEGES_H
#define LICTOR_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/wire.h"

/* What the agent or the warden is allowed to be. */
struct privileges {
	bool change;		/* it becomes another user than the runner is */
	uid_t uid;		/* that it is in the end, changed or not */
	gid_t gid;
	gid_t *groups;
	size_t n_groups;
	uint64_t capabilities;	/* bits; of these as many as the runner has itself */
	int nice;		/* what it gets where the runner may give it, no more */
	int oom;		/* oom_score_adj, likewise; 0: the runner's */
	bool lock_memory;	/* it may lock all that it maps, likewise */
};

/*
 * In the runner, once. 0: `out` is as designed, or the runner is an ordinary user, who changes
 * nothing. Otherwise -errno with `why` (there is no such user, the kernel does not let us
 * become it): `out` keeps the runner's user and is right in all else.
 */
int privileges_find(
    enum wire_process kind, struct privileges *out, char *why, size_t size);
void privileges_cleanup(struct privileges *privileges);

/* Between fork and exec, by bare system calls; no new privileges from then on. 0 or -errno. */
int privileges_apply(const struct privileges *privileges);

#endif
