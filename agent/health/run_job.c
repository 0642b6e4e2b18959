/* SPDX-License-Identifier: ISC */
/*
 * What checks/check.h gives a run to have done elsewhere: its command, which the runner runs
 * (the scheduler carries the order and the answer).
 */
#include <assert.h>

#include "agent/conf/conf.h"
#include "agent/health/run_state.h"

void
run_job_let_go(struct check_run *run)
{
	if (run->ended != NULL)
		run->runs->out.kill(run->owner);
	run->ended = NULL;
}

void
check_command(struct check_run *run,
    void (*ended)(struct check_run *run, const struct check_exit *exit))
{
	assert(!run->done && run->ended == NULL && run->check->command != NULL);
	run->ended = ended;
	run->runs->out.command(run->owner);
}

void
run_command_ended(struct check_run *run, const struct check_exit *exit)
{
	void (*ended)(struct check_run *, const struct check_exit *) = run->ended;

	if (ended == NULL)
		return;
	run->ended = NULL;
	run_enter(run);
	ended(run, exit);
	run_leave(run);
}
