/* SPDX-License-Identifier: ISC */
/*
 * The heartbeat in virtual time, against a stand-in for agent/consul/consul.c that says
 * what a case wants: what the first look finds, the pace of the beats, and when exactly
 * one that failed is repeated, by the rule stated a second time, for TTLs from the
 * shortest to a long one. The stand-in's back-off is the greatest that there is, so that
 * it shows where heart does not bound it.
 */
#include "agent/consul/heart.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/consul/consul.h"
#include "tests/unit/tap.h"
#include "tests/unit/virtual_loop.h"

#define ANSWER_MS 10 /* a slot of the loop */
#define BEATS 64
#define FAILING_MAX 5
#define BACKOFF_MAX_MS 5000

static const char passing[] = "{\"service:lictor\":{\"Status\":\"passing\"}}";

enum answer { TAKEN, GONE, HANG, BREAK, BUSY, DENIED, UNKNOWN, BAD, ANSWERS };

static const struct {
	enum consul_result result;
	int status;
	bool late;
	const char *why;
} says[] = {
	[TAKEN] = { CONSUL_OK, 200, false, "ok" },
	[GONE] = { CONSUL_NOT_FOUND, 404, false, "404 Unknown check ID" },
	[HANG] = { CONSUL_AWAY, 0, true, "timeout" },
	[BREAK] = { CONSUL_AWAY, 0, false, "connection ended" },
	[BUSY] = { CONSUL_BUSY, 500, false, "500 No cluster leader" },
	[DENIED] = { CONSUL_DENIED, 403, false, "403 Permission denied" },
	[UNKNOWN] = { CONSUL_DENIED, 403, false, "403 ACL not found" },
	[BAD] = { CONSUL_BAD, 400, false, "400 what?" },
};
_Static_assert(ARRAY_LENGTH(says) == ANSWERS, "each is said");

/* One call, since the heart has one connection. */
struct consul_call {
	struct consul *consul;
	consul_done_fn *done;
	void *arg;
	bool look;
};

struct consul {
	struct loop *loop;
	struct loop_timer *timer; /* of the answer */
	struct consul_call *call;
	enum answer look_answer, answer; /* so many times; then TAKEN */
	unsigned int looks_failing, failing;
	const char *look; /* the body */
	unsigned int looks, beats;
	int64_t times[BEATS];
};

static enum answer
next_answer(const struct consul *consul, bool look)
{
	if (look)
		return consul->looks_failing > 0 ? consul->look_answer : TAKEN;
	return consul->failing > 0 ? consul->answer : TAKEN;
}

static void
on_answer(void *arg)
{
	struct consul *consul = arg;
	struct consul_call *call = consul->call;
	enum answer answer = next_answer(consul, call->look);
	unsigned int *failing = call->look ? &consul->looks_failing : &consul->failing;
	struct consul_reply reply = {
		.result = says[answer].result,
		.status = says[answer].status,
		.late = says[answer].late,
		.why = says[answer].why,
	};

	if (answer == TAKEN && call->look)
		reply.json = cJSON_Parse(consul->look);
	if (*failing > 0)
		--*failing;
	consul->call = NULL;
	call->done(call->arg, &reply);
	cJSON_Delete(reply.json);
	free(call);
}

struct consul_call *
consul_send(struct consul *consul, const struct consul_request *request,
    consul_done_fn *done, void *arg)
{
	struct consul_call *call = xcalloc(1, sizeof(*call));
	bool look = !request->method;
	int64_t ms =
	    next_answer(consul, look) == HANG ? request->timeout_ms : ANSWER_MS;

	CU_ASSERT_PTR_NULL_FATAL(consul->call);
	CU_ASSERT_EQUAL(request->channel, CONSUL_HEART);
	*call = (struct consul_call){ consul, done, arg, look };
	consul->call = call;
	if (look) {
		consul->looks++;
	} else {
		CU_ASSERT_STRING_EQUAL(
		    request->path, "/v1/agent/check/update/service:lictor");
		CU_ASSERT_STRING_EQUAL(json_text(request->body, "Status"), "passing");
		CU_ASSERT_FATAL(consul->beats < BEATS);
		consul->times[consul->beats++] = loop_now(consul->loop);
	}
	loop_timer_after(consul->timer, ms);
	return call;
}

void
consul_cancel(struct consul_call *call)
{
	if (!call)
		return;
	loop_timer_stop(call->consul->timer);
	call->consul->call = NULL;
	free(call);
}

void
consul_escape(char *out, size_t size, const char *segment)
{
	str_copy(out, size, segment);
}

int64_t
consul_backoff(unsigned int failures)
{
	return failures < 2 ? 0 : BACKOFF_MAX_MS;
}

bool
consul_token_unknown(const struct consul_reply *reply)
{
	return reply->result == CONSUL_DENIED && strstr(reply->why, "ACL not found");
}

/* ---- the cases ---- */

struct fixture {
	struct consul consul;
	struct heart *heart;
	unsigned int looked, lost, broken, welcome;
	bool alive;
};

static void
on_looked(void *arg, bool alive)
{
	struct fixture *f = arg;

	f->looked++;
	f->alive = alive;
}

static void
on_lost(void *arg)
{
	((struct fixture *)arg)->lost++;
}

static void
on_broken(void *arg)
{
	((struct fixture *)arg)->broken++;
}

static void
on_welcome(void *arg)
{
	((struct fixture *)arg)->welcome++;
}

static void
prepare(struct fixture *f, int64_t ttl_ms)
{
	struct loop *loop = loop_new();

	*f = (struct fixture){ .consul = { .loop = loop, .look = passing } };
	struct heart_out out = { on_looked, on_lost, on_broken, on_welcome, f };
	f->consul.timer = loop_timer_new(loop, on_answer, &f->consul);
	f->heart = heart_new(loop, &f->consul, ttl_ms, &out);
}

static void
run(struct fixture *f, int64_t ms)
{
	virtual_loop_run(f->consul.loop, ms);
}

static void
close_fixture(struct fixture *f)
{
	heart_free(f->heart);
	loop_timer_free(f->consul.timer);
	loop_free(f->consul.loop);
}

/* Whether somebody vouched until now is found before the first beat can hide it; there is
 * one at once where the check is, whatever it shows, and none where it is not. */
static void
test_look(void)
{
	static const struct {
		enum answer answer;
		const char *body;
		bool alive, beats;
	} looks[] = {
		{ TAKEN, passing, true, true },
		{ TAKEN, "{\"service:lictor\":{\"Status\":\"warning\"}}", true, true },
		{ TAKEN, "{\"service:lictor\":{\"Status\":\"critical\"}}", false,
		    true },
		{ TAKEN, "{\"service:lictor\":{}}", false, true },
		{ TAKEN, "{}", false, false },
		{ TAKEN, "[]", false, false },
		{ DENIED, "", false, false },
		{ GONE, "", false, false },
		{ BAD, "", false, false },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(looks); i++) {
		struct fixture f;

		prepare(&f, 9000);
		f.consul.look = looks[i].body;
		f.consul.look_answer = looks[i].answer;
		f.consul.looks_failing = 1;
		heart_start(f.heart);
		CU_ASSERT_EQUAL(f.looked, 0);
		run(&f, 3 * ANSWER_MS);
		CU_ASSERT_EQUAL(f.alive, looks[i].alive);
		CU_ASSERT_EQUAL(f.consul.looks, 1);
		CU_ASSERT_EQUAL(f.looked, 1);
		CU_ASSERT_EQUAL(f.consul.beats, looks[i].beats ? 1 : 0);
		run(&f, 9000);
		CU_ASSERT_EQUAL(f.consul.looks, 1);
		CU_ASSERT_EQUAL(f.consul.beats, looks[i].beats ? 4 : 3);
		close_fixture(&f);
	}
	heart_free(NULL);
}

/* A Consul that is busy or away is looked at again until it tells: its word decides what
 * may be taken over. */
static void
test_look_again(void)
{
	static const enum answer answers[] = { BUSY, BREAK, HANG };

	for (size_t i = 0; i < ARRAY_LENGTH(answers); i++) {
		struct fixture f;

		prepare(&f, 9000);
		f.consul.look_answer = answers[i];
		f.consul.looks_failing = 3;
		heart_start(f.heart);
		while (f.consul.looks_failing > 0) {
			CU_ASSERT_EQUAL(f.looked + f.consul.beats, 0);
			run(&f, ANSWER_MS);
		}
		run(&f, 500 + 2 * ANSWER_MS);
		CU_ASSERT_EQUAL(f.consul.looks, 4);
		CU_ASSERT_EQUAL(f.looked, 1);
		CU_ASSERT_TRUE(f.alive);
		CU_ASSERT_EQUAL(f.consul.beats, 1);
		close_fixture(&f);
	}
}

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* From one beat to the next, which met `answer`, the `nth` of its kind. */
static int64_t
pause_after(enum answer answer, unsigned int nth, int64_t ttl)
{
	int64_t took = answer == HANG ? least(2000, ttl / 3) : ANSWER_MS;

	switch (answer) {
	case HANG:
	case BREAK:
	case BUSY: return took + (nth == 1 ? 0 : least(500, ttl / 6));
	case DENIED:
	case UNKNOWN: return took + least(1000, ttl / 3);
	case TAKEN:
	case GONE:
	case BAD:
	case ANSWERS: break;
	}
	return ttl / 3;
}

static void
hold_course(enum answer answer, unsigned int failing, int64_t ttl)
{
	bool refused = answer == BUSY || answer >= DENIED;
	struct fixture f;

	prepare(&f, ttl);
	f.consul.look_answer = BUSY;
	f.consul.looks_failing = 2; /* of no account to what comes later */
	heart_start(f.heart);
	run(&f, 6 * ANSWER_MS + least(500, ttl / 6));
	CU_ASSERT_EQUAL(f.consul.beats, 1);
	f.consul.answer = answer;
	f.consul.failing = failing;
	run(&f, (FAILING_MAX + 3) * (ttl / 3 + 1500));
	CU_ASSERT_FATAL(f.consul.beats > failing + 3);
	for (unsigned int i = 1; i < failing + 3; i++)
		CU_ASSERT_EQUAL(f.consul.times[i + 1] - f.consul.times[i],
		    pause_after(i <= failing ? answer : TAKEN, i, ttl));
	CU_ASSERT_EQUAL(f.lost, answer == GONE ? failing : 0);
	CU_ASSERT_EQUAL(f.broken, answer == BREAK ? failing : 0);
	CU_ASSERT_EQUAL(f.welcome, refused && failing > 0);
	close_fixture(&f);
}

/* Whatever beats met, the next is there in time, and the pace is the usual one
 * afterwards. */
static void
test_failures(void)
{
	static const int64_t ttls[] = { 900, 3000, 9000, 60000 };

	for (size_t i = 0; i < ARRAY_LENGTH(ttls); i++)
		for (enum answer answer = TAKEN; answer < ANSWERS; answer++)
			for (unsigned int n = 0; n <= FAILING_MAX; n++)
				hold_course(answer, answer == TAKEN ? 0 : n, ttls[i]);
}

/* "lictor" was registered while a beat was under way: that one did not find it, and the
 * next does not wait for its turn. */
static void
test_registered(void)
{
	struct fixture f;

	prepare(&f, 9000);
	heart_start(f.heart);
	run(&f, 4 * ANSWER_MS);
	CU_ASSERT_EQUAL(f.consul.beats, 1);
	f.consul.answer = GONE;
	f.consul.failing = 1;
	heart_beat(f.heart);
	CU_ASSERT_EQUAL(f.consul.beats, 2);
	heart_beat(f.heart); /* while that is under way */
	run(&f, 4 * ANSWER_MS);
	CU_ASSERT_EQUAL(f.consul.beats, 3);
	CU_ASSERT_EQUAL(f.lost, 0);
	heart_beat(f.heart);
	run(&f, ANSWER_MS);
	CU_ASSERT_EQUAL(f.consul.beats, 4);
	close_fixture(&f);
}

/* It ends with a call under way. */
static void
test_end(void)
{
	for (int64_t ms = 0; ms < 4; ms++) {
		struct fixture f;

		prepare(&f, 9000);
		heart_start(f.heart);
		run(&f, ms * ANSWER_MS);
		close_fixture(&f);
	}
}

static const struct tap_case cases[] = {
	{ "the first look tells whether it was alive", test_look },
	{ "a busy Consul is looked at again", test_look_again },
	{ "each beat comes when it should", test_failures },
	{ "a beat after the registration", test_registered },
	{ "an end at any time", test_end },
};

TAP_MAIN("heart", cases)
