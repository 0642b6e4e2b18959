/* SPDX-License-Identifier: ISC */
/*
 * The only way to cJSON. Its traps end here: valueint is an int, so whole numbers go
 * through a checked 53-bit reader; its printer compares doubles with a tolerance and gives
 * sixteen digits out rounded, so large numbers are written as raw digits; its parser stops
 * at the first value and does not mind what follows.
 * An object made by cJSON is the caller's (AUTO_JSON); nothing is kept here.
 */
#include "agent/base/json.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"

#define JSON_UINT_MAX ((UINT64_C(1) << 53) - 1)

/* Up to here cJSON prints a whole number digit by digit. */
#define JSON_PRINTS_EXACTLY UINT64_C(999999999999999)

bool
json_get_uint(const cJSON *object, const char *name, uint64_t *out)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	if (cJSON_IsRaw(item))
		return parse_uint(item->valuestring, 0, JSON_UINT_MAX, out) == 0;
	if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) ||
	    item->valuedouble > (double)JSON_UINT_MAX)
		return false;
	uint64_t value = (uint64_t)item->valuedouble;
	if ((double)value < item->valuedouble)
		return false;
	*out = value;
	return true;
}

bool
json_get_bool(const cJSON *object, const char *name, bool *out)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	if (!cJSON_IsBool(item))
		return false;
	*out = cJSON_IsTrue(item);
	return true;
}

bool
json_get_text(const cJSON *object, const char *name, char *out, size_t size)
{
	const char *text = json_text(object, name);

	if (text == NULL || strlen(text) >= size)
		return false;
	for (const char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
	return str_copy(out, size, text);
}

const char *
json_text(const cJSON *object, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

bool
json_true(const cJSON *object, const char *name)
{
	bool value = false;

	return json_get_bool(object, name, &value) && value;
}

bool
json_is(const cJSON *object, const char *name, const char *text)
{
	const char *value = json_text(object, name);

	return value != NULL && strcmp(value, text) == 0;
}

void
json_add_uint(cJSON *object, const char *name, uint64_t value)
{
	char digits[24];
	const cJSON *item;

	snprintf(digits, sizeof(digits), "%ju", (uintmax_t)value);
	if (value <= JSON_PRINTS_EXACTLY)
		item = cJSON_AddNumberToObject(object, name, (double)value);
	else
		item = cJSON_AddRawToObject(object, name, digits);
	if (item == NULL)
		out_of_memory();
}

cJSON *
json_parse(const char *text, size_t len)
{
	const char *end = NULL;
	cJSON *json = cJSON_ParseWithLengthOpts(text, len, &end, false);

	if (json == NULL)
		return NULL;
	while (end < text + len && *end != '\0' && strchr(" \t\r\n", *end) != NULL)
		end++;
	if (end == text + len)
		return json;
	cJSON_Delete(json);
	return NULL;
}

char *
json_print(const cJSON *json)
{
	char *text = cJSON_PrintUnformatted(json);

	if (text == NULL)
		out_of_memory();
	return text;
}

void
json_cleanup(cJSON **json)
{
	cJSON_Delete(*json);
}
