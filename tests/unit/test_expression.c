/* SPDX-License-Identifier: ISC */
/*
 * Regular expressions as checks use them: they take any bytes, and end.
 */
#include "checks/expression.h"

#include <string.h>

#include "agent/base/util.h"
#include "tests/unit/tap.h"

static void
expressions(void)
{
	static const char not_utf8[] = "\xff\xfe up \x80";
	AUTO_FREE char *many = xcalloc(1, 5001);
	char why[160];

	memset(many, 'a', 5000);
	struct expression *up = expression_new("\\bup\\b", why, sizeof(why));
	struct expression *endless = expression_new("(a+)+[bc]", why, sizeof(why));
	CU_ASSERT(expression_matches(up, not_utf8, sizeof(not_utf8) - 1));
	CU_ASSERT_FALSE(expression_matches(up, "upper", 5));
	CU_ASSERT_FALSE(expression_matches(up, "", 0));
	CU_ASSERT_FALSE(expression_matches(endless, many, 5000));
	CU_ASSERT_PTR_NULL(expression_new("\\C", why, sizeof(why)));
	expression_free(up);
	expression_free(endless);
	expression_free(NULL);
}

static const struct tap_case cases[] = {
	{ "expressions take any bytes and end", expressions },
};

TAP_MAIN("expression", cases)
