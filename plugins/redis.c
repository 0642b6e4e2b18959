/* SPDX-License-Identifier: ISC */
/*
 * The check type `redis`: a Redis server answers PING, or has the replication role that is
 * asked for (ROLE). hiredis writes the commands and reads the answers; the connection is
 * lictor's. One command after the other: AUTH if there is a password, then the question.
 */
#include <hiredis/hiredis.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checks/check.h"
#include "plugins/target.h"

#define DEFAULT_PORT 6379
#define ANSWER_MAX 65536
#define ELEMENTS_MAX (ANSWER_MAX / 4) /* ":1\r\n" */

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

struct redis_check {
	char *address, *user, *password_file, *role;
	bool tls, verify;
	char *ca_file, *cert_file, *key_file, *server_name;
	/* made by prepare */
	struct target target;
	struct check_tls secure;
};

struct redis_run {
	redisReader *reader;
	redisReplyObjectFunctions *makers, limited; /* hiredis' own, and ours */
	char *command; /* the one that is under way */
	bool asked; /* it is the question, not AUTH */
	size_t received;
	char data[4096];
};

static const struct check_option options[] = {
	{ "address", CHECK_OPTION_TEXT, offsetof(struct redis_check, address),
	    .required = true },
	{ "user", CHECK_OPTION_TEXT, offsetof(struct redis_check, user) },
	{ "password-file", CHECK_OPTION_FILE,
	    offsetof(struct redis_check, password_file) },
	{ "role", CHECK_OPTION_TEXT, offsetof(struct redis_check, role),
	    .value = "any" },
	{ "tls", CHECK_OPTION_BOOL, offsetof(struct redis_check, tls),
	    .value = "false" },
	{ "verify", CHECK_OPTION_BOOL, offsetof(struct redis_check, verify),
	    .value = "true" },
	{ "ca-file", CHECK_OPTION_FILE, offsetof(struct redis_check, ca_file) },
	{ "cert-file", CHECK_OPTION_FILE, offsetof(struct redis_check, cert_file) },
	{ "key-file", CHECK_OPTION_FILE, offsetof(struct redis_check, key_file) },
	{ "server-name", CHECK_OPTION_TEXT, offsetof(struct redis_check, server_name) },
	{ NULL },
};

static int
prepare(void *conf, const char **option, char *why, size_t why_size)
{
	struct redis_check *check = conf;

	*option = "address";
	if (target_split(check->address, DEFAULT_PORT, &check->target, why, why_size) !=
	    0)
		return -1;
	*option = "role";
	if (strcmp(check->role, "any") != 0 && strcmp(check->role, "master") != 0 &&
	    strcmp(check->role, "replica") != 0) {
		snprintf(why, why_size,
		    "\"%.40s\" is not known, expected any, master or replica",
		    check->role);
		return -1;
	}
	*option = "user";
	if (check->user != NULL && check->password_file == NULL) {
		snprintf(why, why_size, "it needs a password-file");
		return -1;
	}
	check->secure = (struct check_tls){ .ca_file = check->ca_file,
		.cert_file = check->cert_file,
		.key_file = check->key_file,
		.server_name = check->server_name,
		.no_verify = !check->verify };
	return 0;
}

static void
cancel(struct check_run *run)
{
	struct redis_run *redis = check_state(run);

	redisReaderFree(redis->reader);
	redisFreeCommand(redis->command);
	redis->reader = NULL;
	redis->command = NULL;
}

static void
end(struct check_run *run, enum check_status status, enum check_reason reason,
    const char *text)
{
	const struct redis_check *check = check_conf(run);

	cancel(run);
	check_done(run, status, reason, "%s: %s", check->address, text);
}

static void
fail(struct check_run *run, enum check_reason reason, const char *why)
{
	end(run, reason == CHECK_REASON_LOCAL ? CHECK_UNKNOWN : CHECK_CRITICAL, reason,
	    why);
}

static void arrived(
    struct check_run *run, size_t len, enum check_reason reason, const char *why);

static void
written(struct check_run *run, enum check_reason reason, const char *why)
{
	struct redis_run *redis = check_state(run);

	if (reason != CHECK_REASON_OK)
		fail(run, reason, why);
	else
		check_read(run, redis->data, sizeof(redis->data), arrived);
}

static void
send_command(struct check_run *run, int argc, const char **argv)
{
	struct redis_run *redis = check_state(run);

	redisFreeCommand(redis->command);
	redis->command = NULL;
	long long len = redisFormatCommandArgv(&redis->command, argc, argv, NULL);
	if (len < 0)
		fail(run, CHECK_REASON_LOCAL, "out of memory");
	else
		check_write(run, redis->command, (size_t)len, written);
}

static void
ask(struct check_run *run)
{
	const struct redis_check *check = check_conf(run);
	struct redis_run *redis = check_state(run);
	const char *question = strcmp(check->role, "any") == 0 ? "PING" : "ROLE";

	redis->asked = true;
	send_command(run, 1, &question);
}

/* ROLE answers a list that begins with "master", "slave" or "sentinel". */
static void
judge_role(struct check_run *run, const redisReply *reply)
{
	const struct redis_check *check = check_conf(run);
	bool wants_master = strcmp(check->role, "master") == 0;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 ||
	    reply->element[0]->type != REDIS_REPLY_STRING) {
		fail(run, CHECK_REASON_PROTOCOL, "the answer to ROLE is none");
		return;
	}
	const char *role = reply->element[0]->str;
	if (strcmp(role, wants_master ? "master" : "slave") == 0)
		end(run, CHECK_PASSING, CHECK_REASON_OK,
		    wants_master ? "it is the master" : "it is a replica");
	else
		end(run, CHECK_CRITICAL, CHECK_REASON_STATE,
		    wants_master ? "it is not the master" : "it is not a replica");
}

/* "LOADING …", "MASTERDOWN …", "NOAUTH …": the first word says what it is. */
static void
judge_error(struct check_run *run, const redisReply *reply)
{
	char text[200];

	snprintf(text, sizeof(text), "the server says %.150s", reply->str);
	fail(run, CHECK_REASON_STATE, text);
}

static void
judge(struct check_run *run, const redisReply *reply)
{
	const struct redis_check *check = check_conf(run);
	struct redis_run *redis = check_state(run);

	if (reply->type == REDIS_REPLY_ERROR)
		judge_error(run, reply);
	else if (!redis->asked)
		ask(run);
	else if (strcmp(check->role, "any") != 0)
		judge_role(run, reply);
	else if (reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "PONG") == 0)
		end(run, CHECK_PASSING, CHECK_REASON_OK, "PONG");
	else
		fail(run, CHECK_REASON_PROTOCOL, "the answer to PING is not PONG");
}

static void
arrived(struct check_run *run, size_t len, enum check_reason reason, const char *why)
{
	struct redis_run *redis = check_state(run);
	void *reply = NULL;

	redis->received += len;
	if (reason != CHECK_REASON_OK) {
		fail(run, reason, why);
	} else if (len == 0) {
		fail(run, CHECK_REASON_CLOSED, "the server closed before it answered");
	} else if (redis->received > ANSWER_MAX ||
	    redisReaderFeed(redis->reader, redis->data, len) != REDIS_OK ||
	    redisReaderGetReply(redis->reader, &reply) != REDIS_OK) {
		fail(run, CHECK_REASON_PROTOCOL, "the answer is not that of a Redis");
	} else if (reply == NULL) {
		check_read(run, redis->data, sizeof(redis->data), arrived);
	} else {
		judge(run, reply);
		freeReplyObject(reply);
	}
}

static void
log_in(struct check_run *run)
{
	const struct redis_check *check = check_conf(run);
	char password[TARGET_SECRET_MAX], why[200];
	const char *argv[3] = { "AUTH" };
	int argc = 1;

	if (target_secret(check->password_file, password, why, sizeof(why)) != 0) {
		fail(run, CHECK_REASON_LOCAL, why);
		return;
	}
	if (check->user != NULL)
		argv[argc++] = check->user;
	argv[argc++] = password;
	send_command(run, argc, argv);
	explicit_bzero(password, sizeof(password));
}

static void
connected(struct check_run *run, enum check_reason reason, const char *why)
{
	const struct redis_check *check = check_conf(run);

	if (reason != CHECK_REASON_OK)
		fail(run, reason, why);
	else if (check->password_file != NULL)
		log_in(run);
	else
		ask(run);
}

/* hiredis makes room for as many as the server says that it will send. */
static void *
create_array(const redisReadTask *task, element_count count)
{
	const struct redis_run *redis = task->privdata;

	return count <= ELEMENTS_MAX ? redis->makers->createArray(task, count) : NULL;
}

static void
limit_elements(struct redis_run *redis)
{
	redis->makers = redis->reader->fn;
	redis->limited = *redis->makers;
	redis->limited.createArray = create_array;
	redis->reader->fn = &redis->limited;
	redis->reader->privdata = redis;
}

static void
start(struct check_run *run)
{
	const struct redis_check *check = check_conf(run);
	struct redis_run *redis = check_state(run);

	redis->reader = redisReaderCreate();
	if (redis->reader == NULL) {
		fail(run, CHECK_REASON_LOCAL, "out of memory");
		return;
	}
	limit_elements(redis);
	check_connect(run, check->target.host, check->target.port,
	    check->tls ? &check->secure : NULL, connected);
}

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.name = "redis",
	.help = "asks a Redis server whether it answers, or which role it has",
	.conf_size = sizeof(struct redis_check),
	.run_size = sizeof(struct redis_run),
	.options = options,
	.prepare = prepare,
	.start = start,
	.cancel = cancel,
};
