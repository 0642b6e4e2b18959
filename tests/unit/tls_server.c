/* SPDX-License-Identifier: ISC */
/*
 * A TLS server for tests, and the certificates for it, all made by OpenSSL while the test
 * runs: nothing is committed that could expire. A child process with a thread for each
 * connection, so that sessions kept in memory are found by the next one.
 */
#include "tests/unit/tls_server.h"

#include <CUnit/CUnit.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/util.h"

#define DAY_S 86400

struct tls_peer {
	SSL *ssl;
	int fd;
};

struct tls_server {
	pid_t pid;
	uint16_t port;
};

struct connection {
	const struct tls_server_conf *conf;
	SSL_CTX *context;
	int fd;
};

/* A certificate of the folder with its key. */
struct pair {
	X509 *certificate;
	EVP_PKEY *key;
};

char *
tls_folder_new(void)
{
	char *folder = xstrdup("/tmp/lictor-tls.XXXXXX");

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	return folder;
}

void
tls_folder_free(char *folder)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir != NULL)
		closedir(dir);
	rmdir(folder);
	free(folder);
}

static FILE *
open_in(const char *folder, const char *name, const char *mode)
{
	AUTO_FREE char *path = xasprintf("%s/%s", folder, name);
	FILE *file = fopen(path, mode);

	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	return file;
}

static struct pair
read_pair(const char *folder, const char *name)
{
	FILE *file = open_in(folder, name, "r");
	struct pair pair;

	pair.certificate = PEM_read_X509(file, NULL, NULL, NULL);
	rewind(file);
	pair.key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
	CU_ASSERT_FATAL(pair.certificate != NULL && pair.key != NULL);
	fclose(file);
	return pair;
}

static void
free_pair(struct pair *pair)
{
	X509_free(pair->certificate);
	EVP_PKEY_free(pair->key);
}

static void
add_extension(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	CU_ASSERT_PTR_NOT_NULL_FATAL(extension);
	CU_ASSERT_EQUAL_FATAL(X509_add_ext(certificate, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

static void
add_dns(X509 *certificate, const char *name, size_t len)
{
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *one = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();

	ASN1_STRING_set(text, name, (int)len);
	GENERAL_NAME_set0_value(one, GEN_DNS, text);
	sk_GENERAL_NAME_push(names, one);
	CU_ASSERT_EQUAL_FATAL(
	    X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0), 1);
	GENERAL_NAMES_free(names);
}

static void
set_name(X509 *certificate, const struct tls_certificate *wanted)
{
	size_t len = wanted->name_len > 0 ? wanted->name_len : strlen(wanted->name);

	CU_ASSERT_EQUAL_FATAL(
	    X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate),
		NID_commonName, V_ASN1_UTF8STRING, (const unsigned char *)wanted->name,
		(int)len, -1, 0),
	    1);
}

static void
set_times(X509 *certificate, const struct tls_certificate *wanted)
{
	bool usual = wanted->from_s == 0 && wanted->until_s == 0;

	X509_gmtime_adj(
	    X509_getm_notBefore(certificate), usual ? -DAY_S : wanted->from_s);
	X509_gmtime_adj(
	    X509_getm_notAfter(certificate), usual ? DAY_S : wanted->until_s);
}

static X509 *
new_certificate(const struct tls_certificate *wanted, EVP_PKEY *key)
{
	X509 *certificate = X509_new();

	X509_set_version(certificate, X509_VERSION_3);
	ASN1_INTEGER_set_uint64(
	    X509_get_serialNumber(certificate), random_u64() >> 1 | 1);
	X509_set_pubkey(certificate, key);
	set_times(certificate, wanted);
	if (wanted->name != NULL)
		set_name(certificate, wanted);
	add_extension(certificate, NID_basic_constraints,
	    wanted->authority ? "critical,CA:TRUE" : "CA:FALSE");
	if (wanted->alternatives != NULL)
		add_extension(certificate, NID_subject_alt_name, wanted->alternatives);
	if (wanted->dns != NULL)
		add_dns(certificate, wanted->dns, wanted->dns_len);
	if (wanted->purpose != NULL)
		add_extension(certificate, NID_ext_key_usage, wanted->purpose);
	return certificate;
}

/* What is in front of the key in the issuer's file, unless that is a root. */
static void
append_issuers(FILE *file, const char *folder, const char *issuer)
{
	FILE *from = open_in(folder, issuer, "r");
	X509 *certificate;

	while ((certificate = PEM_read_X509(from, NULL, NULL, NULL)) != NULL) {
		if (X509_check_issued(certificate, certificate) != X509_V_OK)
			PEM_write_X509(file, certificate);
		X509_free(certificate);
	}
	ERR_clear_error();
	fclose(from);
}

void
tls_certificate_make(const char *folder, const struct tls_certificate *wanted)
{
	struct pair own = { NULL,
		wanted->weak_key ? EVP_RSA_gen(1024) : EVP_EC_gen("P-256") };
	struct pair issuer;

	CU_ASSERT_PTR_NOT_NULL_FATAL(own.key);
	own.certificate = new_certificate(wanted, own.key);
	issuer = wanted->issuer == NULL ? own : read_pair(folder, wanted->issuer);
	X509_set_issuer_name(
	    own.certificate, X509_get_subject_name(issuer.certificate));
	CU_ASSERT_FATAL(X509_sign(own.certificate, issuer.key,
			    wanted->weak_digest ? EVP_sha1() : EVP_sha256()) > 0);
	FILE *file = open_in(folder, wanted->file, "w");
	PEM_write_X509(file, own.certificate);
	if (wanted->issuer != NULL)
		append_issuers(file, folder, wanted->issuer);
	PEM_write_PrivateKey(file, own.key, NULL, NULL, 0, NULL, NULL);
	CU_ASSERT_EQUAL_FATAL(fclose(file), 0);
	if (wanted->issuer != NULL)
		free_pair(&issuer);
	free_pair(&own);
}

void
tls_revocation_make(const char *folder, const char *authority, const char *revoked,
    int64_t seconds, const char *out)
{
	struct pair issuer = read_pair(folder, authority);
	struct pair bad = read_pair(folder, revoked);
	ASN1_TIME *time = X509_gmtime_adj(NULL, -DAY_S);
	X509_REVOKED *entry = X509_REVOKED_new();
	X509_CRL *list = X509_CRL_new();

	X509_CRL_set_version(list, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(list, X509_get_subject_name(issuer.certificate));
	X509_CRL_set1_lastUpdate(list, time);
	X509_REVOKED_set_revocationDate(entry, time);
	X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(bad.certificate));
	X509_gmtime_adj(time, seconds);
	X509_CRL_set1_nextUpdate(list, time);
	X509_CRL_add0_revoked(list, entry);
	CU_ASSERT_FATAL(X509_CRL_sign(list, issuer.key, EVP_sha256()) > 0);
	FILE *file = open_in(folder, out, "w");
	PEM_write_X509(file, issuer.certificate);
	PEM_write_X509_CRL(file, list);
	CU_ASSERT_EQUAL_FATAL(fclose(file), 0);
	ASN1_TIME_free(time);
	X509_CRL_free(list);
	free_pair(&issuer);
	free_pair(&bad);
}

ssize_t
tls_peer_read(struct tls_peer *peer, void *data, size_t size)
{
	return SSL_read(peer->ssl, data, (int)size);
}

void
tls_peer_write(struct tls_peer *peer, const void *data, size_t len)
{
	if (len > 0 && SSL_write(peer->ssl, data, (int)len) <= 0)
		pthread_exit(NULL);
}

void
tls_peer_end(struct tls_peer *peer)
{
	SSL_shutdown(peer->ssl);
}

void
tls_peer_reset(struct tls_peer *peer)
{
	struct linger linger = { 1, 0 };

	setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

/* The client's answer is an alert, or the beginning of a handshake; a byte of data
 * after it says that it is there. */
bool
tls_peer_renegotiate(struct tls_peer *peer)
{
	char byte;

	SSL_renegotiate(peer->ssl);
	SSL_do_handshake(peer->ssl);
	SSL_read(peer->ssl, &byte, 1);
	return SSL_renegotiate_pending(peer->ssl) == 0 &&
	    SSL_num_renegotiations(peer->ssl) > 0 && ERR_peek_error() == 0;
}

bool
tls_peer_resumed(const struct tls_peer *peer)
{
	return SSL_session_reused(peer->ssl) == 1;
}

const char *
tls_peer_name(const struct tls_peer *peer)
{
	const char *name = SSL_get_servername(peer->ssl, TLSEXT_NAMETYPE_host_name);

	return name == NULL ? "" : name;
}

int
tls_peer_fd(const struct tls_peer *peer)
{
	return peer->fd;
}

static int
version_of(int version)
{
	return version == 0 ? 0 : TLS1_VERSION + version - 10;
}

static void
load_file(SSL_CTX *context, const struct tls_server_conf *conf)
{
	AUTO_FREE char *path = xasprintf("%s/%s", conf->folder, conf->certificate);

	CU_ASSERT_EQUAL_FATAL(SSL_CTX_use_certificate_chain_file(context, path), 1);
	CU_ASSERT_EQUAL_FATAL(
	    SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM), 1);
	if (conf->client_ca == NULL)
		return;
	AUTO_FREE char *ca = xasprintf("%s/%s", conf->folder, conf->client_ca);
	CU_ASSERT_EQUAL_FATAL(SSL_CTX_load_verify_file(context, ca), 1);
	SSL_CTX_set_verify(
	    context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
}

/* Without it OpenSSL forgets the name of a session that is resumed. */
static int
on_name(SSL *ssl, int *alert, void *arg)
{
	return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *
new_context(const struct tls_server_conf *conf)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	SSL_CTX_set_security_level(context, 0);
	SSL_CTX_set_session_id_context(context, (const unsigned char *)"test", 4);
	SSL_CTX_set_tlsext_servername_callback(context, on_name);
	SSL_CTX_set_min_proto_version(context, version_of(conf->least));
	SSL_CTX_set_max_proto_version(context, version_of(conf->most));
	if (conf->ciphers != NULL)
		SSL_CTX_set_cipher_list(context, conf->ciphers);
	if (conf->no_tickets || conf->no_sessions)
		SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
	if (conf->no_sessions) {
		SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
		SSL_CTX_set_num_tickets(context, 0);
	}
	if (conf->certificate != NULL)
		load_file(context, conf);
	return context;
}

static void
close_connection(void *arg)
{
	struct tls_peer *peer = arg;

	SSL_set_shutdown(peer->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(peer->ssl);
	close(peer->fd);
}

/* Closed at once, with something unread, the client would not see the alert. */
static void
drain(int fd)
{
	char data[1024];

	shutdown(fd, SHUT_WR);
	while (recv(fd, data, sizeof(data), 0) > 0)
		continue;
}

static void *
serve(void *arg)
{
	struct connection *connection = arg;
	struct tls_peer peer = { .fd = connection->fd };
	const struct tls_server_conf *conf = connection->conf;
	int yes = 1;

	peer.ssl = SSL_new(connection->context);
	free(connection);
	pthread_cleanup_push(close_connection, &peer);
	setsockopt(peer.fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	SSL_set_fd(peer.ssl, peer.fd);
	if (conf->raw != NULL)
		conf->raw(peer.fd);
	else if (SSL_accept(peer.ssl) == 1)
		conf->serve(&peer);
	else
		drain(peer.fd);
	pthread_cleanup_pop(1);
	return NULL;
}

static _Noreturn void
serve_all(int listener, const struct tls_server_conf *conf)
{
	SSL_CTX *context = new_context(conf);
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		struct connection *connection = xcalloc(1, sizeof(*connection));
		connection->conf = conf;
		connection->context = context;
		connection->fd = accept(listener, NULL, NULL);
		if (pthread_create(&thread, NULL, serve, connection) == 0)
			pthread_detach(thread);
	}
}

struct tls_server *
tls_server_start(const struct tls_server_conf *conf)
{
	struct tls_server *server = xcalloc(1, sizeof(*server));
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&address, len), 0);
	CU_ASSERT_EQUAL_FATAL(listen(listener, 64), 0);
	getsockname(listener, (struct sockaddr *)&address, &len);
	server->port = ntohs(address.sin_port);
	server->pid = fork();
	CU_ASSERT_FATAL(server->pid >= 0);
	if (server->pid == 0)
		serve_all(listener, conf);
	close(listener);
	return server;
}

uint16_t
tls_server_port(const struct tls_server *server)
{
	return server->port;
}

void
tls_server_stop(struct tls_server *server)
{
	if (server == NULL)
		return;
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	free(server);
}
