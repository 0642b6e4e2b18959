/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_CONSUL_H
#define LICTOR_CONSUL_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/json.h"

struct conf_consul;
struct loop;
struct consul;
struct consul_call;

/* Each has connections of its own: nothing waits behind another. */
enum consul_channel {
	CONSUL_LEASE,
	CONSUL_WATCH,
	CONSUL_REPORT,
	CONSUL_HEART,		/* one connection, for the heartbeat alone */
	CONSUL_CHANNELS
};

enum consul_result {
	CONSUL_OK,
	CONSUL_NOT_FOUND,	/* 404; 500 with "associated TTL", "Unknown check", "does not exist" */
	CONSUL_DENIED,		/* 403, or a 409 that says "Permission denied" */
	CONSUL_CONFLICT,	/* 409: a transaction was refused */
	CONSUL_BUSY,		/* 429 and 5xx, no leader among them: try again later */
	CONSUL_AWAY,		/* no answer: refused, deadline, broken, garbage */
	CONSUL_BAD,		/* any other status (400, 405, 413), or an answer of more than
				   16 MiB: our own fault */
};

struct consul_reply {
	enum consul_result result;
	int status;		/* HTTP; 0 when away */
	bool late;		/* away, since the deadline passed: the agent may be as it was */
	const char *why;	/* for people, printable; never NULL */
	cJSON *json;		/* of the body; NULL if it is not JSON; the callee's until the
				   callback returns */
	uint64_t index;		/* X-Consul-Index; 0: none */
	size_t size;		/* of the body */
	bool filtered;		/* X-Consul-Results-Filtered-By-ACLs */
	int64_t sent_at;	/* clock_boot_ms before the first byte was sent */
};
typedef void consul_done_fn(void *arg, const struct consul_reply *reply);

struct consul_request {
	enum consul_channel channel;
	const char *method;	/* NULL: GET */
	const char *path;	/* "/v1/…" with its query */
	const cJSON *body;	/* sent as application/json; or */
	const char *text;	/* sent as application/octet-stream (KV values) */
	int64_t timeout_ms;
};

/*
 * The HTTP API of the local Consul agent: address, token (its file read again when it
 * changes), TLS, one deadline per call. It says once that Consul stopped answering and
 * once that it answers again; who calls need not.
 */
struct consul *consul_new(struct loop *loop, const struct conf_consul *conf);
void consul_free(struct consul *consul);	/* ends all calls without telling */

/* The configuration is `conf` from now on, where the one before can still be read. If it says
 * something else, connections and token are made anew, and calls under way end without an
 * answer. */
void consul_reload(struct consul *consul, const struct conf_consul *conf);

/* `done` is called once, never from within. */
struct consul_call *consul_send(struct consul *consul,
    const struct consul_request *request, consul_done_fn *done, void *arg);
void consul_cancel(struct consul_call *call);

/* Percent-encodes one segment of a path. */
void consul_escape(char *out, size_t size, const char *segment);

/* How long to wait after so many failures in a row: nothing after the first, then 100 ms,
 * doubled up to 5 s, less up to a half so that hosts do not return in step. */
int64_t consul_backoff(unsigned int failures);

/* Denied because Consul knows no such token: it was revoked, or is so new that a server has
 * not heard of it, which passes. */
bool consul_token_unknown(const struct consul_reply *reply);

/* False from a call that got no answer, none else having been answered since it was sent,
 * to the next answer of a call sent later. True before the first call. */
bool consul_reachable(const struct consul *consul);

#endif
