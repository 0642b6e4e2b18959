/* SPDX-License-Identifier: ISC */
/*
 * Whom the heartbeat servant believes: between two hosts a stranger listens who records,
 * repeats, and writes messages by hand. What is heard must be signed, fresh, of a version
 * that is known and of a process that lives.
 */
#include "agent/failover/peer_state.h"

#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/mac.h"
#include "agent/base/util.h"
#include "tests/unit/peer_bed.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

static const struct heartkeys key_b = { 1, { { 2 } } },
			      key_ab = { 2, { { 1 }, { 2 } } },
			      key_ba = { 2, { { 2 }, { 1 } } };

/* ---- the stranger ---- */

static ssize_t
overhear(struct fixture *f, uint8_t data[PULSE_MAX])
{
	for (int i = 0; i < 100; i++) {
		ssize_t len = recv(f->fd, data, PULSE_MAX, 0);

		if (len > 0)
			return len;
		run_for(f->loop, 10);
	}
	return -1;
}

static void
send_to(struct fixture *f, size_t i, const uint8_t *data, size_t len)
{
	struct sockaddr_storage to = sockaddr_of(f, f->hosts[i].address, f->port);

	sendto(f->fd, data, len, 0, (struct sockaddr *)&to,
	    f->family == AF_INET ? sizeof(struct sockaddr_in)
				 : sizeof(struct sockaddr_in6));
}

static void
send_signed(struct fixture *f, size_t i, const struct pulse *pulse,
    const struct heartkeys *with)
{
	struct pulse_keys keys = { 0 };
	uint8_t data[PULSE_MAX];

	pulse_keys_set(&keys, with->keys, with->count);
	send_to(f, i, data, pulse_print(pulse, &keys, data));
	pulse_keys_clear(&keys);
}

/* The stranger's place among the present of host 0, which then sends it all that db-2 gets. */
static void
wiretap(struct fixture *f)
{
	struct roster_peer list[2] = { place_of(&f->hosts[1]) };

	list[1] = list[0];
	str_copy(list[1].peer.node, sizeof(list[1].peer.node), "tap");
	str_copy(list[1].address, sizeof(list[1].address), f->stranger);
	list[1].inst = f->hosts[1].inst;
	peers_present(f->hosts[0].peers, 0, list, 2);
}

/* What the stranger hears of db-1 and could be meant for db-2, next. */
static size_t
record(struct fixture *f, uint8_t data[PULSE_MAX])
{
	struct pulse_keys keys = { 0 };
	struct pulse pulse = { .type = PULSE_HELLO };
	ssize_t len = 0;

	pulse_keys_set(&keys, f->keys.keys, f->keys.count);
	while (pulse.type == PULSE_HELLO && len >= 0) {
		beat(f, 0, 7);
		len = overhear(f, data);
		if (len > 0)
			pulse_read(data, (size_t)len, &keys, &pulse);
	}
	pulse_keys_clear(&keys);
	CU_ASSERT_TRUE_FATAL(len > 0);
	return (size_t)len;
}

/* db-1 and db-2 have proved that they live, and the stranger hears what db-1 sends. */
static void
open_tapped(struct fixture *f)
{
	open_fixture(f, AF_INET);
	start_two(f);
	wiretap(f);
}

/* The same message again and again, to db-2. */
static void
repeat(struct fixture *f, const uint8_t *data, size_t len)
{
	for (int i = 0; i < 20; i++) {
		send_to(f, 1, data, len);
		run_for(f->loop, 10);
	}
}

/* Heard once, and a repetition never. */
static void
test_replay(void)
{
	struct fixture f;
	uint8_t data[PULSE_MAX];
	unsigned int before;
	size_t len;

	open_tapped(&f);
	len = record(&f, data);
	send_to(&f, 1, data, len); /* as if it had taken its time */
	run_for(f.loop, 50);
	before = f.hosts[1].beats;
	CU_ASSERT_TRUE(before > 0);
	for (int i = 0; i < 20; i++)
		send_to(&f, 1, data, len);
	run_for(f.loop, 100);
	CU_ASSERT_EQUAL(f.hosts[1].beats, before);
	CU_ASSERT_TRUE(view_of(&f, 1, "db-1")->refused >= 20);
	CU_ASSERT_TRUE(beats_until_heard(&f));
	close_fixture(&f);
}

/* The sender, then the receiver has a new life: what the one before sent or was sent is nothing,
 * and the new one is heard soon. */
static void
test_other_lives(void)
{
	struct fixture f;
	uint8_t data[PULSE_MAX];
	unsigned int before;
	size_t len;

	open_tapped(&f);
	len = record(&f, data);
	run_for(f.loop, 50);
	stop_host(&f, 0);
	start_host(&f, 0, 0xa2);
	wiretap(&f);
	CU_ASSERT_TRUE(beats_until_heard(&f));
	CU_ASSERT_EQUAL(f.hosts[1].beat.from, 0xa2);
	before = f.hosts[1].beats;
	repeat(&f, data, len);
	CU_ASSERT_EQUAL(f.hosts[1].beats, before);
	len = record(&f, data);
	run_for(f.loop, 50);
	stop_host(&f, 1);
	start_host(&f, 1, 0xb2);
	repeat(&f, data, len);
	CU_ASSERT_EQUAL(f.hosts[1].beats, 0);
	CU_ASSERT_TRUE(beats_until_heard(&f));
	close_fixture(&f);
}

static void
flood(struct fixture *f, const uint8_t *data, size_t len)
{
	for (int i = 0; i < 30; i++)
		send_to(f, 1, data, len);
	run_for(f->loop, 10);
}

static bool
knows_first(void *arg)
{
	const struct peer_view *view = view_of(arg, 1, "db-1");

	return view != NULL && view->heard_at != 0;
}

/* What the stranger repeats is of lives that are over: he is answered a few times, and takes
 * nothing from db-1: neither db-2's question, nor the answer when db-1 begins anew. */
static void
test_flood(void)
{
	struct fixture f;
	uint8_t data[PULSE_MAX];
	size_t len;

	open_tapped(&f);
	len = record(&f, data);
	stop_host(&f, 1);
	start_host(&f, 1, 0xb2);
	flood(&f, data, len);
	show_all(&f, 1, 0);
	CU_ASSERT_TRUE(until(f.loop, knows_first, &f, 800));
	CU_ASSERT_EQUAL(f.hosts[1].beats, 0);
	stop_host(&f, 0);
	start_host(&f, 0, 0xa2);
	flood(&f, data, len);
	show_all(&f, 0, 0);
	for (int i = 0; i < 10 && f.hosts[1].beats == 0; i++) {
		flood(&f, data, len);
		beat(&f, 0, 7);
		run_for(f.loop, 10);
	}
	CU_ASSERT_TRUE(f.hosts[1].beats > 0);
	CU_ASSERT_EQUAL(f.hosts[1].beat.from, 0xa2);
	close_fixture(&f);
}

/* ---- the stranger as a host "tap" that db-1 knows ---- */

/* The number of the first question of db-1's that is higher than `last`. */
static uint64_t
question_after(struct fixture *f, uint64_t last)
{
	struct pulse_keys keys = { 0 };
	struct pulse ask = { 0 };
	uint8_t data[PULSE_MAX];
	ssize_t len;

	pulse_keys_set(&keys, f->keys.keys, f->keys.count);
	while (ask.seq <= last && (len = overhear(f, data)) > 0)
		CU_ASSERT_EQUAL(pulse_read(data, (size_t)len, &keys, &ask), 0);
	pulse_keys_clear(&keys);
	CU_ASSERT_TRUE_FATAL(ask.seq > last && ask.type == PULSE_HELLO && ask.ask);
	return ask.seq;
}

/* Its life `from` lives, for it knows the question. */
static void
tap_proves(struct fixture *f, uint64_t from, uint64_t question)
{
	send_signed(f, 0,
	    &(struct pulse){ .type = PULSE_HELLO,
		.node = "tap",
		.from = from,
		.to = 0xa1,
		.seq = 10,
		.ts = (int64_t)question },
	    &key_a);
}

/* A heartbeat of its first life, to the life `to` of db-1. */
static void
tap_beats(struct fixture *f, uint64_t to, uint64_t seq)
{
	send_signed(f, 0,
	    &(struct pulse){ .type = PULSE_HEARTBEAT,
		.node = "tap",
		.from = 0xc1,
		.to = to,
		.seq = seq,
		.role = pulse_role("role-0"),
		.rev = 1,
		.phase = ROLE_PHASE_MASTER },
	    &key_a);
}

/* In its life `inst`, it has been heard so often. */
static void
check_tap(struct fixture *f, uint64_t inst, unsigned int beats)
{
	run_for(f->loop, 50);
	CU_ASSERT_EQUAL(view_of(f, 0, "tap")->inst, inst);
	CU_ASSERT_EQUAL(f->hosts[0].beats, beats);
}

/* A proof is of one question: told again it proves nothing of a life that is over. */
static void
test_proof_replayed(void)
{
	struct fixture f;
	uint64_t first;

	open_tapped(&f);
	first = question_after(&f, 0);
	tap_beats(&f, 0xa1, 11); /* not proven yet */
	run_for(f.loop, 50);
	CU_ASSERT_EQUAL(f.hosts[0].beats, 0);
	tap_proves(&f, 0xc1, first);
	tap_beats(&f, 0xa1, 11);
	check_tap(&f, 0xc1, 1);
	tap_beats(&f, 0xa0, UINT64_C(1) << 40); /* to another life of this host */
	check_tap(&f, 0xc1, 1);
	/* a new life of it takes the place of the one before ... */
	tap_proves(&f, 0xc2, question_after(&f, first));
	check_tap(&f, 0xc2, 1);
	/* ... which the recordings of it do not bring back */
	tap_proves(&f, 0xc1, first);
	tap_beats(&f, 0xa1, 12);
	check_tap(&f, 0xc2, 1);
	/* nor does one that answers what was never asked */
	tap_proves(&f, 0xc1, 1 << 30);
	check_tap(&f, 0xc2, 1);
	close_fixture(&f);
}

/* However many want an answer, they are ten a second. */
static void
test_hello_rate(void)
{
	struct fixture f;
	struct pulse ask = {
		.type = PULSE_HELLO, .node = "tap", .from = 0xc1, .ask = true
	};
	uint8_t data[PULSE_MAX];
	unsigned int answers = 0;

	open_fixture(&f, AF_INET);
	start_two(&f);
	for (unsigned int i = 1; i <= 100; i++) {
		ask.seq = i;
		send_signed(&f, 0, &ask, &key_a);
	}
	run_for(f.loop, 100);
	while (recv(f.fd, data, sizeof(data), 0) > 0)
		answers++;
	CU_ASSERT_EQUAL(answers, 10);
	close_fixture(&f);
}

/* ---- keys, versions, namesakes ---- */

static void
test_keys(void)
{
	struct fixture f;

	open_fixture(&f, AF_INET);
	start_two(&f);
	peers_keys(f.hosts[0].peers, &key_b);
	beat(&f, 0, 5);
	run_for(f.loop, 50);
	CU_ASSERT_EQUAL(f.hosts[1].beats, 0);
	CU_ASSERT_TRUE(f.hosts[1].unknown_keys > 0);
	CU_ASSERT_STRING_EQUAL(
	    view_of(&f, 1, "db-1")->fact, "db-1 signs with another key");
	peers_keys(f.hosts[0].peers, &key_a);
	CU_ASSERT_TRUE(beats_until_heard(&f));
	CU_ASSERT_STRING_EQUAL(view_of(&f, 1, "db-1")->fact, "");
	close_fixture(&f);
}

/* a; a with b; b with a; b: each host takes each step before the other or after it, and all is
 * heard throughout. */
static void
test_rotation(void)
{
	static const struct heartkeys *const steps[] = { &key_a, &key_ab, &key_ba,
		&key_b };
	struct fixture f;

	for (size_t first = 0; first < 2; first++) {
		open_fixture(&f, AF_INET);
		start_two(&f);
		for (size_t step = 1; step < ARRAY_LENGTH(steps); step++) {
			for (size_t i = 0; i < 2; i++) {
				peers_keys(f.hosts[(first + i) % 2].peers, steps[step]);
				f.count = f.hosts[1].beats + 1;
				beat(&f, 0, 5);
				CU_ASSERT_TRUE(
				    until(f.loop, heard_beats, &f, LIMIT_MS));
				f.count = f.hosts[0].acks + 1;
				peers_ack(
				    f.hosts[1].peers, 0, "db-1", 0xa1, 5, 1, true, 5);
				CU_ASSERT_TRUE(until(f.loop, heard_acks, &f, LIMIT_MS));
			}
		}
		CU_ASSERT_EQUAL(f.hosts[0].unknown_keys + f.hosts[1].unknown_keys, 0);
		close_fixture(&f);
	}
}

/* Consul does not tell the master the new key: it is answered by the one that it knows. */
static void
test_left_behind(void)
{
	struct fixture f;

	open_fixture(&f, AF_INET);
	start_two(&f);
	peers_keys(f.hosts[0].peers, &key_a);
	peers_keys(f.hosts[1].peers, &key_ba);
	CU_ASSERT_TRUE(beats_until_heard(&f));
	f.count = f.hosts[0].acks + 1;
	peers_ack(f.hosts[1].peers, 0, "db-1", 0xa1, 5, 1, true, 5);
	CU_ASSERT_TRUE(until(f.loop, heard_acks, &f, LIMIT_MS));
	close_fixture(&f);
}

static void
test_version(void)
{
	struct fixture f;
	struct pulse_keys keys = { 0 };
	struct pulse pulse = { .node = "db-1",
		.from = 0xa1,
		.to = 0xb1,
		.seq = 1 << 20,
		.role = pulse_role("role-0") };
	uint8_t data[PULSE_MAX];
	size_t len;

	open_fixture(&f, AF_INET);
	start_two(&f);
	pulse_keys_set(&keys, f.keys.keys, f.keys.count);
	len = pulse_print(&pulse, &keys, data);
	data[2] = 2;
	mac_sign(keys.list[0].mac, data, len - MAC_SIZE, data + len - MAC_SIZE);
	send_to(&f, 1, data, len);
	run_for(f.loop, 50);
	CU_ASSERT_EQUAL(f.hosts[1].beats, 0);
	CU_ASSERT_EQUAL(view_of(&f, 1, "db-1")->version, 2);
	CU_ASSERT_STRING_EQUAL(view_of(&f, 1, "db-1")->fact,
	    "db-1 speaks version 2 of heartbeats, and this host version 1");
	CU_ASSERT_TRUE(beats_until_heard(&f));
	CU_ASSERT_EQUAL(view_of(&f, 1, "db-1")->version, 1);
	CU_ASSERT_STRING_EQUAL(view_of(&f, 1, "db-1")->fact, "");
	pulse_keys_clear(&keys);
	close_fixture(&f);
}

/* A fault that anybody can feign, by a message with a peer's address or an error that a router
 * might tell, is said once, however often it comes and goes; one that a peer itself shows, each
 * time. */
static void
test_feigned(void)
{
	static const enum peer_fault faults[] = { PEER_KEY, PEER_ERROR, PEER_SILENT };

	for (size_t i = 0; i < ARRAY_LENGTH(faults); i++) {
		struct conf conf = { .failover.port = 8521 };
		struct peers peers = { .conf = &conf };
		struct peer peer = { .node = "db-2" };
		unsigned int said = 0;

		for (int time = 0; time < 3; time++) {
			peers_trouble(&peers, &peer, &peer.in, faults[i], 0);
			peer.in.since -= 60 * 1000;
			peers_trouble(&peers, &peer, &peer.in, faults[i], 0);
			said += peer.in.said;
			peers_trouble(&peers, &peer, &peer.in, PEER_FINE, 0);
		}
		CU_ASSERT_EQUAL(said, faults[i] == PEER_SILENT ? 3 : 1);
		peer.said_at[faults[i]] -= 3600 * 1000;
		peers_trouble(&peers, &peer, &peer.in, faults[i], 0);
		peer.in.since -= 60 * 1000;
		peers_trouble(&peers, &peer, &peer.in, faults[i], 0);
		CU_ASSERT_TRUE(peer.in.said); /* after an hour again */
	}
}

static bool
knows_namesake(void *arg)
{
	struct fixture *f = arg;

	return f->hosts[0].namesake && f->hosts[2].namesake;
}

/* Two agents of one name, of which one holds the candidacy: each hears of the other. The own
 * candidacy of an earlier life is nobody else's. */
static void
test_namesake(void)
{
	struct fixture f;
	struct roster_peer place;

	open_fixture(&f, AF_INET);
	start_two(&f);
	place = place_of(&f.hosts[0]);
	place.inst = 0xa0;
	peers_present(f.hosts[0].peers, 0, &place, 1);
	run_for(f.loop, 100);
	CU_ASSERT_EQUAL(f.hosts[0].namesakes, 0);
	start_host(&f, 2, 0xa3);
	peers_free(f.hosts[2].peers);
	str_copy(f.hosts[2].node, sizeof(f.hosts[2].node), "db-1");
	struct peers_out out = told_to(&f.hosts[2]);
	f.hosts[2].peers = peers_new(f.loop, &f.conf, "db-1", 0xa3, &out);
	f.hosts[2].able = false;
	peers_bind(f.hosts[2].peers, f.hosts[2].address);
	peers_keys(f.hosts[2].peers, &f.keys);
	place.inst = f.hosts[0].inst;
	peers_present(f.hosts[2].peers, 0, &place, 1);
	CU_ASSERT_TRUE(until(f.loop, knows_namesake, &f, LIMIT_MS));
	CU_ASSERT_EQUAL(f.hosts[1].namesakes, 0);
	CU_ASSERT_EQUAL(f.hosts[0].beats, 0);
	close_fixture(&f);
}

static const struct tap_case cases[] = {
	{ "a message is heard once", test_replay },
	{ "messages of other lives are not heard", test_other_lives },
	{ "a proof is good once", test_proof_replayed },
	{ "answers have a rate", test_hello_rate },
	{ "another key", test_keys },
	{ "a rotation loses nothing", test_rotation },
	{ "who has only the key before is answered by it", test_left_behind },
	{ "a flood of what was recorded", test_flood },
	{ "another version", test_version },
	{ "what anybody can feign is said once", test_feigned },
	{ "two agents of one name", test_namesake },
};

TAP_MAIN("peer_talk", cases)
