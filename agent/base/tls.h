/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TLS_H
#define LICTOR_TLS_H

#include <stddef.h>
#include <stdint.h>

#include "agent/base/net.h"

/*
 * TLS over descriptors that somebody else watches. Made of OpenSSL's libssl, which shows
 * nowhere else. One context per set of files, read again when one of them changes; the
 * sessions of finished connections are kept per target and offered to the next one, so that
 * most handshakes are resumptions (RFC 8446 2.2, RFC 5077).
 */
struct tlss;
struct tls;

struct tlss *tlss_new(void);
void tlss_free(struct tlss *tlss);	/* when it has no connections */

enum tls_step {
	TLS_DONE,
	TLS_WANT_READ,	/* again when the descriptor can be read */
	TLS_WANT_WRITE,
	TLS_END,	/* of tls_read: the other end has closed in order */
	TLS_FAILED,	/* tls_error and tls_why say what */
};

/* A connection as client over `fd`, which is connected and stays the caller's. `host` is
 * what was asked for: the name that is sent (not an address literal) and verified unless
 * `conf` has another; `target` names whom sessions are kept for ("host:port"). Both are
 * copied. NULL with `why`: a file of no use (NET_LOCAL). */
struct tls *tls_open(struct tlss *tlss, const struct net_tls *conf, const char *host,
    const char *target, int fd, char *why, size_t why_size);
/* What the handshake sends last may wait for the first tls_read, tls_write or tls_close,
 * which comes soon. */
enum tls_step tls_handshake(struct tls *tls);
enum tls_step tls_read(struct tls *tls, void *data, size_t size, size_t *got);
enum tls_step tls_write(struct tls *tls, const void *data, size_t len, size_t *put);

/* Whether bytes are there to be read without the descriptor being readable. */
bool tls_pending(const struct tls *tls);

enum net_error tls_error(const struct tls *tls);
/* In the operator's words: "the certificate has expired (on 2026-10-01)", "the certificate is not
 * for db.example", "the certificate is signed by an unknown authority", … The same words
 * for the same fault. */
const char *tls_why(const struct tls *tls);

/* When the certificate that was shown ends, in seconds since 1970; -1: none was shown. */
int64_t tls_certificate_end(const struct tls *tls);
bool tls_resumed(const struct tls *tls);

/* Frees it; the session is kept for the next connection unless it failed. Sends nothing
 * more than what a call before has held back, unless `polite` (a close_notify, for a
 * connection that is not reset anyway). */
void tls_close(struct tls *tls, bool polite);

#endif
