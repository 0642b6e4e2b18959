/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_SIM_MANY_H
#define LICTOR_SIM_MANY_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/sim.h"

/* What schedules have seen in all. */
struct totals {
	uint64_t schedules, steps, writes, reads, masters, claims, objections, lapses,
	    failsafes;
	double seconds;			/* virtual */
	double cpu;
};

/*
 * `count` schedules from a seed on, in so many processes. Where there is a results file,
 * what it has is not run again, and what is run is added to it, a line for each block of
 * seeds. Gives the first seed that failed, with what it violated; false: none did.
 */
struct many {
	uint64_t first, count;
	unsigned int jobs;
	enum fault_kind kind;		/* in each of them; FAULTS: in none on purpose */
	const char *results;		/* NULL: no file */
};
bool many_run(const struct many *many, struct totals *totals, uint64_t *failed,
    char failure[512]);
void totals_print(const struct totals *totals);

#endif
