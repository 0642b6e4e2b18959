/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_MAC_H
#define LICTOR_MAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAC_KEY_SIZE 32	/* of our own keys; any length is taken */
#define MAC_SIZE 16

/* HMAC-SHA256 cut to its first 128 bits (RFC 2104 section 5, RFC 4231), of one key, which is
 * copied. Never NULL. */
struct mac;
struct mac *mac_new(const void *key, size_t len);
void mac_free(struct mac *mac);	/* the key is wiped */

void mac_sign(struct mac *mac, const void *data, size_t len, uint8_t out[MAC_SIZE]);
/* Takes the same time whatever `given` says. */
bool mac_verify(struct mac *mac, const void *data, size_t len,
    const uint8_t given[MAC_SIZE]);

/* For keys that are needed no more: not left out by the compiler. */
void mac_wipe(void *data, size_t len);

#endif
