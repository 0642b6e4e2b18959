/* SPDX-License-Identifier: ISC */
/*
 * Doubts about a host: each is said where it counts and nowhere else. The kernel's settings
 * are files of a folder here, its addresses a list.
 */
#include "agent/failover/doubt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/self.h"
#include "tests/unit/conf_text.h"
#include "tests/unit/tap.h"

struct said {
	int count;
	char all[4096];
};

static void
say(void *arg, const char *line)
{
	struct said *said = arg;
	size_t len = strlen(said->all);

	said->count++;
	snprintf(said->all + len, sizeof(said->all) - len, "%s\n", line);
}

/* All combinations of what an agent may say. */
static void
test_consul(void)
{
	static const char *const words[] = { "leave_on_terminate", "is a server",
		"raft_multiplier", "node_id" };
	struct conf *roles = conf_of_text("role x { }"), *none = conf_of_text("");

	for (unsigned int bits = 0; bits < 64; bits++) {
		const struct self_facts facts = {
			.leave_on_terminate = (bits & 1) != 0,
			.server = (bits & 2) != 0,
			.election_timeout_ms = (bits & 4) != 0 ? 5000 : 1000,
			.node_id_pinned = (bits & 8) != 0,
			.kept = (bits & 16) != 0,
			.debug = (bits & 32) != 0,
		};
		bool counts = !facts.kept && facts.debug;
		bool wanted[] = { facts.leave_on_terminate && !facts.server,
			facts.server, facts.server && (bits & 4) != 0,
			!facts.node_id_pinned };
		struct said said = { 0 }, nothing = { 0 };
		doubt_consul(roles, &facts, &(struct doubt_out){ say, &said });
		doubt_consul(none, &facts, &(struct doubt_out){ say, &nothing });
		for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
			CU_ASSERT_EQUAL(
			    strstr(said.all, words[i]) != NULL, counts && wanted[i]);
		CU_ASSERT_EQUAL(nothing.count, 0);
	}
	conf_free(roles);
	conf_free(none);
}

static void
test_conf(void)
{
	static const struct {
		const char *text;
		int count;
	} rows[] = {
		{ "role x { }", 0 },
		{ "failover { heartbeats = false } role x { }", 0 },
		{ "failover { heartbeats = false } role x { lease = 2250ms }", 1 },
		{ "failover { heartbeats = false lease = 1250ms } role x { } role y { "
		  "}",
		    2 },
		{ "failover { lease = 1250ms } role x { }", 0 },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct conf *conf = conf_of_text(rows[i].text);
		struct said said = { 0 };
		doubt_conf(conf, &(struct doubt_out){ say, &said });
		CU_ASSERT_EQUAL(said.count, rows[i].count);
		conf_free(conf);
	}
}

/* ---- a kernel of files ---- */

static void
write_switch(const char *folder, const char *name, int value)
{
	AUTO_FREE char *path = xasprintf("%s/%s", folder, name);

	for (char *slash = path + strlen(folder) + 1;
	     (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		CU_ASSERT(mkdir(path, 0700) == 0 || errno == EEXIST);
		*slash = '/';
	}
	AUTO_FCLOSE FILE *file = fopen(path, "we");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fprintf(file, "%d\n", value);
}

struct card {
	struct ifaddrs entry;
	struct sockaddr_in address, mask;
};

static void
plug(struct card *card, const char *name, const char *address, const char *mask,
    struct card *next)
{
	*card =
	    (struct card){ .address.sin_family = AF_INET, .mask.sin_family = AF_INET };
	inet_pton(AF_INET, address, &card->address.sin_addr);
	inet_pton(AF_INET, mask, &card->mask.sin_addr);
	card->entry.ifa_name = (char *)name;
	card->entry.ifa_addr = (struct sockaddr *)&card->address;
	card->entry.ifa_netmask = (struct sockaddr *)&card->mask;
	card->entry.ifa_next = next != NULL ? &next->entry : NULL;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void
test_host(void)
{
	static const char text[] =
	    "service at { address = \"10.0.0.100\" }\n"
	    "service all { }\n"
	    "role x { services = {at, all} vip \"10.0.0.100\" { interface = eth0 } }";
	char folder[] = "/tmp/lictor-doubt.XXXXXX";
	struct conf *conf = conf_of_text(text);
	struct card first, second;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	for (unsigned int bits = 0; bits < 32; bits++) {
		bool same_network = (bits & 4) != 0, host_mask = (bits & 16) != 0;
		struct said said = { 0 };
		write_switch(folder, "ipv4/ip_nonlocal_bind", (bits & 1) != 0);
		write_switch(folder, "ipv4/conf/all/arp_ignore", (bits & 2) != 0);
		write_switch(folder, "ipv4/conf/eth1/arp_ignore", (bits & 8) != 0);
		plug(&second, "eth1", same_network ? "10.0.0.2" : "10.0.1.2",
		    host_mask ? "255.255.255.255" : "255.255.255.0", NULL);
		plug(&first, "eth0", "10.0.0.1", "255.255.255.0", &second);
		doubt_host_of(
		    conf, folder, &first.entry, &(struct doubt_out){ say, &said });
		CU_ASSERT_EQUAL(
		    strstr(said.all, "service at") != NULL, (bits & 1) == 0);
		CU_ASSERT_PTR_NULL(strstr(said.all, "service all"));
		CU_ASSERT_EQUAL(strstr(said.all, "and eth1, in the same") != NULL,
		    same_network && !host_mask && (bits & (2 | 8)) == 0);
	}
	conf_free(conf);
	CU_ASSERT_EQUAL(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static const struct tap_case cases[] = {
	{ "of what Consul's agent says", test_consul },
	{ "of the configuration", test_conf },
	{ "of the host", test_host },
};

TAP_MAIN("doubt", cases)
