/* SPDX-License-Identifier: ISC */
/*
 * Which addresses are the host's own for good: in a network namespace of the test's own,
 * with addresses that stay and addresses that, like a warden's, have a lifetime. And who may
 * send echoes there.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "agent/conf/host.h"
#include "tests/unit/netns.h"
#include "tests/unit/tap.h"

#define MANY 1000 /* more than one message of a dump holds */

static char said[256];

/* As a vip of that address would be judged; what was said is in `said`. */
static bool
is_free(const char *text)
{
	int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	unsigned char address[16];

	said[0] = '\0';
	if (inet_pton(family, text, address) != 1)
		abort();
	return host_check_address(family, address, said, sizeof(said)) == 0;
}

static void
test_elsewhere(void)
{
	CU_ASSERT(is_free("192.0.2.200"));
	CU_ASSERT(is_free("2001:db8::200"));
	CU_ASSERT_STRING_EQUAL(said, "");
}

static void
test_permanent(void)
{
	CU_ASSERT(netns_ip(0, "addr add 192.0.2.1/24 dev va", NULL, 0));
	CU_ASSERT(netns_ip(0, "addr add 2001:db8::1/64 dev va nodad", NULL, 0));
	CU_ASSERT(!is_free("192.0.2.1"));
	CU_ASSERT_STRING_EQUAL(said,
	    "192.0.2.1 is a permanent address of this host (on va), expected one that "
	    "only lictor sets");
	CU_ASSERT(!is_free("2001:db8::1"));
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "2001:db8::1 is a permanent address"));
	CU_ASSERT(is_free("192.0.2.255")); /* its broadcast address is none of ours */
	CU_ASSERT(netns_ip(0, "addr flush dev va", NULL, 0));
	CU_ASSERT(is_free("192.0.2.1"));
}

static void
test_lifetime(void)
{
	CU_ASSERT(netns_ip(0,
	    "addr add 192.0.2.2/32 dev va valid_lft 100 preferred_lft 100", NULL, 0));
	CU_ASSERT(netns_ip(0,
	    "addr add 2001:db8::2/128 dev va nodad valid_lft 100 preferred_lft 0", NULL,
	    0));
	CU_ASSERT(is_free("192.0.2.2"));
	CU_ASSERT(is_free("2001:db8::2"));
	CU_ASSERT(netns_ip(0, "addr flush dev va", NULL, 0));
}

/* The far end of a point-to-point address is another host. */
static void
test_peer(void)
{
	CU_ASSERT(netns_ip(0, "addr add 192.0.2.3 peer 192.0.2.4 dev va", NULL, 0));
	CU_ASSERT(!is_free("192.0.2.3"));
	CU_ASSERT(is_free("192.0.2.4"));
	CU_ASSERT(netns_ip(0, "addr flush dev va", NULL, 0));
}

static void
test_many(void)
{
	char path[] = "/tmp/lictor-host.XXXXXX";
	FILE *fp = fdopen(mkstemp(path), "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(fp);
	for (int i = 0; i < MANY; i++)
		fprintf(fp, "addr add 10.1.%d.%d/32 dev va\n", i / 250, i % 250 + 1);
	CU_ASSERT_EQUAL_FATAL(fclose(fp), 0);
	AUTO_FREE char *words = xasprintf("-batch %s", path);
	CU_ASSERT(netns_ip(0, words, NULL, 0));
	unlink(path);
	for (int i = 0; i < MANY; i += 111) {
		char text[32];
		snprintf(text, sizeof(text), "10.1.%d.%d", i / 250, i % 250 + 1);
		CU_ASSERT(!is_free(text));
	}
	CU_ASSERT(is_free("10.1.3.251"));
}

static bool
set_groups(const char *range)
{
	AUTO_CLOSE int fd =
	    open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, range, strlen(range)) > 0;
}

static void
test_ping(void)
{
	struct host own = { 0 }, agent = { .other = true, .agent.gid = 993 };
	gid_t groups[] = { 7 };
	char why[200] = "";

	CU_ASSERT(set_groups("0 0"));
	CU_ASSERT_EQUAL(host_check_ping(&own, why, sizeof(why)), 0);
	CU_ASSERT_STRING_EQUAL(why, "");
	CU_ASSERT_EQUAL(host_check_ping(&agent, why, sizeof(why)), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "none of the user lictor's groups"));
	CU_ASSERT(set_groups("1 0"));
	CU_ASSERT_EQUAL(host_check_ping(&own, why, sizeof(why)), -1);
	CU_ASSERT_PTR_NOT_NULL(
	    strstr(why, "expected one of them to be within net.ipv4.ping_group_range"));
	CU_ASSERT(set_groups("993 2147483647"));
	CU_ASSERT_EQUAL(host_check_ping(&agent, why, sizeof(why)), 0);
	CU_ASSERT(set_groups("7 7"));
	CU_ASSERT_EQUAL(host_check_ping(&agent, why, sizeof(why)), -1);
	agent.agent.groups = groups;
	agent.agent.n_groups = 1;
	CU_ASSERT_EQUAL(host_check_ping(&agent, why, sizeof(why)), 0);
}

/* A file of each mode, group and folder against the rule: its group's, and a folder that can
 * be passed. */
static void
test_agent_reads(void)
{
	char folder[] = "/tmp/lictor-host.XXXXXX", why[512] = "";
	struct host host;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	AUTO_FREE char *path = xasprintf("%s/secret", folder);
	AUTO_CLOSE int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	host_begin(&host);
	if (!host.other)
		printf("# there is no other user for the agent here\n");
	for (unsigned int i = 0; i < 8; i++) {
		bool passed = (i & 1) != 0, group = (i & 2) != 0, mode = (i & 4) != 0;
		gid_t gid = group && host.other ? host.agent.gid : getegid();
		CU_ASSERT_EQUAL(fchown(fd, geteuid(), gid), 0);
		CU_ASSERT_EQUAL(fchmod(fd, mode ? 0640 : 0600), 0);
		CU_ASSERT_EQUAL(chmod(folder, passed ? 0711 : 0700), 0);
		bool can = !host.other || (passed && group && mode);
		CU_ASSERT_EQUAL(
		    host_check_file(&host, path, true, why, sizeof(why)) == 0, can);
		CU_ASSERT(can || strstr(why, "by the user lictor") != NULL);
		AUTO_CLOSE int own = open(path, O_RDONLY | O_CLOEXEC);
		CU_ASSERT(own >= 0);
	}
	host_end(&host);
	unlink(path);
	rmdir(folder);
}

static const struct tap_case cases[] = {
	{ "an address of another host is free", test_elsewhere },
	{ "a permanent address is the host's own", test_permanent },
	{ "an address with a lifetime may be a vip", test_lifetime },
	{ "the far end of a link is another host", test_peer },
	{ "one of a thousand addresses is found", test_many },
	{ "who may send echoes", test_ping },
	{ "what the agent can read", test_agent_reads },
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
	return tap_main(argc, argv, "host", cases, ARRAY_LENGTH(cases));
}
