/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TESTS_FETCH_BED_H
#define LICTOR_TESTS_FETCH_BED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/fetch.h"
#include "agent/base/http.h"
#include "agent/base/util.h"

struct loop;
struct loop_io;
struct resolve;
struct streams;
struct tlss;

#define PEERS_MAX 512
#define GOOD "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
#define SILENCE "" /* no answer */

extern const struct http_request once, kept; /* what its connection is for */

struct peer {
	struct bench *bench;
	int fd;
	struct loop_io *io;
	struct buf asked;
};

struct bench {
	struct loop *loop;
	struct resolve *resolve;
	struct tlss *tlss;
	struct streams *streams;
	struct fetch *fetch;
	/* the server */
	int listener;
	uint16_t port;
	struct loop_io *io;
	struct peer *peers[PEERS_MAX];
	size_t n_peers; /* connections that ever were */
	const char *const *script; /* an answer each, the last one for ever */
	bool closes; /* after each answer */
	struct buf asked; /* all requests, one after the other */
	size_t requests;
	/* the client */
	int told, expected;
	bool sending;
	enum net_error error;
	char why[160];
	int status;
	struct buf body;
	char field[64];
};

/* The server closes it. */
void hang_up(struct peer *peer);
/* `script` ends with NULL, and must stay. */
void bench_open(struct bench *b, const char *const *script);
void bench_close(struct bench *b);
/* Of a bench, for until(): what was expected has been told. */
bool is_told(void *arg);
/* A call to a path of the server, or to an URL. */
struct fetch_call *begin(
    struct bench *b, const char *where, struct http_request request);
/* One call to its end. */
void ask(struct bench *b, const char *where, struct http_request request);

#endif
