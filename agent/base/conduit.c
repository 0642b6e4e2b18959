/* SPDX-License-Identifier: ISC */
/*
 * Bytes over a connected socket, plain or in TLS. Sockets are those of sockets.h, which
 * tells their taker of edges; stream.c is that taker, hands the edges on and decides what is
 * tried next. What has come is known from the edges so far, so no system call is made to
 * learn that nothing has. The socket and its TLS are the conduit's until it is closed.
 */
#include "agent/base/conduit.h"

#include <errno.h>
#include <sys/socket.h>

#include "agent/base/loop.h"
#include "agent/base/sockets.h"
#include "agent/base/tls.h"

void
conduit_take(struct conduit *conduit, struct socket *socket)
{
	conduit->socket = socket;
}

void
conduit_secure(struct conduit *conduit, struct tls *tls)
{
	conduit->tls = tls;
}

void
conduit_events(struct conduit *conduit, unsigned int events)
{
	if ((events & (LOOP_END | LOOP_FAULT)) != 0)
		conduit->last = conduit->readable = true;
	if ((events & LOOP_READ) != 0)
		conduit->readable = true;
	if ((events & (LOOP_WRITE | LOOP_FAULT)) != 0)
		conduit->writable = true;
}

/* A step that waits for the other direction than its own is tried again when that comes. */
static enum conduit_step
settle(struct conduit *conduit, enum tls_step step)
{
	switch (step) {
	case TLS_WANT_READ: conduit->readable = false; return CONDUIT_WAITS;
	case TLS_WANT_WRITE: conduit->writable = false; return CONDUIT_WAITS;
	case TLS_FAILED: return CONDUIT_FAILED;
	case TLS_DONE:
	case TLS_END: break;
	}
	return CONDUIT_DONE;
}

enum conduit_step
conduit_handshake(struct conduit *conduit)
{
	enum conduit_step step = settle(conduit, tls_handshake(conduit->tls));

	if (step != CONDUIT_WAITS)
		conduit->readable = true; /* OpenSSL may have read ahead */
	return step;
}

static enum conduit_step
write_tls(struct conduit *conduit, const char *data, size_t len, size_t *done)
{
	while (*done < len) {
		size_t put = 0;
		enum tls_step what =
		    tls_write(conduit->tls, data + *done, len - *done, &put);
		enum conduit_step step = settle(conduit, what);
		if (step == CONDUIT_WAITS)
			return step;
		if (what != TLS_DONE)
			return CONDUIT_FAILED;
		*done += put;
	}
	return CONDUIT_DONE;
}

static enum conduit_step
write_plain(struct conduit *conduit, const char *data, size_t len, size_t *done)
{
	while (*done < len) {
		ssize_t n =
		    send(conduit->socket->fd, data + *done, len - *done, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			conduit->writable = false;
			return CONDUIT_WAITS;
		}
		if (n < 0) {
			conduit->error = errno;
			return CONDUIT_FAILED;
		}
		*done += (size_t)n;
	}
	return CONDUIT_DONE;
}

enum conduit_step
conduit_write(struct conduit *conduit, const char *data, size_t len, size_t *done)
{
	conduit->spoken = true;
	return conduit->tls != NULL ? write_tls(conduit, data, len, done)
				    : write_plain(conduit, data, len, done);
}

static enum conduit_step
read_tls(struct conduit *conduit, void *data, size_t size, size_t *got)
{
	enum tls_step step = tls_read(conduit->tls, data, size, got);

	if (step == TLS_END)
		*got = 0;
	return settle(conduit, step);
}

/* Less than there is room for was all there is, unless the other end said its last. */
static enum conduit_step
read_plain(struct conduit *conduit, void *data, size_t size, size_t *got)
{
	ssize_t n;

	do
		n = recv(conduit->socket->fd, data, size, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		conduit->readable = false;
		return CONDUIT_WAITS;
	}
	if (n < 0) {
		conduit->error = errno;
		return CONDUIT_FAILED;
	}
	conduit->readable = conduit->last || (size_t)n == size;
	*got = (size_t)n;
	return CONDUIT_DONE;
}

enum conduit_step
conduit_read(struct conduit *conduit, void *data, size_t size, size_t *got)
{
	return conduit->tls != NULL ? read_tls(conduit, data, size, got)
				    : read_plain(conduit, data, size, got);
}

enum net_error
conduit_error(const struct conduit *conduit, const char **why)
{
	if (conduit->tls == NULL)
		return net_error_of(conduit->error, why);
	*why = tls_why(conduit->tls);
	return tls_error(conduit->tls);
}

/* TLS may have to do the one for the sake of the other. */
bool
conduit_may_write(const struct conduit *conduit)
{
	return conduit->writable || conduit->tls != NULL;
}

bool
conduit_may_read(const struct conduit *conduit)
{
	return conduit->readable;
}

void
conduit_listen(struct conduit *conduit)
{
	if (!conduit->spoken && conduit->tls == NULL)
		sockets_listen(conduit->socket);
	conduit->spoken = true;
}

/* What cannot be read is asked for only where an edge has come. */
bool
conduit_is_quiet(struct conduit *conduit)
{
	char byte;
	size_t got;

	if (conduit->tls != NULL)
		return settle(conduit, tls_read(conduit->tls, &byte, 1, &got)) ==
		    CONDUIT_WAITS;
	if (conduit->readable)
		conduit->readable =
		    recv(conduit->socket->fd, &byte, 1, MSG_PEEK) >= 0 ||
		    errno != EAGAIN;
	return !conduit->readable;
}

int64_t
conduit_certificate_end(const struct conduit *conduit)
{
	return conduit->tls != NULL ? tls_certificate_end(conduit->tls) : -1;
}

void
conduit_close(struct conduit *conduit, bool polite)
{
	if (conduit->tls != NULL)
		tls_close(conduit->tls, polite);
	if (conduit->socket != NULL)
		sockets_release(conduit->socket, polite);
}
