/* SPDX-License-Identifier: ISC */
/*
 * Tracking: the priority is what is configured less all that has failed, for every set of
 * failures, however they came about; a reload keeps what it knows; and what the warden
 * tells of interfaces.
 */
#include "agent/failover/track.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/warden/links.h"
#include "agent/warden/netlink.h"
#include "agent/warden/tracks.h"
#include "tests/unit/conf_text.h"
#include "tests/unit/tap.h"

static const char text[] =
    "icmp a { address = \"192.0.2.1\" } icmp b { address = \"192.0.2.2\" }\n"
    "role x { priority = 100 vip \"192.0.2.9\" { interface = e }\n"
    "  track { check a { weight = -70 } interface e1 { weight = -20 }\n"
    "    check b { weight = -60 } } }\n"
    "role y { priority = 5 track { check a { weight = -3 } } }\n";

struct told {
	unsigned int priority[2];
	int count;
};

static void
on_priority(void *arg, uint32_t role, unsigned int effective)
{
	struct told *told = arg;

	told->priority[role] = effective;
	told->count++;
}

static void
set(struct track *track, const struct conf *conf, int bit, bool failed)
{
	if (bit == 2)
		track_interface(track, conf->roles[0]->tracks[1]->index, !failed);
	else
		track_check(track, conf->checks[bit],
		    failed ? CHECK_CRITICAL : CHECK_WARNING, true);
}

static unsigned int
reckon(unsigned int bits)
{
	int sum = 100 - ((bits & 1) != 0 ? 70 : 0) - ((bits & 2) != 0 ? 60 : 0) -
	    ((bits & 4) != 0 ? 20 : 0);

	return sum > 0 ? (unsigned int)sum : 0;
}

/* From every set to every other one. */
static void
test_sets(void)
{
	struct conf *conf = conf_of_text(text);

	for (unsigned int from = 0; from < 8; from++)
		for (unsigned int to = 0; to < 8; to++) {
			struct told told = { { 100, 5 }, 0 };
			struct track *track =
			    track_new(conf, &(struct track_out){ on_priority, &told });
			for (int bit = 0; bit < 3; bit++)
				set(track, conf, bit, (from >> bit & 1) != 0);
			CU_ASSERT_EQUAL(told.priority[0], reckon(from));
			int before = told.count;
			for (int bit = 0; bit < 3; bit++)
				set(track, conf, bit, (to >> bit & 1) != 0);
			CU_ASSERT_EQUAL(told.priority[0], reckon(to));
			CU_ASSERT_EQUAL(told.priority[1], (to & 1) != 0 ? 2 : 5);
			CU_ASSERT_EQUAL(track_priority(track, 0), reckon(to));
			if (from == to)
				CU_ASSERT_EQUAL(told.count, before);
			track_free(track);
		}
	conf_free(conf);
}

/* What is not known has not failed; an index of nothing changes nothing. */
static void
test_unknown(void)
{
	struct conf *conf = conf_of_text(text);
	struct told told = { { 100, 5 }, 0 };
	struct track *track =
	    track_new(conf, &(struct track_out){ on_priority, &told });

	track_tell(track);
	track_check(track, conf->checks[0], CHECK_CRITICAL, false);
	track_interface(track, 99, false);
	track_interface(track, 0, false); /* a check */
	CU_ASSERT_EQUAL(told.count, 0);
	track_check(track, conf->checks[0], CHECK_CRITICAL, true);
	told = (struct told){ { 0, 0 }, 0 };
	track_tell(track);
	CU_ASSERT_EQUAL(told.priority[0], 30);
	CU_ASSERT_EQUAL(told.priority[1], 2);
	track_free(track);
	conf_free(conf);
}

/* Other places and other weights; what is new has not failed. */
static void
test_reload(void)
{
	static const char other[] =
	    "icmp b { address = \"192.0.2.2\" } icmp a { address = \"192.0.2.1\" }\n"
	    "role y { priority = 50 track { check b { weight = -1 } } }\n"
	    "role x { priority = 200 vip \"192.0.2.9\" { interface = e }\n"
	    "  track { interface e1 { weight = -5 } interface e2 { weight = -7 }\n"
	    "    check a { weight = -30 } } }\n";
	struct conf *conf = conf_of_text(text), *next = conf_of_text(other);
	struct told told = { { 100, 5 }, 0 };
	struct track *track =
	    track_new(conf, &(struct track_out){ on_priority, &told });

	set(track, conf, 0, true);
	set(track, conf, 2, true);
	track_reload(track, next);
	conf_free(conf);
	CU_ASSERT_EQUAL(told.priority[0], 50);
	CU_ASSERT_EQUAL(told.priority[1], 165);
	track_check(track, next->checks[1], CHECK_PASSING, true);
	CU_ASSERT_EQUAL(told.priority[1], 195);
	track_free(track);
	conf_free(next);
}

/* ---- the warden's side ---- */

struct heard {
	int count;
	struct wire_track last;
	struct loop *loop;
};

static void
on_message(void *arg, const struct wire_message *message, int fd)
{
	struct heard *heard = arg;

	CU_ASSERT_EQUAL(message->type, WIRE_TRACK);
	heard->last = message->track;
	heard->count++;
	loop_stop(heard->loop);
}

static void
on_nothing(void *arg, const char *why)
{
}

static void
test_warden(void)
{
	struct conf *conf = conf_of_text(text);
	struct heard heard = { .loop = loop_new() };
	struct wire_out out = { on_message, on_nothing, &heard };
	struct netlink_link e1 = { .ifindex = 3, .up = true, .name = "e1" };
	struct links links = { 0 };
	struct tracks tracks = { 0 };
	int pair[2];

	CU_ASSERT_EQUAL_FATAL(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
	    0);
	struct wire *warden =
	    wire_new(heard.loop, pair[0], WIRE_WARDEN, WIRE_AGENT, 1, &out);
	struct wire *agent =
	    wire_new(heard.loop, pair[1], WIRE_AGENT, WIRE_WARDEN, 1, &out);
	tracks_forget(&tracks, conf);
	tracks_tell(&tracks, conf, &links, warden); /* nothing is known yet */
	links_take(&links, &(struct netlink_link){ .ifindex = 1, .name = "lo" }, false);
	for (int round = 0; round < 4; round++) {
		/* not there, there, down, gone */
		e1.up = round == 1;
		if (round > 0)
			links_take(&links, &e1, round == 3);
		tracks_tell(&tracks, conf, &links, NULL);
		tracks_tell(&tracks, conf, &links, warden);
		tracks_tell(&tracks, conf, &links, warden);
		if (round < 3)
			loop_run(heard.loop);
		CU_ASSERT_EQUAL(heard.count, round < 3 ? round + 1 : 3);
		CU_ASSERT_EQUAL(heard.last.track, 1);
		CU_ASSERT_EQUAL(heard.last.up, round == 1);
	}
	tracks_forget(&tracks, conf);
	tracks_tell(&tracks, conf, &links, warden);
	loop_run(heard.loop);
	CU_ASSERT_EQUAL(heard.count, 4); /* another agent hears it again */
	tracks_done(&tracks);
	links_done(&links);
	wire_free(warden);
	wire_free(agent);
	loop_free(heard.loop);
	conf_free(conf);
}

static const struct tap_case cases[] = {
	{ "every set of failures", test_sets },
	{ "what is not known", test_unknown },
	{ "a reload", test_reload },
	{ "what the warden tells", test_warden },
};

TAP_MAIN("track", cases)
