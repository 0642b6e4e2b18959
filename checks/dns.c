/* SPDX-License-Identifier: ISC */
/*
 * The check type `dns`: a name server answers a question, and, if asked for, with certain
 * records. Asked over UDP from a socket of this run alone, so that the port is one nobody
 * knows; an answer that did not fit is asked for again over TCP. The server is the one that
 * is checked: neither resolv.conf nor what is known of the name plays a part. The text of
 * the outcome names no records that pass, for servers turn them round.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/base/util.h"
#include "checks/address.h"
#include "checks/builtin.h"
#include "checks/check.h"
#include "checks/datagram.h"
#include "checks/dns_message.h"

#define PORT 53
#define DATAGRAM_MAX 4096 /* more than any server sends who was not told to */
#define STREAM_MAX (2 + 65535)
#define SHOWN_MAX 16 /* records that are shown */

struct dns_check {
	char *server, *name, *record;
	char **expect;
	/* made by prepare */
	struct address to;
	uint16_t type;
	char asked[300]; /* the name as it is asked for */
};

struct dns_run {
	struct datagram datagram;
	struct dns_question question;
	unsigned char answer[DATAGRAM_MAX];
	/* over TCP, each message behind its length (RFC 1035, 4.2.2) */
	unsigned char ask[2 + sizeof(((struct dns_question *)NULL)->bytes)];
	unsigned char *stream; /* STREAM_MAX bytes; NULL: not over TCP */
	size_t stream_len;
};

static const struct check_option options[] = {
	{ "server", CHECK_OPTION_TEXT, offsetof(struct dns_check, server),
	    .required = true },
	{ "name", CHECK_OPTION_TEXT, offsetof(struct dns_check, name),
	    .required = true },
	{ "record", CHECK_OPTION_TEXT, offsetof(struct dns_check, record),
	    .value = "A" },
	{ "expect", CHECK_OPTION_LIST, offsetof(struct dns_check, expect) },
	{ NULL },
};

/* The name under which an address has its PTR (RFC 1035, 3.5; RFC 3596, 2.5), or false. */
static bool
reverse_name(const char *text, char *out, size_t size)
{
	unsigned char a[16];
	size_t len = 0;

	if (inet_pton(AF_INET, text, a) == 1) {
		snprintf(out, size, "%u.%u.%u.%u.in-addr.arpa", a[3], a[2], a[1], a[0]);
		return true;
	}
	if (inet_pton(AF_INET6, text, a) != 1)
		return false;
	for (int i = 15; i >= 0; i--)
		len += (size_t)snprintf(
		    out + len, size - len, "%x.%x.", a[i] & 0xfu, a[i] >> 4);
	snprintf(out + len, size - len, "ip6.arpa");
	return true;
}

static int
prepare_name(struct dns_check *check, char *why, size_t why_size)
{
	struct dns_question trial;

	if ((check->type != dns_type("PTR") ||
		!reverse_name(check->name, check->asked, sizeof(check->asked))) &&
	    !str_copy(check->asked, sizeof(check->asked), check->name))
		check->asked[0] = '\0';
	if (dns_ask(&trial, 0, check->asked, check->type))
		return 0;
	snprintf(why, why_size,
	    "no name in DNS, expected one like \"www.example.com\" or \".\"");
	return -1;
}

static int
prepare_expect(const struct dns_check *check, char *why, size_t why_size)
{
	int family = check->type == dns_type("A") ? AF_INET
	    : check->type == dns_type("AAAA")     ? AF_INET6
						  : AF_UNSPEC;
	unsigned char address[16];

	for (char **e = check->expect; e != NULL && *e != NULL; e++) {
		if (family == AF_UNSPEC ? (*e)[0] != '\0'
					: inet_pton(family, *e, address) == 1)
			continue;
		snprintf(why, why_size, "\"%.60s\" is in no record of type %s, %s", *e,
		    check->record,
		    family == AF_INET        ? "expected one like \"192.0.2.1\""
			: family == AF_INET6 ? "expected one like \"2001:db8::1\""
					     : "expected some text");
		return -1;
	}
	return 0;
}

static int
prepare(void *conf, const char **option, char *why, size_t why_size)
{
	struct dns_check *check = conf;

	*option = "server";
	if (address_parse(check->server, PORT, &check->to, why, why_size) != 0)
		return -1;
	*option = "record";
	check->type = dns_type(check->record);
	if (check->type == 0) {
		snprintf(why, why_size, "\"%.24s\" is not known, expected " DNS_TYPES,
		    check->record);
		return -1;
	}
	*option = "name";
	if (prepare_name(check, why, why_size) != 0)
		return -1;
	*option = "expect";
	return prepare_expect(check, why, why_size);
}

static void
cancel(struct check_run *run)
{
	struct dns_run *dns = check_state(run);

	check_unwatch(run);
	datagram_close(&dns->datagram);
	free(dns->stream);
	dns->stream = NULL;
}

static void
end(struct check_run *run, enum check_reason reason, const char *what)
{
	const struct dns_check *check = check_conf(run);
	enum check_status status = reason == CHECK_REASON_OK ? CHECK_PASSING
	    : reason == CHECK_REASON_LOCAL                   ? CHECK_UNKNOWN
							     : CHECK_CRITICAL;

	check_done(run, status, reason, "%s %s at %s: %s", check->name, check->record,
	    check->server, what);
	cancel(run);
}

static bool
is_name(const char *expected, const char *name, size_t len)
{
	size_t expected_len = strlen(expected);

	if (expected_len > 1 && expected[expected_len - 1] == '.')
		expected_len--;
	return expected_len == len && strncasecmp(expected, name, len) == 0;
}

/* All of the record is meant, or the name in it. */
static bool
is_expected(const char *expected, const struct dns_value *value, uint16_t type)
{
	char canonical[INET6_ADDRSTRLEN];
	unsigned char address[16];

	if (type == dns_type("TXT"))
		return strcmp(expected, value->text) == 0;
	if (inet_pton(AF_INET6, expected, address) == 1) {
		inet_ntop(AF_INET6, address, canonical, sizeof(canonical));
		return strcmp(canonical, value->text) == 0;
	}
	return is_name(expected, value->text, strlen(value->text)) ||
	    (value->host != NULL && is_name(expected, value->host, value->host_len));
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What there was instead, in an order that does not change. */
static void
end_unexpected(struct check_run *run, const char *missing, struct dns_reply reply)
{
	struct dns_value value;
	struct buf text = { .limit = 2048 };
	char *shown[SHOWN_MAX] = { NULL };
	size_t count = 0;

	buf_printf(&text, "no answer is \"%s\"", missing);
	while (count < SHOWN_MAX && dns_next(&reply, &value) > 0)
		shown[count++] = xstrdup(value.text);
	qsort(shown, count, sizeof(shown[0]), compare);
	for (size_t i = 0; i < count; i++) {
		buf_printf(&text, "\n%s", shown[i]);
		free(shown[i]);
	}
	end(run, CHECK_REASON_BODY, text.data);
	buf_free(&text);
}

/* 1: one of the records is as expected, 0: none, -1: the message is broken. NULL: any. */
static int
search(struct dns_reply reply, const char *expected)
{
	struct dns_value value;
	int more;

	while ((more = dns_next(&reply, &value)) > 0)
		if (expected == NULL || is_expected(expected, &value, reply.type))
			return 1;
	return more;
}

static void
judge_records(struct check_run *run, const struct dns_reply *reply)
{
	const struct dns_check *check = check_conf(run);
	int there = search(*reply, NULL);

	if (there == 0)
		end(run, CHECK_REASON_BODY, "there is no such record");
	for (char **e = check->expect; there > 0 && e != NULL && *e != NULL; e++) {
		there = search(*reply, *e);
		if (there == 0)
			end_unexpected(run, *e, *reply);
	}
	if (there < 0)
		end(run, CHECK_REASON_PROTOCOL, "a broken record");
	else if (there > 0)
		end(run, CHECK_REASON_OK,
		    check->expect != NULL ? "answered as expected" : "answered");
}

static void ask_over_tcp(struct check_run *run);

static void
judge(struct check_run *run, const unsigned char *message, size_t len)
{
	struct dns_run *dns = check_state(run);
	struct dns_reply reply;
	char rcode[32];

	switch (dns_read(&reply, message, len, &dns->question)) {
	case DNS_ANSWERED: judge_records(run, &reply); break;
	case DNS_FAILED:
		dns_rcode_name(reply.rcode, rcode, sizeof(rcode));
		end(run, CHECK_REASON_STATUS, rcode);
		break;
	case DNS_TRUNCATED:
		if (dns->stream == NULL)
			ask_over_tcp(run);
		else
			end(run, CHECK_REASON_PROTOCOL, "cut short over TCP too");
		break;
	case DNS_GARBAGE: end(run, CHECK_REASON_PROTOCOL, reply.why); break;
	}
}

static void
arrived(struct check_run *run, size_t len, enum check_reason reason, const char *why)
{
	struct dns_run *dns = check_state(run);

	if (reason != CHECK_REASON_OK || len == 0) {
		end(run,
		    len == 0 && reason == CHECK_REASON_OK ? CHECK_REASON_CLOSED
							  : reason,
		    reason == CHECK_REASON_OK ? "closed before the answer" : why);
		return;
	}
	dns->stream_len += len;
	size_t whole = 2;
	if (dns->stream_len >= 2)
		whole += (size_t)dns->stream[0] << 8 | dns->stream[1];
	if (dns->stream_len < 2 || dns->stream_len < whole)
		check_read(run, dns->stream + dns->stream_len,
		    STREAM_MAX - dns->stream_len, arrived);
	else
		judge(run, dns->stream + 2, whole - 2);
}

static void
written(struct check_run *run, enum check_reason reason, const char *why)
{
	struct dns_run *dns = check_state(run);

	if (reason != CHECK_REASON_OK)
		end(run, reason, why);
	else
		check_read(run, dns->stream, STREAM_MAX, arrived);
}

static void
connected(struct check_run *run, enum check_reason reason, const char *why)
{
	struct dns_run *dns = check_state(run);

	if (reason != CHECK_REASON_OK)
		end(run, reason, why);
	else
		check_write(run, dns->ask, 2 + dns->question.len, written);
}

static void
ask_over_tcp(struct check_run *run)
{
	const struct dns_check *check = check_conf(run);
	struct dns_run *dns = check_state(run);
	size_t len = dns->question.len;

	check_unwatch(run);
	datagram_close(&dns->datagram);
	dns->stream = xcalloc(STREAM_MAX, 1);
	dns->ask[0] = (unsigned char)(len >> 8);
	dns->ask[1] = (unsigned char)len;
	memcpy(dns->ask + 2, dns->question.bytes, len);
	check_connect(run, check->to.host, check->to.port, NULL, connected);
}

static void try_next(struct check_run *run);

static void
readable(struct check_run *run, unsigned int events)
{
	struct dns_run *dns = check_state(run);
	ssize_t n = recv(dns->datagram.fd, dns->answer, sizeof(dns->answer), 0);

	if (n >= 0) {
		judge(run, dns->answer, (size_t)n);
		return;
	}
	if (errno == EAGAIN || errno == EINTR)
		return;
	int error = errno;
	check_unwatch(run);
	datagram_failed(&dns->datagram, error);
	try_next(run);
}

static void
try_next(struct check_run *run)
{
	struct dns_run *dns = check_state(run);
	struct datagram *datagram = &dns->datagram;

	while (datagram_next(datagram, DATAGRAM_UDP)) {
		if (send(datagram->fd, dns->question.bytes, dns->question.len, 0) > 0) {
			check_watch(run, datagram->fd, CHECK_READ, readable);
			return;
		}
		datagram_failed(datagram, errno);
	}
	end(run, datagram_reason(datagram->error), strerror(datagram->error));
}

static void
found(struct check_run *run, const struct check_address *addresses, size_t count,
    const char *why)
{
	const struct dns_check *check = check_conf(run);
	struct dns_run *dns = check_state(run);

	if (addresses == NULL) {
		end(run, CHECK_REASON_RESOLVE, why);
		return;
	}
	dns_ask(&dns->question, (uint16_t)random_u64(), check->asked, check->type);
	datagram_take(&dns->datagram, addresses, count);
	try_next(run);
}

static void
start(struct check_run *run)
{
	const struct dns_check *check = check_conf(run);

	check_resolve(run, check->to.host, check->to.port, found);
}

const struct check_class check_dns_class = {
	.abi = CHECK_ABI,
	.name = "dns",
	.help = "asks a name server",
	.conf_size = sizeof(struct dns_check),
	.run_size = sizeof(struct dns_run),
	.options = options,
	.prepare = prepare,
	.start = start,
	.cancel = cancel,
};
