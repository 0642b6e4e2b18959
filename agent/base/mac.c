/* SPDX-License-Identifier: ISC */
/*
 * HMAC-SHA256 (RFC 2104) on OpenSSL's hash, for the heartbeats: a few thousand short messages
 * a second. The two blocks that the key fills are hashed once, when it is set; a
 * message costs a copy of each state and its own blocks. No memory is taken for it.
 */
#include "agent/base/mac.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"

#define BLOCK 64
#define DIGEST 32

struct mac {
	EVP_MD_CTX *inner, *outer; /* after the key's block */
	EVP_MD_CTX *work;
};

void
mac_wipe(void *data, size_t len)
{
	OPENSSL_cleanse(data, len);
}

/* Fails only where there is no memory, or no SHA-256 in the library. */
static void
sure(bool done)
{
	if (!done)
		out_of_memory();
}

static EVP_MD_CTX *
new_context(void)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	sure(context != NULL);
	return context;
}

/* A state that has taken the key's block, each byte of it with `pad`. */
static EVP_MD_CTX *
begin(const uint8_t block[BLOCK], uint8_t pad)
{
	EVP_MD_CTX *context = new_context();
	uint8_t padded[BLOCK];

	for (size_t i = 0; i < BLOCK; i++)
		padded[i] = block[i] ^ pad;
	sure(EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 &&
	    EVP_DigestUpdate(context, padded, sizeof(padded)) == 1);
	mac_wipe(padded, sizeof(padded));
	return context;
}

struct mac *
mac_new(const void *key, size_t len)
{
	struct mac *mac = xcalloc(1, sizeof(*mac));
	uint8_t block[BLOCK] = { 0 };

	if (len <= BLOCK)
		memcpy(block, key, len);
	else
		sure(EVP_Digest(key, len, block, NULL, EVP_sha256(), NULL) == 1);
	mac->inner = begin(block, 0x36);
	mac->outer = begin(block, 0x5c);
	mac->work = new_context();
	mac_wipe(block, sizeof(block));
	return mac;
}

void
mac_free(struct mac *mac)
{
	if (mac == NULL)
		return;
	EVP_MD_CTX_free(mac->inner);
	EVP_MD_CTX_free(mac->outer);
	EVP_MD_CTX_free(mac->work);
	free(mac);
}

void
mac_sign(struct mac *mac, const void *data, size_t len, uint8_t out[MAC_SIZE])
{
	uint8_t digest[DIGEST];

	sure(EVP_MD_CTX_copy_ex(mac->work, mac->inner) == 1 &&
	    EVP_DigestUpdate(mac->work, data, len) == 1 &&
	    EVP_DigestFinal_ex(mac->work, digest, NULL) == 1 &&
	    EVP_MD_CTX_copy_ex(mac->work, mac->outer) == 1 &&
	    EVP_DigestUpdate(mac->work, digest, sizeof(digest)) == 1 &&
	    EVP_DigestFinal_ex(mac->work, digest, NULL) == 1);
	memcpy(out, digest, MAC_SIZE);
}

bool
mac_verify(struct mac *mac, const void *data, size_t len, const uint8_t given[MAC_SIZE])
{
	uint8_t right[MAC_SIZE];

	mac_sign(mac, data, len, right);
	return CRYPTO_memcmp(right, given, MAC_SIZE) == 0;
}
