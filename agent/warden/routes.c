/* SPDX-License-Identifier: ISC */
/*
 * What goes with an address and has no lifetime in the kernel: routes, rules, and what
 * stands of its connections once it has left. Address says when it is there and when it is
 * gone; nothing here is ever on the way of that, and no fault here keeps an address from
 * being held. A route is known by what it says, so it is kept here as it was set, whatever
 * the configuration says meanwhile. Invariant: what is `set` was confirmed by the kernel
 * and not removed by us; all that bears our protocol number is of some address, or goes at
 * the next start.
 */
#include "agent/warden/routes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/warden/address.h"
#include "agent/warden/netlink.h"

#define AGAIN_MS 1000
#define RENEW_MS 5000
#define TEXT_SIZE 160

/* Connections are ended a moment later, when the answers to a handover are out. */
#define RESET_AFTER_MS 20
#define RESET_SLICE 64
#define RESET_SLICES 4096 /* somebody might make new ones for ever */

/* A route or a rule. */
struct item {
	bool is_rule;
	struct conf_route route;
	struct conf_rule rule;
	unsigned int ifindex; /* of a route that is set */
	bool wanted; /* by the newest configuration */
	bool set;
	bool said; /* that it cannot be set */
};

struct routes {
	struct item *items; /* what is wanted or set; rules behind routes */
	size_t count;
	int64_t next; /* boot time: nothing is due before */
	bool fresh; /* what is missing at the next hold is so for a good reason */

	struct loop_timer *reset;
	struct netlink *netlink; /* of the reset, and the address: */
	int family;
	unsigned char address[16];
	unsigned int kind; /* of sockets, which is looked for next */
	size_t slices, ended;
	bool cannot_reset; /* this kernel; it was said */
};

static bool
is_same(const struct item *a, const struct item *b)
{
	if (a->is_rule != b->is_rule)
		return false;
	if (a->is_rule)
		return memcmp(&a->rule, &b->rule, sizeof(a->rule)) == 0;
	const struct conf_route *x = &a->route, *y = &b->route;
	return x->family == y->family && x->to_prefix == y->to_prefix &&
	    memcmp(x->to, y->to, sizeof(x->to)) == 0 && x->has_via == y->has_via &&
	    memcmp(x->via, y->via, sizeof(x->via)) == 0 && x->table == y->table &&
	    x->metric == y->metric;
}

static struct item *
find(struct routes *routes, const struct item *item)
{
	for (size_t i = 0; i < routes->count; i++)
		if (is_same(&routes->items[i], item))
			return &routes->items[i];
	return NULL;
}

static void
write_network(
    struct buf *buf, int family, const unsigned char *network, unsigned int prefix)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(family, network, text, sizeof(text));
	buf_printf(buf, "%s/%u", text, prefix);
}

static void
write_route(struct buf *buf, const struct conf_route *route)
{
	char via[INET6_ADDRSTRLEN];

	buf_printf(buf, "route ");
	if (route->to_prefix == 0)
		buf_printf(buf, "default");
	else
		write_network(buf, route->family, route->to, route->to_prefix);
	if (route->has_via)
		buf_printf(buf, " via %s",
		    inet_ntop(route->family, route->via, via, sizeof(via)));
	buf_printf(buf, " table %" PRIu32, route->table);
	if (route->metric != 0)
		buf_printf(buf, " metric %" PRIu32, route->metric);
}

static void
write_rule(struct buf *buf, const struct conf_rule *rule)
{
	buf_printf(buf, "rule");
	if (rule->from_prefix > 0) {
		buf_printf(buf, " from ");
		write_network(buf, rule->family, rule->from, rule->from_prefix);
	}
	if (rule->to_prefix > 0) {
		buf_printf(buf, " to ");
		write_network(buf, rule->family, rule->to, rule->to_prefix);
	}
	buf_printf(
	    buf, " table %" PRIu32 " priority %" PRIu32, rule->table, rule->priority);
}

static void
write_item(const struct item *item, char text[TEXT_SIZE])
{
	struct buf buf = { .limit = TEXT_SIZE };

	if (item->is_rule)
		write_rule(&buf, &item->rule);
	else
		write_route(&buf, &item->route);
	str_copy(text, TEXT_SIZE, buf.data);
	buf_free(&buf);
}

static void
forget(struct routes *routes, size_t at)
{
	routes->count--;
	memmove(&routes->items[at], &routes->items[at + 1],
	    (routes->count - at) * sizeof(*routes->items));
}

static void
want(struct routes *routes, const struct item *item)
{
	struct item *there = find(routes, item);

	if (there != NULL)
		there->wanted = true;
	else
		routes->items[routes->count++] = *item;
}

void
routes_turn(struct routes *routes, const struct conf_vip *conf)
{
	size_t most = routes->count + conf->n_routes + conf->n_rules;

	if (most == 0)
		return;
	routes->items = xrealloc(routes->items, most, sizeof(*routes->items));
	for (size_t i = 0; i < routes->count; i++)
		routes->items[i].wanted = routes->items[i].said = false;
	for (size_t i = 0; i < conf->n_routes; i++)
		want(
		    routes, &(struct item){ .route = conf->routes[i], .wanted = true });
	for (size_t i = 0; i < conf->n_rules; i++)
		want(routes,
		    &(struct item){
			.is_rule = true, .rule = conf->rules[i], .wanted = true });
	routes->next = 0;
	routes->fresh = true;
}

static int
order(struct netlink *netlink, bool add, const struct item *item, unsigned int ifindex,
    const struct conf_vip *conf)
{
	if (item->is_rule)
		return netlink_rule(netlink, add, &item->rule);
	return netlink_route(netlink, add, ifindex, &item->route, conf->address);
}

/* Also what cannot be removed is given up: our protocol number marks it for a start. */
static void
take_away(struct netlink *netlink, struct item *item, const struct conf_vip *conf)
{
	char text[TEXT_SIZE];
	int error = order(netlink, false, item, item->ifindex, conf);

	item->set = false;
	if (error == 0)
		return;
	write_item(item, text);
	log_warning("vip", "%s: its %s cannot be removed: %s", conf->text, text,
	    strerror(-error));
}

/* False: it is to be tried again. */
static bool
set(struct netlink *netlink, struct item *item, const struct conf_vip *conf,
    unsigned int ifindex, bool fresh)
{
	char text[TEXT_SIZE];
	int error = order(netlink, true, item, ifindex, conf);
	bool lost = error == 0 && item->set && !fresh;

	if (error == -EEXIST && item->set)
		return true;
	write_item(item, text);
	if (lost)
		log_warning(
		    "vip", "%s: its %s was removed, put back", conf->text, text);
	item->set = error == 0;
	item->ifindex = ifindex;
	if (error != 0 && !item->said)
		log_warning("vip", "%s: its %s cannot be set: %s", conf->text, text,
		    error == -EEXIST ? "there is one already that is not lictor's"
				     : strerror(-error));
	item->said = error != 0;
	return error == 0;
}

void
routes_hold(struct routes *routes, struct netlink *netlink, const struct conf_vip *conf,
    unsigned int ifindex, bool fresh)
{
	int64_t now = clock_boot_ms();
	bool all = true;

	loop_timer_stop(routes->reset);
	if (routes->count == 0 || (!fresh && now < routes->next))
		return;
	for (size_t i = routes->count; i-- > 0;) {
		struct item *item = &routes->items[i];
		bool elsewhere = !item->is_rule && item->ifindex != ifindex;
		if (item->set && (!item->wanted || elsewhere))
			take_away(netlink, item, conf);
		if (!item->wanted)
			forget(routes, i);
	}
	for (size_t i = 0; i < routes->count; i++)
		all = set(netlink, &routes->items[i], conf, ifindex,
			  fresh || routes->fresh) &&
		    all;
	routes->fresh = false;
	routes->next = now + (all ? RENEW_MS : AGAIN_MS);
}

static void
say_ended(const struct routes *routes)
{
	char text[INET6_ADDRSTRLEN];

	if (routes->ended == 0)
		return;
	inet_ntop(routes->family, routes->address, text, sizeof(text));
	log_notice("vip", "%s: %zu connection%s ended, since it has left this host",
	    text, routes->ended, routes->ended == 1 ? "" : "s");
}

static void
on_reset(void *arg)
{
	struct routes *routes = arg;
	int ended = netlink_end_sockets(routes->netlink, routes->family,
	    routes->address, &routes->kind, RESET_SLICE);

	if (ended < 0)
		log_debug("vip", "connections cannot be ended: %s", strerror(-ended));
	else
		routes->ended += (size_t)ended;
	routes->cannot_reset = ended == -EOPNOTSUPP;
	if (!routes->cannot_reset && routes->kind < NETLINK_SOCKET_KINDS &&
	    ++routes->slices < RESET_SLICES)
		loop_timer_at(routes->reset, 0);
	else
		say_ended(routes);
}

static void
begin_reset(struct routes *routes, struct netlink *netlink, const struct conf_vip *conf)
{
	routes->netlink = netlink;
	routes->family = conf->family;
	memcpy(routes->address, conf->address, sizeof(routes->address));
	routes->kind = 0;
	routes->slices = routes->ended = 0;
	loop_timer_after(routes->reset, RESET_AFTER_MS);
}

void
routes_drop(struct routes *routes, struct netlink *netlink, const struct conf_vip *conf,
    bool left)
{
	for (size_t i = routes->count; i-- > 0;) {
		if (routes->items[i].set)
			take_away(netlink, &routes->items[i], conf);
		if (!routes->items[i].wanted)
			forget(routes, i);
	}
	routes->next = 0;
	if (left && conf->reset_connections && !routes->cannot_reset)
		begin_reset(routes, netlink, conf);
}

struct routes *
routes_new(struct loop *loop, const struct conf_vip *conf)
{
	struct routes *routes = xcalloc(1, sizeof(*routes));

	routes->reset = loop_timer_new(loop, on_reset, routes);
	routes_turn(routes, conf);
	return routes;
}

void
routes_free(struct routes *routes)
{
	if (routes == NULL)
		return;
	loop_timer_free(routes->reset);
	free(routes->items);
	free(routes);
}

/* ---- what a dead warden has set ---- */

struct sweep {
	struct vip *const *vips;
	size_t count;
	struct item *strays;
	size_t n_strays;
};

/* Whose it is, and still right; or a stray. */
static void
sort_out(struct sweep *sweep, const struct item *found)
{
	for (size_t i = 0; i < sweep->count; i++) {
		const struct vip *vip = sweep->vips[i];
		struct item *item = find(vip->routes, found);
		if (item == NULL || (!item->is_rule && found->ifindex != vip->ifindex))
			continue;
		item->set = true;
		item->ifindex = found->ifindex;
		return;
	}
	sweep->strays =
	    xrealloc(sweep->strays, sweep->n_strays + 1, sizeof(*sweep->strays));
	sweep->strays[sweep->n_strays++] = *found;
}

static void
on_route(void *arg, const struct conf_route *route, unsigned int ifindex)
{
	sort_out(arg, &(struct item){ .route = *route, .ifindex = ifindex });
}

static void
on_rule(void *arg, const struct conf_rule *rule)
{
	sort_out(arg, &(struct item){ .is_rule = true, .rule = *rule });
}

static void
remove_stray(struct netlink *netlink, const struct item *item)
{
	static const struct conf_vip nobody;
	char text[TEXT_SIZE];
	int error = order(netlink, false, item, item->ifindex, &nobody);

	write_item(item, text);
	if (error == 0)
		log_warning("vip",
		    "%s removed: it was left by a lictord that was killed", text);
	else
		log_warning("vip", "%s cannot be removed: %s", text, strerror(-error));
}

void
routes_sweep(struct netlink *netlink, struct vip *const *vips, size_t count)
{
	struct sweep sweep = { vips, count };
	struct netlink_listing listing = {
		.route = on_route, .rule = on_rule, .arg = &sweep
	};
	int error = netlink_list_routes(netlink, &listing);

	if (error != 0)
		log_warning("vip", "the kernel's routes cannot be listed: %s",
		    strerror(-error));
	for (size_t i = 0; i < sweep.n_strays; i++)
		remove_stray(netlink, &sweep.strays[i]);
	for (size_t i = 0; i < count; i++)
		if (!vips[i]->present)
			routes_drop(vips[i]->routes, netlink, vips[i]->conf, false);
	free(sweep.strays);
}
