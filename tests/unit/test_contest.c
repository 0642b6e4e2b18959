/* SPDX-License-Identifier: ISC */
/*
 * What becomes of others that have an address, in virtual time: every way in which the
 * addresses of a role may answer a probe, and claims of both policies.
 */
#include "agent/failover/contest.h"

#include <string.h>
#include <sys/socket.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"
#include "agent/base/wire.h"
#include "agent/conf/conf.h"
#include "agent/conf/merge.h"
#include "agent/warden/frame.h"
#include "tests/unit/tap.h"
#include "tests/unit/virtual_loop.h"

#define VIPS 2
#define THEIRS "02:00:00:00:00:07"

static const unsigned char theirs[6] = { 2, 0, 0, 0, 0, 7 };

struct bed {
	struct loop *loop;
	struct contest *contest;
	struct conf conf;
	struct conf_role role, *roles[1];
	struct conf_vip vips[VIPS], *all[VIPS];
	const struct conf_vip *of_role[VIPS];
	char texts[VIPS][16], interface[8];
	struct wire *agent, *warden;
	unsigned int changed, probed, asked, announced;
	uint64_t order;
	bool found;
	struct wire_probe last; /* that the warden heard */
};

static void
on_changed(void *arg, uint32_t vip)
{
	struct bed *bed = arg;

	CU_ASSERT(vip < VIPS);
	bed->changed++;
}

static void
on_probed(void *arg, uint32_t role, uint64_t order, bool found)
{
	struct bed *bed = arg;

	CU_ASSERT_EQUAL(role, 0);
	bed->probed++;
	bed->order = order;
	bed->found = found;
}

static void
on_order(void *arg, const struct wire_message *message, int fd)
{
	struct bed *bed = arg;

	CU_ASSERT(message->type == WIRE_PROBE || message->type == WIRE_ANNOUNCE);
	*(message->type == WIRE_PROBE ? &bed->asked : &bed->announced) += 1;
	bed->last = message->probe;
}

static void
on_closed(void *arg, const char *why)
{
	CU_FAIL("the wire was closed");
}

static void
set_up(struct bed *bed)
{
	int fds[2];

	memset(bed, 0, sizeof(*bed));
	struct contest_out out = { on_changed, on_probed, bed };
	struct wire_out to_agent = { on_order, on_closed, bed };
	bed->loop = loop_new();
	memcpy(bed->interface, "eth0", 5);
	for (uint32_t i = 0; i < VIPS; i++) {
		memcpy(bed->texts[i], i == 0 ? "10.0.0.1" : "10.0.0.2", 9);
		bed->vips[i] = (struct conf_vip){ .index = i,
			.family = AF_INET,
			.address = { 10, 0, 0, (unsigned char)(i + 1) },
			.role = &bed->role,
			.text = bed->texts[i],
			.interface = bed->interface };
		bed->all[i] = &bed->vips[i];
		bed->of_role[i] = &bed->vips[i];
	}
	bed->role.vips = bed->of_role;
	bed->role.n_vips = bed->conf.n_vips = VIPS;
	bed->roles[0] = &bed->role;
	bed->conf.roles = bed->roles;
	bed->conf.n_roles = 1;
	bed->conf.vips = bed->all;
	bed->contest = contest_new(bed->loop, &bed->conf, &out);
	CU_ASSERT_EQUAL_FATAL(wire_pair(fds), 0);
	bed->agent = wire_new(bed->loop, fds[0], WIRE_AGENT, WIRE_WARDEN, 1, &to_agent);
	bed->warden =
	    wire_new(bed->loop, fds[1], WIRE_WARDEN, WIRE_AGENT, 1, &to_agent);
	contest_link(bed->contest, bed->agent, 5);
}

static void
tear_down(struct bed *bed)
{
	contest_free(bed->contest);
	wire_free(bed->agent);
	wire_free(bed->warden);
	loop_free(bed->loop);
}

static void
answer(struct bed *bed, uint32_t vip, uint64_t order, enum wire_found found)
{
	struct wire_message message = { .type = WIRE_PROBED,
		.probed = { .order = order, .vip = vip, .found = found } };

	memcpy(message.probed.mac, theirs, 6);
	contest_message(bed->contest, &message, false);
}

static bool
away(const struct bed *bed, uint32_t vip)
{
	char why[128] = "";
	bool fault = contest_fault(bed->contest, vip, why, sizeof(why));

	CU_ASSERT_EQUAL(fault, strstr(why, THEIRS) != NULL);
	CU_ASSERT_EQUAL(fault, strstr(why, bed->texts[vip]) != NULL);
	return fault;
}

/* Each address in turn answers one of three things; an answer to an older order comes
 * between. The first that finds somebody decides, else the last. */
static void
test_probe(void)
{
	for (unsigned int which = 0; which < 9; which++) {
		struct bed bed;
		enum wire_found says[VIPS] = { which % 3, which / 3 };
		bool first = says[0] == WIRE_FOUND_ANOTHER;
		bool found = first || says[1] == WIRE_FOUND_ANOTHER;

		set_up(&bed);
		CU_ASSERT_TRUE(contest_probe(bed.contest, 0, 7, true));
		CU_ASSERT_TRUE(contest_probe(bed.contest, 0, 8, true));
		for (int i = 0; i < 2 * VIPS; i++)
			virtual_loop_run(bed.loop, 10); /* one message a turn */
		CU_ASSERT_EQUAL(bed.asked, 2 * VIPS);
		CU_ASSERT_EQUAL(bed.last.instance, 5);
		CU_ASSERT_EQUAL(bed.last.order, 8);
		answer(&bed, 1, 7, WIRE_FOUND_ANOTHER);
		answer(&bed, 0, 7, WIRE_FOUND_NOBODY);
		CU_ASSERT_EQUAL(bed.probed + bed.changed, 0);
		answer(&bed, 0, 8, says[0]);
		CU_ASSERT_EQUAL(bed.probed, first);
		answer(&bed, 1, 8, says[1]);
		CU_ASSERT_EQUAL(bed.probed, 1);
		CU_ASSERT_EQUAL(bed.order, 8);
		CU_ASSERT_EQUAL(bed.found, found);
		CU_ASSERT_EQUAL(away(&bed, 0), first);
		CU_ASSERT_EQUAL(away(&bed, 1), found && !first);
		CU_ASSERT_EQUAL(bed.changed, found);
		virtual_loop_run(bed.loop, 29000);
		CU_ASSERT_EQUAL(away(&bed, 0) || away(&bed, 1), found);
		virtual_loop_run(bed.loop, 2000);
		CU_ASSERT_FALSE(away(&bed, 0) || away(&bed, 1));
		CU_ASSERT_EQUAL(bed.changed, found ? 2 : 0);
		tear_down(&bed);
	}
}

/* As long as another host has it, it is looked for and nothing changes. */
static void
test_looks(void)
{
	static const enum wire_found lasts[] = { WIRE_FOUND_NOBODY,
		WIRE_FOUND_UNKNOWN };
	struct bed bed;

	for (size_t last = 0; last < ARRAY_LENGTH(lasts); last++) {
		set_up(&bed);
		contest_probe(bed.contest, 0, 1, false); /* that is told, no more */
		answer(&bed, 0, 1, WIRE_FOUND_ANOTHER);
		CU_ASSERT_TRUE(bed.found);
		CU_ASSERT_FALSE(away(&bed, 0));
		contest_probe(bed.contest, 0, 2, true);
		answer(&bed, 0, 2, WIRE_FOUND_ANOTHER);
		for (int i = 0; i < 5; i++) {
			CU_ASSERT_TRUE(away(&bed, 0));
			virtual_loop_run(bed.loop, 30010);
			for (int turn = 0; turn < 2 * VIPS; turn++)
				virtual_loop_run(bed.loop, 1);
			CU_ASSERT_EQUAL(bed.last.vip, 0);
			CU_ASSERT_EQUAL(bed.asked, 5 + (unsigned int)i);
			answer(&bed, 0, bed.last.order,
			    i < 4 ? WIRE_FOUND_ANOTHER : lasts[last]);
			answer(&bed, 0, bed.last.order, WIRE_FOUND_ANOTHER);
		}
		CU_ASSERT_FALSE(away(&bed, 0));
		CU_ASSERT_EQUAL(bed.changed, 2);
		CU_ASSERT_EQUAL(bed.probed, 2);
		tear_down(&bed);
	}
}

static void
test_nobody_to_ask(void)
{
	struct bed bed;

	set_up(&bed);
	answer(&bed, 0, 0, WIRE_FOUND_ANOTHER);
	CU_ASSERT_TRUE(contest_probe(bed.contest, 0, 1, true));
	contest_link(bed.contest, NULL, 0);
	CU_ASSERT_FALSE(contest_probe(bed.contest, 0, 2, true));
	contest_link(bed.contest, bed.agent, 6);
	answer(&bed, 0, 1, WIRE_FOUND_ANOTHER); /* of a warden that is gone */
	CU_ASSERT_EQUAL(bed.probed + bed.changed, 0);
	tear_down(&bed);
}

static void
see(struct bed *bed, enum frame_kind kind, unsigned char last, bool held)
{
	const unsigned char address[4] = { 10, 0, 0, last };
	struct wire_message message = { .type = WIRE_SEEN, .seen = { .vip = 0 } };

	message.seen.len =
	    (uint32_t)frame_write(message.seen.bytes, kind, theirs, address, false);
	contest_message(bed->contest, &message, held);
}

static uint64_t
count(const struct bed *bed, enum contest_event event)
{
	struct contest_view view;

	contest_view(bed->contest, 0, &view);
	return view.counts[event];
}

static void
test_claims(enum conf_on_conflict policy)
{
	bool yields = policy == CONF_YIELD;
	struct bed bed;

	set_up(&bed);
	bed.vips[0].on_conflict = policy;
	see(&bed, FRAME_ARP_REQUEST, 1, false); /* not held: whose else should it be */
	see(&bed, FRAME_ARP_REQUEST, 2, true); /* of another address */
	see(&bed, FRAME_ARP_PROBE, 1, true);
	CU_ASSERT_EQUAL(count(&bed, CONTEST_CLAIMED), 0);
	for (int i = 0; i < 5; i++)
		see(&bed, FRAME_ARP_REPLY, 1, true);
	CU_ASSERT_EQUAL(count(&bed, CONTEST_CLAIMED), 1);
	virtual_loop_run(bed.loop, 1000);
	CU_ASSERT_EQUAL(bed.announced, 1);
	CU_ASSERT_EQUAL(bed.last.order, 0);
	see(&bed, FRAME_ARP_REQUEST, 1, true);
	virtual_loop_run(bed.loop, 57000);
	CU_ASSERT_FALSE(away(&bed, 0));
	see(&bed, FRAME_ARP_REQUEST, 1, true);
	CU_ASSERT_EQUAL(count(&bed, CONTEST_CLAIMED), 3);
	CU_ASSERT_EQUAL(away(&bed, 0), yields);
	virtual_loop_run(bed.loop, 30000);
	see(&bed, FRAME_ARP_REQUEST, 1, true);
	virtual_loop_run(bed.loop, 1000);
	see(&bed, FRAME_ARP_REQUEST, 1, true);
	virtual_loop_run(bed.loop, 28000);
	CU_ASSERT_EQUAL(away(&bed, 0), yields);
	virtual_loop_run(bed.loop, 2000); /* since the third, not since the last */
	CU_ASSERT_FALSE(away(&bed, 0));
	CU_ASSERT_EQUAL(bed.changed, yields ? 2 : 0);
	CU_ASSERT_EQUAL(bed.announced, 1);
	virtual_loop_run(bed.loop, 60000);
	see(&bed, FRAME_ARP_REQUEST, 1, true); /* that begins anew */
	virtual_loop_run(bed.loop, 1000);
	CU_ASSERT_EQUAL(bed.announced, 2);
	tear_down(&bed);
}

static void
test_defend(void)
{
	test_claims(CONF_DEFEND);
}

static void
test_yield(void)
{
	test_claims(CONF_YIELD);
}

static void
test_view(void)
{
	struct wire_message message = { .type = WIRE_RIVAL,
		.rival = { .vip = 0, .kind = WIRE_RIVAL_ADDED } };
	uint32_t from_vips[VIPS] = { 1, 0 }, from_roles[1] = { 0 };
	struct conf_changes changes = { .from = {
					    .vips = from_vips, .roles = from_roles } };
	struct contest_view view;
	struct bed bed;

	set_up(&bed);
	contest_view(bed.contest, 0, &view);
	CU_ASSERT_EQUAL(view.last, CONTEST_NONE);
	contest_message(bed.contest, &message, false);
	message.rival.kind = WIRE_RIVAL_REMOVED;
	contest_message(bed.contest, &message, true);
	see(&bed, FRAME_ARP_REPLY, 1, true);
	contest_probe(bed.contest, 0, 1, true);
	answer(&bed, 0, 1, WIRE_FOUND_ANOTHER);
	contest_reload(bed.contest, &bed.conf, &changes);
	contest_view(bed.contest, 1, &view); /* it is the second one now */
	for (int event = CONTEST_CLAIMED; event < CONTEST_EVENTS; event++)
		CU_ASSERT_EQUAL(view.counts[event], 1);
	CU_ASSERT_EQUAL(view.probes, 1);
	CU_ASSERT_EQUAL(view.last, CONTEST_FOUND);
	CU_ASSERT_STRING_EQUAL(view.mac, THEIRS);
	CU_ASSERT(view.last_at > 0);
	CU_ASSERT_TRUE(away(&bed, 1));
	CU_ASSERT_FALSE(away(&bed, 0));
	virtual_loop_run(bed.loop, 31000);
	CU_ASSERT_FALSE(away(&bed, 1));
	tear_down(&bed);
}

static const struct tap_case cases[] = {
	{ "every answer to a probe", test_probe },
	{ "one that is found is looked for until it is gone", test_looks },
	{ "nobody to ask", test_nobody_to_ask },
	{ "claims are defended", test_defend },
	{ "claims make the role yield", test_yield },
	{ "what the status shows, over a reload", test_view },
};

TAP_MAIN("contest", cases)
