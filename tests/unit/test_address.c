/* SPDX-License-Identifier: ISC */
/*
 * What options of checks say: where a check goes, and bytes that are sent.
 */
#include "checks/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/util.h"
#include "checks/bytes.h"
#include "tests/unit/tap.h"

static const struct {
	const char *text;
	uint16_t default_port;
	const char *host; /* NULL: refused */
	unsigned int port;
	const char *says;
} rows[] = {
	{ "10.0.0.1:80", 0, "10.0.0.1", 80, NULL },
	{ "[::1]:80", 0, "::1", 80, NULL },
	{ "name:65535", 0, "name", 65535, NULL },
	{ "a-b.c_d.example.:1", 0, "a-b.c_d.example.", 1, NULL },
	{ "", 0, NULL, 0, "no port, expected \"host:port\"" },
	{ ":80", 0, NULL, 0, "neither an address nor a host name" },
	{ "name", 0, NULL, 0, "it has no port" },
	{ "name:", 0, NULL, 0, "port \"\" is not a number" },
	{ "name:0", 0, NULL, 0, "port 0 is out of range" },
	{ "name:65536", 0, NULL, 0, "port 65536 is out of range" },
	{ "name:080", 0, NULL, 0, "not a number" },
	{ "name:80 ", 0, NULL, 0, "not a number" },
	{ "name:-1", 0, NULL, 0, "not a number" },
	{ "na me:80", 0, NULL, 0, "neither" },
	{ "::1:80", 0, NULL, 0, "stands in brackets" },
	{ "[::1]80", 0, NULL, 0, "no port" },
	{ "[::1]", 0, NULL, 0, "no port" },
	{ "[::1:80", 0, NULL, 0, "no port" },
	{ "[:80", 0, NULL, 0, "neither" },
	{ "[]:80", 0, NULL, 0, "neither" },
	{ "[10.0.0.1]:80", 0, NULL, 0, "neither" },
	{ "[name]:80", 0, NULL, 0, "neither" },
	{ "name]:80", 0, NULL, 0, "neither" },
	{ ".name:80", 0, NULL, 0, "neither" },
	{ "1.2.3:80", 0, NULL, 0, "neither" },
	{ "a/b:80", 0, NULL, 0, "neither" },
	{ "http://name:80", 0, NULL, 0, "neither" },
	{ "n\x01:80", 0, NULL, 0, "neither" },
	{ "name", 53, "name", 53, NULL },
	{ "name:54", 53, "name", 54, NULL },
	{ "192.0.2.1", 53, "192.0.2.1", 53, NULL },
	{ "::1", 53, "::1", 53, NULL },
	{ "[::1]", 53, "::1", 53, NULL },
	{ "[::1]:54", 53, "::1", 54, NULL },
	{ "::1:54", 53, "::1:54", 53, NULL },
	{ "", 53, NULL, 0, "without the port" },
	{ "name:", 53, NULL, 0, "not a number" },
};

static void
test_with_port(void)
{
	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct address out = { "old", 7 };
		char why[200] = "";
		int result = address_parse(
		    rows[i].text, rows[i].default_port, &out, why, sizeof(why));
		bool right = rows[i].host != NULL
		    ? result == 0 && strcmp(out.host, rows[i].host) == 0 &&
			out.port == rows[i].port
		    : result == -1 && strcmp(out.host, "old") == 0 && out.port == 7 &&
			strstr(why, rows[i].says) != NULL &&
			strstr(why, "expected") != NULL;
		if (!right)
			printf("# \"%s\": %s %u: %s\n", rows[i].text, out.host,
			    out.port, why);
		CU_ASSERT(right);
	}
}

static void
test_long_names(void)
{
	char text[300], why[200];
	struct address out;

	memset(text, 'a', sizeof(text));
	memcpy(text + 253, ":1", 3);
	CU_ASSERT_EQUAL(address_parse(text, 0, &out, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(strlen(out.host), 253);
	memset(text, 'a', sizeof(text));
	memcpy(text + 254, ":1", 3);
	CU_ASSERT_EQUAL(address_parse(text, 0, &out, why, sizeof(why)), -1);
}

static void
test_host_alone(void)
{
	static const char *const hosts[][2] = { { "name", "name" },
		{ "192.0.2.1", "192.0.2.1" }, { "::1", "::1" }, { "[::1]", "::1" },
		{ "", NULL }, { "[]", NULL }, { "[name]", NULL }, { "name:1", NULL },
		{ "192.0.2.1:1", NULL }, { "[::1]:1", NULL }, { "a b", NULL } };

	for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++) {
		struct address out = { "old", 7 };
		char why[200] = "";
		int result = address_parse_host(hosts[i][0], &out, why, sizeof(why));
		CU_ASSERT_EQUAL(result, hosts[i][1] != NULL ? 0 : -1);
		CU_ASSERT_STRING_EQUAL(
		    out.host, hosts[i][1] != NULL ? hosts[i][1] : "old");
		CU_ASSERT_EQUAL(why[0] != '\0', hosts[i][1] == NULL);
	}
}

/* Every byte can be written as \xNN, in both cases, and reads back. */
static void
test_bytes(void)
{
	static const char *const bad[] = { "\\", "\\q", "\\x", "\\x1", "\\xg0", "\\x0g",
		"a\\", "\\\\\\", "\\N" };
	char text[5], why[200];
	size_t len = 7;

	for (unsigned int byte = 0; byte < 256; byte++) {
		snprintf(text, sizeof(text), byte % 2 ? "\\x%02x" : "\\x%02X", byte);
		char *bytes = bytes_parse(text, &len, why, sizeof(why));
		CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
		CU_ASSERT_EQUAL(len, 1);
		CU_ASSERT_EQUAL((unsigned char)bytes[0], byte);
		free(bytes);
	}
	char *bytes = bytes_parse("a\\n\\r\\t\\0\\\\\\x414\"", &len, why, sizeof(why));
	CU_ASSERT_EQUAL(len, 9);
	CU_ASSERT_EQUAL(memcmp(bytes, "a\n\r\t\0\\A4\"", 9), 0);
	free(bytes);
	free(bytes_parse("", &len, why, sizeof(why)));
	CU_ASSERT_EQUAL(len, 0);
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		why[0] = '\0';
		CU_ASSERT_PTR_NULL(bytes_parse(bad[i], &len, why, sizeof(why)));
		CU_ASSERT_PTR_NOT_NULL(strstr(why, "expected"));
		CU_ASSERT_EQUAL(len, 0);
	}
}

static const struct tap_case cases[] = {
	{ "hosts and ports", test_with_port },
	{ "names as long as can be", test_long_names },
	{ "hosts alone", test_host_alone },
	{ "bytes", test_bytes },
};

TAP_MAIN("address", cases)
