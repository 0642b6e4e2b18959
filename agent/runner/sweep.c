/* SPDX-License-Identifier: ISC */
/*
 * What runs left behind, found and killed without control groups. Each run's first process
 * bears a mark that its descendants inherit through every fork and exec, whatever session,
 * parent or environment they choose: a hard limit on the real-time CPU time, which is too
 * large to limit anything and that they could only lower. Who lowers it is still known by the
 * session that the first process began, or, since orphans come to us, as an orphan: that is
 * taken for a check's and killed, unless a hook runs or has left something alive, which may
 * have started it: then it is left alone. Where a lower limit is set for lictord itself,
 * no run is marked, and these two have to do.
 *
 * Two ways to look. The list of our own children costs a few microseconds and tells
 * after each run whether there is an orphan at all, which is seldom so. If there is one, or
 * a run is to be killed, the processes of the system are walked through, some at a time so
 * that the loop does not wait, again and again until nothing is found; many are stopped
 * before any is killed, for each that dies makes room for another fork.
 *
 * A process's number may be another's by the time it is signalled (procfs_signal). Our own
 * children keep their number until they are reaped, by us.
 */
#include "agent/runner/sweep.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/runner/procfs.h"

#define STEP 256 /* processes looked at, or signalled, in one turn */
#define FEW 16 /* so many are killed at once, more are stopped first */
#define STOPS_MAX 8 /* in a row: they might wake each other */
#define TICK_MS 1000
#define AGAIN_MS 10
#define AGAIN_MAX_MS 1000
#define WAIT_MS 5

/* A mark, from its highest bit: 0, 1, 1 for a hook, 0, the place, the run's number. */
#define MARK ((uint64_t)1 << 62)
#define MARK_HOOK ((uint64_t)1 << 61)
#define NUMBER_BITS 28
#define NUMBER_MASK (((uint64_t)1 << NUMBER_BITS) - 1)
#define PLACE_MASK ((uint64_t)UINT32_MAX << NUMBER_BITS)

enum owner {
	OWNER_OTHER, /* no run's, or one's that may stay */
	OWNER_RUN,
	OWNER_OVER, /* of a check that has ended */
};

struct claim {
	enum owner owner;
	struct sweep_run *run;
};

/* A child of ours that we did not start. */
struct orphan {
	pid_t pid;
	uint64_t mark; /* 0: none that is ours */
};

struct orphans {
	struct orphan *data;
	size_t len, size;
	bool hooks; /* there may be some of hooks among them */
};

struct list {
	struct procfs_process *data;
	size_t len, size;
};

struct sweep {
	struct loop *loop;
	uint64_t place, number;
	uint64_t born; /* this process: what is older is no run of ours */
	pid_t session; /* this process's, in which no run's are */
	bool adopts, marks;
	struct sweep_out out;
	struct sweep_run *runs;
	struct orphans orphans; /* as of the last look, in the kernel's order */
	int children_fd; /* our children as the kernel lists them, or -1 */
	struct loop_timer *tick, *step;
	DIR *proc;
	uint64_t walk; /* counts them */
	bool walking, wanted; /* one goes on; another is to come */
	bool collected; /* it has seen all */
	bool blind; /* it could not look at all: no descriptor was left */
	bool first; /* a predecessor may have left something */
	struct list victims;
	size_t signalled; /* of the victims */
	int signum;
	unsigned int stops; /* in a row */
	int64_t again_ms;
};

void
sweep_mark(struct sweep *sweep, struct sweep_run *run)
{
	run->mark = !sweep->marks ? 0
				  : MARK | (run->hook ? MARK_HOOK : 0) |
		(sweep->place << NUMBER_BITS & PLACE_MASK) |
		(sweep->number++ & NUMBER_MASK);
}

/* The mark of a run of this place, or 0. */
static uint64_t
read_mark(const struct sweep *sweep, pid_t pid)
{
	uint64_t mark = procfs_mark(pid);
	uint64_t ours = MARK | (sweep->place << NUMBER_BITS & PLACE_MASK);

	return (mark & ~(MARK_HOOK | NUMBER_MASK)) == ours ? mark : 0;
}

static bool
hook_runs(const struct sweep *sweep)
{
	const struct sweep_run *run = sweep->runs;

	while (run != NULL && !run->hook)
		run = run->next;
	return run != NULL;
}

static bool
is_of(const struct sweep_run *run, uint64_t mark, pid_t session)
{
	return run->pid == session || (mark != 0 && run->mark == mark);
}

static struct claim
judge(const struct sweep *sweep, uint64_t mark, pid_t session)
{
	struct claim claim = { OWNER_OTHER, sweep->runs };

	while (claim.run != NULL && !is_of(claim.run, mark, session))
		claim.run = claim.run->next;
	if (claim.run != NULL)
		claim.owner = OWNER_RUN;
	else if (mark != 0 && (mark & MARK_HOOK) == 0)
		claim.owner = OWNER_OVER;
	return claim;
}

/* One without a mark may be of a hook if there was any, and of anybody if we are the first
 * process of all. */
static struct claim
judge_orphan(const struct sweep *sweep, uint64_t mark, pid_t session)
{
	struct claim claim = judge(sweep, mark, session);

	if (claim.run == NULL && mark == 0 && sweep->adopts && getpid() != 1 &&
	    !sweep->orphans.hooks && !hook_runs(sweep))
		claim.owner = OWNER_OVER;
	return claim;
}

/* --- our children --- */

/* What a look at our children finds. */
struct look {
	struct orphans orphans;
	size_t at; /* those known before this are gone */
	const struct sweep_run *run;
	bool left; /* something of `run` */
	bool over; /* something of a check that has ended */
};

/* The kernel keeps the order of children and adds at the end, so one that was known is
 * found by going on from the one before. */
static const struct orphan *
find_known(const struct sweep *sweep, struct look *look, pid_t pid)
{
	const struct orphans *known = &sweep->orphans;

	for (size_t i = look->at; i < known->len; i++)
		if (known->data[i].pid == pid) {
			look->at = i + 1;
			return &known->data[i];
		}
	return NULL;
}

static void
add_orphan(struct orphans *orphans, pid_t pid, uint64_t mark)
{
	if (orphans->len == orphans->size) {
		orphans->size = orphans->size == 0 ? 16 : 2 * orphans->size;
		orphans->data =
		    xrealloc(orphans->data, orphans->size, sizeof(*orphans->data));
	}
	orphans->data[orphans->len++] = (struct orphan){ pid, mark };
}

static bool
is_first_of_run(const struct sweep *sweep, pid_t pid)
{
	const struct sweep_run *run = sweep->runs;

	while (run != NULL && run->pid != pid)
		run = run->next;
	return run != NULL;
}

/* Only what we start beside the runs, agent and warden, is of our own session. */
static void
look_at(const struct sweep *sweep, struct look *look, pid_t pid)
{
	if (is_first_of_run(sweep, pid))
		return;
	pid_t session = getsid(pid);
	if (session == sweep->session || waitpid(pid, NULL, WNOHANG) != 0)
		return;
	const struct orphan *known = find_known(sweep, look, pid);
	uint64_t mark = known != NULL ? known->mark : read_mark(sweep, pid);
	struct claim claim = judge_orphan(sweep, mark, session);
	add_orphan(&look->orphans, pid, mark);
	if (claim.owner == OWNER_OTHER)
		look->orphans.hooks = true;
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
	free(sweep->orphans.data);
	sweep->orphans = look.orphans;
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

static void
add_victim(struct list *list, const struct procfs_process *process)
{
	if (list->len == list->size) {
		list->size = list->size == 0 ? FEW : 2 * list->size;
		list->data = xrealloc(list->data, list->size, sizeof(*list->data));
	}
	list->data[list->len++] = *process;
}

/* A process of a run that is to be killed, or of none that may stay. */
static bool
is_victim(const struct sweep *sweep, const struct procfs_process *process)
{
	if (process->state == 'Z' || process->state == 'X' ||
	    process->session == sweep->session ||
	    (!sweep->first && process->born < sweep->born))
		return false;
	uint64_t mark = read_mark(sweep, process->pid);
	struct claim claim = process->parent == getpid()
	    ? judge_orphan(sweep, mark, process->session)
	    : judge(sweep, mark, process->session);
	if (claim.owner != OWNER_RUN)
		return claim.owner == OWNER_OVER;
	claim.run->found = claim.run->found || claim.run->doomed;
	return claim.run->doomed;
}

/* Stopped ones cannot fork: once all of many are, they can be killed. */
static int
choose_signal(struct sweep *sweep)
{
	size_t running = 0;

	for (size_t i = 0; i < sweep->victims.len; i++)
		running += sweep->victims.data[i].state != 'T';
	bool stop = sweep->victims.len > FEW && running > 0 && sweep->stops < STOPS_MAX;
	sweep->stops = stop ? sweep->stops + 1 : 0;
	return stop ? SIGSTOP : SIGKILL;
}

/* False: there are more. */
static bool
collect_some(struct sweep *sweep)
{
	struct procfs_process process;
	const struct dirent *entry;
	uint64_t pid;

	for (size_t i = 0; i < STEP; i++) {
		entry = readdir(sweep->proc);
		if (entry == NULL)
			return true;
		if (parse_uint(entry->d_name, 1, INT32_MAX, &pid) != 0)
			continue;
		errno = 0;
		if (procfs_read((pid_t)pid, &process) && is_victim(sweep, &process))
			add_victim(&sweep->victims, &process);
		if (errno == EMFILE || errno == ENFILE)
			sweep->blind = true;
	}
	return false;
}

static bool
signal_some(struct sweep *sweep)
{
	for (size_t i = 0; i < STEP && sweep->signalled < sweep->victims.len; i++)
		procfs_signal(&sweep->victims.data[sweep->signalled++], sweep->signum);
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

static void
begin_walk(struct sweep *sweep)
{
	sweep->walking = true;
	sweep->wanted = sweep->collected = false;
	sweep->walk++;
	sweep->victims.len = sweep->signalled = 0;
	for (struct sweep_run *run = sweep->runs; run != NULL; run = run->next)
		run->found = false;
	if (sweep->proc != NULL)
		rewinddir(sweep->proc);
	else
		sweep->proc = opendir("/proc");
	sweep->blind = sweep->proc == NULL;
}

/* A part of a walk; true: it has ended. */
static bool
walk_on(struct sweep *sweep)
{
	if (!sweep->walking)
		begin_walk(sweep);
	if (!sweep->collected && sweep->proc != NULL) {
		if (!collect_some(sweep))
			return false;
		sweep->collected = true;
		sweep->signum = choose_signal(sweep);
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
	run->doomed = run->found = false;
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
	sweep->orphans.hooks = true;
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

/* A limit that somebody chose stays; that of a lictord which started us as a command's does
 * not, if we may raise it. */
static bool
may_mark(void)
{
	struct rlimit now;

	return getrlimit(RLIMIT_RTTIME, &now) == 0 && now.rlim_max >= MARK;
}

struct sweep *
sweep_new(struct loop *loop, uint64_t place, bool adopts, const struct sweep_out *out)
{
	struct sweep *sweep = xcalloc(1, sizeof(*sweep));
	struct procfs_process self = { 0 };

	procfs_read(getpid(), &self);
	sweep->born = self.born;
	sweep->session = getsid(0);
	sweep->marks = may_mark();
	sweep->loop = loop;
	sweep->place = place;
	sweep->number = random_u64(); /* another than those of a predecessor */
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
	free(sweep->orphans.data);
	free(sweep->victims.data);
	free(sweep);
}
