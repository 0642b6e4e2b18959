/* SPDX-License-Identifier: ISC */
/*
 * The invariants of section 13 of the protocol's page that are about the register and the
 * addresses, whoever writes and has them. I15 is no rule of the page: it says that a host can
 * still write, and so does I16 in sim_world.c.
 *
 * What the page's sections 14 and 15 except (names that are double, clusters that are, the
 * past that comes back) is a limit on how long two may have the address, and no word on
 * the rest.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

static struct host *
find_host(struct world *world, const struct role_wid *wid)
{
	uint64_t slot = strtoull(wid->inst, NULL, 16) >> 32;

	return slot >= 1 && slot <= SLOTS ? &world->hosts[slot - 1] : NULL;
}

bool
audit_fenced(const struct role_register *reg, const char *node)
{
	return reg && reg->fence.present && strcmp(reg->fence.node, node) == 0;
}

static bool
write_allowed(const char *kind, const struct host *host,
    const struct role_register *old, const struct role_register *reg)
{
	const char *me = host->name;
	bool holder = strcmp(old->holder, me) == 0;
	bool same_fence = old->fence.present == reg->fence.present &&
	    strcmp(old->fence.text, reg->fence.text) == 0 &&
	    strcmp(old->fence.node, reg->fence.node) == 0;

	if (strcmp(kind, "OWN") == 0)
		return strcmp(reg->holder, me) == 0 && audit_fenced(reg, me) &&
		    (!old->fence.present || audit_fenced(old, me) || holder);
	if (strcmp(kind, "CLAIM") == 0)
		return strcmp(reg->holder, me) == 0 && same_fence &&
		    old->fence.present && !audit_fenced(old, me) && !holder;
	if (strcmp(kind, "ABANDON") == 0)
		return reg->holder[0] == '\0' && same_fence && holder &&
		    !audit_fenced(old, me);
	if (strcmp(kind, "FORCE") == 0)
		return reg->holder[0] && !reg->fence.present;
	return strcmp(kind, "GIVE") == 0 && !reg->fence.present &&
	    audit_fenced(old, me) && !host->vip;
}

/* I3, I2: accepted writes follow the table of section 2. */
void
audit_write(struct world *world, const struct role_register *old,
    const struct role_register *reg)
{
	struct role_wid wid = { 0 };
	const struct host *host = NULL;

	if (role_wid_split(reg->wid, &wid))
		host = find_host(world, &wid);
	if (!host)
		sim_fail(world, "I3: a write by nobody: %s", reg->wid);
	if (old && !world->odd && reg->rev <= old->rev)
		sim_fail(world, "I3: revision %llu after %llu",
		    (unsigned long long)reg->rev, (unsigned long long)old->rev);
	/* 10.8: whoever knows better writes over what came back from the past */
	if (old && !world->odd && !write_allowed(wid.kind, host, old, reg))
		sim_fail(world, "I3: %s is not allowed on holder %s fence %s", reg->wid,
		    old->holder, old->fence.present ? old->fence.node : "null");
	if (strcmp(wid.kind, "CLAIM") == 0)
		world->claims++;
	if (strcmp(wid.kind, "OWN") == 0 && audit_fenced(old, host->name) &&
	    strcmp(old->holder, host->name) != 0)
		world->objections++;
	audit_addresses(world);
}

/* I15: who reads undisturbed knows over which index to write. */
void
audit_refused(struct world *world, const struct host *host)
{
	int64_t moved_at = world->clusters[host->cluster].moved_at;

	if (!world->odd && !host->foreign && world->now > moved_at + UNDISTURBED &&
	    world->now > host->consul_bad_at + UNDISTURBED)
		sim_fail(world, "I15: %s writes over an index that was left %.3f s ago",
		    host->name, (double)(world->now - moved_at) / S);
}

static void
overlap_ends(struct world *world, struct item *item)
{
	if (world->overlap_from == item->number && world->overlap_limit != NEVER)
		sim_fail(world, "I1: two had the address for %.3f s",
		    (double)(world->now - world->overlap_from) / S);
}

static void
watch_overlap(struct world *world)
{
	struct item *item = sim_item(world, NULL, overlap_ends);

	world->overlap_from = item->number = world->now;
	sim_push(world, world->overlap_limit, item);
}

/* I1, I2 */
void
audit_addresses(struct world *world)
{
	const struct host *holder = NULL;
	bool two = false;

	for (size_t i = 0; i < SLOTS; i++) {
		const struct host *host = &world->hosts[i];

		if (!host->vip)
			continue;
		if (holder && !world->odd)
			sim_fail(world, "I1: %s and %s have the address", holder->name,
			    host->name);
		two = two || holder;
		holder = host;
		if (!world->wiped && !world->odd &&
		    !audit_fenced(consul_register(world, host), host->name))
			sim_fail(world, "I2: %s has the address, the fence does not",
			    host->name);
	}
	if (!two)
		world->overlap_from = NEVER;
	else if (world->overlap_from == NEVER && world->overlap_limit != NEVER)
		watch_overlap(world);
}

void
audit_odd(struct world *world, int64_t limit)
{
	world->odd = true;
	world->overlap_limit = limit;
	world->overlap_from = NEVER;
	audit_addresses(world);
}
