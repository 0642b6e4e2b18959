/* SPDX-License-Identifier: ISC */
/*
 * The trace of role machines that tests/model/compare.py replays through the reference: the
 * parameters at a start and at a reload, and for each step its clocks, its event, every
 * action and the state after it. The words for people are left out; random numbers are seen
 * in the write ids. Names and write ids are such that JSON needs no escapes.
 */
#include "tests/sim/trace.h"

#include <inttypes.h>

#include "agent/base/util.h"

static const char *const phases[] = { "backup", "waiting", "master" };
_Static_assert(ARRAY_LENGTH(phases) == ROLE_PHASE_MASTER + 1, "one name per phase");

static const char *const readiness[] = { "unknown", "no", "yes" };
_Static_assert(ARRAY_LENGTH(readiness) == ROLE_READY_YES + 1, "one name per readiness");

static const char *
truth(bool value)
{
	return value ? "true" : "false";
}

static void
print_params(FILE *out, const struct role_params *params)
{
	char inst[ROLE_INST_SIZE];

	role_inst_print(params->inst, inst);
	fprintf(out, "{\"node\":\"%s\",\"inst\":\"%s\",\"priority\":%u,\"limit\":%u",
	    params->node, inst, params->priority, params->limit);
#define MS(name) fprintf(out, ",\"" #name "\":%" PRId64, params->name)
	MS(preempt_delay_ms);
	MS(lease_ms);
	MS(margin_ms);
	MS(confirm_ms);
	MS(silence_ms);
	MS(stagger_ms);
	MS(grace_ms);
	MS(heartbeat_ms);
	MS(member_ms);
	MS(calm_ms);
	MS(hold_alone_ms);
	MS(hold_peers_ms);
	MS(within_ms);
#undef MS
#define FLAG(name) fprintf(out, ",\"" #name "\":%s", truth(params->name))
	FLAG(preempt);
	FLAG(has_vips);
	FLAG(has_promote);
	FLAG(has_demote);
	FLAG(address_first);
	FLAG(release_when_unwell);
	FLAG(promoted_before);
	FLAG(warm);
#undef FLAG
	fputc('}', out);
}

void
trace_start(
    FILE *out, unsigned int who, const struct role_params *params, struct role_now now)
{
	fprintf(out, "[\"start\",%u,%" PRId64 ",%" PRId64 ",", who, now.boot, now.raw);
	print_params(out, params);
	fputs("]\n", out);
}

void
trace_params(FILE *out, unsigned int who, const struct role_params *params)
{
	fprintf(out, "[\"params\",%u,", who);
	print_params(out, params);
	fputs("]\n", out);
}

static const char *
fence_text(const struct role_fence *fence)
{
	return fence->present ? fence->text : "null";
}

static void
print_content(FILE *out, const struct role_register *reg)
{
	if (!reg) {
		fputs("null", out);
		return;
	}
	fprintf(out, "[%" PRIu64 ",%" PRIu64 ",\"%s\",\"%s\",%s]", reg->index, reg->rev,
	    reg->wid, reg->holder, fence_text(&reg->fence));
}

static void
print_peers(FILE *out, const struct role_peer *list, size_t count)
{
	fputs("\"PEERS\",[", out);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%s[\"%s\",%s,%u,%s]", i ? "," : "", list[i].node,
		    truth(list[i].ready), list[i].priority, truth(list[i].hb));
	fputc(']', out);
}

static void
print_ack(FILE *out, const char *node, uint64_t inst, uint64_t rev, int64_t ts,
    bool ready, uint64_t known)
{
	char text[ROLE_INST_SIZE];

	role_inst_print(inst, text);
	fprintf(out, "\"ACK\",\"%s\",\"%s\",%" PRIu64 ",%" PRId64 ",%s,%" PRIu64, node,
	    text, rev, ts, truth(ready), known);
}

static void
print_heartbeat(FILE *out, const struct role_event *event)
{
	char inst[ROLE_INST_SIZE];

	role_inst_print(event->heartbeat.inst, inst);
	fprintf(out, "\"HEARTBEAT\",\"%s\",\"%s\",%" PRIu64 ",\"%s\",%" PRId64,
	    event->heartbeat.from, inst, event->heartbeat.rev,
	    phases[event->heartbeat.phase], event->heartbeat.ts);
}

static void
print_event(FILE *out, const struct role_event *event)
{
	switch (event->type) {
	case ROLE_EVENT_TICK: fputs("\"TICK\"", out); break;
	case ROLE_EVENT_REGISTER:
		fprintf(out, "\"REGISTER\",%" PRId64 ",%s,", event->reg.sent_at,
		    truth(event->reg.consistent));
		print_content(out, event->reg.content);
		break;
	case ROLE_EVENT_CAS:
		fprintf(out, "\"CAS\",\"%s\",%s,%" PRIu64, event->cas.wid,
		    truth(event->cas.ok), event->cas.index);
		break;
	case ROLE_EVENT_PEERS:
		print_peers(out, event->peers.list, event->peers.count);
		break;
	case ROLE_EVENT_HEALTH:
		fprintf(out, "\"HEALTH\",\"%s\"", readiness[event->ready]);
		break;
	case ROLE_EVENT_SWITCHOVER:
		fprintf(out, "\"SWITCHOVER\",\"%s\"", event->node);
		break;
	case ROLE_EVENT_PAUSE:
		fprintf(out, "\"PAUSE\",%s", truth(event->paused));
		break;
	case ROLE_EVENT_STOP: fputs("\"STOP\"", out); break;
	case ROLE_EVENT_YIELD: fprintf(out, "\"YIELD\",%s", truth(event->yield)); break;
	case ROLE_EVENT_HOOK_DONE:
		fprintf(out, "\"HOOK_DONE\",\"%s\",%s",
		    event->hook.demote ? "demote" : "promote", truth(event->hook.ok));
		break;
	case ROLE_EVENT_VIP_GONE:
		fprintf(out, "\"VIP_GONE\",%" PRIu64, event->order);
		break;
	case ROLE_EVENT_VIP_HELD:
		fprintf(out, "\"VIP_HELD\",%" PRIu64, event->order);
		break;
	case ROLE_EVENT_HEARTBEAT: print_heartbeat(out, event); break;
	case ROLE_EVENT_ACK:
		print_ack(out, event->ack.from, event->ack.inst, event->ack.rev,
		    event->ack.ts, event->ack.ready, event->ack.known);
		break;
	case ROLE_EVENT_ALONG: fputs("\"ALONG\"", out); break;
	case ROLE_EVENT_UNREADABLE: fputs("\"UNREADABLE\"", out); break;
	case ROLE_EVENT_NAMESAKE:
		fprintf(out, "\"NAMESAKE\",%s", truth(event->namesake));
		break;
	case ROLE_EVENTS: break;
	}
}

static void
print_action(
    FILE *out, const struct role_action *action, const struct role_register *write)
{
	switch (action->type) {
	case ROLE_ACTION_READ: fputs("\"READ\"", out); break;
	case ROLE_ACTION_WRITE:
		fprintf(out,
		    "\"WRITE\",\"%s\",%" PRIu64 ",%" PRIu64 ",\"%s\",\"%s\",%s",
		    role_write_name(action->kind), action->base, write->rev, write->wid,
		    write->holder, fence_text(&write->fence));
		break;
	case ROLE_ACTION_VIP_HOLD:
		fprintf(out, "\"VIP_HOLD\",%" PRIu64 ",%" PRId64 ",%" PRIu64 ",%s",
		    action->order, action->until, action->term, truth(action->first));
		break;
	case ROLE_ACTION_VIP_DROP:
		fprintf(out, "\"VIP_DROP\",%" PRIu64 ",%" PRIu64, action->order,
		    action->term);
		break;
	case ROLE_ACTION_PROMOTE:
		fprintf(out, "\"PROMOTE\",\"%s\"", role_reason_name(action->reason));
		break;
	case ROLE_ACTION_DEMOTE:
		fprintf(out, "\"DEMOTE\",\"%s\"", role_reason_name(action->reason));
		break;
	case ROLE_ACTION_STATE:
		fprintf(out, "\"STATE\",\"%s\",\"%s\",\"%s\"",
		    role_state_name(action->from), role_state_name(action->to),
		    role_reason_name(action->reason));
		break;
	case ROLE_ACTION_ALARM: fputs("\"ALARM\"", out); break;
	case ROLE_ACTION_HEARTBEAT:
		fprintf(out, "\"HEARTBEAT\",\"%s\",%" PRIu64 ",%" PRId64 ",%" PRId64,
		    phases[action->phase], action->rev, action->ts, action->lease_ms);
		break;
	case ROLE_ACTION_ACK:
		print_ack(out, action->node, action->inst, action->rev, action->ts,
		    action->ready, action->known);
		break;
	case ROLE_ACTION_TYPES: break;
	}
}

/* As Role.digest() in tests/model/role.py. */
static void
print_digest(FILE *out, const struct role *role)
{
	struct role_view view;

	role_view(role, &view);
	fprintf(out, "[\"%s\",%s,%s,%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64,
	    role_state_name(view.state), truth(view.known), truth(view.lost),
	    truth(view.duplicate), view.term, view.max_rev, view.reg.rev,
	    view.reg.index);
	fprintf(out, ",%" PRId64 ",%" PRId64 ",%s,%s,%s,%s,%zu,%u]", view.hold_until,
	    view.wait_until, truth(view.leaving), truth(view.vip_maybe),
	    truth(view.calm), truth(view.failsafe), view.n_binding, view.moves);
}

void
trace_step(FILE *out, unsigned int who, const struct role_event *event,
    struct role_now now, const struct role_actions *actions, const struct role *role)
{
	fprintf(out, "[\"step\",%u,%" PRId64 ",%" PRId64 ",[", who, now.boot, now.raw);
	print_event(out, event);
	fputs("],[", out);
	for (size_t i = 0; i < actions->count; i++) {
		fputs(i ? ",[" : "[", out);
		print_action(out, &actions->list[i], &actions->write);
		fputc(']', out);
	}
	fputs("],", out);
	print_digest(out, role);
	fputs("]\n", out);
}

void
trace_end(FILE *out, unsigned int who)
{
	fprintf(out, "[\"end\",%u]\n", who);
}
