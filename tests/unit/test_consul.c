/* SPDX-License-Identifier: ISC */
/*
 * How the API of Consul's agent is asked and how its answers are judged, with a script in
 * its place: the statuses and texts are those of Consul from 1.8 to 2.0. What a real Consul
 * makes of our requests is seen in test_report and test_lease.
 */
#include "agent/consul/consul.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "tests/unit/scripted.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define LIMIT_MS 20000
#define HELD 2
#define HANGING 12

struct script {
	struct loop *loop;
	struct conf_consul conf;
	struct scripted *server;
	struct consul *consul;
	/* what it says: held is answered by hand */
	const char *headers, *body, *raw;
	int status;
	bool hold, hang;
	struct scripted_call *held;
	char request[2048];
	unsigned int asked;
	/* what was heard */
	unsigned int told;
	struct consul_reply reply;
	char why[512], json[256];
};

static void
on_asked(void *arg, const char *request, struct scripted_call *call)
{
	struct script *s = arg;

	s->asked++;
	str_copy(s->request, sizeof(s->request), request);
	if (s->hang)
		return;
	if (s->hold)
		s->held = call;
	else if (s->raw)
		scripted_raw(call, s->raw);
	else
		scripted_answer(call, s->status, s->headers ? s->headers : "",
		    s->body ? s->body : "");
}

static void
open_script(struct script *s)
{
	*s = (struct script){ .loop = loop_new(), .status = 200 };
	s->server = scripted_new(s->loop, on_asked, s);
	s->conf.address = xasprintf("%s/", scripted_address(s->server));
	s->consul = consul_new(s->loop, &s->conf);
}

static void
close_script(struct script *s)
{
	consul_free(s->consul);
	scripted_free(s->server);
	free(s->conf.address);
	loop_free(s->loop);
}

static void
on_done(void *arg, const struct consul_reply *reply)
{
	struct script *s = arg;

	s->told++;
	s->reply = *reply;
	str_copy(s->why, sizeof(s->why), reply->why);
	s->json[0] = '\0';
	if (reply->json) {
		AUTO_FREE char *text = json_print(reply->json);

		str_copy(s->json, sizeof(s->json), text);
	}
}

static bool
was_told(void *arg)
{
	return ((struct script *)arg)->told > 0;
}

static const struct consul_reply *
ask(struct script *s, const struct consul_request *request)
{
	struct consul_request r = request ? *request : (struct consul_request){ 0 };

	r.path = r.path ? r.path : "/v1/status/leader";
	r.timeout_ms = r.timeout_ms ? r.timeout_ms : 2000;
	s->told = 0;
	consul_send(s->consul, &r, on_done, s);
	CU_ASSERT_EQUAL(s->told, 0);
	CU_ASSERT_TRUE(until(s->loop, was_told, s, LIMIT_MS));
	CU_ASSERT_EQUAL(s->told, 1);
	return &s->reply;
}

static const struct {
	int status;
	const char *body;
	enum consul_result result;
	const char *why;
} results[] = {
	{ 200, "", CONSUL_OK, "ok" },
	{ 200, "\n", CONSUL_OK, "ok" },
	{ 200, "true", CONSUL_OK, "ok" },
	{ 200, "[{\"a\":1}]\n", CONSUL_OK, "ok" },
	{ 200, "null", CONSUL_OK, "ok" },
	{ 200, "<html>hotel wifi</html>", CONSUL_AWAY, "not Consul's answer" },
	{ 200, "{\"a\":", CONSUL_AWAY, "not Consul's answer" },
	{ 404, "", CONSUL_NOT_FOUND, "404 " },
	{ 404, "Unknown check ID \"x\". Ensure that", CONSUL_NOT_FOUND,
	    "404 Unknown check ID \"x\". Ensure that" },
	{ 500, "CheckID \"nope\" does not have associated TTL", CONSUL_NOT_FOUND,
	    "500 CheckID \"nope\" does not have associated TTL" },
	{ 500, "Unknown check \"nope\"", CONSUL_NOT_FOUND,
	    "500 Unknown check \"nope\"" },
	{ 403, "Permission denied", CONSUL_DENIED, "403 Permission denied" },
	{ 403, "ACL not found", CONSUL_DENIED, "403 ACL not found" },
	{ 409,
	    "{\"Results\":null,\"Errors\":[{\"OpIndex\":0,\"What\":"
	    "\"Permission "
	    "denied: token with AccessorID '1' lacks permission\"}]}",
	    CONSUL_DENIED, NULL },
	{ 409,
	    "{\"Results\":null,\"Errors\":[{\"OpIndex\":0,\"What\":\"failed\"}]"
	    "}",
	    CONSUL_CONFLICT, NULL },
	{ 429, "rate limit exceeded, try a different server", CONSUL_BUSY, NULL },
	{ 500, "No cluster leader\n", CONSUL_BUSY, "500 No cluster leader" },
	{ 500, "rpc error making call: EOF", CONSUL_BUSY, NULL },
	{ 500, "rpc error making call: i/o deadline reached", CONSUL_BUSY, NULL },
	{ 503, "rate limit exceeded, try again later", CONSUL_BUSY, NULL },
	{ 502, "bad\tgate\001way", CONSUL_BUSY, "502 bad\\tgate\\x01way" },
	{ 400, "Request decode failed: x", CONSUL_BAD, NULL },
	{ 401, "ACL support disabled", CONSUL_BAD, NULL },
	{ 405, "method PUT not allowed", CONSUL_BAD, NULL },
	{ 413, "Request body too large", CONSUL_BAD, NULL },
	{ 301, "", CONSUL_BAD, NULL },
};

static void
test_results(void)
{
	struct script s;

	open_script(&s);
	for (size_t i = 0; i < ARRAY_LENGTH(results); i++) {
		s.status = results[i].status;
		s.body = results[i].body;
		ask(&s, NULL);
		CU_ASSERT_EQUAL(s.reply.result, results[i].result);
		CU_ASSERT_EQUAL(s.reply.status,
		    results[i].result == CONSUL_AWAY ? 0 : results[i].status);
		if (results[i].why)
			CU_ASSERT_STRING_EQUAL(s.why, results[i].why);
		CU_ASSERT_EQUAL(s.json[0] != '\0',
		    results[i].body[0] && strchr("[{tn", results[i].body[0]) &&
			results[i].result != CONSUL_AWAY);
	}
	close_script(&s);
}

static void
test_away(void)
{
	struct script s;
	char *address;

	open_script(&s);
	s.raw = "";
	CU_ASSERT_EQUAL(ask(&s, NULL)->result, CONSUL_AWAY);
	s.raw = "\001\002\003 hello\r\n\r\n";
	CU_ASSERT_EQUAL(ask(&s, NULL)->result, CONSUL_AWAY);
	s.raw = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1";
	CU_ASSERT_EQUAL(ask(&s, NULL)->result, CONSUL_AWAY);
	s.hang = true;
	CU_ASSERT_EQUAL(
	    ask(&s, &(struct consul_request){ .timeout_ms = 50 })->result, CONSUL_AWAY);
	CU_ASSERT_STRING_EQUAL(s.why, "timeout");
	consul_free(s.consul);
	scripted_free(s.server);
	s.consul = consul_new(s.loop, &s.conf);
	CU_ASSERT_EQUAL(ask(&s, NULL)->result, CONSUL_AWAY);
	CU_ASSERT_STRING_EQUAL(s.why, "refused");
	CU_ASSERT_TRUE(s.reply.sent_at > 0);
	consul_free(s.consul);
	address = s.conf.address;
	free(address);
	loop_free(s.loop);
}

static void
test_request(void)
{
	AUTO_JSON cJSON *body = json_parse("{\"a\": [1, 2]}", 13);
	struct script s;
	int64_t before = clock_boot_ms();

	open_script(&s);
	s.body = "[1]";
	s.headers = "X-CONSUL-index: 9007199254740993\r\n"
		    "X-Consul-Results-Filtered-By-ACLs: true\r\n";
	ask(&s, &(struct consul_request){ .path = "/v1/kv/a%20b?raw" });
	CU_ASSERT_PTR_EQUAL(
	    strstr(s.request, "GET /v1/kv/a%20b?raw HTTP/1.1\r\n"), s.request);
	CU_ASSERT_PTR_NULL(strcasestr(s.request, "content-type"));
	CU_ASSERT_PTR_NULL(strcasestr(s.request, "x-consul-token"));
	CU_ASSERT_PTR_NULL(strcasestr(s.request, "expect"));
	CU_ASSERT_EQUAL(s.reply.index, 9007199254740993u);
	CU_ASSERT_TRUE(s.reply.filtered);
	CU_ASSERT_STRING_EQUAL(s.json, "[1]");
	CU_ASSERT_TRUE(s.reply.sent_at >= before && s.reply.sent_at <= clock_boot_ms());

	s.headers = "X-Consul-Index: nine\r\nX-Consul-Results-Filtered-By-ACLs: no\r\n";
	ask(&s,
	    &(struct consul_request){ .method = "PUT", .path = "/p", .body = body });
	CU_ASSERT_PTR_NOT_NULL(
	    strstr(s.request, "Content-Type: application/json; charset=utf-8\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(s.request, "Content-Length: 11\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(s.request, "\r\n\r\n{\"a\":[1,2]}"));
	CU_ASSERT_EQUAL(s.reply.index, 0);
	CU_ASSERT_FALSE(s.reply.filtered);

	ask(&s,
	    &(struct consul_request){ .method = "PUT", .path = "/p", .text = "x=y" });
	CU_ASSERT_PTR_NOT_NULL(
	    strstr(s.request, "Content-Type: application/octet-stream\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(s.request, "\r\n\r\nx=y"));
	ask(&s, &(struct consul_request){ .method = "PUT", .path = "/p" });
	CU_ASSERT_PTR_NOT_NULL(strstr(s.request, "Content-Length: 0\r\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(s.request, "Content-Type: application/json"));
	close_script(&s);
}

static bool
token_sent(const struct script *s, const char *token)
{
	AUTO_FREE char *line = xasprintf("\r\nX-Consul-Token: %s\r\n", token);

	return strstr(s->request, line) != NULL;
}

static void
write_token(const char *path, const char *text, mode_t mode)
{
	AUTO_FREE char *fresh = xasprintf("%s.new", path);
	AUTO_CLOSE int fd = open(fresh, O_WRONLY | O_CREAT | O_CLOEXEC | O_TRUNC, mode);

	CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	fchmod(fd, mode);
	rename(fresh, path);
}

static void
test_token(void)
{
	static const struct {
		const char *text;
		mode_t mode;
		const char *sent; /* a file at fault leaves the token before */
	} table[] = {
		{ "first\n", 0600, "first" },
		{ "second", 0640, "second" },
		{ "third\n", 0644, "second" },
		{ "third\n", 0602, "second" },
		{ "third\r\n", 0600, "third" },
		{ "", 0600, "third" },
		{ "two words", 0600, "third" },
		{ "fourth\nmore lines\n", 0600, "fourth" },
	};
	char dir[] = "/tmp/test_consul.XXXXXX";
	struct script s;

	open_script(&s);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	s.conf.token_file = xasprintf("%s/token", dir);
	s.conf.token = s.conf.address; /* the file wins */
	ask(&s, NULL);
	CU_ASSERT_PTR_NULL(strstr(s.request, "X-Consul-Token"));
	for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
		write_token(s.conf.token_file, table[i].text, table[i].mode);
		ask(&s, NULL);
		CU_ASSERT_TRUE(token_sent(&s, table[i].sent));
		ask(&s, NULL);
		CU_ASSERT_TRUE(token_sent(&s, table[i].sent));
	}
	unlink(s.conf.token_file);
	ask(&s, NULL);
	CU_ASSERT_TRUE(token_sent(&s, "fourth"));
	write_token(s.conf.token_file, "fifth", 0600);
	ask(&s, NULL);
	CU_ASSERT_TRUE(token_sent(&s, "fifth"));
	unlink(s.conf.token_file);
	rmdir(dir);
	free(s.conf.token_file);
	close_script(&s);
}

static void
test_plain_token(void)
{
	char token[] = "plain", evil[] = "plain\r\nHost: x";
	struct script s;

	open_script(&s);
	s.conf.token = token;
	consul_free(s.consul);
	s.consul = consul_new(s.loop, &s.conf);
	ask(&s, NULL);
	CU_ASSERT_TRUE(token_sent(&s, "plain"));
	s.conf.token = evil;
	consul_free(s.consul);
	s.consul = consul_new(s.loop, &s.conf);
	ask(&s, NULL);
	CU_ASSERT_PTR_NULL(strstr(s.request, "X-Consul-Token"));
	close_script(&s);
}

/* Two calls: when each is sent and ended, and how. */
enum event { SEND_A, SEND_B, END_A, END_B };

struct trial {
	struct script *s;
	unsigned int told[HELD];
	struct scripted_call *held[HELD];
	int sent[HELD];
	/* what the rule says */
	bool away;
	int last_ok, away_sent;
};

static void
on_trial(void *arg, const struct consul_reply *reply)
{
	unsigned int *told = arg;

	(void)reply;
	++*told;
}

static bool
is_held(void *arg)
{
	return ((struct script *)arg)->held != NULL;
}

static bool
ended(void *arg)
{
	return *(unsigned int *)arg > 0;
}

static void
trial_send(struct trial *t, int which, int now)
{
	struct consul_request request = {
		.channel = which ? CONSUL_REPORT : CONSUL_LEASE,
		.path = "/v1/x",
		.timeout_ms = LIMIT_MS,
	};

	t->s->held = NULL;
	t->sent[which] = now;
	consul_send(t->s->consul, &request, on_trial, &t->told[which]);
	CU_ASSERT_TRUE(until(t->s->loop, is_held, t->s, LIMIT_MS));
	t->held[which] = t->s->held;
}

static void
trial_end(struct trial *t, int which, bool ok, int now)
{
	if (ok)
		scripted_answer(t->held[which], 500, "", "No cluster leader");
	else
		scripted_raw(t->held[which], "");
	CU_ASSERT_TRUE(until(t->s->loop, ended, &t->told[which], LIMIT_MS));
	if (!ok && !t->away && t->last_ok < 0) { /* an answer was but just now */
		t->away = true;
		t->away_sent = t->sent[which];
	}
	if (ok) {
		t->last_ok = now;
		t->away = t->away && t->sent[which] < t->away_sent;
	}
}

/* The rule of consul_reachable, for every order in which two calls are sent and end at about
 * the same time. */
static void
test_reachable(void)
{
	static const enum event orders[][4] = {
		{ SEND_A, END_A, SEND_B, END_B },
		{ SEND_A, SEND_B, END_A, END_B },
		{ SEND_A, SEND_B, END_B, END_A },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(orders) * 4; i++) {
		bool ok[HELD] = { i & 1, (i & 2) != 0 };
		struct script s;
		struct trial t = { .s = &s, .last_ok = -1 };

		open_script(&s);
		s.hold = true;
		for (int now = 0; now < 4; now++) {
			enum event event = orders[i / 4][now];
			int which = event == SEND_B || event == END_B;

			if (event == SEND_A || event == SEND_B)
				trial_send(&t, which, now);
			else
				trial_end(&t, which, ok[which], now);
			CU_ASSERT_EQUAL(consul_reachable(s.consul), !t.away);
		}
		close_script(&s);
	}
}

/* A connection that ends is no outage if something was answered within the last second; it is
 * one if nothing has been since. */
static void
test_stumble(void)
{
	struct script s;
	struct trial t = { .s = &s, .last_ok = -1 };

	open_script(&s);
	s.hold = true;
	for (int which = 0; which < HELD; which++) {
		trial_send(&t, which, 2 * which);
		trial_end(&t, which, which == 0, 2 * which + 1);
		CU_ASSERT_TRUE(consul_reachable(s.consul));
	}
	trial_send(&t, 0, 4);
	run_for(s.loop, 1010);
	t.told[0] = 0;
	trial_end(&t, 0, false, 5);
	CU_ASSERT_FALSE(consul_reachable(s.consul));
	close_script(&s);
}

static void
test_cancel(void)
{
	struct consul_request request = { .path = "/v1/x", .timeout_ms = 50 };
	struct consul_call *calls[20];
	struct script s;

	open_script(&s);
	s.hang = true;
	for (size_t i = 0; i < ARRAY_LENGTH(calls); i++) {
		request.channel = i % CONSUL_CHANNELS;
		calls[i] = consul_send(s.consul, &request, on_done, &s);
	}
	for (size_t i = 0; i < ARRAY_LENGTH(calls); i += 2)
		consul_cancel(calls[i]);
	consul_cancel(NULL);
	run_for(s.loop, 200);
	CU_ASSERT_EQUAL(s.told, ARRAY_LENGTH(calls) / 2);
	request.timeout_ms = LIMIT_MS;
	consul_send(s.consul, &request, on_done, &s);
	run_for(s.loop, 20);
	close_script(&s);
	CU_ASSERT_EQUAL(s.told, ARRAY_LENGTH(calls) / 2);
	consul_free(NULL);
}

/* Where nothing changed calls go on. Where something did they end, never from within, without
 * an answer, and one that was cancelled by then is not heard of; the new address and the new
 * token count at once. */
static void
test_reload(void)
{
	struct consul_request request = { .path = "/v1/x", .timeout_ms = LIMIT_MS };
	struct script s;

	open_script(&s);
	s.hold = true;
	struct conf_consul same = s.conf, next = s.conf;
	consul_send(s.consul, &request, on_done, &s);
	run_for(s.loop, 50);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s.held);
	consul_reload(s.consul, &same);
	scripted_answer(s.held, 200, "", "7");
	CU_ASSERT_TRUE(until(s.loop, was_told, &s, LIMIT_MS));
	CU_ASSERT_STRING_EQUAL(s.json, "7");

	s.told = 0;
	consul_send(s.consul, &request, on_done, &s);
	struct consul_call *call = consul_send(s.consul, &request, on_done, &s);
	run_for(s.loop, 50);
	next.token = (char *)(uintptr_t) "fresh";
	next.address = xasprintf("%s/", scripted_address(s.server));
	consul_reload(s.consul, &next);
	CU_ASSERT_EQUAL(s.told, 0);
	consul_cancel(call);
	CU_ASSERT_TRUE(until(s.loop, was_told, &s, LIMIT_MS));
	CU_ASSERT_EQUAL(s.reply.result, CONSUL_AWAY);
	CU_ASSERT_TRUE(consul_reachable(s.consul));
	run_for(s.loop, 50);
	CU_ASSERT_EQUAL(s.told, 1);
	s.hold = false;
	ask(&s, NULL);
	CU_ASSERT_EQUAL(s.reply.result, CONSUL_OK);
	CU_ASSERT_PTR_NOT_NULL(strstr(s.request, "X-Consul-Token: fresh\r\n"));
	close_script(&s);
	free(next.address);
}

static bool
was_asked(void *arg)
{
	return ((struct script *)arg)->asked > 0;
}

/* Calls that hang hold up none of another channel, and stay within the host's share of the
 * agent's connections. */
static void
test_channels(void)
{
	static const struct consul_request beat = { .channel = CONSUL_HEART };
	struct consul_request request = { .path = "/v1/hangs", .timeout_ms = LIMIT_MS };
	struct script s;

	open_script(&s);
	s.hang = true;
	for (int i = 0; i < HANGING * CONSUL_HEART; i++) {
		request.channel = (enum consul_channel)(i % CONSUL_HEART);
		consul_send(s.consul, &request, on_done, &s);
	}
	CU_ASSERT_TRUE(until(s.loop, was_asked, &s, LIMIT_MS));
	run_for(s.loop, 50);
	CU_ASSERT_TRUE(s.asked + 1 < 16);
	s.hang = false;
	ask(&s, &beat);
	CU_ASSERT_EQUAL(s.reply.result, CONSUL_OK);
	close_script(&s);
}

static void
test_backoff(void)
{
	CU_ASSERT_EQUAL(consul_backoff(0), 0);
	CU_ASSERT_EQUAL(consul_backoff(1), 0);
	for (unsigned int failures = 2; failures < 100; failures++) {
		int64_t most = failures < 8 ? 100 << (failures - 2) : 5000;
		int64_t least = most, greatest = 0;

		for (int i = 0; i < 200; i++) {
			int64_t ms = consul_backoff(failures);

			least = ms < least ? ms : least;
			greatest = ms > greatest ? ms : greatest;
		}
		CU_ASSERT_TRUE(least >= most / 2 && greatest <= most);
		CU_ASSERT_TRUE(greatest - least > most / 5);
	}
	CU_ASSERT_TRUE(consul_backoff(UINT32_MAX) <= 5000);
}

static void
test_escape(void)
{
	char out[16], all[800], in[256];
	size_t len = 0;

	for (int c = 1; c < 256; c++)
		in[len++] = (char)c;
	in[len] = '\0';
	consul_escape(all, sizeof(all), in);
	CU_ASSERT_EQUAL(strlen(all), 66 + (255 - 66) * 3);
	CU_ASSERT_EQUAL(strspn(all,
			    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ%-._~"
			    "abcdefghijklmnopqrstuvwxyz"),
	    strlen(all));
	consul_escape(out, sizeof(out), "a/b c:\xc3\xa4?");
	CU_ASSERT_STRING_EQUAL(out, "a%2Fb%20c%3A%C3");
	consul_escape(out, 1, "a");
	CU_ASSERT_STRING_EQUAL(out, "");
}

/* What the scripted Consul is sent: the scope in the query, the password as RFC 7617 has it. */
static void
test_scope(void)
{
	static char datacenter[] = "dc1", namespace[] = "team-a", auth[] = "user:p:w";
	struct consul_request request = { .path = "/v1/kv/a?recurse" };
	struct script s;

	open_script(&s);
	ask(&s, &request);
	CU_ASSERT_PTR_NOT_NULL(strstr(s.request, "GET /v1/kv/a?recurse HTTP"));
	CU_ASSERT_PTR_NULL(strstr(s.request, "Authorization"));
	consul_free(s.consul);
	s.conf.datacenter = datacenter;
	s.conf.namespace = namespace;
	s.conf.auth = auth;
	s.consul = consul_new(s.loop, &s.conf);
	ask(&s, &request);
	CU_ASSERT_PTR_NOT_NULL(
	    strstr(s.request, "GET /v1/kv/a?recurse&dc=dc1&ns=team-a HTTP"));
	CU_ASSERT_PTR_NOT_NULL(
	    strstr(s.request, "\r\nAuthorization: Basic dXNlcjpwOnc=\r\n"));
	close_script(&s);
}

static const struct tap_case cases[] = {
	{ "a request has its scope and the password", test_scope },
	{ "every status and text has its result", test_results },
	{ "no answer is no answer", test_away },
	{ "what is sent, and what comes with an answer", test_request },
	{ "the token file is read again when it changes", test_token },
	{ "a token of the environment", test_plain_token },
	{ "away and back, in every order", test_reachable },
	{ "who has answered just now is not away", test_stumble },
	{ "cancelled calls are not heard of", test_cancel },
	{ "another way to Consul", test_reload },
	{ "no channel waits for another", test_channels },
	{ "waits grow and differ", test_backoff },
	{ "segments of a path are escaped", test_escape },
};

TAP_MAIN("consul", cases)
