/* SPDX-License-Identifier: ISC */
/*
 * How a stream gets its connection, on a loopback of its own where that can be had: which of
 * a name's addresses wins, and that what is our own fault is never the server's.
 */
#include "agent/base/race.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/resolve.h"
#include "agent/base/util.h"
#include "tests/unit/name_server.h"
#include "tests/unit/stream_bed.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

struct order {
	char host[2][INET6_ADDRSTRLEN];
	size_t n;
};

static void
on_order(
    void *arg, const union resolve_address *addresses, size_t count, const char *why)
{
	struct order *order = arg;

	order->n = count;
	for (size_t i = 0; i < count && i < 2; i++)
		resolve_format(&addresses[i].sa, order->host[i], INET6_ADDRSTRLEN);
}

static bool
has_order(void *arg)
{
	return ((struct order *)arg)->n > 0;
}

/* Two addresses of one name, in the order in which they are tried. */
static bool
find_order(struct world *w, const char *name, struct order *order)
{
	if (!name_server_world()) {
		printf("# no namespaces: names were not tried\n");
		CU_ASSERT_TRUE(true);
		return false;
	}
	name_server_file("/etc/hosts",
	    "127.0.0.2 two.test\n127.0.0.3 two.test\n127.0.0.4 both.test\n::1 "
	    "both.test\n");
	world_open(w);
	*order = (struct order){ .n = 0 };
	resolve_start(w->resolve, name, on_order, order);
	CU_ASSERT_TRUE_FATAL(until(w->loop, has_order, order, LIMIT_MS));
	CU_ASSERT_EQUAL_FATAL(order->n, 2);
	return true;
}

static const char *const race_names[] = { "two.test", "both.test" };

/* The first address does not answer: the second is tried after 250 ms, and wins. */
static void
test_race_past_a_silent_address(void)
{
	for (size_t i = 0; i < ARRAY_LENGTH(race_names); i++) {
		struct world w;
		struct order order;
		struct hole hole;
		struct client c;
		if (!find_order(&w, race_names[i], &order))
			return;
		hole_open(&hole, order.host[0]);
		struct server *server =
		    server_new(w.loop, order.host[1], PORT, ECHO, 16);
		int64_t start = clock_raw_ms();
		run_client(&w, &c, race_names[i], PORT, "hm", 2);
		CU_ASSERT_TRUE(clock_raw_ms() - start >= 240);
		CU_ASSERT_EQUAL(c.error, NET_OK);
		CU_ASSERT_EQUAL(server->accepted, 1);
		client_free(&c);
		server_free(server);
		hole_close(&hole);
		world_close(&w);
	}
}

/* Two answer: the first has it, the other is not asked. */
static void
test_race_is_won_by_the_first(void)
{
	for (size_t i = 0; i < ARRAY_LENGTH(race_names); i++) {
		struct world w;
		struct order order;
		struct client c;
		if (!find_order(&w, race_names[i], &order))
			return;
		struct server *first =
		    server_new(w.loop, order.host[0], PORT, ECHO, 16);
		struct server *second =
		    server_new(w.loop, order.host[1], PORT, ECHO, 16);
		run_client(&w, &c, race_names[i], PORT, "hm", 2);
		CU_ASSERT_EQUAL(first->accepted, 1);
		CU_ASSERT_EQUAL(second->accepted, 0);
		client_free(&c);
		server_free(first);
		/* and the second at once when the first refuses */
		int64_t start = clock_raw_ms();
		run_client(&w, &c, race_names[i], PORT, "hm", 2);
		CU_ASSERT_TRUE(clock_raw_ms() - start < 240);
		CU_ASSERT_EQUAL(c.error, NET_OK);
		CU_ASSERT_EQUAL(second->accepted, 1);
		client_free(&c);
		server_free(second);
		run_client(&w, &c, race_names[i], PORT, "hm", 2);
		CU_ASSERT_EQUAL(c.error, NET_REFUSED);
		client_free(&c);
		world_close(&w);
	}
}

/* Closed while it resolves, while both are tried, and when the time is up between. */
static void
test_race_is_called_off(void)
{
	struct world w;
	struct order order;
	struct hole holes[2];
	struct client c;

	if (!find_order(&w, "two.test", &order))
		return;
	hole_open(&holes[0], order.host[0]);
	hole_open(&holes[1], order.host[1]);
	for (int64_t ms = 0; ms <= 300; ms += 150) {
		client_open(&w, &c, "two.test", PORT, "hm", 2);
		if (ms > 0)
			run_for(w.loop, ms);
		CU_ASSERT_FALSE(c.over);
		client_free(&c);
	}
	run_for(w.loop, 20);
	hole_close(&holes[0]);
	hole_close(&holes[1]);
	world_close(&w);
}

static void
set_port_range(const char *range)
{
	AUTO_CLOSE int fd =
	    open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY | O_CLOEXEC);

	CU_ASSERT_EQUAL_FATAL(write(fd, range, strlen(range)), (ssize_t)strlen(range));
}

/* The only local ports that there are: one of them is the port that is asked for, where
 * nobody listens. The kernel connects it to itself. */
static void
test_own_end_is_nobody(void)
{
	static const char *const hosts[] = { "127.0.0.1", "::1" };
	struct world w;
	struct client c;

	if (!name_server_world()) {
		CU_ASSERT_TRUE(true);
		return;
	}
	set_port_range("40000 40001");
	world_open(&w);
	for (uint16_t i = 0; i < 16; i++) {
		run_client(&w, &c, hosts[i % 2], 40000 + i / 2 % 2, "me?", 3);
		CU_ASSERT_EQUAL(c.error, NET_REFUSED);
		CU_ASSERT_STRING_EQUAL(c.why, "the connection was refused");
		client_free(&c);
	}
	world_close(&w);
	set_port_range("32768 60999");
}

static void
test_no_local_port_is_local(void)
{
	struct world w;
	struct client c[3];

	if (!name_server_world()) {
		CU_ASSERT_TRUE(true);
		return;
	}
	set_port_range("40000 40001");
	world_open(&w);
	struct server *server = server_new(w.loop, "127.0.0.1", PORT, MUTE, 16);
	for (int i = 0; i < 3; i++) {
		client_open(&w, &c[i], "127.0.0.1", PORT, "", 0);
		run_for(w.loop, 20);
	}
	client_wait(&w, &c[2]);
	CU_ASSERT_EQUAL(c[2].error, NET_LOCAL);
	CU_ASSERT_STRING_EQUAL(c[2].why, "no local port is left");
	for (int i = 0; i < 3; i++)
		client_free(&c[i]);
	server_free(server);
	world_close(&w);
	set_port_range("32768 60999");
}

/* How many the process could still open. */
static int
spare_descriptors(void)
{
	int fds[64], count = 0;

	while (count < 64 && (fds[count] = dup(STDERR_FILENO)) >= 0)
		count++;
	for (int i = 0; i < count; i++)
		close(fds[i]);
	return count;
}

/* The process may have 64 descriptors, 200 want to connect. All of this in a child, which
 * says with its exit status what was wrong. */
static int
exhaust(void)
{
	struct rlimit few = { 64, 64 };
	struct client c[200];
	size_t in = 0, local = 0;
	struct world w;

	setrlimit(RLIMIT_NOFILE, &few);
	world_open(&w);
	struct server *server = server_new(w.loop, "127.0.0.1", 0, MUTE, 256);
	uint16_t port = server_port(server);
	loop_io_watch(server->io, 0); /* the peers would need descriptors too */
	for (int i = 0; i < 200; i++)
		client_open(&w, &c[i], "127.0.0.1", port, "", 0);
	run_for(w.loop, 50);
	int spare = spare_descriptors();
	for (int i = 0; i < 200; i++) {
		in += c[i].connected && !c[i].over;
		local += c[i].over && c[i].error == NET_LOCAL &&
		    strcmp(c[i].why, "no descriptor is left") == 0;
		client_free(&c[i]);
	}
	/* a quarter is for the rest of the process */
	if (in < 24 || in + local != 200 || spare < 16)
		return 1;
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 32; i++) {
			client_open(&w, &c[i], "127.0.0.1", port, "", 0);
			c[i].close_at = CONNECTED;
			if (!until(w.loop, is_over, &c[i], LIMIT_MS) ||
			    c[i].error != NET_OK)
				return 2;
		}
	server_free(server);
	world_close(&w);
	return 0;
}

static void
test_no_descriptor_is_local(void)
{
	int pipes[2], status = -1;
	char said[4096] = "";
	size_t len = 0;
	ssize_t n;

	fflush(stdout);
	CU_ASSERT_EQUAL_FATAL(pipe(pipes), 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		_exit(exhaust());
	}
	close(pipes[1]);
	while ((n = read(pipes[0], said + len, sizeof(said) - 1 - len)) > 0)
		len += (size_t)n;
	close(pipes[0]);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	const char *first = strstr(said, "no descriptor is left");
	CU_ASSERT_PTR_NOT_NULL_FATAL(first);
	CU_ASSERT_PTR_NULL(strstr(first + 1, "no descriptor"));
}

static const struct tap_case cases[] = {
	{ "a silent address costs 250 ms", test_race_past_a_silent_address },
	{ "the first address that answers wins", test_race_is_won_by_the_first },
	{ "a race is called off", test_race_is_called_off },
	{ "our own end is nobody", test_own_end_is_nobody },
	{ "no local port is our own fault", test_no_local_port_is_local },
	{ "no descriptor is our own fault", test_no_descriptor_is_local },
};

TAP_MAIN("stream_race", cases)
