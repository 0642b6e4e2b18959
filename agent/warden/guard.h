/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_GUARD_H
#define LICTOR_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/wire.h"

struct address_shared;
struct fence;
struct links;
struct netlink_link;

#define GUARD_SUSPECTS 32 /* of more all are looked at */

/* That the fence stands on every interface. Zeroed but for `shared` and `links`; nothing
 * is done as long as that has no `fence`. */
struct guard {
	struct address_shared *shared;
	struct links *links;
	struct fence *opened; /* could be had; not used unless it is shared->fence */
	unsigned int failed; /* attempts in a row to put it in place, the newest at */
	int64_t failed_at;
	bool suspicious; /* something has happened that it must be looked at for, ... */
	unsigned int suspects[GUARD_SUSPECTS]; /* ... or something on these alone */
	size_t n_suspects;
	bool open; /* it was not in place when last looked at */
	bool lost; /* and could not be put there: no address may be held */
	char why[WIRE_WHY_MAX]; /* it could not be had or put in place */
};

/* Loads the program and takes over the map, which later on the filter of this process
 * forbids; `folder` on a bpffs, or NULL. */
void guard_open(struct guard *guard, const char *folder);
void guard_done(struct guard *guard);

/* Something has happened on the interface. */
void guard_suspect(struct guard *guard, unsigned int ifindex);
/* Seen just now on every interface. */
bool guard_stands(struct guard *guard);
/* Seen just now wherever something has happened. */
bool guard_clears(struct guard *guard);
/* Puts it where it is not; true: it stands. To be called only when no address is there. */
bool guard_mend(struct guard *guard);
/* The same on one interface that is new or another one now, at once. */
void guard_link(struct guard *guard, const struct netlink_link *link);

/* A fence of any lictord is on an interface. */
bool guard_finds_any(struct guard *guard);

#endif
