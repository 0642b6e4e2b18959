/* SPDX-License-Identifier: ISC */
/*
 * The key of heartbeats in virtual time, against stand-ins for agent/consul and the file that
 * keeps it: how often Consul is asked for a key that somebody signs with, and what a
 * rotation says that cannot be ended for minutes. Which keys there are then is
 * test_heartkey's.
 */
#include "agent/failover/heartkey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/base64.h"
#include "agent/base/keeper.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/consul/watch.h"
#include "tests/unit/captured.h"
#include "tests/unit/tap.h"
#include "tests/unit/virtual_loop.h"

#define ANSWER_MS 10 /* a slot of the loop */
#define SECOND_MS 1000
#define TRY_MS 100 /* somebody signs so often with a key that is not known */

/* ---- the stand-ins: one key of the KV ---- */

struct consul {
	struct loop *loop;
	struct loop_timer *timer; /* of the answer */
	consul_done_fn *done;
	void *arg;
	char *text; /* that is being written */
	char *value; /* that the key has; NULL: it is not there */
	uint64_t index;
	bool busy; /* writes fail */
	unsigned int writes, asked; /* asked: by the watch */
};

struct watch {
	struct consul *consul;
	struct watch_out out;
	struct loop_timer *timer;
};

static void
on_write(void *arg)
{
	struct consul *consul = arg;
	AUTO_JSON cJSON *json = cJSON_CreateTrue();
	struct consul_reply reply = { .result = CONSUL_OK, .why = "ok", .json = json };

	if (consul->busy) {
		reply = (struct consul_reply){
			.result = CONSUL_BUSY, .status = 500, .why = "500 rpc error"
		};
		free(consul->text);
	} else {
		free(consul->value);
		consul->value = consul->text;
		consul->index++;
	}
	consul->text = NULL;
	consul->done(consul->arg, &reply);
}

struct consul_call *
consul_send(struct consul *consul, const struct consul_request *request,
    consul_done_fn *done, void *arg)
{
	CU_ASSERT_PTR_NULL_FATAL(consul->text);
	consul->writes++;
	consul->done = done;
	consul->arg = arg;
	consul->text = xstrdup(request->text);
	loop_timer_after(consul->timer, ANSWER_MS);
	return (struct consul_call *)consul;
}

void
consul_cancel(struct consul_call *call)
{
	struct consul *consul = (struct consul *)call;

	if (consul == NULL)
		return;
	loop_timer_stop(consul->timer);
	free(consul->text);
	consul->text = NULL;
}

bool
consul_token_unknown(const struct consul_reply *reply)
{
	(void)reply;
	return false;
}

static void
on_ask(void *arg)
{
	struct watch *watch = arg;
	const struct consul *consul = watch->consul;
	AUTO_JSON cJSON *json = cJSON_CreateArray();
	struct consul_reply reply = { .result = CONSUL_NOT_FOUND, .json = json };

	if (consul->value != NULL) {
		cJSON *entry = cJSON_CreateObject();
		AUTO_FREE char *value =
		    base64_encode(consul->value, strlen(consul->value));

		json_add_uint(entry, "ModifyIndex", consul->index);
		cJSON_AddStringToObject(entry, "Value", value);
		cJSON_AddItemToArray(json, entry);
		reply.result = CONSUL_OK;
	}
	watch->out.news(watch->out.arg, &reply);
}

struct watch *
watch_new(struct loop *loop, struct consul *consul, const char *path,
    const struct watch_way *way, const struct watch_out *out)
{
	struct watch *watch = xcalloc(1, sizeof(*watch));

	(void)path, (void)way;
	watch->consul = consul;
	watch->out = *out;
	watch->timer = loop_timer_new(loop, on_ask, watch);
	watch_again(watch);
	return watch;
}

void
watch_again(struct watch *watch)
{
	watch->consul->asked++;
	loop_timer_after(watch->timer, ANSWER_MS);
}

void
watch_free(struct watch *watch)
{
	if (watch == NULL)
		return;
	loop_timer_free(watch->timer);
	free(watch);
}

struct keeper *
keeper_new(struct loop *loop, const char *path, const struct keeper_out *out)
{
	(void)loop, (void)path, (void)out;
	return NULL;
}

void
keeper_save(struct keeper *keeper)
{
	(void)keeper;
}

bool
keeper_free(struct keeper *keeper)
{
	(void)keeper;
	return true;
}

int
keeper_read(const char *path, struct buf *text)
{
	(void)path, (void)text;
	return -ENOENT;
}

/* ---- a host with a key ---- */

struct fixture {
	struct loop *loop;
	struct conf conf;
	struct consul consul;
	struct heartkey *heartkey;
	struct heartkeys keys;
};

static void
on_changed(void *arg, const struct heartkeys *keys)
{
	((struct fixture *)arg)->keys = *keys;
}

static void
open_fixture(struct fixture *f)
{
	*f = (struct fixture){ .conf.failover.heartbeats = true };
	f->consul.loop = f->loop = loop_new();
	f->consul.timer = loop_timer_new(f->loop, on_write, &f->consul);
	f->heartkey = heartkey_new(f->loop, &f->consul, &f->conf, "/nowhere",
	    &(struct heartkey_out){ on_changed, f });
	heartkey_start(f->heartkey);
	virtual_loop_run(f->loop, SECOND_MS);
	CU_ASSERT_EQUAL_FATAL(f->keys.count, 1);
}

static void
close_fixture(struct fixture *f)
{
	heartkey_free(f->heartkey);
	loop_timer_free(f->consul.timer);
	free(f->consul.value);
	loop_free(f->loop);
}

/* How long it takes until Consul is asked once more. */
static int64_t
next_look(struct fixture *f)
{
	int64_t began = loop_now(f->loop);
	unsigned int asked = f->consul.asked;

	while (!heartkey_look(f->heartkey) && loop_now(f->loop) - began < 3600000)
		virtual_loop_run(f->loop, TRY_MS);
	CU_ASSERT_EQUAL(f->consul.asked, asked + 1);
	return loop_now(f->loop) - began;
}

/* Somebody signs with a key that is none, on and on; then it is quiet for so long that whoever
 * comes is another; then for a little less. */
static void
test_looks(void)
{
	struct fixture f;

	open_fixture(&f);
	CU_ASSERT_EQUAL(next_look(&f), 0);
	for (int64_t ms = SECOND_MS; ms <= 64 * SECOND_MS; ms *= 2)
		CU_ASSERT_EQUAL(next_look(&f), ms);
	CU_ASSERT_EQUAL(next_look(&f), 64 * SECOND_MS);
	virtual_loop_run(f.loop, 128 * SECOND_MS);
	CU_ASSERT_EQUAL(next_look(&f), 0);
	CU_ASSERT_EQUAL(next_look(&f), SECOND_MS);
	CU_ASSERT_EQUAL(next_look(&f), 2 * SECOND_MS);
	virtual_loop_run(f.loop, 127 * SECOND_MS);
	CU_ASSERT_EQUAL(next_look(&f), 0);
	CU_ASSERT_EQUAL(next_look(&f), 8 * SECOND_MS);
	close_fixture(&f);
}

/* Begins a rotation that Consul refuses to end for a while. */
static void
rotate(struct fixture *f)
{
	char why[256], log[4096];
	unsigned int writes;
	int keep;

	CU_ASSERT_EQUAL_FATAL(heartkey_rotate(f->heartkey, why, sizeof(why)), 0);
	virtual_loop_run(f->loop, SECOND_MS);
	keep = capture_log();
	writes = f->consul.writes;
	f->consul.busy = true;
	virtual_loop_run(f->loop, 60 * SECOND_MS);
	CU_ASSERT_TRUE(f->consul.writes >= writes + 3);
	f->consul.busy = false;
	virtual_loop_run(f->loop, 20 * SECOND_MS);
	release_log(keep, log, sizeof(log));
	CU_ASSERT_EQUAL(count_words(log, "does not sign yet: 500 rpc error"), 1);
	CU_ASSERT_EQUAL(count_words(log, "the new key of heartbeats signs"), 1);
	CU_ASSERT_EQUAL(count_words(log, "\n"), 2);
}

/* A new key that is late is said once, and so is the next one that is. */
static void
test_late(void)
{
	struct fixture f;

	open_fixture(&f);
	rotate(&f);
	rotate(&f);
	close_fixture(&f);
}

static const struct tap_case cases[] = {
	{ "looks for a stranger's key", test_looks },
	{ "a new key that is late is said once", test_late },
};

TAP_MAIN("heartkey pace", cases)
