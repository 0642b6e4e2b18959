/* SPDX-License-Identifier: ISC */
/*
 * What the log says of outcomes that are unknown: that the check stays as it is and why, and
 * that it is judged again, once no outcome was unknown for a while. Where one cause befalls
 * hundreds of checks, which come and go with it, a few are named and of the others it is said
 * once that there are some: the status shows which.
 */
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/health/run.h"
#include "agent/health/sched_state.h"

#define NAMED_MAX 5 /* at a time */
#define OVER_MS 10000
#define LOGGED_MAX 200 /* bytes of output in a log line */

static void
say_unjudged(struct sched_entry *entry, const char *text)
{
	struct sched *sched = entry->sched;
	char label[CONF_LABEL_MAX], line[LOGGED_MAX + 1];

	entry->unjudged_said = sched->named < NAMED_MAX;
	if (entry->unjudged_said) {
		sched->named++;
		conf_check_label(entry->check, label);
		text_escape(line, sizeof(line), text, strcspn(text, "\n"));
		log_warning("check", "%s: stays %s, because it cannot be judged: %s",
		    label, check_status_name(entry->judge.status), line);
	} else if (sched->unnamed++ == 0) {
		log_warning("check",
		    "more checks stay as they are, because they cannot be judged: "
		    "lictorctl status shows which and why");
	}
}

static void
say_judged(struct sched_entry *entry)
{
	struct sched *sched = entry->sched;
	char label[CONF_LABEL_MAX];

	if (entry->unjudged_said) {
		sched->named--;
		conf_check_label(entry->check, label);
		log_notice("check", "%s: can be judged again", label);
	} else if (--sched->unnamed == 0) {
		log_notice(
		    "check", "the checks that were not named can be judged again");
	}
}

void
sched_forget_outcome(struct sched_entry *entry)
{
	if (entry->unjudged)
		*(entry->unjudged_said ? &entry->sched->named
				       : &entry->sched->unnamed) -= 1;
	entry->unjudged = false;
}

void
sched_note_outcome(struct sched_entry *entry, const struct run_outcome *outcome)
{
	int64_t now = loop_now(entry->sched->loop);
	bool was = entry->unjudged;

	if (outcome->status == CHECK_UNKNOWN) {
		entry->unjudged = true;
		entry->unjudged_at = now;
		if (!was)
			say_unjudged(entry, outcome->text);
	} else if (was && now - entry->unjudged_at >= OVER_MS) {
		entry->unjudged = false;
		say_judged(entry);
	}
}
