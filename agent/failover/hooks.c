/* SPDX-License-Identifier: ISC */
/*
 * The commands that an operator has run when a role changes. Each role has one lane: one
 * command runs at a time; behind it wait at most one change (promote or demote, the
 * newest) and one notify (the newest), the change first, since an address waits for it.
 *
 * Above is roles, which asks and is told how a promote or demote ended; the commands run
 * in the runner, which keeps their deadline and makes their arguments, and one of a dead agent
 * out of the way of ours. How far the newest change has come is in the journal, before it
 * begins. The invariant: only the end of the newest change that was asked for is told, so a
 * hook of an older mastership never passes for one of this.
 */
#include "agent/failover/hooks.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"
#include "agent/failover/journal.h"

#define OUTPUT_SHOWN 200

enum hook { HOOK_NONE, HOOK_PROMOTE, HOOK_DEMOTE, HOOK_NOTIFY, HOOKS };

static const char *const hook_names[] = {
	[HOOK_NONE] = "none",
	[HOOK_PROMOTE] = "promote",
	[HOOK_DEMOTE] = "demote",
	[HOOK_NOTIFY] = "notify",
};
_Static_assert(ARRAY_LENGTH(hook_names) == HOOKS, "a name for each hook");

struct job {
	enum hook hook;
	enum role_state state;
	enum role_reason reason;
	uint64_t term;
};

struct lane {
	uint64_t run; /* of what runs; 0: nothing does */
	struct job running, change, notify;
	bool noted; /* the newest change is in the journal */
	bool promoted_before; /* by an earlier agent, and not left since */
};

struct hooks {
	const struct conf *conf;
	struct hooks_out out;
	struct journal *journal;
	uint64_t last_run;
	struct lane *lanes; /* one for each role */
};

struct hooks *
hooks_new(const struct conf *conf, const char *journal, const struct hooks_out *out)
{
	struct hooks *hooks = xcalloc(1, sizeof(*hooks));

	hooks->conf = conf;
	hooks->out = *out;
	hooks->last_run = HOOKS_RUN;
	hooks->journal = journal_new(journal);
	hooks->lanes = xcalloc(conf->n_roles + 1, sizeof(*hooks->lanes));
	for (size_t i = 0; i < conf->n_roles; i++)
		hooks->lanes[i].promoted_before =
		    journal_promoted(hooks->journal, conf->roles[i]->name);
	return hooks;
}

void
hooks_free(struct hooks *hooks)
{
	if (hooks == NULL)
		return;
	journal_free(hooks->journal);
	free(hooks->lanes);
	free(hooks);
}

static const struct conf_command *
find_command(const struct conf_role *role, enum hook hook)
{
	switch (hook) {
	case HOOK_PROMOTE: return role->promote;
	case HOOK_DEMOTE: return role->demote;
	case HOOK_NOTIFY: return role->notify;
	case HOOK_NONE:
	case HOOKS: break;
	}
	return NULL;
}

static void
start_next(struct hooks *hooks, uint32_t role)
{
	const struct conf_role *conf = hooks->conf->roles[role];
	struct lane *lane = &hooks->lanes[role];
	struct job *next =
	    lane->change.hook != HOOK_NONE ? &lane->change : &lane->notify;

	if (lane->run != 0 || next->hook == HOOK_NONE)
		return;
	lane->running = *next;
	next->hook = HOOK_NONE;
	lane->run = ++hooks->last_run;
	log_debug("hook", "%s: %s starts", conf->name, hook_names[lane->running.hook]);
	hooks->out.command(hooks->out.arg, lane->run,
	    find_command(conf, lane->running.hook)->index, lane->running.state,
	    lane->running.reason, lane->running.term, conf->hook_timeout_ms);
}

static void
note(struct hooks *hooks, uint32_t role, const struct job *job, enum journal_step step)
{
	journal_note(hooks->journal, hooks->conf->roles[role]->name,
	    job->hook == HOOK_PROMOTE ? JOURNAL_PROMOTE : JOURNAL_DEMOTE, step,
	    job->term);
}

static void
ask(struct hooks *hooks, uint32_t role, const struct job *job)
{
	struct lane *lane = &hooks->lanes[role];

	if (find_command(hooks->conf->roles[role], job->hook) == NULL)
		return;
	if (job->hook == HOOK_NOTIFY) {
		lane->notify = *job;
	} else {
		lane->change = *job;
		lane->noted = true;
		note(hooks, role, job, JOURNAL_BEGUN);
	}
	start_next(hooks, role);
}

/* The role is left: with a demote hook, or without one. */
static void
leave(struct hooks *hooks, uint32_t role)
{
	const struct conf_role *conf = hooks->conf->roles[role];

	hooks->lanes[role].promoted_before = false;
	if (conf->demote != NULL)
		return;
	hooks->lanes[role].noted = false;
	journal_forget(hooks->journal, conf->name);
}

void
hooks_promote(
    struct hooks *hooks, uint32_t role, enum role_reason reason, uint64_t term)
{
	struct job job = { HOOK_PROMOTE, ROLE_MASTER, reason, term };

	ask(hooks, role, &job);
}

void
hooks_demote(struct hooks *hooks, uint32_t role, enum role_reason reason, uint64_t term)
{
	struct job job = { HOOK_DEMOTE, ROLE_STANDBY, reason, term };
	const char *name = hooks->conf->roles[role]->name;

	leave(hooks, role);
	if (reason == ROLE_REASON_START && journal_demoted(hooks->journal, name)) {
		log_debug("hook", "%s: demote is not run, it had ended well", name);
		hooks->out.done(hooks->out.arg, role, true, true);
		return;
	}
	ask(hooks, role, &job);
}

void
hooks_notify(struct hooks *hooks, uint32_t role, enum role_state state,
    enum role_reason reason, uint64_t term)
{
	struct job job = { HOOK_NOTIFY, state, reason, term };

	if (state != ROLE_MASTER)
		leave(hooks, role);
	ask(hooks, role, &job);
}

static void
log_failure(
    const struct conf_role *role, enum hook hook, const struct wire_exited *exited)
{
	size_t len = exited->output_len;
	char said[OUTPUT_SHOWN], how[64];

	if (len > sizeof(exited->output))
		len = sizeof(exited->output);
	while (len > 0 && exited->output[len - 1] == '\n')
		len--;
	text_escape(said, sizeof(said), exited->output, len);
	if (exited->how == WIRE_EXIT_CODE)
		snprintf(how, sizeof(how), "exit status %u", exited->value);
	else if (exited->how == WIRE_EXIT_SIGNAL)
		snprintf(how, sizeof(how), "killed by signal %u", exited->value);
	else if (exited->how == WIRE_EXIT_TIMEOUT)
		snprintf(how, sizeof(how), "not done at its timeout");
	else
		snprintf(how, sizeof(how), "it could not be run");
	log_warning("hook", "%s: %s failed: %s%s%s", role->name, hook_names[hook], how,
	    said[0] != '\0' ? ": " : "", said);
}

static void
end_run(struct hooks *hooks, uint32_t role, bool ok)
{
	struct lane *lane = &hooks->lanes[role];
	enum hook hook = lane->running.hook;
	bool newest = hook != HOOK_NOTIFY && lane->change.hook == HOOK_NONE;

	if (newest && lane->noted)
		note(hooks, role, &lane->running, ok ? JOURNAL_DONE : JOURNAL_FAILED);
	if (newest && !ok)
		lane->promoted_before = false;
	lane->run = 0;
	lane->running.hook = HOOK_NONE;
	if (newest)
		hooks->out.done(hooks->out.arg, role, hook == HOOK_DEMOTE, ok);
	start_next(hooks, role);
}

static void
forget_waiting(const struct conf_role *conf, struct lane *lane)
{
	if (find_command(conf, lane->notify.hook) == NULL)
		lane->notify.hook = HOOK_NONE;
	if (find_command(conf, lane->change.hook) == NULL)
		lane->change.hook = HOOK_NONE;
}

void
hooks_reload(
    struct hooks *hooks, const struct conf *next, const struct conf_changes *changes)
{
	struct lane *before = hooks->lanes;

	hooks->conf = next;
	hooks->lanes = xcalloc(next->n_roles + 1, sizeof(*hooks->lanes));
	for (size_t i = 0; i < next->n_roles; i++)
		if (changes->from.roles[i] != CONF_NONE)
			hooks->lanes[i] = before[changes->from.roles[i]];
	free(before);
	for (size_t i = 0; i < next->n_roles; i++)
		forget_waiting(next->roles[i], &hooks->lanes[i]);
}

void
hooks_ended(struct hooks *hooks, const struct wire_exited *exited)
{
	for (uint32_t i = 0; i < hooks->conf->n_roles; i++) {
		const struct lane *lane = &hooks->lanes[i];
		bool ok = exited->how == WIRE_EXIT_CODE && exited->value == 0;

		if (lane->run == 0 || lane->run != exited->run)
			continue;
		if (!ok)
			log_failure(hooks->conf->roles[i], lane->running.hook, exited);
		end_run(hooks, i, ok);
		return;
	}
}

bool
hooks_promoted_before(const struct hooks *hooks, uint32_t role)
{
	return hooks->lanes[role].promoted_before;
}

bool
hooks_idle(const struct hooks *hooks)
{
	for (size_t i = 0; i < hooks->conf->n_roles; i++) {
		if (hooks->lanes[i].run != 0)
			return false;
	}
	return true;
}
