/* SPDX-License-Identifier: ISC */
#ifndef LICTOR_TLS_WORDS_H
#define LICTOR_TLS_WORDS_H

#define TLS_REFUSED "the server refused: "

/* Each is a whole sentence without its point, or NULL: there are no words for it. */
const char *tls_words_alert(int alert);	/* SSL_AD_… */
const char *tls_words_code(int reason);	/* SSL_R_…, of OpenSSL's libssl */
const char *tls_words_verdict(int error);	/* X509_V_ERR_… */

#endif
