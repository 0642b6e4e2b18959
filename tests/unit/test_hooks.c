/* SPDX-License-Identifier: ISC */
/*
 * The lane of a role's hooks. Every sequence of seven things that may happen is tried
 * against the rules, stated anew here: one runs at a time, a change before a notify, the
 * newest of each kind only, and told is only the end of the newest change asked for.
 */
#include "agent/failover/hooks.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "tests/unit/tap.h"

#define STEPS 7
#define LIFE 4

enum op { PROMOTE, DEMOTE, NOTIFY, END_WELL, END_BADLY, OPS };

struct fixture {
	struct conf conf;
	struct conf_role role, *roles[1];
	struct conf_command commands[3];
	char name[3];
	struct hooks *hooks;
	uint64_t run; /* 0: nothing runs */
	uint32_t command;
	enum role_state state;
	uint64_t term;
	enum role_reason reason; /* of what is asked for */
	unsigned int started, told;
	bool told_demote, told_ok;
};

static void
on_command(void *arg, uint64_t run, uint32_t command, enum role_state state,
    enum role_reason reason, uint64_t term, int64_t timeout_ms)
{
	struct fixture *f = arg;

	CU_ASSERT_EQUAL(f->run, 0);
	CU_ASSERT_TRUE((run & HOOKS_RUN) != 0);
	CU_ASSERT_EQUAL(timeout_ms, 3000);
	CU_ASSERT_EQUAL(reason, f->reason);
	f->run = run;
	f->command = command;
	f->state = state;
	f->term = term;
	f->started++;
}

static void
on_done(void *arg, uint32_t role, bool demote, bool ok)
{
	struct fixture *f = arg;

	CU_ASSERT_EQUAL(role, 0);
	f->told++;
	f->told_demote = demote;
	f->told_ok = ok;
}

static void
set_up_with(struct fixture *f, const char *journal)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->name, "db", sizeof(f->name));
	for (uint32_t i = 0; i < 3; i++)
		f->commands[i].index = i;
	f->role = (struct conf_role){
		.name = f->name,
		.promote = &f->commands[PROMOTE],
		.demote = &f->commands[DEMOTE],
		.notify = &f->commands[NOTIFY],
		.hook_timeout_ms = 3000,
	};
	f->roles[0] = &f->role;
	f->conf.roles = f->roles;
	f->conf.n_roles = 1;
	f->reason = ROLE_REASON_STOP;
	f->hooks =
	    hooks_new(&f->conf, journal, &(struct hooks_out){ on_done, on_command, f });
}

static void
set_up(struct fixture *f)
{
	set_up_with(f, NULL);
}

static void
ask(struct fixture *f, enum op op, uint64_t term)
{
	if (op == PROMOTE)
		hooks_promote(f->hooks, 0, f->reason, term);
	else if (op == DEMOTE)
		hooks_demote(f->hooks, 0, f->reason, term);
	else
		hooks_notify(f->hooks, 0, ROLE_MASTER, f->reason, term);
}

static void
end(struct fixture *f, bool ok)
{
	struct wire_exited exited = {
		.run = f->run,
		.how = WIRE_EXIT_CODE,
		.value = ok ? 0 : 1,
	};

	f->run = 0;
	hooks_ended(f->hooks, &exited);
}

/* The rules, as a model: -1 is nothing. */
struct model {
	int running, change, notify;
	uint64_t running_term, change_term, notify_term;
};

static void
model_next(struct model *m)
{
	if (m->running != -1)
		return;
	m->running = m->change != -1 ? m->change : m->notify;
	m->running_term = m->change != -1 ? m->change_term : m->notify_term;
	if (m->change != -1)
		m->change = -1;
	else
		m->notify = -1;
}

static void
model_ask(struct model *m, enum op op, uint64_t term)
{
	if (op == NOTIFY) {
		m->notify = NOTIFY;
		m->notify_term = term;
	} else {
		m->change = (int)op;
		m->change_term = term;
	}
	model_next(m);
}

static void
try_op(struct fixture *f, struct model *m, enum op op, uint64_t term)
{
	unsigned int told = f->told;
	bool ok = op == END_WELL;
	int ended = m->running;

	if (op <= NOTIFY) {
		ask(f, op, term);
		model_ask(m, op, term);
		CU_ASSERT_EQUAL(f->told, told);
	} else if (ended != -1) {
		bool tell = ended != NOTIFY && m->change == -1;

		end(f, ok);
		m->running = -1;
		model_next(m);
		CU_ASSERT_EQUAL(f->told, told + (tell ? 1 : 0));
		if (tell)
			CU_ASSERT_TRUE(
			    f->told_demote == (ended == DEMOTE) && f->told_ok == ok);
	}
	CU_ASSERT_EQUAL(f->run == 0, m->running == -1);
	CU_ASSERT_EQUAL(hooks_idle(f->hooks), m->running == -1);
	if (m->running != -1)
		CU_ASSERT_TRUE(
		    f->command == (uint32_t)m->running && f->term == m->running_term);
}

/* Some ten thousand failures would be logged. */
static int
silence(void)
{
	int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(null, STDERR_FILENO);
	close(null);
	return saved;
}

static void
test_every_sequence(void)
{
	unsigned int count = 1;
	int saved = silence();

	for (int i = 0; i < STEPS; i++)
		count *= OPS;
	for (unsigned int sequence = 0; sequence < count; sequence++) {
		struct model m = { .running = -1, .change = -1, .notify = -1 };
		struct fixture f;
		unsigned int rest = sequence;

		set_up(&f);
		for (uint64_t step = 1; step <= STEPS; step++, rest /= OPS)
			try_op(&f, &m, (enum op)(rest % OPS), step);
		hooks_free(f.hooks);
	}
	dup2(saved, STDERR_FILENO);
	close(saved);
}

static void
test_states(void)
{
	struct fixture f;

	set_up(&f);
	ask(&f, PROMOTE, 7);
	CU_ASSERT_TRUE(f.state == ROLE_MASTER && f.term == 7);
	end(&f, true);
	ask(&f, DEMOTE, 7);
	CU_ASSERT_EQUAL(f.state, ROLE_STANDBY);
	end(&f, true);
	hooks_free(f.hooks);
}

static void
test_no_command(void)
{
	struct fixture f;

	set_up(&f);
	f.role.promote = f.role.notify = NULL;
	ask(&f, PROMOTE, 1);
	ask(&f, NOTIFY, 1);
	CU_ASSERT_EQUAL(f.started, 0);
	ask(&f, DEMOTE, 1);
	CU_ASSERT_EQUAL(f.started, 1);
	hooks_free(f.hooks);
	hooks_free(NULL);
}

/* An end that is not ours, or no longer, changes nothing. */
static void
test_foreign_end(void)
{
	struct wire_exited exited = { .run = 0, .how = WIRE_EXIT_CODE };
	struct fixture f;

	set_up(&f);
	hooks_ended(f.hooks, &exited);
	ask(&f, PROMOTE, 1);
	exited.run = f.run + 1;
	hooks_ended(f.hooks, &exited);
	exited.run = 0;
	hooks_ended(f.hooks, &exited);
	CU_ASSERT_EQUAL(f.told, 0);
	CU_ASSERT_FALSE(hooks_idle(f.hooks));
	hooks_free(f.hooks);
}

static void
test_ends(void)
{
	static const struct {
		enum wire_exit how;
		uint32_t value;
		bool ok;
	} ends[] = {
		{ WIRE_EXIT_CODE, 0, true },
		{ WIRE_EXIT_CODE, 3, false },
		{ WIRE_EXIT_SIGNAL, 0, false },
		{ WIRE_EXIT_TIMEOUT, 0, false },
		{ WIRE_EXIT_UNKNOWN, 0, false },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(ends); i++) {
		struct wire_exited exited = {
			.how = ends[i].how,
			.value = ends[i].value,
			.output_len = UINT32_MAX, /* no more than there is is shown */
		};
		struct fixture f;

		set_up(&f);
		ask(&f, DEMOTE, 1);
		exited.run = f.run;
		f.run = 0;
		hooks_ended(f.hooks, &exited);
		CU_ASSERT_TRUE(f.told == 1 && f.told_demote);
		CU_ASSERT_EQUAL(f.told_ok, ends[i].ok);
		hooks_free(f.hooks);
	}
}

/* ---- over the death of an agent ---- */

enum deed {
	DEED_PROMOTE,
	DEED_DEMOTE,
	DEED_END_WELL,
	DEED_END_BADLY,
	DEED_BACKUP, /* it is said that the role is not here */
	DEED_DIE,
	DEEDS
};

/* What an agent may believe: of the newest change, whether that ended well; of a promote also
 * whether one before it did, and nothing but promotes came since. */
struct belief {
	int change; /* PROMOTE or DEMOTE; -1: none */
	bool well, promoted, fresh;
	bool before; /* what hooks_promoted_before says */
};

static void
believe(struct belief *b, enum deed deed, bool ends, bool demotes)
{
	bool left = deed == DEED_DEMOTE || deed == DEED_BACKUP;

	if (left)
		b->before = false;
	if (deed == DEED_BACKUP && !demotes)
		*b = (struct belief){ .change = -1 };
	if (deed == DEED_PROMOTE || (deed == DEED_DEMOTE && demotes)) {
		b->change = deed == DEED_PROMOTE ? PROMOTE : DEMOTE;
		b->well = false;
		b->promoted = b->promoted && deed == DEED_PROMOTE;
	} else if (deed == DEED_DEMOTE) {
		*b = (struct belief){ .change = -1 };
	} else if (ends) {
		b->well = deed == DEED_END_WELL;
		b->promoted = b->well && b->change == PROMOTE;
		b->before = b->before && (b->well || b->change != PROMOTE);
	} else if (deed == DEED_DIE) {
		b->before = b->change == PROMOTE && (b->well || b->promoted);
	}
}

static void
do_deed(struct fixture *f, const char *path, enum deed deed, bool demotes)
{
	if (deed == DEED_PROMOTE || deed == DEED_DEMOTE)
		ask(f, deed == DEED_PROMOTE ? PROMOTE : DEMOTE, 1);
	else if (deed == DEED_BACKUP)
		hooks_notify(f->hooks, 0, ROLE_STANDBY, f->reason, 0);
	else if (deed != DEED_DIE && f->run != 0)
		end(f, deed == DEED_END_WELL);
	if (deed != DEED_DIE)
		return;
	hooks_free(f->hooks);
	set_up_with(f, path);
	f->role.notify = NULL;
	if (!demotes)
		f->role.demote = NULL;
}

/* A demote at a start is run unless it had ended well, and done at once then. */
static bool
start_is_right(struct fixture *f, const struct belief *b)
{
	unsigned int started = f->started, told = f->told;
	bool skips = b->change == DEMOTE && b->well;

	f->reason = ROLE_REASON_START;
	hooks_demote(f->hooks, 0, ROLE_REASON_START, 1);
	return skips ? f->told == told + 1 && f->told_demote && f->told_ok &&
		f->started == started
		     : f->started == started + 1 && f->told == told;
}

static unsigned int
try_life(const char *path, unsigned int sequence, bool demotes)
{
	struct belief b = { .change = -1 };
	struct fixture f = { .hooks = NULL };
	unsigned int wrong = 0, rest = sequence;

	do_deed(&f, path, DEED_DIE, demotes);
	for (int i = 0; i < LIFE; i++, rest /= DEEDS) {
		enum deed deed = (enum deed)(rest % DEEDS);
		bool newest = f.run != 0 && (int)f.command == b.change;
		bool ends = deed == DEED_END_WELL || deed == DEED_END_BADLY;
		unsigned int told = f.told;

		do_deed(&f, path, deed, demotes);
		believe(&b, deed, ends && newest && f.told == told + 1, demotes);
		wrong += hooks_promoted_before(f.hooks, 0) != b.before;
	}
	do_deed(&f, path, DEED_DIE, demotes);
	believe(&b, DEED_DIE, false, demotes);
	wrong += hooks_promoted_before(f.hooks, 0) != b.before;
	wrong += demotes && !start_is_right(&f, &b);
	hooks_free(f.hooks);
	unlink(path);
	return wrong;
}

static void
test_every_life(void)
{
	char folder[] = "/tmp/lictor-hooks-XXXXXX", path[64];
	unsigned int count = 1, wrong = 0;
	int saved = silence();

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/hooks", folder);
	for (int i = 0; i < LIFE; i++)
		count *= DEEDS;
	for (unsigned int sequence = 0; sequence < count; sequence++)
		wrong +=
		    try_life(path, sequence, true) + try_life(path, sequence, false);
	rmdir(folder);
	dup2(saved, STDERR_FILENO);
	close(saved);
	CU_ASSERT_EQUAL(wrong, 0);
}

static const struct tap_case cases[] = {
	{ "every sequence keeps the rules", test_every_sequence },
	{ "a hook is told the state it leads to", test_states },
	{ "a hook that is not configured is not run", test_no_command },
	{ "an end of another run is ignored", test_foreign_end },
	{ "only exit status 0 is success", test_ends },
	{ "what an agent may believe of an earlier one", test_every_life },
};
TAP_MAIN("hooks", cases)
