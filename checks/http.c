/* SPDX-License-Identifier: ISC */
/*
 * The check type `http`: one request, judged by its status and, if asked for, by its body.
 * Without `expect-status` it is Consul's rule: 2xx passing, 429 warning, anything else
 * critical. What a well service says is not part of the output, since it may change with
 * every run; what an unwell one says is. The body of a good answer is not waited for
 * unless something is expected of it: the status has said enough, and an answer that
 * streams without end is one, too.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/url.h"
#include "agent/base/util.h"
#include "checks/builtin.h"
#include "checks/check.h"
#include "checks/expression.h"
#include "checks/member.h"

#define STATUS_RANGES_MAX 16
#define BODY_SHOWN 1024 /* bytes of a body that are kept for people */
#define BODY_MATCHED 65536 /* bytes of a body that expectations see */

struct status_range {
	uint64_t from, to;
};

struct http_check {
	char *url, *method, **headers, *body;
	char *expect_status, *expect_body, **expect_json;
	bool follow, verify, keep_alive;
	char *version, *proxy;
	char *ca_file, *cert_file, *key_file, *server_name;
	uint64_t certificate_warning; /* days */
	/* made by prepare */
	struct status_range *ranges;
	size_t n_ranges;
	struct expression *expected;
};

static const struct check_option options[] = {
	{ "url", CHECK_OPTION_TEXT, offsetof(struct http_check, url),
	    .required = true },
	{ "method", CHECK_OPTION_TEXT, offsetof(struct http_check, method),
	    .value = "GET" },
	{ "headers", CHECK_OPTION_LIST, offsetof(struct http_check, headers) },
	{ "body", CHECK_OPTION_TEXT, offsetof(struct http_check, body) },
	{ "expect-status", CHECK_OPTION_TEXT,
	    offsetof(struct http_check, expect_status) },
	{ "expect-body", CHECK_OPTION_TEXT, offsetof(struct http_check, expect_body) },
	{ "expect-json", CHECK_OPTION_LIST, offsetof(struct http_check, expect_json) },
	{ "follow", CHECK_OPTION_BOOL, offsetof(struct http_check, follow),
	    .value = "false" },
	{ "version", CHECK_OPTION_TEXT, offsetof(struct http_check, version),
	    .value = "1.1" },
	{ "keep-alive", CHECK_OPTION_BOOL, offsetof(struct http_check, keep_alive),
	    .value = "false" },
	{ "proxy", CHECK_OPTION_TEXT, offsetof(struct http_check, proxy) },
	{ "verify", CHECK_OPTION_BOOL, offsetof(struct http_check, verify),
	    .value = "true" },
	{ "ca-file", CHECK_OPTION_FILE, offsetof(struct http_check, ca_file) },
	{ "cert-file", CHECK_OPTION_FILE, offsetof(struct http_check, cert_file) },
	{ "key-file", CHECK_OPTION_FILE, offsetof(struct http_check, key_file) },
	{ "server-name", CHECK_OPTION_TEXT, offsetof(struct http_check, server_name) },
	{ "certificate-warning", CHECK_OPTION_UINT,
	    offsetof(struct http_check, certificate_warning), .value = "0",
	    .max = 3650 },
	{ NULL },
};

/* RFC 9110, 5.6.2: what a method and the name of a header are made of. */
static bool
is_token(const char *text, size_t len)
{
	static const char signs[] = "!#$%&'*+-.^_`|~0123456789";

	for (size_t i = 0; i < len; i++) {
		char lower = (char)(text[i] | 0x20);
		if (!(lower >= 'a' && lower <= 'z') &&
		    (text[i] == '\0' || strchr(signs, text[i]) == NULL))
			return false;
	}
	return len > 0;
}

/* A line break in a header would begin another one, or the body. */
static bool
is_header(const char *text)
{
	size_t name = strcspn(text, ":");

	if (text[name] == '\0' || !is_token(text, name))
		return false;
	for (const char *p = text + name; *p != '\0'; p++)
		if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
			return false;
	return true;
}

static bool
is_method(const char *text)
{
	return is_token(text, strlen(text)) && strlen(text) < 32 &&
	    strpbrk(text, "abcdefghijklmnopqrstuvwxyz") == NULL;
}

/* "200" or "200-299". */
static int
read_range(char *text, struct status_range *out, char *why, size_t why_size)
{
	char *dash = strchr(text, '-');
	struct status_range range;

	if (dash != NULL)
		*dash = '\0';
	if (parse_uint(text, 100, 599, &range.from) != 0 ||
	    parse_uint(dash != NULL ? dash + 1 : text, 100, 599, &range.to) != 0 ||
	    range.from > range.to) {
		snprintf(why, why_size,
		    "status \"%s%s%s\" is not valid, expected 100 to 599 or a range "
		    "like "
		    "200-299",
		    text, dash != NULL ? "-" : "", dash != NULL ? dash + 1 : "");
		return -1;
	}
	*out = range;
	return 0;
}

static int
read_ranges(struct http_check *check, char *why, size_t why_size)
{
	static const char between[] = ", ";
	const char *p = check->expect_status;

	for (p += strspn(p, between); *p != '\0'; p += strspn(p, between)) {
		size_t len = strcspn(p, between);
		AUTO_FREE char *word = xstrndup(p, len);
		p += len;
		if (check->ranges == NULL)
			check->ranges =
			    xcalloc(STATUS_RANGES_MAX, sizeof(*check->ranges));
		if (check->n_ranges == STATUS_RANGES_MAX) {
			snprintf(why, why_size, "more than %d ranges, expected fewer",
			    STATUS_RANGES_MAX);
			return -1;
		}
		if (read_range(word, &check->ranges[check->n_ranges], why, why_size) !=
		    0)
			return -1;
		check->n_ranges++;
	}
	if (check->n_ranges > 0)
		return 0;
	snprintf(why, why_size, "no status is given, expected one like 200-299");
	return -1;
}

static int
fault(char *why, size_t why_size, const char *what)
{
	snprintf(why, why_size, "%s", what);
	return -1;
}

static int
prepare_headers(const struct http_check *check, char *why, size_t why_size)
{
	for (char **h = check->headers; h != NULL && *h != NULL; h++)
		if (!is_header(*h)) {
			snprintf(why, why_size,
			    "header %d is not valid, expected \"Name: value\" in one "
			    "line",
			    (int)(h - check->headers) + 1);
			return -1;
		}
	return 0;
}

/* What is sent. */
static int
prepare_request(
    const struct http_check *check, const char **option, char *why, size_t why_size)
{
	bool head;

	*option = "method";
	if (!is_method(check->method))
		return fault(
		    why, why_size, "not a method, expected one like GET or POST");
	head = strcmp(check->method, "HEAD") == 0;
	*option = "headers";
	if (prepare_headers(check, why, why_size) != 0)
		return -1;
	*option = "body";
	if (head && check->body != NULL)
		return fault(
		    why, why_size, "HEAD has no body, expected another method");
	*option = "version";
	if (strcmp(check->version, "1.1") != 0 && strcmp(check->version, "2") != 0)
		return fault(
		    why, why_size, "not a known version, expected \"1.1\" or \"2\"");
	*option = check->expect_body != NULL ? "expect-body" : "expect-json";
	if (head && (check->expect_body != NULL || check->expect_json != NULL))
		return fault(why, why_size,
		    "an answer to HEAD has no body, expected another method");
	return 0;
}

/* Whom it is sent to, and how. */
static int
prepare_way(const struct http_check *check, bool tls, const char **option, char *why,
    size_t why_size)
{
	struct url proxy;

	*option = "proxy";
	if (check->proxy != NULL && url_split(check->proxy, &proxy, why, why_size) != 0)
		return -1;
	if (check->proxy != NULL && proxy.tls)
		return fault(
		    why, why_size, "the proxy has the scheme https, expected http");
	*option = "server-name";
	if (check->server_name != NULL && !url_is_host(check->server_name)) {
		snprintf(why, why_size, "\"%.80s\" is no name of a host, expected one",
		    check->server_name);
		return -1;
	}
	*option = "key-file";
	if (check->key_file != NULL && check->cert_file == NULL)
		return fault(
		    why, why_size, "a key without a certificate, expected cert-file");
	*option = "certificate-warning";
	if (check->certificate_warning > 0 && !tls)
		return fault(
		    why, why_size, "there is no certificate, expected an https URL");
	if (check->certificate_warning > 0 && check->keep_alive &&
	    (check->follow || check->proxy != NULL || check->version[0] == '2'))
		return fault(why, why_size,
		    "a kept connection shows no certificate, expected no keep-alive "
		    "with follow, proxy or version 2");
	return 0;
}

/* What is expected of the answer. */
static int
prepare_expectations(
    struct http_check *check, const char **option, char *why, size_t why_size)
{
	*option = "expect-status";
	if (check->expect_status != NULL && read_ranges(check, why, why_size) != 0)
		return -1;
	*option = "expect-json";
	for (char **text = check->expect_json; text != NULL && *text != NULL; text++)
		if (member_check(*text, why, why_size) != 0)
			return -1;
	*option = "expect-body";
	if (check->expect_body == NULL)
		return 0;
	check->expected = expression_new(check->expect_body, why, why_size);
	return check->expected != NULL ? 0 : -1;
}

static void
release(void *conf)
{
	struct http_check *check = conf;

	expression_free(check->expected);
	check->expected = NULL;
	free(check->ranges);
	check->ranges = NULL;
}

static int
prepare(void *conf, const char **option, char *why, size_t why_size)
{
	struct http_check *check = conf;
	struct url url;

	*option = "url";
	if (url_split(check->url, &url, why, why_size) != 0 ||
	    prepare_request(check, option, why, why_size) != 0 ||
	    prepare_way(check, url.tls, option, why, why_size) != 0)
		return -1;
	return prepare_expectations(check, option, why, why_size);
}

static enum check_status
judge_status(const struct http_check *check, int status)
{
	for (size_t i = 0; i < check->n_ranges; i++)
		if (status >= (int)check->ranges[i].from &&
		    status <= (int)check->ranges[i].to)
			return CHECK_PASSING;
	if (check->n_ranges > 0)
		return CHECK_CRITICAL;
	if (status == 429)
		return CHECK_WARNING;
	return status >= 200 && status <= 299 ? CHECK_PASSING : CHECK_CRITICAL;
}

/* Of a status below 400 the body was not waited for: what there is of it varies. */
static void
judge_bad_status(struct check_run *run, const struct check_http_reply *reply,
    enum check_status status)
{
	const struct http_check *check = check_conf(run);
	size_t shown = reply->body_len < BODY_SHOWN ? reply->body_len : BODY_SHOWN;

	if (reply->status < 400)
		check_done(run, status, CHECK_REASON_STATUS, "%s %s: status %d",
		    check->method, check->url, reply->status);
	else
		check_done(run, status, CHECK_REASON_STATUS, "%s %s: status %d\n%.*s",
		    check->method, check->url, reply->status, (int)shown, reply->body);
}

static bool
judge_body(struct check_run *run, const struct check_http_reply *reply)
{
	const struct http_check *check = check_conf(run);
	size_t shown = reply->body_len < BODY_SHOWN ? reply->body_len : BODY_SHOWN;
	char why[300] = "the body is not as expected";

	if ((check->expected == NULL ||
		expression_matches(check->expected, reply->body, reply->body_len)) &&
	    (check->expect_json == NULL ||
		members_hold((const char *const *)check->expect_json, reply->body,
		    reply->body_len, why, sizeof(why))))
		return true;
	check_done(run, CHECK_CRITICAL, CHECK_REASON_BODY,
	    "%s %s: status %d, but %s\n%.*s", check->method, check->url, reply->status,
	    why, (int)shown, reply->body);
	return false;
}

static bool
judge_certificate(struct check_run *run, const struct check_http_reply *reply)
{
	const struct http_check *check = check_conf(run);
	int days = reply->certificate_days;

	if (check->certificate_warning == 0 || days >= (int)check->certificate_warning)
		return true;
	if (days < 0)
		check_done(run, CHECK_WARNING, CHECK_REASON_CERTIFICATE,
		    "%s %s: status %d, but the certificate has ended", check->method,
		    check->url, reply->status);
	else
		check_done(run, CHECK_WARNING, CHECK_REASON_CERTIFICATE,
		    "%s %s: status %d, but the certificate ends in %d day%s",
		    check->method, check->url, reply->status, days,
		    days == 1 ? "" : "s");
	return false;
}

static void
judge(struct check_run *run, const struct check_http_reply *reply)
{
	const struct http_check *check = check_conf(run);
	enum check_status status = judge_status(check, reply->status);

	if (status != CHECK_PASSING)
		judge_bad_status(run, reply, status);
	else if (judge_body(run, reply) && judge_certificate(run, reply))
		check_done(run, CHECK_PASSING, CHECK_REASON_OK, "%s %s: status %d",
		    check->method, check->url, reply->status);
}

static void
answered(struct check_run *run, const struct check_http_reply *reply)
{
	const struct http_check *check = check_conf(run);

	if (reply->reason == CHECK_REASON_OK)
		judge(run, reply);
	else
		check_done(run,
		    reply->reason == CHECK_REASON_LOCAL ? CHECK_UNKNOWN
							: CHECK_CRITICAL,
		    reply->reason, "%s %s: %s", check->method, check->url, reply->why);
}

static enum check_http_version
version(const struct http_check *check)
{
	if (check->version[0] == '1')
		return CHECK_HTTP_1_1;
	return strncmp(check->url, "https:", 6) == 0 ? CHECK_HTTP_2
						     : CHECK_HTTP_2_PLAIN;
}

static void
start(struct check_run *run)
{
	const struct http_check *check = check_conf(run);
	struct check_http_request *request = check_state(run);
	bool body = check->expected != NULL || check->expect_json != NULL;

	*request = (struct check_http_request){
		.method = check->method,
		.url = check->url,
		.headers = (const char *const *)check->headers,
		.body = check->body,
		.body_len = check->body != NULL ? strlen(check->body) : 0,
		.version = version(check),
		.follow = check->follow,
		.keep_alive = check->keep_alive,
		.proxy = check->proxy,
		.tls = { .ca_file = check->ca_file,
		    .cert_file = check->cert_file,
		    .key_file = check->key_file,
		    .server_name = check->server_name,
		    .no_verify = !check->verify },
		.body_limit = body ? BODY_MATCHED : BODY_SHOWN,
		.error_body = !body,
	};
	check_http(run, request, answered);
}

const struct check_class check_http_class = {
	.abi = CHECK_ABI,
	.name = "http",
	.help = "asks for a URL and judges the status and the body of the answer",
	.conf_size = sizeof(struct http_check),
	.run_size = sizeof(struct check_http_request),
	.options = options,
	.prepare = prepare,
	.release = release,
	.start = start,
};
