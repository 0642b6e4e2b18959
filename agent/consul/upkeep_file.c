/* SPDX-License-Identifier: ISC */
/*
 * The file in which upkeep keeps the maintenances of ours over restarts: a JSON object a
 * line, so that a reason may have any character and a damaged line costs no other. Pure
 * text and reading; what a record means is upkeep's to say, and a keeper writes.
 */
#include "agent/consul/upkeep_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/json.h"
#include "agent/base/keeper.h"
#include "agent/base/util.h"

#define FILE_MAX (1 << 20)

void
upkeep_file_add(struct buf *text, const struct upkeep_record *record)
{
	AUTO_JSON cJSON *json = cJSON_CreateObject();

	if (record->id[0] != '\0')
		cJSON_AddStringToObject(json, "service", record->id);
	json_add_uint(json, "until", (uint64_t)record->until);
	json_add_uint(json, "span", (uint64_t)record->span);
	cJSON_AddStringToObject(json, "who", record->who);
	cJSON_AddStringToObject(json, "reason", record->reason);
	AUTO_FREE char *line = json_print(json);
	buf_printf(text, "%s\n", line);
}

static bool
read_line(const char *line, size_t len, struct upkeep_record *record)
{
	AUTO_JSON cJSON *json = json_parse(line, len);
	uint64_t until, span;

	*record = (struct upkeep_record){ 0 };
	if (!json_get_uint(json, "until", &until) ||
	    !json_get_uint(json, "span", &span) || span > UPKEEP_SPAN_MAX_MS ||
	    (until == 0) != (span == 0))
		return false;
	record->until = (int64_t)until;
	record->span = (int64_t)span;
	if (cJSON_GetObjectItemCaseSensitive(json, "service") != NULL &&
	    (!json_get_text(json, "service", record->id, sizeof(record->id)) ||
		record->id[0] == '\0'))
		return false;
	return json_get_text(json, "who", record->who, sizeof(record->who)) &&
	    json_get_text(json, "reason", record->reason, sizeof(record->reason));
}

int
upkeep_file_read(const char *path,
    void (*found)(void *arg, const struct upkeep_record *record), void *arg,
    unsigned int *damaged)
{
	struct buf text = { .limit = FILE_MAX };
	struct upkeep_record record;
	/* what is beyond the limit is damaged for sure: there are no so many services */
	int err = keeper_read(path, &text);
	size_t at = 0;

	*damaged = 0;
	while (err == 0 && at < text.len) {
		const char *line = text.data + at;
		const char *end = memchr(line, '\n', text.len - at);
		size_t len = end != NULL ? (size_t)(end - line) : text.len - at;

		if (read_line(line, len, &record))
			found(arg, &record);
		else
			++*damaged;
		at += len + 1;
	}
	buf_free(&text);
	return err;
}
