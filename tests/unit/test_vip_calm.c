/* SPDX-License-Identifier: ISC */
/*
 * An interface that comes and goes, in virtual time: every sequence of eight states, one
 * each 200 ms, against the rule that it counts as down at once, as up when it has been up
 * for 500 ms since it was last seen down, and that each change is told once.
 */
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/failover/vip.h"
#include "tests/unit/tap.h"
#include "tests/unit/virtual_loop.h"

#define STEPS 8
#define STEP_MS 200
#define LOOK_MS 150 /* after a step: no slot of the timer is near a multiple of both */
#define CALM_MS 500

struct bed {
	struct loop *loop;
	struct vips *vips;
	bool usable;
	unsigned int told;
};

static void
on_answer(void *arg, uint32_t role, uint64_t order)
{
}

static void
on_usable(void *arg, uint32_t role, bool usable, const char *why)
{
	struct bed *bed = arg;

	CU_ASSERT(bed->told == 0 || bed->usable != usable);
	bed->usable = usable;
	bed->told++;
}

static void
carrier(struct bed *bed, bool up)
{
	struct wire_message message = { .type = WIRE_CARRIER, .carrier = { 0, up } };

	vips_message(bed->vips, &message);
}

/* Bit i: up in step i. */
static void
try_sequence(struct bed *bed, unsigned int sequence)
{
	int64_t down_at = -1, up_since = 0;
	bool was = true;

	carrier(bed, true);
	for (int i = 0; i < STEPS; i++) {
		bool up = (sequence >> i & 1) != 0;
		int64_t now = (int64_t)i * STEP_MS;
		if (!up)
			down_at = now;
		else if (!was)
			up_since = now;
		was = up;
		carrier(bed, up);
		CU_ASSERT(up || !bed->usable);
		virtual_loop_run(bed->loop, LOOK_MS);
		bool calm = down_at < 0 || now + LOOK_MS - up_since > CALM_MS;
		CU_ASSERT_EQUAL(bed->usable, up && calm);
		virtual_loop_run(bed->loop, STEP_MS - LOOK_MS);
	}
}

static void
test_calm(void)
{
	char text[] = "10.0.0.1", interface[] = "eth0";

	for (unsigned int sequence = 0; sequence < 1 << STEPS; sequence++) {
		struct conf_role role = { .n_vips = 1 };
		struct conf_vip vip = {
			.role = &role, .text = text, .interface = interface
		};
		const struct conf_vip *of_role[] = { &vip };
		struct conf_vip *vips[] = { &vip };
		struct conf_role *roles[] = { &role };
		struct conf conf = {
			.roles = roles, .n_roles = 1, .vips = vips, .n_vips = 1
		};
		struct bed bed = { .loop = loop_new() };
		struct vips_out out = { .held = on_answer,
			.gone = on_answer,
			.usable = on_usable,
			.arg = &bed };
		role.vips = of_role;
		bed.vips = vips_new(bed.loop, &conf, &out);
		try_sequence(&bed, sequence);
		vips_free(bed.vips);
		loop_free(bed.loop);
	}
}

static const struct tap_case cases[] = {
	{ "down counts at once, up after some calm", test_calm },
};

TAP_MAIN("vip_calm", cases)
