/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_FLAP_H
#define LICTOR_FLAP_H

#include <stdbool.h>
#include <stdint.h>

#include "checks/check.h"

#define FLAP_RESULTS 21

/*
 * Whether a check changes its state too often. Pure. What is looked at is the state that
 * rise and fall leave (health.h) after each of the last 21 judged outcomes. Each of the 20
 * steps from one of them to the next that is a change counts: the oldest 0.8, the newest
 * 1.2, those between on a straight line. Their sum as a share of 20, the sum of all weights,
 * is the percentage; steps that are not there yet count as no change. At `threshold`
 * percent or more the check begins to flap, below a quarter of it it stops.
 *
 * While it flaps it is held at the worst state among those 21 and the ones it has been
 * held at; when it stops it has the state that rise and fall say. With the threshold 0
 * nothing flaps.
 */
struct flap {
	uint64_t states : 2 * FLAP_RESULTS; /* status + 1, newest lowest; 0: none yet */
	uint64_t held : 2;
	uint64_t flapping : 1;
};

/* Nothing is known yet. */
void flap_init(struct flap *flap);
/* A state taken over is the oldest of the history. */
void flap_adopt(struct flap *flap, enum check_status state);

/* The state after one more judged outcome. Returns the one to publish. */
enum check_status flap_record(
    struct flap *flap, enum check_status state, unsigned int threshold);

bool flap_is_on(const struct flap *flap);
/* The state that is published while `state` is what rise and fall say. */
enum check_status flap_state(const struct flap *flap, enum check_status state);
/* Rounded to the nearest. */
unsigned int flap_percent(const struct flap *flap);

#endif
