/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_HEARTKEY_TEXT_H
#define LICTOR_HEARTKEY_TEXT_H

#include <stdbool.h>

#include "agent/base/json.h"
#include "agent/failover/heartkey.h"

/* What lictor/heartbeat-key says: [0] signs; while `rotating`, [1] is to sign soon. */
struct heartkey_record {
	struct heartkeys keys;
	bool rotating;
};

/* As JSON, for free(); there must be a key. False: it is none of ours. */
char *heartkey_print(const struct heartkey_record *record);
bool heartkey_parse(const cJSON *json, struct heartkey_record *out);

/* One key a line, the first signs; empty lines and those with a # are passed over, and so is
 * what follows a space. Writes into `text`. */
bool heartkey_parse_file(char *text, struct heartkeys *out);

#endif
