/* SPDX-License-Identifier: ISC */
/*
 * Performance data: what the guidelines show, figures written and read back, and every short
 * text over the signs that mean something, on which parsing must end and keep its promises.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "checks/perfdata.h"
#include "tests/unit/tap.h"

/* "name=value unit, …" of what is found. */
static void
expect(const char *data, const char *expected)
{
	struct buf found = { .limit = 4096 };
	struct perfdata figure;

	buf_add(&found, "", 0);
	for (const char *at = data; perfdata_next(&at, &figure);)
		buf_printf(&found, "%s%s=%g%s%s", found.len > 0 ? ", " : "",
		    figure.name, figure.value, figure.unit[0] != '\0' ? " " : "",
		    figure.unit);
	const char *is = found.len > 0 ? found.data : "";
	if (strcmp(is, expected) != 0)
		printf("# %s\n# gives %s\n# not   %s\n", data, is, expected);
	CU_ASSERT_STRING_EQUAL(is, expected);
	buf_free(&found);
}

static void
figures(void)
{
	expect("", "");
	expect("/=2643MB;5948;5958;0;5968 /boot=68MB;88;93;0;98",
	    "/=2643 MB, /boot=68 MB");
	expect("time=0.003214s;;;0.000000 size=12B;;;0", "time=0.003214 s, size=12 B");
	expect("load1=0.010;15.000;30.000;0;", "load1=0.01");
	expect("'a b'=1% 'it''s'=2c", "a b=1 %, it's=2 c");
	expect("'=x'=-3.5e-2s", "=x=-0.035 s");
	expect("procs=U ok=1", "ok=1");
	expect("a=1 b c= =3 d=x e==5 f=6=7 g=8", "a=1, g=8");
	expect("inf=inf nan=nan hex=0x10 huge=1e999 z=0", "z=0");
	expect("comma=0,5s semi=4;x|y", "semi=4");
	expect("'open=1 b=2", "");
	expect("''=1 a=2", "a=2");
	expect(" \t a=1\r\n\tb=2 ", "a=1, b=2");
	expect("unit=1abcdefghijklmnop u=1abcdefghijklmno", "u=1 abcdefghijklmno");
	expect("0123456789012345678901234567890123456789012345678901234567890123456="
	       "1",
	    "012345678901234567890123456789012345678901234567890123456789012=1");
}

static void
expect_parts(const char *text, const char *people, const char *figures_expected)
{
	AUTO_FREE char *head = xstrdup(text);
	AUTO_FREE char *data = xstrdup(text);

	perfdata_part(head, data);
	CU_ASSERT_STRING_EQUAL(head, people);
	CU_ASSERT_STRING_EQUAL(data, figures_expected);
}

static void
parts(void)
{
	expect_parts("", "", "");
	expect_parts("OK", "OK", "");
	expect_parts("OK|a=1", "OK", "a=1");
	expect_parts("|", "", "");
	expect_parts("OK|a=1|b=2", "OK", "a=1|b=2");
	expect_parts("OK|a=1\nmore", "OK\nmore", "a=1");
	expect_parts("OK|a=1\nmore\nlast|b=2\nc=3", "OK\nmore\nlast", "a=1 b=2\nc=3");
	expect_parts("OK\nmore|b=2\nc=3|d=4", "OK\nmore", " b=2\nc=3|d=4");
}

/* Any label, value and unit, written as the guidelines ask, are read back. */
static void
what_is_written_is_read(void)
{
	static const char *const units[] = { "", "s", "us", "ms", "%", "B", "KB", "MB",
		"TB", "c" };
	static const char signs[] = "ab'= /_.-";

	for (unsigned int i = 0; i < 9 * 9 * 9; i++) {
		const char label[4] = { signs[i % 9], signs[i / 9 % 9], signs[i / 81] };
		const char *unit = units[i % ARRAY_LENGTH(units)];
		double value = (double)((int)i - 300) * 0.25;
		struct buf text = { .limit = 100 };
		buf_printf(&text, "'");
		for (const char *p = label; *p != '\0'; p++)
			buf_printf(&text, *p == '\'' ? "''" : "%c", *p);
		buf_printf(&text, "'=%.17g%s;1;2 x=1", value, unit);
		const char *at = text.data;
		struct perfdata figure;
		CU_ASSERT(perfdata_next(&at, &figure));
		CU_ASSERT_STRING_EQUAL(figure.name, label);
		CU_ASSERT_STRING_EQUAL(figure.unit, unit);
		CU_ASSERT_DOUBLE_EQUAL(figure.value, value, 0);
		CU_ASSERT(perfdata_next(&at, &figure));
		CU_ASSERT_FALSE(perfdata_next(&at, &figure));
		buf_free(&text);
	}
}

/* Each figure has a name and a number and lies in the text; the text gets shorter. */
static void
every_short_text(void)
{
	static const char signs[] = "a'=1.-; ";
	unsigned int bad = 0, found = 0;

	for (unsigned int n = 0; n < 1u << (3 * 6); n++) {
		char text[7] = "";
		for (unsigned int i = 0; i < 6; i++)
			text[i] = signs[n >> (3 * i) & 7];
		const char *at = text, *before = text;
		struct perfdata figure;
		while (perfdata_next(&at, &figure)) {
			bad += figure.name[0] == '\0' || !isfinite(figure.value) ||
			    at <= before + 2 || at > text + 6 ||
			    memchr(before, '=', (size_t)(at - before)) == NULL;
			before = at;
			found++;
		}
		bad += *at != '\0';
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT(found > 1000);
}

static const struct tap_case cases[] = {
	{ "figures are found", figures },
	{ "text and figures are parted", parts },
	{ "what is written is read back", what_is_written_is_read },
	{ "every short text", every_short_text },
};
TAP_MAIN("perfdata", cases)
