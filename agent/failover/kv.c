/* SPDX-License-Identifier: ISC */
/*
 * Entries of Consul's KV and transactions on them, for registers, lease, roster and
 * presence. Results are found by their exact key, never by position: `get-tree` answers
 * with whatever begins alike, and leaves out what is missing or may not be seen.
 */
#include "agent/failover/kv.h"

#include <string.h>

#include "agent/base/base64.h"
#include "agent/base/util.h"

char *
kv_value(const cJSON *entry, size_t *len)
{
	const char *value = json_text(entry, "Value");

	return value == NULL ? NULL : base64_decode(value, len);
}

cJSON *
kv_json(const cJSON *entry)
{
	size_t len;
	AUTO_FREE char *text = kv_value(entry, &len);

	return text == NULL ? NULL : json_parse(text, len);
}

cJSON *
kv_operation(cJSON *operations, const char *verb, const char *key)
{
	cJSON *operation = cJSON_CreateObject();
	cJSON *kv = cJSON_AddObjectToObject(operation, "KV");

	cJSON_AddStringToObject(kv, "Verb", verb);
	cJSON_AddStringToObject(kv, "Key", key);
	cJSON_AddItemToArray(operations, operation);
	return kv;
}

const cJSON *
kv_result(const cJSON *answer, const char *key)
{
	const cJSON *result;

	cJSON_ArrayForEach (
	    result, cJSON_GetObjectItemCaseSensitive(answer, "Results")) {
		const cJSON *kv = cJSON_GetObjectItemCaseSensitive(result, "KV");
		const char *name = json_text(kv, "Key");

		if (name != NULL && strcmp(name, key) == 0)
			return kv;
	}
	return NULL;
}
