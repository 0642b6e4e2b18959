/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TLS_FOLDER_H
#define LICTOR_TLS_FOLDER_H

#include <stdbool.h>

#include "agent/base/file_mark.h"

struct x509_store_st;

/* A folder of authorities: every file in it, whatever its name, as Consul takes
 * CONSUL_CAPATH. Folders in it and hidden files are passed over. */
bool tls_folder_is(const char *path);	/* NULL: no */

/* Differs when a file came, went or changed. */
struct file_mark tls_folder_mark(const char *path);

/* Whether there was a certificate in it. */
bool tls_folder_load(struct x509_store_st *store, const char *path);

#endif
