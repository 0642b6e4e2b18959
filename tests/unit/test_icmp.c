/* SPDX-License-Identifier: ISC */
/*
 * The check type `icmp` in a network namespace of its own, whose kernel answers: the group
 * range of ping sockets is that namespace's too.
 */
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "tests/unit/netns.h"
#include "tests/unit/one_run.h"
#include "tests/unit/tap.h"

#define RANGE "/proc/sys/net/ipv4/ping_group_range"

static bool
write_file(const char *path, const char *text)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* An interface that answers to nobody: what is sent there is lost. */
static void
test_build(void)
{
	CU_ASSERT_TRUE_FATAL(
	    netns_ip(0, "link add v0 type veth peer name v1", NULL, 0));
	CU_ASSERT_TRUE_FATAL(netns_ip(0, "addr add 192.0.2.1/24 dev v0", NULL, 0));
	CU_ASSERT_TRUE_FATAL(netns_ip(0, "link set v0 up", NULL, 0));
	CU_ASSERT_TRUE_FATAL(netns_ip(0, "link set v1 up", NULL, 0));
	CU_ASSERT_TRUE_FATAL(netns_ip(0,
	    "neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev v0 nud permanent", NULL,
	    0));
	CU_ASSERT_TRUE_FATAL(write_file(RANGE, "0 0"));
	/* so that the kernel gives up soon on who does not say where it is */
	write_file("/proc/sys/net/ipv4/neigh/v0/retrans_time_ms", "50");
}

static void
test_answered(void)
{
	static const char *const sections[] = {
		"icmp \"i\" { address = \"127.0.0.1\" }",
		"icmp \"i\" { address = \"127.0.0.1\" count = 20 }",
		"icmp \"i\" { address = \"::1\" }",
		"icmp \"i\" { address = \"[::1]\" count = 5 }",
		"icmp \"i\" { address = \"localhost\" }",
		"icmp \"i\" { address = \"192.0.2.1\" }",
	};
	struct one_run *bench = one_run_new();

	for (size_t i = 0; i < ARRAY_LENGTH(sections); i++)
		one_run_expect(bench, sections[i], CHECK_PASSING, CHECK_REASON_OK,
		    ": answered an echo");
	one_run_free(bench);
}

static void
test_not_answered(void)
{
	struct one_run *bench = one_run_new();

	one_run_expect_silence(bench, "icmp \"i\" { address = \"192.0.2.9\" }");
	one_run_expect_silence(
	    bench, "icmp \"i\" { address = \"192.0.2.9\" count = 20 }");
	one_run_expect(bench, "icmp \"i\" { address = \"198.51.100.1\" }",
	    CHECK_CRITICAL, CHECK_REASON_REFUSED, "Network is unreachable");
	one_run_expect(bench, "icmp \"i\" { address = \"2001:db8::1\" }",
	    CHECK_CRITICAL, CHECK_REASON_REFUSED, "Network is unreachable");
	/* nobody there says where it is */
	one_run_expect(bench, "icmp \"i\" { address = \"192.0.2.8\" }", CHECK_CRITICAL,
	    CHECK_REASON_REFUSED, "No route to host");
	one_run_free(bench);
}

static bool
make_router(pid_t neighbour)
{
	AUTO_FREE char *path = xasprintf("/proc/%d/ns/net", (int)neighbour);
	AUTO_CLOSE int here = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	AUTO_CLOSE int there = open(path, O_RDONLY | O_CLOEXEC);

	bool made = setns(there, CLONE_NEWNET) == 0 &&
	    write_file("/proc/sys/net/ipv4/ip_forward", "1");
	return setns(here, CLONE_NEWNET) == 0 && made;
}

/* A router says of the first echo that there is no way, while the others are being sent. */
static void
test_no_way_for_any_of_them(void)
{
	pid_t router = netns_neighbour();
	struct one_run *bench = one_run_new();
	AUTO_FREE char *link =
	    xasprintf("link add r0 type veth peer name r1 netns %d", (int)router);

	CU_ASSERT_TRUE_FATAL(netns_ip(0, link, NULL, 0));
	CU_ASSERT_TRUE(netns_ip(0, "addr add 198.18.0.1/24 dev r0", NULL, 0));
	CU_ASSERT_TRUE(netns_ip(0, "link set r0 up", NULL, 0));
	CU_ASSERT_TRUE(netns_ip(router, "addr add 198.18.0.2/24 dev r1", NULL, 0));
	CU_ASSERT_TRUE(netns_ip(router, "link set r1 up", NULL, 0));
	CU_ASSERT_TRUE(
	    netns_ip(router, "route add unreachable 203.0.113.0/24", NULL, 0));
	CU_ASSERT_TRUE(netns_ip(0, "route add 203.0.113.0/24 via 198.18.0.2", NULL, 0));
	CU_ASSERT_TRUE_FATAL(make_router(router));
	one_run_expect(bench, "icmp \"i\" { address = \"203.0.113.5\" }",
	    CHECK_CRITICAL, CHECK_REASON_REFUSED, "No route to host");
	one_run_expect(bench, "icmp \"i\" { address = \"203.0.113.6\" count = 20 }",
	    CHECK_CRITICAL, CHECK_REASON_REFUSED, "No route to host");
	one_run_free(bench);
	netns_leave(router);
}

static void
test_forbidden(void)
{
	struct one_run *bench = one_run_new();

	CU_ASSERT_TRUE(write_file(RANGE, "1 0"));
	one_run_expect(bench, "icmp \"i\" { address = \"127.0.0.1\" }", CHECK_UNKNOWN,
	    CHECK_REASON_LOCAL, "net.ipv4.ping_group_range");
	one_run_expect(bench, "icmp \"i\" { address = \"::1\" }", CHECK_UNKNOWN,
	    CHECK_REASON_LOCAL, "net.ipv4.ping_group_range");
	CU_ASSERT_TRUE(write_file(RANGE, "0 0"));
	one_run_expect(bench, "icmp \"i\" { address = \"127.0.0.1\" }", CHECK_PASSING,
	    CHECK_REASON_OK, "answered");
	one_run_free(bench);
}

static const struct tap_case cases[] = {
	{ "a network of its own", test_build },
	{ "answered", test_answered },
	{ "not answered", test_not_answered },
	{ "no way for any of them", test_no_way_for_any_of_them },
	{ "forbidden by the kernel", test_forbidden },
};

int
main(int argc, char **argv)
{
	if (!netns_enter())
		return 0;
	return tap_main(argc, argv, "icmp", cases, ARRAY_LENGTH(cases));
}
