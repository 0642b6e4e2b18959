/* SPDX-License-Identifier: ISC */
/*
 * The real warden as a process of its own, on real interfaces: the test is its runner and
 * its agent. The rule of most cases: whatever was ordered, the address is there only
 * between a hold that was answered and the end of its lease or a drop. Where a lease's
 * end is not what a case is about, it outlasts the case, however slow each look is.
 */
#include "agent/warden/warden.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/bundle.h"
#include "agent/conf/conf.h"
#include "agent/warden/netlink.h"
#include "tests/unit/netns.h"
#include "tests/unit/pace.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"
#include "tests/unit/warden_bed.h"

static void
test_hold_and_drop(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	for (uint32_t vip = V4; vip <= V6; vip++) {
		CU_ASSERT(drop(&bed, vip, 0)); /* was not there */
		CU_ASSERT(hold(&bed, vip, 10, LEASE_MS));
		CU_ASSERT(is_leased(&bed, vip));
		CU_ASSERT(hold(&bed, vip, 10, LEASE_MS));
		CU_ASSERT(is_leased(&bed, vip));
		CU_ASSERT(drop(&bed, vip, 10));
		CU_ASSERT_FALSE(is_there(vip));
		CU_ASSERT(drop(&bed, vip, 10));
	}
	bed_close(&bed);
}

/* Each reason, and afterwards the address is not there. */
static void
test_refusals(void)
{
	static const struct {
		uint32_t vip, instance;
		uint64_t term;
		int64_t lease_ms;
		enum wire_refusal reason;
	} rows[] = {
		{ V4, 5, 11, -100000, WIRE_REFUSAL_PAST },
		{ V4, 5, 11, 0, WIRE_REFUSAL_PAST },
#ifndef FENCED
		{ V4, 5, 11, 999, WIRE_REFUSAL_PAST },
#endif
		{ V4, 5, 11, 2 * LEASE_MS, WIRE_REFUSAL_TOO_LONG },
		{ V4, 5, 11, INT64_MAX / 2, WIRE_REFUSAL_TOO_LONG },
		{ V4, 4, 11, LEASE_MS, WIRE_REFUSAL_INSTANCE },
		{ V4, 6, 11, LEASE_MS, WIRE_REFUSAL_INSTANCE },
		{ V4, 5, 10, LEASE_MS, WIRE_REFUSAL_TERM },
		{ V4, 5, 1, LEASE_MS, WIRE_REFUSAL_TERM },
		{ MISSING, 5, 11, LEASE_MS, WIRE_REFUSAL_KERNEL },
	};
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	link_agent(&bed, 5);
	CU_ASSERT(drop(&bed, V4, 10));
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		bed.instance = rows[i].instance;
		send_hold(&bed, rows[i].vip, rows[i].term,
		    clock_boot_ms() + rows[i].lease_ms, false);
		CU_ASSERT(answered(&bed, WIRE_REFUSED, rows[i].reason));
		CU_ASSERT_FALSE(is_there(rows[i].vip));
	}
	bed.instance = 5;
	for (uint32_t kind = WIRE_FENCE_UNKNOWN; kind <= WIRE_FENCE_LIFETIME; kind++) {
		bed.kind = kind;
		send_hold(&bed, V4, 11, clock_boot_ms() + LEASE_MS, false);
		CU_ASSERT(kind == fence_kind
			? answered(&bed, WIRE_HELD, WIRE_REFUSAL_NONE)
			: answered(&bed, WIRE_REFUSED, WIRE_REFUSAL_FENCE));
	}
	bed.kind = fence_kind;
	bed.instance = 4;
	send_drop(&bed, V4, 11);
	CU_ASSERT(answered(&bed, WIRE_REFUSED, WIRE_REFUSAL_INSTANCE));
	bed_close(&bed);
}

/* Both until the same end, which it returns; `more_ms`: how soon that is. An agent orders
 * again what a kernel that took too long has had refused. */
static int64_t
hold_both(struct bed *bed, int64_t more_ms)
{
	int64_t limit = clock_boot_ms() + LIMIT_MS, end;
	bool held;

	do {
		end = clock_boot_ms() + more_ms;
		forget_told(bed);
		send_hold(bed, V4, 1, end, false);
		send_hold(bed, V6, 1, end, false);
		held = await_answers(bed, 2) && bed->answers[0].type == WIRE_HELD &&
		    bed->answers[1].type == WIRE_HELD;
		bed->count = 0;
	} while (!held && clock_boot_ms() < limit);
	CU_ASSERT(held);
	CU_ASSERT(until(bed->loop, both_set, bed, LIMIT_MS));
	return end;
}

/* It looks at lifetimes at most once a second, and did so just now. */
static void
keep_kernel_busy(struct bed *bed)
{
	struct netlink_address others[] = {
		{ AF_INET, { 10, 77, 0, 1 }, 32, if_nametoindex("vb"), 100, false },
		{ AF_INET6, { 0xfd, 0x77, [15] = 1 }, 128, if_nametoindex("vb"), 100,
		    false },
	};
	int results[2];

	netlink_set(bed->kernel, others, 2, results);
	CU_ASSERT(results[0] == 0 && results[1] == 0);
}

/* At the lease's end, though the kernel, kept busy by another address, would be late. */
static void
test_deadline(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	int64_t end = hold_both(&bed, 1150);
	run_for(bed.loop, end - 250 - clock_boot_ms());
	CU_ASSERT(
	    end - clock_boot_ms() < 150 || /* the kernel may let go from then on */
	    (bed.told[V4].removed == 0 && bed.told[V6].removed == 0));
	keep_kernel_busy(&bed);
	CU_ASSERT(until(bed.loop, both_removed, &bed, LIMIT_MS));
	CU_ASSERT(ended_on_time(&bed, V4, end, 40));
	CU_ASSERT(ended_on_time(&bed, V6, end, 40));
	bed_close(&bed);
}

#ifndef FENCED
/* A deadline that came nearer ends what an earlier lifetime would keep. */
static void
test_shorter(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
	send_hold(&bed, V4, 1, clock_boot_ms() + 500, false);
	CU_ASSERT(answered(&bed, WIRE_REFUSED, WIRE_REFUSAL_PAST));
	CU_ASSERT_FALSE(is_there(V4));
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS - 10000));
	CU_ASSERT(is_leased(&bed, V4));
	bed_close(&bed);
}
#endif

#ifndef FENCED
static void
test_killed(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	int64_t end = hold_both(&bed, BRIEF_MS);
	kill_warden(&bed);
	run_for(bed.loop, 10);
	CU_ASSERT(bed.told[V4].removed == 0 && bed.told[V6].removed == 0);
	CU_ASSERT(until(bed.loop, both_removed, &bed, LIMIT_MS));
	/* the kernel looks once a second */
	CU_ASSERT(ended_on_time(&bed, V4, end, 1000 + LATE_MS));
	CU_ASSERT(ended_on_time(&bed, V6, end, 1000 + LATE_MS));
	bed_close(&bed);
}
#endif

static void
test_runner_gone(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
	wire_free(bed.runner);
	bed.runner = NULL;
	CU_ASSERT_EQUAL(await_end(&bed), 0);
	CU_ASSERT(is_there(V4));
	bed_close(&bed);
}

/* Its lease runs on; its successor is obeyed, another of its age is not. */
static void
test_agents(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	CU_ASSERT(hold(&bed, V4, 7, BRIEF_MS));
	int64_t end = bed.until_ms[V4];
	link_agent(&bed, 2);
	CU_ASSERT(until(bed.loop, carriers_told, &bed, LIMIT_MS));
	CU_ASSERT_EQUAL(bed.told[V4].removed, 0);
	CU_ASSERT(hold(&bed, V6, 7, LEASE_MS));
	CU_ASSERT(until(bed.loop, v4_removed, &bed, LIMIT_MS));
	CU_ASSERT(ended_on_time(&bed, V4, end, 200));
	CU_ASSERT_EQUAL(bed.told[V6].removed, 0);
	CU_ASSERT(drop(&bed, V6, 9));
	link_agent(&bed, 1);
	CU_ASSERT(until(bed.loop, agent_closed, &bed, LIMIT_MS));
	link_agent(&bed, 3);
	CU_ASSERT(hold(&bed, V6, 8, LEASE_MS)); /* a fresh pair knows of no drop */
	bed_close(&bed);
}

/* An agent hears of what an earlier one holds, be the warden another one or not. The kernel
 * is told whole seconds, of which another warden hears the rest. */
static void
test_standing(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	CU_ASSERT(bed.stands[V4] == 0 && bed.stands[V6] == 0);
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
	for (int other = 0; other < 2; other++) {
		if (other) {
			kill_warden(&bed);
			wire_free(bed.runner);
			bed_start(&bed);
		} else {
			link_agent(&bed, 2);
			CU_ASSERT(until(bed.loop, carriers_told, &bed, LIMIT_MS));
		}
		int64_t early = bed.until_ms[V4] - bed.stands[V4];
		bool exact = !other || fence_kind == WIRE_FENCE_BPF;
		CU_ASSERT(
		    early >= (exact ? 0 : -LATE_MS) && early <= (exact ? 0 : 2000));
		CU_ASSERT_EQUAL(bed.stands[V6], 0);
	}
	bed.instance = 1;
	CU_ASSERT(drop(&bed, V4, 1));
	link_agent(&bed, 3);
	CU_ASSERT(until(bed.loop, carriers_told, &bed, LIMIT_MS));
	CU_ASSERT_EQUAL(bed.stands[V4], 0);
	bed_close(&bed);
}

static void
test_put_back(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
	CU_ASSERT(netns_ip(0, "addr del 10.9.0.100/32 dev va", NULL, 0));
	CU_ASSERT(await_leased(&bed, V4));
	CU_ASSERT(netns_ip(0,
	    "addr replace 10.9.0.100/32 dev va valid_lft forever "
	    "preferred_lft forever",
	    NULL, 0));
	CU_ASSERT(await_leased(&bed, V4));
	CU_ASSERT(hold(&bed, V6, 1, LEASE_MS));
	CU_ASSERT(netns_ip(0, "link set va down", NULL, 0)); /* takes IPv6 along */
	CU_ASSERT(netns_ip(0, "link set va up", NULL, 0));
	CU_ASSERT(hold(&bed, V6, 1, LEASE_MS));
	CU_ASSERT(is_there(V6));
	CU_ASSERT(drop(&bed, V4, 1));
	CU_ASSERT(drop(&bed, V6, 1));
	run_for(bed.loop, 100);
	CU_ASSERT_FALSE(is_there(V4));
	bed_close(&bed);
}

#ifndef FENCED
/* It may be a lease, or reaches beyond any. */
static void
test_found_at_start(void)
{
	const char *brief_v6 = "addr add fd00:9::100/128 dev va valid_lft 20 "
			       "preferred_lft 0";
	const char *long_v6 = "addr add fd00:9::100/128 dev va valid_lft 25 "
			      "preferred_lft 0";
	struct bed bed;

	bed_open(&bed);
	CU_ASSERT(netns_ip(0, long_v6, NULL, 0));
	bed_start(&bed);
	CU_ASSERT_FALSE(is_there(V6));
	bed_close(&bed);
	bed_open(&bed);
	CU_ASSERT(netns_ip(0, "addr add 10.9.0.100/32 dev va", NULL, 0));
	CU_ASSERT(netns_ip(0, brief_v6, NULL, 0));
	bed_start(&bed);
	CU_ASSERT_FALSE(is_there(V4));
	CU_ASSERT(lifetime(V6) > 10);
	send_hold(
	    &bed, V6, 1, clock_boot_ms() + 500, false); /* it would outlast that */
	CU_ASSERT(answered(&bed, WIRE_REFUSED, WIRE_REFUSAL_PAST));
	CU_ASSERT_FALSE(is_there(V6));
	bed_close(&bed);
}
#endif

/* Ten times it is put back, then it is left to whoever removes it. */
static void
test_given_up(void)
{
	struct bed bed;
	unsigned int times = 0;

	bed_open(&bed);
	bed_start(&bed);
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
	while (times < 20 && await_there(&bed, V4, true)) {
		forget_told(&bed);
		CU_ASSERT(netns_ip(0, "addr del 10.9.0.100/32 dev va", NULL, 0));
		times++;
		send_hold(&bed, V4, 1, clock_boot_ms() + LEASE_MS, false);
		CU_ASSERT(await_answers(&bed, 1));
		if (bed.answers[bed.count - 1].type == WIRE_REFUSED)
			break;
		bed.count = 0;
	}
	CU_ASSERT_EQUAL(times, 11);
	CU_ASSERT_EQUAL(bed.answers[bed.count - 1].answer.reason, WIRE_REFUSAL_KERNEL);
	CU_ASSERT_EQUAL(bed.rivals[WIRE_RIVAL_REMOVED], 10);
	CU_ASSERT_FALSE(is_there(V4));
	bed.count = 0;
	CU_ASSERT(hold(&bed, V6, 1, LEASE_MS)); /* each has a count of its own */
	CU_ASSERT(drop(&bed, V4, 1));
	bed_close(&bed);
}

static bool
is_rivalled(void *arg)
{
	const struct bed *bed = arg;

	return bed->rivals[WIRE_RIVAL_ADDED] > 0;
}

/* One that somebody else adds is told, wherever it is, and left to him; our own never is. */
static void
test_foreign(void)
{
	static const char *const words[][2] = {
		{ "addr add 10.9.0.100/32 dev va", "addr del 10.9.0.100/32 dev va" },
		{ "addr add 10.9.0.100/24 dev vb", "addr del 10.9.0.100/24 dev vb" },
		{ "addr add fd00:9::100/64 dev vb", "addr del fd00:9::100/64 dev vb" },
	};
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	for (uint32_t vip = V4; vip <= V6; vip++)
		for (uint64_t term = 1; term < 5; term++)
			CU_ASSERT(
			    hold(&bed, vip, term, LEASE_MS) && drop(&bed, vip, term));
	run_for(bed.loop, 20);
	CU_ASSERT_EQUAL(bed.rivals[WIRE_RIVAL_ADDED], 0);
	for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
		bed.rivals[WIRE_RIVAL_ADDED] = 0;
		CU_ASSERT(netns_ip(0, words[i][0], NULL, 0));
		CU_ASSERT(until(bed.loop, is_rivalled, &bed, LIMIT_MS));
		CU_ASSERT(is_there(i < 2 ? V4 : V6));
		CU_ASSERT(netns_ip(0, words[i][1], NULL, 0));
	}
	bed_close(&bed);
}

static bool
carrier_is(struct bed *bed, unsigned int vip, int up)
{
	int64_t end = clock_boot_ms() + LIMIT_MS;

	while (bed->up[vip] != up && clock_boot_ms() < end)
		run_for(bed->loop, 10);
	return bed->up[vip] == up;
}

static void
test_carrier(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	CU_ASSERT(bed.up[V4] == 1 && bed.up[V6] == 1 && bed.up[MISSING] == 0);
	netns_ip(0, "link set vb down", NULL, 0);
	CU_ASSERT(carrier_is(&bed, V4, 0) && carrier_is(&bed, V6, 0));
	netns_ip(0, "link set vb up", NULL, 0);
	CU_ASSERT(carrier_is(&bed, V4, 1) && carrier_is(&bed, V6, 1));
	netns_ip(0, "link add vx type veth peer name vy", NULL, 0);
	netns_ip(0, "link set vy up", NULL, 0);
	netns_ip(0, "link set vx up", NULL, 0);
	CU_ASSERT(carrier_is(&bed, MISSING, 1));
	CU_ASSERT(hold(&bed, MISSING, 1, LEASE_MS));
	netns_ip(0, "link del vx", NULL, 0);
	CU_ASSERT(carrier_is(&bed, MISSING, 0));
	CU_ASSERT(drop(&bed, MISSING, 1));
	bed_close(&bed);
}

/* An interface that gets another name must not take the address along. */
static void
test_rename(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
	netns_ip(0, "link set va down", NULL, 0);
	netns_ip(0, "link set va name vz", NULL, 0);
	CU_ASSERT(carrier_is(&bed, V4, 0));
	CU_ASSERT(await_there(&bed, V4, false));
	CU_ASSERT(drop(&bed, V4, 1));
	netns_ip(0, "link set vz name va", NULL, 0);
	netns_ip(0, "link set va up", NULL, 0);
	CU_ASSERT(carrier_is(&bed, V4, 1));
	CU_ASSERT(hold(&bed, V4, 2, LEASE_MS));
	bed_close(&bed);
}

#ifndef FENCED
/* Orders that come in one go are set together, and what is held is refreshed with them. */
static void
test_batch(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	kill(bed.pid, SIGSTOP); /* both wait when it goes on */
	send_hold(&bed, V4, 1, clock_boot_ms() + LEASE_MS - 10000, false);
	send_hold(&bed, V6, 1, clock_boot_ms() + LEASE_MS, false);
	kill(bed.pid, SIGCONT);
	CU_ASSERT(await_answers(&bed, 2));
	bed.count = 0;
	CU_ASSERT(until(bed.loop, both_set, &bed, LIMIT_MS));
	CU_ASSERT(bed.told[V4].set == 1 && bed.told[V6].set == 1);
	CU_ASSERT(bed.told[V4].valid_s <= 10);
	CU_ASSERT(bed.told[V6].valid_s > 10 && bed.told[V6].valid_s <= 20);
	forget_told(&bed);
	CU_ASSERT(hold(&bed, V6, 1, LEASE_MS));
	CU_ASSERT(until(bed.loop, both_set, &bed, LIMIT_MS));
	CU_ASSERT(is_leased(&bed, V4) && is_leased(&bed, V6));
	kill(bed.pid, SIGSTOP);
	send_hold(&bed, V4, 1, clock_boot_ms() + LEASE_MS, false);
	send_drop(&bed, V4, 1); /* the order stands, whatever waited */
	kill(bed.pid, SIGCONT);
	CU_ASSERT(await_answers(&bed, 2));
	CU_ASSERT_FALSE(is_there(V4));
	run_for(bed.loop, 50);
	CU_ASSERT_FALSE(is_there(V4));
	bed_close(&bed);
}

/* One that nobody orders is not set again with others where that would cost it something: of
 * its life, or all of it if the kernel should be late. */
static void
test_along(void)
{
	static const int64_t rests_ms[] = { 900, 150 }; /* of the last second */
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	for (uint64_t i = 0; i < ARRAY_LENGTH(rests_ms); i++) {
		CU_ASSERT(hold(&bed, V4, i + 1, LEASE_MS - 900 + rests_ms[i]));
		run_for(bed.loop, 20);
		forget_told(&bed);
		CU_ASSERT(hold(&bed, V6, i + 1, LEASE_MS));
		run_for(bed.loop, 20);
		CU_ASSERT_EQUAL(bed.told[V4].set, i == 0);
		CU_ASSERT_EQUAL(bed.told[V4].removed, 0);
		CU_ASSERT(lifetime(V4) >= LEASE_MS / 1000 - 1);
		CU_ASSERT(drop(&bed, V4, i + 1) && drop(&bed, V6, i + 1));
	}
	bed_close(&bed);
}
#endif

#define FRAMES_MAX 64

/* Those of the type that came to vb, each with the kernel's time of when it was sent. */
struct frames {
	int fd;
	unsigned int type;
	size_t count, want;
	int64_t at_ms[FRAMES_MAX];
};

static int64_t
time_of(struct msghdr *message)
{
	struct timespec at = { 0 };

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS)
			memcpy(&at, CMSG_DATA(c), sizeof(at));
	return (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

static void
read_frames(struct frames *frames)
{
	unsigned char frame[256] = { 0 };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct timespec))];
	ssize_t len;

	for (;;) {
		struct iovec part = { frame, sizeof(frame) };
		struct msghdr message = { .msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control) };
		len = recvmsg(frames->fd, &message, MSG_DONTWAIT);
		if (len < 0)
			return;
		unsigned int got = (unsigned int)(frame[12] << 8 | frame[13]);
		if (len >= 42 && got == frames->type &&
		    (got != ETHERTYPE_IPV6 || frame[54] == 136) &&
		    frames->count < FRAMES_MAX)
			frames->at_ms[frames->count++] = time_of(&message);
	}
}

static bool
frames_came(void *arg)
{
	struct frames *frames = arg;

	read_frames(frames);
	return frames->count >= frames->want;
}

/* None has come since. */
static bool
is_silent(struct bed *bed, struct frames *frames, int64_t ms)
{
	read_frames(frames);
	frames->count = 0;
	run_for(bed->loop, ms);
	read_frames(frames);
	return frames->count == 0;
}

static int
open_frames(void)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)if_nametoindex("vb") };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)), on = 1;

	CU_ASSERT_FATAL(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	CU_ASSERT_FATAL(
	    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) == 0);
	return fd;
}

/* Five rounds, five more a second later, then each refresh, of whatever is new here; that it is
 * held again without the wish to announce it begins nothing anew. None comes too soon. */
static void
test_announce(void)
{
	static const int64_t at[] = { 0, 10, 20, 30, 40, 1000, 1010, 1020, 1030, 1040,
		1040 + REFRESH_MS, 1040 + 2 * REFRESH_MS };
	const size_t rounds = ARRAY_LENGTH(at);
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	int fd = open_frames();
	for (uint32_t vip = V4; vip <= V6; vip++) {
		size_t each = vip == V4 ? 2 : 1; /* ARP has two forms */
		struct frames frames = { .fd = fd,
			.type = vip == V4 ? ETHERTYPE_ARP : ETHERTYPE_IPV6,
			.want = each * rounds };
		int64_t ordered = clock_wall_ms();
		send_hold(&bed, vip, 1, clock_boot_ms() + LEASE_MS, vip == V6);
		CU_ASSERT(answered(&bed, WIRE_HELD, WIRE_REFUSAL_NONE));
		CU_ASSERT(hold(&bed, vip, 1, LEASE_MS));
		CU_ASSERT(until(bed.loop, frames_came, &frames, LIMIT_MS));
		int64_t late = pace_late_ms(bed.pace);
		for (size_t i = 0; i < rounds; i++)
			CU_ASSERT(frames.at_ms[i * each] - ordered >= at[i] - 2);
		CU_ASSERT(frames.at_ms[(rounds - 1) * each] - frames.at_ms[0] <=
		    at[rounds - 1] + 100 + (int64_t)rounds * late);
		CU_ASSERT(drop(&bed, vip, 1));
		CU_ASSERT(is_silent(&bed, &frames, REFRESH_MS + 100));
	}
	close(fd);
	bed_close(&bed);
}

#ifdef FENCED
/* What another warden had begun is begun again. */
static void
test_adopted(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	struct frames frames = { .fd = open_frames(), .type = ETHERTYPE_ARP };
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
	kill_warden(&bed);
	wire_free(bed.runner);
	CU_ASSERT(is_silent(&bed, &frames, 20));
	bed_start(&bed);
	frames.want = 2 * 10 + 2; /* rounds, and a refresh */
	CU_ASSERT(until(bed.loop, frames_came, &frames, LIMIT_MS));
	close(frames.fd);
	bed_close(&bed);
}
#endif

static void
test_ping(void)
{
	struct wire_message ping = { .type = WIRE_PING };
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	wire_send(bed.runner, &ping, -1);
	CU_ASSERT(until(bed.loop, pong_came, &bed, LIMIT_MS));
	bed_close(&bed);
}

/* ---- reloads ---- */

/* Removals of addresses that the kernel tells from now on. */
static int
watch_removals(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
	int fd =
	    socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	CU_ASSERT_FATAL(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static unsigned int
count_removals(int fd)
{
	_Alignas(struct nlmsghdr) char data[8192];
	unsigned int count = 0;

	while (recv(fd, data, sizeof(data), 0) > 0) {
		struct nlmsghdr head;
		memcpy(&head, data, sizeof(head));
		count += head.nlmsg_type == RTM_DELADDR;
	}
	return count;
}

static unsigned int
bits(unsigned int set)
{
	return (set & 1) + (set >> 1 & 1) + (set >> 2 & 1);
}

/* As the agent does, which orders it again as long as it confirms its lease: a kernel that
 * takes too long to set an address has it refused. */
static bool
hold_at_last(struct bed *bed, uint32_t vip, uint64_t term, int64_t lease_ms)
{
	int64_t end = clock_boot_ms() + lease_ms;

	do
		if (hold(bed, vip, term, lease_ms))
			return true;
	while (clock_boot_ms() < end);
	return false;
}

/* From every set of addresses, all of them held, to every other, in one order or the other: what is in
 * both stays and is never removed, what is in one is not there, and each is dropped by its
 * new index. */
static void
test_reload_sets(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	int fd = watch_removals();
	for (unsigned int pair = 0; pair < 8 * 8; pair++) {
		unsigned int from = pair % 8, to = pair / 8, both = from & to;
		bool back = (from + to) % 2 == 0;
		CU_ASSERT(reload(&bed, make_next(from, false, calm, "")));
		for (uint32_t i = 0; i < bits(from); i++)
			CU_ASSERT(hold_at_last(&bed, i, pair + 1, LEASE_MS));
		CU_ASSERT_EQUAL(all_set(), from);
		count_removals(fd);
		CU_ASSERT(reload(&bed, make_next(to, back, calm, "")));
		CU_ASSERT_EQUAL(all_set(), both);
		CU_ASSERT_EQUAL(count_removals(fd), bits(from & ~to));
		unsigned int left = to;
		for (uint32_t i = 0; i < bits(to); i++) {
			unsigned int bit = back ? FIRST << 2 : FIRST;
			while ((left & bit) == 0)
				bit = back ? bit >> 1 : bit << 1;
			left &= ~bit;
			CU_ASSERT(drop(&bed, i, pair + 1));
			CU_ASSERT_EQUAL(count_removals(fd), (both & bit) != 0 ? 1 : 0);
		}
	}
	close(fd);
	bed_close(&bed);
}

/* A lease goes on over a reload, and ends when it would have. */
static void
test_reload_lease(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	CU_ASSERT(hold(&bed, V4, 1, BRIEF_MS));
	int64_t end = bed.until_ms[V4];
	CU_ASSERT(reload(&bed,
	    make_next(FIRST, false, "failover { heartbeats = false lease = 40900ms }\n",
		"")));
	run_for(bed.loop, 0);
	CU_ASSERT_EQUAL(bed.told[V4].removed, 0);
	CU_ASSERT(until(bed.loop, v4_removed, &bed, LIMIT_MS));
	CU_ASSERT(ended_on_time(&bed, V4, end, 60));
	CU_ASSERT(hold(&bed, 0, 2, 40900)); /* the longer lease counts at once, … */
	CU_ASSERT(reload(&bed, make_next(FIRST, false, calm, "")));
	CU_ASSERT(hold(&bed, 0, 2, 40900)); /* … the shorter one when it can */
	CU_ASSERT(hold(&bed, 0, 2, LEASE_MS));
	send_hold(&bed, 0, 2, clock_boot_ms() + 40900, false);
	CU_ASSERT(answered(&bed, WIRE_REFUSED, WIRE_REFUSAL_TOO_LONG));
	bed_close(&bed);
}

static bool
is_recast(void *arg)
{
	return is_set(0, "24") && !is_set(0, "32");
}

static bool
is_cast_back(void *arg)
{
	return is_set(0, "32") && !is_set(0, "24");
}

static void
test_reload_prefix(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
	CU_ASSERT(reload(&bed, make_next(FIRST, false, calm, "/24")));
	CU_ASSERT(until(bed.loop, is_recast, &bed, LIMIT_MS));
	CU_ASSERT(is_leased(&bed, V4));
	CU_ASSERT(hold(&bed, 0, 1, LEASE_MS));
	CU_ASSERT(reload(&bed, make_next(FIRST, false, calm, "")));
	CU_ASSERT(until(bed.loop, is_cast_back, &bed, LIMIT_MS));
	CU_ASSERT(drop(&bed, 0, 1));
	CU_ASSERT_FALSE(is_there(V4));
	bed_close(&bed);
}

/* A new one that a crash left behind goes; its interface's state is told. */
static void
test_reload_leftover(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	struct conf *next = make_next(ALL, false, "", "");
	CU_ASSERT(netns_ip(0, "addr add 10.9.0.102/32 dev va", NULL, 0));
	CU_ASSERT_EQUAL(all_set(), THIRD);
	CU_ASSERT(reload(&bed, next));
	CU_ASSERT_EQUAL(all_set(), 0);
	CU_ASSERT(carrier_is(&bed, 2, 1));
	bed_close(&bed);
}

/* Nothing changes until the word is given, nor after it was taken back; a word for what was
 * not prepared ends it. */
static void
test_reload_aborted(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
	CU_ASSERT_FALSE(prepare_fd(&bed, STDIN_FILENO, 5));
	struct conf *next = make_next(SECOND, false, "", "");
	CU_ASSERT(prepare(&bed, next));
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
	send_step(&bed, WIRE_ABORT, next->generation);
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
	CU_ASSERT_EQUAL(all_set(), FIRST);
	send_step(&bed, WIRE_COMMIT, next->generation);
	CU_ASSERT_EQUAL(await_end(&bed), 1);
	conf_free(next);
	bed_close(&bed);
}

static const struct tap_case cases[] = {
	{ "a hold sets the address, a drop removes it", test_hold_and_drop },
	{ "what may not be held is refused, each with its reason", test_refusals },
	{ "the lease's end is kept to the moment", test_deadline },
#ifndef FENCED
	{ "a deadline that came nearer counts", test_shorter },
	{ "a killed warden's addresses end by themselves", test_killed },
	{ "what is there at the start ends, if it has no end", test_found_at_start },
	{ "all addresses are set in one go", test_batch },
	{ "what nobody orders loses nothing by that", test_along },
#endif
	{ "without the runner it ends and leaves the addresses", test_runner_gone },
	{ "agents come and go, the newest is obeyed", test_agents },
	{ "an agent hears what stands of an earlier one", test_standing },
	{ "what somebody removed is put back", test_put_back },
	{ "what is removed again and again is given up", test_given_up },
	{ "what somebody else adds is told", test_foreign },
	{ "the state of each interface is told", test_carrier },
	{ "an interface does not take the address to another name", test_rename },
	{ "an address is announced, and again", test_announce },
#ifdef FENCED
	{ "an address that is taken over is announced", test_adopted },
#endif
	{ "it answers that it is alive", test_ping },
	{ "a reload keeps what stays and removes what goes", test_reload_sets },
	{ "a reload keeps to a lease", test_reload_lease },
	{ "a reload changes a prefix", test_reload_prefix },
	{ "a reload looks for what was left behind", test_reload_leftover },
	{ "a reload may be taken back", test_reload_aborted },
};

int
main(int argc, char **argv)
{
	int status = tap_apart(argc, argv, cases, ARRAY_LENGTH(cases));
	if (status >= 0)
		return status;
	if (!bed_enter())
		return 0;
	return tap_main(argc, argv, "warden", cases, ARRAY_LENGTH(cases));
}
