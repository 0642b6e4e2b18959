/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TESTS_TLS_BED_H
#define LICTOR_TESTS_TLS_BED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/http.h"
#include "agent/base/tls.h"
#include "tests/unit/tls_server.h"

#define HOST "web.example"
#define REQUEST "GET / HTTP/1.1\r\nHost: web.example\r\n\r\n"
#define DAY_S 86400
#define LIMIT_MS 10000

struct bench {
	char *folder;
	struct tlss *tlss;
	struct tls_server *server;
	struct loop *loop;
	struct http *http;
	char paths[3][128];
};

/* One exchange and what came of it. */
struct seen {
	enum tls_step step; /* the last */
	enum net_error error;
	char why[300], answer[4096];
	size_t len;
	int64_t certificate_end;
	bool resumed;
};

/* Within the folder; `mode` of fopen(3). */
bool copy_file(const char *folder, const char *from, const char *to, const char *mode);
void bench_open(struct bench *bench);
void bench_close(struct bench *bench);
/* From now on this server, in place of the one before. */
void serve(struct bench *bench, struct tls_server_conf conf);
/* The path of a file of the folder: as good as three of them. */
const char *path_of(struct bench *bench, int which, const char *file);
/* An authority, and a certificate of ours or NULL. */
struct net_tls files(struct bench *bench, const char *ca, const char *own);
int connect_to(const struct bench *bench);
/* True: again, for what was waited for has come. */
bool awaited(int fd, enum tls_step step);
/* One connection; `target`: whom its session is kept for. */
struct seen ask_target(struct bench *bench, const struct net_tls *conf,
    const char *host, const char *target);
struct seen ask(struct bench *bench, const struct net_tls *conf, const char *host);
/* The same through libcurl, on a connection of its own. */
struct http_reply ask_curl(
    struct bench *bench, const struct net_tls *conf, const char *host);
/* The server's, to any request: the name that was sent and whether it was resumed. */
void answer(struct tls_peer *peer);
int64_t now_s(void);
/* That of `answer`, over a connection that has ended in order. */
void check_answer(const struct seen *seen, const char *name, bool resumed);

#endif
