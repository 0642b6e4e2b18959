/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_WARDEN_STATE_H
#define LICTOR_WARDEN_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/wire.h"
#include "agent/warden/address.h"
#include "agent/warden/guard.h"
#include "agent/warden/holdings.h"
#include "agent/warden/links.h"
#include "agent/warden/tracks.h"

struct conf;
struct conflict;
struct loop;
struct loop_io;
struct loop_timer;
struct netlink_address;
struct settling;
struct wire;

/*
 * The warden from inside, for the files that share it: warden.c has the process, its runner
 * and the timers, orders.c what the agent says, reality.c what the kernel says and is told,
 * settle.c the kind of fence, turn.c reloads.
 */
struct warden {
	const struct conf *conf;
	struct loop *loop;
	struct wire *runner;
	int agent_fd; /* the wire's; only asked whether more waits */
	struct address_shared shared;
	struct conf *own, *next; /* from a reload: `conf`, or NULL; prepared, or NULL */
	struct holdings held;
	struct guard guard;
	struct settling *settling; /* while it goes on */
	struct loop_timer *refresh; /* of the kernel's lifetimes, kind bpf */
	struct links links; /* reality's */
	struct tracks tracks;
	struct conflict *conflict;
	size_t postponed; /* times that `work` waited for more orders */
	bool failed;
	bool dumping; /* addresses and links are answers, not events */
	int alarm_fd;
	struct loop_io *alarm;
};

/* warden.c */
/* Sets the alarm to the first lease that ends, or to never. */
void warden_set_alarm(struct warden *warden);
/* The longest hold. */
int64_t warden_lease(const struct warden *warden, const struct conf *conf);
/* Removes what has come to its end. */
void warden_lapse(struct warden *warden, int64_t now);

/* orders.c */
/* The link to an agent; that of an older one is closed before its successor's is read. */
void orders_link(struct warden *warden, uint32_t instance, int fd);
/* What it asked for and was not told dies with it; what is held is held to its end. */
void orders_forget(struct warden *warden);

/* reality.c */
/* 0 or -errno. */
int reality_open(struct warden *warden);
/* The fence is in place, seen just now if an address is to be set; if it was not, it has been
 * put back. */
bool reality_guard(struct warden *warden, int64_t now);
/* Asks the kernel what is there. */
void reality_dump(struct warden *warden);
/* The same of addresses that are new here: one without an end is removed. */
void reality_clean(struct warden *warden);
/* Sets all that are asked for and all that are held, if at least one of them needs it. */
void reality_set(struct warden *warden, int64_t now);

/* Tells the agent of the interfaces that roles track. */
void reality_tell_tracks(struct warden *warden);

/* settle.c */
/* Finds out which kind of fence it is, or takes the one that is fixed; makes harmless what
 * was left on this host; answers the runner. Later on only the last. */
void settle(struct warden *warden, const struct wire_fence_kind *wanted);
/* Tells the runner how the fence is. */
void settle_tell(struct warden *warden);
/* An address that is on this host, by the dump. */
void settle_take(struct settling *settling, const struct netlink_address *address);

/* turn.c: the steps of a reload, as the runner orders them. */
void turn_prepare(struct warden *warden, uint64_t next, int fd);
void turn_commit(struct warden *warden, uint64_t next);
void turn_forget(struct warden *warden);

#endif
