/* SPDX-License-Identifier: ISC */
/*
 * A role's addresses as one thing: every sequence of five orders and answers is tried
 * against the rule that an order is answered when every address has answered that very
 * number; then what crosses the wire, on a real one, and what makes a role usable.
 */
#include "agent/failover/vip.h"

#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "tests/unit/tap.h"

#define STEPS 5
#define VIPS 2
#define MESSAGES 16

struct fixture {
	struct loop *loop;
	struct vips *vips;
	struct conf conf;
	struct conf_role role, *roles[1];
	struct conf_vip addresses[VIPS], *all[VIPS];
	const struct conf_vip *of_role[VIPS];
	char texts[VIPS][16], interface[8];
	struct wire *agent, *warden;
	size_t n_messages, wanted; /* the loop stops when there are so many */
	struct wire_message messages[MESSAGES];
	uint64_t held, gone; /* told last */
	uint64_t probed;
	unsigned int n_held, n_gone, n_usable, n_probed;
	bool usable, found;
	char why[192];
};

static void
on_held(void *arg, uint32_t role, uint64_t order)
{
	struct fixture *f = arg;

	CU_ASSERT_EQUAL(role, 0);
	f->held = order;
	f->n_held++;
}

static void
on_gone(void *arg, uint32_t role, uint64_t order)
{
	struct fixture *f = arg;

	CU_ASSERT_EQUAL(role, 0);
	f->gone = order;
	f->n_gone++;
}

static void
on_usable(void *arg, uint32_t role, bool usable, const char *why)
{
	struct fixture *f = arg;

	CU_ASSERT_EQUAL(role, 0);
	f->usable = usable;
	str_copy(f->why, sizeof(f->why), why);
	f->n_usable++;
	if (f->wanted == 0)
		loop_stop(f->loop);
}

static void
on_probed(void *arg, uint32_t role, uint64_t order, bool found)
{
	struct fixture *f = arg;

	CU_ASSERT_EQUAL(role, 0);
	f->probed = order;
	f->found = found;
	f->n_probed++;
}

static void
set_up_with(struct fixture *f, struct loop *loop)
{
	memset(f, 0, sizeof(*f));
	f->loop = loop;
	memcpy(f->interface, "eth0", 5);
	for (uint32_t i = 0; i < VIPS; i++) {
		memcpy(f->texts[i], i == 0 ? "10.0.0.1" : "10.0.0.2", 9);
		f->addresses[i] = (struct conf_vip){
			.index = i,
			.role = &f->role,
			.text = f->texts[i],
			.interface = f->interface,
		};
		f->all[i] = &f->addresses[i];
		f->of_role[i] = &f->addresses[i];
	}
	f->role.vips = f->of_role;
	f->role.n_vips = f->conf.n_vips = VIPS;
	f->roles[0] = &f->role;
	f->conf.roles = f->roles;
	f->conf.n_roles = 1;
	f->conf.vips = f->all;
	f->vips = vips_new(loop, &f->conf,
	    &(struct vips_out){ on_held, on_gone, on_usable, on_probed, f });
}

static void
set_up(struct fixture *f)
{
	set_up_with(f, loop_new());
}

static void
tear_down(struct fixture *f)
{
	vips_free(f->vips);
	wire_free(f->agent);
	wire_free(f->warden);
	loop_free(f->loop);
}

static void
answer(struct fixture *f, enum wire_type type, uint32_t vip, uint64_t order,
    enum wire_refusal reason)
{
	struct wire_message message = {
		.type = type,
		.answer = { .order = order, .vip = vip, .reason = reason },
	};

	vips_message(f->vips, &message);
}

static void
carrier(struct fixture *f, uint32_t vip, bool up)
{
	struct wire_message message = {
		.type = WIRE_CARRIER,
		.carrier = { .vip = vip, .up = up },
	};

	vips_message(f->vips, &message);
}

/* The rule's own picture. */
struct model {
	uint64_t order, hold, drop;
	uint64_t held[VIPS], gone[VIPS];
};

enum op { HOLD, DROP, ANSWERS }; /* then answers: what, by which, to the n-th newest */
#define OPS (ANSWERS + 2 * VIPS * 2)

static void
try_answer(struct fixture *f, struct model *m, unsigned int what)
{
	bool held = what % 2 == 0;
	uint32_t vip = what / 2 % VIPS;
	uint64_t order = m->order - (what / 2 / VIPS < m->order ? what / 2 / VIPS : 0);
	uint64_t *answers = held ? m->held : m->gone;
	unsigned int told = held ? f->n_held : f->n_gone;
	bool counts = held ? order > m->drop : order == m->drop && m->drop > m->hold;

	if (order == 0)
		return;
	answer(f, held ? WIRE_HELD : WIRE_GONE, vip, order, WIRE_REFUSAL_NONE);
	if (counts)
		answers[vip] = order;
	counts = counts && answers[0] == order && answers[1] == order;
	CU_ASSERT_EQUAL(held ? f->n_held : f->n_gone, told + (counts ? 1 : 0));
	if (counts)
		CU_ASSERT_EQUAL(held ? f->held : f->gone, order);
}

static void
try_op(struct fixture *f, struct model *m, unsigned int op)
{
	if (op == HOLD) {
		m->hold = ++m->order;
		vips_hold(f->vips, 0, m->hold, 1, INT64_MAX, false);
	} else if (op == DROP) {
		m->drop = ++m->order;
		vips_drop(f->vips, 0, m->drop, 1);
	} else {
		try_answer(f, m, op - ANSWERS);
	}
}

static void
test_every_sequence(void)
{
	struct loop *loop = loop_new();
	unsigned int count = 1;

	for (int i = 0; i < STEPS; i++)
		count *= OPS;
	for (unsigned int sequence = 0; sequence < count; sequence++) {
		struct model m = { .order = 0 };
		struct fixture f;
		unsigned int rest = sequence;

		set_up_with(&f, loop);
		for (int step = 0; step < STEPS; step++, rest /= OPS)
			try_op(&f, &m, rest % OPS);
		vips_free(f.vips);
	}
	loop_free(loop);
}

static void
on_message(void *arg, const struct wire_message *message, int fd)
{
	struct fixture *f = arg;

	CU_ASSERT_EQUAL(fd, -1);
	if (f->n_messages < MESSAGES)
		f->messages[f->n_messages++] = *message;
	if (f->n_messages == f->wanted)
		loop_stop(f->loop);
}

static void
on_closed(void *arg, const char *why)
{
	(void)arg, (void)why;
	CU_FAIL("the wire was closed");
}

static void
link_up(struct fixture *f, uint32_t instance)
{
	struct wire_out out = { on_message, on_closed, f };
	int fds[2];

	wire_free(f->agent);
	wire_free(f->warden);
	CU_ASSERT_EQUAL_FATAL(wire_pair(fds), 0);
	f->agent = wire_new(f->loop, fds[0], WIRE_AGENT, WIRE_WARDEN, 1, &out);
	f->warden = wire_new(f->loop, fds[1], WIRE_WARDEN, WIRE_AGENT, 1, &out);
	f->n_messages = 0;
	vips_link(f->vips, f->agent, instance);
}

/* Until the warden's end has seen `count` messages; the test's harness ends a hang. */
static void
receive(struct fixture *f, size_t count)
{
	f->wanted = count;
	if (f->n_messages < count)
		loop_run(f->loop);
}

static void
test_hold(void)
{
	struct fixture f;

	set_up(&f);
	link_up(&f, 9);
	vips_hold(f.vips, 0, 5, 17, 123456, true);
	receive(&f, VIPS);
	for (uint32_t i = 0; i < VIPS; i++) {
		const struct wire_message *message = &f.messages[i];

		CU_ASSERT_EQUAL(message->type, WIRE_HOLD);
		CU_ASSERT_TRUE(message->hold.order == 5 && message->hold.vip == i);
		CU_ASSERT_TRUE(message->hold.term == 17 && message->hold.instance == 9);
		CU_ASSERT_EQUAL(message->hold.until_ms, 123456);
		CU_ASSERT_EQUAL(message->hold.announce, 1);
	}
	tear_down(&f);
}

static void
tell_fence(struct fixture *f, uint32_t kind, bool ok)
{
	struct wire_fence_kind fence = {
		.kind = kind, .fixed = 1, .ok = ok, .why = "tun0 cannot be fenced"
	};

	vips_fence(f->vips, &fence);
}

/* Each hold says what its deadline was reckoned for. */
static void
test_kind(void)
{
	for (uint32_t kind = WIRE_FENCE_BPF; kind <= WIRE_FENCE_LIFETIME; kind++) {
		struct fixture f;

		set_up(&f);
		tell_fence(&f, kind, true);
		link_up(&f, 1);
		vips_hold(f.vips, 0, 1, 1, INT64_MAX, true);
		receive(&f, VIPS);
		for (uint32_t i = 0; i < VIPS; i++)
			CU_ASSERT_EQUAL(f.messages[i].hold.fence, kind);
		tear_down(&f);
	}
}

/* Announced until the address answered a hold of the term. */
static void
test_announce(void)
{
	struct fixture f;

	set_up(&f);
	link_up(&f, 1);
	vips_hold(f.vips, 0, 1, 1, INT64_MAX, true);
	answer(&f, WIRE_HELD, 0, 1, WIRE_REFUSAL_NONE);
	vips_hold(f.vips, 0, 2, 1, INT64_MAX, false);
	receive(&f, 2 * VIPS);
	CU_ASSERT_EQUAL(f.messages[2].hold.announce, 0);
	CU_ASSERT_EQUAL(f.messages[3].hold.announce, 1);
	tear_down(&f);
}

/* The newest order reaches a fresh warden if it is a drop, and nothing else does. */
static void
test_relink(void)
{
	struct fixture f;

	set_up(&f);
	vips_hold(f.vips, 0, 1, 7, INT64_MAX, true);
	vips_drop(f.vips, 0, 2, 7);
	link_up(&f, 1);
	receive(&f, VIPS);
	CU_ASSERT_EQUAL(f.messages[1].type, WIRE_DROP);
	CU_ASSERT_TRUE(f.messages[1].drop.order == 2 && f.messages[1].drop.up_to == 7);
	answer(&f, WIRE_GONE, 0, 2, WIRE_REFUSAL_NONE);
	link_up(&f, 2);
	answer(&f, WIRE_GONE, 1, 2, WIRE_REFUSAL_NONE);
	CU_ASSERT_EQUAL(f.n_gone, 0); /* the first answer was another warden's */
	receive(&f, VIPS);
	answer(&f, WIRE_GONE, 0, 2, WIRE_REFUSAL_NONE);
	CU_ASSERT_EQUAL(f.n_gone, 1);
	vips_hold(f.vips, 0, 3, 8, INT64_MAX, true);
	link_up(&f, 3);
	vips_drop(f.vips, 0, 4, 8);
	receive(&f, VIPS);
	CU_ASSERT_EQUAL(f.messages[0].drop.order, 4);
	tear_down(&f);
}

/* Every combination of what is known about two addresses. */
static void
test_usable(void)
{
	enum { UNKNOWN, UP, DOWN, REFUSED, UNFENCED, KINDS };

	for (unsigned int i = 0; i < KINDS * KINDS; i++) {
		unsigned int kinds[VIPS] = { i % KINDS, i / KINDS };
		bool bad = false, unknown = false;
		struct fixture f;

		set_up(&f);
		f.wanted = 1;
		for (uint32_t vip = 0; vip < VIPS; vip++) {
			if (kinds[vip] != UNKNOWN)
				carrier(&f, vip, kinds[vip] != DOWN);
			if (kinds[vip] == REFUSED)
				answer(&f, WIRE_REFUSED, vip, 1, WIRE_REFUSAL_KERNEL);
			if (kinds[vip] == UNFENCED)
				answer(&f, WIRE_REFUSED, vip, 1, WIRE_REFUSAL_UNFENCED);
			bad = bad || kinds[vip] >= DOWN;
			unknown = unknown || kinds[vip] == UNKNOWN;
		}
		CU_ASSERT_EQUAL(f.n_usable > 0, bad || !unknown);
		CU_ASSERT_EQUAL(f.usable, !bad && !unknown);
		CU_ASSERT_EQUAL(f.why[0] != '\0', bad);
		tear_down(&f);
	}
}

static void
test_usable_again(void)
{
	struct fixture f;

	set_up(&f);
	f.wanted = 1;
	carrier(&f, 0, true);
	carrier(&f, 1, true);
	CU_ASSERT_TRUE(f.usable && f.n_usable == 1);
	answer(&f, WIRE_REFUSED, 1, 1, WIRE_REFUSAL_PAST);
	CU_ASSERT_TRUE(f.usable);
	answer(&f, WIRE_REFUSED, 1, 1, WIRE_REFUSAL_KERNEL);
	CU_ASSERT_FALSE(f.usable);
	answer(&f, WIRE_HELD, 1, 1, WIRE_REFUSAL_NONE);
	CU_ASSERT_TRUE(f.usable);
	vips_tell(f.vips);
	CU_ASSERT_EQUAL(f.n_usable, 4);
	tear_down(&f);
}

/* A fence that cannot be had, and one that was lost under an address, until it is back. */
static void
test_unfenced(void)
{
	struct fixture f;

	set_up(&f);
	f.wanted = 1;
	tell_fence(&f, WIRE_FENCE_BPF, false);
	CU_ASSERT_TRUE(f.n_usable == 1 && !f.usable);
	CU_ASSERT_STRING_EQUAL(f.why, "there is no fence: tun0 cannot be fenced");
	carrier(&f, 0, true);
	carrier(&f, 1, true);
	CU_ASSERT_FALSE(f.usable);
	tell_fence(&f, WIRE_FENCE_BPF, true);
	CU_ASSERT_TRUE(f.usable);
	answer(&f, WIRE_REFUSED, 1, 1, WIRE_REFUSAL_UNFENCED);
	CU_ASSERT_FALSE(f.usable);
	CU_ASSERT_STRING_EQUAL(
	    f.why, "10.0.0.2 on eth0: its fence cannot be put in place");
	tell_fence(&f, WIRE_FENCE_BPF, true);
	CU_ASSERT_TRUE(f.usable);
	tear_down(&f);
}

/* A warden may be away for a moment; not for long. */
static void
test_away(void)
{
	struct fixture f;

	set_up(&f);
	link_up(&f, 1);
	f.wanted = 1;
	carrier(&f, 0, true);
	carrier(&f, 1, true);
	vips_link(f.vips, NULL, 1);
	CU_ASSERT_TRUE(f.usable);
	f.wanted = 0;
	loop_run(f.loop); /* until told something */
	CU_ASSERT_FALSE(f.usable);
	f.wanted = 1;
	link_up(&f, 2);
	CU_ASSERT_TRUE(f.usable);
	tear_down(&f);
}

/* A link alone is no warden: it answers, whatever it says, or the role is not usable. */
static void
test_unanswered(void)
{
	static const enum wire_type words[] = { WIRE_HELD, WIRE_REFUSED, WIRE_GONE };

	for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
		uint64_t order = 1;
		struct fixture f;

		set_up(&f);
		f.wanted = 1;
		carrier(&f, 0, true);
		carrier(&f, 1, true);
		for (int holds = 0; holds < 7; holds++)
			vips_hold(f.vips, 0, order++, 1, INT64_MAX, false);
		CU_ASSERT_TRUE(f.usable);
		answer(&f, words[i], 0, 1, WIRE_REFUSAL_PAST);
		vips_hold(f.vips, 0, order++, 1, INT64_MAX, false);
		CU_ASSERT_FALSE(f.usable); /* the other address */
		answer(&f, words[i], 1, 1, WIRE_REFUSAL_PAST);
		CU_ASSERT_TRUE(f.usable);
		tear_down(&f);
	}
}

static void
test_is_held(void)
{
	struct fixture f;
	int64_t later = clock_boot_ms() + 60000;

	set_up(&f);
	vips_hold(f.vips, 0, 1, 1, later, true);
	CU_ASSERT_FALSE(vips_is_held(f.vips, 0));
	answer(&f, WIRE_HELD, 0, 1, WIRE_REFUSAL_NONE);
	CU_ASSERT_TRUE(vips_is_held(f.vips, 0) && !vips_is_held(f.vips, 1));
	vips_hold(f.vips, 0, 2, 1, later - 60001, false);
	CU_ASSERT_FALSE(vips_is_held(f.vips, 0));
	vips_hold(f.vips, 0, 3, 1, later, false);
	vips_drop(f.vips, 0, 4, 1);
	CU_ASSERT_TRUE(vips_is_held(f.vips, 0));
	answer(&f, WIRE_GONE, 0, 4, WIRE_REFUSAL_NONE);
	CU_ASSERT_FALSE(vips_is_held(f.vips, 0));
	tear_down(&f);
	vips_free(NULL);
}

static void
stands(struct fixture *f, uint32_t vip, int64_t until)
{
	struct wire_message message = {
		.type = WIRE_STANDS,
		.stands = { .vip = vip, .until_ms = until },
	};

	vips_message(f->vips, &message);
}

/* Every pair of a deadline that was not told, has passed or runs. */
static void
test_warm(void)
{
	int64_t now = clock_boot_ms();
	int64_t ends[] = { 0, now - 1, now + 60000 };
	struct fixture f;

	for (size_t i = 0; i < 3; i++)
		for (size_t k = 0; k < 3; k++) {
			set_up(&f);
			if (i > 0)
				stands(&f, 0, ends[i]);
			if (k > 0)
				stands(&f, 1, ends[k]);
			CU_ASSERT_EQUAL(vips_warm(f.vips, 0), i == 2 && k == 2);
			tear_down(&f);
		}
	set_up(&f);
	f.role.n_vips = 0;
	CU_ASSERT_FALSE(vips_warm(f.vips, 0));
	f.role.n_vips = VIPS;
	stands(&f, VIPS, now + 60000);
	tear_down(&f);
}

static void
test_foreign_index(void)
{
	struct fixture f;

	set_up(&f);
	answer(&f, WIRE_HELD, VIPS, 1, WIRE_REFUSAL_NONE);
	carrier(&f, UINT32_MAX, true);
	CU_ASSERT_TRUE(f.n_held == 0 && f.n_usable == 0);
	tear_down(&f);
}

static const struct tap_case cases[] = {
	{ "every sequence keeps the rule", test_every_sequence },
	{ "a hold goes to each address", test_hold },
	{ "a hold carries the kind of fence", test_kind },
	{ "an address is announced until it is held", test_announce },
	{ "a fresh warden hears the newest drop", test_relink },
	{ "one bad address makes the role unusable", test_usable },
	{ "what became good again is usable", test_usable_again },
	{ "no fence makes the role unusable", test_unfenced },
	{ "a warden that stays away makes the role unusable", test_away },
	{ "a warden that does not answer makes the role unusable", test_unanswered },
	{ "held is what was said, until the deadline", test_is_held },
	{ "warm while every address stands", test_warm },
	{ "an index that does not exist is ignored", test_foreign_index },
};
TAP_MAIN("vip", cases)
