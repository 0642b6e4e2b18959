/* SPDX-License-Identifier: ISC */
/*
 * What is wrong between this host and another, in words: for the log, once when it has
 * lasted and once when it is over, and for the status at any time. What could come and go
 * in a restart waits its time before it is said.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/failover/peer_state.h"

#define UNSIGNED_SAY_MS (3600 * 1000)

/* A peer that is cut off is present for up to 20 s more (its session's TTL). */
static const int64_t say_after_ms[] = {
	[PEER_FINE] = 0,
	[PEER_KEY] = 3000,
	[PEER_VERSION] = 0,
	[PEER_SILENT] = 15000,
	[PEER_DEAF] = 15000,
	[PEER_ERROR] = 3000,
};
_Static_assert(ARRAY_LENGTH(say_after_ms) == PEER_FAULTS, "one for each");

static void
put_words(const struct peers *peers, const struct peer *peer,
    const struct peer_trouble *trouble, char *out, size_t size)
{
	unsigned int port = peers->conf->failover.port;

	switch (trouble->fault) {
	case PEER_FINE: out[0] = '\0'; break;
	case PEER_KEY:
		snprintf(out, size, "%s signs with another key", peer->node);
		break;
	case PEER_VERSION:
		snprintf(out, size,
		    "%s speaks version %u of heartbeats, and this host version %d",
		    peer->node, peer->version, PULSE_VERSION);
		break;
	case PEER_SILENT:
		snprintf(out, size, "UDP %u from %s not heard: a firewall?", port,
		    peer->node);
		break;
	case PEER_DEAF:
		snprintf(out, size, "UDP %u to %s not answered: a firewall?",
		    peer->port, peer->node);
		break;
	case PEER_ERROR:
		snprintf(out, size, "UDP %u to %s: %s", peer->port, peer->node,
		    strerror(trouble->error));
		break;
	}
}

/* What is not signed anybody can write, in any host's name, and again and again. */
static bool
is_said_enough(const struct peer *peer, enum peer_fault fault, int64_t now)
{
	if (fault == PEER_VERSION)
		return peer->version_said == peer->version;
	return (fault == PEER_KEY || fault == PEER_ERROR) &&
	    peer->said_at[fault] != 0 && now - peer->said_at[fault] < UNSIGNED_SAY_MS;
}

void
peers_trouble(struct peers *peers, struct peer *peer, struct peer_trouble *trouble,
    enum peer_fault fault, int error)
{
	int64_t now;
	char words[160];

	if (fault == PEER_FINE && trouble->fault == PEER_FINE)
		return;
	now = clock_boot_ms();
	if (fault == PEER_FINE && trouble->said)
		log_notice("peer", "%s %s again", peer->node,
		    trouble == &peer->in ? "is heard" : "answers");
	if (trouble->fault != fault || trouble->error != error)
		*trouble = (struct peer_trouble){ fault, error, now, false };
	if (fault == PEER_FINE || trouble->said ||
	    now - trouble->since < say_after_ms[fault])
		return;
	if (is_said_enough(peer, fault, now))
		return;
	if (fault == PEER_VERSION)
		peer->version_said = peer->version;
	peer->said_at[fault] = now;
	trouble->said = true;
	put_words(peers, peer, trouble, words, sizeof(words));
	log_warning("peer", "%s (%s)", words,
	    peer->address[0] != '\0' ? peer->address : "address not known");
}

void
peers_stranger(struct peers *peers, const struct sockaddr_storage *from)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)from;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
	char address[INET6_ADDRSTRLEN];
	int64_t now = clock_boot_ms();

	peers->strangers++;
	if (peers->stranger_said_at != 0 &&
	    now - peers->stranger_said_at < UNSIGNED_SAY_MS)
		return;
	peers->stranger_said_at = now;
	if (from->ss_family == AF_INET)
		inet_ntop(AF_INET, &in->sin_addr, address, sizeof(address));
	else
		inet_ntop(AF_INET6, &in6->sin6_addr, address, sizeof(address));
	log_warning("peer",
	    "%s, which is no candidate of a role here, signs with another key: it is "
	    "not "
	    "heard, nor are others like it for an hour",
	    address);
}

static void
fill_view(
    const struct peers *peers, const struct peer_link *link, struct peer_view *view)
{
	const struct peer *peer = link->peer;

	*view = (struct peer_view){
		.port = peer->port,
		.present = link->present,
		.member = link->member,
		.hb = peer->hb,
		.heard_at = peer->heard_at,
		.acked_at = peer->answered_at,
		.rtt_us = peer->rtt_us,
		.version = peer->version,
		.inst = peer->inst,
		.sent = peer->sent,
		.heard = peer->heard,
		.refused = peer->refused,
		.errors = peer->errors,
	};
	str_copy(view->node, sizeof(view->node), peer->node);
	str_copy(view->address, sizeof(view->address), peer->address);
	put_words(peers, peer, peer->in.fault != PEER_FINE ? &peer->in : &peer->out,
	    view->fact, sizeof(view->fact));
}

size_t
peers_view(
    const struct peers *peers, uint32_t role, struct peer_view *list, size_t size)
{
	const struct peer_row *row = &peers->rows[role];
	size_t count = 0;

	for (size_t i = 0; i < row->count && count < size; i++)
		fill_view(peers, &row->links[i], &list[count++]);
	return count;
}

void
peers_why_not(const struct peers *peers, char *why, size_t why_size)
{
	why[0] = '\0';
	if (peers_able(peers))
		return;
	if (!peers->conf->failover.heartbeats)
		str_copy(why, why_size, "heartbeats = false");
	else if (peers->conf->n_roles == 0)
		str_copy(why, why_size, "there is no role");
	else if (peers->bind_error != 0)
		snprintf(why, why_size, "UDP %u on %s cannot be opened: %s",
		    peers->bound_port, peers->bound, strerror(peers->bind_error));
	else if (peers->fd < 0)
		str_copy(why, why_size,
		    "the address that Consul advertises is not known yet");
	else
		str_copy(why, why_size, "there is no key yet");
}
