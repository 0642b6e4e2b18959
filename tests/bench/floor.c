/* SPDX-License-Identifier: ISC */
/*
 * floor KIND COUNT INTERVAL-MS WHAT: the least that checks can cost here, to hold lictor
 * against: the system calls and nothing else. No names, no states, no deadlines, no
 * reports. WHAT is the port, or for scripts the command; checks are numbered as in
 * target.c. All that is due within SLOT_MS is begun in one go, for a wake-up costs as
 * much as half a check.
 */
#include "tests/bench/floor.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "agent/base/util.h"

#define SLOT_MS 10

static const struct floor_kind *const kinds[] = { &floor_http, &floor_tcp, &floor_https,
	&floor_script };

static int64_t
now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

/* Check n runs at begun + (k + n / count) * interval: in the order of their numbers. */
static void
run(struct floor *floor, const struct floor_kind *kind, int64_t interval_us)
{
	struct epoll_event events[256];
	int64_t begun = now_us(), slot = begun;
	uint64_t next = 0;

	for (;;) {
		int64_t now = now_us();
		if (now >= slot) {
			while (
			    begun + (int64_t)next * interval_us / floor->count <= now) {
				kind->start(floor, (uint32_t)(next % floor->count) + 1);
				next++;
			}
			slot += (now - slot) / (SLOT_MS * 1000) * (SLOT_MS * 1000) +
			    SLOT_MS * 1000;
			now = now_us();
		}
		int64_t left = slot > now ? (slot - now + 999) / 1000 : 0;
		int n =
		    epoll_wait(floor->poll, events, ARRAY_LENGTH(events), (int)left);
		for (int i = 0; i < n; i++)
			kind->work(floor, events[i].data.u64);
	}
}

int
main(int argc, char **argv)
{
	const struct floor_kind *kind = NULL;
	struct floor floor = { 0 };
	uint64_t count, interval_ms;

	if (argc != 5 || parse_uint(argv[2], 1, 65534, &count) != 0 ||
	    parse_uint(argv[3], 1, UINT32_MAX, &interval_ms) != 0) {
		fprintf(stderr, "usage: floor KIND COUNT INTERVAL-MS PORT|COMMAND\n");
		return 2;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
		if (strcmp(kinds[i]->name, argv[1]) == 0)
			kind = kinds[i];
	signal(SIGPIPE, SIG_IGN);
	floor.count = (uint32_t)count;
	floor.poll = epoll_create1(EPOLL_CLOEXEC);
	if (kind == NULL || floor.poll < 0 || kind->open(&floor, argv[4]) != 0)
		return 1;
	run(&floor, kind, (int64_t)interval_ms * 1000);
	return 0;
}
