/* SPDX-License-Identifier: ISC */
/*
 * Types of check that are not relied on: put off, or left out, with their states as they
 * were and an output that says why; and others, which know nothing of it.
 */
#include "agent/health/trust.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/blackbox.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/health/run.h"
#include "agent/health/sched.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define LIMIT_MS 20000 /* for what must come; no test waits so long unless it fails */

#define COUNT 4
#define DELAY_MS 300

struct world {
	struct loop *loop;
	struct sched *sched;
	struct conf conf;
	struct conf_check checks[COUNT], *all[COUNT];
	struct conf_plugin plugin, *plugins[1];
	bool said[COUNT];
};

static void
start(struct check_run *run)
{
	check_done(run, CHECK_CRITICAL, CHECK_REASON_STATE, "it ran");
}

static void
start_well(struct check_run *run)
{
	check_done(run, CHECK_PASSING, CHECK_REASON_OK, "it is well");
}

static const struct check_option none[] = { { NULL } };
static const struct check_class class_of_suspects = {
	.abi = CHECK_ABI,
	.name = "suspect",
	.help = "",
	.options = none,
	.start = start,
};
static const struct check_class class_of_others = {
	.abi = CHECK_ABI,
	.name = "other",
	.help = "",
	.options = none,
	.start = start_well,
};

static void
on_news(void *arg, const struct conf_check *check, const struct sched_state *state)
{
	struct world *w = arg;

	w->said[check->index] = true;
}

/* Two suspects, then two others; all as Consul shows them, passing. */
static void
world_make(struct world *w)
{
	static const char *const names[COUNT] = { "a", "b", "c", "d" };
	struct sched_out out = { .changed = on_news, .output = on_news, .arg = w };

	*w = (struct world){ .loop = loop_new(),
		.plugin = { .name = (char *)"suspect", .class = &class_of_suspects } };
	for (size_t i = 0; i < COUNT; i++) {
		w->checks[i] = (struct conf_check){ .index = (uint32_t)i,
			.class = i < 2 ? &class_of_suspects : &class_of_others,
			.name = (char *)names[i],
			.interval_ms = 20,
			.fast_interval_ms = 20,
			.timeout_ms = 1000,
			.rise = 1,
			.fall = 1,
			.output_size = 200 };
		w->all[i] = &w->checks[i];
	}
	w->plugins[0] = &w->plugin;
	w->conf = (struct conf){ .checks = w->all,
		.n_checks = COUNT,
		.plugins = w->plugins,
		.n_plugins = 1 };
	struct run_servants servants = { .loop = w->loop };
	w->sched = sched_new(&servants, &w->conf, &out);
}

static void
world_start(struct world *w)
{
	for (uint32_t i = 0; i < COUNT; i++)
		sched_adopt(w->sched, i, CHECK_PASSING, "as it was");
	sched_start(w->sched);
}

static void
world_free(struct world *w)
{
	sched_free(w->sched);
	loop_free(w->loop);
}

static struct sched_state
state_of(const struct world *w, uint32_t check)
{
	struct sched_state state;

	sched_state(w->sched, check, &state);
	return state;
}

static bool
others_ran(void *arg)
{
	const struct world *w = arg;

	return state_of(w, 2).runs > 0 && state_of(w, 3).runs > 0;
}

static bool
all_ran(void *arg)
{
	const struct world *w = arg;

	return others_ran(arg) && state_of(w, 0).runs > 0 && state_of(w, 1).runs > 0;
}

static void
what_is_put_off_begins_later(void)
{
	struct world w;

	world_make(&w);
	sched_put_off(w.sched, &class_of_suspects, DELAY_MS, "not yet");
	world_start(&w);
	int64_t begun = loop_now(w.loop);
	CU_ASSERT(w.said[0] && w.said[1] && !w.said[2] && !w.said[3]);
	CU_ASSERT(until(w.loop, others_ran, &w, LIMIT_MS));
	CU_ASSERT(loop_now(w.loop) - begun < DELAY_MS);
	CU_ASSERT_STRING_EQUAL(state_of(&w, 2).output, "it is well");
	for (uint32_t i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(state_of(&w, i).status, CHECK_PASSING);
		CU_ASSERT_EQUAL(state_of(&w, i).runs, 0);
		CU_ASSERT_EQUAL(state_of(&w, i).reason, CHECK_REASON_LOCAL);
		CU_ASSERT_STRING_EQUAL(state_of(&w, i).output, "not yet");
	}
	CU_ASSERT(until(w.loop, all_ran, &w, LIMIT_MS));
	CU_ASSERT(loop_now(w.loop) - begun >= DELAY_MS);
	CU_ASSERT_STRING_EQUAL(state_of(&w, 0).output, "it ran");
	world_free(&w);
}

/* It depends on one that is not, and is let go when that is well. */
static void
a_dependency_does_not_bring_it_forward(void)
{
	struct world w;

	world_make(&w);
	w.checks[0].depends_on = &w.checks[2];
	sched_free(w.sched);
	struct sched_out out = { .changed = on_news, .output = on_news, .arg = &w };
	struct run_servants servants = { .loop = w.loop };
	w.sched = sched_new(&servants, &w.conf, &out);
	sched_put_off(w.sched, &class_of_suspects, DELAY_MS, "not yet");
	for (uint32_t i = 0; i < 2; i++)
		sched_adopt(w.sched, i, CHECK_PASSING, "as it was");
	sched_start(w.sched); /* it is held back, for the other was not looked at yet */
	int64_t begun = loop_now(w.loop);
	CU_ASSERT(until(w.loop, others_ran, &w, LIMIT_MS));
	run_for(w.loop, 50);
	CU_ASSERT(loop_now(w.loop) - begun < DELAY_MS);
	CU_ASSERT_EQUAL(state_of(&w, 0).runs, 0);
	world_free(&w);
}

/* The words for one check in which the agent before ended, and for a plugin that is left
 * out; nothing for an index that is none, nor where nothing happened. */
static void
the_output_says_why(void)
{
	for (uint32_t check = 0; check <= COUNT; check++)
		for (int left_out = 0; left_out < 2; left_out++) {
			struct blackbox_orders orders = { .check = check,
				.how = "signal 11 (Segmentation fault)" };
			struct blackbox *box = blackbox_new();
			struct world w;

			world_make(&w);
			if (left_out)
				w.plugin.left_out = (char *)"it crashed";
			blackbox_reset(box, &orders);
			trust_withdraw(w.sched, &w.conf, box);
			world_start(&w);
			const char *suspects = left_out
			    ? "the plugin suspect is left out: it crashed"
			    : check == 0 ? "unknown, until it runs again: lictor's "
					   "agent died (signal 11 (Segmentation "
					   "fault)) in the suspect check a"
			    : check == 1 ? "unknown, until it runs again: lictor's "
					   "agent died (signal 11 (Segmentation "
					   "fault)) in the suspect check b"
					 : "as it was";
			CU_ASSERT_STRING_EQUAL(state_of(&w, 0).output, suspects);
			CU_ASSERT_STRING_EQUAL(state_of(&w, 1).output, suspects);
			bool others = check == 2 || check == 3;
			CU_ASSERT_EQUAL(
			    strcmp(state_of(&w, 2).output, "as it was") != 0, others);
			world_free(&w);
			blackbox_free(box);
		}
}

static void
nothing_is_withdrawn_without_a_reason(void)
{
	struct blackbox_orders orders = { .check = 0 };
	struct blackbox *box = blackbox_new();
	struct world w;

	blackbox_reset(box, &orders);
	world_make(&w);
	trust_withdraw(w.sched, &w.conf, box);
	trust_withdraw(w.sched, &w.conf, NULL);
	world_start(&w);
	CU_ASSERT(until(w.loop, all_ran, &w, LIMIT_MS));
	world_free(&w);
	blackbox_free(box);
}

static const struct tap_case cases[] = {
	{ "what is put off begins later", what_is_put_off_begins_later },
	{ "a dependency does not bring it forward",
	    a_dependency_does_not_bring_it_forward },
	{ "the output says why", the_output_says_why },
	{ "nothing is withdrawn without a reason",
	    nothing_is_withdrawn_without_a_reason },
};

TAP_MAIN("trust", cases)
