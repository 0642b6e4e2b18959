/* SPDX-License-Identifier: ISC */
/*
 * The list of interfaces against a plain model: every sequence of six of what netlink may
 * tell about three of them, dumps in between.
 */
#include "agent/warden/links.h"

#include <string.h>

#include "agent/base/util.h"
#include "agent/warden/netlink.h"
#include "tests/unit/tap.h"

#define LINKS 3
#define STEPS 6

enum op { THERE, GONE = THERE + LINKS, BEGIN = GONE + LINKS, END, OPS };

static struct netlink_link
make(unsigned int i, unsigned char version)
{
	return (struct netlink_link){ .ifindex = 7 + i,
		.has_mac = i != 0,
		.mac = { 2, 0, 0, 0, version, (unsigned char)i } };
}

struct model {
	bool there[LINKS], seen[LINKS];
	unsigned char version[LINKS];
};

static bool
agrees(const struct links *links, const struct model *model, unsigned char newest)
{
	size_t count = 0;

	for (unsigned int i = 0; i < LINKS; i++) {
		const struct netlink_link *link = links_find(links, 7 + i);
		count += model->there[i];
		if ((link != NULL) != model->there[i])
			return false;
		for (unsigned char v = 0; v <= newest; v++) {
			struct netlink_link had = make(i, v);
			bool now = model->there[i] && model->version[i] == v;
			if (links_have_mac(links, had.mac) != (now && had.has_mac))
				return false;
		}
	}
	return links->count == count && links_find(links, 99) == NULL;
}

static void
step(struct links *links, struct model *model, unsigned int op, unsigned char version)
{
	unsigned int i = op % LINKS;
	struct netlink_link link = make(i, version);

	if (op < BEGIN)
		links_take(links, &link, op >= GONE);
	if (op == BEGIN)
		links_begin(links);
	if (op == END)
		links_end(links);
	for (unsigned int at = 0; at < LINKS && op >= BEGIN; at++) {
		if (op == BEGIN)
			model->seen[at] = false;
		else
			model->there[at] = model->there[at] && model->seen[at];
	}
	if (op < BEGIN) {
		model->there[i] = model->seen[i] = op < GONE;
		model->version[i] = version;
	}
}

static void
test_sequences(void)
{
	unsigned int all = 1, wrong = 0;

	for (unsigned int i = 0; i < STEPS; i++)
		all *= OPS;
	for (unsigned int sequence = 0; sequence < all; sequence++) {
		struct links links = { NULL, 0, NULL };
		struct model model = { .there = { false } };
		for (unsigned int i = 0, rest = sequence; i < STEPS; i++, rest /= OPS) {
			step(&links, &model, rest % OPS, (unsigned char)i);
			wrong += !agrees(&links, &model, (unsigned char)i);
		}
		links_done(&links);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static const struct tap_case cases[] = {
	{ "every sequence of news and dumps", test_sequences },
};

TAP_MAIN("links", cases)
