/* SPDX-License-Identifier: ISC */
/*
 * What curl's codes and words mean, in ours: they become the output of a check, so that the
 * same fault has the same words in every run and through both clients. Several of curl's codes
 * say less than is known here: of TLS by its observer, of sockets by their errno, of heads by
 * what came.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/tls_fault.h"
#include "agent/base/transfer_state.h"
#include "agent/base/util.h"

#define SSL_CLIENTCERT 98 /* CURLE_SSL_CLIENTCERT, which libcurl has since 7.77 */

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

/* With TLS a server may choose an older version than the one that was asked for. */
static bool
is_downgraded(const struct transfer *transfer)
{
	long version = 0;

	curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_VERSION, &version);
	return transfer->version != HTTP_1_1 && version != CURL_HTTP_VERSION_2_0;
}

void
transfer_tell_end(struct transfer *transfer, CURLcode code)
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
