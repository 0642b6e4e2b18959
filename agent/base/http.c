/* SPDX-License-Identifier: ISC */
/*
 * HTTP calls on the loop: a call is one transfer or, along redirects, several. Here are the
 * three things that are not left to libcurl below transfer: names are asked for through
 * resolve, the deadline is a timer of the loop that spans everything, and redirects are
 * new transfers, so that their host is resolved likewise and their scheme is judged.
 * A call is in `running` until its outcome is known, then in `ended` until a timer tells
 * it, one a turn and as the last thing in it: `done` may do anything, http_free included.
 */
#include "agent/base/http.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "agent/base/loop.h"
#include "agent/base/resolve.h"
#include "agent/base/transfer.h"
#include "agent/base/url.h"
#include "agent/base/util.h"

#define REDIRECTS_MAX 5
#define HEAD_KEPT (32 * 1024)
#define HEAD_MAX (256 * 1024)
#define ANSWER_LARGE (64 * 1024)

struct http_call {
	TAILQ_ENTRY(http_call) link;
	struct http *http;
	void (*done)(void *arg, const struct http_reply *reply);
	void *arg;
	/* the request */
	char *method, *unix_socket, *fixed, *proxy, *body;
	char **headers;
	size_t body_len;
	int64_t timeout_ms;
	bool follow, fresh, has_tls, error_body, certificate;
	enum http_version version;
	struct net_tls tls;
	/* on its way */
	char *url;
	struct url to, proxy_to;
	struct transfer *transfer;
	struct resolve_call *query;
	struct loop_timer *deadline;
	int redirects;
	size_t head_seen; /* bytes of headers, all of them */
	/* the outcome */
	bool ended, telling;
	enum net_error error;
	char why[160];
	int status;
	struct buf answer, head;
	int64_t sent_at, certificate_end;
};

TAILQ_HEAD(call_list, http_call);

struct http {
	struct loop *loop;
	struct transfers *transfers;
	struct resolve *resolve; /* made when the first name is asked for */
	struct loop_timer *deliver;
	struct call_list running, ended;
};

static void
free_headers(struct http_call *call)
{
	for (char **h = call->headers; h != NULL && *h != NULL; h++)
		free(*h);
	free(call->headers);
	call->headers = NULL;
}

/* Ends the transfer, if there is one; what the answer brought stays. */
static void
leave(struct http_call *call)
{
	transfer_free(call->transfer);
	call->transfer = NULL;
	resolve_cancel(call->query);
	call->query = NULL;
}

static void
free_call(struct http_call *call)
{
	loop_timer_free(call->deadline);
	free_headers(call);
	buf_free(&call->answer);
	buf_free(&call->head);
	free(call->url);
	free(call->method);
	free(call->unix_socket);
	free(call->fixed);
	free(call->proxy);
	free(call->body);
	free(call);
}

/* The outcome is known; `why` may hold what came from outside. */
static void
end(struct http_call *call, enum net_error error, const char *why)
{
	struct http *http = call->http;

	leave(call);
	loop_timer_stop(call->deadline);
	call->error = error;
	text_escape(call->why, sizeof(call->why), why, strlen(why));
	TAILQ_REMOVE(&http->running, call, link);
	TAILQ_INSERT_TAIL(&http->ended, call, link);
	call->ended = true;
	loop_timer_after(http->deliver, 0);
}

static void
on_deliver(void *arg)
{
	struct http *http = arg;
	struct http_call *call = TAILQ_FIRST(&http->ended);

	if (call == NULL)
		return;
	TAILQ_REMOVE(&http->ended, call, link);
	if (!TAILQ_EMPTY(&http->ended))
		loop_timer_after(http->deliver, 0);
	struct http_reply reply = {
		.error = call->error,
		.status = call->error == NET_OK ? call->status : 0,
		.body = call->answer.data == NULL ? "" : call->answer.data,
		.body_len = call->answer.len,
		.body_cut = call->answer.full,
		.sent_at = call->sent_at,
		.certificate_end = call->certificate_end,
		.fields = &call->head,
	};
	str_copy(reply.why, sizeof(reply.why), call->why);
	call->telling = true;
	call->done(call->arg, &reply);
	free_call(call);
	/* what was read out of it is gone, too, and the allocator would keep it for us */
	if (reply.body_len >= ANSWER_LARGE)
		malloc_trim(0);
}

static void
on_deadline(void *arg)
{
	struct http_call *call = arg;
	const char *phase = call->query != NULL ? "while the name was asked for"
	    : call->transfer != NULL            ? transfer_phase(call->transfer)
						: "while it connected";
	char time[32], why[96];

	format_duration(call->timeout_ms, time, sizeof(time));
	snprintf(why, sizeof(why), "%s have passed %s", time, phase);
	end(call, NET_TIMEOUT, why);
}

static bool
is_redirect(int status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 ||
	    status == 308;
}

static bool
may_follow(const struct http_call *call, int status)
{
	return call->follow && call->redirects < REDIRECTS_MAX && is_redirect(status);
}

/* Until the limit: the answer has said enough then. */
static enum transfer_wish
on_body(void *arg, const char *data, size_t len)
{
	struct http_call *call = arg;

	if (!may_follow(call, transfer_status(call->transfer)))
		buf_add(&call->answer, data, len);
	return call->answer.full ? TRANSFER_ENOUGH : TRANSFER_MORE;
}

/* The head is whole. A connection that is to be kept needs the body to be read. After 101
 * another protocol is spoken. */
static enum transfer_wish
judge_head(const struct http_call *call)
{
	int status = transfer_status(call->transfer);
	bool wanted = call->answer.limit > 0 && (status >= 400 || !call->error_body);

	if (status == 101)
		return TRANSFER_ENOUGH;
	if (!call->fresh || wanted || status < 200 || may_follow(call, status))
		return TRANSFER_MORE;
	return TRANSFER_ENOUGH;
}

/* Keeps "Name: value" of the last answer of a transfer, each with a NUL. */
static enum transfer_wish
on_head(void *arg, const char *line, size_t len)
{
	struct http_call *call = arg;

	call->head_seen += len;
	if (call->head_seen > HEAD_MAX)
		return TRANSFER_REFUSED;
	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
		buf_free(&call->head);
		return TRANSFER_MORE;
	}
	while (len > 0 && strchr(" \t\r\n", line[len - 1]) != NULL)
		len--;
	if (len == 0)
		return judge_head(call);
	if (len < call->head.limit - call->head.len) {
		buf_add(&call->head, line, len);
		buf_add(&call->head, "", 1);
	}
	return TRANSFER_MORE;
}

/* False, and the call as it was, if the URL is not one of ours. */
static bool
take_url(struct http_call *call, const char *text)
{
	char why[160];

	if (url_split(text, &call->to, why, sizeof(why)) != 0)
		return false;
	char *url = xstrdup(text);
	free(call->url);
	call->url = url;
	return true;
}

/* `addresses` in words, or NULL where the URL has one or none is needed. */
static void
start(struct http_call *call, const char *addresses)
{
	struct transfer_request request = {
		.method = call->method,
		.url = call->url,
		.to = &call->to,
		.unix_socket = call->unix_socket,
		.addresses = addresses,
		.proxy = call->proxy,
		.proxy_to = &call->proxy_to,
		.version = call->version,
		.certificate = call->certificate,
		.headers = call->headers,
		.body = call->body,
		.body_len = call->body_len,
		.fresh = call->fresh,
		.tls = call->has_tls ? &call->tls : NULL,
	};
	const char *why = "";

	if (call->sent_at == 0)
		call->sent_at = clock_boot_ms();
	call->transfer = transfer_start(call->http->transfers, &request, call, &why);
	if (call->transfer == NULL)
		end(call, NET_LOCAL, why);
}

static void
on_resolved(
    void *arg, const union resolve_address *addresses, size_t count, const char *why)
{
	struct http_call *call = arg;
	enum net_error error = resolve_error(call->query);
	struct buf list = { .limit = (INET6_ADDRSTRLEN + 3) * RESOLVE_MAX };

	call->query = NULL;
	if (error != NET_OK) {
		end(call, error, why);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		bool ipv6 = addresses[i].sa.sa_family == AF_INET6;
		char text[INET6_ADDRSTRLEN];
		resolve_format(&addresses[i].sa, text, sizeof(text));
		buf_printf(&list, ipv6 ? "%s[%s]" : "%s%s", i > 0 ? "," : "", text);
	}
	start(call, list.data);
	buf_free(&list);
}

/* Whom to connect to. */
static const char *
next_host(const struct http_call *call)
{
	return call->proxy != NULL ? call->proxy_to.host : call->to.host;
}

/* The address that the caller fixed for this host and port, or NULL. */
static const char *
fixed_address(const struct http_call *call)
{
	char head[300];

	if (call->fixed == NULL)
		return NULL;
	int len = snprintf(head, sizeof(head), "%s:%u:", call->to.host, call->to.port);
	bool same = strncasecmp(call->fixed, head, (size_t)len) == 0;
	return same ? call->fixed + len : NULL;
}

static void
begin(struct http_call *call)
{
	struct http *http = call->http;
	const char *host = next_host(call);
	union resolve_address address;
	socklen_t len;

	if (call->unix_socket != NULL || resolve_is_localhost(host) ||
	    resolve_literal(host, 0, &address, &len)) {
		start(call, NULL);
		return;
	}
	if (fixed_address(call) != NULL) {
		start(call, fixed_address(call));
		return;
	}
	if (http->resolve == NULL)
		http->resolve = resolve_new(http->loop);
	call->query = resolve_start(http->resolve, host, on_resolved, call);
}

/* RFC 9110 15.4: what the method becomes. */
static void
change_method(struct http_call *call)
{
	bool post = strcmp(call->method, "POST") == 0;
	bool head = strcmp(call->method, "HEAD") == 0;

	if (call->status == 307 || call->status == 308 || head ||
	    (call->status != 303 && !post))
		return;
	free(call->method);
	free(call->body);
	call->method = xstrdup("GET");
	call->body = NULL;
	call->body_len = 0;
}

/* True: the call goes on elsewhere. The caller's headers may hold a token: they go to
 * the first origin only. */
static bool
redirect(struct http_call *call, const char *location)
{
	struct url before = call->to;

	if (location == NULL || !may_follow(call, call->status) ||
	    !take_url(call, location))
		return false;
	if (strcasecmp(before.host, call->to.host) != 0 ||
	    before.port != call->to.port || before.tls != call->to.tls)
		free_headers(call);
	leave(call);
	change_method(call);
	buf_free(&call->head);
	call->redirects++;
	begin(call);
	return true;
}

static void
on_transfer_done(void *arg, const struct transfer_end *outcome)
{
	struct http_call *call = arg;

	call->status = outcome->status;
	call->certificate_end = outcome->certificate_end;
	if (outcome->error != NET_OK || !redirect(call, outcome->location))
		end(call, outcome->error, outcome->why);
}

struct http *
http_new(struct loop *loop)
{
	static const struct transfer_out out = { on_head, on_body, on_transfer_done };
	struct http *http = xcalloc(1, sizeof(*http));

	signal(SIGPIPE, SIG_IGN); /* curl leaves it to us with CURLOPT_NOSIGNAL */
	http->loop = loop;
	http->transfers = transfers_new(loop, &out);
	TAILQ_INIT(&http->running);
	TAILQ_INIT(&http->ended);
	http->deliver = loop_timer_new(loop, on_deliver, http);
	return http;
}

void
http_be_modest(struct http *http)
{
	transfers_set_end(http->transfers, net_descriptor_end());
}

void
http_be_narrow(struct http *http, unsigned int connections)
{
	transfers_set_connections(http->transfers, connections);
}

void
http_cancel(struct http_call *call)
{
	if (call == NULL || call->telling)
		return;
	leave(call);
	TAILQ_REMOVE(
	    call->ended ? &call->http->ended : &call->http->running, call, link);
	free_call(call);
}

static void
cancel_all(struct call_list *list)
{
	struct http_call *next;

	for (struct http_call *call = TAILQ_FIRST(list); call != NULL; call = next) {
		next = TAILQ_NEXT(call, link);
		http_cancel(call);
	}
}

void
http_free(struct http *http)
{
	if (http == NULL)
		return;
	cancel_all(&http->running);
	cancel_all(&http->ended);
	transfers_free(http->transfers);
	resolve_free(http->resolve);
	loop_timer_free(http->deliver);
	free(http);
}

static void
copy_headers(struct http_call *call, const char *const *headers)
{
	size_t n = 0;

	while (headers != NULL && headers[n] != NULL)
		n++;
	call->headers = xcalloc(n + 1, sizeof(*call->headers));
	for (size_t i = 0; i < n; i++)
		call->headers[i] = xstrdup(headers[i]);
}

static void
copy_request(struct http_call *call, const struct http_request *request)
{
	call->method = xstrdup(request->method == NULL ? "GET" : request->method);
	if (request->unix_socket != NULL)
		call->unix_socket = xstrdup(request->unix_socket);
	if (request->resolve != NULL)
		call->fixed = xstrdup(request->resolve);
	if (request->proxy != NULL)
		call->proxy = xstrdup(request->proxy);
	copy_headers(call, request->headers);
	if (request->body != NULL) {
		call->body = xcalloc(request->body_len, 1);
		memcpy(call->body, request->body, request->body_len);
		call->body_len = request->body_len;
	}
	call->timeout_ms = request->timeout_ms;
	call->follow = request->follow;
	call->error_body = request->error_body;
	call->version = request->version;
	call->certificate = request->certificate;
	call->certificate_end = -1;
	call->fresh = request->fresh;
	call->has_tls = request->tls != NULL;
	if (call->has_tls)
		call->tls = *request->tls;
	call->answer.limit = request->body_limit;
	call->head.limit = HEAD_KEPT;
}

struct http_call *
http_send(struct http *http, const struct http_request *request,
    void (*done)(void *arg, const struct http_reply *reply), void *arg)
{
	struct http_call *call = xcalloc(1, sizeof(*call));
	char why[160];

	call->http = http;
	call->done = done;
	call->arg = arg;
	call->certificate_end = -1;
	copy_request(call, request);
	call->deadline = loop_timer_new(http->loop, on_deadline, call);
	loop_timer_after(call->deadline, call->timeout_ms);
	TAILQ_INSERT_TAIL(&http->running, call, link);
	if (!take_url(call, request->url))
		end(call, NET_LOCAL, "this is not an http or https URL");
	else if (call->proxy != NULL &&
	    (url_split(call->proxy, &call->proxy_to, why, sizeof(why)) != 0 ||
		call->proxy_to.tls))
		end(call, NET_LOCAL, "the proxy is not an http URL");
	else
		begin(call);
	return call;
}

const char *
http_header(const struct http_reply *reply, const char *name)
{
	const struct buf *head = reply->fields;
	size_t len = strlen(name);

	for (const char *line = head->data;
	     line != NULL && line < head->data + head->len; line += strlen(line) + 1)
		if (strncasecmp(line, name, len) == 0 && line[len] == ':')
			return line + len + 1 + strspn(line + len + 1, " \t");
	return NULL;
}
