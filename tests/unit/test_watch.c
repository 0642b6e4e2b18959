/* SPDX-License-Identifier: ISC */
/*
 * A blocking query kept going, against a script: which index is asked with after which
 * answer, what is news, how fast it asks, and that it gives up on a poll by itself.
 */
#include "agent/consul/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "tests/unit/pace.h"
#include "tests/unit/scripted.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define LIMIT_MS 20000
#define STEPS 16

/* One answer; index 0: none is said. */
struct step {
	int status;
	unsigned int index;
	const char *body;
};

struct script {
	struct loop *loop;
	struct conf_consul conf;
	struct scripted *server;
	struct consul *consul;
	struct watch *watch;
	const struct step *steps; /* what is beyond hangs; NULL: always a new index */
	size_t n_steps, asked;
	char paths[STEPS][128];
	int64_t times[STEPS];
	size_t hang; /* that one, counted from 1, has no answer */
	unsigned int news, troubles, free_at;
	bool patient, by_hash;
	char log[STEPS + 1]; /* N or T, in their order */
	size_t told;
};

static void
on_asked(void *arg, const char *request, struct scripted_call *call)
{
	struct script *s = arg;
	size_t i = s->asked++;
	char index[64] = "";

	if (i < STEPS) {
		size_t len = strcspn(request + 4, " ");

		snprintf(
		    s->paths[i], sizeof(s->paths[i]), "%.*s", (int)len, request + 4);
		s->times[i] = clock_boot_ms();
	}
	if (!s->steps) {
		snprintf(index, sizeof(index), "X-Consul-Index: %zu\r\n", i + 5);
		scripted_answer(call, 200, index, "[]");
	} else if (i < s->n_steps && s->asked != s->hang) {
		if (s->steps[i].index)
			snprintf(index, sizeof(index), "X-Consul-Index: %u\r\n",
			    s->steps[i].index);
		scripted_answer(call, s->steps[i].status, index,
		    s->steps[i].body ? s->steps[i].body : "[]");
	}
}

static void
tell(struct script *s, char what)
{
	if (s->told < STEPS)
		s->log[s->told] = what;
	s->told++;
	if (s->told == s->free_at) {
		watch_free(s->watch);
		s->watch = NULL;
	}
}

static void
on_news(void *arg, const struct consul_reply *reply)
{
	struct script *s = arg;

	CU_ASSERT_TRUE(reply->result == CONSUL_OK || reply->result == CONSUL_NOT_FOUND);
	s->news++;
	tell(s, 'N');
}

static void
on_trouble(void *arg, const struct consul_reply *reply)
{
	struct script *s = arg;

	CU_ASSERT_TRUE(reply->result != CONSUL_OK && reply->result != CONSUL_NOT_FOUND);
	s->troubles++;
	tell(s, 'T');
}

static void
open_script(struct script *s, const char *path, const struct step *steps, size_t n)
{
	struct watch_way way = { .wait_ms = 2000, .patient = s->patient };

	way.by_hash = s->by_hash;
	struct watch_out out = { .news = on_news, .trouble = on_trouble, .arg = s };

	s->loop = loop_new();
	s->steps = steps;
	s->n_steps = n;
	s->server = scripted_new(s->loop, on_asked, s);
	s->conf.address = xstrdup(scripted_address(s->server));
	s->consul = consul_new(s->loop, &s->conf);
	s->watch = watch_new(s->loop, s->consul, path, &way, &out);
	CU_ASSERT_EQUAL(s->told, 0);
}

static void
close_script(struct script *s)
{
	watch_free(s->watch);
	consul_free(s->consul);
	scripted_free(s->server);
	free(s->conf.address);
	loop_free(s->loop);
}

static bool
all_asked(void *arg)
{
	struct script *s = arg;

	return s->asked > s->n_steps;
}

static void
test_index(void)
{
	static const struct step steps[] = {
		{ 200, 10, NULL }, /* first: news */
		{ 200, 10, NULL }, /* the wait ran out */
		{ 200, 12, NULL }, /* news */
		{ 200, 11, NULL }, /* backwards: news, and from the beginning */
		{ 200, 11, NULL }, /* news */
		{ 404, 11, NULL }, /* news, though the index stays */
		{ 200, 0, NULL }, /* none: 1, which is lower */
		{ 200, 0, NULL }, /* first of those */
		{ 200, 0, NULL },
		{ 200, 3, NULL },
	};
	static const char *const asked[] = {
		"/v1/x",
		"/v1/x?index=10&wait=2000ms",
		"/v1/x?index=10&wait=2000ms",
		"/v1/x?index=12&wait=2000ms",
		"/v1/x",
		"/v1/x?index=11&wait=2000ms",
		"/v1/x?index=11&wait=2000ms",
		"/v1/x",
		"/v1/x?index=1&wait=2000ms",
		"/v1/x?index=1&wait=2000ms",
		"/v1/x?index=3&wait=2000ms",
	};
	struct script s = { 0 };

	open_script(&s, "/v1/x", steps, ARRAY_LENGTH(steps));
	CU_ASSERT_TRUE(until(s.loop, all_asked, &s, LIMIT_MS));
	for (size_t i = 0; i < ARRAY_LENGTH(asked); i++)
		CU_ASSERT_STRING_EQUAL(s.paths[i], asked[i]);
	CU_ASSERT_EQUAL(s.news, 8);
	CU_ASSERT_EQUAL(s.troubles, 0);
	close_script(&s);
}

static void
test_query(void)
{
	static const struct step steps[] = { { 200, 4294967295u, NULL } };
	struct script s = { 0 };
	char expected[128];

	open_script(&s, "/v1/kv/a%20b?recurse", steps, 1);
	CU_ASSERT_TRUE(until(s.loop, all_asked, &s, LIMIT_MS));
	snprintf(expected, sizeof(expected),
	    "/v1/kv/a%%20b?recurse&index=%u&wait=2000ms", steps[0].index);
	CU_ASSERT_STRING_EQUAL(s.paths[0], "/v1/kv/a%20b?recurse");
	CU_ASSERT_STRING_EQUAL(s.paths[1], expected);
	close_script(&s);
}

/* Consul's own time-out is neither news nor trouble; every other failure is trouble, and
 * the next poll does not wait for a change. */
static int64_t
fail_a_while(void)
{
	static const struct step steps[] = {
		{ 200, 10, NULL },
		{ 500, 0, "rpc error making call: i/o deadline reached" },
		{ 500, 0, "rpc error making call: EOF" },
		{ 500, 0, "No cluster leader" },
		{ 429, 0, "rate limit exceeded" },
		{ 403, 0, "Permission denied" },
		{ 200, 10, NULL },
		{ 200, 10, NULL },
	};
	struct script s = { 0 };

	open_script(&s, "/v1/x", steps, ARRAY_LENGTH(steps));
	CU_ASSERT_TRUE(until(s.loop, all_asked, &s, LIMIT_MS));
	CU_ASSERT_STRING_EQUAL(s.log, "NTTTTN");
	CU_ASSERT_STRING_EQUAL(s.paths[2], "/v1/x?index=10&wait=2000ms");
	for (size_t i = 3; i < 7; i++)
		CU_ASSERT_STRING_EQUAL(s.paths[i], "/v1/x");
	CU_ASSERT_STRING_EQUAL(s.paths[7], "/v1/x?index=10&wait=2000ms");
	for (size_t i = 4; i < 7; i++)
		CU_ASSERT_TRUE(s.times[i] - s.times[i - 1] >= (50 << (i - 4)));
	close_script(&s);
	return s.times[3] - s.times[2];
}

/* The first again at once (but for the rate), then growing waits. What a busy machine adds to
 * one of them it does not add to all. */
static void
test_failures(void)
{
	int64_t shortest = INT64_MAX;

	for (int i = 0; i < 4; i++) {
		int64_t took = fail_a_while();

		shortest = took < shortest ? took : shortest;
	}
	CU_ASSERT_TRUE(shortest < 100);
}

/* However fast answers come: a burst, then one each 50 ms. */
static void
test_rate(void)
{
	struct pace *pace = pace_new(10, NULL, NULL);
	struct script s = { 0 };
	int64_t began = clock_boot_ms(), took;

	open_script(&s, "/v1/x", NULL, 0);
	run_for(s.loop, 1000);
	took = clock_boot_ms() - began;
	CU_ASSERT_TRUE(s.asked >= 10);
	CU_ASSERT_TRUE((int64_t)s.asked <= took / 50 + 2);
	CU_ASSERT_TRUE(pace_allows(pace, s.times[1] - s.times[0], 45));
	CU_ASSERT_TRUE(s.news + 1 >= s.asked);
	close_script(&s);
	pace_free(pace);
}

/* By the content's hash; what is not there is asked for again with growing waits. */
static void
test_hash(void)
{
	static const struct step steps[] = {
		{ 200, 0, "{\"ContentHash\":\"a1\"}" }, /* news */
		{ 200, 0, "{\"ContentHash\":\"a1\"}" }, /* the wait ran out */
		{ 200, 0, "{\"ContentHash\":\"b2\"}" }, /* news */
		{ 404, 0, "unknown service ID: x" }, /* news, each */
		{ 404, 0, "unknown service ID: x" },
		{ 404, 0, "unknown service ID: x" },
		{ 200, 0, "{\"ContentHash\":\"b2\"}" }, /* news */
		{ 500, 0, "no" }, /* trouble */
		{ 200, 0, "{\"ContentHash\":\"b2\"}" }, /* news: who knows */
	};
	static const char *const asked[] = {
		"/v1/x",
		"/v1/x?hash=a1&wait=2000ms",
		"/v1/x?hash=a1&wait=2000ms",
		"/v1/x?hash=b2&wait=2000ms",
		"/v1/x",
		"/v1/x",
		"/v1/x",
		"/v1/x?hash=b2&wait=2000ms",
		"/v1/x",
		"/v1/x?hash=b2&wait=2000ms",
	};
	struct script s = { .by_hash = true };

	open_script(&s, "/v1/x", steps, ARRAY_LENGTH(steps));
	CU_ASSERT_TRUE(until(s.loop, all_asked, &s, LIMIT_MS));
	for (size_t i = 0; i < ARRAY_LENGTH(asked); i++)
		CU_ASSERT_STRING_EQUAL(s.paths[i], asked[i]);
	CU_ASSERT_STRING_EQUAL(s.log, "NNNNNNTN");
	CU_ASSERT_TRUE(s.times[6] - s.times[5] >= 50);
	close_script(&s);
}

/* Answers that cannot be waited for, or that end each wait at once, are asked for less and
 * less often. */
static void
test_no_wait(void)
{
	static const struct step table[][6] = {
		{ { 200, 0, "{}" }, { 200, 0, "{}" }, { 200, 0, "{}" },
		    { 200, 0, "{}" }, { 200, 0, "{}" }, { 200, 0, "{}" } },
		{ { 200, 0, "{\"ContentHash\":\"a1\"}" }, { 500, 0, "i/o deadline" },
		    { 500, 0, "i/o deadline" }, { 500, 0, "i/o deadline" },
		    { 500, 0, "i/o deadline" }, { 500, 0, "i/o deadline" } },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
		struct script s = { .by_hash = true };

		open_script(&s, "/v1/x", table[i], ARRAY_LENGTH(table[i]));
		CU_ASSERT_TRUE(until(s.loop, all_asked, &s, LIMIT_MS));
		CU_ASSERT_TRUE(s.times[6] - s.times[1] >= 600);
		CU_ASSERT_EQUAL(s.troubles, 0);
		close_script(&s);
	}
}

static bool
asked_twice(void *arg)
{
	return ((struct script *)arg)->asked == 2;
}

static bool
asked_thrice(void *arg)
{
	return ((struct script *)arg)->asked == 3;
}

/* Asked for, the next answer comes at once and is news, whatever the poll under way. */
static void
test_again(void)
{
	static const struct step steps[] = {
		{ 200, 10, NULL },
		{ 0, 0, NULL },
		{ 200, 10, NULL },
	};
	struct script s = { 0 };

	open_script(&s, "/v1/x", steps, ARRAY_LENGTH(steps));
	s.hang = 2;
	CU_ASSERT_TRUE(until(s.loop, asked_twice, &s, LIMIT_MS));
	watch_again(s.watch);
	CU_ASSERT_TRUE(until(s.loop, asked_thrice, &s, LIMIT_MS));
	CU_ASSERT_TRUE(until(s.loop, all_asked, &s, LIMIT_MS));
	CU_ASSERT_STRING_EQUAL(s.paths[1], "/v1/x?index=10&wait=2000ms");
	CU_ASSERT_STRING_EQUAL(s.paths[2], "/v1/x");
	CU_ASSERT_STRING_EQUAL(s.log, "NN");
	close_script(&s);
}

/* A big answer puts the next question off, a small one does not. */
static void
test_patience(void)
{
	static char big[250001];
	const struct step steps[] = {
		{ 200, 10, "[]" },
		{ 200, 11, big },
		{ 200, 12, big },
		{ 200, 13, "[]" },
	};
	struct script s = { .patient = true };

	struct pace *pace = pace_new(10, NULL, NULL);
	memset(big, ' ', sizeof(big) - 1);
	big[0] = '[';
	big[sizeof(big) - 2] = ']';
	open_script(&s, "/v1/x", steps, ARRAY_LENGTH(steps));
	CU_ASSERT_TRUE(until(s.loop, all_asked, &s, LIMIT_MS));
	CU_ASSERT_TRUE(pace_allows(pace, s.times[1] - s.times[0], 150));
	CU_ASSERT_TRUE(s.times[2] - s.times[1] >= 200);
	CU_ASSERT_TRUE(s.times[3] - s.times[2] >= 200);
	CU_ASSERT_TRUE(pace_allows(pace, s.times[4] - s.times[3], 150));
	CU_ASSERT_EQUAL(s.news, 4);
	close_script(&s);
	pace_free(pace);
}

static bool
in_trouble(void *arg)
{
	return ((struct script *)arg)->troubles > 0;
}

static void
test_deadline(void)
{
	static const struct step steps[] = { { 200, 10, NULL } };
	struct script s = { 0 };
	struct pace *pace = pace_new(10, NULL, NULL);
	int64_t took;

	open_script(&s, "/v1/x", steps, 1);
	CU_ASSERT_TRUE(until(s.loop, in_trouble, &s, LIMIT_MS));
	took = clock_boot_ms() - s.times[1];
	CU_ASSERT_TRUE(took >= 3120 && pace_allows(pace, took, 3500));
	CU_ASSERT_FALSE(consul_reachable(s.consul));
	close_script(&s);
	pace_free(pace);
}

/* The owner may free it in any callback. */
static void
test_free(void)
{
	static const struct step steps[] = {
		{ 200, 10, NULL },
		{ 500, 0, "No cluster leader" },
		{ 200, 11, NULL },
	};

	for (unsigned int at = 1; at <= 3; at++) {
		struct script s = { .free_at = at };

		open_script(&s, "/v1/x", steps, ARRAY_LENGTH(steps));
		run_for(s.loop, 400);
		CU_ASSERT_EQUAL(s.told, at);
		CU_ASSERT_PTR_NULL(s.watch);
		close_script(&s);
	}
	watch_free(NULL);
}

static const struct tap_case cases[] = {
	{ "the index follows the answers", test_index },
	{ "index and wait are added to a query", test_query },
	{ "failures are told and tried again", test_failures },
	{ "the rate is bounded", test_rate },
	{ "the hash follows the answers", test_hash },
	{ "answers that cannot be waited for", test_no_wait },
	{ "asked again before its time", test_again },
	{ "big answers are asked for less often", test_patience },
	{ "a poll has a deadline of its own", test_deadline },
	{ "freed in its own callback", test_free },
};

TAP_MAIN("watch", cases)
