/* SPDX-License-Identifier: ISC */
/*
 * The strict look at a configuration file before libconfuse parses it (tree.c). It finds
 * what libconfuse 3.3 lets pass: a section that is open at the end of the file, an option
 * given twice, an escape it does not know in double quotes, "${", octal numbers, "+=",
 * functions, stray characters. It notes the line of everything, which libconfuse loses.
 * Invariant: text that passes means the same to libconfuse as to this scan; comments are
 * blanked because libconfuse counts their lines wrongly.
 */
#include "agent/conf/scan.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/fault.h"

#define DEPTH_MAX 4

enum token { TOKEN_END, TOKEN_MARK, TOKEN_WORD, TOKEN_STRING };

struct scan {
	const char *file;
	char *text;
	size_t len, at;
	int line; /* of `at` */
	char *error;
	enum token token; /* the one read last */
	char mark; /* of TOKEN_MARK: one of { } = , */
	size_t start, end; /* its text, without quotes */
	int token_line;
};

void
node_free(struct node *node)
{
	if (node == NULL)
		return;
	for (size_t i = 0; i < node->n_children; i++)
		node_free(node->children[i]);
	for (size_t i = 0; i < node->n_values; i++)
		free(node->values[i]);
	free(node->children);
	free(node->values);
	free(node->name);
	free(node->title);
	free(node);
}

const struct node *
node_find(const struct node *section, const char *name)
{
	for (size_t i = 0; i < section->n_children; i++)
		if (strcmp(section->children[i]->name, name) == 0)
			return section->children[i];
	return NULL;
}

static struct node *
node_new(const struct scan *scan, int line)
{
	struct node *node = xcalloc(1, sizeof(*node));

	node->file = scan->file;
	node->line = line;
	return node;
}

static void
node_add(struct node *section, struct node *child)
{
	size_t n = section->n_children;

	if ((n & (n - 1)) == 0)
		section->children =
		    xrealloc(section->children, n == 0 ? 1 : 2 * n, sizeof(void *));
	section->children[section->n_children++] = child;
}

/* How many bytes the character at p has if it is valid UTF-8 (RFC 3629), else 0. */
static size_t
utf8_length(const unsigned char *p, size_t left)
{
	size_t len = p[0] < 0x80 ? 1
	    : p[0] < 0xc2        ? 0
	    : p[0] < 0xe0        ? 2
	    : p[0] < 0xf0        ? 3
	    : p[0] < 0xf5        ? 4
				 : 0;

	if (len > left)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if (len < 3)
		return len;
	unsigned int lead = (unsigned int)p[0] << 8 | p[1];
	bool bad = (lead >= 0xe080 && lead <= 0xe09f) ||
	    (lead >= 0xeda0 && lead <= 0xedbf) || (lead >= 0xf080 && lead <= 0xf08f) ||
	    (lead >= 0xf490 && lead <= 0xf4bf);
	return bad ? 0 : len;
}

/* Text, as people write it: valid UTF-8 without control characters. */
static int
check_bytes(const struct scan *scan)
{
	const unsigned char *p = (const unsigned char *)scan->text;
	int line = 1;
	size_t step;

	for (size_t i = 0; i < scan->len; i += step) {
		step = utf8_length(p + i, scan->len - i);
		bool end = p[i] == '\n' || (p[i] == '\r' && p[i + 1] == '\n');
		if (step == 0 || ((p[i] < ' ' && !end && p[i] != '\t') || p[i] == 0x7f))
			return fault_set(scan->error, scan->file, line,
			    "byte 0x%02x is no text, expected UTF-8 without control "
			    "characters",
			    p[i]);
		line += p[i] == '\n';
	}
	return 0;
}

/* What stands at p, for a message. */
static const char *
describe(const char *p, char out[8])
{
	size_t len = utf8_length((const unsigned char *)p, strlen(p));

	if (*p == '\n' || *p == '\r')
		return "end of line";
	snprintf(out, 8, "'%.*s'", (int)len, p);
	return out;
}

static void
blank(struct scan *scan)
{
	if (scan->text[scan->at] == '\n')
		scan->line++;
	else
		scan->text[scan->at] = ' ';
	scan->at++;
}

static int
skip_comment(struct scan *scan)
{
	int line = scan->line;

	if (scan->text[scan->at + 1] != '*') {
		while (scan->at < scan->len && scan->text[scan->at] != '\n')
			blank(scan);
		return 0;
	}
	const char *end = strstr(scan->text + scan->at + 2, "*/");
	if (end == NULL)
		return fault_set(scan->error, scan->file, line,
		    "the comment that begins here has no end, expected */");
	for (size_t stop = (size_t)(end + 2 - scan->text); scan->at < stop;)
		blank(scan);
	return 0;
}

static int
skip_blanks(struct scan *scan)
{
	for (;;) {
		const char *p = scan->text + scan->at;
		bool comment =
		    p[0] == '#' || (p[0] == '/' && (p[1] == '/' || p[1] == '*'));

		if (comment && skip_comment(scan) != 0)
			return -1;
		if (!comment && (p[0] == '\0' || strchr(" \t\r\n", p[0]) == NULL))
			return 0;
		if (!comment) {
			scan->line += p[0] == '\n';
			scan->at++;
		}
	}
}

static int
check_escape(const struct scan *scan, char quote, const char *p)
{
	if (quote == '"' && p[0] == '\\' && (p[1] == '\0' || !strchr("\"\\nrt", p[1])))
		return fault_set(scan->error, scan->file, scan->line,
		    "\\%.*s in double quotes is not known, expected \\\\, \\\", \\n, "
		    "\\r or \\t (or single quotes, which keep a backslash)",
		    (int)utf8_length((const unsigned char *)p + 1, 4), p + 1);
	if (quote == '"' && p[0] == '$' && p[1] == '{')
		return fault_set(scan->error, scan->file, scan->line,
		    "${ in double quotes is not known, expected plain text (or single "
		    "quotes)");
	return 0;
}

static int
read_string(struct scan *scan)
{
	char quote = scan->text[scan->at++];

	scan->token = TOKEN_STRING;
	scan->start = scan->at;
	while (scan->text[scan->at] != quote) {
		const char *p = scan->text + scan->at;
		if (p[0] == '\0' || p[0] == '\n')
			return fault_set(scan->error, scan->file, scan->line,
			    "the text has no closing %c, expected it on the same line",
			    quote);
		if (check_escape(scan, quote, p) != 0)
			return -1;
		scan->at += p[0] == '\\' && p[1] != '\0' && p[1] != '\n' ? 2 : 1;
	}
	scan->end = scan->at++;
	return 0;
}

/* What libconfuse takes as one word, without what it takes in surprising ways. */
static bool
in_word(char c)
{
	return isalnum((unsigned char)c) || (c != '\0' && strchr("_.:/%@-", c) != NULL);
}

static int
read_word(struct scan *scan)
{
	const char *word = scan->text + scan->at;
	char shown[8];

	scan->token = TOKEN_WORD;
	scan->start = scan->at;
	while (in_word(scan->text[scan->at]))
		scan->at++;
	scan->end = scan->at;
	for (const char *p = word; p < scan->text + scan->at; p++)
		if (p[0] == '/' && (p[1] == '/' || p[1] == '*'))
			return fault_set(scan->error, scan->file, scan->line,
			    "/%c would begin a comment here, expected text in quotes",
			    p[1]);
	const char *next = scan->text + scan->at;
	if (next[0] == '(' || next[0] == ')')
		return fault_set(scan->error, scan->file, scan->line,
		    "functions and include are not known, expected = or {");
	if (next[0] == '+' && next[1] == '=')
		return fault_set(
		    scan->error, scan->file, scan->line, "+= is not known, expected =");
	if (*next != '\0' && strchr(" \t\r\n{}=,#\"'", *next) == NULL)
		return fault_set(scan->error, scan->file, scan->line,
		    "unexpected %s, expected text with it in quotes",
		    describe(next, shown));
	return 0;
}

static int
next_token(struct scan *scan)
{
	char shown[8];

	if (skip_blanks(scan) != 0)
		return -1;
	char c = scan->text[scan->at];
	scan->token_line = scan->line;
	if (c == '\0') {
		scan->token = TOKEN_END;
		return 0;
	}
	if (strchr("{}=,", c) != NULL) {
		scan->token = TOKEN_MARK;
		scan->mark = c;
		scan->at++;
		return 0;
	}
	if (c == '"' || c == '\'')
		return read_string(scan);
	if (in_word(c))
		return read_word(scan);
	if (c == '+' && scan->text[scan->at + 1] == '=')
		return fault_set(
		    scan->error, scan->file, scan->line, "+= is not known, expected =");
	if (c == '(' || c == ')')
		return fault_set(scan->error, scan->file, scan->line,
		    "functions and include are not known, expected = or {");
	return fault_set(scan->error, scan->file, scan->line,
	    "unexpected %s, expected an option, a section or text in quotes",
	    describe(scan->text + scan->at, shown));
}

static bool
is_mark(const struct scan *scan, char mark)
{
	return scan->token == TOKEN_MARK && scan->mark == mark;
}

static bool
is_value(const struct scan *scan)
{
	return scan->token == TOKEN_WORD || scan->token == TOKEN_STRING;
}

/* "unexpected X, expected Y" about the token read last. */
static int
unexpected(const struct scan *scan, const char *expected)
{
	int len = (int)(scan->end - scan->start);

	if (scan->token == TOKEN_END)
		return fault_set(scan->error, scan->file, scan->token_line,
		    "unexpected end of file, expected %s", expected);
	if (scan->token == TOKEN_MARK)
		return fault_set(scan->error, scan->file, scan->token_line,
		    "unexpected %c, expected %s", scan->mark, expected);
	return fault_set(scan->error, scan->file, scan->token_line,
	    "unexpected \"%.*s\", expected %s", len > 80 ? 80 : len,
	    scan->text + scan->start, expected);
}

/* libconfuse reads 010 as 8: nobody shall have to know. */
static int
check_number(const struct scan *scan)
{
	const char *p = scan->text + scan->start;
	size_t len = scan->end - scan->start, digits = strspn(p, "0123456789"),
	       i = digits;

	while (i < len && isalpha((unsigned char)p[i]))
		i++;
	if (scan->token != TOKEN_WORD || p[0] != '0' || digits < 2 || i < len)
		return 0;
	return fault_set(scan->error, scan->file, scan->token_line,
	    "%.*s begins with 0, expected a number without leading zeros",
	    len > 80 ? 80 : (int)len, p);
}

static int
scan_list(struct scan *scan, const struct node *option)
{
	bool value = false; /* a comma or the end may follow */

	for (;;) {
		if (next_token(scan) != 0)
			return -1;
		if (is_mark(scan, '}'))
			return 0;
		if (scan->token == TOKEN_END)
			return fault_at(scan->error, option,
			    "the list of %s is not closed, expected }", option->name);
		if (value ? !is_mark(scan, ',') : !is_value(scan))
			return unexpected(scan,
			    value ? "a comma or } in the list" : "text in the list");
		if (!value && check_number(scan) != 0)
			return -1;
		value = !value;
	}
}

static int
scan_value(struct scan *scan, struct node *option)
{
	if (next_token(scan) != 0)
		return -1;
	option->list = is_mark(scan, '{');
	if (option->list)
		return scan_list(scan, option);
	if (!is_value(scan))
		return unexpected(scan, "a value after =");
	return check_number(scan);
}

static int
scan_title(struct scan *scan, struct node *section)
{
	size_t len = scan->end - scan->start;

	section->title = xstrndup(scan->text + scan->start, len);
	if (strchr(section->title, '\\') != NULL)
		return fault_at(scan->error, section,
		    "the name of a %s has a backslash, expected none", section->name);
	return next_token(scan);
}

/* Options and untitled sections stand once in a section; titles are the tree's matter. */
static int
check_repeated(
    const struct scan *scan, const struct node *section, const struct node *child)
{
	if (child->title != NULL)
		return 0;
	for (size_t i = 0; i < section->n_children; i++) {
		const struct node *other = section->children[i];
		if (other->title == NULL && strcmp(other->name, child->name) == 0)
			return fault_at(scan->error, child,
			    "%s is given twice, expected it once (it is in line %d)",
			    child->name, other->line);
	}
	return 0;
}

static int scan_entries(struct scan *scan, struct node *section, int depth);

/* What follows a name: "= value", or a title if there is one, and a section. */
static int
scan_entry(struct scan *scan, struct node *entry, int depth)
{
	if (next_token(scan) != 0)
		return -1;
	if (is_mark(scan, '='))
		return scan_value(scan, entry);
	entry->section = true;
	if (is_value(scan) && scan_title(scan, entry) != 0)
		return -1;
	if (!is_mark(scan, '{'))
		return unexpected(scan, entry->title != NULL ? "{" : "= or {");
	if (depth == DEPTH_MAX)
		return fault_at(scan->error, entry,
		    "sections are nested too deeply, expected at most %d levels",
		    DEPTH_MAX);
	return scan_entries(scan, entry, depth + 1);
}

static int
scan_entries(struct scan *scan, struct node *section, int depth)
{
	for (;;) {
		if (next_token(scan) != 0)
			return -1;
		if (scan->token == TOKEN_END && depth > 0)
			return fault_at(scan->error, section,
			    "section %s is not closed, expected } before the end of "
			    "the file",
			    section->name);
		if (scan->token == TOKEN_END || (is_mark(scan, '}') && depth > 0))
			return 0;
		if (scan->token != TOKEN_WORD)
			return unexpected(scan, "an option or a section");
		struct node *entry = node_new(scan, scan->token_line);
		entry->begin = scan->start;
		entry->name =
		    xstrndup(scan->text + scan->start, scan->end - scan->start);
		int result = scan_entry(scan, entry, depth);
		entry->end = scan->at;
		if (result == 0)
			result = check_repeated(scan, section, entry);
		node_add(section, entry);
		if (result != 0)
			return -1;
	}
}

struct node *
scan_text(const char *file, char *text, size_t len, char error[CONF_ERROR_MAX])
{
	struct scan scan = {
		.file = file, .text = text, .len = len, .line = 1, .error = error
	};
	struct node *root = node_new(&scan, 1);

	root->section = true;
	if (check_bytes(&scan) == 0 && scan_entries(&scan, root, 0) == 0)
		return root;
	node_free(root);
	return NULL;
}
