/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_HEALTH_H
#define LICTOR_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "checks/check.h"

/*
 * The steady state of one check out of its single outcomes. Pure. `rise` and `fall` count
 * consecutive outcomes: a check that is up (passing or warning) turns critical after
 * `fall` critical outcomes in a row, a critical one turns up after `rise` outcomes in
 * a row that are not critical. Between passing and warning it changes at once. The first
 * outcome of a check whose state is not known yet is its state. Unknown counts neither
 * way: it breaks no row.
 */
struct health {
	enum check_status state : 8;	/* PASSING, WARNING or CRITICAL */
	bool known;			/* an outcome, or a state taken over, has set it */
	uint16_t row;			/* outcomes in a row that disagree with the state */
};

void health_init(struct health *health, enum check_status initial);
/* A state that Consul still shows: known, with no row begun. */
void health_adopt(struct health *health, enum check_status state);

/* True: the state changed, or became known. `rise` and `fall` are at most 1000. */
bool health_record(struct health *health, enum check_status outcome, unsigned int rise,
    unsigned int fall);

/* Outcomes disagree with the state: check at the fast interval. */
bool health_in_doubt(const struct health *health);

#endif
