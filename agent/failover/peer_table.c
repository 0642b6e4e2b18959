/* SPDX-License-Identifier: ISC */
/*
 * Who the other agents are: nodes by name, with their address, and for each role those that
 * its heartbeats go to. A node has a place in a role while it is present for it or a member of
 * its register, and for a day after it was last heard (S17: presence may be lost with
 * Consul's data). An address comes from its presence or, newer, from what it sends.
 * Both lists end.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"
#include "agent/failover/peer_state.h"
#include "agent/failover/roster.h"

bool
peers_is_self(const struct peers *peers, const struct peer *peer)
{
	return strcmp(peer->node, peers->node) == 0;
}

struct peer *
peers_find(const struct peers *peers, const char *node)
{
	for (size_t i = 0; i < peers->count; i++) {
		if (strcmp(peers->list[i]->node, node) == 0)
			return peers->list[i];
	}
	return NULL;
}

static const void *
address_of(const struct sockaddr_storage *where, size_t *size)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)where;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)where;
	bool four = where->ss_family == AF_INET;

	*size = four ? sizeof(in->sin_addr) : sizeof(in6->sin6_addr);
	return four ? (const void *)&in->sin_addr : (const void *)&in6->sin6_addr;
}

bool
peer_is_at(const struct peer *peer, const struct sockaddr_storage *where)
{
	size_t size;
	const void *address = address_of(where, &size);

	return peer->where.ss_family == where->ss_family &&
	    memcmp(address_of(&peer->where, &size), address, size) == 0;
}

struct peer *
peers_find_address(const struct peers *peers, const struct sockaddr_storage *where)
{
	for (size_t i = 0; i < peers->count; i++)
		if (peer_is_at(peers->list[i], where))
			return peers->list[i];
	return NULL;
}

static bool
has_place(const struct peers *peers, const struct peer *peer)
{
	for (size_t role = 0; role < peers->conf->n_roles; role++) {
		const struct peer_row *row = &peers->rows[role];

		for (size_t i = 0; i < row->count; i++) {
			if (row->links[i].peer == peer)
				return true;
		}
	}
	return false;
}

static void
remove_peer(struct peers *peers, size_t i)
{
	free(peers->list[i]);
	peers->list[i] = peers->list[--peers->count];
}

/* Whoever is of no role, and was heard least lately. */
static bool
make_room(struct peers *peers)
{
	size_t oldest = PEERS_MAX;

	for (size_t i = 0; i < peers->count; i++) {
		if (!has_place(peers, peers->list[i]) &&
		    (oldest == PEERS_MAX ||
			peers->list[i]->heard_at < peers->list[oldest]->heard_at))
			oldest = i;
	}
	if (oldest == PEERS_MAX)
		return false;
	remove_peer(peers, oldest);
	return true;
}

struct peer *
peers_get(struct peers *peers, const char *node)
{
	struct peer *peer = peers_find(peers, node);

	if (peer != NULL || (peers->count == PEERS_MAX && !make_room(peers)))
		return peer;
	peer = xcalloc(1, sizeof(*peer));
	str_copy(peer->node, sizeof(peer->node), node);
	peer->rtt_us = -1;
	peers->list[peers->count++] = peer;
	return peer;
}

bool
peer_set_where(struct peer *peer, const char *address, unsigned int port)
{
	struct sockaddr_storage where = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&where;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&where;

	if (inet_pton(AF_INET, address, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
	} else if (inet_pton(AF_INET6, address, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
	} else {
		return false;
	}
	peer_take_where(peer, &where);
	return true;
}

void
peer_take_where(struct peer *peer, const struct sockaddr_storage *where)
{
	size_t size;
	const struct sockaddr_in *in = (const struct sockaddr_in *)where;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)where;

	if (memcmp(&peer->where, where, sizeof(*where)) == 0)
		return;
	peer->where = *where;
	inet_ntop(where->ss_family, address_of(where, &size), peer->address,
	    sizeof(peer->address));
	peer->port = ntohs(where->ss_family == AF_INET ? in->sin_port : in6->sin6_port);
}

/* ---- roles ---- */

struct peer_row *
peers_row(struct peers *peers, uint64_t id, uint32_t *role)
{
	for (size_t i = 0; i < peers->conf->n_roles; i++) {
		if (peers->rows[i].id == id) {
			*role = (uint32_t)i;
			return &peers->rows[i];
		}
	}
	return NULL;
}

static void
remove_link(struct peer_row *row, size_t i)
{
	row->links[i] = row->links[--row->count];
}

/* The place of who is neither present nor a member and was heard least lately. */
static bool
make_link_room(struct peer_row *row)
{
	size_t oldest = LINKS_MAX;

	for (size_t i = 0; i < row->count; i++) {
		const struct peer_link *link = &row->links[i];

		if (!link->present && !link->member &&
		    (oldest == LINKS_MAX ||
			link->peer->heard_at < row->links[oldest].peer->heard_at))
			oldest = i;
	}
	if (oldest == LINKS_MAX)
		return false;
	remove_link(row, oldest);
	return true;
}

struct peer_link *
peers_link(struct peers *peers, struct peer_row *row, struct peer *peer)
{
	for (size_t i = 0; i < row->count; i++) {
		if (row->links[i].peer == peer)
			return &row->links[i];
	}
	if (row->count == LINKS_MAX && !make_link_room(row))
		return NULL;
	row->links[row->count] = (struct peer_link){ .peer = peer };
	return &row->links[row->count++];
}

static bool
is_kept(const struct peer_link *link, int64_t now)
{
	return link->present || link->member ||
	    (link->peer->heard_at != 0 && now - link->peer->heard_at < PEER_DAY_MS);
}

static void
tidy_row(struct peer_row *row, int64_t now)
{
	for (size_t i = row->count; i-- > 0;) {
		if (!is_kept(&row->links[i], now))
			remove_link(row, i);
	}
}

void
peers_forget(struct peers *peers)
{
	int64_t now = clock_boot_ms();

	for (size_t role = 0; role < peers->conf->n_roles; role++)
		tidy_row(&peers->rows[role], now);
	for (size_t i = peers->count; i-- > 0;) {
		const struct peer *peer = peers->list[i];

		if ((peer->heard_at == 0 || now - peer->heard_at >= PEER_DAY_MS) &&
		    !has_place(peers, peer))
			remove_peer(peers, i);
	}
}

/* ---- who has a place ---- */

/* Where it says that it is counts when it says something new: what was heard since is newer. */
static void
take_place(struct peer *peer, const struct roster_peer *said)
{
	bool moved =
	    strcmp(peer->place, said->address) != 0 || peer->place_port != said->port;

	if (moved) {
		str_copy(peer->place, sizeof(peer->place), said->address);
		peer->place_port = said->port;
	}
	peer->place_inst = said->inst;
	peer->hb = said->peer.hb;
	if (said->port != 0 && (moved || peer->where.ss_family == 0))
		peer_set_where(peer, said->address, said->port);
}

void
peers_recount(struct peers *peers)
{
	peers_forget(peers);
	for (size_t i = 0; i < peers->count; i++)
		peers->list[i]->presences = 0;
	for (size_t role = 0; role < peers->conf->n_roles; role++) {
		const struct peer_row *row = &peers->rows[role];

		for (size_t i = 0; i < row->count; i++)
			row->links[i].peer->presences += row->links[i].present ? 1 : 0;
	}
	for (size_t i = 0; i < peers->count; i++) {
		struct peer *peer = peers->list[i];

		if (peer->presences == 0 || !peer->hb)
			peer->present_since = 0;
		else if (peer->present_since == 0)
			peer->present_since = clock_boot_ms();
	}
}

void
peers_present(
    struct peers *peers, uint32_t role, const struct roster_peer *list, size_t count)
{
	struct peer_row *row = &peers->rows[role];

	for (size_t i = 0; i < row->count; i++)
		row->links[i].present = false;
	for (size_t i = 0; i < count; i++) {
		bool self = strcmp(list[i].peer.node, peers->node) == 0;
		struct peer *peer =
		    self && (list[i].inst == peers->inst || list[i].inst == 0)
		    ? NULL
		    : peers_get(peers, list[i].peer.node);
		struct peer_link *link =
		    peer == NULL ? NULL : peers_link(peers, row, peer);

		if (link == NULL)
			continue;
		link->present = true;
		take_place(peer, &list[i]);
	}
	peers_recount(peers);
	loop_timer_after(peers->tick, 0);
}

void
peers_members(struct peers *peers, uint32_t role, const char (*nodes)[ROLE_NODE_SIZE],
    size_t count)
{
	struct peer_row *row = &peers->rows[role];

	for (size_t i = 0; i < row->count; i++)
		row->links[i].member = false;
	for (size_t i = 0; i < count; i++) {
		struct peer *peer = strcmp(nodes[i], peers->node) == 0
		    ? NULL
		    : peers_get(peers, nodes[i]);
		struct peer_link *link =
		    peer == NULL ? NULL : peers_link(peers, row, peer);

		if (link != NULL)
			link->member = true;
	}
	peers_forget(peers);
}
