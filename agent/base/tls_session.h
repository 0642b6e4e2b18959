/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TLS_SESSION_H
#define LICTOR_TLS_SESSION_H

#include <stddef.h>
#include <stdint.h>

struct ssl_session_st;	/* OpenSSL's SSL_SESSION */
struct tls_sessions;

/* What another connection may resume, and what was seen when its certificate was verified:
 * that is not done again. */
struct tls_session {
	struct ssl_session_st *session;
	int64_t verified_at;		/* clock_boot_ms */
	int64_t valid_until;		/* seconds since 1970: the chain's first end; or -1 */
	int64_t certificate_end;	/* of the server's own */
};

/* One for each key, from the last connection; dropped when TLS_SESSION_MS have passed since
 * it was verified. */
#define TLS_SESSION_MS (5 * 60 * 1000)

struct tls_sessions *tls_sessions_new(void);
void tls_sessions_free(struct tls_sessions *sessions);
size_t tls_sessions_count(const struct tls_sessions *sessions);

/* NULL: none that may be used now. It stays theirs until the next call. */
const struct tls_session *tls_sessions_find(
    struct tls_sessions *sessions, const char *key);
/* Takes the session over. */
void tls_sessions_keep(
    struct tls_sessions *sessions, const char *key, const struct tls_session *session);
void tls_sessions_drop(struct tls_sessions *sessions, const char *key);

#endif
