/* SPDX-License-Identifier: ISC */
/*
 * The built-in types of check as the scheduler runs them, on a real loop: http and tcp
 * against a small server in this process that answers as it is asked, script against
 * a runner that is a function here. Options are filled in by the types' own tables, as the
 * configuration does it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/fetch.h"
#include "agent/base/http.h"
#include "agent/base/loop.h"
#include "agent/base/resolve.h"
#include "agent/base/stream.h"
#include "agent/base/tls.h"
#include "agent/base/url.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/health/run.h"
#include "agent/health/sched.h"
#include "checks/builtin.h"
#include "checks/check.h"
#include "checks/expression.h"
#include "tests/unit/tap.h"
#include "tests/unit/tls_server.h"

#define CHECKS_MAX 800
#define PEERS_MAX 1024
#define LIMIT_MS 20000
#define ONCE_MS 1000000000 /* no second tick while a test runs */

/* --- the server --- */

struct peer {
	struct server *server;
	int fd;
	struct loop_io *io;
	struct buf asked;
};

struct server {
	struct loop *loop;
	int fd;
	uint16_t port;
	struct loop_io *io;
	struct loop_timer *later;
	struct peer *peers[PEERS_MAX], *slow;
	size_t n_peers;
};

static void
say(struct peer *peer, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = send(peer->fd, text, len, MSG_NOSIGNAL);
		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

static void
hang_up(struct peer *peer)
{
	loop_io_free(peer->io);
	peer->io = NULL;
	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = -1;
}

static void
say_http(struct peer *peer, int status, const char *extra, const char *body, size_t len)
{
	AUTO_FREE char *head = xasprintf(
	    "HTTP/1.1 %d X\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n",
	    status, extra, len);

	say(peer, head, strlen(head));
	say(peer, body, len);
	hang_up(peer);
}

/* "near" is within what expect-body sees, "far" is not. */
static void
answer_big(struct peer *peer)
{
	AUTO_FREE char *body = xasprintf("%060000d near %09000d far", 0, 0);

	say_http(peer, 200, "", body, strlen(body));
}

static void
answer_http(struct peer *peer, const char *path)
{
	static const char json[] =
	    "{\"status\":{\"db\":\"up\"},\"n\":3,\"items\":[\"a\",\"b\"]}";
	static const char endless[] = "HTTP/1.1 200 OK\r\n\r\n";
	uint64_t status;
	char word[64];

	snprintf(word, sizeof(word), "%.*s", (int)strcspn(path, " "), path);
	if (strncmp(word, "/status/", 8) == 0 &&
	    parse_uint(word + 8, 0, 999, &status) == 0)
		say_http(peer, (int)status, "", "said so\n", 8);
	else if (strcmp(word, "/echo") == 0)
		say_http(peer, 200, "", peer->asked.data, peer->asked.len);
	else if (strcmp(word, "/json") == 0)
		say_http(peer, 200, "", json, strlen(json));
	else if (strcmp(word, "/endless") == 0)
		say(peer, endless, strlen(endless));
	else if (strcmp(word, "/redirect") == 0)
		say_http(peer, 302, "Location: /status/204\r\n", "", 0);
	else if (strcmp(word, "/big") == 0)
		answer_big(peer);
	else if (strcmp(word, "/garbage") == 0)
		say(peer, "what do you want?\r\n\r\n", 21);
	else if (strcmp(word, "/hang") != 0)
		hang_up(peer);
	if (strcmp(word, "/garbage") == 0)
		hang_up(peer);
}

static void
on_later(void *arg)
{
	struct server *server = arg;

	say(server->slow, "NG\r\n", 4);
}

static void
answer_line(struct peer *peer)
{
	static char noise[8192];
	const char *line = peer->asked.data;

	memset(noise, '~', sizeof(noise));
	if (strcmp(line, "PING\r\n") == 0) {
		say(peer, "+PONG\r\n", 7);
	} else if (strcmp(line, "SLOW\r\n") == 0) {
		say(peer, "+PO", 3);
		peer->server->slow = peer;
		loop_timer_after(peer->server->later, 20);
	} else if (strcmp(line, "NOISE\r\n") == 0) {
		say(peer, noise, sizeof(noise));
	} else if (strcmp(line, "SORRY\r\n") == 0) {
		say(peer, "-NO\033\r\n", 7);
		hang_up(peer);
	} else if (strncmp(line, "ECHO", 4) == 0) {
		say(peer, line, peer->asked.len);
	} else if (strcmp(line, "CLOSE\r\n") == 0) {
		hang_up(peer);
	}
}

static void
on_asked(void *arg, unsigned int events)
{
	struct peer *peer = arg;
	char chunk[4096];
	ssize_t n = recv(peer->fd, chunk, sizeof(chunk), MSG_DONTWAIT);

	if (n <= 0) {
		hang_up(peer);
		return;
	}
	buf_add(&peer->asked, chunk, (size_t)n);
	const char *path = strstr(peer->asked.data, " /");
	if (path != NULL && strstr(peer->asked.data, "\r\n\r\n") != NULL)
		answer_http(peer, path + 1);
	else if (path == NULL && peer->asked.data[peer->asked.len - 1] == '\n')
		answer_line(peer);
}

static void
on_peer(void *arg, unsigned int events)
{
	struct server *server = arg;
	int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0 || server->n_peers == PEERS_MAX) {
		CU_FAIL("a peer that cannot be taken");
		return;
	}
	struct peer *peer = xcalloc(1, sizeof(*peer));
	*peer = (struct peer){ server, fd, NULL, { .limit = 8192 } };
	peer->io = loop_io_new(server->loop, fd, on_asked, peer);
	loop_io_watch(peer->io, LOOP_READ);
	server->peers[server->n_peers++] = peer;
}

static struct server *
server_new(struct loop *loop)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct server *server = xcalloc(1, sizeof(*server));
	socklen_t len = sizeof(address);

	server->loop = loop;
	server->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL(bind(server->fd, (struct sockaddr *)&address, len), 0);
	CU_ASSERT_EQUAL(listen(server->fd, 512), 0);
	CU_ASSERT_EQUAL(getsockname(server->fd, (struct sockaddr *)&address, &len), 0);
	server->port = ntohs(address.sin_port);
	server->io = loop_io_new(loop, server->fd, on_peer, server);
	loop_io_watch(server->io, LOOP_READ);
	server->later = loop_timer_new(loop, on_later, server);
	return server;
}

static void
server_free(struct server *server)
{
	for (size_t i = 0; i < server->n_peers; i++) {
		hang_up(server->peers[i]);
		buf_free(&server->peers[i]->asked);
		free(server->peers[i]);
	}
	loop_timer_free(server->later);
	loop_io_free(server->io);
	close(server->fd);
	free(server);
}

/* --- options, as the configuration fills them in --- */

static const struct check_option *
find_option(const struct check_class *class, const char *name)
{
	const struct check_option *option = class->options;

	while (option->name != NULL && strcmp(option->name, name) != 0)
		option++;
	return option->name != NULL ? option : NULL;
}

static char **
split_list(const char *text)
{
	char **list = xcalloc(8, sizeof(*list));
	size_t n = 0;

	while (n < 7) {
		size_t len = strcspn(text, "|");
		list[n++] = xstrndup(text, len);
		if (text[len] == '\0')
			break;
		text += len + 1;
	}
	return list;
}

static void
set_option(void *conf, const struct check_option *option, const char *value)
{
	char *member = (char *)conf + option->offset;

	switch (option->type) {
	case CHECK_OPTION_TEXT:
	case CHECK_OPTION_FILE:
	case CHECK_OPTION_USER:
	case CHECK_OPTION_DIRECTORY: {
		char *copy = xstrdup(value);
		free(*(char **)member);
		memcpy(member, &copy, sizeof(copy));
		break;
	}
	case CHECK_OPTION_LIST:
	case CHECK_OPTION_COMMAND:
	case CHECK_OPTION_ENVIRONMENT: {
		char **list = split_list(value);
		memcpy(member, &list, sizeof(list));
		break;
	}
	case CHECK_OPTION_BOOL: {
		bool on = strcmp(value, "true") == 0;
		memcpy(member, &on, sizeof(on));
		break;
	}
	case CHECK_OPTION_MEMORY:
	case CHECK_OPTION_PROCESSES:
	case CHECK_OPTION_FILES:
	case CHECK_OPTION_UINT: {
		uint64_t number = 0;
		CU_ASSERT_EQUAL(
		    parse_uint(value, option->min, option->max, &number), 0);
		memcpy(member, &number, sizeof(number));
		break;
	}
	case CHECK_OPTION_DURATION:
		CU_FAIL("no type that is tested here has one");
		break;
	}
}

static void
free_options(const struct check_class *class, void *conf)
{
	if (class->release != NULL)
		class->release(conf);
	for (const struct check_option *o = class->options; o->name != NULL; o++) {
		char *member = (char *)conf + o->offset;
		if (o->type == CHECK_OPTION_BOOL || o->type == CHECK_OPTION_UINT)
			continue;
		void *value;
		memcpy(&value, member, sizeof(value));
		bool list = o->type == CHECK_OPTION_LIST ||
		    o->type == CHECK_OPTION_COMMAND ||
		    o->type == CHECK_OPTION_ENVIRONMENT;
		for (char **p = value; list && p != NULL && *p != NULL; p++)
			free(*p);
		free(value);
	}
	free(conf);
}

/* "name=value" after another, NULL at the end. */
static void *
make_options(const struct check_class *class, const char *const *given)
{
	void *conf = xcalloc(1, class->conf_size);

	for (const struct check_option *o = class->options; o->name != NULL; o++)
		if (o->value != NULL)
			set_option(conf, o, o->value);
	for (; *given != NULL; given++) {
		size_t len = strcspn(*given, "=");
		AUTO_FREE char *name = xstrndup(*given, len);
		const struct check_option *option = find_option(class, name);
		CU_ASSERT_PTR_NOT_NULL(option);
		if (option != NULL)
			set_option(conf, option, *given + len + 1);
	}
	return conf;
}

/* --- the bench --- */

struct result {
	enum check_status status;
	enum check_reason reason;
	char *output;
};

struct bench {
	struct loop *loop;
	struct http *http;
	struct resolve *resolve;
	struct tlss *tlss;
	struct streams *streams;
	struct fetch *fetch;
	struct server *server;
	struct sched *sched;
	struct conf conf;
	struct conf_check checks[CHECKS_MAX], *all[CHECKS_MAX];
	struct conf_command command;
	struct check_exit exits[CHECKS_MAX]; /* what the runner will answer */
	struct result results[CHECKS_MAX];
	struct loop_timer *look;
	int64_t limit;
};

static void
on_news(void *arg, const struct conf_check *check, const struct sched_state *state)
{
}

static void
on_command(void *arg, uint64_t run, const struct conf_check *check, int64_t timeout_ms)
{
	struct bench *b = arg;

	sched_command_ended(b->sched, run, &b->exits[check->index]);
}

static void
on_kill(void *arg, uint64_t run)
{
	CU_FAIL("nothing is to be killed here");
}

static struct bench *
bench_new(void)
{
	struct bench *b = xcalloc(1, sizeof(*b));

	b->loop = loop_new();
	b->http = http_new(b->loop);
	b->resolve = resolve_new(b->loop);
	b->tlss = tlss_new();
	b->streams = streams_new(b->loop, b->resolve, b->tlss);
	b->fetch = fetch_new(b->loop, b->streams);
	b->server = server_new(b->loop);
	b->conf.checks = b->all;
	return b;
}

static struct conf_check *
bench_add(struct bench *b, const struct check_class *class, const char *const *given)
{
	size_t i = b->conf.n_checks++;
	const char *option = NULL;
	char why[200] = "";
	struct conf_check *check = b->all[i] = &b->checks[i];

	*check = (struct conf_check){
		.index = (uint32_t)i,
		.class = class,
		.name = xasprintf("check-%zu", i),
		.options = make_options(class, given),
		.command = class == &check_script_class ? &b->command : NULL,
		.interval_ms = ONCE_MS,
		.fast_interval_ms = ONCE_MS,
		.timeout_ms = 10000,
		.rise = 1,
		.fall = 1,
		.output_size = 1000,
	};
	if (class->prepare(check->options, &option, why, sizeof(why)) != 0)
		CU_FAIL(why);
	return check;
}

static void
on_look(void *arg)
{
	struct bench *b = arg;
	bool ended = true;

	for (size_t i = 0; i < b->conf.n_checks; i++) {
		struct sched_state state;
		sched_state(b->sched, (uint32_t)i, &state);
		ended = ended && state.runs > 0;
	}
	if (ended || loop_now(b->loop) >= b->limit)
		loop_stop(b->loop);
	else
		loop_timer_after(b->look, 10);
}

/* One run of every check; what came of each is in `results`. */
static void
bench_run(struct bench *b)
{
	struct sched_out out = { on_news, on_news, on_command, on_kill, b };

	struct run_servants servants = {
		.loop = b->loop,
		.fetch = b->fetch,
		.http = b->http,
		.resolve = b->resolve,
		.streams = b->streams,
	};
	b->sched = sched_new(&servants, &b->conf, &out);
	b->look = loop_timer_new(b->loop, on_look, b);
	b->limit = loop_now(b->loop) + LIMIT_MS;
	sched_start(b->sched);
	loop_timer_after(b->look, 10);
	loop_run(b->loop);
	loop_timer_free(b->look);
	for (size_t i = 0; i < b->conf.n_checks; i++) {
		struct sched_state state;
		sched_state(b->sched, (uint32_t)i, &state);
		CU_ASSERT_EQUAL(state.runs, 1);
		b->results[i] = (struct result){
			state.known ? state.status : CHECK_UNKNOWN,
			state.reason,
			xstrdup(state.output),
		};
	}
	sched_free(b->sched);
}

static void
bench_free(struct bench *b)
{
	for (size_t i = 0; i < b->conf.n_checks; i++) {
		free_options(b->checks[i].class, b->checks[i].options);
		free(b->checks[i].name);
		free(b->results[i].output);
	}
	server_free(b->server);
	http_free(b->http);
	fetch_free(b->fetch);
	streams_free(b->streams);
	tlss_free(b->tlss);
	resolve_free(b->resolve);
	loop_free(b->loop);
	free(b);
}

/* --- what must come of what --- */

struct row {
	const char *given[8]; /* "%" in the first one stands for the server's port */
	enum check_status status;
	enum check_reason reason;
	const char *says;
	int64_t timeout_ms;
};

static void
check_result(const struct bench *b, size_t i, enum check_status status,
    enum check_reason reason, const char *says)
{
	const struct result *result = &b->results[i];
	bool right = result->status == status && result->reason == reason &&
	    strstr(result->output, says) != NULL;

	if (!right)
		printf("# row %zu: %s, %s: %s\n", i, check_status_name(result->status),
		    check_reason_name(result->reason), result->output);
	CU_ASSERT(right);
}

static void
run_rows(const struct check_class *class, const struct row *rows, size_t n)
{
	struct bench *b = bench_new();

	for (size_t i = 0; i < n; i++) {
		const char *given[8];
		const char *percent = strchr(rows[i].given[0], '%');
		memcpy(given, rows[i].given, sizeof(given));
		AUTO_FREE char *first = percent == NULL
		    ? xstrdup(given[0])
		    : xasprintf("%.*s%u%s", (int)(percent - given[0]), given[0],
			  b->server->port, percent + 1);
		given[0] = first;
		struct conf_check *check = bench_add(b, class, given);
		if (rows[i].timeout_ms > 0)
			check->timeout_ms = rows[i].timeout_ms;
	}
	bench_run(b);
	for (size_t i = 0; i < n; i++)
		check_result(b, i, rows[i].status, rows[i].reason, rows[i].says);
	bench_free(b);
}

static const struct row http_rows[] = {
	{ { "url=http://127.0.0.1:%/status/200" }, CHECK_PASSING, CHECK_REASON_OK,
	    "/status/200: status 200" },
	{ { "url=http://localhost:%/status/200" }, CHECK_PASSING, CHECK_REASON_OK,
	    "status 200" },
	{ { "url=http://127.0.0.1:%/status/503" }, CHECK_CRITICAL, CHECK_REASON_STATUS,
	    "/status/503: status 503\nsaid so" },
	{ { "url=http://127.0.0.1:%/status/404", "expect-status=200-299, 404" },
	    CHECK_PASSING, CHECK_REASON_OK, "status 404" },
	{ { "url=http://127.0.0.1:%/status/429", "expect-status=200" }, CHECK_CRITICAL,
	    CHECK_REASON_STATUS, "status 429" },
	{ { "url=http://127.0.0.1:%/status/200", "expect-body=^said so$" },
	    CHECK_PASSING, CHECK_REASON_OK, "status 200" },
	{ { "url=http://127.0.0.1:%/status/200", "expect-body=^so" }, CHECK_CRITICAL,
	    CHECK_REASON_BODY, "not as expected\nsaid so" },
	{ { "url=http://127.0.0.1:%/status/500", "expect-body=said" }, CHECK_CRITICAL,
	    CHECK_REASON_STATUS, "status 500" },
	{ { "url=http://127.0.0.1:%/big", "expect-body=near" }, CHECK_PASSING,
	    CHECK_REASON_OK, "status 200" },
	{ { "url=http://127.0.0.1:%/big", "expect-body=far" }, CHECK_CRITICAL,
	    CHECK_REASON_BODY, "not as expected\n0000" },
	{ { "url=http://127.0.0.1:%/echo", "method=PUT", "headers=X-One: 1|X-Two: 2",
	      "body=fine",
	      "expect-body=(?s)^PUT /echo .*X-One: 1\r\nX-Two: 2\r\n.*\r\n\r\nfine$" },
	    CHECK_PASSING, CHECK_REASON_OK, "PUT http" },
	{ { "url=http://127.0.0.1:%/status/204", "method=HEAD" }, CHECK_PASSING,
	    CHECK_REASON_OK, "HEAD http" },
	{ { "url=http://127.0.0.1:%/redirect" }, CHECK_CRITICAL, CHECK_REASON_STATUS,
	    "status 302" },
	{ { "url=http://127.0.0.1:%/redirect", "follow=true" }, CHECK_PASSING,
	    CHECK_REASON_OK, "status 204" },
	{ { "url=http://127.0.0.1:%/garbage" }, CHECK_CRITICAL, CHECK_REASON_PROTOCOL,
	    "" },
	{ { "url=http://127.0.0.1:%/close" }, CHECK_CRITICAL, CHECK_REASON_CLOSED, "" },
	{ { "url=http://127.0.0.1:%/hang" }, CHECK_CRITICAL, CHECK_REASON_TIMEOUT,
	    "not done within 1s", 1000 },
	{ { "url=https://127.0.0.1:%/status/200" }, CHECK_CRITICAL,
	    CHECK_REASON_TIMEOUT, "not done", 1000 },
	{ { "url=http://127.0.0.1:1/" }, CHECK_CRITICAL, CHECK_REASON_REFUSED,
	    "127.0.0.1:1" },
	{ { "url=http://127.0.0.1:%/json", "expect-json=status.db=up|n=3|items.1=b" },
	    CHECK_PASSING, CHECK_REASON_OK, "status 200" },
	{ { "url=http://127.0.0.1:%/json", "expect-json=n=3|status.db=down" },
	    CHECK_CRITICAL, CHECK_REASON_BODY,
	    "status 200, but status.db is \"up\", expected down\n{" },
	{ { "url=http://127.0.0.1:%/json", "expect-json=n=3", "expect-body=none" },
	    CHECK_CRITICAL, CHECK_REASON_BODY, "but the body is not as expected\n{" },
	{ { "url=http://127.0.0.1:%/status/200", "expect-json=a=1" }, CHECK_CRITICAL,
	    CHECK_REASON_BODY, "but the body is not JSON\nsaid so" },
	{ { "url=http://127.0.0.1:%/endless" }, CHECK_PASSING, CHECK_REASON_OK,
	    "status 200" },
	{ { "url=http://127.0.0.1:%/endless", "follow=true" }, CHECK_PASSING,
	    CHECK_REASON_OK, "status 200" },
	{ { "url=http://127.0.0.1:%/endless", "expect-body=." }, CHECK_CRITICAL,
	    CHECK_REASON_TIMEOUT, "not done", 1000 },
	{ { "url=http://127.0.0.1:%/status/302" }, CHECK_CRITICAL, CHECK_REASON_STATUS,
	    "/status/302: status 302" },
	{ { "url=http://127.0.0.1:%/status/200", "keep-alive=true" }, CHECK_PASSING,
	    CHECK_REASON_OK, "status 200" },
	{ { "url=http://web.example/status/200", "proxy=http://127.0.0.1:1" },
	    CHECK_CRITICAL, CHECK_REASON_REFUSED, "no connection" },
};

static void
http_outcomes(void)
{
	run_rows(&check_http_class, http_rows, ARRAY_LENGTH(http_rows));
}

static const struct row tcp_rows[] = {
	{ { "address=127.0.0.1:%" }, CHECK_PASSING, CHECK_REASON_OK, ": connected" },
	{ { "address=localhost:%" }, CHECK_PASSING, CHECK_REASON_OK, ": connected" },
	{ { "address=127.0.0.1:%", "send=HELLO\r\n" }, CHECK_PASSING, CHECK_REASON_OK,
	    "took what was sent" },
	{ { "address=127.0.0.1:%", "send=PING\r\n", "expect=^\\+PONG" }, CHECK_PASSING,
	    CHECK_REASON_OK, "answered as expected" },
	{ { "address=127.0.0.1:%", "send=SLOW\r\n", "expect=^\\+PONG" }, CHECK_PASSING,
	    CHECK_REASON_OK, "answered as expected" },
	{ { "address=127.0.0.1:%", "send=SORRY\r\n", "expect=^\\+PONG" },
	    CHECK_CRITICAL, CHECK_REASON_BODY, "not as expected\n-NO\\x1b" },
	{ { "address=127.0.0.1:%", "send=NOISE\r\n", "expect=^\\+PONG" },
	    CHECK_CRITICAL, CHECK_REASON_BODY, "not as expected\n~~~~" },
	{ { "address=127.0.0.1:%", "send=PI\\x4eG\\r\\n", "expect=^\\+PONG" },
	    CHECK_PASSING, CHECK_REASON_OK, "answered as expected" },
	{ { "address=127.0.0.1:%", "send=ECHO\\0\\x7F\\t\\\\\r\n",
	      "expect=^ECHO\\x00\\x7f\t\\\\\r\n$" },
	    CHECK_PASSING, CHECK_REASON_OK, "answered as expected" },
	{ { "address=127.0.0.1:%", "send=CLOSE\r\n", "expect=^\\+PONG" },
	    CHECK_CRITICAL, CHECK_REASON_CLOSED, "closed before an answer" },
	{ { "address=127.0.0.1:%", "expect=^\\+PONG" }, CHECK_CRITICAL,
	    CHECK_REASON_TIMEOUT, "not done within 1s", 1000 },
	{ { "address=127.0.0.1:1" }, CHECK_CRITICAL, CHECK_REASON_REFUSED,
	    "127.0.0.1:1: the connection was refused" },
};

static void
tcp_outcomes(void)
{
	run_rows(&check_tcp_class, tcp_rows, ARRAY_LENGTH(tcp_rows));
}

#define DAY_S 86400
static const struct tls_certificate certificates[] = {
	{ .file = "ca.pem", .name = "Our CA", .authority = true },
	{ .file = "other-ca.pem", .name = "Another CA", .authority = true },
	{ .file = "well.pem",
	    .issuer = "ca.pem",
	    .alternatives = "DNS:db.example,IP:127.0.0.1",
	    .from_s = -DAY_S,
	    .until_s = 9 * DAY_S + DAY_S / 2 },
	{ .file = "old.pem",
	    .issuer = "ca.pem",
	    .alternatives = "IP:127.0.0.1",
	    .from_s = -9 * DAY_S,
	    .until_s = -DAY_S },
};

enum { WELL_SERVER, OLD_SERVER, STRICT_SERVER, TLS_SERVERS };

struct tls_row {
	int server;
	const char *given[6]; /* after "address" and "tls"; @ stands for the folder */
	enum check_status status;
	enum check_reason reason;
	const char *says;
};

#define CA "ca-file=@/ca.pem"
static const struct tls_row tls_rows[] = {
	{ WELL_SERVER, { CA }, CHECK_PASSING, CHECK_REASON_OK, ": connected" },
	{ WELL_SERVER, { CA, "send=PING\\n", "expect=^\\+PONG$" }, CHECK_PASSING,
	    CHECK_REASON_OK, "answered as expected" },
	{ WELL_SERVER, { CA, "send=PING\\n", "expect=^-" }, CHECK_CRITICAL,
	    CHECK_REASON_BODY, "not as expected\n+PONG" },
	{ WELL_SERVER, { CA, "server-name=db.example" }, CHECK_PASSING, CHECK_REASON_OK,
	    ": connected" },
	{ WELL_SERVER, { CA, "server-name=web.example" }, CHECK_CRITICAL,
	    CHECK_REASON_TLS, "web.example" },
	{ WELL_SERVER, { "ca-file=@/other-ca.pem" }, CHECK_CRITICAL, CHECK_REASON_TLS,
	    "authority" },
	{ WELL_SERVER, { "ca-file=@/other-ca.pem", "verify=false" }, CHECK_PASSING,
	    CHECK_REASON_OK, ": connected" },
	{ WELL_SERVER, { "ca-file=@/none.pem" }, CHECK_UNKNOWN, CHECK_REASON_LOCAL,
	    "none.pem" },
	{ WELL_SERVER, { CA, "certificate-warning=9" }, CHECK_PASSING, CHECK_REASON_OK,
	    ": connected" },
	{ WELL_SERVER, { CA, "certificate-warning=10" }, CHECK_WARNING,
	    CHECK_REASON_CERTIFICATE,
	    ": connected, but the certificate ends in 9 days" },
	{ WELL_SERVER, { CA, "certificate-warning=10", "send=PING\\n", "expect=^-" },
	    CHECK_CRITICAL, CHECK_REASON_BODY, "not as expected" },
	{ OLD_SERVER, { CA }, CHECK_CRITICAL, CHECK_REASON_TLS, "expired" },
	{ OLD_SERVER, { CA, "verify=false" }, CHECK_PASSING, CHECK_REASON_OK,
	    ": connected" },
	{ OLD_SERVER, { CA, "verify=false", "certificate-warning=1" }, CHECK_WARNING,
	    CHECK_REASON_CERTIFICATE, ": connected, but the certificate has ended" },
	{ STRICT_SERVER, { CA, "cert-file=@/well.pem", "send=PING\\n", "expect=PONG" },
	    CHECK_PASSING, CHECK_REASON_OK, "answered as expected" },
	{ STRICT_SERVER, { CA, "send=PING\\n", "expect=PONG" }, CHECK_CRITICAL,
	    CHECK_REASON_TLS, "certificate" },
};

static void
serve_pong(struct tls_peer *peer)
{
	char line[64];

	if (tls_peer_read(peer, line, sizeof(line)) <= 0)
		return;
	tls_peer_write(peer, "+PONG", 5);
	tls_peer_end(peer);
}

/* What stands for the folder is replaced. */
static char *
fill_in(const char *given, const char *folder)
{
	const char *at = strchr(given, '@');

	return at == NULL
	    ? xstrdup(given)
	    : xasprintf("%.*s%s%s", (int)(at - given), given, folder, at + 1);
}

static void
add_tls_row(
    struct bench *b, const struct tls_row *row, uint16_t port, const char *folder)
{
	char *given[9] = { xasprintf("address=127.0.0.1:%u", port),
		xstrdup("tls=true") };

	for (size_t i = 0; i < ARRAY_LENGTH(row->given) && row->given[i] != NULL; i++)
		given[i + 2] = fill_in(row->given[i], folder);
	bench_add(b, &check_tcp_class, (const char *const *)given);
	for (size_t i = 0; given[i] != NULL; i++)
		free(given[i]);
}

static void
tcp_with_tls(void)
{
	char *folder = tls_folder_new();
	struct tls_server_conf confs[TLS_SERVERS] = {
		[WELL_SERVER] = { folder, "well.pem", .serve = serve_pong },
		[OLD_SERVER] = { folder, "old.pem", .serve = serve_pong },
		[STRICT_SERVER] = { folder, "well.pem", .client_ca = "ca.pem",
		    .serve = serve_pong },
	};
	struct tls_server *servers[TLS_SERVERS];
	struct bench *b = bench_new();

	for (size_t i = 0; i < ARRAY_LENGTH(certificates); i++)
		tls_certificate_make(folder, &certificates[i]);
	for (size_t i = 0; i < TLS_SERVERS; i++)
		servers[i] = tls_server_start(&confs[i]);
	for (size_t i = 0; i < ARRAY_LENGTH(tls_rows); i++)
		add_tls_row(b, &tls_rows[i],
		    tls_server_port(servers[tls_rows[i].server]), folder);
	bench_run(b);
	for (size_t i = 0; i < ARRAY_LENGTH(tls_rows); i++)
		check_result(
		    b, i, tls_rows[i].status, tls_rows[i].reason, tls_rows[i].says);
	for (size_t i = 0; i < TLS_SERVERS; i++)
		tls_server_stop(servers[i]);
	bench_free(b);
	tls_folder_free(folder);
}

/* Consul's rule for every status that a server can answer with. */
static void
http_statuses(void)
{
	struct bench *b = bench_new();
	int wrong = 0;

	for (unsigned int status = 200; status <= 599; status++) {
		AUTO_FREE char *url = xasprintf(
		    "url=http://127.0.0.1:%u/status/%u", b->server->port, status);
		const char *given[] = { url, NULL };
		bench_add(b, &check_http_class, given);
	}
	bench_run(b);
	for (unsigned int status = 200; status <= 599; status++) {
		const struct result *r = &b->results[status - 200];
		enum check_status ought = CHECK_CRITICAL;
		if (status / 100 == 2)
			ought = CHECK_PASSING;
		if (status == 429)
			ought = CHECK_WARNING;
		wrong += r->status != ought ||
		    r->reason !=
			(ought == CHECK_PASSING ? CHECK_REASON_OK
						: CHECK_REASON_STATUS);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	bench_free(b);
}

/* What an exit status means, written down a second time. */
static enum check_status
exit_rule(size_t convention, int value)
{
	if (value == 0)
		return CHECK_PASSING;
	if (convention == 2 || value > 3)
		return CHECK_CRITICAL;
	if (value == 1)
		return CHECK_WARNING;
	return convention == 1 && value == 3 ? CHECK_UNKNOWN : CHECK_CRITICAL;
}

static void
script_statuses(void)
{
	static const char *const conventions[] = { "convention=consul",
		"convention=nagios", "convention=keepalived" };
	struct bench *b = bench_new();
	int wrong = 0;

	for (size_t i = 0; i < 3 * 256; i++) {
		const char *given[] = { "command=/bin/true", conventions[i / 256],
			NULL };
		bench_add(b, &check_script_class, given);
		b->exits[i] =
		    (struct check_exit){ CHECK_EXITED, (int)(i % 256), "", 0 };
	}
	bench_run(b);
	for (size_t i = 0; i < 3 * 256; i++) {
		int value = (int)(i % 256);
		AUTO_FREE char *says = xasprintf("exit status %d", value);
		wrong += b->results[i].status != exit_rule(i / 256, value) ||
		    strcmp(b->results[i].output, says) != 0;
		if (b->results[i].status != CHECK_UNKNOWN)
			wrong += b->results[i].reason !=
			    (value == 0 ? CHECK_REASON_OK : CHECK_REASON_EXIT);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	bench_free(b);
}

struct ending {
	struct check_exit exit;
	const char *convention;
	enum check_status status;
	enum check_reason reason;
	const char *output;
};

#define OUT(text) text, sizeof(text) - 1
static const struct ending endings[] = {
	{ { CHECK_EXITED, 0, OUT("up\n") }, "consul", CHECK_PASSING, CHECK_REASON_OK,
	    "up" },
	{ { CHECK_EXITED, 1, OUT("two\nlines | a=1\n") }, "consul", CHECK_WARNING,
	    CHECK_REASON_EXIT, "two\nlines | a=1" },
	{ { CHECK_EXITED, 0, OUT("OK | t=0.13s\nmore\nand | x=1\ny=2\n") }, "nagios",
	    CHECK_PASSING, CHECK_REASON_OK, "OK \nmore\nand" },
	{ { CHECK_EXITED, 0, OUT("| t=0.13s\n") }, "nagios", CHECK_PASSING,
	    CHECK_REASON_OK, "exit status 0" },
	{ { CHECK_EXITED, 2, OUT("\0a\0b\0") }, "consul", CHECK_CRITICAL,
	    CHECK_REASON_EXIT, "?a?b?" },
	{ { CHECK_SIGNALLED, 9, OUT("half") }, "nagios", CHECK_CRITICAL,
	    CHECK_REASON_SIGNAL, "half\nkilled by signal 9 (Killed)" },
	{ { CHECK_TIMED_OUT, 0, OUT("") }, "consul", CHECK_CRITICAL,
	    CHECK_REASON_TIMEOUT, "not done in time" },
	{ { CHECK_NOT_RUN, 0, OUT("no such user") }, "keepalived", CHECK_UNKNOWN,
	    CHECK_REASON_LOCAL, "the command could not be run: no such user" },
};

static void
script_endings(void)
{
	struct bench *b = bench_new();

	for (size_t i = 0; i < ARRAY_LENGTH(endings); i++) {
		AUTO_FREE char *convention =
		    xasprintf("convention=%s", endings[i].convention);
		const char *given[] = { "command=/bin/true", convention, NULL };
		bench_add(b, &check_script_class, given);
		b->exits[i] = endings[i].exit;
	}
	bench_run(b);
	for (size_t i = 0; i < ARRAY_LENGTH(endings); i++) {
		CU_ASSERT_EQUAL(b->results[i].status, endings[i].status);
		CU_ASSERT_EQUAL(b->results[i].reason, endings[i].reason);
		CU_ASSERT_STRING_EQUAL(b->results[i].output, endings[i].output);
	}
	bench_free(b);
}

/* The tail of a script's output is what stays, the head of another's. */
static void
script_tail(void)
{
	struct bench *b = bench_new();
	const char *given[] = { "command=/bin/true", NULL };
	AUTO_FREE char *long_text = xasprintf("%08996dtail", 0);

	bench_add(b, &check_script_class, given)->output_size = 6;
	b->exits[0] = (struct check_exit){ CHECK_EXITED, 0, long_text, 9000 };
	bench_run(b);
	CU_ASSERT_STRING_EQUAL(b->results[0].output, "00tail");
	bench_free(b);
}

#define OUTPUT_KEPT 4096

/* Wherever the tail of a monitoring plugin's output begins, no figure becomes text. */
static void
script_cut_figures(void)
{
	struct bench *b = bench_new();
	const char *given[] = { "command=/bin/true", "convention=nagios", NULL };
	static char text[8192];
	size_t len = (size_t)snprintf(text, sizeof(text), "DISK OK - enough |");

	while (len < 4300)
		len += (size_t)snprintf(
		    text + len, sizeof(text) - len, " /fs%03zu=12MB;;;0;99", len);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "\nmore | last=7s\n");
	memset(text + len, ' ', 60);
	for (size_t i = 0; i < 60; i++) {
		bench_add(b, &check_script_class, given);
		b->exits[i] = (struct check_exit){ CHECK_EXITED, 0,
			text + len + i - OUTPUT_KEPT, OUTPUT_KEPT };
	}
	bench_run(b);
	for (size_t i = 0; i < 60; i++)
		CU_ASSERT_STRING_EQUAL(b->results[i].output, "more");
	bench_free(b);
}

struct refusal {
	const struct check_class *class;
	const char *given[6];
	const char *option, *why; /* NULL: it is accepted */
};

#define URL "url=http://127.0.0.1/"
static const struct refusal refusals[] = {
	{ &check_http_class, { URL }, NULL, NULL },
	{ &check_http_class, { "url=ftp://x/" }, "url",
	    "expected: http:// or https://" },
	{ &check_http_class, { "url=http://x:70000/" }, "url",
	    "port 70000 is out of range, expected 1 to 65535" },
	{ &check_http_class, { "url=http://me:secret@x/" }, "url",
	    "a user name, expected none" },
	{ &check_http_class, { URL, "method=get" }, "method", "expected one like GET" },
	{ &check_http_class, { URL, "method=" }, "method", "expected one like GET" },
	{ &check_http_class, { URL, "method=GET /\r\nX: 1" }, "method", "expected" },
	{ &check_http_class, { URL, "headers=A: 1|B" }, "headers", "header 2 is not" },
	{ &check_http_class, { URL, "headers=A: 1\r\nB: 2" }, "headers",
	    "header 1 is" },
	{ &check_http_class, { URL, "headers=A b: 1" }, "headers", "header 1 is not" },
	{ &check_http_class, { URL, "headers=: 1" }, "headers", "header 1 is not" },
	{ &check_http_class, { URL, "body=x", "method=HEAD" }, "body",
	    "HEAD has no body" },
	{ &check_http_class, { URL, "expect-body=x", "method=HEAD" }, "expect-body",
	    "an answer to HEAD has no body" },
	{ &check_http_class, { URL, "expect-json=a=b", "method=HEAD" }, "expect-json",
	    "an answer to HEAD has no body" },
	{ &check_http_class, { URL, "expect-json=a=b|c" }, "expect-json",
	    "\"c\" is not valid, expected \"path=value\"" },
	{ &check_http_class, { URL, "version=2" }, NULL, NULL },
	{ &check_http_class, { URL, "version=3" }, "version", "expected \"1.1\" or" },
	{ &check_http_class, { URL, "proxy=http://p:3128" }, NULL, NULL },
	{ &check_http_class, { URL, "proxy=socks://p" }, "proxy", "expected: http" },
	{ &check_http_class, { URL, "proxy=https://p" }, "proxy",
	    "the scheme https, expected http" },
	{ &check_http_class, { URL, "certificate-warning=14" }, "certificate-warning",
	    "expected an https URL" },
	{ &check_http_class,
	    { "url=https://a/", "certificate-warning=14", "keep-alive=true" }, NULL,
	    NULL },
	{ &check_http_class,
	    { "url=https://a/", "certificate-warning=14", "keep-alive=true",
		"version=2" },
	    "certificate-warning", "expected no keep-alive" },
	{ &check_http_class, { URL, "expect-status=200" }, NULL, NULL },
	{ &check_http_class, { URL, "expect-status=200-299,301 , 302" }, NULL, NULL },
	{ &check_http_class, { URL, "expect-status=99" }, "expect-status", "\"99\"" },
	{ &check_http_class, { URL, "expect-status=200-600" }, "expect-status",
	    "\"200-600\" is not valid, expected 100 to 599" },
	{ &check_http_class, { URL, "expect-status=299-200" }, "expect-status",
	    "299-200" },
	{ &check_http_class, { URL, "expect-status=2xx" }, "expect-status", "\"2xx\"" },
	{ &check_http_class, { URL, "expect-status= ," }, "expect-status",
	    "no status" },
	{ &check_http_class, { URL, "expect-status=0200" }, "expect-status",
	    "\"0200\"" },
	{ &check_http_class,
	    { URL,
		"expect-status=200 201 202 203 204 205 206 207 208 209 210 211 212 213 "
		"214 215 216" },
	    "expect-status", "more than 16" },
	{ &check_http_class, { URL, "expect-body=a(b" }, "expect-body",
	    "at offset 3, expected a regular expression" },
	{ &check_http_class, { URL, "key-file=/x" }, "key-file", "expected cert-file" },
	{ &check_tcp_class, { "address=db:5432" }, NULL, NULL },
	{ &check_tcp_class, { "address=[::1]:5432" }, NULL, NULL },
	{ &check_tcp_class, { "address=127.0.0.1" }, "address",
	    "expected \"host:port\"" },
	{ &check_tcp_class, { "address=127.0.0.1:70000" }, "address",
	    "port 70000 is out of range, expected 1 to 65535" },
	{ &check_tcp_class, { "address=127.0.0.1:0" }, "address",
	    "port 0 is out of range" },
	{ &check_tcp_class, { "address=127.0.0.1:http" }, "address",
	    "port \"http\" is not a number" },
	{ &check_tcp_class, { "address=::1:80" }, "address", "brackets, expected" },
	{ &check_tcp_class, { "address=:80" }, "address", "expected \"host:port\"" },
	{ &check_tcp_class, { "address=x:80", "expect=*" }, "expect", "at offset 0" },
	{ &check_tcp_class, { "address=x:80", "send=a\\" }, "send", "expected \\n, " },
	{ &check_tcp_class, { "address=x:80", "send=\\x4" }, "send", "expected \\n, " },
	{ &check_tcp_class, { "address=x:80", "send=\\a" }, "send", "expected \\n, " },
	{ &check_tcp_class, { "address=x:80", "ca-file=/x" }, "ca-file",
	    "of no use without TLS, expected tls = true" },
	{ &check_tcp_class, { "address=x:80", "cert-file=/x" }, "cert-file", "no use" },
	{ &check_tcp_class, { "address=x:80", "key-file=/x" }, "key-file", "no use" },
	{ &check_tcp_class, { "address=x:80", "server-name=x" }, "server-name",
	    "no use" },
	{ &check_tcp_class, { "address=x:80", "verify=false" }, "verify", "no use" },
	{ &check_tcp_class, { "address=x:80", "certificate-warning=1" },
	    "certificate-warning", "no use" },
	{ &check_tcp_class, { "address=x:80", "tls=true", "certificate-warning=14" },
	    NULL, NULL },
	{ &check_tcp_class, { "address=x:80", "tls=true", "server-name=a b" },
	    "server-name", "\"a b\" is no host name" },
	{ &check_tcp_class, { "address=x:80", "tls=true", "key-file=/x" }, "key-file",
	    "expected cert-file" },
	{ &check_script_class, { "command=/bin/true" }, NULL, NULL },
	{ &check_script_class, { "command=/bin/true", "convention=nagios" }, NULL,
	    NULL },
	{ &check_script_class, { "command=/bin/true", "convention=posix" },
	    "convention",
	    "\"posix\" is not known, expected consul, nagios or keepalived" },
};

static void
options_are_judged(void)
{
	for (size_t i = 0; i < ARRAY_LENGTH(refusals); i++) {
		const struct refusal *row = &refusals[i];
		void *conf = make_options(row->class, row->given);
		const char *option = NULL;
		char why[200] = "";
		int error = row->class->prepare(conf, &option, why, sizeof(why));
		bool right = row->why == NULL ? error == 0
					      : error == -1 && option != NULL &&
			strcmp(option, row->option) == 0 &&
			strstr(why, row->why) != NULL;
		if (!right)
			printf("# row %zu: %s: %s\n", i, option, why);
		CU_ASSERT(right);
		free_options(row->class, conf);
	}
}

static void
tables_are_sound(void)
{
	static const struct check_class *const classes[] = { &check_http_class,
		&check_tcp_class, &check_script_class };

	for (size_t i = 0; i < ARRAY_LENGTH(classes); i++) {
		const struct check_class *class = classes[i];
		CU_ASSERT_EQUAL(class->abi, CHECK_ABI);
		CU_ASSERT(class->name != NULL && class->help != NULL);
		for (const struct check_option *o = class->options; o->name != NULL;
		     o++) {
			CU_ASSERT(o->offset < class->conf_size);
			CU_ASSERT_PTR_EQUAL(find_option(class, o->name), o);
			CU_ASSERT_FALSE(o->required && o->value != NULL);
		}
	}
}

static const struct {
	const char *text, *host; /* NULL: refused */
	uint16_t port;
	bool tls;
} urls[] = {
	{ "http://a", "a", 80, false },
	{ "https://a/", "a", 443, true },
	{ "http://db-1.lan:8080/x?y=1#z", "db-1.lan", 8080, false },
	{ "http://10.0.0.1?x", "10.0.0.1", 80, false },
	{ "https://[fd00::1]:65535", "fd00::1", 65535, true },
	{ "http://[::1]/", "::1", 80, false },
	{ "http://a/@:99999", "a", 80, false },
	{ "HTTP://a", NULL },
	{ "http:/a", NULL },
	{ "http://", NULL },
	{ "http:///x", NULL },
	{ "http://:80", NULL },
	{ "http://a:", NULL },
	{ "http://a:0", NULL },
	{ "http://a:65536", NULL },
	{ "http://a:080", NULL },
	{ "http://a:+80", NULL },
	{ "http://a:18446744073709551617", NULL },
	{ "http://a b/", NULL },
	{ "http://a/\n", NULL },
	{ "http://\xc3\xa4/", NULL },
	{ "http://a/\xc3\xa4", NULL },
	{ "http://a/\x7f", NULL },
	{ "http://u@a/", NULL },
	{ "http://u:p@a/", NULL },
	{ "http://::1/", NULL },
	{ "http://[::1", NULL },
	{ "http://[::1]x", NULL },
	{ "http://[::g]/", NULL },
	{ "http://[10.0.0.1]/", NULL },
	{ "http://10.0.0/", NULL },
	{ "http://10.0.0.256/", NULL },
	{ "http://a..b/", NULL },
	{ "http://.a/", NULL },
	{ "http://a\\b/", NULL },
};

static void
urls_are_split(void)
{
	for (size_t i = 0; i < ARRAY_LENGTH(urls); i++) {
		struct url url = { .port = 7 };
		char why[160] = "";
		int error = url_split(urls[i].text, &url, why, sizeof(why));
		if (urls[i].host == NULL) {
			CU_ASSERT(error < 0 && strstr(why, "expected") != NULL);
			CU_ASSERT_EQUAL(url.port, 7);
		} else {
			CU_ASSERT_EQUAL(error, 0);
			CU_ASSERT_STRING_EQUAL(url.host, urls[i].host);
			CU_ASSERT_EQUAL(url.port, urls[i].port);
			CU_ASSERT_EQUAL(url.tls, urls[i].tls);
		}
	}
}

/* A host too long for a name does not overflow, and neither does any shorter one. */
static void
long_hosts(void)
{
	for (int len = 1; len < 300; len++) {
		AUTO_FREE char *text = xasprintf("http://a%0*d.b", len, 0);
		struct url url;
		char why[160];
		CU_ASSERT_EQUAL(url_split(text, &url, why, sizeof(why)) == 0,
		    (size_t)len + 3 < sizeof(url.host));
	}
}

static void
expressions(void)
{
	static const char not_utf8[] = "\xff\xfe up \x80";
	AUTO_FREE char *many = xcalloc(1, 5001);
	char why[160];

	memset(many, 'a', 5000);
	struct expression *up = expression_new("\\bup\\b", why, sizeof(why));
	struct expression *endless = expression_new("(a+)+[bc]", why, sizeof(why));
	CU_ASSERT(expression_matches(up, not_utf8, sizeof(not_utf8) - 1));
	CU_ASSERT_FALSE(expression_matches(up, "upper", 5));
	CU_ASSERT_FALSE(expression_matches(up, "", 0));
	CU_ASSERT_FALSE(expression_matches(endless, many, 5000));
	CU_ASSERT_PTR_NULL(expression_new("\\C", why, sizeof(why)));
	expression_free(up);
	expression_free(endless);
	expression_free(NULL);
}

static const struct tap_case cases[] = {
	{ "tables of options are sound", tables_are_sound },
	{ "options are judged when they are read", options_are_judged },
	{ "URLs are taken apart strictly", urls_are_split },
	{ "hosts of any length fit or are refused", long_hosts },
	{ "expressions take any bytes and end", expressions },
	{ "http judges what it is answered", http_outcomes },
	{ "every HTTP status is judged by Consul's rule", http_statuses },
	{ "tcp judges what it is answered", tcp_outcomes },
	{ "tcp with TLS", tcp_with_tls },
	{ "every exit status under every convention", script_statuses },
	{ "how a command ended is said", script_endings },
	{ "the tail of a script's output stays", script_tail },
	{ "figures whose beginning is lost are no text", script_cut_figures },
};
TAP_MAIN("checks", cases)
