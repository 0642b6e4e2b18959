/* SPDX-License-Identifier: ISC */
/*
 * The heartbeat servant over the loopback, IPv4 and IPv6: what is sent arrives, at the hosts
 * of that role and no others, and what its socket needs and suffers. Whom it believes is in
 * test_peer_talk.
 */
#include "agent/failover/peer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/merge.h"
#include "tests/unit/peer_bed.h"
#include "tests/unit/tap.h"
#include "tests/unit/until.h"

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
	{ "who hears of a role", test_roles },
	{ "many hosts", test_many },
	{ "what it takes to be able", test_able },
	{ "any address", test_any_address },
	{ "nobody listens", test_refused },
};

TAP_MAIN("peer", cases)
