/* SPDX-License-Identifier: ISC */
/*
 * Whole numbers survive the way through JSON up to 2^53 - 1 and no others are taken;
 * readers leave what they cannot read untouched; nothing may follow a value.
 */
#include "agent/base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/unit/tap.h"

#define MAX ((UINT64_C(1) << 53) - 1)

static cJSON *
parse(const char *text)
{
	return json_parse(text, strlen(text));
}

static uint64_t
there_and_back(uint64_t value, bool printed)
{
	AUTO_JSON cJSON *object = cJSON_CreateObject();
	uint64_t back = 42;

	json_add_uint(object, "n", value);
	if (!printed)
		return json_get_uint(object, "n", &back) ? back : 42;
	AUTO_FREE char *text = json_print(object);
	char expected[40];
	snprintf(expected, sizeof(expected), "{\"n\":%ju}", (uintmax_t)value);
	CU_ASSERT_STRING_EQUAL(text, expected);
	AUTO_JSON cJSON *again = parse(text);
	return json_get_uint(again, "n", &back) ? back : 42;
}

/* Around every power of two and of ten. */
static void
test_numbers_survive(void)
{
	for (uint64_t power = 1; power <= MAX; power *= 2)
		for (uint64_t n = power - (power > 2 ? 2 : 0); n <= power + 2; n++)
			if (n <= MAX) {
				CU_ASSERT_EQUAL(there_and_back(n, false), n);
				CU_ASSERT_EQUAL(there_and_back(n, true), n);
			}
	for (uint64_t power = 1; power <= MAX; power *= 10) {
		CU_ASSERT_EQUAL(there_and_back(power - 1, true), power - 1);
		CU_ASSERT_EQUAL(there_and_back(power, true), power);
	}
	CU_ASSERT_EQUAL(there_and_back(MAX, true), MAX);
	CU_ASSERT_EQUAL(there_and_back(MAX + 1, true), 42);
	CU_ASSERT_EQUAL(there_and_back(UINT64_MAX, false), 42);
}

static void
test_other_values_are_no_numbers(void)
{
	static const char *const values[] = { "-1", "1.5", "9007199254740992", "1e300",
		"-1e300", "\"1\"", "true", "null", "[1]", "{\"n\":1}", "0.1" };

	for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
		AUTO_FREE char *text = xasprintf("{\"n\":%s}", values[i]);
		AUTO_JSON cJSON *json = parse(text);
		uint64_t out = 7;
		CU_ASSERT_PTR_NOT_NULL(json);
		CU_ASSERT_FALSE(json_get_uint(json, "n", &out));
		CU_ASSERT_EQUAL(out, 7);
	}
}

static void
test_readers_are_strict(void)
{
	AUTO_JSON cJSON *json = parse(
	    "{\"t\":true,\"f\":false,\"s\":\"four\",\"c\":\"a\\tb\",\"d\":\"\\u007f\","
	    "\"n\":null,\"u\":\"\xc3\xa4\"}");
	char text[16] = "old";
	bool flag = true;
	uint64_t number = 1;

	CU_ASSERT_TRUE(json_get_bool(json, "f", &flag) && !flag);
	CU_ASSERT_TRUE(json_get_bool(json, "t", &flag) && flag);
	CU_ASSERT_FALSE(json_get_bool(json, "s", &flag));
	CU_ASSERT_FALSE(json_get_bool(json, "T", &flag));
	CU_ASSERT_FALSE(json_get_bool(NULL, "t", &flag));
	CU_ASSERT_TRUE(flag);
	CU_ASSERT_FALSE(json_get_text(json, "s", text, 4));
	CU_ASSERT_FALSE(json_get_text(json, "c", text, sizeof(text)));
	CU_ASSERT_FALSE(json_get_text(json, "d", text, sizeof(text)));
	CU_ASSERT_FALSE(json_get_text(json, "n", text, sizeof(text)));
	CU_ASSERT_FALSE(json_get_text(json, "none", text, sizeof(text)));
	CU_ASSERT_STRING_EQUAL(text, "old");
	CU_ASSERT_TRUE(json_get_text(json, "s", text, 5));
	CU_ASSERT_STRING_EQUAL(text, "four");
	CU_ASSERT_TRUE(json_get_text(json, "u", text, sizeof(text)));
	CU_ASSERT_STRING_EQUAL(json_text(json, "s"), "four");
	CU_ASSERT_PTR_NULL(json_text(json, "t"));
	CU_ASSERT_PTR_NULL(json_text(NULL, "t"));
	CU_ASSERT_FALSE(json_get_uint(NULL, "n", &number));
}

/* Every cut of a text, each in a block of its own length, for the sanitizer. */
static void
test_nothing_is_missing_and_nothing_follows(void)
{
	static const char whole[] = "{\"a\":[1,2.5e1,true],\"b\":{\"c\":\"x\\u00e4\"}}";
	size_t len = strlen(whole);

	for (size_t cut = 0; cut <= len; cut++) {
		char *text = xcalloc(cut, 1);
		memcpy(text, whole, cut);
		AUTO_JSON cJSON *json = json_parse(text, cut);
		CU_ASSERT_EQUAL(json != NULL, cut == len);
		free(text);
	}
	for (int c = 0; c < 256; c++) {
		char text[] = { '[', ']', (char)c };
		AUTO_JSON cJSON *json = json_parse(text, sizeof(text));
		bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
		CU_ASSERT_EQUAL(json != NULL, space);
	}
}

/* Each is true of one member alone, and of none that is absent. */
static void
test_questions(void)
{
	static const char *const names[] = { "t", "f", "s", "e", "n", "z", "missing" };
	AUTO_JSON cJSON *json = parse("{\"t\":true,\"f\":false,\"s\":\"true\","
				      "\"e\":\"\",\"n\":1,\"z\":null}");

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
		CU_ASSERT_EQUAL(json_true(json, names[i]), i == 0);
		CU_ASSERT_EQUAL(json_is(json, names[i], "true"), i == 2);
		CU_ASSERT_EQUAL(json_is(json, names[i], ""), i == 3);
	}
	CU_ASSERT_FALSE(json_true(NULL, "t") || json_is(NULL, "s", "true"));
}

static const struct tap_case cases[] = {
	{ "whole numbers survive", test_numbers_survive },
	{ "other values are no numbers", test_other_values_are_no_numbers },
	{ "readers are strict", test_readers_are_strict },
	{ "questions have one answer", test_questions },
	{ "nothing is missing and nothing follows",
	    test_nothing_is_missing_and_nothing_follows },
};

TAP_MAIN("json", cases)
