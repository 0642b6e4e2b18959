/* SPDX-License-Identifier: ISC */
/*
 * The configuration that may come next. The files are read and parsed here, where who may
 * read them is; plugins try them in a process of their own (trial.h); and what is good is
 * sealed, for processes to be started with it. What follows from that is reload.c's.
 *
 * What was read is owned here until it is taken, from when on it counts, or dropped.
 */
#include "agent/runner/draft.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/bundle.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"
#include "agent/conf/trial.h"
#include "agent/runner/process.h"

struct draft {
	struct loop *loop;
	const char *folder;
	struct draft_out out;
	const struct conf *now; /* that counts while it is read */
	struct conf *next; /* NULL: there is none, or it was taken */
	struct process_conf as_started; /* its bytes, ours as long; -1 */
	struct trial *trial;
	struct loop_io *trial_io;
	struct loop_timer *reading, *limit;
	char why[CONF_ERROR_MAX]; /* what is wrong, in words */
	char what[WIRE_WHY_MAX / 2]; /* it changes, in words */
};

static void
end_trial(struct draft *draft)
{
	loop_timer_stop(draft->limit);
	loop_io_free(draft->trial_io);
	trial_free(draft->trial);
	draft->trial_io = NULL;
	draft->trial = NULL;
}

static void
tell(struct draft *draft, enum draft_verdict verdict)
{
	const char *words = draft->why;

	end_trial(draft);
	if (verdict == DRAFT_GOOD)
		words = draft->what;
	if (verdict == DRAFT_SAME)
		words = "nothing has changed";
	draft->out.tried(draft->out.arg, verdict, words);
}

static void
take_trial(void *arg)
{
	struct draft *draft = arg;
	int error = trial_end(draft->trial, draft->why);

	tell(draft, error == 0 ? DRAFT_GOOD : DRAFT_FAULTY);
}

static void
on_trial(void *arg, unsigned int events)
{
	take_trial(arg);
}

static void
begin_trial(struct draft *draft)
{
	draft->trial = trial_start(draft->next, draft->why);
	if (draft->trial == NULL) {
		tell(draft, DRAFT_FAULTY);
		return;
	}
	draft->trial_io =
	    loop_io_new(draft->loop, trial_fd(draft->trial), on_trial, draft);
	loop_io_watch(draft->trial_io, LOOP_READ);
	loop_timer_after(draft->limit, TRIAL_LIMIT_MS);
}

/* Does the next one mean something else, as far as that is seen without plugins? */
static bool
changes(struct draft *draft)
{
	struct conf_changes changes;

	conf_compare(draft->next, draft->now, &changes);
	conf_changes_text(&changes, draft->what, sizeof(draft->what));
	bool anything = changes.anything || draft->next->n_plugins > 0;
	conf_changes_clear(&changes);
	return anything;
}

/* False with `why`. */
static bool
seal_next(struct draft *draft)
{
	draft->as_started.generation = draft->next->generation;
	draft->as_started.fd = conf_send(draft->next);
	if (draft->as_started.fd >= 0)
		return true;
	snprintf(draft->why, sizeof(draft->why),
	    "the configuration cannot be handed on: %s",
	    strerror(-draft->as_started.fd));
	return false;
}

/* All that can be said without plugins. */
static enum draft_verdict
read_next(struct draft *draft)
{
	struct conf_bundle *bundle = conf_read(draft->folder, draft->why);
	const struct conf_bundle *now = draft->now->bundle;

	if (bundle == NULL)
		return DRAFT_FAULTY;
	if (bundle->len == now->len &&
	    memcmp(bundle->bytes, now->bytes, now->len) == 0) {
		conf_bundle_free(bundle);
		return DRAFT_SAME;
	}
	draft->next = conf_parse(bundle, draft->why);
	if (draft->next == NULL ||
	    !conf_reloadable(draft->next, draft->now, draft->why))
		return DRAFT_FAULTY;
	if (!changes(draft))
		return DRAFT_SAME;
	return seal_next(draft) ? DRAFT_GOOD : DRAFT_FAULTY;
}

static void
on_reading(void *arg)
{
	struct draft *draft = arg;
	enum draft_verdict verdict = read_next(draft);

	if (verdict == DRAFT_GOOD && draft->next->n_plugins > 0)
		begin_trial(draft);
	else
		tell(draft, verdict);
}

void
draft_read(struct draft *draft, const struct conf *now)
{
	draft->now = now;
	loop_timer_at(draft->reading, 0);
}

const struct conf *
draft_conf(const struct draft *draft)
{
	return draft->next;
}

const struct process_conf *
draft_as_started(const struct draft *draft)
{
	return &draft->as_started;
}

struct conf *
draft_take(struct draft *draft, struct process_conf *as_started)
{
	struct conf *next = draft->next;

	*as_started = draft->as_started;
	draft->as_started.fd = -1;
	draft->next = NULL;
	return next;
}

void
draft_drop(struct draft *draft)
{
	loop_timer_stop(draft->reading);
	end_trial(draft);
	conf_free(draft->next);
	draft->next = NULL;
	cleanup_close(&draft->as_started.fd);
	draft->as_started.fd = -1;
}

struct draft *
draft_new(struct loop *loop, const char *folder, const struct draft_out *out)
{
	struct draft *draft = xcalloc(1, sizeof(*draft));

	draft->loop = loop;
	draft->folder = folder;
	draft->out = *out;
	draft->as_started.fd = -1;
	draft->reading = loop_timer_new(loop, on_reading, draft);
	draft->limit = loop_timer_new(loop, take_trial, draft);
	return draft;
}

void
draft_free(struct draft *draft)
{
	if (draft == NULL)
		return;
	draft_drop(draft);
	loop_timer_free(draft->limit);
	loop_timer_free(draft->reading);
	free(draft);
}
