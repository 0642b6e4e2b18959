/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_RUN_H
#define LICTOR_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checks/check.h"

struct conf_check;
struct fetch;
struct http;
struct loop;
struct resolve;
struct runs;
struct streams;

/* A figure that a check measured (check_metric). */
#define RUN_METRICS_MAX 64
struct run_metric {
	char name[64], unit[16];
	double value;
};

struct run_outcome {
	enum check_status status;
	enum check_reason reason;
	const char *text;	/* as the check wrote it: not cut, not made printable */
	const struct run_metric *metrics;	/* they go with the run */
	size_t n_metrics;
};

struct runs_out {
	/* The run ended by itself; it must not be used any more. */
	void (*done)(void *owner, const struct run_outcome *outcome);
	void (*command)(void *owner);	/* run the check's command */
	void (*kill)(void *owner);	/* that command is not wanted any more */
};

/* Who does what runs order: all but the loop may be NULL where no check needs it. */
struct run_servants {
	struct loop *loop;
	struct fetch *fetch;
	struct http *http;	/* HTTP that `fetch` does not speak */
	struct resolve *resolve;
	struct streams *streams;
	struct blackbox *blackbox;	/* notes which check is in its own code */
};

/* All runs of checks, with the servants they use (copied) and the memory of ended runs,
 * kept for the next ones. */
struct runs *runs_new(const struct run_servants *servants, const struct runs_out *out);
/* Every run has ended or was cancelled. False: work that one of them ordered (check_work)
 * still hangs in a thread, so its memory and that of the configuration must stay. */
bool runs_free(struct runs *runs);

/* Work of a run that is over still hangs in a thread, and uses its check's configuration. */
bool runs_hang(const struct runs *runs);

/* One run. `owner` is who is told; run_begin may do so before it returns. `timeout_ms` is
 * the scheduler's, told to servants that want a limit of their own. */
struct check_run *run_new(struct runs *runs, const struct conf_check *check,
    int64_t timeout_ms, void *owner);
void run_begin(struct check_run *run);
void run_cancel(struct check_run *run);

/* Its work waits until one of our threads has time: who is looked at had no part in that. */
bool run_lacks_thread(const struct check_run *run);

/* How the command of this run ended; ignored if it ordered none. */
void run_command_ended(struct check_run *run, const struct check_exit *exit);

#endif
