/* SPDX-License-Identifier: ISC */
/*
 * Makes Consul's picture of this host equal to ours. Three steps: read what the local
 * agent shows (checks, then services), let ledger find what differs, let that go out. From
 * then on each piece of news goes out as it comes.
 * Every doubt, be it a call without an answer or a check that Consul does not know, leads
 * back to the first step; so nothing has to be remembered while Consul is away, and the
 * newest truth is what goes out when it returns. A call that had no answer may be carried
 * out by an agent that hung, later than what was sent after it: one more look a second
 * after the agent's return finds that. What somebody else changes on this node is news by
 * blocking queries, and worth a look.
 *
 * This file is the life of it: start, read, stop. What is sent is ledger's; that lictord
 * lives is heart's to say, which waits for nothing here.
 */
#include "agent/consul/report.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/complaint.h"
#include "agent/consul/consul.h"
#include "agent/consul/heart.h"
#include "agent/consul/ledger.h"
#include "agent/consul/proof.h"

/* Doubled with each that had no answer in time: megabytes take theirs. */
#define READ_MS 2000
#define READ_MAX_MS 16000
#define ADOPT_MS 200
#define RECHECK_MS 1000
#define LOOK_MS 50 /* one look for many changes */
/* There are two, and a bit for each service. */
#define STOP_STAGE_MS 900
#define STOP_STAGE_MAX_MS 4000
#define STOP_SERVICE_MS 10

enum stage { RUNNING, STOPPING, ORDERED, STOPPED };

struct report {
	struct loop *loop;
	struct consul *consul;
	const struct conf *conf;
	struct report_out out;
	struct ledger *ledger;
	struct heart *heart;
	struct consul_call *read_call;
	struct proof *proof; /* once the node's name is known */
	struct loop_timer *retry, *limit;
	struct loop_timer *later; /* one more look, since a call had no answer */
	unsigned int failures;
	enum stage stage;
	bool synced; /* the picture was read since the last doubt */
	bool waiting; /* for what is under way, to read it then */
	bool look; /* it is to be read again, though nothing was in doubt */
	bool recheck; /* a call had no answer: it may still be carried out */
	struct complaint unread; /* what the agent shows */
	bool alive; /* it had been vouched for when this life began */
	bool adopting;
	int64_t asked_at, read_ms; /* what the agent shows: when, and for how long */
};

static void
stopped(struct report *report)
{
	report->stage = STOPPED;
	loop_timer_stop(report->limit);
	report->out.stopped(report->out.arg);
}

static int64_t
stage_limit(const struct report *report)
{
	int64_t ms =
	    STOP_STAGE_MS + (int64_t)report->conf->n_services * STOP_SERVICE_MS;

	return ms < STOP_STAGE_MAX_MS ? ms : STOP_STAGE_MAX_MS;
}

static void
order_stop(struct report *report)
{
	report->stage = ORDERED;
	loop_timer_after(report->limit, stage_limit(report));
	ledger_stop(report->ledger);
}

/* The last thing in a callback: `stopped` may free the report. What on-stop asks for waits
 * for what is under way: a registration that comes later would undo it. */
static void
go_on(struct report *report)
{
	ledger_flush(report->ledger);
	if (report_in_sync(report))
		report->failures = 0;
	if (report->stage == STOPPING && ledger_idle(report->ledger)) {
		order_stop(report);
		ledger_flush(report->ledger);
	}
	if (report->stage == ORDERED && ledger_idle(report->ledger))
		stopped(report);
}

static void
doubt(struct report *report, enum consul_result why)
{
	if (why == CONSUL_AWAY) {
		report->recheck = true;
		ledger_renew(report->ledger);
	} else if (!report->synced) {
		report->look = true; /* what is being read may not show it */
	}
	if (!report->synced || report->stage != RUNNING)
		return;
	report->synced = false;
	ledger_doubt(report->ledger);
	loop_timer_after(report->retry, consul_backoff(++report->failures));
}

static void read_picture(void *arg);

static void
on_adopt(void *arg, const struct conf_check *check, enum check_status status,
    const char *output)
{
	struct report *report = arg;

	if (report->adopting)
		report->out.adopt(report->out.arg, check, status, output);
}

static void
on_vouched(void *arg)
{
	heart_beat(((struct report *)arg)->heart);
}

static void
on_maintenance(
    void *arg, const struct conf_service *service, bool on, const char *reason)
{
	struct report *report = arg;

	if (report->out.maintenance)
		report->out.maintenance(report->out.arg, service, on, reason);
}

static void
on_answered(void *arg, enum consul_result result)
{
	struct report *report = arg;

	if (result == CONSUL_AWAY || result == CONSUL_NOT_FOUND)
		doubt(report, result);
	if (report->waiting && report->stage == RUNNING)
		read_picture(report);
	go_on(report);
}

static void
adopted(struct report *report)
{
	if (!report->adopting)
		return;
	report->adopting = false;
	loop_timer_stop(report->limit);
	report->out.adopted(report->out.arg);
}

/* A Consul that is away has been said. */
static void
read_complain(struct report *report, const struct consul_reply *reply)
{
	static const char what[] = "reading what the agent shows";

	if (reply->result == CONSUL_AWAY ||
	    !complaint_due(&report->unread, reply, loop_now(report->loop)))
		return;
	if (reply->result == CONSUL_DENIED || reply->result == CONSUL_BUSY)
		complaint_say(what, reply, "service and node read");
	else
		log_warning("consul",
		    "%s failed (%s): is this Consul's address? It is tried again", what,
		    reply->why);
}

static void
read_works(struct report *report)
{
	if (complaint_over(&report->unread))
		log_notice("consul", "reading what the agent shows works again");
}

static void
read_failed(struct report *report, const struct consul_reply *reply)
{
	read_complain(report, reply);
	if (reply->late && report->read_ms < READ_MAX_MS)
		report->read_ms *= 2;
	loop_timer_after(report->retry, consul_backoff(++report->failures));
	adopted(report);
}

static void
on_services(void *arg, const struct consul_reply *reply)
{
	struct report *report = arg;
	const cJSON *service;

	report->read_call = NULL;
	if (reply->result != CONSUL_OK || !cJSON_IsObject(reply->json)) {
		read_failed(report, reply);
		return;
	}
	cJSON_ArrayForEach (service, reply->json)
		ledger_shown_service(report->ledger, service->string, service);
	if (!ledger_end(report->ledger))
		report->recheck = true;
	report->synced = true;
	report->read_ms = READ_MS;
	read_works(report);
	if (report->look)
		loop_timer_after(report->retry, LOOK_MS);
	if (report->recheck)
		loop_timer_after(report->later, RECHECK_MS);
	report->recheck = false;
	proof_looked(report->proof, report->asked_at);
	adopted(report);
	go_on(report);
}

static void
read_next(struct report *report, const char *path, consul_done_fn *done)
{
	struct consul_request request = {
		.channel = CONSUL_REPORT,
		.path = path,
		.timeout_ms = report->read_ms,
	};

	report->read_call = consul_send(report->consul, &request, done, report);
}

static void
on_checks(void *arg, const struct consul_reply *reply)
{
	struct report *report = arg;
	const cJSON *check;

	report->read_call = NULL;
	if (reply->result != CONSUL_OK || !cJSON_IsObject(reply->json)) {
		read_failed(report, reply);
		return;
	}
	ledger_begin(report->ledger, report->alive, report->asked_at);
	cJSON_ArrayForEach (check, reply->json)
		ledger_shown_check(report->ledger, check->string, check);
	read_next(report, "/v1/agent/services", on_services);
}

/* When nothing is under way: what was answered later than the picture, but done earlier,
 * would hide what it shows. A reading begun before is given up. */
static void
read_picture(void *arg)
{
	struct report *report = arg;

	consul_cancel(report->read_call);
	report->read_call = NULL;
	loop_timer_stop(report->retry);
	report->synced = report->look = false;
	ledger_doubt(report->ledger);
	report->waiting = !ledger_still(report->ledger);
	if (report->waiting)
		return;
	report->asked_at = loop_now(report->loop);
	read_next(report, "/v1/agent/checks", on_checks);
}

static void
on_looked(void *arg, bool alive)
{
	struct report *report = arg;

	report->alive = alive;
	if (report->stage == RUNNING)
		read_picture(report);
}

static void
on_lost(void *arg)
{
	doubt(arg, CONSUL_NOT_FOUND);
}

static void
on_broken(void *arg)
{
	doubt(arg, CONSUL_AWAY);
}

static void
on_welcome(void *arg)
{
	struct report *report = arg;

	ledger_renew(report->ledger);
	ledger_flush(report->ledger);
}

/* Somebody else changed something. A look under way may have missed it. */
static void
on_look(void *arg)
{
	struct report *report = arg;

	if (report->look)
		return;
	report->look = true;
	if (report->synced && report->stage == RUNNING)
		loop_timer_after(report->retry, LOOK_MS);
}

static bool
on_settled(void *arg)
{
	const struct report *report = arg;

	return report->stage == RUNNING && report_in_sync(report);
}

static void
on_limit(void *arg)
{
	struct report *report = arg;

	switch (report->stage) {
	case RUNNING: adopted(report); break;
	case STOPPING:
		order_stop(report);
		go_on(report);
		break;
	case ORDERED: stopped(report); break;
	case STOPPED: break;
	}
}

struct report *
report_new(struct loop *loop, struct consul *consul, const struct conf *conf,
    const struct report_out *out)
{
	struct report *report = xcalloc(1, sizeof(*report));
	struct ledger_out ledger = {
		.adopt = on_adopt,
		.vouched = on_vouched,
		.maintenance = on_maintenance,
		.answered = on_answered,
		.arg = report,
	};
	struct heart_out heart = { on_looked, on_lost, on_broken, on_welcome, report };

	assert(out->adopt && out->adopted && out->stopped);
	*report = (struct report){ .loop = loop, .consul = consul, .conf = conf };
	report->out = *out;
	report->read_ms = READ_MS;
	report->ledger = ledger_new(loop, consul, conf, &ledger);
	report->heart = heart_new(loop, consul, conf->consul.ttl_ms, &heart);
	report->retry = loop_timer_new(loop, read_picture, report);
	report->limit = loop_timer_new(loop, on_limit, report);
	report->later = loop_timer_new(loop, on_look, report);
	return report;
}

void
report_free(struct report *report)
{
	if (!report)
		return;
	proof_free(report->proof);
	consul_cancel(report->read_call);
	heart_free(report->heart);
	ledger_free(report->ledger);
	loop_timer_free(report->retry);
	loop_timer_free(report->limit);
	loop_timer_free(report->later);
	free(report);
}

void
report_start(struct report *report)
{
	report->adopting = true;
	loop_timer_after(report->limit, ADOPT_MS);
	heart_start(report->heart);
}

void
report_node(struct report *report, const char *node)
{
	struct proof_out out = { on_look, on_broken, on_settled, report };

	ledger_node(report->ledger, node);
	report->proof =
	    proof_new(report->loop, report->consul, report->ledger, node, &out);
}

static void
change_heart(struct report *report)
{
	struct heart_out out = { on_looked, on_lost, on_broken, on_welcome, report };

	heart_free(report->heart);
	report->heart =
	    heart_new(report->loop, report->consul, report->conf->consul.ttl_ms, &out);
	heart_start(report->heart);
}

void
report_reload(
    struct report *report, const struct conf *next, const struct conf_changes *changes)
{
	bool ttl = next->consul.ttl_ms != report->conf->consul.ttl_ms;
	bool reading = report->read_call != NULL;

	/* a service is its id in Consul, a check its own, whatever became of them */
	(void)changes;
	if (!ledger_still(report->ledger))
		report->recheck = true;
	report->conf = next;
	ledger_reload(report->ledger, next);
	if (report->stage != RUNNING)
		return;
	consul_cancel(report->read_call);
	report->read_call = NULL;
	if (ttl) /* it looks first, and what Consul shows is read then */
		change_heart(report);
	else if (reading || report->synced || report->waiting)
		loop_timer_after(report->retry, 0);
	report->synced = false;
}

void
report_check(struct report *report, const struct conf_check *check,
    enum check_status status, const char *output)
{
	ledger_state(report->ledger, check, status, output);
	ledger_flush(report->ledger);
}

void
report_check_output(
    struct report *report, const struct conf_check *check, const char *output)
{
	ledger_state(report->ledger, check, CHECK_UNKNOWN, output);
	ledger_flush(report->ledger);
}

void
report_role(struct report *report, const struct conf_service *service,
    enum report_role role, uint64_t term)
{
	ledger_role(report->ledger, service, role, term);
	ledger_flush(report->ledger);
}

void
report_upkeep(struct report *report, const struct conf_service *service, bool on,
    const char *reason)
{
	ledger_upkeep(report->ledger, service, on, reason);
	ledger_flush(report->ledger);
}

void
report_stop(struct report *report)
{
	bool wait = report->synced && !ledger_idle(report->ledger);

	report->stage = STOPPING;
	report->adopting = false;
	consul_cancel(report->read_call);
	report->read_call = NULL;
	loop_timer_stop(report->retry);
	loop_timer_after(report->limit, wait ? stage_limit(report) : 0);
}

bool
report_in_sync(const struct report *report)
{
	return report->synced && ledger_settled(report->ledger);
}
