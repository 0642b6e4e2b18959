/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SCHED_H
#define LICTOR_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checks/check.h"

struct conf;
struct conf_changes;
struct conf_check;
struct run_servants;
struct run_metric;
struct sched;

/* What is known of one check. */
struct sched_state {
	enum check_status status;
	bool known;
	enum check_reason reason;	/* of the newest outcome, as the output is */
	const char *output;		/* of the newest outcome, printable; never NULL */
	uint64_t runs;			/* ended so far */
	int64_t changed_at;		/* wall clock, ms; 0: never */
	int64_t last_run_ms;		/* how long the newest run took; -1: none ended */
	unsigned int row;		/* outcomes in a row against the state */
	const struct run_metric *metrics; /* what the newest run measured, if anything */
	size_t n_metrics;
	bool flapping;
	int flap_percent;		/* of flap.h; -1: it is off */
	int error_percent;		/* of the window; -1: no limits, or no results */
	int64_t latency_ms;		/* of the window; -1: no limit, or nothing was up */
};

struct sched_out {
	/* A check's state changed or became known: said once per change, at once. */
	void (*changed)(void *arg, const struct conf_check *check,
	    const struct sched_state *state);
	/* The state stayed and the output is another: may be sent when convenient. */
	void (*output)(void *arg, const struct conf_check *check,
	    const struct sched_state *state);
	/* Orders to the runner (check_command): `run` is the scheduler's number, unique
	 * among those that have not ended, never 0, and below 2^63. */
	void (*command)(void *arg, uint64_t run, const struct conf_check *check,
	    int64_t timeout_ms);
	void (*kill)(void *arg, uint64_t run);
	void *arg;
};

/*
 * Runs the checks of a configuration: phases spread over the interval, one deadline per
 * run, never two runs of one check at once, the fast interval while outcomes disagree with
 * the state that rise and fall leave. Starts nothing before sched_start.
 *
 * A check is held back while one that it depends on, by any number of steps, is critical, or
 * has not been looked at yet: it does not run, a run under way is ended, its state stays.
 * Let go, it runs at its next tick, and within its fast interval.
 */
struct sched *sched_new(const struct run_servants *servants, const struct conf *conf,
    const struct sched_out *out);
/* Cancels what runs. False: something hangs in another thread and still needs the
 * configuration: the process must end without freeing that. */
bool sched_free(struct sched *sched);

/*
 * The configuration is `next` from now on, and what was the same in the one before has been
 * moved into it (conf_merge): that goes on, with its run and its counters. A changed check's
 * run is ended; what is published of it stays, and it runs soon, as an added one does: within
 * the shorter of its interval and half a second.
 */
void sched_reload(struct sched *sched, const struct conf *next,
    const struct conf_changes *changes);
/* Something in another thread still uses a check of which all else is over, perhaps one of
 * a configuration before this one. */
bool sched_hangs(const struct sched *sched);

/* Before sched_start: the state that Consul still shows for a check. Nothing is said
 * through `out`: who takes a state over tells the others. */
void sched_adopt(struct sched *sched, uint32_t check, enum check_status status,
    const char *output);

void sched_start(struct sched *sched);

/* A command that had to wait for others begins: its time counts from now. */
void sched_command_started(struct sched *sched, uint64_t run);
/* The runner's answer to a command; unknown numbers are ignored. */
void sched_command_ended(struct sched *sched, uint64_t run,
    const struct check_exit *exit);

/*
 * Somebody's word on a check of a passive type: its outcome (UNKNOWN counts neither way).
 * Who has not reported for longer than the ttl has failed, and again after each further one.
 * What is said of a check that is held back is not judged. 0, -EINVAL: the type is not
 * passive, or it is left out; -EAGAIN: before sched_start, states are still taken over.
 */
int sched_report(struct sched *sched, uint32_t check, enum check_status status,
    const char *output);

/* Before sched_start: the checks of that class begin so much later, and `why` is their output
 * until then. */
void sched_put_off(struct sched *sched, const struct check_class *class,
    int64_t delay_ms, const char *why);

/* From now on no check of that class is run: it cannot be trusted. Their states stay and
 * `why` is their output. Before sched_start or after it, never from within a check. */
void sched_leave_out(struct sched *sched, const struct check_class *class,
    const char *why);

/* `out->output` stays as it is until the check's next news. */
void sched_state(
    const struct sched *sched, uint32_t check, struct sched_state *out);

#endif
