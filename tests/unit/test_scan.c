/* SPDX-License-Identifier: ISC */
/*
 * How configuration text is read, by rules held over every cut, byte, escape and option
 * of a file rather than over examples: what is taken means what it looks like, and what is
 * refused is refused in one line that names its place.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/options.h"
#include "agent/conf/scan.h"
#include "agent/conf/schema.h"
#include "agent/conf/tree.h"
#include "tests/unit/conf_bed.h"
#include "tests/unit/tap.h"

/* "a.conf:LINE: WHAT, expected WHAT", printable, with a line that is there. */
static bool
is_one_line(const char *error, const char *text)
{
	char *end;
	long lines = 1;

	for (const char *p = text; *p != '\0'; p++)
		lines += *p == '\n';
	if (strncmp(error, "a.conf:", 7) != 0)
		return false;
	long line = strtol(error + 7, &end, 10);
	for (const char *p = error; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == '\x7f')
			return false;
	return line >= 1 && line <= lines && strncmp(end, ": ", 2) == 0 &&
	    strstr(end, "xpected ") != NULL && strstr(error, "libconfuse") == NULL;
}

/* Braces that are open at `len`, with texts and comments left out. */
static int
open_braces(const char *text, size_t len)
{
	int depth = 0;

	for (size_t i = 0; i < len; i++) {
		char quote = text[i];
		if (quote == '"' || quote == '\'')
			for (i++; i < len && text[i] != quote; i++)
				i += text[i] == '\\';
		else if (quote == '#' || strncmp(text + i, "//", 2) == 0)
			i += strcspn(text + i, "\n");
		else
			depth += (quote == '{') - (quote == '}');
	}
	return depth;
}

/* Wherever a file is cut: inside a section it is refused, and never are there two
 * lines, or none, about it. */
static void
every_cut_is_judged(void)
{
	char error[CONF_ERROR_MAX];
	int good = 0, wrong = 0;

	for (size_t len = 0; len < strlen(WHOLE); len++) {
		AUTO_FREE char *cut = xstrndup(WHOLE, len);
		struct conf *conf = conf_parse(bundle_of("", "", cut), error);
		good += conf != NULL;
		if (conf != NULL ? open_braces(WHOLE, len) > 0
				 : !is_one_line(error, cut))
			wrong++;
		conf_free(conf);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(good > 3);
}

/* Whatever byte stands in the place of another. */
static void
every_spoilt_byte_is_judged(void)
{
	static const char bytes[] = "\x01\n\r\t \"#$'(),/0={}\\+;a\x7f\xc3\xff*";
	char error[CONF_ERROR_MAX], text[sizeof(WHOLE)];
	int wrong = 0;

	for (size_t at = 0; at < strlen(WHOLE); at++)
		for (size_t i = 0; i < strlen(bytes); i++) {
			memcpy(text, WHOLE, sizeof(WHOLE));
			text[at] = bytes[i];
			struct conf *conf = conf_parse(bundle_of("", "", text), error);
			if (conf == NULL && !is_one_line(error, text)) {
				printf("# %zu 0x%02x: %s\n", at,
				    (unsigned char)bytes[i], error);
				wrong++;
			}
			conf_free(conf);
		}
	CU_ASSERT_EQUAL(wrong, 0);
}

/* The value of `node` written as `text`, or NULL. */
static char *
read_value(const char *text, size_t len)
{
	char error[CONF_ERROR_MAX];
	struct node *root = tree_parse("a.conf", text, len, &schema_node_file, error);
	const struct node *node = root != NULL ? node_find(root, "node") : NULL;
	char *value = node != NULL ? xstrdup(node->values[0]) : NULL;

	if (root == NULL && !is_one_line(error, text))
		CU_FAIL("not one line");
	node_free(root);
	return value;
}

/* Every byte after a backslash: what is taken means what C means, or is kept. */
static void
escapes_mean_what_they_look_like(void)
{
	for (int c = 1; c < 256; c++) {
		char text[] = { 'n', 'o', 'd', 'e', '=', '"', '\\', (char)c, 'x', '"',
			0 };
		AUTO_FREE char *value = read_value(text, strlen(text));
		static const char from[] = "\"\\nrt", to[] = "\"\\\n\r\t";
		const char *known = strchr(from, c);
		CU_ASSERT_EQUAL(value != NULL, known != NULL);
		if (value != NULL && known != NULL)
			CU_ASSERT(value[0] == to[known - from] && value[1] == 'x');
		text[5] = text[9] = '\'';
		AUTO_FREE char *kept = read_value(text, strlen(text));
		bool taken = (c >= ' ' && c < 0x7f) || c == '\t';
		CU_ASSERT_EQUAL(kept != NULL, taken);
		if (kept == NULL)
			continue;
		bool alone = c == '\\' || c == '\'';
		CU_ASSERT_EQUAL(kept[0], alone ? c : '\\');
		CU_ASSERT_EQUAL(kept[1], alone ? 'x' : c);
		CU_ASSERT_EQUAL(kept[2], alone ? '\0' : 'x');
	}
}

/* Every byte within a word: it belongs to the word, ends it, or is refused; never is it
 * dropped, as libconfuse drops what it does not know. */
static void
words_are_what_they_look_like(void)
{
	for (int c = 1; c < 256; c++) {
		char text[] = { 'n', 'o', 'd', 'e', '=', 'a', (char)c, '\0' };
		AUTO_FREE char *value = read_value(text, strlen(text));
		bool blank = c == ' ' || c == '\t' || c == '\n' || c == '#';
		CU_ASSERT(value != NULL || !blank);
		if (value == NULL)
			continue;
		CU_ASSERT_EQUAL(value[0], 'a');
		CU_ASSERT_EQUAL(value[1], blank ? '\0' : (char)c);
	}
}

/* "NAME = TEXT" against one option of a table. */
static bool
takes(const struct check_option *option, const char *text)
{
	struct check_option table[] = { *option, { NULL } };
	struct schema schema = { "test", .options = table };
	AUTO_FREE char *line = xasprintf("%s = \"%s\"", option->name, text);
	union {
		uint64_t number;
		int64_t duration;
		bool boolean;
	} value;
	char error[CONF_ERROR_MAX];

	table[0].offset = 0;
	struct node *root = tree_parse("a.conf", line, strlen(line), &schema, error);
	bool good = root != NULL && options_fill(&value, table, root, NULL, error) == 0;
	if (!good && !is_one_line(error, line))
		CU_FAIL("not one line");
	node_free(root);
	return good;
}

static bool
takes_number(const struct check_option *option, uint64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu%s", (unsigned long long)number,
	    option->type == CHECK_OPTION_DURATION ? "ms" : "");
	return takes(option, text);
}

/* Both ends of its range are good, one step beyond is not; other types are not. */
static void
hold_range(const struct check_option *option)
{
	bool any = option->min == 0 && option->max == 0;

	CU_ASSERT(any || takes_number(option, option->min));
	CU_ASSERT(any || takes_number(option, option->max));
	CU_ASSERT(any || !takes_number(option, option->max + 1));
	CU_ASSERT(option->min == 0 || !takes_number(option, option->min - 1));
	CU_ASSERT(!takes(option, "many"));
	CU_ASSERT(!takes(option, "-1"));
	CU_ASSERT(option->type == CHECK_OPTION_UINT ? !takes(option, "1s")
						    : !takes(option, "1000"));
	CU_ASSERT(option->value == NULL || takes(option, option->value));
}

static int
walk(const struct schema *schema)
{
	const struct check_option *option;
	struct schema section;
	int seen = 0;

	for (size_t i = 0; (option = schema_option(schema, i)) != NULL; i++) {
		if (option->type == CHECK_OPTION_UINT ||
		    option->type == CHECK_OPTION_DURATION) {
			hold_range(option);
			seen++;
		} else if (option->type == CHECK_OPTION_BOOL) {
			CU_ASSERT(takes(option, "true") && takes(option, "false"));
			CU_ASSERT(!takes(option, "1") && !takes(option, "True"));
		}
	}
	for (size_t i = 0; schema_section(schema, i, &section); i++)
		seen += walk(&section);
	return seen;
}

static void
every_number_has_its_range(void)
{
	CU_ASSERT(walk(&schema_node_file) > 20);
}

static const struct tap_case cases[] = {
	{ "every cut is judged", every_cut_is_judged },
	{ "every spoilt byte is judged", every_spoilt_byte_is_judged },
	{ "escapes mean what they look like", escapes_mean_what_they_look_like },
	{ "words are what they look like", words_are_what_they_look_like },
	{ "every number has its range", every_number_has_its_range },
};

TAP_MAIN("scan", cases)
