/* SPDX-License-Identifier: ISC */
/*
 * The heartbeat of this host in Consul. Every alias check of every service hangs on it, so
 * it waits for nobody: it has a connection of its own, and neither a picture that is being
 * read nor a registration under way holds it back. A beat that fails is followed by others
 * before the TTL runs out; one that finds no check is report's to repair.
 *
 * The first call of a life looks before it beats: afterwards nobody could tell whether the
 * check had run out, and so whether the states that Consul shows may be taken over.
 * A beat with an unchanged status costs Consul no write.
 */
#include "agent/consul/heart.h"

#include <assert.h>
#include <stdlib.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/consul/complaint.h"
#include "agent/consul/consul.h"
#include "agent/consul/desired.h"

#define DEADLINE_MS 2000
#define AGAIN_MS 500
#define DENIED_MS 1000

static const char beating[] = "the heartbeat";
static const char looking[] = "reading lictor's own check";

struct heart {
	struct loop *loop;
	struct consul *consul;
	struct heart_out out;
	int64_t ttl_ms;
	struct loop_timer *timer;
	struct consul_call *call;
	unsigned int failures;
	bool looked;
	bool again; /* it was asked for while one was under way */
	bool taken; /* Consul took one in this life */
	bool refused; /* the one before */
	struct complaint complaint;
};

static void beat_now(void *arg);

static int64_t
smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void
beat_again(struct heart *heart)
{
	int64_t limit = smaller(AGAIN_MS, heart->ttl_ms / 6);

	loop_timer_after(
	    heart->timer, smaller(consul_backoff(++heart->failures), limit));
}

static void
refused(struct heart *heart, const char *what, const struct consul_reply *reply)
{
	if (complaint_due(&heart->complaint, reply, loop_now(heart->loop)))
		complaint_say(what, reply, "service \"lictor\" write");
}

static void
works(struct heart *heart, const char *what)
{
	heart->failures = 0;
	if (complaint_over(&heart->complaint))
		log_notice("consul", "%s works again", what);
}

/* Before the first that was taken a refusal is the registration's to say. */
static void
beat_refused(struct heart *heart, const struct consul_reply *reply)
{
	heart->refused = true;
	if (heart->taken)
		refused(heart, beating, reply);
}

static void
taken(struct heart *heart)
{
	bool welcome = heart->refused;

	heart->taken = true;
	heart->refused = false;
	works(heart, beating);
	if (welcome)
		heart->out.welcome(heart->out.arg);
}

static void
on_beat(void *arg, const struct consul_reply *reply)
{
	struct heart *heart = arg;
	bool again = heart->again;

	heart->call = NULL;
	heart->again = false;
	switch (reply->result) {
	case CONSUL_OK: taken(heart); break;
	case CONSUL_AWAY:
		beat_again(heart);
		if (!reply->late)
			heart->out.broken(heart->out.arg);
		return;
	case CONSUL_NOT_FOUND:
		if (!again)
			heart->out.lost(heart->out.arg);
		break;
	case CONSUL_BUSY:
		beat_refused(heart, reply);
		beat_again(heart);
		return;
	case CONSUL_DENIED:
		loop_timer_after(heart->timer, smaller(DENIED_MS, heart->ttl_ms / 3));
		beat_refused(heart, reply);
		break;
	case CONSUL_CONFLICT:
	case CONSUL_BAD: beat_refused(heart, reply); break;
	}
	if (again)
		beat_now(heart);
}

static void
beat(struct heart *heart)
{
	AUTO_JSON cJSON *body = desired_update(CHECK_PASSING, "lictord is alive");
	struct consul_request request = {
		.channel = CONSUL_HEART,
		.method = "PUT",
		.path = "/v1/agent/check/update/" DESIRED_HEARTBEAT,
		.body = body,
		.timeout_ms = smaller(DEADLINE_MS, heart->ttl_ms / 3),
	};

	heart->call = consul_send(heart->consul, &request, on_beat, heart);
}

static void
on_look(void *arg, const struct consul_reply *reply)
{
	struct heart *heart = arg;
	const cJSON *check =
	    cJSON_GetObjectItemCaseSensitive(reply->json, DESIRED_HEARTBEAT);
	enum check_status status;
	bool alive;

	heart->call = NULL;
	if (reply->result == CONSUL_AWAY || reply->result == CONSUL_BUSY) {
		if (reply->result == CONSUL_BUSY)
			refused(heart, looking, reply);
		beat_again(heart);
		return;
	}
	alive = reply->result == CONSUL_OK && desired_read_status(check, &status) &&
	    status != CHECK_CRITICAL;
	heart->looked = true;
	works(heart, looking);
	if (check)
		beat(heart);
	heart->out.looked(heart->out.arg, alive);
}

static void
look(struct heart *heart)
{
	struct consul_request request = {
		.channel = CONSUL_HEART,
		.path = "/v1/agent/checks?filter=CheckID==%22" DESIRED_HEARTBEAT "%22",
		.timeout_ms = DEADLINE_MS,
	};

	heart->call = consul_send(heart->consul, &request, on_look, heart);
}

static void
beat_now(void *arg)
{
	struct heart *heart = arg;

	loop_timer_after(heart->timer, heart->ttl_ms / 3);
	if (heart->call)
		return;
	if (heart->looked)
		beat(heart);
	else
		look(heart);
}

struct heart *
heart_new(struct loop *loop, struct consul *consul, int64_t ttl_ms,
    const struct heart_out *out)
{
	struct heart *heart = xcalloc(1, sizeof(*heart));

	assert(out->looked && out->lost && out->broken && out->welcome && ttl_ms > 0);
	*heart = (struct heart){ .loop = loop, .consul = consul, .ttl_ms = ttl_ms };
	heart->out = *out;
	heart->timer = loop_timer_new(loop, beat_now, heart);
	return heart;
}

void
heart_free(struct heart *heart)
{
	if (!heart)
		return;
	consul_cancel(heart->call);
	loop_timer_free(heart->timer);
	free(heart);
}

void
heart_start(struct heart *heart)
{
	beat_now(heart);
}

void
heart_beat(struct heart *heart)
{
	heart->again = heart->call != NULL;
	if (!heart->call)
		beat_now(heart);
}
