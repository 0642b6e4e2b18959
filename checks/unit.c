/* SPDX-License-Identifier: ISC */
/*
 * The check type `unit`: a unit of systemd is active. Asked of systemd over D-Bus
 * (org.freedesktop.systemd1(5)) by libsystemd's sd-bus, which does the talking when its
 * descriptor is ready. Every run has a connection of its own: a bus that was restarted needs
 * no care. The bus belongs to the run: finish and cancel are the two places that leave it.
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "checks/builtin.h"
#include "checks/check.h"

struct unit_check {
	char *unit;
	char *path; /* made by prepare: of the unit's object */
};

static const struct check_option options[] = {
	{ "unit", CHECK_OPTION_TEXT, offsetof(struct unit_check, unit),
	    .required = true },
	{ NULL },
};

/* systemd.unit(5), UNIT FILE LOAD PATH: what a name is made of, and its ending. */
static bool
is_unit(const char *text)
{
	static const char signs[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789:-_.\\@";
	const char *dot = strrchr(text, '.');

	return dot != NULL && dot != text && dot[1] != '\0' && strlen(text) < 256 &&
	    text[strspn(text, signs)] == '\0';
}

static int
prepare_name(
    const struct unit_check *check, const char **option, char *why, size_t why_size)
{
	*option = "unit";
	if (is_unit(check->unit))
		return 0;
	snprintf(why, why_size,
	    "\"%.80s\" is no unit, expected a whole name like nginx.service",
	    check->unit);
	return -1;
}

#ifdef HAVE_LIBSYSTEMD

#include <systemd/sd-bus.h>

#define SYSTEMD "org.freedesktop.systemd1"
#define UNITS "/org/freedesktop/systemd1/unit"

enum property { LOAD_STATE, ACTIVE_STATE, SUB_STATE, PROPERTIES };

struct unit_run {
	sd_bus *bus;
	int error; /* -errno of the bus */
	unsigned int answers;
	char property[PROPERTIES][32];
};

static const char *const property_names[] = {
	[LOAD_STATE] = "LoadState",
	[ACTIVE_STATE] = "ActiveState",
	[SUB_STATE] = "SubState",
};
_Static_assert(ARRAY_LENGTH(property_names) == PROPERTIES, "a name for each");

static int
prepare(void *conf, const char **option, char *why, size_t why_size)
{
	struct unit_check *check = conf;

	if (prepare_name(check, option, why, why_size) != 0)
		return -1;
	if (sd_bus_path_encode(UNITS, check->unit, &check->path) < 0)
		out_of_memory();
	return 0;
}

static void
release(void *conf)
{
	struct unit_check *check = conf;

	free(check->path);
	check->path = NULL;
}

static void
leave_bus(struct check_run *run)
{
	struct unit_run *unit = check_state(run);

	check_unwatch(run);
	sd_bus_close_unref(unit->bus);
	unit->bus = NULL;
}

static void
fail(struct check_run *run, int error)
{
	const struct unit_check *check = check_conf(run);

	leave_bus(run);
	check_done(run, CHECK_UNKNOWN, CHECK_REASON_LOCAL,
	    "%s: systemd cannot be asked: %s", check->unit, strerror(-error));
}

static void
judge(struct check_run *run)
{
	const struct unit_check *check = check_conf(run);
	const struct unit_run *unit = check_state(run);
	const char *active = unit->property[ACTIVE_STATE];
	const char *load = unit->property[LOAD_STATE];
	bool loaded = strcmp(load, "loaded") == 0;
	bool well = strcmp(active, "active") == 0 || strcmp(active, "reloading") == 0 ||
	    strcmp(active, "refreshing") == 0;

	leave_bus(run);
	if (strcmp(load, "not-found") == 0 && strcmp(active, "inactive") == 0)
		check_done(run, CHECK_CRITICAL, CHECK_REASON_STATE,
		    "there is no unit %s", check->unit);
	else
		check_done(run, well ? CHECK_PASSING : CHECK_CRITICAL,
		    well ? CHECK_REASON_OK : CHECK_REASON_STATE, "%s is %s (%s)%s%s",
		    check->unit, active, unit->property[SUB_STATE], loaded ? "" : ", ",
		    loaded ? "" : load);
}

/* Answers come in the order of the questions. */
static int
on_answer(sd_bus_message *answer, void *arg, sd_bus_error *ignored)
{
	struct unit_run *unit = check_state(arg);
	const sd_bus_error *error = sd_bus_message_get_error(answer);
	const char *text = "";

	if (error != NULL)
		unit->error = -sd_bus_error_get_errno(error);
	else if (sd_bus_message_read(answer, "v", "s", &text) < 0)
		unit->error = -EBADMSG;
	else
		str_copy(
		    unit->property[unit->answers], sizeof(unit->property[0]), text);
	unit->answers++;
	return 0;
}

static int
ask(struct check_run *run, enum property property)
{
	const struct unit_check *check = check_conf(run);
	const struct unit_run *unit = check_state(run);

	return sd_bus_call_method_async(unit->bus, NULL, SYSTEMD, check->path,
	    "org.freedesktop.DBus.Properties", "Get", on_answer, run, "ss",
	    SYSTEMD ".Unit", property_names[property]);
}

static void
ready(struct check_run *run, unsigned int events)
{
	struct unit_run *unit = check_state(run);
	int result = 1;

	while (result > 0 && unit->error == 0 && unit->answers < PROPERTIES)
		result = sd_bus_process(unit->bus, NULL);
	if (result < 0)
		unit->error = result;
	if (unit->error != 0) {
		fail(run, unit->error);
		return;
	}
	if (unit->answers == PROPERTIES) {
		judge(run);
		return;
	}
	int wanted = sd_bus_get_events(unit->bus);
	if (wanted < 0) {
		fail(run, wanted);
		return;
	}
	check_watch(run, sd_bus_get_fd(unit->bus),
	    ((wanted & POLLIN) != 0 ? CHECK_READ : 0) |
		((wanted & POLLOUT) != 0 ? CHECK_WRITE : 0),
	    ready);
}

static void
start(struct check_run *run)
{
	struct unit_run *unit = check_state(run);
	int result = sd_bus_open_system(&unit->bus);

	for (int i = 0; result >= 0 && i < PROPERTIES; i++)
		result = ask(run, (enum property)i);
	if (result < 0)
		fail(run, result);
	else
		ready(run, 0);
}

const struct check_class check_unit_class = {
	.abi = CHECK_ABI,
	.name = "unit",
	.help = "asks systemd whether a unit is active",
	.indirect = true,
	.conf_size = sizeof(struct unit_check),
	.run_size = sizeof(struct unit_run),
	.options = options,
	.prepare = prepare,
	.release = release,
	.start = start,
	.cancel = leave_bus,
};

#else

static int
prepare(void *conf, const char **option, char *why, size_t why_size)
{
	if (prepare_name(conf, option, why, why_size) != 0)
		return -1;
	snprintf(why, why_size,
	    "this lictord was built without libsystemd, expected another type of "
	    "check");
	return -1;
}

const struct check_class check_unit_class = {
	.abi = CHECK_ABI,
	.name = "unit",
	.help = "asks systemd whether a unit is active (not in this lictord)",
	.conf_size = sizeof(struct unit_check),
	.options = options,
	.prepare = prepare,
};

#endif
