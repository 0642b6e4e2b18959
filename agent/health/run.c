/* SPDX-License-Identifier: ISC */
/*
 * One run of a check: its life, its outcome and its memory. What else checks/check.h gives
 * it is in run_net.c (descriptors, names, connections, HTTP) and run_job.c (commands). The scheduler makes runs and is told their outcomes; a check type
 * sees nothing but its run. Whatever a run has ordered from a servant belongs to the run
 * and is taken back when it is done or cancelled, so that no callback of it comes later.
 * A check may say that it is done inside any callback: its memory stays until the last
 * of them has returned.
 */
#include "agent/health/run.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/health/run_state.h"

/* Ended runs of one class: as many as ever ran at once. */
struct run_pool {
	const struct check_class *class;
	struct check_run *free;
	struct run_pool *next;
};

static const char *const status_names[] = {
	[CHECK_PASSING] = "passing",
	[CHECK_WARNING] = "warning",
	[CHECK_CRITICAL] = "critical",
	[CHECK_UNKNOWN] = "unknown",
};
_Static_assert(ARRAY_LENGTH(status_names) == CHECK_UNKNOWN + 1, "a name for each");

static const char *const reason_names[] = {
	[CHECK_REASON_OK] = "ok",
	[CHECK_REASON_TIMEOUT] = "timeout",
	[CHECK_REASON_RESOLVE] = "resolve",
	[CHECK_REASON_REFUSED] = "refused",
	[CHECK_REASON_CLOSED] = "closed",
	[CHECK_REASON_TLS] = "tls",
	[CHECK_REASON_PROTOCOL] = "protocol",
	[CHECK_REASON_STATUS] = "status",
	[CHECK_REASON_BODY] = "body",
	[CHECK_REASON_CERTIFICATE] = "certificate",
	[CHECK_REASON_STATE] = "state",
	[CHECK_REASON_EXIT] = "exit",
	[CHECK_REASON_SIGNAL] = "signal",
	[CHECK_REASON_LATENCY] = "latency",
	[CHECK_REASON_ERROR_RATE] = "error-rate",
	[CHECK_REASON_LOCAL] = "local",
};
_Static_assert(ARRAY_LENGTH(reason_names) == CHECK_REASONS, "a name for each");

const char *
check_status_name(enum check_status status)
{
	return status_names[status];
}

const char *
check_reason_name(enum check_reason reason)
{
	return reason_names[reason];
}

/* Takes back all that the run has ordered. */
static void
let_go(struct check_run *run)
{
	run_net_let_go(run);
	run_http_let_go(run);
	run_job_let_go(run);
}

void
run_recycle(struct check_run *run)
{
	struct run_pool *pool = run->pool;

	run->next = pool->free;
	pool->free = run;
}

static void
run_free(struct check_run *run)
{
	let_go(run);
	free(run->text);
	free(run->metrics);
	run->text = NULL;
	run->metrics = NULL;
	if (!run_job_hangs(run))
		run_recycle(run);
}

void
run_enter(struct check_run *run)
{
	struct blackbox_note note = { BLACKBOX_CHECK, run->check->index };

	if (run->depth++ == 0)
		run->outside = blackbox_enter(run->runs->servants.blackbox, note);
}

void
run_leave(struct check_run *run)
{
	if (--run->depth > 0)
		return;
	blackbox_leave(run->runs->servants.blackbox, run->outside);
	if (!run->done)
		return;
	struct run_outcome outcome = { run->status, run->reason, run->text,
		run->metrics, run->n_metrics };
	run->runs->out.done(run->owner, &outcome);
	run_free(run);
}

const void *
check_conf(const struct check_run *run)
{
	return run->check->options;
}

void *
check_state(struct check_run *run)
{
	return run->state;
}

void
check_metric(struct check_run *run, const char *name, double value, const char *unit)
{
	assert(!run->done);
	if (run->n_metrics == RUN_METRICS_MAX || !isfinite(value))
		return;
	if (run->metrics == NULL)
		run->metrics = xcalloc(RUN_METRICS_MAX, sizeof(*run->metrics));
	struct run_metric *metric = &run->metrics[run->n_metrics++];
	text_escape(metric->name, sizeof(metric->name), name, strlen(name));
	text_escape(metric->unit, sizeof(metric->unit), unit, strlen(unit));
	metric->value = value;
}

/* A plugin is from outside: what it says becomes an index, and words for Consul. */
static void
refuse_outcome(struct check_run *run)
{
	free(run->text);
	run->text =
	    xasprintf("the type of check %s gave the status %u for the reason %u, "
		      "expected those of check.h",
		run->check->class->name, (unsigned int)run->status,
		(unsigned int)run->reason);
	run->status = CHECK_UNKNOWN;
	run->reason = CHECK_REASON_LOCAL;
}

void
check_done(struct check_run *run, enum check_status status, enum check_reason reason,
    const char *fmt, ...)
{
	va_list args;

	assert(!run->done && run->depth > 0);
	va_start(args, fmt);
	if (vasprintf(&run->text, fmt, args) < 0)
		run->text = xstrdup(reason_names[reason]);
	va_end(args);
	run->done = true;
	run->status = status;
	run->reason = reason;
	let_go(run);
	if ((unsigned int)status >= ARRAY_LENGTH(status_names) ||
	    (unsigned int)reason >= ARRAY_LENGTH(reason_names))
		refuse_outcome(run);
}

static struct run_pool *
pool_of(struct runs *runs, const struct check_class *class)
{
	struct run_pool *pool = runs->pools;

	while (pool != NULL && pool->class != class)
		pool = pool->next;
	if (pool == NULL) {
		pool = xcalloc(1, sizeof(*pool));
		pool->class = class;
		pool->next = runs->pools;
		runs->pools = pool;
	}
	return pool;
}

struct check_run *
run_new(
    struct runs *runs, const struct conf_check *check, int64_t timeout_ms, void *owner)
{
	struct run_pool *pool = pool_of(runs, check->class);
	size_t size = sizeof(struct check_run) + check->class->run_size;
	struct check_run *run = pool->free;

	if (run == NULL)
		run = xcalloc(1, size);
	else
		pool->free = run->next;
	memset(run, 0, size);
	run->runs = runs;
	run->check = check;
	run->owner = owner;
	run->timeout_ms = timeout_ms;
	run->pool = pool;
	return run;
}

void
run_begin(struct check_run *run)
{
	run_enter(run);
	run->check->class->start(run);
	run_leave(run);
}

void
run_cancel(struct check_run *run)
{
	assert(run->depth == 0);
	if (run->check->class->cancel != NULL) {
		run_enter(run);
		run->check->class->cancel(run);
		run_leave(run);
	}
	run_free(run);
}

struct runs *
runs_new(const struct run_servants *servants, const struct runs_out *out)
{
	struct runs *runs = xcalloc(1, sizeof(*runs));

	runs->servants = *servants;
	runs->out = *out;
	runs->descriptor_end = net_descriptor_end();
	return runs;
}

static void
pool_free(struct run_pool *pool)
{
	while (pool->free != NULL) {
		struct check_run *run = pool->free;
		pool->free = run->next;
		free(run);
	}
	free(pool);
}

bool
runs_hang(const struct runs *runs)
{
	return runs->hanging != NULL;
}

bool
runs_free(struct runs *runs)
{
	if (runs == NULL)
		return true;
	if (!run_job_end(runs))
		return false;
	while (runs->pools != NULL) {
		struct run_pool *pool = runs->pools;
		runs->pools = pool->next;
		pool_free(pool);
	}
	free(runs);
	return true;
}
