/* SPDX-License-Identifier: ISC */
/*
 * How long an answer holds, and what is an answer: the hosts file and a name server of our
 * own, in namespaces with their own resolv.conf and hosts; without them there is nothing
 * to see.
 */
#include "agent/base/lookup.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/names.h"
#include "agent/base/util.h"
#include "tests/unit/name_server.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define A "192.0.2.1"

static const struct name_record records[] = {
	{ "zero.test", .a = A, .ttl = 0 },
	{ "one.test", .a = A, .ttl = 1 },
	{ "minute.test", .a = A, .ttl = 60 },
	{ "hour.test", .a = A, .ttl = 3600 },
	{ "longer.test", .a = A, .ttl = 3601 },
	{ "ever.test", .a = A, .ttl = 0x7fffffff },
	{ "negative.test", .a = A, .ttl = 0x80000000 },
	{ "both.test", .a = A, .aaaa = "2001:db8::1", .ttl = 30 },
	{ "alias.test", .a = A, .ttl = 60, .alias = "real.test", .alias_ttl = 7 },
	{ "real.test", .a = A, .ttl = 8, .alias = "other.test", .alias_ttl = 60 },
	{ "empty.test" },
	{ "broken.test", .rcode = 2 },
	{ "refused.test", .rcode = 5 },
	{ "silent.test", .lost = NAME_SERVER_LOST },
	{ "filed.test", .a = A, .ttl = 60 },
};

static const struct {
	const char *host;
	enum net_error error;
	int64_t keep_ms;
} rows[] = {
	{ "zero.test", NET_OK, 1000 },
	{ "one.test", NET_OK, 1000 },
	{ "minute.test", NET_OK, 60000 },
	{ "hour.test", NET_OK, 3600000 },
	{ "longer.test", NET_OK, 3600000 },
	{ "ever.test", NET_OK, 3600000 },
	{ "negative.test", NET_OK, 1000 }, /* RFC 2181, 8: it is zero */
	{ "both.test", NET_OK, 30000 },
	{ "alias.test", NET_OK, 7000 },
	{ "real.test", NET_OK, 8000 },
	{ "empty.test", NET_RESOLVE, 5000 },
	{ "nothing.test", NET_RESOLVE, 5000 },
	{ "broken.test", NET_RESOLVE, 0 },
	{ "refused.test", NET_RESOLVE, 0 },
	{ "filed.test", NET_OK, INT64_MAX },
	{ "a..test", NET_RESOLVE, 0 },
};

struct outcome {
	struct answer *answer;
	int64_t keep_ms;
	int told;
};

static void
on_done(void *arg, struct answer *answer, int64_t keep_ms)
{
	struct outcome *outcome = arg;

	answer_release(outcome->answer);
	outcome->answer = answer;
	outcome->keep_ms = keep_ms;
	outcome->told++;
}

static bool
is_told(void *arg)
{
	return ((const struct outcome *)arg)->told > 0;
}

static void
test_how_long(void)
{
	if (!name_server_world()) {
		printf("# no namespaces: names were not tried\n");
		CU_ASSERT_TRUE(true);
		return;
	}
	pid_t server = name_server_start("127.0.0.1", records, ARRAY_LENGTH(records));
	struct loop *loop = loop_new();
	struct lookups *lookups = lookups_new(loop);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct outcome outcome = { 0 };
		lookup_start(lookups, rows[i].host, on_done, &outcome);
		CU_ASSERT_TRUE_FATAL(until(loop, is_told, &outcome, 10000));
		CU_ASSERT_EQUAL(outcome.answer->error, rows[i].error);
		CU_ASSERT_EQUAL(outcome.answer->count > 0, rows[i].error == NET_OK);
		CU_ASSERT_EQUAL(
		    outcome.answer->why[0] == '\0', rows[i].error == NET_OK);
		CU_ASSERT_EQUAL(outcome.keep_ms, rows[i].keep_ms);
		CU_ASSERT_EQUAL(outcome.told, 1);
		answer_release(outcome.answer);
	}
	struct outcome nobody = { 0 };
	lookup_start(lookups, "silent.test", on_done, &nobody);
	lookups_free(lookups);
	CU_ASSERT_EQUAL(nobody.told, 0);
	name_server_stop(server);
	loop_free(loop);
	lookups_free(NULL);
}

static bool
has_news(struct lookups *lookups)
{
	struct lookups_news news = lookups_refresh(lookups);

	return news.hosts || news.servers;
}

/* Each change is told once, and not before a second has passed. */
static void
test_changes_are_noticed(void)
{
	static const char *const files[] = { "/etc/hosts", "/etc/resolv.conf" };

	if (!name_server_world()) {
		printf("# no namespaces: files were not changed\n");
		CU_ASSERT_TRUE(true);
		return;
	}
	struct loop *loop = loop_new();
	struct lookups *lookups = lookups_new(loop);
	for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
		int64_t begun = loop_now(loop);
		name_server_file(files[i], i == 0 ? "# no hosts\n" : "# no servers\n");
		bool changed = false;
		while (!changed && loop_now(loop) - begun < 3000) {
			run_for(loop, 50);
			struct lookups_news news = lookups_refresh(lookups);
			changed = i == 0 ? news.hosts : news.servers;
			CU_ASSERT_FALSE(i == 0 ? news.servers : news.hosts);
		}
		CU_ASSERT_TRUE(changed);
		CU_ASSERT_TRUE(loop_now(loop) - begun >= 900);
		CU_ASSERT_FALSE(has_news(lookups));
	}
	run_for(loop, 1100);
	CU_ASSERT_FALSE(has_news(lookups));
	lookups_free(lookups);
	loop_free(loop);
}

static const struct tap_case cases[] = {
	{ "how long an answer holds", test_how_long },
	{ "changes of the files are noticed", test_changes_are_noticed },
};

TAP_MAIN("lookup", cases)
