/* SPDX-License-Identifier: ISC */
/*
 * caller PORT EVERY_US ADDRESS...: a client of virtual addresses, as exact as it asks. It
 * sends a numbered datagram to each address by the machine's own routes and neighbours, each
 * EVERY_US microseconds, and webservice sends it back with its name. What it says of an
 * outage does not depend on when this process, or the service, happened to be run: a gap
 * lasts from when the first question was asked that nobody answered within 100 ms until
 * when the next one was asked that somebody did.
 *
 * At SIGUSR1 it prints a line for each address and begins anew; at SIGTERM or SIGINT it
 * prints them and ends. Times are milliseconds of CLOCK_BOOTTIME:
 *   report 1 10.77.0.100 asked 5000 answered 4990 gap 9.0 at 12345.678 switches 1 by web-2
 *   own pause 1.2
 * (on one line). own pause: the longest time in which the caller itself asked nothing.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/util.h"

#define ADDRESSES 4
#define RING 4096 /* more than what is asked within LATE_NS */
#define LATE_NS 100000000
#define MS_NS 1000000

struct question {
	uint64_t number;
	int64_t sent_at;
	bool answered;
};

struct target {
	const char *text;
	struct sockaddr_in6 to;
	struct question ring[RING];
	uint64_t judged; /* the first number of which nothing is known yet */
	int64_t silent_since; /* when the first unanswered question was asked; or 0 */
	int64_t gap, gap_at; /* the longest, and when it ended */
	uint64_t asked, answered, switches;
	char who[64];
};

struct caller {
	int fd;
	struct target targets[ADDRESSES];
	size_t n_targets;
	uint64_t number, reports;
	int64_t every_ns, asked_at, pause;
};

static volatile sig_atomic_t stop, report;

static void
on_signal(int signum)
{
	if (signum == SIGUSR1)
		report = 1;
	else
		stop = 1;
}

static int64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static double
in_ms(int64_t ns)
{
	return (double)ns / MS_NS;
}

static void
gap_end(struct target *target, int64_t at)
{
	if (target->silent_since != 0 && at - target->silent_since > target->gap) {
		target->gap = at - target->silent_since;
		target->gap_at = at;
	}
}

/* In the order in which they were asked, up to the first that may still be answered. */
static void
judge(struct target *target, uint64_t newest, int64_t now)
{
	for (; target->judged <= newest; target->judged++) {
		const struct question *q = &target->ring[target->judged % RING];
		if (q->answered) {
			gap_end(target, q->sent_at);
			target->silent_since = 0;
		} else if (now - q->sent_at < LATE_NS) {
			return;
		} else if (target->silent_since == 0) {
			target->silent_since = q->sent_at;
		}
	}
}

static void
ask(struct caller *caller, struct target *target, int64_t now)
{
	char text[32];
	int len =
	    snprintf(text, sizeof(text), "%llu", (unsigned long long)caller->number);

	target->ring[caller->number % RING] =
	    (struct question){ .number = caller->number, .sent_at = now };
	target->asked++;
	/* what cannot be sent, for nobody knows a neighbour's MAC, is not answered either */
	sendto(caller->fd, text, (size_t)len, MSG_DONTWAIT,
	    (struct sockaddr *)&target->to, sizeof(target->to));
}

static void
ask_all(struct caller *caller, int64_t now)
{
	if (caller->asked_at != 0 && now - caller->asked_at > caller->pause)
		caller->pause = now - caller->asked_at;
	caller->asked_at = now;
	caller->number++;
	for (size_t i = 0; i < caller->n_targets; i++) {
		judge(&caller->targets[i], caller->number - 1, now);
		ask(caller, &caller->targets[i], now);
	}
}

static void
answered(struct target *target, uint64_t number, const char *who, int64_t now)
{
	struct question *q = &target->ring[number % RING];

	if (q->number != number || q->answered || now - q->sent_at >= LATE_NS)
		return;
	q->answered = true;
	target->answered++;
	if (target->who[0] != '\0' && strcmp(target->who, who) != 0)
		target->switches++;
	str_copy(target->who, sizeof(target->who), who);
}

static void
gather(struct caller *caller)
{
	struct sockaddr_in6 from;
	uint64_t number;
	char text[128];

	for (;;) {
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(caller->fd, text, sizeof(text) - 1, MSG_DONTWAIT,
		    (struct sockaddr *)&from, &size);
		if (n < 0)
			return;
		text[n] = '\0';
		char *who = strchr(text, ' ');
		if (who == NULL)
			continue;
		*who++ = '\0';
		if (parse_uint(text, 1, UINT64_MAX, &number) != 0)
			continue;
		for (size_t i = 0; i < caller->n_targets; i++)
			if (memcmp(&caller->targets[i].to.sin6_addr, &from.sin6_addr,
				16) == 0)
				answered(&caller->targets[i], number, who, now_ns());
	}
}

/* A silence that has not ended counts up to now. */
static void
report_all(struct caller *caller, int64_t now)
{
	caller->reports++;
	for (size_t i = 0; i < caller->n_targets; i++) {
		struct target *t = &caller->targets[i];
		judge(t, caller->number, now);
		gap_end(t, now);
		printf("report %llu %s asked %llu answered %llu gap %.1f at %.3f "
		       "switches %llu by %s own pause %.1f\n",
		    (unsigned long long)caller->reports, t->text,
		    (unsigned long long)t->asked, (unsigned long long)t->answered,
		    in_ms(t->gap), in_ms(t->gap_at), (unsigned long long)t->switches,
		    t->who[0] != '\0' ? t->who : "nobody", in_ms(caller->pause));
		t->silent_since = t->gap = t->gap_at = 0;
		t->asked = t->answered = t->switches = 0;
	}
	caller->pause = 0;
	fflush(stdout);
}

/* What was missed because this process was not run is not asked later. */
static void
run(struct caller *caller)
{
	struct pollfd fd = { .fd = caller->fd, .events = POLLIN };

	for (int64_t due = now_ns(); !stop;) {
		int64_t now = now_ns();
		if (report) {
			report = 0;
			report_all(caller, now);
		}
		if (now >= due) {
			ask_all(caller, now);
			due += caller->every_ns;
			if (due <= now)
				due = now + caller->every_ns;
		}
		struct timespec wait = { (due - now) / 1000000000,
			(due - now) % 1000000000 };
		if (ppoll(&fd, 1, &wait, NULL) > 0)
			gather(caller);
	}
	report_all(caller, now_ns());
}

/* IPv4 addresses as IPv6's mapped ones: one socket asks all. */
static bool
parse_target(struct target *target, const char *text, uint16_t port)
{
	char mapped[64];

	target->text = text;
	target->judged = 1;
	target->to =
	    (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
	snprintf(mapped, sizeof(mapped), "%s%s",
	    strchr(text, ':') == NULL ? "::ffff:" : "", text);
	return inet_pton(AF_INET6, mapped, &target->to.sin6_addr) == 1;
}

static bool
parse(struct caller *caller, int argc, char **argv)
{
	uint64_t port, every;

	if (argc < 4 || argc > 3 + ADDRESSES ||
	    parse_uint(argv[1], 1, 65535, &port) != 0 ||
	    parse_uint(argv[2], 100, 1000000, &every) != 0)
		return false;
	caller->every_ns = (int64_t)every * 1000;
	for (int i = 3; i < argc; i++)
		if (!parse_target(
			&caller->targets[caller->n_targets++], argv[i], (uint16_t)port))
			return false;
	return true;
}

int
main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	static struct caller caller;
	int zero = 0;

	if (!parse(&caller, argc, argv)) {
		fprintf(stderr, "usage: caller PORT EVERY_US ADDRESS...\n");
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	caller.fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (caller.fd < 0 ||
	    setsockopt(caller.fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) !=
		0) {
		fprintf(stderr, "caller: %s\n", strerror(errno));
		return 1;
	}
	prctl(PR_SET_TIMERSLACK, 1);
	run(&caller);
	close(caller.fd);
	return 0;
}
