/* SPDX-License-Identifier: ISC */
/*
 * A web server that misbehaves as a table says. What is said after a request is chosen by
 * the path, so one process serves all such acts, plain or with TLS; an act that does not
 * wait for the request has a port of its own. Processes inherit the table by fork.
 */
#include "tests/unit/hostile_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "tests/unit/tap.h"
#include "tests/unit/tls_server.h"

#define REQUEST_MAX 8192

struct plain_server {
	pid_t pid;
	uint16_t port;
};

/* The ports of one act, or of all that wait for the request (the last one). */
struct pair {
	struct plain_server plain;
	struct tls_server *tls;
};

struct hostile {
	char *folder;
	size_t count;
	struct pair *pairs; /* count + 1 */
};

/* Of the server's process: its table, and the act that it is for, or NULL. */
static struct {
	const char *acts;
	size_t count, size;
	const struct hostile_act *only;
} here;

static const struct hostile_act *
act_at(size_t i)
{
	return (const struct hostile_act *)(const void *)(here.acts + i * here.size);
}

/* ---- a connection, with TLS or without ---- */

struct end {
	int fd;
	struct tls_peer *peer; /* NULL: plain */
};

static ssize_t
hear(const struct end *end, char *data, size_t size)
{
	return end->peer != NULL ? tls_peer_read(end->peer, data, size)
				 : recv(end->fd, data, size, 0);
}

static void
say(const struct end *end, const char *data, size_t len)
{
	while (len > 0 && end->peer == NULL) {
		ssize_t n = send(end->fd, data, len, MSG_NOSIGNAL);
		if (n <= 0)
			pthread_exit(NULL);
		data += n;
		len -= (size_t)n;
	}
	if (len > 0)
		tls_peer_write(end->peer, data, len);
}

static void
say_slowly(const struct end *end, const char *data, size_t len, int pause_ms)
{
	size_t piece = pause_ms > 0 ? 1 : len;

	for (size_t at = 0; at < len; at += piece) {
		say(end, data + at, piece);
		if (pause_ms > 0)
			poll(NULL, 0, pause_ms);
	}
}

static void
say_for_ever(const struct end *end, const char *text, int pause_ms)
{
	char block[4096];
	size_t len = strlen(text), used = 0;

	while (pause_ms == 0 && used + len <= sizeof(block)) {
		memcpy(block + used, text, len);
		used += len;
	}
	for (;;) {
		say(end, pause_ms == 0 ? block : text, pause_ms == 0 ? used : len);
		if (pause_ms > 0)
			poll(NULL, 0, pause_ms);
	}
}

static void
finish(const struct end *end, enum hostile_end how)
{
	struct linger linger = { 1, 0 };
	char data[4096];

	switch (how) {
	case HOSTILE_CLOSE:
		if (end->peer != NULL)
			tls_peer_end(end->peer);
		break;
	case HOSTILE_CUT: break;
	case HOSTILE_RESET:
		setsockopt(end->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		break;
	case HOSTILE_STAY:
		while (hear(end, data, sizeof(data)) > 0)
			continue;
		break;
	}
}

static void
act_out(const struct end *end, const struct hostile_act *act)
{
	say_slowly(end, act->bytes, act->len, act->pause_ms);
	if (act->again != NULL)
		say_for_ever(end, act->again, act->pause_ms);
	finish(end, act->end);
}

/* "GET /name HTTP/1.1", read to the end of its head. */
static const struct hostile_act *
read_request(const struct end *end)
{
	char text[REQUEST_MAX];
	size_t len = 0;

	do {
		ssize_t n = hear(end, text + len, sizeof(text) - 1 - len);
		if (n <= 0)
			return NULL;
		len += (size_t)n;
		text[len] = '\0';
	} while (strstr(text, "\r\n\r\n") == NULL && len < sizeof(text) - 1);
	const char *path = strstr(text, " /");
	for (size_t i = 0; i < here.count && path != NULL; i++) {
		size_t name = strlen(act_at(i)->name);
		if (strncmp(path + 2, act_at(i)->name, name) == 0 &&
		    path[2 + name] == ' ')
			return act_at(i);
	}
	return NULL;
}

static void
converse(const struct end *end)
{
	const struct hostile_act *act = here.only;

	if (act == NULL)
		act = read_request(end);
	if (act != NULL)
		act_out(end, act);
}

/* ---- servers ---- */

static void
serve_tls(struct tls_peer *peer)
{
	struct end end = { tls_peer_fd(peer), peer };

	converse(&end);
}

static void
close_plain(void *arg)
{
	close((int)(intptr_t)arg);
}

static void *
serve_plain(void *arg)
{
	struct end end = { (int)(intptr_t)arg, NULL };

	pthread_cleanup_push(close_plain, arg);
	converse(&end);
	pthread_cleanup_pop(1);
	return NULL;
}

static _Noreturn void
serve_all(int listener)
{
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		intptr_t fd = accept(listener, NULL, NULL);
		if (pthread_create(&thread, NULL, serve_plain, (void *)fd) == 0)
			pthread_detach(thread);
	}
}

static void
plain_start(struct plain_server *server)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&address, len), 0);
	CU_ASSERT_EQUAL_FATAL(listen(listener, 128), 0);
	getsockname(listener, (struct sockaddr *)&address, &len);
	server->port = ntohs(address.sin_port);
	server->pid = fork();
	CU_ASSERT_FATAL(server->pid >= 0);
	if (server->pid == 0)
		serve_all(listener);
	close(listener);
}

static void
pair_start(struct hostile *hostile, struct pair *pair, const struct hostile_act *only)
{
	struct tls_server_conf conf = {
		.folder = hostile->folder,
		.certificate = "good.pem",
		.serve = serve_tls,
	};

	here.only = only;
	plain_start(&pair->plain);
	pair->tls = tls_server_start(&conf);
}

struct hostile *
hostile_start(const struct hostile_act *acts, size_t count, size_t size)
{
	static const struct tls_certificate certificates[] = {
		{ .file = "ca.pem", .name = "Our CA", .authority = true },
		{ .file = "good.pem",
		    .issuer = "ca.pem",
		    .alternatives = "IP:127.0.0.1" },
	};
	struct hostile *hostile = xcalloc(1, sizeof(*hostile));

	hostile->folder = tls_folder_new();
	for (size_t i = 0; i < ARRAY_LENGTH(certificates); i++)
		tls_certificate_make(hostile->folder, &certificates[i]);
	hostile->count = count;
	hostile->pairs = xcalloc(count + 1, sizeof(*hostile->pairs));
	here.acts = (const char *)acts;
	here.count = count;
	here.size = size;
	for (size_t i = 0; i < count; i++)
		if (act_at(i)->at_once)
			pair_start(hostile, &hostile->pairs[i], act_at(i));
	pair_start(hostile, &hostile->pairs[count], NULL);
	return hostile;
}

void
hostile_stop(struct hostile *hostile)
{
	for (size_t i = 0; i <= hostile->count; i++) {
		struct pair *pair = &hostile->pairs[i];
		if (pair->tls == NULL)
			continue;
		kill(pair->plain.pid, SIGKILL);
		waitpid(pair->plain.pid, NULL, 0);
		tls_server_stop(pair->tls);
	}
	tls_folder_free(hostile->folder);
	free(hostile->pairs);
	free(hostile);
}

const char *
hostile_folder(const struct hostile *hostile)
{
	return hostile->folder;
}

uint16_t
hostile_port(const struct hostile *hostile, size_t act, bool tls)
{
	const struct pair *pair = &hostile->pairs[act];

	if (pair->tls == NULL)
		pair = &hostile->pairs[hostile->count];
	return tls ? tls_server_port(pair->tls) : pair->plain.port;
}
