/* SPDX-License-Identifier: ISC */
/*
 * Nagios' rule of flapping, on states that rise and fall have let through already. There
 * is no clock: what counts is how many of the last results changed the state, however
 * long they took. One check costs eight bytes. The percentage is exact, a fraction
 * of integers: a step weighs (38 + k) / 47.5 for k from 0 (the oldest) to 19 (the newest).
 */
#include "agent/health/flap.h"

#include <assert.h>

#define STEPS (FLAP_RESULTS - 1)
#define OLDEST 38 /* the weights in units of 1/47.5 */
#define ALL 950 /* the sum of all of them */

void
flap_init(struct flap *flap)
{
	*flap = (struct flap){ .states = 0 };
}

void
flap_adopt(struct flap *flap, enum check_status state)
{
	assert(state != CHECK_UNKNOWN);
	*flap = (struct flap){ .states = (uint64_t)state + 1 };
}

/* The weights of the steps that were changes, in units. */
static unsigned int
weigh(const struct flap *flap)
{
	uint64_t states = flap->states;
	unsigned int sum = 0;

	for (unsigned int k = STEPS; k-- > 0 && states > 3; states >>= 2)
		if ((states & 3) != (states >> 2 & 3))
			sum += OLDEST + k;
	return sum;
}

static enum check_status
worst(uint64_t states)
{
	uint64_t worst = 0;

	for (; states != 0; states >>= 2)
		if ((states & 3) > worst)
			worst = states & 3;
	return (enum check_status)(worst - 1);
}

enum check_status
flap_record(struct flap *flap, enum check_status state, unsigned int threshold)
{
	assert(state != CHECK_UNKNOWN);
	flap->states = flap->states << 2 | ((uint64_t)state + 1);
	if (threshold == 0)
		return state;
	unsigned int percent_all = weigh(flap) * 100, all = threshold * ALL;
	if (!flap->flapping && percent_all >= all) {
		flap->flapping = true;
		flap->held = CHECK_PASSING;
	} else if (flap->flapping && 4 * percent_all < all) {
		flap->flapping = false;
	}
	if (flap->flapping && worst(flap->states) > (enum check_status)flap->held)
		flap->held = worst(flap->states);
	return flap_state(flap, state);
}

bool
flap_is_on(const struct flap *flap)
{
	return flap->flapping;
}

enum check_status
flap_state(const struct flap *flap, enum check_status state)
{
	return flap->flapping ? (enum check_status)flap->held : state;
}

unsigned int
flap_percent(const struct flap *flap)
{
	return (weigh(flap) * 100 + ALL / 2) / ALL;
}
