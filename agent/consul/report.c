/* SPDX-License-Identifier: ISC */
/*
 * Makes Consul's picture of this host equal to ours. Three steps: read what the local
 * agent shows (checks, then services), let ledger find what differs, let that go out. From
 * then on each piece of news goes out as it comes, and a heartbeat every third of the ttl.
 * Every doubt, be it a call without an answer or a check that Consul does not know, leads
 * back to the first step; so nothing has to be remembered while Consul is away, and the
 * newest truth is what goes out when it returns. A call that had no answer may be carried
 * out by an agent that hung, later than what was sent after it: one more look a second
 * after the agent's return finds that. What somebody else changes on this node is news by
 * blocking queries, and worth a look.
 *
 * This file is the life of it: start, read, beat, stop. What is sent is ledger's.
 */
#include "agent/consul/report.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/consul/desired.h"
#include "agent/consul/ledger.h"
#include "agent/consul/watch.h"

#define DEADLINE_MS 2000
#define ADOPT_MS 200
#define RECHECK_MS 1000
#define PATIENCE_MS 10000
#define LOOK_MS 100 /* our own changes are news as well: one look for many */
#define WAIT_MS 60000 /* the agent is beside us: its end is noticed at once */
#define STOP_STAGE_MS 900 /* there are two */

enum stage { RUNNING, STOPPING, ORDERED, STOPPED };

struct report {
	struct loop *loop;
	struct consul *consul;
	const struct conf *conf;
	struct report_out out;
	struct ledger *ledger;
	struct consul_call *read_call, *beat_call;
	struct watch *watches[2]; /* of the node: its checks, its services */
	struct loop_timer *retry, *beat, *limit;
	unsigned int failures;
	enum stage stage;
	bool synced; /* the picture was read since the last doubt */
	bool recheck; /* a call had no answer: it may still be carried out */
	int64_t read_failing; /* since when; 0: it works */
	bool read_complained;
	bool adopting;
	int64_t asked_at; /* what the agent shows */
};

static void
stopped(struct report *report)
{
	report->stage = STOPPED;
	loop_timer_stop(report->limit);
	report->out.stopped(report->out.arg);
}

static void
order_stop(struct report *report)
{
	report->stage = ORDERED;
	loop_timer_after(report->limit, STOP_STAGE_MS);
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
	if (why == CONSUL_AWAY)
		report->recheck = true;
	if (!report->synced || report->stage != RUNNING)
		return;
	report->synced = false;
	ledger_doubt(report->ledger);
	loop_timer_after(report->retry, consul_backoff(++report->failures));
}

static void
on_beat(void *arg, const struct consul_reply *reply)
{
	struct report *report = arg;

	report->beat_call = NULL;
	if (reply->result == CONSUL_AWAY || reply->result == CONSUL_NOT_FOUND)
		doubt(report, reply->result);
	else if (reply->result != CONSUL_OK)
		ledger_vouch(report->ledger);
	go_on(report);
}

static void
beat(struct report *report)
{
	AUTO_JSON cJSON *body = desired_update(CHECK_PASSING, "lictord is alive");
	struct consul_request request = {
		.channel = CONSUL_REPORT,
		.method = "PUT",
		.path = "/v1/agent/check/update/" DESIRED_HEARTBEAT,
		.body = body,
		.timeout_ms = DEADLINE_MS,
	};

	if (report->synced && report->stage == RUNNING && !report->beat_call &&
	    ledger_vouches(report->ledger))
		report->beat_call =
		    consul_send(report->consul, &request, on_beat, report);
}

/* Late outputs and refreshes ride on the heartbeat's wake-up. */
static void
on_beat_time(void *arg)
{
	struct report *report = arg;

	loop_timer_after(report->beat, report->conf->consul.ttl_ms / 3);
	beat(report);
	ledger_refresh(report->ledger);
	go_on(report);
}

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
	beat(arg);
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

/* A Consul that is away has been said; one that is busy, or a server of it that lags behind
 * and knows the token not yet, is no fault until it has lasted. */
static void
read_complain(struct report *report, const struct consul_reply *reply)
{
	bool unknown = consul_token_unknown(reply);
	int64_t now = loop_now(report->loop);

	if (reply->result == CONSUL_AWAY)
		return;
	if (report->read_failing == 0)
		report->read_failing = now;
	if (report->read_complained ||
	    ((unknown || reply->result == CONSUL_BUSY) &&
		now - report->read_failing < PATIENCE_MS))
		return;
	report->read_complained = true;
	if (unknown)
		log_warning("consul",
		    "reading what the agent shows is denied (%s): Consul does not know "
		    "the token",
		    reply->why);
	else if (reply->result == CONSUL_DENIED)
		log_warning("consul",
		    "reading what the agent shows is denied (%s): the token lacks "
		    "service_prefix \"\" read",
		    reply->why);
	else
		log_warning("consul",
		    "reading what the agent shows failed (%s): is this Consul's "
		    "address? It is tried again",
		    reply->why);
}

static void
read_works(struct report *report)
{
	if (report->read_complained)
		log_notice("consul", "reading what the agent shows works again");
	report->read_complained = false;
	report->read_failing = 0;
}

static void
read_failed(struct report *report, const struct consul_reply *reply)
{
	read_complain(report, reply);
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
	ledger_end(report->ledger);
	report->synced = true;
	read_works(report);
	beat(report);
	if (report->recheck)
		loop_timer_after(report->retry, RECHECK_MS);
	report->recheck = false;
	go_on(report);
}

static bool
heartbeat_alive(const cJSON *checks)
{
	const cJSON *check =
	    cJSON_GetObjectItemCaseSensitive(checks, DESIRED_HEARTBEAT);
	enum check_status status;

	return desired_read_status(check, &status) && status != CHECK_CRITICAL;
}

static void
on_checks(void *arg, const struct consul_reply *reply)
{
	static const struct consul_request request = {
		.channel = CONSUL_REPORT,
		.path = "/v1/agent/services",
		.timeout_ms = DEADLINE_MS,
	};
	struct report *report = arg;
	const cJSON *check;

	report->read_call = NULL;
	if (reply->result != CONSUL_OK || !cJSON_IsObject(reply->json)) {
		read_failed(report, reply);
		return;
	}
	ledger_begin(report->ledger, heartbeat_alive(reply->json), report->asked_at);
	cJSON_ArrayForEach (check, reply->json)
		ledger_shown_check(report->ledger, check->string, check);
	report->read_call = consul_send(report->consul, &request, on_services, report);
	adopted(report);
}

static void
read_picture(void *arg)
{
	static const struct consul_request request = {
		.channel = CONSUL_REPORT,
		.path = "/v1/agent/checks",
		.timeout_ms = DEADLINE_MS,
	};
	struct report *report = arg;

	report->synced = false;
	report->asked_at = loop_now(report->loop);
	ledger_doubt(report->ledger);
	report->read_call = consul_send(report->consul, &request, on_checks, report);
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

	assert(out->adopt && out->adopted && out->stopped);
	*report = (struct report){ .loop = loop, .consul = consul, .conf = conf };
	report->out = *out;
	report->ledger = ledger_new(loop, consul, conf, &ledger);
	report->retry = loop_timer_new(loop, read_picture, report);
	report->beat = loop_timer_new(loop, on_beat_time, report);
	report->limit = loop_timer_new(loop, on_limit, report);
	return report;
}

void
report_free(struct report *report)
{
	if (!report)
		return;
	for (size_t i = 0; i < ARRAY_LENGTH(report->watches); i++)
		watch_free(report->watches[i]);
	consul_cancel(report->read_call);
	consul_cancel(report->beat_call);
	ledger_free(report->ledger);
	loop_timer_free(report->retry);
	loop_timer_free(report->beat);
	loop_timer_free(report->limit);
	free(report);
}

void
report_start(struct report *report)
{
	report->adopting = true;
	loop_timer_after(report->limit, ADOPT_MS);
	loop_timer_after(report->beat, report->conf->consul.ttl_ms / 3);
	read_picture(report);
}

/* Consul's servers show something else of this node than before. */
static void
on_news(void *arg, const struct consul_reply *reply)
{
	struct report *report = arg;

	if (report->synced && report->stage == RUNNING && !report->read_call)
		loop_timer_after(report->retry, LOOK_MS);
}

static void
on_trouble(void *arg, const struct consul_reply *reply)
{
	/* the calls of report itself meet the same */
}

void
report_node(struct report *report, const char *node)
{
	/* that there is news is all that counts: of what there is nothing is asked for */
	static const char *const paths[] = {
		"/v1/health/node/%s?filter=CheckID==%%22%%22",
		"/v1/catalog/node/%s?filter=ID==%%22%%22",
	};
	static const struct watch_way way = { .wait_ms = WAIT_MS, .patient = true };
	struct watch_out out = { on_news, on_trouble, report };
	char escaped[3 * CONF_NAME_MAX + 1], path[sizeof(escaped) + 64];

	consul_escape(escaped, sizeof(escaped), node);
	for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
		snprintf(path, sizeof(path), paths[i], escaped);
		report->watches[i] =
		    watch_new(report->loop, report->consul, path, &way, &out);
	}
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
report_stop(struct report *report)
{
	bool wait = report->synced && !ledger_idle(report->ledger);

	report->stage = STOPPING;
	report->adopting = false;
	consul_cancel(report->read_call);
	report->read_call = NULL;
	loop_timer_stop(report->retry);
	loop_timer_stop(report->beat);
	loop_timer_after(report->limit, wait ? STOP_STAGE_MS : 0);
}

bool
report_in_sync(const struct report *report)
{
	return report->synced && ledger_settled(report->ledger);
}
