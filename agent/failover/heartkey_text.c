/* SPDX-License-Identifier: ISC */
/*
 * Keys of heartbeats as text: lictor/heartbeat-key in Consul (and the file that keeps it),
 * and the key-file of an operator. Pure; strict, since half a key is none. Whoever holds
 * a text wipes it.
 */
#include "agent/failover/heartkey_text.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"

#define HEX (2 * MAC_KEY_SIZE)

static int
digit(char c)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	const char *at = c == '\0' ? NULL : strchr(digits, c);
	int value = at == NULL ? -1 : (int)(at - digits);

	return value > 15 ? value - 6 : value;
}

static bool
key_parse(const char *text, uint8_t key[MAC_KEY_SIZE])
{
	if (strlen(text) != HEX)
		return false;
	for (size_t i = 0; i < MAC_KEY_SIZE; i++) {
		int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		key[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static void
key_print(const uint8_t key[MAC_KEY_SIZE], char out[HEX + 1])
{
	for (size_t i = 0; i < MAC_KEY_SIZE; i++)
		snprintf(out + 2 * i, 3, "%02x", key[i]);
}

char *
heartkey_print(const struct heartkey_record *record)
{
	AUTO_JSON cJSON *json = cJSON_CreateObject();
	char sign[HEX + 1], also[HEX + 1] = "";

	key_print(record->keys.keys[0], sign);
	if (record->keys.count > 1)
		key_print(record->keys.keys[1], also);
	json_add_uint(json, "v", 1);
	cJSON_AddStringToObject(json, "sign", sign);
	cJSON_AddStringToObject(json, "also", also);
	cJSON_AddBoolToObject(json, "rotating", record->rotating);
	return json_print(json);
}

bool
heartkey_parse(const cJSON *json, struct heartkey_record *out)
{
	struct heartkey_record record = { .keys = { .count = 1 } };
	char sign[HEX + 1], also[HEX + 1];
	uint64_t version;

	if (!json_get_uint(json, "v", &version) || version != 1 ||
	    !json_get_text(json, "sign", sign, sizeof(sign)) ||
	    !json_get_text(json, "also", also, sizeof(also)) ||
	    !json_get_bool(json, "rotating", &record.rotating) ||
	    !key_parse(sign, record.keys.keys[0]))
		return false;
	if (also[0] != '\0') {
		record.keys.count = 2;
		if (!key_parse(also, record.keys.keys[1]))
			return false;
	}
	*out = record;
	return record.keys.count == 2 || !record.rotating;
}

bool
heartkey_parse_file(char *text, struct heartkeys *out)
{
	struct heartkeys keys = { 0 };
	char *rest = NULL;

	for (char *line = strtok_r(text, "\r\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\r\n", &rest)) {
		line[strcspn(line, " \t")] = '\0';
		if (line[0] == '#' || line[0] == '\0')
			continue;
		if (keys.count == HEARTKEYS ||
		    !key_parse(line, keys.keys[keys.count++]))
			return false;
	}
	*out = keys;
	return keys.count > 0;
}
