/* SPDX-License-Identifier: ISC */
/*
 * What goes with an address, against the real kernel in a network namespace of the test's
 * own with a veth pair (va, vb): every change from one set of routes and rules to another,
 * what stands in the way or is taken away by somebody else, what a dead warden left, and
 * when connections end.
 */
#include "agent/warden/routes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/warden/address.h"
#include "agent/warden/netlink.h"
#include "tests/unit/netns.h"
#include "tests/unit/tap.h"

#define PARTS 3 /* two routes and a rule, of which a configuration has any */
#define SETS (1u << PARTS)
#define LIMIT_MS 5000
#define LOOK_MS 200 /* more than it takes until connections are ended */

struct bed {
	struct loop *loop;
	struct loop_timer *limit;
	struct netlink *netlink;
	struct conf_route routes[2];
	struct conf_rule rule;
	struct conf_vip conf;
	struct vip vip, *vips[1];
	unsigned int there; /* parts that the kernel has, by the last look */
	size_t strays;
	char text[16], interface[4];
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
on_limit(void *arg)
{
	struct bed *bed = arg;

	loop_stop(bed->loop);
}

/* The parts of `set` as they stand in the bed. */
static void
configure(
    struct bed *bed, struct conf_vip *conf, struct conf_route *routes, unsigned int set)
{
	*conf = (struct conf_vip){ .text = bed->text,
		.family = AF_INET,
		.address = { 192, 0, 2, 1 },
		.prefix = 32,
		.interface = bed->interface,
		.reset_connections = true,
		.routes = routes,
		.rules = &bed->rule,
		.n_rules = set >> 2 & 1 };
	for (unsigned int i = 0; i < 2; i++)
		if ((set >> i & 1) != 0)
			routes[conf->n_routes++] = bed->routes[i];
}

static void
make_links(struct bed *bed)
{
	CU_ASSERT_FATAL(netns_ip(0, "link add va type veth peer name vb", NULL, 0));
	CU_ASSERT_FATAL(netns_ip(0, "link set va up", NULL, 0));
	CU_ASSERT_FATAL(netns_ip(0, "link set vb up", NULL, 0));
	CU_ASSERT_FATAL(netns_ip(0, "addr add 192.0.2.1/32 dev va", NULL, 0));
	bed->vip.ifindex = if_nametoindex("va");
}

static void
bed_open(struct bed *bed, unsigned int set)
{
	static struct conf_route routes[2];
	struct netlink_out out = {
		.address = on_address, .link = on_link, .lost = on_lost
	};

	*bed =
	    (struct bed){ .loop = loop_new(), .text = "192.0.2.1", .interface = "va" };
	bed->routes[0] = (struct conf_route){
		.family = AF_INET, .to = { 198, 51, 100 }, .to_prefix = 24, .table = 254
	};
	bed->routes[1] = (struct conf_route){ .family = AF_INET,
		.has_via = true,
		.via = { 203, 0, 113, 9 },
		.table = 100 };
	bed->rule = (struct conf_rule){ .family = AF_INET,
		.from = { 192, 0, 2, 1 },
		.from_prefix = 32,
		.table = 100,
		.priority = 1000 };
	configure(bed, &bed->conf, routes, set);
	make_links(bed);
	bed->limit = loop_timer_new(bed->loop, on_limit, bed);
	bed->netlink = netlink_new(bed->loop, &out);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bed->netlink);
	bed->vip.conf = &bed->conf;
	bed->vip.present = true;
	bed->vip.routes = routes_new(bed->loop, &bed->conf);
	bed->vips[0] = &bed->vip;
}

static void
bed_close(struct bed *bed)
{
	routes_drop(bed->vip.routes, bed->netlink, bed->vip.conf, false);
	routes_free(bed->vip.routes);
	netlink_free(bed->netlink);
	loop_timer_free(bed->limit);
	loop_free(bed->loop);
	netns_ip(0, "link del va", NULL, 0);
}

static void
on_route(void *arg, const struct conf_route *route, unsigned int ifindex)
{
	struct bed *bed = arg;

	for (unsigned int i = 0; i < 2; i++)
		if (route->table == bed->routes[i].table &&
		    route->to_prefix == bed->routes[i].to_prefix &&
		    ifindex == bed->vip.ifindex) {
			bed->there |= 1u << i;
			return;
		}
	bed->strays++;
}

static void
on_rule(void *arg, const struct conf_rule *rule)
{
	struct bed *bed = arg;

	if (memcmp(rule, &bed->rule, sizeof(*rule)) == 0)
		bed->there |= 4;
	else
		bed->strays++;
}

/* What of ours the kernel has. */
static unsigned int
look(struct bed *bed)
{
	struct netlink_listing listing = { on_route, on_rule, bed };

	bed->there = 0;
	bed->strays = 0;
	CU_ASSERT_EQUAL(netlink_list_routes(bed->netlink, &listing), 0);
	return bed->there;
}

static void
hold(struct bed *bed, bool fresh)
{
	routes_hold(
	    bed->vip.routes, bed->netlink, bed->vip.conf, bed->vip.ifindex, fresh);
}

static void
drop(struct bed *bed, bool left)
{
	routes_drop(bed->vip.routes, bed->netlink, bed->vip.conf, left);
}

/* From every set to every other, while the address is held and while it is not. */
static void
try_change(struct bed *bed, unsigned int before, unsigned int after, bool held)
{
	struct conf_route routes[2], next_routes[2];
	struct conf_vip conf, next;

	configure(bed, &conf, routes, before);
	configure(bed, &next, next_routes, after);
	struct routes *vip = routes_new(bed->loop, &conf);
	if (held)
		routes_hold(vip, bed->netlink, &conf, bed->vip.ifindex, true);
	CU_ASSERT_EQUAL(look(bed), held ? before : 0);
	routes_turn(vip, &next);
	routes_hold(vip, bed->netlink, &next, bed->vip.ifindex, !held);
	CU_ASSERT(look(bed) == after && bed->strays == 0);
	routes_drop(vip, bed->netlink, &next, false);
	CU_ASSERT(look(bed) == 0 && bed->strays == 0);
	routes_free(vip);
}

static void
test_changes(void)
{
	struct bed bed;

	bed_open(&bed, 0);
	for (unsigned int i = 0; i < SETS * SETS; i++) {
		try_change(&bed, i % SETS, i / SETS, false);
		try_change(&bed, i % SETS, i / SETS, true);
	}
	bed_close(&bed);
}

static void
test_in_the_way(void)
{
	struct bed bed;
	char out[256];

	bed_open(&bed, 7);
	CU_ASSERT(netns_ip(0, "route add 198.51.100.0/24 dev va", NULL, 0));
	hold(&bed, true);
	CU_ASSERT_EQUAL(look(&bed), 6);
	drop(&bed, false);
	CU_ASSERT(netns_ip(0, "route show 198.51.100.0/24", out, sizeof(out)));
	CU_ASSERT_PTR_NOT_NULL(strstr(out, "198.51.100.0/24 dev va"));
	hold(&bed, true);
	CU_ASSERT(netns_ip(0, "route del 198.51.100.0/24", NULL, 0));
	hold(&bed, false); /* not yet: a second has not passed */
	CU_ASSERT_EQUAL(look(&bed), 6);
	int64_t end = clock_boot_ms() + LIMIT_MS;
	while (look(&bed) != 7 && clock_boot_ms() < end)
		hold(&bed, false);
	CU_ASSERT_EQUAL(bed.there, 7);
	bed_close(&bed);
}

static void
test_taken_away(void)
{
	struct bed bed;

	bed_open(&bed, 7);
	hold(&bed, true);
	CU_ASSERT(netns_ip(0, "route flush table 100", NULL, 0));
	CU_ASSERT(netns_ip(0, "rule del priority 1000", NULL, 0));
	CU_ASSERT_EQUAL(look(&bed), 1);
	hold(&bed, true);
	CU_ASSERT_EQUAL(look(&bed), 7);
	/* the kernel takes the routes of an interface that goes down */
	CU_ASSERT(netns_ip(0, "link set va down", NULL, 0));
	CU_ASSERT_EQUAL(look(&bed), 4);
	CU_ASSERT(netns_ip(0, "link set va up", NULL, 0));
	routes_turn(bed.vip.routes, bed.vip.conf);
	hold(&bed, false);
	CU_ASSERT_EQUAL(look(&bed), 7);
	bed_close(&bed);
}

static void
test_other_interface(void)
{
	struct bed bed;

	bed_open(&bed, 7);
	hold(&bed, true);
	CU_ASSERT(netns_ip(0, "link del va", NULL, 0));
	make_links(&bed);
	hold(&bed, true);
	CU_ASSERT(look(&bed) == 7 && bed.strays == 0);
	/* renamed: the old one is still there, with its routes */
	CU_ASSERT(netns_ip(0, "addr add 192.0.2.1/32 dev vb", NULL, 0));
	bed.vip.ifindex = if_nametoindex("vb");
	hold(&bed, true);
	CU_ASSERT(look(&bed) == 7 && bed.strays == 0);
	bed_close(&bed);
}

/* As a warden that was killed left them, with what its configuration had more. */
static void
leave_behind(struct bed *bed)
{
	struct conf_route route = bed->routes[1];
	struct conf_rule rule = bed->rule;

	hold(bed, true);
	routes_free(bed->vip.routes);
	bed->vip.routes = routes_new(bed->loop, &bed->conf);
	route.table = 101;
	CU_ASSERT_EQUAL(netlink_route(bed->netlink, true, bed->vip.ifindex, &route,
			    bed->conf.address),
	    0);
	route = bed->routes[1];
	route.metric = 5;
	CU_ASSERT_EQUAL(netlink_route(bed->netlink, true, if_nametoindex("vb"), &route,
			    bed->conf.address),
	    0);
	rule.priority = 77;
	CU_ASSERT_EQUAL(netlink_rule(bed->netlink, true, &rule), 0);
	CU_ASSERT(look(bed) == 7 && bed->strays == 3);
}

static void
test_sweep(void)
{
	for (int present = 0; present < 2; present++) {
		struct bed bed;
		char out[256];

		bed_open(&bed, 7);
		leave_behind(&bed);
		CU_ASSERT(netns_ip(0, "route add 198.51.101.0/24 dev va", NULL, 0));
		bed.vip.present = present;
		routes_sweep(bed.netlink, bed.vips, 1);
		CU_ASSERT(look(&bed) == (present ? 7 : 0) && bed.strays == 0);
		CU_ASSERT(netns_ip(0, "route show", out, sizeof(out)));
		CU_ASSERT_PTR_NOT_NULL(strstr(out, "198.51.101.0/24"));
		hold(&bed, false);
		CU_ASSERT_EQUAL(look(&bed), 7);
		drop(&bed, false);
		CU_ASSERT(look(&bed) == 0 && bed.strays == 0);
		bed_close(&bed);
	}
}

/* The same words on the interface that the address was on before. */
static void
test_sweep_elsewhere(void)
{
	struct bed bed;

	bed_open(&bed, 7);
	CU_ASSERT(netns_ip(0, "addr add 192.0.2.1/32 dev vb", NULL, 0));
	bed.vip.ifindex = if_nametoindex("vb");
	hold(&bed, true);
	routes_free(bed.vip.routes);
	bed.vip.routes = routes_new(bed.loop, &bed.conf);
	bed.vip.ifindex = if_nametoindex("va");
	CU_ASSERT(look(&bed) == 4 && bed.strays == 2);
	routes_sweep(bed.netlink, bed.vips, 1);
	CU_ASSERT(look(&bed) == 4 && bed.strays == 0);
	hold(&bed, true);
	CU_ASSERT_EQUAL(look(&bed), 7);
	bed_close(&bed);
}

/* UDP to itself: no port has to listen for it. */
static int
connect_here(void)
{
	struct sockaddr_in name = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(0xc0000201) };
	socklen_t len = sizeof(name);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&name, len), 0);
	CU_ASSERT_EQUAL(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *)&name, len), 0);
	return fd;
}

static bool
was_ended(int fd)
{
	int error = 0;
	socklen_t len = sizeof(error);

	CU_ASSERT_EQUAL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len), 0);
	return error == ECONNABORTED;
}

static bool
can_end(struct bed *bed)
{
	AUTO_CLOSE int fd = connect_here();
	unsigned int kind = 2; /* UDP */
	int ended =
	    netlink_end_sockets(bed->netlink, AF_INET, bed->conf.address, &kind, 1);

	CU_ASSERT(fd >= 0);
	if (ended == -EOPNOTSUPP)
		puts("# this kernel ends no sockets");
	return ended == 1;
}

/* Every combination of: it was there, it is wanted, it is held again at once. */
static void
test_reset(void)
{
	for (unsigned int i = 0; i < 8; i++) {
		bool left = (i & 1) != 0, wanted = (i & 2) != 0, again = (i & 4) != 0;
		struct bed bed;

		bed_open(&bed, 0);
		CU_ASSERT(netns_ip(0, "link set lo up", NULL, 0));
		if (!can_end(&bed)) {
			CU_PASS("nothing to be seen here");
			bed_close(&bed);
			return;
		}
		AUTO_CLOSE int fd = connect_here();
		bed.conf.reset_connections = wanted;
		hold(&bed, true);
		drop(&bed, left);
		CU_ASSERT(!was_ended(fd)); /* never at once */
		if (again)
			hold(&bed, true);
		loop_timer_after(bed.limit, LOOK_MS);
		loop_run(bed.loop);
		CU_ASSERT_EQUAL(was_ended(fd), left && wanted && !again);
		bed_close(&bed);
	}
}

static const struct tap_case cases[] = {
	{ "every change of routes and rules", test_changes },
	{ "what stands in the way stays, and is tried again", test_in_the_way },
	{ "what is taken away is put back", test_taken_away },
	{ "another interface of that name", test_other_interface },
	{ "what a dead warden left", test_sweep },
	{ "what it left on another interface", test_sweep_elsewhere },
	{ "connections end when the address has left", test_reset },
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
	return tap_main(argc, argv, "routes", cases, ARRAY_LENGTH(cases));
}
