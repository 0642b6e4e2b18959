/* SPDX-License-Identifier: ISC */
/*
 * What checks/check.h gives a run of the network: descriptors to watch, names, connections;
 * HTTP is in run_http.c. Each order belongs to the run, and run_net_let_go takes all of them back, so that
 * no callback of theirs comes when the run is over.
 */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/resolve.h"
#include "agent/base/stream.h"
#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "agent/health/run_state.h"

#define DAY_S 86400

_Static_assert(
    CHECK_READ == LOOP_READ && CHECK_WRITE == LOOP_WRITE, "one set of events");

void
run_net_let_go(struct check_run *run)
{
	check_unwatch(run);
	loop_timer_free(run->lack);
	run->lack = NULL;
	if (run->lookup != NULL)
		resolve_cancel(run->lookup);
	run->lookup = NULL;
	if (run->stream != NULL)
		stream_close(run->stream, false);
	run->stream = NULL;
}

static void
on_ready(void *arg, unsigned int events)
{
	struct check_run *run = arg;

	run_enter(run);
	run->ready(run, events);
	run_leave(run);
}

/* What is our own fault says nothing of the service: the check need not know of it. */
static void
end_unjudged(struct check_run *run, const char *what, const char *why)
{
	run_enter(run);
	if (run->check->class->cancel != NULL)
		run->check->class->cancel(run);
	check_done(run, CHECK_UNKNOWN, CHECK_REASON_LOCAL, "%s%s", what, why);
	run_leave(run);
}

static void
on_lack(void *arg)
{
	const char *why;

	net_error_of(EMFILE, &why);
	end_unjudged(arg, "", why);
}

/* It goes when the check has returned. */
static void
refuse_descriptor(struct check_run *run)
{
	check_unwatch(run);
	if (run->lack == NULL)
		run->lack = loop_timer_new(run->runs->servants.loop, on_lack, run);
	loop_timer_after(run->lack, 0);
}

void
check_watch(struct check_run *run, int fd, unsigned int events,
    void (*ready)(struct check_run *run, unsigned int events))
{
	assert(!run->done);
	if (fd >= run->runs->descriptor_end) {
		refuse_descriptor(run);
		return;
	}
	if (run->io != NULL && run->fd != fd)
		check_unwatch(run);
	if (run->io == NULL)
		run->io = loop_io_new(run->runs->servants.loop, fd, on_ready, run);
	run->fd = fd;
	run->ready = ready;
	loop_io_watch(run->io, events);
}

void
check_unwatch(struct check_run *run)
{
	loop_io_free(run->io);
	run->io = NULL;
}

static void
tell_found(struct check_run *run, const union resolve_address *addresses, size_t count,
    const char *why)
{
	struct check_address found[RESOLVE_MAX] = { 0 };

	for (size_t i = 0; i < count; i++) {
		found[i].len = resolve_address_len(&addresses[i]);
		memcpy(&found[i].sa, &addresses[i], found[i].len);
		if (found[i].sa.sa_family == AF_INET6)
			found[i].in6.sin6_port = htons(run->port);
		else
			found[i].in.sin_port = htons(run->port);
	}
	run_enter(run);
	run->found(run, count > 0 ? found : NULL, count, why);
	run_leave(run);
}

static void
on_found(
    void *arg, const union resolve_address *addresses, size_t count, const char *why)
{
	struct check_run *run = arg;
	enum net_error error = resolve_error(run->lookup);

	run->lookup = NULL;
	if (error == NET_LOCAL)
		end_unjudged(run, "the name could not be asked for: ", why);
	else
		tell_found(run, addresses, count, why);
}

void
check_resolve(struct check_run *run, const char *host, uint16_t port,
    void (*found)(struct check_run *run, const struct check_address *addresses,
	size_t count, const char *why))
{
	union resolve_address literal;
	socklen_t len;

	assert(!run->done && run->lookup == NULL);
	run->port = port;
	run->found = found;
	if (resolve_literal(host, port, &literal, &len))
		tell_found(run, &literal, 1, NULL);
	else
		run->lookup =
		    resolve_start(run->runs->servants.resolve, host, on_found, run);
}

enum check_reason
run_reason(enum net_error error)
{
	switch (error) {
	case NET_OK: return CHECK_REASON_OK;
	case NET_RESOLVE: return CHECK_REASON_RESOLVE;
	case NET_REFUSED: return CHECK_REASON_REFUSED;
	case NET_TIMEOUT: return CHECK_REASON_TIMEOUT;
	case NET_TLS: return CHECK_REASON_TLS;
	case NET_CLOSED: return CHECK_REASON_CLOSED;
	case NET_GARBAGE: return CHECK_REASON_PROTOCOL;
	case NET_LOCAL: break;
	}
	return CHECK_REASON_LOCAL;
}

static void
on_connected(void *arg, enum net_error error, const char *why)
{
	struct check_run *run = arg;

	run_enter(run);
	run->connected(run, run_reason(error), why);
	run_leave(run);
}

static void
on_written(void *arg, enum net_error error, const char *why)
{
	struct check_run *run = arg;

	run_enter(run);
	run->written(run, run_reason(error), why);
	run_leave(run);
}

static void
on_arrived(void *arg, size_t len, enum net_error error, const char *why)
{
	struct check_run *run = arg;

	run_enter(run);
	run->arrived(run, len, run_reason(error), why);
	run_leave(run);
}

struct net_tls
run_tls(const struct check_tls *tls)
{
	return (struct net_tls){
		.ca_file = tls->ca_file,
		.cert_file = tls->cert_file,
		.key_file = tls->key_file,
		.server_name = tls->server_name,
		.no_verify = tls->no_verify,
	};
}

void
check_connect(struct check_run *run, const char *host, uint16_t port,
    const struct check_tls *tls,
    void (*connected)(struct check_run *run, enum check_reason reason, const char *why))
{
	static const struct stream_out out = { on_connected, on_written, on_arrived };

	assert(!run->done && run->stream == NULL);
	if (tls != NULL)
		run->tls = run_tls(tls);
	run->target =
	    (struct stream_target){ host, port, tls != NULL ? &run->tls : NULL };
	run->connected = connected;
	run->stream = stream_open(run->runs->servants.streams, &run->target, &out, run);
}

void
check_write(struct check_run *run, const void *data, size_t len,
    void (*written)(struct check_run *run, enum check_reason reason, const char *why))
{
	assert(!run->done && run->stream != NULL);
	run->written = written;
	stream_write(run->stream, data, len);
}

void
check_read(struct check_run *run, void *data, size_t size,
    void (*arrived)(
	struct check_run *run, size_t len, enum check_reason reason, const char *why))
{
	assert(!run->done && run->stream != NULL);
	run->arrived = arrived;
	stream_read(run->stream, data, size);
}

int
run_certificate_days(int64_t end)
{
	int64_t left = end - clock_wall_ms() / 1000;

	return end >= 0 && left >= 0 ? (int)(left / DAY_S) : -1;
}

int
check_certificate_days(const struct check_run *run)
{
	return run->stream != NULL
	    ? run_certificate_days(stream_certificate_end(run->stream))
	    : -1;
}
