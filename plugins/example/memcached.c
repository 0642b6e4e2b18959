/* SPDX-License-Identifier: ISC */
/*
 * The check type `memcached`: the server says its version when it is asked. A plugin of
 * lictord as small as one can be that talks to something; see lictor-check(3).
 */
#include <ctype.h>
#include <lictor/check.h>
#include <stdio.h>
#include <string.h>

static const char question[] = "version\r\n", word[] = "VERSION ";

struct conf {
	char *host, *version;
	uint64_t port;
};

struct run {
	char answer[64]; /* there is always room for a NUL */
	size_t len;
};

static const struct check_option options[] = {
	{ "host", CHECK_OPTION_TEXT, offsetof(struct conf, host),
	    .value = "localhost" },
	{ "port", CHECK_OPTION_UINT, offsetof(struct conf, port), .value = "11211",
	    .min = 1, .max = 65535 },
	{ "version", CHECK_OPTION_TEXT, offsetof(struct conf, version) },
	{ NULL },
};

static int
prepare(void *data, const char **option, char *why, size_t why_size)
{
	const struct conf *conf = data;

	if (conf->version == NULL || isdigit((unsigned char)conf->version[0]))
		return 0;
	*option = "version";
	snprintf(why, why_size, "\"%.40s\" is no version, expected one such as 1.6",
	    conf->version);
	return -1;
}

static void
judge(struct check_run *run, char *answer)
{
	const struct conf *conf = check_conf(run);
	const char *version = answer + strlen(word);

	answer[strcspn(answer, "\r\n")] = '\0';
	if (strncmp(answer, word, strlen(word)) != 0)
		check_done(run, CHECK_CRITICAL, CHECK_REASON_PROTOCOL,
		    "\"%s\" is no version", answer);
	else if (conf->version != NULL &&
	    strncmp(version, conf->version, strlen(conf->version)) != 0)
		check_done(run, CHECK_WARNING, CHECK_REASON_BODY,
		    "version %s, expected %s", version, conf->version);
	else
		check_done(run, CHECK_PASSING, CHECK_REASON_OK, "version %s", version);
}

static void
arrived(struct check_run *run, size_t len, enum check_reason reason, const char *why)
{
	struct run *state = check_state(run);
	size_t room = sizeof(state->answer) - 1;

	state->len += len;
	if (reason != CHECK_REASON_OK)
		check_done(run, CHECK_CRITICAL, reason, "%s", why);
	else if (len == 0)
		check_done(run, CHECK_CRITICAL, CHECK_REASON_CLOSED,
		    "the connection was closed before a line had come");
	else if (strchr(state->answer, '\n') == NULL && state->len < room)
		check_read(run, state->answer + state->len, room - state->len, arrived);
	else
		judge(run, state->answer);
}

static void
written(struct check_run *run, enum check_reason reason, const char *why)
{
	struct run *state = check_state(run);

	if (reason != CHECK_REASON_OK)
		check_done(run, CHECK_CRITICAL, reason, "%s", why);
	else
		check_read(run, state->answer, sizeof(state->answer) - 1, arrived);
}

static void
connected(struct check_run *run, enum check_reason reason, const char *why)
{
	if (reason != CHECK_REASON_OK)
		check_done(run, CHECK_CRITICAL, reason, "%s", why);
	else
		check_write(run, question, strlen(question), written);
}

static void
start(struct check_run *run)
{
	const struct conf *conf = check_conf(run);

	check_connect(run, conf->host, (uint16_t)conf->port, NULL, connected);
}

CHECK_EXPORT const struct check_class check_plugin = {
	.abi = CHECK_ABI,
	.name = "memcached",
	.help = "a memcached server tells its version",
	.conf_size = sizeof(struct conf),
	.run_size = sizeof(struct run),
	.options = options,
	.prepare = prepare,
	.start = start,
};
