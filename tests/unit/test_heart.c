/* SPDX-License-Identifier: ISC */
/*
 * The heartbeat against a script: what the first look finds, the pace of the beats, how
 * fast one that failed is repeated, and that nothing else that hangs holds it back.
 */
#include "agent/consul/heart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "tests/unit/scripted.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define TTL_MS 900
#define PHASE_MS (TTL_MS / 3)
#define AGAIN_MS (TTL_MS / 6)
#define TURN_MS 150 /* what a busy machine may add */
#define LIMIT_MS 8000
#define BEATS 32
#define HANGING 12

static const char passing[] = "{\"service:lictor\":{\"Status\":\"passing\"}}";

enum answer { TAKEN, GONE, HANG, BREAK, GARBAGE, HALF, BUSY, FULL, DENIED, ANSWERS };

struct fixture {
	struct loop *loop;
	struct conf_consul conf;
	struct scripted *server;
	struct consul *consul;
	struct heart *heart;
	const char *look; /* body of the first answer */
	int look_status;
	enum answer answer; /* of beats, as long as `failing` lasts; then TAKEN */
	unsigned int failing;
	unsigned int looks, beats, others, looked, lost, broken;
	bool alive;
	struct scripted_call *held; /* with `hold`: the last beat waits for the test */
	bool hold;
	int64_t times[BEATS];
};

static void
answer_beat(struct fixture *f, struct scripted_call *call)
{
	switch (f->failing > 0 ? f->answer : TAKEN) {
	case TAKEN: scripted_answer(call, 200, "", ""); break;
	case GONE: scripted_answer(call, 404, "", "Unknown check ID"); break;
	case HANG: break;
	case BREAK: scripted_raw(call, ""); break;
	case GARBAGE: scripted_raw(call, "what?\r\n\r\n"); break;
	case HALF:
		scripted_raw(call, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx");
		break;
	case BUSY: scripted_answer(call, 500, "", "No cluster leader"); break;
	case FULL: scripted_answer(call, 429, "", ""); break;
	case DENIED: scripted_answer(call, 403, "", "Permission denied"); break;
	case ANSWERS: break;
	}
	if (f->failing > 0)
		f->failing--;
}

static void
on_asked(void *arg, const char *request, struct scripted_call *call)
{
	static const char beat[] = "PUT /v1/agent/check/update/service:lictor ";
	struct fixture *f = arg;

	if (!strncmp(request, "GET /v1/agent/checks?filter=", 28)) {
		f->looks++;
		scripted_answer(call, f->look_status, "", f->look);
	} else if (!strncmp(request, beat, strlen(beat))) {
		CU_ASSERT_PTR_NOT_NULL(strstr(request, "\"Status\":\"passing\""));
		if (f->beats < BEATS)
			f->times[f->beats] = clock_boot_ms();
		f->beats++;
		if (f->hold)
			f->held = call;
		else
			answer_beat(f, call);
	} else {
		f->others++; /* hangs */
	}
}

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
prepare(struct fixture *f)
{
	struct heart_out out = { on_looked, on_lost, on_broken, f };

	*f = (struct fixture){ .loop = loop_new(), .look = passing };
	f->look_status = 200;
	f->server = scripted_new(f->loop, on_asked, f);
	f->conf.address = xstrdup(scripted_address(f->server));
	f->consul = consul_new(f->loop, &f->conf);
	f->heart = heart_new(f->loop, f->consul, TTL_MS, &out);
}

static void
close_fixture(struct fixture *f)
{
	heart_free(f->heart);
	consul_free(f->consul);
	scripted_free(f->server);
	free(f->conf.address);
	loop_free(f->loop);
}

static bool
was_looked(void *arg)
{
	return ((struct fixture *)arg)->looked > 0;
}

static bool
has_recovered(void *arg)
{
	struct fixture *f = arg;

	return f->failing == 0 && f->beats >= 6;
}

/* Whether somebody vouched until now is found before the first beat can hide it; there is
 * one at once where the check is, whatever it shows, and none where it is not. */
static void
test_look(void)
{
	static const struct {
		int status;
		const char *body;
		bool alive, beats;
	} looks[] = {
		{ 200, passing, true, true },
		{ 200, "{\"service:lictor\":{\"Status\":\"warning\"}}", true, true },
		{ 200, "{\"service:lictor\":{\"Status\":\"critical\"}}", false, true },
		{ 200, "{\"service:lictor\":{}}", false, true },
		{ 200, "{}", false, false },
		{ 403, "Permission denied", false, false },
		{ 404, "page not found", false, false },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(looks); i++) {
		struct fixture f;

		prepare(&f);
		f.look = looks[i].body;
		f.look_status = looks[i].status;
		heart_start(f.heart);
		CU_ASSERT_EQUAL(f.looked, 0);
		CU_ASSERT_TRUE(until(f.loop, was_looked, &f, LIMIT_MS));
		run_for(f.loop, 50);
		CU_ASSERT_EQUAL(f.alive, looks[i].alive);
		CU_ASSERT_EQUAL(f.looks, 1);
		CU_ASSERT_EQUAL(f.looked, 1);
		CU_ASSERT_EQUAL(f.beats, looks[i].beats ? 1 : 0);
		close_fixture(&f);
	}
	heart_free(NULL);
}

/* A Consul that is busy is looked at again until it tells: its word decides what may be
 * taken over. */
static void
test_look_again(void)
{
	struct fixture f;

	prepare(&f);
	f.look_status = 503;
	heart_start(f.heart);
	run_for(f.loop, 400);
	CU_ASSERT_TRUE(f.looks >= 2);
	CU_ASSERT_EQUAL(f.looked + f.beats, 0);
	f.look_status = 200;
	CU_ASSERT_TRUE(until(f.loop, was_looked, &f, LIMIT_MS));
	CU_ASSERT_TRUE(f.alive);
	close_fixture(&f);
}

static void
test_pace(void)
{
	struct fixture f;
	int64_t began = clock_boot_ms(), took;

	prepare(&f);
	heart_start(f.heart);
	run_for(f.loop, 5 * PHASE_MS);
	took = clock_boot_ms() - began;
	CU_ASSERT_TRUE(f.beats >= 4);
	CU_ASSERT_TRUE((int64_t)f.beats <= took / PHASE_MS + 2);
	CU_ASSERT_EQUAL(f.lost + f.broken, 0);
	close_fixture(&f);
}

/* Whatever one beat met, the next is there before the TTL runs out, and the pace is the
 * usual one afterwards. */
static void
test_failures(void)
{
	for (enum answer answer = TAKEN; answer < ANSWERS; answer++) {
		bool waits = answer == GONE || answer == DENIED || answer == TAKEN;
		bool breaks = answer == BREAK || answer == GARBAGE || answer == HALF;
		int64_t most = (waits ? PHASE_MS : AGAIN_MS) + TURN_MS +
		    (answer == HANG ? PHASE_MS : 0);
		struct fixture f;

		prepare(&f);
		f.answer = answer;
		f.failing = 3;
		heart_start(f.heart);
		CU_ASSERT_TRUE(until(f.loop, has_recovered, &f, LIMIT_MS));
		for (unsigned int i = 1; i < 4; i++)
			CU_ASSERT_TRUE(f.times[i] - f.times[i - 1] <= most);
		for (unsigned int i = 4; i < 6; i++)
			CU_ASSERT_TRUE(f.times[i] - f.times[i - 1] >= PHASE_MS - 50);
		CU_ASSERT_EQUAL(f.lost, answer == GONE ? 3 : 0);
		CU_ASSERT_EQUAL(f.broken, breaks ? 3 : 0);
		close_fixture(&f);
	}
}

static bool
is_held(void *arg)
{
	return ((struct fixture *)arg)->held != NULL;
}

static bool
beaten_twice(void *arg)
{
	return ((struct fixture *)arg)->beats == 2;
}

/* "lictor" was registered while a beat was under way: that one did not find it, and the
 * next does not wait for its turn. */
static void
test_registered(void)
{
	struct fixture f;

	prepare(&f);
	f.hold = true;
	heart_start(f.heart);
	CU_ASSERT_TRUE(until(f.loop, is_held, &f, LIMIT_MS));
	heart_beat(f.heart);
	f.hold = false;
	scripted_answer(f.held, 404, "", "Unknown check ID");
	CU_ASSERT_TRUE(until(f.loop, beaten_twice, &f, PHASE_MS / 2));
	CU_ASSERT_EQUAL(f.lost, 0);
	heart_beat(f.heart);
	run_for(f.loop, 50);
	CU_ASSERT_EQUAL(f.beats, 3);
	close_fixture(&f);
}

static void
ignore(void *arg, const struct consul_reply *reply)
{
	(void)arg;
	(void)reply;
}

/* Calls of all other channels that hang hold no beat back. */
static void
test_alone(void)
{
	struct fixture f;

	prepare(&f);
	for (int channel = 0; channel < CONSUL_HEART; channel++)
		for (int i = 0; i < HANGING; i++) {
			struct consul_request request = {
				.channel = (enum consul_channel)channel,
				.path = "/v1/hangs",
				.timeout_ms = LIMIT_MS,
			};

			consul_send(f.consul, &request, ignore, NULL);
		}
	heart_start(f.heart);
	run_for(f.loop, 3 * PHASE_MS + TURN_MS);
	CU_ASSERT_TRUE(f.beats >= 3);
	CU_ASSERT_TRUE(f.others > 0);
	/* the host's whole share of the agent's connections */
	CU_ASSERT_TRUE(f.others + 1 < 16);
	close_fixture(&f);
}

static const struct tap_case cases[] = {
	{ "the first look tells whether it was alive", test_look },
	{ "a busy Consul is looked at again", test_look_again },
	{ "a beat every third of the ttl", test_pace },
	{ "one that failed is repeated in time", test_failures },
	{ "a beat after the registration", test_registered },
	{ "nothing else holds it back", test_alone },
};

TAP_MAIN("heart", cases)
