/* SPDX-License-Identifier: ISC */
/*
 * What the numbers of TLS mean to an operator: alerts that a server sends, codes of
 * OpenSSL and verdicts on certificates. The same fault has the same words, whichever of
 * the three it came by. Texts that hold a date or a name are made in tls_fault.
 */
#include "agent/base/tls_words.h"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stddef.h>

#include "agent/base/util.h"

struct words {
	int code;
	const char *text;
};

#define NO_VERSION "no version of TLS in common"
#define NO_CIPHER "no cipher or kind of key in common"
#define NOT_TLS "the other end does not speak TLS"
#define WEAK_KEY "the key of the certificate is too weak"
#define WEAK_AUTHORITY "the key of its authority is too weak"
#define WEAK_SIGNATURE "the signature of the certificate is too weak"
#define REFUSED TLS_REFUSED

/* Alerts of RFC 8446 6.2 and RFC 5246 7.2. */
static const struct words alerts[] = {
	{ SSL_AD_UNEXPECTED_MESSAGE, REFUSED "we sent what it did not expect" },
	{ SSL_AD_BAD_RECORD_MAC, REFUSED "what we sent arrived damaged" },
	{ SSL_AD_RECORD_OVERFLOW, REFUSED "what we sent was too long" },
	{ SSL_AD_HANDSHAKE_FAILURE, NO_CIPHER },
	{ SSL_AD_BAD_CERTIFICATE, REFUSED "our certificate is bad" },
	{ SSL_AD_UNSUPPORTED_CERTIFICATE,
	    REFUSED "our certificate is of a wrong kind" },
	{ SSL_AD_CERTIFICATE_REVOKED, REFUSED "our certificate has been revoked" },
	{ SSL_AD_CERTIFICATE_EXPIRED, REFUSED "our certificate has expired" },
	{ SSL_AD_CERTIFICATE_UNKNOWN, REFUSED "our certificate is not accepted" },
	{ SSL_AD_ILLEGAL_PARAMETER, REFUSED "we sent a value that is not allowed" },
	{ SSL_AD_UNKNOWN_CA,
	    REFUSED "our certificate is signed by an unknown authority" },
	{ SSL_AD_ACCESS_DENIED, REFUSED "access is denied" },
	{ SSL_AD_DECODE_ERROR, REFUSED "what we sent could not be read" },
	{ SSL_AD_DECRYPT_ERROR, REFUSED "what we sent could not be verified" },
	{ SSL_AD_PROTOCOL_VERSION, NO_VERSION },
	{ SSL_AD_INSUFFICIENT_SECURITY, REFUSED "our ciphers are too weak" },
	{ SSL_AD_INTERNAL_ERROR, REFUSED "it has an error of its own" },
	{ SSL_AD_INAPPROPRIATE_FALLBACK, REFUSED "this TLS is older than need be" },
	{ SSL_AD_USER_CANCELLED, REFUSED "it gave up" },
	{ SSL_AD_NO_RENEGOTIATION, REFUSED "no new handshake is allowed" },
	{ SSL_AD_MISSING_EXTENSION, REFUSED "an extension is missing" },
	{ SSL_AD_UNSUPPORTED_EXTENSION, REFUSED "an extension is unknown" },
	{ SSL_AD_UNRECOGNIZED_NAME, REFUSED "it does not know the name asked for" },
	{ SSL_AD_UNKNOWN_PSK_IDENTITY, REFUSED "an unknown key was offered" },
	{ SSL_AD_NO_APPLICATION_PROTOCOL, REFUSED "no application protocol in common" },
};

/* Codes of OpenSSL's own: what it found wrong with the other end. */
static const struct words refusals[] = {
	{ SSL_R_UNSUPPORTED_PROTOCOL, NO_VERSION },
	{ SSL_R_NO_PROTOCOLS_AVAILABLE, NO_VERSION },
	{ SSL_R_WRONG_SSL_VERSION, NO_VERSION },
	{ SSL_R_NO_CIPHERS_AVAILABLE, NO_CIPHER },
	{ SSL_R_WRONG_CIPHER_RETURNED, NO_CIPHER },
	{ SSL_R_UNKNOWN_CIPHER_RETURNED, NO_CIPHER },
	{ SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, NO_CIPHER },
	{ SSL_R_WRONG_SIGNATURE_TYPE, NO_CIPHER },
	{ SSL_R_WRONG_CURVE, NO_CIPHER },
	{ SSL_R_DH_KEY_TOO_SMALL, "the server's Diffie-Hellman key is too weak" },
	{ SSL_R_EE_KEY_TOO_SMALL, WEAK_KEY },
	{ SSL_R_CA_KEY_TOO_SMALL, WEAK_AUTHORITY },
	{ SSL_R_CA_MD_TOO_WEAK, WEAK_SIGNATURE },
	{ SSL_R_BAD_SIGNATURE, "the server does not hold the key of its certificate" },
	{ SSL_R_UNSAFE_LEGACY_RENEGOTIATION_DISABLED,
	    "the server renegotiates only in the unsafe way (RFC 5746)" },
	{ SSL_R_WRONG_VERSION_NUMBER, NOT_TLS },
	{ SSL_R_HTTP_REQUEST, NOT_TLS },
	{ SSL_R_HTTPS_PROXY_REQUEST, NOT_TLS },
};

/* What verifying finds (X509_V_ERR_...), where no date or name belongs to it. */
static const struct words verdicts[] = {
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "the certificate is self-signed" },
	{ X509_V_ERR_CERT_REVOKED, "the certificate has been revoked" },
	{ X509_V_ERR_CRL_HAS_EXPIRED,
	    "the revocation list of its authority is out of date" },
	{ X509_V_ERR_CRL_NOT_YET_VALID,
	    "the revocation list of its authority is not valid yet" },
	{ X509_V_ERR_CRL_SIGNATURE_FAILURE,
	    "the revocation list of its authority is forged" },
	{ X509_V_ERR_EE_KEY_TOO_SMALL, WEAK_KEY },
	{ X509_V_ERR_CA_KEY_TOO_SMALL, WEAK_AUTHORITY },
	{ X509_V_ERR_CA_MD_TOO_WEAK, WEAK_SIGNATURE },
	{ X509_V_ERR_CERT_SIGNATURE_FAILURE,
	    "the signature of the certificate is wrong" },
	{ X509_V_ERR_INVALID_PURPOSE, "the certificate is not made for servers" },
	{ X509_V_ERR_INVALID_CA, "the certificate is signed by what is no authority" },
	{ X509_V_ERR_PATH_LENGTH_EXCEEDED,
	    "the certificate is signed by what is no authority" },
	{ X509_V_ERR_CERT_CHAIN_TOO_LONG,
	    "the chain of authorities of the certificate is too long" },
	{ X509_V_ERR_CERT_REJECTED, "the certificate is rejected" },
};

static const char *
words_of(const struct words *words, size_t count, int code)
{
	for (size_t i = 0; i < count; i++)
		if (words[i].code == code)
			return words[i].text;
	return NULL;
}

const char *
tls_words_alert(int alert)
{
	return words_of(alerts, ARRAY_LENGTH(alerts), alert);
}

const char *
tls_words_code(int reason)
{
	return words_of(refusals, ARRAY_LENGTH(refusals), reason);
}

const char *
tls_words_verdict(int error)
{
	return words_of(verdicts, ARRAY_LENGTH(verdicts), error);
}
