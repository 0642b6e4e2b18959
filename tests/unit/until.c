/* SPDX-License-Identifier: ISC */
/*
 * Waiting in tests: for a condition with a limit, never for a time that should do.
 */
#include "tests/unit/until.h"

#include <stddef.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"

struct waiting {
	struct loop *loop;
	struct loop_timer *timer;
	bool (*holds)(void *arg);
	void *arg;
	int64_t end;
	bool held;
};

static void
look(void *arg)
{
	struct waiting *w = arg;

	w->held = w->holds != NULL && w->holds(w->arg);
	if (w->held || clock_boot_ms() >= w->end)
		loop_stop(w->loop);
	else
		loop_timer_after(w->timer, 10);
}

bool
until(struct loop *loop, bool (*holds)(void *arg), void *arg, int64_t limit_ms)
{
	struct waiting w = {
		.loop = loop,
		.holds = holds,
		.arg = arg,
		.end = clock_boot_ms() + limit_ms,
	};

	w.timer = loop_timer_new(loop, look, &w);
	loop_timer_after(w.timer, 0);
	loop_run(loop);
	loop_timer_free(w.timer);
	return w.held;
}

void
run_for(struct loop *loop, int64_t ms)
{
	until(loop, NULL, NULL, ms);
}
