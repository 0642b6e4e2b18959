/* SPDX-License-Identifier: ISC */
/*
 * The main process. It does little, so that it lives: it starts the agent and the warden
 * and starts them again, asks them every second whether they are alive, runs the
 * configured commands for the agent, and speaks to systemd. It knows nothing of Consul or of
 * roles. Each start of one of the two comes with a fresh pair of sockets between them; the
 * count of agents goes along, by which the warden knows the newest.
 *
 * A process of the two is told to end by closing its socket, and only that: the addresses of
 * a master outlive a runner that died until its successor's warden takes them over. An upgrade
 * in place is that on purpose.
 */
#include "agent/runner/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/failover/role.h"
#include "agent/runner/account.h"
#include "agent/runner/blame.h"
#include "agent/runner/bpffs.h"
#include "agent/runner/command.h"
#include "agent/runner/fence_kind.h"
#include "agent/runner/notify.h"
#include "agent/runner/place.h"
#include "agent/runner/privileges.h"
#include "agent/runner/process.h"
#include "agent/runner/reload.h"
#include "agent/runner/upgrade.h"

#define PING_MS 1000
#define STOP_MS 20000 /* the agent gives up after 10 s, then takes its leave, in 8 */
#define WARDEN_STOP_MS 1000

/* A configuration that counts no more, of which something still runs. */
struct retired {
	struct retired *next;
	struct conf *conf;
};

struct runner {
	const char *folder;
	struct conf *conf;
	struct retired *retired; /* the newest first */
	struct loop *loop;
	struct place place;
	struct commands *commands;
	struct blame *blame;
	struct reload *reload;
	struct fence_kind *fence;
	struct upgrade *upgrade;
	bool upgrading; /* both are told to end, and another version takes over */
	int stop_signal; /* that came meanwhile, for that version; or 0 */
	struct process_shared shared;
	struct process agent, warden;
	bool may_hold; /* a warden of ours could set addresses */
	int bpffs_fd; /* the folder of what the warden pins, or -1 */
	uint32_t instance; /* of the newest agent */
	bool linked; /* those two processes have a link */
	struct loop_timer *ping, *stop_limit;
	struct loop_signal *sigterm, *sigint, *sighup, *sigusr2;
};

static bool
is_agent(const struct process *process)
{
	return process->kind == WIRE_AGENT;
}

/* A fresh pair of sockets for the two, if both are there. The agent, which asks for another
 * when its end closes, hears of it before the warden closes the old one. What fence that warden has, it
 * knows by then. */
static void
link_both(struct runner *runner)
{
	struct wire_message message = { .type = WIRE_LINK };
	int fds[2];

	if (runner->agent.wire == NULL || runner->warden.wire == NULL ||
	    runner->agent.generation != runner->warden.generation ||
	    reload_turns(runner->reload) || !fence_kind_settled(runner->fence))
		return;
	int error = wire_pair(fds);
	if (error != 0) {
		log_error("runner", "no sockets between agent and warden: %s",
		    strerror(-error));
		return;
	}
	message.link.instance = runner->instance;
	wire_send(runner->agent.wire, &message, fds[1]);
	wire_send(runner->warden.wire, &message, fds[0]);
	close(fds[0]);
	close(fds[1]);
	runner->linked = true;
}

/* What the agent means by its number: it may have sent that before it turned. */
static const struct conf_command *
find_command(const struct runner *runner, uint64_t generation, uint32_t index)
{
	const struct conf *conf = runner->conf;

	if (generation != conf->generation && runner->retired != NULL)
		conf = runner->retired->conf;
	return generation == conf->generation && index < conf->n_commands
	    ? conf->commands[index]
	    : NULL;
}

static void
run_command(struct runner *runner, uint64_t generation, const struct wire_run *run)
{
	const struct conf_command *command =
	    find_command(runner, generation, run->command);
	char term[24];

	if (command == NULL) {
		log_error(
		    "runner", "the agent asked for a command that does not exist");
		process_kill(&runner->agent);
		return;
	}
	if (command->kind == CONF_COMMAND_CHECK) {
		commands_run(
		    runner->commands, run->run, command, NULL, NULL, run->timeout_ms);
		return;
	}
	const char *state = run->state == WIRE_HOOK_MASTER ? "master" : "backup";
	const char *reason =
	    role_reason_name(run->reason < ROLE_REASONS ? (enum role_reason)run->reason
							: ROLE_REASON_NONE);
	snprintf(term, sizeof(term), "%" PRIu64, run->term);
	AUTO_FREE char *env_role = xasprintf("LICTOR_ROLE=%s", command->role->name);
	AUTO_FREE char *env_state = xasprintf("LICTOR_STATE=%s", state);
	AUTO_FREE char *env_reason = xasprintf("LICTOR_REASON=%s", reason);
	AUTO_FREE char *env_term = xasprintf("LICTOR_TERM=%s", term);
	const char *arguments[] = { command->role->name, state, reason, term, NULL };
	const char *environment[] = { env_role, env_state, env_reason, env_term, NULL };
	commands_run(runner->commands, run->run, command, arguments, environment,
	    run->timeout_ms);
}

static void
on_exited(void *arg, struct wire_message *message)
{
	struct runner *runner = arg;

	if (runner->agent.wire != NULL)
		wire_send(runner->agent.wire, message, -1);
	upgrade_nudge(runner->upgrade);
}

static void
on_command_started(void *arg, uint64_t run)
{
	struct runner *runner = arg;
	struct wire_message message = { .type = WIRE_STARTED,
		.started = { .run = run } };

	if (runner->agent.wire != NULL)
		wire_send(runner->agent.wire, &message, -1);
}

static void
on_message(void *arg, struct process *process, const struct wire_message *message)
{
	struct runner *runner = arg;

	if (message->type == WIRE_RUN)
		run_command(runner, message->generation, &message->run);
	else if (message->type == WIRE_KILL)
		commands_kill(runner->commands, message->kill.run);
	else if (message->type == WIRE_UNLINKED)
		runner->linked = false; /* until the next ping, or the warden's start */
	else if (message->type == WIRE_COMMITTED && is_agent(process))
		blame_turned(runner->blame);
	else if (message->type == WIRE_FENCED)
		fence_kind_answer(runner->fence, &message->fenced);
	else if (message->type == WIRE_UPGRADE)
		upgrade_ask(runner->upgrade, message->reload.request);
	reload_message(runner->reload, process, message);
	/* WIRE_DONE: its end follows */
}

static void
on_started(void *arg, struct process *process)
{
	struct runner *runner = arg;

	if (is_agent(process))
		runner->instance++;
	runner->linked = false;
	fence_kind_started(runner->fence, process);
	reload_started(runner->reload, process);
	link_both(runner);
}

static void
on_fence_settled(void *arg)
{
	struct runner *runner = arg;

	if (!runner->linked)
		link_both(runner);
}

static bool
has_warden(const struct runner *runner)
{
	return runner->conf->n_vips > 0 && runner->may_hold;
}

static bool
is_needed(const struct runner *runner, const struct process *process)
{
	return is_agent(process) || has_warden(runner);
}

/* Once the agent has ended the warden is let go; once that has ended, so do we. */
static void
stop_step(struct runner *runner)
{
	if (runner->agent.pid != 0)
		return;
	wire_free(runner->warden.wire);
	runner->warden.wire = NULL;
	loop_timer_after(runner->stop_limit, WARDEN_STOP_MS);
	if (runner->warden.pid == 0)
		loop_stop(runner->loop);
}

static void
on_ended(void *arg, struct process *process, const struct process_end *end)
{
	struct runner *runner = arg;
	char where[192] = "";

	if (is_agent(process))
		commands_orphan(runner->commands);
	if (is_agent(process) && !runner->shared.stopping)
		blame_end(
		    runner->blame, end, loop_now(runner->loop), where, sizeof(where));
	reload_ended(runner->reload, process);
	if (runner->shared.stopping)
		stop_step(runner);
	else if (is_needed(runner, process))
		process_again(process, end, where);
}

/* Jobs that were begun before a reload may go on for long after it. */
static void
free_retired(struct runner *runner, bool all)
{
	struct retired **at = &runner->retired;

	while (*at != NULL) {
		struct retired *retired = *at;
		if (!all && commands_use(runner->commands, retired->conf)) {
			at = &retired->next;
			continue;
		}
		*at = retired->next;
		conf_free(retired->conf);
		free(retired);
	}
}

static void
on_swap(void *arg, struct conf *next, const struct process_conf *as_started)
{
	struct runner *runner = arg;
	struct retired *retired = xcalloc(1, sizeof(*retired));

	retired->conf = runner->conf;
	retired->next = runner->retired;
	runner->retired = retired;
	runner->conf = next;
	runner->linked = false;
	cleanup_close(&runner->shared.conf.fd);
	runner->shared.conf = *as_started;
	blame_turn(runner->blame, next, runner->agent.pid != 0);
	fence_kind_turn(runner->fence, next);
}

/* A reload that was given up leaves them their link, and what is on its way there. */
static void
on_over(void *arg)
{
	struct runner *runner = arg;

	if (!runner->linked)
		link_both(runner);
	upgrade_nudge(runner->upgrade);
}

static void
on_ping(void *arg)
{
	struct runner *runner = arg;
	bool well = process_ping(&runner->agent);

	well = (process_ping(&runner->warden) || !has_warden(runner)) && well;
	if (well)
		notify_send("WATCHDOG=1");
	if (!runner->linked)
		link_both(runner);
	if (!reload_turns(runner->reload))
		free_retired(runner, false);
	upgrade_nudge(runner->upgrade);
	loop_timer_after(runner->ping, PING_MS);
}

static void
on_stop(void *arg, int signum)
{
	struct runner *runner = arg;
	struct wire_message message = { .type = WIRE_STOP };

	if (runner->upgrading)
		runner->stop_signal = signum;
	if (runner->shared.stopping)
		return;
	runner->shared.stopping = true;
	log_notice(
	    "runner", "stopping, on %s", signum == SIGTERM ? "SIGTERM" : "SIGINT");
	notify_send("STOPPING=1");
	process_give_up(&runner->agent);
	process_give_up(&runner->warden);
	reload_stop(runner->reload);
	loop_timer_after(runner->stop_limit, STOP_MS + conf_longest_hook(runner->conf));
	if (runner->agent.wire != NULL)
		wire_send(runner->agent.wire, &message, -1);
	stop_step(runner);
}

static void
on_stop_limit(void *arg)
{
	struct runner *runner = arg;
	struct process *late =
	    runner->agent.pid != 0 ? &runner->agent : &runner->warden;

	log_error("runner", "the %s is killed, for it did not end in time", late->name);
	process_kill(late);
}

static void
on_hangup(void *arg, int signum)
{
	struct runner *runner = arg;

	reload_ask(runner->reload, 0);
}

/* ---- another version in this one's place ---- */

static void
on_upgrade(void *arg, int signum)
{
	struct runner *runner = arg;

	upgrade_ask(runner->upgrade, 0);
}

static void
on_upgrade_answer(void *arg, uint64_t request, bool ok, const char *why)
{
	struct runner *runner = arg;

	reload_answer(runner->reload, request, ok, why);
}

/* Both end as if this process had died. What would be lost or done twice has its end first: a
 * reload, and hooks, of which the next version knows nothing. */
static void
on_upgrade_due(void *arg)
{
	struct runner *runner = arg;

	if (runner->shared.stopping || !reload_idle(runner->reload) ||
	    commands_run_hooks(runner->commands))
		return;
	upgrade_begin(runner->upgrade);
	runner->upgrading = runner->shared.stopping = true;
	process_give_up(&runner->agent);
	process_give_up(&runner->warden);
	wire_free(runner->agent.wire);
	runner->agent.wire = NULL;
	stop_step(runner);
	if (runner->agent.pid != 0)
		loop_timer_after(runner->stop_limit, WARDEN_STOP_MS);
	wire_free(runner->warden.wire);
	runner->warden.wire = NULL;
}

/* Returns if that failed. */
static void
take_over(struct runner *runner)
{
	const struct upgrade_kept kept = { runner->place.lock_fd,
		runner->place.control_fd };

	upgrade_hold_signals(true);
	commands_free(runner->commands);
	runner->commands = NULL;
	if (runner->stop_signal != 0)
		kill(getpid(), runner->stop_signal);
	int error = upgrade_exec(runner->upgrade, &kept);
	log_error("runner", "the new version cannot be executed: %s", strerror(-error));
}

static void
runner_init(struct runner *runner)
{
	struct commands_out out = {
		.exited = on_exited, .started = on_command_started, .arg = runner
	};
	struct reload_out reload = { on_swap, on_over, runner };
	struct fence_kind_out fence = { on_fence_settled, runner };
	struct upgrade_out upgrade = { on_upgrade_due, on_upgrade_answer, runner };
	struct loop *loop = runner->loop = loop_new();

	runner->shared.loop = loop;
	runner->blame = blame_new(runner->conf);
	process_init(&runner->agent, &runner->shared, WIRE_AGENT);
	process_init(&runner->warden, &runner->shared, WIRE_WARDEN);
	runner->agent.control_fd = runner->place.control_fd;
	runner->agent.blackbox_fd = blame_fd(runner->blame);
	runner->reload = reload_new(loop, runner->folder, &runner->agent,
	    &runner->warden, runner->conf, &reload);
	runner->fence =
	    fence_kind_new(loop, runner->conf, &runner->agent, &runner->warden, &fence);
	runner->commands = commands_new(loop, runner->place.id, &out);
	runner->upgrade =
	    upgrade_new(loop, runner->folder, runner->shared.debug, &upgrade);
	runner->ping = loop_timer_new(loop, on_ping, runner);
	runner->stop_limit = loop_timer_new(loop, on_stop_limit, runner);
	runner->sigterm = loop_signal_new(loop, SIGTERM, on_stop, runner);
	runner->sigint = loop_signal_new(loop, SIGINT, on_stop, runner);
	runner->sighup = loop_signal_new(loop, SIGHUP, on_hangup, runner);
	runner->sigusr2 = loop_signal_new(loop, SIGUSR2, on_upgrade, runner);
	upgrade_hear_signals(); /* those too that came since the start */
}

static void
runner_done(struct runner *runner)
{
	loop_signal_free(runner->sigusr2);
	loop_signal_free(runner->sighup);
	loop_signal_free(runner->sigint);
	loop_signal_free(runner->sigterm);
	loop_timer_free(runner->stop_limit);
	loop_timer_free(runner->ping);
	upgrade_free(runner->upgrade);
	commands_free(runner->commands);
	fence_kind_free(runner->fence);
	reload_free(runner->reload);
	free_retired(runner, true);
	process_free(&runner->warden);
	process_free(&runner->agent);
	blame_free(runner->blame);
	loop_free(runner->loop);
}

/* Said once, at the start. */
static void
warn_of_root(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_commands; i++)
		if (conf->commands[i]->user == NULL && accounts_default_missing()) {
			log_warning("runner",
			    "commands without an option user run as lictord's own, for "
			    "there is no user " ACCOUNT_DEFAULT
			    ": \"systemd-sysusers\" or \"useradd --system\" makes it");
			return;
		}
}

/* Rights do not come back, so no warden is tried. */
static void
warn_of_addresses(struct runner *runner)
{
	static const char why[] = "lictord has not both CAP_NET_ADMIN and CAP_NET_RAW";

	if (runner->may_hold || runner->conf->n_vips == 0)
		return;
	log_error("runner", "no address can be set here, for %s", why);
	fence_kind_no_folder(runner->fence, why);
}

/* What the two processes are to be; what of it cannot be is said once. */
static void
find_privileges(struct runner *runner)
{
	struct privileges *agent = &runner->agent.privileges;
	struct privileges *warden = &runner->warden.privileges;
	char why[192], other[192];
	bool is_agent = privileges_find(WIRE_AGENT, agent, why, sizeof(why)) != 0;
	bool is_warden =
	    privileges_find(WIRE_WARDEN, warden, other, sizeof(other)) != 0;

	if (is_agent || (is_warden && has_warden(runner)))
		log_warning("runner",
		    "the %s keeps lictord's own user, for %s: \"systemd-sysusers\" or "
		    "\"useradd --system\" makes the users that are missing",
		    is_agent ? "agent" : "warden", is_agent ? why : other);
}

/* Where the warden pins, if its fence may be bpf. */
static void
open_bpffs(struct runner *runner)
{
	const struct conf *conf = runner->conf;
	const struct privileges *warden = &runner->warden.privileges;
	char why[WIRE_WHY_MAX];

	if (!conf_has_bpf() || !runner->may_hold ||
	    conf->fence == CONF_FENCE_LIFETIME ||
	    (conf->fence == CONF_FENCE_AUTO && conf->n_vips == 0))
		return;
	runner->bpffs_fd = bpffs_open(warden->uid, warden->gid, why, sizeof(why));
	if (runner->bpffs_fd < 0)
		fence_kind_no_folder(runner->fence, why);
	runner->warden.bpffs_fd = runner->bpffs_fd;
}

static int
run(struct runner *runner)
{
	struct process_shared *shared = &runner->shared;

	find_privileges(runner);
	if (place_take(&runner->place, &runner->agent.privileges) != 0)
		return 1;
	shared->exe_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	shared->conf.fd = conf_send(runner->conf);
	if (shared->exe_fd < 0 || shared->conf.fd < 0) {
		log_error("runner", "cannot hand on %s: %s",
		    shared->exe_fd < 0 ? "the program" : "the configuration",
		    strerror(shared->exe_fd < 0 ? errno : -shared->conf.fd));
		return 1;
	}
	warn_of_root(runner->conf);
	runner_init(runner);
	warn_of_addresses(runner);
	open_bpffs(runner);
	if (has_warden(runner))
		process_start(&runner->warden);
	process_start(&runner->agent);
	loop_timer_after(runner->ping, PING_MS);
	loop_run(runner->loop);
	if (runner->upgrading)
		take_over(runner);
	runner_done(runner);
	return runner->upgrading ? 1 : 0;
}

int
runner_main(struct conf *conf, const struct runner_options *options)
{
	static const struct upgrade_kept nothing = { -1, -1 };
	const struct upgrade_kept *kept =
	    options->kept != NULL ? options->kept : &nothing;
	struct runner runner = {
		.folder = options->folder,
		.conf = conf,
		.may_hold = options->may_hold,
		.bpffs_fd = -1,
		.place = { .lock_fd = kept->lock_fd, .control_fd = kept->control_fd },
		.shared = { .conf = { conf->generation, -1 },
		    .exe_fd = -1,
		    .debug = options->debug,
		    .out = { on_started, on_message, on_ended, &runner } },
	};

	umask(022);
	int status = run(&runner);
	privileges_cleanup(&runner.agent.privileges);
	privileges_cleanup(&runner.warden.privileges);
	cleanup_close(&runner.bpffs_fd);
	cleanup_close(&runner.shared.conf.fd);
	cleanup_close(&runner.shared.exe_fd);
	place_leave(&runner.place);
	conf_free(runner.conf);
	return status;
}
