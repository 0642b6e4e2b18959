/* SPDX-License-Identifier: ISC */
/*
 * lictorctl: the operator's commands, one row each in a table. A command asks the running
 * lictord (client) and shows the answer, as tables (show) or as the JSON that came. What
 * takes effect later, a switchover, is followed in the status until it is seen or its time
 * is up, so that the exit status tells what happened and not what was asked for.
 */
#include "agent/ctl/ctl.h"

#include "agent/base/paths.h"
#include "agent/base/util.h"
#include "agent/ctl/ask.h"
#include "agent/ctl/client.h"
#include "agent/ctl/handover.h"
#include "agent/ctl/maintenance.h"
#include "agent/ctl/move.h"
#include "agent/ctl/policy.h"
#include "agent/ctl/show.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEPT_MS 5000
#define HANDOVER_MS 300000 /* demote hooks take their time */
#define HANDOVER_STALLED_MS \
	10000 /* nothing else does: Consul is away, or nobody takes it */
#define LOOK_MS 20
#define OUTPUT_MAX 4096

static int
do_status(const struct ctl *ctl, char **args)
{
	cJSON *answer AUTO_JSON = ask(ctl, "status", NULL, NULL);

	if (answer == NULL)
		return 1;
	const cJSON *status = cJSON_GetObjectItemCaseSensitive(answer, "status");
	if (ctl->json)
		ask_print(status);
	else
		show_status(stdout, status);
	return 0;
}

/* The maintenance in a status answer, or NULL. */
static const cJSON *
maintenance_in(const cJSON *answer)
{
	const cJSON *status = cJSON_GetObjectItemCaseSensitive(answer, "status");

	return cJSON_GetObjectItemCaseSensitive(status, "maintenance");
}

/* What is longer would be cut by lictord anyhow. */
static int
report(const struct ctl *ctl, const char *command, char **args)
{
	cJSON *request AUTO_JSON = cJSON_CreateObject();
	char output[OUTPUT_MAX];

	str_copy(output, sizeof(output), args[1] != NULL ? args[1] : "");
	cJSON_AddStringToObject(request, "command", command);
	cJSON_AddStringToObject(request, "check", args[0]);
	cJSON_AddStringToObject(request, "output", output);
	cJSON *answer AUTO_JSON = ask_with(ctl, request);
	if (answer != NULL && ctl->json)
		ask_print(answer);
	return answer != NULL ? 0 : 1;
}

static int
do_pass(const struct ctl *ctl, char **args)
{
	return report(ctl, "pass", args);
}

static int
do_warn(const struct ctl *ctl, char **args)
{
	return report(ctl, "warn", args);
}

static int
do_fail(const struct ctl *ctl, char **args)
{
	return report(ctl, "fail", args);
}

/* The answer to "status" once a maintenance is on the disk, or cannot be; the last look when
 * its time is up. */
static cJSON *
wait_kept(const struct ctl *ctl, bool *kept)
{
	struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };
	int64_t began = clock_boot_ms();

	for (;;) {
		cJSON *answer = ask(ctl, "status", NULL, NULL);
		const cJSON *maintenance =
		    answer != NULL ? maintenance_in(answer) : NULL;

		*kept = false;
		if (maintenance == NULL ||
		    (json_get_bool(maintenance, "kept", kept) && *kept) ||
		    json_text(maintenance, "error") != NULL ||
		    clock_boot_ms() - began > KEPT_MS)
			return answer;
		cJSON_Delete(answer);
		nanosleep(&pause, NULL);
	}
}

static int
change_maintenance(const struct ctl *ctl, char **args)
{
	char why[256];
	cJSON *request AUTO_JSON =
	    maintenance_request(args, ctl->span, ctl->reason, why, sizeof(why));

	if (request == NULL) {
		fprintf(stderr, "lictorctl: %s\n", why);
		return 2;
	}
	cJSON *answer AUTO_JSON = ask_with(ctl, request);
	return answer != NULL ? 0 : 1;
}

static int
do_maintenance(const struct ctl *ctl, char **args)
{
	int status = args[0] != NULL ? change_maintenance(ctl, args) : 0;
	bool kept = false;

	if (status != 0)
		return status;
	cJSON *answer AUTO_JSON =
	    args[0] != NULL ? wait_kept(ctl, &kept) : ask(ctl, "status", NULL, NULL);
	if (answer == NULL)
		return 1;
	if (ctl->json)
		ask_print(maintenance_in(answer));
	else
		show_maintenance(
		    stdout, cJSON_GetObjectItemCaseSensitive(answer, "status"));
	if (args[0] == NULL || kept)
		return 0;
	const char *error = json_text(maintenance_in(answer), "error");
	fprintf(stderr, "lictorctl: it counts, but a restart forgets it: %s\n",
	    error != NULL ? error : "it is not on the disk yet");
	return 1;
}

/* Looks until all that can go has gone, or nothing goes any more: a host that restarts waits
 * for it. */
static int
follow_handover(const struct ctl *ctl)
{
	struct timespec pause = { .tv_nsec = LOOK_MS * 1000000L };
	int64_t began = clock_boot_ms(), moved = began;
	struct handover_view view;
	int here = 0;

	for (;;) {
		cJSON *answer AUTO_JSON = ask(ctl, "status", NULL, NULL);

		if (answer == NULL)
			return 1;
		handover_look(
		    cJSON_GetObjectItemCaseSensitive(answer, "status"), &view);
		int64_t now = clock_boot_ms();
		if (view.here != here || view.leaving > 0)
			moved = now;
		here = view.here;
		if (view.going == 0 || now - moved > HANDOVER_STALLED_MS ||
		    now - began > HANDOVER_MS)
			break;
		nanosleep(&pause, NULL);
	}
	if (view.here > 0)
		fprintf(stderr, "lictorctl: %s\n", view.why);
	else if (!ctl->json)
		printf("this host has no role; it took %lld ms\n",
		    (long long)(clock_boot_ms() - began));
	return view.here > 0 ? 1 : 0;
}

static int
do_handover(const struct ctl *ctl, char **args)
{
	cJSON *request AUTO_JSON = cJSON_CreateObject();

	if (args[0] != NULL && strcmp(args[0], "off") != 0) {
		fprintf(stderr,
		    "lictorctl: \"%s\": a handover is begun without a word more, or "
		    "ended with off\n",
		    args[0]);
		return 2;
	}
	cJSON_AddStringToObject(request, "command", "handover");
	cJSON_AddBoolToObject(request, "on", args[0] == NULL);
	cJSON *answer AUTO_JSON = ask_with(ctl, request);
	if (answer == NULL)
		return 1;
	int status = args[0] == NULL ? follow_handover(ctl) : 0;
	if (ctl->json) {
		cJSON_ReplaceItemInObjectCaseSensitive(
		    answer, "ok", cJSON_CreateBool(status == 0));
		ask_print(answer);
	}
	return status;
}

/* It may wait for a handover, and for hooks. */
static int
ask_for_long(const struct ctl *ctl, const char *command)
{
	cJSON *request AUTO_JSON = cJSON_CreateObject();

	cJSON_AddStringToObject(request, "command", command);
	return ask_tell(ctl, ask_long(ctl, request), NULL);
}

static int
do_reload(const struct ctl *ctl, char **args)
{
	return ask_for_long(ctl, "reload");
}

static int
do_upgrade(const struct ctl *ctl, char **args)
{
	return ask_for_long(ctl, "upgrade");
}

static const struct command {
	const char *name, *usage, *help;
	int min, max; /* arguments */
	int (*run)(const struct ctl *ctl, char **args);
} commands[] = {
	{ "status", "", "roles, services and checks of this host", 0, 0, do_status },
	{ "switchover", " ROLE [NODE]", "make NODE, or the best candidate, master", 1,
	    2, move_switchover },
	{ "pause", " ROLE", "no host moves ROLE by itself until it is resumed", 1, 1,
	    policy_pause },
	{ "resume", " ROLE", "hosts move it again", 1, 1, policy_resume },
	{ "explain", " ROLE", "why ROLE is where it is, and what would move it", 1, 1,
	    policy_explain },
	{ "handover", " [off]",
	    "give this host's roles to others and take none; off: take them again", 0,
	    1, do_handover },
	{ "init", " ROLE",
	    "your word that no host holds a role whose register was lost", 1, 1,
	    policy_init },
	{ "failover", " ROLE NODE", "NODE gets ROLE at once; see --i-have-fenced", 2, 2,
	    move_failover },
	{ "key", " rotate", "make a new key for heartbeats", 1, 1, policy_key },
	{ "pass", " SERVICE/CHECK [TEXT]", "report that a ttl check passes", 1, 2,
	    do_pass },
	{ "warn", " SERVICE/CHECK [TEXT]", "that it warns", 1, 2, do_warn },
	{ "fail", " SERVICE/CHECK [TEXT]", "that it fails", 1, 2, do_fail },
	{ "reload", "", "take the configuration as it is in the files now", 0, 0,
	    do_reload },
	{ "upgrade", "", "start the installed lictord in place of the running one", 0,
	    0, do_upgrade },
	{ "maintenance", " [on|off [SERVICE]]",
	    "what is in maintenance; begin or end one", 0, 2, do_maintenance },
};

static int
usage(FILE *out)
{
	fprintf(out, "usage: lictorctl [--socket PATH] [--json] COMMAND\n");
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
		char *line AUTO_FREE =
		    xasprintf("%s%s", commands[i].name, commands[i].usage);
		fprintf(out, "  %-32s%s\n", line, commands[i].help);
	}
	fputs(
	    "options:\n"
	    "  -f, --for DURATION              how long a maintenance lasts\n"
	    "  -r, --reason TEXT               why it is, or why a role is paused\n"
	    "  --i-have-fenced NODE            your oath for a failover: NODE, the "
	    "last\n"
	    "                                  master, is off or has lost the "
	    "addresses\n"
	    "  -s, --socket PATH               the control socket of another lictord\n"
	    "  -j, --json                      the answer as one JSON object\n"
	    "  -V, --version                   print the version and exit\n"
	    "  -h, --help                      print this and exit\n",
	    out);
	return out == stdout ? 0 : 2;
}

static const struct command *
find_command(const char *name, int args)
{
	for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return args >= commands[i].min && args <= commands[i].max
			    ? &commands[i]
			    : NULL;
	return NULL;
}

/* What did not reach the reader was not done: a script must not take it for an answer. */
static int
finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	perror("lictorctl: standard output");
	return 1;
}

/* An option that is not this command's, in words; NULL: there is none. */
static const char *
find_misplaced(const struct ctl *ctl, const struct command *command, char **args)
{
	bool upkeep = command->run == do_maintenance && args[0] != NULL;

	if (ctl->span != NULL && !upkeep)
		return "--for is for maintenance on";
	if (ctl->reason != NULL && !upkeep && command->run != policy_pause)
		return "--reason is for maintenance on and for pause";
	if (ctl->fenced != NULL && command->run != move_failover)
		return "--i-have-fenced is for failover";
	return NULL;
}

int
ctl_main(int argc, char **argv)
{
	static const struct option options[] = { { "socket", required_argument, NULL,
						     's' },
		{ "for", required_argument, NULL, 'f' },
		{ "reason", required_argument, NULL, 'r' },
		{ "i-have-fenced", required_argument, NULL, 'F' },
		{ "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' }, { 0 } };
	char *path AUTO_FREE = path_runtime("lictor.sock");
	struct ctl ctl = { .socket_path = path };
	int option;

	while ((option = getopt_long(argc, argv, "s:jf:r:hV", options, NULL)) != -1) {
		switch (option) {
		case 's': ctl.socket_path = optarg; break;
		case 'j': ctl.json = true; break;
		case 'f': ctl.span = optarg; break;
		case 'r': ctl.reason = optarg; break;
		case 'F': ctl.fenced = optarg; break;
		case 'h': return usage(stdout);
		case 'V': return printf("lictorctl %s\n", PACKAGE_VERSION) < 0;
		default: return usage(stderr);
		}
	}
	if (optind == argc)
		return usage(stderr);
	const struct command *command = find_command(argv[optind], argc - optind - 1);
	if (command == NULL) {
		fprintf(stderr,
		    "lictorctl: \"%s\" is no command, or takes other arguments\n",
		    argv[optind]);
		return usage(stderr);
	}
	const char *misplaced = find_misplaced(&ctl, command, argv + optind + 1);
	if (misplaced != NULL) {
		fprintf(stderr, "lictorctl: %s\n", misplaced);
		return usage(stderr);
	}
	return finish(command->run(&ctl, argv + optind + 1));
}
