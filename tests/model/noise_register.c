/* SPDX-License-Identifier: ISC */
/*
 * Consul among the noise: the register that others write as well, and the answers to what the
 * machine asks of it. A request is carried out when its answer is drawn, or not at all; and
 * some contents are such as no Consul would have that was left alone.
 */
#include "tests/model/noise.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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
	fence->hb = noise_chance(noise, 800);
	fence->hold_ms = fence->hb ? ONE_OF(noise, 0, 1500, 4010, 15010) : 0;
	for (size_t i = 0; fence->hold_ms && i < NODES; i++)
		if (strcmp(noise_nodes[i], node) != 0 && noise_chance(noise, 500))
			str_copy(fence->members[fence->n_members++], ROLE_NODE_SIZE,
			    noise_nodes[i]);
	print_fence(fence);
}

/* A write id of somebody, now and then of a namesake or with too many dots or too few. */
static void
some_wid(struct noise *noise, struct role_register *reg, const char *node)
{
	static const char *const kinds[] = { "OWN", "CLAIM", "GIVE", "ABANDON", "FORCE",
		"INIT" };
	const char *kind = kinds[noise_between(noise, 0, 5)];

	if (noise_chance(noise, 30))
		snprintf(reg->wid, sizeof(reg->wid), "%s.%s", node, kind);
	else
		snprintf(reg->wid, sizeof(reg->wid), "%s.%016" PRIx64 ".%s.%016" PRIx64,
		    node, noise_chance(noise, 800) ? 7 : noise->params.inst, kind,
		    noise_draw(noise));
}

void
noise_first(struct noise *noise)
{
	struct role_register *reg = &noise->reg;

	noise->exists = noise_chance(noise, 950);
	reg->rev = (uint64_t)noise_between(noise, 1, 100000);
	reg->index = (uint64_t)noise_between(noise, 10, 1000);
	str_copy(reg->holder, ROLE_NODE_SIZE, noise_node(noise));
	some_fence(noise, &reg->fence, noise_node(noise));
	if (noise_chance(noise, 300))
		reg->fence = (struct role_fence){ 0 };
	some_wid(noise, reg, noise_nodes[0]);
	noise->old = noise->reg;
}

void
noise_write(struct noise *noise)
{
	struct role_register *reg = &noise->reg;
	const char *node = noise_peer(noise);

	noise->old = *reg;
	noise->exists = true;
	reg->index += (uint64_t)noise_between(noise, 1, 9);
	if (reg->rev < noise->view.max_rev && noise_chance(noise, 700))
		reg->rev = noise->view.max_rev; /* it was made again */
	reg->rev +=
	    noise_chance(noise, 900) ? 1 : (uint64_t)noise_between(noise, 2, 40);
	switch (noise_between(noise, 0, 8)) {
	case 0: str_copy(reg->holder, ROLE_NODE_SIZE, node); break; /* claims */
	case 1: reg->holder[0] = '\0'; break; /* abandons */
	case 2:
	case 6:
	case 7: /* gives, to this host or another */
		reg->fence = (struct role_fence){ 0 };
		str_copy(reg->holder, ROLE_NODE_SIZE,
		    noise_chance(noise, 600) ? noise->params.node : noise_node(noise));
		break;
	case 3: /* objects to a claim, or it is the namesake's */
		if (reg->fence.present)
			str_copy(reg->holder, ROLE_NODE_SIZE, reg->fence.node);
		if (noise_chance(noise, noise->nonsense))
			node = noise->params.node;
		break;
	default:
		str_copy(reg->holder, ROLE_NODE_SIZE, node);
		some_fence(noise, &reg->fence, noise_chance(noise, 40) ? "" : node);
		break;
	}
	some_wid(noise, reg, noise_chance(noise, 970) ? node : noise->params.node);
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
	size_t first = noise_draw(noise) % PENDING;

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
	noise_step(noise, &event);
}

/* An answer to a request; one in a few is answered once more, or is lost. */
bool
noise_answer(struct noise *noise)
{
	struct request *request = open_request(noise);
	struct role_event event = { 0 };

	if (!request || (noise->away && !noise_chance(noise, 50)))
		return false;
	if (!request->served && request->write && noise_chance(noise, 200)) {
		unsure(noise, request);
		return true;
	}
	if (!request->served)
		serve(noise, request);
	if (noise_chance(noise, 150))
		return false; /* later */
	request->out = noise_chance(noise, 50);
	if (noise_chance(noise, 30))
		return false; /* lost */
	if (request->write) {
		event.type = ROLE_EVENT_CAS;
		str_copy(event.cas.wid, sizeof(event.cas.wid), request->seen.wid);
		event.cas.ok = request->existed && noise_chance(noise, 950);
		event.cas.index = request->seen.index;
	} else {
		event.type = ROLE_EVENT_REGISTER;
		event.reg.sent_at = request->sent_at;
		event.reg.consistent = noise_chance(noise, 970);
		event.reg.content = request->existed ? &request->seen : NULL;
	}
	noise_step(noise, &event);
	return true;
}

void
noise_nonsense(struct noise *noise)
{
	struct role_event event = { .type = ROLE_EVENT_REGISTER };
	struct role_register content = noise->reg;

	event.reg.sent_at = noise->now.boot - noise_between(noise, -1, 400);
	event.reg.consistent = noise_chance(noise, 700);
	event.reg.content = &content;
	switch (noise_between(noise, 0, 6)) {
	case 0: content = noise->old; break;
	case 1: event.reg.content = NULL; break;
	case 6: /* word for word, from now on */
		noise->reg.index += (uint64_t)noise_between(noise, 1, 50);
		return;
	case 2: some_wid(noise, &content, noise_node(noise)); break;
	case 3: content.rev -= (uint64_t)noise_between(noise, 1, 3); break;
	case 4:
		content.rev =
		    noise->view.max_rev + (uint64_t)noise_between(noise, 0, 2);
		str_copy(content.holder, ROLE_NODE_SIZE, noise_node(noise));
		some_fence(noise, &content.fence, noise_node(noise));
		some_wid(noise, &content, noise_node(noise));
		break;
	default:
		noise->exists = noise_chance(noise, 600); /* it is so from now on */
		noise->reg = noise->old;
		noise->reg.index += 50;
		return;
	}
	noise_step(noise, &event);
}
