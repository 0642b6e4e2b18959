/* SPDX-License-Identifier: ISC */
/*
 * The TLS sessions that finished connections left behind, by whom they may be offered to:
 * the key that tls makes of context, target and name. A server that resumes a session
 * shows no certificate and none is verified, so a session lives five minutes from the
 * moment of its verification, however often it is resumed, and not beyond the end of any
 * certificate of the chain: what a server shows anew is seen within that time.
 * The server's certificate is not kept in them, for that is most of a session's size.
 * A table with chains that doubles; what is past its time goes before it does.
 */
#include "agent/base/tls_session.h"

#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"

#define SLOTS_MIN 16
#define SESSIONS_MAX 16384

struct kept {
	struct kept *next;
	uint64_t hash;
	struct tls_session session;
	char key[];
};

struct slot {
	struct kept *first;
};

struct tls_sessions {
	struct slot *slots; /* a power of two of them */
	size_t size, count;
	int64_t swept_at;
};

struct tls_sessions *
tls_sessions_new(void)
{
	struct tls_sessions *sessions = xcalloc(1, sizeof(*sessions));

	sessions->size = SLOTS_MIN;
	sessions->slots = xcalloc(sessions->size, sizeof(*sessions->slots));
	return sessions;
}

static void
forget(struct tls_sessions *sessions, struct kept **at)
{
	struct kept *kept = *at;

	*at = kept->next;
	SSL_SESSION_free(kept->session.session);
	free(kept);
	sessions->count--;
}

void
tls_sessions_free(struct tls_sessions *sessions)
{
	if (sessions == NULL)
		return;
	for (size_t i = 0; i < sessions->size; i++)
		while (sessions->slots[i].first != NULL)
			forget(sessions, &sessions->slots[i].first);
	free(sessions->slots);
	free(sessions);
}

size_t
tls_sessions_count(const struct tls_sessions *sessions)
{
	return sessions->count;
}

/* The parts of a session's DER (an OCTET STRING each and so on) but the certificate,
 * which is number 3 of those with a number; how long they are, or 0. */
static size_t
copy_parts(unsigned char *out, const unsigned char *in, long len)
{
	const unsigned char *end = in + len;
	unsigned char *at = out;
	int tag, class;
	long part;

	while (in < end) {
		const unsigned char *start = in;
		if ((ASN1_get_object(&in, &part, &tag, &class, end - in) & 0x80) != 0)
			return 0;
		in += part;
		if (class == V_ASN1_CONTEXT_SPECIFIC && tag == 3)
			continue;
		memcpy(at, start, (size_t)(in - start));
		at += in - start;
	}
	return (size_t)(at - out);
}

/* The same session without the certificates, some 1 KB instead of 10 KB, or NULL. There is
 * no call for this: it takes the way over the form that files have. */
static SSL_SESSION *
lightened(const SSL_SESSION *session)
{
	AUTO_FREE unsigned char *whole = NULL, *light = NULL;
	int size = i2d_SSL_SESSION(session, NULL), tag, class;
	unsigned char *out;
	long len;

	if (size <= 0)
		return NULL;
	out = whole = xcalloc(1, (size_t)size);
	light = xcalloc(1, (size_t)size + 8);
	i2d_SSL_SESSION(session, &out);
	const unsigned char *in = whole;
	if ((ASN1_get_object(&in, &len, &tag, &class, size) & 0x80) != 0)
		return NULL;
	size_t parts = copy_parts(light + 8, in, len);
	int head = ASN1_object_size(1, (int)parts, V_ASN1_SEQUENCE) - (int)parts;
	if (parts == 0 || head < 2 || head > 8)
		return NULL;
	out = light + 8 - head;
	in = out;
	ASN1_put_object(&out, 1, (int)parts, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
	return d2i_SSL_SESSION(NULL, &in, head + (long)parts);
}

/* As it is kept: light, unless that is not to be had. Takes it over. */
static SSL_SESSION *
lighten(SSL_SESSION *session)
{
	SSL_SESSION *light = session != NULL ? lightened(session) : NULL;

	if (light == NULL)
		return session;
	SSL_SESSION_free(session);
	return light;
}

static bool
is_over(const struct tls_session *session)
{
	return clock_boot_ms() - session->verified_at >= TLS_SESSION_MS ||
	    (session->valid_until >= 0 &&
		clock_wall_ms() / 1000 >= session->valid_until);
}

/* Where the session of the key is, or would be added. */
static struct kept **
seek(struct tls_sessions *sessions, const char *key, uint64_t hash)
{
	struct kept **at = &sessions->slots[hash & (sessions->size - 1)].first;

	while (*at != NULL && ((*at)->hash != hash || strcmp((*at)->key, key) != 0))
		at = &(*at)->next;
	return at;
}

/* At most once a second: a table that is full of what is good costs nothing more. */
static void
sweep(struct tls_sessions *sessions)
{
	int64_t now = clock_boot_ms();

	if (now - sessions->swept_at < 1000)
		return;
	sessions->swept_at = now;
	for (size_t i = 0; i < sessions->size; i++)
		for (struct kept **at = &sessions->slots[i].first; *at != NULL;)
			if (is_over(&(*at)->session))
				forget(sessions, at);
			else
				at = &(*at)->next;
}

static void
grow(struct tls_sessions *sessions)
{
	size_t size = sessions->size * 2;
	struct slot *slots = xcalloc(size, sizeof(*slots));
	struct kept *kept;

	for (size_t i = 0; i < sessions->size; i++)
		while ((kept = sessions->slots[i].first) != NULL) {
			sessions->slots[i].first = kept->next;
			kept->next = slots[kept->hash & (size - 1)].first;
			slots[kept->hash & (size - 1)].first = kept;
		}
	free(sessions->slots);
	sessions->slots = slots;
	sessions->size = size;
}

const struct tls_session *
tls_sessions_find(struct tls_sessions *sessions, const char *key)
{
	struct kept **at = seek(sessions, key, fnv1a64(key, strlen(key)));

	if (*at != NULL && is_over(&(*at)->session))
		forget(sessions, at);
	return *at == NULL ? NULL : &(*at)->session;
}

void
tls_sessions_drop(struct tls_sessions *sessions, const char *key)
{
	struct kept **at = seek(sessions, key, fnv1a64(key, strlen(key)));

	if (*at != NULL)
		forget(sessions, at);
}

void
tls_sessions_keep(
    struct tls_sessions *sessions, const char *key, const struct tls_session *session)
{
	size_t len = strlen(key);
	uint64_t hash = fnv1a64(key, len);

	tls_sessions_drop(sessions, key);
	if (sessions->count >= sessions->size)
		sweep(sessions);
	if (sessions->count >= SESSIONS_MAX) {
		SSL_SESSION_free(session->session);
		return;
	}
	if (sessions->count >= sessions->size)
		grow(sessions);
	struct kept *kept = xcalloc(1, sizeof(*kept) + len + 1);
	kept->hash = hash;
	kept->session = *session;
	kept->session.session = lighten(session->session);
	memcpy(kept->key, key, len + 1);
	struct kept **at = &sessions->slots[hash & (sessions->size - 1)].first;
	kept->next = *at;
	*at = kept;
	sessions->count++;
}
