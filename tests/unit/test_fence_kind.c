/* SPDX-License-Identifier: ISC */
/*
 * The kind of fence, fixed once: every sequence of four things that can happen is tried with
 * each configuration, in virtual time and over real wires, against the rule in a few words.
 * What an agent was told is never taken back, and no link is made before it was told.
 */
#include "agent/runner/fence_kind.h"

#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/runner/process.h"
#include "tests/unit/tap.h"
#include "tests/unit/virtual_loop.h"

#define STEPS 4
#define FIND_MS 20000

enum step {
	STEP_BPF, /* the warden says: I have it */
	STEP_NO_BPF,
	STEP_LIFETIME,
	STEP_NO_LIFETIME,
	STEP_WARDEN, /* another one is started */
	STEP_AGENT,
	STEP_TIME, /* long enough for a warden to say it */
	STEPS_KINDS
};

struct end {
	struct wire *wire;
	uint32_t heard; /* FENCE messages on this wire */
	struct wire_fence_kind fence; /* the last */
};

struct bed {
	struct loop *loop;
	struct conf conf;
	struct process agent, warden;
	struct end agent_end, warden_end;
	struct fence_kind *fence;
	unsigned int settled;
};

/* The rule's own picture. */
struct model {
	uint32_t kind;
	bool ok, answered, warden;
};

static void
on_settled(void *arg)
{
	struct bed *bed = arg;

	bed->settled++;
}

static void
on_message(void *arg, const struct wire_message *message, int fd)
{
	struct end *end = arg;

	CU_ASSERT_EQUAL(message->type, WIRE_FENCE);
	CU_ASSERT_EQUAL(fd, -1);
	end->heard++;
	end->fence = message->fence;
}

static void
on_closed(void *arg, const char *why)
{
	(void)arg, (void)why;
}

static void
not_from_there(void *arg, const struct wire_message *message, int fd)
{
	struct bed *bed = arg;

	CU_ASSERT_EQUAL(fd, -1);
	fence_kind_answer(bed->fence, &message->fenced);
}

static void
start(struct bed *bed, struct process *process, struct end *end)
{
	struct wire_out here = { not_from_there, on_closed, bed };
	struct wire_out there = { on_message, on_closed, end };
	int fds[2];

	wire_free(process->wire);
	wire_free(end->wire);
	*end = (struct end){ 0 };
	CU_ASSERT_EQUAL_FATAL(wire_pair(fds), 0);
	process->wire =
	    wire_new(bed->loop, fds[0], WIRE_RUNNER, process->kind, 1, &here);
	end->wire = wire_new(bed->loop, fds[1], process->kind, WIRE_RUNNER, 1, &there);
	fence_kind_started(bed->fence, process);
	virtual_loop_run(bed->loop, 10);
}

static void
say(struct bed *bed, uint32_t kind, bool ok)
{
	struct wire_message message = { .type = WIRE_FENCED,
		.fenced = { .kind = kind, .ok = ok, .why = "so it is" } };

	wire_send(bed->warden_end.wire, &message, -1);
	virtual_loop_run(bed->loop, 10);
}

static void
model_answer(struct model *model, uint32_t kind, bool ok)
{
	if (model->kind == WIRE_FENCE_UNKNOWN)
		model->kind =
		    kind == WIRE_FENCE_BPF && ok ? WIRE_FENCE_BPF : WIRE_FENCE_LIFETIME;
	model->ok = ok && kind == model->kind;
	model->answered = true;
}

static void
take_answer(struct bed *bed, struct model *model, uint32_t kind, bool ok)
{
	unsigned int before = bed->settled;

	if (!model->warden)
		return;
	say(bed, kind, ok);
	model_answer(model, kind, ok);
	CU_ASSERT_EQUAL(bed->settled, before + 1);
}

static void
take_step(struct bed *bed, struct model *model, enum step step)
{
	switch (step) {
	case STEP_BPF: take_answer(bed, model, WIRE_FENCE_BPF, true); break;
	case STEP_NO_BPF: take_answer(bed, model, WIRE_FENCE_BPF, false); break;
	case STEP_LIFETIME: take_answer(bed, model, WIRE_FENCE_LIFETIME, true); break;
	case STEP_NO_LIFETIME:
		take_answer(bed, model, WIRE_FENCE_LIFETIME, false);
		break;
	case STEP_WARDEN:
		start(bed, &bed->warden, &bed->warden_end);
		CU_ASSERT_EQUAL(bed->warden_end.heard, 1);
		CU_ASSERT_EQUAL(bed->warden_end.fence.kind, model->kind);
		CU_ASSERT_EQUAL(
		    bed->warden_end.fence.fixed, model->kind != WIRE_FENCE_UNKNOWN);
		model->warden = true;
		model->answered = false;
		break;
	case STEP_AGENT: start(bed, &bed->agent, &bed->agent_end); break;
	case STEP_TIME:
		virtual_loop_run(bed->loop, FIND_MS);
		if (model->kind == WIRE_FENCE_UNKNOWN) {
			model->kind = WIRE_FENCE_LIFETIME;
			model->warden = false; /* it was killed */
			CU_ASSERT_PTR_NULL(bed->warden.wire);
		}
		break;
	case STEPS_KINDS: break;
	}
}

static void
compare(const struct bed *bed, const struct model *model)
{
	const struct end *agent = &bed->agent_end;
	bool known = model->kind != WIRE_FENCE_UNKNOWN;

	CU_ASSERT_EQUAL(fence_kind_settled(bed->fence), known && model->answered);
	CU_ASSERT_EQUAL(agent->heard > 0, known);
	if (!known)
		return;
	CU_ASSERT_EQUAL(agent->fence.kind, model->kind);
	CU_ASSERT_EQUAL(agent->fence.fixed, 1);
	CU_ASSERT_EQUAL(agent->fence.ok, model->ok);
	CU_ASSERT_TRUE(model->ok || strcmp(agent->fence.why, "so it is") == 0);
	CU_ASSERT_NOT_EQUAL(agent->fence.why[0], '\0');
}

static void
open_bed(struct bed *bed, enum conf_fence fence, size_t n_vips)
{
	struct fence_kind_out out = { on_settled, bed };

	*bed = (struct bed){ .loop = loop_new(),
		.conf = { .fence = fence, .n_vips = n_vips },
		.agent = { .kind = WIRE_AGENT },
		.warden = { .kind = WIRE_WARDEN } };
	bed->fence =
	    fence_kind_new(bed->loop, &bed->conf, &bed->agent, &bed->warden, &out);
}

static void
close_bed(struct bed *bed)
{
	fence_kind_free(bed->fence);
	wire_free(bed->agent.wire);
	wire_free(bed->warden.wire);
	wire_free(bed->agent_end.wire);
	wire_free(bed->warden_end.wire);
	loop_free(bed->loop);
}

static void
try_sequence(enum conf_fence fence, size_t n_vips, unsigned int sequence)
{
	struct model model = { .ok = true,
		.kind = fence == CONF_FENCE_BPF ? WIRE_FENCE_BPF
		    : fence == CONF_FENCE_LIFETIME || n_vips == 0
		    ? WIRE_FENCE_LIFETIME
		    : WIRE_FENCE_UNKNOWN };
	struct bed bed = { 0 };

	open_bed(&bed, fence, n_vips);
	start(&bed, &bed.agent, &bed.agent_end);
	compare(&bed, &model);
	take_step(&bed, &model, STEP_WARDEN);
	for (int i = 0; i < STEPS; i++, sequence /= STEPS_KINDS) {
		uint32_t before = model.kind;
		take_step(&bed, &model, (enum step)(sequence % STEPS_KINDS));
		CU_ASSERT_TRUE(before == WIRE_FENCE_UNKNOWN || model.kind == before);
		compare(&bed, &model);
	}
	close_bed(&bed);
}

static void
try_all(enum conf_fence fence, size_t n_vips)
{
	for (unsigned int i = 0;
	     i < STEPS_KINDS * STEPS_KINDS * STEPS_KINDS * STEPS_KINDS; i++)
		try_sequence(fence, n_vips, i);
}

static void
test_auto(void)
{
	try_all(CONF_FENCE_AUTO, 1);
}

static void
test_configured(void)
{
	try_all(CONF_FENCE_BPF, 1);
	try_all(CONF_FENCE_LIFETIME, 1);
}

static void
test_no_addresses(void)
{
	try_all(CONF_FENCE_AUTO, 0);
}

/* What the warden would say is not asked for, unless it is configured. */
static void
test_no_folder(void)
{
	for (int fixed = 0; fixed <= 1; fixed++) {
		struct bed bed = { 0 };
		struct model model = { .ok = true,
			.kind = fixed ? WIRE_FENCE_BPF : WIRE_FENCE_LIFETIME };
		open_bed(&bed, fixed ? CONF_FENCE_BPF : CONF_FENCE_AUTO, 1);
		fence_kind_no_folder(bed.fence, "so it is");
		start(&bed, &bed.agent, &bed.agent_end);
		compare(&bed, &model);
		take_step(&bed, &model, STEP_WARDEN);
		compare(&bed, &model);
		close_bed(&bed);
	}
}

static const struct tap_case cases[] = {
	{ "without a folder it is lifetime", test_no_folder },
	{ "auto is found once", test_auto },
	{ "what is configured counts from the start", test_configured },
	{ "without addresses it is lifetime", test_no_addresses },
};

TAP_MAIN("fence_kind", cases)
