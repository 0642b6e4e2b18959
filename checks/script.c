/* SPDX-License-Identifier: ISC */
/*
 * The check type `script`: a command, judged by its exit status under one of three
 * conventions. The runner runs it, with the user, the environment and the folder of the
 * options; here only the ending is judged. Under Nagios' convention what follows a '|' are
 * figures (perfdata.h), which become metrics.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "checks/builtin.h"
#include "checks/check.h"
#include "checks/perfdata.h"

#define OUTPUT_MAX 4096 /* bytes of the tail that are kept */

enum convention { CONVENTION_CONSUL, CONVENTION_NAGIOS, CONVENTION_KEEPALIVED };

struct script_check {
	char **command, *user, **environment, *directory, *convention_name;
	uint64_t memory, processes, files;
	/* made by prepare */
	enum convention convention;
};

struct script_run {
	char output[OUTPUT_MAX + 1];
};

static const struct check_option options[] = {
	{ "command", CHECK_OPTION_COMMAND, offsetof(struct script_check, command),
	    .required = true },
	{ "user", CHECK_OPTION_USER, offsetof(struct script_check, user) },
	{ "environment", CHECK_OPTION_ENVIRONMENT,
	    offsetof(struct script_check, environment) },
	{ "directory", CHECK_OPTION_DIRECTORY,
	    offsetof(struct script_check, directory) },
	{ "convention", CHECK_OPTION_TEXT,
	    offsetof(struct script_check, convention_name), .value = "consul" },
	{ "memory", CHECK_OPTION_MEMORY, offsetof(struct script_check, memory) },
	{ "processes", CHECK_OPTION_PROCESSES, offsetof(struct script_check, processes),
	    .max = 1000000 },
	{ "files", CHECK_OPTION_FILES, offsetof(struct script_check, files),
	    .max = 1000000 },
	{ NULL },
};

/* What an exit status means: its own entry, or else `other`. */
static const struct {
	const char *name;
	enum check_status by_status[4];
} conventions[] = {
	[CONVENTION_CONSUL] = { "consul",
	    { CHECK_PASSING, CHECK_WARNING, CHECK_CRITICAL, CHECK_CRITICAL } },
	[CONVENTION_NAGIOS] = { "nagios",
	    { CHECK_PASSING, CHECK_WARNING, CHECK_CRITICAL, CHECK_UNKNOWN } },
	[CONVENTION_KEEPALIVED] = { "keepalived",
	    { CHECK_PASSING, CHECK_CRITICAL, CHECK_CRITICAL, CHECK_CRITICAL } },
};
_Static_assert(ARRAY_LENGTH(conventions) == CONVENTION_KEEPALIVED + 1, "one row each");

static int
prepare(void *conf, const char **option, char *why, size_t why_size)
{
	struct script_check *check = conf;

	for (size_t i = 0; i < ARRAY_LENGTH(conventions); i++)
		if (strcmp(check->convention_name, conventions[i].name) == 0) {
			check->convention = (enum convention)i;
			return 0;
		}
	*option = "convention";
	snprintf(why, why_size,
	    "\"%s\" is not known, expected consul, nagios or keepalived",
	    check->convention_name);
	return -1;
}

/* The performance data become metrics and leave the text, since they are other ones with
 * every run. */
static void
take_performance_data(struct check_run *run, char *text)
{
	char data[OUTPUT_MAX + 1];
	const char *at = data;
	struct perfdata figure;

	perfdata_part(text, data);
	while (perfdata_next(&at, &figure))
		check_metric(run, figure.name, figure.value, figure.unit);
}

/* The beginning of a text is lost, and may have had the bar that the figures stand behind: a
 * line that begins with figures then is one of them, but for the first, which is cut. */
static void
find_figures(char *text)
{
	size_t line = strcspn(text, "\n"), word = strcspn(text, " \n");

	if (memchr(text, '|', line) != NULL || memchr(text, '=', line) == NULL)
		return;
	if (word > 1)
		memmove(text + 1, text + word, strlen(text + word) + 1);
	text[0] = '|';
}

/* The tail of the output as text, without line ends before and behind it. */
static char *
keep_output(struct check_run *run, const struct check_exit *exit)
{
	const struct script_check *check = check_conf(run);
	struct script_run *script = check_state(run);
	size_t len = exit->output_len;

	if (len > OUTPUT_MAX)
		len = OUTPUT_MAX;
	if (len > 0)
		memcpy(script->output, exit->output + exit->output_len - len, len);
	for (size_t i = 0; i < len; i++)
		if (script->output[i] == '\0')
			script->output[i] = '?';
	script->output[len] = '\0';
	if (check->convention == CONVENTION_NAGIOS && len == OUTPUT_MAX)
		find_figures(script->output);
	if (check->convention == CONVENTION_NAGIOS)
		take_performance_data(run, script->output);
	len = strlen(script->output);
	while (len > 0 && strchr(" \t\r\n", script->output[len - 1]) != NULL)
		script->output[--len] = '\0';
	return script->output + strspn(script->output, "\r\n");
}

static void
exited(struct check_run *run, int value, const char *output)
{
	const struct script_check *check = check_conf(run);
	enum check_status status = value >= 0 && value <= 3
	    ? conventions[check->convention].by_status[value]
	    : CHECK_CRITICAL;
	enum check_reason reason = value == 0 ? CHECK_REASON_OK : CHECK_REASON_EXIT;

	if (output[0] != '\0')
		check_done(run, status, reason, "%s", output);
	else
		check_done(run, status, reason, "exit status %d", value);
}

static void
ended(struct check_run *run, const struct check_exit *exit)
{
	const char *output = keep_output(run, exit);
	const char *newline = output[0] != '\0' ? "\n" : "";

	switch (exit->how) {
	case CHECK_EXITED: exited(run, exit->value, output); break;
	case CHECK_SIGNALLED:
		check_done(run, CHECK_CRITICAL, CHECK_REASON_SIGNAL,
		    "%s%skilled by signal %d (%s)", output, newline, exit->value,
		    strsignal(exit->value));
		break;
	case CHECK_TIMED_OUT:
		check_done(run, CHECK_CRITICAL, CHECK_REASON_TIMEOUT,
		    "%s%snot done in time", output, newline);
		break;
	case CHECK_NOT_RUN:
		check_done(run, CHECK_UNKNOWN, CHECK_REASON_LOCAL,
		    "the command could not be run: %s", output);
		break;
	}
}

static void
start(struct check_run *run)
{
	check_command(run, ended);
}

const struct check_class check_script_class = {
	.abi = CHECK_ABI,
	.name = "script",
	.help = "runs a command and judges its exit status",
	.conf_size = sizeof(struct script_check),
	.run_size = sizeof(struct script_run),
	.options = options,
	.prepare = prepare,
	.start = start,
};
