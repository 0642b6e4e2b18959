/* SPDX-License-Identifier: ISC */
/*
 * Values of a section put into a struct by its table of options: one reader for lictor's
 * own sections and for what the types of check declare. It judges a single value (type,
 * range, a file that must exist); what values mean together is for the build_*.c files.
 * Invariant: what the table describes is owned by the struct and freed by options_free, but
 * for texts that are the table's defaults: thousands of checks share those.
 */
#include "agent/conf/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/fault.h"
#include "agent/conf/host.h"
#include "agent/conf/same.h"
#include "agent/conf/scan.h"

int
options_fault(const struct node *section, const char *option,
    char error[CONF_ERROR_MAX], const char *fmt, ...)
{
	const struct node *node = node_find(section, option);
	char text[CONF_ERROR_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return fault_at(error, node != NULL ? node : section, "%s: %s", option, text);
}

static int
read_uint(const struct check_option *option, const char *text, uint64_t *out,
    const struct node *section, char *error)
{
	bool any = option->min == 0 && option->max == 0;
	uint64_t max = any ? UINT64_MAX : option->max;

	switch (parse_uint(text, option->min, max, out)) {
	case 0: return 0;
	case -ERANGE:
		return options_fault(section, option->name, error,
		    "%.40s is out of range, expected %llu to %llu", text,
		    (unsigned long long)option->min, (unsigned long long)max);
	default:
		return options_fault(section, option->name, error,
		    "\"%.80s\" is not a number, expected %llu to %llu", text,
		    (unsigned long long)option->min, (unsigned long long)max);
	}
}

static int
read_size(const struct check_option *option, const char *text, uint64_t *out,
    const struct node *section, char *error)
{
	bool any = option->min == 0 && option->max == 0;
	uint64_t max = any ? INT64_MAX : option->max;

	switch (parse_size(text, option->min, max, out)) {
	case 0: return 0;
	case -ERANGE:
		return options_fault(section, option->name, error,
		    "%.40s is out of range, expected %llu to %llu bytes", text,
		    (unsigned long long)option->min, (unsigned long long)max);
	default:
		return options_fault(section, option->name, error,
		    "\"%.80s\" is no size, expected a number, K, M or G may follow",
		    text);
	}
}

static int
read_duration(const struct check_option *option, const char *text, int64_t *out,
    const struct node *section, char *error)
{
	bool any = option->min == 0 && option->max == 0;
	int64_t min = (int64_t)option->min,
		max = any ? INT64_MAX : (int64_t)option->max;
	char from[32], to[32] = "any";

	format_duration(min, from, sizeof(from));
	if (!any)
		format_duration(max, to, sizeof(to));
	switch (parse_duration(text, min, max, out)) {
	case 0: return 0;
	case -ERANGE:
		return options_fault(section, option->name, error,
		    "%.40s is out of range, expected %s to %s", text, from, to);
	default:
		return options_fault(section, option->name, error,
		    "\"%.80s\" is no duration, expected a number with ms, s, m or h",
		    text);
	}
}

static int
read_bool(const struct check_option *option, const char *text, bool *out,
    const struct node *section, char *error)
{
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return options_fault(section, option->name, error,
		    "\"%.80s\" is neither true nor false, expected one of them", text);
	*out = text[0] == 't';
	return 0;
}

static void
free_text(const struct check_option *option, char *text)
{
	if (text != option->value)
		free(text);
}

static void
set_text(const struct check_option *option, char **out, const char *text)
{
	free_text(option, *out);
	*out = text != option->value ? xstrdup(text) : (char *)(uintptr_t)text;
}

static int
read_scalar(void *member, const struct check_option *option, const char *text,
    const struct node *section, char *error)
{
	switch (option->type) {
	case CHECK_OPTION_UINT:
	case CHECK_OPTION_PROCESSES:
	case CHECK_OPTION_FILES: return read_uint(option, text, member, section, error);
	case CHECK_OPTION_MEMORY:
		return read_size(option, text, member, section, error);
	case CHECK_OPTION_BOOL: return read_bool(option, text, member, section, error);
	case CHECK_OPTION_DURATION:
		return read_duration(option, text, member, section, error);
	case CHECK_OPTION_TEXT:
	case CHECK_OPTION_FILE:
	case CHECK_OPTION_USER:
	case CHECK_OPTION_DIRECTORY: set_text(option, member, text); return 0;
	case CHECK_OPTION_LIST:
	case CHECK_OPTION_COMMAND:
	case CHECK_OPTION_ENVIRONMENT: break;
	}
	return 0;
}

static void
free_list(char **list)
{
	for (size_t i = 0; list != NULL && list[i] != NULL; i++)
		free(list[i]);
	free(list);
}

static char **
copy_list(const struct node *node)
{
	char **list = xcalloc(node->n_values + 1, sizeof(*list));

	for (size_t i = 0; i < node->n_values; i++)
		list[i] = xstrdup(node->values[i]);
	return list;
}

/* NAME=value, as environ(7) has it. */
static int
check_environment(
    const struct check_option *option, const struct node *node, char *error)
{
	for (size_t i = 0; i < node->n_values; i++) {
		const char *text = node->values[i];
		size_t len = strcspn(text, "=");
		if (len == 0 || text[len] != '=' || strcspn(text, " \t\n\r") < len)
			return fault_at(error, node,
			    "%s: \"%.80s\" is no variable, expected \"NAME=value\"",
			    option->name, text);
	}
	return 0;
}

static int
check_entries(const struct check_option *option, const struct node *node, char *error)
{
	for (size_t i = 0; i < node->n_values; i++)
		if (node->values[i][0] == '\0')
			return fault_at(error, node,
			    "%s: an entry is empty, expected text in each",
			    option->name);
	return 0;
}

static int
read_list(char ***member, const struct check_option *option, const struct node *node,
    char *error)
{
	bool command = option->type == CHECK_OPTION_COMMAND;

	if (node->n_values == 0)
		return 0;
	if (option->type == CHECK_OPTION_ENVIRONMENT &&
	    check_environment(option, node, error) != 0)
		return -1;
	if (option->type == CHECK_OPTION_LIST &&
	    check_entries(option, node, error) != 0)
		return -1;
	if (command && node->values[0][0] != '/')
		return fault_at(error, node,
		    "%s: \"%.100s\" is no absolute path, expected a program's path "
		    "from /",
		    option->name, node->values[0]);
	free_list(*member);
	*member = copy_list(node);
	return 0;
}

/* A file that nobody else may read. */
static bool
is_secret(const char *option)
{
	return strcmp(option, "token-file") == 0 ||
	    strcmp(option, "password-file") == 0 || strcmp(option, "key-file") == 0;
}

static int
check_host(const struct host *host, const struct check_option *option,
    const struct node *node, char *error)
{
	char why[CONF_ERROR_MAX];
	const char *value = node->values[0];
	int result = 0;

	switch (option->type) {
	case CHECK_OPTION_FILE:
		result = host_check_file(
		    host, value, is_secret(option->name), why, sizeof(why));
		break;
	case CHECK_OPTION_COMMAND:
		result = host_check_command(value, why, sizeof(why));
		break;
	case CHECK_OPTION_USER:
		result = host_check_user(value, why, sizeof(why));
		break;
	case CHECK_OPTION_DIRECTORY:
		result = host_check_directory(value, why, sizeof(why));
		break;
	case CHECK_OPTION_TEXT:
	case CHECK_OPTION_LIST:
	case CHECK_OPTION_UINT:
	case CHECK_OPTION_BOOL:
	case CHECK_OPTION_DURATION:
	case CHECK_OPTION_MEMORY:
	case CHECK_OPTION_PROCESSES:
	case CHECK_OPTION_FILES:
	case CHECK_OPTION_ENVIRONMENT: break;
	}
	if (result != 0)
		fault_at(error, node, "%s: %s", option->name, why);
	return result;
}

/* The option as written; NULL if it was not, or as an empty text. */
static const struct node *
find_given(const struct node *section, const struct check_option *option)
{
	const struct node *node = node_find(section, option->name);

	if (node == NULL || node->n_values == 0 || (!node->list && !node->values[0][0]))
		return NULL;
	return node;
}

int
options_fill(void *base, const struct check_option *table, const struct node *section,
    const struct host *host, char error[CONF_ERROR_MAX])
{
	for (const struct check_option *option = table; option->name != NULL;
	     option++) {
		const struct node *node = find_given(section, option);
		void *member = (char *)base + option->offset;
		int result = 0;

		if (node == NULL && option->required)
			return options_fault(section, option->name, error,
			    "it is missing in %s \"%.80s\", expected a value",
			    section->name,
			    section->title != NULL ? section->title : "");
		if (node == NULL && option->value != NULL)
			result =
			    read_scalar(member, option, option->value, section, error);
		else if (node != NULL && node->list)
			result = read_list(member, option, node, error);
		else if (node != NULL)
			result = read_scalar(
			    member, option, node->values[0], section, error);
		if (result == 0 && node != NULL && host != NULL)
			result = check_host(host, option, node, error);
		if (result != 0)
			return -1;
	}
	return 0;
}

void
options_free(void *base, const struct check_option *table)
{
	for (const struct check_option *option = table; option->name != NULL;
	     option++) {
		char **member = (char **)(void *)((char *)base + option->offset);
		switch (option->type) {
		case CHECK_OPTION_TEXT:
		case CHECK_OPTION_FILE:
		case CHECK_OPTION_USER:
		case CHECK_OPTION_DIRECTORY: free_text(option, *member); break;
		case CHECK_OPTION_LIST:
		case CHECK_OPTION_COMMAND:
		case CHECK_OPTION_ENVIRONMENT:
			free_list(*(char ***)(void *)member);
			break;
		case CHECK_OPTION_UINT:
		case CHECK_OPTION_BOOL:
		case CHECK_OPTION_DURATION:
		case CHECK_OPTION_MEMORY:
		case CHECK_OPTION_PROCESSES:
		case CHECK_OPTION_FILES: break;
		}
	}
}

static bool
same_value(enum check_option_type type, const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	switch (type) {
	case CHECK_OPTION_TEXT:
	case CHECK_OPTION_FILE:
	case CHECK_OPTION_USER:
	case CHECK_OPTION_DIRECTORY: return same_text(*x, *y);
	case CHECK_OPTION_LIST:
	case CHECK_OPTION_COMMAND:
	case CHECK_OPTION_ENVIRONMENT:
		return same_list(*(char *const *const *)a, *(char *const *const *)b);
	case CHECK_OPTION_UINT:
	case CHECK_OPTION_MEMORY:
	case CHECK_OPTION_PROCESSES:
	case CHECK_OPTION_FILES: return memcmp(a, b, sizeof(uint64_t)) == 0;
	case CHECK_OPTION_BOOL: return *(const bool *)a == *(const bool *)b;
	case CHECK_OPTION_DURATION: return memcmp(a, b, sizeof(int64_t)) == 0;
	}
	return false;
}

bool
options_same(const struct check_option *table, const void *a, const void *b)
{
	for (const struct check_option *option = table; option->name != NULL; option++)
		if (!same_value(option->type, (const char *)a + option->offset,
			(const char *)b + option->offset))
			return false;
	return true;
}

int
options_choose(const struct node *section, const char *option, const char *text,
    const char *const *words, char error[CONF_ERROR_MAX])
{
	struct buf known = { .limit = CONF_ERROR_MAX };

	for (int i = 0; words[i] != NULL; i++) {
		if (strcmp(words[i], text) == 0) {
			buf_free(&known);
			return i;
		}
		buf_printf(&known, "%s%s",
		    i == 0             ? ""
			: words[i + 1] ? ", "
				       : " or ",
		    words[i]);
	}
	options_fault(section, option, error, "\"%.80s\" is not known, expected %s",
	    text, known.data);
	buf_free(&known);
	return -1;
}
