/* SPDX-License-Identifier: ISC */
/*
 * What an operator may ask of a role: to hand it over, here or through any agent that
 * knows its master, and to say that nobody holds a role whose register is lost.
 *
 * The wish is judged by what this host knows of the role and its candidates, and refused
 * with a reason. A switchover that is accepted goes to the machine if it is master here,
 * else through the lease to Consul, where the master finds it and judges it again: its own
 * view counts. Owns nothing.
 */
#include "agent/failover/roles_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/failover/lease.h"

/* May the role go from `from` to `to` ("": whoever is best)? */
static int
judge_target(const struct seat *seat, const char *from, const char *to, char *why,
    size_t why_size)
{
	bool there = false;

	if (strcmp(from, to) == 0) {
		snprintf(why, why_size, "%s is its master already", to);
		return -EALREADY;
	}
	for (size_t i = 0; i < seat->n_peers; i++) {
		const struct role_peer *peer = &seat->peers[i];
		bool meant = to[0] == '\0' ? strcmp(peer->node, from) != 0
					   : strcmp(peer->node, to) == 0;

		if (meant && peer->ready)
			return 0;
		there = there || meant;
	}
	if (to[0] == '\0')
		snprintf(why, why_size, "no other host is ready for it");
	else
		snprintf(why, why_size, "%s is %s", to,
		    there ? "not ready for it" : "no candidate for it");
	return there ? -EAGAIN : -ENOENT;
}

static void
switch_over(struct seat *seat, const char *to)
{
	struct role_event event = { .type = ROLE_EVENT_SWITCHOVER };

	log_notice("role", "%s: an operator asks to switch over to %s",
	    seat->conf->name, to[0] != '\0' ? to : "the best candidate");
	str_copy(event.node, sizeof(event.node), to);
	seat_feed(seat, &event);
}

void
operator_asked(struct roles *roles, uint32_t role, const char *to)
{
	struct seat *seat = roles->seats[role];
	struct role_view view;
	char why[ROLES_WHY_SIZE];

	if (seat->role == NULL)
		return;
	role_view(seat->role, &view);
	if (view.state != ROLE_MASTER)
		return;
	lease_switchover_done(roles->lease, role);
	if (judge_target(seat, roles->node, to, why, sizeof(why)) != 0)
		log_warning("role", "%s: an operator's switchover is refused: %s",
		    seat->conf->name, why);
	else
		switch_over(seat, to);
}

int
roles_switchover(
    struct roles *roles, uint32_t role, const char *to, char *why, size_t why_size)
{
	struct seat *seat = roles->seats[role];
	struct role_view view;
	int err;

	roles_view(roles, role, &view);
	if (!view.known || view.reg.holder[0] == '\0') {
		snprintf(why, why_size, "it has no master that could hand it over");
		return -ENOENT;
	}
	err = judge_target(seat, view.reg.holder, to, why, why_size);
	if (err != 0)
		return err;
	if (view.state == ROLE_MASTER) {
		switch_over(seat, to);
		return 0;
	}
	if (!consul_reachable(roles->consul)) {
		snprintf(why, why_size, "Consul does not answer");
		return -EHOSTUNREACH;
	}
	lease_switchover(roles->lease, role, to);
	return 0;
}

int
roles_init(struct roles *roles, uint32_t role, char *why, size_t why_size)
{
	struct role_view view;

	roles_view(roles, role, &view);
	if (!view.lost && !roles->seats[role]->missing) {
		snprintf(why, why_size, "%s",
		    view.known ? "its register exists"
			       : "its register could not be read yet");
		return view.known ? -EEXIST : -EAGAIN;
	}
	if (view.state == ROLE_MASTER) {
		snprintf(
		    why, why_size, "this host has it, and makes its register anew");
		return -EALREADY;
	}
	if (!consul_reachable(roles->consul)) {
		snprintf(why, why_size, "Consul does not answer");
		return -EHOSTUNREACH;
	}
	log_notice("role", "%s: an operator says that nobody holds it",
	    roles->seats[role]->conf->name);
	lease_init(roles->lease, role, view.max_rev + 1);
	return 0;
}

void
operator_paused(struct roles *roles, uint32_t role, const struct lease_pause *pause)
{
	struct role_event event = { .type = ROLE_EVENT_PAUSE, .paused = pause->on };
	struct seat *seat = roles->seats[role];
	char who[4 * sizeof(pause->who)], reason[4 * sizeof(pause->reason)];

	text_escape(who, sizeof(who), pause->who, strlen(pause->who));
	text_escape(reason, sizeof(reason), pause->reason, strlen(pause->reason));
	if (pause->on)
		log_notice("role", "%s: paused by %s%s%s: no host moves it by itself",
		    seat->conf->name, who[0] != '\0' ? who : "an operator",
		    reason[0] != '\0' ? ": " : "", reason);
	else
		log_notice("role", "%s: resumed", seat->conf->name);
	seat->pause = *pause;
	seat_feed(seat, &event);
}

bool
roles_pause(struct roles *roles, uint32_t role, bool on, const char *who,
    const char *reason, char *why, size_t n)
{
	if (!on && !roles->seats[role]->pause.on) {
		str_copy(why, n, "it is not paused");
		return false;
	}
	if (!consul_reachable(roles->consul)) {
		str_copy(why, n, "Consul does not answer");
		return false;
	}
	lease_pause(roles->lease, role, on, who, reason);
	return true;
}

void
roles_paused(const struct roles *roles, uint32_t role, struct lease_pause *pause)
{
	*pause = roles->seats[role]->pause;
}

void
roles_set_priority(struct roles *roles, uint32_t role, unsigned int effective)
{
	seat_set_priority(roles->seats[role], effective);
	lease_priority(roles->lease, role, effective);
}
