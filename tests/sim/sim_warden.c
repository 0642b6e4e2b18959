/* SPDX-License-Identifier: ISC */
/*
 * The warden, a process of its own behind a queue of orders, and what takes an address away
 * when all else fails: the kernel's lifetimes, in whole seconds, or the fence in the kernel,
 * which compares a deadline with the clock; both up to g late. Written from sections 9 and
 * 17 of the protocol's page and not from warden.c, since it stands for what the agent may
 * rely on. An address that the fence mutes is as good as gone.
 */
#include <string.h>

#include "agent/base/util.h"
#include "tests/sim/mutation.h"
#include "tests/sim/sim.h"

void
kernel_remove(struct world *world, struct host *host, const char *why)
{
	if (host->vip)
		sim_say(world, host, "ADDRESS gone: %s", why);
	host->vip = false;
	host->vip_life++;
	audit_addresses(world);
}

static void
expire(struct world *world, struct item *item)
{
	if (item->host->vip_life == item->life)
		kernel_remove(world, item->host, "its time is over");
}

static int64_t
lateness(struct world *world, const struct host *host)
{
	static const int64_t halves[] = { 0, 1, 2, 2 }; /* of g */

	return halves[sim_between(world, 0, 3)] * host->params.margin_ms / 2;
}

static void
address_up(struct world *world, struct host *host)
{
	if (!host->vip)
		sim_say(world, host, "ADDRESS up");
	host->vip = true;
	host->vip_life++;
}

static void
end_at(struct world *world, struct host *host, int64_t delay)
{
	struct item *item;

	if (mutated(NODEADMAN))
		return;
	item = sim_item(world, host, expire);
	item->life = host->vip_life;
	sim_push(world, delay, item);
}

/* The fence compares on each packet: a clock that changes its pace changes this. */
void
fence_watch(struct world *world, struct host *host)
{
	if (!host->bpf || !host->vip)
		return;
	host->vip_life++;
	end_at(world, host,
	    clock_when(&host->boot, world->now, host->fence_ms) - world->now +
		lateness(world, host) * MS);
}

static void
kernel_set(struct world *world, struct host *host, int64_t seconds)
{
	int64_t life_ms = seconds * 1000 + lateness(world, host);

	address_up(world, host);
	end_at(world, host, (int64_t)((double)(life_ms * MS) / host->raw.rate));
	audit_addresses(world);
}

static void
fence_set(struct world *world, struct host *host, int64_t until)
{
	host->fence_ms = until;
	address_up(world, host);
	fence_watch(world, host);
	audit_addresses(world);
}

/* What a fresh agent is told: a deadline that an earlier one gave still runs. */
bool
warden_stands(const struct world *world, const struct host *host)
{
	return host->vip &&
	    clock_ms(&host->boot, world->now) <
	    (host->bpf ? host->fence_ms : host->lifetime_ms);
}

static void
answer(
    struct world *world, struct host *host, enum role_event_type type, uint64_t order)
{
	struct item *item = sim_item(world, host, host_deliver);

	item->type = type;
	item->order = order;
	sim_push(world, sim_between(world, 0, 5 * MS), item);
}

/* The warden's own timer at the deadline. */
static void
deadline(struct world *world, struct item *item)
{
	struct host *host = item->host;

	if (host->deadline_ms != item->number || host->warden_life != item->life ||
	    host->warden_paused || mutated(NODEADMAN))
		return;
	if (clock_ms(&host->boot, world->now) >= host->deadline_ms)
		kernel_remove(world, host, "the warden's deadline");
}

static void
hold(struct world *world, struct host *host, const struct order *order)
{
	int64_t now = clock_ms(&host->boot, world->now);
	int64_t seconds = (order->until - now) / 1000;
	struct item *timer;

	if (order->until <= now ||
	    (order->term <= host->last_drop && !mutated(OLDSOCKET)))
		return;
	host->deadline_ms = order->until;
	if (seconds == 0 && !host->bpf) {
		if (host->lifetime_ms > order->until)
			kernel_remove(world, host, "it would outlast its deadline");
		return;
	}
	if (host->bpf) {
		fence_set(world, host, order->until);
	} else {
		host->lifetime_ms = now + seconds * 1000;
		kernel_set(world, host, seconds);
	}
	timer = sim_item(world, host, deadline);
	timer->number = order->until;
	timer->life = host->warden_life;
	sim_push(world, clock_when(&host->boot, world->now, order->until) - world->now,
	    timer);
	answer(world, host, ROLE_EVENT_VIP_HELD, order->number);
}

static void
drop(struct world *world, struct host *host, const struct order *order)
{
	if (order->term > host->last_drop)
		host->last_drop = order->term;
	host->deadline_ms = 0;
	kernel_remove(world, host, "dropped");
	answer(world, host, ROLE_EVENT_VIP_GONE, order->number);
}

static void work(struct world *world, struct item *item);

static void
next_order(struct world *world, struct host *host)
{
	int64_t delay = sim_between(world, 50, MS);
	struct item *item;

	host->warden_busy = host->n_orders > 0 && !host->warden_paused;
	if (!host->warden_busy)
		return;
	if (sim_chance(world, 5 * world->dull))
		delay = sim_between(world, 0, 20 * MS);
	if (sim_chance(world, world->dull))
		delay = sim_between(world, 0, 800 * MS);
	item = sim_item(world, host, work);
	item->life = host->warden_life;
	sim_push(world, delay, item);
}

static void
work(struct world *world, struct item *item)
{
	struct host *host = item->host;
	struct order order;

	if (item->life != host->warden_life)
		return;
	if (!host->warden_paused) {
		order = host->orders[host->first_order % ORDERS];
		host->first_order++;
		host->n_orders--;
		/* The socket of a dead agent is closed before its successor's is read. */
		if (order.life != host->life && !mutated(OLDSOCKET))
			sim_say(world, host, "the warden: a dead agent's order");
		else if (order.up)
			hold(world, host, &order);
		else
			drop(world, host, &order);
	}
	next_order(world, host);
}

static void
give_order(struct world *world, struct host *host, struct order order)
{
	if (host->n_orders == ORDERS)
		sim_fail(world, "%s drowns its warden", host->name);
	order.life = host->life;
	host->orders[(host->first_order + host->n_orders++) % ORDERS] = order;
	if (!host->warden_busy)
		next_order(world, host);
}

void
warden_hold(struct world *world, struct host *host, const struct role_action *hold)
{
	give_order(world, host,
	    (struct order){ .up = true,
		.number = hold->order,
		.term = hold->term,
		.until = hold->until });
}

void
warden_drop(struct world *world, struct host *host, const struct role_action *drop)
{
	give_order(
	    world, host, (struct order){ .number = drop->order, .term = drop->term });
}

static void
resume(struct world *world, struct item *item)
{
	item->host->warden_paused = false;
	if (!item->host->warden_busy)
		next_order(world, item->host);
}

void
warden_pause(struct world *world, struct host *host, int64_t span)
{
	if (host->warden_paused)
		return;
	sim_say(world, host, "the warden stops running");
	host->warden_paused = true;
	sim_push(world, span, sim_item(world, host, resume));
}

/* Its orders are lost; the kernel goes on. */
void
warden_crash(struct world *world, struct host *host)
{
	sim_say(world, host, "the warden dies and starts again");
	host->warden_life++;
	host->n_orders = 0;
	host->warden_busy = false;
	host->last_drop = 0;
	host->deadline_ms = host->lifetime_ms = 0;
}

/* Another lictord, with another fence: what the old one held is deleted or mute before the
 * new one hears its first order. */
void
warden_refence(struct world *world, struct host *host, bool bpf)
{
	warden_crash(world, host);
	kernel_remove(world, host, "another fence begins");
	host->bpf = bpf;
	host->params.margin_ms = bpf ? 10 : 1500;
	sim_say(world, host, "the fence is %s", bpf ? "bpf" : "lifetime");
}
