/* SPDX-License-Identifier: ISC */
#ifndef BENCH_SERVE_H
#define BENCH_SERVE_H

#include <stdbool.h>
#include <stdint.h>

enum serve_kind { SERVE_TCP, SERVE_HTTP, SERVE_HTTPS };

/* The server that is checked, on all addresses of a port. cert_dir holds cert.pem and
 * key.pem for https. NULL: said on standard error. */
struct serve;
struct serve *serve_new(enum serve_kind kind, uint16_t port, const char *cert_dir);
void serve_free(struct serve *serve);

int serve_listener(const struct serve *serve);
/* To be watched for input; then serve_work does what there is to do. */
int serve_fd(const struct serve *serve);
void serve_work(struct serve *serve);
/* Requests answered, or for tcp connections accepted, since the start. */
uint64_t serve_count(const struct serve *serve);
/* For https: how many of the handshakes resumed a session. */
uint64_t serve_resumed(const struct serve *serve);

#endif
