/* SPDX-License-Identifier: ISC */
/*
 * What the type script says of how a command ended and of what it printed, under each of the
 * conventions for its exit status.
 */
#include "checks/builtin.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "checks/check.h"
#include "tests/unit/checks_bed.h"
#include "tests/unit/tap.h"

/* What an exit status means, written down a second time. */
static enum check_status
exit_rule(size_t convention, int value)
{
	if (value == 0)
		return CHECK_PASSING;
	if (convention == 2 || value > 3)
		return CHECK_CRITICAL;
	if (value == 1)
		return CHECK_WARNING;
	return convention == 1 && value == 3 ? CHECK_UNKNOWN : CHECK_CRITICAL;
}

static void
script_statuses(void)
{
	static const char *const conventions[] = { "convention=consul",
		"convention=nagios", "convention=keepalived" };
	struct bench *b = bench_new();
	int wrong = 0;

	for (size_t i = 0; i < 3 * 256; i++) {
		const char *given[] = { "command=/bin/true", conventions[i / 256],
			NULL };
		bench_add(b, &check_script_class, given);
		b->exits[i] =
		    (struct check_exit){ CHECK_EXITED, (int)(i % 256), "", 0 };
	}
	bench_run(b);
	for (size_t i = 0; i < 3 * 256; i++) {
		int value = (int)(i % 256);
		AUTO_FREE char *says = xasprintf("exit status %d", value);
		wrong += b->results[i].status != exit_rule(i / 256, value) ||
		    strcmp(b->results[i].output, says) != 0;
		if (b->results[i].status != CHECK_UNKNOWN)
			wrong += b->results[i].reason !=
			    (value == 0 ? CHECK_REASON_OK : CHECK_REASON_EXIT);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	bench_free(b);
}

struct ending {
	struct check_exit exit;
	const char *convention;
	enum check_status status;
	enum check_reason reason;
	const char *output;
};

#define OUT(text) text, sizeof(text) - 1
static const struct ending endings[] = {
	{ { CHECK_EXITED, 0, OUT("up\n") }, "consul", CHECK_PASSING, CHECK_REASON_OK,
	    "up" },
	{ { CHECK_EXITED, 1, OUT("two\nlines | a=1\n") }, "consul", CHECK_WARNING,
	    CHECK_REASON_EXIT, "two\nlines | a=1" },
	{ { CHECK_EXITED, 0, OUT("OK | t=0.13s\nmore\nand | x=1\ny=2\n") }, "nagios",
	    CHECK_PASSING, CHECK_REASON_OK, "OK \nmore\nand" },
	{ { CHECK_EXITED, 0, OUT("| t=0.13s\n") }, "nagios", CHECK_PASSING,
	    CHECK_REASON_OK, "exit status 0" },
	{ { CHECK_EXITED, 2, OUT("\0a\0b\0") }, "consul", CHECK_CRITICAL,
	    CHECK_REASON_EXIT, "?a?b?" },
	{ { CHECK_SIGNALLED, 9, OUT("half") }, "nagios", CHECK_CRITICAL,
	    CHECK_REASON_SIGNAL, "half\nkilled by signal 9 (Killed)" },
	{ { CHECK_TIMED_OUT, 0, OUT("") }, "consul", CHECK_CRITICAL,
	    CHECK_REASON_TIMEOUT, "not done in time" },
	{ { CHECK_NOT_RUN, 0, OUT("no such user") }, "keepalived", CHECK_UNKNOWN,
	    CHECK_REASON_LOCAL, "the command could not be run: no such user" },
};

static void
script_endings(void)
{
	struct bench *b = bench_new();

	for (size_t i = 0; i < ARRAY_LENGTH(endings); i++) {
		AUTO_FREE char *convention =
		    xasprintf("convention=%s", endings[i].convention);
		const char *given[] = { "command=/bin/true", convention, NULL };
		bench_add(b, &check_script_class, given);
		b->exits[i] = endings[i].exit;
	}
	bench_run(b);
	for (size_t i = 0; i < ARRAY_LENGTH(endings); i++) {
		CU_ASSERT_EQUAL(b->results[i].status, endings[i].status);
		CU_ASSERT_EQUAL(b->results[i].reason, endings[i].reason);
		CU_ASSERT_STRING_EQUAL(b->results[i].output, endings[i].output);
	}
	bench_free(b);
}

/* The tail of a script's output is what stays, the head of another's. */
static void
script_tail(void)
{
	struct bench *b = bench_new();
	const char *given[] = { "command=/bin/true", NULL };
	AUTO_FREE char *long_text = xasprintf("%08996dtail", 0);

	bench_add(b, &check_script_class, given)->output_size = 6;
	b->exits[0] = (struct check_exit){ CHECK_EXITED, 0, long_text, 9000 };
	bench_run(b);
	CU_ASSERT_STRING_EQUAL(b->results[0].output, "00tail");
	bench_free(b);
}

#define OUTPUT_KEPT 4096

/* Wherever the tail of a monitoring plugin's output begins, no figure becomes text. */
static void
script_cut_figures(void)
{
	struct bench *b = bench_new();
	const char *given[] = { "command=/bin/true", "convention=nagios", NULL };
	static char text[8192];
	size_t len = (size_t)snprintf(text, sizeof(text), "DISK OK - enough |");

	while (len < 4300)
		len += (size_t)snprintf(
		    text + len, sizeof(text) - len, " /fs%03zu=12MB;;;0;99", len);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "\nmore | last=7s\n");
	memset(text + len, ' ', 60);
	for (size_t i = 0; i < 60; i++) {
		bench_add(b, &check_script_class, given);
		b->exits[i] = (struct check_exit){ CHECK_EXITED, 0,
			text + len + i - OUTPUT_KEPT, OUTPUT_KEPT };
	}
	bench_run(b);
	for (size_t i = 0; i < 60; i++)
		CU_ASSERT_STRING_EQUAL(b->results[i].output, "more");
	bench_free(b);
}

static const struct tap_case cases[] = {
	{ "every exit status under every convention", script_statuses },
	{ "how a command ended is said", script_endings },
	{ "the tail of a script's output stays", script_tail },
	{ "figures whose beginning is lost are no text", script_cut_figures },
};

TAP_MAIN("script", cases)
