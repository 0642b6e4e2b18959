/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_VIP_H
#define LICTOR_VIP_H

#include <stdbool.h>
#include <stdint.h>

struct conf;
struct conf_changes;
struct contest_view;
struct loop;
struct vips;
struct wire;
struct wire_fence_kind;
struct wire_message;

struct vips_out {
	/* Every address of the role did what the order asked. */
	void (*held)(void *arg, uint32_t role, uint64_t order);
	void (*gone)(void *arg, uint32_t role, uint64_t order);
	/* The role's addresses can, or cannot, be set (interface down or missing, the kernel
	 * refused, no fence): part of readiness. Known from the warden's first word on. */
	void (*usable)(void *arg, uint32_t role, bool usable, const char *why);
	/* The answer to vips_probe: another host has one of the role's addresses, or nobody is
	 * known to have any. */
	void (*probed)(void *arg, uint32_t role, uint64_t order, bool found);
	void *arg;
};

/* Orders about a role's addresses to the warden, its answers gathered per role. */
struct vips *vips_new(struct loop *loop, const struct conf *conf,
    const struct vips_out *out);
void vips_free(struct vips *vips);

/* What the runner says of the fence, before any hold. Its kind goes into every hold; one that
 * cannot be had makes every address unusable. */
void vips_fence(struct vips *vips, const struct wire_fence_kind *fence);

/* A fresh link to the warden (instance: this agent's number), or NULL: it is gone (for
 * more than 2 s: the addresses are not usable). The wire stays the caller's. A drop that
 * is still the role's newest order is sent again; holds are repeated by the role. */
void vips_link(struct vips *vips, struct wire *warden, uint32_t instance);
void vips_message(struct vips *vips, const struct wire_message *message);

void vips_hold(struct vips *vips, uint32_t role, uint64_t order, uint64_t term,
    int64_t until, bool first);
void vips_drop(struct vips *vips, uint32_t role, uint64_t order, uint64_t up_to);

/* Asks whether another host has an address of the role: `probed` with this order, which is
 * not 0; not always, since the warden may die over it. `sure`: whoever has one is not to have
 * it, which is said, and the addresses are not usable as long as he has. False: it cannot be
 * asked. */
bool vips_probe(struct vips *vips, uint32_t role, uint64_t order, bool sure);
/* Another host had one of them lately. */
bool vips_contested(const struct vips *vips, uint32_t role);

/* The configuration is `next` from now on: an address that is in both stays as it is known, an
 * added one is announced with the role's next hold. Nothing is said: vips_tell does. */
void vips_reload(
    struct vips *vips, const struct conf *next, const struct conf_changes *changes);

/* Says `usable` again for every role of which it is known: for who comes late. */
void vips_tell(struct vips *vips);

/* Every address of the role stands by a deadline that an earlier agent asked for and that still
 * runs, as the warden said when it was linked: nobody can have taken the role since. */
bool vips_warm(const struct vips *vips, uint32_t role);

/* For the status: the address is there as far as the warden has said. */
bool vips_is_held(const struct vips *vips, uint32_t vip);
void vips_view(const struct vips *vips, uint32_t vip, struct contest_view *view);

#endif
