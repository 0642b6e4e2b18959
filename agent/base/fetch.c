/* SPDX-License-Identifier: ISC */
/*
 * HTTP/1.1 as a check asks: connect, one write of the request, as few reads as the answer
 * needs, away. The stream does the sockets, h1_write the request's bytes, h1 reads the
 * answer; here is what comes between: when the answer has said enough, which connection is
 * kept.
 * All reads of a client go to one buffer, since an answer is taken out of it at once; what
 * a call needs of its own is reused by the next call, so that a run allocates nothing.
 * A line is a connection and outlives its call if it is kept. Invariant: a line has a
 * call or is in `kept`, where nothing is asked of it; a call is in `running` or `faulty`
 * until its caller is told, and in `idle` when it has none.
 */
#include "agent/base/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "agent/base/h1.h"
#include "agent/base/h1_write.h"
#include "agent/base/loop.h"
#include "agent/base/stream.h"
#include "agent/base/url.h"
#include "agent/base/util.h"

#define INPUT_SIZE 16384 /* a record of TLS */
#define IDLE_MAX 256 /* calls; the rest is given back */
#define IDLE_BUF_MAX 4096
#define REQUEST_MAX (1u << 30)
#define KEEP_MS 120000 /* longer than most servers keep one */
#define DRAIN_MAX (128 * 1024) /* of a body, for the sake of the connection */

struct line {
	TAILQ_ENTRY(line) link; /* in `kept` */
	struct stream *stream;
	struct fetch_call *call;
	uint64_t key; /* of the target */
	int64_t since; /* kept; loop_now */
	bool used; /* by a call before this one */
};

struct fetch_call {
	TAILQ_ENTRY(fetch_call) link;
	struct fetch *fetch;
	void (*done)(void *arg, const struct http_reply *reply);
	void *arg;
	struct line *line;
	struct url to;
	struct stream_target target;
	struct net_tls tls;
	struct buf request;
	struct h1 answer;
	int64_t sent_at;
	bool keep, error_body, faulty, telling;
};

TAILQ_HEAD(call_list, fetch_call);

struct fetch {
	struct loop *loop;
	struct streams *streams;
	struct loop_timer *deliver, *sweep;
	struct call_list running, faulty, idle;
	size_t n_idle;
	TAILQ_HEAD(, line) kept;
	char input[INPUT_SIZE];
};

/* ---- lines ---- */

static uint64_t
mix(uint64_t key, const char *text)
{
	uint64_t parts[] = { key, text != NULL ? fnv1a64(text, strlen(text)) : 0 };

	return fnv1a64(parts, sizeof(parts));
}

/* Whom a kept line leads to, and as whom. */
static uint64_t
target_key(const struct stream_target *target)
{
	const struct net_tls *tls = target->tls;
	uint64_t key = mix(target->port, target->host);

	if (tls == NULL)
		return key;
	key = mix(key, tls->ca_file);
	key = mix(key, tls->cert_file);
	key = mix(key, tls->key_file);
	key = mix(key, tls->server_name);
	return mix(key, tls->no_verify ? "unverified" : "verified");
}

static void
close_line(struct line *line)
{
	if (line->stream != NULL)
		stream_close(line->stream, false);
	line->stream = NULL;
	line->used = false;
}

static void
free_line(struct line *line)
{
	if (line != NULL)
		close_line(line);
	free(line);
}

/* Not looked at while it is kept: whether it still stands is seen when it is used. */
static void
keep_line(struct fetch_call *call)
{
	struct fetch *fetch = call->fetch;
	struct line *line = call->line;

	if (TAILQ_EMPTY(&fetch->kept))
		loop_timer_after(fetch->sweep, KEEP_MS);
	line->key = target_key(&call->target);
	line->since = loop_now(fetch->loop);
	line->call = NULL;
	call->line = NULL;
	TAILQ_INSERT_TAIL(&fetch->kept, line, link);
}

/* What came without being asked for is no answer to what is asked next (RFC 9112, 9.2). */
static struct line *
take_line(struct fetch *fetch, const struct stream_target *target)
{
	uint64_t key = target_key(target);
	struct line *line = TAILQ_FIRST(&fetch->kept), *next;

	for (; line != NULL; line = next) {
		next = TAILQ_NEXT(line, link);
		if (line->key != key)
			continue;
		TAILQ_REMOVE(&fetch->kept, line, link);
		line->used = true;
		if (stream_is_quiet(line->stream))
			return line;
		free_line(line);
	}
	return NULL;
}

/* What is kept serves later; a connection for now comes first. */
static bool
spare_line(void *arg)
{
	struct fetch *fetch = arg;
	struct line *line = TAILQ_FIRST(&fetch->kept);

	if (line == NULL)
		return false;
	TAILQ_REMOVE(&fetch->kept, line, link);
	free_line(line);
	return true;
}

static void
on_sweep(void *arg)
{
	struct fetch *fetch = arg;
	int64_t last = loop_now(fetch->loop) - KEEP_MS;
	struct line *line = TAILQ_FIRST(&fetch->kept), *next;

	for (; line != NULL && line->since <= last; line = next) {
		next = TAILQ_NEXT(line, link);
		TAILQ_REMOVE(&fetch->kept, line, link);
		free_line(line);
	}
	if (line != NULL)
		loop_timer_at(fetch->sweep, line->since + KEEP_MS);
}

/* ---- calls ---- */

static void
free_call(struct fetch_call *call)
{
	free_line(call->line);
	buf_free(&call->request);
	h1_free(&call->answer);
	free(call);
}

static void
trim(struct buf *buf)
{
	if (buf->size > IDLE_BUF_MAX)
		buf_free(buf);
}

/* To the next call. */
static void
release(struct fetch_call *call)
{
	struct fetch *fetch = call->fetch;

	if (call->line != NULL)
		close_line(call->line);
	if (fetch->n_idle == IDLE_MAX) {
		free_call(call);
		return;
	}
	trim(&call->request);
	trim(&call->answer.head);
	trim(&call->answer.body);
	fetch->n_idle++;
	TAILQ_INSERT_HEAD(&fetch->idle, call, link);
}

static struct fetch_call *
take_call(struct fetch *fetch)
{
	struct fetch_call *call = TAILQ_FIRST(&fetch->idle);

	if (call == NULL) {
		call = xcalloc(1, sizeof(*call));
		call->fetch = fetch;
		call->request.limit = REQUEST_MAX;
		return call;
	}
	TAILQ_REMOVE(&fetch->idle, call, link);
	fetch->n_idle--;
	return call;
}

/* Tells the caller. The call is in no list; its line is kept or closed before. */
static void
tell(struct fetch_call *call, enum net_error error, const char *why,
    int64_t certificate_end)
{
	const struct h1 *answer = &call->answer;
	struct http_reply reply = {
		.error = error,
		.status = error == NET_OK ? answer->status : 0,
		.body = answer->body.data != NULL ? answer->body.data : "",
		.body_len = answer->body.len,
		.body_cut = answer->body.full,
		.sent_at = call->sent_at,
		.certificate_end = certificate_end,
		.fields = &answer->head,
	};

	if (error != NET_OK)
		text_escape(reply.why, sizeof(reply.why), why, strlen(why));
	call->telling = true;
	call->done(call->arg, &reply);
	call->telling = false;
	release(call);
}

/* The exchange is over; `lasting`: its line may serve another one. */
static void
end(struct fetch_call *call, enum net_error error, const char *why, bool lasting)
{
	int64_t certificate_end = call->line->stream != NULL
	    ? stream_certificate_end(call->line->stream)
	    : -1;
	char words[160];

	str_copy(words, sizeof(words), why); /* the stream's, perhaps */
	TAILQ_REMOVE(&call->fetch->running, call, link);
	if (lasting)
		keep_line(call);
	else
		close_line(call->line);
	tell(call, error, words, certificate_end);
}

static const struct stream_out stream_out;

/* On a new connection, if the line has none. */
static void
begin(struct fetch_call *call)
{
	struct line *line = call->line;

	h1_begin(&call->answer, call->answer.bodyless);
	line->call = call;
	if (line->stream == NULL)
		line->stream =
		    stream_open(call->fetch->streams, &call->target, &stream_out, line);
}

static void
send_request(struct fetch_call *call)
{
	call->sent_at = clock_boot_ms();
	stream_write(call->line->stream, call->request.data, call->request.len);
}

/* A connection that was kept and ended meanwhile is nobody's fault: one more. */
static bool
again(struct fetch_call *call)
{
	if (!call->line->used)
		return false;
	close_line(call->line);
	begin(call);
	return true;
}

static bool
has_enough(const struct fetch_call *call)
{
	const struct h1 *answer = &call->answer;

	if (answer->phase == H1_WHOLE)
		return true;
	if (answer->status == 0)
		return false;
	if (call->keep && answer->lasting)
		return answer->body_seen > DRAIN_MAX;
	return answer->body.full || answer->body.limit == 0 ||
	    (call->error_body && answer->status < 400);
}

static void
read_on(struct fetch_call *call)
{
	stream_read(call->line->stream, call->fetch->input, INPUT_SIZE);
}

/* 408: the server's word that it has waited long enough (RFC 9110 15.5.9). `rest`: there
 * is more than the answer. */
static void
judge(struct fetch_call *call, bool rest)
{
	const struct h1 *answer = &call->answer;

	if (answer->phase == H1_BROKEN)
		end(call, answer->error, answer->why, false);
	else if (!has_enough(call))
		read_on(call);
	else if (answer->status != 408 || !again(call))
		end(call, NET_OK, "",
		    call->keep && answer->phase == H1_WHOLE && answer->lasting &&
			!rest);
}

static void
on_connected(void *arg, enum net_error error, const char *why)
{
	struct line *line = arg;

	if (error == NET_OK)
		send_request(line->call);
	else
		end(line->call, error, why, false);
}

static void
on_written(void *arg, enum net_error error, const char *why)
{
	struct line *line = arg;

	if (error == NET_OK)
		read_on(line->call);
	else if (!again(line->call))
		end(line->call, error, why, false);
}

static void
on_arrived(void *arg, size_t len, enum net_error error, const char *why)
{
	struct line *line = arg;
	struct fetch_call *call = line->call;
	struct h1 *answer = &call->answer;

	if (len > 0) {
		size_t used = h1_take(answer, call->fetch->input, len);
		judge(call, used < len);
		return;
	}
	if (!answer->any && again(call))
		return;
	if (error == NET_OK) {
		h1_end(answer);
		judge(call, false);
	} else if (error == NET_CLOSED) {
		end(call, error,
		    answer->any ? "the connection ended in the middle of the answer"
				: "the connection ended without an answer",
		    false);
	} else {
		end(call, error, why, false);
	}
}

static const struct stream_out stream_out = { on_connected, on_written, on_arrived };

/* What is wrong with an order is told later, as everything is. */
static void
on_deliver(void *arg)
{
	struct fetch *fetch = arg;
	struct fetch_call *call = TAILQ_FIRST(&fetch->faulty);

	if (call == NULL)
		return;
	TAILQ_REMOVE(&fetch->faulty, call, link);
	if (!TAILQ_EMPTY(&fetch->faulty))
		loop_timer_after(fetch->deliver, 0);
	tell(call, NET_LOCAL, "this is not an http or https URL", -1);
}

static void
refuse(struct fetch_call *call)
{
	call->faulty = true;
	TAILQ_INSERT_TAIL(&call->fetch->faulty, call, link);
	loop_timer_after(call->fetch->deliver, 0);
}

static void
set_target(struct fetch_call *call, const struct net_tls *tls)
{
	call->tls = tls != NULL ? *tls : (struct net_tls){ 0 };
	call->target = (struct stream_target){
		.host = call->to.host,
		.port = call->to.port,
		.tls = call->to.tls ? &call->tls : NULL,
	};
}

struct fetch_call *
fetch_send(struct fetch *fetch, const struct http_request *request,
    void (*done)(void *arg, const struct http_reply *reply), void *arg)
{
	struct fetch_call *call = take_call(fetch);
	const char *method = request->method != NULL ? request->method : "GET";
	struct line *line = NULL;
	char why[160];

	call->done = done;
	call->arg = arg;
	call->keep = !request->fresh;
	call->error_body = request->error_body;
	call->answer.body.limit = request->body_limit;
	call->answer.bodyless = strcmp(method, "HEAD") == 0;
	call->faulty = false;
	if (url_split(request->url, &call->to, why, sizeof(why)) != 0) {
		h1_begin(&call->answer, false);
		refuse(call);
		return call;
	}
	call->request.len = 0;
	h1_write(&call->request, request, method, call->keep);
	set_target(call, request->tls);
	if (call->keep && (line = take_line(fetch, &call->target)) != NULL) {
		free_line(call->line);
		call->line = line;
	} else if (call->line == NULL) {
		call->line = xcalloc(1, sizeof(*call->line));
	}
	TAILQ_INSERT_TAIL(&fetch->running, call, link);
	begin(call);
	if (line != NULL)
		send_request(call);
	return call;
}

void
fetch_cancel(struct fetch_call *call)
{
	if (call == NULL || call->telling)
		return;
	TAILQ_REMOVE(
	    call->faulty ? &call->fetch->faulty : &call->fetch->running, call, link);
	release(call);
}

struct fetch *
fetch_new(struct loop *loop, struct streams *streams)
{
	struct fetch *fetch = xcalloc(1, sizeof(*fetch));

	fetch->loop = loop;
	fetch->streams = streams;
	fetch->deliver = loop_timer_new(loop, on_deliver, fetch);
	fetch->sweep = loop_timer_new(loop, on_sweep, fetch);
	TAILQ_INIT(&fetch->running);
	TAILQ_INIT(&fetch->faulty);
	TAILQ_INIT(&fetch->idle);
	TAILQ_INIT(&fetch->kept);
	streams_spare(streams, spare_line, fetch);
	return fetch;
}

static void
free_calls(struct call_list *list)
{
	struct fetch_call *call;

	while ((call = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, call, link);
		free_call(call);
	}
}

void
fetch_free(struct fetch *fetch)
{
	struct line *line;

	if (fetch == NULL)
		return;
	streams_spare(fetch->streams, NULL, NULL);
	free_calls(&fetch->running);
	free_calls(&fetch->faulty);
	free_calls(&fetch->idle);
	while ((line = TAILQ_FIRST(&fetch->kept)) != NULL) {
		TAILQ_REMOVE(&fetch->kept, line, link);
		free_line(line);
	}
	loop_timer_free(fetch->deliver);
	loop_timer_free(fetch->sweep);
	free(fetch);
}
