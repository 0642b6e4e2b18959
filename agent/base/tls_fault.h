/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TLS_FAULT_H
#define LICTOR_TLS_FAULT_H

#include <stdint.h>

#include "agent/base/net.h"

struct ssl_ctx_st;	/* OpenSSL's SSL_CTX */
struct ssl_st;		/* and SSL */
struct X509_VERIFY_PARAM_st;

/* What is known of one connection. `why` is one line of printable ASCII. */
struct tls_fault {
	enum net_error error;	/* NET_OK: none so far */
	char why[160];
	int64_t certificate_end;	/* of the server's own, whatever became of it; -1 */
	const char *name;	/* whose certificate it must be; NULL: anybody's */
	bool asked;		/* the server wanted a certificate of ours */
	bool up;		/* the handshake is over */
};

/* The rules that every connection of ours goes by; its faults are told to the fault of
 * the connection (tls_fault_watch), or of the context (tls_fault_observe). */
void tls_fault_rules(struct ssl_ctx_st *context);
void tls_fault_watch(struct tls_fault *fault, struct ssl_st *ssl);

/* A host as certificates have it: without the root's dot or an address's zone. Malloc'd. */
char *tls_fault_name(const char *host);
/* Such a name or address literal, which the certificate must be for; 0 or -ENOMEM. */
int tls_fault_expect(struct X509_VERIFY_PARAM_st *rules, const char *name);
/* Whether it is an address literal, which is never sent as a server name (RFC 6066 3). */
bool tls_fault_is_literal(const char *name);

/* The end of a certificate chain that was shown, in seconds since 1970; -1: none was.
 * `whole`: of the one that ends first. */
int64_t tls_fault_end(const struct ssl_st *ssl, bool whole);

/* An error code of OpenSSL put into words, unless there are some: the first counts. */
void tls_fault_take(struct tls_fault *fault, unsigned long code);
/* The connection ended out of order: errno, or 0 for an end without TLS's own. */
void tls_fault_lost(struct tls_fault *fault, int error);

/*
 * For a connection that somebody else makes with OpenSSL, a context each: what is seen of
 * it, by the same rules. Held by the caller and by the context, whoever lasts longer.
 */
struct tls_fault *tls_fault_observe(struct ssl_ctx_st *context, const char *host);
void tls_fault_release(struct tls_fault *fault);

#endif
