/* SPDX-License-Identifier: ISC */
/*
 * Consul as the protocol may meet it: a register with compare-and-set, whose requests and
 * replies are delayed, lost, answered wrongly (409 for a write that was applied) or
 * applied long after their sender gave up or died; a watch without any promise of order;
 * data that are wiped, that go back to an older snapshot, or of which there are two.
 *
 * The register's own operations are atomic: one item is one moment.
 */
#include <string.h>

#include "agent/base/util.h"
#include "tests/sim/sim.h"

#define TRIES 40
#define FOREIGN_CHANCE 0.9

void
consul_bad(struct world *world, struct host *host, int64_t span)
{
	if (world->now + span > host->consul_bad_at)
		host->consul_bad_at = world->now + span;
}

int64_t
consul_delay(struct world *world)
{
	if (world->heavy == 0 || !sim_chance(world, world->heavy))
		return sim_between(world, 200, 4 * MS);
	return sim_between(world, 0, sim_chance(world, 0.2) ? 4 * S : S);
}

bool
consul_unreachable(const struct world *world, const struct host *host)
{
	return world->outage || host->cut;
}

/* What a master that is not to lose anything must bear: I11. */
static int64_t
bearable(const struct host *host)
{
	const struct role_params *params = &host->params;
	int64_t slack = params->lease_ms - params->confirm_ms -
	    params->silence_ms * 5 / 8 - 60; /* 2.5 B, unpunctual ticks */

	return slack * MS / 2;
}

static int64_t
leg(struct world *world, struct host *host)
{
	int64_t d = consul_delay(world);

	if (d > bearable(host))
		consul_bad(world, host, d);
	return d;
}

static struct cluster *
cluster_of(struct world *world, const struct host *host)
{
	return &world->clusters[host->cluster];
}

const struct role_register *
consul_register(const struct world *world, const struct host *host)
{
	const struct content *content = world->clusters[host->cluster].content;

	return content ? &content->reg : NULL;
}

static void
watched(struct world *world, struct item *item)
{
	if (!consul_unreachable(world, item->host))
		host_deliver(world, item);
}

static void
tell_watchers(struct world *world, const struct cluster *cluster)
{
	for (size_t i = 0; i < SLOTS; i++) {
		struct host *host = &world->hosts[i];
		struct item *item;

		if (!host->role || cluster_of(world, host) != cluster || host->foreign)
			continue;
		item = sim_item(world, host, watched);
		item->type = ROLE_EVENT_REGISTER;
		item->content = content_ref(cluster->content);
		item->number = clock_ms(&host->boot, world->now);
		sim_push(world, consul_delay(world), item);
	}
}

static void
remember(struct world *world, struct cluster *cluster)
{
	size_t place = cluster->n_history++ % HISTORY;

	content_drop(world, cluster->history[place]);
	cluster->history[place] = content_ref(cluster->content);
}

/* The content becomes the register's; the reference goes with it. */
static void
put(struct world *world, struct cluster *cluster, struct content *content)
{
	const struct role_register *reg = &content->reg;

	content->reg.index = ++cluster->index;
	cluster->moved_at = world->now;
	content_drop(world, cluster->content);
	cluster->content = content;
	remember(world, cluster);
	sim_say(world, NULL, "consul: %s rev %llu holder %s fence %s", reg->wid,
	    (unsigned long long)reg->rev, reg->holder,
	    reg->fence.present ? reg->fence.text : "null");
	tell_watchers(world, cluster);
}

/* The first register: mostly one whose last master gave it away, so that no time is lost. */
void
consul_init(struct world *world, bool first)
{
	int64_t rev = first ? 1000 : 1000000000 + world->now;
	struct role_register reg;

	if (first) /* what is wiped begins lower, so no index comes twice */
		world->clusters[0].index = 1000;
	role_register_init(&reg, &world->hosts[0].params, rev, draw(&world->random));
	if (first && !sim_chance(world, 0.1))
		reg.fence = (struct role_fence){ 0 };
	put(world, &world->clusters[0], content_new(world, &reg));
}

static void
reply(struct world *world, struct item *item)
{
	struct host *host = item->host;

	if (consul_unreachable(world, host) || sim_chance(world, world->loss)) {
		consul_bad(world, host, 3 * S);
		return;
	}
	item->run = host_deliver;
	world->kept = true;
	sim_push(world, leg(world, host), item);
}

/* Requests hang while there is no leader, and most are carried out when there is. */
static bool
put_off(struct world *world, struct item *item, int tries)
{
	if (!consul_unreachable(world, item->host))
		return false;
	consul_bad(world, item->host, 3 * S);
	if (tries >= TRIES || sim_chance(world, 0.1))
		return true;
	world->kept = true;
	sim_push(world, sim_between(world, 50 * MS, S), item);
	return true;
}

static void
apply_read(struct world *world, struct item *item)
{
	if (put_off(world, item, (int)item->order++))
		return;
	item->consistent = true;
	item->type = ROLE_EVENT_REGISTER;
	if (item->host->foreign && sim_chance(world, FOREIGN_CHANCE))
		item->type = ROLE_EVENT_UNREADABLE;
	else
		item->content = content_ref(cluster_of(world, item->host)->content);
	reply(world, item);
}

void
consul_read(struct world *world, struct host *host)
{
	struct item *item = sim_item(world, host, apply_read);

	item->number = clock_ms(&host->boot, world->now);
	item->order = 0;
	world->reads++;
	sim_push(world, leg(world, host), item);
}

static bool
same_value(const struct role_register *a, const struct role_register *b)
{
	return a->rev == b->rev && strcmp(a->wid, b->wid) == 0 &&
	    strcmp(a->holder, b->holder) == 0 && a->fence.present == b->fence.present &&
	    strcmp(a->fence.text, b->fence.text) == 0;
}

/* A new value: the one that was there is dropped after it was compared. */
static void
replace(struct world *world, struct cluster *cluster, struct content *content)
{
	struct content *old = content_ref(cluster->content);

	/* a write of the same text as one before must not share its index */
	put(world, cluster, content_new(world, &content->reg));
	world->writes++;
	audit_write(world, old ? &old->reg : NULL, &cluster->content->reg);
	content_drop(world, old);
}

static void
apply_write(struct world *world, struct item *item)
{
	struct cluster *cluster = cluster_of(world, item->host);
	const struct content *now = cluster->content;
	uint64_t base = item->order;

	if (put_off(world, item, (int)item->number++))
		return;
	item->type = ROLE_EVENT_CAS;
	if ((now ? now->reg.index : 0) == base) {
		/* Consul: the same value does not move the index. */
		if (!now || !same_value(&now->reg, &item->content->reg))
			replace(world, cluster, item->content);
		item->ok = !sim_chance(world, world->loss);
		item->order = cluster->content->reg.index;
	} else if (item->life == item->host->life) {
		audit_refused(world, item->host);
	}
	reply(world, item);
}

void
consul_write(struct world *world, struct host *host, uint64_t base,
    const struct role_register *reg)
{
	struct item *item = sim_item(world, host, apply_write);
	struct item *limit = sim_item(world, host, host_deliver);
	int64_t now = clock_ms(&host->boot, world->now);

	item->content = content_new(world, reg);
	item->order = base;
	item->number = 0;
	limit->type = ROLE_EVENT_CAS;
	limit->content = content_ref(item->content);
	limit->order = 0;
	sim_push(world,
	    clock_when(&host->boot, world->now, now + host->params.lease_ms) -
		world->now,
	    limit);
	if (host->mute) {
		consul_bad(world, host, 3 * S);
		sim_drop(world, item);
	} else {
		sim_push(world, leg(world, host), item);
	}
}

/* An operator's own write, on the index that was read. */
void
consul_force(struct world *world, struct host *host, const struct role_register *reg)
{
	struct content *content = content_new(world, reg);

	replace(world, cluster_of(world, host), content);
	content_drop(world, content);
}

/* A transaction that deletes it and sets it again: nobody sees it missing. */
void
consul_rewrite(struct world *world, struct host *host)
{
	struct cluster *cluster = cluster_of(world, host);

	if (!cluster->content)
		return;
	sim_say(world, NULL, "consul: the register is written anew, word for word");
	put(world, cluster, content_new(world, &cluster->content->reg));
}

static void
bring_back(struct world *world, struct item *item)
{
	struct cluster *cluster = &world->clusters[item->order];

	if (cluster->content || cluster->moved_at != item->number)
		return; /* it was made again meanwhile */
	sim_say(world, NULL, "consul: the register is brought back as it was");
	put(world, cluster, content_new(world, &item->content->reg));
}

/* By hand: deleted, and after a while set again if nobody has made another. */
void
consul_delete(struct world *world, struct host *host, int64_t span)
{
	struct cluster *cluster = cluster_of(world, host);
	struct item *item;

	if (!cluster->content)
		return;
	sim_say(world, NULL, "consul: the register is deleted");
	item = sim_item(world, NULL, bring_back);
	item->content = cluster->content;
	item->order = host->cluster;
	item->number = cluster->moved_at = world->now;
	cluster->content = NULL;
	world->wiped = true;
	sim_push(world, span, item);
}

void
consul_wipe(struct world *world, bool all)
{
	struct cluster *cluster = &world->clusters[0];

	sim_say(world, NULL, "consul: the register is wiped");
	content_drop(world, cluster->content);
	cluster->content = NULL;
	cluster->moved_at = world->now;
	world->wiped = true;
	if (all) /* of Consul's data, not just the key */
		cluster->index = 5;
}

/* An older snapshot, whose entries come back with the index they had; or, imported, a copy of the
 * key, which is written at a new one. */
void
consul_restore(struct world *world, uint64_t back, bool imported)
{
	struct cluster *cluster = &world->clusters[0];
	size_t there = cluster->n_history < HISTORY ? cluster->n_history : HISTORY;
	struct content *old;

	if (there < 2)
		return;
	old = cluster->history[(cluster->n_history - 2 - back % (there - 1)) % HISTORY];
	world->wiped = world->restored = true;
	sim_say(world, NULL, "consul: %s of revision %llu is %s",
	    imported ? "a copy" : "a snapshot", (unsigned long long)old->reg.rev,
	    imported ? "imported" : "restored");
	if (imported) {
		put(world, cluster, content_new(world, &old->reg));
		return;
	}
	content_drop(world, cluster->content);
	cluster->content = content_ref(old);
	cluster->moved_at = world->now;
	tell_watchers(world, cluster);
}

/* Some servers form a cluster of their own, with all the data, and some hosts follow. */
void
consul_split(struct world *world, unsigned int away)
{
	struct cluster *other = &world->clusters[1];

	other->content = content_ref(world->clusters[0].content);
	other->index = world->clusters[0].index;
	for (size_t i = 0; i < SLOTS; i++)
		world->hosts[i].cluster = (away >> i) & 1;
	world->presence_version++;
	sim_say(world, NULL, "consul: two clusters, hosts %x in the new one", away);
}

void
consul_unite(struct world *world)
{
	for (size_t i = 0; i < SLOTS; i++)
		world->hosts[i].cluster = 0;
	world->presence_version++;
	sim_say(world, NULL, "consul: one cluster again");
}
