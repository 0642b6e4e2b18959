/* SPDX-License-Identifier: ISC */
/*
 * The check type `udp` against a small server on loopback, in both families, that answers
 * what it is told to.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "tests/unit/one_run.h"
#include "tests/unit/tap.h"

struct server {
	int fd, other; /* `other` is a stranger, on another port */
	struct loop_io *io;
	char address[64]; /* as options have it */
	int told;
};

union place {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static void
on_asked(void *arg, unsigned int events)
{
	struct server *server = arg;
	char asked[70000];
	union place from;
	socklen_t from_len = sizeof(from);
	ssize_t n = recvfrom(
	    server->fd, asked, sizeof(asked) - 1, MSG_DONTWAIT, &from.sa, &from_len);

	if (n < 0)
		return;
	server->told++;
	asked[n] = '\0';
	if (strcmp(asked, "SILENCE") == 0)
		return;
	if (strcmp(asked, "STRANGER") == 0)
		sendto(server->other, "stranger", 8, 0, &from.sa, from_len);
	if (strcmp(asked, "NOTHING") == 0)
		sendto(server->fd, "", 0, 0, &from.sa, from_len);
	else if (strcmp(asked, "LONG") == 0)
		sendto(server->fd, memset(asked, 'x', 60000), 60000, 0, &from.sa,
		    from_len);
	else if (n == 2 && memcmp(asked, "\xff", 2) == 0)
		sendto(server->fd, "high", 4, 0, &from.sa, from_len);
	else if (n == 0)
		sendto(server->fd, "nothing came", 12, 0, &from.sa, from_len);
	else
		sendto(server->fd, asked, (size_t)n, 0, &from.sa, from_len);
}

static socklen_t
loopback(int family, union place *out)
{
	*out = (union place){ .sa.sa_family = (sa_family_t)family };
	if (family == AF_INET)
		out->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		out->in6.sin6_addr = in6addr_loopback;
	return family == AF_INET ? sizeof(out->in) : sizeof(out->in6);
}

/* False: the family is not to be had. */
static bool
server_open(struct server *server, struct loop *loop, int family)
{
	union place here;
	socklen_t len = loopback(family, &here);

	*server = (struct server){ 0 };
	server->fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	server->other = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (server->fd < 0 || bind(server->fd, &here.sa, len) != 0 ||
	    bind(server->other, &here.sa, len) != 0) {
		printf("# family %d is not to be had\n", family);
		close(server->fd);
		close(server->other);
		return false;
	}
	getsockname(server->fd, &here.sa, &len);
	snprintf(server->address, sizeof(server->address),
	    family == AF_INET ? "127.0.0.1:%u" : "[::1]:%u",
	    ntohs(here.in.sin_port)); /* at the same place in both */
	server->io = loop_io_new(loop, server->fd, on_asked, server);
	loop_io_watch(server->io, LOOP_READ);
	return true;
}

static void
server_close(struct server *server)
{
	loop_io_free(server->io);
	close(server->fd);
	close(server->other);
}

#define OK CHECK_PASSING, CHECK_REASON_OK
#define BODY CHECK_CRITICAL, CHECK_REASON_BODY
#define REFUSED CHECK_CRITICAL, CHECK_REASON_REFUSED

static const struct {
	const char *options;
	enum check_status status;
	enum check_reason reason;
	const char *says;
} rows[] = {
	{ "send = 'hello'", OK, ": answered" },
	{ "", OK, ": answered" },
	{ "expect = '^nothing came$'", OK, "answered as expected" },
	{ "send = '' expect = '^nothing came$'", OK, "answered as expected" },
	{ "send = 'hello' expect = '^h.*o$'", OK, "answered as expected" },
	{ "send = 'hello' expect = '^H'", BODY, "not as expected\nhello" },
	{ "send = '\\x00\\x7f\\n\\x5c' expect = '^\\x00\\x7f\\n\\x5c$'", OK,
	    "answered" },
	{ "send = '\\xff\\0' expect = '^high$'", OK, "answered" },
	{ "send = 'NOTHING'", OK, ": answered" },
	{ "send = 'NOTHING' expect = '^$'", OK, ": answered" },
	{ "send = 'NOTHING' expect = '.'", BODY, "not as expected\n" },
	{ "send = 'LONG' expect = '^x{4096}$'", OK, ": answered" },
	{ "send = 'LONG' expect = 'y'", BODY, "not as expected\nxxxx" },
	{ "send = 'STRANGER' expect = '^STRANGER$'", OK, ": answered" },
};

static void
try_all(int family)
{
	struct one_run *bench = one_run_new();
	struct server server;
	char section[256];

	CU_ASSERT_PTR_NOT_NULL(bench);
	if (!server_open(&server, one_run_loop(bench), family)) {
		one_run_free(bench);
		return;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		snprintf(section, sizeof(section), "udp \"u\" { address = \"%s\" %s }",
		    server.address, rows[i].options);
		one_run_expect(
		    bench, section, rows[i].status, rows[i].reason, rows[i].says);
	}
	CU_ASSERT_EQUAL(server.told, ARRAY_LENGTH(rows));
	snprintf(section, sizeof(section),
	    "udp \"u\" { address = \"%s\" send = 'SILENCE' }", server.address);
	one_run_expect_silence(bench, section);
	char gone[64];
	str_copy(gone, sizeof(gone), server.address);
	server_close(&server);
	snprintf(section, sizeof(section), "udp \"u\" { address = \"%s\" }", gone);
	one_run_expect(bench, section, REFUSED, "Connection refused");
	one_run_free(bench);
}

static void
test_ipv4(void)
{
	try_all(AF_INET);
}

static void
test_ipv6(void)
{
	try_all(AF_INET6);
}

/* localhost is 127.0.0.1, where it is refused, and ::1. */
static void
test_all_addresses(void)
{
	struct one_run *bench = one_run_new();
	struct server server;
	char section[256];

	CU_ASSERT_PTR_NOT_NULL(bench);
	if (server_open(&server, one_run_loop(bench), AF_INET6)) {
		snprintf(section, sizeof(section),
		    "udp \"u\" { address = \"localhost:%s\" send = 'hello' }",
		    strrchr(server.address, ':') + 1);
		one_run_expect(bench, section, OK, ": answered");
		CU_ASSERT_EQUAL(server.told, 1);
		server_close(&server);
		one_run_expect(bench, section, REFUSED, "Connection refused");
	}
	one_run_free(bench);
}

static void
test_no_way(void)
{
	struct one_run *bench = one_run_new();
	struct rlimit limit, none;

	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &none), 0);
	const struct one_run_outcome *outcome =
	    one_run(bench, "udp \"u\" { address = \"127.0.0.1:1\" }", 1000);
	CU_ASSERT_TRUE(outcome->ended);
	CU_ASSERT_EQUAL(outcome->status, CHECK_UNKNOWN);
	CU_ASSERT_EQUAL(outcome->reason, CHECK_REASON_LOCAL);
	CU_ASSERT_STRING_EQUAL(outcome->text, "127.0.0.1:1: Too many open files");
	/* nor can a name be asked for: not the service's fault, which the check need not
	 * know */
	one_run_expect(bench, "udp \"u\" { address = \"a-name.invalid:1\" }",
	    CHECK_UNKNOWN, CHECK_REASON_LOCAL, "could not be asked for: ");
	setrlimit(RLIMIT_NOFILE, &limit);
	one_run_free(bench);
}

static const struct tap_case cases[] = {
	{ "over IPv4", test_ipv4 },
	{ "over IPv6", test_ipv6 },
	{ "all addresses of a name", test_all_addresses },
	{ "no way to ask", test_no_way },
};

TAP_MAIN("udp", cases)
