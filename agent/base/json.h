/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_JSON_H
#define LICTOR_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The one place that includes cJSON. Readers are strict: a member that is absent or of
 * another type makes them false and leaves *out untouched. */

/* A whole number from 0 to 2^53 - 1 (cJSON's valueint is an int, its valuedouble exact
 * only so far). */
bool json_get_uint(const cJSON *object, const char *name, uint64_t *out);
bool json_get_bool(const cJSON *object, const char *name, bool *out);
/* False as well when the text does not fit or has a control character. */
bool json_get_text(const cJSON *object, const char *name, char *out, size_t size);
/* Borrowed from the object; NULL if absent or no string. */
const char *json_text(const cJSON *object, const char *name);
/* Whether the member is true, and whether it is that text. */
bool json_true(const cJSON *object, const char *name);
bool json_is(const cJSON *object, const char *name, const char *text);

void json_add_uint(cJSON *object, const char *name, uint64_t value);

/* Parses exactly len bytes, nothing may follow; NULL if it is not JSON. */
cJSON *json_parse(const char *text, size_t len);

/* Without white space; the caller frees it with free(). Never NULL. */
char *json_print(const cJSON *json);

void json_cleanup(cJSON **json);
#define AUTO_JSON __attribute__((cleanup(json_cleanup)))

#endif
