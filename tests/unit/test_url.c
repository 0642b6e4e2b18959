/* SPDX-License-Identifier: ISC */
/*
 * URLs taken apart: each that is accepted with what it says, each other refused.
 */
#include "agent/base/url.h"

#include <string.h>

#include "agent/base/util.h"
#include "tests/unit/tap.h"

static const struct {
	const char *text, *host; /* NULL: refused */
	uint16_t port;
	bool tls;
} urls[] = {
	{ "http://a", "a", 80, false },
	{ "https://a/", "a", 443, true },
	{ "http://db-1.lan:8080/x?y=1#z", "db-1.lan", 8080, false },
	{ "http://10.0.0.1?x", "10.0.0.1", 80, false },
	{ "https://[fd00::1]:65535", "fd00::1", 65535, true },
	{ "http://[::1]/", "::1", 80, false },
	{ "http://a/@:99999", "a", 80, false },
	{ "HTTP://a", NULL },
	{ "http:/a", NULL },
	{ "http://", NULL },
	{ "http:///x", NULL },
	{ "http://:80", NULL },
	{ "http://a:", NULL },
	{ "http://a:0", NULL },
	{ "http://a:65536", NULL },
	{ "http://a:080", NULL },
	{ "http://a:+80", NULL },
	{ "http://a:18446744073709551617", NULL },
	{ "http://a b/", NULL },
	{ "http://a/\n", NULL },
	{ "http://\xc3\xa4/", NULL },
	{ "http://a/\xc3\xa4", NULL },
	{ "http://a/\x7f", NULL },
	{ "http://u@a/", NULL },
	{ "http://u:p@a/", NULL },
	{ "http://::1/", NULL },
	{ "http://[::1", NULL },
	{ "http://[::1]x", NULL },
	{ "http://[::g]/", NULL },
	{ "http://[10.0.0.1]/", NULL },
	{ "http://10.0.0/", NULL },
	{ "http://10.0.0.256/", NULL },
	{ "http://a..b/", NULL },
	{ "http://.a/", NULL },
	{ "http://a\\b/", NULL },
};

static void
urls_are_split(void)
{
	for (size_t i = 0; i < ARRAY_LENGTH(urls); i++) {
		struct url url = { .port = 7 };
		char why[160] = "";
		int error = url_split(urls[i].text, &url, why, sizeof(why));
		if (urls[i].host == NULL) {
			CU_ASSERT(error < 0 && strstr(why, "expected") != NULL);
			CU_ASSERT_EQUAL(url.port, 7);
		} else {
			CU_ASSERT_EQUAL(error, 0);
			CU_ASSERT_STRING_EQUAL(url.host, urls[i].host);
			CU_ASSERT_EQUAL(url.port, urls[i].port);
			CU_ASSERT_EQUAL(url.tls, urls[i].tls);
		}
	}
}

/* A host too long for a name does not overflow, and neither does any shorter one. */
static void
long_hosts(void)
{
	for (int len = 1; len < 300; len++) {
		AUTO_FREE char *text = xasprintf("http://a%0*d.b", len, 0);
		struct url url;
		char why[160];
		CU_ASSERT_EQUAL(url_split(text, &url, why, sizeof(why)) == 0,
		    (size_t)len + 3 < sizeof(url.host));
	}
}

static const struct tap_case cases[] = {
	{ "URLs are taken apart strictly", urls_are_split },
	{ "hosts of any length fit or are refused", long_hosts },
};

TAP_MAIN("url", cases)
