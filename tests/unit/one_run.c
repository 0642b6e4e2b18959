/* SPDX-License-Identifier: ISC */
/*
 * A bench for types of check: the real configuration, the real runs and their servants, with
 * the test in the scheduler's place. Descriptors are counted around it all, for what a check
 * opens it must close.
 */
#include "tests/unit/one_run.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/resolve.h"
#include "agent/base/stream.h"
#include "agent/base/tls.h"
#include "agent/base/util.h"
#include "agent/conf/bundle.h"
#include "agent/conf/conf.h"
#include "agent/health/run.h"
#include "tests/unit/entries.h"
#include "tests/unit/until.h"

struct one_run {
	struct loop *loop;
	struct resolve *resolve;
	struct tlss *tlss;
	struct streams *streams;
	struct runs *runs;
	struct one_run_outcome outcome;
	int descriptors; /* before it opened any */
};

static void
on_done(void *owner, const struct run_outcome *outcome)
{
	struct one_run *bench = owner;

	CU_ASSERT_FALSE(bench->outcome.ended);
	bench->outcome.ended = true;
	bench->outcome.status = outcome->status;
	bench->outcome.reason = outcome->reason;
	bench->outcome.n_metrics = outcome->n_metrics;
	str_copy(bench->outcome.text, sizeof(bench->outcome.text), outcome->text);
}

struct one_run *
one_run_new(void)
{
	struct one_run *bench = xcalloc(1, sizeof(*bench));
	struct runs_out out = { .done = on_done };

	loop_free(loop_new()); /* the first one opens what all of them use */
	bench->descriptors = count_entries("/proc/self/fd");
	bench->loop = loop_new();
	bench->resolve = resolve_new(bench->loop);
	bench->tlss = tlss_new();
	bench->streams = streams_new(bench->loop, bench->resolve, bench->tlss);
	struct run_servants servants = {
		.loop = bench->loop,
		.resolve = bench->resolve,
		.streams = bench->streams,
	};
	bench->runs = runs_new(&servants, &out);
	return bench;
}

void
one_run_free(struct one_run *bench)
{
	runs_free(bench->runs);
	streams_free(bench->streams);
	tlss_free(bench->tlss);
	resolve_free(bench->resolve);
	loop_free(bench->loop);
	CU_ASSERT_EQUAL(count_entries("/proc/self/fd"), bench->descriptors);
	free(bench);
}

struct loop *
one_run_loop(const struct one_run *bench)
{
	return bench->loop;
}

static struct conf *
parse(const char *section)
{
	struct bundle_file files[] = {
		{ "environment", "", 0 },
		{ "lictor.conf", section, strlen(section) },
	};
	char error[CONF_ERROR_MAX] = "";
	struct conf_bundle *bundle = bundle_new(files, ARRAY_LENGTH(files));

	bundle->received = true; /* the host is not asked */
	struct conf *conf = conf_parse(bundle, error);
	if (conf == NULL) {
		printf("# %s\n", error);
		CU_FAIL_FATAL("not a configuration");
	}
	return conf;
}

static bool
is_ended(void *arg)
{
	return ((const struct one_run *)arg)->outcome.ended;
}

const struct one_run_outcome *
one_run(struct one_run *bench, const char *section, int64_t timeout_ms)
{
	struct conf *conf = parse(section);

	bench->outcome = (struct one_run_outcome){ 0 };
	struct check_run *run =
	    run_new(bench->runs, conf->checks[0], timeout_ms, bench);
	run_begin(run);
	if (!bench->outcome.ended && !until(bench->loop, is_ended, bench, timeout_ms))
		run_cancel(run);
	conf_free(conf);
	return &bench->outcome;
}

void
one_run_expect(struct one_run *bench, const char *section, enum check_status status,
    enum check_reason reason, const char *says)
{
	const struct one_run_outcome *outcome = one_run(bench, section, 5000);
	bool right = outcome->ended && outcome->status == status &&
	    outcome->reason == reason && strstr(outcome->text, says) != NULL;

	if (!right)
		printf("# %s\n#   %s: %s, %s: %s\n", section,
		    outcome->ended ? "ended" : "not ended",
		    check_status_name(outcome->status),
		    check_reason_name(outcome->reason), outcome->text);
	CU_ASSERT(right);
}

void
one_run_expect_silence(struct one_run *bench, const char *section)
{
	CU_ASSERT_FALSE(one_run(bench, section, 150)->ended);
}
