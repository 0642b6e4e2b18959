/* SPDX-License-Identifier: ISC */
/*
 * One role machine among noise: a register that others write, replies that come late,
 * twice or never, heartbeats, acks, presence, orders' answers, and things that no world of
 * ours would tell it: acks of another instance, contents that go back, revisions that come
 * twice, clocks that jump. Nothing is checked here: the trace goes to compare.py, which
 * asks the reference what it would have done.
 *
 *	noise SEED STEPS [FIRST-LIFE]
 *
 * Each life of the machine is made of the seed and its number, so one that differs can be
 * looked at alone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/sim/trace.h"

#define NODES 6
#define PENDING 8
#define LIFE 3000 /* steps */

/* The machine's own name comes first; its neighbours' are such as to be mixed up. */
static const char *const nodes[NODES] = { "web-1.x", "web-1", "web-0", "web-2.x", "a",
	"zz" };

struct request {
	bool out, write;
	int64_t sent_at;
	uint64_t base;
	struct role_register seen; /* a read's content when it was served */
	bool served, existed;
};

struct noise {
	uint64_t random;
	unsigned int life;
	unsigned int nonsense; /* of a thousand events */
	unsigned int steps;
	struct role_params params;
	struct role *role;
	struct role_now now;
	struct role_actions actions;
	struct role_view view;

	bool exists;
	struct role_register reg, old;
	struct request requests[PENDING];

	int64_t beat_ts;
	uint64_t order;
	bool demote; /* the newest hook */
	bool stopped;
	bool away; /* Consul */
	bool silent; /* whoever else has the role is not heard */
	struct role_peer peers[NODES];
};

static uint64_t
draw(struct noise *noise)
{
	uint64_t z = (noise->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static int64_t
between(struct noise *noise, int64_t min, int64_t max)
{
	return min + (int64_t)(draw(noise) % (uint64_t)(max - min + 1));
}

/* So many of a thousand. */
static bool
chance(struct noise *noise, unsigned int share)
{
	return draw(noise) % 1000 < share;
}

static int64_t
one_of(struct noise *noise, const int64_t *list, size_t n)
{
	return list[draw(noise) % n];
}
#define ONE_OF(noise, ...)                              \
	one_of(noise, (const int64_t[]){ __VA_ARGS__ }, \
	    ARRAY_LENGTH(((const int64_t[]){ __VA_ARGS__ })))

static const char *
some_node(struct noise *noise)
{
	return nodes[between(noise, 0, NODES - 1)];
}

static const char *
some_peer(struct noise *noise)
{
	return nodes[between(noise, 1, NODES - 1)];
}

static uint64_t
wid_random(void *arg)
{
	return draw(arg);
}

/* The machine's actions become requests; answers to them are drawn later. */
static void
note(struct noise *noise, const struct role_action *action)
{
	struct request *request = &noise->requests[draw(noise) % PENDING];

	switch (action->type) {
	case ROLE_ACTION_READ:
	case ROLE_ACTION_WRITE:
		*request = (struct request){ .out = true,
			.write = action->type == ROLE_ACTION_WRITE,
			.sent_at = noise->now.boot,
			.base = action->base };
		if (request->write)
			request->seen = noise->actions.write;
		break;
	case ROLE_ACTION_VIP_HOLD:
	case ROLE_ACTION_VIP_DROP: noise->order = action->order; break;
	case ROLE_ACTION_PROMOTE: noise->demote = false; break;
	case ROLE_ACTION_DEMOTE: noise->demote = true; break;
	case ROLE_ACTION_HEARTBEAT: noise->beat_ts = action->ts; break;
	case ROLE_ACTION_STATE:
	case ROLE_ACTION_ALARM:
	case ROLE_ACTION_ACK:
	case ROLE_ACTION_TYPES: break;
	}
}

static void
step(struct noise *noise, const struct role_event *event)
{
	noise->steps++;
	role_step(noise->role, event, noise->now, &noise->actions);
	trace_step(
	    stdout, noise->life, event, noise->now, &noise->actions, noise->role);
	for (size_t i = 0; i < noise->actions.count; i++)
		note(noise, &noise->actions.list[i]);
	role_view(noise->role, &noise->view);
}

static void
print_fence(struct role_fence *fence)
{
	struct buf text = { .limit = sizeof(fence->text) };

	buf_printf(&text,
	    "{\"node\":\"%s\",\"lease_ms\":%" PRId64 ",\"hold_ms\":%" PRId64,
	    fence->node, fence->lease_ms, fence->hold_ms);
	buf_printf(&text, ",\"members\":[");
	for (size_t i = 0; i < fence->n_members; i++)
		buf_printf(&text, "%s\"%s\"", i ? "," : "", fence->members[i]);
	buf_printf(&text, "],\"hb\":%s", fence->hb ? "true" : "false");
	if (fence->lease_ms % 2) /* something that a later version put there */
		buf_printf(&text, ",\"later\":{\"n\":1}");
	buf_printf(&text, "}");
	str_copy(fence->text, sizeof(fence->text), text.data);
	buf_free(&text);
}

static void
some_fence(struct noise *noise, struct role_fence *fence, const char *node)
{
	*fence = (struct role_fence){ .present = true };
	str_copy(fence->node, ROLE_NODE_SIZE, node);
	fence->lease_ms = ONE_OF(noise, 610, 1010, 2260, 3750, 401);
	fence->hb = chance(noise, 800);
	fence->hold_ms = fence->hb ? ONE_OF(noise, 0, 1500, 4010, 15010) : 0;
	for (size_t i = 0; fence->hold_ms && i < NODES; i++)
		if (strcmp(nodes[i], node) != 0 && chance(noise, 500))
			str_copy(fence->members[fence->n_members++], ROLE_NODE_SIZE,
			    nodes[i]);
	print_fence(fence);
}

/* A write id of somebody, now and then of a namesake or with too many dots or too few. */
static void
some_wid(struct noise *noise, struct role_register *reg, const char *node)
{
	static const char *const kinds[] = { "OWN", "CLAIM", "GIVE", "ABANDON", "FORCE",
		"INIT" };
	const char *kind = kinds[between(noise, 0, 5)];

	if (chance(noise, 30))
		snprintf(reg->wid, sizeof(reg->wid), "%s.%s", node, kind);
	else
		snprintf(reg->wid, sizeof(reg->wid), "%s.%016" PRIx64 ".%s.%016" PRIx64,
		    node, chance(noise, 800) ? 7 : noise->params.inst, kind,
		    draw(noise));
}

/* Somebody else writes, mostly something that the protocol allows. */
static void
others_write(struct noise *noise)
{
	struct role_register *reg = &noise->reg;
	const char *node = some_peer(noise);

	noise->old = *reg;
	noise->exists = true;
	reg->index += (uint64_t)between(noise, 1, 9);
	if (reg->rev < noise->view.max_rev && chance(noise, 700))
		reg->rev = noise->view.max_rev; /* it was made again */
	reg->rev += chance(noise, 900) ? 1 : (uint64_t)between(noise, 2, 40);
	switch (between(noise, 0, 8)) {
	case 0: str_copy(reg->holder, ROLE_NODE_SIZE, node); break; /* claims */
	case 1: reg->holder[0] = '\0'; break; /* abandons */
	case 2:
	case 6:
	case 7: /* gives, to this host or another */
		reg->fence = (struct role_fence){ 0 };
		str_copy(reg->holder, ROLE_NODE_SIZE,
		    chance(noise, 600) ? noise->params.node : some_node(noise));
		break;
	case 3: /* objects to a claim, or it is the namesake's */
		if (reg->fence.present)
			str_copy(reg->holder, ROLE_NODE_SIZE, reg->fence.node);
		if (chance(noise, noise->nonsense))
			node = noise->params.node;
		break;
	default:
		str_copy(reg->holder, ROLE_NODE_SIZE, node);
		some_fence(noise, &reg->fence, chance(noise, 40) ? "" : node);
		break;
	}
	some_wid(noise, reg, chance(noise, 970) ? node : noise->params.node);
}

static void
serve(struct noise *noise, struct request *request)
{
	request->served = true;
	request->existed = noise->exists;
	if (!request->write) {
		request->seen = noise->reg;
	} else if (request->base == (noise->exists ? noise->reg.index : 0)) {
		noise->old = noise->reg;
		request->seen.index = noise->reg.index + 1;
		noise->reg = request->seen;
		noise->exists = true;
	} else {
		request->existed = false; /* refused */
	}
}

static struct request *
open_request(struct noise *noise)
{
	size_t first = draw(noise) % PENDING;

	for (size_t i = 0; i < PENDING; i++) {
		struct request *request = &noise->requests[(first + i) % PENDING];

		if (request->out)
			return request;
	}
	return NULL;
}

/* Its deadline has passed; it may be applied later. */
static void
unsure(struct noise *noise, const struct request *request)
{
	struct role_event event = { .type = ROLE_EVENT_CAS };

	str_copy(event.cas.wid, sizeof(event.cas.wid), request->seen.wid);
	step(noise, &event);
}

/* An answer to a request; one in a few is answered once more, or is lost. */
static bool
answer(struct noise *noise)
{
	struct request *request = open_request(noise);
	struct role_event event = { 0 };

	if (!request || (noise->away && !chance(noise, 50)))
		return false;
	if (!request->served && request->write && chance(noise, 200)) {
		unsure(noise, request);
		return true;
	}
	if (!request->served)
		serve(noise, request);
	if (chance(noise, 150))
		return false; /* later */
	request->out = chance(noise, 50);
	if (chance(noise, 30))
		return false; /* lost */
	if (request->write) {
		event.type = ROLE_EVENT_CAS;
		str_copy(event.cas.wid, sizeof(event.cas.wid), request->seen.wid);
		event.cas.ok = request->existed && chance(noise, 950);
		event.cas.index = request->seen.index;
	} else {
		event.type = ROLE_EVENT_REGISTER;
		event.reg.sent_at = request->sent_at;
		event.reg.consistent = chance(noise, 970);
		event.reg.content = request->existed ? &request->seen : NULL;
	}
	step(noise, &event);
	return true;
}

static uint64_t
some_rev(struct noise *noise)
{
	int64_t rev =
	    (int64_t)noise->view.max_rev + ONE_OF(noise, 0, 0, -1, -5, 1, 2, 30);

	return rev < 0 ? 0 : (uint64_t)rev;
}

/* From whoever the register names, or from anybody. */
static void
heartbeat(struct noise *noise)
{
	struct role_event event = { .type = ROLE_EVENT_HEARTBEAT };
	const struct role_register *reg = &noise->reg;
	const char *from =
	    reg->fence.present && chance(noise, 700) ? reg->fence.node : reg->holder;

	event.heartbeat.phase =
	    strcmp(from, reg->fence.node) == 0 ? ROLE_PHASE_MASTER : ROLE_PHASE_WAITING;
	event.heartbeat.rev = reg->rev - (chance(noise, 100) ? 1 : 0);
	if (chance(noise, 50)) {
		from = some_peer(noise);
		event.heartbeat.phase = ROLE_PHASE_STANDBY;
	}
	if (chance(noise, noise->nonsense)) {
		from = some_peer(noise);
		event.heartbeat.phase = (enum role_phase)between(noise, 0, 2);
		event.heartbeat.rev = some_rev(noise);
	} else if (noise->silent || from[0] == '\0' ||
	    strcmp(from, noise->params.node) == 0) {
		return;
	}
	str_copy(event.heartbeat.from, ROLE_NODE_SIZE, from);
	event.heartbeat.inst = draw(noise) % 3 + 1;
	event.heartbeat.ts = between(noise, 0, 1000000);
	step(noise, &event);
}

static void
ack(struct noise *noise)
{
	struct role_event event = { .type = ROLE_EVENT_ACK };

	if (noise->view.state == ROLE_STANDBY && !chance(noise, 100))
		return;
	str_copy(event.ack.from, ROLE_NODE_SIZE, some_peer(noise));
	event.ack.inst = noise->params.inst;
	event.ack.rev = noise->view.reg.rev;
	event.ack.ts = noise->beat_ts;
	event.ack.ready = chance(noise, 800);
	event.ack.known =
	    chance(noise, noise->nonsense) ? some_rev(noise) : noise->view.max_rev;
	if (chance(noise, 100))
		event.ack.ts -= between(noise, 0, 3000); /* came late */
	if (chance(noise, noise->nonsense))
		event.ack.inst = draw(noise) % 3 + 1;
	if (event.ack.ts >= 0)
		step(noise, &event);
}

static void
presence(struct noise *noise)
{
	struct role_event event = { .type = ROLE_EVENT_PEERS };
	struct role_peer list[NODES];
	size_t n = 0;

	for (size_t i = 0; i < NODES; i++) {
		if (chance(noise, 250))
			continue;
		str_copy(list[n].node, ROLE_NODE_SIZE, nodes[i]);
		list[n].ready = chance(noise, 700);
		list[n].priority = (unsigned int)ONE_OF(noise, 90, 100, 100, 110);
		list[n++].hb = chance(noise, 850);
	}
	event.peers.count = n;
	event.peers.list = list;
	step(noise, &event);
}

/* What the warden and the hooks answer: the newest, or something older. */
static void
local(struct noise *noise)
{
	struct role_event event = { .type = ROLE_EVENT_HOOK_DONE };
	uint64_t older = (uint64_t)ONE_OF(noise, 0, 0, 0, 0, 1, 2, 5);

	if (chance(noise, 150)) {
		event.hook.demote = noise->demote;
		event.hook.ok = chance(noise, 850);
		if (chance(noise, noise->nonsense))
			event.hook.demote = !event.hook.demote;
	} else {
		event.type =
		    chance(noise, 500) ? ROLE_EVENT_VIP_GONE : ROLE_EVENT_VIP_HELD;
		event.order = noise->order > older ? noise->order - older : 0;
	}
	step(noise, &event);
}

static void
word(struct noise *noise)
{
	struct role_event event = { .type = ROLE_EVENT_HEALTH };

	switch (between(noise, 0, 11)) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
		event.ready = chance(noise, 900) ? ROLE_READY_YES : ROLE_READY_NO;
		break;
	case 5: event.ready = (enum role_ready)between(noise, 0, ROLE_READY_YES); break;
	case 6:
		if (chance(noise, 600))
			return;
		event.type = ROLE_EVENT_SWITCHOVER;
		str_copy(event.node, ROLE_NODE_SIZE,
		    chance(noise, 300) ? "" : some_node(noise));
		break;
	case 7:
		event.type = ROLE_EVENT_PAUSE;
		event.paused = chance(noise, 250);
		break;
	case 8:
		event.type = ROLE_EVENT_YIELD;
		event.yield = chance(noise, 150);
		break;
	case 9:
		event.type = ROLE_EVENT_NAMESAKE;
		event.namesake = chance(noise, noise->nonsense);
		break;
	case 10:
		event.type = chance(noise, noise->nonsense) ? ROLE_EVENT_UNREADABLE
							    : ROLE_EVENT_ALONG;
		break;
	default:
		event.type = ROLE_EVENT_ALONG;
		if (chance(noise, 20))
			event.type = ROLE_EVENT_STOP;
		noise->stopped |= event.type == ROLE_EVENT_STOP;
		break;
	}
	step(noise, &event);
}

/* A content that cannot be, or can be only when Consul was restored. */
static void
nonsense(struct noise *noise)
{
	struct role_event event = { .type = ROLE_EVENT_REGISTER };
	struct role_register content = noise->reg;

	event.reg.sent_at = noise->now.boot - between(noise, -1, 400);
	event.reg.consistent = chance(noise, 700);
	event.reg.content = &content;
	switch (between(noise, 0, 6)) {
	case 0: content = noise->old; break;
	case 1: event.reg.content = NULL; break;
	case 6: /* word for word, from now on */
		noise->reg.index += (uint64_t)between(noise, 1, 50);
		return;
	case 2: some_wid(noise, &content, some_node(noise)); break;
	case 3: content.rev -= (uint64_t)between(noise, 1, 3); break;
	case 4:
		content.rev = noise->view.max_rev + (uint64_t)between(noise, 0, 2);
		str_copy(content.holder, ROLE_NODE_SIZE, some_node(noise));
		some_fence(noise, &content.fence, some_node(noise));
		some_wid(noise, &content, some_node(noise));
		break;
	default:
		noise->exists = chance(noise, 600); /* it is so from now on */
		noise->reg = noise->old;
		noise->reg.index += 50;
		return;
	}
	step(noise, &event);
}

static void
some_timers(struct noise *noise, struct role_params *params)
{
	params->priority = (unsigned int)ONE_OF(noise, 90, 100, 110);
	params->preempt = chance(noise, 300);
	params->preempt_delay_ms = ONE_OF(noise, 0, 300, 1000);
	params->lease_ms = ONE_OF(noise, 600, 1000, 2250);
	params->confirm_ms = params->lease_ms / 7;
	params->silence_ms = ONE_OF(noise, 200, 300, 600);
	params->stagger_ms = 100;
	params->grace_ms = ONE_OF(noise, 300, 1000);
	params->heartbeat_ms =
	    chance(noise, 800) ? params->silence_ms / (chance(noise, 500) ? 4 : 8) : 0;
	params->member_ms = ONE_OF(noise, 700, 1500, 3000, 10000);
	params->calm_ms = ONE_OF(noise, 0, 1000, 1000);
	params->hold_alone_ms = ONE_OF(noise, 0, 1200, 4000);
	params->hold_peers_ms = ONE_OF(noise, 0, 4000, 15000);
	params->limit = (unsigned int)ONE_OF(noise, 0, 0, 1, 3);
	params->within_ms = ONE_OF(noise, 2000, 10000);
	params->has_vips = chance(noise, 900);
	params->has_promote = chance(noise, 500);
	params->has_demote = chance(noise, 500);
	params->address_first = chance(noise, 300);
	params->release_when_unwell = chance(noise, 300);
}

static void
reload(struct noise *noise)
{
	struct role_params params = noise->params;

	if (chance(noise, 700))
		params.lease_ms = ONE_OF(noise, 600, 1000, 2250);
	else
		some_timers(noise, &params);
	noise->params = params;
	role_set_params(noise->role, &params);
	trace_params(stdout, noise->life, &params);
}

static void
pass(struct noise *noise)
{
	int64_t ms = between(noise, 0, 12);

	if (chance(noise, 20))
		ms = between(noise, 20, 250);
	if (chance(noise, 1))
		ms = ONE_OF(noise, 500, 1000, 1100, 2500, 5000, 15000);
	if (chance(noise, noise->nonsense / 50))
		ms = between(noise, 0, 100000);
	noise->now.boot += ms;
	noise->now.raw += ms;
	if (chance(noise, 300)) /* one of them is slewed */
		noise->now.raw += between(noise, -(ms / 6), ms / 6);
}

static void
happen(struct noise *noise)
{
	struct role_event tick = { .type = ROLE_EVENT_TICK };
	int64_t dice = between(noise, 0, 999);

	pass(noise);
	if (noise->view.lost && chance(noise, 15))
		others_write(noise);
	if (dice < 400 && answer(noise))
		return;
	if (dice < 400 && !chance(noise, 60))
		dice = between(noise, 400, 999);
	if (dice < 500)
		step(noise, &tick);
	else if (dice < 700)
		ack(noise);
	else if (dice < 800)
		heartbeat(noise);
	else if (dice < 900)
		local(noise);
	else if (dice < 930)
		word(noise);
	else if (dice < 945)
		presence(noise);
	else if (dice < (noise->view.state == ROLE_MASTER ? 946 : 955))
		others_write(noise);
	else if (dice < 957)
		reload(noise);
	else if (dice < 961)
		noise->silent = chance(noise, 700);
	else if (dice < 963)
		noise->away = chance(noise, 400);
	else if (chance(noise, noise->nonsense))
		nonsense(noise);
}

static void
live(struct noise *noise)
{
	struct role_params *params = &noise->params;

	noise->nonsense = (unsigned int)ONE_OF(noise, 0, 0, 10, 50, 300);
	str_copy(params->node, sizeof(params->node), nodes[0]);
	params->inst = draw(noise) % 3 + 1;
	params->margin_ms = ONE_OF(noise, 10, 10, 500);
	some_timers(noise, params);
	params->promoted_before = chance(noise, 300);
	params->warm = chance(noise, 300);
	noise->now.boot = between(noise, 100000, 9000000);
	noise->now.raw = between(noise, 100000, 9000000);
	noise->exists = chance(noise, 950);
	noise->reg.rev = (uint64_t)between(noise, 1, 100000);
	noise->reg.index = (uint64_t)between(noise, 10, 1000);
	str_copy(noise->reg.holder, ROLE_NODE_SIZE, some_node(noise));
	some_fence(noise, &noise->reg.fence, some_node(noise));
	if (chance(noise, 300))
		noise->reg.fence = (struct role_fence){ 0 };
	some_wid(noise, &noise->reg, nodes[0]);
	noise->old = noise->reg;
	noise->role = role_new(params, noise->now, wid_random, noise);
	role_view(noise->role, &noise->view);
	trace_start(stdout, noise->life, params, noise->now);
	while (noise->steps < LIFE) {
		happen(noise);
		if ((noise->view.duplicate || noise->stopped) && chance(noise, 20))
			break;
	}
	trace_end(stdout, noise->life);
	role_free(noise->role);
}

int
main(int argc, char **argv)
{
	uint64_t seed, steps, life = 1;

	if (argc < 3 || argc > 4 || parse_uint(argv[1], 0, UINT32_MAX, &seed) ||
	    parse_uint(argv[2], 1, UINT32_MAX, &steps) ||
	    (argc == 4 && parse_uint(argv[3], 1, UINT32_MAX, &life))) {
		fputs("usage: noise SEED STEPS [FIRST-LIFE]\n", stderr);
		return 2;
	}
	for (uint64_t done = 0; done < steps; life++) {
		struct noise *noise = xcalloc(1, sizeof(*noise));

		noise->life = (unsigned int)life;
		noise->random = seed * UINT64_C(1000000007) + noise->life;
		live(noise);
		done += noise->steps;
		free(noise);
	}
	return ferror(stdout) || fflush(stdout) == EOF;
}
