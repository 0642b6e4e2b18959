/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CTL_HANDOVER_H
#define LICTOR_CTL_HANDOVER_H

#include "agent/base/json.h"

/* How far a handover is, by a status that came after it had begun. */
struct handover_view {
	int here;	/* roles that this host may still hold addresses of */
	int going;	/* of those, that are on their way or have somebody to go to */
	int leaving;	/* of these, whose demote hook runs */
	char why[256];	/* why the last of the others stays */
};

void handover_look(const cJSON *status, struct handover_view *view);

#endif
