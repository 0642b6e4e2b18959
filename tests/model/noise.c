/* SPDX-License-Identifier: ISC */
/*
 * One role machine among noise: a register that others write, replies that come late,
 * twice or never, heartbeats, acks, presence, orders' answers, and things that no world of
 * ours would tell it: acks of another instance, contents that go back, revisions that come
 * twice, clocks that jump. Nothing is checked here: the trace goes to compare.py, which
 * asks the reference what it would have done. The register is in noise_register.c.
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
#include "tests/model/noise.h"
#include "tests/sim/trace.h"

#define LIFE 3000 /* steps */

/* The machine's own name comes first; its neighbours' are such as to be mixed up. */
const char *const noise_nodes[NODES] = { "web-1.x", "web-1", "web-0", "web-2.x", "a",
	"zz" };

uint64_t
noise_draw(struct noise *noise)
{
	uint64_t z = (noise->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

int64_t
noise_between(struct noise *noise, int64_t min, int64_t max)
{
	return min + (int64_t)(noise_draw(noise) % (uint64_t)(max - min + 1));
}

bool
noise_chance(struct noise *noise, unsigned int share)
{
	return noise_draw(noise) % 1000 < share;
}

int64_t
noise_one_of(struct noise *noise, const int64_t *list, size_t n)
{
	return list[noise_draw(noise) % n];
}

const char *
noise_node(struct noise *noise)
{
	return noise_nodes[noise_between(noise, 0, NODES - 1)];
}

const char *
noise_peer(struct noise *noise)
{
	return noise_nodes[noise_between(noise, 1, NODES - 1)];
}

static uint64_t
wid_random(void *arg)
{
	return noise_draw(arg);
}

/* The machine's actions become requests; answers to them are drawn later. */
static void
note(struct noise *noise, const struct role_action *action)
{
	struct request *request = &noise->requests[noise_draw(noise) % PENDING];

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

void
noise_step(struct noise *noise, const struct role_event *event)
{
	noise->steps++;
	role_step(noise->role, event, noise->now, &noise->actions);
	trace_step(
	    stdout, noise->life, event, noise->now, &noise->actions, noise->role);
	for (size_t i = 0; i < noise->actions.count; i++)
		note(noise, &noise->actions.list[i]);
	role_view(noise->role, &noise->view);
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
	const char *from = reg->fence.present && noise_chance(noise, 700)
	    ? reg->fence.node
	    : reg->holder;

	event.heartbeat.phase =
	    strcmp(from, reg->fence.node) == 0 ? ROLE_PHASE_MASTER : ROLE_PHASE_WAITING;
	event.heartbeat.rev = reg->rev - (noise_chance(noise, 100) ? 1 : 0);
	if (noise_chance(noise, 50)) {
		from = noise_peer(noise);
		event.heartbeat.phase = ROLE_PHASE_STANDBY;
	}
	if (noise_chance(noise, noise->nonsense)) {
		from = noise_peer(noise);
		event.heartbeat.phase = (enum role_phase)noise_between(noise, 0, 2);
		event.heartbeat.rev = some_rev(noise);
	} else if (noise->silent || from[0] == '\0' ||
	    strcmp(from, noise->params.node) == 0) {
		return;
	}
	str_copy(event.heartbeat.from, ROLE_NODE_SIZE, from);
	event.heartbeat.inst = noise_draw(noise) % 3 + 1;
	event.heartbeat.ts = noise_between(noise, 0, 1000000);
	noise_step(noise, &event);
}

static void
ack(struct noise *noise)
{
	struct role_event event = { .type = ROLE_EVENT_ACK };

	if (noise->view.state == ROLE_STANDBY && !noise_chance(noise, 100))
		return;
	str_copy(event.ack.from, ROLE_NODE_SIZE, noise_peer(noise));
	event.ack.inst = noise->params.inst;
	event.ack.rev = noise->view.reg.rev;
	event.ack.ts = noise->beat_ts;
	event.ack.ready = noise_chance(noise, 800);
	event.ack.known = noise_chance(noise, noise->nonsense) ? some_rev(noise)
							       : noise->view.max_rev;
	if (noise_chance(noise, 100))
		event.ack.ts -= noise_between(noise, 0, 3000); /* came late */
	if (noise_chance(noise, noise->nonsense))
		event.ack.inst = noise_draw(noise) % 3 + 1;
	if (event.ack.ts >= 0)
		noise_step(noise, &event);
}

static void
presence(struct noise *noise)
{
	struct role_event event = { .type = ROLE_EVENT_PEERS };
	struct role_peer list[NODES];
	size_t n = 0;

	for (size_t i = 0; i < NODES; i++) {
		if (noise_chance(noise, 250))
			continue;
		str_copy(list[n].node, ROLE_NODE_SIZE, noise_nodes[i]);
		list[n].ready = noise_chance(noise, 700);
		list[n].priority = (unsigned int)ONE_OF(noise, 90, 100, 100, 110);
		list[n++].hb = noise_chance(noise, 850);
	}
	event.peers.count = n;
	event.peers.list = list;
	noise_step(noise, &event);
}

/* What the warden and the hooks answer: the newest, or something older. */
static void
local(struct noise *noise)
{
	struct role_event event = { .type = ROLE_EVENT_HOOK_DONE };
	uint64_t older = (uint64_t)ONE_OF(noise, 0, 0, 0, 0, 1, 2, 5);

	if (noise_chance(noise, 150)) {
		event.hook.demote = noise->demote;
		event.hook.ok = noise_chance(noise, 850);
		if (noise_chance(noise, noise->nonsense))
			event.hook.demote = !event.hook.demote;
	} else {
		event.type = noise_chance(noise, 500) ? ROLE_EVENT_VIP_GONE
						      : ROLE_EVENT_VIP_HELD;
		event.order = noise->order > older ? noise->order - older : 0;
	}
	noise_step(noise, &event);
}

static void
word(struct noise *noise)
{
	struct role_event event = { .type = ROLE_EVENT_HEALTH };

	switch (noise_between(noise, 0, 11)) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
		event.ready = noise_chance(noise, 900) ? ROLE_READY_YES : ROLE_READY_NO;
		break;
	case 5:
		event.ready = (enum role_ready)noise_between(noise, 0, ROLE_READY_YES);
		break;
	case 6:
		if (noise_chance(noise, 600))
			return;
		event.type = ROLE_EVENT_SWITCHOVER;
		str_copy(event.node, ROLE_NODE_SIZE,
		    noise_chance(noise, 300) ? "" : noise_node(noise));
		break;
	case 7:
		event.type = ROLE_EVENT_PAUSE;
		event.paused = noise_chance(noise, 250);
		break;
	case 8:
		event.type = ROLE_EVENT_YIELD;
		event.yield = noise_chance(noise, 150);
		break;
	case 9:
		event.type = ROLE_EVENT_NAMESAKE;
		event.namesake = noise_chance(noise, noise->nonsense);
		break;
	case 10:
		event.type = noise_chance(noise, noise->nonsense)
		    ? ROLE_EVENT_UNREADABLE
		    : ROLE_EVENT_ALONG;
		break;
	default:
		event.type = ROLE_EVENT_ALONG;
		if (noise_chance(noise, 20))
			event.type = ROLE_EVENT_STOP;
		noise->stopped |= event.type == ROLE_EVENT_STOP;
		break;
	}
	noise_step(noise, &event);
}

static void
some_timers(struct noise *noise, struct role_params *params)
{
	params->priority = (unsigned int)ONE_OF(noise, 90, 100, 110);
	params->preempt = noise_chance(noise, 300);
	params->preempt_delay_ms = ONE_OF(noise, 0, 300, 1000);
	params->lease_ms = ONE_OF(noise, 600, 1000, 2250);
	params->confirm_ms = params->lease_ms / 7;
	params->silence_ms = ONE_OF(noise, 200, 300, 600);
	params->stagger_ms = 100;
	params->grace_ms = ONE_OF(noise, 300, 1000);
	params->heartbeat_ms = noise_chance(noise, 800)
	    ? params->silence_ms / (noise_chance(noise, 500) ? 4 : 8)
	    : 0;
	params->member_ms = ONE_OF(noise, 700, 1500, 3000, 10000);
	params->calm_ms = ONE_OF(noise, 0, 1000, 1000);
	params->hold_alone_ms = ONE_OF(noise, 0, 1200, 4000);
	params->hold_peers_ms = ONE_OF(noise, 0, 4000, 15000);
	params->limit = (unsigned int)ONE_OF(noise, 0, 0, 1, 3);
	params->within_ms = ONE_OF(noise, 2000, 10000);
	params->has_vips = noise_chance(noise, 900);
	params->has_promote = noise_chance(noise, 500);
	params->has_demote = noise_chance(noise, 500);
	params->address_first = noise_chance(noise, 300);
	params->release_when_unwell = noise_chance(noise, 300);
}

static void
reload(struct noise *noise)
{
	struct role_params params = noise->params;

	if (noise_chance(noise, 700))
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
	int64_t ms = noise_between(noise, 0, 12);

	if (noise_chance(noise, 20))
		ms = noise_between(noise, 20, 250);
	if (noise_chance(noise, 1))
		ms = ONE_OF(noise, 500, 1000, 1100, 2500, 5000, 15000);
	if (noise_chance(noise, noise->nonsense / 50))
		ms = noise_between(noise, 0, 100000);
	noise->now.boot += ms;
	noise->now.raw += ms;
	if (noise_chance(noise, 300)) /* one of them is slewed */
		noise->now.raw += noise_between(noise, -(ms / 6), ms / 6);
}

static void
happen(struct noise *noise)
{
	struct role_event tick = { .type = ROLE_EVENT_TICK };
	int64_t dice = noise_between(noise, 0, 999);

	pass(noise);
	if (noise->view.lost && noise_chance(noise, 15))
		noise_write(noise);
	if (dice < 400 && noise_answer(noise))
		return;
	if (dice < 400 && !noise_chance(noise, 60))
		dice = noise_between(noise, 400, 999);
	if (dice < 500)
		noise_step(noise, &tick);
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
		noise_write(noise);
	else if (dice < 957)
		reload(noise);
	else if (dice < 961)
		noise->silent = noise_chance(noise, 700);
	else if (dice < 963)
		noise->away = noise_chance(noise, 400);
	else if (noise_chance(noise, noise->nonsense))
		noise_nonsense(noise);
}

static void
live(struct noise *noise)
{
	struct role_params *params = &noise->params;

	noise->nonsense = (unsigned int)ONE_OF(noise, 0, 0, 10, 50, 300);
	str_copy(params->node, sizeof(params->node), noise_nodes[0]);
	params->inst = noise_draw(noise) % 3 + 1;
	params->margin_ms = ONE_OF(noise, 10, 10, 500);
	some_timers(noise, params);
	params->promoted_before = noise_chance(noise, 300);
	params->warm = noise_chance(noise, 300);
	noise->now.boot = noise_between(noise, 100000, 9000000);
	noise->now.raw = noise_between(noise, 100000, 9000000);
	noise_first(noise);
	noise->role = role_new(params, noise->now, wid_random, noise);
	role_view(noise->role, &noise->view);
	trace_start(stdout, noise->life, params, noise->now);
	while (noise->steps < LIFE) {
		happen(noise);
		if ((noise->view.duplicate || noise->stopped) &&
		    noise_chance(noise, 20))
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
