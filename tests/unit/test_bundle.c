/* SPDX-License-Identifier: ISC */
/*
 * A configuration as bytes: the three processes get the same from the same, and nothing but
 * whole and sealed ones is taken.
 */
#include "agent/conf/bundle.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/base/util.h"
#include "agent/conf/conf.h"
#include "tests/unit/conf_bed.h"
#include "tests/unit/tap.h"

static void
other_bytes_are_another_generation(void)
{
	struct conf *a = parse("", "", WHOLE), *b = parse("", "", WHOLE);
	struct conf *c = parse("CONSUL_HTTP_TOKEN=x\n", "", WHOLE);
	struct conf *d = parse("", " ", WHOLE);

	CU_ASSERT_EQUAL(a->generation, b->generation);
	CU_ASSERT_NOT_EQUAL(a->generation, c->generation);
	CU_ASSERT_NOT_EQUAL(a->generation, d->generation);
	conf_free(a);
	conf_free(b);
	conf_free(c);
	conf_free(d);
}

static void
what_is_sent_is_received(void)
{
	char error[CONF_ERROR_MAX] = "";
	struct conf *sent = parse("CONSUL_HTTP_TOKEN=x\n", "node = n", WHOLE);

	CU_ASSERT_PTR_NOT_NULL_FATAL(sent);
	AUTO_CLOSE int fd = conf_send(sent);
	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(write(fd, "x", 1), -1);
	CU_ASSERT_EQUAL(ftruncate(fd, 0), -1);
	for (int i = 0; i < 2; i++) { /* the second reads through the same open file */
		struct conf_bundle *bundle = conf_receive(fd, error);
		CU_ASSERT_PTR_NOT_NULL_FATAL(bundle);
		struct conf *got = conf_parse(bundle, error);
		CU_ASSERT_PTR_NOT_NULL_FATAL(got);
		CU_ASSERT_EQUAL(got->generation, sent->generation);
		CU_ASSERT_STRING_EQUAL(got->node, "n");
		CU_ASSERT_STRING_EQUAL(got->consul.token, "x");
		CU_ASSERT_EQUAL(got->n_commands, sent->n_commands);
		conf_free(got);
	}
	conf_free(sent);
}

/* A descriptor with these bytes, sealed or not. */
static int
memory_of(const void *bytes, size_t len, bool sealed)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (write(fd, bytes, len) != (ssize_t)len ||
	    (sealed &&
		fcntl(fd, F_ADD_SEALS,
		    F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0))
		abort();
	return fd;
}

/* Nothing but whole and sealed bytes are taken: every shorter piece is refused, but
 * for those that end where a file ends. */
static void
pieces_of_a_bundle_are_refused(void)
{
	char error[CONF_ERROR_MAX];
	struct conf_bundle *bundle = bundle_of("", "node = n\n", "role 'a' { }\n");
	size_t accepted = 0;

	for (size_t len = 0; len <= bundle->len; len++) {
		AUTO_CLOSE int fd = memory_of(bundle->bytes, len, true);
		struct conf_bundle *got = conf_receive(fd, error);
		accepted += got != NULL;
		conf_bundle_free(got);
	}
	CU_ASSERT_EQUAL(accepted, 2); /* all of it, and without a.conf */
	AUTO_CLOSE int open_fd = memory_of(bundle->bytes, bundle->len, false);
	CU_ASSERT_PTR_NULL(conf_receive(open_fd, error));
	conf_bundle_free(bundle);
}

static void
who_receives_does_not_ask_the_host(void)
{
	static const char gone[] =
	    "script 'x' { command = {'/nonexistent/x'} user = 'nobody-of-that-name' }";
	char error[CONF_ERROR_MAX];
	struct conf_bundle *bundle = bundle_of("", "", gone);
	AUTO_CLOSE int fd = memory_of(bundle->bytes, bundle->len, true);

	CU_ASSERT_PTR_NULL(conf_parse(bundle, error));
	bundle = conf_receive(fd, error);
	CU_ASSERT_PTR_NOT_NULL_FATAL(bundle);
	struct conf *conf = conf_parse(bundle, error);
	CU_ASSERT_PTR_NOT_NULL(conf);
	conf_free(conf);
}

static const struct tap_case cases[] = {
	{ "other bytes are another generation", other_bytes_are_another_generation },
	{ "what is sent is received", what_is_sent_is_received },
	{ "pieces of a bundle are refused", pieces_of_a_bundle_are_refused },
	{ "who receives does not ask the host", who_receives_does_not_ask_the_host },
};

TAP_MAIN("bundle", cases)
