/* SPDX-License-Identifier: ISC */
/*
 * One run of a check, and what checks/check.h gives it: descriptors, names, HTTP, a
 * command, and memory. The scheduler makes runs and is told their outcomes; a check type
 * sees nothing but its run. Whatever a run has ordered from a servant belongs to the run
 * and is taken back when it is done or cancelled, so that no callback of it comes later.
 * A check may say that it is done inside any callback: its memory stays until the last
 * of them has returned.
 */
#include "agent/health/run.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/http.h"
#include "agent/base/loop.h"
#include "agent/base/resolve.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"

#define HTTP_SLACK_MS 1000 /* the scheduler's deadline comes first */

struct check_run {
	struct runs *runs;
	const struct conf_check *check;
	void *owner;
	int64_t timeout_ms;
	struct run_pool *pool;
	struct check_run *next; /* in the pool */
	/* callbacks of the check that have not returned, and its outcome */
	unsigned int depth;
	bool done;
	enum check_status status;
	enum check_reason reason;
	char *text;
	/* what it has ordered, and who is to be called */
	struct loop_io *io;
	int fd;
	void (*ready)(struct check_run *run, unsigned int events);
	struct resolve_call *lookup;
	uint16_t port;
	void (*found)(struct check_run *run, const struct sockaddr *address,
	    socklen_t len, const char *why);
	struct http_call *call;
	struct http_tls tls;
	void (*answered)(struct check_run *run, const struct check_http_reply *reply);
	void (*ended)(struct check_run *run, const struct check_exit *exit);
	_Alignas(max_align_t) char state[];
};

/* Ended runs of one class: as many as ever ran at once. */
struct run_pool {
	const struct check_class *class;
	struct check_run *free;
	struct run_pool *next;
};

struct runs {
	struct loop *loop;
	struct http *http;
	struct resolve *resolve;
	struct runs_out out;
	struct run_pool *pools;
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
	[CHECK_REASON_EXIT] = "exit",
	[CHECK_REASON_SIGNAL] = "signal",
	[CHECK_REASON_LOCAL] = "local",
};
_Static_assert(ARRAY_LENGTH(reason_names) == CHECK_REASONS, "a name for each");
_Static_assert(
    CHECK_READ == LOOP_READ && CHECK_WRITE == LOOP_WRITE, "one set of events");

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
	loop_io_free(run->io);
	run->io = NULL;
	if (run->lookup != NULL)
		resolve_cancel(run->lookup);
	run->lookup = NULL;
	if (run->call != NULL)
		http_cancel(run->call);
	run->call = NULL;
	if (run->ended != NULL)
		run->runs->out.kill(run->owner);
	run->ended = NULL;
}

static void
run_free(struct check_run *run)
{
	struct run_pool *pool = run->pool;

	let_go(run);
	free(run->text);
	run->next = pool->free;
	pool->free = run;
}

/* Before and after every call into the check. */
static void
enter(struct check_run *run)
{
	run->depth++;
}

static void
leave(struct check_run *run)
{
	if (--run->depth > 0 || !run->done)
		return;
	struct run_outcome outcome = { run->status, run->reason, run->text };
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
}

static void
on_ready(void *arg, unsigned int events)
{
	struct check_run *run = arg;

	enter(run);
	run->ready(run, events);
	leave(run);
}

void
check_watch(struct check_run *run, int fd, unsigned int events,
    void (*ready)(struct check_run *run, unsigned int events))
{
	assert(!run->done);
	if (run->io != NULL && run->fd != fd)
		check_unwatch(run);
	if (run->io == NULL)
		run->io = loop_io_new(run->runs->loop, fd, on_ready, run);
	run->fd = fd;
	run->ready = ready;
	loop_io_watch(run->io, events);
}

void
check_unwatch(struct check_run *run)
{
	loop_io_free(run->io);
	run->io = NULL;
}

static void
tell_found(struct check_run *run, const struct sockaddr *address, socklen_t len,
    const char *why)
{
	enter(run);
	run->found(run, address, len, why);
	leave(run);
}

static void
on_found(void *arg, const struct sockaddr *address, socklen_t len, const char *why)
{
	struct check_run *run = arg;
	union resolve_address to;

	run->lookup = NULL;
	if (address == NULL || len > sizeof(to)) {
		tell_found(run, NULL, 0, why);
		return;
	}
	memcpy(&to, address, len);
	if (to.sa.sa_family == AF_INET6)
		to.in6.sin6_port = htons(run->port);
	else
		to.in.sin_port = htons(run->port);
	tell_found(run, &to.sa, len, NULL);
}

void
check_resolve(struct check_run *run, const char *host, uint16_t port,
    void (*found)(struct check_run *run, const struct sockaddr *address, socklen_t len,
	const char *why))
{
	union resolve_address literal;
	socklen_t len;

	assert(!run->done && run->lookup == NULL);
	run->port = port;
	run->found = found;
	if (resolve_literal(host, port, &literal, &len))
		tell_found(run, &literal.sa, len, NULL);
	else
		run->lookup = resolve_start(run->runs->resolve, host, on_found, run);
}

void
check_command(struct check_run *run,
    void (*ended)(struct check_run *run, const struct check_exit *exit))
{
	assert(!run->done && run->ended == NULL && run->check->command != NULL);
	run->ended = ended;
	run->runs->out.command(run->owner);
}

void
run_command_ended(struct check_run *run, const struct check_exit *exit)
{
	void (*ended)(struct check_run *, const struct check_exit *) = run->ended;

	if (ended == NULL)
		return;
	run->ended = NULL;
	enter(run);
	ended(run, exit);
	leave(run);
}

static enum check_reason
reason_of(enum http_error error)
{
	switch (error) {
	case HTTP_OK: return CHECK_REASON_OK;
	case HTTP_RESOLVE: return CHECK_REASON_RESOLVE;
	case HTTP_REFUSED: return CHECK_REASON_REFUSED;
	case HTTP_TIMEOUT: return CHECK_REASON_TIMEOUT;
	case HTTP_TLS: return CHECK_REASON_TLS;
	case HTTP_CLOSED: return CHECK_REASON_CLOSED;
	case HTTP_GARBAGE: return CHECK_REASON_PROTOCOL;
	case HTTP_LOCAL: break;
	}
	return CHECK_REASON_LOCAL;
}

static void
on_answer(void *arg, const struct http_reply *answer)
{
	struct check_run *run = arg;
	struct check_http_reply reply = {
		.reason = reason_of(answer->error),
		.why = answer->why,
		.status = answer->status,
		.body = answer->body,
		.body_len = answer->body_len,
	};

	run->call = NULL;
	enter(run);
	run->answered(run, &reply);
	leave(run);
}

void
check_http(struct check_run *run, const struct check_http_request *request,
    void (*answered)(struct check_run *run, const struct check_http_reply *reply))
{
	assert(!run->done && run->call == NULL);
	run->answered = answered;
	run->tls = (struct http_tls){
		.ca_file = request->ca_file,
		.cert_file = request->cert_file,
		.key_file = request->key_file,
		.server_name = request->server_name,
		.no_verify = request->no_verify,
	};
	struct http_request order = {
		.method = request->method,
		.url = request->url,
		.headers = request->headers,
		.body = request->body,
		.body_len = request->body != NULL ? strlen(request->body) : 0,
		.timeout_ms = run->timeout_ms + HTTP_SLACK_MS,
		.body_limit = request->body_limit,
		.follow = request->follow,
		.fresh = true,
		.tls = &run->tls,
	};
	run->call = http_send(run->runs->http, &order, on_answer, run);
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
	enter(run);
	run->check->class->start(run);
	leave(run);
}

void
run_cancel(struct check_run *run)
{
	assert(run->depth == 0);
	if (run->check->class->cancel != NULL)
		run->check->class->cancel(run);
	run_free(run);
}

struct runs *
runs_new(struct loop *loop, struct http *http, struct resolve *resolve,
    const struct runs_out *out)
{
	struct runs *runs = xcalloc(1, sizeof(*runs));

	runs->loop = loop;
	runs->http = http;
	runs->resolve = resolve;
	runs->out = *out;
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

void
runs_free(struct runs *runs)
{
	if (runs == NULL)
		return;
	while (runs->pools != NULL) {
		struct run_pool *pool = runs->pools;
		runs->pools = pool->next;
		pool_free(pool);
	}
	free(runs);
}
