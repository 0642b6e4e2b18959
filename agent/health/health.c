/* SPDX-License-Identifier: ISC */
/*
 * Judges, and measures nothing: the steady state of one check out of its outcomes. The
 * scheduler feeds it and asks it whether to look again soon. There is no clock and no
 * history beyond one count; what a row of outcomes means is said in health.h.
 */
#include "agent/health/health.h"

#include <assert.h>

void
health_init(struct health *health, enum check_status initial)
{
	assert(initial != CHECK_UNKNOWN);
	*health = (struct health){ .state = initial };
}

void
health_adopt(struct health *health, enum check_status state)
{
	assert(state != CHECK_UNKNOWN);
	*health = (struct health){ .state = state, .known = true };
}

static bool
is_up(enum check_status status)
{
	return status != CHECK_CRITICAL;
}

bool
health_record(struct health *health, enum check_status outcome, unsigned int rise,
    unsigned int fall)
{
	bool news = !health->known || outcome != health->state;

	if (outcome == CHECK_UNKNOWN)
		return false;
	if (health->known && is_up(outcome) != is_up(health->state) &&
	    ++health->row < (is_up(outcome) ? rise : fall))
		return false;
	*health = (struct health){ .state = outcome, .known = true };
	return news;
}

bool
health_in_doubt(const struct health *health)
{
	return health->row > 0;
}
