/* SPDX-License-Identifier: ISC */
/*
 * Addresses over reloads when the kernel does not do as it is told, which a real one does not
 * play: it is played here.
 */
#include "agent/warden/holdings.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/warden/address.h"
#include "agent/warden/announce.h"
#include "agent/warden/fence.h"
#include "agent/warden/links.h"
#include "agent/warden/netlink.h"
#include "tests/unit/tap.h"

static int refusal; /* of the kernel */
static unsigned int deletions; /* that it took */

int
netlink_delete(struct netlink *netlink, const struct netlink_address *address)
{
	deletions += refusal == 0;
	return refusal;
}

bool
netlink_forwards(struct netlink *netlink, unsigned int ifindex)
{
	return false;
}

int
fence_set(
    struct fence *fence, int family, const unsigned char *address, int64_t until_ms)
{
	return 0;
}

int
fence_forget(struct fence *fence, int family, const unsigned char *address)
{
	return 0;
}

/* What goes with an address is not looked at here. */
int
netlink_route(struct netlink *netlink, bool add, unsigned int ifindex,
    const struct conf_route *route, const unsigned char *source)
{
	return 0;
}

int
netlink_rule(struct netlink *netlink, bool add, const struct conf_rule *rule)
{
	return 0;
}

int
netlink_list_routes(struct netlink *netlink, const struct netlink_listing *listing)
{
	return 0;
}

int
netlink_end_sockets(struct netlink *netlink, int family, const unsigned char *address,
    unsigned int *kind, size_t limit)
{
	return 0;
}

static void
ignore(void *arg)
{
}

/* An address that could not be removed when a reload took it out is configured again by the
 * next: one thing stands for it, which still knows what is to be removed, and no other takes
 * it from under its holder. */
static void
test_back(void)
{
	char text[] = "10.0.0.1", interface[] = "eth0";
	struct loop *loop = loop_new();
	struct conf_vip vip = {
		.family = AF_INET, .text = text, .interface = interface, .prefix = 32
	};
	struct conf_vip *vips[] = { &vip };
	struct conf with = { .vips = vips, .n_vips = 1 }, without = { 0 };
	struct address_shared shared = { .work = loop_timer_new(loop, ignore, NULL),
		.again = loop_timer_new(loop, ignore, NULL) };
	struct holdings held = { 0 };
	struct links links = { NULL, 0, NULL };

	shared.announcer = announcer_new(loop, &links);
	holdings_init(&held, &shared, &with, loop);
	held.vips[0]->ifindex = 7;
	held.vips[0]->until = held.vips[0]->expires = clock_boot_ms() + 60000;
	refusal = -EPERM;
	CU_ASSERT_FALSE(holdings_turn(&held, &shared, &without, loop));
	CU_ASSERT_PTR_NOT_NULL(held.leaving);
	CU_ASSERT_FALSE(holdings_turn(&held, &shared, &with, loop));
	CU_ASSERT_PTR_NULL(held.leaving);
	CU_ASSERT_PTR_EQUAL(held.vips[0]->conf, &vip);
	CU_ASSERT_TRUE(held.vips[0]->delete_due);
	CU_ASSERT_FALSE(address_is_held(held.vips[0]));
	refusal = 0;
	holdings_remove(&held);
	CU_ASSERT_EQUAL(deletions, 0);
	address_finish_drop(held.vips[0]);
	CU_ASSERT_EQUAL(deletions, 1);
	CU_ASSERT_FALSE(held.vips[0]->delete_due);
	holdings_done(&held);
	announcer_free(shared.announcer);
	loop_timer_free(shared.work);
	loop_timer_free(shared.again);
	loop_free(loop);
}

/* An address that could not be removed when it was dropped is ordered again: what the kernel
 * has set since is not what was to be removed. */
static void
test_held_again(void)
{
	char text[] = "10.0.0.1", interface[] = "eth0";
	struct loop *loop = loop_new();
	struct conf_vip conf = {
		.family = AF_INET, .text = text, .interface = interface, .prefix = 32
	};
	struct address_shared shared = { .work = loop_timer_new(loop, ignore, NULL),
		.again = loop_timer_new(loop, ignore, NULL),
		.instance = 1 };
	struct wire_drop drop = { .order = 1, .instance = 1, .up_to = 1 };
	int64_t now = clock_boot_ms(), until = now + 2000;
	struct vip vip = { .ifindex = 7, .until = until, .expires = until };
	struct links links = { NULL, 0, NULL };

	shared.announcer = announcer_new(loop, &links);
	address_init(&vip, &shared, &conf, loop);
	refusal = -ETIMEDOUT;
	CU_ASSERT_TRUE(address_drop(&vip, &drop));
	CU_ASSERT_FALSE(address_is_held(&vip));
	CU_ASSERT_TRUE(vip.delete_due);
	vip.hold = (struct wire_hold){ .order = 2, .instance = 1, .term = 2 };
	vip.asked = true;
	address_take_result(&vip, 0, until, until, now);
	CU_ASSERT_TRUE(address_is_held(&vip));
	CU_ASSERT_FALSE(vip.delete_due);
	address_done(&vip);
	announcer_free(shared.announcer);
	loop_timer_free(shared.work);
	loop_timer_free(shared.again);
	loop_free(loop);
}

static const struct tap_case cases[] = {
	{ "one that would not go is held again", test_held_again },
	{ "one that would not go is configured again", test_back },
};

TAP_MAIN("holdings", cases)
