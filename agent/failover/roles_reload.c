/* SPDX-License-Identifier: ISC */
/*
 * Roles and another configuration. What it takes away is given away first, while the old one
 * still counts: the address goes to the next master in a planned handover, and is let go if
 * there is none. Then the seats change over: a role that is in both goes on with its machine
 * and its term. The invariant: between the two nothing that yields is taken again.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"
#include "agent/failover/lease.h"
#include "agent/failover/roles_state.h"
#include "agent/health/service.h"

#define YIELD_MS 10000 /* and the longest hook */

/* The same address, which the next configuration has in the same role and in the same form. */
static bool
stays(const struct conf_vip *vip, const struct conf *next, const uint32_t *to)
{
	if (to[vip->index] == CONF_NONE)
		return false;
	const struct conf_vip *other = next->vips[to[vip->index]];
	return other->prefix == vip->prefix &&
	    strcmp(other->role->name, vip->role->name) == 0;
}

static void
mark(struct roles *roles, const struct conf *next, const struct conf_changes *changes)
{
	const struct conf *conf = roles->conf;
	uint32_t *to = conf_invert(changes->from.roles, next->n_roles, conf->n_roles);
	uint32_t *vips = conf_invert(changes->from.vips, next->n_vips, conf->n_vips);

	for (size_t i = 0; i < conf->n_roles; i++)
		roles->seats[i]->yields = to[i] == CONF_NONE;
	for (size_t i = 0; i < conf->n_vips; i++)
		if (!stays(conf->vips[i], next, vips))
			roles->seats[conf->vips[i]->role->index]->yields = true;
	free(to);
	free(vips);
}

static void
feed(struct roles *roles, bool yields)
{
	struct role_event event = { .type = ROLE_EVENT_YIELD, .yield = yields };

	for (size_t i = 0; i < roles->conf->n_roles; i++)
		if (roles->seats[i]->yields)
			seat_feed(roles->seats[i], &event);
}

static void
end(struct roles *roles)
{
	void (*yielded)(void *) = roles->yielded;

	roles->yielded = NULL;
	loop_timer_stop(roles->yield_timer);
	yielded(roles->yielded_arg);
}

void
roles_check_yield(struct roles *roles)
{
	if (roles->yielded == NULL)
		return;
	for (size_t i = 0; i < roles->conf->n_roles; i++)
		if (roles->seats[i]->yields && !roles_has_given(roles->seats[i]))
			return;
	end(roles);
}

void
roles_yield_end(void *arg)
{
	struct roles *roles = arg;

	log_warning("role",
	    "not every role that the new configuration takes away could be given away "
	    "in time");
	end(roles);
}

void
roles_yield(struct roles *roles, const struct conf *next,
    const struct conf_changes *changes, void (*done)(void *arg), void *arg)
{
	int64_t limit = 0;

	mark(roles, next, changes);
	for (size_t i = 0; i < roles->conf->n_roles; i++) {
		int64_t hooks = roles_hooks_limit(roles->conf->roles[i]);
		if (roles->seats[i]->yields && hooks > limit)
			limit = hooks;
	}
	loop_timer_after(roles->yield_timer, YIELD_MS + limit);
	feed(roles, true);
	roles->yielded = done;
	roles->yielded_arg = arg;
	roles_check_yield(roles);
}

void
roles_keep(struct roles *roles)
{
	roles->yielded = NULL;
	loop_timer_stop(roles->yield_timer);
	feed(roles, false);
	for (size_t i = 0; i < roles->conf->n_roles; i++)
		roles->seats[i]->yields = false;
}

static void
take_verdicts(struct roles *roles, const struct services *services)
{
	size_t count = roles->conf->n_services;

	free(roles->verdicts);
	roles->verdicts = xcalloc(count + 1, sizeof(*roles->verdicts));
	for (uint32_t i = 0; i < count; i++)
		roles->verdicts[i] = *services_verdict(services, i);
}

/* Those of the services, and then this host's. */
static void
take_maintenance(struct roles *roles, const struct conf *next, const uint32_t *from)
{
	size_t count = roles->conf->n_services;
	char **before = roles->maintenance;

	roles->maintenance = xcalloc(next->n_services + 1, sizeof(*roles->maintenance));
	for (size_t i = 0; i < next->n_services; i++)
		if (from[i] != CONF_NONE) {
			roles->maintenance[i] = before[from[i]];
			before[from[i]] = NULL;
		}
	roles->maintenance[next->n_services] = before[count];
	for (size_t i = 0; i < count; i++)
		free(before[i]);
	free(before);
}

static void
take_seats(struct roles *roles, const struct conf *next, const uint32_t *from)
{
	size_t count = roles->conf->n_roles;
	struct seat **before = roles->seats;

	roles->conf = next;
	roles->seats = xcalloc(next->n_roles + 1, sizeof(struct seat *));
	for (size_t i = 0; i < next->n_roles; i++) {
		if (from[i] == CONF_NONE) {
			roles->seats[i] = seat_new(roles, next->roles[i]);
			continue;
		}
		roles->seats[i] = before[from[i]];
		before[from[i]] = NULL;
		seat_set(roles->seats[i], next->roles[i]);
	}
	for (size_t i = 0; i < count; i++) {
		if (before[i] != NULL)
			force_end(before[i]);
		seat_free(before[i]);
	}
	free(before);
}

void
roles_reload(struct roles *roles, const struct conf *next,
    const struct conf_changes *changes, const struct services *services)
{
	struct role_event event = { .type = ROLE_EVENT_YIELD };

	roles->yielded = NULL;
	loop_timer_stop(roles->yield_timer);
	take_maintenance(roles, next, changes->from.services);
	take_seats(roles, next, changes->from.roles);
	take_verdicts(roles, services);
	lease_reload(roles->lease, next, changes);
	hearing_reload(roles, changes);
	if (changes->roles.added > 0)
		loop_timer_after(roles->grace_timer, ROLES_GRACE_MS);
	for (size_t i = 0; i < next->n_roles; i++)
		roles->seats[i]->yields = false;
	roles_judge(roles);
	for (size_t i = 0; i < next->n_roles; i++)
		seat_feed(roles->seats[i], &event);
}
