/* SPDX-License-Identifier: ISC */
/*
 * What the bpf fence asks of the warden beyond what both kinds do alike (test_warden, compiled
 * for either). The rule of most cases: whatever happens, an address is on an interface only
 * while the fence stands on all of them, and the map's deadline is that of the newest hold
 * that was answered, or 0.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/bundle.h"
#include "agent/warden/fence_map.h"
#include "agent/warden/warden.h"
#include "tests/unit/fence_bed.h"
#include "tests/unit/netns.h"
#include "tests/unit/pace.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"
#include "tests/unit/warden_bed.h"

#define TIMES 10
#define MANY 100

static int64_t
deadline(const struct bed *bed, unsigned int vip)
{
	return fence_bed_deadline(bed->vips[vip].family, bed->vips[vip].address);
}

static bool
is_hooked(const struct bed *bed, const char *name)
{
	struct netlink_hook hook;
	unsigned int ifindex = if_nametoindex(name);

	for (int out = 0; out <= 1; out++)
		if (netlink_hooks(bed->kernel, ifindex, out == 1, FENCE_PRIORITY,
			FENCE_HANDLE, &hook) != 0 ||
		    hook.fixed.handle == 0)
			return false;
	return true;
}

static bool
is_whole(void *arg)
{
	return is_hooked(arg, "va") && is_hooked(arg, "vb");
}

/* As `tc qdisc del dev NAME clsact`. */
static bool
tear_down(const char *name)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex(name),
	    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

	return bpf_tc_hook_destroy(&hook) == 0;
}

/* Mute at every end, and before each beginning. */
static void
test_deadlines(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	CU_ASSERT(is_whole(&bed));
	for (uint32_t vip = V4; vip <= V6; vip++) {
		CU_ASSERT_EQUAL(deadline(&bed, vip), 0);
		CU_ASSERT(hold(&bed, vip, 1, LEASE_MS));
		CU_ASSERT_EQUAL(deadline(&bed, vip), bed.until_ms[vip]);
		CU_ASSERT(hold(&bed, vip, 1, LEASE_MS / 2)); /* nearer, too */
		CU_ASSERT_EQUAL(deadline(&bed, vip), bed.until_ms[vip]);
		int64_t before = bed.until_ms[vip];
		send_hold(&bed, vip, 1, clock_boot_ms() + 2 * LEASE_MS, false);
		CU_ASSERT(answered(&bed, WIRE_REFUSED, WIRE_REFUSAL_TOO_LONG));
		CU_ASSERT_EQUAL(deadline(&bed, vip), before);
		CU_ASSERT(drop(&bed, vip, 1));
		CU_ASSERT_EQUAL(deadline(&bed, vip), 0);
		CU_ASSERT(hold(&bed, vip, 2, 300)); /* no whole second is needed */
		CU_ASSERT(await_there(&bed, vip, false));
		CU_ASSERT_EQUAL(deadline(&bed, vip), 0);
		CU_ASSERT(hold(&bed, vip, 2, LEASE_MS));
		send_hold(&bed, vip, 2, clock_boot_ms() - 1, false);
		CU_ASSERT(answered(&bed, WIRE_REFUSED, WIRE_REFUSAL_PAST));
		CU_ASSERT_FALSE(is_there(vip));
		CU_ASSERT_EQUAL(deadline(&bed, vip), 0);
	}
	CU_ASSERT_EQUAL(deadline(&bed, MISSING), 0);
	bed_close(&bed);
}

/* Orders come many times a second, the kernel is told each three seconds; and without any
 * order as well. */
static void
test_refresh(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	int64_t end = clock_boot_ms() + 7500;
	while (clock_boot_ms() < end) {
		CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
		if (bed.told[V6].set == 0)
			CU_ASSERT(hold(&bed, V6, 1, LEASE_MS));
		run_for(bed.loop, 50);
	}
	for (unsigned int vip = V4; vip <= V6; vip++) {
		CU_ASSERT(bed.told[vip].set == 3 || bed.told[vip].set == 2);
		CU_ASSERT_EQUAL(bed.told[vip].removed, 0);
		CU_ASSERT(lifetime(vip) > 4);
	}
	bed_close(&bed);
}

/* Each time the address is away before the fence is back, and then comes again by itself. */
static void
test_torn_down(void)
{
	struct bed bed;
	bool back = true;

	bed_open(&bed);
	bed_start(&bed);
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS) && hold(&bed, V6, 1, LEASE_MS));
	for (int i = 0; i < TIMES && back; i++) {
		forget_told(&bed);
		CU_ASSERT(tear_down(i % 2 == 0 ? "va" : "vb"));
		back = until(bed.loop, both_removed, &bed, LIMIT_MS) &&
		    until(bed.loop, both_set, &bed, LIMIT_MS);
		CU_ASSERT(back);
		CU_ASSERT(bed.told[V4].hooks == 1 && bed.told[V6].hooks == 1);
		CU_ASSERT(is_whole(&bed));
		CU_ASSERT_EQUAL(bed.told[V4].removed, 1);
		CU_ASSERT_EQUAL(bed.told[V6].removed, 1);
		CU_ASSERT(is_leased(&bed, V4) && is_leased(&bed, V6));
	}
	CU_ASSERT_EQUAL(bed.rivals[WIRE_RIVAL_REMOVED], 0);
	for (int out = 0; out <= 1; out++) { /* one way will do */
		forget_told(&bed);
		CU_ASSERT_EQUAL(netlink_hook_delete(bed.kernel, if_nametoindex("vb"),
				    out == 1, FENCE_PRIORITY, FENCE_HANDLE),
		    0);
		CU_ASSERT(until(bed.loop, both_removed, &bed, LIMIT_MS));
		CU_ASSERT(until(bed.loop, both_set, &bed, LIMIT_MS));
		CU_ASSERT(is_whole(&bed));
	}
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS) && drop(&bed, V4, 1));
	bed_close(&bed);
}

static int
load_stranger(void)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K,
		    .dst_reg = BPF_REG_0,
		    .imm = -1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(
	    BPF_PROG_TYPE_SCHED_CLS, "stranger", "ISC", code, ARRAY_LENGTH(code), NULL);
}

static bool
is_lost(void *arg)
{
	const struct bed *bed = arg;

	return bed->fenced > 0 && bed->fence.ok == 0;
}

static bool
is_found(void *arg)
{
	const struct bed *bed = arg;

	return bed->fenced > 0 && bed->fence.ok != 0;
}

/* What cannot be put back makes the host not ready, until it can. */
static void
test_lost(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex("vb"),
	    .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, first, .handle = 7, .priority = FENCE_PRIORITY,
	    .prog_fd = load_stranger());
	LIBBPF_OPTS(bpf_tc_opts, same, .handle = 7, .priority = FENCE_PRIORITY);
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
	bed.fenced = 0;
	CU_ASSERT_EQUAL(bpf_tc_attach(&hook, &first), 0);
	CU_ASSERT(until(bed.loop, is_lost, &bed, LIMIT_MS));
	CU_ASSERT_PTR_NOT_NULL(strstr(bed.fence.why, "stranger"));
	CU_ASSERT(await_there(&bed, V4, false));
	CU_ASSERT_EQUAL(deadline(&bed, V4), 0);
	send_hold(&bed, V4, 1, clock_boot_ms() + LEASE_MS, false);
	CU_ASSERT(answered(&bed, WIRE_REFUSED, WIRE_REFUSAL_UNFENCED));
	CU_ASSERT(drop(&bed, V4, 1));
	CU_ASSERT_FALSE(is_there(V4));
	CU_ASSERT_EQUAL(bpf_tc_detach(&hook, &same), 0);
	CU_ASSERT(until(bed.loop, is_found, &bed, LIMIT_MS));
	CU_ASSERT(hold(&bed, V4, 2, LEASE_MS));
	CU_ASSERT(is_leased(&bed, V4));
	close(first.prog_fd);
	bed_close(&bed);
}

struct looking {
	const struct bed *bed;
	const char *name;
};

static bool
hooked(void *arg)
{
	const struct looking *looking = arg;

	return if_nametoindex(looking->name) != 0 &&
	    is_hooked(looking->bed, looking->name);
}

/* New ones get it at once, ports of a bridge need none, and what goes is not missed. */
static void
test_interfaces(void)
{
	static const char *const makers[] = { "link add vc type veth peer name vd",
		"link add vc type bridge",
		"link add vc link va type macvlan mode bridge" };
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
	for (size_t i = 0; i < 3 * ARRAY_LENGTH(makers); i++) {
		struct looking vc = { &bed, "vc" };
		if (!netns_ip(0, makers[i % ARRAY_LENGTH(makers)], NULL, 0))
			continue;
		CU_ASSERT(until(bed.loop, hooked, &vc, LIMIT_MS));
		CU_ASSERT(netns_ip(0, "link set vc up", NULL, 0));
		CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
		CU_ASSERT(netns_ip(0, "link del vc", NULL, 0));
		CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
	}
	CU_ASSERT_EQUAL(bed.told[V4].removed, 0);
	bed_close(&bed);
}

/* Another warden after one that was killed: what is held goes on, what is not ends. */
static void
test_killed(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	CU_ASSERT(hold(&bed, V4, 1, BRIEF_MS) && hold(&bed, V6, 1, 500));
	int64_t end = bed.until_ms[V4];
	kill_warden(&bed);
	CU_ASSERT_EQUAL(deadline(&bed, V4), end);
	run_for(bed.loop, bed.until_ms[V6] - clock_boot_ms() + 10);
	CU_ASSERT_EQUAL(bed.told[V6].removed, 0); /* but mute, by the map */
	CU_ASSERT_EQUAL(deadline(&bed, V6), bed.until_ms[V6]);
	wire_free(bed.runner);
	bed_start(&bed);
	CU_ASSERT_FALSE(is_there(V6));
	CU_ASSERT_EQUAL(deadline(&bed, V6), 0);
	CU_ASSERT_EQUAL(deadline(&bed, V4), clock_boot_ms() < end ? end : 0);
	CU_ASSERT(until(bed.loop, v4_removed, &bed, LIMIT_MS));
	CU_ASSERT(ended_on_time(&bed, V4, end, 40));
	CU_ASSERT_EQUAL(deadline(&bed, V4), 0);
	CU_ASSERT(is_whole(&bed));
	bed_close(&bed);
}

/* What the configuration of the next one does not have is mute, deleted and forgotten before
 * the first order; an address of nobody's stays. */
static void
test_taken_out(void)
{
	struct bed bed;
	char text[512];

	bed_open(&bed);
	bed_start(&bed);
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS) && hold(&bed, V6, 1, LEASE_MS));
	CU_ASSERT(netns_ip(0, "addr add 10.9.0.200/32 dev va", NULL, 0));
	kill_warden(&bed);
	wire_free(bed.runner);
	bed.conf.n_vips = 1; /* V4 */
	start_warden(&bed);
	send_fence(&bed, WIRE_FENCE_BPF, true);
	CU_ASSERT(until(bed.loop, fence_answered, &bed, LIMIT_MS));
	CU_ASSERT_FALSE(is_there(V6));
	CU_ASSERT_EQUAL(deadline(&bed, V6), -1);
	CU_ASSERT(is_there(V4) && deadline(&bed, V4) == bed.until_ms[V4]);
	CU_ASSERT_EQUAL(deadline(&bed, MISSING), -1);
	CU_ASSERT(netns_ip(0, "-o addr show to 10.9.0.200", text, sizeof(text)));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "10.9.0.200"));
	bed_close(&bed);
}

/* A reload enters and forgets as well. */
static void
test_reload(void)
{
	static const unsigned char third[] = { 10, 9, 0, 102 };
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
	CU_ASSERT(reload(&bed, make_next(SECOND | THIRD, false, calm, "")));
	CU_ASSERT_FALSE(is_there(V4));
	CU_ASSERT_EQUAL(deadline(&bed, V4), -1);
	CU_ASSERT_EQUAL(deadline(&bed, V6), 0);
	CU_ASSERT_EQUAL(fence_bed_deadline(AF_INET, third), 0);
	CU_ASSERT(reload(&bed, make_next(FIRST, false, calm, "")));
	CU_ASSERT_EQUAL(deadline(&bed, V4), 0);
	CU_ASSERT_EQUAL(fence_bed_deadline(AF_INET, third), -1);
	bed_close(&bed);
}

/* The kind is found out: bpf where it can be had; else lifetime, and why. A warden of the kind
 * lifetime takes away first what the other left. */
static void
test_kinds(void)
{
	static const char *const folders[] = { FENCE_BED_FOLDER, NULL, "/tmp",
		FENCE_BED_FOLDER };
	static const enum wire_fence wanted[] = { WIRE_FENCE_UNKNOWN,
		WIRE_FENCE_UNKNOWN, WIRE_FENCE_UNKNOWN, WIRE_FENCE_LIFETIME };
	struct bed bed;

	for (size_t i = 0; i < ARRAY_LENGTH(folders); i++) {
		bool bpf = i == 0;
		bed_open(&bed);
		bed_start(&bed);
		CU_ASSERT(hold(&bed, V4, 1, LEASE_MS) && is_whole(&bed));
		kill_warden(&bed);
		wire_free(bed.runner);
		bed.folder = folders[i];
		bed.kind = bpf ? WIRE_FENCE_BPF : WIRE_FENCE_LIFETIME;
		start_warden(&bed);
		send_fence(&bed, wanted[i], false);
		CU_ASSERT(until(bed.loop, fence_answered, &bed, LIMIT_MS));
		CU_ASSERT_EQUAL(bed.fence.kind, bed.kind);
		CU_ASSERT_EQUAL(bed.fence.ok, 1);
		CU_ASSERT(bpf || i == 3 || bed.fence.why[0] != '\0');
		CU_ASSERT_EQUAL(is_there(V4), bpf);
		CU_ASSERT_EQUAL(is_hooked(&bed, "va"), bpf);
		CU_ASSERT_EQUAL(is_hooked(&bed, "vb"), bpf);
		link_agent(&bed, 1);
		CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
		CU_ASSERT(drop(&bed, V4, 1));
		bed_close(&bed);
	}
}

/* Where bpf is demanded and cannot be had nothing is held. */
static void
test_demanded(void)
{
	struct bed bed;

	bed_open(&bed);
	bed.folder = NULL;
	start_warden(&bed);
	send_fence(&bed, WIRE_FENCE_BPF, true);
	CU_ASSERT(until(bed.loop, fence_answered, &bed, LIMIT_MS));
	CU_ASSERT(bed.fence.ok == 0 && bed.fence.why[0] != '\0');
	link_agent(&bed, 1);
	send_hold(&bed, V4, 1, clock_boot_ms() + LEASE_MS, false);
	CU_ASSERT(answered(&bed, WIRE_REFUSED, WIRE_REFUSAL_UNFENCED));
	CU_ASSERT(drop(&bed, V4, 1));
	CU_ASSERT_FALSE(is_there(V4));
	bed_close(&bed);
}

static void
tear_nothing(void)
{
}

static void
tear_all(void)
{
	CU_ASSERT(tear_down("va") && tear_down("vb"));
}

/* The fence cannot be put back there. */
static void
put_ingress(void)
{
	CU_ASSERT(tear_down("vb"));
	CU_ASSERT(netns_run(0, "tc", "qdisc add dev vb ingress", NULL, 0));
}

/* What an earlier warden has left goes before anything is answered where there is no fence any
 * more, for its lifetime is no lease. */
static void
test_left_open(void)
{
	static const struct {
		void (*meanwhile)(void);
		const char *folder;
		enum wire_fence wanted, kind;
		bool ok;
	} rows[] = {
		{ tear_nothing, NULL, WIRE_FENCE_BPF, WIRE_FENCE_BPF, false },
		{ put_ingress, FENCE_BED_FOLDER, WIRE_FENCE_BPF, WIRE_FENCE_BPF,
		    false },
		{ put_ingress, FENCE_BED_FOLDER, WIRE_FENCE_UNKNOWN,
		    WIRE_FENCE_LIFETIME, true },
		{ tear_all, FENCE_BED_FOLDER, WIRE_FENCE_LIFETIME, WIRE_FENCE_LIFETIME,
		    true },
		{ tear_all, NULL, WIRE_FENCE_UNKNOWN, WIRE_FENCE_LIFETIME, true },
	};
	struct bed bed;

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		bed_open(&bed);
		bed_start(&bed);
		CU_ASSERT(hold(&bed, V4, 1, BRIEF_MS) && hold(&bed, V6, 1, BRIEF_MS));
		kill_warden(&bed);
		wire_free(bed.runner);
		rows[i].meanwhile();
		bed.folder = rows[i].folder;
		bed.conf.lease_ms = BRIEF_MS;
		start_warden(&bed);
		send_fence(&bed, rows[i].wanted, rows[i].wanted == rows[i].kind);
		CU_ASSERT(until(bed.loop, fence_answered, &bed, LIMIT_MS));
		CU_ASSERT_EQUAL(bed.fence.kind, rows[i].kind);
		CU_ASSERT_EQUAL(bed.fence.ok, rows[i].ok);
		CU_ASSERT_FALSE(is_there(V4) || is_there(V6));
		bed_close(&bed);
	}
}

#define STORM_LINKS 200

/* One `ip` that does it to each of so many, by `-batch` from a pipe. */
static pid_t
begin_storm(const char *format)
{
	int ends[2];

	CU_ASSERT_FATAL(pipe2(ends, O_CLOEXEC) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(ends[0], STDIN_FILENO);
		execlp("ip", "ip", "-batch", "-", (char *)NULL);
		_exit(1);
	}
	close(ends[0]);
	for (int i = 0; i < STORM_LINKS; i++)
		dprintf(ends[1], format, i);
	close(ends[1]);
	return pid;
}

/* No lease is lost over it, however short. */
static void
test_storm(void)
{
	struct looking last = { NULL, "storm199" };
	struct bed bed;
	int64_t end = 0, worst = 0;
	pid_t pid;

	bed_open(&bed);
	bed_start(&bed);
	last.bed = &bed;
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
	forget_told(&bed);
	pid = begin_storm("link add storm%d up type bridge\n");
	while (end == 0 && bed.told[V4].removed == 0) {
		int64_t now = clock_boot_ms();
		send_hold(&bed, V4, 1, now + LEASE_MS, false);
		while (deadline(&bed, V4) != bed.until_ms[V4] &&
		    clock_boot_ms() < now + LIMIT_MS)
			run_for(bed.loop, 1);
		worst = clock_boot_ms() - now > worst ? clock_boot_ms() - now : worst;
		run_for(bed.loop, 10);
		bed.count = 0;
		end = hooked(&last) ? now : 0;
	}
	printf("# a deadline was written after %lld ms at most\n", (long long)worst);
	CU_ASSERT_EQUAL(bed.told[V4].removed, 0);
	CU_ASSERT(pace_allows(bed.pace, worst, 100));
	waitpid(pid, NULL, 0);
	pid = begin_storm("link del storm%d\n");
	waitpid(pid, NULL, 0);
	CU_ASSERT(hold(&bed, V4, 1, LEASE_MS));
	CU_ASSERT_EQUAL(bed.told[V4].removed, 0);
	bed_close(&bed);
}

static struct conf *
make_many(void)
{
	struct buf text = { .limit = 16384 };
	char error[CONF_ERROR_MAX] = "";

	for (unsigned int i = 0; i < MANY; i++)
		buf_printf(&text,
		    "role \"r%u\" { vip \"10.9.1.%u\" { interface = \"va\" } }\n", i,
		    i + 1);
	struct bundle_file files[] = { { "environment", "", 0 },
		{ "lictor.conf", calm, strlen(calm) },
		{ "a.conf", text.data, text.len } };
	struct conf *conf = conf_parse(bundle_new(files, 3), error);
	buf_free(&text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	return conf;
}

static unsigned int
count_there(void)
{
	static char text[65536];
	unsigned int count = 0;

	CU_ASSERT(netns_ip(0, "-o addr show dev va", text, sizeof(text)));
	for (const char *at = text; (at = strstr(at, " 10.9.1.")) != NULL; at++)
		count++;
	return count;
}

static void
test_many(void)
{
	struct bed bed;

	bed_open(&bed);
	bed_start(&bed);
	CU_ASSERT(reload(&bed, make_many()));
	int64_t began = clock_boot_ms();
	for (uint32_t i = 0; i < MANY; i++)
		send_hold(&bed, i, 1, began + LEASE_MS, true);
	CU_ASSERT(await_answers(&bed, MANY));
	int64_t held = clock_boot_ms();
	for (size_t i = 0; i < bed.count; i++)
		CU_ASSERT_EQUAL(bed.answers[i].type, WIRE_HELD);
	CU_ASSERT_EQUAL(count_there(), MANY);
	bed.count = 0;
	int64_t dropping = clock_boot_ms();
	for (uint32_t i = 0; i < MANY; i++)
		send_drop(&bed, i, 1);
	CU_ASSERT(await_answers(&bed, MANY));
	printf("# %d held in %lld ms, dropped in %lld ms\n", MANY,
	    (long long)(held - began), (long long)(clock_boot_ms() - dropping));
	for (size_t i = 0; i < bed.count; i++)
		CU_ASSERT_EQUAL(bed.answers[i].type, WIRE_GONE);
	CU_ASSERT_EQUAL(count_there(), 0);
	bed_close(&bed);
}

static const struct tap_case cases[] = {
	{ "the map has the deadline of what is held, and 0", test_deadlines },
	{ "the kernel is told each three seconds", test_refresh },
	{ "what was left without a fence is gone at the start", test_left_open },
	{ "interfaces by the hundred cost no lease", test_storm },
	{ "a fence that is taken away is put back behind the addresses",
	    test_torn_down },
	{ "one that cannot be put back makes the host not ready", test_lost },
	{ "interfaces come and go", test_interfaces },
	{ "another warden takes over what is held", test_killed },
	{ "what is configured no more is gone at the start", test_taken_out },
	{ "a reload enters addresses and forgets them", test_reload },
	{ "the kind is found out", test_kinds },
	{ "a kind that is demanded and cannot be had holds nothing", test_demanded },
	{ "a hundred addresses at once", test_many },
};

int
main(int argc, char **argv)
{
	int status = tap_apart(argc, argv, cases, ARRAY_LENGTH(cases));
	if (status >= 0)
		return status;
	if (!bed_enter())
		return 0;
	return tap_main(argc, argv, "warden_fence", cases, ARRAY_LENGTH(cases));
}
