/* SPDX-License-Identifier: ISC */
/*
 * Heartbeats and the seats: what the servant (peer.h) hears becomes events of the machines,
 * what they want said goes to it, and who is present in Consul or a member of a register
 * is told to it. The key comes from its own servant (heartkey.h).
 *
 * Owns both. The invariant: machines count on heartbeats and presence promises them
 * exactly while there are a socket and a key.
 */
#include <string.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/failover/heartkey.h"
#include "agent/failover/lease.h"
#include "agent/failover/peer.h"
#include "agent/failover/pulse.h"
#include "agent/failover/roles_state.h"
#include "agent/failover/roster.h"

/* What they bring. */

static void
on_heartbeat(void *arg, uint32_t role, const struct pulse *pulse)
{
	struct roles *roles = arg;
	struct seat *seat = roles->seats[role];
	struct role_event event = { .type = ROLE_EVENT_HEARTBEAT };

	seat->heard_at = clock_boot_ms();
	if (pulse->rev > seat->heard_rev)
		seat->heard_rev = pulse->rev;
	str_copy(event.heartbeat.from, sizeof(event.heartbeat.from), pulse->node);
	event.heartbeat.inst = pulse->from;
	event.heartbeat.rev = pulse->rev;
	event.heartbeat.phase = pulse->phase;
	event.heartbeat.ts = pulse->ts;
	seat_feed(seat, &event);
}

static void
on_ack(void *arg, uint32_t role, const struct pulse *pulse)
{
	struct roles *roles = arg;
	struct seat *seat = roles->seats[role];
	struct role_event event = { .type = ROLE_EVENT_ACK };

	if (pulse->known > seat->heard_rev)
		seat->heard_rev = pulse->known;
	str_copy(event.ack.from, sizeof(event.ack.from), pulse->node);
	event.ack.inst = pulse->to;
	event.ack.rev = pulse->rev;
	event.ack.ts = pulse->ts;
	event.ack.ready = pulse->ready;
	event.ack.known = pulse->known;
	seat_feed(seat, &event);
}

/* What presence says, and what the machines may count on. */
static void
take_able(struct roles *roles)
{
	struct role_event event = { .type = ROLE_EVENT_TICK };
	char address[INET6_ADDRSTRLEN];
	uint16_t port;

	if (peers_able(roles->peers) && !roles->able)
		roles->able_at = clock_boot_ms();
	roles->able = peers_able(roles->peers);
	peers_reach(roles->peers, address, &port);
	lease_reach(roles->lease, address, port);
	for (size_t i = 0; i < roles->conf->n_roles; i++) {
		seat_set(roles->seats[i], roles->seats[i]->conf);
		if (roles->started)
			seat_feed(roles->seats[i], &event);
	}
}

static void
on_able(void *arg, bool able)
{
	(void)able;
	take_able(arg);
}

static void
on_namesake(void *arg, bool on)
{
	struct roles *roles = arg;

	roles->namesake = on;
	roles_judge_name(roles);
}

static void
on_unknown_key(void *arg)
{
	struct roles *roles = arg;

	heartkey_look(roles->heartkey);
}

static void
on_keys(void *arg, const struct heartkeys *keys)
{
	struct roles *roles = arg;

	peers_keys(roles->peers, keys);
}

/* What they are told. */

/* The own name is there only if another process has it, and from elsewhere. */
static bool
is_other(const struct roles *roles, const struct roster_peer *peer)
{
	char address[INET6_ADDRSTRLEN];
	uint16_t port;

	if (strcmp(peer->peer.node, roles->node) != 0)
		return true;
	peers_reach(roles->peers, address, &port);
	return peer->inst != roles->inst_number && address[0] != '\0' &&
	    (strcmp(address, peer->address) != 0 || port != peer->port);
}

void
hearing_present(struct seat *seat, const struct roster_peer *list, size_t count)
{
	struct roster_peer others[ROLE_PEERS];
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (is_other(seat->roles, &list[i]))
			others[n++] = list[i];
	peers_present(seat->roles->peers, seat->conf->index, others, n);
}

/* Everybody whom the register names: a master that no longer is must be told so. */
void
hearing_register(struct seat *seat)
{
	char nodes[ROLE_PEERS + 2][ROLE_NODE_SIZE];
	struct role_view view;
	size_t n = 0;

	role_view(seat->role, &view);
	if (view.reg.index == seat->told_index)
		return;
	seat->told_index = view.reg.index;
	for (size_t i = 0; i < view.reg.fence.n_members; i++)
		str_copy(nodes[n++], ROLE_NODE_SIZE, view.reg.fence.members[i]);
	str_copy(nodes[n++], ROLE_NODE_SIZE, view.reg.holder);
	str_copy(nodes[n++], ROLE_NODE_SIZE, view.reg.fence.node);
	for (size_t i = n; i-- > 0;)
		if (nodes[i][0] == '\0' || strcmp(nodes[i], seat->roles->node) == 0)
			str_copy(nodes[i], ROLE_NODE_SIZE, nodes[--n]);
	peers_members(seat->roles->peers, seat->conf->index,
	    (const char(*)[ROLE_NODE_SIZE])nodes, n);
}

void
hearing_act(struct seat *seat, const struct role_action *action)
{
	struct peers *peers = seat->roles->peers;
	uint32_t role = seat->conf->index;

	if (action->type == ROLE_ACTION_HEARTBEAT)
		peers_heartbeat(peers, role, action->phase, action->rev, action->ts,
		    action->lease_ms);
	else
		peers_ack(peers, role, action->node, action->inst, action->rev,
		    action->ts, action->ready, action->known);
}

/* Of operators and the status. */

void
roles_bind(struct roles *roles, const char *advertised)
{
	peers_bind(roles->peers, advertised);
}

size_t
roles_peers(const struct roles *roles, uint32_t role, struct peer_view *list, size_t n)
{
	return peers_view(roles->peers, role, list, n);
}

int
roles_rotate_key(struct roles *roles, char *why, size_t n)
{
	return heartkey_rotate(roles->heartkey, why, n);
}

/* Life. */

void
hearing_init(struct roles *roles, const char *state_dir)
{
	struct peers_out out = { on_heartbeat, on_ack, on_able, on_namesake,
		on_unknown_key, roles };
	struct heartkey_out key_out = { on_keys, roles };

	roles->peers =
	    peers_new(roles->loop, roles->conf, roles->node, roles->inst_number, &out);
	roles->heartkey =
	    heartkey_new(roles->loop, roles->consul, roles->conf, state_dir, &key_out);
}

void
hearing_start(struct roles *roles)
{
	heartkey_start(roles->heartkey);
	take_able(roles);
}

void
hearing_reload(struct roles *roles, const struct conf_changes *changes)
{
	peers_reload(roles->peers, roles->conf, changes);
	heartkey_reload(roles->heartkey, roles->conf);
	roles->able = false; /* at another address, perhaps, nobody was heard yet */
	take_able(roles);
}

void
hearing_done(struct roles *roles)
{
	heartkey_free(roles->heartkey);
	peers_free(roles->peers);
}
