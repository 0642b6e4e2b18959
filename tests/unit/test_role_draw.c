/* SPDX-License-Identifier: ISC */
/*
 * The machine's tables: what they must have in common whatever their rows say, and that
 * their drawing shows each row between the states that it names.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/failover/role_rules.h"
#include "tests/unit/tap.h"

#define STATES (ROLE_MASTER + 1)

static char *
drawing(void)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	role_draw(out);
	fclose(out);
	return text;
}

static size_t
count(const char *text, const char *part)
{
	size_t n = 0;

	for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
		n++;
	return n;
}

static size_t
bits(unsigned int states)
{
	return (size_t)__builtin_popcount(states);
}

/* Edges of a row: from each of its states to each it may lead to, or to itself. */
static size_t
expect_row(const char *text, const char *table, size_t number, const char *when,
    const char *what, unsigned int states, unsigned int to)
{
	char label[400];
	size_t edges = bits(states) * (to == STAYS ? 1 : bits(to));

	snprintf(label, sizeof(label), "label=\"%s %zu: %s%s%s\"]", table, number, when,
	    what[0] ? "\\n" : "", what);
	CU_ASSERT_EQUAL(count(text, label), edges);
	for (enum role_state from = 0; from < STATES; from++)
		for (enum role_state next = 0; next < STATES; next++) {
			bool leads = states >> from & 1 &&
			    (to == STAYS ? from == next : to >> next & 1);
			char edge[480];

			snprintf(edge, sizeof(edge), "\t%s -> %s [style=%s, %s",
			    role_state_name(from), role_state_name(next),
			    strcmp(table, "fall") == 0        ? "bold"
				: strcmp(table, "learn") == 0 ? "dashed"
							      : "solid",
			    label);
			CU_ASSERT_EQUAL(strstr(text, edge) != NULL, leads);
		}
	return edges;
}

static void
test_drawing(void)
{
	AUTO_FREE char *text = drawing();
	size_t edges = 0;

	for (size_t i = 0; i < ROLE_FALLS; i++)
		edges += expect_row(text, "fall", i + 1, role_falls[i].when, "",
		    role_falls[i].states, role_falls[i].to);
	for (size_t i = 0; i < role_lessons_count; i++)
		edges += expect_row(text, "learn", i + 1, role_lessons[i].when,
		    role_lessons[i].what, role_lessons[i].states, role_lessons[i].to);
	for (size_t i = 0; i < role_decisions_count; i++)
		edges += expect_row(text, "decide", i + 1, role_decisions[i].when,
		    role_decisions[i].what, role_decisions[i].states,
		    role_decisions[i].to);
	CU_ASSERT_EQUAL(count(text, " -> "), edges);
	for (size_t i = 0; i < ARRAY_LENGTH(role_writes); i++)
		CU_ASSERT_PTR_NOT_NULL(strstr(text, role_writes[i].when));
	CU_ASSERT_EQUAL(count(text, "{") - count(text, "fence = {"),
	    count(text, "}") - count(text, "...}"));
	CU_ASSERT_EQUAL(count(text, "\"") % 2, 0);
	CU_ASSERT_STRING_EQUAL(text + strlen(text) - 3, "\n}\n");
}

/* S3: MASTER is entered by the success of an own OWN and by nothing else. */
static void
test_one_way_in(void)
{
	size_t ways = 0;

	for (size_t i = 0; i < ROLE_FALLS; i++)
		CU_ASSERT_FALSE(role_falls[i].to & (IN_MASTER | IN_WAITING));
	for (size_t i = 0; i < role_decisions_count; i++)
		CU_ASSERT_FALSE(role_decisions[i].to & IN_MASTER);
	for (size_t i = 0; i < role_lessons_count; i++)
		ways += role_lessons[i].to & IN_MASTER &&
		    strcmp(role_lessons[i].when, "my OWN, in time") == 0;
	CU_ASSERT_EQUAL(ways, 1);
}

/* Each row is tried somewhere, leads somewhere else or nowhere, and can be told apart; the
 * kinds of writes stand at their own places. */
static void
test_rows(void)
{
	for (size_t i = 0; i < role_decisions_count; i++) {
		const struct role_rule *rule = &role_decisions[i];

		CU_ASSERT_TRUE(rule->states != 0 && rule->states <= ANYWHERE);
		CU_ASSERT_FALSE(rule->states & rule->to);
		CU_ASSERT_TRUE(rule->applies != NULL);
		CU_ASSERT_TRUE(rule->act != NULL || rule->last);
		for (size_t j = 0; j < i; j++)
			CU_ASSERT_FALSE(rule->states & role_decisions[j].states &&
			    strcmp(rule->when, role_decisions[j].when) == 0 &&
			    strcmp(rule->what, role_decisions[j].what) == 0);
	}
	for (size_t i = 0; i < role_lessons_count; i++) {
		CU_ASSERT_TRUE(role_lessons[i].states != 0);
		CU_ASSERT_FALSE(role_lessons[i].states & role_lessons[i].to);
	}
	for (enum role_write kind = ROLE_OWN; kind <= ROLE_ABANDON; kind++)
		CU_ASSERT_EQUAL(role_writes[kind].kind, kind);
}

static const struct tap_case cases[] = {
	{ "each row is drawn between its states", test_drawing },
	{ "one way to become master", test_one_way_in },
	{ "the rows of the tables", test_rows },
};

TAP_MAIN("role draw", cases)
