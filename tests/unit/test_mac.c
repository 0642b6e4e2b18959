/* SPDX-License-Identifier: ISC */
/*
 * HMAC-SHA256 against the vectors of RFC 4231, of which the fifth is cut to 128 bits as ours
 * always is; and that nothing but the right code of the right bytes by the right key passes.
 */
#include "agent/base/mac.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "tests/unit/tap.h"

static const struct vector {
	uint8_t key; /* this byte, or counted up from it, ... */
	bool counts;
	size_t key_len; /* ... so often; 0: `key_text` */
	const char *key_text, *text; /* NULL: `fill` 50 times */
	uint8_t fill;
	uint8_t code[MAC_SIZE];
} vectors[] = {
	{ 0x0b, false, 20, NULL, "Hi There", 0,
	    { 0xb0, 0x34, 0x4c, 0x61, 0xd8, 0xdb, 0x38, 0x53, 0x5c, 0xa8, 0xaf, 0xce,
		0xaf, 0x0b, 0xf1, 0x2b } },
	{ 0, false, 0, "Jefe", "what do ya want for nothing?", 0,
	    { 0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26,
		0x08, 0x95, 0x75, 0xc7 } },
	{ 0xaa, false, 20, NULL, NULL, 0xdd,
	    { 0x77, 0x3e, 0xa9, 0x1e, 0x36, 0x80, 0x0e, 0x46, 0x85, 0x4d, 0xb8, 0xeb,
		0xd0, 0x91, 0x81, 0xa7 } },
	{ 0x01, true, 25, NULL, NULL, 0xcd,
	    { 0x82, 0x55, 0x8a, 0x38, 0x9a, 0x44, 0x3c, 0x0e, 0xa4, 0xcc, 0x81, 0x98,
		0x99, 0xf2, 0x08, 0x3a } },
	{ 0x0c, false, 20, NULL, "Test With Truncation", 0,
	    { 0xa3, 0xb6, 0x16, 0x74, 0x73, 0x10, 0x0e, 0xe0, 0x6e, 0x0c, 0x79, 0x6c,
		0x29, 0x55, 0x55, 0x2b } },
	{ 0xaa, false, 131, NULL,
	    "Test Using Larger Than Block-Size Key - Hash Key First", 0,
	    { 0x60, 0xe4, 0x31, 0x59, 0x1e, 0xe0, 0xb6, 0x7f, 0x0d, 0x8a, 0x26, 0xaa,
		0xcb, 0xf5, 0xb7, 0x7f } },
	{ 0xaa, false, 131, NULL,
	    "This is a test using a larger than block-size key and a larger than "
	    "block-size data. The key needs to be hashed before being used by the HMAC "
	    "algorithm.",
	    0,
	    { 0x9b, 0x09, 0xff, 0xa7, 0x1b, 0x94, 0x2f, 0xcb, 0x27, 0x63, 0x5f, 0xbc,
		0xd5, 0xb0, 0xe9, 0x44 } },
};

static struct mac *
vector_mac(const struct vector *vector)
{
	uint8_t key[131];

	if (vector->key_len == 0)
		return mac_new(vector->key_text, strlen(vector->key_text));
	for (size_t i = 0; i < vector->key_len; i++)
		key[i] = (uint8_t)(vector->key + (vector->counts ? i : 0));
	return mac_new(key, vector->key_len);
}

/* Twice by one key: signing leaves no trace. */
static void
test_vectors(void)
{
	uint8_t filled[50], code[MAC_SIZE];

	for (size_t i = 0; i < ARRAY_LENGTH(vectors); i++) {
		const struct vector *vector = &vectors[i];
		struct mac *mac = vector_mac(vector);
		const void *data = vector->text != NULL ? (const void *)vector->text
							: (const void *)filled;
		size_t len = vector->text != NULL ? strlen(vector->text) : 50;

		memset(filled, vector->fill, sizeof(filled));
		for (int n = 0; n < 2; n++) {
			memset(code, 0, sizeof(code));
			mac_sign(mac, data, len, code);
			CU_ASSERT_EQUAL(memcmp(code, vector->code, MAC_SIZE), 0);
		}
		CU_ASSERT_TRUE(mac_verify(mac, data, len, vector->code));
		mac_free(mac);
	}
}

/* Every bit of key, text and code. */
static void
test_bits(void)
{
	uint8_t key[MAC_KEY_SIZE] = "a key of thirty-two bytes exactl";
	uint8_t text[40] = "what it says", code[MAC_SIZE];
	struct mac *mac = mac_new(key, sizeof(key));

	mac_sign(mac, text, sizeof(text), code);
	CU_ASSERT_TRUE(mac_verify(mac, text, sizeof(text), code));
	for (size_t bit = 0; bit < 8 * sizeof(text); bit++) {
		text[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CU_ASSERT_FALSE(mac_verify(mac, text, sizeof(text), code));
		text[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * sizeof(code); bit++) {
		code[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CU_ASSERT_FALSE(mac_verify(mac, text, sizeof(text), code));
		code[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t bit = 0; bit < 8 * sizeof(key); bit++) {
		key[bit / 8] ^= (uint8_t)(1u << bit % 8);
		struct mac *other = mac_new(key, sizeof(key));
		CU_ASSERT_FALSE(mac_verify(other, text, sizeof(text), code));
		mac_free(other);
		key[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	CU_ASSERT_FALSE(mac_verify(mac, text, sizeof(text) - 1, code));
	mac_free(mac);
	mac_free(NULL);
}

static const struct tap_case cases[] = {
	{ "the vectors of RFC 4231", test_vectors },
	{ "every bit counts", test_bits },
};

TAP_MAIN("mac", cases)
