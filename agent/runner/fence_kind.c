/* SPDX-License-Identifier: ISC */
/*
 * The kind of fence. `auto` is found out by the first warden, which may do what it takes;
 * what it says is fixed for the life of this runner, so that no agent ever reckons with a
 * lateness that the warden beside it does not keep to (failover protocol, section 17, F3).
 * Whatever goes wrong later, with the fence or with a warden, makes this host not ready and
 * never changes the kind. A host whose wardens die before they can say is no worse off than
 * one that has no bpf: after a while it is lifetime, which asks nothing of the kernel.
 *
 * Every change is said here, once.
 */
#include "agent/runner/fence_kind.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/runner/process.h"

#define FIND_MS 20000 /* one that hangs is killed after 10 s; one more may try */

struct fence_kind {
	const struct conf *conf;
	struct process *agent, *warden;
	struct fence_kind_out out;
	enum wire_fence kind; /* unknown until it is fixed */
	char reason[WIRE_WHY_MAX]; /* for the kind */
	bool ok; /* the newest warden that answered has it, … */
	char why[WIRE_WHY_MAX]; /* … or why it has not */
	bool answered; /* the warden that runs now */
	bool said, finding;
	struct loop_timer *limit;
};

static const char *
name_of(enum wire_fence kind)
{
	return kind == WIRE_FENCE_BPF ? "bpf" : "lifetime";
}

static void
tell_agent(const struct fence_kind *fence)
{
	struct wire_message message = { .type = WIRE_FENCE,
		.fence = { .kind = fence->kind, .fixed = 1, .ok = fence->ok } };

	str_copy(message.fence.why, sizeof(message.fence.why),
	    fence->ok ? fence->reason : fence->why);
	if (fence->agent->wire != NULL && fence->kind != WIRE_FENCE_UNKNOWN)
		wire_send(fence->agent->wire, &message, -1);
}

static void
fix(struct fence_kind *fence, enum wire_fence kind, const char *reason)
{
	fence->kind = kind;
	str_copy(fence->reason, sizeof(fence->reason), reason);
	loop_timer_stop(fence->limit);
}

/* ---- words ---- */

/* What the lease is instead of what was written, or nothing. */
static void
describe_lease(const struct fence_kind *fence, char *out, size_t size)
{
	int64_t wanted = fence->conf->lease_ms;
	int64_t lease_ms = conf_lease(fence->conf, fence->kind == WIRE_FENCE_BPF);

	out[0] = '\0';
	if (wanted != 0 && wanted != lease_ms)
		snprintf(out, size,
		    "; the lease is %" PRId64 " ms, for %" PRId64
		    " ms does not suit it",
		    lease_ms, wanted);
}

static void
say(struct fence_kind *fence)
{
	char lease[96];

	describe_lease(fence, lease, sizeof(lease));
	if (!fence->ok)
		log_error("fence",
		    "%s cannot be had, this host is not ready for any address: %s",
		    name_of(fence->kind), fence->why);
	else if (fence->said)
		log_notice("fence", "%s, which can be had again", name_of(fence->kind));
	else
		log_notice("fence", "%s, because %s%s", name_of(fence->kind),
		    fence->reason, lease);
	fence->said = true;
}

/* ---- what happens ---- */

/* What is not to be found out. */
static void
take_conf(struct fence_kind *fence)
{
	switch (fence->conf->fence) {
	case CONF_FENCE_BPF: fix(fence, WIRE_FENCE_BPF, "it is configured"); return;
	case CONF_FENCE_LIFETIME:
		fix(fence, WIRE_FENCE_LIFETIME, "it is configured");
		return;
	case CONF_FENCE_AUTO: break;
	}
	if (fence->conf->n_vips == 0)
		fix(fence, WIRE_FENCE_LIFETIME,
		    "lictord was started without addresses");
}

static void
on_limit(void *arg)
{
	struct fence_kind *fence = arg;

	fix(fence, WIRE_FENCE_LIFETIME,
	    "no warden lived to say whether bpf can be had");
	tell_agent(fence);
	process_kill(fence->warden);
}

static void
ask_warden(struct fence_kind *fence)
{
	struct wire_message message = { .type = WIRE_FENCE,
		.fence = { .kind = fence->kind,
		    .fixed = fence->kind != WIRE_FENCE_UNKNOWN,
		    .ok = 1 } };

	fence->answered = false;
	if (fence->kind == WIRE_FENCE_UNKNOWN && !fence->finding)
		loop_timer_after(fence->limit, FIND_MS);
	fence->finding = true;
	wire_send(fence->warden->wire, &message, -1);
}

void
fence_kind_no_folder(struct fence_kind *fence, const char *why)
{
	if (fence->kind == WIRE_FENCE_UNKNOWN)
		fix(fence, WIRE_FENCE_LIFETIME, why);
}

void
fence_kind_started(struct fence_kind *fence, const struct process *process)
{
	if (process->kind == WIRE_AGENT)
		tell_agent(fence);
	else
		ask_warden(fence);
}

static void
take_found(struct fence_kind *fence, const struct wire_fenced *answer)
{
	bool bpf = answer->kind == WIRE_FENCE_BPF && answer->ok != 0;
	char why[WIRE_WHY_MAX];

	text_escape(why, sizeof(why), answer->why, strlen(answer->why));
	fix(fence, bpf ? WIRE_FENCE_BPF : WIRE_FENCE_LIFETIME,
	    bpf ? "this host can have it" : why);
}

void
fence_kind_answer(struct fence_kind *fence, const struct wire_fenced *answer)
{
	bool before = fence->ok;

	if (fence->kind == WIRE_FENCE_UNKNOWN)
		take_found(fence, answer);
	fence->answered = true;
	fence->ok = answer->ok != 0 && answer->kind == fence->kind;
	text_escape(fence->why, sizeof(fence->why), answer->why, strlen(answer->why));
	if (!fence->said || fence->ok != before)
		say(fence);
	tell_agent(fence);
	fence->out.settled(fence->out.arg);
}

bool
fence_kind_settled(const struct fence_kind *fence)
{
	return fence->kind != WIRE_FENCE_UNKNOWN && fence->answered;
}

void
fence_kind_turn(struct fence_kind *fence, const struct conf *conf)
{
	int64_t before = fence->conf->lease_ms;
	char lease[96];

	fence->conf = conf;
	describe_lease(fence, lease, sizeof(lease));
	if (conf->lease_ms != before && fence->said && lease[0] != '\0')
		log_warning("fence", "%s%s", name_of(fence->kind), lease);
}

/* ---- life ---- */

struct fence_kind *
fence_kind_new(struct loop *loop, const struct conf *conf, struct process *agent,
    struct process *warden, const struct fence_kind_out *out)
{
	struct fence_kind *fence = xcalloc(1, sizeof(*fence));

	fence->conf = conf;
	fence->agent = agent;
	fence->warden = warden;
	fence->out = *out;
	fence->ok = true; /* until a warden says otherwise */
	fence->limit = loop_timer_new(loop, on_limit, fence);
	take_conf(fence);
	return fence;
}

void
fence_kind_free(struct fence_kind *fence)
{
	if (fence == NULL)
		return;
	loop_timer_free(fence->limit);
	free(fence);
}
