/* SPDX-License-Identifier: ISC */
/*
 * What runs left behind, found and killed without control groups. Since orphans come to us,
 * everything that a run started is below us as long as it lives, whatever it did: below
 * the run's first process, in its session, or below an orphan. An orphan is a run's by its
 * session or by its environment. One that has neither (it made a session and cleared its
 * environment, as a daemon may) is taken for a check's and killed, unless a hook runs or has
 * left something alive, which may have started it: then it is left alone.
 *
 * Two ways to look. The list of our own children costs a few microseconds and tells
 * after each run whether there is an orphan at all, which is seldom so. If there is one, or
 * a run is to be killed, the processes of the system are walked through, some at a time so
 * that the loop does not wait, again and again until nothing is found; many are stopped
 * before any is killed, for each that dies makes room for another fork.
 *
 * A process's number may be another's by the time it is signalled, so it is signalled by a
 * descriptor, after a second look at its time of birth. Our own children keep their number
 * until they are reaped, by us.
 */
#include "agent/runner/sweep.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/runner/procfs.h"

#define NAME "LICTOR_RUN="
#define STEP 256 /* processes looked at, or signalled, in one turn */
#define FEW 16 /* so many are killed at once, more are stopped first */
#define STOPS_MAX 8 /* in a row: they might wake each other */
#define TICK_MS 1000
#define AGAIN_MS 10
#define AGAIN_MAX_MS 1000
#define WAIT_MS 5

struct seen {
	struct procfs_process process;
	bool stale; /* of a predecessor's check */
};

/* Not to be killed. */
struct kept {
	pid_t pid;
	bool sure; /* else it is judged again each time */
};

enum owner {
	OWNER_OPEN, /* not to be said yet */
	OWNER_OTHER, /* not a run's, or not to be touched */
	OWNER_RUN,
	OWNER_OVER, /* of a check that has ended */
};

struct claim {
	enum owner owner;
	struct sweep_run *run;
};

struct list {
	struct seen *data;
	size_t len, size;
};

struct sweep {
	struct loop *loop;
	uint64_t place, number;
	bool adopts, first; /* this process; its predecessor may have left something */
	struct sweep_out out;
	struct sweep_run *runs;
	struct kept *kept; /* of our children */
	size_t n_kept;
	bool hooks_left; /* among them are processes of hooks */
	int children_fd; /* our children as the kernel lists them, or -1 */
	struct loop_timer *tick, *step;
	DIR *proc;
	uint64_t walk; /* counts them */
	bool walking, collected,
	    wanted; /* one goes on, has seen all; another is to come */
	bool blind; /* it could not look at all: no descriptor was left */
	struct list seen, victims;
	size_t signalled; /* of the victims */
	int signum;
	unsigned int stops; /* in a row */
	int64_t again_ms;
};

uint64_t
sweep_number(struct sweep *sweep)
{
	return sweep->number++;
}

void
sweep_mark(
    const struct sweep *sweep, const struct sweep_run *run, char mark[SWEEP_MARK_MAX])
{
	snprintf(mark, SWEEP_MARK_MAX, NAME "%" PRIx64 "-%s-%" PRIx64, sweep->place,
	    run->hook ? "hook" : "check", run->number);
}

/* Its variable LICTOR_RUN, if that names a run of this place (sweep_mark). */
static bool
read_mark(const struct sweep *sweep, pid_t pid, bool *hook, uint64_t *number)
{
	AUTO_FREE char *text = procfs_variable(pid, NAME);
	char *rest = NULL;

	if (text == NULL || strtoull(text, &rest, 16) != sweep->place || *rest != '-')
		return false;
	*hook = strncmp(rest, "-hook-", 6) == 0;
	if (!*hook && strncmp(rest, "-check-", 7) != 0)
		return false;
	*number = strtoull(strrchr(rest, '-') + 1, NULL, 16);
	return true;
}

static struct sweep_run *
find_run(const struct sweep *sweep, uint64_t number)
{
	struct sweep_run *run = sweep->runs;

	while (run != NULL && run->number != number)
		run = run->next;
	return run;
}

/* By its number or its session, which is the number of a run's first process. */
static struct sweep_run *
find_run_of(const struct sweep *sweep, pid_t pid, pid_t session)
{
	struct sweep_run *run = sweep->runs;

	while (run != NULL && run->pid != pid && run->pid != session)
		run = run->next;
	return run;
}

static bool
hook_runs(const struct sweep *sweep)
{
	const struct sweep_run *run = sweep->runs;

	while (run != NULL && !run->hook)
		run = run->next;
	return run != NULL;
}

/* Whose is an orphan that we were given? `sure`: that will not change. */
static struct claim
judge_orphan(const struct sweep *sweep, pid_t pid, pid_t session, bool *sure)
{
	struct claim claim = { OWNER_RUN, find_run_of(sweep, pid, session) };
	uint64_t number;
	bool hook;

	*sure = claim.run == NULL && read_mark(sweep, pid, &hook, &number);
	if (claim.run != NULL)
		return claim;
	if (*sure) {
		claim.run = find_run(sweep, number);
		if (claim.run == NULL)
			claim.owner = hook ? OWNER_OTHER : OWNER_OVER;
	} else if (!sweep->adopts || getpid() == 1 || sweep->hooks_left ||
	    hook_runs(sweep)) {
		claim.owner = OWNER_OTHER;
	} else {
		claim.owner = procfs_begins(pid) ? OWNER_OPEN : OWNER_OVER;
	}
	return claim;
}

/* --- our children --- */

static bool
is_kept(const struct sweep *sweep, pid_t pid)
{
	for (size_t i = 0; i < sweep->n_kept; i++)
		if (sweep->kept[i].pid == pid)
			return sweep->kept[i].sure;
	return false;
}

/* What a look at our children finds. */
struct look {
	struct kept *kept;
	size_t n_kept;
	bool hooks_left;
	const struct sweep_run *run;
	bool left; /* something of `run` */
	bool over; /* something of a check that has ended */
};

static void
keep(struct look *look, pid_t pid, bool sure)
{
	if ((look->n_kept & (look->n_kept + 1)) == 0)
		look->kept =
		    xrealloc(look->kept, 2 * (look->n_kept + 1), sizeof(*look->kept));
	look->kept[look->n_kept++] = (struct kept){ pid, sure };
}

/* Only what we start ourselves, agent and warden, is of our own session. */
static void
look_at(struct sweep *sweep, struct look *look, pid_t pid)
{
	for (const struct sweep_run *run = sweep->runs; run != NULL; run = run->next)
		if (run->pid == pid)
			return;
	pid_t session = getsid(pid);
	if (session == getsid(0)) {
		keep(look, pid, true);
		return;
	}
	if (waitpid(pid, NULL, WNOHANG) != 0)
		return;
	struct claim claim = { OWNER_OTHER, NULL };
	bool sure = is_kept(sweep, pid);
	if (!sure)
		claim = judge_orphan(sweep, pid, session, &sure);
	if (claim.owner == OWNER_OTHER) {
		keep(look, pid, sure);
		look->hooks_left = true;
	}
	look->left = look->left || (claim.run != NULL && claim.run == look->run);
	look->over = look->over || claim.owner == OWNER_OVER;
}

static void want_walk(struct sweep *sweep);

/* Reaps what has died; true: something of `run` is among our children. */
static bool
look_around(struct sweep *sweep, const struct sweep_run *run)
{
	AUTO_FREE char *text = procfs_children(sweep->children_fd);
	struct look look = { .run = run };
	char *at = text, *end;

	if (text == NULL)
		return run != NULL; /* not known: walk through all */
	for (long pid; (pid = strtol(at, &end, 10)) > 0 && end != at; at = end)
		look_at(sweep, &look, (pid_t)pid);
	free(sweep->kept);
	sweep->kept = look.kept;
	sweep->n_kept = look.n_kept;
	sweep->hooks_left = look.hooks_left;
	if (look.over)
		want_walk(sweep);
	return look.left;
}

static void
on_tick(void *arg)
{
	struct sweep *sweep = arg;

	look_around(sweep, NULL);
	loop_timer_after(sweep->tick, TICK_MS);
}

/* --- all processes --- */

static struct seen *
list_add(struct list *list)
{
	if (list->len == list->size) {
		list->size = list->size == 0 ? 256 : 2 * list->size;
		list->data = xrealloc(list->data, list->size, sizeof(*list->data));
	}
	return &list->data[list->len++];
}

static int
compare_pids(const void *a, const void *b)
{
	const struct seen *x = a, *y = b;

	return (x->process.pid > y->process.pid) - (x->process.pid < y->process.pid);
}

static const struct seen *
find_process(const struct sweep *sweep, pid_t pid)
{
	struct seen key = { .process.pid = pid };

	return bsearch(
	    &key, sweep->seen.data, sweep->seen.len, sizeof(key), compare_pids);
}

/* What can be said of a process without its parents. */
static struct claim
judge_one(const struct sweep *sweep, const struct procfs_process *process)
{
	struct claim claim = { OWNER_OPEN, NULL };
	bool sure;

	if (process->pid == getpid() || process->session == getsid(0) ||
	    is_kept(sweep, process->pid))
		claim.owner = OWNER_OTHER;
	else if (process->parent == getpid())
		claim = judge_orphan(sweep, process->pid, process->session, &sure);
	else {
		claim.run = find_run_of(sweep, process->pid, process->session);
		claim.owner = claim.run != NULL ? OWNER_RUN : OWNER_OPEN;
	}
	return claim;
}

/* Goes up from each until something is known, then marks the way. */
static void
judge_all(const struct sweep *sweep, struct claim *claims)
{
	const struct seen *all = sweep->seen.data;

	for (size_t i = 0; i < sweep->seen.len; i++) {
		const struct seen *at = &all[i];
		struct claim claim = { OWNER_OPEN, NULL };
		while (at != NULL && claim.owner == OWNER_OPEN) {
			claim = claims[at - all];
			if (claim.owner == OWNER_OPEN)
				claim = judge_one(sweep, &at->process);
			if (claim.owner == OWNER_OPEN)
				claims[at - all].owner = OWNER_OTHER; /* no rings */
			at = find_process(sweep, at->process.parent);
		}
		if (claim.owner == OWNER_OPEN)
			claim.owner = OWNER_OTHER;
		const struct seen *stop = at;
		at = &all[i];
		do {
			claims[at - all] = claim;
			at = find_process(sweep, at->process.parent);
		} while (at != stop && at != NULL);
	}
}

static bool
is_victim(const struct seen *seen, const struct claim *claim)
{
	if (seen->process.state == 'Z' || seen->process.state == 'X')
		return false;
	return seen->stale || claim->owner == OWNER_OVER ||
	    (claim->owner == OWNER_RUN && claim->run->doomed);
}

/* Stopped ones cannot fork: once all of many are, they can be killed. */
static int
choose_signal(struct sweep *sweep)
{
	size_t running = 0;

	for (size_t i = 0; i < sweep->victims.len; i++)
		running += sweep->victims.data[i].process.state != 'T';
	bool stop = sweep->victims.len > FEW && running > 0 && sweep->stops < STOPS_MAX;
	sweep->stops = stop ? sweep->stops + 1 : 0;
	return stop ? SIGSTOP : SIGKILL;
}

static void
find_victims(struct sweep *sweep)
{
	size_t n = sweep->seen.len;
	AUTO_FREE struct claim *claims = xcalloc(n + 1, sizeof(*claims));

	if (n > 0)
		qsort(sweep->seen.data, n, sizeof(struct seen), compare_pids);
	judge_all(sweep, claims);
	for (struct sweep_run *run = sweep->runs; run != NULL; run = run->next)
		run->found = false;
	sweep->victims.len = sweep->signalled = 0;
	for (size_t i = 0; i < n; i++)
		if (is_victim(&sweep->seen.data[i], &claims[i])) {
			if (claims[i].owner == OWNER_RUN)
				claims[i].run->found = true;
			*list_add(&sweep->victims) = sweep->seen.data[i];
		}
	sweep->signum = choose_signal(sweep);
}

/* False: there are more. */
static bool
collect_some(struct sweep *sweep)
{
	const struct dirent *entry;
	struct seen seen;
	uint64_t pid, number;
	bool hook;

	for (size_t i = 0; i < STEP; i++) {
		entry = readdir(sweep->proc);
		if (entry == NULL)
			return true;
		if (parse_uint(entry->d_name, 1, INT32_MAX, &pid) != 0)
			continue;
		if (!procfs_read((pid_t)pid, &seen.process)) {
			sweep->blind =
			    sweep->blind || errno == EMFILE || errno == ENFILE;
			continue;
		}
		seen.stale = sweep->first &&
		    read_mark(sweep, (pid_t)pid, &hook, &number) && !hook &&
		    find_run(sweep, number) == NULL;
		*list_add(&sweep->seen) = seen;
	}
	return false;
}

static bool
signal_some(struct sweep *sweep)
{
	for (size_t i = 0; i < STEP && sweep->signalled < sweep->victims.len; i++)
		procfs_signal(
		    &sweep->victims.data[sweep->signalled++].process, sweep->signum);
	return sweep->signalled == sweep->victims.len;
}

/* Tells the owners of runs of which a whole walk found nothing; each may end runs. */
static void
tell_gone(struct sweep *sweep)
{
	struct sweep_run *run = sweep->runs;

	while (run != NULL)
		if (run->doomed && !run->found && run->walk < sweep->walk) {
			run->doomed = false;
			sweep->out.gone(sweep->out.arg, run);
			run = sweep->runs;
		} else
			run = run->next;
}

/* One that a signal does not reach at once is looked at less and less often. */
static void
end_walk(struct sweep *sweep)
{
	bool many = sweep->victims.len > FEW;

	sweep->walking = false;
	look_around(sweep, NULL);
	if (sweep->victims.len > 0 || sweep->blind) {
		sweep->wanted = true;
		loop_timer_after(sweep->step, many ? 0 : sweep->again_ms);
		if (!many)
			sweep->again_ms *= 2;
		if (sweep->again_ms > AGAIN_MAX_MS)
			sweep->again_ms = AGAIN_MAX_MS;
		return;
	}
	sweep->first = false;
	sweep->again_ms = AGAIN_MS;
	if (sweep->wanted)
		loop_timer_at(sweep->step, 0);
}

/* A part of a walk; true: it has ended. */
static bool
walk_on(struct sweep *sweep)
{
	if (!sweep->walking) {
		sweep->walking = true;
		sweep->wanted = sweep->collected = false;
		sweep->walk++;
		sweep->seen.len = 0;
		if (sweep->proc != NULL)
			rewinddir(sweep->proc);
		else
			sweep->proc = opendir("/proc");
		sweep->blind = sweep->proc == NULL;
	}
	if (!sweep->collected && sweep->proc != NULL) {
		if (!collect_some(sweep))
			return false;
		sweep->collected = true;
		find_victims(sweep);
	}
	return signal_some(sweep);
}

static void
on_step(void *arg)
{
	struct sweep *sweep = arg;

	if (!walk_on(sweep)) {
		loop_timer_at(sweep->step, 0);
		return;
	}
	end_walk(sweep);
	if (!sweep->blind)
		tell_gone(sweep);
}

/* At once; another one, if one goes on: it may have passed by already. */
static void
want_walk(struct sweep *sweep)
{
	if (sweep->wanted)
		return;
	sweep->wanted = true;
	if (!sweep->walking)
		loop_timer_at(sweep->step, 0);
}

void
sweep_begin(struct sweep *sweep, struct sweep_run *run)
{
	run->doomed = false;
	run->next = sweep->runs;
	sweep->runs = run;
}

bool
sweep_left(struct sweep *sweep, const struct sweep_run *run)
{
	return look_around(sweep, run);
}

void
sweep_kill(struct sweep *sweep, struct sweep_run *run)
{
	run->doomed = true;
	run->walk = sweep->walk;
	sweep->again_ms = AGAIN_MS;
	want_walk(sweep);
}

/* What a hook leaves is seen at once, while it is known to have left something. */
void
sweep_end(struct sweep *sweep, struct sweep_run *run)
{
	struct sweep_run **at = &sweep->runs;

	while (*at != NULL && *at != run)
		at = &(*at)->next;
	if (*at == NULL)
		return;
	*at = run->next;
	if (!run->hook)
		return;
	sweep->hooks_left = true;
	look_around(sweep, NULL);
}

static bool
kills(const struct sweep *sweep)
{
	const struct sweep_run *run = sweep->runs;

	while (run != NULL && !run->doomed)
		run = run->next;
	return run != NULL;
}

void
sweep_wait(struct sweep *sweep, int64_t limit_ms)
{
	int64_t end = clock_raw_ms() + limit_ms;

	while (kills(sweep) && clock_raw_ms() < end) {
		if (!walk_on(sweep))
			continue;
		end_walk(sweep);
		if (!sweep->blind)
			tell_gone(sweep);
		if (kills(sweep))
			poll(NULL, 0, WAIT_MS);
	}
}

struct sweep *
sweep_new(struct loop *loop, uint64_t place, bool adopts, const struct sweep_out *out)
{
	struct sweep *sweep = xcalloc(1, sizeof(*sweep));

	sweep->loop = loop;
	sweep->place = place;
	sweep->number = random_u64() >> 1; /* another than any of a predecessor */
	sweep->out = *out;
	sweep->adopts = adopts;
	sweep->first = true;
	sweep->again_ms = AGAIN_MS;
	sweep->children_fd = procfs_open_children();
	sweep->tick = loop_timer_new(loop, on_tick, sweep);
	sweep->step = loop_timer_new(loop, on_step, sweep);
	want_walk(sweep);
	if (adopts)
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (adopts || getpid() == 1)
		loop_timer_after(sweep->tick, TICK_MS);
	return sweep;
}

void
sweep_free(struct sweep *sweep)
{
	if (sweep == NULL)
		return;
	assert(sweep->runs == NULL);
	look_around(sweep, NULL);
	if (sweep->adopts)
		prctl(PR_SET_CHILD_SUBREAPER, 0);
	loop_timer_free(sweep->tick);
	loop_timer_free(sweep->step);
	if (sweep->proc != NULL)
		closedir(sweep->proc);
	cleanup_close(&sweep->children_fd);
	free(sweep->kept);
	free(sweep->seen.data);
	free(sweep->victims.data);
	free(sweep);
}
