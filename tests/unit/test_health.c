/* SPDX-License-Identifier: ISC */
/*
 * The rule of health.h against a second statement of it, written the other way round: the
 * module counts as it goes, the oracle looks back over the whole history. Every sequence
 * of outcomes up to length 9, for every rise and fall from 1 to 3 and every way to begin.
 * Beside it, what becomes of output that nobody may trust.
 */
#include "agent/health/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/health/output.h"
#include "tests/unit/tap.h"

#define LENGTH 9

/* How a history begins: with a state taken over, or (UNKNOWN) with none. */
struct history {
	enum check_status begun;
	unsigned int rise, fall;
	enum check_status outcomes[LENGTH];
	int len;
};

struct verdict {
	enum check_status state;
	bool known, in_doubt;
};

static bool
opposes(enum check_status outcome, enum check_status state)
{
	return (outcome == CHECK_CRITICAL) != (state == CHECK_CRITICAL);
}

/* Whether the last `count` of the first `n` judged outcomes all oppose the state. */
static bool
all_oppose(const enum check_status *judged, int n, int count, enum check_status state)
{
	for (int i = n - count; i < n; i++)
		if (i < 0 || !opposes(judged[i], state))
			return false;
	return true;
}

static struct verdict
oracle(const struct history *h)
{
	enum check_status judged[LENGTH];
	struct verdict v = { h->begun, h->begun != CHECK_UNKNOWN, false };
	int n = 0;

	for (int i = 0; i < h->len; i++)
		if (h->outcomes[i] != CHECK_UNKNOWN)
			judged[n++] = h->outcomes[i];
	for (int i = 1; i <= n; i++) {
		enum check_status newest = judged[i - 1];
		int needed = (int)(newest == CHECK_CRITICAL ? h->fall : h->rise);
		if (!v.known || !opposes(newest, v.state) ||
		    all_oppose(judged, i, needed, v.state))
			v.state = newest;
		v.known = true;
	}
	v.in_doubt = n > 0 && opposes(judged[n - 1], v.state);
	if (!v.known)
		v.state = CHECK_CRITICAL;
	return v;
}

/* Goes on from `health`, which has seen the history, through all that may follow. */
static long
walk(struct history *h, const struct health *health, long *compared)
{
	long wrong = 0;

	if (h->len == LENGTH)
		return 0;
	struct verdict before = oracle(h);
	for (int outcome = CHECK_PASSING; outcome <= CHECK_UNKNOWN; outcome++) {
		struct health next = *health;
		h->outcomes[h->len++] = (enum check_status)outcome;
		bool news =
		    health_record(&next, (enum check_status)outcome, h->rise, h->fall);
		struct verdict after = oracle(h);
		bool expected =
		    after.known != before.known || after.state != before.state;
		wrong += next.state != after.state || next.known != after.known ||
		    health_in_doubt(&next) != after.in_doubt || news != expected;
		(*compared)++;
		wrong += walk(h, &next, compared);
		h->len--;
	}
	return wrong;
}

static void
every_sequence(void)
{
	long compared = 0, wrong = 0;

	for (unsigned int rise = 1; rise <= 3; rise++)
		for (unsigned int fall = 1; fall <= 3; fall++)
			for (int begun = CHECK_PASSING; begun <= CHECK_UNKNOWN;
			     begun++) {
				struct history h = { (enum check_status)begun, rise,
					fall };
				struct health health;
				if (begun == CHECK_UNKNOWN)
					health_init(&health, CHECK_CRITICAL);
				else
					health_adopt(&health, (enum check_status)begun);
				wrong += walk(&h, &health, &compared);
			}
	CU_ASSERT_EQUAL(compared, 36L * 349524);
	CU_ASSERT_EQUAL(wrong, 0);
}

static void
the_initial_state_is_not_known(void)
{
	for (int initial = CHECK_PASSING; initial <= CHECK_CRITICAL; initial++)
		for (int outcome = CHECK_PASSING; outcome <= CHECK_UNKNOWN; outcome++) {
			struct health health;
			health_init(&health, (enum check_status)initial);
			CU_ASSERT(!health.known && !health_in_doubt(&health));
			bool news =
			    health_record(&health, (enum check_status)outcome, 3, 3);
			CU_ASSERT_EQUAL(news, outcome != CHECK_UNKNOWN);
			CU_ASSERT_EQUAL(health.known, news);
			CU_ASSERT_EQUAL((int)health.state, news ? outcome : initial);
		}
}

static void
output_is(const char *text, size_t size, bool tail, const char *expected)
{
	AUTO_FREE char *clean = output_clean(text, strlen(text), size, tail);

	CU_ASSERT_STRING_EQUAL(clean, expected);
}

static void
output_by_example(void)
{
	output_is("", 10, false, "");
	output_is("up\n", 10, false, "up");
	output_is("one\r\ntwo\n\n", 20, false, "one\ntwo");
	output_is("a\tb\033[2Jc", 80, false, "a\\tb\\x1b[2Jc");
	output_is("0123456789", 4, false, "0123");
	output_is("0123456789", 4, true, "6789");
	output_is("\xc3\xa4\xc3\xb6", 3, false, "\xc3\xa4");
	output_is("\xc3\xa4\xc3\xb6", 3, true, "\xc3\xb6");
	output_is("anything", 0, false, "");
	output_is("anything", 0, true, "");
}

/* No control character but a line end, nothing longer than it may be, no half character. */
static bool
is_harmless(const char *clean, size_t size)
{
	char again[256] = "";

	for (const char *p = clean; *p != '\0'; p++)
		if (((unsigned char)*p < ' ' && *p != '\n') || *p == 0x7f)
			return false;
	for (const char *line = clean; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		text_escape(again, sizeof(again), line, strcspn(line, "\n"));
		if (strstr(again, "\\x8") != NULL || strstr(again, "\\xc") != NULL)
			return false;
	}
	return strlen(clean) <= size;
}

/* Every text of five out of these bytes, at every size, from both ends. */
static void
output_is_harmless_always(void)
{
	static const char bytes[] = { 'a', '\n', '\r', '\0', '\x1b', '\xc3', '\x84' };
	long wrong = 0, compared = 0;

	for (int n = 0; n < 7 * 7 * 7 * 7 * 7; n++) {
		char text[5];
		for (int i = 0, rest = n; i < 5; i++, rest /= 7)
			text[i] = bytes[rest % 7];
		for (size_t size = 0; size < 24; size += 3)
			for (int tail = 0; tail < 2; tail++) {
				AUTO_FREE char *clean =
				    output_clean(text, sizeof(text), size, tail == 1);
				AUTO_FREE char *bare = xstrdup(clean);
				/* our own escapes are text; look for bytes that are not */
				for (char *p = bare; *p != '\0'; p++)
					if (*p == '\\')
						*p = '/';
				wrong += !is_harmless(bare, size);
				compared++;
			}
	}
	CU_ASSERT_EQUAL(compared, 16807L * 16);
	CU_ASSERT_EQUAL(wrong, 0);
}

static const struct tap_case cases[] = {
	{ "every sequence of outcomes agrees with the oracle", every_sequence },
	{ "the first judged outcome is the state", the_initial_state_is_not_known },
	{ "output is cut and escaped", output_by_example },
	{ "no output is harmful, whatever its bytes", output_is_harmless_always },
};
TAP_MAIN("health", cases)
