/* SPDX-License-Identifier: ISC */
/*
 * One HTTP exchange with one host: the one file that knows libcurl. Its multi interface
 * drives the connections, the loop watches its sockets and keeps its timer. What curl
 * could do besides is left to http, the one user: names (curl would start a thread), the
 * deadline, redirects; and to tls' parts: which authorities are trusted and what a fault of
 * TLS is called, the same for both clients. A handle that was used is kept for the next
 * transfer.
 * Invariant: nothing is asked of the user's terminal, whatever a key file holds.
 */
#include "agent/base/transfer.h"

#include <curl/curl.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/loop.h"
#include "agent/base/resolve.h"
#include "agent/base/tls_context.h"
#include "agent/base/tls_fault.h"
#include "agent/base/tls_folder.h"
#include "agent/base/url.h"
#include "agent/base/util.h"

#define IDLE_CONNECTIONS 4
#define IDLE_HANDLES 8
#define SSL_CLIENTCERT 98 /* CURLE_SSL_CLIENTCERT, which libcurl has since 7.77 */

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
	CURL *idle[IDLE_HANDLES];
	size_t idle_count;
};

struct watched {
	struct transfers *transfers;
	struct loop_io *io;
	curl_socket_t fd;
};

static CURL *
take_handle(struct transfers *transfers)
{
	CURL *easy = transfers->idle_count > 0
	    ? transfers->idle[--transfers->idle_count]
	    : curl_easy_init();

	if (easy == NULL)
		out_of_memory();
	return easy;
}

static void
give_handle(struct transfers *transfers, CURL *easy)
{
	if (transfers->idle_count == IDLE_HANDLES) {
		curl_easy_cleanup(easy);
		return;
	}
	curl_easy_reset(easy);
	transfers->idle[transfers->idle_count++] = easy;
}

static struct curl_slist *
append(struct curl_slist *list, const char *text)
{
	struct curl_slist *grown = curl_slist_append(list, text);

	if (grown == NULL)
		out_of_memory();
	return grown;
}

void
transfer_free(struct transfer *transfer)
{
	if (transfer == NULL)
		return;
	curl_multi_remove_handle(transfer->transfers->multi, transfer->easy);
	give_handle(transfer->transfers, transfer->easy);
	curl_slist_free_all(transfer->route);
	curl_slist_free_all(transfer->names);
	curl_slist_free_all(transfer->headers);
	curl_url_cleanup(transfer->url);
	tls_fault_release(transfer->seen);
	tls_context_put(transfer->context);
	free(transfer);
}

/* A certificate or key file of ours that cannot be used says nothing of the server. */
static enum net_error
error_of(CURLcode code)
{
	switch ((int)code) {
	case CURLE_OK: return NET_OK;
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST: return NET_RESOLVE;
	case CURLE_COULDNT_CONNECT:
	case CURLE_INTERFACE_FAILED: return NET_REFUSED;
	case CURLE_OPERATION_TIMEDOUT: return NET_TIMEOUT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case SSL_CLIENTCERT:
	case CURLE_PEER_FAILED_VERIFICATION: return NET_TLS;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_HTTP2_STREAM:
	case CURLE_PARTIAL_FILE: return NET_CLOSED;
	case CURLE_HTTP2:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9; schemes are judged before */
	case CURLE_OUT_OF_MEMORY: /* one header line of 100 kB says this */
	case CURLE_WRITE_ERROR: return NET_GARBAGE;
	default: return NET_LOCAL;
	}
}

/* What OpenSSL's code in curl's text means. With TLS 1.3 a server says after the handshake
 * that it refuses our certificate, or wants one: to curl that is an error of reading (RFC
 * 8446, 6.2). */
static void
take_tls_fault(struct transfer *transfer, CURLcode code, struct tls_fault *fault)
{
	const char *text = strstr(transfer->fault, "error:");
	bool reset = strstr(transfer->fault, strerror(ECONNRESET)) != NULL;

	fault->up = code != CURLE_SSL_CONNECT_ERROR;
	if (fault->up && error_of(code) == NET_CLOSED &&
	    strstr(transfer->fault, " alert ") == NULL)
		return;
	if (text != NULL)
		tls_fault_take(fault, strtoul(text + strlen("error:"), NULL, 16));
	else if (!fault->up)
		tls_fault_lost(fault, reset ? ECONNRESET : 0);
}

/* True: the fault is one of TLS, and told. */
static bool
end_with_tls_fault(struct transfer *transfer, CURLcode code)
{
	struct tls_fault unseen = { .certificate_end = -1 }, *fault = transfer->seen;
	enum net_error error = error_of(code);
	char why[sizeof(unseen.why)];

	if (transfer->context == NULL || (error != NET_TLS && error != NET_CLOSED))
		return false;
	if (fault == NULL)
		fault = &unseen;
	take_tls_fault(transfer, code, fault);
	if (fault->error == NET_OK)
		return false;
	str_copy(why, sizeof(why), fault->why);
	struct transfer_end end = { .error = fault->error,
		.why = why, /* the transfer may be freed while it is told */
		.certificate_end =
		    transfer->certificate ? fault->certificate_end : -1 };
	transfer->transfers->out.done(transfer->arg, &end);
	return true;
}

/* What curl calls an error of receiving may be one of these; a proxy's refusal as well. */
static enum net_error
error_of_end(
    const struct transfer *transfer, CURLcode code, long number, long proxy_status)
{
	enum net_error error = error_of(code);

	if (error == NET_REFUSED && number == ECONNRESET)
		return NET_CLOSED;
	if (error == NET_CLOSED && proxy_status >= 300)
		return NET_REFUSED;
	if (error == NET_CLOSED && strstr(transfer->fault, "chunked") != NULL)
		return NET_GARBAGE;
	return error;
}

/* True: no connection was tried for want of a socket, and that is told. To curl it is the
 * same as a refusal. */
static bool
end_without_socket(struct transfer *transfer, CURLcode code)
{
	struct transfer_end end = { .certificate_end = transfer->certificate_end };

	if (code != CURLE_COULDNT_CONNECT || transfer->no_socket == 0)
		return false;
	end.error = net_error_of(transfer->no_socket, &end.why);
	if (end.error != NET_LOCAL)
		return false;
	transfer->transfers->out.done(transfer->arg, &end);
	return true;
}

/* The same words for the same fault: they become the output of a check. */
static void
end_with_fault(struct transfer *transfer, CURLcode code)
{
	char fault[CURL_ERROR_SIZE + 64];
	long number = 0, proxy_status = 0;

	if (end_with_tls_fault(transfer, code) || end_without_socket(transfer, code))
		return;
	curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_CONNECTCODE, &proxy_status);
	curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &number);
	enum net_error error = error_of_end(transfer, code, number, proxy_status);
	str_copy(fault, sizeof(fault),
	    transfer->fault[0] != '\0' ? transfer->fault : curl_easy_strerror(code));
	switch (error) {
	case NET_REFUSED:
		if (proxy_status >= 300)
			snprintf(fault, sizeof(fault),
			    "the proxy does not connect: status %ld", proxy_status);
		else
			snprintf(fault, sizeof(fault), "no connection: %s",
			    number != 0 ? strerror((int)number) : "unreachable");
		break;
	case NET_CLOSED:
		str_copy(fault, sizeof(fault),
		    transfer->answered
			? "the connection ended in the middle of the answer"
			: transfer->version == HTTP_1_1
			? "the connection ended without an answer"
			: "the connection ended without an answer of HTTP/2");
		break;
	case NET_GARBAGE:
		str_copy(fault, sizeof(fault),
		    transfer->version == HTTP_1_1 ? "this is not HTTP"
						  : "this is not HTTP/2");
		break;
	case NET_OK:
	case NET_RESOLVE:
	case NET_TIMEOUT:
	case NET_TLS:
	case NET_LOCAL: break;
	}
	struct transfer_end end = { .error = error,
		.why = fault,
		.certificate_end = transfer->certificate_end };
	transfer->transfers->out.done(transfer->arg, &end);
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

/* NULL, or why it cannot be sent. */
static const char *
set_all(struct transfer *transfer, const struct transfer_request *request)
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

struct transfer *
transfer_start(struct transfers *transfers, const struct transfer_request *request,
    void *arg, const char **why)
{
	struct transfer *transfer = xcalloc(1, sizeof(*transfer));

	transfer->transfers = transfers;
	transfer->arg = arg;
	transfer->to = *request->to;
	transfer->version = request->version;
	transfer->certificate = request->certificate && transfer->to.tls;
	transfer->certificate_end = -1;
	transfer->easy = take_handle(transfers);
	transfer->url = curl_url();
	if (transfer->url == NULL)
		out_of_memory();
	*why = set_all(transfer, request);
	if (*why == NULL) {
		CURLMcode code =
		    curl_multi_add_handle(transfers->multi, transfer->easy);
		if (code == CURLM_OK)
			return transfer;
		*why = curl_multi_strerror(code);
	}
	transfer_free(transfer);
	return NULL;
}

int
transfer_status(const struct transfer *transfer)
{
	long status = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

const char *
transfer_phase(const struct transfer *transfer)
{
	curl_off_t sending = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &sending);
	if (transfer->answered)
		return "in the middle of the answer";
	return sending > 0 ? "without an answer" : "while it connected";
}

/* With TLS a server may choose an older version than the one that was asked for. */
static bool
is_downgraded(const struct transfer *transfer)
{
	long version = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_VERSION, &version);
	return transfer->version != HTTP_1_1 && version != CURL_HTTP_VERSION_2_0;
}

static void
on_transfer_done(struct transfer *transfer, CURLcode code)
{
	struct transfer_end end = {
		.why = "",
		.status = transfer_status(transfer),
		.certificate_end = transfer->certificate_end,
	};
	char *location = NULL;

	if (code == CURLE_WRITE_ERROR && transfer->enough)
		code = CURLE_OK;
	if (code == CURLE_OK && transfer->in_head)
		code = CURLE_PARTIAL_FILE; /* to curl a head may end anywhere */
	if (code != CURLE_OK) {
		end_with_fault(transfer, code);
		return;
	}
	if (is_downgraded(transfer)) {
		end.error = NET_GARBAGE;
		end.why = "the server speaks HTTP/1.1, not HTTP/2";
	}
	curl_easy_getinfo(transfer->easy, CURLINFO_REDIRECT_URL, &location);
	end.location = location;
	transfer->transfers->out.done(transfer->arg, &end);
}

static void
read_messages(struct transfers *transfers)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(transfers->multi, &left)) != NULL) {
		CURLcode code = message->data.result;
		char *transfer = NULL;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
		on_transfer_done((struct transfer *)(void *)transfer, code);
	}
}

static void
on_io(void *arg, unsigned int events)
{
	struct watched *watched = arg;
	struct transfers *transfers = watched->transfers;
	int running, mask = 0;

	if ((events & LOOP_READ) != 0)
		mask |= CURL_CSELECT_IN;
	if ((events & LOOP_WRITE) != 0)
		mask |= CURL_CSELECT_OUT;
	curl_multi_socket_action(transfers->multi, watched->fd, mask, &running);
	read_messages(transfers);
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct transfers *transfers = arg;
	struct watched *watched = socket_arg;

	if (what == CURL_POLL_REMOVE) {
		if (watched != NULL)
			loop_io_free(watched->io);
		free(watched);
		return 0;
	}
	if (watched == NULL) {
		watched = xcalloc(1, sizeof(*watched));
		watched->transfers = transfers;
		watched->fd = fd;
		watched->io = loop_io_new(transfers->loop, fd, on_io, watched);
		curl_multi_assign(transfers->multi, fd, watched);
	}
	loop_io_watch(watched->io,
	    ((what & CURL_POLL_IN) != 0 ? LOOP_READ : 0) |
		((what & CURL_POLL_OUT) != 0 ? LOOP_WRITE : 0));
	return 0;
}

static void
on_timer(void *arg)
{
	struct transfers *transfers = arg;
	int running;

	curl_multi_socket_action(transfers->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	read_messages(transfers);
}

static int
on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct transfers *transfers = arg;

	if (timeout_ms < 0)
		loop_timer_stop(transfers->timer);
	else
		loop_timer_after(transfers->timer, timeout_ms);
	return 0;
}

/* A curl with another TLS than ours goes its own ways. */
static bool
speaks_our_tls(void)
{
	const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);

	return info->ssl_version != NULL &&
	    strncmp(info->ssl_version, "OpenSSL/3", strlen("OpenSSL/3")) == 0;
}

struct transfers *
transfers_new(struct loop *loop, const struct transfer_out *out)
{
	struct transfers *transfers = xcalloc(1, sizeof(*transfers));

	curl_global_init(CURL_GLOBAL_DEFAULT);
	transfers->loop = loop;
	transfers->end = INT_MAX;
	transfers->contexts = speaks_our_tls() ? tls_contexts_new() : NULL;
	transfers->out = *out;
	transfers->multi = curl_multi_init();
	if (transfers->multi == NULL)
		out_of_memory();
	transfers->timer = loop_timer_new(loop, on_timer, transfers);
	curl_multi_setopt(transfers->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(transfers->multi, CURLMOPT_SOCKETDATA, transfers);
	curl_multi_setopt(transfers->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl_multi_setopt(transfers->multi, CURLMOPT_TIMERDATA, transfers);
	curl_multi_setopt(
	    transfers->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS);
	return transfers;
}

void
transfers_set_end(struct transfers *transfers, int descriptor)
{
	transfers->end = descriptor;
}

void
transfers_set_connections(struct transfers *transfers, unsigned int connections)
{
	curl_multi_setopt(
	    transfers->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)connections);
}

void
transfers_free(struct transfers *transfers)
{
	if (transfers == NULL)
		return;
	while (transfers->idle_count > 0)
		curl_easy_cleanup(transfers->idle[--transfers->idle_count]);
	curl_multi_cleanup(transfers->multi);
	loop_timer_free(transfers->timer);
	tls_contexts_free(transfers->contexts);
	curl_global_cleanup();
	free(transfers);
}
