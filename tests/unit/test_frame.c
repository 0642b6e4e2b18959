/* SPDX-License-Identifier: ISC */
/*
 * The frames against ones written down by hand; then which of them claim an address: the
 * kernel runs the filter on each frame that differs from a claim in one byte, or is cut,
 * and must say what frame_claims says.
 */
#include "agent/warden/frame.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "tests/unit/tap.h"

#define MANY 700

static const unsigned char mac[6] = { 0x02, 0x11, 0x22, 0x33, 0x44, 0x55 };

static void
test_arp(void)
{
	static const unsigned char want[FRAME_ARP_SIZE] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* to all */
		0x02, 0x11, 0x22, 0x33, 0x44, 0x55, 0x08, 0x06, /* ARP */
		0x00, 0x01, 0x08, 0x00, 6, 4, 0x00, 0x01, /* Ethernet, IPv4, request */
		0x02, 0x11, 0x22, 0x33, 0x44, 0x55, 10, 9, 0, 100, /* sender */
		0, 0, 0, 0, 0, 0, 10, 9, 0, 100, /* target */
	};
	unsigned char frame[FRAME_MAX], other[FRAME_ARP_SIZE];
	const unsigned char *address = want + 28;

	CU_ASSERT_EQUAL(
	    frame_write(frame, FRAME_ARP_REQUEST, mac, address, false), sizeof(want));
	CU_ASSERT(memcmp(frame, want, sizeof(want)) == 0);
	memcpy(other, want, sizeof(want));
	other[21] = 2;
	memcpy(other + 32, mac, 6);
	CU_ASSERT_EQUAL(
	    frame_write(frame, FRAME_ARP_REPLY, mac, address, false), sizeof(want));
	CU_ASSERT(memcmp(frame, other, sizeof(want)) == 0);
	memcpy(other, want, sizeof(want));
	memset(other + 28, 0, 4);
	CU_ASSERT_EQUAL(
	    frame_write(frame, FRAME_ARP_PROBE, mac, address, false), sizeof(want));
	CU_ASSERT(memcmp(frame, other, sizeof(want)) == 0);
}

/* Over the pseudo-header and the message, checksum included, it must be all ones. */
static unsigned int
sum_of(const unsigned char *frame, size_t len)
{
	uint32_t sum = (uint32_t)(len - 54) + 58;

	for (size_t i = 22; i < len; i += 2)
		sum += (uint32_t)(frame[i] << 8 | frame[i + 1]);
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void
test_advert(void)
{
	static const unsigned char want[FRAME_NA_SIZE] = {
		0x33, 0x33, 0, 0, 0, 1, /* all nodes */
		0x02, 0x11, 0x22, 0x33, 0x44, 0x55, 0x86, 0xdd, /* IPv6 */
		0x60, 0, 0, 0, 0, 32, 58, 255, /* 32 bytes of ICMPv6, hop limit 255 */
		0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, /* from */
		0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, /* to */
		136, 0, 0, 0, 0x20, 0, 0, 0, /* advertisement, override */
		0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, /* target */
		2, 1, 0x02, 0x11, 0x22, 0x33, 0x44, 0x55, /* its hardware address */
	};
	unsigned char frame[FRAME_MAX], address[16];

	for (int router = 0; router < 2; router++) {
		CU_ASSERT_EQUAL(
		    frame_write(frame, FRAME_NA, mac, want + 22, router != 0),
		    sizeof(want));
		CU_ASSERT_EQUAL(sum_of(frame, sizeof(want)), 0xffff);
		CU_ASSERT_EQUAL(frame[58], router ? 0xa0 : 0x20);
		frame[56] = frame[57] = 0;
		frame[58] = 0x20;
		CU_ASSERT(memcmp(frame, want, sizeof(want)) == 0);
	}
	for (unsigned int i = 0; i < 65536;
	     i++) { /* each value of two bytes of the sum */
		memcpy(address, want + 22, sizeof(address));
		address[14] = (unsigned char)(i >> 8);
		address[15] = (unsigned char)i;
		frame_write(frame, FRAME_NA, mac, address, false);
		if (sum_of(frame, sizeof(want)) != 0xffff)
			CU_FAIL("a wrong checksum");
	}
}

static void
test_solicit(void)
{
	static const unsigned char want[FRAME_NS_SIZE] = {
		0x33, 0x33, 0xff, 0x23, 0x01, 0x45, /* its group */
		0x02, 0x11, 0x22, 0x33, 0x44, 0x55, 0x86, 0xdd, /* IPv6 */
		0x60, 0, 0, 0, 0, 24, 58, 255, /* 24 bytes of ICMPv6, hop limit 255 */
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* from nobody */
		0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0x23, 1, 0x45, /* to */
		135, 0, 0, 0, 0, 0, 0, 0, /* solicitation */
		0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x23, 1, 0x45, /* target */
	};
	unsigned char frame[FRAME_MAX];

	CU_ASSERT_EQUAL(
	    frame_write(frame, FRAME_NS_PROBE, mac, want + 62, true), sizeof(want));
	CU_ASSERT_EQUAL(sum_of(frame, sizeof(want)), 0xffff);
	frame[56] = frame[57] = 0;
	CU_ASSERT(memcmp(frame, want, sizeof(want)) == 0);
}

/* A socket pair, whose receiver has the filter. */
struct sieve {
	int fds[2];
};

static void
sieve_open(struct sieve *sieve, int family, const struct frame_address *list, size_t n)
{
	static struct sock_filter program[FRAME_FILTER_MAX];
	struct sock_fprog filter = { .filter = program };

	filter.len = (unsigned short)frame_filter(program, family, list, n);
	CU_ASSERT_FATAL(filter.len <= FRAME_FILTER_MAX);
	CU_ASSERT_EQUAL_FATAL(
	    socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, sieve->fds), 0);
	CU_ASSERT_EQUAL_FATAL(setsockopt(sieve->fds[1], SOL_SOCKET, SO_ATTACH_FILTER,
				  &filter, sizeof(filter)),
	    0);
}

static void
sieve_close(struct sieve *sieve)
{
	close(sieve->fds[0]);
	close(sieve->fds[1]);
}

static bool
passes(const struct sieve *sieve, const unsigned char *frame, size_t len)
{
	unsigned char out[256];

	CU_ASSERT_EQUAL(send(sieve->fds[0], frame, len, 0), (ssize_t)len);
	return recv(sieve->fds[1], out, sizeof(out), 0) >= 0;
}

static bool
claims_any(const unsigned char *frame, size_t len, int family,
    const struct frame_address *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].family == family &&
		    frame_claims(frame, len, family, list[i].address))
			return true;
	return false;
}

/* What is longer than the filter looks may still be too short for a claim. */
static void
try_frame(const struct sieve *sieve, const unsigned char *frame, size_t len, int family,
    const struct frame_address *list, size_t n, size_t size)
{
	bool claim = claims_any(frame, len, family, list, n);

	if (passes(sieve, frame, len) != claim && (claim || len >= size))
		CU_FAIL("the filter and frame_claims differ");
}

static void
try_around(const struct sieve *sieve, enum frame_kind kind, int family,
    const struct frame_address *list, size_t n)
{
	static const unsigned char values[] = { 0, 1, 2, 4, 6, 8, 58, 64, 100, 134, 135,
		136, 137, 254, 255 };
	size_t size = family == AF_INET ? FRAME_ARP_SIZE : 78;
	unsigned char frame[FRAME_MAX];
	size_t len = frame_write(frame, kind, mac, list[0].address, false);

	for (size_t cut = 1; cut <= len; cut++)
		try_frame(sieve, frame, cut, family, list, n, size);
	for (size_t at = 0; at < len; at++) {
		unsigned char was = frame[at];
		for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
			frame[at] = values[i];
			try_frame(sieve, frame, len, family, list, n, size);
		}
		frame[at] = was;
	}
}

static void
test_filter(void)
{
	static const unsigned char v4[3][4] = { { 10, 9, 0, 100 }, { 10, 9, 0, 8 },
		{ 0, 9, 0, 100 } };
	static const unsigned char v6[2][16] = { { 0xfd, [3] = 9, [15] = 100 },
		{ 0xfd, [3] = 9, [7] = 58, [15] = 100 } };
	static const struct frame_address list[] = { { AF_INET, v4[0] },
		{ AF_INET, v4[1] }, { AF_INET, v4[2] } };
	static const struct frame_address list6[] = { { AF_INET6, v6[0] },
		{ AF_INET, v4[0] }, { AF_INET6, v6[1] } };
	unsigned char frame[FRAME_MAX];
	struct sieve sieve;

	sieve_open(&sieve, AF_INET, list, 3);
	frame_write(frame, FRAME_ARP_REQUEST, mac, v4[0], false);
	CU_ASSERT_TRUE(passes(&sieve, frame, FRAME_ARP_SIZE));
	frame_write(frame, FRAME_ARP_PROBE, mac, v4[0], false);
	CU_ASSERT_FALSE(passes(&sieve, frame, FRAME_ARP_SIZE));
	for (int kind = FRAME_ARP_REQUEST; kind <= FRAME_ARP_PROBE; kind++)
		try_around(&sieve, (enum frame_kind)kind, AF_INET, list, 3);
	sieve_close(&sieve);

	sieve_open(&sieve, AF_INET6, list6, 3);
	frame_write(frame, FRAME_NA, mac, v6[1], true);
	CU_ASSERT_TRUE(passes(&sieve, frame, FRAME_NA_SIZE));
	try_around(&sieve, FRAME_NA, AF_INET6, list6, 3);
	try_around(&sieve, FRAME_NS_PROBE, AF_INET6, list6, 3);
	sieve_close(&sieve);
}

/* As many as fit are told apart; of more, each claim passes, but still no other frame. */
static void
test_many(int family, size_t fit)
{
	static unsigned char addresses[MANY + 1][16];
	static struct frame_address list[MANY];
	enum frame_kind kind = family == AF_INET ? FRAME_ARP_REPLY : FRAME_NA;
	unsigned char frame[FRAME_MAX];
	struct sieve sieve;

	for (size_t i = 0; i <= MANY; i++) {
		addresses[i][family == AF_INET ? 2 : 14] = (unsigned char)(i >> 8);
		addresses[i][family == AF_INET ? 3 : 15] = (unsigned char)i;
		addresses[i][0] = 10;
		if (i < MANY)
			list[i] = (struct frame_address){ family, addresses[i] };
	}
	for (size_t n = 0; n <= MANY; n += n == fit ? 1 : n < fit ? fit : MANY - n) {
		sieve_open(&sieve, family, list, n);
		for (size_t i = 0; i <= MANY; i++) {
			size_t len = frame_write(frame, kind, mac, addresses[i], false);
			CU_ASSERT_EQUAL(passes(&sieve, frame, len), i < n || n > fit);
		}
		frame[12] ^= 1;
		CU_ASSERT_FALSE(passes(&sieve, frame, 86));
		sieve_close(&sieve);
		if (n == MANY)
			break;
	}
}

static void
test_many_v4(void)
{
	test_many(AF_INET, (FRAME_FILTER_MAX - 1 - 9) / 3);
}

static void
test_many_v6(void)
{
	test_many(AF_INET6, (FRAME_FILTER_MAX - 1 - 9) / 9);
}

static const struct tap_case cases[] = {
	{ "the ARP frames are as RFC 5227 has them", test_arp },
	{ "the advertisement is as RFC 4861 has it", test_advert },
	{ "the solicitation is as RFC 4862 has it", test_solicit },
	{ "the filter and frame_claims say the same", test_filter },
	{ "many IPv4 addresses", test_many_v4 },
	{ "many IPv6 addresses", test_many_v6 },
};

TAP_MAIN("frame", cases)
