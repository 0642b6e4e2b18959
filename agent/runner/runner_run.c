/* SPDX-License-Identifier: ISC */
/*
 * The commands that the main process runs for the agent: a check's or a hook's by its number
 * in a configuration, and word of its start and its end back to the agent. The agent may
 * have meant the configuration before, and jobs may go on for long after a reload: one that
 * counts no more is kept until none of them uses it.
 *
 * commands (command.c) runs them; runner.c owns all.
 */
#include "agent/runner/runner_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/failover/role.h"
#include "agent/runner/command.h"
#include "agent/runner/upgrade.h"

/* A configuration that counts no more, of which something still runs. */
struct retired {
	struct retired *next;
	struct conf *conf;
};

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

void
runner_run(struct runner *runner, uint64_t generation, const struct wire_run *run)
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

void
runner_exited(void *arg, struct wire_message *message)
{
	struct runner *runner = arg;

	if (runner->agent.wire != NULL)
		wire_send(runner->agent.wire, message, -1);
	upgrade_nudge(runner->upgrade);
}

void
runner_started(void *arg, uint64_t run)
{
	struct runner *runner = arg;
	struct wire_message message = { .type = WIRE_STARTED,
		.started = { .run = run } };

	if (runner->agent.wire != NULL)
		wire_send(runner->agent.wire, &message, -1);
}

void
runner_retire(struct runner *runner, struct conf *next)
{
	struct retired *retired = xcalloc(1, sizeof(*retired));

	retired->conf = runner->conf;
	retired->next = runner->retired;
	runner->retired = retired;
	runner->conf = next;
}

/* Jobs that were begun before a reload may go on for long after it. */
void
runner_free_retired(struct runner *runner, bool all)
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
