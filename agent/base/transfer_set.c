/* SPDX-License-Identifier: ISC */
/*
 * What curl is told of a transfer before it begins: request, headers, where to connect, TLS,
 * and the callbacks by which it opens sockets and gives what comes. Where to connect is always
 * an address, since curl would ask for a name with a thread.
 *
 * Invariant: nothing is asked of the user's terminal, whatever a key file holds.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/resolve.h"
#include "agent/base/tls_context.h"
#include "agent/base/tls_fault.h"
#include "agent/base/tls_folder.h"
#include "agent/base/transfer_state.h"
#include "agent/base/util.h"

static struct curl_slist *
append(struct curl_slist *list, const char *text)
{
	struct curl_slist *grown = curl_slist_append(list, text);

	if (grown == NULL)
		out_of_memory();
	return grown;
}

static curl_socket_t
on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct transfer *transfer = arg;
	int fd = socket(
	    address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

	if (fd >= transfer->transfers->end) {
		close(fd);
		errno = EMFILE;
		fd = -1;
	}
	if (fd < 0)
		transfer->no_socket = errno;
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* Less than was given makes curl end the transfer. */
static size_t
heed(struct transfer *transfer, enum transfer_wish wish, size_t len)
{
	transfer->enough = wish == TRANSFER_ENOUGH;
	return wish == TRANSFER_MORE ? len : 0;
}

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	size_t len = size * count;

	return heed(
	    transfer, transfer->transfers->out.body(transfer->arg, data, len), len);
}

/* Of this connection, be it a new or a kept one. */
static int64_t
certificate_end(const struct transfer *transfer)
{
	struct curl_tlssessioninfo *session = NULL;

	if (!transfer->certificate || transfer->context == NULL ||
	    curl_easy_getinfo(transfer->easy, CURLINFO_TLS_SSL_PTR, &session) !=
		CURLE_OK ||
	    session == NULL || session->internals == NULL)
		return -1;
	return tls_fault_end(session->internals, false);
}

static size_t
on_header(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	size_t len = size * count;

	if (!transfer->answered)
		transfer->certificate_end = certificate_end(transfer);
	transfer->answered = true;
	if (len >= 5 && memcmp(data, "HTTP/", 5) == 0)
		transfer->in_head = true;
	else if (data[0] == '\r' || data[0] == '\n')
		transfer->in_head = false;
	return heed(
	    transfer, transfer->transfers->out.head(transfer->arg, data, len), len);
}

/* The caller's headers first; without a value, curl's own of that name is left out. */
static void
set_request(struct transfer *transfer, const struct transfer_request *request)
{
	const void *body = request->body;
	CURL *easy = transfer->easy;

	for (char *const *h = request->headers; h != NULL && *h != NULL; h++)
		transfer->headers = append(transfer->headers, *h);
	transfer->headers = append(transfer->headers, "Expect:");
	transfer->headers = append(transfer->headers, "Content-Type:");
	if (body == NULL && strcmp(request->method, "HEAD") == 0) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	} else if (body != NULL || strcmp(request->method, "GET") != 0) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body == NULL ? "" : body);
		curl_easy_setopt(
		    easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
	}
}

/* "HOST:PORT:ADDRESSES", for curl's own table of names, where it forgets it after a minute:
 * redirects can name any number of hosts. A connection is made to the first that takes it,
 * the families in a race. */
static void
set_addresses(struct transfer *transfer, const struct url *host, const char *addresses)
{
	if (resolve_is_localhost(host->host))
		addresses = "127.0.0.1,[::1]";
	if (addresses == NULL)
		return;
	AUTO_FREE char *entry =
	    xasprintf("+%s:%u:%s", host->host, host->port, addresses);
	transfer->names = append(NULL, entry);
	curl_easy_setopt(transfer->easy, CURLOPT_RESOLVE, transfer->names);
}

/* To connect to it instead of to the URL's host. */
static void
set_destination(struct transfer *transfer, const char *host)
{
	char entry[384];

	snprintf(entry, sizeof(entry),
	    strchr(host, ':') != NULL ? "::[%s]:" : "::%s:", host);
	transfer->route = append(NULL, entry);
	curl_easy_setopt(transfer->easy, CURLOPT_CONNECT_TO, transfer->route);
}

/* Where to connect: always an address, so that curl asks for no name. Another name of the
 * server than its host's stands in the URL; the proxy is asked for the host then. */
static void
set_route(struct transfer *transfer, const struct transfer_request *request)
{
	const struct url *to = &transfer->to;
	bool renamed =
	    to->tls && request->tls != NULL && request->tls->server_name != NULL;

	if (request->unix_socket != NULL) {
		curl_easy_setopt(
		    transfer->easy, CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
	} else if (request->proxy != NULL) {
		curl_easy_setopt(transfer->easy, CURLOPT_PROXY, request->proxy);
		curl_easy_setopt(transfer->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
		set_addresses(transfer, request->proxy_to, request->addresses);
	} else {
		set_addresses(transfer, to, request->addresses);
	}
	if (request->unix_socket == NULL && renamed)
		set_destination(transfer, to->host);
}

/* curl takes the name to verify from the URL: put it there, and keep the Host header. */
static void
set_server_name(struct transfer *transfer, const char *name)
{
	bool ipv6 = strchr(transfer->to.host, ':') != NULL;
	char host[384];

	curl_url_set(transfer->url, CURLUPART_HOST, name, 0);
	for (const struct curl_slist *h = transfer->headers; h != NULL; h = h->next)
		if (strncasecmp(h->data, "Host:", 5) == 0)
			return;
	snprintf(host, sizeof(host), ipv6 ? "Host: [%s]:%u" : "Host: %s:%u",
	    transfer->to.host, transfer->to.port);
	transfer->headers = append(transfer->headers, host);
}

/* curl is given our authorities, and told to look for none. */
static CURLcode
on_tls_context(CURL *easy, void *context, void *arg)
{
	struct transfer *transfer = arg;

	tls_context_lend(transfer->context, context);
	tls_fault_release(transfer->seen);
	transfer->seen = tls_fault_observe(context, transfer->verified_name);
	return CURLE_OK;
}

/* The file of authorities is named though curl uses ours: by its name curl knows for whom a
 * kept connection was verified. What curl keeps of sessions outlives its certificate: each
 * connection shows it anew. Without a password, be it an empty one, OpenSSL would ask the
 * terminal for the one of an encrypted key, and wait for it. */
static void
set_tls(struct transfer *transfer, const struct net_tls *tls)
{
	bool ours = transfer->context != NULL;
	CURL *easy = transfer->easy;

	if (ours || tls->ca_file != NULL) {
		bool folder = tls_folder_is(tls->ca_file);
		curl_easy_setopt(easy, CURLOPT_CAINFO, folder ? NULL : tls->ca_file);
		curl_easy_setopt(easy, CURLOPT_CAPATH, folder ? tls->ca_file : NULL);
	}
	if (ours) {
		curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls_context);
		curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, transfer);
	}
	curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
	if (tls->cert_file != NULL)
		curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->cert_file);
	if (tls->key_file != NULL)
		curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->key_file);
	curl_easy_setopt(easy, CURLOPT_KEYPASSWD, "");
	if (tls->no_verify) {
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	transfer->verified_name =
	    tls->server_name != NULL ? tls->server_name : transfer->to.host;
	if (tls->server_name != NULL)
		set_server_name(transfer, tls->server_name);
}

static long
version_for(const struct transfer *transfer)
{
	if (transfer->version == HTTP_1_1)
		return CURL_HTTP_VERSION_1_1;
	return transfer->to.tls ? CURL_HTTP_VERSION_2TLS
				: CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
}

/* libcurl 7.88 fails on a second request of HTTP/2 without TLS over one connection. */
static void
set_handle(struct transfer *transfer, bool fresh)
{
	CURL *easy = transfer->easy;
	bool alone = fresh || transfer->version == HTTP_2_PLAIN;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(
	    easy, CURLOPT_PROXY, ""); /* none from the environment either */
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version_for(transfer));
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "lictor/" PACKAGE_VERSION);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->fault);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, alone ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, alone ? 1L : 0L);
}

const char *
transfer_set(struct transfer *transfer, const struct transfer_request *request)
{
	static const struct net_tls defaults;
	const struct net_tls *tls = request->tls != NULL ? request->tls : &defaults;
	struct transfers *transfers = transfer->transfers;

	if (curl_url_set(transfer->url, CURLUPART_URL, request->url, 0) != CURLUE_OK)
		return "this is not an http or https URL";
	if (transfer->to.tls && transfers->contexts != NULL) {
		transfer->context = tls_context_get(
		    transfers->contexts, tls, transfers->why, sizeof(transfers->why));
		if (transfer->context == NULL)
			return transfers->why;
	}
	set_handle(transfer, request->fresh);
	set_request(transfer, request);
	set_route(transfer, request);
	if (transfer->to.tls)
		set_tls(transfer, tls);
	curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
	curl_easy_setopt(transfer->easy, CURLOPT_CURLU, transfer->url);
	return NULL;
}
