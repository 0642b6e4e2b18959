/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_ADDRESS_H
#define LICTOR_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/wire.h"

struct announcement;
struct announcer;
struct conf_vip;
struct fence;
struct loop;
struct loop_timer;
struct netlink;
struct netlink_address;

/* After this time `again` tries what the kernel refused. */
#define ADDRESS_AGAIN_MS 100

/* What all addresses have in common; warden's, which keeps it up to date. */
struct address_shared {
	int64_t lease_ms; /* no hold may be longer */
	enum wire_fence kind; /* unknown: no address may be held yet */
	struct fence *fence; /* kind bpf: what mutes an address at its deadline; else NULL */
	bool unfenced; /* kind bpf: the fence cannot be put in place */
	struct netlink *netlink;
	struct announcer *announcer;
	struct wire *agent; /* NULL: none is there to be told */
	uint32_t instance; /* of the newest agent */
	struct loop_timer *work, *again; /* warden's next work; the same, after a failure */
	bool doubt; /* what is there must be asked for */
};

/* What conflict knows of an address: its own. Times are the loop's. */
struct vip_watch {
	uint64_t probe; /* the order of the probe that goes on; 0: none */
	int64_t probe_ends;
	int64_t repeat_at; /* it is not announced against another host before that */
	int64_t told_since;
	unsigned int told; /* frames passed on since then */
};

/* One address of the configuration and all that is known of it. Times are milliseconds of
 * CLOCK_BOOTTIME. Warden writes what orders and dumps say (present, stretched, seen, expires
 * of one that is not held; asked and hold; gone_order and dropped for a new agent). */
struct vip {
	const struct address_shared *shared;
	const struct conf_vip *conf;
	unsigned int ifindex; /* 0: the interface is missing */
	unsigned int stray; /* what it was before, perhaps with the address; or 0 */
	bool up;

	int64_t until; /* the lease's end; 0: not held */
	int64_t expires; /* the kernel lets go then at the latest; 0: nothing was set */
	int64_t refreshed; /* kind bpf: when the kernel was last told to set it */
	bool present; /* as the last dump or the kernel's answer said */
	bool stretched; /* somebody gave it a lifetime beyond the lease */
	bool seen; /* its interface, by the dump that goes on */
	uint64_t dropped; /* holds of terms up to this one are refused */

	bool asked; /* `hold` waits to be carried out */
	struct wire_hold hold;
	uint64_t gone_order; /* a drop that the kernel has not confirmed yet; 0: none */
	bool delete_due; /* at the next work */
	bool delete_failed; /* which was said */
	bool recast; /* it is missing because its prefix is another one now */
	bool withdrawn; /* or because the fence is to be put back first */
	bool foreign; /* somebody else has added it, which was said */
	uint32_t added, removed; /* so often by somebody else */
	unsigned int put_back; /* so often since `counted_from` */
	int64_t counted_from;
	int64_t given_up; /* when it was, for being removed again and again; 0: it was not */

	struct announcement *announcement;
	struct routes *routes;
	struct vip_watch watch;
};

/* `vip` is zeroed; what it points to stays the caller's. */
void address_init(struct vip *vip, const struct address_shared *shared,
    const struct conf_vip *conf, struct loop *loop);
void address_done(struct vip *vip);

/* Mute from now on, and known to the fence: before it is on any interface, and before the
 * first order about it. */
void address_enter(struct vip *vip);
/* It is none of ours any more; only after the kernel's word that it is gone. */
void address_leave(struct vip *vip);

/* The same address on the same interface, as another configuration has it. */
void address_turn(struct vip *vip, const struct conf_vip *conf);

bool address_is_held(const struct vip *vip);
/* Held, but not there as it must be; one that the kernel let go at its time does not
 * count, and nothing is missing while there is doubt. */
bool address_is_missing(const struct vip *vip, int64_t now);
/* Held, and a lifetime that the kernel tells now reaches beyond the lease. */
bool address_outlasts(const struct vip *vip, uint32_t valid_s);
bool address_matches(const struct vip *vip, const struct netlink_address *address);
/* The same address, wherever and however. */
bool address_is(const struct vip *vip, int family, const unsigned char *address);
struct netlink_address address_for_kernel(const struct vip *vip, uint32_t valid_s);

/* Tells the agent, if there is one, whether the interface is up. */
void address_tell_carrier(struct vip *vip);
/* Tells it of a deadline that an earlier agent asked for, if that still runs. */
void address_tell_standing(struct vip *vip, int64_t now);
/* The interface is another one, up, down or missing (ifindex 0). No order to the kernel is
 * given from here, since a dump may be going on. */
void address_set_link(struct vip *vip, unsigned int ifindex, bool up);

/* Kind bpf: the deadline of the hold that waits is written at once, if that is held already,
 * since the look at the fence and the kernel's answer may take longer than a lease where a
 * thousand interfaces come and go. It is judged, and answered, later. */
void address_prolong(const struct vip *vip, int64_t now);
/* Refuses, and so forgets, the hold that waits if it must not be carried out now. */
void address_judge(struct vip *vip, int64_t now);
/* One that is missing, but was put back too often by now: true, and it is held no more. */
bool address_give_up(struct vip *vip, int64_t now);

/* Kind bpf: the deadline of the hold that waits, to the fence. False: it was refused. */
bool address_fence(struct vip *vip);
/* The seconds to set it for; 0: the kernel need not or must not be told. Kind lifetime: as
 * many as fit before the end of the lease. */
uint32_t address_wants(const struct vip *vip, int64_t now);
/* Kind bpf: when the kernel must be told again of one that is held; 0: of this one it need not. */
int64_t address_refresh_at(const struct vip *vip);
/* What the kernel answered when it was told to set the address until `until`: 0 or -errno;
 * `expires` counts from after the answer, `now` is of before the order. Holds, removes or
 * refuses it; the hold that waits is answered. */
void address_take_result(struct vip *vip, int error, int64_t until, int64_t expires,
    int64_t now);
/* Nothing but its deadline was to be changed: the hold that waits is answered. */
void address_take_fenced(struct vip *vip);
/* Kind bpf: held from before this process, as the fence's deadline and the dump say. */
void address_adopt(struct vip *vip, int64_t until);
/* Held, but away from the kernel until the fence stands. */
void address_withdraw(struct vip *vip);
/* It is on this host, though not by our doing; or it is no more. */
void address_take_foreign(struct vip *vip, bool present);
/* An order to let go; false: it was refused. */
bool address_drop(struct vip *vip, const struct wire_drop *drop);
/* An order to announce it again. */
void address_announce(struct vip *vip, const struct wire_probe *order);
/* Removes it, and tells who ordered that as soon as the kernel has confirmed it. */
void address_finish_drop(struct vip *vip);
/* Removes it if its lease has ended. */
void address_lapse(struct vip *vip, int64_t now);
/* It is not held from here on. True: the kernel says that it is not there; else
 * `delete_due` is set and it is tried `again`. */
bool address_remove(struct vip *vip);

#endif
