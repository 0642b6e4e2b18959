/* SPDX-License-Identifier: ISC */
/*
 * What all commands of lictorctl share: a question to lictord, its refusal in one line,
 * and its answer for people or as JSON. See ask.h for the contract.
 */
#include "agent/ctl/ask.h"

#include "agent/base/util.h"
#include "agent/ctl/client.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static cJSON *
check(cJSON *answer, const char *why)
{
	bool ok = false;

	if (answer != NULL && json_get_bool(answer, "ok", &ok) && ok)
		return answer;
	const char *error = answer != NULL ? json_text(answer, "error") : why;
	fprintf(stderr, "lictorctl: %s\n", error != NULL ? error : "no reason given");
	cJSON_Delete(answer);
	return NULL;
}

cJSON *
ask_with(const struct ctl *ctl, const cJSON *request)
{
	char why[256] = "";

	return check(client_ask(ctl->socket_path, request, why, sizeof(why)), why);
}

cJSON *
ask_long(const struct ctl *ctl, const cJSON *request)
{
	char why[256] = "";

	return check(
	    client_ask_for(0, ctl->socket_path, request, why, sizeof(why)), why);
}

cJSON *
ask(const struct ctl *ctl, const char *command, const char *role, const char *to)
{
	cJSON *request AUTO_JSON = cJSON_CreateObject();

	cJSON_AddStringToObject(request, "command", command);
	if (role != NULL)
		cJSON_AddStringToObject(request, "role", role);
	if (to != NULL)
		cJSON_AddStringToObject(request, "to", to);
	return ask_with(ctl, request);
}

void
ask_print(const cJSON *json)
{
	char *text AUTO_FREE = json_print(json);

	puts(text);
}

int
ask_tell(const struct ctl *ctl, cJSON *answer, const char *words)
{
	const char *text = answer != NULL ? json_text(answer, "text") : NULL;
	int status = answer != NULL ? 0 : 1;

	if (text != NULL && text[0] != '\0')
		words = text;
	if (answer != NULL && ctl->json)
		ask_print(answer);
	else if (answer != NULL && words != NULL)
		puts(words);
	cJSON_Delete(answer);
	return status;
}

void
ask_add_who(cJSON *request)
{
	const char *who = getenv("SUDO_USER");
	const struct passwd *user = who == NULL ? getpwuid(getuid()) : NULL;

	if (user != NULL)
		who = user->pw_name;
	if (who != NULL && strlen(who) <= 40)
		cJSON_AddStringToObject(request, "who", who);
}

const cJSON *
ask_find_role(const cJSON *answer, const char *name)
{
	const cJSON *status = cJSON_GetObjectItemCaseSensitive(answer, "status"), *role;

	cJSON_ArrayForEach (role, cJSON_GetObjectItemCaseSensitive(status, "roles")) {
		const char *text = json_text(role, "name");
		if (text != NULL && strcmp(text, name) == 0)
			return role;
	}
	return NULL;
}
