/* SPDX-License-Identifier: ISC */
/*
 * What of a TLS connection may be kept for the next one: sessions are resumed where nothing
 * speaks against it, and never with other rules, past their end or after a failure.
 */
#include "agent/base/tls_session.h"

#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/http.h"
#include "agent/base/tls.h"
#include "agent/base/util.h"
#include "tests/unit/tap.h"
#include "tests/unit/tls_bed.h"
#include "tests/unit/tls_server.h"

/* Versions of TLS, sessions by ticket and by id: the second connection resumes, the third
 * and so on too. */
static void
test_exchanges_are_resumed(void)
{
	static const struct tls_server_conf rows[] = {
		{ .least = 12, .most = 12 },
		{ .least = 13, .most = 13 },
		{ .least = 12, .most = 12, .no_tickets = true },
		{ .least = 13, .most = 13, .no_tickets = true },
		{ .most = 0 },
	};
	struct bench bench;

	bench_open(&bench);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct tls_server_conf conf = rows[i];
		struct net_tls tls = files(&bench, "ca.pem", NULL);
		AUTO_FREE char *target = xasprintf("target %zu", i);
		conf.certificate = "good.pem";
		conf.serve = answer;
		serve(&bench, conf);
		for (int n = 0; n < 4; n++) {
			struct seen seen = ask_target(&bench, &tls, HOST, target);
			check_answer(&seen, HOST, n > 0);
		}
	}
	bench_close(&bench);
}

/* Each pair of different rules: what one left is nothing to the other. */
static void
test_sessions_are_not_mixed(void)
{
	static const struct {
		const char *ca, *own, *host, *target;
		bool no_verify;
	} rows[] = {
		{ "ca.pem", NULL, HOST, "target", false },
		{ "good.pem", NULL, HOST, "target", false },
		{ "ca.pem", "client.pem", HOST, "target", false },
		{ "ca.pem", NULL, "x.wild.example", "target", false },
		{ "ca.pem", NULL, HOST, "another", false },
		{ "ca.pem", NULL, HOST, "target", true },
	};
	struct tls_server_conf conf = { .certificate = "good.pem", .serve = answer };
	size_t count = ARRAY_LENGTH(rows);
	struct bench bench;

	bench_open(&bench);
	serve(&bench, conf);
	for (size_t n = 0; n < count * count; n++) {
		size_t both[] = { n / count, n % count };
		tlss_free(bench.tlss);
		bench.tlss = tlss_new();
		for (int i = 0; i < 2; i++) {
			size_t at = both[i];
			struct net_tls tls = files(&bench, rows[at].ca, rows[at].own);
			tls.no_verify = rows[at].no_verify;
			struct seen seen =
			    ask_target(&bench, &tls, rows[at].host, rows[at].target);
			check_answer(
			    &seen, rows[at].host, i == 1 && both[0] == both[1]);
		}
	}
	bench_close(&bench);
}

/* What is kept of a target is small: the certificates are not. */
static void
test_kept_memory(void)
{
	struct tls_server_conf conf = { .certificate = "below.pem", .serve = answer };
	enum { COUNT = 64, MOST = 2048 };
	struct bench bench;

	bench_open(&bench);
	serve(&bench, conf);
	struct net_tls tls = files(&bench, "ca.pem", NULL);
	ask_target(&bench, &tls, HOST, "first");
	size_t before = mallinfo2().uordblks;
	for (int i = 0; i < COUNT; i++) {
		AUTO_FREE char *target = xasprintf("target %d", i);
		CU_ASSERT_EQUAL(ask_target(&bench, &tls, HOST, target).step, TLS_END);
		CU_ASSERT_TRUE(ask_target(&bench, &tls, HOST, target).resumed);
	}
	CU_ASSERT_TRUE(mallinfo2().uordblks < before + (size_t)COUNT * MOST);
	bench_close(&bench);
}

/* A certificate of the chain, the server's own or the one above, that ends while its
 * session is kept. */
static void
expire(struct bench *bench, const char *words)
{
	struct net_tls tls = files(bench, "ca.pem", NULL);
	struct seen seen = ask_target(bench, &tls, HOST, words);
	int64_t start_ms = clock_raw_ms();

	CU_ASSERT_TRUE(seen.resumed || seen.error != NET_OK);
	while (seen.error == NET_OK && clock_raw_ms() - start_ms < LIMIT_MS) {
		poll(NULL, 0, 50);
		seen = ask_target(bench, &tls, HOST, words);
	}
	struct http_reply reply = ask_curl(bench, &tls, HOST);
	CU_ASSERT_EQUAL(seen.error, NET_TLS);
	CU_ASSERT_PTR_NOT_NULL(strstr(seen.why, words));
	CU_ASSERT_STRING_EQUAL(reply.why, seen.why);
}

static void
test_expired_sessions(void)
{
	static const struct tls_certificate brief[] = {
		{ .file = "brief.pem",
		    .issuer = "ca.pem",
		    .alternatives = "DNS:web.example",
		    .from_s = -DAY_S,
		    .until_s = 2 },
		{ .file = "brief-ca.pem",
		    .issuer = "ca.pem",
		    .name = "Brief",
		    .authority = true,
		    .from_s = -DAY_S,
		    .until_s = 2 },
		{ .file = "below-brief.pem",
		    .issuer = "brief-ca.pem",
		    .alternatives = "DNS:web.example" },
	};
	static const char *const words[] = { "the certificate has expired",
		"its authority \"Brief\" has expired" };
	struct tls_server *servers[2];
	struct bench bench;

	bench_open(&bench);
	struct net_tls tls = files(&bench, "ca.pem", NULL);
	for (size_t i = 0; i < ARRAY_LENGTH(brief); i++)
		tls_certificate_make(bench.folder, &brief[i]);
	for (size_t i = 0; i < 2; i++) {
		struct tls_server_conf conf = { .certificate = brief[2 * i].file,
			.serve = answer };
		bench.server = NULL;
		serve(&bench, conf);
		servers[i] = bench.server;
		CU_ASSERT_EQUAL(ask_target(&bench, &tls, HOST, words[i]).error, NET_OK);
		CU_ASSERT_TRUE(ask_target(&bench, &tls, HOST, words[i]).resumed);
		CU_ASSERT_EQUAL(ask_curl(&bench, &tls, HOST).error, NET_OK);
	}
	for (size_t i = 0; i < 2; i++) {
		bench.server = servers[i];
		expire(&bench, words[i]);
	}
	tls_server_stop(servers[0]);
	bench_close(&bench);
}

static void
cut_if_resumed(struct tls_peer *peer)
{
	char in[1024];

	if (!tls_peer_resumed(peer))
		answer(peer);
	else
		tls_peer_read(peer, in, sizeof(in));
}

/* What may be at fault is not offered again. */
static void
test_failed_sessions(void)
{
	struct tls_server_conf conf = { .certificate = "good.pem",
		.serve = cut_if_resumed };
	struct bench bench;

	bench_open(&bench);
	serve(&bench, conf);
	struct net_tls tls = files(&bench, "ca.pem", NULL);
	for (int n = 0; n < 6; n++) {
		struct seen seen = ask(&bench, &tls, HOST);
		CU_ASSERT_EQUAL(seen.resumed, n % 2 == 1);
		CU_ASSERT_EQUAL(seen.error, n % 2 == 1 ? NET_CLOSED : NET_OK);
	}
	bench_close(&bench);
}

/* Bounded, and each key its own. */
static void
test_kept_sessions(void)
{
	struct tls_session session = { .valid_until = -1 };
	struct tls_sessions *sessions = tls_sessions_new();
	char key[32];

	session.verified_at = clock_boot_ms();
	for (int i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "key %d", i);
		session.certificate_end = i;
		tls_sessions_keep(sessions, key, &session);
		tls_sessions_keep(sessions, key, &session);
		CU_ASSERT_EQUAL(
		    tls_sessions_count(sessions), (size_t)(i < 16384 ? i + 1 : 16384));
	}
	for (int i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "key %d", i);
		const struct tls_session *found = tls_sessions_find(sessions, key);
		CU_ASSERT_EQUAL(found != NULL, i < 16384);
		if (found != NULL)
			CU_ASSERT_EQUAL(found->certificate_end, i);
	}
	for (int i = 0; i < 16384; i += 2) {
		snprintf(key, sizeof(key), "key %d", i);
		tls_sessions_drop(sessions, key);
		CU_ASSERT_PTR_NULL(tls_sessions_find(sessions, key));
	}
	CU_ASSERT_EQUAL(tls_sessions_count(sessions), 8192);
	session.verified_at -= TLS_SESSION_MS;
	tls_sessions_keep(sessions, "old", &session);
	CU_ASSERT_PTR_NULL(tls_sessions_find(sessions, "old"));
	session.verified_at += 1000;
	tls_sessions_keep(sessions, "young", &session);
	CU_ASSERT_PTR_NOT_NULL(tls_sessions_find(sessions, "young"));
	session.valid_until = now_s();
	tls_sessions_keep(sessions, "ended", &session);
	CU_ASSERT_PTR_NULL(tls_sessions_find(sessions, "ended"));
	tls_sessions_free(sessions);
	tls_sessions_free(NULL);
}

static const struct tap_case cases[] = {
	{ "exchanges are resumed", test_exchanges_are_resumed },
	{ "sessions are not mixed", test_sessions_are_not_mixed },
	{ "kept memory", test_kept_memory },
	{ "expired sessions", test_expired_sessions },
	{ "failed sessions", test_failed_sessions },
	{ "kept sessions", test_kept_sessions },
};

TAP_MAIN_APART("tls_session", cases)
