/* SPDX-License-Identifier: ISC */
/*
 * What a service should have said in JSON: members of its answer and their values, written
 * "status.db=up" in the configuration. The answer may be anything: base/json.h refuses
 * what is not JSON or too deep, the caller limits its length, and what is quoted of it is
 * cut. A text and a number are equal to a value written the same, since a file has no
 * types: "3" is the number 3 and the text "3".
 */
#include "checks/member.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/util.h"

#define SHOWN 64 /* bytes of a text that are quoted */

int
member_check(const char *text, char *why, size_t why_size)
{
	size_t path = strcspn(text, "=");
	bool parts = path > 0 && text[0] != '.' && text[path - 1] != '.';
	const char *empty = strstr(text, "..");

	if (text[path] == '=' && parts && (empty == NULL || empty > text + path))
		return 0;
	snprintf(why, why_size,
	    "\"%.80s\" is not valid, expected \"path=value\" like \"status.db=up\"",
	    text);
	return -1;
}

/* The member of this name, or of this index, or NULL. */
static const cJSON *
step_into(const cJSON *json, const char *name)
{
	uint64_t index;

	if (!cJSON_IsArray(json))
		return cJSON_GetObjectItemCaseSensitive(json, name);
	return parse_uint(name, 0, INT32_MAX, &index) == 0
	    ? cJSON_GetArrayItem(json, (int)index)
	    : NULL;
}

static const cJSON *
find(const cJSON *json, const char *path, size_t len)
{
	const char *end = path + len;

	while (json != NULL && path < end) {
		size_t part = strcspn(path, ".=");
		AUTO_FREE char *name = xstrndup(path, part);
		json = step_into(json, name);
		path += part + 1;
	}
	return json;
}

static bool
is_number(const char *value, double number)
{
	char *end;

	if (strspn(value, "0123456789+-.eE") != strlen(value) || *value == '\0')
		return false;
	double expected = strtod(value, &end);
	return *end == '\0' && !(expected < number) && !(expected > number);
}

static bool
has_value(const cJSON *json, const char *value)
{
	if (cJSON_IsString(json))
		return strcmp(json->valuestring, value) == 0;
	if (cJSON_IsNumber(json))
		return is_number(value, json->valuedouble);
	if (cJSON_IsBool(json))
		return strcmp(value, cJSON_IsTrue(json) ? "true" : "false") == 0;
	return cJSON_IsNull(json) && strcmp(value, "null") == 0;
}

/* The value in words, quoted and cut. */
static void
show(const cJSON *json, char *out, size_t size)
{
	if (cJSON_IsString(json))
		snprintf(out, size, "\"%.*s\"", SHOWN, json->valuestring);
	else if (cJSON_IsNumber(json))
		snprintf(out, size, "%.15g", json->valuedouble);
	else if (cJSON_IsBool(json))
		str_copy(out, size, cJSON_IsTrue(json) ? "true" : "false");
	else if (cJSON_IsNull(json))
		str_copy(out, size, "null");
	else
		str_copy(out, size, cJSON_IsArray(json) ? "a list" : "an object");
}

static bool
member_holds(const cJSON *json, const char *text, char *why, size_t why_size)
{
	size_t path = strcspn(text, "=");
	const cJSON *member = find(json, text, path);
	const char *value = text + path + 1;
	char shown[SHOWN + 8];

	if (member == NULL) {
		snprintf(why, why_size, "the body has no %.*s", (int)path, text);
		return false;
	}
	if (has_value(member, value))
		return true;
	show(member, shown, sizeof(shown));
	snprintf(
	    why, why_size, "%.*s is %s, expected %s", (int)path, text, shown, value);
	return false;
}

bool
members_hold(
    const char *const *texts, const char *body, size_t len, char *why, size_t why_size)
{
	AUTO_JSON cJSON *json = json_parse(body, len);

	if (json == NULL) {
		snprintf(why, why_size, "the body is not JSON");
		return false;
	}
	for (; *texts != NULL; texts++)
		if (!member_holds(json, *texts, why, why_size))
			return false;
	return true;
}
