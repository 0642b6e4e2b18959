/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_PLACE_H
#define LICTOR_PLACE_H

#include <stdint.h>

struct privileges;

/* What one running lictord has to itself in the file system. */
struct place {
	int lock_fd;	/* -1: not taken */
	int control_fd;	/* the listening control socket, or -1 */
	uint64_t id;	/* of the lock's file: this lictord's and its successor's */
};

/* Descriptors that `place` has already, of an earlier version in this process, it keeps; else they
 * are -1. Makes the runtime and the state folder (0755) where they are missing, locks the former
 * against a second lictord and listens there at lictor.sock (0666). The state folder, and one
 * of the agent's own (0700) in the runtime folder, are given to `agent`, with what is in them, if they
 * were ours and we may. 0, or -errno after one line in the log. */
int place_take(struct place *place, const struct privileges *agent);
void place_leave(struct place *place);

#endif
