/* SPDX-License-Identifier: ISC */
/*
 * Who is believed. A message counts if it is signed, is newer than what was heard of its
 * sender's process, was meant for this process, and that process is known to live. It has
 * proved so when it answered one of our own messages, newer than any it answered before:
 * so no recording counts, of another life of theirs or of ours. A process that is not
 * known is asked for that proof with a HELLO that answers its message, and answers it
 * in turn: one round trip after a restart. A HELLO says nothing about a role.
 *
 * A peer that is present and silent (as backups are) is asked each few seconds: so the proof is
 * there before it is needed, and a firewall is found before it matters.
 */
#include <errno.h>
#include <time.h>

#include "agent/base/util.h"
#include "agent/failover/peer_state.h"

#define SECOND_MS 1000
#define HELLOS_MAX 10 /* to one peer in a second */
#define NAMESAKE_MS 20000 /* silent for so long, it is gone */

int64_t
peers_clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* One of ten in this second: whoever repeats what it recorded gets no more. What comes from where
 * the peer is known to be has ten of its own: whoever feigns that has the answer sent to the
 * peer. */
static bool
take_hello(struct peer *peer, const struct sockaddr_storage *from)
{
	bool home = peer_is_at(peer, from);
	struct peer_hellos *hellos = &peer->hellos[home];
	int64_t now = clock_boot_ms();

	if (now - hellos->since >= SECOND_MS)
		*hellos = (struct peer_hellos){ now, 0 };
	return hellos->count++ < HELLOS_MAX;
}

/* `heard`: what it answers, by the key of that; or NULL. */
static void
send_hello(struct peers *peers, struct peer *peer, const struct sockaddr_storage *where,
    const struct pulse *heard, bool ask)
{
	struct pulse hello = { .type = PULSE_HELLO, .ask = ask };

	if (heard != NULL) {
		hello.to = heard->from;
		hello.ts = (int64_t)heard->seq;
		hello.key = heard->key;
	} else {
		hello.to = peer->inst != 0 ? peer->inst : peer->place_inst;
	}
	peers_send(peers, peer, where, &hello);
	if (ask) {
		peer->asked_seq = hello.seq;
		peer->asked_us = peers_clock_us();
	}
}

static void
set_namesake(struct peers *peers, bool on)
{
	if (peers->namesake == on)
		return;
	peers->namesake = on;
	peers->out.namesake(peers->out.arg, on);
}

static void
note_heard(struct peers *peers, struct peer *peer, const struct sockaddr_storage *where)
{
	peer->heard_at = clock_boot_ms();
	peer->heard++;
	peer_take_where(peer, where);
	peers_trouble(peers, peer, &peer->in, PEER_FINE, 0);
	if (peers_is_self(peers, peer))
		set_namesake(peers, true);
}

static void
note_answered(struct peers *peers, struct peer *peer, int64_t sent_us)
{
	peer->answered_at = clock_boot_ms();
	if (sent_us != 0)
		peer->rtt_us = peers_clock_us() - sent_us;
	peers_trouble(peers, peer, &peer->out, PEER_FINE, 0);
}

/* A new one of the process that is known to live. */
static void
take_message(struct peers *peers, struct peer *peer, const struct pulse *pulse,
    const struct sockaddr_storage *from)
{
	peer->seq = pulse->seq;
	peer->key = pulse->key;
	note_heard(peers, peer, from);
}

/* It lives: nobody else knows what we have just sent. */
static void
take_proof(struct peers *peers, struct peer *peer, const struct pulse *pulse,
    const struct sockaddr_storage *from)
{
	if (peer->inst != pulse->from) {
		peer->inst = pulse->from;
		peer->seq = 0;
	}
	peer->echo = (uint64_t)pulse->ts;
	peer->seq = pulse->seq > peer->seq ? pulse->seq : peer->seq;
	note_heard(peers, peer, from);
	note_answered(peers, peer, peer->echo == peer->asked_seq ? peer->asked_us : 0);
}

/* An answer goes to where the question came from: it may have moved. */
static void
hear_hello(struct peers *peers, struct peer *peer, const struct pulse *pulse,
    const struct sockaddr_storage *from)
{
	uint64_t answers = (uint64_t)pulse->ts;
	bool proof =
	    pulse->to == peers->inst && answers > peer->echo && answers <= peers->seq;

	if (proof)
		take_proof(peers, peer, pulse, from);
	else if (pulse->to == peers->inst && pulse->from == peer->inst &&
	    pulse->seq > peer->seq)
		take_message(peers, peer, pulse, from);
	if (pulse->ask && (proof || take_hello(peer, from)))
		send_hello(peers, peer, from, pulse, peer->inst != pulse->from);
}

static void
tell(struct peers *peers, struct peer *peer, const struct pulse *pulse)
{
	bool ack = pulse->type == PULSE_ACK;
	uint32_t role;
	struct peer_row *row = peers_row(peers, pulse->role, &role);

	if (ack)
		note_answered(
		    peers, peer, pulse->ts == peers->beat_ts ? peers->beat_us : 0);
	if (row == NULL)
		return;
	peers_link(peers, row, peer);
	if (ack)
		peers->out.ack(peers->out.arg, role, pulse);
	else
		peers->out.heartbeat(peers->out.arg, role, pulse);
}

static void
hear_beat(struct peers *peers, struct peer *peer, const struct pulse *pulse,
    const struct sockaddr_storage *from)
{
	if (pulse->to != peers->inst || pulse->from != peer->inst) {
		if (take_hello(peer, from))
			send_hello(peers, peer, from, pulse, true);
		return;
	}
	if (pulse->seq <= peer->seq) {
		peer->refused++;
		return;
	}
	take_message(peers, peer, pulse, from);
	if (!peers_is_self(peers, peer))
		tell(peers, peer, pulse);
}

/* Nothing that is not signed is worth more than a count. */
static void
refuse(struct peers *peers, int err, const struct sockaddr_storage *from)
{
	struct peer *peer = peers_find_address(peers, from);

	if (peer != NULL)
		peer->refused++;
	if (err == -EINVAL)
		return;
	if (peer != NULL)
		peers_trouble(peers, peer, &peer->in, PEER_KEY, 0);
	else
		peers_stranger(peers, from);
	if (err == -ENOKEY)
		peers->out.unknown_key(peers->out.arg);
}

void
peers_hear(struct peers *peers, const uint8_t *data, size_t len,
    const struct sockaddr_storage *from)
{
	struct pulse pulse;
	int err = pulse_read(data, len, &peers->keys, &pulse);
	struct peer *peer;

	if (err != 0 && err != -EPROTO) {
		refuse(peers, err, from);
		return;
	}
	peer = pulse.from == peers->inst ? NULL : peers_get(peers, pulse.node);
	if (peer == NULL)
		return;
	peer->version = pulse.version;
	if (err == -EPROTO)
		peers_trouble(peers, peer, &peer->in, PEER_VERSION, 0);
	else if (pulse.type == PULSE_HELLO)
		hear_hello(peers, peer, &pulse, from);
	else
		hear_beat(peers, peer, &pulse, from);
}

/* ---- who is silent ---- */

static int64_t
since(int64_t now, int64_t at, int64_t present_since)
{
	return now - (at > present_since ? at : present_since);
}

static void
judge(struct peers *peers, struct peer *peer, int64_t now)
{
	bool named = peer->in.fault == PEER_KEY || peer->in.fault == PEER_VERSION;
	bool silent = since(now, peer->heard_at, peer->present_since) > PEER_SILENT_MS;
	bool deaf = since(now, peer->answered_at, peer->present_since) > PEER_SILENT_MS;

	if (silent && !named)
		peers_trouble(peers, peer, &peer->in, PEER_SILENT, 0);
	else if (deaf && !silent && peer->out.fault != PEER_ERROR)
		peers_trouble(peers, peer, &peer->out, PEER_DEAF, 0);
}

static void
care(struct peers *peers, struct peer *peer, int64_t now)
{
	bool fresh = now - peer->heard_at < PEER_ASK_MS &&
	    now - peer->answered_at < PEER_ASK_MS && peer->heard_at != 0 &&
	    peer->answered_at != 0;

	if (peer->present_since == 0) {
		peer->in = (struct peer_trouble){ 0 };
		peer->out = (struct peer_trouble){ 0 };
		return;
	}
	if (!fresh && peer->where.ss_family != 0 &&
	    (peer->asked_at == 0 || now - peer->asked_at >= SECOND_MS)) {
		peer->asked_at = now;
		send_hello(peers, peer, NULL, NULL, true);
	}
	if (!peers_is_self(peers, peer))
		judge(peers, peer, now);
}

void
peers_care(struct peers *peers)
{
	int64_t now = clock_boot_ms();
	bool namesake = false;

	for (size_t i = 0; i < peers->count; i++) {
		struct peer *peer = peers->list[i];

		care(peers, peer, now);
		if (peers_is_self(peers, peer) && peer->heard_at != 0)
			namesake = now - peer->heard_at < NAMESAKE_MS;
	}
	if (!namesake)
		set_namesake(peers, false);
}
