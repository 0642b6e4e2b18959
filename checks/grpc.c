/* SPDX-License-Identifier: ISC */
/*
 * The check type `grpc`: the health service of a gRPC server (grpc.health.v1) says SERVING.
 * A call is one HTTP/2 exchange whose outcome stands in the trailers (gRPC over HTTP/2);
 * libcurl speaks it, what it carries is grpc_message.h's.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "checks/address.h"
#include "checks/builtin.h"
#include "checks/check.h"
#include "checks/grpc_message.h"

#define PATH "/grpc.health.v1.Health/Check"
#define TYPE "application/grpc"
#define ANSWER_MAX 4096

struct grpc_check {
	char *address, *service;
	bool tls, verify;
	char *ca_file, *cert_file, *key_file, *server_name;
	/* made by prepare */
	char *url;
	uint8_t request[GRPC_SERVICE_MAX + 8];
	size_t request_len;
};

struct grpc_run {
	struct check_http_request request;
};

static const struct check_option options[] = {
	{ "address", CHECK_OPTION_TEXT, offsetof(struct grpc_check, address),
	    .required = true },
	{ "service", CHECK_OPTION_TEXT, offsetof(struct grpc_check, service) },
	{ "tls", CHECK_OPTION_BOOL, offsetof(struct grpc_check, tls),
	    .value = "false" },
	{ "verify", CHECK_OPTION_BOOL, offsetof(struct grpc_check, verify),
	    .value = "true" },
	{ "ca-file", CHECK_OPTION_FILE, offsetof(struct grpc_check, ca_file) },
	{ "cert-file", CHECK_OPTION_FILE, offsetof(struct grpc_check, cert_file) },
	{ "key-file", CHECK_OPTION_FILE, offsetof(struct grpc_check, key_file) },
	{ "server-name", CHECK_OPTION_TEXT, offsetof(struct grpc_check, server_name) },
	{ NULL },
};

static const char *const headers[] = { "Content-Type: " TYPE, "TE: trailers", NULL };

/* The codes of gRPC ("Status codes and their use in gRPC"). */
static const char *const codes[] = { "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT",
	"DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
	"UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED" };

enum { CODE_OK = 0, CODE_NOT_FOUND = 5, CODE_UNIMPLEMENTED = 12 };

static const char *const servings[] = {
	[GRPC_UNKNOWN] = "UNKNOWN",
	[GRPC_SERVING] = "SERVING",
	[GRPC_NOT_SERVING] = "NOT_SERVING",
	[GRPC_SERVICE_UNKNOWN] = "SERVICE_UNKNOWN",
};
_Static_assert(ARRAY_LENGTH(servings) == GRPC_SERVINGS, "a name for each");

static void
release(void *conf)
{
	struct grpc_check *check = conf;

	free(check->url);
	check->url = NULL;
}

static int
prepare(void *conf, const char **option, char *why, size_t why_size)
{
	struct grpc_check *check = conf;
	const char *service = check->service != NULL ? check->service : "";
	struct address to;

	*option = "address";
	if (address_parse(check->address, 0, &to, why, why_size) != 0)
		return -1;
	*option = "service";
	if (strlen(service) > GRPC_SERVICE_MAX) {
		snprintf(why, why_size, "it is too long, expected at most %d bytes",
		    GRPC_SERVICE_MAX);
		return -1;
	}
	check->url =
	    xasprintf("http%s://%s" PATH, check->tls ? "s" : "", check->address);
	check->request_len = grpc_request(service, check->request);
	return 0;
}

/* "db on 10.0.0.1:50051", or the server alone. */
static char *
name_target(const struct grpc_check *check)
{
	return check->service != NULL
	    ? xasprintf("%s on %s", check->service, check->address)
	    : xstrdup(check->address);
}

static void
judge_answer(struct check_run *run, const struct check_http_reply *reply)
{
	const struct grpc_check *check = check_conf(run);
	AUTO_FREE char *target = name_target(check);
	const char *why;
	int serving = grpc_response(reply->body, reply->body_len, &why);

	if (serving < 0)
		check_done(
		    run, CHECK_CRITICAL, CHECK_REASON_PROTOCOL, "%s: %s", target, why);
	else if (serving == GRPC_SERVING)
		check_done(run, CHECK_PASSING, CHECK_REASON_OK, "%s: SERVING", target);
	else
		check_done(run, CHECK_CRITICAL, CHECK_REASON_STATE, "%s: %s", target,
		    servings[serving]);
}

static void
judge_code(struct check_run *run, uint64_t code, const char *message)
{
	const struct grpc_check *check = check_conf(run);
	AUTO_FREE char *target = name_target(check);

	if (code == CODE_NOT_FOUND)
		check_done(run, CHECK_CRITICAL, CHECK_REASON_STATE,
		    "%s: the server does not know this service", target);
	else if (code == CODE_UNIMPLEMENTED)
		check_done(run, CHECK_CRITICAL, CHECK_REASON_STATUS,
		    "%s: the server has no service grpc.health.v1", target);
	else
		check_done(run, CHECK_CRITICAL, CHECK_REASON_STATUS, "%s: %s%s%.200s",
		    target, codes[code], message != NULL ? ", " : "",
		    message != NULL ? message : "");
}

static void
judge(struct check_run *run, const struct check_http_reply *reply)
{
	const struct grpc_check *check = check_conf(run);
	const char *type = check_http_header(reply, "content-type");
	const char *status = check_http_header(reply, "grpc-status");
	uint64_t code;

	if (reply->status != 200)
		check_done(run, CHECK_CRITICAL, CHECK_REASON_STATUS,
		    "%s: HTTP status %d", check->address, reply->status);
	else if (type == NULL || strncmp(type, TYPE, strlen(TYPE)) != 0 ||
	    status == NULL ||
	    parse_uint(status, 0, ARRAY_LENGTH(codes) - 1, &code) != 0)
		check_done(run, CHECK_CRITICAL, CHECK_REASON_PROTOCOL,
		    "%s: the answer is not gRPC's", check->address);
	else if (code != CODE_OK)
		judge_code(run, code, check_http_header(reply, "grpc-message"));
	else
		judge_answer(run, reply);
}

static void
answered(struct check_run *run, const struct check_http_reply *reply)
{
	const struct grpc_check *check = check_conf(run);

	if (reply->reason == CHECK_REASON_OK)
		judge(run, reply);
	else
		check_done(run,
		    reply->reason == CHECK_REASON_LOCAL ? CHECK_UNKNOWN
							: CHECK_CRITICAL,
		    reply->reason, "%s: %s", check->address, reply->why);
}

static void
start(struct check_run *run)
{
	const struct grpc_check *check = check_conf(run);
	struct grpc_run *grpc = check_state(run);

	grpc->request = (struct check_http_request){
		.method = "POST",
		.url = check->url,
		.headers = headers,
		.body = check->request,
		.body_len = check->request_len,
		.version = check->tls ? CHECK_HTTP_2 : CHECK_HTTP_2_PLAIN,
		.tls = { .ca_file = check->ca_file,
		    .cert_file = check->cert_file,
		    .key_file = check->key_file,
		    .server_name = check->server_name,
		    .no_verify = !check->verify },
		.body_limit = ANSWER_MAX,
	};
	check_http(run, &grpc->request, answered);
}

const struct check_class check_grpc_class = {
	.abi = CHECK_ABI,
	.name = "grpc",
	.help = "asks the health service of a gRPC server",
	.conf_size = sizeof(struct grpc_check),
	.run_size = sizeof(struct grpc_run),
	.options = options,
	.prepare = prepare,
	.release = release,
	.start = start,
};
