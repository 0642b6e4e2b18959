/* SPDX-License-Identifier: ISC */
/*
 * What a service should have said, as a regular expression: the one place that includes
 * PCRE2. The text comes from the service that is checked and may be anything, so it need
 * not be valid UTF-8, and an expression that backtracks without end on it is stopped after
 * a fixed number of steps: a check may fail by that, the agent must not stand still. The
 * owner of an expression is the check's options; it is compiled when they are read.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "checks/expression.h"

#include <pcre2.h>
#include <stdio.h>

#include "agent/base/util.h"

#define STEPS_MAX 100000
#define HEAP_MAX_KIB 1024

struct expression {
	pcre2_code *code;
	pcre2_match_context *limits;
	pcre2_match_data *match;
};

struct expression *
expression_new(const char *pattern, char *why, size_t why_size)
{
	struct expression *expression = xcalloc(1, sizeof(*expression));
	PCRE2_SIZE offset;
	int error;

	expression->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
	    PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &error,
	    &offset, NULL);
	if (expression->code == NULL) {
		PCRE2_UCHAR text[120];
		pcre2_get_error_message(error, text, sizeof(text));
		snprintf(why, why_size,
		    "%s at offset %zu, expected a regular expression (PCRE2)",
		    (const char *)text, (size_t)offset);
		expression_free(expression);
		return NULL;
	}
	expression->limits = pcre2_match_context_create(NULL);
	expression->match = pcre2_match_data_create(1, NULL);
	if (expression->limits == NULL || expression->match == NULL) {
		snprintf(why, why_size, "out of memory");
		expression_free(expression);
		return NULL;
	}
	pcre2_set_match_limit(expression->limits, STEPS_MAX);
	pcre2_set_heap_limit(expression->limits, HEAP_MAX_KIB);
	return expression;
}

void
expression_free(struct expression *expression)
{
	if (expression == NULL)
		return;
	pcre2_match_data_free(expression->match);
	pcre2_match_context_free(expression->limits);
	pcre2_code_free(expression->code);
	free(expression);
}

bool
expression_matches(const struct expression *expression, const char *text, size_t len)
{
	return pcre2_match(expression->code, (PCRE2_SPTR)text, len, 0, 0,
		   expression->match, expression->limits) >= 0;
}
