/* SPDX-License-Identifier: ISC */
/*
 * What becomes of the scheduler when the configuration changes. A check that did not change
 * keeps its entry, and with it its run, its ticks and its results: only its index is another.
 * A changed one keeps its entry too, since a command of its last run may not have ended yet,
 * but begins anew otherwise. Slots, by which answers of the runner find their entry, are
 * used again; the number of a run is not.
 */
#include <stdlib.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"
#include "agent/health/sched_state.h"

static uint32_t
free_slot(struct sched *sched, uint32_t from)
{
	for (; from < sched->n_slots; from++)
		if (sched->slots[from] == NULL)
			return from;
	sched->slots = xrealloc(
	    sched->slots, 2 * sched->n_slots + 8, sizeof(struct sched_entry *));
	sched->n_slots = 2 * sched->n_slots + 8;
	for (size_t i = from; i < sched->n_slots; i++)
		sched->slots[i] = NULL;
	return from;
}

static void
change(struct sched_entry *entry, const struct conf_check *check)
{
	sched_cancel(entry);
	sched_forget_outcome(entry);
	sched_entry_set(entry, check);
	judge_turn(&entry->judge, check);
	entry->waits = entry->excused = entry->last_look = false;
	entry->put_off_ms = 0;
}

/* Those of the entries that go on have left the list. */
static void
drop(struct sched *sched, struct sched_entry **entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (entries[i] != NULL) {
			sched_forget_outcome(entries[i]);
			sched_entry_free(entries[i]);
		}
	free(entries);
}

static void
keep(struct sched *sched, const struct conf *next, const struct conf_changes *changes)
{
	struct sched_entry **before = sched->entries;
	size_t count = sched->n_entries;

	sched->n_entries = next->n_checks;
	sched->entries = xcalloc(next->n_checks, sizeof(struct sched_entry *));
	for (size_t i = 0; i < next->n_checks; i++) {
		uint32_t from = changes->from.checks[i];
		if (from == CONF_NONE)
			continue;
		sched->entries[i] = before[from];
		before[from] = NULL;
	}
	drop(sched, before, count);
}

/* A passive check goes on waiting for the report that is due. */
static void
start(struct sched_entry *entry, size_t count, bool is_new)
{
	const struct conf_check *check = entry->check;

	if (check->class->passive && !is_new)
		loop_timer_at(entry->timer, entry->started + check->timeout_ms);
	else
		sched_entry_start(entry, sched_spread(count, check->interval_ms));
}

void
sched_reload(
    struct sched *sched, const struct conf *next, const struct conf_changes *changes)
{
	size_t count = changes->checks.added + changes->checks.changed;
	uint32_t slot = 0;

	keep(sched, next, changes);
	for (size_t i = 0; i < next->n_checks; i++) {
		if (sched->entries[i] == NULL) {
			slot = free_slot(sched, slot);
			sched->entries[i] =
			    sched_entry_new(sched, next->checks[i], slot);
		} else if (changes->check_changed[i]) {
			change(sched->entries[i], next->checks[i]);
		}
	}
	sched_link(sched);
	if (!sched->started)
		return;
	for (size_t i = 0; i < next->n_checks; i++) {
		bool is_new = changes->from.checks[i] == CONF_NONE;
		if (is_new || changes->check_changed[i])
			start(sched->entries[i], count, is_new);
	}
	sched_tell_dependents(sched);
}
