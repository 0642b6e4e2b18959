/* SPDX-License-Identifier: ISC */
/*
 * How far `lictorctl handover` is, from the status that it looks at again and again. A role
 * is gone from here when its fence names this host no more: then the addresses are gone too,
 * by the kernel's word. One that nobody else is ready for stays where it is, for a service in
 * a bad place is better than none; there is nothing to wait for then.
 */
#include "agent/ctl/handover.h"

#include <stdbool.h>
#include <stdio.h>

static bool
can_go(const cJSON *role, const char *node)
{
	const cJSON *candidate;

	if (json_true(role, "leaving"))
		return true;
	cJSON_ArrayForEach (
	    candidate, cJSON_GetObjectItemCaseSensitive(role, "candidates"))
		if (json_true(candidate, "ready") && !json_is(candidate, "node", node))
			return true;
	return false;
}

void
handover_look(const cJSON *status, struct handover_view *view)
{
	const char *node = json_text(status, "node"), *name;
	const cJSON *role;

	*view = (struct handover_view){ 0 };
	cJSON_ArrayForEach (role, cJSON_GetObjectItemCaseSensitive(status, "roles")) {
		if (node == NULL || !json_is(role, "fence", node))
			continue;
		view->here++;
		view->leaving += json_true(role, "leaving");
		name = json_text(role, "name");
		if (can_go(role, node))
			view->going++;
		else
			snprintf(view->why, sizeof(view->why),
			    "%s stays here: no other host is ready for it",
			    name != NULL ? name : "a role");
	}
	if (view->going > 0)
		snprintf(view->why, sizeof(view->why),
		    "%d of its roles could not be given away in time", view->going);
}
