/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_JUDGE_H
#define LICTOR_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/health/flap.h"
#include "agent/health/health.h"
#include "checks/check.h"

struct conf_check;
struct run_outcome;
struct sched_state;
struct window;

/*
 * What is published of one check: the worst of the state that rise and fall leave
 * (health.h), held while it flaps (flap.h), and of what its window allows (window.h); and
 * its output, with a line before it for each of these that speaks. No I/O but the log, no
 * clock but the time of a change. There are thousands of these: mind its size.
 */
struct judge {
	struct health health;
	struct flap flap;
	struct window *window;	/* NULL: no limits are set */
	char *output;		/* as published; never NULL */
	struct judge_metrics *metrics;	/* of the newest outcome; NULL: none */
	uint64_t runs;
	int64_t changed_at;	/* wall clock, ms; 0: never */
	int32_t took_ms;	/* -1: none ended, or there is nothing to run */
	enum check_reason reason : 8;
	enum check_status status : 8;	/* as published */
};

enum judge_news {
	JUDGE_NOTHING,
	JUDGE_OUTPUT,	/* the state stayed and the output is another */
	JUDGE_CHANGED,	/* the state changed or became known */
};

void judge_init(struct judge *judge, const struct conf_check *check);
void judge_clear(struct judge *judge);

/* A state that Consul still shows, with its output if it is not NULL. */
void judge_adopt(struct judge *judge, const struct conf_check *check,
    enum check_status status, const char *output);

/* The check has been changed to this one: what is published of it stays, with its counters;
 * the results that led to it are forgotten. */
void judge_turn(struct judge *judge, const struct conf_check *check);

/* An outcome. `took_ms` -1: nothing was run. Says in the log what changed and why. */
enum judge_news judge_record(struct judge *judge, const struct conf_check *check,
    const struct run_outcome *outcome, int64_t took_ms);

/* There is no outcome, and `why` there is none is its output: nothing else changes. */
enum judge_news judge_excuse(struct judge *judge, const struct conf_check *check,
    const char *why);

bool judge_is_critical(const struct judge *judge);	/* and known to be */

void judge_state(const struct judge *judge, const struct conf_check *check,
    struct sched_state *state);

#endif
