/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TESTS_HTTP_BED_H
#define LICTOR_TESTS_HTTP_BED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/http.h"

struct loop;

struct server {
	pid_t pid;
	uint16_t port, port6; /* 127.0.0.1; ::1 or 0 */
	char dir[32], path[64];
};

/* A client and what it was told last. */
struct client {
	struct server server;
	struct loop *loop;
	struct http *http;
	struct http_call *call;
	bool sending;
	int told, expected;
	struct http_reply reply;
	char *body, *number;
};

void client_open(struct client *client);
void client_close(struct client *client);
/* A call to a path of the server, or to an URL, with limits if it has none. */
void start(struct client *client, const char *path, struct http_request request);
/* The same to its end. */
const struct http_reply *ask(
    struct client *client, const char *path, struct http_request request);

#endif
