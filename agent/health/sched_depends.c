/* SPDX-License-Identifier: ISC */
/*
 * What holds a check back: another one that it depends on. Nothing is remembered of that but
 * that it waits; whether it must is asked anew, by following depends_on upwards, whenever
 * its turn comes and whenever a check changes. A run under way is ended at its timer, never
 * from within a callback of another run.
 */
#include <stdio.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/conf/conf.h"
#include "agent/health/sched_state.h"

bool
sched_was_looked_at(const struct sched_entry *entry)
{
	return entry->judge.health.known || entry->judge.runs > 0 || entry->left_out ||
	    entry->check->class->passive;
}

const struct sched_entry *
sched_blocker(const struct sched_entry *entry)
{
	const struct conf_check *up = entry->check->depends_on;
	const struct sched_entry *blocker = NULL;

	for (; up != NULL; up = up->depends_on) {
		const struct sched_entry *other = entry->sched->entries[up->index];
		if (judge_is_critical(&other->judge))
			return other;
		if (blocker == NULL && !sched_was_looked_at(other))
			blocker = other;
	}
	return blocker;
}

void
sched_hold_back(struct sched_entry *entry, const struct sched_entry *blocker)
{
	char label[CONF_LABEL_MAX], text[CONF_LABEL_MAX + 64];
	bool passive = entry->check->class->passive;

	sched_cancel(entry);
	entry->waits = true;
	if (!judge_is_critical(&blocker->judge))
		return;
	conf_check_label(blocker->check, label);
	snprintf(text, sizeof(text), "not %s: it depends on %s, which is critical",
	    passive ? "judged" : "run", label);
	enum judge_news news = judge_excuse(&entry->judge, entry->check, text);
	if (!entry->excused) {
		conf_check_label(entry->check, label);
		log_notice("check", "%s: stays %s, %s", label,
		    check_status_name(entry->judge.status), text);
	}
	entry->excused = true;
	sched_say(entry, news);
}

/* Each has a moment of its own within its fast interval, as at the start. */
static void
let_go(struct sched_entry *entry)
{
	int64_t now = loop_now(entry->sched->loop), tick = sched_tick_after(entry, now);
	int64_t soon = now + entry->phase % entry->check->fast_interval_ms;
	bool passive = entry->check->class->passive;
	char label[CONF_LABEL_MAX];

	if (entry->excused) {
		conf_check_label(entry->check, label);
		log_info("check",
		    "%s: %s again, because what it depends on is not critical", label,
		    passive ? "is judged" : "runs");
	}
	if (entry->excused && passive) /* its next outcome may be far away */
		sched_say(entry,
		    judge_excuse(
			&entry->judge, entry->check, "it waits for the next report"));
	entry->waits = entry->excused = false;
	if (passive) {
		entry->started = now;
		tick = soon = now + entry->check->timeout_ms;
	}
	loop_timer_at(entry->timer, soon < tick ? soon : tick);
}

void
sched_tell_dependents(struct sched *sched)
{
	for (size_t i = 0; sched->depends && i < sched->n_entries; i++) {
		struct sched_entry *entry = sched->entries[i];
		if (entry->check->depends_on == NULL || entry->left_out)
			continue;
		const struct sched_entry *blocker = sched_blocker(entry);
		if (blocker != NULL && entry->run == NULL)
			sched_hold_back(entry, blocker);
		else if (blocker != NULL)
			loop_timer_after(entry->timer, 0);
		else if (entry->waits)
			let_go(entry);
	}
}
