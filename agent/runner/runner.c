/* SPDX-License-Identifier: ISC */
/*
 * The main process. It does little, so that it lives: it starts the agent and the warden
 * and starts them again, asks them every second whether they are alive, runs the
 * configured commands for the agent (runner_run.c), and speaks to systemd. It knows nothing
 * of Consul or of roles. Each start of one of the two comes with a fresh pair of sockets
 * between them; the count of agents goes along, by which the warden knows the newest. What
 * all of them may do is in runner_rights.c.
 *
 * A process of the two is told to end by closing its socket, and only that: the addresses of
 * a master outlive a runner that died until its successor's warden takes them over. An upgrade
 * in place is that on purpose.
 */
#include "agent/runner/runner_state.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/runner/blame.h"
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

static void
on_message(void *arg, struct process *process, const struct wire_message *message)
{
	struct runner *runner = arg;

	if (message->type == WIRE_RUN)
		runner_run(runner, message->generation, &message->run);
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

bool
runner_has_warden(const struct runner *runner)
{
	return runner->conf->n_vips > 0 && runner->may_hold;
}

static bool
is_needed(const struct runner *runner, const struct process *process)
{
	return is_agent(process) || runner_has_warden(runner);
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

static void
on_swap(void *arg, struct conf *next, const struct process_conf *as_started)
{
	struct runner *runner = arg;

	runner_retire(runner, next);
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

	well = (process_ping(&runner->warden) || !runner_has_warden(runner)) && well;
	if (well)
		notify_send("WATCHDOG=1");
	if (!runner->linked)
		link_both(runner);
	if (!reload_turns(runner->reload))
		runner_free_retired(runner, false);
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
 * reload, and hooks with what follows from them, of which the next version knows nothing. */
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
		.exited = runner_exited, .started = runner_started, .arg = runner
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
	runner_free_retired(runner, true);
	process_free(&runner->warden);
	process_free(&runner->agent);
	blame_free(runner->blame);
	loop_free(runner->loop);
}

static int
run(struct runner *runner)
{
	struct process_shared *shared = &runner->shared;

	runner_find_privileges(runner);
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
	runner_warn_of_root(runner->conf);
	runner_init(runner);
	runner_warn_of_addresses(runner);
	runner_open_bpffs(runner);
	if (runner_has_warden(runner))
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
