/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TESTS_STREAM_BED_H
#define LICTOR_TESTS_STREAM_BED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/stream.h"

struct loop;
struct loop_io;
struct resolve;
struct tlss;

#define LIMIT_MS 20000
#define BULK 3000000 /* more than the kernel holds for both ends */
#define PORT 8333 /* where the kernel chooses no local ports */

enum manner {
	BANNER, /* says "hello" and closes */
	ECHO, /* gives back what it is told, closes when nothing more comes */
	HALF, /* says "bye" and no more, hears on */
	RESET, /* resets when it is told something */
	MUTE, /* says nothing */
	BULKY, /* hears BULK bytes, then says as many */
	CHAOS, /* says its mark, again and again, ends at some moment in some way */
};

struct server {
	struct loop *loop;
	struct loop_io *io;
	int fd;
	enum manner manner;
	char mark;
	size_t accepted, ends, resets; /* as the peers saw them */
	struct peer *peers;
};

struct peer {
	struct peer *next;
	struct server *server;
	struct loop_io *io;
	int fd;
	size_t heard, said, length; /* length: of what CHAOS will say */
	bool reset;
};

struct world {
	struct loop *loop;
	struct resolve *resolve;
	struct tlss *tlss;
	struct streams *streams;
	const struct net_tls *tls; /* of those who connect */
};

enum moment { NEVER, CONNECTED, WRITTEN, ARRIVED };

struct client {
	struct stream *stream;
	struct stream_target target;
	const char *say;
	size_t say_len, want; /* want: bytes that are enough; 0: the end */
	bool calling; /* in a call that must not answer from within */
	enum moment close_at; /* closed in that callback */
	bool polite;
	/* what came of it */
	bool over, connected, wrote;
	enum net_error error;
	int64_t certificate_end;
	char why[160];
	char *got;
	size_t got_len, got_size;
};

/* A listener whose queue is full drops what comes: nobody answers. */
struct hole {
	int fd, filler[2];
};

/* Bytes of BULK, from number `from` on. */
void bulk_fill(char *out, size_t from, size_t len);
/* On `port`, or on one of the kernel's choice if that is 0. */
struct server *server_new(struct loop *loop, const char *host, uint16_t port,
    enum manner manner, int backlog);
void server_free(struct server *server);
uint16_t server_port(const struct server *server);
void world_open(struct world *w);
/* When its clients are freed. */
void world_close(struct world *w);
/* Connects, says it, and reads until `want` bytes have come, or the end (0). */
void client_open(struct world *w, struct client *c, const char *host, uint16_t port,
    const char *say, size_t want);
/* Closes it, whatever it does. */
void client_free(struct client *c);
bool has_got(const struct client *c, const char *text);
/* Of a client, for until(). */
bool is_over(void *arg);
void client_wait(struct world *w, struct client *c);
/* Opens it and waits until it is over. */
void run_client(struct world *w, struct client *c, const char *host, uint16_t port,
    const char *say, size_t want);
void hole_open(struct hole *hole, const char *host);
void hole_close(struct hole *hole);

#endif
