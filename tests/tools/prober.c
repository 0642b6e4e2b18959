/* SPDX-License-Identifier: ISC */
/*
 * prober: who answers for an address, and when? A thousand times a second it asks every
 * host by its MAC address, by ARP or neighbour solicitation, by ICMP echo and by UDP, and
 * counts the questions that more than one host answered, and how long nobody did. The
 * sharper brother of observer; what it can do stands in `usage`. Here are its options and
 * its loop; see prober.h for the rest.
 */
#include "tests/tools/prober.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/ether.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/util.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78
#endif

static const char usage[] =
    "usage: prober [options] INTERFACE ADDRESS MAC...\n"
    "       prober --answer PORT ADDRESS\n"
    "       prober --claim TIMES [--every USEC] INTERFACE ADDRESS\n"
    "\n"
    "Asks each host (MAC) a thousand times a second for ADDRESS (IPv4 or IPv6) until\n"
    "SIGTERM, SIGINT or --for; then prints what it saw. At SIGUSR1 it prints what it\n"
    "saw so far and begins anew. Times are milliseconds of CLOCK_BOOTTIME, as the\n"
    "warden's deadlines are.\n"
    "  --ask LIST     of neighbour (ARP or NS), echo (ICMP), udp; default neighbour.\n"
    "                 echo and udp need an address of the family on INTERFACE\n"
    "  --port PORT    where udp asks; somebody there must send back what it gets\n"
    "  --every USEC   one question to each host in so many microseconds, default 1000\n"
    "  --for MS       ends by itself\n"
    "  --events       a line at once when a host begins to answer (after 50 ms of\n"
    "                 silence) and when it has been silent for 50 ms\n"
    "  --answer PORT  the other side of udp: sends back what comes to ADDRESS, which\n"
    "                 need not be there yet\n"
    "  --claim TIMES  says so often that ADDRESS is here, whether it is or not, as a\n"
    "                 host does that took it: gratuitous ARP, or an advertisement\n"
    "\n"
    "Prints at the end, one line for all and one for each kind of question and host:\n"
    "  dual 0 of 5000, unclear 0, longest without any 1.1 ms before 812.345, own pause "
    "1.2 ms, switches 1\n"
    "  neighbour 02:00:00:00:00:01: answers 2500, first 800.123, last 3300.456\n"
    "dual: questions that two hosts answered within 2 ms; unclear: that two hosts\n"
    "answered, one of them later; longest without any: over all kinds, and when it\n"
    "ended; own pause: the longest time in which prober itself was not run.\n";

static volatile sig_atomic_t stop, report;

static void
on_signal(int signum)
{
	if (signum == SIGUSR1)
		report = 1;
	else
		stop = 1;
}

static void
ask(const struct prober *p, enum kind kind, const unsigned char *mac)
{
	unsigned char frame[FRAME];
	size_t len = frame_question(p, kind, mac, frame);

	if (send(p->fd, frame, len, 0) < 0 && errno != ENETDOWN)
		fprintf(stderr, "prober: %s\n", strerror(errno));
}

static void
ask_all(struct prober *p, int64_t now)
{
	struct question *question = &p->ring[++p->number % RING];

	if (p->asked_at != 0 && now - p->asked_at > p->pause)
		p->pause = now - p->asked_at;
	p->asked_at = now;
	*question = (struct question){ .number = p->number, .sent_at = now };
	for (int kind = 0; kind < KINDS; kind++)
		for (unsigned int i = 0; i < p->n_macs && p->asks[kind]; i++)
			ask(p, (enum kind)kind, p->macs[i]);
}

/* What was missed because this process was not run is not asked later. */
static void
run(struct prober *p)
{
	struct pollfd fd = { .fd = p->fd, .events = POLLIN };
	int64_t begun = clock_ns(CLOCK_BOOTTIME), due = begun;

	seen_begin(p, begun);
	while (!stop) {
		int64_t now = clock_ns(CLOCK_BOOTTIME);
		if (p->for_ms != 0 && now - begun >= p->for_ms * MS_NS)
			break;
		if (report) {
			report = 0;
			seen_report(p);
			seen_begin(p, now);
		}
		if (now >= due) {
			ask_all(p, now);
			seen_silence(p, now);
			due = due + p->every_ns > now ? due + p->every_ns
						      : now + p->every_ns;
		}
		struct timespec wait = { (due - now) / 1000000000,
			(due - now) % 1000000000 };
		if (ppoll(&fd, 1, &wait, NULL) > 0)
			socket_gather(p, seen_frame);
	}
}

static bool
parse_address(struct prober *p, const char *text)
{
	p->family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	return inet_pton(p->family, text, p->address) == 1;
}

static bool
parse_kinds(struct prober *p, char *list)
{
	char *rest = list, *word;

	while ((word = strsep(&rest, ",")) != NULL) {
		int kind = 0;
		while (kind < KINDS && strcmp(word, kind_name((enum kind)kind)) != 0)
			kind++;
		if (kind == KINDS)
			return false;
		p->asks[kind] = true;
	}
	return true;
}

static bool
parse_number(const char *text, uint64_t max, uint64_t *out)
{
	return parse_uint(text, 1, max, out) == 0;
}

/* 0; -1: that is no way to call it; 1: help was asked for. */
static int
parse(struct prober *p, int argc, char **argv, uint64_t *answer, uint64_t *claims)
{
	enum { ASK = 1, PORT, EVERY, FOR, EVENTS, ANSWER, CLAIM, HELP };
	static const struct option options[] = { { "ask", 1, NULL, ASK },
		{ "port", 1, NULL, PORT }, { "every", 1, NULL, EVERY },
		{ "for", 1, NULL, FOR }, { "events", 0, NULL, EVENTS },
		{ "answer", 1, NULL, ANSWER }, { "claim", 1, NULL, CLAIM },
		{ "help", 0, NULL, HELP }, { NULL, 0, NULL, 0 } };
	uint64_t port = 7, every_us = 1000, for_ms = 0;
	bool fine = true;
	int option;

	while (fine && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == ASK)
			fine = parse_kinds(p, optarg);
		else if (option == PORT)
			fine = parse_number(optarg, 65535, &port);
		else if (option == EVERY)
			fine = parse_number(optarg, 60000000, &every_us);
		else if (option == FOR)
			fine = parse_number(optarg, 86400000, &for_ms);
		else if (option == EVENTS)
			p->events = true;
		else if (option == ANSWER)
			fine = parse_number(optarg, 65535, answer);
		else if (option == CLAIM)
			fine = parse_number(optarg, 1000000, claims);
		else if (option == HELP)
			return 1;
		else
			fine = false;
	}
	p->port = (unsigned int)port;
	p->every_ns = (int64_t)every_us * 1000;
	p->for_ms = (int64_t)for_ms;
	return fine ? 0 : -1;
}

static bool
parse_hosts(struct prober *p, int argc, char **argv)
{
	if (argc - optind < 3 || argc - optind - 2 > HOSTS ||
	    !parse_address(p, argv[optind + 1]))
		return false;
	for (int i = optind + 2; i < argc; i++)
		if (ether_aton_r(argv[i], (struct ether_addr *)p->macs[p->n_macs++]) ==
		    NULL)
			return false;
	p->holder = p->n_macs;
	return true;
}

static int
fail(const char *what)
{
	fprintf(stderr, "prober: %s: %s\n", what, strerror(errno));
	return 1;
}

/* From the address that was asked, which may come and go. */
static int
answer_all(struct prober *p, const char *text, unsigned int port)
{
	struct sockaddr_storage self = { .ss_family = 0 };
	bool v6 = p->family == AF_INET6;
	char data[2048];
	int on = 1;

	if (v6) {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&self;
		*in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
			.sin6_port = htons((uint16_t)port) };
		memcpy(&in6->sin6_addr, p->address, 16);
	} else {
		struct sockaddr_in *in = (struct sockaddr_in *)&self;
		*in = (struct sockaddr_in){ .sin_family = AF_INET,
			.sin_port = htons((uint16_t)port) };
		memcpy(&in->sin_addr, p->address, 4);
	}
	int fd = socket(p->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
	    setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
		v6 ? IPV6_FREEBIND : IP_FREEBIND, &on, sizeof(on)) != 0 ||
	    bind(fd, (struct sockaddr *)&self, sizeof(self)) != 0)
		return fail(text);
	while (!stop) {
		struct sockaddr_storage from;
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(
		    fd, data, sizeof(data), 0, (struct sockaddr *)&from, &size);
		if (n >= 0) /* the address may have gone meanwhile */
			sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, size);
	}
	close(fd);
	return 0;
}

static int
claim(struct prober *p, const char *interface, uint64_t times)
{
	const struct timespec pause = { p->every_ns / 1000000000,
		p->every_ns % 1000000000 };
	unsigned char frame[FRAME];

	if (socket_open(p, interface) != 0)
		return fail(interface);
	for (uint64_t i = 0; i < times && !stop; i++) {
		if (i > 0)
			nanosleep(&pause, NULL);
		if (send(p->fd, frame, frame_claim(p, frame), 0) < 0)
			return fail(interface);
	}
	close(p->fd);
	return 0;
}

static int
probe(struct prober *p, const char *interface)
{
	bool needs_own = p->asks[ECHO] || p->asks[UDP];

	if (!needs_own)
		p->asks[NEIGHBOUR] = true;
	errno = EADDRNOTAVAIL;
	if (needs_own && !socket_own_address(p, interface))
		return fail("an address to ask from");
	if (socket_open(p, interface) != 0 || socket_take_port(p) != 0)
		return fail(interface);
	prctl(PR_SET_TIMERSLACK, 1);
	run(p);
	socket_gather(p, seen_frame);
	seen_report(p);
	close(p->fd);
	close(p->udp_fd);
	return 0;
}

int
main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	static struct prober prober;
	uint64_t answer = 0, claims = 0;
	int parsed = parse(&prober, argc, argv, &answer, &claims);

	if (parsed > 0) {
		fputs(usage, stdout);
		return 0;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	if (parsed == 0 && answer != 0 && argc == optind + 1 &&
	    parse_address(&prober, argv[optind]))
		return answer_all(&prober, argv[optind], (unsigned int)answer);
	if (parsed == 0 && claims != 0 && argc == optind + 2 &&
	    parse_address(&prober, argv[optind + 1]))
		return claim(&prober, argv[optind], claims);
	if (parsed != 0 || answer != 0 || claims != 0 ||
	    !parse_hosts(&prober, argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	return probe(&prober, argv[optind]);
}
