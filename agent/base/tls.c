/* SPDX-License-Identifier: ISC */
/*
 * One TLS connection as client: OpenSSL over a descriptor of the caller's, who watches it.
 * The context with its files is tls_context's, what may be resumed is tls_session's, what
 * went wrong tls_fault puts into words. Checks are many and short, so each saved record,
 * read and packet shows: what the handshake sends last waits for the first data and goes
 * with it. A ticket is offered more than once, against the advice of RFC 8446 C.4: that
 * hides from an observer which connections belong together, and ours come from one host
 * to one port every few seconds.
 * Invariant: a session is offered only under the files, the target and the name that it
 * was verified for; of a connection that failed none is kept.
 */
#include "agent/base/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/tls_context.h"
#include "agent/base/tls_fault.h"
#include "agent/base/tls_session.h"
#include "agent/base/util.h"

#define HELD_MAX 512

struct tlss {
	struct tls_contexts *contexts;
	struct tls_sessions *sessions;
	BIO_METHOD *socket;
};

struct tls {
	struct tls_fault fault; /* first: it is what OpenSSL gives back to us */
	struct tlss *tlss;
	struct tls_context *context;
	SSL *ssl;
	int fd, io_error;
	bool holding, ended, starved, resumed;
	char *name, *key;
	struct tls_session session; /* as it is to be kept; ours if not NULL */
	size_t held_len;
	char held[HELD_MAX]; /* of the handshake, to be sent */
};

/* What is held back, then `data`; how much of that went, or -1 with errno. */
static ssize_t
send_all(struct tls *tls, const void *data, size_t len)
{
	struct iovec parts[2] = { { tls->held, tls->held_len }, { (void *)data, len } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

	ssize_t n = sendmsg(tls->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return -1;
	size_t held = (size_t)n < tls->held_len ? (size_t)n : tls->held_len;
	tls->held_len -= held;
	memmove(tls->held, tls->held + held, tls->held_len);
	if ((size_t)n > held || len == 0)
		return n - (ssize_t)held;
	errno = EAGAIN;
	return -1;
}

/* False: it must wait. What cannot be sent at all is given up: the other end has said why,
 * or reading says it. */
static bool
flush_held(struct tls *tls)
{
	if (tls->held_len > 0 && send_all(tls, NULL, 0) < 0 && errno != EAGAIN)
		tls->held_len = 0;
	return tls->held_len == 0;
}

static int
on_bio_write(BIO *bio, const char *data, int len)
{
	struct tls *tls = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (tls->holding && (size_t)len <= sizeof(tls->held) - tls->held_len) {
		memcpy(tls->held + tls->held_len, data, (size_t)len);
		tls->held_len += (size_t)len;
		return len;
	}
	ssize_t n = send_all(tls, data, (size_t)len);
	if (n < 0 && errno == EAGAIN)
		BIO_set_retry_write(bio);
	else if (n < 0)
		tls->io_error = errno;
	return (int)n;
}

static int
on_bio_read(BIO *bio, char *data, int size)
{
	struct tls *tls = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (!flush_held(tls)) {
		BIO_set_retry_read(bio);
		return -1;
	}
	ssize_t n = recv(tls->fd, data, (size_t)size, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(bio);
	else if (n < 0)
		tls->io_error = errno;
	else if (n == 0)
		tls->ended = true;
	return (int)n;
}

static long
on_bio_ctrl(BIO *bio, int what, long number, void *arg)
{
	const struct tls *tls = BIO_get_data(bio);

	if (what == BIO_CTRL_EOF)
		return tls->ended;
	return what == BIO_CTRL_FLUSH;
}

struct tlss *
tlss_new(void)
{
	struct tlss *tlss = xcalloc(1, sizeof(*tlss));

	tlss->contexts = tls_contexts_new();
	tlss->sessions = tls_sessions_new();
	tlss->socket = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "socket");
	if (tlss->socket == NULL)
		out_of_memory();
	BIO_meth_set_write(tlss->socket, on_bio_write);
	BIO_meth_set_read(tlss->socket, on_bio_read);
	BIO_meth_set_ctrl(tlss->socket, on_bio_ctrl);
	return tlss;
}

void
tlss_free(struct tlss *tlss)
{
	if (tlss == NULL)
		return;
	tls_sessions_free(tlss->sessions);
	tls_contexts_free(tlss->contexts);
	BIO_meth_free(tlss->socket);
	free(tlss);
}

static int
on_new_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *tls = SSL_get_app_data(ssl);

	SSL_SESSION_free(tls->session.session);
	tls->session.session = session;
	return 1;
}

static void
set_ssl(struct tls *tls)
{
	SSL_CTX *context = tls_context_ssl(tls->context);
	BIO *bio = BIO_new(tls->tlss->socket);

	SSL_CTX_sess_set_new_cb(context, on_new_session);
	tls->ssl = SSL_new(context);
	if (tls->ssl == NULL || bio == NULL)
		out_of_memory();
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	SSL_set_bio(tls->ssl, bio, bio);
	SSL_set_connect_state(tls->ssl);
	tls_fault_watch(&tls->fault, tls->ssl);
	if (tls_fault_expect(SSL_get0_param(tls->ssl), tls->name) != 0)
		out_of_memory();
	if (!tls_fault_is_literal(tls->name))
		SSL_set_tlsext_host_name(tls->ssl, tls->name);
}

static void
offer_session(struct tls *tls)
{
	const struct tls_session *kept =
	    tls_sessions_find(tls->tlss->sessions, tls->key);

	if (kept == NULL || SSL_set_session(tls->ssl, kept->session) != 1)
		return;
	tls->session = *kept;
	tls->session.session = NULL;
}

struct tls *
tls_open(struct tlss *tlss, const struct net_tls *conf, const char *host,
    const char *target, int fd, char *why, size_t why_size)
{
	struct tls_context *context =
	    tls_context_get(tlss->contexts, conf, why, why_size);

	if (context == NULL)
		return NULL;
	struct tls *tls = xcalloc(1, sizeof(*tls));
	tls->tlss = tlss;
	tls->context = context;
	tls->fd = fd;
	tls->holding = true;
	tls->name =
	    tls_fault_name(conf->server_name != NULL ? conf->server_name : host);
	tls->key = xasprintf("%llu %s %s",
	    (unsigned long long)tls_context_number(context), tls->name, target);
	tls->fault.name = tls->name;
	tls->fault.certificate_end = -1;
	ERR_clear_error();
	set_ssl(tls);
	offer_session(tls);
	return tls;
}

static enum tls_step
fail(struct tls *tls, unsigned long code)
{
	if (code != 0)
		tls_fault_take(&tls->fault, code);
	else
		tls_fault_lost(&tls->fault, tls->ended ? 0 : tls->io_error);
	flush_held(tls); /* an alert says to the server what is wrong with it */
	ERR_clear_error();
	return TLS_FAILED;
}

static enum tls_step
step_of(struct tls *tls, int result)
{
	switch (SSL_get_error(tls->ssl, result)) {
	case SSL_ERROR_NONE: return TLS_DONE;
	case SSL_ERROR_WANT_READ:
		return tls->held_len > 0 ? TLS_WANT_WRITE : TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE: return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		tls->ended = true;
		return tls->fault.up ? TLS_END : fail(tls, 0);
	default: return fail(tls, ERR_peek_error());
	}
}

/* What was verified now holds for the sessions that come of it. */
static void
on_connected(struct tls *tls)
{
	bool verified = SSL_get_verify_mode(tls->ssl) != SSL_VERIFY_NONE;

	tls->fault.up = true;
	tls->holding = false;
	tls->resumed = SSL_session_reused(tls->ssl) == 1;
	if (!tls->resumed) {
		tls->session.verified_at = clock_boot_ms();
		tls->session.valid_until =
		    verified ? tls_fault_end(tls->ssl, true) : -1;
		tls->session.certificate_end = tls_fault_end(tls->ssl, false);
	}
	tls->fault.certificate_end = tls->session.certificate_end;
}

enum tls_step
tls_handshake(struct tls *tls)
{
	ERR_clear_error();
	enum tls_step step = step_of(tls, SSL_do_handshake(tls->ssl));
	if (step == TLS_DONE && !tls->fault.up)
		on_connected(tls);
	tls->starved = step != TLS_DONE;
	return step;
}

enum tls_step
tls_read(struct tls *tls, void *data, size_t size, size_t *got)
{
	ERR_clear_error();
	enum tls_step step = step_of(tls, SSL_read_ex(tls->ssl, data, size, got));
	tls->starved = step != TLS_DONE;
	return step;
}

/* Where nothing can be sent any more, the other end may have said why. */
static enum tls_step
seek_reason(struct tls *tls)
{
	char byte;
	size_t got;

	ERR_clear_error();
	SSL_peek_ex(tls->ssl, &byte, 1, &got);
	return fail(tls, ERR_peek_error());
}

enum tls_step
tls_write(struct tls *tls, const void *data, size_t len, size_t *put)
{
	ERR_clear_error();
	int result = SSL_write_ex(tls->ssl, data, len, put);
	if (result != 1 && SSL_get_error(tls->ssl, result) == SSL_ERROR_SYSCALL)
		return seek_reason(tls);
	return step_of(tls, result);
}

bool
tls_pending(const struct tls *tls)
{
	return SSL_pending(tls->ssl) > 0 ||
	    (!tls->starved && SSL_has_pending(tls->ssl) == 1);
}

enum net_error
tls_error(const struct tls *tls)
{
	return tls->fault.error;
}

const char *
tls_why(const struct tls *tls)
{
	return tls->fault.why;
}

int64_t
tls_certificate_end(const struct tls *tls)
{
	return tls->fault.certificate_end;
}

bool
tls_resumed(const struct tls *tls)
{
	return tls->resumed;
}

/* OpenSSL spoils the session of a connection that it sees freed before its end. */
static void
end_session(struct tls *tls)
{
	struct tls_sessions *sessions = tls->tlss->sessions;

	if (tls->fault.error != NET_OK) {
		tls_sessions_drop(sessions, tls->key);
		SSL_SESSION_free(tls->session.session);
		return;
	}
	SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	if (tls->session.session != NULL)
		tls_sessions_keep(sessions, tls->key, &tls->session);
}

void
tls_close(struct tls *tls, bool polite)
{
	if (tls == NULL)
		return;
	if (polite && tls->fault.up && tls->fault.error == NET_OK)
		SSL_shutdown(tls->ssl);
	flush_held(tls);
	end_session(tls);
	SSL_free(tls->ssl);
	ERR_clear_error();
	tls_context_put(tls->context);
	free(tls->name);
	free(tls->key);
	free(tls);
}
