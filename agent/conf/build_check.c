/* SPDX-License-Identifier: ISC */
/*
 * A check from its section: the options every check has, those its type declares, and the
 * command that the runner will run for it. The type's own `prepare` has the last word
 * on its options. See build.h for the contract.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/blackbox.h"
#include "agent/base/util.h"
#include "agent/conf/build.h"
#include "agent/conf/classes.h"
#include "agent/conf/fault.h"
#include "agent/conf/options.h"
#include "agent/conf/scan.h"

void
build_free_check(struct conf_check *check)
{
	if (check == NULL)
		return;
	if (check->options != NULL) {
		if (check->class->release != NULL)
			check->class->release(check->options);
		options_free(check->options, check->class->options);
	}
	free(check->options);
	free(check->name);
	free(check->notes);
	free(check);
}

/* Intervals that contradict each other are refused; a default gives way instead. */
static int
set_schedule(struct build *build, const struct node *section, struct conf_check *check,
    const struct raw_defaults *raw)
{
	check->interval_ms = raw->interval_ms;
	check->fast_interval_ms = raw->fast_interval_ms;
	check->timeout_ms = raw->timeout_ms;
	check->rise = (unsigned int)raw->rise;
	check->fall = (unsigned int)raw->fall;
	if (raw->fast_interval_ms <= raw->interval_ms)
		return 0;
	check->fast_interval_ms = raw->interval_ms;
	if (node_find(section, "fast-interval") == NULL)
		return 0;
	return options_fault(section, "fast-interval", build->error,
	    "it is longer than the interval, expected at most as long");
}

/* Nothing runs on time for a type that only waits for reports. */
static int
refuse_schedule(struct build *build, const struct node *section)
{
	static const char *const options[] = { "interval", "fast-interval", "timeout",
		"latency-warning", "latency-critical" };

	for (size_t i = 0; i < ARRAY_LENGTH(options); i++)
		if (node_find(section, options[i]) != NULL)
			return options_fault(section, options[i], build->error,
			    "a check of type %s only waits for reports, expected "
			    "nothing but its ttl to say when",
			    section->name);
	return 0;
}

static int
set_thresholds(struct build *build, const struct node *section,
    struct conf_check *check, const struct raw_check *raw)
{
	if (raw->error_rate_critical > 0 &&
	    raw->error_rate_warning >= raw->error_rate_critical)
		return options_fault(section, "error-rate-warning", build->error,
		    "it is not below error-rate-critical, expected less");
	if (raw->latency_critical_ms > 0 &&
	    raw->latency_warning_ms >= raw->latency_critical_ms)
		return options_fault(section, "latency-warning", build->error,
		    "it is not below latency-critical, expected less");
	check->flap_threshold = (uint8_t)raw->flap_threshold;
	check->window = (uint16_t)raw->window;
	check->error_rate_warning = (uint8_t)raw->error_rate_warning;
	check->error_rate_critical = (uint8_t)raw->error_rate_critical;
	check->latency_warning_ms = (uint32_t)raw->latency_warning_ms;
	check->latency_critical_ms = (uint32_t)raw->latency_critical_ms;
	return 0;
}

static int
set_common(struct build *build, const struct node *section, struct conf_check *check,
    struct raw_check *raw)
{
	static const char *const states[] = { "passing", "warning", "critical", NULL };
	static const enum check_status status[] = { CHECK_PASSING, CHECK_WARNING,
		CHECK_CRITICAL };

	raw->schedule = build->defaults;
	if (check->class->passive) {
		if (refuse_schedule(build, section) != 0)
			return -1;
		raw->schedule.rise = raw->schedule.fall = 1;
	}
	if (options_fill(raw, schema_check, section, build->host, build->error) != 0 ||
	    set_schedule(build, section, check, &raw->schedule) != 0 ||
	    set_thresholds(build, section, check, raw) != 0)
		return -1;
	if (raw->depends_on != NULL)
		build_add_depend(build, check, section);
	int initial =
	    options_choose(section, "initial", raw->initial, states, build->error);
	if (initial < 0)
		return -1;
	check->initial = status[initial];
	check->output_size = raw->output_size;
	check->notes = raw->notes;
	raw->notes = NULL;
	return 0;
}

/* The member of the first option of that type; NULL: the type has none. */
static void *
find_member(const struct conf_check *check, enum check_option_type type)
{
	for (const struct check_option *o = check->class->options; o->name != NULL; o++)
		if (o->type == type)
			return (char *)check->options + o->offset;
	return NULL;
}

static uint64_t
find_limit(const struct conf_check *check, enum check_option_type type)
{
	const uint64_t *limit = find_member(check, type);

	return limit != NULL ? *limit : 0;
}

static void
set_command(struct build *build, struct conf_check *check)
{
	char ***argv = find_member(check, CHECK_OPTION_COMMAND);
	char ***environment = find_member(check, CHECK_OPTION_ENVIRONMENT);
	char **user = find_member(check, CHECK_OPTION_USER);
	char **directory = find_member(check, CHECK_OPTION_DIRECTORY);

	if (argv == NULL || *argv == NULL)
		return;
	struct conf_command *command = build_command(build, CONF_COMMAND_CHECK, *argv,
	    user != NULL ? *user : NULL, environment != NULL ? *environment : NULL,
	    directory != NULL ? *directory : NULL);
	command->memory = find_limit(check, CHECK_OPTION_MEMORY);
	command->processes = find_limit(check, CHECK_OPTION_PROCESSES);
	command->files = find_limit(check, CHECK_OPTION_FILES);
	check->command = command;
}

static int
prepare(struct build *build, const struct conf_check *check, const char **option,
    char why[CONF_ERROR_MAX])
{
	struct blackbox *box = build->loading != NULL ? build->loading->blackbox : NULL;
	struct blackbox_note note = { BLACKBOX_CHECK, check->index };

	if (check->class->prepare == NULL)
		return 0;
	struct blackbox_note before = blackbox_enter(box, note);
	int result = check->class->prepare(check->options, option, why, CONF_ERROR_MAX);
	blackbox_leave(box, before);
	return result;
}

static int
set_options(struct build *build, const struct node *section, struct conf_check *check)
{
	const struct check_class *class = check->class;
	char why[CONF_ERROR_MAX] = "";
	const char *option = NULL;

	check->options = xcalloc(1, class->conf_size);
	if (options_fill(check->options, class->options, section, build->host,
		build->error) != 0)
		return -1;
	if (prepare(build, check, &option, why) == 0)
		return 0;
	if (option != NULL)
		return options_fault(section, option, build->error, "%s", why);
	return fault_at(
	    build->error, section, "%s \"%s\": %s", section->name, section->title, why);
}

/* A passive type has an option "ttl", and its time is all the times of the check. */
static void
set_ttl(struct conf_check *check)
{
	const struct check_option *o = check->class->options;
	int64_t ttl;

	for (; strcmp(o->name, "ttl") != 0; o++)
		assert(o[1].name != NULL);
	memcpy(&ttl, (char *)check->options + o->offset, sizeof(ttl));
	check->interval_ms = check->fast_interval_ms = check->timeout_ms = ttl;
}

static struct conf_check *
add_check(struct build *build, const struct node *section, struct conf_service *service)
{
	struct conf *conf = build->conf;
	struct conf_check *check = xcalloc(1, sizeof(*check));

	conf->checks = build_grow(conf->checks, conf->n_checks);
	check->index = (uint32_t)conf->n_checks;
	conf->checks[conf->n_checks++] = check;
	check->class = classes_find(conf->classes, section->name);
	check->name = xstrdup(section->title);
	check->service = service;
	check->file = section->file;
	check->line = section->line;
	if (service != NULL) {
		service->checks = build_grow(service->checks, service->n_checks);
		service->checks[service->n_checks++] = check;
	}
	return check;
}

int
build_check(
    struct build *build, const struct node *section, struct conf_service *service)
{
	struct raw_check raw = { 0 };

	if (build_check_title(build, section) != 0)
		return -1;
	if (service != NULL && strcmp(section->title, "lictor") == 0)
		return fault_at(build->error, section,
		    "the check \"lictor\" of a service is lictor's own, expected "
		    "another name");
	struct conf_check *check = add_check(build, section, service);
	int result = set_common(build, section, check, &raw);
	options_free(&raw, schema_check);
	if (result == 0)
		result = set_options(build, section, check);
	if (result == 0)
		set_command(build, check);
	if (result == 0 && check->class->passive)
		set_ttl(check);
	return result;
}
