/* SPDX-License-Identifier: ISC */
/*
 * The options of lictord, and the way into each of its three processes. A person's start
 * reads the files and becomes the runner. The runner starts this binary again with
 * --process and descriptors at fixed numbers: such a start takes the configuration from the
 * sealed file, so that all three mean the same, and its own lock, so that no two of a kind
 * are ever on a host, also while those of a dead runner still end.
 */
#include "agent/start.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/base/blackbox.h"
#include "agent/base/confine.h"
#include "agent/base/identity.h"
#include "agent/base/lock.h"
#include "agent/base/log.h"
#include "agent/base/paths.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/trial.h"
#include "agent/examine.h"
#include "agent/failover/role.h"
#include "agent/runner/child.h"
#include "agent/runner/runner.h"
#include "agent/runner/upgrade.h"
#include "agent/warden/warden.h"

#define LOCK_MS 5000
#define DEBUG_MAX 16

struct start {
	const char *folder;
	const char *process; /* NULL: started by a person, or a person's systemd */
	const char *debug[DEBUG_MAX + 1];
	size_t n_debug;
	bool test, json, draw, version, help;
};

static const char usage[] =
    "usage: lictord [-t [-j]] [-c DIR] [-d SUBJECT]\n"
    "       lictord -V | -h | --draw-roles\n"
    "  -t, --test            test the configuration and exit\n"
    "  -j, --json            what -t says as one JSON object\n"
    "  -c, --config DIR      the configuration's folder (" SYSCONFDIR "/lictor)\n"
    "  -d, --debug SUBJECT   debug lines of one subject: conf, check, consul, role,\n"
    "                        peer, vip, hook, loop, or all; may be given again\n"
    "      --draw-roles      print the machine that decides about roles, for dot(1)\n"
    "  -V, --version         print the version and exit\n"
    "  -h, --help            print this and exit\n";

static bool
take_debug(struct start *start, const char *subject)
{
	if (start->n_debug == DEBUG_MAX || !log_debug_subject(subject)) {
		fprintf(stderr, "lictord: no debug lines of \"%s\"\n", subject);
		return false;
	}
	start->debug[start->n_debug++] = subject;
	return true;
}

static bool
take_option(struct start *start, int option)
{
	switch (option) {
	case 't': start->test = true; return true;
	case 'j': start->json = true; return true;
	case 'c': start->folder = optarg; return true;
	case 'd': return take_debug(start, optarg);
	case 'r': start->draw = true; return true;
	case 'V': start->version = true; return true;
	case 'h': start->help = true; return true;
	case 'p': start->process = optarg; return true;
	default: return false;
	}
}

static bool
take_options(struct start *start, int argc, char **argv)
{
	static const struct option options[] = {
		{ "test", no_argument, NULL, 't' },
		{ "json", no_argument, NULL, 'j' },
		{ "config", required_argument, NULL, 'c' },
		{ "debug", required_argument, NULL, 'd' },
		{ "draw-roles", no_argument, NULL, 'r' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ CHILD_OPTION, required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "tjc:d:Vh", options, NULL)) != -1)
		if (!take_option(start, option))
			return false;
	if (optind < argc)
		fprintf(stderr, "lictord: what is \"%s\"?\n", argv[optind]);
	return optind == argc;
}

static struct conf *
read_conf(const struct start *start, char error[CONF_ERROR_MAX])
{
	struct conf_bundle *bundle = conf_read(start->folder, error);
	struct conf *conf = bundle == NULL ? NULL : conf_parse(bundle, error);

	if (conf == NULL || trial_run(conf, error) == 0)
		return conf;
	conf_free(conf);
	return NULL;
}

static int
start_runner(const struct start *start)
{
	struct runner_options options = { .folder = start->folder,
		.debug = start->debug,
		.may_hold = identity_may_hold() };
	struct upgrade_kept kept;
	bool upgraded = upgrade_take(&kept);
	char error[CONF_ERROR_MAX], things[96];

	options.kept = &kept;
	if (!start->test)
		upgrade_hold_signals(false);
	if (upgraded) /* it was executed by its descriptor */
		prctl(PR_SET_NAME, "lictord");
	struct conf *conf = read_conf(start, error);
	if (conf == NULL) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	if (start->test) {
		examine(conf, start->json);
		conf_free(conf);
		return 0;
	}
	examine_count(conf, things, sizeof(things));
	log_notice("runner", "lictord %s %s: %s", PACKAGE_VERSION,
	    upgraded ? "goes on from an earlier version" : "starts", things);
	examine_host(conf);
	return runner_main(conf, &options);
}

/* Kept until the process ends. Only one lictord in a network namespace can set addresses;
 * the agent of another would stand for the same node, and both would lose the role. */
static bool
take_locks(const char *process, bool has_addresses)
{
	AUTO_FREE char *everywhere = xasprintf("lictor-%s", process);
	int error = lock_take(CHILD_FD_LOCK, LOCK_MS);

	if (error >= 0 && has_addresses)
		error = lock_name(everywhere, LOCK_MS);
	if (error < 0)
		log_error("runner",
		    "the %s does not start, for another one holds its lock", process);
	return error >= 0;
}

static struct conf *
receive(const struct conf_loading *loading, char error[CONF_ERROR_MAX])
{
	struct conf_bundle *bundle = conf_receive(CHILD_FD_CONF, error);

	return bundle == NULL ? NULL : conf_load(bundle, loading, error);
}

/* The files are the same that lictord was started with, but a plugin may be another since: an
 * agent without plugins is worth more than none. */
static struct conf *
receive_loaded(struct blackbox *box, char error[CONF_ERROR_MAX])
{
	struct blackbox_orders orders;

	blackbox_orders(box, &orders);
	struct conf_loading loading = { .left_out = orders.left_out,
		.left_out_why = orders.nobody_knows
		    ? "lictor's agent crashed three times within a minute, nobody "
		      "knows in whose code"
		    : "it crashed three times within a minute",
		.blackbox = box };
	struct conf *conf = receive(&loading, error);
	if (conf != NULL)
		return conf;
	log_error("conf", "all plugins are left out, since one has changed: %s", error);
	loading.left_out = UINT64_MAX;
	loading.left_out_why = "one that was loaded has changed";
	return receive(&loading, error);
}

/* libbpf pins by paths, and the folder's own is not open to the warden's user. */
static int
start_warden(const struct conf *conf)
{
	AUTO_FREE char *pins = xasprintf("/proc/self/fd/%d", CHILD_FD_BPFFS);
	bool is_there = fcntl(CHILD_FD_BPFFS, F_GETFD) >= 0;
	int error = confine_rings();

	if (error != 0)
		log_debug("vip", "io_uring is not denied: %s", strerror(-error));
	return warden_main(conf, CHILD_FD_RUNNER, is_there ? pins : NULL);
}

/* From its first step: it loads plugins, and reads what others have written. The warden opens what
 * it needs first. */
static void
confine_agent(void)
{
	AUTO_FREE char *state = path_state(NULL);
	AUTO_FREE char *runtime = path_runtime(PATH_OF_AGENT);
	int error = confine_files((const char *[]){ state, runtime, NULL });
	char why[128];

	if (error != 0)
		log_info("runner", "the agent may write where its user may: %s",
		    error == -EOPNOTSUPP ? "this kernel has no Landlock"
					 : strerror(-error));
	if (confine(CONFINE_AGENT, why, sizeof(why)) != 0)
		log_warning(
		    "runner", "the agent's system calls are not filtered: %s", why);
}

static int
start_child(const struct start *start, const char *title)
{
	bool is_agent = strcmp(start->process, "agent") == 0;
	char error[CONF_ERROR_MAX];

	if (!is_agent && strcmp(start->process, "warden") != 0)
		return 2;
	log_init(start->process);
	prctl(PR_SET_NAME, title);
	if (is_agent)
		confine_agent();
	struct blackbox *box = is_agent ? blackbox_open(CHILD_FD_BLACKBOX) : NULL;
	struct conf *conf =
	    is_agent ? receive_loaded(box, error) : receive(NULL, error);
	close(CHILD_FD_CONF);
	if (conf == NULL) {
		log_error("conf", "%s", error);
		return 1;
	}
	int status = 1;
	bool alone = take_locks(start->process, conf->n_vips > 0);
	if (alone && is_agent) {
		status = agent_main(conf, CHILD_FD_RUNNER, CHILD_FD_CONTROL, box);
		conf = NULL;
	} else if (alone) {
		status = start_warden(conf);
	}
	conf_free(conf);
	blackbox_free(box);
	return status;
}

int
start_main(int argc, char **argv)
{
	struct start start = { .folder = SYSCONFDIR "/lictor" };

	if (!take_options(&start, argc, argv) || (start.help && start.version)) {
		fputs(usage, stderr);
		return 2;
	}
	if (start.help)
		fputs(usage, stdout);
	else if (start.version)
		puts("lictord " PACKAGE_VERSION);
	else if (start.draw)
		role_draw(stdout);
	if (start.help || start.version || start.draw)
		return 0;
	signal(SIGPIPE, SIG_IGN);
	if (start.process != NULL)
		return start_child(&start, argv[0]);
	log_init("runner");
	return start_runner(&start);
}
