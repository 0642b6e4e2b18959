/* SPDX-License-Identifier: ISC */
/*
 * What went wrong with TLS, in the operator's words: the same words for the same fault,
 * whoever made the connection, tls or libcurl. OpenSSL tells it in three ways: a callback
 * while it verifies (the only moment when a refused certificate can be seen), an alert of
 * the other end, a code of its own. The first that is understood is kept.
 * Invariant: `why` is printable ASCII, for names in certificates come from outside.
 */
#include "agent/base/tls_fault.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/tls_words.h"
#include "agent/base/util.h"

struct observed {
	struct tls_fault fault; /* first: it is what the caller has */
	int users;
	char *name;
};

static void
set_fault(struct tls_fault *fault, enum net_error error, const char *why)
{
	if (fault->error != NET_OK)
		return;
	fault->error = error;
	str_copy(fault->why, sizeof(fault->why), why);
}

/* Text of a certificate, fit for a line; a byte that is not becomes '?'. */
static void
copy_clean(char *out, size_t size, const unsigned char *text, int len)
{
	size_t n = 0;

	for (int i = 0; i < len && n + 1 < size; i++)
		out[n++] =
		    text[i] > ' ' && text[i] < 0x7f && text[i] != '\\' && text[i] != '"'
		    ? (char)text[i]
		    : text[i] == ' ' ? ' '
				     : '?';
	out[n] = '\0';
}

static int64_t
seconds_of(const ASN1_TIME *time)
{
	struct tm tm;

	return time != NULL && ASN1_TIME_to_tm(time, &tm) == 1 ? timegm(&tm) : -1;
}

static void
format_time(const ASN1_TIME *time, const char *format, char *out, size_t size)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(time, &tm) != 1 || strftime(out, size, format, &tm) == 0)
		str_copy(out, size, "an unknown day");
}

/* How people call it: the common name, else the organisation. */
static void
name_of(const X509_NAME *name, char *out, size_t size)
{
	static const int fields[] = { NID_commonName, NID_organizationalUnitName,
		NID_organizationName };

	str_copy(out, size, "without a name");
	for (size_t i = 0; i < ARRAY_LENGTH(fields); i++) {
		int at = X509_NAME_get_index_by_NID(name, fields[i], -1);
		if (at < 0)
			continue;
		const ASN1_STRING *text =
		    X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
		copy_clean(
		    out, size, ASN1_STRING_get0_data(text), ASN1_STRING_length(text));
		return;
	}
}

/* One alternative name in words; false: of a kind that names no host. */
static bool
format_alternative(const GENERAL_NAME *name, char *out, size_t size)
{
	const ASN1_STRING *text = name->d.ia5;

	if (name->type != GEN_DNS && name->type != GEN_IPADD)
		return false;
	const unsigned char *data = ASN1_STRING_get0_data(text);
	int len = ASN1_STRING_length(text);
	if (name->type == GEN_DNS)
		copy_clean(out, size, data, len);
	else if (len != 4 && len != 16)
		return false;
	else
		inet_ntop(len == 4 ? AF_INET : AF_INET6, data, out, (socklen_t)size);
	return true;
}

/* The hosts that a certificate is for, the first ones: "a.example, b.example, ...". */
static void
names_of(const X509 *certificate, char *out, size_t size)
{
	GENERAL_NAMES *names =
	    X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	size_t len = 0;
	char name[64];

	out[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		if (!format_alternative(
			sk_GENERAL_NAME_value(names, i), name, sizeof(name)))
			continue;
		bool fits = len + strlen(name) + sizeof(", , ...") <= size;
		if (len > 0)
			len += (size_t)snprintf(out + len, size - len, ", ");
		str_copy(out + len, size - len, fits ? name : "...");
		len += strlen(out + len);
		if (!fits)
			break;
	}
	GENERAL_NAMES_free(names);
	if (len == 0)
		name_of(X509_get_subject_name(certificate), out, size);
}

static void
say_name(struct tls_fault *fault, const X509 *certificate)
{
	char text[sizeof(fault->why)], names[64], asked[56];
	const char *name = fault->name == NULL ? "us" : fault->name;

	copy_clean(
	    asked, sizeof(asked), (const unsigned char *)name, (int)strlen(name));
	names_of(certificate, names, sizeof(names));
	snprintf(text, sizeof(text), "the certificate is not for %s but for %s", asked,
	    names);
	set_fault(fault, NET_TLS, text);
}

static void
say_date(struct tls_fault *fault, const X509 *certificate, int depth, bool expired)
{
	char text[sizeof(fault->why)], subject[56], time[32], whose[96];

	str_copy(whose, sizeof(whose), "the certificate");
	if (depth > 0) {
		name_of(X509_get_subject_name(certificate), subject, sizeof(subject));
		snprintf(whose, sizeof(whose),
		    "the certificate of its authority \"%s\"", subject);
	}
	if (expired) {
		format_time(
		    X509_get0_notAfter(certificate), "%Y-%m-%d", time, sizeof(time));
		snprintf(text, sizeof(text), "%s has expired (on %s)", whose, time);
	} else {
		format_time(X509_get0_notBefore(certificate), "%Y-%m-%d %H:%M UTC",
		    time, sizeof(time));
		snprintf(
		    text, sizeof(text), "%s is not valid yet (from %s)", whose, time);
	}
	set_fault(fault, NET_TLS, text);
}

static void
say_authority(struct tls_fault *fault, const X509 *certificate)
{
	char text[sizeof(fault->why)], issuer[72];

	name_of(X509_get_issuer_name(certificate), issuer, sizeof(issuer));
	snprintf(text, sizeof(text),
	    "the certificate is signed by an unknown authority (\"%s\")", issuer);
	set_fault(fault, NET_TLS, text);
}

static void
say_verdict(struct tls_fault *fault, X509_STORE_CTX *chain)
{
	int error = X509_STORE_CTX_get_error(chain);
	int depth = X509_STORE_CTX_get_error_depth(chain);
	const X509 *certificate = X509_STORE_CTX_get_current_cert(chain);
	const char *text = tls_words_verdict(error);

	if (certificate == NULL)
		certificate = X509_STORE_CTX_get0_cert(chain);
	switch (error) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		say_date(
		    fault, certificate, depth, error == X509_V_ERR_CERT_HAS_EXPIRED);
		return;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH: say_name(fault, certificate); return;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_UNTRUSTED: say_authority(fault, certificate); return;
	default: break;
	}
	char other[sizeof(fault->why)];
	snprintf(other, sizeof(other), "the certificate is of no use: %s",
	    X509_verify_cert_error_string(error));
	set_fault(fault, NET_TLS, text == NULL ? other : text);
}

static void
release(
    void *parent, void *object, CRYPTO_EX_DATA *data, int index, long number, void *arg)
{
	struct observed *observed = object;

	if (observed != NULL)
		tls_fault_release(&observed->fault);
}

/* OpenSSL's number for what we hang on a context: one for the process, as it wants. */
static int
slot(void)
{
	static int index = -1;

	if (index < 0)
		index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, release);
	return index;
}

static struct tls_fault *
fault_of(const SSL *ssl)
{
	struct observed *observed = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), slot());

	return observed != NULL ? &observed->fault : SSL_get_app_data(ssl);
}

/* Also of a certificate that is refused: there is no other moment to see it. */
static struct tls_fault *
note_end(X509_STORE_CTX *chain)
{
	const SSL *ssl =
	    X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_fault *fault = fault_of(ssl);
	const X509 *own = X509_STORE_CTX_get0_cert(chain);

	if (fault != NULL && own != NULL)
		fault->certificate_end = seconds_of(X509_get0_notAfter(own));
	return fault;
}

/* Lists of revoked certificates count where there are any, and no authority needs one. */
static int
on_verify(int good, X509_STORE_CTX *chain)
{
	struct tls_fault *fault = note_end(chain);

	if (good)
		return 1;
	if (X509_STORE_CTX_get_error(chain) == X509_V_ERR_UNABLE_TO_GET_CRL) {
		X509_STORE_CTX_set_error(chain, X509_V_OK);
		return 1;
	}
	if (fault != NULL)
		say_verdict(fault, chain);
	return 0;
}

/* Instead of all verifying: the certificate is only looked at. */
static int
on_unverified(X509_STORE_CTX *chain, void *arg)
{
	note_end(chain);
	return 1;
}

/* We have none, or OpenSSL would not ask: the alert that may follow has a reason. */
static int
on_certificate_asked(SSL *ssl, X509 **certificate, EVP_PKEY **key)
{
	struct tls_fault *fault = fault_of(ssl);

	if (fault != NULL)
		fault->asked = true;
	return 0;
}

static bool
has_revocations(X509_STORE *store)
{
	const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);

	for (int i = 0; i < sk_X509_OBJECT_num(objects); i++)
		if (X509_OBJECT_get_type(sk_X509_OBJECT_value(objects, i)) ==
		    X509_LU_CRL)
			return true;
	return false;
}

/* A certificate of the file is trusted although it is no authority (it is named there),
 * as libcurl has it. */
void
tls_fault_rules(SSL_CTX *context)
{
	X509_VERIFY_PARAM *rules = SSL_CTX_get0_param(context);
	X509_STORE *store = NULL;

	SSL_CTX_get0_verify_cert_store(context, &store);
	if (store == NULL)
		store = SSL_CTX_get_cert_store(context);
	X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN);
	if (store != NULL && has_revocations(store))
		X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_CRL_CHECK);
	SSL_CTX_set_verify(context, SSL_CTX_get_verify_mode(context), on_verify);
	if (SSL_CTX_get_verify_mode(context) == SSL_VERIFY_NONE)
		SSL_CTX_set_cert_verify_callback(context, on_unverified, NULL);
	SSL_CTX_set_client_cert_cb(context, on_certificate_asked);
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
	if (SSL_CTX_get_min_proto_version(context) < TLS1_2_VERSION)
		SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
}

void
tls_fault_watch(struct tls_fault *fault, SSL *ssl)
{
	SSL_set_app_data(ssl, fault);
}

bool
tls_fault_is_literal(const char *name)
{
	struct in6_addr address;

	return inet_pton(AF_INET, name, &address) == 1 ||
	    inet_pton(AF_INET6, name, &address) == 1;
}

char *
tls_fault_name(const char *host)
{
	size_t len = strcspn(host, "%");

	if (host[len] == '\0' && len > 1 && host[len - 1] == '.')
		len--;
	return xstrndup(host, len);
}

int
tls_fault_expect(X509_VERIFY_PARAM *rules, const char *name)
{
	X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	int good = tls_fault_is_literal(name)
	    ? X509_VERIFY_PARAM_set1_ip_asc(rules, name)
	    : X509_VERIFY_PARAM_set1_host(rules, name, 0);
	return good == 1 ? 0 : -ENOMEM;
}

int64_t
tls_fault_end(const SSL *ssl, bool whole)
{
	const X509 *own = SSL_get0_peer_certificate(ssl);
	STACK_OF(X509) *chain = whole ? SSL_get0_verified_chain(ssl) : NULL;
	int64_t first = own == NULL ? -1 : seconds_of(X509_get0_notAfter(own));

	for (int i = 0; i < sk_X509_num(chain); i++) {
		int64_t end = seconds_of(X509_get0_notAfter(sk_X509_value(chain, i)));
		first = end < first ? end : first;
	}
	return first;
}

void
tls_fault_lost(struct tls_fault *fault, int error)
{
	char text[sizeof(fault->why)];

	snprintf(text, sizeof(text), "the connection %s %s",
	    error == 0 || error == EPIPE ? "ended" : "was reset",
	    fault->up ? "without TLS's own end" : "during the TLS handshake");
	set_fault(fault, NET_CLOSED, text);
}

/* A server may well say "handshake failure" to whom shows it no certificate. */
static void
take_alert(struct tls_fault *fault, int alert)
{
	const char *words = tls_words_alert(alert);
	char text[sizeof(fault->why)];

	bool required = alert == SSL_AD_CERTIFICATE_REQUIRED ||
	    (fault->asked &&
		(alert == SSL_AD_HANDSHAKE_FAILURE || alert == SSL_AD_BAD_CERTIFICATE));
	if (required)
		words = "the server requires a certificate of us";
	else if (alert == SSL_AD_HANDSHAKE_FAILURE && fault->up)
		words = TLS_REFUSED "it gave up";
	snprintf(text, sizeof(text), TLS_REFUSED "alert number %d", alert);
	set_fault(fault, NET_TLS, words == NULL ? text : words);
}

void
tls_fault_take(struct tls_fault *fault, unsigned long code)
{
	int reason = ERR_GET_REASON(code);
	const char *words =
	    ERR_GET_LIB(code) == ERR_LIB_SSL ? tls_words_code(reason) : NULL;
	const char *told = ERR_reason_error_string(code);
	char text[sizeof(fault->why)];

	if (ERR_GET_LIB(code) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET) {
		take_alert(fault, reason - SSL_AD_REASON_OFFSET);
		return;
	}
	if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
	    reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		tls_fault_lost(fault, 0);
		return;
	}
	snprintf(text, sizeof(text), "the other end breaks the rules of TLS: %s",
	    told == NULL ? "nothing more is known" : told);
	set_fault(fault, NET_TLS, words == NULL ? text : words);
}

struct tls_fault *
tls_fault_observe(SSL_CTX *context, const char *host)
{
	struct observed *observed = xcalloc(1, sizeof(*observed));

	observed->name = tls_fault_name(host);
	observed->fault.name = observed->name;
	observed->fault.certificate_end = -1;
	observed->users = 2;
	tls_fault_rules(context);
	if (SSL_CTX_set_ex_data(context, slot(), observed) != 1 ||
	    tls_fault_expect(SSL_CTX_get0_param(context), observed->name) != 0)
		out_of_memory();
	return &observed->fault;
}

void
tls_fault_release(struct tls_fault *fault)
{
	struct observed *observed = (struct observed *)fault;

	if (fault == NULL || --observed->users > 0)
		return;
	free(observed->name);
	free(observed);
}
