/* SPDX-License-Identifier: ISC */
/*
 * As much of gRPC's frame and of protocol buffers' encoding as the health service needs: one
 * text out, one number in, and unknown fields passed over (Protocol Buffers, "Encoding").
 * What comes from the other end may be anything.
 */
#include "checks/grpc_message.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#define FRAME_LEN 5 /* a flag, and a length in network byte order */
#define STATUS_FIELD 1

enum wire_kind { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct reader {
	const uint8_t *at, *end;
};

size_t
grpc_request(const char *service, uint8_t *out)
{
	size_t len = strlen(service), n = FRAME_LEN;

	assert(len <= GRPC_SERVICE_MAX);
	if (len > 0) {
		out[n++] = 1 << 3 | BYTES;
		if (len > 127)
			out[n++] = (uint8_t)(len | 128);
		out[n++] = (uint8_t)(len > 127 ? len >> 7 : len);
		memcpy(out + n, service, len);
		n += len;
	}
	out[0] = 0; /* not compressed */
	out[1] = out[2] = 0;
	out[3] = (uint8_t)((n - FRAME_LEN) >> 8);
	out[4] = (uint8_t)(n - FRAME_LEN);
	return n;
}

/* At most ten bytes, seven bits each, the lowest first. */
static bool
read_varint(struct reader *in, uint64_t *out)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; shift < 70 && in->at < in->end; shift += 7) {
		uint8_t byte = *in->at++;
		if (shift == 63 && byte > 1)
			return false;
		value |= (uint64_t)(byte & 127) << shift;
		if (byte < 128) {
			*out = value;
			return true;
		}
	}
	return false;
}

static bool
skip(struct reader *in, uint64_t len)
{
	if (len > (uint64_t)(in->end - in->at))
		return false;
	in->at += len;
	return true;
}

/* The value of a field, if it is a number; others are passed over. */
static bool
read_field(struct reader *in, uint64_t *field, uint64_t *value)
{
	uint64_t key, len;

	if (!read_varint(in, &key) || key >> 3 == 0)
		return false;
	*field = 0;
	switch (key & 7) {
	case VARINT: *field = key >> 3; return read_varint(in, value);
	case FIXED64: return skip(in, 8);
	case BYTES: return read_varint(in, &len) && skip(in, len);
	case FIXED32: return skip(in, 4);
	default: return false;
	}
}

int
grpc_response(const void *data, size_t len, const char **why)
{
	const uint8_t *frame = data;
	uint64_t field, value, status = GRPC_UNKNOWN;

	*why = "the answer is no gRPC message";
	if (len < FRAME_LEN || frame[0] > 1)
		return -1;
	size_t size = (size_t)frame[1] << 24 | (size_t)frame[2] << 16 |
	    (size_t)frame[3] << 8 | frame[4];
	if (size != len - FRAME_LEN)
		return -1;
	*why = "the answer is compressed, which was not asked for";
	if (frame[0] == 1)
		return -1;
	*why = "the answer is not of grpc.health.v1";
	struct reader in = { frame + FRAME_LEN, frame + len };
	while (in.at < in.end) {
		if (!read_field(&in, &field, &value))
			return -1;
		if (field == STATUS_FIELD)
			status = value;
	}
	return status < GRPC_SERVINGS ? (int)status : -1;
}
