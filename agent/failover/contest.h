/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CONTEST_H
#define LICTOR_CONTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf;
struct conf_changes;
struct contest;
struct loop;
struct wire;
struct wire_message;

struct contest_out {
	/* contest_fault has changed for the address at that index. */
	void (*changed)(void *arg, uint32_t vip);
	/* Whether another host has an address of the role, as contest_probe asked. */
	void (*probed)(void *arg, uint32_t role, uint64_t order, bool found);
	void *arg;
};

/* What is known of other hosts, and other programs of this one, that have the addresses. */
struct contest *contest_new(
    struct loop *loop, const struct conf *conf, const struct contest_out *out);
void contest_free(struct contest *contest);
/* As vips_link and vips_reload. */
void contest_link(struct contest *contest, struct wire *warden, uint32_t instance);
void contest_reload(struct contest *contest, const struct conf *next,
    const struct conf_changes *changes);

/* Asks who has the role's addresses; `probed` with `order`, which is not 0, when all that can
 * be known is. `sure`: who has one is not to have it, which is said, and keeps the role away.
 * False: there is nobody to be asked. */
bool contest_probe(struct contest *contest, uint32_t role, uint64_t order, bool sure);

/* WIRE_PROBED, WIRE_SEEN or WIRE_RIVAL about an address of the configuration, which this host
 * holds or not. */
void contest_message(
    struct contest *contest, const struct wire_message *message, bool held);

/* Another host has the address, and so it must not be here for a while. */
bool contest_fault(
    const struct contest *contest, uint32_t vip, char *why, size_t why_size);

/* For the status. */
enum contest_event {
	CONTEST_NONE,
	CONTEST_CLAIMED, /* by another host, while it was here */
	CONTEST_FOUND,	 /* at another host, before it was taken */
	CONTEST_ADDED,	 /* here, by another program */
	CONTEST_REMOVED, /* from here, by another program */
	CONTEST_EVENTS
};
struct contest_view {
	uint64_t probes;		 /* sent */
	uint64_t counts[CONTEST_EVENTS]; /* of each event, since lictord's agent began */
	enum contest_event last;
	int64_t last_at; /* wall clock, ms */
	char mac[18];	 /* of the last other host; "" */
};
void contest_view(
    const struct contest *contest, uint32_t vip, struct contest_view *view);
/* "claimed", "found", "added", "removed". */
const char *contest_event_name(enum contest_event event);

#endif
