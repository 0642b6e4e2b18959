/* SPDX-License-Identifier: ISC */
/*
 * watcher ADDRESS PORT PATH: somebody who trusts Consul. It keeps a blocking query on PATH
 * (/v1/health/service/NAME or /v1/health/node/NAME) going and prints one line for each check
 * whose status it sees change, come or go:
 *
 *	MICROSECONDS NODE CHECK BEFORE AFTER
 *
 * by the wall clock, "-" being none; the checks of the first answer all come. A line
 * "# no answer" begins a time without one. Each query has a connection of its own, so that
 * a new one never waits for an old. It ends with its standard output's reader.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/json.h"
#include "agent/base/util.h"

#define ANSWER_MAX ((size_t)64 << 20)
#define WAIT "60s"
#define PATIENCE_S 70
#define AGAIN_MS 20

struct line {
	char *name; /* "NODE CHECK" */
	const char *status; /* of `json` */
};

/* What one answer showed, ordered by the names. */
struct picture {
	cJSON *json;
	struct line *lines;
	size_t count;
};

struct watcher {
	struct sockaddr_in to;
	const char *path;
	unsigned long long index;
	bool away;
	struct picture seen;
};

static int64_t
wall_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static bool
send_query(const struct watcher *watcher, int fd)
{
	char sep = strchr(watcher->path, '?') ? '&' : '?';
	AUTO_FREE char *query = watcher->index == 0
	    ? xstrdup("")
	    : xasprintf("%cindex=%llu&wait=" WAIT, sep, watcher->index);
	AUTO_FREE char *text = xasprintf(
	    "GET %s%s HTTP/1.0\r\nHost: consul\r\n\r\n", watcher->path, query);
	size_t len = strlen(text);

	return send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* HTTP 1.0: the end of the connection is the end of the answer. */
static bool
receive(int fd, struct buf *answer)
{
	char piece[16384];
	ssize_t len;

	while ((len = recv(fd, piece, sizeof(piece), 0)) > 0)
		buf_add(answer, piece, (size_t)len);
	buf_add(answer, "", 1);
	return len == 0 && !answer->full;
}

static bool
ask(const struct watcher *watcher, struct buf *answer)
{
	AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval patience = { .tv_sec = PATIENCE_S };

	return fd >= 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
	    connect(fd, (const struct sockaddr *)&watcher->to, sizeof(watcher->to)) ==
	    0 &&
	    send_query(watcher, fd) && receive(fd, answer);
}

/* The parts of an answer; NULL: it is no success. */
static cJSON *
parse(const struct buf *answer, unsigned long long *index)
{
	const char *body = strstr(answer->data, "\r\n\r\n");
	const char *line = strcasestr(answer->data, "\r\nX-Consul-Index:");

	if (body == NULL || line == NULL || line > body ||
	    strncmp(answer->data, "HTTP/1.0 200", 12) != 0)
		return NULL;
	*index = strtoull(line + strlen("\r\nX-Consul-Index:"), NULL, 10);
	return json_parse(body + 4, strlen(body + 4));
}

static void
add_check(struct picture *picture, const cJSON *check)
{
	const char *node = json_text(check, "Node"), *id = json_text(check, "CheckID");
	const char *status = json_text(check, "Status");
	size_t n = picture->count;

	if (node == NULL || id == NULL || status == NULL)
		return;
	if ((n & (n - 1)) == 0)
		picture->lines = xrealloc(
		    picture->lines, n == 0 ? 1 : 2 * n, sizeof(*picture->lines));
	picture->lines[picture->count++] =
	    (struct line){ xasprintf("%s %s", node, id), status };
}

static int
compare_lines(const void *a, const void *b)
{
	return strcmp(((const struct line *)a)->name, ((const struct line *)b)->name);
}

static struct picture
picture_new(cJSON *json)
{
	struct picture picture = { .json = json };
	const cJSON *entry, *check;

	cJSON_ArrayForEach (entry, json) {
		const cJSON *checks = cJSON_GetObjectItemCaseSensitive(entry, "Checks");
		if (checks == NULL)
			add_check(&picture, entry);
		cJSON_ArrayForEach (check, checks)
			add_check(&picture, check);
	}
	if (picture.count > 0)
		qsort(picture.lines, picture.count, sizeof(*picture.lines),
		    compare_lines);
	return picture;
}

static void
picture_free(struct picture *picture)
{
	for (size_t i = 0; i < picture->count; i++)
		free(picture->lines[i].name);
	free(picture->lines);
	cJSON_Delete(picture->json);
}

/* Prints what differs between two pictures. */
static void
tell(int64_t now, const struct picture *before, const struct picture *after)
{
	size_t b = 0, a = 0;

	while (b < before->count || a < after->count) {
		const struct line *old = &before->lines[b], *new = &after->lines[a];
		int order = b == before->count ? 1
		    : a == after->count        ? -1
					       : compare_lines(old, new);
		const char *was = order <= 0 ? old->status : "-";
		const char *is = order >= 0 ? new->status : "-";

		if (strcmp(was, is) != 0)
			printf("%lld %s %s %s\n", (long long)now,
			    order <= 0 ? old->name : new->name, was, is);
		b += order <= 0;
		a += order >= 0;
	}
	fflush(stdout);
}

static void
watch_once(struct watcher *watcher)
{
	struct timespec again = { .tv_nsec = AGAIN_MS * 1000000 };
	struct buf answer = { .limit = ANSWER_MAX };
	unsigned long long index = 0;
	cJSON *json = ask(watcher, &answer) ? parse(&answer, &index) : NULL;
	int64_t now = wall_us();

	buf_free(&answer);
	if (json == NULL) {
		if (!watcher->away)
			puts("# no answer");
		fflush(stdout);
		watcher->away = true;
		watcher->index = 0;
		nanosleep(&again, NULL);
		return;
	}
	struct picture picture = picture_new(json);
	tell(now, &watcher->seen, &picture);
	picture_free(&watcher->seen);
	watcher->seen = picture;
	watcher->away = false;
	watcher->index = index < watcher->index ? 0 : index;
}

int
main(int argc, char **argv)
{
	struct watcher watcher = { .to.sin_family = AF_INET };
	uint64_t port;

	if (argc != 4 || inet_pton(AF_INET, argv[1], &watcher.to.sin_addr) != 1 ||
	    parse_uint(argv[2], 1, 65535, &port) != 0) {
		fputs("usage: watcher ADDRESS PORT PATH\n", stderr);
		return 2;
	}
	watcher.to.sin_port = htons((uint16_t)port);
	watcher.path = argv[3];
	while (!ferror(stdout))
		watch_once(&watcher);
	picture_free(&watcher.seen);
	return 0;
}
