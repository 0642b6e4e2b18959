/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_H1_WRITE_H
#define LICTOR_H1_WRITE_H

#include <stdbool.h>

struct buf;
struct http_request;

/* Adds the whole request: head and body. Its URL is an http or https one that could be split;
 * without `keep` the connection is to end with the answer. */
void h1_write(struct buf *out, const struct http_request *request, const char *method,
    bool keep);

#endif
