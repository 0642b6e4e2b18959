/* SPDX-License-Identifier: ISC */
/*
 * What is published of a check: that it is the worst of what its three rules say, over random
 * outcomes and every kind of threshold, that each change is told once and nothing is told
 * that did not change; and what people read of it.
 */
#include "agent/health/judge.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/health/run.h"
#include "agent/health/sched.h"
#include "agent/health/window.h"
#include "tests/unit/tap.h"

static char name[] = "port";
static const struct conf_check plain = {
	.name = name,
	.rise = 1,
	.fall = 1,
	.initial = CHECK_CRITICAL,
	.output_size = 4096,
	.window = 4,
};

static enum judge_news
say(struct judge *judge, const struct conf_check *check, enum check_status status,
    int64_t took_ms)
{
	static const struct run_outcome outcomes[] = {
		{ .status = CHECK_PASSING, .reason = CHECK_REASON_OK, .text = "fine" },
		{ .status = CHECK_WARNING,
		    .reason = CHECK_REASON_STATUS,
		    .text = "429" },
		{ .status = CHECK_CRITICAL,
		    .reason = CHECK_REASON_REFUSED,
		    .text = "connection refused" },
		{ .status = CHECK_UNKNOWN,
		    .reason = CHECK_REASON_LOCAL,
		    .text = "no fork" },
	};

	return judge_record(judge, check, &outcomes[status], took_ms);
}

static void
published(struct judge *judge, const struct conf_check *check, enum check_status status,
    enum check_reason reason, const char *output)
{
	struct sched_state state;

	judge_state(judge, check, &state);
	CU_ASSERT_EQUAL(state.status, status);
	CU_ASSERT_EQUAL(state.reason, reason);
	CU_ASSERT_STRING_EQUAL(state.output, output);
}

static uint64_t seed;

static unsigned int
random_below(unsigned int n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned int)(seed % n);
}

static struct conf_check
random_check(void)
{
	struct conf_check check = plain;

	check.rise = random_below(3) + 1;
	check.fall = random_below(3) + 1;
	check.flap_threshold = (uint8_t)(random_below(2) * (random_below(100) + 1));
	check.window = (uint16_t)(random_below(30) + 1);
	check.error_rate_critical =
	    (uint8_t)(random_below(2) * (random_below(100) + 1));
	check.error_rate_warning = (uint8_t)(random_below(2) * (random_below(100) + 1));
	check.latency_critical_ms = random_below(2) * (random_below(50) + 1);
	check.latency_warning_ms = random_below(2) * (random_below(50) + 1);
	return check;
}

/* The three rules beside each other, each by its own module. */
struct rules {
	struct health health;
	struct flap flap;
	struct window *window;
};

static enum check_status
follow(struct rules *rules, const struct conf_check *check, enum check_status outcome,
    int64_t took)
{
	enum check_reason reason;

	if (outcome != CHECK_UNKNOWN) {
		health_record(&rules->health, outcome, check->rise, check->fall);
		flap_record(&rules->flap, rules->health.state, check->flap_threshold);
		if (rules->window != NULL)
			window_record(rules->window, outcome == CHECK_CRITICAL, took);
	}
	enum check_status state = flap_state(&rules->flap, rules->health.state);
	enum check_status floor = rules->window != NULL
	    ? window_floor(rules->window, &reason)
	    : CHECK_PASSING;
	return floor > state ? floor : state;
}

static int
compare_one(int length)
{
	struct conf_check check = random_check();
	struct window_limits limits = { check.window, check.error_rate_warning,
		check.error_rate_critical, check.latency_warning_ms,
		check.latency_critical_ms };
	struct rules rules = { .window = window_new(&limits) };
	struct sched_state before, after;
	char text[512] = "";
	struct judge judge;
	int wrong = 0;
	unsigned int restless = 1, slow = 1;

	health_init(&rules.health, CHECK_CRITICAL);
	flap_init(&rules.flap);
	judge_init(&judge, &check);
	enum check_status outcome = CHECK_PASSING;
	for (int i = 0; i < length; i++) {
		if (random_below(40) == 0) {
			restless = random_below(15) + 1;
			slow = random_below(60) + 1;
		}
		if (random_below(restless) == 0)
			outcome = (enum check_status)random_below(4);
		judge_state(&judge, &check, &before);
		str_copy(text, sizeof(text), before.output);
		int64_t took = random_below(slow);
		enum judge_news news = say(&judge, &check, outcome, took);
		judge_state(&judge, &check, &after);
		enum check_status expected = follow(&rules, &check, outcome, took);
		bool changed =
		    after.status != before.status || after.known != before.known;
		wrong += after.status != expected ||
		    after.known != rules.health.known ||
		    after.flapping != flap_is_on(&rules.flap);
		wrong += news !=
		    (changed                             ? JUDGE_CHANGED
			    : strcmp(text, after.output) ? JUDGE_OUTPUT
							 : JUDGE_NOTHING);
		bool by_window = after.reason == CHECK_REASON_ERROR_RATE ||
		    after.reason == CHECK_REASON_LATENCY;
		wrong += by_window !=
		    (after.known &&
			expected > flap_state(&rules.flap, rules.health.state));
	}
	judge_clear(&judge);
	window_free(rules.window);
	return wrong;
}

static void
worst_of_all(void)
{
	seed = random_u64() | 1;
	printf("# seed %" PRIu64 "\n", seed);
	for (int i = 0; i < 400; i++)
		CU_ASSERT_EQUAL(compare_one(500), 0);
}

static void
flapping(void)
{
	struct conf_check check = plain;
	struct judge judge;

	check.flap_threshold = 20;
	judge_init(&judge, &check);
	for (int i = 0; i < 4; i++)
		say(&judge, &check, i % 2 ? CHECK_CRITICAL : CHECK_PASSING, 1);
	published(
	    &judge, &check, CHECK_CRITICAL, CHECK_REASON_REFUSED, "connection refused");
	CU_ASSERT_EQUAL(say(&judge, &check, CHECK_PASSING, 1), JUDGE_OUTPUT);
	published(&judge, &check, CHECK_CRITICAL, CHECK_REASON_OK,
	    "flapping: the state changes too often; held at critical\nfine");
	int quiet = 0;
	enum judge_news news;
	while ((news = say(&judge, &check, CHECK_PASSING, 1)) == JUDGE_NOTHING)
		quiet++;
	CU_ASSERT_EQUAL(quiet, 18);
	CU_ASSERT_EQUAL(news, JUDGE_CHANGED);
	published(&judge, &check, CHECK_PASSING, CHECK_REASON_OK, "fine");
	judge_clear(&judge);
}

static void
floors(void)
{
	struct conf_check check = plain;
	struct judge judge;

	check.error_rate_critical = 50;
	check.error_rate_warning = 25;
	check.latency_critical_ms = 2000;
	judge_init(&judge, &check);
	say(&judge, &check, CHECK_CRITICAL, 1);
	say(&judge, &check, CHECK_PASSING, 1);
	say(&judge, &check, CHECK_CRITICAL, 1);
	CU_ASSERT_EQUAL(say(&judge, &check, CHECK_PASSING, 1), JUDGE_OUTPUT);
	published(&judge, &check, CHECK_CRITICAL, CHECK_REASON_ERROR_RATE,
	    "50 % or more of the last 4 results failed\nfine");
	say(&judge, &check, CHECK_PASSING, 1);
	published(&judge, &check, CHECK_WARNING, CHECK_REASON_ERROR_RATE,
	    "25 % or more of the last 4 results failed\nfine");
	say(&judge, &check, CHECK_PASSING, 1);
	say(&judge, &check, CHECK_PASSING, 1);
	published(&judge, &check, CHECK_PASSING, CHECK_REASON_OK, "fine");
	CU_ASSERT_EQUAL(say(&judge, &check, CHECK_WARNING, 2000), JUDGE_CHANGED);
	published(&judge, &check, CHECK_CRITICAL, CHECK_REASON_LATENCY,
	    "more than a tenth of the last 4 results took 2s or longer\n429");
	CU_ASSERT_EQUAL(say(&judge, &check, CHECK_UNKNOWN, 1), JUDGE_OUTPUT);
	published(&judge, &check, CHECK_CRITICAL, CHECK_REASON_LATENCY,
	    "more than a tenth of the last 4 results took 2s or longer\nno fork");
	judge_clear(&judge);
}

/* Whatever the size: the remarks come first, nothing is longer, and the same outcome is no
 * news. */
static void
sizes(void)
{
	static const char whole[] =
	    "flapping: the state changes too often; held at critical\na\\\\b\\x1b";
	struct run_outcome outcome = { .text = "a\\b\033" };

	for (size_t size = 1; size < sizeof(whole) + 10; size++) {
		struct conf_check check = plain;
		struct judge judge;
		check.flap_threshold = 20;
		check.output_size = size;
		judge_init(&judge, &check);
		for (int i = 0; i < 6; i++) {
			outcome.status = i % 2 ? CHECK_PASSING : CHECK_CRITICAL;
			judge_record(&judge, &check, &outcome, 1);
		}
		CU_ASSERT(strlen(judge.output) <= size);
		CU_ASSERT(strncmp(judge.output, whole, strlen(judge.output)) == 0 ||
		    size < sizeof(whole) - 1);
		if (size >= sizeof(whole) - 1)
			CU_ASSERT_STRING_EQUAL(judge.output, whole);
		CU_ASSERT_EQUAL(
		    judge_record(&judge, &check, &outcome, 1), JUDGE_NOTHING);
		judge_clear(&judge);
	}
}

static void
excuses(void)
{
	struct judge judge;

	judge_init(&judge, &plain);
	judge_adopt(&judge, &plain, CHECK_WARNING, "429");
	published(&judge, &plain, CHECK_WARNING, CHECK_REASON_OK, "429");
	CU_ASSERT_EQUAL(judge_excuse(&judge, &plain, "not run"), JUDGE_OUTPUT);
	CU_ASSERT_EQUAL(judge_excuse(&judge, &plain, "not run"), JUDGE_NOTHING);
	published(&judge, &plain, CHECK_WARNING, CHECK_REASON_LOCAL, "not run");
	CU_ASSERT_EQUAL(judge.runs, 0);
	CU_ASSERT_EQUAL(say(&judge, &plain, CHECK_WARNING, 1), JUDGE_OUTPUT);
	CU_ASSERT_EQUAL(say(&judge, &plain, CHECK_WARNING, 1), JUDGE_NOTHING);
	judge_clear(&judge);
	CU_ASSERT(sizeof(judge) <= 80);
}

static const struct tap_case cases[] = {
	{ "the worst of all rules is published, and told once", worst_of_all },
	{ "flapping is said and held", flapping },
	{ "a floor of the window is said", floors },
	{ "remarks and output fit every size", sizes },
	{ "an excuse changes the output alone", excuses },
};
TAP_MAIN("judge", cases)
