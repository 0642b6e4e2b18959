/* SPDX-License-Identifier: ISC */
/*
 * What a class must be like to be loaded holds for those built in too, but that they may
 * have commands. What is refused, and in which words, is in tests/plugins/bad.
 */
#include "agent/conf/plugin.h"

#include <stdio.h>
#include <string.h>

#include "agent/conf/classes.h"
#include "checks/check.h"
#include "tests/unit/tap.h"

static void
types_built_in_could_be_loaded(void)
{
	size_t refused = 0;

	for (size_t i = 0; i < classes_count(NULL); i++) {
		const struct check_class *class = classes_at(NULL, i);
		char why[512] = "";
		if (plugin_judge(class, class->name, why, sizeof(why)) == 0)
			continue;
		refused++;
		CU_ASSERT_PTR_NOT_NULL(strstr(why, "goes with commands"));
		CU_ASSERT_STRING_EQUAL(class->name, "script");
	}
	CU_ASSERT_EQUAL(refused, 1);
}

static void
a_name_is_small_letters_digits_and_hyphens(void)
{
	for (int c = 1; c < 256; c++) {
		char name[] = { 'a', (char)c, 'z', '\0' };
		bool good =
		    (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
		CU_ASSERT_EQUAL(plugin_name_ok(name), good);
	}
	CU_ASSERT(!plugin_name_ok(""));
	CU_ASSERT(plugin_name_ok("a234567890123456789012345678901"));
	CU_ASSERT(!plugin_name_ok("a2345678901234567890123456789012"));
}

static const struct check_option none[] = { { NULL } };

/* A stand-in is no loaded class, and lives beside one. */
static void
a_stand_in_is_known_as_one(void)
{
	static const struct check_class loaded = { .name = "loaded", .options = none };
	struct classes *classes = classes_new();
	size_t built_in = classes_count(NULL);

	classes_add(classes, &loaded);
	const struct check_class *stand_in = classes_stand_in(classes, "absent");
	CU_ASSERT_EQUAL(classes_count(classes), built_in + 2);
	CU_ASSERT_EQUAL(classes_count(NULL), built_in);
	CU_ASSERT_PTR_EQUAL(classes_find(classes, "loaded"), &loaded);
	CU_ASSERT_PTR_EQUAL(classes_find(classes, "absent"), stand_in);
	CU_ASSERT_PTR_NULL(classes_find(NULL, "absent"));
	CU_ASSERT(classes_stands_in(classes, stand_in));
	CU_ASSERT(!classes_stands_in(classes, &loaded));
	CU_ASSERT(!classes_stands_in(NULL, classes_at(NULL, 0)));
	CU_ASSERT_PTR_NULL(stand_in->options[0].name);
	classes_free(classes);
}

static const struct tap_case cases[] = {
	{ "types built in could be loaded", types_built_in_could_be_loaded },
	{ "a name is small letters, digits and hyphens",
	    a_name_is_small_letters_digits_and_hyphens },
	{ "a stand-in is known as one", a_stand_in_is_known_as_one },
};

TAP_MAIN("plugin", cases)
