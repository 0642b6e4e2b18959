/* SPDX-License-Identifier: ISC */
/*
 * The options of the built-in types: their tables are sound, and what is given is judged when
 * it is read, in words that name the option.
 */
#include "checks/builtin.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/util.h"
#include "checks/check.h"
#include "tests/unit/checks_bed.h"
#include "tests/unit/tap.h"

struct refusal {
	const struct check_class *class;
	const char *given[6];
	const char *option, *why; /* NULL: it is accepted */
};

#define URL "url=http://127.0.0.1/"
static const struct refusal refusals[] = {
	{ &check_http_class, { URL }, NULL, NULL },
	{ &check_http_class, { "url=ftp://x/" }, "url",
	    "expected: http:// or https://" },
	{ &check_http_class, { "url=http://x:70000/" }, "url",
	    "port 70000 is out of range, expected 1 to 65535" },
	{ &check_http_class, { "url=http://me:secret@x/" }, "url",
	    "a user name, expected none" },
	{ &check_http_class, { URL, "method=get" }, "method", "expected one like GET" },
	{ &check_http_class, { URL, "method=" }, "method", "expected one like GET" },
	{ &check_http_class, { URL, "method=GET /\r\nX: 1" }, "method", "expected" },
	{ &check_http_class, { URL, "headers=A: 1|B" }, "headers", "header 2 is not" },
	{ &check_http_class, { URL, "headers=A: 1\r\nB: 2" }, "headers",
	    "header 1 is" },
	{ &check_http_class, { URL, "headers=A b: 1" }, "headers", "header 1 is not" },
	{ &check_http_class, { URL, "headers=: 1" }, "headers", "header 1 is not" },
	{ &check_http_class, { URL, "body=x", "method=HEAD" }, "body",
	    "HEAD has no body" },
	{ &check_http_class, { URL, "expect-body=x", "method=HEAD" }, "expect-body",
	    "an answer to HEAD has no body" },
	{ &check_http_class, { URL, "expect-json=a=b", "method=HEAD" }, "expect-json",
	    "an answer to HEAD has no body" },
	{ &check_http_class, { URL, "expect-json=a=b|c" }, "expect-json",
	    "\"c\" is not valid, expected \"path=value\"" },
	{ &check_http_class, { URL, "version=2" }, NULL, NULL },
	{ &check_http_class, { URL, "version=3" }, "version", "expected \"1.1\" or" },
	{ &check_http_class, { URL, "proxy=http://p:3128" }, NULL, NULL },
	{ &check_http_class, { URL, "proxy=socks://p" }, "proxy", "expected: http" },
	{ &check_http_class, { URL, "proxy=https://p" }, "proxy",
	    "the scheme https, expected http" },
	{ &check_http_class, { URL, "certificate-warning=14" }, "certificate-warning",
	    "expected an https URL" },
	{ &check_http_class,
	    { "url=https://a/", "certificate-warning=14", "keep-alive=true" }, NULL,
	    NULL },
	{ &check_http_class,
	    { "url=https://a/", "certificate-warning=14", "keep-alive=true",
		"version=2" },
	    "certificate-warning", "expected no keep-alive" },
	{ &check_http_class, { URL, "expect-status=200" }, NULL, NULL },
	{ &check_http_class, { URL, "expect-status=200-299,301 , 302" }, NULL, NULL },
	{ &check_http_class, { URL, "expect-status=99" }, "expect-status", "\"99\"" },
	{ &check_http_class, { URL, "expect-status=200-600" }, "expect-status",
	    "\"200-600\" is not valid, expected 100 to 599" },
	{ &check_http_class, { URL, "expect-status=299-200" }, "expect-status",
	    "299-200" },
	{ &check_http_class, { URL, "expect-status=2xx" }, "expect-status", "\"2xx\"" },
	{ &check_http_class, { URL, "expect-status= ," }, "expect-status",
	    "no status" },
	{ &check_http_class, { URL, "expect-status=0200" }, "expect-status",
	    "\"0200\"" },
	{ &check_http_class,
	    { URL,
		"expect-status=200 201 202 203 204 205 206 207 208 209 210 211 212 213 "
		"214 215 216" },
	    "expect-status", "more than 16" },
	{ &check_http_class, { URL, "expect-body=a(b" }, "expect-body",
	    "at offset 3, expected a regular expression" },
	{ &check_http_class, { URL, "key-file=/x" }, "key-file", "expected cert-file" },
	{ &check_tcp_class, { "address=db:5432" }, NULL, NULL },
	{ &check_tcp_class, { "address=[::1]:5432" }, NULL, NULL },
	{ &check_tcp_class, { "address=127.0.0.1" }, "address",
	    "expected \"host:port\"" },
	{ &check_tcp_class, { "address=127.0.0.1:70000" }, "address",
	    "port 70000 is out of range, expected 1 to 65535" },
	{ &check_tcp_class, { "address=127.0.0.1:0" }, "address",
	    "port 0 is out of range" },
	{ &check_tcp_class, { "address=127.0.0.1:http" }, "address",
	    "port \"http\" is not a number" },
	{ &check_tcp_class, { "address=::1:80" }, "address", "brackets, expected" },
	{ &check_tcp_class, { "address=:80" }, "address", "expected \"host:port\"" },
	{ &check_tcp_class, { "address=x:80", "expect=*" }, "expect", "at offset 0" },
	{ &check_tcp_class, { "address=x:80", "send=a\\" }, "send", "expected \\n, " },
	{ &check_tcp_class, { "address=x:80", "send=\\x4" }, "send", "expected \\n, " },
	{ &check_tcp_class, { "address=x:80", "send=\\a" }, "send", "expected \\n, " },
	{ &check_tcp_class, { "address=x:80", "ca-file=/x" }, "ca-file",
	    "of no use without TLS, expected tls = true" },
	{ &check_tcp_class, { "address=x:80", "cert-file=/x" }, "cert-file", "no use" },
	{ &check_tcp_class, { "address=x:80", "key-file=/x" }, "key-file", "no use" },
	{ &check_tcp_class, { "address=x:80", "server-name=x" }, "server-name",
	    "no use" },
	{ &check_tcp_class, { "address=x:80", "verify=false" }, "verify", "no use" },
	{ &check_tcp_class, { "address=x:80", "certificate-warning=1" },
	    "certificate-warning", "no use" },
	{ &check_tcp_class, { "address=x:80", "tls=true", "certificate-warning=14" },
	    NULL, NULL },
	{ &check_tcp_class, { "address=x:80", "tls=true", "server-name=a b" },
	    "server-name", "\"a b\" is no host name" },
	{ &check_tcp_class, { "address=x:80", "tls=true", "key-file=/x" }, "key-file",
	    "expected cert-file" },
	{ &check_script_class, { "command=/bin/true" }, NULL, NULL },
	{ &check_script_class, { "command=/bin/true", "convention=nagios" }, NULL,
	    NULL },
	{ &check_script_class, { "command=/bin/true", "convention=posix" },
	    "convention",
	    "\"posix\" is not known, expected consul, nagios or keepalived" },
};

static void
options_are_judged(void)
{
	for (size_t i = 0; i < ARRAY_LENGTH(refusals); i++) {
		const struct refusal *row = &refusals[i];
		void *conf = make_options(row->class, row->given);
		const char *option = NULL;
		char why[200] = "";
		int error = row->class->prepare(conf, &option, why, sizeof(why));
		bool right = row->why == NULL ? error == 0
					      : error == -1 && option != NULL &&
			strcmp(option, row->option) == 0 &&
			strstr(why, row->why) != NULL;
		if (!right)
			printf("# row %zu: %s: %s\n", i, option, why);
		CU_ASSERT(right);
		free_options(row->class, conf);
	}
}

static void
tables_are_sound(void)
{
	static const struct check_class *const classes[] = { &check_http_class,
		&check_tcp_class, &check_script_class };

	for (size_t i = 0; i < ARRAY_LENGTH(classes); i++) {
		const struct check_class *class = classes[i];
		CU_ASSERT_EQUAL(class->abi, CHECK_ABI);
		CU_ASSERT(class->name != NULL && class->help != NULL);
		for (const struct check_option *o = class->options; o->name != NULL;
		     o++) {
			CU_ASSERT(o->offset < class->conf_size);
			CU_ASSERT_PTR_EQUAL(find_option(class, o->name), o);
			CU_ASSERT_FALSE(o->required && o->value != NULL);
		}
	}
}

static const struct tap_case cases[] = {
	{ "tables of options are sound", tables_are_sound },
	{ "options are judged when they are read", options_are_judged },
};

TAP_MAIN("check_options", cases)
