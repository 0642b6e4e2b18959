/* SPDX-License-Identifier: ISC */
/*
 * A connection from a name to its end: addresses from resolve, sockets from sockets, TLS
 * from tls. The addresses race as RFC 8305 (5) asks, and the winner's socket is the
 * stream's. What is asked of a stream is tried when its socket may have it: that is known
 * from the edges so far, so no system call is made to learn that nothing has come.
 * `advance` is the one place where a stream moves on; it is called for an edge and for the
 * list `soon`, where a stream waits for the next turn that may not answer from within the
 * call. A stream that is closed in its own callback gives everything back at once, and its
 * memory goes when the last callback has returned.
 */
#include "agent/base/stream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "agent/base/loop.h"
#include "agent/base/resolve.h"
#include "agent/base/sockets.h"
#include "agent/base/tls.h"
#include "agent/base/util.h"

#define ATTEMPT_MS 250 /* RFC 8305, 5: the connection attempt delay */
#define STEPS_MAX 16 /* of one stream in one turn */

enum state {
	STATE_RESOLVING,
	STATE_CONNECTING,
	STATE_HANDSHAKE,
	STATE_OPEN,
	STATE_LOST, /* and nobody has been told */
	STATE_OVER,
};

enum order { ORDER_NONE, ORDER_WRITE, ORDER_READ };

struct stream {
	TAILQ_ENTRY(stream) soon;
	struct streams *streams;
	struct stream *former; /* once it is closed: the next of those */
	const struct stream_target *target; /* until connected */
	struct stream_out out;
	void *arg;
	enum state state;
	enum order order;
	bool is_soon, advancing, closed;
	unsigned int depth; /* callbacks that have not returned */
	/* the socket may have more for us, takes more, says no more but what it has */
	bool readable, writable, last, spoken;
	/* the race */
	struct resolve_call *lookup;
	union resolve_address only, *addresses; /* only: there is one */
	size_t n_addresses, next;
	struct socket *racing;
	struct loop_timer *timer; /* NULL: one address */
	int error; /* why it was lost: of errno, by the address `lost` */
	size_t lost;
	/* the winner */
	struct socket *socket;
	struct tls *tls;
	void *in;
	const char *put;
	size_t len, done;
};

TAILQ_HEAD(stream_list, stream);

struct streams {
	struct resolve *resolve;
	struct tlss *tlss;
	struct sockets *sockets;
	struct stream *former; /* closed: their memory is used again */
	struct stream_list soon;
	size_t n_soon;
	struct loop *loop;
	struct loop_timer *turn;
};

/* The memory of a stream is that of the one before, as its socket is: at hand. */
static void
recycle(struct stream *stream)
{
	stream->former = stream->streams->former;
	stream->streams->former = stream;
}

static struct stream *
stream_new(struct streams *streams)
{
	struct stream *stream = streams->former;

	if (stream == NULL)
		stream = xcalloc(1, sizeof(*stream));
	else
		streams->former = stream->former;
	*stream = (struct stream){ .streams = streams };
	return stream;
}

static void
enter(struct stream *stream)
{
	stream->depth++;
}

static void
leave(struct stream *stream)
{
	if (--stream->depth == 0 && stream->closed)
		recycle(stream);
}

static void
put_off(struct stream *stream)
{
	struct streams *streams = stream->streams;

	if (stream->is_soon)
		return;
	stream->is_soon = true;
	if (streams->n_soon++ == 0)
		loop_timer_after(streams->turn, 0);
	TAILQ_INSERT_TAIL(&streams->soon, stream, soon);
}

static void
forget_soon(struct stream *stream)
{
	stream->is_soon = false;
	stream->streams->n_soon--;
	TAILQ_REMOVE(&stream->streams->soon, stream, soon);
}

/* ---- the race ---- */

static void
race_stop(struct stream *stream)
{
	while (stream->racing != NULL) {
		struct socket *socket = stream->racing;
		stream->racing = socket->next;
		sockets_release(socket, false);
	}
	loop_timer_free(stream->timer);
	stream->timer = NULL;
	if (stream->addresses != &stream->only)
		free(stream->addresses);
	stream->addresses = NULL;
}

/* Of several failures one is told: our own, since then nobody knows; or else that of the
 * first address, whichever failed first; that there is no IPv6 here only if nothing else. */
static unsigned int
rank(int error)
{
	const char *why;

	if (error == 0)
		return 0;
	if (error == EAFNOSUPPORT)
		return 1;
	return net_error_of(error, &why) == NET_LOCAL ? 3 : 2;
}

static void
note_failure(struct stream *stream, size_t address, int error)
{
	unsigned int old = rank(stream->error), new = rank(error);

	if (new < old || (new == old &&address > stream->lost))
		return;
	stream->error = error;
	stream->lost = address;
}

/* What the socket can do now, until a call says otherwise. */
static void
note_events(struct stream *stream, unsigned int events)
{
	if ((events & (LOOP_END | LOOP_FAULT)) != 0)
		stream->last = stream->readable = true;
	if ((events & LOOP_READ) != 0)
		stream->readable = true;
	if ((events & (LOOP_WRITE | LOOP_FAULT)) != 0)
		stream->writable = true;
}

static void on_socket(void *arg, struct socket *socket, unsigned int events);

/* Begins the next attempt that can begin. */
static void
attempt(struct stream *stream)
{
	while (stream->next < stream->n_addresses) {
		size_t i = stream->next++;
		const union resolve_address *address = &stream->addresses[i];
		struct socket *socket;
		int error = sockets_connect(stream->streams->sockets, &address->sa,
		    resolve_address_len(address), on_socket, stream, &socket);
		if (error != 0) {
			note_failure(stream, i, -error);
			continue;
		}
		socket->index = (unsigned int)i;
		socket->next = stream->racing;
		stream->racing = socket;
		if (stream->next < stream->n_addresses)
			loop_timer_after(stream->timer, ATTEMPT_MS);
		return;
	}
	if (stream->racing == NULL)
		stream->state = STATE_LOST;
}

static void
take_out(struct stream *stream, struct socket *socket)
{
	struct socket **at = &stream->racing;

	while (*at != socket)
		at = &(*at)->next;
	*at = socket->next;
}

static void
won(struct stream *stream, struct socket *socket)
{
	const struct stream_target *target = stream->target;
	char name[300], why[160] = "";

	take_out(stream, socket);
	race_stop(stream);
	stream->socket = socket;
	stream->state = STATE_OPEN;
	if (target->tls == NULL) {
		stream->out.connected(stream->arg, NET_OK, NULL);
		return;
	}
	stream->state = STATE_HANDSHAKE;
	snprintf(name, sizeof(name), "%s:%u", target->host, target->port);
	stream->tls = tls_open(stream->streams->tlss, target->tls, target->host, name,
	    socket->fd, why, sizeof(why));
	if (stream->tls != NULL)
		return;
	stream->state = STATE_OVER;
	stream->out.connected(stream->arg, NET_LOCAL, why);
}

static void
on_race(struct stream *stream, struct socket *socket, unsigned int events)
{
	int error = sockets_connected(socket, events);

	if (error == -EINPROGRESS)
		return;
	if (error == 0) {
		note_events(stream, events);
		won(stream, socket);
		return;
	}
	note_failure(stream, socket->index, -error);
	take_out(stream, socket);
	sockets_release(socket, false);
	attempt(stream);
}

/* ---- orders ---- */

static void
tell(struct stream *stream, enum net_error error, const char *why)
{
	enum order order = stream->order;

	stream->order = ORDER_NONE;
	if (error != NET_OK)
		stream->state = STATE_OVER;
	if (order == ORDER_WRITE)
		stream->out.written(stream->arg, error, why);
	else
		stream->out.arrived(
		    stream->arg, error == NET_OK ? stream->done : 0, error, why);
}

static void
tell_errno(struct stream *stream, int error)
{
	const char *why;
	enum net_error what = net_error_of(error, &why);

	tell(stream, what, why);
}

static void
tell_lost(struct stream *stream)
{
	const char *why;
	enum net_error error = net_error_of(stream->error, &why);

	stream->state = STATE_OVER;
	race_stop(stream);
	stream->out.connected(stream->arg, error, why);
}

/* What TLS said, if it is no result yet; a step that waits for the other direction than
 * the order's is tried again when that comes. */
static bool
tls_settled(struct stream *stream, enum tls_step step)
{
	switch (step) {
	case TLS_WANT_READ: stream->readable = false; return false;
	case TLS_WANT_WRITE: stream->writable = false; return false;
	case TLS_DONE:
	case TLS_END:
	case TLS_FAILED: break;
	}
	return true;
}

static bool
shake_hands(struct stream *stream)
{
	enum tls_step step = tls_handshake(stream->tls);

	if (!tls_settled(stream, step))
		return false;
	stream->state = step == TLS_DONE ? STATE_OPEN : STATE_OVER;
	stream->readable = true; /* OpenSSL may have read ahead */
	if (step == TLS_DONE)
		stream->out.connected(stream->arg, NET_OK, NULL);
	else
		stream->out.connected(
		    stream->arg, tls_error(stream->tls), tls_why(stream->tls));
	return true;
}

static bool
write_tls(struct stream *stream)
{
	while (stream->done < stream->len) {
		size_t put = 0;
		enum tls_step step = tls_write(stream->tls, stream->put + stream->done,
		    stream->len - stream->done, &put);
		if (!tls_settled(stream, step))
			return false;
		if (step != TLS_DONE) {
			tell(stream, tls_error(stream->tls), tls_why(stream->tls));
			return true;
		}
		stream->done += put;
	}
	tell(stream, NET_OK, NULL);
	return true;
}

static bool
write_plain(struct stream *stream)
{
	while (stream->done < stream->len) {
		ssize_t n = send(stream->socket->fd, stream->put + stream->done,
		    stream->len - stream->done, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			stream->writable = false;
			return false;
		}
		if (n < 0) {
			tell_errno(stream, errno);
			return true;
		}
		stream->done += (size_t)n;
	}
	tell(stream, NET_OK, NULL);
	return true;
}

static bool
read_tls(struct stream *stream)
{
	enum tls_step step =
	    tls_read(stream->tls, stream->in, stream->len, &stream->done);

	if (!tls_settled(stream, step))
		return false;
	if (step == TLS_END)
		stream->done = 0;
	if (step == TLS_FAILED)
		tell(stream, tls_error(stream->tls), tls_why(stream->tls));
	else
		tell(stream, NET_OK, NULL);
	return true;
}

/* Less than there is room for was all there is, unless the other end said its last. */
static bool
read_plain(struct stream *stream)
{
	ssize_t n;

	do
		n = recv(stream->socket->fd, stream->in, stream->len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		stream->readable = false;
		return false;
	}
	if (n < 0) {
		tell_errno(stream, errno);
		return true;
	}
	stream->readable = stream->last || (size_t)n == stream->len;
	stream->done = (size_t)n;
	tell(stream, NET_OK, NULL);
	return true;
}

static bool
write_on(struct stream *stream)
{
	return stream->tls != NULL ? write_tls(stream) : write_plain(stream);
}

static bool
read_on(struct stream *stream)
{
	return stream->tls != NULL ? read_tls(stream) : read_plain(stream);
}

/* True: somebody was told, so there may be a new order. */
static bool
step(struct stream *stream)
{
	switch (stream->state) {
	case STATE_RESOLVING:
	case STATE_CONNECTING:
	case STATE_OVER: return false;
	case STATE_LOST: tell_lost(stream); return true;
	case STATE_HANDSHAKE: return shake_hands(stream);
	case STATE_OPEN: break;
	}
	/* TLS may have to do the one for the sake of the other */
	if (stream->order == ORDER_WRITE)
		return (stream->writable || stream->tls != NULL) && write_on(stream);
	return stream->order == ORDER_READ && stream->readable && read_on(stream);
}

static void
advance(struct stream *stream)
{
	unsigned int steps = 0;

	enter(stream);
	stream->advancing = true;
	while (!stream->closed && steps < STEPS_MAX && step(stream))
		steps++;
	stream->advancing = false;
	if (!stream->closed && steps == STEPS_MAX)
		put_off(stream);
	leave(stream);
}

static void
on_socket(void *arg, struct socket *socket, unsigned int events)
{
	struct stream *stream = arg;

	enter(stream);
	if (stream->state == STATE_CONNECTING)
		on_race(stream, socket, events);
	else
		note_events(stream, events);
	if (!stream->closed)
		advance(stream);
	leave(stream);
}

static void
on_race_timer(void *arg)
{
	struct stream *stream = arg;

	attempt(stream);
	advance(stream);
}

static void
begin_race(struct stream *stream, size_t count)
{
	stream->n_addresses = count;
	stream->state = STATE_CONNECTING;
	if (count > 1)
		stream->timer =
		    loop_timer_new(stream->streams->loop, on_race_timer, stream);
	attempt(stream);
}

static void
on_found(
    void *arg, const union resolve_address *addresses, size_t count, const char *why)
{
	struct stream *stream = arg;
	enum net_error error = resolve_error(stream->lookup);
	in_port_t port = htons(stream->target->port);

	stream->lookup = NULL;
	if (count == 0) {
		stream->state = STATE_OVER;
		stream->out.connected(stream->arg, error, why);
		return;
	}
	stream->addresses =
	    count == 1 ? &stream->only : xcalloc(count, sizeof(*addresses));
	for (size_t i = 0; i < count; i++) {
		stream->addresses[i] = addresses[i];
		if (addresses[i].sa.sa_family == AF_INET6)
			stream->addresses[i].in6.sin6_port = port;
		else
			stream->addresses[i].in.sin_port = port;
	}
	begin_race(stream, count);
	advance(stream);
}

/* ---- what others call ---- */

/* As many as wait now: who is put off again meanwhile waits for the next turn. */
static void
on_turn(void *arg)
{
	struct streams *streams = arg;
	struct stream *stream;

	for (size_t n = streams->n_soon; n > 0; n--) {
		if ((stream = TAILQ_FIRST(&streams->soon)) == NULL)
			return;
		forget_soon(stream);
		advance(stream);
	}
	if (!TAILQ_EMPTY(&streams->soon))
		loop_timer_after(streams->turn, 0);
}

struct streams *
streams_new(struct loop *loop, struct resolve *resolve, struct tlss *tlss)
{
	struct streams *streams = xcalloc(1, sizeof(*streams));

	streams->loop = loop;
	streams->resolve = resolve;
	streams->tlss = tlss;
	streams->sockets = sockets_new(loop);
	TAILQ_INIT(&streams->soon);
	streams->turn = loop_timer_new(loop, on_turn, streams);
	return streams;
}

void
streams_free(struct streams *streams)
{
	if (streams == NULL)
		return;
	assert(TAILQ_EMPTY(&streams->soon));
	while (streams->former != NULL) {
		struct stream *stream = streams->former;
		streams->former = stream->former;
		free(stream);
	}
	sockets_free(streams->sockets);
	loop_timer_free(streams->turn);
	free(streams);
}

void
streams_spare(struct streams *streams, bool (*spare)(void *arg), void *arg)
{
	sockets_spare(streams->sockets, spare, arg);
}

struct stream *
stream_open(struct streams *streams, const struct stream_target *target,
    const struct stream_out *out, void *arg)
{
	struct stream *stream = stream_new(streams);
	socklen_t len;

	stream->target = target;
	stream->out = *out;
	stream->arg = arg;
	if (!resolve_literal(target->host, target->port, &stream->only, &len)) {
		stream->lookup =
		    resolve_start(streams->resolve, target->host, on_found, stream);
		return stream;
	}
	stream->addresses = &stream->only;
	begin_race(stream, 1);
	if (stream->state == STATE_LOST)
		put_off(stream);
	return stream;
}

static void
take_order(struct stream *stream, enum order order, size_t len)
{
	assert(stream->state == STATE_OPEN && stream->order == ORDER_NONE);
	stream->order = order;
	stream->len = len;
	stream->done = 0;
}

void
stream_write(struct stream *stream, const void *data, size_t len)
{
	take_order(stream, ORDER_WRITE, len);
	stream->put = data;
	stream->spoken = true;
	enter(stream);
	write_on(stream);
	leave(stream);
}

void
stream_read(struct stream *stream, void *data, size_t size)
{
	take_order(stream, ORDER_READ, size);
	stream->in = data;
	if (!stream->spoken && stream->tls == NULL)
		sockets_listen(stream->socket);
	stream->spoken = true;
	if (stream->readable && !stream->advancing)
		put_off(stream);
}

/* What cannot be read is asked for only where an edge has come. */
bool
stream_is_quiet(struct stream *stream)
{
	char byte;
	size_t got;

	assert(stream->state == STATE_OPEN && stream->order == ORDER_NONE);
	if (stream->tls != NULL) {
		enum tls_step step = tls_read(stream->tls, &byte, 1, &got);
		return !tls_settled(stream, step);
	}
	if (stream->readable)
		stream->readable = recv(stream->socket->fd, &byte, 1, MSG_PEEK) >= 0 ||
		    errno != EAGAIN;
	return !stream->readable;
}

int64_t
stream_certificate_end(const struct stream *stream)
{
	return stream->tls != NULL ? tls_certificate_end(stream->tls) : -1;
}

void
stream_close(struct stream *stream, bool polite)
{
	assert(!stream->closed);
	stream->closed = true;
	resolve_cancel(stream->lookup);
	race_stop(stream);
	if (stream->tls != NULL)
		tls_close(stream->tls, polite);
	if (stream->socket != NULL)
		sockets_release(stream->socket, polite);
	if (stream->is_soon)
		forget_soon(stream);
	if (stream->depth == 0)
		recycle(stream);
}
