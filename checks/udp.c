/* SPDX-License-Identifier: ISC */
/*
 * The check type `udp`: a datagram is sent and one comes back, as expected if that is asked
 * for. UDP has no connection, so silence cannot be told from a service that takes what it
 * is sent and says nothing: only an answer passes, and its lack is a timeout. What ICMP says
 * ("port unreachable") is heard at once.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checks/address.h"
#include "checks/builtin.h"
#include "checks/bytes.h"
#include "checks/check.h"
#include "checks/datagram.h"
#include "checks/expression.h"

#define ANSWER_MAX 4096 /* bytes that are looked at */
#define SEND_MAX 65507 /* what fits an IPv4 datagram */

struct udp_check {
	char *address, *send, *expect;
	/* made by prepare */
	struct address to;
	char *bytes; /* what `send` stands for */
	size_t n_bytes;
	struct expression *expected;
};

struct udp_run {
	struct datagram datagram;
	char answer[ANSWER_MAX];
};

static const struct check_option options[] = {
	{ "address", CHECK_OPTION_TEXT, offsetof(struct udp_check, address),
	    .required = true },
	{ "send", CHECK_OPTION_TEXT, offsetof(struct udp_check, send) },
	{ "expect", CHECK_OPTION_TEXT, offsetof(struct udp_check, expect) },
	{ NULL },
};

static void
release(void *conf)
{
	struct udp_check *check = conf;

	expression_free(check->expected);
	check->expected = NULL;
	free(check->bytes);
	check->bytes = NULL;
}

static int
prepare(void *conf, const char **option, char *why, size_t why_size)
{
	struct udp_check *check = conf;

	*option = "address";
	if (address_parse(check->address, 0, &check->to, why, why_size) != 0)
		return -1;
	*option = "send";
	check->bytes = bytes_parse(
	    check->send != NULL ? check->send : "", &check->n_bytes, why, why_size);
	if (check->bytes == NULL)
		return -1;
	if (check->n_bytes > SEND_MAX) {
		snprintf(why, why_size,
		    "%zu bytes are too long for a datagram, expected at most %d",
		    check->n_bytes, SEND_MAX);
		return -1;
	}
	*option = "expect";
	if (check->expect == NULL)
		return 0;
	check->expected = expression_new(check->expect, why, why_size);
	return check->expected != NULL ? 0 : -1;
}

static void
cancel(struct check_run *run)
{
	struct udp_run *udp = check_state(run);

	check_unwatch(run);
	datagram_close(&udp->datagram);
}

static void
take_answer(struct check_run *run, size_t len)
{
	const struct udp_check *check = check_conf(run);
	const struct udp_run *udp = check_state(run);

	cancel(run);
	if (check->expected == NULL)
		check_done(run, CHECK_PASSING, CHECK_REASON_OK, "%s: answered",
		    check->address);
	else if (expression_matches(check->expected, udp->answer, len))
		check_done(run, CHECK_PASSING, CHECK_REASON_OK,
		    "%s: answered as expected", check->address);
	else
		check_done(run, CHECK_CRITICAL, CHECK_REASON_BODY,
		    "%s: the answer is not as expected\n%.*s", check->address, (int)len,
		    udp->answer);
}

static void try_next(struct check_run *run);

static void
readable(struct check_run *run, unsigned int events)
{
	struct udp_run *udp = check_state(run);
	ssize_t n = recv(udp->datagram.fd, udp->answer, sizeof(udp->answer), 0);

	if (n >= 0) {
		take_answer(run, (size_t)n);
		return;
	}
	if (errno == EAGAIN || errno == EINTR)
		return;
	int error = errno;
	check_unwatch(run);
	datagram_failed(&udp->datagram, error);
	try_next(run);
}

static void
try_next(struct check_run *run)
{
	const struct udp_check *check = check_conf(run);
	struct udp_run *udp = check_state(run);
	struct datagram *datagram = &udp->datagram;

	while (datagram_next(datagram, DATAGRAM_UDP)) {
		if (send(datagram->fd, check->bytes, check->n_bytes, 0) >= 0) {
			check_watch(run, datagram->fd, CHECK_READ, readable);
			return;
		}
		datagram_failed(datagram, errno);
	}
	check_done(run, datagram_status(datagram->error),
	    datagram_reason(datagram->error), "%s: %s", check->address,
	    strerror(datagram->error));
}

static void
found(struct check_run *run, const struct check_address *addresses, size_t count,
    const char *why)
{
	const struct udp_check *check = check_conf(run);
	struct udp_run *udp = check_state(run);

	if (addresses == NULL) {
		check_done(run, CHECK_CRITICAL, CHECK_REASON_RESOLVE, "%s: %s",
		    check->address, why);
		return;
	}
	datagram_take(&udp->datagram, addresses, count);
	try_next(run);
}

static void
start(struct check_run *run)
{
	const struct udp_check *check = check_conf(run);

	check_resolve(run, check->to.host, check->to.port, found);
}

const struct check_class check_udp_class = {
	.abi = CHECK_ABI,
	.name = "udp",
	.help = "sends a datagram and waits for an answer",
	.conf_size = sizeof(struct udp_check),
	.run_size = sizeof(struct udp_run),
	.options = options,
	.prepare = prepare,
	.release = release,
	.start = start,
	.cancel = cancel,
};
