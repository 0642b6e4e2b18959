/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TRANSFER_STATE_H
#define LICTOR_TRANSFER_STATE_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/http.h"
#include "agent/base/transfer.h"
#include "agent/base/url.h"

/* What the parts of transfer share; nobody else includes it. */

#define TRANSFER_IDLE_HANDLES 8

struct transfer {
	struct transfers *transfers;
	void *arg;
	CURL *easy;
	CURLU *url;
	struct url to;
	struct curl_slist *route, *names, *headers;
	struct tls_context *context; /* NULL: plain */
	struct tls_fault *seen; /* of the handshake; NULL: there was none */
	const char *verified_name;
	int64_t certificate_end;
	bool answered; /* a line of the head has come */
	bool in_head; /* and not the last one */
	bool enough; /* the user wants no more of it */
	bool certificate;
	enum http_version version;
	int no_socket; /* the errno of a socket that could not be had; 0: none */
	char fault[CURL_ERROR_SIZE];
};

struct transfers {
	struct loop *loop;
	struct transfer_out out;
	CURLM *multi;
	struct loop_timer *timer;
	int end; /* transfers_set_end */
	struct tls_contexts *contexts; /* NULL: curl's TLS is not ours */
	char why[300]; /* of a transfer that could not be started */
	CURL *idle[TRANSFER_IDLE_HANDLES];
	size_t idle_count;
};

/* Tells curl all that the request asks for; `transfer` has a fresh handle. NULL, or why it
 * cannot be sent. */
const char *transfer_set(struct transfer *transfer, const struct transfer_request *request);

/* What came of it, told to the user, who may free it in that. */
void transfer_tell_end(struct transfer *transfer, CURLcode code);

#endif
