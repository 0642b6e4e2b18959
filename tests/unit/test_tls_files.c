/* SPDX-License-Identifier: ISC */
/*
 * The files of TLS: read again when they change, refused with the words of what is wrong, a
 * whole folder of authorities, and no descriptor to read them with.
 */
#include "agent/base/tls_context.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/http.h"
#include "agent/base/tls.h"
#include "agent/base/util.h"
#include "tests/unit/tap.h"
#include "tests/unit/tls_bed.h"
#include "tests/unit/tls_server.h"

/* Asks until the error is as wanted: files are looked at once a second. */
static struct seen
ask_until(struct bench *bench, const struct net_tls *tls, enum net_error error)
{
	int64_t start_ms = clock_raw_ms();
	struct seen seen = ask(bench, tls, HOST);

	while (seen.error != error && clock_raw_ms() - start_ms < LIMIT_MS) {
		poll(NULL, 0, 20);
		seen = ask(bench, tls, HOST);
	}
	CU_ASSERT_EQUAL(seen.error, error);
	return seen;
}

/* A file is read again when it changes, and no session outlives what it said. */
static void
test_files_that_change(void)
{
	struct tls_server_conf conf = { .certificate = "good.pem", .serve = answer };
	struct bench bench;

	bench_open(&bench);
	serve(&bench, conf);
	CU_ASSERT_TRUE(copy_file(bench.folder, "ca.pem", "now.pem", "w"));
	struct net_tls tls = files(&bench, "now.pem", NULL);
	CU_ASSERT_EQUAL(ask(&bench, &tls, HOST).error, NET_OK);
	CU_ASSERT_TRUE(ask(&bench, &tls, HOST).resumed);
	copy_file(bench.folder, "other-ca.pem", "now.pem", "w");
	struct seen seen = ask_until(&bench, &tls, NET_TLS);
	CU_ASSERT_PTR_NOT_NULL(strstr(seen.why, "unknown authority"));
	int hole = open(tls.ca_file, O_WRONLY | O_TRUNC | O_CLOEXEC);
	CU_ASSERT_TRUE(hole >= 0 && close(hole) == 0);
	seen = ask_until(&bench, &tls, NET_LOCAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(seen.why, "now.pem: this is no certificate"));
	copy_file(bench.folder, "ca.pem", "now.pem", "w");
	seen = ask_until(&bench, &tls, NET_OK);
	check_answer(&seen, HOST, false);
	seen = ask(&bench, &tls, HOST);
	check_answer(&seen, HOST, true);
	bench_close(&bench);
}

static void
test_files_of_no_use(void)
{
	static const struct {
		const char *ca, *cert, *key, *why;
	} rows[] = {
		{ "key.pem", NULL, NULL, "key.pem: this is no certificate in PEM" },
		{ "empty", NULL, NULL,
		    "empty: there is no certificate in this folder" },
		{ "ca.pem", "key.pem", NULL, "key.pem: this is no certificate in PEM" },
		{ "ca.pem", "none.pem", NULL, "none.pem: No such file or directory" },
		{ "ca.pem", "client.pem", "none.pem",
		    "none.pem: No such file or directory" },
		{ "ca.pem", "client.pem", "list.pem",
		    "list.pem: this is no key in PEM" },
		{ "ca.pem", "client.pem", "good.pem",
		    "good.pem: the key does not belong to the certificate" },
		{ "ca.pem", "weak.pem", NULL, "weak.pem: " },
	};
	struct tls_server_conf conf = { .certificate = "good.pem", .serve = answer };
	struct bench bench;

	bench_open(&bench);
	serve(&bench, conf);
	AUTO_FREE char *key = xasprintf("%s/key.pem", bench.folder);
	FILE *file = fopen(key, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(file);
	fputs("-----BEGIN NONSENSE-----\n!\n", file);
	fclose(file);
	copy_file(bench.folder, "key.pem", "list.pem", "w");
	AUTO_FREE char *empty = xasprintf("%s/empty", bench.folder);
	CU_ASSERT_EQUAL(mkdir(empty, 0755), 0);
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct net_tls tls = files(&bench, rows[i].ca, rows[i].cert);
		tls.key_file = path_of(&bench, 2, rows[i].key);
		struct seen seen = ask(&bench, &tls, HOST);
		struct http_reply reply = ask_curl(&bench, &tls, HOST);
		CU_ASSERT_EQUAL(seen.error, NET_LOCAL);
		CU_ASSERT_EQUAL(reply.error, NET_LOCAL);
		CU_ASSERT_STRING_EQUAL(reply.why, seen.why);
		CU_ASSERT_PTR_NOT_NULL(strstr(seen.why, rows[i].why));
		if (strstr(seen.why, rows[i].why) == NULL)
			printf("# %zu: %s\n", i, seen.why);
	}
	bench_close(&bench);
}

/* All files of a folder, whatever they are called; a new one counts. */
static void
test_folder(void)
{
	struct tls_server_conf conf = { .certificate = "good.pem", .serve = answer };
	struct bench bench;

	bench_open(&bench);
	serve(&bench, conf);
	AUTO_FREE char *folder = xasprintf("%s/folder", bench.folder);
	CU_ASSERT_EQUAL(mkdir(folder, 0755), 0);
	copy_file(bench.folder, "other-ca.pem", "folder/other.pem", "w");
	copy_file(bench.folder, "client.pem", "folder/ca", "w");
	struct net_tls tls = files(&bench, "folder", NULL);
	CU_ASSERT_EQUAL(ask(&bench, &tls, HOST).error, NET_TLS);
	CU_ASSERT_EQUAL(ask_curl(&bench, &tls, HOST).error, NET_TLS);
	copy_file(bench.folder, "ca.pem", "folder/ca", "w");
	struct seen seen = ask_until(&bench, &tls, NET_OK);
	check_answer(&seen, HOST, false);
	/* curl's has looked at the folder a moment later */
	int64_t start_ms = clock_raw_ms();
	while (ask_curl(&bench, &tls, HOST).error != NET_OK &&
	    clock_raw_ms() - start_ms < LIMIT_MS)
		poll(NULL, 0, 20);
	CU_ASSERT_TRUE(clock_raw_ms() - start_ms < LIMIT_MS);
	bench_close(&bench);
}

/* Files cannot be read for want of a descriptor: they did not change, and are of use
 * again once there is one. */
static void
test_no_descriptor(void)
{
	struct rlimit was, none;
	struct bench bench;
	struct tls *tls = NULL;
	char why[300] = "";
	int64_t start_ms = clock_raw_ms();

	bench_open(&bench);
	struct net_tls conf = files(&bench, "ca.pem", NULL);
	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = (struct rlimit){ 0, was.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	CU_ASSERT_PTR_NULL(
	    tls_open(bench.tlss, &conf, HOST, "target", -1, why, sizeof(why)));
	setrlimit(RLIMIT_NOFILE, &was);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "ca.pem: Too many open files"));
	while (tls == NULL && clock_raw_ms() - start_ms < LIMIT_MS) {
		poll(NULL, 0, 50);
		tls = tls_open(bench.tlss, &conf, HOST, "target", -1, why, sizeof(why));
	}
	CU_ASSERT_PTR_NOT_NULL(tls);
	tls_close(tls, false);
	bench_close(&bench);
}

static const struct tap_case cases[] = {
	{ "files that change", test_files_that_change },
	{ "files of no use", test_files_of_no_use },
	{ "a folder of authorities", test_folder },
	{ "no descriptor", test_no_descriptor },
};

TAP_MAIN_APART("tls_files", cases)
