/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TLS_ROOTS_H
#define LICTOR_TLS_ROOTS_H

#include "agent/base/file_mark.h"

struct tls_roots;
struct x509_store_st;	/* OpenSSL's X509_STORE */

struct tls_roots *tls_roots_new(void);
void tls_roots_free(struct tls_roots *roots);

/* The system's authorities as they are now; stays theirs, and a user holds his own. An
 * empty one is no error here: it knows no authority, and that is said then. */
struct x509_store_st *tls_roots_store(struct tls_roots *roots);

/* Of where they are; costs a look at the directory. */
struct file_mark tls_roots_mark(void);

#endif
