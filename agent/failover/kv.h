/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_KV_H
#define LICTOR_KV_H

#include <stddef.h>

#include "agent/base/json.h"

/* Entries of Consul's KV as its API shows them (`Value` in base64), and transactions. All
 * take NULL for "no such entry". */

/* The value, a NUL after its *len bytes; NULL if it has none that can be read. The caller
 * frees it. */
char *kv_value(const cJSON *entry, size_t *len);

/* The value as JSON, or NULL. The caller frees it. */
cJSON *kv_json(const cJSON *entry);

/* Adds an operation to the transaction's array and returns its members, to be added to. */
cJSON *kv_operation(cJSON *operations, const char *verb, const char *key);

/* The entry of exactly that key among a transaction's results, or NULL. */
const cJSON *kv_result(const cJSON *answer, const char *key);

#endif
