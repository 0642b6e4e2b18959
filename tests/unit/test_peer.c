/* SPDX-License-Identifier: ISC */
/*
 * The heartbeat servant over the loopback, IPv4 and IPv6: hosts are servants on addresses of
 * their own; between two of them a stranger listens who records, repeats, and writes messages
 * by hand. What is heard must be signed, fresh, and of a process that lives.
 */
#include "agent/failover/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"
#include "agent/failover/heartkey.h"
#include "agent/failover/pulse.h"
#include "agent/failover/roster.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

#define LIMIT_MS 5000
#define HOSTS 3
#define ROLES 2

/* One host: its servant and what it told. */
struct host {
	struct peers *peers;
	struct conf conf; /* its port is its own */
	char node[16], address[INET6_ADDRSTRLEN];
	uint64_t inst;
	unsigned int beats, acks, ables, unknown_keys, namesakes;
	bool able, namesake;
	uint32_t role;
	struct pulse beat, ack;
};

struct fixture {
	struct loop *loop;
	struct conf conf;
	struct conf_role *roles[ROLES];
	struct host hosts[HOSTS];
	struct heartkeys keys;
	int fd; /* the stranger's */
	char stranger[INET6_ADDRSTRLEN];
	unsigned int port, ports[HOSTS], count;
	int family;
};

static const struct heartkeys key_a = { 1, { { 1 } } }, key_b = { 1, { { 2 } } },
			      key_ab = { 2, { { 1 }, { 2 } } },
			      key_ba = { 2, { { 2 }, { 1 } } };

static void
on_heartbeat(void *arg, uint32_t role, const struct pulse *pulse)
{
	struct host *host = arg;

	host->beats++;
	host->role = role;
	host->beat = *pulse;
}

static void
on_ack(void *arg, uint32_t role, const struct pulse *pulse)
{
	struct host *host = arg;

	host->acks++;
	host->role = role;
	host->ack = *pulse;
}

static void
on_able(void *arg, bool able)
{
	struct host *host = arg;

	CU_ASSERT_NOT_EQUAL(able, host->able);
	host->ables++;
	host->able = able;
}

static void
on_namesake(void *arg, bool on)
{
	struct host *host = arg;

	host->namesakes++;
	host->namesake = on;
}

static void
on_unknown_key(void *arg)
{
	((struct host *)arg)->unknown_keys++;
}

static struct sockaddr_storage
sockaddr_of(const struct fixture *f, const char *address, unsigned int port)
{
	struct sockaddr_storage out = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out;

	out.ss_family = (sa_family_t)f->family;
	if (f->family == AF_INET) {
		in->sin_port = htons((uint16_t)port);
		inet_pton(AF_INET, address, &in->sin_addr);
	} else {
		in6->sin6_port = htons((uint16_t)port);
		inet_pton(AF_INET6, address, &in6->sin6_addr);
	}
	return out;
}

static int
open_socket(const struct fixture *f, const char *address, unsigned int port)
{
	struct sockaddr_storage at = sockaddr_of(f, address, port);
	int fd = socket(f->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&at,
				  f->family == AF_INET ? sizeof(struct sockaddr_in)
						       : sizeof(struct sockaddr_in6)),
	    0);
	return fd;
}

/* With IPv4 each has an address of the loopback of its own, with IPv6 there is one: ports
 * differ. */
static void
start_host(struct fixture *f, size_t i, uint64_t inst)
{
	struct host *host = &f->hosts[i];
	struct peers_out out = { on_heartbeat, on_ack, on_able, on_namesake,
		on_unknown_key, host };

	*host = (struct host){ .inst = inst, .conf = f->conf };
	if (f->family == AF_INET6)
		host->conf.failover.port = f->ports[i];
	snprintf(host->node, sizeof(host->node), "db-%zu", i + 1);
	snprintf(host->address, sizeof(host->address),
	    f->family == AF_INET ? "127.0.77.%zu" : "::1", i + 1);
	host->peers = peers_new(f->loop, &host->conf, host->node, inst, &out);
	peers_bind(host->peers, host->address);
	peers_keys(host->peers, &f->keys);
}

static struct roster_peer
place_of(const struct host *host)
{
	struct roster_peer place = { .port = (uint16_t)host->conf.failover.port,
		.inst = host->inst };

	place.peer.hb = true;
	str_copy(place.peer.node, sizeof(place.peer.node), host->node);
	str_copy(place.address, sizeof(place.address), host->address);
	return place;
}

/* To `i` the others are present for `role`, and it itself, as a watch shows. */
static void
show_all(struct fixture *f, size_t i, uint32_t role)
{
	struct roster_peer list[HOSTS];
	size_t count = 0;

	for (size_t k = 0; k < HOSTS; k++) {
		if (f->hosts[k].peers != NULL)
			list[count++] = place_of(&f->hosts[k]);
	}
	peers_present(f->hosts[i].peers, role, list, count);
}

static unsigned int
free_port(const struct fixture *f)
{
	struct sockaddr_storage at = { 0 };
	socklen_t size = sizeof(at);
	int fd = open_socket(f, f->stranger, 0);

	getsockname(fd, (struct sockaddr *)&at, &size);
	close(fd);
	return ntohs(((struct sockaddr_in *)&at)->sin_port);
}

static void
open_fixture(struct fixture *f, int family)
{
	*f = (struct fixture){ .family = family, .keys = key_a };
	str_copy(f->stranger, sizeof(f->stranger),
	    family == AF_INET ? "127.0.77.99" : "::1");
	f->loop = loop_new();
	f->port = free_port(f);
	for (size_t i = 0; i < HOSTS; i++)
		f->ports[i] = free_port(f);
	f->fd = open_socket(f, f->stranger, f->port);
	f->conf.failover.port = f->port;
	f->conf.failover.heartbeats = true;
	f->conf.n_roles = ROLES;
	f->conf.roles = f->roles;
	for (uint32_t i = 0; i < ROLES; i++) {
		f->roles[i] = xcalloc(1, sizeof(*f->roles[i]));
		f->roles[i]->index = i;
		f->roles[i]->name = xasprintf("role-%u", i);
	}
}

static void
stop_host(struct fixture *f, size_t i)
{
	peers_free(f->hosts[i].peers);
	f->hosts[i].peers = NULL;
}

static void
close_fixture(struct fixture *f)
{
	for (size_t i = 0; i < HOSTS; i++)
		stop_host(f, i);
	for (size_t i = 0; i < ROLES; i++) {
		free(f->roles[i]->name);
		free(f->roles[i]);
	}
	close(f->fd);
	loop_free(f->loop);
}

static const struct peer_view *
view_of(struct fixture *f, size_t i, const char *node)
{
	static struct peer_view list[16];
	size_t count = peers_view(f->hosts[i].peers, 0, list, ARRAY_LENGTH(list));

	for (size_t k = 0; k < count; k++) {
		if (strcmp(list[k].node, node) == 0)
			return &list[k];
	}
	return NULL;
}

static bool
is_proven(void *arg)
{
	struct fixture *f = arg;
	const struct peer_view *a = view_of(f, 0, "db-2"), *b = view_of(f, 1, "db-1");

	return a != NULL && b != NULL && a->heard_at != 0 && a->acked_at != 0 &&
	    b->heard_at != 0 && b->acked_at != 0;
}

/* Two hosts that know each other by their presence. */
static void
start_two(struct fixture *f)
{
	start_host(f, 0, 0xa1);
	start_host(f, 1, 0xb1);
	for (size_t i = 0; i < 2; i++)
		show_all(f, i, 0);
	CU_ASSERT_TRUE(until(f->loop, is_proven, f, LIMIT_MS));
	CU_ASSERT_TRUE(f->hosts[0].able && f->hosts[1].able);
}

static bool
heard_beats(void *arg)
{
	struct fixture *f = arg;

	return f->hosts[1].beats >= f->count;
}

static bool
heard_acks(void *arg)
{
	struct fixture *f = arg;

	return f->hosts[0].acks >= f->count;
}

static void
beat(struct fixture *f, size_t i, uint64_t rev)
{
	peers_heartbeat(f->hosts[i].peers, 0, ROLE_PHASE_MASTER, rev, 1000, 1010);
}

/* Sends until it is heard: after a restart the first ones are not. */
static bool
beats_until_heard(struct fixture *f)
{
	for (int i = 0; i < 100; i++) {
		unsigned int before = f->hosts[1].beats;

		beat(f, 0, 5);
		run_for(f->loop, 20);
		if (f->hosts[1].beats > before)
			return true;
	}
	return false;
}

static void
check_messages(int family)
{
	struct fixture f;

	open_fixture(&f, family);
	start_two(&f);
	beat(&f, 0, 42);
	f.count = 1;
	CU_ASSERT_TRUE(until(f.loop, heard_beats, &f, LIMIT_MS));
	CU_ASSERT_STRING_EQUAL(f.hosts[1].beat.node, "db-1");
	CU_ASSERT_EQUAL(f.hosts[1].beat.from, 0xa1);
	CU_ASSERT_EQUAL(f.hosts[1].beat.rev, 42);
	CU_ASSERT_EQUAL(f.hosts[1].beat.ts, 1000);
	CU_ASSERT_EQUAL(f.hosts[1].beat.lease_ms, 1010);
	CU_ASSERT_EQUAL(f.hosts[1].beat.phase, ROLE_PHASE_MASTER);
	peers_ack(f.hosts[1].peers, 0, "db-1", 0xa1, 42, 1000, true, 43);
	CU_ASSERT_TRUE(until(f.loop, heard_acks, &f, LIMIT_MS));
	CU_ASSERT_EQUAL(f.hosts[0].ack.to, 0xa1);
	CU_ASSERT_EQUAL(f.hosts[0].ack.rev, 42);
	CU_ASSERT_EQUAL(f.hosts[0].ack.known, 43);
	CU_ASSERT_EQUAL(f.hosts[0].ack.ts, 1000);
	CU_ASSERT_TRUE(f.hosts[0].ack.ready);
	CU_ASSERT_TRUE(view_of(&f, 0, "db-2")->rtt_us >= 0);
	CU_ASSERT_EQUAL(view_of(&f, 0, "db-2")->inst, 0xb1);
	CU_ASSERT_STRING_EQUAL(view_of(&f, 0, "db-2")->address, f.hosts[1].address);
	CU_ASSERT_EQUAL(f.hosts[0].beats, 0);
	CU_ASSERT_EQUAL(f.hosts[1].acks, 0);
	close_fixture(&f);
}

static void
test_messages_v4(void)
{
	check_messages(AF_INET);
}

static void
test_messages_v6(void)
{
	check_messages(AF_INET6);
}

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

/* Heard once, and a repetition never. */
static void
test_replay(void)
{
	struct fixture f;
	uint8_t data[PULSE_MAX];
	unsigned int before;
	size_t len;

	open_fixture(&f, AF_INET);
	start_two(&f);
	wiretap(&f);
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

	open_fixture(&f, AF_INET);
	start_two(&f);
	wiretap(&f);
	len = record(&f, data);
	run_for(f.loop, 50);
	stop_host(&f, 0);
	start_host(&f, 0, 0xa2);
	wiretap(&f);
	CU_ASSERT_TRUE(beats_until_heard(&f));
	CU_ASSERT_EQUAL(f.hosts[1].beat.from, 0xa2);
	before = f.hosts[1].beats;
	for (int i = 0; i < 20; i++) {
		send_to(&f, 1, data, len);
		run_for(f.loop, 10);
	}
	CU_ASSERT_EQUAL(f.hosts[1].beats, before);
	len = record(&f, data);
	run_for(f.loop, 50);
	stop_host(&f, 1);
	start_host(&f, 1, 0xb2);
	for (int i = 0; i < 20; i++) {
		send_to(&f, 1, data, len);
		run_for(f.loop, 10);
	}
	CU_ASSERT_EQUAL(f.hosts[1].beats, 0);
	CU_ASSERT_TRUE(beats_until_heard(&f));
	close_fixture(&f);
}

/* A proof is of one question: told again it proves nothing of a life that is over. */
static void
test_proof_replayed(void)
{
	struct fixture f;
	struct pulse_keys keys = { 0 };
	uint8_t data[PULSE_MAX];
	struct pulse ask,
	    proof = { .type = PULSE_HELLO,
		    .node = "tap",
		    .from = 0xc1,
		    .to = 0xa1,
		    .seq = 10 };
	struct pulse old = { .type = PULSE_HEARTBEAT,
		.node = "tap",
		.from = 0xc1,
		.to = 0xa1,
		.seq = 11,
		.role = pulse_role("role-0"),
		.rev = 1,
		.phase = ROLE_PHASE_MASTER };
	ssize_t len;

	open_fixture(&f, AF_INET);
	start_two(&f);
	wiretap(&f);
	pulse_keys_set(&keys, f.keys.keys, f.keys.count);
	len = overhear(&f, data);
	CU_ASSERT_EQUAL_FATAL(pulse_read(data, (size_t)len, &keys, &ask), 0);
	CU_ASSERT_TRUE(ask.type == PULSE_HELLO && ask.ask);
	send_signed(&f, 0, &old, &key_a);
	run_for(f.loop, 50);
	CU_ASSERT_EQUAL(f.hosts[0].beats, 0); /* not proven yet */
	proof.ts = (int64_t)ask.seq;
	send_signed(&f, 0, &proof, &key_a);
	send_signed(&f, 0, &old, &key_a);
	run_for(f.loop, 50);
	CU_ASSERT_EQUAL(f.hosts[0].beats, 1);
	/* meant for another life of this host */
	old.to = 0xa0;
	old.seq = UINT64_C(1) << 40;
	send_signed(&f, 0, &old, &key_a);
	run_for(f.loop, 50);
	CU_ASSERT_EQUAL(f.hosts[0].beats, 1);
	old.to = 0xa1;
	/* a new life of it takes the place of the one before ... */
	proof.from = 0xc2;
	while (ask.seq <= (uint64_t)proof.ts && (len = overhear(&f, data)) > 0)
		pulse_read(data, (size_t)len, &keys, &ask);
	struct pulse second = proof;
	second.ts = (int64_t)ask.seq;
	send_signed(&f, 0, &second, &key_a);
	run_for(f.loop, 50);
	CU_ASSERT_EQUAL(view_of(&f, 0, "tap")->inst, 0xc2);
	/* ... which the recordings of it do not bring back */
	proof.from = 0xc1;
	old.seq = 12;
	send_signed(&f, 0, &proof, &key_a);
	send_signed(&f, 0, &old, &key_a);
	run_for(f.loop, 50);
	CU_ASSERT_EQUAL(view_of(&f, 0, "tap")->inst, 0xc2);
	CU_ASSERT_EQUAL(f.hosts[0].beats, 1);
	/* nor does one that answers what was never asked */
	proof.ts = 1 << 30;
	send_signed(&f, 0, &proof, &key_a);
	run_for(f.loop, 50);
	CU_ASSERT_EQUAL(view_of(&f, 0, "tap")->inst, 0xc2);
	pulse_keys_clear(&keys);
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
	f.hosts[2].peers = peers_new(f.loop, &f.conf, "db-1", 0xa3,
	    &(struct peers_out){ on_heartbeat, on_ack, on_able, on_namesake,
		on_unknown_key, &f.hosts[2] });
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

/* ---- who hears ---- */

/* A role's heartbeats go to the hosts of that role; who is present no more is heard on, for it
 * was heard; who never was is not sent to. */
static void
test_roles(void)
{
	struct fixture f;
	struct roster_peer place;
	char members[1][ROLE_NODE_SIZE] = { "db-2" };
	unsigned int before;

	open_fixture(&f, AF_INET);
	start_two(&f);
	peers_heartbeat(f.hosts[0].peers, 1, ROLE_PHASE_MASTER, 1, 1, 1);
	run_for(f.loop, 50);
	CU_ASSERT_EQUAL(f.hosts[1].beats, 0);
	place = place_of(&f.hosts[1]);
	peers_present(f.hosts[0].peers, 1, &place, 1);
	peers_heartbeat(f.hosts[0].peers, 1, ROLE_PHASE_MASTER, 1, 1, 1);
	f.count = 1;
	CU_ASSERT_TRUE(until(f.loop, heard_beats, &f, LIMIT_MS));
	CU_ASSERT_EQUAL(f.hosts[1].role, 1);
	peers_present(f.hosts[0].peers, 0, NULL, 0);
	CU_ASSERT_PTR_NOT_NULL(view_of(&f, 0, "db-2"));
	CU_ASSERT_TRUE(beats_until_heard(&f));
	/* never heard, never known where: no place but as a member */
	start_host(&f, 2, 0xc1);
	peers_members(f.hosts[2].peers, 0, members, 1);
	CU_ASSERT_PTR_NOT_NULL(view_of(&f, 2, "db-2"));
	before = f.hosts[1].beats;
	beat(&f, 2, 1);
	run_for(f.loop, 50);
	CU_ASSERT_EQUAL(f.hosts[1].beats, before);
	peers_members(f.hosts[2].peers, 0, NULL, 0);
	CU_ASSERT_PTR_NULL(view_of(&f, 2, "db-2"));
	close_fixture(&f);
}

/* Whoever is listed, the table and the rows end. */
static void
test_many(void)
{
	struct fixture f;
	struct roster_peer list[ROLE_PEERS];

	open_fixture(&f, AF_INET);
	start_host(&f, 0, 0xa1);
	for (int round = 0; round < 100; round++) {
		for (size_t i = 0; i < ROLE_PEERS; i++) {
			list[i] = place_of(&f.hosts[0]);
			list[i].inst = 0;
			snprintf(list[i].peer.node, sizeof(list[i].peer.node),
			    "n-%d-%zu", round, i);
		}
		for (uint32_t role = 0; role < ROLES; role++)
			peers_present(f.hosts[0].peers, role, list, ROLE_PEERS);
		CU_ASSERT_PTR_NOT_NULL(view_of(&f, 0, list[0].peer.node));
		beat(&f, 0, 1);
	}
	close_fixture(&f);
}

/* ---- the socket ---- */

static bool
is_able(void *arg)
{
	return ((struct fixture *)arg)->hosts[0].able;
}

static void
test_able(void)
{
	static const struct heartkeys none = { 0 };
	struct fixture f;
	char address[INET6_ADDRSTRLEN], why[160];
	uint16_t port;

	open_fixture(&f, AF_INET);
	start_host(&f, 0, 0xa1);
	CU_ASSERT_TRUE(until(f.loop, is_able, &f, LIMIT_MS));
	peers_reach(f.hosts[0].peers, address, &port);
	CU_ASSERT_STRING_EQUAL(address, "127.0.77.1");
	CU_ASSERT_EQUAL(port, f.port);
	peers_why_not(f.hosts[0].peers, why, sizeof(why));
	CU_ASSERT_STRING_EQUAL(why, "");
	peers_keys(f.hosts[0].peers, &none);
	CU_ASSERT_FALSE(peers_able(f.hosts[0].peers));
	CU_ASSERT_TRUE(f.hosts[0].able); /* not from within */
	run_for(f.loop, 20);
	CU_ASSERT_FALSE(f.hosts[0].able);
	peers_why_not(f.hosts[0].peers, why, sizeof(why));
	CU_ASSERT_STRING_EQUAL(why, "there is no key yet");
	peers_keys(f.hosts[0].peers, &f.keys);
	/* an address of nobody here */
	peers_bind(f.hosts[0].peers, "192.0.2.1");
	run_for(f.loop, 20);
	CU_ASSERT_FALSE(f.hosts[0].able);
	peers_reach(f.hosts[0].peers, address, &port);
	CU_ASSERT_STRING_EQUAL(address, "");
	CU_ASSERT_EQUAL(port, 0);
	peers_why_not(f.hosts[0].peers, why, sizeof(why));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "Cannot assign requested address"));
	peers_bind(f.hosts[0].peers, "127.0.77.3");
	CU_ASSERT_TRUE(until(f.loop, is_able, &f, LIMIT_MS));
	close_fixture(&f);
}

/* Of an address that is every one, presence says what Consul advertises. */
static void
test_any_address(void)
{
	struct fixture f;
	char any[] = "0.0.0.0", address[INET6_ADDRSTRLEN];
	uint16_t port;

	open_fixture(&f, AF_INET);
	close(f.fd);
	f.fd = -1;
	f.conf.failover.address = any;
	start_host(&f, 0, 0xa1);
	CU_ASSERT_TRUE(until(f.loop, is_able, &f, LIMIT_MS));
	peers_reach(f.hosts[0].peers, address, &port);
	CU_ASSERT_STRING_EQUAL(address, "127.0.77.1");
	f.hosts[0].conf.failover.heartbeats = false;
	struct conf_changes changes = { .from.roles = (uint32_t[]){ 0, 1 } };
	peers_reload(f.hosts[0].peers, &f.hosts[0].conf, &changes);
	run_for(f.loop, 20);
	CU_ASSERT_FALSE(f.hosts[0].able);
	close_fixture(&f);
}

static bool
has_error(void *arg)
{
	const struct peer_view *view = view_of(arg, 0, "db-2");

	return view != NULL && view->errors > 0 &&
	    strstr(view->fact, "Connection refused") != NULL;
}

/* Nobody there: what the network says is counted for that peer, and costs the others nothing. */
static void
test_refused(void)
{
	struct fixture f;
	struct roster_peer list[2];
	unsigned int before;

	open_fixture(&f, AF_INET);
	start_two(&f);
	stop_host(&f, 1);
	beat(&f, 0, 1);
	CU_ASSERT_TRUE(until(f.loop, has_error, &f, LIMIT_MS));
	start_host(&f, 2, 0xc1);
	list[0] = place_of(&f.hosts[1]);
	list[1] = place_of(&f.hosts[2]);
	peers_present(f.hosts[0].peers, 0, list, 2);
	show_all(&f, 2, 0);
	for (int i = 0; i < 100 && f.hosts[2].beats == 0; i++) {
		beat(&f, 0, 1);
		run_for(f.loop, 20);
	}
	before = f.hosts[2].beats;
	CU_ASSERT_TRUE(before > 0);
	for (int i = 0; i < 20; i++)
		beat(&f, 0, 1);
	run_for(f.loop, 100);
	CU_ASSERT_EQUAL(f.hosts[2].beats, before + 20);
	close_fixture(&f);
}

static const struct tap_case cases[] = {
	{ "heartbeats and acks by IPv4", test_messages_v4 },
	{ "heartbeats and acks by IPv6", test_messages_v6 },
	{ "a message is heard once", test_replay },
	{ "messages of other lives are not heard", test_other_lives },
	{ "a proof is good once", test_proof_replayed },
	{ "answers have a rate", test_hello_rate },
	{ "another key", test_keys },
	{ "a rotation loses nothing", test_rotation },
	{ "another version", test_version },
	{ "two agents of one name", test_namesake },
	{ "who hears of a role", test_roles },
	{ "many hosts", test_many },
	{ "what it takes to be able", test_able },
	{ "any address", test_any_address },
	{ "nobody listens", test_refused },
};

TAP_MAIN("peer", cases)
