/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_HOLDINGS_H
#define LICTOR_HOLDINGS_H

#include <stdbool.h>
#include <stddef.h>

struct address_shared;
struct conf;
struct leaving;
struct loop;
struct vip;

/* All addresses of the configuration, each at its index there, and those that a reload took
 * out of it as long as the kernel has not confirmed that they are gone. */
struct holdings {
	struct vip **vips;
	size_t count;
	struct leaving *leaving;
};

void holdings_init(struct holdings *holdings, const struct address_shared *shared,
    const struct conf *conf, struct loop *loop);
void holdings_done(struct holdings *holdings);

/* From now on it is those of `next`. One that stays (by family, address and interface) is held
 * on, one that is gone is removed at once. True: there are new ones, of which nothing is known
 * yet. */
bool holdings_turn(struct holdings *holdings, const struct address_shared *shared,
    const struct conf *next, struct loop *loop);

/* Tries again what could not be removed. */
void holdings_remove(struct holdings *holdings);

#endif
