/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CONFLICT_H
#define LICTOR_CONFLICT_H

struct conflict;
struct holdings;
struct links;
struct loop;
struct wire_probe;

/* Opens its two packet sockets, before the warden's filter. What it is given stays the
 * caller's. NULL with errno set. */
struct conflict *conflict_new(
    struct loop *loop, const struct links *links, const struct holdings *held);
void conflict_free(struct conflict *conflict);

/* Watches for the addresses that `held` has now: at the start and after each reload. */
void conflict_watch(struct conflict *conflict);

/* Asks once whether anybody else has the address; answered with WIRE_PROBED as soon as
 * somebody has, or after 20 ms, or at once (UNKNOWN) where there is nobody to be asked. An
 * order that comes while another waits takes its place. */
void conflict_probe(struct conflict *conflict, const struct wire_probe *probe);
/* Nobody waits for the answers any more. */
void conflict_forget(struct conflict *conflict);

#endif
