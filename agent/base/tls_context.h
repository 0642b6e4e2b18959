/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TLS_CONTEXT_H
#define LICTOR_TLS_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "agent/base/net.h"

struct ssl_ctx_st;
struct tls_context;
struct tls_contexts;

struct tls_contexts *tls_contexts_new(void);
void tls_contexts_free(struct tls_contexts *contexts);	/* when none is held */

/* What belongs to these files as they are now (looked at once a second at the most), made
 * if need be; held until tls_context_put. NULL with `why`, which names the file: one is of
 * no use. The server's name is of no account. */
struct tls_context *tls_context_get(struct tls_contexts *contexts,
    const struct net_tls *conf, char *why, size_t why_size);
void tls_context_put(struct tls_context *context);

struct ssl_ctx_st *tls_context_ssl(const struct tls_context *context);
/* Never given twice: what is read from a changed file is another context. */
uint64_t tls_context_number(const struct tls_context *context);

/* Gives a context that somebody else has made the same authorities. */
void tls_context_lend(const struct tls_context *context, struct ssl_ctx_st *other);

#endif
