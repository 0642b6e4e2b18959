/* SPDX-License-Identifier: ISC */
/*
 * The program of the fence against its rule: frames of every kind, both ways, with and
 * without a link layer, behind tags and option headers, with an address of ours in every
 * place that can hold one, are given to the kernel's test run of the loaded program. What
 * must be mute stands in is_asked_or_claimed and nowhere else; all else must pass.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "agent/warden/fence.h"
#include "agent/warden/fence_map.h"
#include "tests/unit/fence_bed.h"
#include "tests/unit/tap.h"

#define SHOT 2u
#define UNSPEC UINT32_MAX
#define REFUSED 4711u /* to run it at all */
#define ETHERNET_HEADER 14
#define FRAME_MIN 14 /* of the kernel's test run */
#define HEADERS_SIZE 54 /* less of what it takes for IP, it may refuse */
#define OPTIONS_MAX 5
#define TAGS_MAX 3
#define COST_ROUNDS 1000000
#define COST_LIMIT_NS 20000

enum way { IN, OUT };
enum kind {
	ARP_REQUEST,
	ARP_REPLY,
	ARP_REVERSE,
	ARP_OF_OTHERS, /* another protocol than IPv4 */
	IPV4_UDP,
	IPV4_ICMP,
	IPV6_UDP,
	IPV6_NS,
	IPV6_NA,
	IPV6_RS,
	IPV6_ECHO,
	FOREIGN, /* another EtherType, and IPv4 behind it */
	KINDS,
};
enum field { SENDER, RECEIVER, TARGET, NOWHERE, FIELDS };

struct recipe {
	bool bare;
	unsigned int tags, tag_types; /* a bit for each tag: 802.1ad */
	enum kind kind;
	enum field field;
	unsigned int options; /* headers behind IPv6's */
};

struct frame {
	unsigned char bytes[512];
	size_t len;
	size_t
	    decided; /* the last byte of the field that holds our address is before it */
};

static const unsigned char ours4[4] = { 10, 9, 0, 100 };
static const unsigned char others4[4] = { 10, 9, 0, 7 };
static const unsigned char ours6[16] = { 0xfd, 0, 0, 9, [15] = 0x64 };
static const unsigned char others6[16] = { 0xfd, 0, 0, 9, [15] = 7 };
static struct fence *fence;

static bool
is_arp(enum kind kind)
{
	return kind <= ARP_OF_OTHERS;
}

static bool
is_v6(enum kind kind)
{
	return kind >= IPV6_UDP && kind <= IPV6_ECHO;
}

/* The rule. */
static bool
is_asked_or_claimed(enum way way, enum kind kind, enum field field)
{
	if (kind == FOREIGN || kind == ARP_OF_OTHERS)
		return false;
	if (way == OUT)
		return field == SENDER || (kind == IPV6_NA && field == TARGET);
	if (is_arp(kind))
		return kind == ARP_REQUEST && field == RECEIVER;
	return field == RECEIVER || (kind == IPV6_NS && field == TARGET);
}

static bool
must_be_mute(enum way way, const struct recipe *recipe)
{
	if (recipe->tags > 2 || (recipe->field == TARGET && recipe->options > 4))
		return false;
	return is_asked_or_claimed(way, recipe->kind, recipe->field);
}

static void
put(struct frame *frame, const void *data, size_t len)
{
	memcpy(frame->bytes + frame->len, data, len);
	frame->len += len;
}

static void
put_u16(struct frame *frame, unsigned int value)
{
	const unsigned char bytes[2] = { value >> 8 & 0xff, value & 0xff };

	put(frame, bytes, sizeof(bytes));
}

static void
put_field(struct frame *frame, const struct recipe *recipe, enum field field, bool v6)
{
	const unsigned char *address = v6 ? others6 : others4;

	if (recipe->field == field)
		address = v6 ? ours6 : ours4;
	put(frame, address, v6 ? 16 : 4);
	if (recipe->field == field)
		frame->decided = frame->len;
}

static void
put_arp(struct frame *frame, const struct recipe *recipe)
{
	static const unsigned char mac[6] = { 2, 0, 0, 0, 0, 1 };
	static const unsigned int operations[] = { 1, 2, 3, 1 };

	put_u16(frame, 1);
	put_u16(frame, recipe->kind == ARP_OF_OTHERS ? 0x86dd : 0x0800);
	put_u16(frame, 0x0604);
	put_u16(frame, operations[recipe->kind]);
	put(frame, mac, sizeof(mac));
	put_field(frame, recipe, SENDER, false);
	put(frame, mac, sizeof(mac));
	put_field(frame, recipe, RECEIVER, false);
}

static void
put_ipv4(struct frame *frame, const struct recipe *recipe)
{
	unsigned char head[12] = { 0x45, [3] = 28, [8] = 64, [9] = 17 };

	if (recipe->kind == IPV4_ICMP)
		head[9] = 1;
	put(frame, head, sizeof(head));
	put_field(frame, recipe, SENDER, false);
	put_field(frame, recipe, RECEIVER, false);
	put(frame, (const unsigned char[8]){ 0 }, 8);
}

/* What can stand before the message: hop-by-hop, routing and destination options, of one
 * or two eights in turn. */
static unsigned char
option_type(unsigned int at)
{
	static const unsigned char types[] = { 0, 60, 43 };

	return types[at % 3];
}

static void
put_ipv6(struct frame *frame, const struct recipe *recipe)
{
	static const unsigned char types[KINDS] = {
		[IPV6_NS] = 135, [IPV6_NA] = 136, [IPV6_RS] = 133, [IPV6_ECHO] = 128
	};
	unsigned char payload = recipe->kind == IPV6_UDP ? 17 : 58;
	unsigned char head[8] = { 0x60, [7] = 255 };
	const unsigned char message[8] = { types[recipe->kind] };

	head[6] = recipe->options > 0 ? option_type(0) : payload;
	put(frame, head, sizeof(head));
	put_field(frame, recipe, SENDER, true);
	put_field(frame, recipe, RECEIVER, true);
	for (unsigned int i = 0; i < recipe->options; i++) {
		unsigned char option[16] = { option_type(i + 1), i % 2 };
		if (i + 1 == recipe->options)
			option[0] = payload;
		put(frame, option, i % 2 == 0 ? 8 : 16);
	}
	put(frame, message, sizeof(message));
	put_field(frame, recipe, TARGET, true);
}

static void
put_link_layer(struct frame *frame, const struct recipe *recipe)
{
	unsigned int type = is_arp(recipe->kind) ? 0x0806
	    : is_v6(recipe->kind)                ? 0x86dd
	    : recipe->kind == FOREIGN            ? 0x88cc
						 : 0x0800;

	put(frame, (const unsigned char[12]){ 2 }, 12);
	for (unsigned int i = 0; i < recipe->tags; i++) {
		put_u16(frame, (recipe->tag_types >> i & 1) != 0 ? 0x88a8 : 0x8100);
		put_u16(frame, i * 5);
	}
	put_u16(frame, type);
}

static void
make(struct frame *frame, const struct recipe *recipe)
{
	frame->len = frame->decided = 0;
	if (!recipe->bare)
		put_link_layer(frame, recipe);
	if (is_arp(recipe->kind))
		put_arp(frame, recipe);
	else if (is_v6(recipe->kind))
		put_ipv6(frame, recipe);
	else
		put_ipv4(frame, recipe);
}

/* Of all frames that there are, the next one; false: that was the last. */
static bool
next_recipe(struct recipe *recipe)
{
	if (++recipe->field < FIELDS)
		return true;
	recipe->field = SENDER;
	if (is_v6(recipe->kind) && ++recipe->options <= OPTIONS_MAX)
		return true;
	recipe->options = 0;
	if (++recipe->kind < KINDS)
		return true;
	recipe->kind = recipe->bare ? IPV4_UDP : ARP_REQUEST;
	if (recipe->bare)
		return false;
	if (++recipe->tag_types < 1u << recipe->tags)
		return true;
	recipe->tag_types = 0;
	return ++recipe->tags <= TAGS_MAX;
}

static struct recipe
first_recipe(bool bare)
{
	return (struct recipe){ .bare = bare, .kind = bare ? IPV4_UDP : ARP_REQUEST };
}

static uint32_t
verdict(int program, const struct frame *frame, size_t len)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame->bytes,
	    .data_size_in = (uint32_t)len, .repeat = 1);

	return bpf_prog_test_run_opts(program, &run) == 0 ? run.retval : REFUSED;
}

static void
set_both(int64_t until_ms)
{
	CU_ASSERT_EQUAL(fence_set(fence, AF_INET, ours4, until_ms), 0);
	CU_ASSERT_EQUAL(fence_set(fence, AF_INET6, ours6, until_ms), 0);
}

static const char *const pins[2][2] = { { FENCE_PIN_IN, FENCE_PIN_OUT },
	{ FENCE_PIN_IN_BARE, FENCE_PIN_OUT_BARE } };

static void
complain(enum way way, const struct recipe *recipe, uint32_t got)
{
	printf("# way %d bare %d tags %u/%x kind %d field %d options %u: %d\n",
	    (int)way, recipe->bare, recipe->tags, recipe->tag_types, (int)recipe->kind,
	    (int)recipe->field, recipe->options, (int)got);
}

/* A frame without a link layer that is not IP has another version in its first byte. */
static bool
is_possible(const struct recipe *recipe)
{
	return !recipe->bare || recipe->kind != FOREIGN;
}

/* Every frame one way; `closed`: our addresses must be mute. */
static void
try_all(bool bare, enum way way, bool closed)
{
	struct recipe recipe = first_recipe(bare);
	struct frame frame;
	unsigned int wrong = 0, mute = 0, count = 0;
	int program = fence_bed_pinned(pins[bare][way]);

	CU_ASSERT_FATAL(program >= 0);
	do {
		if (!is_possible(&recipe))
			continue;
		make(&frame, &recipe);
		uint32_t want = closed && must_be_mute(way, &recipe) ? SHOT : UNSPEC;
		uint32_t got = verdict(program, &frame, frame.len);
		count++;
		mute += got == SHOT;
		if (got != want && ++wrong < 10)
			complain(way, &recipe, got);
	} while (next_recipe(&recipe));
	close(program);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(mute > 0, closed);
	CU_ASSERT(count > 100);
}

static void
try_everywhere(bool closed)
{
	for (int i = 0; i < 4; i++)
		try_all((i & 1) != 0, (i & 2) != 0 ? OUT : IN, closed);
}

static void
test_unknown(void)
{
	fence_forget(fence, AF_INET, ours4);
	fence_forget(fence, AF_INET6, ours6);
	try_everywhere(false);
}

static void
test_held(void)
{
	set_both(clock_boot_ms() + 3600 * 1000);
	try_everywhere(false);
}

static void
test_never_held(void)
{
	set_both(0);
	try_everywhere(true);
}

static void
test_lapsed(void)
{
	set_both(clock_boot_ms());
	try_everywhere(true);
	set_both(1);
	try_everywhere(true);
}

/* A frame that ends before the field that decides is not judged by it, and harms nobody.
 * The kernel runs none that has less than the header of the IP it says it is, unless a tag
 * says it first. */
static void
test_cut(void)
{
	struct frame frame;
	unsigned int wrong = 0, run = 0;

	set_both(0);
	for (int i = 0; i < 4; i++) {
		enum way way = (i & 2) != 0 ? OUT : IN;
		struct recipe recipe = first_recipe((i & 1) != 0);
		int program = fence_bed_pinned(pins[i & 1][way]);
		do {
			if (!is_possible(&recipe) || recipe.tags > 1)
				continue;
			make(&frame, &recipe);
			for (size_t len = FRAME_MIN; len < frame.len; len++) {
				bool mute =
				    must_be_mute(way, &recipe) && len >= frame.decided;
				uint32_t got = verdict(program, &frame, len);
				run += got != REFUSED;
				if (got != REFUSED && got != (mute ? SHOT : UNSPEC) &&
				    ++wrong < 10)
					complain(way, &recipe, got);
			}
		} while (next_recipe(&recipe));
		close(program);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(run > 10000);
}

/* Any bytes at all: the program must end, with one of its two answers. */
static void
test_noise(void)
{
	unsigned int wrong = 0;

	for (int i = 0; i < 4; i++) {
		int program = fence_bed_pinned(pins[i & 1][i >> 1]);
		for (unsigned int round = 0; round < 5000; round++) {
			struct frame frame = { .len =
						   HEADERS_SIZE + random_u64() % 200 };
			for (size_t at = 0; at < frame.len; at++)
				frame.bytes[at] = (unsigned char)random_u64();
			if ((i & 1) == 0)
				memcpy(frame.bytes + 12, "\x86\xdd", 2);
			uint32_t got = verdict(program, &frame, frame.len);
			wrong += got != UNSPEC && got != SHOT;
		}
		close(program);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static uint32_t
cost_ns(const char *pin, const struct frame *frame)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame->bytes,
	    .data_size_in = (uint32_t)frame->len, .repeat = COST_ROUNDS);
	int program = fence_bed_pinned(pin);

	CU_ASSERT_EQUAL(bpf_prog_test_run_opts(program, &run), 0);
	CU_ASSERT_EQUAL(run.retval, UNSPEC);
	close(program);
	return run.duration;
}

/* Told, for who wants to know; the limit is one that only a fault can break. */
static void
test_cost(void)
{
	static const struct {
		const char *what;
		struct recipe recipe;
	} frames[] = {
		{ "IPv4, not ours", { .kind = IPV4_UDP, .field = NOWHERE } },
		{ "IPv4, ours and held", { .kind = IPV4_UDP, .field = RECEIVER } },
		{ "IPv6, not ours", { .kind = IPV6_UDP, .field = NOWHERE } },
		{ "IPv6, ours and held", { .kind = IPV6_UDP, .field = RECEIVER } },
		{ "ARP request for ours", { .kind = ARP_REQUEST, .field = RECEIVER } },
		{ "NS for ours", { .kind = IPV6_NS, .field = TARGET } },
		{ "neither", { .kind = FOREIGN, .field = NOWHERE } },
	};
	struct frame frame;
	const int rounds = 100000;

	set_both(clock_boot_ms() + 3600 * 1000);
	for (size_t i = 0; i < ARRAY_LENGTH(frames); i++) {
		make(&frame, &frames[i].recipe);
		uint32_t ns = cost_ns(FENCE_PIN_IN, &frame);
		printf("# %s: %u ns\n", frames[i].what, ns);
		CU_ASSERT(ns < COST_LIMIT_NS);
	}
	int64_t begun = clock_raw_ms();
	for (int i = 0; i < rounds; i++)
		fence_set(fence, AF_INET, ours4, clock_boot_ms() + 3600 * 1000);
	printf("# a deadline written: %lld ns\n",
	    (long long)(clock_raw_ms() - begun) * 1000000 / rounds);
}

static const struct tap_case cases[] = {
	{ "an address that is not in the map passes", test_unknown },
	{ "a held address passes", test_held },
	{ "an address with deadline 0 is mute by the rule", test_never_held },
	{ "a lapsed address is mute by the rule", test_lapsed },
	{ "a frame that is cut short is judged by what it has", test_cut },
	{ "any bytes have an answer", test_noise },
	{ "what it costs", test_cost },
};

int
main(int argc, char **argv)
{
	char why[256];

	if (!fence_bed_enter())
		return 0;
	fence = fence_open(FENCE_BED_FOLDER, why, sizeof(why));
	if (fence == NULL) {
		printf("1..0 # SKIP no fence here: %s\n", why);
		return 0;
	}
	int status = tap_main(argc, argv, "fence_program", cases, ARRAY_LENGTH(cases));
	fence_free(fence);
	return status;
}
