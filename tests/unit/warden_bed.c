/* SPDX-License-Identifier: ISC */
/*
 * A warden as a process of its own on a veth pair (va, vb) of a network namespace of the
 * test's own, which is its runner and its agent. Compiled once for each kind of fence.
 */
#include "tests/unit/warden_bed.h"

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
#include "agent/warden/warden.h"
#include "tests/unit/fence_bed.h"
#include "tests/unit/netns.h"
#include "tests/unit/pace.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

const char *const texts[VIPS] = { "10.9.0.100", "fd00:9::100", "10.9.0.101" };

#ifdef FENCED
const enum wire_fence fence_kind = WIRE_FENCE_BPF;
#else
const enum wire_fence fence_kind = WIRE_FENCE_LIFETIME;
#endif

bool
bed_enter(void)
{
#ifdef FENCED
	return fence_bed_enter();
#else
	return netns_enter();
#endif
}

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
tell_carrier(struct bed *bed, uint32_t vip, bool up)
{
	if (vip < VIPS)
		bed->up[vip] = up;
}

/* Before anything else. */
static void
tell_standing(struct bed *bed, const struct wire_stands *stands)
{
	CU_ASSERT_FATAL(stands->vip < VIPS);
	CU_ASSERT_EQUAL(bed->up[stands->vip], -1);
	bed->stands[stands->vip] = stands->until_ms;
}

static void
on_agent_message(void *arg, const struct wire_message *message, int fd)
{
	struct bed *bed = arg;

	if (message->type == WIRE_CARRIER)
		tell_carrier(bed, message->carrier.vip, message->carrier.up != 0);
	else if (message->type == WIRE_STANDS)
		tell_standing(bed, &message->stands);
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

void
send_fence(struct bed *bed, enum wire_fence kind, bool fixed)
{
	struct wire_message message = { .type = WIRE_FENCE,
		.fence = { .kind = kind, .fixed = fixed, .ok = 1 } };

	bed->fenced = 0;
	wire_send(bed->runner, &message, -1);
}

bool
fence_answered(void *arg)
{
	struct bed *bed = arg;

	return bed->fenced > 0;
}

void
link_agent(struct bed *bed, uint32_t instance)
{
	struct wire_message message = { .type = WIRE_LINK, .link = { instance } };
	struct wire_out out = {
		.message = on_agent_message, .closed = on_agent_closed, .arg = bed
	};
	int fds[2];

	CU_ASSERT_FATAL(wire_pair(fds) == 0);
	wire_free(bed->agent);
	for (size_t i = 0; i < VIPS; i++) {
		bed->up[i] = -1;
		bed->stands[i] = 0;
	}
	bed->agent_closed = false;
	bed->instance = instance;
	bed->agent =
	    wire_new(bed->loop, fds[0], WIRE_AGENT, WIRE_WARDEN, bed->generation, &out);
	wire_send(bed->runner, &message, fds[1]);
	close(fds[1]);
}

bool
carriers_told(void *arg)
{
	struct bed *bed = arg;

	return bed->up[V4] >= 0 && bed->up[V6] >= 0 && bed->up[MISSING] >= 0;
}

bool
agent_closed(void *arg)
{
	struct bed *bed = arg;

	return bed->agent_closed;
}

bool
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
		if (present) {
			told->valid_s = address->valid_s;
		} else {
			told->removed_at = clock_boot_ms();
			told->hooks = bed->hooks;
		}
	}
}

static void
on_kernel_link(void *arg, const struct netlink_link *link, bool gone)
{
}

static void
on_kernel_hook(void *arg, unsigned int ifindex)
{
	struct bed *bed = arg;

	bed->hooks++;
}

static void
on_kernel_lost(void *arg)
{
	CU_FAIL("events were lost");
}

/* What the kernel says from now on. */
void
forget_told(struct bed *bed)
{
	run_for(bed->loop, 0);
	memset(bed->told, 0, sizeof(bed->told));
	bed->hooks = 0;
}

bool
v4_removed(void *arg)
{
	return ((struct bed *)arg)->told[V4].removed > 0;
}

bool
both_removed(void *arg)
{
	const struct bed *bed = arg;

	return bed->told[V4].removed > 0 && bed->told[V6].removed > 0;
}

bool
both_set(void *arg)
{
	const struct bed *bed = arg;

	return bed->told[V4].set > 0 && bed->told[V6].set > 0;
}

/* Not later than `slack_ms` after its end, as far as this machine is to blame for the rest:
 * it makes the warden late, and this test. */
bool
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

void
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
		.hook = on_kernel_hook,
		.lost = on_kernel_lost };
	static const struct netlink_address nobody = {
		.family = AF_INET, .prefix = 32, .ifindex = 1
	};
	struct netlink **netlink = arg;

	if (*netlink == NULL)
		*netlink = netlink_new(loop_new(), &out);
	netlink_delete(*netlink, &nobody);
}

void
bed_open(struct bed *bed)
{
	struct netlink *floor = NULL;
	struct netlink_out out = { .address = on_kernel_address,
		.link = on_kernel_link,
		.hook = on_kernel_hook,
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

void
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
int
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

void
kill_warden(struct bed *bed)
{
	if (bed->pid > 0) {
		kill(bed->pid, SIGKILL);
		waitpid(bed->pid, NULL, 0);
	}
	bed->pid = -1;
}

/* The warden ends by itself when the runner does. */
void
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

bool
is_there(unsigned int vip)
{
	char words[64], text[512];

	snprintf(words, sizeof(words), "-o addr show to %s", texts[vip]);
	return netns_ip(0, words, text, sizeof(text)) && text[0] != '\0';
}

/* The kernel's lifetime in seconds; -1: for ever, or not there. */
long
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

bool
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
bool
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
bool
is_leased(const struct bed *bed, unsigned int vip)
{
	int64_t before = clock_boot_ms();
	int64_t left_ms = lifetime(vip) * 1000;
	int64_t after = clock_boot_ms(), until_ms = bed->until_ms[vip];

	return left_ms > 0 && before + left_ms - 1000 <= until_ms + LATE_MS &&
	    after + left_ms >= until_ms - 1000 - LATE_MS;
}
#endif

bool
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

void
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
	if (vip < VIPS)
		bed->until_ms[vip] = until_ms;
	wire_send(bed->agent, &message, -1);
}

void
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

bool
await_answers(struct bed *bed, size_t count)
{
	bed->wanted = bed->count + count;
	return until(bed->loop, enough_answers, bed, LIMIT_MS);
}

/* The one answer to the newest order. */
bool
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

bool
hold(struct bed *bed, uint32_t vip, uint64_t term, int64_t lease_ms)
{
	send_hold(bed, vip, term, clock_boot_ms() + lease_ms, false);
	return answered(bed, WIRE_HELD, WIRE_REFUSAL_NONE);
}

bool
drop(struct bed *bed, uint32_t vip, uint64_t up_to)
{
	send_drop(bed, vip, up_to);
	return answered(bed, WIRE_GONE, WIRE_REFUSAL_NONE);
}

/* ---- reloads ---- */

static const char *const addresses[] = { "10.9.0.100", "fd00:9::100", "10.9.0.102" };

const char calm[] = "failover { heartbeats = false lease = 20900ms }\n"; /* LEASE_MS */

bool
is_set(size_t i, const char *prefix)
{
	char words[64], text[512], want[64];

	snprintf(words, sizeof(words), "-o addr show dev va to %s", addresses[i]);
	snprintf(want, sizeof(want), "%s/%s ", addresses[i], prefix);
	return netns_ip(0, words, text, sizeof(text)) && strstr(text, want) != NULL;
}

unsigned int
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
struct conf *
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

bool
prepare_fd(struct bed *bed, int fd, uint64_t next)
{
	struct wire_message message = { .type = WIRE_PREPARE, .prepare = { next } };

	bed->prepared = 0;
	wire_send(bed->runner, &message, fd);
	return until(bed->loop, prepared, bed, LIMIT_MS) && !bed->refused;
}

bool
prepare(struct bed *bed, const struct conf *next)
{
	int fd = conf_send(next);
	bool good = fd >= 0 && prepare_fd(bed, fd, next->generation);

	cleanup_close(&fd);
	return good;
}

void
send_step(struct bed *bed, uint32_t type, uint64_t next)
{
	struct wire_message message = { .type = type, .step = { next } };

	wire_send(bed->runner, &message, -1);
}

/* The warden is to turn to it, and the agent gets another link. */
bool
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
