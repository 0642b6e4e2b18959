/* SPDX-License-Identifier: ISC */
/*
 * Messages between agents: what is written is read as the same, in less than 200 bytes;
 * with any bit changed or any byte missing it is not read; what another version or another
 * key signs is told apart from noise.
 */
#include "agent/failover/pulse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/unit/tap.h"

static const uint8_t bytes[3][MAC_KEY_SIZE] = { { 1 }, { 2 }, { 3 } };

static const struct pulse samples[] = {
	{ .type = PULSE_HEARTBEAT,
	    .node = "db-1.example",
	    .from = 0x1122334455667788,
	    .to = 0x99aabbccddeeff00,
	    .seq = 1,
	    .role = 0xfedcba9876543210,
	    .rev = 1790000000123,
	    .ts = 86400123,
	    .lease_ms = 1010,
	    .phase = ROLE_PHASE_MASTER },
	{ .type = PULSE_HEARTBEAT,
	    .node = "x",
	    .from = 1,
	    .seq = UINT64_MAX,
	    .role = 1,
	    .rev = (UINT64_C(1) << 53) - 1,
	    .ts = INT64_MAX,
	    .lease_ms = UINT32_MAX,
	    .phase = ROLE_PHASE_WAITING },
	{ .type = PULSE_HEARTBEAT, .node = "db", .from = 1, .seq = 2 },
	{ .type = PULSE_ACK,
	    .node = "a-node-name-of-sixty-three-bytes-which-is-the-most-there-may-be",
	    .from = 7,
	    .to = 8,
	    .seq = 9,
	    .role = 10,
	    .rev = 11,
	    .known = 12,
	    .ts = 13,
	    .ready = true },
	{ .type = PULSE_ACK, .node = "db-2", .from = 7, .to = 8, .seq = 10 },
	{ .type = PULSE_HELLO, .node = "db-3", .from = 5, .seq = 6, .ask = true },
	{ .type = PULSE_HELLO,
	    .node = "d\xc3\xbc",
	    .from = 5,
	    .to = 4,
	    .seq = 6,
	    .ts = 3 },
};

static void
set_keys(struct pulse_keys *keys, const uint8_t (*from)[MAC_KEY_SIZE], size_t count)
{
	*keys = (struct pulse_keys){ 0 };
	pulse_keys_set(keys, from, count);
}

static bool
is_same(const struct pulse *a, const struct pulse *b)
{
	return a->type == b->type && strcmp(a->node, b->node) == 0 &&
	    a->from == b->from && a->to == b->to && a->seq == b->seq &&
	    a->role == b->role && a->rev == b->rev && a->known == b->known &&
	    a->ts == b->ts && a->lease_ms == b->lease_ms && a->phase == b->phase &&
	    a->ready == b->ready && a->ask == b->ask;
}

static void
test_round_trip(void)
{
	struct pulse_keys keys;
	uint8_t data[PULSE_MAX];

	set_keys(&keys, bytes, 1);
	for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
		struct pulse read;
		size_t len = pulse_print(&samples[i], &keys, data);

		CU_ASSERT_TRUE(len < 200);
		CU_ASSERT_EQUAL(pulse_read(data, len, &keys, &read), 0);
		CU_ASSERT_EQUAL(read.version, PULSE_VERSION);
		CU_ASSERT_TRUE(is_same(&read, &samples[i]));
	}
	pulse_keys_clear(&keys);
	pulse_keys_clear(&keys);
}

static void
test_damage(void)
{
	struct pulse_keys keys;
	uint8_t data[PULSE_MAX + 1] = { 0 };
	struct pulse read = { .seq = 77 };

	set_keys(&keys, bytes, 2);
	for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
		size_t len = pulse_print(&samples[i], &keys, data);

		for (size_t bit = 0; bit < 8 * len; bit++) {
			data[bit / 8] ^= (uint8_t)(1u << bit % 8);
			CU_ASSERT_TRUE(pulse_read(data, len, &keys, &read) < 0);
			data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		for (size_t cut = 0; cut < len; cut++)
			CU_ASSERT_TRUE(pulse_read(data, cut, &keys, &read) < 0);
		CU_ASSERT_TRUE(pulse_read(data, len + 1, &keys, &read) < 0);
	}
	CU_ASSERT_EQUAL(read.seq, 77);
	pulse_keys_clear(&keys);
}

/* Who signs with [0] is read by whoever has that key, wherever. */
static void
test_keys(void)
{
	static const uint8_t turned[2][MAC_KEY_SIZE] = { { 2 }, { 1 } };
	struct pulse_keys one, two, third, none = { 0 };
	uint8_t data[PULSE_MAX];
	struct pulse read;
	size_t len;

	set_keys(&one, bytes, 1);
	set_keys(&two, turned, 2);
	set_keys(&third, &bytes[2], 1);
	len = pulse_print(&samples[0], &one, data);
	CU_ASSERT_EQUAL(pulse_read(data, len, &two, &read), 0);
	CU_ASSERT_EQUAL(pulse_read(data, len, &third, &read), -ENOKEY);
	CU_ASSERT_EQUAL(pulse_read(data, len, &none, &read), -ENOKEY);
	len = pulse_print(&samples[0], &two, data);
	CU_ASSERT_EQUAL(pulse_read(data, len, &one, &read), -ENOKEY);
	/* an answer, to who does not know the newer one */
	read = samples[0];
	read.key = 1;
	len = pulse_print(&read, &two, data);
	CU_ASSERT_EQUAL(pulse_read(data, len, &one, &read), 0);
	CU_ASSERT_EQUAL(read.key, 0);
	CU_ASSERT_EQUAL(pulse_read(data, len, &two, &read), 0);
	CU_ASSERT_EQUAL(read.key, 1);
	read.key = 2;
	len = pulse_print(&read, &one, data);
	CU_ASSERT_EQUAL(pulse_read(data, len, &one, &read), 0);
	len = pulse_print(&samples[0], &two, data);
	data[4] = one.list[0].id[0];
	data[5] = one.list[0].id[1];
	CU_ASSERT_EQUAL(pulse_read(data, len, &one, &read), -EBADMSG);
	pulse_keys_clear(&one);
	pulse_keys_clear(&two);
	pulse_keys_clear(&third);
}

/* Of all other versions the node is known, whatever follows; unsigned they are nothing. */
static void
test_version(void)
{
	struct pulse_keys keys;
	uint8_t data[PULSE_MAX];

	set_keys(&keys, bytes, 1);
	for (unsigned int version = 0; version <= UINT8_MAX; version++) {
		for (size_t len = pulse_print(&samples[0], &keys, data);
		     len >= 8 + strlen(samples[0].node) + MAC_SIZE; len--) {
			struct pulse read = { .seq = 77 };

			data[2] = (uint8_t)version;
			if (version == PULSE_VERSION)
				continue;
			CU_ASSERT_TRUE(pulse_read(data, len, &keys, &read) < 0);
			CU_ASSERT_EQUAL(read.seq, 77);
			mac_sign(keys.list[0].mac, data, len - MAC_SIZE,
			    data + len - MAC_SIZE);
			CU_ASSERT_EQUAL(pulse_read(data, len, &keys, &read), -EPROTO);
			CU_ASSERT_EQUAL(read.version, version);
			CU_ASSERT_STRING_EQUAL(read.node, samples[0].node);
			CU_ASSERT_EQUAL(read.seq, 0);
		}
	}
	pulse_keys_clear(&keys);
}

/* Signed, and still nothing that an agent would send. */
static void
test_nonsense(void)
{
	static const struct nonsense {
		size_t at;
		uint8_t byte;
	} table[] = {
		{ 0, 'l' },
		{ 1, 'X' },
		{ 3, 3 },
		{ 6, 3 },
		{ 6, 0x10 },
		{ 6, 0x80 },
		{ 7, 0 },
		{ 7, 1 },
		{ 7, 3 },
		{ 7, 64 },
		{ 7, 255 },
		{ 8, '\n' },
		{ 8, '"' },
		{ 9, 0 },
		{ 10 + 32 + 1, 0x20 }, /* revisions have 53 bits */
		{ 10 + 40 + 1, 0x20 },
		{ 10 + 48, 0x80 },
	};
	struct pulse_keys keys;
	struct pulse pulse = { .node = "db", .from = 1, .seq = 1 }, read;
	uint8_t data[PULSE_MAX];

	set_keys(&keys, bytes, 1);
	for (size_t i = 0; i < ARRAY_LENGTH(table); i++) {
		size_t len = pulse_print(&pulse, &keys, data);

		data[table[i].at] = table[i].byte;
		mac_sign(keys.list[0].mac, data, len - MAC_SIZE, data + len - MAC_SIZE);
		CU_ASSERT_EQUAL(pulse_read(data, len, &keys, &read), -EINVAL);
	}
	pulse.from = 0;
	CU_ASSERT_EQUAL(
	    pulse_read(data, pulse_print(&pulse, &keys, data), &keys, &read), -EINVAL);
	pulse.from = 1;
	pulse.seq = 0;
	CU_ASSERT_EQUAL(
	    pulse_read(data, pulse_print(&pulse, &keys, data), &keys, &read), -EINVAL);
	pulse_keys_clear(&keys);
}

static const struct tap_case cases[] = {
	{ "what is written is read", test_round_trip },
	{ "what is damaged is not", test_damage },
	{ "the first key signs, all are taken", test_keys },
	{ "another version", test_version },
	{ "signed nonsense", test_nonsense },
};

TAP_MAIN("pulse", cases)
