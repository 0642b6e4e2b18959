/* SPDX-License-Identifier: ISC */
/*
 * asker ADDRESS PORT EVERY_MS: a client as users of a virtual address are: it goes on
 * asking "GET /" over fresh connections, one begun each EVERY_MS whether or not the ones
 * before it were answered, each given up after 100 ms. So what it sees of an outage is
 * as exact as EVERY_MS. It prints who answers, at each change, and at SIGTERM, SIGINT or
 * the end of its standard output's reader the longest time between two answers.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/util.h"

#define CALLS 200
#define GIVE_UP_MS 100
#define SILENT_MS 50 /* said as a silence of its own from here on */

struct call {
	int fd; /* -1: free */
	int64_t until;
	bool asked;
};

struct asker {
	struct sockaddr_storage to;
	socklen_t to_len;
	struct call calls[CALLS];
	char who[64];
	int64_t answered_at; /* newest answer; 0: none yet */
	int64_t longest_ms;
	uint64_t asked, answered;
};

static volatile sig_atomic_t stop;

static void
on_signal(int signum)
{
	(void)signum;
	stop = 1;
}

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void
say(const char *fmt, ...)
{
	int64_t now = clock_wall_ms();
	time_t seconds = (time_t)(now / 1000);
	char date[32] = "";
	struct tm tm;
	va_list ap;

	if (localtime_r(&seconds, &tm) != NULL)
		strftime(date, sizeof(date), "%H:%M:%S", &tm);
	printf("%s.%03d ", date, (int)(now % 1000));
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static void
call_end(struct call *call)
{
	close(call->fd);
	call->fd = -1;
}

static void
call_begin(struct asker *asker, int64_t now)
{
	struct call *call = NULL;

	for (size_t i = 0; i < CALLS && call == NULL; i++)
		if (asker->calls[i].fd < 0)
			call = &asker->calls[i];
	asker->asked++;
	if (call == NULL)
		return;
	int fd =
	    socket(asker->to.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	*call = (struct call){ .fd = fd, .until = now + GIVE_UP_MS };
	if (connect(fd, (struct sockaddr *)&asker->to, asker->to_len) != 0 &&
	    errno != EINPROGRESS)
		call_end(call);
}

static void
answer(struct asker *asker, const char *who)
{
	int64_t now = clock_boot_ms();
	int64_t silence = asker->answered_at == 0 ? 0 : now - asker->answered_at;

	if (silence > asker->longest_ms)
		asker->longest_ms = silence;
	if (asker->answered_at == 0)
		say("answered by %s", who);
	else if (strcmp(who, asker->who) != 0)
		say("answered by %s (%lld ms after the answer before)", who,
		    (long long)silence);
	else if (silence >= SILENT_MS)
		say("answered by %s again, after %lld ms without an answer", who,
		    (long long)silence);
	str_copy(asker->who, sizeof(asker->who), who);
	asker->answered_at = now;
	asker->answered++;
}

static void
call_step(struct asker *asker, struct call *call)
{
	static const char request[] = "GET / HTTP/1.0\r\n\r\n";
	char text[1024], who[64];

	if (!call->asked) {
		call->asked = true;
		if (send(call->fd, request, strlen(request), MSG_NOSIGNAL) < 0)
			call_end(call);
		return;
	}
	ssize_t n = recv(call->fd, text, sizeof(text) - 1, 0);
	if (n > 0) {
		text[n] = '\0';
		const char *node = strstr(text, "\r\n\r\nnode ");
		if (node != NULL && sscanf(node + 4, "node %63s", who) == 1)
			answer(asker, who);
	}
	call_end(call);
}

static void
wait_until(struct asker *asker, int64_t next)
{
	struct pollfd fds[CALLS];

	for (int64_t now = clock_boot_ms(); now < next && !stop;
	     now = clock_boot_ms()) {
		for (size_t i = 0; i < CALLS; i++) {
			struct call *call = &asker->calls[i];
			if (call->fd >= 0 && now >= call->until)
				call_end(call);
			fds[i] = (struct pollfd){ .fd = call->fd,
				.events = call->asked ? POLLIN : POLLOUT };
		}
		if (poll(fds, CALLS, (int)(next - now)) <= 0)
			continue;
		for (size_t i = 0; i < CALLS; i++)
			if (asker->calls[i].fd >= 0 && fds[i].revents != 0)
				call_step(asker, &asker->calls[i]);
	}
}

static bool
set_address(struct asker *asker, const char *text, uint16_t port)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&asker->to;
	struct sockaddr_in *four = (struct sockaddr_in *)&asker->to;

	if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(port);
		asker->to_len = sizeof(*six);
		return true;
	}
	four->sin_family = AF_INET;
	four->sin_port = htons(port);
	asker->to_len = sizeof(*four);
	return inet_pton(AF_INET, text, &four->sin_addr) == 1;
}

static void
summary(const struct asker *asker)
{
	int64_t longest = asker->longest_ms;
	int64_t now = clock_boot_ms();

	if (asker->answered_at == 0) {
		say("never answered");
		return;
	}
	if (now - asker->answered_at > longest)
		longest = now - asker->answered_at;
	printf("longest silence %lld ms, %llu asked, %llu answered\n",
	    (long long)longest, (unsigned long long)asker->asked,
	    (unsigned long long)asker->answered);
}

int
main(int argc, char **argv)
{
	struct asker asker = { .to_len = 0 };
	struct sigaction action = { .sa_handler = on_signal };
	uint64_t port, every;

	if (argc != 4 || parse_uint(argv[2], 1, 65535, &port) != 0 ||
	    parse_uint(argv[3], 1, 60000, &every) != 0 ||
	    !set_address(&asker, argv[1], (uint16_t)port)) {
		fprintf(stderr, "usage: asker ADDRESS PORT EVERY_MS\n");
		return 2;
	}
	for (size_t i = 0; i < CALLS; i++)
		asker.calls[i].fd = -1;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGPIPE, &action, NULL);
	for (int64_t next = clock_boot_ms(); !stop; next += (int64_t)every) {
		if (next < clock_boot_ms() - GIVE_UP_MS)
			next = clock_boot_ms();
		call_begin(&asker, clock_boot_ms());
		wait_until(&asker, next + (int64_t)every);
	}
	summary(&asker);
	return 0;
}
