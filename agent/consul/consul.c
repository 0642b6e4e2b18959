/* SPDX-License-Identifier: ISC */
/*
 * The HTTP API of the local Consul agent, as calls with a typed end. It knows how to ask
 * (address, content type, one pool of connections per channel; the token is token's) and
 * what an answer means (enum consul_result), and nothing of what is asked: that is watch,
 * report and lease. Below it is base/http.
 *
 * All channels feed one opinion on whether Consul answers, so that an outage is said once
 * however many calls it ends. One slow call among others that succeed is no outage.
 */
#include "agent/consul/consul.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "agent/base/base64.h"
#include "agent/base/http.h"
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/same.h"
#include "agent/consul/scope.h"
#include "agent/consul/token.h"

#define BODY_LIMIT (16u << 20)
#define WHY_MAX 256
#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 5000
#define STUMBLE_MS 1000

/* Consul's agent has 200 for all that come from one address, in all. Ours wait for each
 * other within a channel rather than be refused. */
static const unsigned int connections[] = {
	[CONSUL_LEASE] = 5,
	[CONSUL_WATCH] = 5, /* one for each watch that there can be */
	[CONSUL_REPORT] = 4,
	[CONSUL_HEART] = 1,
};
_Static_assert(ARRAY_LENGTH(connections) == CONSUL_CHANNELS, "each channel has some");

struct consul {
	struct loop *loop;
	const struct conf_consul *conf;
	struct loop_timer *cut; /* set: calls wait to be told that they have ended */
	char *address;
	struct http *http[CONSUL_CHANNELS];
	struct net_tls tls;
	struct token token;
	char *authorization; /* a header, or NULL */
	const char *scope_fault; /* said last, or NULL */
	LIST_HEAD(consul_calls, consul_call) calls;
	struct consul_calls lost; /* cut off by a reload, which is to be told */
	bool away;
	bool explained; /* by more than that nobody answers */
	uint64_t sent; /* calls until now: the number of the last one */
	uint64_t answered; /* `sent` when the last answer came, … */
	int64_t answered_at; /* … and the time; 0: none has */
	uint64_t away_call; /* that found Consul away, and when it was sent */
	int64_t away_since;
};

struct consul_call {
	struct consul *consul;
	struct http_call *http; /* NULL: lost */
	consul_done_fn *done;
	void *arg;
	uint64_t number;
	int64_t began;
	LIST_ENTRY(consul_call) link;
};

static void
call_free(struct consul_call *call)
{
	LIST_REMOVE(call, link);
	free(call);
}

/* One in a turn: what that brings about may end others. What is asked again goes the new
 * way. */
static void
on_cut(void *arg)
{
	struct consul *consul = arg;
	struct consul_call *call = LIST_FIRST(&consul->lost);
	struct consul_reply reply = { .result = CONSUL_AWAY,
		.why = "another way to Consul was configured" };

	if (call == NULL)
		return;
	loop_timer_after(consul->cut, 0);
	consul_done_fn *done = call->done;
	void *done_arg = call->arg;
	reply.sent_at = call->began;
	call_free(call);
	done(done_arg, &reply);
}

static void
connect_to(struct consul *consul, const struct conf_consul *conf)
{
	size_t len = strlen(conf->address);

	while (len > 0 && conf->address[len - 1] == '/')
		len--;
	consul->address = xstrndup(conf->address, len);
	consul->conf = conf;
	consul->tls = (struct net_tls){
		.ca_file = conf->ca_file,
		.cert_file = conf->cert_file,
		.key_file = conf->key_file,
		.server_name = conf->server_name,
		.no_verify = !conf->verify,
	};
	token_start(&consul->token, conf);
	if (conf->auth) {
		AUTO_FREE char *coded = base64_encode(conf->auth, strlen(conf->auth));
		consul->authorization = xasprintf("Authorization: Basic %s", coded);
	}
	for (int i = 0; i < CONSUL_CHANNELS; i++) {
		consul->http[i] = http_new(consul->loop);
		http_be_narrow(consul->http[i], connections[i]);
	}
}

/* All calls are lost. */
static void
disconnect(struct consul *consul)
{
	struct consul_call *call;

	while ((call = LIST_FIRST(&consul->calls)) != NULL) {
		LIST_REMOVE(call, link);
		LIST_INSERT_HEAD(&consul->lost, call, link);
		call->http = NULL;
	}
	for (int i = 0; i < CONSUL_CHANNELS; i++)
		http_free(consul->http[i]);
	token_forget(&consul->token);
	if (consul->authorization)
		explicit_bzero(consul->authorization, strlen(consul->authorization));
	free(consul->authorization);
	consul->authorization = NULL;
	free(consul->address);
	consul->scope_fault = NULL;
}

struct consul *
consul_new(struct loop *loop, const struct conf_consul *conf)
{
	struct consul *consul = xcalloc(1, sizeof(*consul));

	consul->loop = loop;
	LIST_INIT(&consul->calls);
	LIST_INIT(&consul->lost);
	consul->cut = loop_timer_new(loop, on_cut, consul);
	connect_to(consul, conf);
	return consul;
}

void
consul_reload(struct consul *consul, const struct conf_consul *conf)
{
	if (same_consul(consul->conf, conf)) {
		consul->conf = conf;
		return;
	}
	disconnect(consul);
	connect_to(consul, conf);
	if (!LIST_EMPTY(&consul->lost))
		loop_timer_after(consul->cut, 0);
}

void
consul_free(struct consul *consul)
{
	struct consul_call *call, *next;

	if (!consul)
		return;
	disconnect(consul);
	for (call = LIST_FIRST(&consul->lost); call; call = next) {
		next = LIST_NEXT(call, link);
		call_free(call);
	}
	loop_timer_free(consul->cut);
	free(consul);
}

static const char *
away_word(const struct http_reply *reply)
{
	switch (reply->error) {
	case NET_OK: return "not Consul's answer";
	case NET_TIMEOUT: return "timeout";
	case NET_REFUSED: return "refused";
	case NET_CLOSED: return "connection ended";
	case NET_GARBAGE: return "not HTTP";
	case NET_RESOLVE:
	case NET_TLS:
	case NET_LOCAL: return reply->why;
	}
	return reply->why;
}

static const char *
consul_where(const struct consul *consul)
{
	return consul->conf->unix_socket ? consul->conf->unix_socket : consul->address;
}

/* Nobody is there or answers, which passes; all else somebody has to mend. */
static bool
is_silence(enum net_error error)
{
	return error == NET_REFUSED || error == NET_TIMEOUT || error == NET_CLOSED;
}

/* One that was frozen answers, and drops connections that are too old for it: whoever has
 * answered just now is not away. If it is, the next call finds that. */
static bool
is_stumble(const struct consul *consul, enum net_error error)
{
	return error == NET_CLOSED && consul->answered_at != 0 &&
	    clock_boot_ms() < consul->answered_at + STUMBLE_MS;
}

/* An agent that is restarted refuses first: what keeps it away afterwards is said too. */
static void
note_away(struct consul *consul, const struct consul_call *call,
    const struct http_reply *reply)
{
	bool silence = is_silence(reply->error), was = consul->away;
	char word[sizeof(reply->why)];

	if (consul->answered >= call->number || is_stumble(consul, reply->error) ||
	    (was && (silence || consul->explained)))
		return;
	text_escape(word, sizeof(word), away_word(reply), strlen(away_word(reply)));
	consul->explained = !silence;
	if (was) {
		log_warning("consul", "%s still does not answer, and now because: %s",
		    consul_where(consul), word);
		return;
	}
	consul->away = true;
	consul->away_call = call->number;
	consul->away_since = call->began;
	log_warning("consul",
	    "%s does not answer (%s): checks go on, reports and leases wait",
	    consul_where(consul), word);
}

static void
note_answer(struct consul *consul, const struct consul_call *call)
{
	int64_t away_ms = clock_boot_ms() - consul->away_since;

	consul->answered = consul->sent;
	consul->answered_at = clock_boot_ms();
	if (!consul->away || call->number < consul->away_call)
		return;
	consul->away = false;
	log_notice("consul", "%s answers again after %lld s", consul_where(consul),
	    (long long)((away_ms + 500) / 1000));
}

static bool
body_says(const struct http_reply *reply, const char *words)
{
	return strstr(reply->body, words) != NULL;
}

/* Statuses and texts: docs of the HTTP API; the texts are those of agent/agent.go and
 * acl/errors.go, matched in part since they gain words with each version. */
static enum consul_result
classify_status(const struct http_reply *reply)
{
	if (reply->status >= 200 && reply->status < 300)
		return reply->body_cut ? CONSUL_BAD : CONSUL_OK;
	if (reply->status == 404)
		return CONSUL_NOT_FOUND;
	if (reply->status == 403)
		return CONSUL_DENIED;
	if (reply->status == 409)
		return body_says(reply, "Permission denied") ? CONSUL_DENIED
							     : CONSUL_CONFLICT;
	if (reply->status == 500 &&
	    (body_says(reply, "associated TTL") || body_says(reply, "Unknown check") ||
		body_says(reply, "does not exist"))) /* a check's service */
		return CONSUL_NOT_FOUND;
	if (reply->status == 429 || reply->status >= 500)
		return CONSUL_BUSY;
	return CONSUL_BAD;
}

/* A success has either no body or JSON: another is not Consul's. */
static enum consul_result
classify(const struct http_reply *reply, const cJSON *json)
{
	enum consul_result result;

	if (reply->error != NET_OK)
		return CONSUL_AWAY;
	result = classify_status(reply);
	if (result == CONSUL_OK && !json && reply->body[strspn(reply->body, " \r\n\t")])
		return CONSUL_AWAY;
	return result;
}

static void
explain(
    char *why, size_t size, enum consul_result result, const struct http_reply *reply)
{
	char text[WHY_MAX];
	size_t len = reply->body_len;

	if (result == CONSUL_OK) {
		str_copy(why, size, "ok");
		return;
	}
	if (result == CONSUL_AWAY) {
		text_escape(why, size, away_word(reply), strlen(away_word(reply)));
		return;
	}
	while (len > 0 && isspace((unsigned char)reply->body[len - 1]))
		len--;
	text_escape(text, sizeof(text), reply->body, len);
	snprintf(why, size, "%d %s", reply->status,
	    reply->body_cut ? "the answer is too long" : text);
}

static uint64_t
header_index(const struct http_reply *reply)
{
	const char *text = http_header(reply, "X-Consul-Index");
	uint64_t index = 0;

	if (text)
		parse_uint(text, 0, UINT64_MAX, &index);
	return index;
}

static bool
header_true(const struct http_reply *reply, const char *name)
{
	const char *text = http_header(reply, name);

	return text && !strcmp(text, "true");
}

/* Said once, whatever call it is that meets it. */
static void
note_scope(struct consul *consul, const struct http_reply *reply)
{
	const char *fault = scope_fault(consul->conf, reply->status, reply->body);

	if (fault && fault != consul->scope_fault)
		log_error("consul", "%s", fault);
	if (fault)
		consul->scope_fault = fault;
}

static void
on_http(void *arg, const struct http_reply *http)
{
	struct consul_call *call = arg;
	struct consul *consul = call->consul;
	consul_done_fn *done = call->done;
	void *done_arg = call->arg;
	bool whole = http->error == NET_OK && !http->body_cut;
	AUTO_JSON cJSON *json = whole ? json_parse(http->body, http->body_len) : NULL;
	char why[WHY_MAX + 8];
	struct consul_reply reply = { .why = why, .json = json };

	reply.result = classify(http, json);
	explain(why, sizeof(why), reply.result, http);
	if (reply.result != CONSUL_AWAY) {
		note_scope(consul, http);
		reply.status = http->status;
		reply.index = header_index(http);
		reply.filtered = header_true(http, "X-Consul-Results-Filtered-By-ACLs");
	}
	reply.late = http->error == NET_TIMEOUT;
	reply.size = http->body_len;
	reply.sent_at = http->sent_at > 0 ? http->sent_at : call->began;
	if (reply.result == CONSUL_AWAY)
		note_away(consul, call, http);
	else
		note_answer(consul, call);
	call_free(call);
	done(done_arg, &reply);
}

static const char *
content_type(const struct consul_request *request)
{
	if (request->text)
		return "Content-Type: application/octet-stream";
	return "Content-Type: application/json; charset=utf-8";
}

struct consul_call *
consul_send(struct consul *consul, const struct consul_request *request,
    consul_done_fn *done, void *arg)
{
	AUTO_FREE char *path = scope_path(consul->conf, request->path);
	AUTO_FREE char *url = xasprintf("%s%s", consul->address, path);
	AUTO_FREE char *printed = request->body ? json_print(request->body) : NULL;
	const char *body = printed ? printed : request->text;
	char token[sizeof("X-Consul-Token: ") + TOKEN_MAX];
	const char *headers[4] = { NULL };
	size_t n = 0;
	struct consul_call *call = xcalloc(1, sizeof(*call));
	struct http_request http = {
		.method = request->method,
		.url = url,
		.unix_socket = consul->conf->unix_socket,
		.headers = headers,
		.body = body,
		.body_len = body ? strlen(body) : 0,
		.timeout_ms = request->timeout_ms,
		.body_limit = BODY_LIMIT,
		.tls = &consul->tls,
	};

	assert(request->channel < CONSUL_CHANNELS && request->path[0] == '/');
	token_refresh(&consul->token, consul->conf->token_file);
	if (request->method)
		headers[n++] = content_type(request);
	if (consul->authorization)
		headers[n++] = consul->authorization;
	if (consul->token.text[0]) {
		snprintf(
		    token, sizeof(token), "X-Consul-Token: %s", consul->token.text);
		headers[n++] = token;
	}
	*call = (struct consul_call){ .consul = consul, .done = done, .arg = arg };
	LIST_INSERT_HEAD(&consul->calls, call, link);
	call->number = ++consul->sent;
	call->began = clock_boot_ms();
	call->http = http_send(consul->http[request->channel], &http, on_http, call);
	explicit_bzero(token, sizeof(token));
	return call;
}

void
consul_cancel(struct consul_call *call)
{
	if (!call)
		return;
	if (call->http != NULL)
		http_cancel(call->http);
	call_free(call);
}

void
consul_escape(char *out, size_t size, const char *segment)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t len = 0;

	assert(size > 0);
	for (const unsigned char *c = (const unsigned char *)segment; *c; c++) {
		bool plain = isalnum(*c) || strchr("-._~", *c);

		if (len + (plain ? 1 : 3) >= size)
			break;
		if (plain) {
			out[len++] = (char)*c;
			continue;
		}
		out[len++] = '%';
		out[len++] = hex[*c >> 4];
		out[len++] = hex[*c & 15];
	}
	out[len] = '\0';
}

int64_t
consul_backoff(unsigned int failures)
{
	int64_t ms = BACKOFF_MIN_MS;

	if (failures < 2)
		return 0;
	for (unsigned int i = 2; i < failures && ms < BACKOFF_MAX_MS; i++)
		ms *= 2;
	if (ms > BACKOFF_MAX_MS)
		ms = BACKOFF_MAX_MS;
	return ms - (int64_t)(random_u64() % (uint64_t)(ms / 2 + 1));
}

bool
consul_token_unknown(const struct consul_reply *reply)
{
	return reply->result == CONSUL_DENIED && strstr(reply->why, "ACL not found");
}

bool
consul_reachable(const struct consul *consul)
{
	return !consul->away;
}
