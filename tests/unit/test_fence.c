/* SPDX-License-Identifier: ISC */
/*
 * The fence among what else is on an interface: where it is put, when it is believed to be
 * there, whom it leaves alone; and its map, which outlives it. On a veth pair in a network
 * namespace of the test's own.
 */
#include "agent/warden/fence.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "agent/warden/fence_map.h"
#include "agent/warden/netlink.h"
#include "tests/unit/fence_bed.h"
#include "tests/unit/netns.h"
#include "tests/unit/tap.h"

#define TCX_INGRESS 46

/* A program that lets everything pass to the next. */
static int
load_stranger(void)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K,
		    .dst_reg = BPF_REG_0,
		    .imm = -1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(
	    BPF_PROG_TYPE_SCHED_CLS, "stranger", "ISC", code, ARRAY_LENGTH(code), NULL);

	CU_ASSERT_FATAL(fd >= 0);
	return fd;
}

static int
attach_at(enum bpf_tc_attach_point point, uint32_t priority, uint32_t handle, int fd)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex("va"),
	    .attach_point = point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = priority,
	    .prog_fd = fd, .flags = BPF_TC_F_REPLACE);

	return bpf_tc_attach(&hook, &opts);
}

static int
detach_at(enum bpf_tc_attach_point point, uint32_t priority, uint32_t handle)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex("va"),
	    .attach_point = point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = priority);

	return bpf_tc_detach(&hook, &opts);
}

/* As `tc qdisc add` and `del`. */
static int
make_clsact(void)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex("va"),
	    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

	return bpf_tc_hook_create(&hook);
}

static int
remove_clsact(void)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)if_nametoindex("va"),
	    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

	return bpf_tc_hook_destroy(&hook);
}

static bool
is_at(struct fence_bed *bed, bool out, uint32_t priority, uint32_t handle)
{
	struct netlink_hook hook;

	CU_ASSERT_EQUAL(netlink_hooks(bed->netlink, if_nametoindex("va"), out, priority,
			    handle, &hook),
	    0);
	return hook.fixed.handle == handle;
}

static void
test_attach(void)
{
	struct fence_bed bed;

	fence_bed_open(&bed);
	CU_ASSERT_FALSE(fence_bed_stands(&bed, "va"));
	CU_ASSERT_EQUAL(fence_bed_attach(&bed), 0);
	CU_ASSERT(fence_bed_stands(&bed, NULL));
	CU_ASSERT_EQUAL(fence_bed_attach(&bed), 0);
	CU_ASSERT(fence_bed_stands(&bed, NULL));
	fence_bed_close(&bed);
}

/* Whatever takes it away is seen, and it comes back. */
static void
test_taken_away(void)
{
	struct fence_bed bed;

	fence_bed_open(&bed);
	CU_ASSERT_EQUAL(fence_bed_attach(&bed), 0);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(i == 0 ? remove_clsact()
			: i == 1
			? detach_at(BPF_TC_INGRESS, FENCE_PRIORITY, FENCE_HANDLE)
			: detach_at(BPF_TC_EGRESS, FENCE_PRIORITY, FENCE_HANDLE),
		    0);
		CU_ASSERT_FALSE(fence_bed_stands(&bed, "va"));
		CU_ASSERT_EQUAL(fence_bed_attach(&bed), 0);
		CU_ASSERT(fence_bed_stands(&bed, NULL));
	}
	fence_bed_close(&bed);
}

/* Filters of others stay where they are, as long as they come after it. */
static void
test_others(void)
{
	struct fence_bed bed;
	AUTO_CLOSE int stranger = load_stranger();

	fence_bed_open(&bed);
	CU_ASSERT_EQUAL(make_clsact(), 0);
	CU_ASSERT_EQUAL(attach_at(BPF_TC_INGRESS, 2, 7, stranger), 0);
	CU_ASSERT_EQUAL(attach_at(BPF_TC_EGRESS, 1, 7, stranger), 0);
	CU_ASSERT_EQUAL(fence_bed_attach(&bed), 0);
	CU_ASSERT(fence_bed_stands(&bed, NULL));
	CU_ASSERT(is_at(&bed, false, 2, 7) && is_at(&bed, true, 1, 7));
	CU_ASSERT_EQUAL(fence_detach(bed.netlink, bed.links.list, bed.links.count), 0);
	CU_ASSERT_FALSE(fence_bed_stands(&bed, "va"));
	CU_ASSERT(is_at(&bed, false, 2, 7) && is_at(&bed, true, 1, 7));
	fence_bed_close(&bed);
}

/* One that came before it later could end the chain. */
static void
test_ahead(void)
{
	struct fence_bed bed;
	AUTO_CLOSE int stranger = load_stranger();

	fence_bed_open(&bed);
	CU_ASSERT_EQUAL(fence_bed_attach(&bed), 0);
	for (int out = 0; out <= 1; out++) {
		enum bpf_tc_attach_point point = out ? BPF_TC_EGRESS : BPF_TC_INGRESS;
		CU_ASSERT_EQUAL(attach_at(point, FENCE_PRIORITY, 7, stranger), 0);
		CU_ASSERT_FALSE(fence_bed_stands(&bed, "va"));
		CU_ASSERT_EQUAL(fence_bed_attach(&bed), -EOPNOTSUPP);
		CU_ASSERT(is_at(&bed, out, FENCE_PRIORITY, 7));
		CU_ASSERT_EQUAL(detach_at(point, FENCE_PRIORITY, 7), 0);
		CU_ASSERT(fence_bed_stands(&bed, NULL));
	}
	fence_bed_close(&bed);
}

static void
test_place_taken(void)
{
	struct fence_bed bed;
	AUTO_CLOSE int stranger = load_stranger();

	fence_bed_open(&bed);
	CU_ASSERT_EQUAL(make_clsact(), 0);
	CU_ASSERT_EQUAL(
	    attach_at(BPF_TC_INGRESS, FENCE_PRIORITY, FENCE_HANDLE, stranger), 0);
	CU_ASSERT_EQUAL(fence_bed_attach(&bed), -EOPNOTSUPP);
	CU_ASSERT_FALSE(fence_bed_stands(&bed, "va"));
	CU_ASSERT_EQUAL(fence_detach(bed.netlink, bed.links.list, bed.links.count), 0);
	CU_ASSERT(is_at(&bed, false, FENCE_PRIORITY, FENCE_HANDLE));
	fence_bed_close(&bed);
}

/* It would take the program for what leaves and run it on what comes. */
static void
test_plain_ingress(void)
{
	struct fence_bed bed;
	struct netlink_hook hook;

	fence_bed_open(&bed);
	CU_ASSERT(netns_run(0, "tc", "qdisc add dev va ingress", NULL, 0));
	CU_ASSERT_EQUAL(fence_bed_attach(&bed), -EOPNOTSUPP);
	CU_ASSERT_FALSE(fence_bed_stands(&bed, "va"));
	CU_ASSERT_EQUAL(netlink_hooks(bed.netlink, if_nametoindex("va"), false,
			    FENCE_PRIORITY, FENCE_HANDLE, &hook),
	    0);
	CU_ASSERT_STRING_EQUAL(hook.qdisc, "ingress");
	CU_ASSERT_EQUAL(hook.first.handle, 0);
	fence_bed_close(&bed);
}

/* bpf(2) by itself: the attachment is younger than libbpf 1.1. */
static int
attach_tcx(int program)
{
	struct {
		uint32_t ifindex, program, type, flags, rest[4];
	} attr = { if_nametoindex("va"), (uint32_t)program, TCX_INGRESS, 0, { 0 } };

	return (int)syscall(SYS_bpf, BPF_PROG_ATTACH, &attr, sizeof(attr));
}

static int
detach_tcx(int program)
{
	struct {
		uint32_t ifindex, program, type, flags, rest[4];
	} attr = { if_nametoindex("va"), (uint32_t)program, TCX_INGRESS, 0, { 0 } };

	return (int)syscall(SYS_bpf, BPF_PROG_DETACH, &attr, sizeof(attr));
}

static void
test_tcx(void)
{
	struct fence_bed bed;
	AUTO_CLOSE int stranger = load_stranger();

	fence_bed_open(&bed);
	CU_ASSERT_EQUAL(fence_bed_attach(&bed), 0);
	if (attach_tcx(stranger) != 0) {
		CU_PASS("this kernel has no tcx");
		fence_bed_close(&bed);
		return;
	}
	CU_ASSERT_FALSE(fence_bed_stands(&bed, "va"));
	CU_ASSERT_EQUAL(fence_bed_attach(&bed), -EOPNOTSUPP);
	CU_ASSERT_EQUAL(detach_tcx(stranger), 0);
	CU_ASSERT(fence_bed_stands(&bed, NULL));
	fence_bed_close(&bed);
}

/* The program of another lictord, with a map that is not ours, gives way. */
static void
test_stale(void)
{
	struct fence_bed bed;
	char why[256];

	fence_bed_open(&bed);
	CU_ASSERT(mkdir(FENCE_BED_FOLDER "/test-other", 0700) == 0 || errno == EEXIST);
	struct fence *own = bed.fence;
	bed.fence = fence_open(FENCE_BED_FOLDER "/test-other", why, sizeof(why));
	CU_ASSERT_PTR_NOT_NULL_FATAL(bed.fence);
	CU_ASSERT_EQUAL(fence_bed_attach(&bed), 0);
	CU_ASSERT(fence_bed_stands(&bed, NULL));
	fence_free(bed.fence);
	bed.fence = own;
	CU_ASSERT_FALSE(fence_bed_stands(&bed, "va"));
	CU_ASSERT_EQUAL(fence_bed_attach(&bed), 0);
	CU_ASSERT(fence_bed_stands(&bed, NULL));
	CU_ASSERT_EQUAL(fence_detach(bed.netlink, bed.links.list, bed.links.count), 0);
	CU_ASSERT_FALSE(is_at(&bed, false, FENCE_PRIORITY, FENCE_HANDLE));
	CU_ASSERT_FALSE(is_at(&bed, true, FENCE_PRIORITY, FENCE_HANDLE));
	CU_ASSERT_EQUAL(fence_detach(bed.netlink, bed.links.list, bed.links.count), 0);
	fence_bed_close(&bed);
}

/* A link that comes later is open until it is attached to; a port has its bridge's. */
static void
test_more_links(void)
{
	struct fence_bed bed;

	fence_bed_open(&bed);
	CU_ASSERT_EQUAL(fence_bed_attach(&bed), 0);
	CU_ASSERT(netns_ip(0, "link add vc type veth peer name vd", NULL, 0));
	CU_ASSERT_FALSE(fence_bed_stands(&bed, NULL));
	CU_ASSERT_EQUAL(fence_bed_attach(&bed), 0);
	CU_ASSERT(fence_bed_stands(&bed, NULL));
	if (netns_ip(0, "link add name br0 type bridge", NULL, 0)) {
		CU_ASSERT_FALSE(fence_bed_stands(&bed, "br0"));
		CU_ASSERT_EQUAL(fence_bed_attach(&bed), 0);
		CU_ASSERT(netns_ip(0, "link set va master br0", NULL, 0));
		CU_ASSERT_EQUAL(remove_clsact(), 0);
		CU_ASSERT(fence_bed_stands(&bed, NULL));
		CU_ASSERT(netns_ip(0, "link set va nomaster", NULL, 0));
		CU_ASSERT_FALSE(fence_bed_stands(&bed, "va"));
		CU_ASSERT(netns_ip(0, "link del br0", NULL, 0));
	}
	CU_ASSERT(netns_ip(0, "link del vc", NULL, 0));
	CU_ASSERT_EQUAL(fence_bed_attach(&bed), 0);
	CU_ASSERT(fence_bed_stands(&bed, NULL));
	fence_bed_close(&bed);
}

struct listed {
	struct fence *fence;
	unsigned int count, v4, v6;
	int64_t last4, last6;
	bool forget;
};

static void
on_listed(void *arg, int family, const unsigned char *address, int64_t until_ms)
{
	struct listed *listed = arg;

	listed->count++;
	if (family == AF_INET)
		listed->v4++, listed->last4 = until_ms;
	else
		listed->v6++, listed->last6 = until_ms;
	if (listed->forget)
		CU_ASSERT_EQUAL(fence_forget(listed->fence, family, address), 0);
}

static struct listed
list(struct fence *fence, bool forget)
{
	struct listed listed = { .fence = fence, .forget = forget };

	CU_ASSERT_EQUAL(fence_list(fence, on_listed, &listed), 0);
	return listed;
}

static const unsigned char vip4[4] = { 10, 9, 0, 100 };
static const unsigned char vip6[16] = { 0xfd, 0, 0, 9, [15] = 0x64 };

/* What was written is there for the next one. */
static void
test_map(void)
{
	struct fence_bed bed;
	char why[256];

	fence_bed_open(&bed);
	list(bed.fence, true);
	CU_ASSERT_EQUAL(list(bed.fence, false).count, 0);
	CU_ASSERT_EQUAL(fence_set(bed.fence, AF_INET, vip4, 1234567), 0);
	CU_ASSERT_EQUAL(fence_set(bed.fence, AF_INET6, vip6, 0), 0);
	fence_free(bed.fence);
	bed.fence = fence_open(FENCE_BED_FOLDER, why, sizeof(why));
	CU_ASSERT_PTR_NOT_NULL_FATAL(bed.fence);
	struct listed listed = list(bed.fence, false);
	CU_ASSERT(listed.v4 == 1 && listed.v6 == 1);
	CU_ASSERT(listed.last4 == 1234567 && listed.last6 == 0);
	CU_ASSERT_EQUAL(fence_set(bed.fence, AF_INET, vip4, -5), 0);
	CU_ASSERT_EQUAL(list(bed.fence, false).last4, 0);
	CU_ASSERT_EQUAL(fence_forget(bed.fence, AF_INET, vip4), 0);
	CU_ASSERT_EQUAL(fence_forget(bed.fence, AF_INET, vip4), 0);
	CU_ASSERT_EQUAL(list(bed.fence, true).count, 1);
	CU_ASSERT_EQUAL(list(bed.fence, false).count, 0);
	fence_bed_close(&bed);
}

static void
test_map_full(void)
{
	struct fence_bed bed;
	unsigned char address[4] = { 10, 8 };
	unsigned int wrong = 0;

	fence_bed_open(&bed);
	for (unsigned int i = 0; i < FENCE_ADDRESSES_MAX; i++) {
		address[2] = (unsigned char)(i >> 8);
		address[3] = (unsigned char)i;
		wrong += fence_set(bed.fence, AF_INET, address, i) != 0;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(fence_set(bed.fence, AF_INET6, vip6, 1), -E2BIG);
	CU_ASSERT_EQUAL(fence_set(bed.fence, AF_INET, address, 1), 0);
	CU_ASSERT_EQUAL(list(bed.fence, true).count, FENCE_ADDRESSES_MAX);
	CU_ASSERT_EQUAL(list(bed.fence, false).count, 0);
	fence_bed_close(&bed);
}

/* No folder, one that is no bpffs, and a map of another make. */
static void
test_folder(void)
{
	char why[256] = "";
	AUTO_CLOSE int map =
	    bpf_map_create(BPF_MAP_TYPE_HASH, "strange", 4, 4, 1, NULL);

	CU_ASSERT_PTR_NULL(fence_open("/nowhere/at/all", why, sizeof(why)));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "bpf file system"));
	CU_ASSERT_PTR_NULL(fence_open("/tmp", why, sizeof(why)));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "bpf file system"));
	struct fence *fence = fence_open(FENCE_BED_FOLDER, why, sizeof(why));
	CU_ASSERT_PTR_NOT_NULL_FATAL(fence);
	fence_free(fence);
	AUTO_FREE char *pin = fence_bed_path(FENCE_PIN_MAP);
	AUTO_FREE char *aside = fence_bed_path("aside");
	CU_ASSERT_FATAL(pin != NULL && aside != NULL);
	CU_ASSERT_EQUAL(rename(pin, aside), 0);
	CU_ASSERT_EQUAL(bpf_obj_pin(map, pin), 0);
	CU_ASSERT_PTR_NULL(fence_open(FENCE_BED_FOLDER, why, sizeof(why)));
	printf("# %s\n", why);
	CU_ASSERT_EQUAL(rename(aside, pin), 0);
}

/* Runs in a child, whose exit status 0 says that all was as it should be. */
static void
in_child(bool (*run)(struct fence_bed *bed), struct fence_bed *bed)
{
	int status = -1;

	pid_t pid = fork();
	if (pid == 0)
		_exit(run(bed) ? 0 : 1);
	CU_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid);
	CU_ASSERT_EQUAL(status, 0);
}

static bool
sees_other_clock(void *arg)
{
	const struct fence_bed *bed = arg;
	char why[256] = "";

	if (fence_clock_ok(bed->fence) ||
	    fence_open(FENCE_BED_FOLDER, why, sizeof(why)) != NULL)
		return false;
	return strstr(why, "clock") != NULL;
}

static void
test_clock(void)
{
	struct fence_bed bed;

	fence_bed_open(&bed);
	CU_ASSERT(fence_clock_ok(bed.fence));
	CU_ASSERT(fence_bed_in_other_time(sees_other_clock, &bed));
	fence_bed_close(&bed);
	fence_free(NULL);
}

#define CAPABILITY(number) (1ull << (number))
#define NET_ADMIN CAPABILITY(12)
#define NET_RAW CAPABILITY(13)
#define MAY_BPF CAPABILITY(39)
#define NOBODY 65534
#define WARDENS FENCE_BED_FOLDER "/test-warden"

/* Another user, with these capabilities and no more. */
static bool
become_nobody(uint64_t capabilities)
{
	struct __user_cap_header_struct head = { .version =
						     _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	for (int i = 0; i < 2; i++) {
		uint32_t part = (uint32_t)(capabilities >> (32 * i));
		data[i] = (struct __user_cap_data_struct){ part, part, part };
	}
	return prctl(PR_SET_KEEPCAPS, 1) == 0 && setgroups(0, NULL) == 0 &&
	    setresgid(NOBODY, NOBODY, NOBODY) == 0 &&
	    setresuid(NOBODY, NOBODY, NOBODY) == 0 &&
	    syscall(SYS_capset, &head, data) == 0 &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

static bool
does_all(struct fence_bed *bed)
{
	char why[256] = "";

	for (int i = 0; i < 2; i++) {
		bed->fence = fence_open(WARDENS, why, sizeof(why));
		if (bed->fence == NULL)
			printf("# %s\n", why);
		if (bed->fence == NULL || fence_bed_attach(bed) != 0 ||
		    !fence_bed_stands(bed, NULL) ||
		    fence_set(bed->fence, AF_INET, vip4, 5) != 0 ||
		    list(bed->fence, false).last4 != 5 || !fence_clock_ok(bed->fence))
			return false;
		fence_free(bed->fence);
	}
	return fence_detach(bed->netlink, bed->links.list, bed->links.count) == 0;
}

static bool
does_all_as_warden(struct fence_bed *bed)
{
	return become_nobody(NET_ADMIN | NET_RAW | MAY_BPF) && does_all(bed);
}

static bool
cannot_load(struct fence_bed *bed)
{
	char why[256] = "";

	if (!become_nobody(NET_ADMIN | NET_RAW) ||
	    fence_open(WARDENS, why, sizeof(why)) != NULL)
		return false;
	printf("# %s\n", why);
	return strstr(why, "kernel") != NULL;
}

static void
test_capabilities(void)
{
	struct fence_bed bed;

	fence_bed_open(&bed);
	CU_ASSERT(mkdir(WARDENS, 0700) == 0 && chown(WARDENS, NOBODY, NOBODY) == 0);
	in_child(does_all_as_warden, &bed);
	in_child(cannot_load, &bed);
	fence_bed_close(&bed);
}

static const struct tap_case cases[] = {
	{ "it is put on an interface and seen there", test_attach },
	{ "it is missed and put back", test_taken_away },
	{ "filters of others behind it stay", test_others },
	{ "a filter of others before it is seen", test_ahead },
	{ "a filter of others in its place stays", test_place_taken },
	{ "a plain ingress qdisc takes no fence", test_plain_ingress },
	{ "a tcx program before it is seen", test_tcx },
	{ "one with another map gives way", test_stale },
	{ "links that come and go", test_more_links },
	{ "deadlines outlive who wrote them", test_map },
	{ "there is an end to the map", test_map_full },
	{ "folders that will not do", test_folder },
	{ "another clock is seen", test_clock },
	{ "three capabilities are enough", test_capabilities },
};

int
main(int argc, char **argv)
{
	if (!fence_bed_enter())
		return 0;
	return tap_main(argc, argv, "fence", cases, ARRAY_LENGTH(cases));
}
