/* SPDX-License-Identifier: ISC */
/*
 * The messages of gRPC's health service: requests against bytes written down from the
 * encoding's definition, every answer of up to three bytes against a naive reading of it,
 * and answers that are cut anywhere.
 */
#include <string.h>

#include "agent/base/util.h"
#include "checks/grpc_message.h"
#include "tests/unit/tap.h"

static void
requests(void)
{
	uint8_t out[GRPC_SERVICE_MAX + 8];
	char name[GRPC_SERVICE_MAX + 1] = "";

	CU_ASSERT_EQUAL(grpc_request("", out), 5);
	CU_ASSERT_EQUAL(memcmp(out, "\0\0\0\0\0", 5), 0);
	CU_ASSERT_EQUAL(grpc_request("db", out), 9);
	CU_ASSERT_EQUAL(memcmp(out, "\0\0\0\0\4\12\2db", 9), 0);
	for (size_t len = 1; len <= GRPC_SERVICE_MAX; len++) {
		name[len - 1] = 'a';
		size_t head = len > 127 ? 8 : 7;
		CU_ASSERT_EQUAL(grpc_request(name, out), head + len);
		CU_ASSERT_EQUAL((size_t)out[3] << 8 | out[4], head - 5 + len);
		size_t said =
		    len > 127 ? (size_t)(out[6] & 127) | (size_t)out[7] << 7 : out[6];
		CU_ASSERT_EQUAL(said, len);
	}
}

static int
answer(const char *message, size_t len)
{
	char frame[64] = { 0, 0, 0, 0, (char)len };
	const char *why = NULL;

	memcpy(frame + 5, message, len);
	int status = grpc_response(frame, len + 5, &why);
	CU_ASSERT(status >= 0 || why != NULL);
	return status;
}

/* Of up to three bytes: nothing, a number (of one or two bytes) of a small field, or a text
 * of at most one byte. */
static int
naive(const unsigned char *m, size_t len)
{
	if (len == 0)
		return 0;
	if (m[0] < 8 || len == 1 || m[0] >= 128)
		return -1;
	if ((m[0] & 7) == 0 && len == 2 && m[1] < 128)
		return m[0] >> 3 != 1 ? 0 : m[1] < GRPC_SERVINGS ? m[1] : -1;
	if ((m[0] & 7) == 0 && len == 3 && m[1] >= 128 && m[2] < 128) {
		int value = (m[1] & 127) | m[2] << 7;
		return m[0] >> 3 != 1 ? 0 : value < GRPC_SERVINGS ? value : -1;
	}
	if ((m[0] & 7) == 2)
		return (len == 2 && m[1] == 0) || (len == 3 && m[1] == 1) ? 0 : -1;
	return -1;
}

static void
every_short_answer(void)
{
	unsigned int wrong = 0, good = 0;

	for (unsigned int n = 0; n < 1u << 24; n++) {
		unsigned char m[3] = { (unsigned char)n, (unsigned char)(n >> 8),
			(unsigned char)(n >> 16) };
		size_t len = n >> 16 != 0 ? 3 : n >> 8 != 0 ? 2 : n != 0 ? 1 : 0;
		/* a key of two bytes is another matter */
		if (len == 3 && m[0] >= 128)
			continue;
		int is = answer((const char *)m, len);
		wrong += is != naive(m, len);
		good += is >= 0;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(good > 1000);
}

static void
answers(void)
{
	static const char *const whole =
	    "\x08\x01\x12\x03xyz\x1d....\x21........\x88\x01\x07";
	size_t len = 2 + 5 + 5 + 9 + 3;
	const char *why;

	CU_ASSERT_EQUAL(answer(whole, len), GRPC_SERVING);
	for (size_t i = 0; i < len; i++) {
		bool at_a_field = i == 0 || i == 2 || i == 7 || i == 12 || i == 21;
		CU_ASSERT_EQUAL(answer(whole, i) >= 0, at_a_field);
	}
	CU_ASSERT_EQUAL(
	    answer("\x08\x02\x08\x01", 4), GRPC_SERVING); /* the last counts */
	CU_ASSERT_EQUAL(answer("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11), -1);
	CU_ASSERT_EQUAL(answer("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11), -1);
	CU_ASSERT_EQUAL(grpc_response("\0\0\0\0\3\x08\x01", 7, &why), -1);
	CU_ASSERT_EQUAL(grpc_response("\0\0\0\0\1\x08\x01", 7, &why), -1);
	CU_ASSERT_EQUAL(grpc_response("\0\0\0\0", 4, &why), -1);
	CU_ASSERT_STRING_EQUAL(why, "the answer is no gRPC message");
	CU_ASSERT_EQUAL(grpc_response("\1\0\0\0\2\x08\x01", 7, &why), -1);
	CU_ASSERT_STRING_EQUAL(
	    why, "the answer is compressed, which was not asked for");
}

static const struct tap_case cases[] = {
	{ "requests are as the encoding asks", requests },
	{ "every short answer", every_short_answer },
	{ "answers, whole and cut", answers },
};
TAP_MAIN("grpc", cases)
