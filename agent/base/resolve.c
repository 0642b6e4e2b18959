/* SPDX-License-Identifier: ISC */
/*
 * Names to addresses without blocking, and addresses as people write them. The one file
 * that knows c-ares: one channel, its sockets watched by the loop, its timeouts kept by a
 * timer. c-ares cannot withdraw one query, so a call that was cancelled stays in `asked`,
 * with nobody to tell, until c-ares is done with it. Answers are delivered by a timer,
 * one a turn and as the last thing in it: `done` may do anything, resolve_free included.
 */
#include "agent/base/resolve.h"

#include <ares.h>
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "agent/base/loop.h"
#include "agent/base/util.h"

/* c-ares' own five seconds are longer than a check may take. */
#define TRY_MS 1000
#define TRIES 3

struct watched {
	LIST_ENTRY(watched) link;
	struct resolve *resolve;
	struct loop_io *io;
	int fd;
};

struct resolve_call {
	TAILQ_ENTRY(resolve_call) link;
	struct resolve *resolve;
	void (*done)(void *arg, const union resolve_address *addresses, size_t count,
	    const char *why); /* NULL: cancelled */
	void *arg;
	bool answered, telling;
	union resolve_address addresses[RESOLVE_MAX];
	size_t count;
	char why[96];
};

TAILQ_HEAD(call_list, resolve_call);

struct resolve {
	struct loop *loop;
	ares_channel channel;
	int fault; /* why there is no channel: an error of c-ares, or 0 */
	struct loop_timer *timeout, *deliver;
	LIST_HEAD(watched_list, watched) sockets;
	struct call_list asked, answered;
};

static int
fail(char *why, size_t why_size, const char *fault)
{
	str_copy(why, why_size, fault);
	return -EINVAL;
}

/* The port after the last colon; *host_len is what stands before it. */
static bool
split_port(const char *text, size_t *host_len, uint16_t *port)
{
	const char *colon = strrchr(text, ':');
	uint64_t value;

	if (colon == NULL || parse_uint(colon + 1, 1, UINT16_MAX, &value) != 0)
		return false;
	*host_len = (size_t)(colon - text);
	*port = (uint16_t)value;
	return true;
}

static bool
is_name(const char *host)
{
	return host[0] != '\0' && strlen(host) <= 253 && host[0] != '.' &&
	    strspn(host,
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") ==
	    strlen(host);
}

int
resolve_split(const char *text, char *host, size_t host_size, uint16_t *port, char *why,
    size_t why_size)
{
	bool brackets = text[0] == '[';
	union resolve_address address;
	size_t len;
	socklen_t address_len;
	uint16_t number;

	if (!split_port(text, &len, &number))
		return fail(why, why_size, "no port from 1 to 65535 after a colon");
	if (brackets && (len < 2 || text[len - 1] != ']'))
		return fail(why, why_size, "no closing bracket before the port");
	AUTO_FREE char *bare =
	    brackets ? xstrndup(text + 1, len - 2) : xstrndup(text, len);
	bool literal = resolve_literal(bare, number, &address, &address_len);
	bool ipv6 = literal && address.sa.sa_family == AF_INET6;
	if (brackets && !ipv6)
		return fail(why, why_size, "no IPv6 address in the brackets");
	if (!brackets && strchr(bare, ':') != NULL)
		return fail(why, why_size, "an IPv6 address stands in brackets");
	if (!literal && !is_name(bare))
		return fail(why, why_size, "neither an address nor a host name");
	if (strlen(bare) >= host_size)
		return fail(why, why_size, "the host name is too long");
	str_copy(host, host_size, bare);
	*port = number;
	return 0;
}

bool
resolve_is_localhost(const char *host)
{
	size_t len = strlen(host);

	return strcasecmp(host, "localhost") == 0 ||
	    (len > 10 && strcasecmp(host + len - 10, ".localhost") == 0);
}

/* An IPv6 address, perhaps with the interface of a link-local one behind a '%'. */
static bool
literal_ipv6(const char *host, struct sockaddr_in6 *out)
{
	size_t len = strcspn(host, "%");
	char bare[INET6_ADDRSTRLEN];

	if (len >= sizeof(bare))
		return false;
	memcpy(bare, host, len);
	bare[len] = '\0';
	out->sin6_family = AF_INET6;
	if (inet_pton(AF_INET6, bare, &out->sin6_addr) != 1)
		return false;
	if (host[len] == '\0')
		return true;
	out->sin6_scope_id = if_nametoindex(host + len + 1);
	return out->sin6_scope_id != 0;
}

bool
resolve_literal(
    const char *host, uint16_t port, union resolve_address *out, socklen_t *len)
{
	union resolve_address address = { 0 };

	if (inet_pton(AF_INET, host, &address.in.sin_addr) == 1) {
		address.in.sin_family = AF_INET;
		address.in.sin_port = htons(port);
		*len = sizeof(address.in);
	} else if (literal_ipv6(host, &address.in6)) {
		address.in6.sin6_port = htons(port);
		*len = sizeof(address.in6);
	} else {
		return false;
	}
	*out = address;
	return true;
}

socklen_t
resolve_address_len(const union resolve_address *address)
{
	return address->sa.sa_family == AF_INET6 ? sizeof(address->in6)
						 : sizeof(address->in);
}

void
resolve_format(const struct sockaddr *address, char *out, size_t size)
{
	const void *bytes = address->sa_family == AF_INET6
	    ? (const void *)&((const struct sockaddr_in6 *)(const void *)address)
		  ->sin6_addr
	    : (const void *)&((const struct sockaddr_in *)(const void *)address)
		  ->sin_addr;

	if (size > 0 &&
	    inet_ntop(address->sa_family, bytes, out, (socklen_t)size) == NULL)
		out[0] = '\0';
}

static void
arm_timeout(struct resolve *resolve)
{
	struct timeval tv;

	if (ares_timeout(resolve->channel, NULL, &tv) == NULL)
		loop_timer_stop(resolve->timeout);
	else
		loop_timer_after(resolve->timeout,
		    (int64_t)tv.tv_sec * 1000 + tv.tv_usec / 1000 + 1);
}

static void
on_timeout(void *arg)
{
	struct resolve *resolve = arg;

	ares_process_fd(resolve->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm_timeout(resolve);
}

static void
on_io(void *arg, unsigned int events)
{
	struct watched *watched = arg;
	struct resolve *resolve = watched->resolve;
	int fd = watched->fd; /* c-ares may close it, and `watched` goes */

	ares_process_fd(resolve->channel,
	    (events & LOOP_READ) != 0 ? fd : ARES_SOCKET_BAD,
	    (events & LOOP_WRITE) != 0 ? fd : ARES_SOCKET_BAD);
	arm_timeout(resolve);
}

static void
unwatch(struct watched *watched)
{
	LIST_REMOVE(watched, link);
	loop_io_free(watched->io);
	free(watched);
}

static void
on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct resolve *resolve = arg;
	struct watched *watched = LIST_FIRST(&resolve->sockets);

	while (watched != NULL && watched->fd != fd)
		watched = LIST_NEXT(watched, link);
	if (!readable && !writable) {
		if (watched != NULL)
			unwatch(watched);
		return;
	}
	if (watched == NULL) {
		watched = xcalloc(1, sizeof(*watched));
		watched->resolve = resolve;
		watched->fd = fd;
		watched->io = loop_io_new(resolve->loop, fd, on_io, watched);
		LIST_INSERT_HEAD(&resolve->sockets, watched, link);
	}
	loop_io_watch(
	    watched->io, (readable ? LOOP_READ : 0) | (writable ? LOOP_WRITE : 0));
}

static const char *
fault_text(int status)
{
	switch (status) {
	case ARES_ENOTFOUND: return "there is no such name";
	case ARES_ENODATA: return "the name has no address";
	case ARES_ETIMEOUT: return "no name server answered";
	case ARES_ECONNREFUSED: return "no name server could be reached";
	case ARES_ESERVFAIL: return "the name server failed";
	case ARES_EREFUSED: return "the name server refused";
	case ARES_EBADNAME: return "this is not a name";
	default: return ares_strerror(status);
	}
}

static void
answer(struct resolve_call *call)
{
	struct resolve *resolve = call->resolve;

	call->answered = true;
	TAILQ_INSERT_TAIL(&resolve->answered, call, link);
	loop_timer_after(resolve->deliver, 0);
}

/* RFC 8305, 4: the families in turn, each in its own order, the first one first. */
static void
interleave(union resolve_address *addresses, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		size_t next = i;
		while (next < count &&
		    addresses[next].sa.sa_family == addresses[i - 1].sa.sa_family)
			next++;
		if (next == count)
			return;
		union resolve_address moved = addresses[next];
		memmove(&addresses[i + 1], &addresses[i], (next - i) * sizeof(moved));
		addresses[i] = moved;
	}
}

static void
take_addresses(struct resolve_call *call, const struct ares_addrinfo *result)
{
	const struct ares_addrinfo_node *node = result->nodes;

	for (; node != NULL && call->count < RESOLVE_MAX; node = node->ai_next)
		if ((size_t)node->ai_addrlen <= sizeof(call->addresses[0]))
			memcpy(&call->addresses[call->count++], node->ai_addr,
			    node->ai_addrlen);
	if (call->count == 0)
		str_copy(call->why, sizeof(call->why), fault_text(ARES_ENODATA));
	interleave(call->addresses, call->count);
}

static void
on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *result)
{
	struct resolve_call *call = arg;

	if (status == ARES_SUCCESS)
		take_addresses(call, result);
	else
		str_copy(call->why, sizeof(call->why), fault_text(status));
	if (result != NULL)
		ares_freeaddrinfo(result);
	TAILQ_REMOVE(&call->resolve->asked, call, link);
	if (call->done == NULL)
		free(call);
	else
		answer(call);
}

static void
on_deliver(void *arg)
{
	struct resolve *resolve = arg;
	struct resolve_call *call = TAILQ_FIRST(&resolve->answered);

	if (call == NULL)
		return;
	TAILQ_REMOVE(&resolve->answered, call, link);
	if (!TAILQ_EMPTY(&resolve->answered))
		loop_timer_after(resolve->deliver, 0);
	call->telling = true;
	call->done(call->arg, call->count > 0 ? call->addresses : NULL, call->count,
	    call->count > 0 ? NULL : call->why);
	free(call);
}

struct resolve *
resolve_new(struct loop *loop)
{
	struct resolve *resolve = xcalloc(1, sizeof(*resolve));
	struct ares_options options = {
		.timeout = TRY_MS,
		.tries = TRIES,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = resolve,
	};

	resolve->loop = loop;
	TAILQ_INIT(&resolve->asked);
	TAILQ_INIT(&resolve->answered);
	resolve->timeout = loop_timer_new(loop, on_timeout, resolve);
	resolve->deliver = loop_timer_new(loop, on_deliver, resolve);
	resolve->fault = ares_library_init(ARES_LIB_INIT_ALL);
	if (resolve->fault == ARES_SUCCESS)
		resolve->fault = ares_init_options(&resolve->channel, &options,
		    ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
	return resolve;
}

void
resolve_free(struct resolve *resolve)
{
	struct resolve_call *call, *next;

	if (resolve == NULL)
		return;
	for (call = TAILQ_FIRST(&resolve->asked); call != NULL;
	     call = TAILQ_NEXT(call, link))
		call->done = NULL;
	if (resolve->fault == ARES_SUCCESS)
		ares_destroy(resolve->channel); /* answers all that are asked */
	ares_library_cleanup();
	for (call = TAILQ_FIRST(&resolve->answered); call != NULL; call = next) {
		next = TAILQ_NEXT(call, link);
		free(call);
	}
	assert(LIST_EMPTY(&resolve->sockets)); /* c-ares has closed them */
	loop_timer_free(resolve->timeout);
	loop_timer_free(resolve->deliver);
	free(resolve);
}

struct resolve_call *
resolve_start(struct resolve *resolve, const char *host,
    void (*done)(void *arg, const union resolve_address *addresses, size_t count,
	const char *why),
    void *arg)
{
	static const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC };
	struct resolve_call *call = xcalloc(1, sizeof(*call));
	const char *literal = resolve_is_localhost(host) ? "127.0.0.1" : host;
	socklen_t len;

	call->resolve = resolve;
	call->done = done;
	call->arg = arg;
	if (resolve_literal(literal, 0, &call->addresses[0], &len)) {
		call->count = 1;
		answer(call);
	} else if (resolve->fault != ARES_SUCCESS) {
		str_copy(call->why, sizeof(call->why), fault_text(resolve->fault));
		answer(call);
	} else {
		TAILQ_INSERT_TAIL(&resolve->asked, call, link);
		ares_getaddrinfo(resolve->channel, host, NULL, &hints, on_answer, call);
		arm_timeout(resolve);
	}
	return call;
}

void
resolve_cancel(struct resolve_call *call)
{
	if (call == NULL || call->telling)
		return;
	call->done = NULL;
	if (!call->answered)
		return;
	TAILQ_REMOVE(&call->resolve->answered, call, link);
	free(call);
}
