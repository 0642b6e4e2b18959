/* SPDX-License-Identifier: ISC */
/*
 * What `lictorctl explain` says of a role: the sentences of its machine (role_explain.c), and
 * around them what the machine is only told the outcome of: why this host is not ready, who
 * has paused the role, what keeps heartbeats from other hosts.
 */
#include "agent/failover/role_explain.h"
#include "agent/failover/roles_state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/consul/consul.h"
#include "agent/failover/peer.h"

struct text {
	char (*lines)[ROLE_LINE_SIZE];
	size_t n, count;
};

static void __attribute__((format(printf, 2, 3)))
add(struct text *text, const char *fmt, ...)
{
	va_list ap;

	if (text->count == text->n)
		return;
	va_start(ap, fmt);
	vsnprintf(text->lines[text->count++], ROLE_LINE_SIZE, fmt, ap);
	va_end(ap);
}

static void
add_readiness(struct text *text, const struct seat *seat)
{
	char why[ROLES_WHY_SIZE] = "";

	if (seat->ready != ROLE_READY_NO)
		return;
	roles_why_unready(seat, why);
	if (why[0] != '\0')
		add(text, "Why this host is not ready: %s.", why);
}

static void
add_pause(struct text *text, const struct lease_pause *pause)
{
	char who[sizeof(pause->who)], reason[sizeof(pause->reason)];

	if (!pause->on)
		return;
	text_escape(who, sizeof(who), pause->who, strlen(pause->who));
	text_escape(reason, sizeof(reason), pause->reason, strlen(pause->reason));
	add(text, "Paused by %s%s%s.", who[0] != '\0' ? who : "an operator",
	    reason[0] != '\0' ? ": " : "", reason);
}

static void
add_peers(struct text *text, const struct roles *roles, uint32_t role)
{
	struct peer_view list[ROLE_PEERS * 2];
	char why[ROLE_LINE_SIZE - 40] = "";

	if (roles->peers == NULL || !roles->conf->failover.heartbeats)
		return;
	peers_why_not(roles->peers, why, sizeof(why));
	if (why[0] != '\0')
		add(text, "No heartbeats from this host: %s.", why);
	size_t count = peers_view(roles->peers, role, list, ARRAY_LENGTH(list));
	for (size_t i = 0; i < count; i++)
		if (list[i].fact[0] != '\0')
			add(text, "%s", list[i].fact);
}

size_t
roles_explain(
    struct roles *roles, uint32_t role, char lines[][ROLE_LINE_SIZE], size_t n)
{
	const struct seat *seat = roles->seats[role];
	struct role_now now = { clock_boot_ms(), clock_raw_ms() };
	struct text text = { lines, n, 0 };

	if (seat->role == NULL)
		add(&text,
		    "This node's name cannot stand in a register: it takes no role.");
	else
		text.count = role_explain(seat->role, now, lines, n);
	add_readiness(&text, seat);
	add_pause(&text, &seat->pause);
	if (!consul_reachable(roles->consul))
		add(&text, "Consul does not answer this host.");
	add_peers(&text, roles, role);
	if (seat->priority != seat->configured)
		add(&text, "Its priority here is %u instead of %u by what it tracks.",
		    seat->priority, seat->configured);
	return text.count;
}
