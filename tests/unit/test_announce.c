/* SPDX-License-Identifier: ISC */
/*
 * When announcements go out, in virtual time and seen at the other end of a real cable; and
 * that the real kernel of a neighbour in another network namespace changes its mind.
 */
#include "agent/warden/announce.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/warden/links.h"
#include "agent/warden/netlink.h"
#include "tests/unit/netns.h"
#include "tests/unit/tap.h"
#include "tests/unit/virtual_loop.h"

#define MANY 100
#define OWN "02:00:00:00:00:99"

static const unsigned char own[6] = { 2, 0, 0, 0, 0, 0x99 };

struct bed {
	struct loop *loop;
	struct netlink *netlink;
	struct links links;
	struct announcer *announcer;
	unsigned int ifindex;
	int ear; /* at the other end */
	char text[16], interface[8];
};

static void
on_link(void *arg, const struct netlink_link *link, bool gone)
{
	struct bed *bed = arg;

	links_take(&bed->links, link, gone);
}

static void
ignore_address(void *arg, const struct netlink_address *address, bool present)
{
}

static void
ignore_loss(void *arg)
{
}

static void
set_up(struct bed *bed)
{
	struct netlink_out out = { .address = ignore_address,
		.link = on_link,
		.lost = ignore_loss,
		.arg = bed };
	struct sockaddr_ll any = { .sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL) };

	const int room = 1 << 22; /* for all that is sent in a turn */

	memset(bed, 0, sizeof(*bed));
	memcpy(bed->text, "10.9.0.100", 11);
	memcpy(bed->interface, "va", 3);
	bed->loop = loop_new();
	bed->netlink = netlink_new(bed->loop, &out);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bed->netlink);
	CU_ASSERT_EQUAL(netlink_dump(bed->netlink), 0);
	bed->ifindex = if_nametoindex("va");
	bed->announcer = announcer_new(bed->loop, &bed->links);
	CU_ASSERT_EQUAL_FATAL(announcer_open(bed->announcer, bed->netlink), 0);
	any.sll_ifindex = (int)if_nametoindex("vb");
	bed->ear = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(bed->ear, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (any.sll_ifindex != 0)
		CU_ASSERT_EQUAL_FATAL(
		    bind(bed->ear, (struct sockaddr *)&any, sizeof(any)), 0);
}

static void
tear_down(struct bed *bed)
{
	announcer_free(bed->announcer);
	netlink_free(bed->netlink);
	links_done(&bed->links);
	loop_free(bed->loop);
	close(bed->ear);
}

static struct conf_vip
make_conf(struct bed *bed, const char *address, int64_t refresh_ms)
{
	struct conf_vip conf = { .family =
				     strchr(address, ':') != NULL ? AF_INET6 : AF_INET,
		.text = bed->text,
		.interface = bed->interface,
		.announce_refresh_ms = refresh_ms };

	inet_pton(conf.family, address, conf.address);
	return conf;
}

/* How many of our frames have come; of the last byte of their address each in `of`. */
static unsigned int
hear(const struct bed *bed, unsigned int of[256])
{
	unsigned char frame[128];
	unsigned int count = 0;
	ssize_t n;

	while ((n = recv(bed->ear, frame, sizeof(frame), 0)) >= 0) {
		if (n < 42 || memcmp(frame + 6, own, 6) != 0)
			continue;
		count++;
		if (of != NULL)
			of[frame[31]]++;
	}
	return count;
}

/* Two frames each, at 0 to 40 ms, at 1 s to 1.04 s, then each refresh. */
static void
test_rounds(void)
{
	static const struct {
		int64_t until; /* from the beginning */
		unsigned int rounds;
	} steps[] = { { 0, 1 }, { 10, 2 }, { 20, 3 }, { 30, 4 }, { 40, 5 }, { 990, 5 },
		{ 1000, 6 }, { 1010, 7 }, { 1040, 10 }, { 3030, 10 }, { 3040, 11 },
		{ 5030, 11 }, { 5040, 12 } };
	struct bed bed;
	int64_t at = 0;
	unsigned int heard = 0;

	set_up(&bed);
	struct conf_vip conf = make_conf(&bed, bed.text, 2000);
	virtual_loop_run(bed.loop, 10 - loop_now(bed.loop) % 10); /* on a slot */
	struct announcement *one = announcement_new(bed.announcer, &conf);
	announcement_repeat(one);
	CU_ASSERT_EQUAL(hear(&bed, NULL), 0);
	announcement_begin(one, bed.ifindex);
	for (size_t i = 0; i < ARRAY_LENGTH(steps); i++) {
		virtual_loop_run(bed.loop, steps[i].until - at);
		at = steps[i].until;
		heard += hear(&bed, NULL);
		if (heard != 2 * steps[i].rounds)
			printf("# at %d: %u frames\n", (int)at, heard);
		CU_ASSERT_EQUAL(heard, 2 * steps[i].rounds);
	}
	announcement_repeat(one);
	CU_ASSERT_EQUAL(hear(&bed, NULL), 2);
	announcement_end(one);
	announcement_repeat(one);
	virtual_loop_run(bed.loop, 10000);
	CU_ASSERT_EQUAL(hear(&bed, NULL), 0);
	announcement_begin_soon(one, bed.ifindex);
	CU_ASSERT_EQUAL(hear(&bed, NULL), 0);
	virtual_loop_run(bed.loop, 10);
	CU_ASSERT(hear(&bed, NULL) >= 2);
	announcement_free(one);
	tear_down(&bed);
}

/* Another refresh counts from the reload on; none at all ends them. */
static void
test_turn(void)
{
	struct bed bed;

	set_up(&bed);
	struct conf_vip slow = make_conf(&bed, bed.text, 60000);
	struct conf_vip same = make_conf(&bed, bed.text, 60000);
	struct conf_vip fast = make_conf(&bed, bed.text, 2000);
	struct conf_vip never = make_conf(&bed, bed.text, 0);
	struct announcement *one = announcement_new(bed.announcer, &slow);
	announcement_begin(one, bed.ifindex);
	announcement_turn(one, &never);
	announcement_turn(one, &slow);
	virtual_loop_run(bed.loop, 30000);
	CU_ASSERT_EQUAL(hear(&bed, NULL), 20);
	announcement_turn(one, &same);
	virtual_loop_run(bed.loop, 31050); /* the refresh counts from the last round */
	CU_ASSERT_EQUAL(hear(&bed, NULL), 2);
	announcement_turn(one, &fast);
	virtual_loop_run(bed.loop, 1980);
	CU_ASSERT_EQUAL(hear(&bed, NULL), 0);
	virtual_loop_run(bed.loop, 30);
	CU_ASSERT_EQUAL(hear(&bed, NULL), 2);
	announcement_turn(one, &never);
	virtual_loop_run(bed.loop, 100000);
	CU_ASSERT_EQUAL(hear(&bed, NULL), 0);
	announcement_turn(one, &slow);
	virtual_loop_run(bed.loop, 60010);
	CU_ASSERT_EQUAL(hear(&bed, NULL), 2);
	announcement_free(one);
	tear_down(&bed);
}

/* A hundred at once: each is told at once, no window of a second has more than the bucket
 * allows, and none is told a third time before all were told twice. */
static void
test_many(void)
{
	static struct conf_vip confs[MANY];
	struct announcement *all[MANY];
	unsigned int of[256] = { 0 }, heard;
	struct bed bed;

	set_up(&bed);
	for (size_t i = 0; i < MANY; i++) {
		confs[i] = make_conf(&bed, bed.text, 0);
		confs[i].address[3] = (unsigned char)i;
		all[i] = announcement_new(bed.announcer, &confs[i]);
		announcement_begin(all[i], bed.ifindex);
	}
	heard = hear(&bed, of);
	CU_ASSERT_EQUAL(heard, 2 * MANY);
	for (unsigned int ms = 0; ms < 4000; ms += 10) {
		unsigned int least = 99, most = 0;
		virtual_loop_run(bed.loop, 10);
		heard += hear(&bed, of);
		for (size_t i = 0; i < MANY; i++) {
			least = of[i] < least ? of[i] : least;
			most = of[i] > most ? of[i] : most;
		}
		CU_ASSERT(most <= least + 2);
		CU_ASSERT(heard <= 256 + ms + 20);
	}
	CU_ASSERT_EQUAL(heard, 20 * MANY);
	virtual_loop_run(bed.loop, 10000); /* nothing is saved up */
	for (size_t i = 0; i < MANY; i++)
		announcement_begin(all[i], bed.ifindex);
	virtual_loop_run(bed.loop, 100);
	heard = hear(&bed, NULL);
	CU_ASSERT(heard >= 256 && heard <= 256 + 110 + 20);
	for (size_t i = 0; i < MANY; i++)
		announcement_free(all[i]);
	tear_down(&bed);
}

/* The router flag is what the kernel's own advertisements would say. */
static void
test_router(void)
{
	struct bed bed;

	set_up(&bed);
	struct conf_vip conf = make_conf(&bed, "fd00:9::100", 0);
	struct announcement *one = announcement_new(bed.announcer, &conf);
	for (int router = 0; router < 2; router++) {
		const char *path = "/proc/sys/net/ipv6/conf/va/forwarding";
		unsigned char frame[128];
		AUTO_FCLOSE FILE *file = fopen(path, "w");
		CU_ASSERT_PTR_NOT_NULL_FATAL(file);
		fprintf(file, "%d\n", router);
		fflush(file);
		hear(&bed, NULL);
		announcement_begin(one, bed.ifindex);
		ssize_t n = -1;
		do
			n = recv(bed.ear, frame, sizeof(frame), 0);
		while (n >= 0 && (n != 86 || memcmp(frame + 6, own, 6) != 0));
		CU_ASSERT_EQUAL(n, 86);
		CU_ASSERT_EQUAL(frame[58], router ? 0xa0 : 0x20);
	}
	announcement_free(one);
	tear_down(&bed);
}

static bool
await_shown(pid_t where, const char *show, const char *want)
{
	int64_t end = clock_boot_ms() + 5000;
	char text[256];

	do
		netns_ip(where, show, text, sizeof(text));
	while (strstr(text, want) == NULL && clock_boot_ms() < end);
	return strstr(text, want) != NULL;
}

/* A cable with both ends here; true: it carries. */
static bool
lay_cable(void)
{
	return netns_ip(
		   0, "link add va address " OWN " type veth peer name vb", NULL, 0) &&
	    netns_ip(0, "link set va up", NULL, 0) &&
	    netns_ip(0, "link set vb up", NULL, 0) &&
	    await_shown(0, "link show va", "state UP") && /* drops frames until then */
	    await_shown(0, "link show vb", "state UP");
}

static void
test_neighbour(void)
{
	static const char wrong[] = "02:aa:aa:aa:aa:aa";
	pid_t other = netns_neighbour();
	char words[128];
	struct bed bed;

	CU_ASSERT_FATAL(other > 0);
	snprintf(words, sizeof(words), "link set vb netns %d", (int)other);
	CU_ASSERT(netns_ip(0, words, NULL, 0));
	CU_ASSERT(netns_ip(other, "link set vb up", NULL, 0));
	CU_ASSERT(netns_ip(other, "addr add 10.9.0.2/24 dev vb", NULL, 0));
	CU_ASSERT(netns_ip(other, "addr add fd00:9::2/64 dev vb nodad", NULL, 0));
	CU_ASSERT(await_shown(0, "link show va", "state UP"));
	CU_ASSERT(await_shown(other, "link show vb", "state UP"));
	set_up(&bed);
	for (int v6 = 0; v6 < 2; v6++) {
		const char *address = v6 ? "fd00:9::100" : "10.9.0.100";
		struct conf_vip conf = make_conf(&bed, address, 0);
		struct announcement *one = announcement_new(bed.announcer, &conf);
		snprintf(words, sizeof(words),
		    "neigh add %s lladdr %s dev vb nud reachable", address, wrong);
		CU_ASSERT(netns_ip(other, words, NULL, 0));
		announcement_begin(one, bed.ifindex);
		snprintf(words, sizeof(words), "neigh show %s", address);
		CU_ASSERT(await_shown(other, words, OWN));
		/* none of these is an Ethernet that is there */
		announcement_begin(one, if_nametoindex("lo"));
		announcement_begin(one, 4711);
		announcement_free(one);
	}
	tear_down(&bed);
	netns_leave(other);
}

static const struct tap_case cases[] = {
	{ "the rounds of an address", test_rounds },
	{ "another refresh", test_turn },
	{ "a hundred addresses at once", test_many },
	{ "the router flag", test_router },
	{ "a neighbour changes its mind", test_neighbour },
};

int
main(int argc, char **argv)
{
	if (!netns_enter() || !lay_cable())
		return 0;
	return tap_main(argc, argv, "announce", cases, ARRAY_LENGTH(cases));
}
