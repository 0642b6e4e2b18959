/* SPDX-License-Identifier: ISC */
/*
 * What the checks of the benchmark ask: a server that accepts, or answers HTTP requests
 * with a small page, plain or through TLS with session tickets. It behaves as servers do:
 * a connection is kept unless the request says otherwise, and a client that leaves is let
 * go. Clients are known by their descriptor.
 */
#include "tests/bench/serve.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/util.h"

#define FD_LIMIT 16384
#define REQUEST_LIMIT 2048

struct client {
	SSL *ssl; /* NULL: none */
	bool open, shaken;
	size_t len;
	char request[REQUEST_LIMIT];
};

struct serve {
	enum serve_kind kind;
	int listener, poll;
	SSL_CTX *tls;
	uint64_t count, resumed;
	struct client *clients[FD_LIMIT]; /* kept for the next with that descriptor */
};

static const char page_kept[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
				"Content-Length: 3\r\n\r\nok\n";
static const char page_close[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
				 "Content-Length: 3\r\nConnection: close\r\n\r\nok\n";

static int
listen_on(uint16_t port)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
	int one = 1;

	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0 &&
	    listen(fd, 4096) == 0)
		return fd;
	close(fd);
	return -1;
}

static SSL_CTX *
tls_new(const char *dir)
{
	AUTO_FREE char *cert = xasprintf("%s/cert.pem", dir);
	AUTO_FREE char *key = xasprintf("%s/key.pem", dir);

	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
	if (tls != NULL && SSL_CTX_use_certificate_chain_file(tls, cert) == 1 &&
	    SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) == 1)
		return tls;
	ERR_print_errors_fp(stderr);
	SSL_CTX_free(tls);
	return NULL;
}

static void
watch(struct serve *serve, int fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
	if (epoll_ctl(serve->poll, EPOLL_CTL_ADD, fd, &event) != 0)
		perror("target: epoll_ctl");
}

struct serve *
serve_new(enum serve_kind kind, uint16_t port, const char *cert_dir)
{
	struct serve *serve = xcalloc(1, sizeof(*serve));

	serve->kind = kind;
	serve->poll = epoll_create1(EPOLL_CLOEXEC);
	serve->listener = listen_on(port);
	if (serve->poll < 0 || serve->listener < 0) {
		fprintf(stderr, "target: port %u: %s\n", port, strerror(errno));
		serve_free(serve);
		return NULL;
	}
	if (kind == SERVE_HTTPS && (serve->tls = tls_new(cert_dir)) == NULL) {
		serve_free(serve);
		return NULL;
	}
	watch(serve, serve->listener);
	return serve;
}

static void
client_close(struct serve *serve, int fd)
{
	struct client *client = serve->clients[fd];

	if (client->ssl != NULL) {
		if (client->shaken)
			SSL_shutdown(client->ssl);
		SSL_free(client->ssl);
		ERR_clear_error();
	}
	*client = (struct client){ 0 };
	close(fd);
}

void
serve_free(struct serve *serve)
{
	if (serve == NULL)
		return;
	for (int fd = 0; fd < FD_LIMIT; fd++) {
		if (serve->clients[fd] != NULL && serve->clients[fd]->open)
			client_close(serve, fd);
		free(serve->clients[fd]);
	}
	SSL_CTX_free(serve->tls);
	if (serve->listener >= 0)
		close(serve->listener);
	if (serve->poll >= 0)
		close(serve->poll);
	free(serve);
}

int
serve_listener(const struct serve *serve)
{
	return serve->listener;
}

int
serve_fd(const struct serve *serve)
{
	return serve->poll;
}

uint64_t
serve_count(const struct serve *serve)
{
	return serve->count;
}

uint64_t
serve_resumed(const struct serve *serve)
{
	return serve->resumed;
}

static void
client_new(struct serve *serve, int fd)
{
	if (serve->clients[fd] == NULL)
		serve->clients[fd] = xcalloc(1, sizeof(*serve->clients[fd]));
	struct client *client = serve->clients[fd];
	client->open = true;
	if (serve->tls != NULL) {
		client->ssl = SSL_new(serve->tls);
		if (client->ssl == NULL || SSL_set_fd(client->ssl, fd) != 1) {
			client_close(serve, fd);
			return;
		}
		SSL_set_accept_state(client->ssl);
	}
	watch(serve, fd);
}

static void
accept_all(struct serve *serve)
{
	for (;;) {
		int fd =
		    accept4(serve->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			return;
		if (serve->kind == SERVE_TCP)
			serve->count++;
		if (fd >= FD_LIMIT)
			close(fd);
		else
			client_new(serve, fd);
	}
}

/* Bytes; 0: none yet; -1: it has left. */
static ssize_t
client_receive(struct client *client, int fd, void *data, size_t size)
{
	if (client->ssl == NULL) {
		ssize_t n = recv(fd, data, size, 0);
		if (n > 0)
			return n;
		return n < 0 && errno == EAGAIN ? 0 : -1;
	}
	ERR_clear_error();
	int n = SSL_read(client->ssl, data, (int)size);
	if (n > 0)
		return n;
	return SSL_get_error(client->ssl, n) == SSL_ERROR_WANT_READ ? 0 : -1;
}

/* It fits into any socket's buffer. */
static bool
client_send(struct client *client, int fd, const char *data, size_t len)
{
	if (client->ssl != NULL)
		return SSL_write(client->ssl, data, (int)len) == (int)len;
	return send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static bool
wants_close(const char *request)
{
	const char *version = strstr(request, " HTTP/1.");
	if (strcasestr(request, "\nconnection: close") != NULL)
		return true;
	return (version == NULL || version[8] == '0') &&
	    strcasestr(request, "\nconnection: keep-alive") == NULL;
}

static void
client_answer(struct serve *serve, int fd)
{
	struct client *client = serve->clients[fd];
	bool last = wants_close(client->request);
	const char *page = last ? page_close : page_kept;

	client->len = 0;
	serve->count++;
	if (!client_send(client, fd, page, strlen(page)) || last)
		client_close(serve, fd);
}

static void
client_work(struct serve *serve, int fd)
{
	struct client *client = serve->clients[fd];
	size_t room = REQUEST_LIMIT - 1 - client->len;

	ssize_t n = client_receive(client, fd, client->request + client->len, room);
	if (client->ssl != NULL && !client->shaken &&
	    SSL_is_init_finished(client->ssl)) {
		client->shaken = true;
		serve->resumed += SSL_session_reused(client->ssl) == 1;
	}
	if (n < 0) {
		client_close(serve, fd);
		return;
	}
	if (n == 0 || serve->kind == SERVE_TCP)
		return;
	client->len += (size_t)n;
	client->request[client->len] = '\0';
	if (strstr(client->request, "\r\n\r\n") != NULL)
		client_answer(serve, fd);
	else if (client->len == REQUEST_LIMIT - 1)
		client_close(serve, fd);
}

void
serve_work(struct serve *serve)
{
	struct epoll_event events[256];

	int n = epoll_wait(serve->poll, events, ARRAY_LENGTH(events), 0);
	for (int i = 0; i < n; i++) {
		if (events[i].data.fd == serve->listener)
			accept_all(serve);
		else
			client_work(serve, events[i].data.fd);
	}
}
