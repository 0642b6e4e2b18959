/* SPDX-License-Identifier: ISC */
/*
 * Routes and rules against the real kernel, in a network namespace of the test's own with
 * a veth pair (va, vb): each shape of a route is set, listed as it was ordered, seen by
 * ip(8) and deleted; what somebody else set is left alone in all of it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/warden/netlink.h"
#include "tests/unit/netns.h"
#include "tests/unit/tap.h"

#define LIST_MAX 16

struct bed {
	struct loop *loop;
	struct netlink *netlink;
	unsigned int ifindex;
	struct conf_route routes[LIST_MAX];
	struct conf_rule rules[LIST_MAX];
	size_t n_routes, n_rules;
};

static void
on_address(void *arg, const struct netlink_address *address, bool present)
{
}

static void
on_link(void *arg, const struct netlink_link *link, bool gone)
{
}

static void
on_lost(void *arg)
{
}

static void
bed_open(struct bed *bed)
{
	struct netlink_out out = {
		.address = on_address, .link = on_link, .lost = on_lost
	};

	*bed = (struct bed){ .loop = loop_new() };
	CU_ASSERT_FATAL(netns_ip(0, "link add va type veth peer name vb", NULL, 0));
	CU_ASSERT_FATAL(netns_ip(0, "link set va up", NULL, 0));
	CU_ASSERT_FATAL(netns_ip(0, "link set vb up", NULL, 0));
	CU_ASSERT_FATAL(netns_ip(0, "addr add 192.0.2.1/32 dev va", NULL, 0));
	CU_ASSERT_FATAL(netns_ip(0, "addr add 2001:db8::1/128 dev va nodad", NULL, 0));
	bed->ifindex = if_nametoindex("va");
	bed->netlink = netlink_new(bed->loop, &out);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bed->netlink);
}

static void
bed_close(struct bed *bed)
{
	netlink_free(bed->netlink);
	loop_free(bed->loop);
	netns_ip(0, "link del va", NULL, 0);
}

static void
on_route(void *arg, const struct conf_route *route, unsigned int ifindex)
{
	struct bed *bed = arg;

	CU_ASSERT_EQUAL(ifindex, bed->ifindex);
	CU_ASSERT_FATAL(bed->n_routes < LIST_MAX);
	bed->routes[bed->n_routes++] = *route;
}

static void
on_rule(void *arg, const struct conf_rule *rule)
{
	struct bed *bed = arg;

	CU_ASSERT_FATAL(bed->n_rules < LIST_MAX);
	bed->rules[bed->n_rules++] = *rule;
}

static void
list(struct bed *bed)
{
	struct netlink_listing listing = {
		.route = on_route, .rule = on_rule, .arg = bed
	};

	bed->n_routes = bed->n_rules = 0;
	CU_ASSERT_EQUAL(netlink_list_routes(bed->netlink, &listing), 0);
}

static void
put(int family, const char *text, unsigned char *out)
{
	CU_ASSERT_EQUAL(inet_pton(family, text, out), 1);
}

/* Whether `ip` shows the words among the routes or rules of all tables. */
static bool
shows(const char *what, const char *words)
{
	char out[8192];

	return netns_ip(0, what, out, sizeof(out)) && strstr(out, words) != NULL;
}

static bool
same_route(const struct conf_route *a, const struct conf_route *b)
{
	return a->family == b->family && a->to_prefix == b->to_prefix &&
	    memcmp(a->to, b->to, 16) == 0 && a->has_via == b->has_via &&
	    memcmp(a->via, b->via, 16) == 0 && a->table == b->table &&
	    a->metric == b->metric;
}

/* All shapes: family, default or a network, by a gateway or not, table, metric. */
static struct conf_route
shape(unsigned int bits)
{
	bool v6 = (bits & 1) != 0;
	struct conf_route route = { .family = v6 ? AF_INET6 : AF_INET,
		.to_prefix = (bits & 2) == 0 ? 0
		    : v6                     ? 48
					     : 24,
		.has_via = (bits & 4) != 0,
		.table = (bits & 8) != 0 ? 100000 : 254,
		.metric = (bits & 16) != 0 ? 7
		    : v6                   ? 1024
					   : 0 };

	if (route.to_prefix > 0)
		put(route.family, v6 ? "2001:db8:5::" : "198.51.100.0", route.to);
	if (route.has_via)
		put(route.family, v6 ? "2001:db8:9::9" : "203.0.113.9", route.via);
	return route;
}

static void
test_routes(void)
{
	struct bed bed;
	unsigned char source[2][16] = { 0 };

	bed_open(&bed);
	put(AF_INET, "192.0.2.1", source[0]);
	put(AF_INET6, "2001:db8::1", source[1]);
	for (unsigned int bits = 0; bits < 32; bits++) {
		struct conf_route route = shape(bits);
		CU_ASSERT_EQUAL(netlink_route(bed.netlink, true, bed.ifindex, &route,
				    source[bits & 1]),
		    0);
		list(&bed);
		CU_ASSERT_EQUAL(bed.n_routes, 1);
		CU_ASSERT(same_route(&bed.routes[0], &route));
		CU_ASSERT(shows(
		    bits & 1 ? "-6 route show table all" : "-4 route show table all",
		    "proto 108"));
		CU_ASSERT_EQUAL(netlink_route(bed.netlink, true, bed.ifindex, &route,
				    source[bits & 1]),
		    -EEXIST);
		CU_ASSERT_EQUAL(
		    netlink_route(bed.netlink, false, bed.ifindex, &route, NULL), 0);
		list(&bed);
		CU_ASSERT_EQUAL(bed.n_routes, 0);
		CU_ASSERT_EQUAL(
		    netlink_route(bed.netlink, false, bed.ifindex, &route, NULL), 0);
	}
	bed_close(&bed);
}

static void
test_source(void)
{
	struct conf_route route = shape(2 | 4);
	unsigned char source[16] = { 192, 0, 2, 1 };
	struct bed bed;

	bed_open(&bed);
	CU_ASSERT_EQUAL(
	    netlink_route(bed.netlink, true, bed.ifindex, &route, source), 0);
	CU_ASSERT(shows("route get 198.51.100.3",
	    "198.51.100.3 via 203.0.113.9 dev va src 192.0.2.1"));
	bed_close(&bed);
}

static void
test_foreign_route(void)
{
	struct conf_route route = shape(2);
	unsigned char source[16] = { 192, 0, 2, 1 };
	struct bed bed;

	bed_open(&bed);
	CU_ASSERT(netns_ip(0, "route add 198.51.100.0/24 dev va", NULL, 0));
	list(&bed);
	CU_ASSERT_EQUAL(bed.n_routes, 0);
	CU_ASSERT_EQUAL(
	    netlink_route(bed.netlink, true, bed.ifindex, &route, source), -EEXIST);
	CU_ASSERT_EQUAL(
	    netlink_route(bed.netlink, false, bed.ifindex, &route, NULL), 0);
	CU_ASSERT(shows("route show", "198.51.100.0/24 dev va"));
	bed_close(&bed);
}

static void
test_rules(void)
{
	struct bed bed;

	bed_open(&bed);
	for (unsigned int bits = 2; bits < 16; bits++) {
		bool v6 = (bits & 1) != 0;
		struct conf_rule rule = { .family = v6 ? AF_INET6 : AF_INET,
			.table = (bits & 8) != 0 ? 100000 : 9,
			.priority = 100 + bits };
		if ((bits & 6) == 0)
			continue;
		if ((bits & 2) != 0) {
			rule.from_prefix = v6 ? 128 : 32;
			put(rule.family, v6 ? "2001:db8::1" : "192.0.2.1", rule.from);
		}
		if ((bits & 4) != 0) {
			rule.to_prefix = v6 ? 48 : 24;
			put(rule.family, v6 ? "2001:db8:5::" : "198.51.100.0", rule.to);
		}
		CU_ASSERT_EQUAL(netlink_rule(bed.netlink, true, &rule), 0);
		list(&bed);
		CU_ASSERT_EQUAL(bed.n_rules, 1);
		CU_ASSERT(memcmp(&bed.rules[0], &rule, sizeof(rule)) == 0);
		CU_ASSERT(shows(v6 ? "-6 rule show" : "-4 rule show",
		    rule.table == 9 ? "lookup 9" : "lookup 100000"));
		CU_ASSERT_EQUAL(netlink_rule(bed.netlink, true, &rule), -EEXIST);
		CU_ASSERT_EQUAL(netlink_rule(bed.netlink, false, &rule), 0);
		list(&bed);
		CU_ASSERT_EQUAL(bed.n_rules, 0);
		CU_ASSERT_EQUAL(netlink_rule(bed.netlink, false, &rule), 0);
	}
	bed_close(&bed);
}

static void
test_foreign_rule(void)
{
	struct conf_rule rule = { .family = AF_INET,
		.from = { 192, 0, 2, 1 },
		.from_prefix = 32,
		.table = 9,
		.priority = 100 };
	struct bed bed;

	bed_open(&bed);
	CU_ASSERT(
	    netns_ip(0, "rule add from 192.0.2.1 lookup 9 priority 100", NULL, 0));
	list(&bed);
	CU_ASSERT_EQUAL(bed.n_rules, 0);
	CU_ASSERT_EQUAL(netlink_rule(bed.netlink, false, &rule), 0);
	CU_ASSERT(shows("rule show", "from 192.0.2.1 lookup 9"));
	bed_close(&bed);
}

static const struct tap_case cases[] = {
	{ "routes of every shape come, are listed and go", test_routes },
	{ "what the host sends by a route comes from the address", test_source },
	{ "somebody else's route stays", test_foreign_route },
	{ "rules of every shape come, are listed and go", test_rules },
	{ "somebody else's rule stays", test_foreign_rule },
};

int
main(int argc, char **argv)
{
	if (!netns_enter())
		return 0;
	if (!netns_ip(0, "link add va type veth peer name vb", NULL, 0)) {
		puts("1..0 # SKIP no veth interfaces here");
		return 0;
	}
	netns_ip(0, "link del va", NULL, 0);
	return tap_main(argc, argv, "netlink_route", cases, ARRAY_LENGTH(cases));
}
