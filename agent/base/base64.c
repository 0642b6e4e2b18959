/* SPDX-License-Identifier: ISC */
/*
 * Base64 (RFC 4648, section 4), for values in Consul's KV. Decoding is strict: what Consul
 * never sends is no value. Bits that padding leaves over must be zero, so that one value
 * has one text.
 */
#include "agent/base/base64.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *
base64_encode(const void *data, size_t len)
{
	const unsigned char *in = data;
	char *text = xcalloc((len + 2) / 3 * 4 + 1, 1), *out = text;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t second = i + 1 < len ? in[i + 1] : 0;
		uint32_t third = i + 2 < len ? in[i + 2] : 0;
		uint32_t bits = (uint32_t)in[i] << 16 | second << 8 | third;

		*out++ = alphabet[bits >> 18 & 63];
		*out++ = alphabet[bits >> 12 & 63];
		*out++ = i + 1 < len ? alphabet[bits >> 6 & 63] : '=';
		*out++ = i + 2 < len ? alphabet[bits & 63] : '=';
	}
	return text;
}

/* Four characters into 1 to 3 bytes; 0: they are no base64. */
static size_t
decode_group(const char *text, bool last, char out[3])
{
	size_t chars = 4;
	uint32_t bits = 0;

	while (last && chars > 2 && text[chars - 1] == '=')
		chars--;
	for (size_t i = 0; i < 4; i++) {
		const char *at = i < chars ? strchr(alphabet, text[i]) : alphabet;

		if (at == NULL || *at == '\0')
			return 0;
		bits = bits << 6 | (uint32_t)(at - alphabet);
	}
	if ((bits & (0xffffffu >> (chars - 1) * 8)) != 0)
		return 0;
	for (size_t i = 0; i < 3; i++)
		out[i] = (char)(bits >> (16 - 8 * i) & 0xff);
	return chars - 1;
}

char *
base64_decode(const char *text, size_t *len)
{
	size_t in = strlen(text), out = 0;
	AUTO_FREE char *data = NULL;
	char *result;

	if (in % 4 != 0)
		return NULL;
	data = xcalloc(in / 4 * 3 + 1, 1);
	for (size_t i = 0; i < in; i += 4) {
		size_t got = decode_group(text + i, i + 4 == in, data + out);

		if (got == 0)
			return NULL;
		out += got;
	}
	data[out] = '\0';
	*len = out;
	result = data;
	data = NULL;
	return result;
}
