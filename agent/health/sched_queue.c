/* SPDX-License-Identifier: ISC */
/*
 * Where checks wait whose turn has come when this host is too busy to run them. A run that
 * cannot be attended to fails for want of our time, not of the service's: so none begins
 * while the loop is late, few begin in one turn, and deadlines count from the real start.
 * First come, first served, and where the loop is always late some begin all the same, now
 * and then: that way none is put off for ever.
 */
#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/health/sched_state.h"

#define BEGIN_MAX 64 /* runs in one turn */
#define BUSY_LAG_MS 100
#define BUSY_SAY_MS 1000
#define REFUSALS_MAX 10 /* then some begin however late the loop is */
#define BUSY_AGAIN_MS 50
#define BUSY_OVER_MS 10000

/* A moment's delay is nothing to say; that runs have waited for long is said once, and once
 * that they do no longer. */
static void
note_busy(struct sched *sched, bool busy)
{
	int64_t now = loop_now(sched->loop);
	const struct sched_entry *first = TAILQ_FIRST(&sched->queue);

	if (busy && first != NULL && now - first->queued_at > BUSY_SAY_MS) {
		if (sched->busy_at == 0)
			log_warning("check",
			    "checks start late: there are more than this host has "
			    "time for");
		sched->busy_at = now;
	} else if (sched->busy_at != 0 && now - sched->busy_at >= BUSY_OVER_MS) {
		sched->busy_at = 0;
		log_notice("check", "checks start in time again");
	}
}

/* Runs that cannot be attended to would fail for want of our time: while the loop is late
 * none begins, and never too many in one turn. */
static bool
may_begin(struct sched *sched)
{
	int64_t now = loop_now(sched->loop);
	bool busy = loop_lag(sched->loop) > BUSY_LAG_MS;

	note_busy(sched, busy);
	if (sched->turn != now) {
		sched->begun = 0;
		sched->refusals =
		    busy && sched->refusals < REFUSALS_MAX ? sched->refusals + 1 : 0;
	}
	sched->turn = now;
	if (sched->refusals == 0 && sched->begun < BEGIN_MAX) {
		sched->begun++;
		return true;
	}
	loop_timer_at(sched->next, busy ? now + BUSY_AGAIN_MS : now);
	return false;
}

void
sched_queue_leave(struct sched_entry *entry)
{
	if (entry->queued)
		TAILQ_REMOVE(&entry->sched->queue, entry, queue);
	entry->queued = false;
}

/* Who waits begins before who comes. */
void
sched_queue_up(struct sched_entry *entry)
{
	struct sched *sched = entry->sched;

	if (entry->queued)
		return;
	if (TAILQ_EMPTY(&sched->queue) && may_begin(sched)) {
		sched_begin(entry);
		return;
	}
	loop_timer_stop(entry->timer);
	entry->queued = true;
	entry->queued_at = loop_now(sched->loop);
	TAILQ_INSERT_TAIL(&sched->queue, entry, queue);
}

static void
on_next(void *arg)
{
	struct sched *sched = arg;
	struct sched_entry *entry;

	while ((entry = TAILQ_FIRST(&sched->queue)) != NULL && may_begin(sched)) {
		sched_queue_leave(entry);
		sched_begin(entry);
	}
}

void
sched_queue_init(struct sched *sched)
{
	sched->next = loop_timer_new(sched->loop, on_next, sched);
	TAILQ_INIT(&sched->queue);
}
