/* SPDX-License-Identifier: ISC */
/*
 * A real Consul for tests that need one: started in dev mode on ports that were free a
 * moment ago, asked by a client of a few lines, killed at the end or with this process.
 * Nothing of lictor is used here, so that a fault of ours cannot hide itself.
 */
#include "tests/unit/consul_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "tests/unit/tap.h"

#define PORTS 4 /* http, server, serf LAN, serf WAN */
#define FIRST_PORT 11000
#define PLACES 5000u
#define START_MS 20000
#define ASK_MS 5000

struct consul_server {
	pid_t pid;
	uint16_t ports[PORTS];
	char address[40];
};

static bool
runs(const char *path)
{
	return path[0] != '\0' && access(path, X_OK) == 0;
}

static bool
find_on_path(char *out, size_t size)
{
	const char *path = getenv("PATH");

	while (path != NULL && *path != '\0') {
		int len = (int)strcspn(path, ":");

		snprintf(out, size, "%.*s/consul", len, path);
		if (len > 0 && runs(out))
			return true;
		path += len;
		path += *path == ':';
	}
	return false;
}

const char *
consul_server_program(void)
{
	static char found[4096];
	const char *given = getenv("CONSUL"), *cache = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");

	if (given != NULL && runs(given))
		return given;
	if (find_on_path(found, sizeof(found)))
		return found;
	if (cache != NULL && *cache != '\0')
		snprintf(found, sizeof(found), "%s/lictor/consul", cache);
	else
		snprintf(found, sizeof(found), "%s/.cache/lictor/consul",
		    home != NULL ? home : "");
	return runs(found) ? found : NULL;
}

static int
bind_at(uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool
are_free(const uint16_t ports[PORTS])
{
	int fds[PORTS];
	bool ok = true;

	for (int i = 0; i < PORTS; i++) {
		fds[i] = bind_at(ports[i]);
		ok = ok && fds[i] >= 0;
	}
	for (int i = 0; i < PORTS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return ok;
}

/* Many of these start at once: each has its own to try, below those that the kernel gives. */
static bool
find_ports(uint16_t ports[PORTS])
{
	for (unsigned int turn = 0; turn < PLACES; turn++) {
		unsigned int place = ((unsigned int)getpid() + turn * 97) % PLACES;
		for (unsigned int i = 0; i < PORTS; i++)
			ports[i] = (uint16_t)(FIRST_PORT + PORTS * place + i);
		if (are_free(ports))
			return true;
	}
	return false;
}

static void
run_server(const char *program, const uint16_t ports[PORTS], const char *extra)
{
	static const char *const flags[PORTS] = { "-http-port", "-server-port",
		"-serf-lan-port", "-serf-wan-port" };
	char values[PORTS][32];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; i < PORTS; i++)
		snprintf(values[i], sizeof(values[i]), "%s=%u", flags[i], ports[i]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	execl(program, program, "agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1",
	    "-node=dev", "-dns-port=-1", "-grpc-port=-1", values[0], values[1],
	    values[2], values[3], "-hcl", extra, (char *)NULL);
	_exit(127);
}

static int
connect_to(const struct consul_server *server)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(server->ports[0]),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct timeval limit = { .tv_sec = ASK_MS / 1000 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

int
consul_server_ask(const struct consul_server *server, const char *method,
    const char *path, const char *body, char *out, size_t size)
{
	AUTO_CLOSE int fd = connect_to(server);
	AUTO_FREE char *request = NULL;
	struct buf answer = { .limit = 1u << 20 };
	char part[4096];
	const char *start;
	ssize_t got;
	int status = -1;

	if (fd < 0)
		return -1;
	request = xasprintf("%s %s HTTP/1.0\r\nContent-Length: %zu\r\n\r\n%s", method,
	    path, body != NULL ? strlen(body) : 0, body != NULL ? body : "");
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		return -1;
	while ((got = recv(fd, part, sizeof(part), 0)) > 0)
		buf_add(&answer, part, (size_t)got);
	start = answer.data != NULL ? strstr(answer.data, "\r\n\r\n") : NULL;
	if (start != NULL && got == 0)
		status = (int)strtol(answer.data + strlen("HTTP/1.0 "), NULL, 10);
	if (status > 0 && size > 0)
		str_copy(out, size, start + 4);
	buf_free(&answer);
	return status;
}

static bool
has_leader(const struct consul_server *server, int status)
{
	char text[64] = "";

	return consul_server_ask(server, "GET", "/v1/status/leader", NULL, text,
		   sizeof(text)) == 200 &&
	    strstr(text, "127.0.0.1:") != NULL &&
	    consul_server_ask(
		server, "PUT", "/v1/kv/started", "yes", text, sizeof(text)) == status;
}

/* Its own node can have sessions: later than it has a leader. Shown if nothing is denied. */
static bool
has_node(const struct consul_server *server)
{
	char text[1024] = "";

	return consul_server_ask(server, "GET", "/v1/health/node/dev", NULL, text,
		   sizeof(text)) == 200 &&
	    strstr(text, "serfHealth") != NULL;
}

void
consul_server_stop(struct consul_server *server)
{
	if (server == NULL)
		return;
	if (server->pid > 0) {
		kill(server->pid, SIGKILL);
		waitpid(server->pid, NULL, 0);
	}
	free(server);
}

/* With more configuration, until a write is answered with `status`. */
static struct consul_server *
start(const char *extra, int status)
{
	const char *program = consul_server_program();
	struct consul_server *server = xcalloc(1, sizeof(*server));
	int64_t end = clock_boot_ms() + START_MS;

	if (program == NULL || !find_ports(server->ports)) {
		free(server);
		return NULL;
	}
	snprintf(server->address, sizeof(server->address), "http://127.0.0.1:%u",
	    server->ports[0]);
	server->pid = fork();
	if (server->pid == 0)
		run_server(program, server->ports, extra);
	while (clock_boot_ms() < end) {
		if (has_leader(server, status) && (status != 200 || has_node(server)))
			return server;
		poll(NULL, 0, 50);
	}
	consul_server_stop(server);
	return NULL;
}

struct consul_server *
consul_server_start(void)
{
	return start("", 200);
}

struct consul_server *
consul_server_start_strict(void)
{
	return start("acl { enabled = true default_policy = \"deny\" }", 403);
}

int
consul_server_main(int argc, char **argv, const char *name,
    const struct tap_case *cases, size_t count, struct consul_server **server)
{
	if (consul_server_program() == NULL) {
		puts("1..0 # SKIP there is no Consul here");
		return 0;
	}
	int status = tap_apart(argc, argv, cases, count);
	if (status >= 0)
		return status;
	*server = consul_server_start();
	if (*server == NULL) {
		puts("Bail out! Consul did not start");
		return 1;
	}
	status = tap_main(argc, argv, name, cases, count);
	consul_server_stop(*server);
	return status;
}

const char *
consul_server_address(const struct consul_server *server)
{
	return server->address;
}

void
consul_server_freeze(struct consul_server *server)
{
	kill(server->pid, SIGSTOP);
	waitpid(server->pid, NULL, WUNTRACED);
}

void
consul_server_thaw(struct consul_server *server)
{
	kill(server->pid, SIGCONT);
}
