/* SPDX-License-Identifier: ISC */
/*
 * Order, number and patience of what is sent, against a script that answers when the test
 * says so: the most urgent first, a few at a time, failures said once and tried again.
 */
#include "agent/consul/outbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "tests/unit/captured.h"
#include "tests/unit/scripted.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define LIMIT_MS 20000
#define ITEMS 40
#define FLYING_MAX 4

struct thing {
	struct outbox_item item;
	struct complaint complaint;
	unsigned int value, shown, sent; /* the truth, what was told last, how often */
	enum outbox_queue queue;
};

struct fixture {
	struct loop *loop;
	struct conf_consul conf;
	struct scripted *server;
	struct consul *consul;
	struct outbox *outbox;
	struct thing things[ITEMS];
	/* calls that wait for their answers, in the order they came */
	struct scripted_call *calls[ITEMS];
	size_t which[ITEMS], waiting, most, asked;
	int status; /* what is answered at once; 0: the test answers */
	const char *body;
	unsigned int order[ITEMS];
	size_t built, wanted;
};

static void
on_asked(void *arg, const char *request, struct scripted_call *call)
{
	struct fixture *f = arg;

	f->asked++;
	CU_ASSERT_PTR_EQUAL(strstr(request, "PUT /"), request);
	if (f->status) {
		scripted_answer(call, f->status, "", f->body ? f->body : "");
		return;
	}
	f->which[f->waiting] = strtoul(request + 5, NULL, 10);
	f->calls[f->waiting++] = call;
	if (f->waiting > f->most)
		f->most = f->waiting;
}

static void
on_build(void *arg, struct outbox_item *item, struct outbox_message *message)
{
	struct fixture *f = arg;
	struct thing *thing = (struct thing *)item;

	thing->shown = thing->value;
	thing->sent++;
	if (f->built < ITEMS)
		f->order[f->built] = (unsigned int)(thing - f->things);
	f->built++;
	message->path =
	    xasprintf("/%u?%u", (unsigned int)(thing - f->things), thing->value);
}

static void
on_done(void *arg, struct outbox_item *item, const struct consul_reply *reply)
{
	struct fixture *f = arg;

	(void)item;
	(void)reply;
	outbox_flush(f->outbox);
}

static void
on_describe(void *arg, const struct outbox_item *item, char *what, size_t what_size,
    char *needs, size_t needs_size)
{
	struct fixture *f = arg;

	snprintf(what, what_size, "telling %d",
	    (int)((const struct thing *)item - f->things));
	snprintf(needs, needs_size, "everything");
}

static void
open_fixture(struct fixture *f)
{
	struct outbox_out out = {
		.build = on_build,
		.done = on_done,
		.describe = on_describe,
		.arg = f,
	};

	*f = (struct fixture){ .loop = loop_new() };
	f->server = scripted_new(f->loop, on_asked, f);
	f->conf.address = xstrdup(scripted_address(f->server));
	f->consul = consul_new(f->loop, &f->conf);
	f->outbox = outbox_new(f->loop, f->consul, &out);
	for (int i = 0; i < ITEMS; i++)
		outbox_init(f->outbox, &f->things[i].item, i, &f->things[i].complaint);
}

static void
close_fixture(struct fixture *f)
{
	for (int i = 0; i < ITEMS; i++)
		outbox_drop(&f->things[i].item);
	outbox_free(f->outbox);
	consul_free(f->consul);
	scripted_free(f->server);
	free(f->conf.address);
	loop_free(f->loop);
}

static bool
settled(void *arg)
{
	return outbox_settled(((struct fixture *)arg)->outbox);
}

static bool
enough_asked(void *arg)
{
	struct fixture *f = arg;

	return f->asked >= f->wanted;
}

static void
wait_asked(struct fixture *f, size_t wanted)
{
	f->wanted = wanted;
	CU_ASSERT_TRUE_FATAL(until(f->loop, enough_asked, f, LIMIT_MS));
}

/* Whatever was put in which order, the queues leave in theirs, each first in, first out. */
static void
test_order(void)
{
	struct fixture f;

	open_fixture(&f);
	f.status = 200;
	for (int i = 0; i < ITEMS; i++) {
		f.things[i].queue = random_u64() % OUTBOX_QUEUES;
		outbox_put(&f.things[i].item, f.things[i].queue);
		outbox_put(&f.things[i].item, f.things[i].queue);
	}
	outbox_flush(f.outbox);
	run_for(f.loop, 20);
	CU_ASSERT_EQUAL(f.built, 0); /* it is closed */
	CU_ASSERT_FALSE(outbox_idle(f.outbox));
	outbox_open(f.outbox, true);
	outbox_flush(f.outbox);
	CU_ASSERT_EQUAL(f.built, FLYING_MAX);
	CU_ASSERT_TRUE(until(f.loop, settled, &f, LIMIT_MS));
	CU_ASSERT_EQUAL(f.built, ITEMS);
	for (int i = 1; i < ITEMS; i++) {
		const struct thing *before = &f.things[f.order[i - 1]];
		const struct thing *after = &f.things[f.order[i]];

		CU_ASSERT_TRUE(before->queue < after->queue ||
		    (before->queue == after->queue && before < after));
	}
	close_fixture(&f);
}

/* A few at a time; what changes under way goes again, once. */
static void
test_flying(void)
{
	struct fixture f;
	size_t answered = 0;

	open_fixture(&f);
	outbox_open(f.outbox, true);
	for (int i = 0; i < ITEMS / 2; i++)
		outbox_put(&f.things[i].item, OUTBOX_STATUS);
	outbox_flush(f.outbox);
	while (answered < ITEMS / 2 + 1) {
		struct thing *thing;

		wait_asked(&f, answered + 1);
		run_for(f.loop, 10);
		thing = &f.things[f.which[0]];
		if (answered == 0) {
			CU_ASSERT_TRUE(outbox_flying(&thing->item));
			thing->value = 7;
			outbox_put(&thing->item, OUTBOX_REST);
			outbox_put(&thing->item, OUTBOX_CRITICAL);
		}
		scripted_answer(f.calls[0], 200, "", "");
		f.waiting--;
		for (size_t i = 0; i < f.waiting; i++) {
			f.calls[i] = f.calls[i + 1];
			f.which[i] = f.which[i + 1];
		}
		answered++;
	}
	CU_ASSERT_TRUE(until(f.loop, settled, &f, LIMIT_MS));
	CU_ASSERT_EQUAL(f.most, FLYING_MAX);
	CU_ASSERT_EQUAL(f.asked, ITEMS / 2 + 1);
	CU_ASSERT_EQUAL(f.things[0].shown, 7);
	for (int i = 0; i < ITEMS / 2; i++)
		CU_ASSERT_EQUAL(f.things[i].sent, i == 0 ? 2 : 1);
	close_fixture(&f);
}

/* For each failure: said once, tried again, its end said once; others are not held up. */
static void
test_failures(void)
{
	static const struct {
		int status;
		const char *body, *said;
	} table[] = {
		{ 403, "Permission denied",
		    "telling 0 is denied (403 Permission denied): the token lacks "
		    "everything" },
		{ 500, "rpc error", NULL },
		{ 403, "ACL not found", NULL },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
		struct fixture f;
		char log[2048];
		int keep;

		open_fixture(&f);
		keep = capture_log();
		outbox_open(f.outbox, true);
		f.status = table[i].status;
		f.body = table[i].body;
		outbox_put(&f.things[0].item, OUTBOX_FIRST);
		outbox_flush(f.outbox);
		wait_asked(&f, 4);
		CU_ASSERT_FALSE(outbox_settled(f.outbox));
		f.status = 200;
		f.body = "";
		outbox_put(&f.things[1].item, OUTBOX_REST);
		CU_ASSERT_TRUE(until(f.loop, settled, &f, LIMIT_MS));
		CU_ASSERT_EQUAL(f.things[1].sent, 1);
		release_log(keep, log, sizeof(log));
		CU_ASSERT_EQUAL(count_words(log, "\n"), table[i].said ? 2 : 0);
		if (table[i].said) {
			CU_ASSERT_PTR_NOT_NULL(strstr(log, table[i].said));
			CU_ASSERT_PTR_NOT_NULL(strstr(log, "telling 0 works again"));
		}
		close_fixture(&f);
	}
}

/* Not taken as it is: said once, and sent again when it says something else, or when Consul
 * may be another; nothing waits for it. */
static void
test_refused(void)
{
	static const int table[] = { 400, 413 };

	for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
		struct fixture f;
		char log[2048];
		int keep;

		open_fixture(&f);
		keep = capture_log();
		outbox_open(f.outbox, true);
		f.status = table[i];
		f.body = "no such thing";
		outbox_put(&f.things[0].item, OUTBOX_FIRST);
		outbox_flush(f.outbox);
		CU_ASSERT_TRUE(until(f.loop, settled, &f, LIMIT_MS));
		CU_ASSERT_TRUE(outbox_quiet(&f.things[0].item));
		outbox_put(&f.things[0].item, OUTBOX_FIRST);
		outbox_flush(f.outbox);
		run_for(f.loop, 400);
		CU_ASSERT_EQUAL(f.asked, 1);
		f.things[0].value = 1;
		outbox_put(&f.things[0].item, OUTBOX_FIRST);
		outbox_flush(f.outbox);
		wait_asked(&f, 2);
		CU_ASSERT_TRUE(until(f.loop, settled, &f, LIMIT_MS));
		f.status = 200;
		f.body = "";
		outbox_renew(f.outbox);
		outbox_flush(f.outbox);
		wait_asked(&f, 3);
		CU_ASSERT_TRUE(until(f.loop, settled, &f, LIMIT_MS));
		release_log(keep, log, sizeof(log));
		CU_ASSERT_EQUAL(count_words(log, "\n"), 2);
		CU_ASSERT_PTR_NOT_NULL(strstr(log, "telling 0 failed ("));
		CU_ASSERT_PTR_NOT_NULL(strstr(log, "telling 0 works again"));
		close_fixture(&f);
	}
}

/* A token that Consul does not know stops all but a few tries, as a busy Consul does. */
static void
test_unknown_token(void)
{
	struct fixture f;

	open_fixture(&f);
	outbox_open(f.outbox, true);
	f.status = 403;
	f.body = "ACL not found";
	for (int i = 0; i < ITEMS; i++)
		outbox_put(&f.things[i].item, OUTBOX_STATUS);
	outbox_flush(f.outbox);
	run_for(f.loop, 1000);
	CU_ASSERT_TRUE(f.asked >= 4 && f.asked <= 48);
	f.status = 200;
	f.body = "";
	CU_ASSERT_TRUE(until(f.loop, settled, &f, LIMIT_MS));
	close_fixture(&f);
}

/* Many busy answers stop all but a few tries; one thing that fails stops nobody. */
static void
test_busy(void)
{
	struct fixture f;
	char log[8192];
	int keep;

	open_fixture(&f);
	keep = capture_log();
	outbox_open(f.outbox, true);
	f.status = 429;
	for (int i = 0; i < ITEMS; i++)
		outbox_put(&f.things[i].item, OUTBOX_STATUS);
	outbox_flush(f.outbox);
	run_for(f.loop, 1000);
	CU_ASSERT_TRUE(f.asked >= 8 && f.asked <= 48);
	f.status = 200;
	CU_ASSERT_TRUE(until(f.loop, settled, &f, LIMIT_MS));
	for (int i = 0; i < ITEMS; i++)
		CU_ASSERT_TRUE(f.things[i].sent > 0);
	release_log(keep, log, sizeof(log));
	close_fixture(&f);
}

/* No answer, or no such thing: the owner decides, the item rests. */
static void
test_rest(void)
{
	struct fixture f;

	open_fixture(&f);
	outbox_open(f.outbox, true);
	f.status = 404;
	outbox_put(&f.things[0].item, OUTBOX_FIRST);
	outbox_flush(f.outbox);
	CU_ASSERT_TRUE(until(f.loop, settled, &f, LIMIT_MS));
	f.status = 0;
	outbox_put(&f.things[1].item, OUTBOX_FIRST);
	outbox_flush(f.outbox);
	wait_asked(&f, 2);
	scripted_raw(f.calls[0], "");
	CU_ASSERT_TRUE(until(f.loop, settled, &f, LIMIT_MS));
	/* dropped in each state */
	outbox_put(&f.things[2].item, OUTBOX_FIRST);
	outbox_drop(&f.things[2].item);
	outbox_put(&f.things[3].item, OUTBOX_FIRST);
	outbox_flush(f.outbox);
	CU_ASSERT_FALSE(outbox_idle(f.outbox));
	outbox_drop(&f.things[3].item);
	CU_ASSERT_TRUE(outbox_settled(f.outbox));
	outbox_put(&f.things[4].item, OUTBOX_FIRST);
	outbox_clear(f.outbox);
	CU_ASSERT_TRUE(outbox_settled(f.outbox));
	run_for(f.loop, 300);
	CU_ASSERT_TRUE(f.asked <= 3);
	close_fixture(&f);
}

static const struct tap_case cases[] = {
	{ "queues leave in their order", test_order },
	{ "a few at a time, the newest truth", test_flying },
	{ "failures are said once and tried again", test_failures },
	{ "what is not taken as it is", test_refused },
	{ "a busy Consul is left in peace", test_busy },
	{ "a token that Consul does not know", test_unknown_token },
	{ "without an answer the owner decides", test_rest },
};

TAP_MAIN("outbox", cases)
