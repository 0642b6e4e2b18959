/* SPDX-License-Identifier: ISC */
/*
 * What Consul says of this host: told once; kept for a start at which Consul does not answer,
 * where it counts after 200 ms, and then only on this machine and for this datacenter.
 */
#include "agent/consul/self.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/machine.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "tests/unit/scripted.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define LIMIT_MS 5000

static const char answer[] =
    "{\"Config\":{\"Datacenter\":\"dc1\",\"NodeName\":\"db-1\",\"Server\":false},"
    "\"Member\":{\"Name\":\"db-1\",\"Addr\":\"10.0.0.1\"},"
    "\"DebugConfig\":{\"ServerMode\":false,\"LeaveOnTerm\":true,\"NodeID\":\"\","
    "\"DisableHostNodeID\":true,\"ConsulRaftElectionTimeout\":\"2.5s\"}}";

struct fixture {
	struct loop *loop;
	struct scripted *script;
	const char *body; /* NULL: no answer */
	struct conf_consul conf;
	struct consul *consul;
	struct self *self;
	char folder[32], path[64];
	unsigned int told, told_kept;
	struct self_facts facts;
	int64_t told_at;
};

static void
asked(void *arg, const char *request, struct scripted_call *call)
{
	struct fixture *f = arg;

	(void)request;
	if (f->body != NULL)
		scripted_answer(call, 200, "", f->body);
}

static void
on_known(void *arg, const struct self_facts *facts)
{
	struct fixture *f = arg;

	f->told++;
	f->told_kept += facts->kept;
	f->facts = *facts;
	f->told_at = loop_now(f->loop);
}

static void
open_fixture(struct fixture *f, const char *body)
{
	*f = (struct fixture){ .body = body, .folder = "/tmp/self.XXXXXX" };
	f->loop = loop_new();
	f->script = scripted_new(f->loop, asked, f);
	f->conf.address = xstrdup(scripted_address(f->script));
	f->consul = consul_new(f->loop, &f->conf);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/node", f->folder);
}

static void
ask(struct fixture *f, const char *datacenter)
{
	self_free(f->self);
	f->told = f->told_kept = 0;
	f->self = self_new(f->loop, f->consul, datacenter, f->folder,
	    &(struct self_out){ on_known, f });
	CU_ASSERT_EQUAL(f->told, 0);
}

static void
close_fixture(struct fixture *f)
{
	self_free(f->self);
	consul_free(f->consul);
	scripted_free(f->script);
	loop_free(f->loop);
	free(f->conf.address);
	unlink(f->path);
	CU_ASSERT_EQUAL(rmdir(f->folder), 0);
}

static bool
is_told(void *arg)
{
	return ((struct fixture *)arg)->told > 0;
}

static bool
is_told_twice(void *arg)
{
	return ((struct fixture *)arg)->told > 1;
}

static void
test_facts(void)
{
	struct fixture f;
	struct stat st;

	open_fixture(&f, answer);
	ask(&f, NULL);
	CU_ASSERT_TRUE(until(f.loop, is_told, &f, LIMIT_MS));
	CU_ASSERT_STRING_EQUAL(f.facts.node, "db-1");
	CU_ASSERT_STRING_EQUAL(f.facts.address, "10.0.0.1");
	CU_ASSERT_TRUE(f.facts.debug && f.facts.leave_on_terminate);
	CU_ASSERT_FALSE(f.facts.kept || f.facts.server || f.facts.node_id_pinned);
	CU_ASSERT_EQUAL(f.facts.election_timeout_ms, 2500);
	self_free(f.self);
	f.self = NULL;
	CU_ASSERT_EQUAL(stat(f.path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
	/* it is there, and Consul answers: told once, by Consul */
	ask(&f, "dc1");
	run_for(f.loop, 400);
	CU_ASSERT_EQUAL(f.told, 1);
	CU_ASSERT_EQUAL(f.told_kept, 0);
	close_fixture(&f);
}

/* Consul hangs; what was kept is told, and what it says at last is told again. */
static void
test_kept(void)
{
	struct fixture f;
	int64_t began;

	open_fixture(&f, answer);
	ask(&f, NULL);
	CU_ASSERT_TRUE(until(f.loop, is_told, &f, LIMIT_MS));
	f.body = NULL;
	ask(&f, "dc1");
	began = loop_now(f.loop);
	CU_ASSERT_TRUE(until(f.loop, is_told, &f, LIMIT_MS));
	CU_ASSERT_TRUE(f.told_at - began >= 190);
	CU_ASSERT_TRUE(f.facts.kept && !f.facts.debug);
	CU_ASSERT_STRING_EQUAL(f.facts.node, "db-1");
	CU_ASSERT_STRING_EQUAL(f.facts.address, "10.0.0.1");
	f.body = answer;
	CU_ASSERT_TRUE(until(f.loop, is_told_twice, &f, LIMIT_MS));
	CU_ASSERT_FALSE(f.facts.kept);
	close_fixture(&f);
}

static void
write_kept(const struct fixture *f, const char *text)
{
	AUTO_FCLOSE FILE *file = fopen(f->path, "we");

	fputs(text, file);
}

/* Of another machine, of another datacenter, damaged: nothing. */
static void
test_not_ours(void)
{
	char machine[MACHINE_ID_SIZE];
	struct fixture f;

	machine_id(machine);
	AUTO_FREE char *other = xasprintf(
	    "{\"node\":\"db-9\",\"address\":\"10.0.0.9\",\"datacenter\":\"dc1\","
	    "\"machine\":\"%c%s\"}\n",
	    machine[0] == '0' ? '1' : '0', machine[0] != '\0' ? machine + 1 : "");
	AUTO_FREE char *ours =
	    xasprintf("{\"node\":\"db-9\",\"address\":\"\",\"datacenter\":\"dc1\","
		      "\"machine\":\"%s\"}\n",
		machine);
	const char *const texts[] = { other, "", "{", "{}", ours };

	open_fixture(&f, NULL);
	for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
		write_kept(&f, texts[i]);
		ask(&f, "dc2");
		run_for(f.loop, 300);
		CU_ASSERT_EQUAL(f.told, 0);
		ask(&f, NULL);
		run_for(f.loop, 300);
		CU_ASSERT_EQUAL(f.told, texts[i] == ours && machine[0] != '\0');
	}
	close_fixture(&f);
}

/* What an agent says that is a server, pinned, or says nothing more. */
static void
test_others(void)
{
	static const char bare[] =
	    "{\"Config\":{\"NodeName\":\"db-1\"},\"Member\":{\"Addr\":\"::1\"}}";
	static const char pinned[] =
	    "{\"Config\":{\"NodeName\":\"db-1\",\"Server\":true},\"DebugConfig\":{"
	    "\"ServerMode\":true,\"LeaveOnTerm\":false,\"NodeID\":\"759fd25b\","
	    "\"DisableHostNodeID\":true,\"ConsulRaftElectionTimeout\":\"52ms\"}}";
	struct fixture f;

	open_fixture(&f, bare);
	ask(&f, NULL);
	CU_ASSERT_TRUE(until(f.loop, is_told, &f, LIMIT_MS));
	CU_ASSERT_FALSE(f.facts.debug);
	CU_ASSERT_STRING_EQUAL(f.facts.address, "::1");
	CU_ASSERT_EQUAL(f.facts.election_timeout_ms, 0);
	f.body = pinned;
	ask(&f, NULL);
	CU_ASSERT_TRUE(until(f.loop, is_told, &f, LIMIT_MS));
	CU_ASSERT_TRUE(f.facts.debug && f.facts.server && f.facts.node_id_pinned);
	CU_ASSERT_FALSE(f.facts.leave_on_terminate);
	CU_ASSERT_STRING_EQUAL(f.facts.address, "");
	CU_ASSERT_EQUAL(f.facts.election_timeout_ms, 52);
	close_fixture(&f);
}

static const struct tap_case cases[] = {
	{ "what Consul says", test_facts },
	{ "what Consul said", test_kept },
	{ "what it said of others", test_not_ours },
	{ "what other agents say", test_others },
};

TAP_MAIN("self", cases)
