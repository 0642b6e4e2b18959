/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_RUN_STATE_H
#define LICTOR_RUN_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/blackbox.h"
#include "agent/base/http.h"
#include "agent/base/stream.h"
#include "agent/health/run.h"
#include "checks/check.h"

/* A run from the inside, shared by the files that give it what check.h promises: run.c its
 * life and its memory, run_net.c the network, run_http.c HTTP, run_job.c commands and work. */
struct check_run {
	struct runs *runs;
	const struct conf_check *check;
	void *owner;
	int64_t timeout_ms;
	struct run_pool *pool;
	struct check_run *next; /* in the pool */
	/* callbacks of the check that have not returned, and its outcome */
	unsigned int depth;
	struct blackbox_note outside; /* where the process was before the first of them */
	bool done;
	enum check_status status;
	enum check_reason reason;
	char *text;
	struct run_metric *metrics; /* room for all, or NULL as long as there is none */
	size_t n_metrics;
	/* what it has ordered, and who is to be called */
	struct loop_io *io;
	struct loop_timer *lack; /* set: no descriptor was left for it */
	int fd;
	void (*ready)(struct check_run *run, unsigned int events);
	struct resolve_call *lookup;
	uint16_t port;
	void (*found)(struct check_run *run, const struct check_address *addresses,
	    size_t count, const char *why);
	struct http_call *call; /* an HTTP exchange by libcurl, or by ourselves */
	struct fetch_call *fetching;
	struct net_tls tls; /* of the exchange or the connection */
	void (*answered)(struct check_run *run, const struct check_http_reply *reply);
	struct stream *stream;
	struct stream_target target;
	void (*connected)(
	    struct check_run *run, enum check_reason reason, const char *why);
	void (*written)(
	    struct check_run *run, enum check_reason reason, const char *why);
	void (*arrived)(struct check_run *run, size_t len, enum check_reason reason,
	    const char *why);
	void (*ended)(struct check_run *run, const struct check_exit *exit);
	/* work in another thread */
	void (*work)(const void *conf, void *state);
	void (*worked)(struct check_run *run); /* NULL: nothing is ordered */
	bool working; /* it is a thread's to do */
	_Atomic bool taken; /* and one has begun */
	struct check_run *before; /* the check's run before, whose work still hangs */
	struct check_run *after; /* the one that waits for this one's */
	_Alignas(max_align_t) char state[];
};

struct runs {
	struct run_servants servants;
	struct runs_out out;
	struct run_pool *pools;
	struct workers *workers; /* NULL until work was ordered */
	int descriptor_end; /* net_descriptor_end */
	struct check_run *hanging; /* runs that are over, but for their work */
};

/* Before and after every call into the check. */
void run_enter(struct check_run *run);
void run_leave(struct check_run *run);

/* Take back what the run has ordered, if anything. */
void run_net_let_go(struct check_run *run);
void run_http_let_go(struct check_run *run);
void run_job_let_go(struct check_run *run);

/* A thread works for the run that is over: its memory goes when that ends (true). */
bool run_job_hangs(struct check_run *run);
/* False: some work does not end. */
bool run_job_end(struct runs *runs);
/* The run's memory goes back to its pool. */
void run_recycle(struct check_run *run);

/* What the ground says, in the words of check.h; and the other way. `end` is a time of
 * stream_certificate_end. */
enum check_reason run_reason(enum net_error error);
struct net_tls run_tls(const struct check_tls *tls);
int run_certificate_days(int64_t end);

#endif
