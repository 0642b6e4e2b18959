/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_RACE_H
#define LICTOR_RACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/resolve.h"

struct loop;
struct loop_timer;
struct socket;
struct sockets;

/*
 * Which of a name's addresses a connection gets: they are tried in their order, the next one
 * when an attempt fails or after 250 ms without an answer (RFC 8305, 5), and the first that
 * connects wins.
 */

struct race_out {
	/* Of a socket that runs, to be handed to race_event; and later of the one that has
	 * won. Never from within race_start. */
	void (*ready)(void *arg, struct socket *socket, unsigned int events);
	/* Every address has failed. Never from within a call. */
	void (*lost)(void *arg);
};

/* One race, part of its owner's struct; starts zeroed. */
struct race {
	/* private */
	struct loop *loop;
	struct sockets *sockets;
	const struct race_out *out;
	void *arg;
	union resolve_address only, *addresses; /* only: there is one */
	size_t n_addresses, next;
	struct socket *running;
	struct loop_timer *timer; /* NULL: one address */
	int error; /* why it was lost: of errno, by the address `lost` */
	size_t lost;
};

enum race_state { RACE_RUNS, RACE_WON, RACE_LOST };

/* `out` must stay; the addresses, one at least, are copied, with `port` for theirs. False:
 * every one of them has failed. */
bool race_start(struct race *race, struct loop *loop, struct sockets *sockets,
    const struct race_out *out, void *arg, const union resolve_address *addresses,
    size_t count, uint16_t port);
/* Where that leaves the race. RACE_WON: the socket is the caller's, the others are given
 * back. */
enum race_state race_event(
    struct race *race, struct socket *socket, unsigned int events);
/* Of one that is lost: of errno. Of several failures one is told: our own, since then nobody
 * knows; or else that of the first address, whichever failed first; that there is no IPv6
 * here only if nothing else. */
int race_error(const struct race *race);
/* Gives everything back; of one that has not begun or is over too. */
void race_stop(struct race *race);

#endif
