/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SCHED_WORLD_H
#define LICTOR_SCHED_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/conf/conf.h"
#include "agent/health/sched.h"
#include "checks/check.h"

struct loop;
struct loop_timer;

#define CHECKS_MAX 40
#define STARTS_MAX 64

enum act {
	ACT_DONE,	/* in start */
	ACT_LATER,	/* after `takes_ms` */
	ACT_NEVER,	/* waits for the deadline */
	ACT_PIPE,	/* when a byte can be read */
	ACT_RESOLVE,	/* in the callback of a literal, inside start */
	ACT_COMMAND,
	ACT_WORK,	/* in a thread, which hangs until something can be read */
};

struct world;

/* The options of a fake check, and its notes. */
struct fake {
	struct fake *self;	/* a check sees its options as constant */
	struct world *world;
	size_t index;
	enum act act;
	enum check_status status;
	enum check_reason reason;
	const char *text;
	bool number_text;	/* another text with every run */
	int64_t takes_ms;
	int pipe[2];
	struct loop_timer *later;
	void *arg;		/* the test's */
	struct check_run *run;	/* that is under way */
	/* notes */
	int64_t starts[STARTS_MAX], started, ended;
	unsigned int n_starts, cancelled, running, overlaps, dirty, called;
	unsigned int changes, outputs;
};

/*
 * A scheduler with checks of a type made for the purpose: they do what the test says and
 * note what was done to them. On whatever loop the program has: see virtual_loop.h.
 */
struct world {
	struct loop *loop;
	struct sched *sched;
	struct sched_state state;	/* as state_of found it */
	struct conf conf;
	struct conf_check checks[CHECKS_MAX], *all[CHECKS_MAX];
	struct fake fakes[CHECKS_MAX];
	struct conf_command command;
	int64_t start;
	/* the test may look, or decide what this run does */
	void (*on_start)(struct fake *fake);
	void (*on_cancel)(struct fake *fake);
	void (*on_order)(struct fake *fake, uint64_t run);
	void (*on_kill)(struct fake *fake, uint64_t run);
	void (*on_news)(struct world *w, const struct conf_check *check,
	    const struct sched_state *state, bool changed);
	/* notes, of all checks */
	unsigned int changes, outputs, kills, commands;
	enum check_status status;
	uint64_t numbers[STARTS_MAX];
	/* a runner that never gets to a command */
	bool answer_at_deadline;
	struct loop_timer *runner;
	/* waiting */
	struct loop_timer *look;
	bool (*until)(struct world *w);
	int64_t limit;
	uint64_t wanted;
	bool reached;
};

/* `n` checks, all passing at once until the test says otherwise. */
struct world *world_new(size_t n, int64_t interval, int64_t fast, int64_t timeout);
void world_make(struct world *w);	/* the scheduler, if it is to be had before the start */
void world_start(struct world *w);
/* Asserts that no runs overlapped and each had clean memory. */
void world_free(struct world *w);

/* Another one that does the same. */
extern const struct check_class world_other_class;

/* The check answers nothing but reports. */
void world_make_passive(struct world *w, size_t i, int64_t ttl_ms);

/* Looked at every 10 ms; false: not within some seconds. */
bool run_until(struct world *w, bool (*until)(struct world *w));
/* So many runs of the first check have ended. */
bool until_ended(struct world *w, uint64_t runs);

const struct sched_state *state_of(struct world *w, size_t i);
int64_t phase_of(const struct world *w, size_t i);

#endif
