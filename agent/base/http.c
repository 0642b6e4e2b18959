/* SPDX-License-Identifier: ISC */
/*
 * HTTP calls on the loop. The one file that knows libcurl: its multi interface drives the
 * connections, the loop watches its sockets and keeps its timer. Three things curl
 * does are done here instead: names are asked for through resolve (curl would start a
 * thread), the deadline is a timer of the loop that spans everything, and redirects are new
 * transfers, so that their host is resolved likewise and their scheme is judged.
 * A call is in `running` until its outcome is known, then in `ended` until a timer tells
 * it, one a turn and as the last thing in it: `done` may do anything, http_free included.
 */
#include "agent/base/http.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "agent/base/loop.h"
#include "agent/base/resolve.h"
#include "agent/base/util.h"

#define IDLE_CONNECTIONS 4
#define IDLE_HANDLES 8
#define REDIRECTS_MAX 5
#define HEAD_KEPT (32 * 1024)
#define HEAD_MAX (256 * 1024)

struct origin {
	char host[256]; /* without brackets */
	uint16_t port;
	bool https;
};

struct http_call {
	TAILQ_ENTRY(http_call) link;
	struct http *http;
	void (*done)(void *arg, const struct http_reply *reply);
	void *arg;
	/* the request */
	char *method, *unix_socket, *fixed, *body;
	struct curl_slist *headers;
	size_t body_len;
	int64_t timeout_ms;
	bool follow, fresh, has_tls;
	struct http_tls tls;
	/* on its way */
	CURLU *url;
	struct origin origin;
	CURL *easy;
	struct curl_slist *route, *all_headers;
	struct resolve_call *query;
	struct loop_timer *deadline;
	int redirects;
	size_t head_seen; /* bytes of headers, all of them */
	char fault[CURL_ERROR_SIZE];
	/* the outcome */
	bool ended, telling;
	enum http_error error;
	char why[160];
	long status;
	struct buf answer, head;
	int64_t sent_at;
};

TAILQ_HEAD(call_list, http_call);

struct http {
	struct loop *loop;
	CURLM *multi;
	struct resolve *resolve; /* made when the first name is asked for */
	struct loop_timer *timer, *deliver;
	struct call_list running, ended;
	CURL *idle[IDLE_HANDLES];
	size_t idle_count;
};

struct watched {
	struct http *http;
	struct loop_io *io;
	curl_socket_t fd;
};

static CURL *
take_handle(struct http *http)
{
	CURL *easy =
	    http->idle_count > 0 ? http->idle[--http->idle_count] : curl_easy_init();

	if (easy == NULL)
		out_of_memory();
	return easy;
}

static void
give_handle(struct http *http, CURL *easy)
{
	if (http->idle_count == IDLE_HANDLES) {
		curl_easy_cleanup(easy);
		return;
	}
	curl_easy_reset(easy);
	http->idle[http->idle_count++] = easy;
}

static struct curl_slist *
append(struct curl_slist *list, const char *text)
{
	struct curl_slist *grown = curl_slist_append(list, text);

	if (grown == NULL)
		out_of_memory();
	return grown;
}

/* Ends the transfer, if there is one; what the answer brought stays. */
static void
leave(struct http_call *call)
{
	if (call->easy != NULL) {
		curl_multi_remove_handle(call->http->multi, call->easy);
		give_handle(call->http, call->easy);
		call->easy = NULL;
	}
	curl_slist_free_all(call->route);
	curl_slist_free_all(call->all_headers);
	call->route = call->all_headers = NULL;
	resolve_cancel(call->query);
	call->query = NULL;
}

static void
free_call(struct http_call *call)
{
	loop_timer_free(call->deadline);
	curl_url_cleanup(call->url);
	curl_slist_free_all(call->headers);
	buf_free(&call->answer);
	buf_free(&call->head);
	free(call->method);
	free(call->unix_socket);
	free(call->fixed);
	free(call->body);
	free(call);
}

/* The outcome is known; `why` may hold what came from outside. */
static void
end(struct http_call *call, enum http_error error, const char *why)
{
	struct http *http = call->http;

	leave(call);
	loop_timer_stop(call->deadline);
	call->error = error;
	text_escape(call->why, sizeof(call->why), why, strlen(why));
	TAILQ_REMOVE(&http->running, call, link);
	TAILQ_INSERT_TAIL(&http->ended, call, link);
	call->ended = true;
	loop_timer_after(http->deliver, 0);
}

static void
on_deliver(void *arg)
{
	struct http *http = arg;
	struct http_call *call = TAILQ_FIRST(&http->ended);

	if (call == NULL)
		return;
	TAILQ_REMOVE(&http->ended, call, link);
	if (!TAILQ_EMPTY(&http->ended))
		loop_timer_after(http->deliver, 0);
	struct http_reply reply = {
		.error = call->error,
		.status = call->error == HTTP_OK ? (int)call->status : 0,
		.body = call->answer.data == NULL ? "" : call->answer.data,
		.body_len = call->answer.len,
		.body_cut = call->answer.full,
		.sent_at = call->sent_at,
		.call = call,
	};
	str_copy(reply.why, sizeof(reply.why), call->why);
	call->telling = true;
	call->done(call->arg, &reply);
	free_call(call);
}

static void
on_deadline(void *arg)
{
	struct http_call *call = arg;
	const char *phase = "while it connected";
	curl_off_t sending = 0;
	char time[32], why[96];

	if (call->easy != NULL)
		curl_easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &sending);
	if (call->query != NULL)
		phase = "while the name was asked for";
	else if (call->head_seen > 0)
		phase = "in the middle of the answer";
	else if (sending > 0)
		phase = "without an answer";
	format_duration(call->timeout_ms, time, sizeof(time));
	snprintf(why, sizeof(why), "%s have passed %s", time, phase);
	end(call, HTTP_TIMEOUT, why);
}

static enum http_error
error_of(CURLcode code)
{
	switch ((int)code) {
	case CURLE_OK: return HTTP_OK;
	case CURLE_COULDNT_RESOLVE_HOST: return HTTP_RESOLVE;
	case CURLE_COULDNT_CONNECT:
	case CURLE_INTERFACE_FAILED: return HTTP_REFUSED;
	case CURLE_OPERATION_TIMEDOUT: return HTTP_TIMEOUT;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CRL_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_PEER_FAILED_VERIFICATION: return HTTP_TLS;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE: return HTTP_CLOSED;
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9; schemes are judged before */
	case CURLE_OUT_OF_MEMORY: /* one header line of 100 kB says this */
	case CURLE_WRITE_ERROR: return HTTP_GARBAGE;
	default: return HTTP_LOCAL;
	}
}

/* The same words for the same fault: they become the output of a check. */
static void
end_with_fault(struct http_call *call, CURLcode code)
{
	enum http_error error = error_of(code);
	char fault[CURL_ERROR_SIZE + 64];
	long number = 0;

	str_copy(fault, sizeof(fault),
	    call->fault[0] != '\0' ? call->fault : curl_easy_strerror(code));
	curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &number);
	switch (error) {
	case HTTP_REFUSED:
		snprintf(fault, sizeof(fault), "no connection: %s",
		    number != 0 ? strerror((int)number) : "unreachable");
		break;
	case HTTP_CLOSED:
		str_copy(fault, sizeof(fault),
		    call->head_seen > 0
			? "the connection ended in the middle of the answer"
			: "the connection ended without an answer");
		break;
	case HTTP_GARBAGE: str_copy(fault, sizeof(fault), "this is not HTTP"); break;
	case HTTP_OK:
	case HTTP_RESOLVE:
	case HTTP_TIMEOUT:
	case HTTP_TLS:
	case HTTP_LOCAL: break;
	}
	end(call, error, fault);
}

static bool
is_redirect(long status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 ||
	    status == 308;
}

static bool
may_follow(const struct http_call *call)
{
	long status = 0;

	if (!call->follow || call->redirects == REDIRECTS_MAX)
		return false;
	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	return is_redirect(status);
}

/* Less than was given makes curl end the transfer: the answer has said enough. */
static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	struct http_call *call = arg;

	if (may_follow(call))
		return size * count;
	buf_add(&call->answer, data, size * count);
	return call->answer.full ? 0 : size * count;
}

/* Keeps "Name: value" of the last answer of a transfer, each with a NUL. */
static size_t
on_header(char *data, size_t size, size_t count, void *arg)
{
	struct http_call *call = arg;
	size_t len = size * count;

	call->head_seen += len;
	if (call->head_seen > HEAD_MAX)
		return 0;
	if (len >= 5 && memcmp(data, "HTTP/", 5) == 0) {
		buf_free(&call->head);
		return len;
	}
	size_t kept = len;
	while (kept > 0 && strchr(" \t\r\n", data[kept - 1]) != NULL)
		kept--;
	if (kept > 0 && kept < call->head.limit - call->head.len) {
		buf_add(&call->head, data, kept);
		buf_add(&call->head, "", 1);
	}
	return len;
}

static curl_socket_t
on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	return socket(
	    address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* 0 (a part is missing) or the part's length; `out` untouched when it does not fit. */
static bool
url_part(CURLU *url, CURLUPart what, unsigned int flags, char *out, size_t size)
{
	char *part = NULL;

	if (curl_url_get(url, what, &part, flags) != CURLUE_OK)
		return false;
	bool fits = strlen(part) < size;
	if (fits)
		str_copy(out, size, part);
	curl_free(part);
	return fits;
}

/* Takes the URL apart; false, and the call as it was, if it is not one of ours. */
static bool
read_url(struct http_call *call, const char *text)
{
	struct origin origin = { 0 };
	char scheme[16], host[256], port[8];
	uint64_t number;
	CURLU *url = curl_url();

	if (url == NULL)
		out_of_memory();
	if (curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) !=
		CURLUE_OK ||
	    !url_part(url, CURLUPART_SCHEME, 0, scheme, sizeof(scheme)) ||
	    (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0) ||
	    !url_part(url, CURLUPART_HOST, 0, host, sizeof(host)) ||
	    !url_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, port, sizeof(port)) ||
	    parse_uint(port, 1, UINT16_MAX, &number) != 0) {
		curl_url_cleanup(url);
		return false;
	}
	str_copy(origin.host, sizeof(origin.host), host + (host[0] == '['));
	origin.host[strcspn(origin.host, "]")] = '\0';
	origin.port = (uint16_t)number;
	origin.https = scheme[4] == 's';
	curl_url_cleanup(call->url);
	call->url = url;
	call->origin = origin;
	return true;
}

/* The caller's headers first; without a value, curl's own of that name is left out. */
static void
set_request(struct http_call *call)
{
	CURL *easy = call->easy;

	for (const struct curl_slist *h = call->headers; h != NULL; h = h->next)
		call->all_headers = append(call->all_headers, h->data);
	call->all_headers = append(call->all_headers, "Expect:");
	call->all_headers = append(call->all_headers, "Content-Type:");
	if (call->body == NULL && strcmp(call->method, "HEAD") == 0) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	} else if (call->body != NULL || strcmp(call->method, "GET") != 0) {
		curl_easy_setopt(
		    easy, CURLOPT_POSTFIELDS, call->body == NULL ? "" : call->body);
		curl_easy_setopt(
		    easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_len);
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
	}
}

/* Where to connect: always an address, so that curl asks for no name. */
static void
set_route(struct http_call *call, const char *address)
{
	bool ipv6 = address != NULL && strchr(address, ':') != NULL;
	char route[384];

	if (call->unix_socket != NULL) {
		curl_easy_setopt(
		    call->easy, CURLOPT_UNIX_SOCKET_PATH, call->unix_socket);
	} else if (address != NULL) {
		snprintf(route, sizeof(route), ipv6 ? "::[%s]:" : "::%s:", address);
		call->route = append(NULL, route);
		curl_easy_setopt(call->easy, CURLOPT_CONNECT_TO, call->route);
	} else if (resolve_is_localhost(call->origin.host)) {
		snprintf(route, sizeof(route), "%s:%u:127.0.0.1,[::1]",
		    call->origin.host, call->origin.port);
		call->route = append(NULL, route);
		curl_easy_setopt(call->easy, CURLOPT_RESOLVE, call->route);
	}
}

/* curl takes the name to verify from the URL: put it there, and keep the Host header. */
static void
set_server_name(struct http_call *call)
{
	bool ipv6 = strchr(call->origin.host, ':') != NULL;
	char host[384];

	curl_url_set(call->url, CURLUPART_HOST, call->tls.server_name, 0);
	for (const struct curl_slist *h = call->headers; h != NULL; h = h->next)
		if (strncasecmp(h->data, "Host:", 5) == 0)
			return;
	snprintf(host, sizeof(host), ipv6 ? "Host: [%s]:%u" : "Host: %s:%u",
	    call->origin.host, call->origin.port);
	call->all_headers = append(call->all_headers, host);
}

static void
set_tls(struct http_call *call)
{
	CURL *easy = call->easy;
	const struct http_tls *tls = &call->tls;

	if (tls->ca_file != NULL)
		curl_easy_setopt(easy, CURLOPT_CAINFO, tls->ca_file);
	if (tls->cert_file != NULL)
		curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->cert_file);
	if (tls->key_file != NULL)
		curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->key_file);
	if (tls->no_verify) {
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (tls->server_name != NULL)
		set_server_name(call);
}

static void
set_handle(struct http_call *call)
{
	CURL *easy = call->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(
	    easy, CURLOPT_PROXY, ""); /* none from the environment either */
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "lictor/" PACKAGE_VERSION);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->fault);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, call->fresh ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, call->fresh ? 1L : 0L);
}

/* `address` in words, or NULL where the URL has one or none is needed. */
static void
transfer(struct http_call *call, const char *address)
{
	bool renamed = call->has_tls && call->tls.server_name != NULL;

	if (call->origin.https && renamed && address == NULL)
		address = resolve_is_localhost(call->origin.host) ? "127.0.0.1"
								  : call->origin.host;
	call->easy = take_handle(call->http);
	set_handle(call);
	set_request(call);
	set_route(call, address);
	if (call->origin.https && call->has_tls)
		set_tls(call);
	curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->all_headers);
	curl_easy_setopt(call->easy, CURLOPT_CURLU, call->url);
	if (call->sent_at == 0)
		call->sent_at = clock_boot_ms();
	CURLMcode code = curl_multi_add_handle(call->http->multi, call->easy);
	if (code != CURLM_OK)
		end(call, HTTP_LOCAL, curl_multi_strerror(code));
}

static void
on_resolved(void *arg, const struct sockaddr *address, socklen_t len, const char *why)
{
	struct http_call *call = arg;
	char text[INET6_ADDRSTRLEN] = "";

	call->query = NULL;
	if (address == NULL) {
		end(call, HTTP_RESOLVE, why);
		return;
	}
	resolve_format(address, text, sizeof(text));
	transfer(call, text);
}

/* The address that the caller fixed for this host and port, or NULL. */
static const char *
fixed_address(const struct http_call *call)
{
	char head[300];

	if (call->fixed == NULL)
		return NULL;
	int len = snprintf(
	    head, sizeof(head), "%s:%u:", call->origin.host, call->origin.port);
	bool same = strncasecmp(call->fixed, head, (size_t)len) == 0;
	return same ? call->fixed + len : NULL;
}

static void
begin(struct http_call *call)
{
	struct http *http = call->http;
	union resolve_address address;
	socklen_t len;

	if (call->unix_socket != NULL || resolve_is_localhost(call->origin.host) ||
	    resolve_literal(call->origin.host, 0, &address, &len)) {
		transfer(call, NULL);
		return;
	}
	if (fixed_address(call) != NULL) {
		transfer(call, fixed_address(call));
		return;
	}
	if (http->resolve == NULL)
		http->resolve = resolve_new(http->loop);
	call->query =
	    resolve_start(http->resolve, call->origin.host, on_resolved, call);
}

/* RFC 9110 15.4: what the method becomes. */
static void
change_method(struct http_call *call)
{
	bool post = strcmp(call->method, "POST") == 0;
	bool head = strcmp(call->method, "HEAD") == 0;

	if (call->status == 307 || call->status == 308 || head ||
	    (call->status != 303 && !post))
		return;
	free(call->method);
	free(call->body);
	call->method = xstrdup("GET");
	call->body = NULL;
	call->body_len = 0;
}

/* True: the call goes on elsewhere. The caller's headers may hold a token: they go to
 * the first origin only. */
static bool
redirect(struct http_call *call)
{
	struct origin before = call->origin;
	char *next = NULL;

	if (!may_follow(call))
		return false;
	curl_easy_getinfo(call->easy, CURLINFO_REDIRECT_URL, &next);
	if (next == NULL || !read_url(call, next))
		return false;
	if (strcasecmp(before.host, call->origin.host) != 0 ||
	    before.port != call->origin.port || before.https != call->origin.https) {
		curl_slist_free_all(call->headers);
		call->headers = NULL;
	}
	leave(call);
	change_method(call);
	buf_free(&call->head);
	call->redirects++;
	begin(call);
	return true;
}

static void
on_transfer_done(struct http_call *call, CURLcode code)
{
	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &call->status);
	if (code == CURLE_WRITE_ERROR && call->answer.full)
		code = CURLE_OK;
	if (code != CURLE_OK)
		end_with_fault(call, code);
	else if (!redirect(call))
		end(call, HTTP_OK, "");
}

static void
read_messages(struct http *http)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left)) != NULL) {
		CURLcode code = message->data.result;
		char *call = NULL;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
		on_transfer_done((struct http_call *)(void *)call, code);
	}
}

static void
on_io(void *arg, unsigned int events)
{
	struct watched *watched = arg;
	struct http *http = watched->http;
	int running, mask = 0;

	if ((events & LOOP_READ) != 0)
		mask |= CURL_CSELECT_IN;
	if ((events & LOOP_WRITE) != 0)
		mask |= CURL_CSELECT_OUT;
	curl_multi_socket_action(http->multi, watched->fd, mask, &running);
	read_messages(http);
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct http *http = arg;
	struct watched *watched = socket_arg;

	if (what == CURL_POLL_REMOVE) {
		if (watched != NULL)
			loop_io_free(watched->io);
		free(watched);
		return 0;
	}
	if (watched == NULL) {
		watched = xcalloc(1, sizeof(*watched));
		watched->http = http;
		watched->fd = fd;
		watched->io = loop_io_new(http->loop, fd, on_io, watched);
		curl_multi_assign(http->multi, fd, watched);
	}
	loop_io_watch(watched->io,
	    ((what & CURL_POLL_IN) != 0 ? LOOP_READ : 0) |
		((what & CURL_POLL_OUT) != 0 ? LOOP_WRITE : 0));
	return 0;
}

static void
on_timer(void *arg)
{
	struct http *http = arg;
	int running;

	curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	read_messages(http);
}

static int
on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct http *http = arg;

	if (timeout_ms < 0)
		loop_timer_stop(http->timer);
	else
		loop_timer_after(http->timer, timeout_ms);
	return 0;
}

struct http *
http_new(struct loop *loop)
{
	struct http *http = xcalloc(1, sizeof(*http));

	signal(SIGPIPE, SIG_IGN); /* curl leaves it to us with CURLOPT_NOSIGNAL */
	curl_global_init(CURL_GLOBAL_DEFAULT);
	http->loop = loop;
	http->multi = curl_multi_init();
	if (http->multi == NULL)
		out_of_memory();
	TAILQ_INIT(&http->running);
	TAILQ_INIT(&http->ended);
	http->timer = loop_timer_new(loop, on_timer, http);
	http->deliver = loop_timer_new(loop, on_deliver, http);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS);
	return http;
}

void
http_cancel(struct http_call *call)
{
	if (call == NULL || call->telling)
		return;
	leave(call);
	TAILQ_REMOVE(
	    call->ended ? &call->http->ended : &call->http->running, call, link);
	free_call(call);
}

static void
cancel_all(struct call_list *list)
{
	struct http_call *next;

	for (struct http_call *call = TAILQ_FIRST(list); call != NULL; call = next) {
		next = TAILQ_NEXT(call, link);
		http_cancel(call);
	}
}

void
http_free(struct http *http)
{
	if (http == NULL)
		return;
	cancel_all(&http->running);
	cancel_all(&http->ended);
	while (http->idle_count > 0)
		curl_easy_cleanup(http->idle[--http->idle_count]);
	curl_multi_cleanup(http->multi);
	resolve_free(http->resolve);
	loop_timer_free(http->timer);
	loop_timer_free(http->deliver);
	curl_global_cleanup();
	free(http);
}

static void
copy_request(struct http_call *call, const struct http_request *request)
{
	call->method = xstrdup(request->method == NULL ? "GET" : request->method);
	if (request->unix_socket != NULL)
		call->unix_socket = xstrdup(request->unix_socket);
	if (request->resolve != NULL)
		call->fixed = xstrdup(request->resolve);
	for (size_t i = 0; request->headers != NULL && request->headers[i] != NULL; i++)
		call->headers = append(call->headers, request->headers[i]);
	if (request->body != NULL) {
		call->body = xcalloc(request->body_len, 1);
		memcpy(call->body, request->body, request->body_len);
		call->body_len = request->body_len;
	}
	call->timeout_ms = request->timeout_ms;
	call->follow = request->follow;
	call->fresh = request->fresh;
	call->has_tls = request->tls != NULL;
	if (call->has_tls)
		call->tls = *request->tls;
	call->answer.limit = request->body_limit;
	call->head.limit = HEAD_KEPT;
}

struct http_call *
http_send(struct http *http, const struct http_request *request,
    void (*done)(void *arg, const struct http_reply *reply), void *arg)
{
	struct http_call *call = xcalloc(1, sizeof(*call));

	call->http = http;
	call->done = done;
	call->arg = arg;
	copy_request(call, request);
	call->deadline = loop_timer_new(http->loop, on_deadline, call);
	loop_timer_after(call->deadline, call->timeout_ms);
	TAILQ_INSERT_TAIL(&http->running, call, link);
	if (read_url(call, request->url))
		begin(call);
	else
		end(call, HTTP_LOCAL, "this is not an http or https URL");
	return call;
}

const char *
http_header(const struct http_reply *reply, const char *name)
{
	const struct buf *head = &reply->call->head;
	size_t len = strlen(name);

	for (const char *line = head->data;
	     line != NULL && line < head->data + head->len; line += strlen(line) + 1)
		if (strncasecmp(line, name, len) == 0 && line[len] == ':')
			return line + len + 1 + strspn(line + len + 1, " \t");
	return NULL;
}
