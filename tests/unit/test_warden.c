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
#include "tests/unit/fence_bed.h"
#include "tests/unit/netns.h"
#include "tests/unit/pace.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define LIMIT_MS 20000 /* for what must come; no test waits so long unless it fails */
/* Almost a second more than what the kernel is told: it has that long to set an address. */
#define LEASE_MS 20900
#define BRIEF_MS 2900 /* of a lease whose end is awaited */
#define LATE_MS 50 /* so far a lifetime may reach beyond the lease */
#define REFRESH_MS 300
#define ANSWERS_MAX 64

enum { V4, V6, MISSING, VIPS };
static const char *const texts[VIPS] = { "10.9.0.100", "fd00:9::100", "10.9.0.101" };

struct bed {
	struct loop *loop;
	struct conf conf;
	struct conf_vip vips[VIPS], *pointers[VIPS];
	struct wire *runner, *agent;
	pid_t pid;
	uint32_t instance;
	uint64_t order;
	uint32_t ordered; /* the vip of that order */
	struct wire_message answers[ANSWERS_MAX];
	size_t count, wanted;
	int up[VIPS]; /* -1: not told */
	unsigned int pongs, prepared, committed;
	bool agent_closed, refused;
	uint64_t generation;
	struct pace *pace;
	struct netlink *kernel;
	struct told {
		unsigned int set, removed; /* so often */
		uint32_t valid_s; /* of the newest */
		int64_t removed_at;
	} told[VIPS]; /* by the kernel */
	int64_t until_ms[VIPS]; /* of the newest hold */
	enum wire_fence kind;
	const char *folder; /* of the fence; NULL: there is none */
	unsigned int fenced; /* answers of the warden to it */
	struct wire_fenced fence; /* the newest */
	unsigned int rivals[2]; /* told, by wire_rival_kind */
};

/* Of the beds to be opened: this is compiled for either. */
#ifdef FENCED
static const enum wire_fence fence_kind = WIRE_FENCE_BPF;
#else
static const enum wire_fence fence_kind = WIRE_FENCE_LIFETIME;
#endif

static void
on_runner_message(void *arg, const struct wire_message *message, int fd)
{
	struct bed *bed = arg;

	bed->pongs += message->type == WIRE_PONG;
	bed->prepared += message->type == WIRE_PREPARED;
	bed->committed += message->type == WIRE_COMMITTED;
	if (message->type == WIRE_FENCED) {
		bed->fenced++;
		bed->fence = message->fenced;
	}
	if (message->type == WIRE_PREPARED)
		bed->refused = message->prepared.ok == 0;
	else if (message->type == WIRE_COMMITTED)
		CU_ASSERT_EQUAL(message->generation, bed->generation);
}

static void
on_agent_message(void *arg, const struct wire_message *message, int fd)
{
	struct bed *bed = arg;

	if (message->type == WIRE_CARRIER)
		bed->up[message->carrier.vip] = message->carrier.up != 0;
	else if (message->type == WIRE_RIVAL)
		bed->rivals[message->rival.kind]++;
	else if (bed->count < ANSWERS_MAX)
		bed->answers[bed->count++] = *message;
}

static void
on_runner_closed(void *arg, const char *why)
{
}

static void
on_agent_closed(void *arg, const char *why)
{
	struct bed *bed = arg;

	bed->agent_closed = true;
}

static void
send_fence(struct bed *bed, enum wire_fence kind, bool fixed)
{
	struct wire_message message = { .type = WIRE_FENCE,
		.fence = { .kind = kind, .fixed = fixed, .ok = 1 } };

	bed->fenced = 0;
	wire_send(bed->runner, &message, -1);
}

static bool
fence_answered(void *arg)
{
	struct bed *bed = arg;

	return bed->fenced > 0;
}

static void
link_agent(struct bed *bed, uint32_t instance)
{
	struct wire_message message = { .type = WIRE_LINK, .link = { instance } };
	struct wire_out out = {
		.message = on_agent_message, .closed = on_agent_closed, .arg = bed
	};
	int fds[2];

	CU_ASSERT_FATAL(wire_pair(fds) == 0);
	wire_free(bed->agent);
	for (size_t i = 0; i < VIPS; i++)
		bed->up[i] = -1;
	bed->agent_closed = false;
	bed->instance = instance;
	bed->agent =
	    wire_new(bed->loop, fds[0], WIRE_AGENT, WIRE_WARDEN, bed->generation, &out);
	wire_send(bed->runner, &message, fds[1]);
	close(fds[1]);
}

static bool
carriers_told(void *arg)
{
	struct bed *bed = arg;

	return bed->up[V4] >= 0 && bed->up[V6] >= 0 && bed->up[MISSING] >= 0;
}

static bool
agent_closed(void *arg)
{
	struct bed *bed = arg;

	return bed->agent_closed;
}

static bool
pong_came(void *arg)
{
	struct bed *bed = arg;

	return bed->pongs > 0;
}

static bool
enough_answers(void *arg)
{
	struct bed *bed = arg;

	return bed->count >= bed->wanted;
}

static void
on_kernel_address(void *arg, const struct netlink_address *address, bool present)
{
	struct bed *bed = arg;

	for (size_t i = 0; i < VIPS; i++) {
		struct told *told = &bed->told[i];
		if (bed->vips[i].family != address->family ||
		    memcmp(bed->vips[i].address, address->address,
			address->family == AF_INET ? 4 : 16) != 0)
			continue;
		told->set += present;
		told->removed += !present;
		if (present)
			told->valid_s = address->valid_s;
		else
			told->removed_at = clock_boot_ms();
	}
}

static void
on_kernel_link(void *arg, const struct netlink_link *link, bool gone)
{
}

static void
on_kernel_lost(void *arg)
{
	CU_FAIL("events were lost");
}

/* What the kernel says from now on. */
static void
forget_told(struct bed *bed)
{
	run_for(bed->loop, 0);
	memset(bed->told, 0, sizeof(bed->told));
}

static bool
v4_removed(void *arg)
{
	return ((struct bed *)arg)->told[V4].removed > 0;
}

static bool
both_removed(void *arg)
{
	const struct bed *bed = arg;

	return bed->told[V4].removed > 0 && bed->told[V6].removed > 0;
}

static bool
both_set(void *arg)
{
	const struct bed *bed = arg;

	return bed->told[V4].set > 0 && bed->told[V6].set > 0;
}

/* Not later than `slack_ms` after its end, as far as this machine is to blame for the rest:
 * it makes the warden late, and this test. */
static bool
ended_on_time(const struct bed *bed, unsigned int vip, int64_t end, int64_t slack_ms)
{
	int64_t late = bed->told[vip].removed_at - end;
	int64_t limit = slack_ms + 2 * pace_late_ms(bed->pace);

	if (late > limit)
		printf("# %s: %lld ms late, limit %lld\n", texts[vip], (long long)late,
		    (long long)limit);
	return late <= limit;
}

static void
make_conf(struct bed *bed)
{
	bed->conf = (struct conf){ .generation = 1,
		.lease_ms = LEASE_MS,
		.vips = bed->pointers,
		.n_vips = VIPS };
	for (uint32_t i = 0; i < VIPS; i++) {
		struct conf_vip *vip = &bed->vips[i];
		*vip = (struct conf_vip){ .index = i,
			.text = xstrdup(texts[i]),
			.family = i == V6 ? AF_INET6 : AF_INET,
			.prefix = i == V6 ? 128 : 32,
			.interface = xstrdup(i == MISSING ? "vx" : "va"),
			.announce_refresh_ms = REFRESH_MS };
		inet_pton(vip->family, vip->text, vip->address);
		bed->pointers[i] = vip;
	}
}

static void
start_warden(struct bed *bed)
{
	struct wire_out out = {
		.message = on_runner_message, .closed = on_runner_closed, .arg = bed
	};
	int fds[2];

	CU_ASSERT_FATAL(wire_pair(fds) == 0);
	bed->pid = fork();
	if (bed->pid == 0) {
		close(fds[0]);
		exit(warden_main(&bed->conf, fds[1], bed->folder));
	}
	close(fds[1]);
	bed->runner = wire_new(bed->loop, fds[0], WIRE_RUNNER, WIRE_WARDEN, 1, &out);
}

/* To be woken up, and to have the kernel look for an address that is not there, which waits
 * for all who change interfaces, as setting one does. */
static void
order_nothing(void *arg)
{
	static const struct netlink_out out = { .address = on_kernel_address,
		.link = on_kernel_link,
		.lost = on_kernel_lost };
	static const struct netlink_address nobody = {
		.family = AF_INET, .prefix = 32, .ifindex = 1
	};
	struct netlink **netlink = arg;

	if (*netlink == NULL)
		*netlink = netlink_new(loop_new(), &out);
	netlink_delete(*netlink, &nobody);
}

static void
bed_open(struct bed *bed)
{
	struct netlink *floor = NULL;
	struct netlink_out out = { .address = on_kernel_address,
		.link = on_kernel_link,
		.lost = on_kernel_lost,
		.arg = bed };

	*bed = (struct bed){ .pid = -1,
		.generation = 1,
		.pace = pace_new(5, order_nothing, &floor),
		.kind = fence_kind };
	if (fence_kind == WIRE_FENCE_BPF)
		bed->folder = FENCE_BED_FOLDER;
	make_conf(bed);
	CU_ASSERT_FATAL(netns_ip(0, "link add va type veth peer name vb", NULL, 0));
	CU_ASSERT_FATAL(netns_ip(0, "link set va up", NULL, 0));
	CU_ASSERT_FATAL(netns_ip(0, "link set vb up", NULL, 0));
	bed->loop = loop_new();
	bed->kernel = netlink_new(bed->loop, &out);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bed->kernel);
}

static void
bed_start(struct bed *bed)
{
	start_warden(bed);
	send_fence(bed, bed->kind, true);
	CU_ASSERT(until(bed->loop, fence_answered, bed, LIMIT_MS));
	CU_ASSERT(bed->fence.ok == 1 && bed->fence.kind == bed->kind);
	if (bed->fence.ok == 0)
		printf("# %s\n", bed->fence.why);
	link_agent(bed, 1);
	CU_ASSERT(until(bed->loop, carriers_told, bed, LIMIT_MS));
}

/* Its exit status, or -1. */
static int
await_end(struct bed *bed)
{
	int64_t end = clock_boot_ms() + LIMIT_MS;
	int status;
	pid_t got = 0;

	while (got == 0 && clock_boot_ms() < end) {
		got = waitpid(bed->pid, &status, WNOHANG);
		run_for(bed->loop, 10);
	}
	if (got == bed->pid)
		bed->pid = -1;
	return got != 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
kill_warden(struct bed *bed)
{
	if (bed->pid > 0) {
		kill(bed->pid, SIGKILL);
		waitpid(bed->pid, NULL, 0);
	}
	bed->pid = -1;
}

/* The warden ends by itself when the runner does. */
static void
bed_close(struct bed *bed)
{
	wire_free(bed->runner);
	bed->runner = NULL;
	if (bed->pid > 0)
		CU_ASSERT_EQUAL(await_end(bed), 0);
	kill_warden(bed);
	wire_free(bed->agent);
	netlink_free(bed->kernel);
	loop_free(bed->loop);
	pace_free(bed->pace);
	netns_ip(0, "link del va", NULL, 0);
	for (size_t i = 0; i < VIPS; i++) {
		free(bed->vips[i].text);
		free(bed->vips[i].interface);
	}
}

static bool
is_there(unsigned int vip)
{
	char words[64], text[512];

	snprintf(words, sizeof(words), "-o addr show to %s", texts[vip]);
	return netns_ip(0, words, text, sizeof(text)) && text[0] != '\0';
}

/* The kernel's lifetime in seconds; -1: for ever, or not there. */
static long
lifetime(unsigned int vip)
{
	char words[64], text[512];

	snprintf(words, sizeof(words), "-o addr show to %s", texts[vip]);
	if (!netns_ip(0, words, text, sizeof(text)))
		return -1;
	const char *at = strstr(text, "valid_lft ");
	return at == NULL || strncmp(at + 10, "forever", 7) == 0
	    ? -1
	    : strtol(at + 10, NULL, 10);
}

static bool
await_there(struct bed *bed, unsigned int vip, bool there)
{
	int64_t end = clock_boot_ms() + LIMIT_MS;
	bool is = is_there(vip);

	while (is != there && clock_boot_ms() < end) {
		run_for(bed->loop, 10);
		is = is_there(vip);
	}
	return is == there;
}

#ifdef FENCED
/* It is there for a while, and the fence has its deadline. */
static bool
is_leased(const struct bed *bed, unsigned int vip)
{
	long left_s = lifetime(vip);
	int64_t deadline =
	    fence_bed_deadline(bed->vips[vip].family, bed->vips[vip].address);

	return left_s > 0 && left_s <= 10 && deadline == bed->until_ms[vip];
}
#else
/* It is there, and the kernel lets go in the last second of its lease, whenever this is
 * asked: of what the kernel tells the second that has begun counts in full. */
static bool
is_leased(const struct bed *bed, unsigned int vip)
{
	int64_t before = clock_boot_ms();
	int64_t left_ms = lifetime(vip) * 1000;
	int64_t after = clock_boot_ms(), until_ms = bed->until_ms[vip];

	return left_ms > 0 && before + left_ms - 1000 <= until_ms + LATE_MS &&
	    after + left_ms >= until_ms - 1000 - LATE_MS;
}
#endif

static bool
await_leased(struct bed *bed, unsigned int vip)
{
	int64_t end = clock_boot_ms() + LIMIT_MS;
	bool leased = is_leased(bed, vip);

	while (!leased && clock_boot_ms() < end) {
		run_for(bed->loop, 10);
		leased = is_leased(bed, vip);
	}
	return leased;
}

static void
send_hold(struct bed *bed, uint32_t vip, uint64_t term, int64_t until_ms, bool announce)
{
	struct wire_message message = { .type = WIRE_HOLD,
		.hold = { .order = ++bed->order,
		    .vip = vip,
		    .instance = bed->instance,
		    .term = term,
		    .until_ms = until_ms,
		    .announce = announce,
		    .fence = bed->kind } };

	bed->ordered = vip;
	bed->until_ms[vip] = until_ms;
	wire_send(bed->agent, &message, -1);
}

static void
send_drop(struct bed *bed, uint32_t vip, uint64_t up_to)
{
	struct wire_message message = { .type = WIRE_DROP,
		.drop = { .order = ++bed->order,
		    .vip = vip,
		    .instance = bed->instance,
		    .up_to = up_to } };

	bed->ordered = vip;
	wire_send(bed->agent, &message, -1);
}

static bool
await_answers(struct bed *bed, size_t count)
{
	bed->wanted = bed->count + count;
	return until(bed->loop, enough_answers, bed, LIMIT_MS);
}

/* The one answer to the newest order. */
static bool
answered(struct bed *bed, enum wire_type type, enum wire_refusal reason)
{
	bool came = await_answers(bed, 1);
	const struct wire_message *last = &bed->answers[bed->count - 1];

	bool as_wanted = came && last->type == type && last->answer.reason == reason &&
	    last->answer.order == bed->order && last->answer.vip == bed->ordered;
	if (came && !as_wanted)
		printf("# %s: %s\n", wire_type_name(last->type),
		    wire_refusal_text(last->answer.reason));
	bed->count = 0;
	return as_wanted;
}

static bool
hold(struct bed *bed, uint32_t vip, uint64_t term, int64_t lease_ms)
{
	send_hold(bed, vip, term, clock_boot_ms() + lease_ms, false);
	return answered(bed, WIRE_HELD, WIRE_REFUSAL_NONE);
}

static bool
drop(struct bed *bed, uint32_t vip, uint64_t up_to)
{
	send_drop(bed, vip, up_to);
	return answered(bed, WIRE_GONE, WIRE_REFUSAL_NONE);
}

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
static void
test_found_at_start(void)
{
	struct bed bed;

	bed_open(&bed);
	CU_ASSERT(netns_ip(0, "addr add 10.9.0.100/32 dev va", NULL, 0));
	CU_ASSERT(netns_ip(0,
	    "addr add fd00:9::100/128 dev va valid_lft 300 "
	    "preferred_lft 0",
	    NULL, 0));
	bed_start(&bed);
	CU_ASSERT_FALSE(is_there(V4));
	CU_ASSERT(lifetime(V6) > 200);
	send_hold(
	    &bed, V6, 1, clock_boot_ms() + 500, false); /* it would outlast that */
	CU_ASSERT(answered(&bed, WIRE_REFUSED, WIRE_REFUSAL_PAST));
	CU_ASSERT_FALSE(is_there(V6));
	bed_close(&bed);
}
#endif

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
	unsigned char frame[256];
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

/* Five rounds, five more a second later, then each refresh; that it is held again without the
 * wish to announce it begins nothing anew. None comes sooner than the first was late. */
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
		CU_ASSERT(hold(&bed, vip, 1, LEASE_MS));
		CU_ASSERT(is_silent(&bed, &frames, 60));
		send_hold(&bed, vip, 1, clock_boot_ms() + LEASE_MS, true);
		CU_ASSERT(answered(&bed, WIRE_HELD, WIRE_REFUSAL_NONE));
		CU_ASSERT(hold(&bed, vip, 1, LEASE_MS));
		CU_ASSERT(until(bed.loop, frames_came, &frames, LIMIT_MS));
		int64_t late = pace_late_ms(bed.pace);
		for (size_t i = 0; i < rounds; i++)
			CU_ASSERT(frames.at_ms[i * each] - frames.at_ms[0] >=
			    at[i] - 2 - late);
		CU_ASSERT(frames.at_ms[(rounds - 1) * each] - frames.at_ms[0] <=
		    at[rounds - 1] + 100 + (int64_t)rounds * late);
		CU_ASSERT(drop(&bed, vip, 1));
		CU_ASSERT(is_silent(&bed, &frames, REFRESH_MS + 100));
	}
	close(fd);
	bed_close(&bed);
}

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

/* The three of these tests, by bits. */
enum { FIRST = 1, SECOND = 2, THIRD = 4, ALL = 7 };
static const char *const addresses[] = { "10.9.0.100", "fd00:9::100", "10.9.0.102" };

static const char calm[] = "failover { lease = 20900ms }\n"; /* LEASE_MS */

static bool
is_set(size_t i, const char *prefix)
{
	char words[64], text[512], want[64];

	snprintf(words, sizeof(words), "-o addr show dev va to %s", addresses[i]);
	snprintf(want, sizeof(want), "%s/%s ", addresses[i], prefix);
	return netns_ip(0, words, text, sizeof(text)) && strstr(text, want) != NULL;
}

static unsigned int
all_set(void)
{
	char text[2048];
	unsigned int set = 0;

	CU_ASSERT(netns_ip(0, "-o addr show dev va", text, sizeof(text)));
	for (size_t i = 0; i < ARRAY_LENGTH(addresses); i++)
		set |= strstr(text, addresses[i]) != NULL ? 1u << i : 0;
	return set;
}

/* Of these addresses, from the last to the first if `back`; `options` of the failover section,
 * `prefix` behind the first address. */
static struct conf *
make_next(unsigned int set, bool back, const char *options, const char *prefix)
{
	struct buf text = { .limit = 4096 };
	char error[CONF_ERROR_MAX] = "";

	buf_printf(&text, "%s", options);
	for (size_t j = 0; j < ARRAY_LENGTH(addresses); j++) {
		size_t i = back ? ARRAY_LENGTH(addresses) - 1 - j : j;
		if ((set & 1u << i) != 0)
			buf_printf(&text,
			    "role \"r%zu\" { vip \"%s%s\" { interface = \"va\" } }\n",
			    i, addresses[i], i == 0 ? prefix : "");
	}
	const char *roles = strstr(text.len > 0 ? text.data : "", "role");
	struct bundle_file files[] = { { "environment", "", 0 },
		{ "lictor.conf", options, strlen(options) },
		{ "a.conf", roles != NULL ? roles : "",
		    roles != NULL ? strlen(roles) : 0 } };
	struct conf *conf = conf_parse(bundle_new(files, 3), error);
	buf_free(&text);
	if (conf == NULL)
		printf("# %s\n", error);
	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	return conf;
}

static bool
prepared(void *arg)
{
	return ((struct bed *)arg)->prepared > 0;
}

static bool
committed(void *arg)
{
	return ((struct bed *)arg)->committed > 0;
}

static bool
prepare_fd(struct bed *bed, int fd, uint64_t next)
{
	struct wire_message message = { .type = WIRE_PREPARE, .prepare = { next } };

	bed->prepared = 0;
	wire_send(bed->runner, &message, fd);
	return until(bed->loop, prepared, bed, LIMIT_MS) && !bed->refused;
}

static bool
prepare(struct bed *bed, const struct conf *next)
{
	int fd = conf_send(next);
	bool good = fd >= 0 && prepare_fd(bed, fd, next->generation);

	cleanup_close(&fd);
	return good;
}

static void
send_step(struct bed *bed, uint32_t type, uint64_t next)
{
	struct wire_message message = { .type = type, .step = { next } };

	wire_send(bed->runner, &message, -1);
}

/* The warden is to turn to it, and the agent gets another link. */
static bool
reload(struct bed *bed, struct conf *next)
{
	bool good = prepare(bed, next);

	bed->committed = 0;
	send_step(bed, WIRE_COMMIT, next->generation);
	bed->generation = next->generation;
	wire_turn(bed->runner, bed->generation);
	good = good && until(bed->loop, committed, bed, LIMIT_MS);
	link_agent(bed, bed->instance);
	conf_free(next);
	return good;
}

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
	CU_ASSERT(reload(
	    &bed, make_next(FIRST, false, "failover { lease = 40900ms }\n", "")));
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
#endif
	{ "without the runner it ends and leaves the addresses", test_runner_gone },
	{ "agents come and go, the newest is obeyed", test_agents },
	{ "what somebody removed is put back", test_put_back },
	{ "the state of each interface is told", test_carrier },
	{ "an interface does not take the address to another name", test_rename },
	{ "an address is announced, and again", test_announce },
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
#ifdef FENCED
	if (!fence_bed_enter())
		return 0;
#else
	if (!netns_enter())
		return 0;
#endif
	return tap_main(argc, argv, "warden", cases, ARRAY_LENGTH(cases));
}
