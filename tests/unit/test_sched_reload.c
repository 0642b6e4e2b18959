/* SPDX-License-Identifier: ISC */
/*
 * Reloads under running checks, in virtual time: configurations that are edited by chance
 * (conf_edits.h), one after the other, and commands that are under way meanwhile. After each
 * reload: who did not change has noticed nothing, who did keeps what is published, who is new
 * runs soon. After all of them the states are those of a fresh start of the last one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/bundle.h"
#include "agent/conf/merge.h"
#include "agent/health/run.h"
#include "agent/health/sched.h"
#include "agent/health/service.h"
#include "tests/unit/conf_edits.h"
#include "tests/unit/tap.h"
#include "tests/unit/virtual_loop.h"

#define SEEDS 200
#define STEPS 12
#define LAST_MS 90000 /* enough results for every window to be of this configuration */
#define SOON_MS 540 /* half a second, and what slots and phases add */

/* A command under way, or one that is being ended. */
struct order {
	LIST_ENTRY(order) link;
	struct world *world;
	struct loop_timer *timer;
	uint64_t run;
	char label[CONF_LABEL_MAX];
	bool killed;
};

struct world {
	struct loop *loop;
	struct conf *conf;
	struct sched *sched;
	struct services *services;
	LIST_HEAD(, order) orders;
	unsigned int twice; /* orders for a check whose last one had not ended */
};

/* What a check's command comes to, and how long it takes, is always the same. */
static uint64_t
fate(const char *label)
{
	return fnv1a64(label, strlen(label)) >> 8;
}

static void
on_ended(void *arg)
{
	struct order *order = arg;
	struct world *w = order->world;
	bool bad = fate(order->label) % 4 == 0;
	struct check_exit exit = { .how =
				       order->killed ? CHECK_SIGNALLED : CHECK_EXITED,
		.value = order->killed ? 15
		    : bad              ? 2
				       : 0,
		.output = "" };
	uint64_t run = order->run;

	LIST_REMOVE(order, link);
	loop_timer_free(order->timer);
	free(order);
	sched_command_ended(w->sched, run, &exit);
}

static struct order *
find_order(const struct world *w, const char *label)
{
	struct order *order;

	LIST_FOREACH(order, &w->orders, link)
	if (strcmp(order->label, label) == 0)
		return order;
	return NULL;
}

static void
on_command(void *arg, uint64_t run, const struct conf_check *check, int64_t timeout_ms)
{
	struct world *w = arg;
	struct order *order = xcalloc(1, sizeof(*order));

	conf_check_label(check, order->label);
	w->twice += find_order(w, order->label) != NULL;
	order->world = w;
	order->run = run;
	order->timer = loop_timer_new(w->loop, on_ended, order);
	loop_timer_after(order->timer, (int64_t)(fate(order->label) % 300));
	LIST_INSERT_HEAD(&w->orders, order, link);
}

/* What is killed takes its time. */
static void
on_kill(void *arg, uint64_t run)
{
	struct world *w = arg;
	struct order *order;

	LIST_FOREACH(order, &w->orders, link)
	if (order->run == run) {
		order->killed = true;
		loop_timer_after(order->timer, 250);
	}
}

static void
on_changed(void *arg, const struct conf_check *check, const struct sched_state *state)
{
	struct world *w = arg;

	services_check(w->services, check, state->status, state->known);
}

static void
on_output(void *arg, const struct conf_check *check, const struct sched_state *state)
{
}

static void
on_verdict(void *arg, const struct conf_service *service,
    const struct service_verdict *verdict)
{
}

static struct conf *
parse_text(const char *text)
{
	struct bundle_file files[] = { { "environment", "", 0 },
		{ "lictor.conf", "", 0 }, { "a.conf", text, strlen(text) } };
	char error[CONF_ERROR_MAX] = "";
	struct conf_bundle *bundle = bundle_new(files, 3);

	bundle->received = true;
	struct conf *conf = conf_parse(bundle, error);
	CU_ASSERT_STRING_EQUAL(error, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	return conf;
}

static struct conf *
parse(const struct edits *edits)
{
	AUTO_FREE char *text = edits_text(edits);

	return parse_text(text);
}

/* `conf` is its own from now on. */
static void
world_init(struct world *w, struct conf *conf)
{
	struct sched_out out = { on_changed, on_output, on_command, on_kill, w };
	struct services_out services = { on_verdict, w };

	*w = (struct world){ .loop = loop_new(), .conf = conf };
	LIST_INIT(&w->orders);
	struct run_servants servants = { .loop = w->loop };
	w->services = services_new(w->conf, &services);
	w->sched = sched_new(&servants, w->conf, &out);
	sched_start(w->sched);
}

static void
world_clear(struct world *w)
{
	struct order *order;

	CU_ASSERT_EQUAL(w->twice, 0);
	CU_ASSERT(sched_free(w->sched));
	services_free(w->services);
	while ((order = LIST_FIRST(&w->orders)) != NULL) {
		LIST_REMOVE(order, link);
		loop_timer_free(order->timer);
		free(order);
	}
	conf_free(w->conf);
	loop_free(w->loop);
}

/* ---- one reload ---- */

struct before {
	struct sched_state state;
	char output[64];
	bool under_way; /* and not being ended */
};

static bool
is_under_way(const struct world *w, const struct conf_check *check)
{
	char label[CONF_LABEL_MAX];

	conf_check_label(check, label);
	const struct order *order = find_order(w, label);
	return order != NULL && !order->killed;
}

static struct before *
look(const struct world *w)
{
	struct before *before = xcalloc(w->conf->n_checks + 1, sizeof(*before));

	for (uint32_t i = 0; i < w->conf->n_checks; i++) {
		sched_state(w->sched, i, &before[i].state);
		str_copy(
		    before[i].output, sizeof(before[i].output), before[i].state.output);
		before[i].under_way = is_under_way(w, w->conf->checks[i]);
	}
	return before;
}

static void
hold_check(const struct world *w, uint32_t i, const struct before *was, bool changed)
{
	struct sched_state now;

	sched_state(w->sched, i, &now);
	CU_ASSERT_EQUAL(now.runs, was->state.runs);
	CU_ASSERT_EQUAL(now.changed_at, was->state.changed_at);
	CU_ASSERT_EQUAL(now.known, was->state.known);
	if (was->state.known)
		CU_ASSERT_EQUAL(now.status, was->state.status);
	if (changed)
		return;
	CU_ASSERT_EQUAL(now.status, was->state.status);
	CU_ASSERT_EQUAL(now.row, was->state.row);
	CU_ASSERT_EQUAL(now.flap_percent, was->state.flap_percent);
	CU_ASSERT_EQUAL(now.error_percent, was->state.error_percent);
	CU_ASSERT_EQUAL(now.last_run_ms, was->state.last_run_ms);
}

/* A check that depends on one that was replaced waits for that one's first look. */
static bool
is_free(const struct conf_check *check)
{
	return check->depends_on == NULL;
}

static void
hold(const struct world *w, const struct before *before,
    const struct conf_changes *changes)
{
	for (uint32_t i = 0; i < w->conf->n_checks; i++) {
		const struct conf_check *check = w->conf->checks[i];
		uint32_t from = changes->from.checks[i];
		bool changed = changes->check_changed[i];
		if (from == CONF_NONE)
			continue;
		hold_check(w, i, &before[from], changed);
		if (!changed && is_free(check))
			CU_ASSERT_EQUAL(is_under_way(w, check), before[from].under_way);
		if (changed)
			CU_ASSERT_FALSE(is_under_way(w, check));
	}
}

/* Those that were added or changed have begun a run within their time. */
static void
hold_soon(struct world *w, const struct conf_changes *changes)
{
	uint64_t *runs = xcalloc(w->conf->n_checks + 1, sizeof(*runs));
	struct sched_state state;

	for (uint32_t i = 0; i < w->conf->n_checks; i++) {
		sched_state(w->sched, i, &state);
		runs[i] = state.runs;
	}
	virtual_loop_run(w->loop, SOON_MS + 300 + 250);
	for (uint32_t i = 0; i < w->conf->n_checks; i++) {
		const struct conf_check *check = w->conf->checks[i];
		bool is_new = changes->from.checks[i] == CONF_NONE;
		sched_state(w->sched, i, &state);
		if ((is_new || changes->check_changed[i]) && is_free(check) &&
		    !check->class->passive)
			CU_ASSERT(state.runs > runs[i]);
	}
	free(runs);
}

static void
reload(struct world *w, const struct edits *edits)
{
	struct conf *prev = w->conf, *next = parse(edits);
	struct before *before = look(w);
	struct conf_changes changes;

	conf_compare(next, prev, &changes);
	conf_merge(next, prev, &changes);
	w->conf = next;
	services_reload(w->services, next, &changes);
	sched_reload(w->sched, next, &changes);
	hold(w, before, &changes);
	free(before);
	CU_ASSERT_FALSE(sched_hangs(w->sched));
	conf_free(prev);
	/* the label alone is the same: a new check does not wait for the old one's command */
	struct order *order;
	LIST_FOREACH(order, &w->orders, link)
	if (order->killed)
		order->label[0] = '-';
	if (edits->chance % 3 == 0)
		hold_soon(w, &changes);
	else
		virtual_loop_run(w->loop, (int64_t)(edits->chance % 1500));
	conf_changes_clear(&changes);
}

/* ---- the end ---- */

static bool
is_held_back(const struct world *w, const struct conf_check *check)
{
	struct sched_state state;

	for (check = check->depends_on; check != NULL; check = check->depends_on) {
		sched_state(w->sched, check->index, &state);
		if (!state.known || state.status == CHECK_CRITICAL)
			return true;
	}
	return false;
}

/* Reports that nobody makes, and checks that are held back, stay as they were. */
static bool
is_settled(const struct world *w, const struct conf_service *service)
{
	for (size_t i = 0; i < service->n_checks; i++)
		if (service->checks[i]->class->passive ||
		    is_held_back(w, service->checks[i]))
			return false;
	return true;
}

static void
hold_fresh(struct world *w, const struct edits *edits)
{
	struct world fresh = { 0 };

	struct before *before = look(w);
	world_init(&fresh, parse(edits));
	virtual_loop_run(w->loop, LAST_MS);
	virtual_loop_run(fresh.loop, LAST_MS);
	for (uint32_t i = 0; i < w->conf->n_checks; i++) {
		struct sched_state a, b;
		sched_state(w->sched, i, &a);
		sched_state(fresh.sched, i, &b);
		if (w->conf->checks[i]->class->passive ||
		    is_held_back(&fresh, fresh.conf->checks[i]))
			continue;
		CU_ASSERT(a.known && b.known);
		CU_ASSERT(a.runs > before[i].state.runs);
		CU_ASSERT_EQUAL(a.status, b.status);
		CU_ASSERT_STRING_EQUAL(a.output, b.output);
	}
	for (uint32_t i = 0; i < w->conf->n_services; i++) {
		const struct service_verdict *a = services_verdict(w->services, i);
		const struct service_verdict *b = services_verdict(fresh.services, i);
		if (!is_settled(&fresh, fresh.conf->services[i]))
			continue;
		CU_ASSERT_EQUAL(a->known, b->known);
		CU_ASSERT_EQUAL(a->status, b->status);
		CU_ASSERT((a->cause == NULL) == (b->cause == NULL));
		if (a->cause != NULL && b->cause != NULL)
			CU_ASSERT_STRING_EQUAL(a->cause->name, b->cause->name);
	}
	free(before);
	world_clear(&fresh);
}

static void
walk(uint64_t seed)
{
	struct edits edits;
	struct world w = { 0 };

	edits_init(&edits, seed, true);
	world_init(&w, parse(&edits));
	virtual_loop_run(w.loop, (int64_t)(seed * 137 % 4000));
	for (int i = 0; i < STEPS; i++) {
		edits_change(&edits);
		reload(&w, &edits);
	}
	hold_fresh(&w, &edits);
	world_clear(&w);
}

static void
test_walks(void)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		walk(seed);
}

/* ---- dependencies ---- */

static void
turn(struct world *w, struct conf *next)
{
	struct conf *prev = w->conf;
	struct conf_changes changes;

	conf_compare(next, prev, &changes);
	conf_merge(next, prev, &changes);
	w->conf = next;
	services_reload(w->services, next, &changes);
	sched_reload(w->sched, next, &changes);
	conf_changes_clear(&changes);
	conf_free(prev);
}

/* A name whose command always comes to that. */
static void
find_name(char out[16], bool bad, int from)
{
	char label[CONF_LABEL_MAX];

	do {
		snprintf(out, 16, "c%d", from++);
		snprintf(label, sizeof(label), "s/%s", out);
	} while ((fate(label) % 4 == 0) != bad);
}

#define PACE "command = {\"/bin/true\"} interval = 1m fast-interval = 1s fall = 1"

/* The last check of a line of three, of which the first fails. */
static struct conf *
parse_line(bool joined)
{
	char first[16], second[16], third[16];

	find_name(first, true, 0);
	find_name(second, false, 1000);
	find_name(third, false, 2000);
	AUTO_FREE char *depends = xasprintf("depends-on = \"%s\"", first);
	AUTO_FREE char *text =
	    xasprintf("service \"s\" {\n"
		      "script \"%s\" { " PACE " }\n"
		      "script \"%s\" { " PACE " %s }\n"
		      "script \"%s\" { " PACE " depends-on = \"%s\" }\n"
		      "}\n",
		first, second, joined ? depends : "", third, second);
	return parse_text(text);
}

/* A check that did not change waits for another no more, or does now, at once. */
static void
test_dependents(void)
{
	struct sched_state state;
	struct world w = { 0 };

	world_init(&w, parse_line(true));
	virtual_loop_run(w.loop, 150000);
	sched_state(w.sched, 2, &state);
	CU_ASSERT_EQUAL(state.runs, 0);
	turn(&w, parse_line(false));
	virtual_loop_run(w.loop, 3000);
	sched_state(w.sched, 2, &state);
	CU_ASSERT_EQUAL(state.runs, 1);
	CU_ASSERT_EQUAL(state.status, CHECK_PASSING);
	turn(&w, parse_line(true));
	sched_state(w.sched, 2, &state);
	CU_ASSERT_PTR_NOT_NULL(strstr(state.output, "not run: it depends on s/"));
	virtual_loop_run(w.loop, 150000);
	sched_state(w.sched, 2, &state);
	CU_ASSERT_EQUAL(state.runs, 1);
	world_clear(&w);
}

static const struct tap_case cases[] = {
	{ "edits under running checks", test_walks },
	{ "a line of dependencies that is cut and joined", test_dependents },
};

TAP_MAIN("sched_reload", cases)
