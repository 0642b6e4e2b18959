/* SPDX-License-Identifier: ISC */
/*
 * An operator's oath against a Consul that says what a script says: whose write may come
 * between the read and ours, and what becomes of a write whose answer was lost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/base64.h"
#include "agent/base/json.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/failover/roles_state.h"
#include "tests/unit/scripted.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define LIMIT_MS 10000
#define TURNS 8

/* What Consul says in turn: the register that `writer` wrote, or to a write. */
struct turn {
	int status; /* of a write; 0: a read */
	uint64_t index;
	const char *writer; /* NULL: the write before has been applied after all */
};

struct story {
	const char *name;
	struct turn turns[TURNS];
	bool ok;
	const char *why; /* a part of it */
};

static const struct story stories[] = {
	{ "nobody else writes", { { 0, 7, "web-2" }, { .status = 200 } }, true,
	    "web-1 takes the role at once" },
	{ "a taker claims between",
	    { { 0, 7, "web-2" }, { .status = 409 }, { 0, 8, "web-3" },
		{ .status = 200 } },
	    true, "web-1 takes the role at once" },
	{ "takers claim again and again",
	    { { 0, 7, "web-2" }, { .status = 409 }, { 0, 8, "web-3" },
		{ .status = 409 }, { 0, 9, "web-3" }, { .status = 409 },
		{ 0, 10, "web-3" } },
	    false, "did not succeed" },
	{ "who is said to be off writes",
	    { { 0, 7, "web-3" }, { .status = 409 }, { 0, 8, "web-2" } }, false,
	    "web-2 has just written its register: it lives" },
	{ "an answer is lost", { { 0, 7, "web-2" }, { .status = 500 }, { 0, 8, NULL } },
	    true, "web-1 takes the role at once" },
	{ "a write is lost",
	    { { 0, 7, "web-2" }, { .status = 500 }, { 0, 7, "web-2" } }, false,
	    "the write did not succeed, Consul says" },
	{ "it may not write",
	    { { 0, 7, "web-2" }, { .status = 403 }, { 0, 7, "web-2" } }, false,
	    "the write did not succeed, Consul says" },
};

struct test {
	const struct story *story;
	size_t turn;
	char written[2048]; /* in base64 */
	bool done, ok;
	char why[512];
};

static void
say_register(struct test *test, const struct turn *turn, struct scripted_call *call)
{
	AUTO_FREE char *value = NULL;
	char text[1024], body[4096];

	snprintf(text, sizeof(text),
	    "{\"v\":1,\"rev\":%d,\"wid\":\"%s.0000000000000009.CLAIM.%d\","
	    "\"holder\":\"%s\",\"fence\":{\"node\":\"web-2\",\"lease_ms\":1010,"
	    "\"hold_ms\":60010,\"members\":[],\"hb\":true}}",
	    (int)turn->index, turn->writer ? turn->writer : "", (int)turn->index,
	    turn->writer ? turn->writer : "");
	value = base64_encode(text, strlen(text));
	snprintf(body, sizeof(body), "[{\"ModifyIndex\":%d,\"Value\":\"%s\"}]",
	    (int)turn->index, turn->writer ? value : test->written);
	scripted_answer(call, 200, "Content-Type: application/json\r\n", body);
}

static void
on_asked(void *arg, const char *request, struct scripted_call *call)
{
	struct test *test = arg;
	const struct turn *turn = &test->story->turns[test->turn++];
	const char *value = strstr(request, "\"Value\":\"");

	CU_ASSERT_TRUE_FATAL(test->turn <= TURNS);
	CU_ASSERT_EQUAL(value != NULL, turn->status != 0);
	if (value == NULL) {
		say_register(test, turn, call);
		return;
	}
	value += strlen("\"Value\":\"");
	snprintf(test->written, sizeof(test->written), "%.*s",
	    (int)strcspn(value, "\""), value);
	scripted_answer(
	    call, turn->status, "", turn->status == 200 ? "{\"Results\":[]}" : "no");
}

static void
on_done(void *arg, bool ok, const char *why)
{
	struct test *test = arg;

	CU_ASSERT_FALSE(test->done);
	test->done = true;
	test->ok = ok;
	str_copy(test->why, sizeof(test->why), why);
}

static uint64_t
draw(void *arg)
{
	(void)arg;
	return 1;
}

static bool
is_done(void *arg)
{
	struct test *test = arg;

	return test->done;
}

static void
tell(const struct story *story)
{
	static const struct role_now now = { 1000, 1000 };
	struct role_params params = { .node = "web-1", .inst = 1, .lease_ms = 1000 };
	struct test test = { .story = story };
	struct loop *loop = loop_new();
	struct scripted *server = scripted_new(loop, on_asked, &test);
	char name[] = "web", node[] = "web-1";
	struct conf conf = { .consul = {
				 .address = xstrdup(scripted_address(server)) } };
	struct conf_role role = { .name = name };
	struct seat seat = { .conf = &role, .n_peers = 1 };
	struct seat *seats[] = { &seat };
	struct roles roles = { .loop = loop,
		.conf = &conf,
		.node = node,
		.inst_number = 1,
		.seats = seats };

	seat.roles = &roles;
	seat.role = role_new(&params, now, draw, NULL);
	seat.peers[0] = (struct role_peer){ .node = "web-1", .ready = true };
	roles.consul = consul_new(loop, &conf.consul);
	roles_force(&roles, 0, "web-1", "web-2", on_done, &test);
	CU_ASSERT_TRUE(until(loop, is_done, &test, LIMIT_MS));
	CU_ASSERT_EQUAL(test.ok, story->ok);
	CU_ASSERT_PTR_NOT_NULL(strstr(test.why, story->why));
	if (strstr(test.why, story->why) == NULL)
		printf("# %s: %s\n", story->name, test.why);
	CU_ASSERT_PTR_NULL(seat.force);
	consul_free(roles.consul);
	scripted_free(server);
	role_free(seat.role);
	free(conf.consul.address);
	loop_free(loop);
}

static void
test_stories(void)
{
	for (size_t i = 0; i < ARRAY_LENGTH(stories); i++)
		tell(&stories[i]);
}

static const struct tap_case cases[] = {
	{ "an oath, and who writes meanwhile", test_stories },
};

TAP_MAIN("force", cases)
