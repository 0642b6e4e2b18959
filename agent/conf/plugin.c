/* SPDX-License-Identifier: ISC */
/*
 * A type of check from a file: found by its name alone, never by looking what there is,
 * and judged before anything else is done with it. Everything in it is from outside: the
 * number of the interface is read before the rest, whose layout depends on it, and sizes and
 * tables must make sense, because memory is handed out and written by them. That a file
 * crashes while it is loaded is for who calls from a process that may be lost.
 */
#include "agent/conf/plugin.h"

#include <dlfcn.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/util.h"
#include "agent/conf/host.h"
#include "agent/conf/schema.h"
#include "checks/check.h"

#define SYMBOL "check_plugin"
#define SIZE_MAX_BYTES ((size_t)1 << 20)
#define OPTIONS_MAX 64

static const char small[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

static const struct member {
	size_t size, alignment;
} members[] = {
	[CHECK_OPTION_TEXT] = { sizeof(char *), alignof(char *) },
	[CHECK_OPTION_LIST] = { sizeof(char **), alignof(char **) },
	[CHECK_OPTION_UINT] = { sizeof(uint64_t), alignof(uint64_t) },
	[CHECK_OPTION_BOOL] = { sizeof(bool), alignof(bool) },
	[CHECK_OPTION_DURATION] = { sizeof(int64_t), alignof(int64_t) },
	[CHECK_OPTION_FILE] = { sizeof(char *), alignof(char *) },
	[CHECK_OPTION_COMMAND] = { 0 }, /* not for plugins, as what goes with it */
	[CHECK_OPTION_USER] = { 0 },
	[CHECK_OPTION_ENVIRONMENT] = { 0 },
	[CHECK_OPTION_DIRECTORY] = { 0 },
	[CHECK_OPTION_MEMORY] = { 0 },
	[CHECK_OPTION_PROCESSES] = { 0 },
	[CHECK_OPTION_FILES] = { 0 },
};

struct fault {
	const char *name; /* of the plugin */
	char *why;
	size_t size;
};

static int say(const struct fault *fault, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int
say(const struct fault *fault, const char *fmt, ...)
{
	int len = snprintf(fault->why, fault->size, "\"%s\" ", fault->name);
	va_list ap;

	va_start(ap, fmt);
	if (len > 0 && (size_t)len < fault->size)
		vsnprintf(fault->why + len, fault->size - (size_t)len, fmt, ap);
	va_end(ap);
	return -1;
}

bool
plugin_name_ok(const char *name)
{
	size_t len = strlen(name);

	return len >= 1 && len <= PLUGIN_NAME_MAX && strspn(name, small) == len;
}

static int
judge_default(const struct check_option *option, const struct fault *fault)
{
	const char *text = option->value;
	bool any = option->min == 0 && option->max == 0, good = false;
	uint64_t number;
	int64_t ms;

	switch (option->type) {
	case CHECK_OPTION_TEXT:
	case CHECK_OPTION_FILE: good = true; break;
	case CHECK_OPTION_UINT:
		good = parse_uint(text, option->min, any ? UINT64_MAX : option->max,
			   &number) == 0;
		break;
	case CHECK_OPTION_BOOL:
		good = strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
		break;
	case CHECK_OPTION_DURATION:
		good = parse_duration(text, (int64_t)option->min,
			   any ? INT64_MAX : (int64_t)option->max, &ms) == 0;
		break;
	case CHECK_OPTION_LIST:
	case CHECK_OPTION_COMMAND:
	case CHECK_OPTION_USER:
	case CHECK_OPTION_ENVIRONMENT:
	case CHECK_OPTION_DIRECTORY:
	case CHECK_OPTION_MEMORY:
	case CHECK_OPTION_PROCESSES:
	case CHECK_OPTION_FILES: break;
	}
	if (good)
		return 0;
	return say(fault,
	    "has the option %s with the default \"%.40s\", expected one that the "
	    "option itself could have",
	    option->name, text);
}

/* The part of the options struct that it fills. */
static int
judge_member(const struct check_class *class, const struct check_option *option,
    const struct fault *fault)
{
	const struct member *member = &members[option->type];

	if (option->offset > class->conf_size ||
	    class->conf_size - option->offset < member->size ||
	    option->offset % member->alignment != 0)
		return say(fault,
		    "has the option %s at offset %zu of %zu bytes, expected a member "
		    "of its type",
		    option->name, option->offset, class->conf_size);
	for (const struct check_option *o = class->options; o != option; o++)
		if (option->offset < o->offset + members[o->type].size &&
		    o->offset < option->offset + member->size)
			return say(fault,
			    "has the options %s and %s in one place, expected a "
			    "member for each",
			    o->name, option->name);
	return 0;
}

static int
judge_name(const struct check_class *class, const struct check_option *option,
    const struct fault *fault)
{
	if (strnlen(option->name, PLUGIN_NAME_MAX + 1) > PLUGIN_NAME_MAX ||
	    !plugin_name_ok(option->name))
		return say(fault,
		    "has the option \"%.40s\", expected names of small letters, digits "
		    "and hyphens",
		    option->name);
	for (const struct check_option *o = schema_check; o->name != NULL; o++)
		if (strcmp(o->name, option->name) == 0)
			return say(fault,
			    "has the option %s, which every check has, expected "
			    "another name",
			    option->name);
	for (const struct check_option *o = class->options; o != option; o++)
		if (strcmp(o->name, option->name) == 0)
			return say(fault, "has the option %s twice, expected it once",
			    option->name);
	return 0;
}

static int
judge_option(const struct check_class *class, const struct check_option *option,
    const struct fault *fault)
{
	if (judge_name(class, option, fault) != 0)
		return -1;
	if ((size_t)option->type >= ARRAY_LENGTH(members))
		return say(fault,
		    "has the option %s of the unknown type %u, expected one of "
		    "check.h",
		    option->name, (unsigned int)option->type);
	if (members[option->type].size == 0)
		return say(fault,
		    "has the option %s of a type that goes with commands, expected "
		    "another: a plugin runs none",
		    option->name);
	if (option->min > option->max ||
	    (option->type == CHECK_OPTION_DURATION && option->max > INT64_MAX))
		return say(fault,
		    "has the option %s with a range that is none, expected min up to "
		    "max",
		    option->name);
	if (judge_member(class, option, fault) != 0)
		return -1;
	return option->value != NULL ? judge_default(option, fault) : 0;
}

static int
judge_options(const struct check_class *class, const struct fault *fault)
{
	bool has_ttl = false;

	for (size_t i = 0; class->options[i].name != NULL; i++) {
		const struct check_option *option = &class->options[i];
		if (i == OPTIONS_MAX)
			return say(fault,
			    "has options without an end, expected at most %d and a "
			    "NULL name",
			    OPTIONS_MAX);
		if (judge_option(class, option, fault) != 0)
			return -1;
		has_ttl = has_ttl ||
		    (strcmp(option->name, "ttl") == 0 &&
			option->type == CHECK_OPTION_DURATION);
	}
	if (class->passive && !has_ttl)
		return say(fault,
		    "is passive and has no option ttl, expected one that is a "
		    "duration");
	return 0;
}

int
plugin_judge(
    const struct check_class *class, const char *name, char *why, size_t why_size)
{
	struct fault fault = { name, why, why_size };

	if (class->abi != CHECK_ABI)
		return say(&fault,
		    "was built for interface %u of checks, expected one built for %d",
		    class->abi, CHECK_ABI);
	if (class->name == NULL || class->help == NULL)
		return say(&fault, "has no %s, expected one",
		    class->name == NULL ? "name" : "help");
	if (strncmp(class->name, name, PLUGIN_NAME_MAX + 1) != 0)
		return say(&fault,
		    "calls itself \"%.40s\", expected the name of its file",
		    class->name);
	if (class->passive ? class->start != NULL : class->start == NULL)
		return say(&fault, "%s, expected one unless it is passive",
		    class->passive ? "is passive and has a start" : "has no start");
	if (class->options == NULL)
		return say(&fault,
		    "has no table of options, expected one, with a NULL name at the "
		    "end");
	if (class->conf_size > SIZE_MAX_BYTES || class->run_size > SIZE_MAX_BYTES)
		return say(&fault,
		    "wants %zu bytes for each check and %zu for each run, expected at "
		    "most %zu",
		    class->conf_size, class->run_size, SIZE_MAX_BYTES);
	return judge_options(class, &fault);
}

int
plugin_load(const struct host *host, const char *folder, const char *name,
    const struct check_class **out, char *why, size_t why_size)
{
	AUTO_FREE char *path = xasprintf("%s/%s.so", folder, name);
	struct fault fault = { name, why, why_size };

	if (host_check_plugin(host, path, why, why_size) != 0)
		return -1;
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (handle == NULL)
		return say(&fault,
		    "cannot be loaded (%.250s), expected a plugin for "
		    "this lictord",
		    dlerror());
	const struct check_class *class = dlsym(handle, SYMBOL);
	int result = class != NULL
	    ? plugin_judge(class, name, why, why_size)
	    : say(&fault, "has no symbol " SYMBOL ", expected a plugin of lictord");
	dlclose(handle); /* it stays, as it was asked to */
	if (result == 0)
		*out = class;
	return result;
}

uint64_t
plugin_mark(const char *folder, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s.so", folder, name);
	struct stat st;

	if (stat(path, &st) != 0)
		return 0;
	const uint64_t parts[] = { st.st_dev, st.st_ino, (uint64_t)st.st_size,
		(uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec };
	return fnv1a64(parts, sizeof(parts)) | 1;
}
