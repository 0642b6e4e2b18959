/* SPDX-License-Identifier: ISC */
/*
 * The floor of HTTPS checks: OpenSSL as it is, each check with the session that its last
 * run was given.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "tests/bench/floor.h"

static const char request[] =
    "GET / HTTP/1.1\r\nHost: target\r\nConnection: close\r\n\r\n";

struct check {
	SSL *ssl; /* NULL: not running */
	SSL_SESSION *session;
	bool asked;
};

struct https {
	struct sockaddr_in to;
	SSL_CTX *tls;
	struct check *checks;
};

static int
keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct check *check = SSL_get_app_data(ssl);
	SSL_SESSION_free(check->session);
	check->session = session;
	return 1;
}

static int
https_open(struct floor *floor, const char *what)
{
	uint64_t port;

	if (parse_uint(what, 1, 65535, &port) != 0)
		return -EINVAL;
	struct https *https = xcalloc(1, sizeof(*https));
	https->to = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port) };
	https->checks = xcalloc(floor->count + 1, sizeof(*https->checks));
	https->tls = SSL_CTX_new(TLS_client_method());
	floor->kind = https;
	if (https->tls == NULL ||
	    SSL_CTX_load_verify_locations(https->tls, "ca.pem", NULL) != 1) {
		ERR_print_errors_fp(stderr);
		return -EINVAL;
	}
	SSL_CTX_set_verify(https->tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(
	    https->tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(https->tls, keep_session);
	return 0;
}

static void
finish(struct floor *floor, struct check *check, bool well)
{
	int fd = SSL_get_fd(check->ssl);
	floor->failed += !well;
	/* a session of a connection that was not shut down is taken for a bad one */
	SSL_set_shutdown(check->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(check->ssl);
	check->ssl = NULL;
	close(fd);
}

static void
https_work(struct floor *floor, uint64_t data)
{
	struct https *https = floor->kind;
	struct check *check = &https->checks[data];
	char answer[2048];

	if (check->ssl == NULL)
		return;
	if (!check->asked) {
		int n = SSL_write(check->ssl, request, sizeof(request) - 1);
		if (n <= 0) {
			if (SSL_get_error(check->ssl, n) != SSL_ERROR_WANT_READ)
				finish(floor, check, false);
			return;
		}
		check->asked = true;
	}
	int n = SSL_read(check->ssl, answer, sizeof(answer));
	if (n > 0)
		finish(
		    floor, check, n >= 12 && memcmp(answer, "HTTP/1.1 200", 12) == 0);
	else if (SSL_get_error(check->ssl, n) != SSL_ERROR_WANT_READ)
		finish(floor, check, false);
}

static int
connect_to(struct https *https, uint32_t check)
{
	int zero = 0;
	struct linger reset = { .l_onoff = 1 };

	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &zero, sizeof(zero));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	https->to.sin_addr.s_addr = htonl(0x7f010000U + check);
	if (connect(fd, (struct sockaddr *)&https->to, sizeof(https->to)) == 0 ||
	    errno == EINPROGRESS)
		return fd;
	close(fd);
	return -1;
}

static void
https_start(struct floor *floor, uint32_t n)
{
	struct https *https = floor->kind;
	struct check *check = &https->checks[n];
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = n };

	if (check->ssl != NULL)
		finish(floor, check, false);
	int fd = connect_to(https, n);
	if (fd < 0) {
		floor->failed++;
		return;
	}
	check->asked = false;
	check->ssl = SSL_new(https->tls);
	if (check->ssl == NULL || SSL_set_fd(check->ssl, fd) != 1 ||
	    epoll_ctl(floor->poll, EPOLL_CTL_ADD, fd, &event) != 0) {
		perror("floor: https");
		exit(1);
	}
	SSL_set_app_data(check->ssl, check);
	SSL_set_tlsext_host_name(check->ssl, "target");
	SSL_set1_host(check->ssl, "target");
	if (check->session != NULL)
		SSL_set_session(check->ssl, check->session);
	SSL_set_connect_state(check->ssl);
	https_work(floor, n);
}

const struct floor_kind floor_https = { "https", https_open, https_start, https_work };
