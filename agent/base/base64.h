/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_BASE64_H
#define LICTOR_BASE64_H

#include <stddef.h>

/* RFC 4648 section 4, as Consul's KV speaks it. The caller frees it; never NULL. */
char *base64_encode(const void *data, size_t len);

/* Strict: padded, nothing between or after. The caller frees it, a NUL follows its *len
 * bytes; NULL if it is not base64. */
char *base64_decode(const char *text, size_t *len);

#endif
