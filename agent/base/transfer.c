/* SPDX-License-Identifier: ISC */
/*
 * One HTTP exchange with one host: with transfer_set and transfer_end the one place that
 * knows libcurl. Its multi interface drives the connections, the loop watches its sockets
 * and keeps its timer. What curl could do besides is left to http, the one user: names (curl
 * would start a thread), the deadline, redirects; and to tls' parts: which authorities are
 * trusted and what a fault of TLS is called, the same for both clients. A handle that was
 * used is kept for the next transfer.
 */
#include "agent/base/transfer.h"

#include <curl/curl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/loop.h"
#include "agent/base/tls_context.h"
#include "agent/base/tls_fault.h"
#include "agent/base/transfer_state.h"
#include "agent/base/util.h"

#define IDLE_CONNECTIONS 4

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
	if (transfers->idle_count == TRANSFER_IDLE_HANDLES) {
		curl_easy_cleanup(easy);
		return;
	}
	curl_easy_reset(easy);
	transfers->idle[transfers->idle_count++] = easy;
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
	*why = transfer_set(transfer, request);
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

static void
read_messages(struct transfers *transfers)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(transfers->multi, &left)) != NULL) {
		CURLcode code = message->data.result;
		char *transfer = NULL;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
		transfer_tell_end((struct transfer *)(void *)transfer, code);
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
	/* curl counts those in use: fewer, and one would be closed after each answer */
	curl_multi_setopt(transfers->multi, CURLMOPT_MAXCONNECTS, (long)connections);
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
