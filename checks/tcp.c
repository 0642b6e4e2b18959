/* SPDX-License-Identifier: ISC */
/*
 * The check type `tcp`: the port accepts a connection, and, if asked for, answers as
 * expected. `send` is said first, `expect` is looked for in what has come so far. The
 * descriptor belongs to the run: finish and cancel are the two places that close it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/resolve.h"
#include "agent/base/url.h"
#include "agent/base/util.h"
#include "checks/builtin.h"
#include "checks/check.h"
#include "checks/expression.h"

#define ANSWER_MAX 4096 /* bytes that are read and looked at */

struct tcp_check {
	char *address, *send, *expect;
	/* made by prepare */
	char host[254];
	uint16_t port;
	struct expression *expected;
};

struct tcp_run {
	bool open;
	int fd;
	size_t sent, len;
	char answer[ANSWER_MAX];
};

static const struct check_option options[] = {
	{ "address", CHECK_OPTION_TEXT, offsetof(struct tcp_check, address),
	    .required = true },
	{ "send", CHECK_OPTION_TEXT, offsetof(struct tcp_check, send) },
	{ "expect", CHECK_OPTION_TEXT, offsetof(struct tcp_check, expect) },
	{ NULL },
};

static void
release(void *conf)
{
	struct tcp_check *check = conf;

	expression_free(check->expected);
	check->expected = NULL;
}

static int
split_address(struct tcp_check *check, char *why, size_t why_size)
{
	const char *colon = strrchr(check->address, ':');
	char fault[120];

	if (colon != NULL && url_port(colon + 1, &check->port, why, why_size) != 0)
		return -1;
	if (resolve_split(check->address, check->host, sizeof(check->host),
		&check->port, fault, sizeof(fault)) == 0) {
		if (url_is_host(check->host))
			return 0;
		str_copy(fault, sizeof(fault), "neither an address nor a host name");
	}
	snprintf(why, why_size,
	    "%s, expected \"host:port\", \"192.0.2.1:80\" or \"[2001:db8::1]:80\"",
	    fault);
	return -1;
}

static int
prepare(void *conf, const char **option, char *why, size_t why_size)
{
	struct tcp_check *check = conf;

	*option = "address";
	if (split_address(check, why, why_size) != 0)
		return -1;
	*option = "expect";
	if (check->expect == NULL)
		return 0;
	check->expected = expression_new(check->expect, why, why_size);
	return check->expected != NULL ? 0 : -1;
}

static void
hang_up(struct check_run *run)
{
	struct tcp_run *tcp = check_state(run);

	check_unwatch(run);
	if (tcp->open)
		close(tcp->fd);
	tcp->open = false;
}

static void
pass(struct check_run *run, const char *how)
{
	const struct tcp_check *check = check_conf(run);

	hang_up(run);
	check_done(run, CHECK_PASSING, CHECK_REASON_OK, "%s: %s", check->address, how);
}

static void
fail(struct check_run *run, enum check_reason reason, const char *why)
{
	const struct tcp_check *check = check_conf(run);
	enum check_status status =
	    reason == CHECK_REASON_LOCAL ? CHECK_UNKNOWN : CHECK_CRITICAL;

	hang_up(run);
	check_done(run, status, reason, "%s: %s", check->address, why);
}

/* What went wrong by its number: at the other end, on the way, or here. */
static void
fail_errno(struct check_run *run, int error)
{
	switch (error) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
	case EAGAIN: /* connect(2): no local port is left */
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT: fail(run, CHECK_REASON_LOCAL, strerror(error)); break;
	case ETIMEDOUT: fail(run, CHECK_REASON_TIMEOUT, strerror(error)); break;
	case ECONNRESET:
	case EPIPE: fail(run, CHECK_REASON_CLOSED, strerror(error)); break;
	default: fail(run, CHECK_REASON_REFUSED, strerror(error));
	}
}

static void
fail_answer(struct check_run *run)
{
	const struct tcp_check *check = check_conf(run);
	const struct tcp_run *tcp = check_state(run);

	hang_up(run);
	if (tcp->len == 0)
		check_done(run, CHECK_CRITICAL, CHECK_REASON_CLOSED,
		    "%s: the connection was closed before an answer", check->address);
	else
		check_done(run, CHECK_CRITICAL, CHECK_REASON_BODY,
		    "%s: the answer is not as expected\n%.*s", check->address,
		    (int)tcp->len, tcp->answer);
}

static void
readable(struct check_run *run, unsigned int events)
{
	const struct tcp_check *check = check_conf(run);
	struct tcp_run *tcp = check_state(run);
	ssize_t n =
	    read(tcp->fd, tcp->answer + tcp->len, sizeof(tcp->answer) - tcp->len);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			fail_errno(run, errno);
		return;
	}
	tcp->len += (size_t)n;
	if (n > 0 && expression_matches(check->expected, tcp->answer, tcp->len))
		pass(run, "answered as expected");
	else if (n == 0 || tcp->len == sizeof(tcp->answer))
		fail_answer(run);
}

static void
writable(struct check_run *run, unsigned int events)
{
	const struct tcp_check *check = check_conf(run);
	struct tcp_run *tcp = check_state(run);
	size_t len = check->send != NULL ? strlen(check->send) : 0;

	if (tcp->sent < len) {
		ssize_t n = send(
		    tcp->fd, check->send + tcp->sent, len - tcp->sent, MSG_NOSIGNAL);
		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				fail_errno(run, errno);
			return;
		}
		tcp->sent += (size_t)n;
	}
	if (tcp->sent < len)
		return;
	if (check->expected != NULL)
		check_watch(run, tcp->fd, CHECK_READ, readable);
	else
		pass(run, len > 0 ? "connected, and took what was sent" : "connected");
}

/* A port that nobody listens on can be given to our own end: TCP then connects it to
 * itself (RFC 9293, 3.5, simultaneous open). */
static bool
is_own_end(int fd)
{
	struct sockaddr_storage here = { 0 }, there = { 0 };
	socklen_t here_len = sizeof(here), there_len = sizeof(there);

	return getsockname(fd, (struct sockaddr *)&here, &here_len) == 0 &&
	    getpeername(fd, (struct sockaddr *)&there, &there_len) == 0 &&
	    here_len == there_len && memcmp(&here, &there, here_len) == 0;
}

static void
connected(struct check_run *run, unsigned int events)
{
	struct tcp_run *tcp = check_state(run);
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(tcp->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error == 0 && is_own_end(tcp->fd))
		error = ECONNREFUSED;
	if (error != 0)
		fail_errno(run, error);
	else
		check_watch(run, tcp->fd, CHECK_WRITE, writable);
}

static void
found(struct check_run *run, const struct check_address *address, size_t count,
    const char *why)
{
	struct tcp_run *tcp = check_state(run);

	if (address == NULL) {
		fail(run, CHECK_REASON_RESOLVE, why);
		return;
	}
	tcp->fd = socket(
	    address->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (tcp->fd < 0) {
		fail_errno(run, errno);
		return;
	}
	tcp->open = true;
	if (connect(tcp->fd, &address->sa, address->len) == 0 || errno == EINPROGRESS)
		check_watch(run, tcp->fd, CHECK_WRITE, connected);
	else
		fail_errno(run, errno);
}

static void
start(struct check_run *run)
{
	const struct tcp_check *check = check_conf(run);

	check_resolve(run, check->host, check->port, found);
}

const struct check_class check_tcp_class = {
	.abi = CHECK_ABI,
	.name = "tcp",
	.help = "connects to a port and, if asked, says something and reads the answer",
	.conf_size = sizeof(struct tcp_check),
	.run_size = sizeof(struct tcp_run),
	.options = options,
	.prepare = prepare,
	.release = release,
	.start = start,
	.cancel = hang_up,
};
