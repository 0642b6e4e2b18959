/* SPDX-License-Identifier: ISC */
/*
 * One role machine on a bench: a clock that is moved by hand, a register that the test
 * writes, and the newest event's actions to look at. For the unit tests of the machine.
 */
#include "tests/unit/role_bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/unit/tap.h"

const struct role_params usual = { .node = "web-1",
	.inst = 1,
	.priority = 100,
	.lease_ms = 2250,
	.margin_ms = 1500,
	.confirm_ms = 321,
	.silence_ms = 600,
	.stagger_ms = 200,
	.grace_ms = 1000,
	.member_ms = 10000,
	.has_vips = true };

const struct role_params peered = { .node = "web-1",
	.inst = 1,
	.priority = 100,
	.lease_ms = 1000,
	.margin_ms = 10,
	.confirm_ms = 142,
	.silence_ms = 300,
	.stagger_ms = 200,
	.grace_ms = 1000,
	.heartbeat_ms = 75,
	.member_ms = 10000,
	.calm_ms = 1000,
	.hold_alone_ms = 60000,
	.hold_peers_ms = 3600000,
	.has_vips = true,
	.warm = true };

static uint64_t
count_up(void *arg)
{
	return ++*(uint64_t *)arg;
}

struct bench *
bench_new(const struct role_params *params)
{
	struct bench *bench = xcalloc(1, sizeof(*bench));

	bench->now = (struct role_now){ 100000, 50000 };
	bench->role = role_new(params, bench->now, count_up, &bench->random);
	return bench;
}

void
bench_free(struct bench *bench)
{
	role_free(bench->role);
	free(bench);
}

void
feed(struct bench *bench, const struct role_event *event)
{
	role_step(bench->role, event, bench->now, &bench->actions);
	role_view(bench->role, &bench->view);
	CU_ASSERT_TRUE(role_next_tick(bench->role, bench->now) > bench->now.boot);
}

const struct role_action *
find(const struct bench *bench, enum role_action_type type)
{
	for (size_t i = 0; i < bench->actions.count; i++)
		if (bench->actions.list[i].type == type)
			return &bench->actions.list[i];
	return NULL;
}

void
pass(struct bench *bench, int64_t ms)
{
	struct role_event event = { .type = ROLE_EVENT_TICK };

	bench->now.boot += ms;
	bench->now.raw += ms;
	feed(bench, &event);
}

const struct role_action *
await(struct bench *bench, enum role_action_type type, int64_t limit_ms)
{
	int64_t end = bench->now.boot + limit_ms;

	while (bench->now.boot < end) {
		pass(bench, role_next_tick(bench->role, bench->now) - bench->now.boot);
		if (find(bench, type))
			return find(bench, type);
	}
	return NULL;
}

void
show(struct bench *bench, bool consistent)
{
	struct role_event event = { .type = ROLE_EVENT_REGISTER };

	bench->now.boot++;
	bench->now.raw++;
	event.reg.sent_at = bench->now.boot;
	event.reg.consistent = consistent;
	event.reg.content = bench->reg.index ? &bench->reg : NULL;
	bench->now.boot++;
	bench->now.raw++;
	feed(bench, &event);
}

void
set_fence(struct role_fence *fence, const char *node, int64_t lease_ms, int64_t hold_ms)
{
	memset(fence, 0, sizeof(*fence));
	fence->present = true;
	fence->lease_ms = lease_ms;
	fence->hold_ms = hold_ms;
	str_copy(fence->node, sizeof(fence->node), node);
	snprintf(fence->text, sizeof(fence->text),
	    "{\"node\":\"%s\",\"lease_ms\":%" PRId64 ",\"hold_ms\":%" PRId64
	    ",\"members\":[],\"hb\":false}",
	    node, lease_ms, hold_ms);
}

void
set_members(struct role_fence *fence, const char *names)
{
	fence->n_members = 0;
	fence->hb = true;
	for (const char *name = names; *name; name += strcspn(name, " ")) {
		name += strspn(name, " ");
		snprintf(fence->members[fence->n_members++], ROLE_NODE_SIZE, "%.*s",
		    (int)strcspn(name, " "), name);
	}
}

void
other_writes(
    struct bench *bench, const char *wid, const char *holder, const char *fence)
{
	bench->reg.rev = bench->reg.rev ? bench->reg.rev + 1 : 1000;
	bench->reg.index += 7;
	str_copy(bench->reg.wid, sizeof(bench->reg.wid), wid);
	str_copy(bench->reg.holder, sizeof(bench->reg.holder), holder);
	memset(&bench->reg.fence, 0, sizeof(bench->reg.fence));
	if (fence)
		set_fence(&bench->reg.fence, fence, 3750, 0);
	show(bench, true);
}

void
reply(struct bench *bench, const struct role_action *write, bool ok)
{
	struct role_event event = { .type = ROLE_EVENT_CAS, .cas = { .ok = ok } };

	CU_ASSERT_PTR_NOT_NULL_FATAL(write);
	CU_ASSERT_EQUAL(write->base, bench->reg.index);
	str_copy(event.cas.wid, sizeof(event.cas.wid), bench->actions.write.wid);
	if (ok) {
		bench->reg = bench->actions.write;
		bench->reg.index = write->base + 3;
		event.cas.index = bench->reg.index;
	}
	bench->now.boot += 2;
	bench->now.raw += 2;
	feed(bench, &event);
}

void
peers(struct bench *bench, const char *names, bool ready, unsigned int priority)
{
	struct role_peer list[ROLE_PEERS] = { 0 };
	struct role_event event = { .type = ROLE_EVENT_PEERS, .peers.list = list };

	for (const char *name = names; *name; name += strcspn(name, " ")) {
		struct role_peer *peer = &list[event.peers.count++];

		name += strspn(name, " ");
		snprintf(peer->node, sizeof(peer->node), "%.*s",
		    (int)strcspn(name, " "), name);
		peer->ready = ready;
		peer->priority = priority;
		peer->hb = true;
	}
	feed(bench, &event);
}

void
beat(struct bench *bench, const char *from, uint64_t rev, enum role_phase phase)
{
	struct role_event event = { .type = ROLE_EVENT_HEARTBEAT };

	str_copy(event.heartbeat.from, sizeof(event.heartbeat.from), from);
	event.heartbeat.inst = 77;
	event.heartbeat.rev = rev;
	event.heartbeat.phase = phase;
	event.heartbeat.ts = 123456;
	feed(bench, &event);
}

void
ack(struct bench *bench, const char *from, int64_t ts)
{
	struct role_event event = { .type = ROLE_EVENT_ACK };

	str_copy(event.ack.from, sizeof(event.ack.from), from);
	event.ack.inst = 1;
	event.ack.ts = ts;
	feed(bench, &event);
}

void
health(struct bench *bench, enum role_ready ready)
{
	struct role_event event = { .type = ROLE_EVENT_HEALTH, .ready = ready };

	feed(bench, &event);
}

void
stop(struct bench *bench)
{
	struct role_event event = { .type = ROLE_EVENT_STOP };

	feed(bench, &event);
}

void
gone(struct bench *bench)
{
	const struct role_action *drop = find(bench, ROLE_ACTION_VIP_DROP);
	struct role_event event = { .type = ROLE_EVENT_VIP_GONE };

	CU_ASSERT_PTR_NOT_NULL_FATAL(drop);
	event.order = drop->order;
	feed(bench, &event);
}

void
hook_done(struct bench *bench, bool demote, bool ok)
{
	struct role_event event = { .type = ROLE_EVENT_HOOK_DONE,
		.hook = { demote, ok } };

	feed(bench, &event);
}

void
expect_state(const struct bench *bench, enum role_state to, enum role_reason reason,
    const char *why)
{
	const struct role_action *state = find(bench, ROLE_ACTION_STATE);

	CU_ASSERT_PTR_NOT_NULL_FATAL(state);
	CU_ASSERT_EQUAL(state->to, to);
	CU_ASSERT_EQUAL(state->reason, reason);
	CU_ASSERT_STRING_EQUAL(state->why, why);
	CU_ASSERT_EQUAL(bench->view.state, to);
	CU_ASSERT_EQUAL(bench->view.reason, reason);
}

void
expect_write(const struct bench *bench, enum role_write kind, const char *holder,
    const char *fence)
{
	const struct role_action *write = find(bench, ROLE_ACTION_WRITE);

	CU_ASSERT_PTR_NOT_NULL_FATAL(write);
	CU_ASSERT_EQUAL(write->kind, kind);
	CU_ASSERT_STRING_EQUAL(bench->actions.write.holder, holder);
	CU_ASSERT_EQUAL(bench->actions.write.fence.present, fence != NULL);
	if (fence)
		CU_ASSERT_STRING_EQUAL(bench->actions.write.fence.node, fence);
}

struct bench *
master_new(const struct role_params *params)
{
	struct bench *bench = bench_new(params);

	health(bench, ROLE_READY_YES);
	peers(bench, "web-1 web-2", true, 100);
	other_writes(bench, "web-2.i9.GIVE.1", "web-1", NULL);
	expect_write(bench, ROLE_OWN, "web-1", "web-1");
	reply(bench, find(bench, ROLE_ACTION_WRITE), true);
	CU_ASSERT_EQUAL_FATAL(bench->view.state, ROLE_MASTER);
	return bench;
}
