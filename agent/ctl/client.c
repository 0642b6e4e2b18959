/* SPDX-License-Identifier: ISC */
/*
 * lictorctl's end of the control socket: one request, one answer, one deadline. The only
 * module of the tool that touches a descriptor; it blocks, since the tool does nothing else
 * meanwhile.
 */
#include "agent/ctl/client.h"

#include "agent/base/util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX (64u << 20)
#define LIMIT_S 10

static void
say_errno(char *why, size_t size, const char *path, int error)
{
	const char *hint = "";

	if (error == ENOENT || error == ECONNREFUSED)
		hint = " (is lictord running? --socket names another one)";
	else if (error == EAGAIN)
		error = ETIMEDOUT;
	snprintf(why, size, "%s: %s%s", path, strerror(error), hint);
}

/* A connected socket, or -1 with `why`. */
static int
connect_to(const char *path, int seconds, char *why, size_t size)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = seconds };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!str_copy(address.sun_path, sizeof(address.sun_path), path)) {
		snprintf(why, size, "%s: the path of a socket has at most %zu bytes",
		    path, sizeof(address.sun_path) - 1);
		close(fd);
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		say_errno(why, size, path, errno);
		close(fd);
		return -1;
	}
	return fd;
}

static bool
send_line(int fd, const cJSON *request)
{
	char *text AUTO_FREE = json_print(request);
	char *line AUTO_FREE = xasprintf("%s\n", text);
	size_t len = strlen(line);

	return send(fd, line, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* False: errno says why the line did not come (0: lictord closed the connection). */
static bool
read_line(int fd, struct buf *line)
{
	char bytes[16384];
	ssize_t n;

	do {
		errno = 0;
		n = recv(fd, bytes, sizeof(bytes), 0);
		if (n <= 0)
			return false;
		buf_add(line, bytes, (size_t)n);
	} while (bytes[n - 1] != '\n' && !line->full);
	return !line->full;
}

cJSON *
client_ask_for(
    int seconds, const char *path, const cJSON *request, char *why, size_t size)
{
	struct buf line = { .limit = ANSWER_MAX };
	cJSON *answer = NULL;
	int fd AUTO_CLOSE = connect_to(path, seconds, why, size);

	if (fd < 0)
		return NULL;
	if (!send_line(fd, request) || !read_line(fd, &line))
		say_errno(why, size, path, errno != 0 ? errno : ECONNRESET);
	else
		answer = json_parse(line.data, line.len - 1);
	if (answer == NULL && line.len > 0)
		snprintf(why, size, "%s: the answer is not lictord's", path);
	buf_free(&line);
	return answer;
}

cJSON *
client_ask(const char *path, const cJSON *request, char *why, size_t size)
{
	return client_ask_for(LIMIT_S, path, request, why, size);
}
