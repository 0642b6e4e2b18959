/* SPDX-License-Identifier: ISC */
/*
 * What agents say to one another by UDP (section 7 of the protocol): bytes to struct and
 * back, signed. Big endian:
 *
 *   "LI", version, type, key id (2), flags, length of the node's name, the name;
 *   from, to, seq, role, rev, known, ts (8 each), lease (4); code (16).
 *
 * The first line and the code's place at the end are every version's. peer sends and
 * hears them and knows what is fresh; nothing here has a memory. What is read is strict:
 * each byte has a meaning, so a message has one form.
 */
#include "agent/failover/pulse.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "agent/base/util.h"

#define REV_MAX ((UINT64_C(1) << 53) - 1) /* no register has a higher one */
#define HEAD 8
#define BODY (7 * 8 + 4)

#define FLAG_PHASE 0x03u
#define FLAG_READY 0x04u
#define FLAG_ASK 0x08u

_Static_assert(HEAD + ROLE_NODE_SIZE - 1 + BODY + MAC_SIZE < PULSE_MAX, "it must fit");
_Static_assert(ROLE_PHASE_MASTER <= FLAG_PHASE, "phases fit into their bits");

/* The first bytes of what the key signs of a text: tells the keys apart, tells nothing of them. */
static void
key_id(struct mac *mac, uint8_t id[2])
{
	static const char text[] = "lictor heartbeat key";
	uint8_t code[MAC_SIZE];

	mac_sign(mac, text, sizeof(text) - 1, code);
	memcpy(id, code, 2);
}

void
pulse_keys_set(
    struct pulse_keys *keys, const uint8_t (*bytes)[MAC_KEY_SIZE], size_t count)
{
	assert(count <= PULSE_KEYS);
	pulse_keys_clear(keys);
	for (size_t i = 0; i < count; i++) {
		keys->list[i].mac = mac_new(bytes[i], MAC_KEY_SIZE);
		key_id(keys->list[i].mac, keys->list[i].id);
	}
	keys->count = count;
}

void
pulse_keys_clear(struct pulse_keys *keys)
{
	for (size_t i = 0; i < keys->count; i++)
		mac_free(keys->list[i].mac);
	*keys = (struct pulse_keys){ 0 };
}

uint64_t
pulse_role(const char *name)
{
	return fnv1a64(name, strlen(name));
}

static uint8_t *
put(uint8_t *out, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		out[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
	return out + size;
}

static uint64_t
take(const uint8_t **in, size_t size)
{
	uint64_t value = 0;

	for (size_t i = 0; i < size; i++)
		value = value << 8 | *(*in)++;
	return value;
}

static uint8_t
flags_of(const struct pulse *pulse)
{
	return (uint8_t)((unsigned int)pulse->phase | (pulse->ready ? FLAG_READY : 0) |
	    (pulse->ask ? FLAG_ASK : 0));
}

size_t
pulse_print(
    const struct pulse *pulse, const struct pulse_keys *keys, uint8_t out[PULSE_MAX])
{
	size_t len = strlen(pulse->node);
	size_t key = pulse->key < keys->count ? pulse->key : 0;
	uint8_t *at = out;

	assert(keys->count > 0 && len < ROLE_NODE_SIZE);
	*at++ = 'L';
	*at++ = 'I';
	*at++ = PULSE_VERSION;
	*at++ = (uint8_t)pulse->type;
	memcpy(at, keys->list[key].id, 2);
	at += 2;
	*at++ = flags_of(pulse);
	*at++ = (uint8_t)len;
	memcpy(at, pulse->node, len);
	at = put(at + len, pulse->from, 8);
	at = put(at, pulse->to, 8);
	at = put(at, pulse->seq, 8);
	at = put(at, pulse->role, 8);
	at = put(at, pulse->rev, 8);
	at = put(at, pulse->known, 8);
	at = put(at, (uint64_t)pulse->ts, 8);
	at = put(at, pulse->lease_ms, 4);
	mac_sign(keys->list[key].mac, out, (size_t)(at - out), at);
	return (size_t)(at - out) + MAC_SIZE;
}

/* Two keys may have one id: then both are tried. */
static int
check_code(const uint8_t *data, size_t len, const struct pulse_keys *keys, size_t *key)
{
	int result = -ENOKEY;

	for (size_t i = 0; i < keys->count; i++) {
		if (memcmp(data + 4, keys->list[i].id, 2) != 0)
			continue;
		*key = i;
		if (mac_verify(
			keys->list[i].mac, data, len - MAC_SIZE, data + len - MAC_SIZE))
			return 0;
		result = -EBADMSG;
	}
	return result;
}

static bool
take_name(const uint8_t *data, size_t len, struct pulse *pulse)
{
	memcpy(pulse->node, data, len);
	pulse->node[len] = '\0';
	return strlen(pulse->node) == len && role_name_valid(pulse->node);
}

/* Whether each type has what it may have. */
static bool
take_flags(uint8_t flags, struct pulse *pulse)
{
	unsigned int phase = flags & FLAG_PHASE;

	pulse->ready = (flags & FLAG_READY) != 0;
	pulse->ask = (flags & FLAG_ASK) != 0;
	if (phase > ROLE_PHASE_MASTER ||
	    (flags & ~(FLAG_PHASE | FLAG_READY | FLAG_ASK)) != 0)
		return false;
	pulse->phase = (enum role_phase)phase;
	return true;
}

static int
take_body(const uint8_t *data, size_t len, struct pulse *pulse)
{
	const uint8_t *at = data + HEAD + data[7];

	if (data[3] > PULSE_HELLO || len != (size_t)HEAD + data[7] + BODY + MAC_SIZE ||
	    !take_flags(data[6], pulse))
		return -EINVAL;
	pulse->type = (enum pulse_type)data[3];
	pulse->from = take(&at, 8);
	pulse->to = take(&at, 8);
	pulse->seq = take(&at, 8);
	pulse->role = take(&at, 8);
	pulse->rev = take(&at, 8);
	pulse->known = take(&at, 8);
	uint64_t ts = take(&at, 8);
	pulse->lease_ms = (uint32_t)take(&at, 4);
	if (pulse->rev > REV_MAX || pulse->known > REV_MAX || ts > INT64_MAX ||
	    pulse->from == 0 || pulse->seq == 0)
		return -EINVAL;
	pulse->ts = (int64_t)ts;
	return 0;
}

int
pulse_read(
    const uint8_t *data, size_t len, const struct pulse_keys *keys, struct pulse *pulse)
{
	struct pulse read = { 0 };
	int err;

	if (len < HEAD + MAC_SIZE || len > PULSE_MAX || data[0] != 'L' ||
	    data[1] != 'I' || data[7] >= ROLE_NODE_SIZE ||
	    len < (size_t)HEAD + data[7] + MAC_SIZE)
		return -EINVAL;
	err = check_code(data, len, keys, &read.key);
	if (err != 0)
		return err;
	read.version = data[2];
	if (!take_name(data + HEAD, data[7], &read))
		return -EINVAL;
	err = read.version != PULSE_VERSION ? -EPROTO : take_body(data, len, &read);
	if (err == 0 || err == -EPROTO)
		*pulse = read;
	return err;
}
