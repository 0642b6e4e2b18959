/* SPDX-License-Identifier: ISC */
/*
 * What checks/check.h gives a run to have done elsewhere: its command, which the runner runs
 * (the scheduler carries the order and the answer), and work in another thread. A thread
 * cannot be stopped: a run that is over while its work hangs stays in a list until then, and
 * the check's next run waits for it, so that a check never has two threads.
 */
#include <assert.h>
#include <stdlib.h>

#include "agent/base/worker.h"
#include "agent/conf/conf.h"
#include "agent/health/run_state.h"

void
run_job_let_go(struct check_run *run)
{
	if (run->ended != NULL)
		run->runs->out.kill(run->owner);
	run->ended = NULL;
	run->worked = NULL;
	if (run->before != NULL)
		run->before->after = NULL;
	run->before = NULL;
}

bool
run_job_hangs(struct check_run *run)
{
	if (!run->working)
		return false;
	run->next = run->runs->hanging;
	run->runs->hanging = run;
	return true;
}

/* In a thread. */
static void
do_work(void *arg)
{
	struct check_run *run = arg;

	run->taken = true;
	struct blackbox *box = run->runs->servants.blackbox;
	struct blackbox_note note = { BLACKBOX_CHECK, run->check->index };

	unsigned int number = blackbox_enter_thread(box, note);
	run->work(run->check->options, run->state);
	blackbox_leave_thread(box, number);
}

static void on_worked(void *arg);

static void
begin_work(struct check_run *run)
{
	struct runs *runs = run->runs;

	if (runs->workers == NULL)
		runs->workers = workers_new(runs->servants.loop);
	run->before = NULL;
	run->working = true;
	workers_start(runs->workers, do_work, on_worked, run);
}

static void
forget_hanging(struct check_run *run)
{
	struct check_run **at = &run->runs->hanging, *after = run->after;

	while (*at != run)
		at = &(*at)->next;
	*at = run->next;
	run_recycle(run);
	if (after != NULL)
		begin_work(after);
}

static void
on_worked(void *arg)
{
	struct check_run *run = arg;
	void (*worked)(struct check_run *) = run->worked;

	run->working = false;
	if (worked == NULL) {
		forget_hanging(run);
		return;
	}
	run->worked = NULL;
	run_enter(run);
	worked(run);
	run_leave(run);
}

void
check_work(struct check_run *run, void (*work)(const void *conf, void *state),
    void (*worked)(struct check_run *run))
{
	struct check_run *before = run->runs->hanging;

	assert(!run->done && run->worked == NULL);
	run->work = work;
	run->worked = worked;
	while (before != NULL && before->check != run->check)
		before = before->next;
	run->before = before;
	if (before == NULL)
		begin_work(run);
	else
		before->after = run;
}

bool
run_lacks_thread(const struct check_run *run)
{
	const struct check_run *first = run->before != NULL ? run->before : run;

	return run->worked != NULL && first->working && !first->taken;
}

bool
run_job_end(struct runs *runs)
{
	if (!workers_free(runs->workers))
		return false;
	while (runs->hanging != NULL) {
		struct check_run *run = runs->hanging;
		runs->hanging = run->next;
		run_recycle(run);
	}
	return true;
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
