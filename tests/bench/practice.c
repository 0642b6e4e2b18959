/* SPDX-License-Identifier: ISC */
/*
 * practice ADDRESS PORT SERVICES CHECKS: how Consul would have it done: SERVICES services
 * with CHECKS checks of 30 s TTL each are registered with the agent at ADDRESS, and every
 * check is reported passing each 10 s, evenly spread, by four processes with a kept
 * connection each. They run until they are killed; one that cannot keep up says so.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/util.h"

#define WORKERS 4
#define EVERY_MS 10000

struct practice {
	struct sockaddr_in to;
	uint64_t services, checks;
	uint64_t worker; /* this one */
	int fd;
};

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static void
put(struct practice *practice, const char *path, const char *body)
{
	AUTO_FREE char *text = xasprintf("PUT %s HTTP/1.1\r\nHost: consul\r\n"
					 "Content-Length: %zu\r\n\r\n%s",
	    path, strlen(body), body);
	size_t len = strlen(text), got = 0;
	char answer[4096];

	if (send(practice->fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
		fail("send");
	do {
		ssize_t n =
		    recv(practice->fd, answer + got, sizeof(answer) - 1 - got, 0);
		if (n <= 0)
			fail("recv");
		got += (size_t)n;
		answer[got] = '\0';
	} while (strstr(answer, "\r\n\r\n") == NULL);
	/* a success has no body */
	if (strncmp(answer, "HTTP/1.1 200", 12) != 0 ||
	    strcasestr(answer, "\r\nContent-Length: 0\r\n") == NULL) {
		fprintf(stderr, "practice: %s: %.100s\n", path, answer);
		exit(1);
	}
}

static void
register_service(struct practice *practice, uint64_t service)
{
	struct buf body = { .limit = 1 << 20 };

	buf_printf(
	    &body, "{\"Name\":\"s%llu\",\"Checks\":[", (unsigned long long)service);
	for (uint64_t i = 0; i < practice->checks; i++)
		buf_printf(&body,
		    "%s{\"CheckID\":\"s%llu:c%llu\",\"Name\":\"c%llu\",\"TTL\":\"30s\","
		    "\"Status\":\"passing\"}",
		    i == 0 ? "" : ",", (unsigned long long)service,
		    (unsigned long long)i, (unsigned long long)i);
	buf_printf(&body, "]}");
	put(practice, "/v1/agent/service/register", body.data);
	buf_free(&body);
}

static void
report_check(struct practice *practice, uint64_t service, uint64_t check)
{
	char path[128];

	snprintf(path, sizeof(path), "/v1/agent/check/pass/s%llu:c%llu",
	    (unsigned long long)service, (unsigned long long)check);
	put(practice, path, "");
}

static void
wait_until(int64_t at)
{
	int64_t left = at - clock_boot_ms();
	struct timespec wait = { left / 1000, (left % 1000) * 1000000 };

	if (left > 0)
		nanosleep(&wait, NULL);
}

/* Every check of this worker's services once, spread over the time. */
static void
report_all(struct practice *practice, int64_t begin)
{
	uint64_t own = (practice->services - practice->worker + WORKERS - 1) / WORKERS;
	uint64_t total = own * practice->checks, done = 0;

	for (uint64_t s = practice->worker; s < practice->services; s += WORKERS)
		for (uint64_t c = 0; c < practice->checks; c++) {
			report_check(practice, s, c);
			done++;
			wait_until(begin + (int64_t)(done * EVERY_MS / total));
		}
}

static void
work(struct practice *practice)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	practice->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (practice->fd < 0 ||
	    connect(practice->fd, (struct sockaddr *)&practice->to,
		sizeof(practice->to)) != 0)
		fail("connect");
	for (uint64_t s = practice->worker; s < practice->services; s += WORKERS)
		register_service(practice, s);
	for (;;) {
		int64_t begin = clock_boot_ms();
		report_all(practice, begin);
		int64_t took = clock_boot_ms() - begin;
		if (took > EVERY_MS + EVERY_MS / 10)
			fprintf(stderr, "practice: a round took %lld ms\n",
			    (long long)took);
	}
}

int
main(int argc, char **argv)
{
	struct practice practice = { .to.sin_family = AF_INET };
	uint64_t port;

	if (argc != 5 || inet_pton(AF_INET, argv[1], &practice.to.sin_addr) != 1 ||
	    parse_uint(argv[2], 1, 65535, &port) != 0 ||
	    parse_uint(argv[3], WORKERS, 10000, &practice.services) != 0 ||
	    parse_uint(argv[4], 1, 1000, &practice.checks) != 0) {
		fputs("usage: practice ADDRESS PORT SERVICES CHECKS\n", stderr);
		return 2;
	}
	practice.to.sin_port = htons((uint16_t)port);
	for (uint64_t i = 0; i < WORKERS; i++) {
		practice.worker = i;
		if (fork() == 0)
			work(&practice);
	}
	wait(NULL); /* none of them ends by itself */
	return 1;
}
