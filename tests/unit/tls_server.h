/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TLS_SERVER_H
#define LICTOR_TLS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A certificate for a test; what is 0 or NULL is left out. */
struct tls_certificate {
	const char *file;	/* in the folder: the certificate, its issuers', its key */
	const char *issuer;	/* such a file; NULL: it signs itself */
	const char *name;	/* common name */
	size_t name_len;	/* 0: as long as the text; for a NUL within */
	const char *alternatives;	/* "DNS:a.example,IP:127.0.0.1" */
	const char *dns;	/* a DNS name more, of dns_len bytes (for a NUL within) */
	size_t dns_len;
	const char *purpose;	/* "clientAuth" … */
	int64_t from_s, until_s;	/* from now; both 0: since yesterday, for a day */
	bool authority, weak_key, weak_digest;
};

/* A folder for them, and the end of it with all its files. */
char *tls_folder_new(void);
void tls_folder_free(char *folder);

/* These end the test if they fail. */
void tls_certificate_make(const char *folder, const struct tls_certificate *wanted);
/* `out`: the authority's certificate and a list of what it has revoked, good for
 * `seconds` from now (it may be negative). */
void tls_revocation_make(const char *folder, const char *authority, const char *revoked,
    int64_t seconds, const char *out);

struct tls_peer;
struct tls_server;

struct tls_server_conf {
	const char *folder, *certificate;
	const char *client_ca;	/* a file: clients must show a certificate it signed */
	const char *ciphers;	/* of TLS 1.2 */
	int least, most;	/* 10 … 13: versions of TLS; 0: what OpenSSL has */
	bool no_tickets;	/* sessions by their id, kept in the server */
	bool no_sessions;
	/* One of them serves a connection, in a thread of the server's process: `serve` after
	 * the handshake, `raw` instead of it. What is returned from is closed, without a
	 * close_notify. */
	void (*serve)(struct tls_peer *peer);
	void (*raw)(int fd);
};

/* A process of its own on 127.0.0.1, which dies with this one. */
struct tls_server *tls_server_start(const struct tls_server_conf *conf);
uint16_t tls_server_port(const struct tls_server *server);
void tls_server_stop(struct tls_server *server);

/* For `serve`; 0 and -1 as read(2); writes whole or ends the thread. */
ssize_t tls_peer_read(struct tls_peer *peer, void *data, size_t size);
void tls_peer_write(struct tls_peer *peer, const void *data, size_t len);
void tls_peer_end(struct tls_peer *peer);	/* close_notify */
void tls_peer_reset(struct tls_peer *peer);	/* at the close that follows */
bool tls_peer_renegotiate(struct tls_peer *peer);	/* false: the client would not */
bool tls_peer_resumed(const struct tls_peer *peer);
const char *tls_peer_name(const struct tls_peer *peer);	/* "": none was asked for */
int tls_peer_fd(const struct tls_peer *peer);

#endif
