/* SPDX-License-Identifier: ISC */
/*
 * The check type `tcp`: the port accepts a connection, with TLS if asked for, and, if asked
 * for, answers as expected. `send` is said first, `expect` is looked for in what has come
 * so far. The connection is the run's; the answer's memory is ours, from the first read to
 * the end of the run.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/url.h"
#include "agent/base/util.h"
#include "checks/address.h"
#include "checks/builtin.h"
#include "checks/bytes.h"
#include "checks/check.h"
#include "checks/expression.h"

#define ANSWER_MAX 4096 /* bytes that are read and looked at */

struct tcp_check {
	char *address, *send, *expect;
	bool tls, verify;
	char *ca_file, *cert_file, *key_file, *server_name;
	uint64_t certificate_warning; /* days; 0: off */
	/* made by prepare */
	struct address to;
	char *bytes; /* what `send` stands for */
	size_t n_bytes;
	struct expression *expected;
	struct check_tls files;
};

struct tcp_run {
	char *answer; /* NULL: none is read */
	size_t len;
};

static const struct check_option options[] = {
	{ "address", CHECK_OPTION_TEXT, offsetof(struct tcp_check, address),
	    .required = true },
	{ "send", CHECK_OPTION_TEXT, offsetof(struct tcp_check, send) },
	{ "expect", CHECK_OPTION_TEXT, offsetof(struct tcp_check, expect) },
	{ "tls", CHECK_OPTION_BOOL, offsetof(struct tcp_check, tls), .value = "false" },
	{ "verify", CHECK_OPTION_BOOL, offsetof(struct tcp_check, verify),
	    .value = "true" },
	{ "ca-file", CHECK_OPTION_FILE, offsetof(struct tcp_check, ca_file) },
	{ "cert-file", CHECK_OPTION_FILE, offsetof(struct tcp_check, cert_file) },
	{ "key-file", CHECK_OPTION_FILE, offsetof(struct tcp_check, key_file) },
	{ "server-name", CHECK_OPTION_TEXT, offsetof(struct tcp_check, server_name) },
	{ "certificate-warning", CHECK_OPTION_UINT,
	    offsetof(struct tcp_check, certificate_warning), .value = "0", .min = 0,
	    .max = 3650 },
	{ NULL },
};

static void
release(void *conf)
{
	struct tcp_check *check = conf;

	expression_free(check->expected);
	check->expected = NULL;
	free(check->bytes);
	check->bytes = NULL;
}

/* The first option that is of no use as the others are, or NULL. */
static const char *
check_files(const struct tcp_check *check, char *why, size_t why_size)
{
	const char *useless = check->ca_file != NULL ? "ca-file"
	    : check->cert_file != NULL               ? "cert-file"
	    : check->key_file != NULL                ? "key-file"
	    : check->server_name != NULL             ? "server-name"
	    : !check->verify                         ? "verify"
	    : check->certificate_warning > 0         ? "certificate-warning"
						     : NULL;

	if (!check->tls && useless != NULL) {
		snprintf(why, why_size, "of no use without TLS, expected tls = true");
		return useless;
	}
	if (check->server_name != NULL && !url_is_host(check->server_name)) {
		snprintf(why, why_size, "\"%s\" is no host name, expected one",
		    check->server_name);
		return "server-name";
	}
	if (check->key_file != NULL && check->cert_file == NULL) {
		snprintf(
		    why, why_size, "a key without a certificate, expected cert-file");
		return "key-file";
	}
	return NULL;
}

static int
prepare(void *conf, const char **option, char *why, size_t why_size)
{
	struct tcp_check *check = conf;

	*option = "address";
	if (address_parse(check->address, 0, &check->to, why, why_size) != 0)
		return -1;
	*option = "send";
	if (check->send != NULL) {
		check->bytes = bytes_parse(check->send, &check->n_bytes, why, why_size);
		if (check->bytes == NULL)
			return -1;
	}
	*option = check_files(check, why, why_size);
	if (*option != NULL)
		return -1;
	check->files = (struct check_tls){
		.ca_file = check->ca_file,
		.cert_file = check->cert_file,
		.key_file = check->key_file,
		.server_name = check->server_name,
		.no_verify = !check->verify,
	};
	*option = "expect";
	if (check->expect == NULL)
		return 0;
	check->expected = expression_new(check->expect, why, why_size);
	return check->expected != NULL ? 0 : -1;
}

static void
forget(struct check_run *run)
{
	struct tcp_run *tcp = check_state(run);

	free(tcp->answer);
	tcp->answer = NULL;
}

static void
fail(struct check_run *run, enum check_reason reason, const char *why)
{
	const struct tcp_check *check = check_conf(run);
	enum check_status status =
	    reason == CHECK_REASON_LOCAL ? CHECK_UNKNOWN : CHECK_CRITICAL;

	check_done(run, status, reason, "%s: %s", check->address, why);
	forget(run);
}

static void
pass(struct check_run *run, const char *how)
{
	const struct tcp_check *check = check_conf(run);
	int days = check->tls ? check_certificate_days(run) : -1;

	if (days >= (int)check->certificate_warning || check->certificate_warning == 0)
		check_done(
		    run, CHECK_PASSING, CHECK_REASON_OK, "%s: %s", check->address, how);
	else if (days < 0)
		check_done(run, CHECK_WARNING, CHECK_REASON_CERTIFICATE,
		    "%s: %s, but the certificate has ended", check->address, how);
	else
		check_done(run, CHECK_WARNING, CHECK_REASON_CERTIFICATE,
		    "%s: %s, but the certificate ends in %d day%s", check->address, how,
		    days, days == 1 ? "" : "s");
	forget(run);
}

static void
fail_answer(struct check_run *run)
{
	const struct tcp_check *check = check_conf(run);
	const struct tcp_run *tcp = check_state(run);

	if (tcp->len == 0)
		check_done(run, CHECK_CRITICAL, CHECK_REASON_CLOSED,
		    "%s: the connection was closed before an answer", check->address);
	else
		check_done(run, CHECK_CRITICAL, CHECK_REASON_BODY,
		    "%s: the answer is not as expected\n%.*s", check->address,
		    (int)tcp->len, tcp->answer);
	forget(run);
}

static void
arrived(struct check_run *run, size_t len, enum check_reason reason, const char *why)
{
	const struct tcp_check *check = check_conf(run);
	struct tcp_run *tcp = check_state(run);

	tcp->len += len;
	if (reason != CHECK_REASON_OK)
		fail(run, reason, why);
	else if (len > 0 && expression_matches(check->expected, tcp->answer, tcp->len))
		pass(run, "answered as expected");
	else if (len == 0 || tcp->len == ANSWER_MAX)
		fail_answer(run);
	else
		check_read(run, tcp->answer + tcp->len, ANSWER_MAX - tcp->len, arrived);
}

static void
go_on(struct check_run *run, const char *how)
{
	const struct tcp_check *check = check_conf(run);
	struct tcp_run *tcp = check_state(run);

	if (check->expected == NULL) {
		pass(run, how);
		return;
	}
	tcp->answer = xcalloc(1, ANSWER_MAX);
	check_read(run, tcp->answer, ANSWER_MAX, arrived);
}

static void
written(struct check_run *run, enum check_reason reason, const char *why)
{
	if (reason != CHECK_REASON_OK)
		fail(run, reason, why);
	else
		go_on(run, "connected, and took what was sent");
}

static void
connected(struct check_run *run, enum check_reason reason, const char *why)
{
	const struct tcp_check *check = check_conf(run);

	if (reason != CHECK_REASON_OK)
		fail(run, reason, why);
	else if (check->n_bytes > 0)
		check_write(run, check->bytes, check->n_bytes, written);
	else
		go_on(run, "connected");
}

static void
start(struct check_run *run)
{
	const struct tcp_check *check = check_conf(run);

	check_connect(run, check->to.host, check->to.port,
	    check->tls ? &check->files : NULL, connected);
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
	.cancel = forget,
};
