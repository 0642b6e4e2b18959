/* SPDX-License-Identifier: ISC */
/*
 * Order and patience for what report has to say: queues by urgency, a few calls under way
 * so that an agent that hangs never has more than a handful of ours, and one place that
 * retries. Items are their owner's; an item is idle, in one queue, set aside, or has a
 * call under way. Its message is built when it leaves, so the newest truth is sent; one
 * that Consul does not take as it is, too big or faulty, does not leave again unchanged.
 */
#include "agent/consul/outbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"

#define DEADLINE_MS 2000
#define FLYING_MAX 4
#define BUSY_MAX 4
#define REFUSED_MS 60000

TAILQ_HEAD(items, outbox_item);

struct outbox {
	struct loop *loop;
	struct consul *consul;
	struct outbox_out out;
	struct loop_timer *retry;
	struct loop_timer *renew; /* for what was refused */
	bool retrying; /* the timer is set */
	bool open;
	unsigned int flying;
	unsigned int busy; /* such answers in a row */
	unsigned int failures;
	uint64_t renewed; /* so often */
	struct items queues[OUTBOX_NONE]; /* OUTBOX_ASIDE and _REFUSED included */
};

static void
item_take(struct outbox_item *item)
{
	if (item->queue == OUTBOX_NONE)
		return;
	TAILQ_REMOVE(&item->outbox->queues[item->queue], item, link);
	item->queue = OUTBOX_NONE;
}

static void
item_insert(struct outbox_item *item, enum outbox_queue queue)
{
	if (item->queue == queue)
		return;
	item_take(item);
	TAILQ_INSERT_TAIL(&item->outbox->queues[queue], item, link);
	item->queue = queue;
	if (queue < OUTBOX_QUEUES)
		item->home = queue;
}

void
outbox_put(struct outbox_item *item, enum outbox_queue queue)
{
	assert(queue < OUTBOX_QUEUES);
	if (item->call)
		item->again = queue;
	else
		item_insert(item, queue);
}

static void
send_home(struct outbox *outbox, enum outbox_queue from)
{
	struct outbox_item *item;

	while ((item = TAILQ_FIRST(&outbox->queues[from])))
		item_insert(item, item->home);
}

static void
on_retry(void *arg)
{
	struct outbox *outbox = arg;

	outbox->retrying = false;
	outbox->busy = 0;
	send_home(outbox, OUTBOX_ASIDE);
	outbox_flush(outbox);
}

static void
on_renew(void *arg)
{
	outbox_renew(arg);
	outbox_flush(arg);
}

static void
item_refuse(struct outbox_item *item)
{
	struct outbox *outbox = item->outbox;

	if (TAILQ_EMPTY(&outbox->queues[OUTBOX_REFUSED]))
		loop_timer_after(outbox->renew, REFUSED_MS);
	item->refused = true;
	item_insert(item, OUTBOX_REFUSED);
}

static void
retry_later(struct outbox *outbox)
{
	if (outbox->retrying)
		return;
	outbox->retrying = true;
	loop_timer_after(outbox->retry, consul_backoff(++outbox->failures));
}

static void
complain(struct outbox *outbox, const struct outbox_item *item,
    const struct consul_reply *reply)
{
	char what[160], needs[160];

	if (!complaint_due(item->complaint, reply, loop_now(outbox->loop)))
		return;
	outbox->out.describe(
	    outbox->out.arg, item, what, sizeof(what), needs, sizeof(needs));
	complaint_say(what, reply, needs);
}

static void
complain_no_more(struct outbox *outbox, const struct outbox_item *item)
{
	char what[160], needs[160];

	if (!complaint_over(item->complaint))
		return;
	outbox->out.describe(
	    outbox->out.arg, item, what, sizeof(what), needs, sizeof(needs));
	log_notice("consul", "%s works again", what);
}

static void
item_failed(struct outbox_item *item, const struct consul_reply *reply)
{
	struct outbox *outbox = item->outbox;

	bool all = reply->result == CONSUL_BUSY || consul_token_unknown(reply);

	complain(outbox, item, reply);
	outbox->busy = all ? outbox->busy + 1 : 0;
	item_insert(item, OUTBOX_ASIDE);
	retry_later(outbox);
}

static void
on_answer(void *arg, const struct consul_reply *reply)
{
	struct outbox_item *item = arg;
	struct outbox *outbox = item->outbox;
	enum outbox_queue again = item->again;

	item->call = NULL;
	item->again = OUTBOX_NONE;
	item->touched_at = loop_now(outbox->loop);
	outbox->flying--;
	switch (reply->result) {
	case CONSUL_OK:
		complain_no_more(outbox, item);
		outbox->busy = 0;
		break;
	case CONSUL_BUSY:
	case CONSUL_DENIED:
	case CONSUL_CONFLICT: item_failed(item, reply); break;
	case CONSUL_BAD:
		complain(outbox, item, reply);
		item_refuse(item);
		break;
	case CONSUL_NOT_FOUND:
	case CONSUL_AWAY: break;
	}
	if (again != OUTBOX_NONE)
		item_insert(item, again);
	outbox->out.done(outbox->out.arg, item, reply);
}

static uint64_t
hash_of(const struct outbox *outbox, const struct outbox_message *message)
{
	AUTO_FREE char *body = message->body ? json_print(message->body) : NULL;
	uint64_t hash = fnv1a64(message->path, strlen(message->path));

	return (hash ^ (body ? fnv1a64(body, strlen(body)) : 0)) + outbox->renewed;
}

/* Whether it may leave. */
static bool
item_say(struct outbox_item *item, const struct outbox_message *message)
{
	uint64_t hash = hash_of(item->outbox, message);

	if (item->refused && item->said == hash)
		return false;
	item->said = hash;
	item->refused = false;
	return true;
}

static void
item_transmit(struct outbox_item *item, const struct outbox_message *message)
{
	struct outbox *outbox = item->outbox;
	struct consul_request request = { .channel = CONSUL_REPORT, .method = "PUT" };

	request.path = message->path;
	request.body = message->body;
	request.timeout_ms = message->timeout_ms ? message->timeout_ms : DEADLINE_MS;
	item->touched_at = loop_now(outbox->loop);
	item->call = consul_send(outbox->consul, &request, on_answer, item);
	outbox->flying++;
}

static void
item_send(struct outbox_item *item)
{
	struct outbox *outbox = item->outbox;
	struct outbox_message message = { 0 };

	item_take(item);
	outbox->out.build(outbox->out.arg, item, &message);
	if (message.path && item_say(item, &message))
		item_transmit(item, &message);
	else if (message.path)
		item_refuse(item);
	free(message.path);
	cJSON_Delete(message.body);
}

static struct outbox_item *
next_item(const struct outbox *outbox)
{
	for (int i = 0; i < OUTBOX_QUEUES; i++)
		if (!TAILQ_EMPTY(&outbox->queues[i]))
			return TAILQ_FIRST(&outbox->queues[i]);
	return NULL;
}

void
outbox_flush(struct outbox *outbox)
{
	struct outbox_item *item;

	if (outbox_settled(outbox))
		outbox->failures = 0;
	while (outbox->open && outbox->flying < FLYING_MAX && outbox->busy < BUSY_MAX &&
	    (item = next_item(outbox)))
		item_send(item);
}

struct outbox *
outbox_new(struct loop *loop, struct consul *consul, const struct outbox_out *out)
{
	struct outbox *outbox = xcalloc(1, sizeof(*outbox));

	*outbox = (struct outbox){ .loop = loop, .consul = consul, .out = *out };
	for (int i = 0; i < OUTBOX_NONE; i++)
		TAILQ_INIT(&outbox->queues[i]);
	outbox->retry = loop_timer_new(loop, on_retry, outbox);
	outbox->renew = loop_timer_new(loop, on_renew, outbox);
	return outbox;
}

void
outbox_free(struct outbox *outbox)
{
	if (!outbox)
		return;
	loop_timer_free(outbox->retry);
	loop_timer_free(outbox->renew);
	free(outbox);
}

void
outbox_init(struct outbox *outbox, struct outbox_item *item, int kind,
    struct complaint *complaint)
{
	*item = (struct outbox_item){
		.kind = (uint8_t)kind,
		.complaint = complaint,
		.outbox = outbox,
		.queue = OUTBOX_NONE,
		.home = OUTBOX_REST,
		.again = OUTBOX_NONE,
		.touched_at = INT64_MIN,
	};
}

void
outbox_renew(struct outbox *outbox)
{
	outbox->renewed++;
	outbox->busy = outbox->failures = 0;
	send_home(outbox, OUTBOX_REFUSED);
	send_home(outbox, OUTBOX_ASIDE);
}

void
outbox_drop(struct outbox_item *item)
{
	if (!item->outbox)
		return;
	item_take(item);
	item->again = OUTBOX_NONE;
	if (!item->call)
		return;
	consul_cancel(item->call);
	item->call = NULL;
	item->outbox->flying--;
}

void
outbox_clear(struct outbox *outbox)
{
	struct outbox_item *item;

	for (int i = 0; i < OUTBOX_NONE; i++)
		while ((item = TAILQ_FIRST(&outbox->queues[i])))
			item_take(item);
}

void
outbox_open(struct outbox *outbox, bool open)
{
	outbox->open = open;
}

bool
outbox_flying(const struct outbox_item *item)
{
	return item->call != NULL;
}

bool
outbox_quiet(const struct outbox_item *item)
{
	return !item->call && item->queue >= OUTBOX_REFUSED;
}

bool
outbox_settled_by(const struct outbox_item *item, int64_t at)
{
	return !item->call && item->touched_at <= at;
}

bool
outbox_still(const struct outbox *outbox)
{
	return outbox->flying == 0;
}

bool
outbox_idle(const struct outbox *outbox)
{
	return outbox->flying == 0 && !next_item(outbox);
}

bool
outbox_settled(const struct outbox *outbox)
{
	return outbox_idle(outbox) && TAILQ_EMPTY(&outbox->queues[OUTBOX_ASIDE]);
}
