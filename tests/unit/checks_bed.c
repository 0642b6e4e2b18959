/* SPDX-License-Identifier: ISC */
/*
 * Checks of built-in types as the scheduler runs them, on a real loop: http and tcp against a
 * small server in this process that answers as it is asked, script against a runner that is a
 * function here. Options are filled in by the types' own tables, as the configuration does it.
 */
#include "tests/unit/checks_bed.h"

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
#include "agent/base/util.h"
#include "agent/health/run.h"
#include "agent/health/sched.h"
#include "tests/unit/tap.h"

#define PEERS_MAX 1024
#define LIMIT_MS 20000
#define ONCE_MS 1000000000 /* no second tick while a test runs */

struct peer {
	struct server *server;
	int fd;
	struct loop_io *io;
	struct buf asked;
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

const struct check_option *
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

void
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

void *
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

struct bench *
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

struct conf_check *
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

void
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

void
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
