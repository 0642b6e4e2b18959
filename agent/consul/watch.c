/* SPDX-License-Identifier: ISC */
/*
 * A blocking query kept going. It asks with the index of the last answer, so that Consul
 * answers when something changed or after the wait, which has a deadline of its own: a
 * poll through a server that went silent would stay blind for half a minute while a fresh
 * one is answered in a millisecond. For the same reason the first poll after a failure asks
 * without an index: it is answered at once.
 *
 * The rate is bounded (a bucket of two, refilled every 50 ms), because an answer can come
 * at once for ever: a missing index, a key that does not exist. The index rules are those
 * of Consul's page on blocking queries. Calls go through consul; the owner hears of news.
 */
#include "agent/consul/watch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"

/* Doubled with each answer that did not come: one of megabytes takes its time. */
#define READ_DEADLINE_MS 2000
#define READ_DEADLINE_MAX_MS 16000
#define RATE_MS 50
#define RATE_BURST 2
#define COST_BYTES 25000 /* that Consul makes, and we read, in a millisecond */
#define PATIENCE 20
#define HASH_MAX 64

struct watch {
	struct loop *loop;
	struct consul *consul;
	char *path;
	struct watch_way way;
	struct watch_out out;
	struct loop_timer *timer;
	struct consul_call *call;
	uint64_t index; /* of the last answer; 0: ask without */
	char hash[HASH_MAX + 1]; /* or that */
	bool answered; /* since the index was 0 */
	unsigned int failures;
	int64_t read_ms; /* deadline of the next question without an index */
	int64_t patient_until; /* for what the last answer cost */
	int64_t full_at; /* when the bucket is full again, if nothing is taken */
};

/* Consul adds up to a sixteenth to a wait. */
static int64_t
poll_deadline(const struct watch *watch)
{
	return watch->way.wait_ms * 17 / 16 + 1000;
}

static char *
poll_path(const struct watch *watch)
{
	char sep = strchr(watch->path, '?') ? '&' : '?';
	long long wait_ms = watch->way.wait_ms;

	if (watch->way.by_hash) {
		char hash[3 * HASH_MAX + 1];

		consul_escape(hash, sizeof(hash), watch->hash);
		return xasprintf(
		    "%s%chash=%s&wait=%lldms", watch->path, sep, hash, wait_ms);
	}
	return xasprintf("%s%cindex=%llu&wait=%lldms", watch->path, sep,
	    (unsigned long long)watch->index, wait_ms);
}

static void on_answer(void *arg, const struct consul_reply *reply);

static void
poll_now(void *arg)
{
	struct watch *watch = arg;
	bool waits = watch->index > 0 || watch->hash[0];
	AUTO_FREE char *path = waits ? poll_path(watch) : xstrdup(watch->path);
	struct consul_request request = {
		.channel = CONSUL_WATCH,
		.path = path,
		.timeout_ms = waits ? poll_deadline(watch) : watch->read_ms,
	};

	watch->call = consul_send(watch->consul, &request, on_answer, watch);
}

/* When the bucket has something again; takes it. */
static int64_t
rate_take(struct watch *watch)
{
	int64_t now = loop_now(watch->loop);
	int64_t start = now;

	if (watch->full_at > now + (RATE_BURST - 1) * RATE_MS)
		start = watch->full_at - (RATE_BURST - 1) * RATE_MS;
	watch->full_at = (watch->full_at > start ? watch->full_at : start) + RATE_MS;
	return start;
}

static void
poll_after(struct watch *watch, int64_t delay_ms)
{
	int64_t at = rate_take(watch);

	if (at < watch->patient_until)
		at = watch->patient_until;
	if (at < loop_now(watch->loop) + delay_ms)
		at = loop_now(watch->loop) + delay_ms;
	if (at > loop_now(watch->loop))
		loop_timer_at(watch->timer, at);
	else
		poll_now(watch);
}

/* The next question waits for what this answer cost. */
static void
be_patient(struct watch *watch, const struct consul_reply *reply)
{
	if (watch->way.patient)
		watch->patient_until = loop_now(watch->loop) +
		    (int64_t)(reply->size / COST_BYTES) * PATIENCE;
}

/* Whether the answer may differ from the one before. */
static bool
take_index(struct watch *watch, const struct consul_reply *reply)
{
	uint64_t index = reply->index > 0 ? reply->index : 1;
	bool news = !watch->answered || index != watch->index ||
	    reply->result == CONSUL_NOT_FOUND;

	watch->answered = index >= watch->index;
	watch->index = watch->answered ? index : 0;
	return news;
}

static bool
take_hash(struct watch *watch, const struct consul_reply *reply)
{
	char hash[sizeof(watch->hash)] = "";
	bool news;

	json_get_text(reply->json, "ContentHash", hash, sizeof(hash));
	news = !hash[0] || strcmp(hash, watch->hash) != 0;
	str_copy(watch->hash, sizeof(watch->hash), hash);
	return news;
}

/* What is not there by hash, or has none, is not waited for either: such answers come at
 * once. */
static void
on_content(struct watch *watch, const struct consul_reply *reply)
{
	struct watch_out out = watch->out;
	bool news =
	    watch->way.by_hash ? take_hash(watch, reply) : take_index(watch, reply);
	bool gone = watch->way.by_hash && !watch->hash[0];

	watch->failures = gone ? watch->failures + 1 : 0;
	watch->read_ms = READ_DEADLINE_MS;
	be_patient(watch, reply);
	poll_after(watch, gone ? consul_backoff(watch->failures) : 0);
	if (news)
		out.news(out.arg, reply);
}

static void
forget(struct watch *watch)
{
	watch->index = 0;
	watch->hash[0] = '\0';
	watch->answered = false;
}

/* Some versions of Consul end a long poll early with their own time-out: no news, and no
 * trouble either. One that does so at once, again and again, is left in peace. */
static bool
is_spurious(const struct consul_reply *reply)
{
	return reply->status == 500 && strstr(reply->why, "deadline");
}

/* The next poll is on its way before the owner hears, who may free the watch. */
static void
on_answer(void *arg, const struct consul_reply *reply)
{
	struct watch *watch = arg;
	struct watch_out out = watch->out;

	watch->call = NULL;
	if (reply->result == CONSUL_OK || reply->result == CONSUL_NOT_FOUND) {
		on_content(watch, reply);
	} else if (is_spurious(reply)) {
		poll_after(watch, consul_backoff(++watch->failures));
	} else {
		forget(watch);
		if (reply->result == CONSUL_AWAY &&
		    watch->read_ms < READ_DEADLINE_MAX_MS)
			watch->read_ms *= 2;
		poll_after(watch, consul_backoff(++watch->failures));
		out.trouble(out.arg, reply);
	}
}

struct watch *
watch_new(struct loop *loop, struct consul *consul, const char *path,
    const struct watch_way *way, const struct watch_out *out)
{
	struct watch *watch = xcalloc(1, sizeof(*watch));

	assert(out->news && out->trouble && way->wait_ms > 0);
	*watch = (struct watch){ .loop = loop, .consul = consul, .out = *out };
	watch->way = *way;
	watch->read_ms = READ_DEADLINE_MS;
	watch->path = xstrdup(path);
	watch->timer = loop_timer_new(loop, poll_now, watch);
	poll_after(watch, 0);
	return watch;
}

void
watch_again(struct watch *watch)
{
	consul_cancel(watch->call);
	watch->call = NULL;
	loop_timer_stop(watch->timer);
	forget(watch);
	poll_after(watch, 0);
}

void
watch_free(struct watch *watch)
{
	if (!watch)
		return;
	consul_cancel(watch->call);
	loop_timer_free(watch->timer);
	free(watch->path);
	free(watch);
}
