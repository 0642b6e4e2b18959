/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_ONE_RUN_H
#define LICTOR_ONE_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checks/check.h"

struct loop;
struct one_run;

/* Runs of checks one at a time, as the configuration describes them and the scheduler
 * orders them, on the test's own loop. What they leave open at the end is a failed
 * assertion. */
struct one_run *one_run_new(void);
void one_run_free(struct one_run *bench);
struct loop *one_run_loop(const struct one_run *bench);

struct one_run_outcome {
	bool ended;	/* by itself, before the deadline, at which it is cancelled */
	enum check_status status;
	enum check_reason reason;
	char text[1024];
	size_t n_metrics;
};
/* `section` is a check as it stands in lictor.conf, "udp \"u\" { … }". */
const struct one_run_outcome *one_run(
    struct one_run *bench, const char *section, int64_t timeout_ms);
/* The same, held against what it should be, each an assertion; `says` is a part of the
 * text. */
void one_run_expect(struct one_run *bench, const char *section,
    enum check_status status, enum check_reason reason, const char *says);
/* It must not end within 150 ms. */
void one_run_expect_silence(struct one_run *bench, const char *section);

#endif
