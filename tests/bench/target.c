/* SPDX-License-Identifier: ISC */
/*
 * target KIND COUNT INTERVAL-MS WHAT: what the benchmark's checks look at, and what counts
 * them. KIND is http, tcp or https, with WHAT the port, or script, with WHAT the file
 * where each run of `tick` leaves its mark. Checks are numbered from 1 to COUNT: check n
 * asks 127.1.0.0 + n, or gives n to tick. For https, cert.pem and key.pem are in the
 * current folder.
 *
 * Told line by line on standard input: "begin" starts a window, "end" ends it and prints
 * what came in it. It is a process of its own, and its work is on nobody's account.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "tests/bench/arrivals.h"
#include "tests/bench/lateness.h"
#include "tests/bench/serve.h"

#define DRAIN_MS 200

struct target {
	const char *kind;
	uint64_t count, interval_ms;
	struct serve *serve; /* NULL: scripts */
	struct tap *tap;
	int marks; /* the file, or -1 */
	struct arrivals arrivals;
	bool counting;
	uint64_t served, resumed; /* at the window's beginning */
	int64_t begun;
};

static int64_t
now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void
collect(struct target *target)
{
	struct arrivals *arrivals = target->counting ? &target->arrivals : NULL;
	struct arrival mark;

	if (target->tap != NULL)
		tap_drain(target->tap, arrivals);
	while (target->marks >= 0 &&
	    read(target->marks, &mark, sizeof(mark)) == sizeof(mark))
		if (arrivals != NULL)
			arrivals_add(arrivals, &mark);
}

static void
window_begin(struct target *target)
{
	collect(target);
	arrivals_free(&target->arrivals);
	target->counting = true;
	target->begun = now_ns();
	if (target->serve != NULL) {
		target->served = serve_count(target->serve);
		target->resumed = serve_resumed(target->serve);
	}
	puts("ok");
}

static void
window_end(struct target *target)
{
	int64_t length = now_ns() - target->begun;
	collect(target);
	target->counting = false;
	struct lateness lateness = lateness_of(
	    &target->arrivals, (uint32_t)target->count, (int64_t)target->interval_ms);
	uint64_t count = target->arrivals.count, resumed = 0;
	/* who connects and asks nothing has checked nothing */
	if (target->serve != NULL && strcmp(target->kind, "tcp") != 0)
		count = serve_count(target->serve) - target->served;
	if (target->serve != NULL)
		resumed = serve_resumed(target->serve) - target->resumed;
	printf("count=%llu window_ms=%lld checks=%u fewest=%u most=%u late_p99_us=%lld "
	       "late_max_us=%lld resumed=%llu\n",
	    (unsigned long long)count, (long long)(length / 1000000), lateness.checks,
	    lateness.fewest, lateness.most, (long long)lateness.p99,
	    (long long)lateness.max, (unsigned long long)resumed);
}

/* False: nobody tells us any more. */
static bool
obey(struct target *target)
{
	char line[64];

	if (fgets(line, sizeof(line), stdin) == NULL)
		return false;
	if (strcmp(line, "begin\n") == 0)
		window_begin(target);
	else if (strcmp(line, "end\n") == 0)
		window_end(target);
	else
		puts("begin or end?");
	fflush(stdout);
	return true;
}

static void
run(struct target *target)
{
	struct pollfd fds[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = target->serve ? serve_fd(target->serve) : -1,
		    .events = POLLIN },
	};
	int64_t drained = 0;

	for (;;) {
		if (poll(fds, ARRAY_LENGTH(fds), DRAIN_MS) < 0 && errno != EINTR)
			return;
		if (fds[1].revents != 0)
			serve_work(target->serve);
		if (fds[0].revents != 0 && !obey(target))
			return;
		if (clock_raw_ms() - drained >= DRAIN_MS) {
			collect(target);
			drained = clock_raw_ms();
		}
	}
}

static bool
serve_on(struct target *target, const char *port_text)
{
	static const char *const kinds[] = {
		[SERVE_TCP] = "tcp", [SERVE_HTTP] = "http", [SERVE_HTTPS] = "https"
	};
	uint64_t port;

	if (parse_uint(port_text, 1, 65535, &port) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
		if (strcmp(kinds[i], target->kind) == 0)
			target->serve =
			    serve_new((enum serve_kind)i, (uint16_t)port, ".");
	if (target->serve == NULL)
		return false;
	target->tap = tap_new(serve_listener(target->serve));
	if (target->tap == NULL)
		perror("target: a BPF program on the listening socket");
	return target->tap != NULL;
}

static bool
marks_open(struct target *target, const char *path)
{
	target->marks = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0666);
	if (target->marks < 0)
		perror(path);
	return target->marks >= 0;
}

int
main(int argc, char **argv)
{
	struct target target = { .marks = -1 };

	if (argc != 5 || parse_uint(argv[2], 1, 65534, &target.count) != 0 ||
	    parse_uint(argv[3], 1, UINT32_MAX, &target.interval_ms) != 0) {
		fprintf(stderr, "usage: target KIND COUNT INTERVAL-MS PORT|FILE\n");
		return 2;
	}
	target.kind = argv[1];
	signal(SIGPIPE, SIG_IGN);
	bool ready = strcmp(target.kind, "script") == 0 ? marks_open(&target, argv[4])
							: serve_on(&target, argv[4]);
	if (ready) {
		puts("ready");
		fflush(stdout);
		run(&target);
	}
	tap_free(target.tap);
	serve_free(target.serve);
	arrivals_free(&target.arrivals);
	if (target.marks >= 0)
		close(target.marks);
	return ready ? 0 : 1;
}
