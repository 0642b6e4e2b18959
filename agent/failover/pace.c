/* SPDX-License-Identifier: ISC */
/*
 * When the machines of all roles are woken, and that they read together. Fifty roles cost
 * this host one timer and Consul one transaction a second: a tick is for every seat that is
 * due, and when one machine reads its register the others are told, so that those whose
 * read is near go along (registers puts into one request what is asked for in one turn).
 *
 * roles.c owns the timer. The invariant: no seat sleeps beyond what its machine said.
 */
#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/failover/peer.h"
#include "agent/failover/roles_state.h"

#define IDLE_MS 60000 /* the clocks may be looked at no more rarely */
#define LATE_MS 20 /* two of the loop's slots */

/* Machines count CLOCK_BOOTTIME, timers CLOCK_MONOTONIC, which stands still while the host
 * sleeps: set anew each time. A millisecond more, since both are cut to whole ones. */
static void
arm(struct roles *roles)
{
	int64_t boot = clock_boot_ms(), due = boot + IDLE_MS;

	for (size_t i = 0; i < roles->conf->n_roles; i++)
		if (roles->seats[i]->role != NULL && roles->seats[i]->due < due)
			due = roles->seats[i]->due;
	loop_timer_at(roles->tick_timer,
	    clock_monotonic_ms() + (due > boot ? due - boot + 1 : 0));
}

void
pace_tick(void *arg)
{
	struct roles *roles = arg;
	struct role_event event = { .type = ROLE_EVENT_TICK };

	/* who stood still himself listens before he takes others for silent */
	if (loop_lag(roles->loop) > LATE_MS)
		peers_listen(roles->peers);
	roles->pacing = true;
	for (size_t i = 0; i < roles->conf->n_roles; i++)
		if (roles->seats[i]->due <= clock_boot_ms())
			seat_feed(roles->seats[i], &event);
	roles->pacing = false;
	pace_stepped(roles);
}

/* Those that have just read are asked in vain: their next one is not near. */
static void
read_along(struct roles *roles)
{
	struct role_event event = { .type = ROLE_EVENT_ALONG };

	roles->pacing = true;
	for (size_t i = 0; i < roles->conf->n_roles; i++)
		seat_feed(roles->seats[i], &event);
	roles->pacing = roles->reads = false;
}

void
pace_stepped(struct roles *roles)
{
	if (roles->pacing)
		return;
	if (roles->reads)
		read_along(roles);
	arm(roles);
}
