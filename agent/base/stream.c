/* SPDX-License-Identifier: ISC */
/*
 * A connection from a name to its end: addresses from resolve, of which the race finds the
 * one that answers; over the socket that has won it the bytes go through a conduit, with TLS
 * from tls. What is asked of a stream is tried when its conduit may have it. `advance` is the
 * one place where a stream moves on; it is called for an edge and for the list `soon`, where
 * a stream waits for the next turn that may not answer from within the call. A stream that is
 * closed in its own callback gives everything back at once, and its memory goes when the last
 * callback has returned.
 */
#include "agent/base/stream.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "agent/base/conduit.h"
#include "agent/base/loop.h"
#include "agent/base/race.h"
#include "agent/base/resolve.h"
#include "agent/base/sockets.h"
#include "agent/base/tls.h"
#include "agent/base/util.h"

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
	struct resolve_call *lookup;
	struct race race; /* of the addresses that it has found */
	struct conduit conduit; /* over the socket that has won it */
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
tell_lost(struct stream *stream)
{
	const char *why;
	enum net_error error = net_error_of(race_error(&stream->race), &why);

	stream->state = STATE_OVER;
	race_stop(&stream->race);
	stream->out.connected(stream->arg, error, why);
}

static bool
shake_hands(struct stream *stream)
{
	enum conduit_step step = conduit_handshake(&stream->conduit);
	enum net_error error = NET_OK;
	const char *why = NULL;

	if (step == CONDUIT_WAITS)
		return false;
	if (step == CONDUIT_FAILED)
		error = conduit_error(&stream->conduit, &why);
	stream->state = step == CONDUIT_DONE ? STATE_OPEN : STATE_OVER;
	stream->out.connected(stream->arg, error, why);
	return true;
}

/* The answer to an order, if that was the last of it. */
static bool
answer(struct stream *stream, enum conduit_step step)
{
	enum net_error error = NET_OK;
	const char *why = NULL;

	if (step == CONDUIT_WAITS)
		return false;
	if (step == CONDUIT_FAILED)
		error = conduit_error(&stream->conduit, &why);
	tell(stream, error, why);
	return true;
}

static bool
write_on(struct stream *stream)
{
	return answer(stream,
	    conduit_write(&stream->conduit, stream->put, stream->len, &stream->done));
}

static bool
read_on(struct stream *stream)
{
	return answer(stream,
	    conduit_read(&stream->conduit, stream->in, stream->len, &stream->done));
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
	if (stream->order == ORDER_WRITE)
		return conduit_may_write(&stream->conduit) && write_on(stream);
	return stream->order == ORDER_READ && conduit_may_read(&stream->conduit) &&
	    read_on(stream);
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

/* ---- the race ---- */

static void
won(struct stream *stream, struct socket *socket)
{
	const struct stream_target *target = stream->target;
	char name[300], why[160] = "";

	conduit_take(&stream->conduit, socket);
	stream->state = STATE_OPEN;
	if (target->tls == NULL) {
		stream->out.connected(stream->arg, NET_OK, NULL);
		return;
	}
	stream->state = STATE_HANDSHAKE;
	snprintf(name, sizeof(name), "%s:%u", target->host, target->port);
	struct tls *tls = tls_open(stream->streams->tlss, target->tls, target->host,
	    name, socket->fd, why, sizeof(why));
	conduit_secure(&stream->conduit, tls);
	if (tls != NULL)
		return;
	stream->state = STATE_OVER;
	stream->out.connected(stream->arg, NET_LOCAL, why);
}

static void
on_race(struct stream *stream, struct socket *socket, unsigned int events)
{
	switch (race_event(&stream->race, socket, events)) {
	case RACE_RUNS: break;
	case RACE_WON:
		conduit_events(&stream->conduit, events);
		won(stream, socket);
		break;
	case RACE_LOST: stream->state = STATE_LOST; break;
	}
}

static void
on_socket(void *arg, struct socket *socket, unsigned int events)
{
	struct stream *stream = arg;

	enter(stream);
	if (stream->state == STATE_CONNECTING)
		on_race(stream, socket, events);
	else
		conduit_events(&stream->conduit, events);
	if (!stream->closed)
		advance(stream);
	leave(stream);
}

static void
on_lost(void *arg)
{
	struct stream *stream = arg;

	stream->state = STATE_LOST;
	advance(stream);
}

static const struct race_out race_out = { .ready = on_socket, .lost = on_lost };

static void
begin_race(struct stream *stream, const union resolve_address *addresses, size_t count)
{
	struct streams *streams = stream->streams;
	bool runs = race_start(&stream->race, streams->loop, streams->sockets,
	    &race_out, stream, addresses, count, stream->target->port);

	stream->state = runs ? STATE_CONNECTING : STATE_LOST;
}

static void
on_found(
    void *arg, const union resolve_address *addresses, size_t count, const char *why)
{
	struct stream *stream = arg;
	enum net_error error = resolve_error(stream->lookup);

	stream->lookup = NULL;
	if (count == 0) {
		stream->state = STATE_OVER;
		stream->out.connected(stream->arg, error, why);
		return;
	}
	begin_race(stream, addresses, count);
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
	union resolve_address address;
	socklen_t len;

	stream->target = target;
	stream->out = *out;
	stream->arg = arg;
	if (!resolve_literal(target->host, target->port, &address, &len)) {
		stream->lookup =
		    resolve_start(streams->resolve, target->host, on_found, stream);
		return stream;
	}
	begin_race(stream, &address, 1);
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
	enter(stream);
	write_on(stream);
	leave(stream);
}

void
stream_read(struct stream *stream, void *data, size_t size)
{
	take_order(stream, ORDER_READ, size);
	stream->in = data;
	conduit_listen(&stream->conduit);
	if (conduit_may_read(&stream->conduit) && !stream->advancing)
		put_off(stream);
}

bool
stream_is_quiet(struct stream *stream)
{
	assert(stream->state == STATE_OPEN && stream->order == ORDER_NONE);
	return conduit_is_quiet(&stream->conduit);
}

int64_t
stream_certificate_end(const struct stream *stream)
{
	return conduit_certificate_end(&stream->conduit);
}

void
stream_close(struct stream *stream, bool polite)
{
	assert(!stream->closed);
	stream->closed = true;
	resolve_cancel(stream->lookup);
	race_stop(&stream->race);
	conduit_close(&stream->conduit, polite);
	if (stream->is_soon)
		forget_soon(stream);
	if (stream->depth == 0)
		recycle(stream);
}
