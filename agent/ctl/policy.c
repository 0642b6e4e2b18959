/* SPDX-License-Identifier: ISC */
/*
 * lictorctl's commands about a role's freedom: pause and resume for all hosts at once, the
 * word that a lost register may be written anew, another key of heartbeats; and
 * explain, which only asks. Each is one question.
 */
#include "agent/ctl/policy.h"

#include "agent/base/util.h"
#include "agent/ctl/ask.h"

#include <stdio.h>
#include <string.h>

static int
change_pause(
    const struct ctl *ctl, const char *command, const char *role, const char *words)
{
	cJSON *request AUTO_JSON = cJSON_CreateObject();

	cJSON_AddStringToObject(request, "command", command);
	cJSON_AddStringToObject(request, "role", role);
	if (ctl->reason != NULL)
		cJSON_AddStringToObject(request, "reason", ctl->reason);
	ask_add_who(request);
	return ask_tell(ctl, ask_with(ctl, request), words);
}

int
policy_pause(const struct ctl *ctl, char **args)
{
	AUTO_FREE char *words = xasprintf(
	    "%s is being paused: it stays where it is until it is resumed", args[0]);

	return change_pause(ctl, "pause", args[0], words);
}

int
policy_resume(const struct ctl *ctl, char **args)
{
	AUTO_FREE char *words = xasprintf("%s is being resumed", args[0]);

	return change_pause(ctl, "resume", args[0], words);
}

int
policy_explain(const struct ctl *ctl, char **args)
{
	cJSON *answer AUTO_JSON = ask(ctl, "explain", args[0], NULL);
	const cJSON *words, *line;

	if (answer == NULL)
		return 1;
	words = cJSON_GetObjectItemCaseSensitive(answer, "explain");
	if (ctl->json) {
		ask_print(words);
		return 0;
	}
	cJSON_ArrayForEach (line, cJSON_GetObjectItemCaseSensitive(words, "lines"))
		puts(cJSON_GetStringValue(line));
	return 0;
}

int
policy_init(const struct ctl *ctl, char **args)
{
	AUTO_FREE char *words =
	    xasprintf("the register of %s is being written anew", args[0]);

	return ask_tell(ctl, ask(ctl, "init", args[0], NULL), words);
}

int
policy_key(const struct ctl *ctl, char **args)
{
	cJSON *request AUTO_JSON = cJSON_CreateObject();

	if (strcmp(args[0], "rotate") != 0) {
		fprintf(stderr, "lictorctl: \"%s\": a key can be rotated, no more\n",
		    args[0]);
		return 2;
	}
	cJSON_AddStringToObject(request, "command", "key");
	cJSON_AddStringToObject(request, "act", "rotate");
	return ask_tell(ctl, ask_with(ctl, request),
	    "a new key is made; the one before is taken as well until the next one");
}
