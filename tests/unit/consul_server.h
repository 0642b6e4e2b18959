/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CONSUL_SERVER_H
#define LICTOR_CONSUL_SERVER_H

#include <stddef.h>

struct consul_server;
struct tap_case;

/* Where a real Consul is: $CONSUL, PATH, or our cache; NULL if nowhere (the caller skips
 * its tests). Static storage. */
const char *consul_server_program(void);

/* A server in dev mode of its own on free loopback ports, with a leader; its node name is
 * "dev". It dies with this process. NULL if it did not start within 20 s. */
struct consul_server *consul_server_start(void);
/* The same with ACLs: whoever comes without a token may do nothing. */
struct consul_server *consul_server_start_strict(void);
void consul_server_stop(struct consul_server *server);

/* The main function of a program whose cases run side by side, each in a process with such a
 * server, which `server` points to meanwhile. Skips them where there is no Consul. */
int consul_server_main(int argc, char **argv, const char *name,
    const struct tap_case *cases, size_t count, struct consul_server **server);

/* "http://127.0.0.1:PORT" */
const char *consul_server_address(const struct consul_server *server);

/* SIGSTOP and SIGCONT: a Consul that hangs. */
void consul_server_freeze(struct consul_server *server);
void consul_server_thaw(struct consul_server *server);

/* One blocking request (body may be NULL), for what a test sets up or looks at. The status,
 * or -1; `out` is what the body begins with. */
int consul_server_ask(const struct consul_server *server, const char *method,
    const char *path, const char *body, char *out, size_t size);

#endif
