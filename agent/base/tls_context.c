/* SPDX-License-Identifier: ISC */
/*
 * What TLS connections share: one OpenSSL context for each set of files, however many checks
 * name them. A file that changed makes a new context at the next connection; the old one
 * ends with its last. A file that is of no use is an error that names it, even where an
 * earlier state of it was good: who replaced it must learn that now, not at the restart.
 * Invariant: nothing is asked of the user's terminal, whatever a key file holds.
 */
#include "agent/base/tls_context.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "agent/base/file_mark.h"
#include "agent/base/tls_fault.h"
#include "agent/base/tls_folder.h"
#include "agent/base/tls_roots.h"
#include "agent/base/util.h"

#define LOOK_MS 1000
#define IDLE_MS (10 * 60 * 1000)
#define SLOTS 64

enum file {
	FILE_CA, /* or the directory of the system's */
	FILE_CERT,
	FILE_KEY,
	FILE_COUNT,
};

static const char *const option_names[] = { "ca-file", "cert-file", "key-file" };
_Static_assert(ARRAY_LENGTH(option_names) == FILE_COUNT, "a name for each");

struct tls_context {
	SLIST_ENTRY(tls_context) link;
	struct tls_contexts *contexts;
	char *paths[FILE_COUNT];
	bool no_verify;
	struct file_mark marks[FILE_COUNT];
	uint64_t hash, number;
	int64_t looked_at;
	int users;
	bool retired; /* in no list; goes with its last user */
	SSL_CTX *ssl; /* NULL: `why` says why */
	char why[300];
};

SLIST_HEAD(context_list, tls_context);

struct tls_contexts {
	struct context_list slots[SLOTS];
	uint64_t last_number;
	struct tls_roots *roots;
};

struct tls_contexts *
tls_contexts_new(void)
{
	struct tls_contexts *contexts = xcalloc(1, sizeof(*contexts));

	contexts->roots = tls_roots_new();
	return contexts;
}

static void
free_context(struct tls_context *context)
{
	for (int i = 0; i < FILE_COUNT; i++)
		free(context->paths[i]);
	SSL_CTX_free(context->ssl);
	free(context);
}

void
tls_contexts_free(struct tls_contexts *contexts)
{
	struct tls_context *context;

	if (contexts == NULL)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		while ((context = SLIST_FIRST(&contexts->slots[i])) != NULL) {
			SLIST_REMOVE_HEAD(&contexts->slots[i], link);
			free_context(context);
		}
	tls_roots_free(contexts->roots);
	free(contexts);
}

static void
retire(struct tls_context *context)
{
	struct context_list *list = &context->contexts->slots[context->hash % SLOTS];

	SLIST_REMOVE(list, context, tls_context, link);
	context->retired = true;
	if (context->users == 0)
		free_context(context);
}

void
tls_context_put(struct tls_context *context)
{
	if (context != NULL && --context->users == 0 && context->retired)
		free_context(context);
}

SSL_CTX *
tls_context_ssl(const struct tls_context *context)
{
	return context->ssl;
}

uint64_t
tls_context_number(const struct tls_context *context)
{
	return context->number;
}

static bool
is_about_passwords(unsigned long code)
{
	int reason = ERR_GET_REASON(code);

	return ERR_GET_LIB(code) == ERR_LIB_PEM &&
	    (reason == PEM_R_BAD_PASSWORD_READ ||
		reason == PEM_R_PROBLEMS_GETTING_PASSWORD);
}

/* The first that OpenSSL found is the cause; that a key is encrypted it says late. */
static int
fail(struct tls_context *context, enum file file)
{
	static const char *const kinds[] = { "certificate", "certificate", "key" };
	unsigned long first = ERR_peek_error(), code;
	const char *told = ERR_reason_error_string(first);
	bool encrypted = false;
	char text[96];

	while ((code = ERR_get_error()) != 0)
		encrypted = encrypted || is_about_passwords(code);
	if (encrypted)
		str_copy(text, sizeof(text), "the key is encrypted");
	else if (ERR_SYSTEM_ERROR(first))
		str_copy(text, sizeof(text), strerror(ERR_GET_REASON(first)));
	else if (ERR_GET_LIB(first) == ERR_LIB_X509 &&
	    ERR_GET_REASON(first) == X509_R_KEY_VALUES_MISMATCH)
		str_copy(
		    text, sizeof(text), "the key does not belong to the certificate");
	else if (ERR_GET_LIB(first) == ERR_LIB_SSL && told != NULL)
		str_copy(text, sizeof(text), told);
	else
		snprintf(text, sizeof(text), "this is no %s in PEM", kinds[file]);
	snprintf(context->why, sizeof(context->why), "%s %s: %s", option_names[file],
	    context->paths[file], text);
	return -EINVAL;
}

static int
load_authorities(struct tls_context *context)
{
	X509_STORE *store;

	if (context->no_verify)
		return 0;
	if (context->paths[FILE_CA] == NULL) {
		SSL_CTX_set1_cert_store(
		    context->ssl, tls_roots_store(context->contexts->roots));
		return 0;
	}
	store = X509_STORE_new();
	if (store == NULL)
		out_of_memory();
	SSL_CTX_set_cert_store(context->ssl, store);
	if (tls_folder_is(context->paths[FILE_CA])) {
		if (tls_folder_load(store, context->paths[FILE_CA]))
			return 0;
		snprintf(context->why, sizeof(context->why),
		    "ca-file %s: there is no certificate in this folder",
		    context->paths[FILE_CA]);
		return -EINVAL;
	}
	if (X509_STORE_load_file(store, context->paths[FILE_CA]) != 1)
		return fail(context, FILE_CA);
	return 0;
}

/* Without a key file the certificate's has it. */
static int
load_own(struct tls_context *context)
{
	enum file holder = context->paths[FILE_KEY] != NULL ? FILE_KEY : FILE_CERT;
	const char *cert = context->paths[FILE_CERT];

	if (cert == NULL)
		return 0;
	if (SSL_CTX_use_certificate_chain_file(context->ssl, cert) != 1)
		return fail(context, FILE_CERT);
	if (SSL_CTX_use_PrivateKey_file(
		context->ssl, context->paths[holder], SSL_FILETYPE_PEM) != 1)
		return fail(context, holder);
	return 0;
}

static int
no_password(char *out, int size, int writing, void *arg)
{
	return -1;
}

/* Of what the system offers of TLS 1.3, the suite with SHA-256 first: the keys of a
 * handshake are derived in a tenth less of its time than with SHA-384. */
static void
prefer_sha256(SSL_CTX *ssl)
{
	static const char first[] = TLS1_3_RFC_AES_128_GCM_SHA256;
	const STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(ssl);
	struct buf suites = { .limit = 512 };
	bool offered = false;

	for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
		const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(ciphers, i);
		const char *name = SSL_CIPHER_standard_name(cipher);
		if (strcmp(SSL_CIPHER_get_version(cipher), "TLSv1.3") != 0)
			continue;
		if (strcmp(name, first) == 0)
			offered = true;
		else
			buf_printf(&suites, ":%s", name);
	}
	AUTO_FREE char *all =
	    xasprintf("%s%s", first, suites.data == NULL ? "" : suites.data);
	if (offered)
		SSL_CTX_set_ciphersuites(ssl, all);
	buf_free(&suites);
}

/* Checks are short and many: buffers only while something is in them, as few reads as
 * possible, no session kept by OpenSSL (tls_session does). */
static int
load(struct tls_context *context)
{
	SSL_CTX *ssl = context->ssl = SSL_CTX_new(TLS_client_method());

	if (ssl == NULL) {
		snprintf(context->why, sizeof(context->why),
		    "OpenSSL cannot be set up: %s",
		    ERR_reason_error_string(ERR_peek_error()));
		return -EINVAL;
	}
	SSL_CTX_set_mode(ssl,
	    SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ssl, 1);
	prefer_sha256(ssl);
	SSL_CTX_set_session_cache_mode(
	    ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_set_default_passwd_cb(ssl, no_password);
	SSL_CTX_set_verify(
	    ssl, context->no_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	int error = load_authorities(context);
	if (error == 0)
		error = load_own(context);
	if (error == 0)
		tls_fault_rules(ssl);
	return error;
}

static struct file_mark
mark_now(const struct tls_context *context, enum file file)
{
	if (file == FILE_CA && context->paths[file] == NULL && !context->no_verify)
		return tls_roots_mark();
	if (file == FILE_CA && tls_folder_is(context->paths[file]))
		return tls_folder_mark(context->paths[file]);
	return file_mark(context->paths[file]);
}

static uint64_t
hash_of(const struct net_tls *conf)
{
	const char *const paths[] = { conf->ca_file, conf->cert_file, conf->key_file };
	uint64_t hash = conf->no_verify;

	for (size_t i = 0; i < ARRAY_LENGTH(paths); i++)
		if (paths[i] != NULL)
			hash = hash * 31 + fnv1a64(paths[i], strlen(paths[i]));
	return hash;
}

/* The marks are taken before the files are read: what changes between is seen next time. */
static struct tls_context *
new_context(struct tls_contexts *contexts, const struct net_tls *conf)
{
	const char *const paths[] = { conf->ca_file, conf->cert_file, conf->key_file };
	struct tls_context *context = xcalloc(1, sizeof(*context));

	context->contexts = contexts;
	context->hash = hash_of(conf);
	context->number = ++contexts->last_number;
	context->no_verify = conf->no_verify;
	context->looked_at = clock_boot_ms();
	for (enum file i = 0; i < FILE_COUNT; i++) {
		context->paths[i] = paths[i] == NULL ? NULL : xstrdup(paths[i]);
		context->marks[i] = mark_now(context, i);
	}
	ERR_clear_error();
	if (load(context) != 0) {
		SSL_CTX_free(context->ssl);
		context->ssl = NULL;
	}
	ERR_clear_error();
	SLIST_INSERT_HEAD(&contexts->slots[context->hash % SLOTS], context, link);
	return context;
}

/* Whether it is what the files say now. What is of no use is always read again: it may
 * have been for want of a descriptor. */
static bool
is_current(struct tls_context *context)
{
	int64_t now = clock_boot_ms();

	if (now - context->looked_at < LOOK_MS)
		return true;
	context->looked_at = now;
	for (enum file i = 0; i < FILE_COUNT; i++) {
		struct file_mark mark = mark_now(context, i);
		if (!file_mark_same(&mark, &context->marks[i]))
			return false;
	}
	return context->ssl != NULL;
}

static bool
same_path(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static struct tls_context *
find(const struct tls_contexts *contexts, const struct net_tls *conf)
{
	uint64_t hash = hash_of(conf);
	struct tls_context *context;

	SLIST_FOREACH(context, &contexts->slots[hash % SLOTS], link)
	if (context->hash == hash && context->no_verify == conf->no_verify &&
	    same_path(context->paths[FILE_CA], conf->ca_file) &&
	    same_path(context->paths[FILE_CERT], conf->cert_file) &&
	    same_path(context->paths[FILE_KEY], conf->key_file))
		return context;
	return NULL;
}

/* Files that no check names any more, after a reload. */
static void
retire_idle(struct tls_contexts *contexts)
{
	int64_t now = clock_boot_ms();
	struct tls_context *context, *next;

	for (size_t i = 0; i < SLOTS; i++)
		for (context = SLIST_FIRST(&contexts->slots[i]); context != NULL;
		     context = next) {
			next = SLIST_NEXT(context, link);
			if (context->users == 0 && now - context->looked_at > IDLE_MS)
				retire(context);
		}
}

struct tls_context *
tls_context_get(struct tls_contexts *contexts, const struct net_tls *conf, char *why,
    size_t why_size)
{
	struct tls_context *context = find(contexts, conf);

	if (context != NULL && !is_current(context)) {
		retire(context);
		context = NULL;
	}
	if (context == NULL) {
		retire_idle(contexts);
		context = new_context(contexts, conf);
	}
	if (context->ssl == NULL) {
		str_copy(why, why_size, context->why);
		return NULL;
	}
	context->users++;
	return context;
}

/* Not as the other's own store: libcurl fills that, and gives it to its next ones. */
void
tls_context_lend(const struct tls_context *context, SSL_CTX *other)
{
	SSL_CTX_set1_verify_cert_store(other, SSL_CTX_get_cert_store(context->ssl));
}
