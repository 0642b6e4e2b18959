/* SPDX-License-Identifier: ISC */
/*
 * What is expected of JSON: every kind of value against every spelling of one, paths
 * through objects and lists, and texts that are no JSON or no expectation.
 */
#include "checks/member.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/unit/tap.h"

static bool
holds(const char *text, const char *body, char *why, size_t why_size)
{
	const char *texts[] = { text, NULL };

	return members_hold(texts, body, strlen(body), why, why_size);
}

/* Equal are those of one line, and no others. */
static void
test_values(void)
{
	static const struct {
		const char *json, *values[4];
	} kinds[] = {
		{ "true", { "true" } },
		{ "false", { "false" } },
		{ "null", { "null" } },
		{ "\"true\"", { "true" } },
		{ "\"\"", { "" } },
		{ "\"Up\"", { "Up" } },
		{ "\" 3\"", { " 3" } },
		{ "3", { "3", "3.0", "+3", "0.3e1" } },
		{ "3.0", { "3", "3.0", "+3", "0.3e1" } },
		{ "-0.5", { "-0.5", "-5e-1" } },
		{ "[]", { NULL } },
		{ "{}", { NULL } },
		{ "[3]", { NULL } },
	};
	static const char *const values[] = { "true", "false", "null", "True", "", "Up",
		"up", " 3", "3", "3.0", "+3", "0.3e1", "0x3", "3 ", "3a", "-3", "-0.5",
		"-5e-1", "[]", "{}", "nan", "inf", "1e999", "e" };
	char why[200];

	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
		for (size_t j = 0; j < ARRAY_LENGTH(values); j++) {
			AUTO_FREE char *text = xasprintf("a=%s", values[j]);
			AUTO_FREE char *body = xasprintf("{\"a\":%s}", kinds[i].json);
			bool equal = false;
			for (size_t k = 0; k < 4 && kinds[i].values[k] != NULL; k++)
				equal |= strcmp(kinds[i].values[k], values[j]) == 0;
			bool right = holds(text, body, why, sizeof(why)) == equal;
			CU_ASSERT(right);
			if (!right)
				printf("# %s in %s\n", text, body);
		}
}

static const struct {
	const char *text, *why; /* NULL: it holds */
} paths[] = {
	{ "a.b.c=1", NULL },
	{ "list.0=x", NULL },
	{ "list.2.d=y", NULL },
	{ "list.3.0=deep", NULL },
	{ "0=zero", NULL },
	{ "x y=blank", NULL },
	{ "eq=a=b", NULL },
	{ "a.b.c=2", "a.b.c is 1, expected 2" },
	{ "a.b=1", "a.b is an object, expected 1" },
	{ "list=x", "list is a list, expected x" },
	{ "list.1=no", "list.1 is true, expected no" },
	{ "none=null", NULL },
	{ "list.4=x", "the body has no list.4" },
	{ "list.00=x", "the body has no list.00" },
	{ "list.-1=x", "the body has no list.-1" },
	{ "list.x=x", "the body has no list.x" },
	{ "list.99999999999=x", "the body has no list.99999999999" },
	{ "A.b.c=1", "the body has no A.b.c" },
	{ "a.b.c.d=1", "the body has no a.b.c.d" },
	{ "list.0.0=x", "the body has no list.0.0" },
};

static void
test_paths(void)
{
	static const char body[] =
	    " {\"a\":{\"b\":{\"c\":1}}, \"list\":[\"x\",true,{\"d\":\"y\"},[\"deep\"]],"
	    "\"0\":\"zero\", \"x y\":\"blank\", \"eq\":\"a=b\",\"none\":\"null\"}\n";
	char why[200];

	for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
		why[0] = '\0';
		bool held = holds(paths[i].text, body, why, sizeof(why));
		CU_ASSERT_EQUAL(held, paths[i].why == NULL);
		CU_ASSERT_STRING_EQUAL(why, paths[i].why != NULL ? paths[i].why : "");
	}
}

static void
test_all_must_hold(void)
{
	const char *texts[] = { "a=1", "b=2", NULL };
	char why[200] = "";

	CU_ASSERT(members_hold(texts, "{\"a\":1,\"b\":2}", 13, why, sizeof(why)));
	CU_ASSERT_FALSE(members_hold(texts, "{\"a\":1,\"b\":3}", 13, why, sizeof(why)));
	CU_ASSERT_STRING_EQUAL(why, "b is 3, expected 2");
	CU_ASSERT_FALSE(members_hold(texts, "{\"a\":2,\"b\":3}", 13, why, sizeof(why)));
	CU_ASSERT_STRING_EQUAL(why, "a is 2, expected 1");
}

static void
test_no_json(void)
{
	static const char *const bodies[] = { "", "{", "up", "{}{}", "{\"a\":1}x",
		"{\"a\":\"\001", "[1,]", "\xff" };
	static char deep[60000];
	char why[200];

	for (size_t i = 0; i < ARRAY_LENGTH(bodies); i++) {
		CU_ASSERT_FALSE(holds("a=1", bodies[i], why, sizeof(why)));
		CU_ASSERT_STRING_EQUAL(why, "the body is not JSON");
	}
	memset(deep, '[', sizeof(deep) - 1);
	CU_ASSERT_FALSE(holds("a=1", deep, why, sizeof(why)));
	CU_ASSERT_STRING_EQUAL(why, "the body is not JSON");
	/* a value from outside is cut where it is quoted */
	memset(deep, 'x', sizeof(deep) - 1);
	memcpy(deep, "{\"a\":\"", 6);
	memcpy(deep + sizeof(deep) - 3, "\"}", 3);
	CU_ASSERT_FALSE(holds("a=1", deep, why, sizeof(why)));
	CU_ASSERT(strlen(why) < 120 && strstr(why, "x\", expected 1") != NULL);
}

static void
test_what_is_no_expectation(void)
{
	static const char *const bad[] = { "", "=", "a", "=b", ".a=b", "a.=b", "a..b=c",
		".=" };
	static const char *const good[] = { "a=", "a=b", "a.b=c..d", "a b=c", "0=1" };
	char why[200];

	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		CU_ASSERT_EQUAL(member_check(bad[i], why, sizeof(why)), -1);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, "expected \"path=value\""));
	}
	for (size_t i = 0; i < ARRAY_LENGTH(good); i++)
		CU_ASSERT_EQUAL(member_check(good[i], why, sizeof(why)), 0);
}

static const struct tap_case cases[] = {
	{ "values", test_values },
	{ "paths", test_paths },
	{ "all must hold", test_all_must_hold },
	{ "no JSON", test_no_json },
	{ "what is no expectation", test_what_is_no_expectation },
};

TAP_MAIN("member", cases)
