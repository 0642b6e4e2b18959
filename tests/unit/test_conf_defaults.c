/* SPDX-License-Identifier: ISC */
/*
 * What counts where a configuration is silent: the defaults, which are those that the sample
 * says, and what comes from the environment.
 */
#include "agent/conf/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/identity.h"
#include "agent/base/util.h"
#include "tests/unit/conf_bed.h"
#include "tests/unit/tap.h"

static void
assert_defaults(const struct conf *conf)
{
	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	CU_ASSERT_PTR_NULL(conf->node);
	CU_ASSERT_STRING_EQUAL(conf->consul.address, "http://127.0.0.1:8500");
	CU_ASSERT_PTR_NULL(conf->consul.unix_socket);
	CU_ASSERT_PTR_NULL(conf->consul.token);
	CU_ASSERT_PTR_NULL(conf->consul.token_file);
	CU_ASSERT_PTR_NULL(conf->consul.ca_file);
	CU_ASSERT_PTR_NULL(conf->consul.cert_file);
	CU_ASSERT_PTR_NULL(conf->consul.key_file);
	CU_ASSERT_PTR_NULL(conf->consul.server_name);
	CU_ASSERT(conf->consul.verify);
	CU_ASSERT_EQUAL(conf->consul.ttl_ms, 10000);
	CU_ASSERT_EQUAL(conf->fence, CONF_FENCE_AUTO);
	CU_ASSERT_EQUAL(conf_lease(conf, true), 1000);
	CU_ASSERT_EQUAL(conf_lease(conf, false), 2250);
	CU_ASSERT_EQUAL(conf_margin(true), 10);
	CU_ASSERT_EQUAL(conf_margin(false), 1500);
	CU_ASSERT_EQUAL_FATAL(conf->n_checks, 1);
	CU_ASSERT_EQUAL(conf->checks[0]->interval_ms, 2000);
	CU_ASSERT_EQUAL(conf->checks[0]->fast_interval_ms, 500);
	CU_ASSERT_EQUAL(conf->checks[0]->timeout_ms, 2000);
	CU_ASSERT_EQUAL(conf->checks[0]->rise, 2);
	CU_ASSERT_EQUAL(conf->checks[0]->fall, 3);
}

static char *
read_text(const char *path)
{
	const char *top = getenv("top_srcdir");
	AUTO_FREE char *name = xasprintf("%s/%s", top != NULL ? top : ".", path);
	AUTO_FCLOSE FILE *fp = fopen(name, "re");
	struct buf text = { .limit = 1 << 20 };
	char piece[4096];
	size_t len;

	while (fp != NULL && (len = fread(piece, 1, sizeof(piece), fp)) > 0)
		buf_add(&text, piece, len);
	return text.data;
}

/* Of so many services with ten checks each. */
static int64_t
ttl_of(const char *node_file, int count)
{
	AUTO_FREE char *text = NULL;
	size_t size;
	FILE *fp = open_memstream(&text, &size);

	for (int i = 0; i < count; i++) {
		fprintf(fp, "service \"s%d\" {\n", i);
		for (int k = 0; k < 10; k++)
			fprintf(fp, "ttl \"c%d\" { ttl = 1m }\n", k);
		fprintf(fp, "}\n");
	}
	fclose(fp);
	struct conf *conf = parse("", node_file, text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	int64_t ttl = conf->consul.ttl_ms;
	conf_free(conf);
	return ttl;
}

static void
a_big_node_has_a_longer_ttl(void)
{
	CU_ASSERT_EQUAL(ttl_of("", 316), 10000);
	CU_ASSERT_EQUAL(ttl_of("", 317), 30000);
	CU_ASSERT_EQUAL(ttl_of("consul { ttl = 10s }", 317), 10000);
	CU_ASSERT_EQUAL(ttl_of("consul { ttl = 1h }", 1), 3600000);
}

/* A commented option is "#name", words in comments are "# like this". */
static void
uncomment(char *text)
{
	for (char *p = text; p != NULL; p = strchr(p + 1, '\n')) {
		char *hash = p + strspn(p, "\n \t");
		if (hash[0] == '#' && hash[1] >= 'a' && hash[1] <= 'z')
			hash[0] = ' ';
	}
}

static void
the_sample_says_the_defaults(void)
{
	const char *check = "tcp \"x\" { address = \"127.0.0.1:1\" }";
	struct conf *empty = parse("", "", check);
	AUTO_FREE char *text = read_text("etc/lictor.conf");

	assert_defaults(empty);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	struct conf *installed = parse("", text, check);
	assert_defaults(installed);
	uncomment(text);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, " interval = 2s"));
	struct conf *written = parse("", text, check);
	assert_defaults(written);
	conf_free(empty);
	conf_free(installed);
	conf_free(written);
}

static void
the_sample_of_a_service_is_good(void)
{
	AUTO_FREE char *text = read_text("etc/services.d/example.conf.sample");

	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	struct conf *conf = parse("", "", text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	CU_ASSERT(conf->n_services > 0 && conf->n_roles > 0 && conf->n_vips > 0);
	conf_free(conf);
}

static void
an_interval_below_the_default_fast_one_counts(void)
{
	struct conf *conf =
	    parse("", "", "tcp \"x\" { address = \"127.0.0.1:1\" interval = 100ms }");

	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	CU_ASSERT_EQUAL(conf->checks[0]->fast_interval_ms, 100);
	conf_free(conf);
}

static void
the_environment_stands_in_where_the_file_is_silent(void)
{
	static const struct {
		const char *environment, *file, *address, *socket;
		bool verify;
	} rows[] = {
		{ "CONSUL_HTTP_ADDR=10.0.0.1:8501\n", "", "http://10.0.0.1:8501", NULL,
		    true },
		{ "CONSUL_HTTP_ADDR=10.0.0.1:8501\nCONSUL_HTTP_SSL=1\n", "",
		    "https://10.0.0.1:8501", NULL, true },
		{ "CONSUL_HTTP_SSL=true\n", "", "https://127.0.0.1:8500", NULL, true },
		{ "CONSUL_HTTP_ADDR=https://c:1/\nCONSUL_HTTP_SSL_VERIFY=false\n", "",
		    "https://c:1", NULL, false },
		{ "CONSUL_HTTP_ADDR=unix:///run/c.sock\n", "", "http://localhost",
		    "/run/c.sock", true },
		{ "CONSUL_HTTP_ADDR=bad//\nCONSUL_HTTP_SSL_VERIFY=0\n",
		    "consul { address = 'http://a:1' verify = true }", "http://a:1",
		    NULL, true },
		{ "CONSUL_HTTP_ADDR=http://b:1\n",
		    "consul { address = 'unix:///run/d.sock' }", "http://localhost",
		    "/run/d.sock", true },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
		struct conf *conf = parse(rows[i].environment, rows[i].file, "");
		CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
		const struct conf_consul *consul = &conf->consul;
		CU_ASSERT_STRING_EQUAL(consul->address, rows[i].address);
		CU_ASSERT((consul->unix_socket == NULL) == (rows[i].socket == NULL));
		if (consul->unix_socket != NULL && rows[i].socket != NULL)
			CU_ASSERT_STRING_EQUAL(consul->unix_socket, rows[i].socket);
		CU_ASSERT_EQUAL(consul->verify, rows[i].verify);
		conf_free(conf);
	}
}

static void
tokens_and_files_come_from_the_environment(void)
{
	char key[] = "/tmp/lictor-key.XXXXXX";
	AUTO_CLOSE int fd = mkstemp(key);
	struct identity agent = { .gid = getegid() };

	identity_find(IDENTITY_AGENT, &agent);
	identity_cleanup(&agent);
	CU_ASSERT(fchmod(fd, 0640) == 0);
	if (identity_may_change())
		CU_ASSERT(fchown(fd, geteuid(), agent.gid) == 0);
	AUTO_FREE char *node =
	    xasprintf("consul { ca-file = '/etc/hosts' key-file = '%s' }", key);
	struct conf *conf = parse("CONSUL_HTTP_TOKEN=a-b\nCONSUL_CACERT=/etc/passwd\n"
				  "CONSUL_TLS_SERVER_NAME=consul.example\n"
				  "CONSUL_CLIENT_CERT=/etc/group\n"
				  "CONSUL_CLIENT_KEY=/etc/fstab\n"
				  "CONSUL_CAPATH=/etc\nCONSUL_HTTP_AUTH=u:p\n"
				  "CONSUL_NAMESPACE=a\nCONSUL_PARTITION=b\n",
	    node, "");

	unlink(key);
	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	CU_ASSERT_STRING_EQUAL(conf->consul.token, "a-b");
	CU_ASSERT_STRING_EQUAL(conf->consul.ca_file, "/etc/hosts");
	CU_ASSERT_STRING_EQUAL(conf->consul.server_name, "consul.example");
	CU_ASSERT_STRING_EQUAL(conf->consul.cert_file, "/etc/group");
	CU_ASSERT_STRING_EQUAL(conf->consul.key_file, key);
	CU_ASSERT_STRING_EQUAL(conf->consul.auth, "u:p");
	CU_ASSERT_STRING_EQUAL(conf->consul.namespace, "a");
	CU_ASSERT_STRING_EQUAL(conf->consul.partition, "b");
	CU_ASSERT_PTR_NULL(conf->consul.datacenter);
	conf_free(conf);
	conf = parse("CONSUL_CAPATH=/etc\nCONSUL_NAMESPACE=a\n",
	    "consul { namespace = c datacenter = dc1 }", "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(conf);
	CU_ASSERT_STRING_EQUAL(conf->consul.ca_file, "/etc");
	CU_ASSERT_STRING_EQUAL(conf->consul.namespace, "c");
	CU_ASSERT_STRING_EQUAL(conf->consul.datacenter, "dc1");
	conf_free(conf);
}

static const struct tap_case cases[] = {
	{ "the sample says the defaults", the_sample_says_the_defaults },
	{ "a big node has a longer ttl", a_big_node_has_a_longer_ttl },
	{ "the sample of a service is good", the_sample_of_a_service_is_good },
	{ "an interval below the default fast one counts",
	    an_interval_below_the_default_fast_one_counts },
	{ "the environment stands in where the file is silent",
	    the_environment_stands_in_where_the_file_is_silent },
	{ "tokens and files come from the environment",
	    tokens_and_files_come_from_the_environment },
};

TAP_MAIN("conf_defaults", cases)
