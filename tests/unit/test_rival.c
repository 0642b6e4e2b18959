/* SPDX-License-Identifier: ISC */
/*
 * What another host's frames say: our own announcements are read as claims, and every frame
 * that differs from one in a single byte, or is cut, by the rule of which bytes matter. How
 * often they come: every sequence of six pauses against a plain count.
 */
#include "agent/failover/rival.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/util.h"
#include "agent/warden/frame.h"
#include "tests/unit/tap.h"

static const unsigned char mac[6] = { 0x02, 0x11, 0x22, 0x33, 0x44, 0x55 };
static const unsigned char v4[4] = { 10, 9, 0, 100 };
static const unsigned char v6[16] = { 0xfd, [3] = 9, [15] = 100 };

static bool
is_in(size_t at, size_t from, size_t to)
{
	return at >= from && at < to;
}

/* Type, hardware, protocol, sizes, sender's address; the operation does not matter. */
static bool
arp_matters(size_t at)
{
	return is_in(at, 12, 20) || is_in(at, 28, 32);
}

/* Type, next header, hop limit, ICMP's type and code, the target. */
static bool
advert_matters(size_t at)
{
	return is_in(at, 12, 14) || is_in(at, 20, 22) || is_in(at, 54, 56) ||
	    is_in(at, 62, 78);
}

static void
try_kind(enum frame_kind kind, int family, const unsigned char *address, size_t least,
    bool (*matters)(size_t at))
{
	unsigned char frame[FRAME_MAX], out[6];
	size_t len = frame_write(frame, kind, mac, address, false);

	for (size_t cut = 0; cut <= len; cut++) {
		AUTO_FREE unsigned char *part = xcalloc(1, cut + 1);
		memcpy(part, frame, cut); /* a sanitizer watches its end */
		part = xrealloc(part, 1, cut > 0 ? cut : 1);
		CU_ASSERT_EQUAL(
		    rival_read(part, cut, family, address, out), cut >= least);
		CU_ASSERT(cut < least || memcmp(out, mac, 6) == 0);
	}
	for (size_t at = 0; at < len; at++)
		for (unsigned int change = 1; change < 256; change++) {
			frame[at] ^= (unsigned char)change;
			if (rival_read(frame, len, family, address, out) == matters(at))
				CU_FAIL("a byte that matters, or one that does not");
			frame[at] ^= (unsigned char)change;
		}
}

static void
test_read(void)
{
	unsigned char frame[FRAME_MAX], out[6] = { 1, 2, 3, 4, 5, 6 }, was[6];

	memcpy(was, out, 6);
	try_kind(FRAME_ARP_REQUEST, AF_INET, v4, 42, arp_matters);
	try_kind(FRAME_ARP_REPLY, AF_INET, v4, 42, arp_matters);
	try_kind(FRAME_NA, AF_INET6, v6, 78, advert_matters);
	size_t len = frame_write(frame, FRAME_ARP_PROBE, mac, v4, false);
	CU_ASSERT_FALSE(rival_read(frame, len, AF_INET, v4, out));
	len = frame_write(frame, FRAME_NS_PROBE, mac, v6, false);
	CU_ASSERT_FALSE(rival_read(frame, len, AF_INET6, v6, out));
	CU_ASSERT(memcmp(out, was, 6) == 0);
}

/* Behind another option, without any, behind one of no length, and one that is cut. */
static void
test_options(void)
{
	static const unsigned char theirs[6] = { 6, 5, 4, 3, 2, 1 };
	unsigned char frame[128] = { 0 }, out[6];

	frame_write(frame, FRAME_NA, mac, v6, false);
	memcpy(frame + 96, frame + 78, 8);
	memcpy(frame + 98, theirs, 6);
	memset(frame + 78, 0, 18);
	CU_ASSERT_TRUE(rival_read(frame, 104, AF_INET6, v6, out));
	CU_ASSERT(memcmp(out, mac, 6) == 0); /* an option of no length: the sender */
	frame[78] = 14;
	frame[79] = 1;
	memmove(frame + 86, frame + 96, 8);
	CU_ASSERT_TRUE(rival_read(frame, 94, AF_INET6, v6, out));
	CU_ASSERT(memcmp(out, theirs, 6) == 0);
	for (size_t len = 78; len < 94; len++) {
		CU_ASSERT_TRUE(rival_read(frame, len, AF_INET6, v6, out));
		CU_ASSERT(memcmp(out, mac, 6) == 0);
	}
}

static void
test_count(void)
{
	static const int64_t pauses[] = { 0, 1, 999, 1000, 29999, 30000, 58999, 59000,
		59999, 60000, 1000000 };
	enum { STEPS = 5, PAUSES = ARRAY_LENGTH(pauses) };
	unsigned int all = 1, wrong = 0;

	for (int i = 0; i < STEPS; i++)
		all *= PAUSES;
	for (unsigned int sequence = 0; sequence < all; sequence++) {
		struct rival rival = { 0 };
		int64_t now = 5, counted[STEPS] = { 0 };
		unsigned int n = 0, rest = sequence;
		for (int i = 0; i < STEPS; i++, rest /= PAUSES) {
			now += pauses[rest % PAUSES];
			enum rival_news news = rival_count(&rival, now), want;
			if (n > 0 && now - counted[n - 1] < 1000) {
				wrong += news != RIVAL_SAME;
				continue;
			}
			counted[n++] = now;
			want = n == 1 || now - counted[n - 2] >= 60000 ? RIVAL_FIRST
			    : n >= 3 && now - counted[n - 3] < 60000   ? RIVAL_OFTEN
								       : RIVAL_MORE;
			wrong += news != want || rival.count != n;
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static const struct tap_case cases[] = {
	{ "what a frame says", test_read },
	{ "where an advertisement names the MAC", test_options },
	{ "how often", test_count },
};

TAP_MAIN("rival", cases)
